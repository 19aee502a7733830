"""From selectors to label sets: which series would a service have for these to select?"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from slo.errors import SloError
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import matches
from slo.reading.patterns import examples

Labels = Mapping[str, str]

# What services commonly write, by label; the first that fits is the usual one.
_COMMON = {
    "code": ("200", "201", "404", "500", "503"),
    "status": ("200", "201", "404", "500", "503"),
    "status_code": ("200", "201", "404", "500", "503"),
    "method": ("GET", "POST"),
    "result": ("hit", "miss", "success", "failure", "error"),
    "outcome": ("success", "failure", "error"),
    "route": ("/", "/search"),
    "handler": ("/", "/search"),
}
_ANY = ("0", "1", "a", "main", "ok", "error", "true", "false", "200", "404", "500", "/", "GET")
REPLICAS = 4
_APART = ("instance", "le", "__name__")  # decided elsewhere
# Every combination of values is made up to this many; beyond it those that selectors need.
_ALL_SETS = 200
_MAX_TRIES = 20_000
Pair = tuple[VectorSelector, VectorSelector]


class NoValueError(SloError):
    """No value of a label satisfies a selector's matchers on it."""

    def __init__(self, selector: VectorSelector, matchers: str) -> None:
        self.selector = selector
        super().__init__(f"no value was found for {matchers} of {selector}; use a simpler pattern")


def label_sets(selectors: Sequence[VectorSelector], job: str, pairs: Sequence[Pair] = ()) -> list[dict[str, str]]:
    """Label sets that the selectors of one metric tell apart, each matching at least one; without `instance`.

    Each selector matches one of them. Of each of the `pairs` (total, part) there is a set that both select and one that the
    total alone selects, where there can be. Raises SloError where no value can be found that a matcher accepts.
    """
    names = sorted({matcher.label for selector in selectors for matcher in selector.matchers} | {"job"})
    names = [name for name in names if name not in ("__name__", "instance", "le")]
    values = {name: _values(name, selectors, job) for name in names}
    if math.prod(map(len, values.values())) <= _MAX_TRIES:
        sets: list[dict[str, str]] = []
        for combination in itertools.product(*values.values()):
            labels = {name: value for name, value in zip(values, combination, strict=True) if value}
            if any(selects(selector, labels) for selector in selectors):
                sets.append(labels)
        if len(sets) <= _ALL_SETS:
            return sets
    return _needed_sets(selectors, pairs, values)


def with_labels(sets: Sequence[Labels], added: Mapping[str, Mapping[str, Sequence[str]]]) -> list[dict[str, str]]:
    """The sets with each combination of the values that their job's `added` labels have; a label that a set has stays.

    The first of each set's come first: most events fall to these.
    """
    made: list[tuple[int, int, dict[str, str]]] = []
    for place, labels in enumerate(sets):
        more = {name: values for name, values in added.get(labels.get("job", ""), {}).items() if name not in labels}
        for number, combination in enumerate(itertools.product(*more.values())):
            made.append((number, place, {**labels, **dict(zip(more, combination, strict=True))}))
    return [labels for _, _, labels in sorted(made, key=lambda item: item[:2])]


def _needed_sets(
    selectors: Sequence[VectorSelector], pairs: Sequence[Pair], values: Mapping[str, Sequence[str]]
) -> list[dict[str, str]]:
    """A set for each selector, and two for each pair: of few labels' many values, not all their combinations."""
    needed: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def add(chosen: Mapping[str, str] | None) -> None:
        if chosen is not None:
            labels = {name: value for name, value in chosen.items() if value}
            needed.setdefault(tuple(labels.items()), labels)

    for total, part in pairs:
        allowed = _allowed((total,), values)
        usual = _first(allowed)
        if usual is not None and selects(part, usual):
            # One label decides it: of all that the total allows, a value that the part does not.
            changed = ({**usual, name: value} for name in allowed for value in allowed[name])
            usual = next((labels for labels in changed if not selects(part, labels)), None)
        add(usual)
        add(_first(_allowed((total, part), values)))
    for selector in selectors:
        add(_first(_allowed((selector,), values)))
    return list(needed.values())


def _allowed(selectors: Sequence[VectorSelector], values: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The values of each label that all of these selectors accept."""
    allowed = {}
    for name, known in values.items():
        own = [matcher for selector in selectors for matcher in selector.matchers if matcher.label == name]
        named = next((matcher.value for matcher in own if matcher.op == "="), None)
        candidates = known if named is None else [named]
        allowed[name] = [value for value in candidates if all(matches(matcher, {name: value}) for matcher in own)]
    return allowed


def _first(allowed: Mapping[str, Sequence[str]]) -> dict[str, str] | None:
    return {name: values[0] for name, values in allowed.items()} if all(allowed.values()) else None


class Selected:
    """Which of many label sets a selector selects: looked up by the matcher on equality that few of them satisfy."""

    def __init__(self, sets: Sequence[Labels]) -> None:
        self._sets = sets
        self._by_value: dict[tuple[str, str], list[int]] = {}
        for number, labels in enumerate(sets):
            for item in labels.items():
                self._by_value.setdefault(item, []).append(number)
        self._known: dict[tuple[Matcher, ...], list[int]] = {}

    def by(self, selector: VectorSelector) -> list[int]:
        """The positions of the sets that it selects, ascending."""
        if selector.matchers not in self._known:
            candidates: Sequence[int] = range(len(self._sets))
            for matcher in selector.matchers:
                if matcher.op == "=" and matcher.value and matcher.label not in _APART:
                    named = self._by_value.get((matcher.label, matcher.value), [])
                    candidates = named if len(named) < len(candidates) else candidates
            self._known[selector.matchers] = [n for n in candidates if selects(selector, self._sets[n])]
        return self._known[selector.matchers]


def selects(selector: VectorSelector, labels: Labels) -> bool:
    """Whether a selector's matchers, but those on `instance` and `le`, accept labels."""
    return all(matches(m, labels) for m in selector.matchers if m.label not in _APART)


def instances(selectors: Iterable[VectorSelector], job: str, replicas: int = REPLICAS) -> list[str]:
    """The instances of a job: those that the selectors name, else a few replicas."""
    own = [m for selector in selectors for m in selector.matchers if m.label == "instance"]
    named = list(dict.fromkeys(m.value for m in own if m.op == "="))
    if named:
        return named
    usual = [f"{job or 'service'}-{number}:8080" for number in range(replicas)]
    for matcher in own:
        usual = [value for value in (*usual, *_expanded(matcher)) if matches(matcher, {"instance": value})]
    return list(dict.fromkeys(usual))[:replicas] or usual[:1]


def _values(name: str, selectors: Sequence[VectorSelector], job: str) -> list[str]:
    own = [(selector, [m for m in selector.matchers if m.label == name]) for selector in selectors]
    candidates: dict[str, None] = {}
    for _, matchers in own:
        for matcher in matchers:
            candidates |= dict.fromkeys(_expanded(matcher))
    common = (job,) if name == "job" else _COMMON.get(name, _ANY)
    kept: dict[str, None] = {}
    for selector, matchers in own:
        named = [matcher.value for matcher in matchers if matcher.op == "="]
        tried = named[:1] or (*common, *candidates, *_ANY)
        fits = [v for v in tried if all(matches(m, {name: v}) for m in matchers)]
        if not fits and all(matches(m, {}) for m in matchers):
            fits = [""]  # series without the label
        if not fits:
            reported = ",".join(map(str, matchers))
            raise NoValueError(selector, reported)
        if name == "job" and not matchers and any(others for _, others in own):
            continue  # it takes the jobs that the others name
        patterned = any(matcher.op == "=~" for matcher in matchers)
        wanted = 3 if name in _COMMON else 8 if patterned else 1
        kept |= dict.fromkeys(list(dict.fromkeys(fits))[:wanted])
    constrained = [matchers for _, matchers in own if matchers]
    if name != "job" and len(constrained) < len(own):
        # Some selector leaves the label open: there is something that none of the others selects.
        others = [v for v in (*common, *_ANY) if not any(all(matches(m, {name: v}) for m in ms) for ms in constrained)]
        kept = dict.fromkeys(others[:2]) | kept
    return list(kept)


def _expanded(matcher: Matcher) -> list[str]:
    """Values that a matcher might be made for."""
    if matcher.op in ("=", "!="):
        return [matcher.value]
    for fill in ("0", "a", "x1"):
        fits = [v for v in examples(matcher.value, fill) if matches(replace(matcher, op="=~"), {matcher.label: v})]
        if fits:
            return fits
    return []
