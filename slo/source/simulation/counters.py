"""Counters as scrapes see them: restarts, series that appear with their first event, staleness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from slo.promql.samples import STALE
from slo.source.simulation.plan import Clock, Flags, Floats, Ints, Span
from slo.window import HOUR

Row = tuple[dict[str, str], Ints, Floats]


@dataclass(frozen=True, eq=False)
class Counter:
    """One simulated counter: what happened per scrape interval, what scrapes reveal, and the samples.

    `lost` are the events just before each restart; `base` is where it began; it is `visible` at some scrapes.
    """

    row: Row
    happened: Ints
    revealed: Ints
    lost: Ints
    base: int
    visible: Flags


@dataclass
class Truth:
    """What an SLO's events really were, over `hours` whole hours from `first_hour_ms` on.

    `hourly_errors` and `hourly_total` are what scrapes reveal, int64 of shape (hours,). `spans` holds [bad, all] events of
    each incident.
    """

    first_hour_ms: int
    hours: int
    errors: int = 0
    total: int = 0
    known: bool = False
    spans: dict[Span, list[int]] = field(default_factory=dict)
    hourly_errors: Ints = field(init=False)
    hourly_total: Ints = field(init=False)

    def __post_init__(self) -> None:
        self.hourly_errors = np.zeros(self.hours, dtype=np.int64)
        self.hourly_total = np.zeros(self.hours, dtype=np.int64)

    def add(self, times: Ints, interval_ms: int, happened: tuple[Ints, Ints], revealed: tuple[Ints, Ints]) -> None:
        """One target's (bad, all) events, per scrape interval that ends at `times`.

        They happened in its middle, as incidents see it (`plan.added`); a check, of no interval, at its time.
        """
        self.known = True
        self.errors += int(happened[0].sum())
        self.total += int(happened[1].sum())
        middle = times - interval_ms // 2
        if self.spans:
            sums = [np.concatenate([[0], np.cumsum(events)]) for events in happened]
            for span, counted in self.spans.items():
                low, high = np.searchsorted(middle, [span.start_ms, span.end_ms], side="right")
                counted[0] += int(sums[0][high] - sums[0][low])
                counted[1] += int(sums[1][high] - sums[1][low])
        hour = np.clip((times - self.first_hour_ms - 1) // HOUR, 0, self.hours - 1)
        np.add.at(self.hourly_errors, hour, revealed[0])
        np.add.at(self.hourly_total, hour, revealed[1])


def counter(
    labels: dict[str, str],
    happened: Ints,
    lost: Ints,
    clock: Clock,
    base: int,
    lazy: bool,
    like: Counter | None = None,
) -> Counter:
    """A counter that starts at `base` and counts `happened` but for `lost`, the events just before each restart.

    A lazy one is there only once it has counted something since its process began; one that is `like` another is there
    where that is.
    """
    base = 0 if clock.is_new else base
    kept = happened - lost
    value = base + np.cumsum(kept)
    for index in clock.restarts:
        value[index:] -= value[index - 1]
    visible = clock.present & ((value > 0) | (not lazy)) if like is None else like.visible
    seen = np.flatnonzero(visible)
    revealed = np.zeros(len(value), dtype=np.int64)
    if len(seen):
        grown = np.diff(value[seen])
        # A restart reveals the whole new value, unless it has outgrown the old one unseen; another process always does.
        process = np.searchsorted(clock.starts, seen, side="right")
        revealed[seen[1:]] = np.where((grown < 0) | (np.diff(process) > 0), value[seen[1:]], grown)
        if int(clock.times[seen[0]]) > clock.first_ms or clock.is_new:
            revealed[seen[0]] = value[seen[0]]
    ended = _endings(visible, clock)
    held = visible | ended
    values = np.where(ended, STALE, value.astype(np.float64))[held]
    return Counter((labels, clock.times[held], values), happened, revealed, lost, base, visible)


def _endings(visible: Flags, clock: Clock) -> Flags:
    """Where a stale marker is written: at the first scrape that fails, or comes without the series."""
    before = np.concatenate([[False], visible[:-1]])
    marks: Flags = before & ~visible & (clock.failed | clock.present)
    return marks


def lose(random: np.random.Generator, happened: Ints, clock: Clock) -> Ints:
    """The events that a restart takes with it: about half of its scrape interval's."""
    lost = np.zeros(len(happened), dtype=np.int64)
    for index in clock.restarts:
        lost[index] = random.binomial(happened[index], 0.5)
    return lost


def split(random: np.random.Generator, events: Ints, shares: Sequence[float] | Sequence[Floats]) -> list[Ints]:
    """Events dealt out by shares, each a number or one per step, to the event."""
    parts: list[Ints] = []
    left, whole = events, np.asarray(sum(shares))
    for share in shares[:-1]:
        chance = np.divide(share, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole > 0))
        part = random.binomial(left, np.clip(chance, 0.0, 1.0))
        parts.append(part.astype(np.int64))
        left = left - part
        whole = whole - share
    return [*parts, left.astype(np.int64)]
