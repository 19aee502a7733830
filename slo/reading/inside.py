"""Whether what one selector counts lies within what another one of the same metric does: what their matchers prove.

Label by label. A value that one accepts and the other does not proves that it does not lie within; a matcher that both have, or
a list of values all of which the other accepts, that it does on that label. Of patterns in general nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from slo.errors import PromqlError
from slo.promql.ast import Matcher
from slo.promql.samples import matches
from slo.reading.patterns import examples

# What stands where a pattern has `.`: a value counts as an example only where each of them says the same.
_FILLS = ("0", "1", "a", "/x")
# A pattern that accepts all of these is taken to accept whatever there is.
_USUAL = ("0", "200", "404", "500", "a", "main", "GET", "/x", "eu-1", "a.b:80")
_LISTED = re.compile(r"(?:[\w/: @,=%-]|\\[.\\/+-])+(?:\|(?:[\w/: @,=%-]|\\[.\\/+-])+)*")


@dataclass(frozen=True, slots=True)
class Outside:
    """Why a part does not lie within its total: of `label`, `value` (if one is known) is the part's and not the total's.

    `apart`: no series is both's.
    """

    label: str
    value: str | None
    total: tuple[Matcher, ...]
    apart: bool = False


def outside(part: Sequence[Matcher], total: Sequence[Matcher]) -> list[Outside]:
    """Each label by which a part is proved not to lie within its total; not those of which the part says nothing."""
    outsides = []
    for label, asked in groupby(sorted(total, key=lambda matcher: matcher.label), key=lambda matcher: matcher.label):
        own, theirs = [matcher for matcher in part if matcher.label == label], list(asked)
        if own and not set(theirs) <= set(own):
            try:
                item = _of_label(label, own, theirs)
            except PromqlError:  # of a pattern that RE2 refuses something else is said
                continue
            if item is not None:
                outsides.append(item)
    return outsides


def _of_label(label: str, own: list[Matcher], total: list[Matcher]) -> Outside | None:
    missing = tuple(matcher for matcher in total if matcher not in own)
    for item, other in ((own, total), (total, own)):
        listed = _values(item)
        if listed is not None and (held := _accepted(listed, item)) and not _accepted(held, other):
            return Outside(label, held[0] if item is own else None, missing, apart=True)
    if any(Matcher(label, _OPPOSITE[matcher.op], matcher.value) in own for matcher in total):
        return Outside(label, None, missing, apart=True)
    listed = _values(own)
    if listed is not None:
        beyond = [value for value in _accepted(listed, own) if not _accepted([value], total)]
        return Outside(label, beyond[0], missing) if beyond else None
    for spellings in _examples([*own, *total]):
        if len(_accepted(spellings, own)) == len(spellings) and not _accepted(spellings, total):
            return Outside(label, spellings[0], missing)
    if not any(matcher.op in ("=", "=~") for matcher in own):
        # It leaves out some values of all; the total names those that it takes.
        asked = [matcher for matcher in missing if matcher.op in ("=", "=~")]
        if asked and len(_accepted(_USUAL, asked)) < len(_USUAL):
            return Outside(label, None, missing)
    return None


_OPPOSITE = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


def _accepted(values: Sequence[str], matchers: Sequence[Matcher]) -> list[str]:
    return [value for value in values if all(matches(matcher, {matcher.label: value}) for matcher in matchers)]


def _values(matchers: Sequence[Matcher]) -> list[str] | None:
    """All values that there can be by the one matcher that lists them; None where none does."""
    for matcher in matchers:
        if matcher.op == "=":
            return [matcher.value]
        if matcher.op == "=~" and _LISTED.fullmatch(matcher.value):
            return [re.sub(r"\\(.)", r"\1", text) for text in matcher.value.split("|")]
    return None


def _examples(matchers: Sequence[Matcher]) -> list[tuple[str, ...]]:
    """Values that matchers name or describe, each in the spellings that its pattern may stand for."""
    result: list[tuple[str, ...]] = []
    for matcher in matchers:
        if matcher.op in ("=", "!="):
            result.append((matcher.value,) if matcher.value else ())
            continue
        spelled = [examples(matcher.value, fill) for fill in _FILLS]
        if len({len(texts) for texts in spelled}) != 1:  # two alternatives are the same by one of them
            continue
        for spellings in zip(*spelled, strict=True):
            if all(spellings) and _accepted(spellings, [Matcher(matcher.label, "=~", matcher.value)]) == list(
                spellings
            ):
                result.append(tuple(dict.fromkeys(spellings)))
    return [spellings for spellings in result if spellings]
