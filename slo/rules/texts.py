"""The texts of many SLOs' rules: made once for all SLOs that differ in their names and selectors only.

The first SLO of a form is compiled and printed with stand-ins in these places; the others have their own put in. Lines
break as if all selectors were of one length, so that a text is that of the SLO's own rules, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

from slo.errors import Problem
from slo.promql.ast import Matcher, VectorSelector
from slo.rules.alerts import plain_alerts
from slo.rules.compile import alerts_by_service, checked, compile_slo
from slo.rules.fingerprint import fingerprint
from slo.rules.format import PAD, annotation_text, group_text, is_plain
from slo.rules.groups import RuleGroup
from slo.rules.names import OWN, Names
from slo.rules.pack import within_limit
from slo.spec.model import Slo, Specs

_SERVICE, _NAME, _DESCRIPTION = "stand-in-service", "stand-in-name", "stand-in-description"
_STANDS_IN = re.compile("stand[-_]in[-_]")
# Text that is the same in a comment, a template and a YAML text in double quotes.
_SIMPLE = re.compile(r"[A-Za-z0-9 ,.;:()'/%+=-]+")
# What YAML, in double quotes and in single ones, and a template leave alone, but for the double quotes.
_MARKS = ("{{", "`", ": ", " #", "'")
_HARMLESS = re.compile(r"[\x20-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class Text:
    """The rules of one SLO, or the plain alerts of one service, as YAML; `slo` is empty for these."""

    service: str
    slo: str
    text: str
    rules: int
    groups: int


def rule_texts(
    specs: Specs, names: Names = OWN, pad: str = PAD, *, flat: bool = False
) -> tuple[Iterator[Text], list[Problem]]:
    """The texts of all SLOs in the order of `compile_specs`, one at a time, and its warnings. Raises DefinitionError."""
    problems = checked(specs)
    return _texts(specs, names, pad, flat), problems


def _texts(specs: Specs, names: Names, pad: str, flat: bool) -> Iterator[Text]:
    plain = alerts_by_service(specs)
    by_service: dict[str, list[Slo]] = {service: [] for service in plain}
    for slo in specs.values():
        by_service.setdefault(slo.service, []).append(slo)
    forms: dict[Hashable, _TextForm | None] = {}
    for service in sorted(by_service):
        if service in plain:
            yield group_texts(service, "", within_limit([plain_alerts(service, plain[service])]), pad, flat)
        for slo in sorted(by_service[service], key=lambda slo: slo.name):
            yield _slo_text(slo, names, pad, flat, forms)


def group_texts(service: str, slo: str, rule_groups: Iterable[RuleGroup], pad: str, flat: bool) -> Text:
    """The text of some groups."""
    groups = list(rule_groups)
    text = "".join(piece for group in groups for piece in group_text(group, pad, flat=flat))
    return Text(service, slo, text, sum(len(group.rules) for group in groups), len(groups))


def _slo_text(slo: Slo, names: Names, pad: str, flat: bool, forms: dict[Hashable, _TextForm | None]) -> Text:
    stands_in = _stand_in(slo)
    if stands_in is None:
        return group_texts(slo.service, slo.name, compile_slo(slo, names), pad, flat)
    like, own = stands_in
    key = _key(like)
    if key not in forms:
        forms[key] = _TextForm.of(group_texts(like.service, like.name, compile_slo(like, names), pad, flat), list(own))
    form = forms[key]
    if form is None:
        return group_texts(slo.service, slo.name, compile_slo(slo, names), pad, flat)
    return Text(slo.service, slo.name, form.filled(own), form.rules, form.groups)


@dataclass(frozen=True, slots=True)
class _TextForm:
    """A text in pieces; every other one is a stand-in, for which something else is put in."""

    pieces: tuple[str, ...]
    rules: int
    groups: int

    @classmethod
    def of(cls, made: Text, stand_ins: Sequence[str]) -> _TextForm | None:
        """None where a stand-in is part of something else, as with a matcher added to it."""
        # The longest first, as one may begin like another.
        join = "|".join(re.escape(text) for text in sorted(stand_ins, key=len, reverse=True))
        pieces = tuple(re.split(f"({join})", made.text))
        if any(_STANDS_IN.search(piece) for piece in pieces[::2]):
            return None
        return cls(pieces, made.rules, made.groups)

    def filled(self, own: Mapping[str, str]) -> str:
        pieces = list(self.pieces)
        pieces[1::2] = [own[piece] for piece in pieces[1::2]]
        return "".join(pieces)


def _stand_in(slo: Slo) -> tuple[Slo, dict[str, str]] | None:
    """The SLO with stand-ins, and what each of them stands for in its text; None where its text is made by itself."""
    selectors = slo.sli.parameters
    texts = [str(selector) for selector in selectors]
    if not selectors or not is_plain(slo.service) or not is_plain(slo.name):
        return None
    if not all(_HARMLESS.fullmatch(f"{text} ") and not any(map(f"{text} ".__contains__, _MARKS)) for text in texts):
        return None
    own = {_SERVICE: slo.service, _NAME: slo.name}
    description = slo.description
    if _SIMPLE.fullmatch(description) and annotation_text(description) == " ".join(description.split()):
        own[_DESCRIPTION], description = description, _DESCRIPTION
    sli = slo.sli.with_parameters(_stand_in_selectors(len(selectors)))
    for like, text in zip(sli.printed, map(str, slo.sli.printed), strict=True):
        own[str(like)] = text
        # In a text in double quotes.
        own[str(like).replace('"', '\\"')] = text.replace('"', '\\"')
    like_slo = replace(slo, service=_SERVICE, name=_NAME, description=description, sli=sli, file="", line=0)
    own[fingerprint(like_slo)] = fingerprint(slo)
    return like_slo, own


@cache
def _stand_in_selectors(count: int) -> tuple[VectorSelector, ...]:
    return tuple(
        VectorSelector(f"stand_in_{number}", (Matcher(f"stand_in_{number}", "=", ""),)) for number in range(count)
    )


def _key(like: Slo) -> Hashable:
    return tuple(_hashable(getattr(like, item.name)) for item in fields(like))


def _hashable(value: object) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value
