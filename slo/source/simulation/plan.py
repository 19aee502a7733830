"""What happens when: scrapes, restarts, gaps, traffic over the day and the week, and the incidents that are planted."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slo.spans import stretches
from slo.spec.model import Slo
from slo.window import DAY, HOUR, MINUTE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in milliseconds, and what it is.

    `ratio` is the share of bad events in it. A value that is judged against a bound reaches `level` times that bound
    (0: clearly beyond it), at once or, with `ramp`, little by little. Where `instance` is set only that one has it; of events by
    other labels those with these `labels` are the bad ones.
    """

    start_ms: int
    end_ms: int
    kind: str
    ratio: float = 0.0
    level: float = 0.0
    ramp: bool = False
    instance: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def is_of(self, labels: Mapping[str, str]) -> bool:
        """Whether series with these labels have it, wherever they are."""
        return all(labels.get(name) == value for name, value in self.labels)

    def is_at(self, instance: str) -> bool:
        """Whether an instance has it."""
        return self.instance in (None, instance)


@dataclass(frozen=True)
class Simulation:
    """One simulation: its time, its seed, and the gaps in all scraping. `written` holds incidents that somebody chose."""

    seed: int
    start_ms: int
    end_ms: int
    incidents: bool
    gaps: list[Span] = field(default_factory=list)
    written: Mapping[str, tuple[Span, ...]] | None = None
    per_second: float = 6.0
    steady: bool = False
    steady_errors: float | None = None
    labels: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)  # by job

    @property
    def length_ms(self) -> int:
        """From first to last."""
        return self.end_ms - self.start_ms

    def random(self, *key: str) -> np.random.Generator:
        """Random numbers that depend on the seed and a name alone, not on what else is simulated."""
        return np.random.default_rng([self.seed, zlib.crc32("\x00".join(key).encode())])


@dataclass(frozen=True, eq=False)
class Clock:
    """The scrapes of one target: all times, which of them came, which failed alone, and where the process restarted.

    It is `running` or not at each time; at the indices `starts`, ascending, another process took its place under a new name.
    """

    times: Ints
    present: Flags
    failed: Flags
    restarts: tuple[int, ...]
    running: Flags
    starts: tuple[int, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether its process begins within the simulation."""
        return not self.running[0]

    def dropouts(self) -> list[tuple[int, int]]:
        """When scrapes of it alone failed: from the first to the last that did, ms."""
        return [(int(self.times[low]), int(self.times[high - 1])) for low, high in stretches(self.failed)]

    @property
    def first_ms(self) -> int:
        """When the target was first scraped."""
        return int(self.times[np.argmax(self.present)]) if self.present.any() else 0


@dataclass(frozen=True)
class Changes:
    """What a scenario does to one target's process: whether it runs at given times, and when it starts anew or crashes, ms."""

    running: Callable[[Ints], Flags]
    starts: Sequence[int]
    crashes: Sequence[int]


FATES = ("healthy", "exhausted", "at risk", "healthy", "burning")
# The share of the budget that steady errors consume, and what incidents consume alongside it, by fate.
_CONSUMED = {"healthy": (0.10, 0.25), "at risk": (0.15, 0.68), "exhausted": (0.20, 1.15), "burning": (0.10, 0.20)}


def background(slo: Slo, simulation: Simulation) -> float:
    """The steady error ratio of an SLO (0..1)."""
    share = _CONSUMED[_fate(slo, simulation)][0] if simulation.steady_errors is None else simulation.steady_errors
    return share * float(slo.objective.error_budget)


def incidents(slo: Slo, simulation: Simulation) -> list[Span]:
    """What goes wrong with an SLO: each span has the error ratio that it adds."""
    if simulation.written is not None:
        return sorted(simulation.written.get(slo.id, ()), key=lambda span: span.start_ms)
    if not simulation.incidents:
        return []
    random = simulation.random("incidents", slo.id)
    fate = _fate(slo, simulation)
    budget = float(slo.objective.error_budget)
    period = min(slo.window.nominal_ms, simulation.length_ms)
    spans: list[Span] = []

    def add(kind: str, ratio: float, share: float, around: float, longest: float = 0.2) -> None:
        ratio = min(1.0, max(ratio, 2.5 * budget))
        length = max(share * budget * period / ratio, 4 * MINUTE)
        length = round(min(length, longest * period) / MINUTE) * MINUTE
        start = round((simulation.end_ms - period * (1 - around) - length / 2) / MINUTE) * MINUTE
        start = max(simulation.start_ms + 5 * MINUTE, min(start, simulation.end_ms - length - 10 * MINUTE))
        if length and not any(start < other.end_ms and other.start_ms < start + length for other in spans):
            spans.append(Span(start, start + length, kind, ratio))

    consumed = _CONSUMED[fate][1]
    places = np.sort(random.uniform(0.12, 0.88, 3))
    add("outage", 1.0, 0.4 * consumed, float(places[0]))
    add("bad deploy", float(random.uniform(0.1, 0.25)), 0.3 * consumed, float(places[1]))
    add("slow burn", 3 * budget, 0.3 * consumed, float(places[2]))
    if simulation.length_ms > 1.2 * period:
        start = simulation.start_ms + round(random.uniform(0.2, 0.5) * (simulation.length_ms - period) / HOUR) * HOUR
        spans.append(Span(start, start + 15 * MINUTE, "outage", 0.9))
    if fate == "burning":
        spans = [span for span in spans if span.end_ms < simulation.end_ms - 3 * HOUR]
        length = max(4 * MINUTE, min(90 * MINUTE, period // 60))
        spans.append(Span(simulation.end_ms - length, simulation.end_ms, "burning", min(1.0, 25 * budget)))
    return sorted(spans, key=lambda span: span.start_ms)


def _fate(slo: Slo, simulation: Simulation) -> str:
    return FATES[(zlib.crc32(slo.id.encode()) // 7 + simulation.seed) % len(FATES)]


def set_gaps(simulation: Simulation, planted: list[Span]) -> None:
    """Two pauses of all scraping: one anywhere, one within an incident; or those that somebody chose."""
    if simulation.written is not None:
        return
    random = simulation.random("gaps")
    length = min(10 * MINUTE, simulation.length_ms // 50)
    start = simulation.start_ms + round(random.uniform(0.3, 0.9) * simulation.length_ms / MINUTE) * MINUTE
    simulation.gaps.append(Span(start, start + length, "gap"))
    wide = [span for span in planted if span.end_ms - span.start_ms > 3 * length]
    if wide:
        span = wide[int(random.integers(len(wide)))]
        start = (span.start_ms + span.end_ms) // 2
        simulation.gaps.append(Span(start, start + length, "gap within an incident"))


def make_clock(
    simulation: Simulation,
    job: str,
    instance: str,
    interval_ms: int,
    planted: list[Span],
    changes: Changes | None = None,
) -> Clock:
    """The scrapes of a target. One in four targets also crashes within an incident, another drops out alone."""
    random = simulation.random("clock", job, instance)
    count = max(1, simulation.length_ms // interval_ms)
    phase = int(random.integers(1, interval_ms))
    jitter = random.integers(-3, 4, count)
    times = simulation.start_ms + phase + interval_ms * np.arange(count, dtype=np.int64) + jitter
    times = np.clip(times, simulation.start_ms + 1, simulation.end_ms)
    present = np.ones(count, dtype=bool)
    for gap in simulation.gaps:
        present &= (times <= gap.start_ms) | (times > gap.end_ms)
    failed = np.zeros(count, dtype=bool)
    restarts = set(random.integers(2, max(3, count), max(1, round(simulation.length_ms / (12 * DAY)))).tolist())
    lot = zlib.crc32(instance.encode()) % 4
    if simulation.written is not None:
        pass  # what fails is what somebody chose; only the plain restarts are left
    elif planted and lot == 0:
        span = planted[int(random.integers(len(planted)))]
        restarts.add(int(np.searchsorted(times, (span.start_ms + span.end_ms) // 2)))
    elif lot == 1 and simulation.incidents and count > 200:
        low = int(random.integers(100, count - 50))
        failed[low : low + 20] = True
        failed &= present
    restarts = {index for index in restarts if 1 < index < count - 1 and not failed[index] and present[index]}
    present &= ~failed
    if changes is None:
        return Clock(times, present, failed, tuple(sorted(restarts)), np.ones(count, dtype=bool))
    running = changes.running(times)
    starts, crashes = (np.searchsorted(times, moments).tolist() for moments in (changes.starts, changes.crashes))
    restarts |= {index for index in (*starts, *crashes) if 0 < index < count}
    return Clock(times, present & running, failed & running, tuple(sorted(restarts)), running, tuple(starts))


def traffic(times: Ints, interval_ms: int, simulation: Simulation) -> Floats:
    """Expected events per scrape interval: busy afternoons, quiet nights, quieter weekends."""
    if simulation.steady:
        return np.full(len(times), simulation.per_second * interval_ms / 1000)
    hours = (times / HOUR) % 24
    day = 0.55 + 0.45 * np.sin((hours - 9) / 24 * 2 * np.pi)
    weekday = (times // DAY + 3) % 7
    return np.maximum(0.02, day) * np.where(weekday >= 5, 0.55, 1.0) * simulation.per_second * interval_ms / 1000


def added(times: Ints, interval_ms: int, spans: list[Span], base: float) -> Floats:
    """The error ratio of each scrape interval, by its middle: steady errors, and incidents over them."""
    ratio = np.full(len(times), base)
    middle = times - interval_ms // 2
    for span in spans:
        inside = (middle > span.start_ms) & (middle <= span.end_ms)
        ratio[inside] = np.maximum(ratio[inside], span.ratio)
    return ratio
