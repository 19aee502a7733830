"""The likeliest meaning of a misspelt word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(text: str, accepted: Iterable[str]) -> str:
    """`; did you mean `objective`?` or, where nothing is close, the accepted words."""
    words = [str(word) for word in accepted]
    close = get_close_matches(text, words, n=1, cutoff=0.6)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; accepted are {', '.join(words)}" if words and len(words) <= 20 else ""
