"""The recorded series of one SLO over a span, by the embedded engine.

What reads raw series goes in stretches of a day, or of several where they are few, so that memory holds one of them; what reads recorded series, windows
of weeks among it, then reads those alone. Where a source has recorded series already, only what lies before, between and
after them is made, at the moments at which its server evaluates.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slo.limits import asked_for
from slo.promql.ast import VectorSelector, walk
from slo.promql.dependencies import links, raw_selectors, reach_ms
from slo.promql.groups import Group, Rule
from slo.promql.rules import run_rules
from slo.promql.samples import Samples, Series, is_stale
from slo.promql.values import NAME
from slo.rules.compile import compile_slo
from slo.rules.format import to_yaml
from slo.rules.groups import engine_group
from slo.rules.names import OWN, Names
from slo.source import Source
from slo.source.base import source_of
from slo.spec.model import Slo, Specs
from slo.window import DAY, INSTANT_MS

_STRETCH_MS = DAY
_AT_ONCE = (
    500_000  # raw samples of a stretch, below which the next one is longer: what rules look back to is read with each
)
Ints = NDArray[np.int64]


def history_of(slo: Slo, source: Source, start_ms: int, end_ms: int, names: Names) -> Samples:
    """`filled` of the source that has the SLO, within the time that one may take. Raises SourceError, which names it."""
    with asked_for(slo.id):
        return filled(slo, source_of(source, slo), start_ms, end_ms, names)


def run_key(specs: Specs, names: Names, *about: str | int) -> str:
    """What a run is about, as a hash: the same rules, and what else is given."""
    text = hashlib.sha256()
    for slo in specs.values():
        text.update(to_yaml(compile_slo(slo, names)).encode())
    text.update(json.dumps(about).encode())
    return text.hexdigest()


def filled(slo: Slo, source: Source, start_ms: int, end_ms: int, names: Names = OWN) -> Samples:
    """The samples of (start_ms, end_ms] that the rules of an SLO would have recorded and that `source` does not hold.

    A moment counts as held where a recorded one lies less than an interval of its group from it. Raises SourceError.
    """
    compiled = [engine_group(group) for group in compile_slo(slo, names, at_once=True)]
    groups = _with_rules(compiled, lambda rule: bool(rule.record))
    first, later = _by_what_they_read(groups)
    held = [_held(group, slo, source, names, start_ms, end_ms) for group in groups]
    clocks = {group.name: _clock(moments, group.interval_ms) for group, moments in zip(groups, held, strict=True)}
    made = _from_raw(first, source, start_ms, end_ms, clocks)
    tiles = _merged((*_recorded_before(first, later, slo, source, names, start_ms, end_ms), *made))
    made += _run(later, Samples(tiles), start_ms, end_ms, clocks)
    known = {rule.record: place for place, group in enumerate(groups) for rule in group.rules}
    new = []
    for item in made:
        place = known[item.labels[NAME]]
        keep = ~is_stale(item.values) & _apart(item.times, held[place], groups[place].interval_ms)
        if keep.any():
            new.append(Series(item.labels, item.times[keep], item.values[keep]))
    return Samples(new)


def _with_rules(groups: Sequence[Group], keep: Callable[[Rule], bool]) -> list[Group]:
    """The groups with some of their rules, without those that have none: a group may hold nothing but alerts."""
    kept = (replace(group, rules=tuple(filter(keep, group.rules)), limit=0) for group in groups)
    return [group for group in kept if group.rules]


def _by_what_they_read(groups: Sequence[Group]) -> tuple[list[Group], list[Group]]:
    """The groups with the rules that read raw series and what these read, and with all others."""
    rules = [rule for group in groups for rule in group.rules]
    raw, reads = set(raw_selectors(groups)), links(rules)
    todo = [place for place, rule in enumerate(rules) if any(selector in raw for selector in _selectors(rule))]
    numbers: set[int] = set()
    while todo:
        place = todo.pop()
        if place not in numbers:
            numbers.add(place)
            todo.extend(reads[place])
    names = {rules[place].record for place in numbers}
    inside, outside = (lambda rule: rule.record in names), (lambda rule: rule.record not in names)
    return _with_rules(groups, inside), _with_rules(groups, outside)


def _selectors(rule: Rule) -> Iterable[VectorSelector]:
    return (replace(node, offset_ms=0, at=None) for node in walk(rule.expr) if isinstance(node, VectorSelector))


def _held(group: Group, slo: Slo, source: Source, names: Names, start_ms: int, end_ms: int) -> Ints:
    """The moments at which the source has what a group records: its tiles or, where these had no data, its constants; of a
    group without a constant, whatever it records: windows go on where there are no tiles."""
    around = group.interval_ms
    constant = [rule for rule in group.rules if not any(True for _ in _selectors(rule))]
    looked_at = (group.rules[0], *constant) if constant else group.rules
    asked = dict.fromkeys(names.series(slo, rule.record) for rule in looked_at)
    samples = source.samples(tuple(asked), start_ms - around, end_ms + around)
    times = [line.times[~is_stale(line.values)] for line in samples.series]
    return np.unique(np.concatenate(times)) if times else np.zeros(0, dtype=np.int64)


def _clock(held: Ints, interval_ms: int) -> int:
    """Which part of its interval a group is evaluated at: so that history meets what is recorded without a rest."""
    return int(held[0]) % interval_ms if len(held) else 0


def _from_raw(
    groups: Sequence[Group], source: Source, start_ms: int, end_ms: int, clocks: dict[str, int]
) -> list[Series]:
    if not groups:
        return []
    selectors = raw_selectors(groups)
    reach = reach_ms(groups, INSTANT_MS)
    # Rules that read what they recorded have to begin as early as they look back.
    alone = not any(links([rule for group in groups for rule in group.rules]))
    parts: list[Series] = []
    low, stretch_ms = start_ms, _STRETCH_MS
    while low < end_ms:
        high = min(low + stretch_ms, end_ms)
        begin = low if alone else low - reach
        samples = source.samples(selectors, begin - reach, high)
        parts += _run(groups, samples, begin, high, clocks, low)
        held = sum(len(series.times) for series in samples.series)
        stretch_ms = _STRETCH_MS * max(1, min(7, _AT_ONCE * stretch_ms // _STRETCH_MS // max(held, 1)))
        low = high
    return _merged(parts)


def _run(
    groups: Sequence[Group], samples: Samples, start_ms: int, end_ms: int, clocks: dict[str, int], after_ms: int = 0
) -> list[Series]:
    """What groups record at their moments in (start_ms, end_ms], after `after_ms`."""
    series: list[Series] = []
    offsets = {clocks[group.name] for group in groups}
    if len(offsets) > 1:  # groups that are evaluated at other moments read each other's series all the same
        for group in groups:
            made = _run([group], Samples(_merged((*samples.series, *series))), start_ms, end_ms, clocks)
            series += made
    elif groups:
        result = run_rules(groups, samples, (start_ms + 1) / 1000, end_ms / 1000, offset=offsets.pop() / 1000)
        series = list(result.recorded.series)
    kept = []
    for line in series:
        late = line.times > max(after_ms, start_ms)
        if late.any():
            kept.append(Series(line.labels, line.times[late], line.values[late]))
    return kept


def _recorded_before(
    first: Sequence[Group],
    later: Sequence[Group],
    slo: Slo,
    source: Source,
    names: Names,
    start_ms: int,
    end_ms: int,
) -> tuple[Series, ...]:
    """What the source has of the series that later rules read: windows look back before the span."""
    selectors = [names.series(slo, rule.record) for group in first for rule in group.rules]
    reach = reach_ms(later, INSTANT_MS)
    return source.samples(selectors, start_ms - reach, end_ms).series if selectors else ()


def _merged(parts: Iterable[Series]) -> list[Series]:
    """Each series once, in the order of time; of two samples at one moment the first."""
    rows: dict[tuple[tuple[str, str], ...], list[Series]] = {}
    for part in parts:
        rows.setdefault(tuple(sorted(part.labels.items())), []).append(part)
    series = []
    for held in rows.values():
        times = np.concatenate([line.times for line in held])
        values = np.concatenate([line.values for line in held])
        times, places = np.unique(times, return_index=True)
        series.append(Series(held[0].labels, times, values[places]))
    return series


def _apart(times: Ints, held: Ints, interval_ms: int) -> NDArray[np.bool_]:
    """Which times lie an interval or more from all that is held."""
    if not len(held):
        return np.ones(len(times), dtype=bool)
    place = np.searchsorted(held, times)
    after = held[np.minimum(place, len(held) - 1)] - times
    before = times - held[np.maximum(place - 1, 0)]
    near_after = (place < len(held)) & (after < interval_ms)
    near_before = (place > 0) & (before < interval_ms)
    return ~(near_after | near_before)
