"""Text from definitions and servers, made harmless to a layout. Escaping is the templates' work, not this module's."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200
# Characters that are not text, or that turn the direction of what follows.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def clean(text: str, longest: int = LONGEST) -> str:
    """`text` with control characters replaced, and cut where nobody reads on; the cut is stated."""
    shown = _UNSEEN.sub("\ufffd", text)
    if len(shown) <= longest:
        return shown
    return f"{shown[:longest].rstrip()} … ({len(text):,} characters, cut here)"


def anchor(text: str, taken: set[str]) -> str:
    """An id for `text` that is not yet `taken`: letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:60].rstrip("-") or "slo"
    name, count = f"slo-{stem}", 1
    while name in taken:
        count += 1
        name = f"slo-{stem}-{count}"
    taken.add(name)
    return name


def is_link(text: str) -> bool:
    """Whether a text may become a link: nothing but http and https, and no whitespace."""
    return re.fullmatch(r"https?://[^\s<>\"\x00-\x20\x7f]{1,2000}", text) is not None
