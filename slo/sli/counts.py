"""Counts of events per step of time, and what was met while they were counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slo.promql.samples import Series
from slo.window import HOUR, MINUTE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Target = tuple[str, ...]

# The labels that tell one scraped target from another, unless a definition names its own.
TARGET_LABELS = ("job", "instance")

# How far back what is counted through a server looks for a series' last value: a longer pause starts from a new
# baseline, and a note says so. Samples in memory are read without such a bound.
LOOKBACK_MS = 2 * HOUR
# A value that appears is believed up to twice what its target counted in this long before.
TRAFFIC_MS = 15 * MINUTE
TRAFFIC_FACTOR = 2.0
# So few events are believed of an idle target too: the first requests of a day are not relabelling.
FEW_EVENTS = 10.0
# A series that begins late and is away for a while now and then has so many runs; comparing more takes longer than sorting.
_MOST_RUNS = 32
# Of so many times of series it is remembered where a grid's edges fall among them.
_MOST_REMEMBERED = 128


# Which part of all events an SLI counts.
PartIs = Literal["errors", "good"]


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

    def step_of(self, at_ms: int) -> int:
        """The step that a moment lies in; below 0 or `steps` and above where it lies in none."""
        return -(-(at_ms - self.start_ms) // self.step_ms) - 1


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without a single scrape of the total: (start_ms, end_ms)."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class CountingStats:
    """What was met on the way, for the notes alongside a figure.

    `continued` series went on under other labels; `born_events` are the first values that were counted. `doubt_events`
    (of all) and `doubt_errors` (of the bad or the good ones) are values that appeared or restarted too high to be
    believed, so that nothing of them was counted; `without_baseline` targets had such a first value. `several_writers`
    names series that more than one process writes, `without_bound` targets whose histogram lacks the threshold's
    bucket. `longest_unseen_ms` is the longest pause after which a path could not know what had been there before.
    """

    series: int = 0
    resets: int = 0
    born: int = 0
    born_events: float = 0.0
    dropped: int = 0
    gaps: tuple[Gap, ...] = ()
    interval_ms: float = 0.0
    bounds: tuple[Decimal, ...] = ()
    continued: int = 0
    doubt_events: float = 0.0
    doubt_errors: float = 0.0
    without_baseline: int = 0
    several_writers: tuple[str, ...] = ()
    without_bound: tuple[str, ...] = ()
    longest_unseen_ms: int = 0


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
    seen: CountingStats = field(default_factory=CountingStats)
    parts: tuple[Part, ...] | None = None


Amounts = Sequence[tuple[Mapping[str, str], float]]


def parts_of(whole: Amounts, part: Amounts, part_is: PartIs) -> tuple[Part, ...]:
    """By series, from the labels and events of those of all events and of the bad or the good ones.

    What is good is not bad, so that the parts add up to the errors.
    """
    good = part_is == "good"
    of_whole = [Part(labels, amount if good else 0.0, amount) for labels, amount in whole]
    return (*of_whole, *(Part(labels, -amount if good else amount, 0.0) for labels, amount in part))


def finite(series: Series) -> tuple[Ints, Floats, int]:
    """The samples that are numbers, and how many were not (stale markers are not samples at all)."""
    ok = np.isfinite(series.values)
    if ok.all():
        return series.times, series.values, 0
    stale = series.values.view(np.int64) == 0x7FF0000000000002
    return series.times[ok], series.values[ok], int(np.count_nonzero(~ok & ~stale))


def target_of(labels: Mapping[str, str], by: Sequence[str] = TARGET_LABELS) -> Target:
    """The values of the labels that name a target."""
    return tuple(labels.get(label, "") for label in by)


class EdgeCursor:
    """Where a grid's edges fall among the times of a series; remembered for other series of the same target."""

    def __init__(self, grid: Grid, first: int) -> None:
        self.grid, self.first = grid, first
        self._edges = np.concatenate([[grid.start_ms], grid.ends])
        # By the identity of the times, which are held so that no others can take it.
        self._known: dict[int, tuple[Ints, Ints]] = {}
        self._last: tuple[Ints, Ints] | None = None

    def counts(self, times: Ints) -> Ints:
        """How many samples come up to each edge, the edge's own included."""
        held = self._known.get(id(times))
        if held is None:
            if self._last is not None and same_times(times, self._last[0]):
                counts = self._last[1]
            else:
                counts = np.searchsorted(times, self._edges, side="right")
            if len(self._known) == _MOST_REMEMBERED:
                self._known.clear()
            held = self._known[id(times)] = times, counts
        self._last = held
        return held[1]


def same_times(value: Ints, other: Ints) -> bool:
    """Whether two series were scraped at the same moments."""
    return value is other or np.array_equal(value, other)


def slices_of(some: Ints, every: Ints) -> list[slice] | None:
    """Where ascending moments lie among others that have all of them, in a few runs; None: not so, or in too many."""
    slices: list[slice] = []
    at = 0
    while at < len(some):
        low = int(np.searchsorted(every, some[at]))
        overlap = every[low : low + len(some) - at]
        same = some[at : at + len(overlap)] == overlap
        many = len(same) if same.all() else int(np.argmin(same))
        if not many or len(slices) == _MOST_RUNS:
            return None
        slices.append(slice(low, low + many))
        at += many
    return slices


def union(times: Sequence[Ints]) -> Ints:
    """The moments that any of some ascending arrays has, ascending, each once."""
    # Series of one target mostly share their times.
    times = list({item.tobytes(): item for item in {id(time): time for time in times}.values()}.values())
    longest = max(times, key=len)
    times = [longest, *(time for time in times if slices_of(time, longest) is None)]
    if len(times) == 1:
        return longest
    # `np.unique` hashes; a stable sort only merges what is sorted already, ten times as fast.
    merged = np.sort(np.concatenate(times), kind="stable")
    first = np.ones(len(merged), dtype=np.bool_)
    np.not_equal(merged[1:], merged[:-1], out=first[1:])
    return merged[first]


def find_gaps(
    series: Sequence[Series], start_ms: int, end_ms: int, by: Sequence[str] = TARGET_LABELS
) -> tuple[tuple[Gap, ...], float]:
    """The stretches in which no series has a sample for over two and a half usual intervals, and that interval (ms).

    A target is scraped while any of its series is: one that was relabelled has no gap.
    """
    targets: dict[Target, list[Ints]] = {}
    for item in series:
        if len(item.times):
            targets.setdefault(target_of(item.labels, by), []).append(item.times)
    if not targets:
        return (Gap(start_ms, end_ms),), 0.0
    scraped = [union(times) for times in targets.values()]
    usual = float(np.median(np.concatenate([_intervals(times) for times in scraped])))
    least = 2.5 * usual
    if end_ms - start_ms <= least:
        return (), usual
    lows, highs = np.array([start_ms], dtype=np.int64), np.array([end_ms], dtype=np.int64)
    for times in scraped:
        lows, highs = _without(lows, highs, times, least)
    return tuple(Gap(low, high) for low, high in zip(lows.tolist(), highs.tolist(), strict=True)), usual


def _without(lows: Ints, highs: Ints, times: Ints, least: float) -> tuple[Ints, Ints]:
    """What further scrapes leave of gaps (ascending, disjoint), where it is longer than `least` milliseconds."""
    first, last = np.searchsorted(times, lows, side="right"), np.searchsorted(times, highs, side="right")
    many = last - first
    scrapes = int(many.sum())
    if not scrapes:
        return lows, highs
    # The scrapes within each gap, one gap after the other: every gap ends at each of them and begins anew.
    upto = np.cumsum(many)
    inside = times[np.repeat(first - upto + many, many) + np.arange(scrapes)]
    starts, ends = np.insert(inside, upto - many, lows), np.insert(inside, upto, highs)
    wide = ends - starts > least
    return starts[wide], ends[wide]


def coverage(seen: CountingStats, start_ms: int, end_ms: int) -> float:
    """The share of a stretch of time (0..1) in which scrapes came."""
    missing = 0.0
    for gap in seen.gaps:
        overlap = min(gap.end_ms, end_ms) - max(gap.start_ms, start_ms)
        missing += max(0.0, overlap - seen.interval_ms)
    return 1.0 - missing / (end_ms - start_ms)


def _intervals(times: Ints) -> Ints:
    """The first thousand between moments, which tell what is usual; of a single moment a minute is taken."""
    return np.diff(times[:1001]) if len(times) > 1 else np.array([MINUTE], dtype=np.int64)


def usual_interval(times: Ints) -> float:
    """Milliseconds between two scrapes of a series, mostly."""
    return float(np.median(_intervals(times)))
