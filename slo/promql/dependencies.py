"""What rules read: raw metrics, and what other rules record; how far back, and which rules have nothing to do with each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from slo.promql.ast import MatrixSelector, Node, Subquery, VectorSelector, children, walk
from slo.promql.groups import Group, Rule
from slo.promql.samples import Samples, Series
from slo.promql.values import NAME

_ALERTS = ("ALERTS", "ALERTS_FOR_STATE")
_DEFAULT_STEP_MS = 60_000


def links(rules: Sequence[Rule]) -> list[frozenset[int]]:
    """For each rule the places of those whose series it may read, its own included.

    A selector that asks for a label's value doesn't read a rule that sets this label to another one: so the rules of
    one service are not tied to those of the next that have the same names.
    """
    index = _Index(rules)
    return [
        frozenset(
            place for node in walk(rule.expr) if isinstance(node, VectorSelector) for place in index.read_by(node)
        )
        for rule in rules
    ]


def components(groups: Sequence[Group]) -> list[tuple[Group, ...]]:
    """The groups in parts that read nothing of each other; in each, groups and rules keep their order."""
    placed = [(number, rule) for number, group in enumerate(groups) for rule in group.rules]
    parent = list(range(len(placed)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for place, read in enumerate(links([rule for _, rule in placed])):
        for other in read:
            parent[root(other)] = root(place)
    rules_by_root: dict[int, dict[int, list[Rule]]] = {}
    for place, (number, rule) in enumerate(placed):
        rules_by_root.setdefault(root(place), {}).setdefault(number, []).append(rule)
    return [
        tuple(replace(groups[n], rules=tuple(rules)) for n, rules in part.items()) for part in rules_by_root.values()
    ]


def needed_by_alerts(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups without the recordings that no alert comes to read."""
    rules = [rule for group in groups for rule in group.rules]
    reads = links(rules)
    wanted: set[int] = set()
    todo = [place for place, rule in enumerate(rules) if rule.alert]
    while todo:
        place = todo.pop()
        if place not in wanted:
            wanted.add(place)
            todo.extend(reads[place])
    kept, place = [], 0
    for group in groups:
        own = tuple(rule for number, rule in enumerate(group.rules, place) if number in wanted)
        place += len(group.rules)
        if own:
            kept.append(replace(group, rules=own))
    return tuple(kept)


def raw_selectors(groups: Iterable[Group]) -> tuple[VectorSelector, ...]:
    """The selectors of what no rule records, each once, without offsets."""
    rules = [rule for group in groups for rule in group.rules]
    index = _Index(rules)
    vector_selectors: dict[VectorSelector, None] = {}
    for rule in rules:
        for node in walk(rule.expr):
            if isinstance(node, VectorSelector) and not index.read_by(node):
                vector_selectors[replace(node, offset_ms=0, at=None)] = None
    return tuple(vector_selectors)


def reach_ms(groups: Iterable[Group], lookback_ms: int) -> int:
    """How far before an evaluation the samples lie that may decide it, through all that it reads, milliseconds."""
    rules = [rule for group in groups for rule in group.rules]
    reads = links(rules)
    own = [_reach(rule.expr, lookback_ms) for rule in rules]
    known: dict[int, int] = {}

    def total(place: int, on_the_way: frozenset[int]) -> int:
        if place not in known:
            deeper = [total(other, on_the_way | {place}) for other in reads[place] if other not in on_the_way | {place}]
            known[place] = own[place] + max(deeper, default=0)
        return known[place]

    return max((total(place, frozenset()) for place in range(len(rules))), default=0)


def _reach(node: Node, lookback_ms: int) -> int:
    """How far before its evaluation an expression reads; what has a fixed moment (`@`) counts as if it had none."""
    match node:
        case VectorSelector():
            return max(0, node.offset_ms) + lookback_ms
        case MatrixSelector(selector, range_ms):
            return max(0, selector.offset_ms) + range_ms
        case Subquery():
            step = node.step_ms or _DEFAULT_STEP_MS
            return max(0, node.offset_ms) + node.range_ms + step + _reach(node.expr, lookback_ms)
    return max((_reach(child, lookback_ms) for child in children(node)), default=0)


class _Index:
    """Which rules write a series that a selector may select."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.by_name: dict[str, set[int]] = {}
        # (name, label, value) and, under (name, label, None), those that leave the label to what they read.
        self.by_label: dict[tuple[str, str, str | None], set[int]] = {}
        self.fixed = [_fixed(rule) for rule in rules]
        for place, rule in enumerate(rules):
            for name in (rule.record,) if rule.record else _ALERTS:
                self.by_name.setdefault(name, set()).add(place)
        self.names = Samples(Series({NAME: name}, np.zeros(0, dtype=np.int64), np.zeros(0)) for name in self.by_name)
        self.indexed: set[tuple[str, str]] = set()

    def read_by(self, selector: VectorSelector) -> set[int]:
        if selector.name is not None:
            names = [selector.name] if selector.name in self.by_name else []
        else:
            on_name = tuple(matcher for matcher in selector.matchers if matcher.label == NAME)
            names = [series.labels[NAME] for series in self.names.select(VectorSelector(None, on_name))]
        numbers: set[int] = set()
        for name in names:
            places = self.by_name[name]
            for matcher in selector.matchers:
                if matcher.op == "=" and matcher.label != NAME:
                    places = places & self.of_label(name, matcher.label, matcher.value)
            numbers |= places
        return numbers

    def of_label(self, name: str, label: str, value: str) -> set[int]:
        if (name, label) not in self.indexed:
            self.indexed.add((name, label))
            for place in self.by_name[name]:
                self.by_label.setdefault((name, label, self.fixed[place].get(label)), set()).add(place)
        return self.by_label.get((name, label, value), set()) | self.by_label.get((name, label, None), set())


def _fixed(rule: Rule) -> dict[str, str]:
    """The labels that a rule sets to the same value in all its series."""
    own = {"alertname": rule.alert} if rule.alert else {}
    return own | {label: value for label, value in rule.labels if "{{" not in value and label != "alertname"}
