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

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

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

    def bins(self, times: Ints) -> Ints:
        """The step of each time: negative before the grid, `steps` and above after it."""
        return (times - self.start_ms - 1) // self.step_ms

    def sums(self, times: Ints, amounts: Floats) -> Floats:
        """What fell into each step. Sums of whole numbers are exact below 2**53."""
        bins = self.bins(times)
        inside = (bins >= 0) & (bins < self.steps)
        return np.bincount(bins[inside], weights=amounts[inside], minlength=self.steps).astype(np.float64)


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
class Counts:
    """Bad and all events per step of `grid`; arrays of `grid.steps` float64. NaN where nothing could be asked."""

    grid: Grid
    errors: Floats
    total: Floats
    seen: Seen = field(default_factory=Seen)


@dataclass(frozen=True, slots=True)
class _Increments:
    times: Ints
    amounts: Floats
    resets: int = 0
    born: int = 0
    born_events: float = 0.0
    dropped: int = 0


def count(sli: Ratio | Latency | Probe, samples: Samples, grid: Grid) -> Counts:
    """The events of an SLI per step. `samples` should begin before the grid does, for the baselines."""
    match sli:
        case Ratio():
            return _count_ratio(sli, samples, grid)
        case Latency():
            return _count_latency(sli, samples, grid)
        case Probe():
            return _count_probe(sli, samples, grid)


def _count_ratio(sli: Ratio, samples: Samples, grid: Grid) -> Counts:
    total_series, part_series = samples.select(sli.total), samples.select(sli.part)
    known = first_seen([*total_series, *part_series])
    whole, part = increments(total_series, known), increments(part_series, known)
    total, counted = grid.sums(whole.times, whole.amounts), grid.sums(part.times, part.amounts)
    errors = counted if sli.part_is == "errors" else total - counted
    return Counts(grid, errors, total, _seen(whole, total_series, grid))


def _count_latency(sli: Latency, samples: Samples, grid: Grid) -> Counts:
    by_bound = _by_bound(samples.select(buckets(sli)))
    bounds = tuple(sorted(bound for bound in by_bound if bound.is_finite()))
    total_series = by_bound.get(Decimal("Infinity"), [])
    known = first_seen(total_series)
    whole = increments(total_series, known)
    total = grid.sums(whole.times, whole.amounts)
    seen = _seen(whole, total_series, grid, bounds)
    if sli.bound not in by_bound:
        return Counts(grid, np.full(grid.steps, np.nan), total, seen)
    good = increments(by_bound[sli.bound], known)
    return Counts(grid, total - grid.sums(good.times, good.amounts), total, seen)


def _count_probe(sli: Probe, samples: Samples, grid: Grid) -> Counts:
    series = samples.select(sli.metric)
    parts = [_finite(one) for one in series]
    times = np.concatenate([p[0] for p in parts]) if parts else np.empty(0, np.int64)
    values = np.concatenate([p[1] for p in parts]) if parts else np.empty(0)
    checks = _Increments(times, np.ones(len(times)), dropped=sum(p[2] for p in parts))
    return Counts(grid, grid.sums(times, 1.0 - values), grid.sums(times, checks.amounts), _seen(checks, series, grid))


def count_buckets(sli: Latency, samples: Samples, grid: Grid) -> tuple[Floats, Floats]:
    """(upper bounds in seconds, ascending, the last +Inf; cumulative counts of shape (steps, bounds))."""
    by_bound = _by_bound(samples.select(buckets(sli)))
    known = first_seen(by_bound.get(Decimal("Infinity"), []))
    ordered = sorted(by_bound)
    counts = np.zeros((grid.steps, len(ordered)))
    for column, bound in enumerate(ordered):
        found = increments(by_bound[bound], known)
        counts[:, column] = grid.sums(found.times, found.amounts)
    return np.array([float(bound * sli.unit_seconds) for bound in ordered]), counts


def first_seen(series: Sequence[Series]) -> dict[Target, int]:
    """When each target's first sample came, milliseconds."""
    known: dict[Target, int] = {}
    for one in series:
        if len(one.times):
            target = _target(one)
            known[target] = min(int(one.times[0]), known.get(target, int(one.times[0])))
    return known


def increments(series: Sequence[Series], known: dict[Target, int]) -> _Increments:
    """The events that each sample of some counters reveals, in no order of time."""
    times: list[Ints] = []
    amounts: list[Floats] = []
    resets = born = dropped = 0
    born_events = 0.0
    for one in series:
        at, values, lost = _finite(one)
        dropped += lost
        if not len(at):
            continue
        grown = np.diff(values)
        falls = grown < 0
        fallen = int(np.count_nonzero(falls))
        if fallen:
            resets += fallen
            grown[falls] = values[1:][falls]
        times.append(at[1:])
        amounts.append(grown)
        if int(at[0]) > known.get(_target(one), int(at[0])):
            times.append(at[:1])
            amounts.append(values[:1])
            born += 1
            born_events += float(values[0])
    if not times:
        return _Increments(np.empty(0, np.int64), np.empty(0), dropped=dropped)
    return _Increments(np.concatenate(times), np.concatenate(amounts), resets, born, born_events, dropped)


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


def _seen(found: _Increments, series: Sequence[Series], grid: Grid, bounds: tuple[Decimal, ...] = ()) -> Seen:
    gaps, interval = find_gaps(series, grid.start_ms, grid.end_ms)
    return Seen(len(series), found.resets, found.born, found.born_events, found.dropped, gaps, interval, bounds)


def find_gaps(series: Sequence[Series], start_ms: int, end_ms: int) -> tuple[tuple[Gap, ...], float]:
    """The stretches in which no series has a sample for over two and a half usual intervals, and that interval (ms)."""
    if not any(len(one.times) for one in series):
        return (Gap(start_ms, end_ms),), 0.0
    usual = float(np.median(np.concatenate([_some_intervals(one.times) for one in series])))
    # Series of one target share their times, so each target is read once, by its longest series.
    longest = sorted(series, key=lambda one: len(one.times))
    times = np.unique(np.concatenate(list({_target(one): one.times for one in longest}.values())))
    times = times[(times > start_ms - 2 * usual) & (times <= end_ms)]
    marks = np.maximum(np.concatenate([[start_ms], times, [end_ms]]), start_ms)
    wide = np.flatnonzero(np.diff(marks) > 2.5 * usual)
    return tuple(Gap(int(marks[i]), int(marks[i + 1])) for i in wide), usual


def coverage(seen: Seen, start_ms: int, end_ms: int) -> float:
    """The share of a stretch of time (0..1) in which scrapes came."""
    missing = 0.0
    for gap in seen.gaps:
        overlap = min(gap.end_ms, end_ms) - max(gap.start_ms, start_ms)
        missing += max(0.0, overlap - seen.interval_ms)
    return max(0.0, 1.0 - missing / (end_ms - start_ms))


def _some_intervals(times: Ints) -> Ints:
    return np.diff(times[:1000]) if len(times) > 1 else np.array([60_000], dtype=np.int64)
