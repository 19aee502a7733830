"""A fleet of processes and a scraper that looks at it.

- A `Target` is an address that processes live behind, one after the other; events happen at the fleet's ticks.
- `Fleet.scrapes` reads every target at its own pace, with jitter, time-outs and holes, under the labels that `Rename`s give.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slo.promql.samples import STALE, Samples

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
END = 1_798_761_600_000  # 2027-01-01, midnight UTC
FOREVER = 2**62

Why = Literal["birth", "new target", "old counter", "hidden restart", "relabelled", "relabelled restart", "copy"]
# What only rules take otherwise: they ask what a job can have had, not what the target can, and for 15 minutes back.
OfRules = Literal["held back", "copy", "old counter", "above the bound", "shared address", "first tile"]


@dataclass(frozen=True)
class Key:
    """A series of every process: its name and labels, and what an increment of it adds to errors and total."""

    name: str
    labels: Mapping[str, str]
    errors: float
    total: float


@dataclass(eq=False)
class Target:
    """An address (`labels`) and what lives behind it.

    `counters` are the events of each tick by key, `gauges` the values since each tick. `lives` are the processes as
    (start, end) in ms; the first one's counters stand at `old` when it starts. `rare` keys are not exposed before the
    process' first event of them. `writers` of 2: every other scrape reaches a second process with half the events.
    """

    labels: Mapping[str, str]
    counters: dict[str, Floats] = field(default_factory=dict)
    gauges: dict[str, Floats] = field(default_factory=dict)
    every_ms: int = 30 * SECOND
    phase_ms: int = 7_137
    jitter_ms: int = 0
    old: dict[str, float] = field(default_factory=dict)
    lives: list[tuple[int, int]] = field(default_factory=lambda: [(-FOREVER, FOREVER)])
    present: tuple[int, int] = (-FOREVER, FOREVER)
    holes: list[tuple[int, int]] = field(default_factory=list)
    timeouts: float = 0.0
    rare: frozenset[str] = frozenset()
    replicas: tuple[tuple[str, tuple[int, int]], ...] = (("", (-FOREVER, FOREVER)),)
    writers: int = 1

    @property
    def job(self) -> str:
        return self.labels.get("job", "")

    @property
    def address(self) -> tuple[str, str]:
        """What a reader takes for one target."""
        return self.job, self.labels.get("instance", "")


@dataclass(frozen=True)
class Rename:
    """From `start_ms` to `end_ms` the series of some targets and keys (None: of all) carry other labels.

    A value of None takes a label away; `{process}` in a value is the process' number. `drop` keeps the series out.
    """

    start_ms: int
    labels: Mapping[str, str | None] = field(default_factory=dict)
    end_ms: int = FOREVER
    targets: frozenset[int] | None = None
    keys: frozenset[str] | None = None
    drop: bool = False


@dataclass(frozen=True)
class Broken:
    """A scrape of target `target` that gives `value` for `key`, at the first scrape at or after `at_ms`."""

    at_ms: int
    value: float
    target: int
    key: str


@dataclass(frozen=True)
class Doubt:
    """Events of which a reader of scrapes alone cannot be sure: it may count up to `less` fewer and `more` more."""

    at_ms: int
    why: Why | OfRules
    less_errors: float = 0.0
    less_total: float = 0.0
    more_errors: float = 0.0
    more_total: float = 0.0


@dataclass(frozen=True)
class Bridge:
    """Events that a series revealed after a pause of `gap_ms`: a look-back that is shorter may lose them, with a note.

    Or it takes all that the series stands at then (`stood_…`) for new. `renamed` says that its labels are others.
    """

    at_ms: int
    gap_ms: int
    errors: float
    total: float
    stood_errors: float = 0.0
    stood_total: float = 0.0
    renamed: bool = False


@dataclass(frozen=True)
class Grid:
    """`steps` steps of `step_ms` that end at `end_ms`; step i is (edge i, edge i + 1]."""

    end_ms: int
    step_ms: int
    steps: int

    @property
    def start_ms(self) -> int:
        return self.end_ms - self.steps * self.step_ms

    def add(self, times: Ints, amounts: Floats) -> Floats:
        """The sum of amounts per step, float64 of shape (steps,); what lies outside the grid is left out."""
        step = -(-(times - self.start_ms) // self.step_ms) - 1
        inside = (step >= 0) & (step < self.steps)
        return np.bincount(step[inside], weights=amounts[inside], minlength=self.steps).astype(np.float64)

    def holds(self, at_ms: int) -> bool:
        return self.start_ms < at_ms <= self.end_ms


@dataclass(eq=False)
class Stream:
    """The scrapes of one target by one scraper: arrays over scrapes, per key over (keys, scrapes)."""

    index: int
    target: Target
    replica: str
    times: Ints
    ok: Bools  # the target answered
    process: Ints
    values: dict[str, Floats]
    exposed: dict[str, Bools]  # the process shows the series
    names: dict[str, Ints]  # the number of the label set, -1 where relabelling drops it
    label_sets: list[dict[str, str]] = field(default_factory=list)

    def visible(self, key: str) -> Bools:
        """Where a number came for this key."""
        return self.ok & self.exposed[key] & (self.names[key] >= 0) & np.isfinite(self.values[key])


class Fleet:
    """Targets over a stretch of time, from `start_ms` to `end_ms`, and what is done to their series."""

    def __init__(
        self,
        keys: Mapping[str, Key],
        hours: float,
        *,
        seed: int = 0,
        end_ms: int = END,
        tick_ms: int = 5 * SECOND,
        stale: bool = False,
    ) -> None:
        self.keys = dict(keys)
        self.end_ms = end_ms
        self.start_ms = end_ms - round(hours * HOUR)
        # Ticks never fall on an edge of a grid nor (with phases of odd milliseconds) on a scrape.
        self.ticks: Ints = np.arange(self.start_ms + 1_502, end_ms, tick_ms, dtype=np.int64)
        self.tick_ms = tick_ms
        self.random = np.random.default_rng(seed)
        self.targets: list[Target] = []
        self.renames: list[Rename] = []
        self.broken: list[Broken] = []
        self.stale = stale

    def add(self, target: Target) -> Target:
        for key in (*target.counters, *target.gauges):
            if key not in self.keys:
                raise ValueError(f"no key {key!r}; there are {', '.join(self.keys)}")
        self.targets.append(target)
        return target

    def flat(self, per_second: float) -> Floats:
        """The same events at every tick."""
        return np.full(len(self.ticks), per_second * self.tick_ms / SECOND)

    def during(self, start_ms: int, end_ms: int) -> Bools:
        """The ticks in [start, end)."""
        return (self.ticks >= start_ms) & (self.ticks < end_ms)

    def scrapes(self) -> list[Stream]:
        """What the scraper sees of every target."""
        streams = [stream for index, target in enumerate(self.targets) for stream in self._streams(index, target)]
        for broken in self.broken:
            _break(streams, broken)
        return streams

    # -- what a scraper sees ------------------------------------------------------------------------------------

    def _streams(self, index: int, target: Target) -> Iterable[Stream]:
        events = events_of(self, target)
        for replica, (first, last) in target.replicas:
            phase = target.phase_ms + (0 if not replica else 4_001 * (ord(replica[-1]) % 7))
            every = target.every_ms
            offset = self.start_ms + phase % every
            times = np.arange(offset, self.end_ms, every, dtype=np.int64)
            if target.jitter_ms:
                most = min(target.jitter_ms, every // 2 - 2)
                times = times + self.random.integers(-most, most + 1, len(times))
            times += times % SECOND == 0  # never on an edge
            low, high = max(target.present[0], first), min(target.present[1], last)
            times = times[(times >= low) & (times < high) & (times > self.start_ms) & (times < self.end_ms)]
            ok = np.ones(len(times), bool)
            for start, end in target.holes:
                ok &= (times < start) | (times >= end)
            if target.timeouts:
                ok &= self.random.random(len(times)) >= target.timeouts
            yield self._stream(index, target, replica, times, ok, events)

    def _stream(
        self, index: int, target: Target, replica: str, times: Ints, ok: Bools, events: Mapping[str, Floats]
    ) -> Stream:
        starts = np.array([life[0] for life in target.lives], dtype=np.int64)
        ends = np.array([life[1] for life in target.lives], dtype=np.int64)
        process = np.searchsorted(starts, times, side="right") - 1
        ok = ok & (process >= 0) & (times < ends[np.maximum(process, 0)])
        process = np.maximum(process, 0)
        at, from_ = np.searchsorted(self.ticks, times), np.searchsorted(self.ticks, starts)
        values: dict[str, Floats] = {}
        exposed: dict[str, Bools] = {}
        for key, counts in events.items():
            summed = np.concatenate([[0.0], np.cumsum(counts)])
            old = np.where(process == 0, target.old.get(key, 0.0), 0.0)
            value = old + (summed[at] - summed[from_[process]])
            if target.writers == 2:
                # The second process has served for longer and has half the traffic.
                other = 0.5 * np.floor(summed[at]) + 3 * (target.old.get(key, 0.0) + 1000)
                value = np.where(np.arange(len(times)) % 2 == 1, np.floor(other), value)
            values[key] = value
            exposed[key] = (value > 0) if key in target.rare else np.ones(len(times), bool)
        last = np.maximum(at - 1, 0)
        for key, gauge in target.gauges.items():
            values[key] = gauge[last]
            exposed[key] = np.ones(len(times), bool)
        stream = Stream(index, target, replica, times, ok, process, values, exposed, {})
        self._name(stream)
        return stream

    def _name(self, stream: Stream) -> None:
        own = [rename for rename in self.renames if rename.targets is None or stream.index in rename.targets]
        numbers: dict[tuple[tuple[str, str], ...], int] = {}
        edges = np.array(sorted({edge for rename in own for edge in (rename.start_ms, rename.end_ms)}), dtype=np.int64)
        parts = np.searchsorted(edges, stream.times, side="right")
        for key in stream.values:
            mine = [rename for rename in own if rename.keys is None or key in rename.keys]
            by_process = any("{process}" in (value or "") for rename in mine for value in rename.labels.values())
            part = parts * (len(stream.target.lives) + 1) + (stream.process if by_process else 0)
            names = np.empty(len(stream.times), np.int64)
            for one in np.unique(part):
                where = part == one
                first = int(np.argmax(where))
                labels = self._labels(stream, key, mine, int(stream.times[first]), int(stream.process[first]))
                if labels is None:
                    names[where] = -1
                    continue
                names[where] = numbers.setdefault(tuple(sorted(labels.items())), len(numbers))
            stream.names[key] = names
        stream.label_sets = [dict(labels) for labels in numbers]

    def _labels(
        self, stream: Stream, key: str, renames: Sequence[Rename], at_ms: int, process: int
    ) -> dict[str, str] | None:
        described = self.keys[key]
        labels = {"__name__": described.name, **stream.target.labels, **described.labels}
        if stream.replica:
            labels["replica"] = stream.replica
        for rename in renames:
            if not rename.start_ms <= at_ms < rename.end_ms:
                continue
            if rename.drop:
                return None
            for label, value in rename.labels.items():
                if value is None:
                    labels.pop(label, None)
                else:
                    labels[label] = value.replace("{process}", str(process))
        return labels


def events_of(fleet: Fleet, target: Target) -> dict[str, Floats]:
    """The events of each tick by key: none while no process lives."""
    alive = np.zeros(len(fleet.ticks), bool)
    for start, end in target.lives:
        low, high = np.searchsorted(fleet.ticks, [start, end])
        alive[low:high] = True
    return {key: np.where(alive, counts, 0.0) for key, counts in target.counters.items()}


def _break(streams: Sequence[Stream], broken: Broken) -> None:
    for stream in streams:
        if stream.index != broken.target or broken.key not in stream.values:
            continue
        at = int(np.searchsorted(stream.times, broken.at_ms))
        if at < len(stream.times):
            stream.values[broken.key][at] = broken.value


def rows_of(fleet: Fleet, streams: Sequence[Stream]) -> Samples:
    """The samples as a server holds them: one row for each label set."""
    held: dict[tuple[tuple[str, str], ...], list[tuple[Ints, Floats]]] = {}
    for stream in streams:
        for key, values in stream.values.items():
            names = stream.names[key]
            shown = stream.ok & stream.exposed[key] & (names >= 0)
            for number in np.unique(names[shown]):
                where = shown & (names == number)
                times, own = stream.times[where], values[where]
                if fleet.stale:
                    # A server marks a series at the first scrape that no longer has it.
                    ended = np.flatnonzero(where[:-1] & ~where[1:]) + 1
                    times = np.concatenate([times, stream.times[ended]])
                    own = np.concatenate([own, np.full(len(ended), STALE)])
                labels = tuple(sorted(stream.label_sets[number].items()))
                held.setdefault(labels, []).append((times, own))
    rows = []
    for labels, parts in held.items():
        times = np.concatenate([part[0] for part in parts])
        values = np.concatenate([part[1] for part in parts])
        times, index = np.unique(times, return_index=True)
        rows.append((dict(labels), times, values[index]))
    return Samples.from_series(rows)
