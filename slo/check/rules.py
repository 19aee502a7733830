"""The rules that the server has loaded are those that would be generated now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slo.check.model import Finding, page
from slo.errors import DefinitionError, PromqlError
from slo.promql.ast import Node, VectorSelector, transform
from slo.promql.parse import parse
from slo.rules import NAMES, Names, RuleGroup, compile_specs

if TYPE_CHECKING:
    from slo.source import Source
    from slo.spec.model import Slo, Specs

Identity = tuple[str, tuple[tuple[str, str], ...]]
_NAMED = 3
_RELOAD = "run `slo rules` and load its file"


@dataclass(frozen=True, slots=True)
class _Expected:
    """A rule as it would be generated now, and its SLO (none for a plain alert)."""

    slo: str
    expr: str


def check_rules(specs: Specs, source: Source) -> Iterator[Finding]:
    """Rules that are missing, changed or loaded twice; nothing where the source has no page of rules."""
    data = page(source, "/api/v1/rules")
    if not isinstance(data, dict):
        return
    loaded: dict[Identity, list[str]] = {}
    for group in _mappings(data.get("groups")):
        for rule in _mappings(group.get("rules")):
            labels = rule.get("labels")
            identity = _identity(str(rule.get("name")), labels if isinstance(labels, dict) else {})
            loaded.setdefault(identity, []).append(str(rule.get("query")))
    try:
        # Rules may have been loaded with Sloth's names: the convention of which more are there is the one in use.
        every = [_expected(specs, names) for names in NAMES.values()]
    except DefinitionError:
        return  # `slo check` has said so
    expected = max(every, key=lambda rules: len(rules.keys() & loaded.keys()))
    if expected and not expected.keys() & loaded.keys():
        yield Finding("rules", "warning", "", f"none of the {len(expected)} rules is loaded at the server; {_RELOAD}")
        return
    places = {slo.id: slo for slo in specs.values()}
    for slo in dict.fromkeys(item.slo for item in expected.values()):
        own = {identity: item for identity, item in expected.items() if item.slo == slo}
        states: Mapping[str, list[str]] = {
            "missing": [key[0] for key in own if key not in loaded],
            "different": [
                key[0]
                for key, item in own.items()
                if key in loaded and _plain(item.expr) not in map(_plain, loaded[key])
            ],
            "loaded twice": [key[0] for key in own if len(loaded.get(key, ())) > 1],
        }
        for state, names in states.items():
            if names:
                remedy = "remove one of the files that have them" if state == "loaded twice" else _RELOAD
                yield _finding(
                    slo, places.get(slo), f"{_count(names)} {state} at the server: {_listed(names)}; {remedy}"
                )


def _mappings(data: object) -> list[dict[str, Any]]:
    """The mappings of what should be a list of them, as a server may send anything."""
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []


def _expected(specs: Specs, names: Names) -> dict[Identity, _Expected]:
    """The rules that would be generated now."""
    groups = compile_specs(specs, names)[0]
    return {identity: rule for group in groups for identity, rule in _rules_of(group)}


def _rules_of(group: RuleGroup) -> Iterator[tuple[Identity, _Expected]]:
    slo = f"{group.service}/{group.slo}" if group.slo else ""
    for rule in group.rules:
        yield _identity(rule.name, rule.labels), _Expected(slo, str(rule.expr))


def _identity(name: str, labels: Mapping[str, str]) -> Identity:
    return name, tuple(sorted((str(label), str(value)) for label, value in labels.items()))


def _sorted(node: Node) -> Node:
    """A server prints matchers in the order of their labels."""
    if not isinstance(node, VectorSelector):
        return node
    return replace(node, matchers=tuple(sorted(node.matchers, key=str)))


def _plain(text: str) -> str:
    """An expression in one spelling, whoever printed it."""
    try:
        return str(transform(parse(text), _sorted))
    except PromqlError:
        return " ".join(text.split())


def _finding(slo: str, place: Slo | None, message: str) -> Finding:
    return Finding("rules", "error", slo, message, place.file if place else "", place.line if place else 0)


def _count(names: list[str]) -> str:
    return f"{len(names)} rule{'' if len(names) == 1 else 's'} {'is' if len(names) == 1 else 'are'}"


def _listed(names: list[str]) -> str:
    shown = list(dict.fromkeys(names))
    return ", ".join(shown[:_NAMED]) + (f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else "")
