"""The likeliest meaning of a misspelt word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from slo.redact import HIDDEN, is_word


def suggest(text: str, accepted: Iterable[str]) -> str:
    """`; did you mean `objective`?` or, where nothing is close, the accepted words."""
    words = [str(word) for word in accepted]
    close = get_close_matches(text, words, n=1, cutoff=0.6)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; accepted are {', '.join(words)}" if words and len(words) <= 20 else ""


def unknown_key(key: str, accepted: Sequence[str], secret: bool = False) -> str:
    """What is said of a key that is not accepted.

    Where values may be `secret`, a key is shown where it is a word by its look or close to an accepted one: `{hunter2}` for a
    password, and `basic_password:hunter2` without the space, make keys of passwords.
    """
    if not secret or is_word(key) or get_close_matches(key, accepted, n=1, cutoff=0.8):
        return f"unknown key `{key}`{suggest(key, accepted)}"
    name, colon, _ = key.partition(":")
    if colon and name in accepted:
        return f"unknown key `{name}:{HIDDEN}`; put a space behind the colon"
    return f"unknown key `{HIDDEN}`, not shown as it may be a secret{suggest('', accepted)}"
