"""Counters as scrapes see them: restarts, series that appear with their first event, staleness."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from slo.promql.samples import STALE
from slo.source.simulation.plan import Clock, Flags, Floats, Ints

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
    """What an SLO's events really were: whole arrays per target are added up."""

    errors: int = 0
    total: int = 0
    revealed_errors: list[tuple[Ints, Ints]] = field(default_factory=list)
    revealed_total: list[tuple[Ints, Ints]] = field(default_factory=list)
    happened_errors: list[tuple[Ints, Ints]] = field(default_factory=list)
    happened_total: list[tuple[Ints, Ints]] = field(default_factory=list)

    def add(self, times: Ints, interval_ms: int, happened: tuple[Ints, Ints], revealed: tuple[Ints, Ints]) -> None:
        """One target's (bad, all) events, per scrape interval that ends at `times`.

        They happened in its middle, as incidents see it (`plan.added`); a check, of no interval, at its time.
        """
        self.errors += int(happened[0].sum())
        self.total += int(happened[1].sum())
        middle = times - interval_ms // 2
        self.happened_errors.append((middle, happened[0]))
        self.happened_total.append((middle, happened[1]))
        self.revealed_errors.append((times, revealed[0]))
        self.revealed_total.append((times, revealed[1]))


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
    kept = happened - lost
    value = base + np.cumsum(kept)
    for index in clock.restarts:
        value[index:] -= value[index - 1]
    visible = clock.present & ((value > 0) | (not lazy)) if like is None else like.visible
    seen = np.flatnonzero(visible)
    revealed = np.zeros(len(value), dtype=np.int64)
    if len(seen):
        grown = np.diff(value[seen])
        # A restart reveals the whole new value, unless it has outgrown the old one unseen.
        revealed[seen[1:]] = np.where(grown < 0, value[seen[1:]], grown)
        if int(clock.times[seen[0]]) > clock.first_ms:
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


def split(random: np.random.Generator, events: Ints, shares: list[float]) -> list[Ints]:
    """Events dealt out by shares, to the event."""
    parts: list[Ints] = []
    left, whole = events, sum(shares)
    for share in shares[:-1]:
        part = random.binomial(left, min(1.0, share / whole)) if whole > 0 else np.zeros_like(left)
        parts.append(part.astype(np.int64))
        left = left - part
        whole -= share
    return [*parts, left.astype(np.int64)]
