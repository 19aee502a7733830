"""From raw samples to events: what the scrapes reveal, and no less.

The rule, for counters (the generated rules count the same way, see `slo.sli.promql`):
- the increase between two consecutive scrapes of a series counts at the later one, across gaps too;
- a counter below its previous value restarted at 0 and counts its whole new value;
- a series that appears while its target (the same `job` and `instance`) was already scraped counts its first value,
  which `increase()` loses: that is how first errors arrive;
- the first values of a target never seen before are the baseline and count nothing: they may be years old.
A gauge of 0 and 1 counts one check a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slo.promql.samples import Samples, Series
from slo.sli.selectors import buckets
from slo.spec.model import Latency, Probe, Ratio

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Target = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Grid:
    """`steps` steps of `step_ms` that end at `end_ms`; step i covers (edge i, edge i+1]."""

    end_ms: int
    step_ms: int
    steps: int

    @property
    def start_ms(self) -> int:
        """Where the first step begins."""
        return self.end_ms - self.steps * self.step_ms

    @property
    def ends(self) -> Ints:
        """The end of each step, int64 milliseconds."""
        return self.start_ms + self.step_ms * np.arange(1, self.steps + 1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without a single scrape of the total: (start_ms, end_ms)."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What was met on the way, for the notes beside a figure."""

    series: int = 0
    resets: int = 0
    born: int = 0
    born_events: float = 0.0
    dropped: int = 0
    gaps: tuple[Gap, ...] = ()
    interval_ms: float = 0.0
    bounds: tuple[Decimal, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """What one series had of the bad and of all events, from the step on that was asked for. Either may be negative: of
    two series the one takes from what the other adds."""

    labels: Mapping[str, str]
    errors: float
    total: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Bad and all events per step of `grid`; arrays of `grid.steps` float64. NaN where nothing could be asked.

    `parts` is None where it is not known which series had which events.
    """

    grid: Grid
    errors: Floats
    total: Floats
    seen: Seen = field(default_factory=Seen)
    parts: tuple[Part, ...] | None = None


@dataclass(slots=True)
class _Tally:
    """Events per step, and what was met while they were counted."""

    sums: Floats
    resets: int = 0
    born: int = 0
    born_events: float = 0.0
    dropped: int = 0
    by_series: list[tuple[Mapping[str, str], float]] = field(default_factory=list)


def count(sli: Ratio | Latency | Probe, samples: Samples, grid: Grid, first: int = 0) -> Counts:
    """The events of an SLI per step; its parts are those of step `first` and later.

    `samples` should begin before the grid does, for the baselines.
    """
    match sli:
        case Ratio():
            return _count_ratio(sli, samples, grid, first)
        case Latency():
            return _count_latency(sli, samples, grid, first)
        case Probe():
            return _count_probe(sli, samples, grid, first)


def _count_ratio(sli: Ratio, samples: Samples, grid: Grid, first: int) -> Counts:
    total_series, part_series = samples.select(sli.total), samples.select(sli.part)
    known = first_seen([*total_series, *part_series])
    cursor = _Cursor(grid, first)
    whole, part = tally(total_series, known, cursor), tally(part_series, known, cursor)
    errors = part.sums if sli.part_is == "errors" else whole.sums - part.sums
    parts = parts_of(whole.by_series, part.by_series, sli.part_is)
    return Counts(grid, errors, whole.sums, _seen(whole, total_series, grid), parts)


Amounts = Sequence[tuple[Mapping[str, str], float]]


def parts_of(whole: Amounts, part: Amounts, part_is: Literal["errors", "good"]) -> tuple[Part, ...]:
    """By series, from the labels and events of those of all events and of the bad or the good ones.

    What is good is not bad, so that the parts add up to the errors.
    """
    good = part_is == "good"
    of_whole = [Part(labels, amount if good else 0.0, amount) for labels, amount in whole]
    return (*of_whole, *(Part(labels, -amount if good else amount, 0.0) for labels, amount in part))


def _count_latency(sli: Latency, samples: Samples, grid: Grid, first: int) -> Counts:
    by_bound = _by_bound(samples.select(buckets(sli)))
    bounds = tuple(sorted(bound for bound in by_bound if bound.is_finite()))
    total_series = by_bound.get(Decimal("Infinity"), [])
    known, cursor = first_seen(total_series), _Cursor(grid, first)
    whole = tally(total_series, known, cursor)
    seen = _seen(whole, total_series, grid, bounds)
    if not by_bound:
        return Counts(grid, np.zeros(grid.steps), whole.sums, seen, ())
    if sli.bound not in by_bound:
        return Counts(grid, np.full(grid.steps, np.nan), whole.sums, seen)
    fast = tally(by_bound[sli.bound], known, cursor)
    return Counts(grid, whole.sums - fast.sums, whole.sums, seen, parts_of(whole.by_series, fast.by_series, "good"))


def _count_probe(sli: Probe, samples: Samples, grid: Grid, first: int) -> Counts:
    series = samples.select(sli.metric)
    found = _Tally(np.zeros(grid.steps))
    good = np.zeros(grid.steps)
    cursor = _Cursor(grid)
    parts = []
    for one in series:
        times, values, dropped = _finite(one)
        found.dropped += dropped
        checks = np.diff(cursor.counts(times))
        passed = np.diff(np.concatenate([[0.0], np.cumsum(values)])[cursor.counts(times)])
        found.sums += checks
        good += passed
        parts.append(Part(one.labels, float(np.sum((checks - passed)[first:])), float(np.sum(checks[first:]))))
    return Counts(grid, found.sums - good, found.sums, _seen(found, series, grid), tuple(parts))


def count_buckets(sli: Latency, samples: Samples, grid: Grid) -> tuple[Floats, Floats]:
    """(upper bounds in seconds, ascending, the last +Inf; cumulative counts of shape (steps, bounds))."""
    by_bound = _by_bound(samples.select(buckets(sli)))
    known, cursor = first_seen(by_bound.get(Decimal("Infinity"), [])), _Cursor(grid)
    ordered = sorted(by_bound)
    counts = np.zeros((grid.steps, len(ordered)))
    for column, bound in enumerate(ordered):
        counts[:, column] = tally(by_bound[bound], known, cursor).sums
    return np.array([float(bound * sli.unit_seconds) for bound in ordered]), counts


def first_seen(series: Sequence[Series]) -> dict[Target, int]:
    """When each target's first sample came, milliseconds."""
    known: dict[Target, int] = {}
    for one in series:
        if len(one.times):
            target = _target(one)
            known[target] = min(int(one.times[0]), known.get(target, int(one.times[0])))
    return known


class _Cursor:
    """Where a grid's edges fall among the times of a series; remembered for the next series of the same target."""

    def __init__(self, grid: Grid, first: int = 0) -> None:
        self.first = first
        self._edges = np.concatenate([[grid.start_ms], grid.ends])
        self._times: Ints | None = None
        self._counts: Ints = np.empty(0, np.int64)

    def counts(self, times: Ints) -> Ints:
        """How many samples come up to each edge, the edge's own included."""
        if self._times is None or not np.array_equal(times, self._times):
            self._times, self._counts = times, np.searchsorted(times, self._edges, side="right")
        return self._counts


def tally(series: Sequence[Series], known: dict[Target, int], cursor: _Cursor) -> _Tally:
    """The events of some counters per step. Sums of whole numbers are exact below 2**53."""
    found: _Tally | None = None
    for one in series:
        times, values, dropped = _finite(one)
        ends = cursor.counts(times)
        if found is None:
            found = _Tally(np.zeros(len(ends) - 1))
        found.dropped += dropped
        if not len(times):
            continue
        falls = values[1:] < values[:-1]
        if falls.any():
            found.resets += int(np.count_nonzero(falls))
            # What a counter had before each fall is added to all that follows: it never falls any more.
            values = values + np.concatenate([[0.0], np.cumsum(np.where(falls, values[:-1], 0.0))])
        before = values[0]
        if int(times[0]) > known.get(_target(one), int(times[0])):
            before = 0.0
            found.born += 1
            found.born_events += float(values[0])
        reached = np.where(ends > 0, values[np.maximum(ends, 1) - 1], before)
        found.sums += np.diff(reached)
        found.by_series.append((one.labels, float(reached[-1] - reached[cursor.first])))
    return found or _Tally(np.diff(cursor.counts(np.empty(0, np.int64))).astype(np.float64))


def _target(series: Series) -> Target:
    return series.labels.get("job", ""), series.labels.get("instance", "")


def _finite(series: Series) -> tuple[Ints, Floats, int]:
    """The samples that are numbers, and how many were not (stale markers are no samples at all)."""
    ok = np.isfinite(series.values)
    if ok.all():
        return series.times, series.values, 0
    stale = series.values.view(np.int64) == 0x7FF0000000000002
    return series.times[ok], series.values[ok], int(np.count_nonzero(~ok & ~stale))


def _by_bound(series: Sequence[Series]) -> dict[Decimal, list[Series]]:
    # `le="1"` and `le="1.0"` are one bound: Prometheus 2 and 3 write it differently.
    found: dict[Decimal, list[Series]] = {}
    for one in series:
        text = one.labels.get("le", "")
        try:
            bound = Decimal("Infinity") if text in ("+Inf", "Inf") else Decimal(text)
        except ArithmeticError:
            continue
        found.setdefault(bound, []).append(one)
    return found


def _seen(found: _Tally, series: Sequence[Series], grid: Grid, bounds: tuple[Decimal, ...] = ()) -> Seen:
    gaps, interval = find_gaps(series, grid.start_ms, grid.end_ms)
    return Seen(len(series), found.resets, found.born, found.born_events, found.dropped, gaps, interval, bounds)


def find_gaps(series: Sequence[Series], start_ms: int, end_ms: int) -> tuple[tuple[Gap, ...], float]:
    """The stretches in which no series has a sample for over two and a half usual intervals, and that interval (ms)."""
    # Series of one target share their times, so each target is read once, by its longest series.
    longest = {_target(one): one.times for one in sorted(series, key=lambda one: len(one.times)) if len(one.times)}
    if not longest:
        return (Gap(start_ms, end_ms),), 0.0
    usual = float(np.median(np.concatenate([_some_intervals(times) for times in longest.values()])))
    least = 2.5 * usual
    gaps = [(start_ms, end_ms)]
    for times in longest.values():
        parts: list[tuple[int, int]] = []
        for low, high in gaps:
            first, last = np.searchsorted(times, [low - 2 * usual, high], side="right")
            marks = np.maximum(np.concatenate([[low], times[first:last], [high]]), low)
            wide = np.flatnonzero(np.diff(marks) > least)
            parts += [(int(marks[i]), int(marks[i + 1])) for i in wide]
        gaps = parts
    return tuple(Gap(low, high) for low, high in gaps), usual


def coverage(seen: Seen, start_ms: int, end_ms: int) -> float:
    """The share of a stretch of time (0..1) in which scrapes came."""
    missing = 0.0
    for gap in seen.gaps:
        overlap = min(gap.end_ms, end_ms) - max(gap.start_ms, start_ms)
        missing += max(0.0, overlap - seen.interval_ms)
    return max(0.0, 1.0 - missing / (end_ms - start_ms))


def _some_intervals(times: Ints) -> Ints:
    return np.diff(times[:1000]) if len(times) > 1 else np.array([60_000], dtype=np.int64)
