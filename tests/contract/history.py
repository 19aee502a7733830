"""A history: samples, the definition that they are for, and what a reader must make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from slo.promql.samples import Samples
from slo.source.openmetrics import write_openmetrics
from tests.contract.fleet import FOREVER, MINUTE, SECOND, Bridge, Doubt, Fleet, Floats, Grid, Target, Why
from tests.contract.kinds import KINDS, Kind
from tests.contract.oracle import Reading, count_checks, count_outage, count_slices, reread, scrape

State = Literal["counted", "invalid", "no data"]

# What a note must be about; a path has its own words and codes for it.
IMPOSSIBLE = "impossible value"  # errors below 0 or above the total, good above the total, a probe outside 0..1
SEVERAL_WRITERS = "several writers"  # a counter that falls at every other scrape
NO_BOUND = "missing bound"  # a target, or all, without the threshold's bucket
IN_DOUBT = "first values in doubt"
NOTHING_MATCHED = "selector matches nothing"
NOTHING = frozenset[str]()
_WHOLE = ("+Inf", "count")  # what counts all of a histogram


@dataclass(frozen=True, eq=False)
class History:
    """Samples, the definition that they are for, and what a reader must make of them.

    Arrays are float64 of shape (steps,). `errors` and `total` are the events at the scrapes that reveal them, `happened_…`
    those that really happened. `more_errors` and `more_total` are what a gauge's second name may add per step.
    """

    name: str
    kind: str
    definition: str
    samples: Samples
    grid: Grid
    errors: Floats
    total: Floats
    happened_errors: Floats
    happened_total: Floats
    doubts: tuple[Doubt, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    # what rules, which are bounded by less, may take otherwise besides
    of_rules: tuple[Doubt, ...] = ()
    more_errors: Floats = field(default_factory=lambda: np.zeros(0))
    more_total: Floats = field(default_factory=lambda: np.zeros(0))
    state: State = "counted"
    notes: frozenset[str] = NOTHING
    stale: bool = False
    hazards: tuple[str, ...] = ()
    # False where series of one target were seen at different scrapes: a careful reader may pair them otherwise
    by_step: bool = True
    # what happened in the hour before the grid, and may be revealed in it
    lead_total: float = 0.0
    # what was revealed while series had other labels, for so short that the rules cannot tell them from lasting ones
    taken_back: float = 0.0
    # the same of those that a server, which adds up in steps, sees the beginning and the end of in one
    taken_back_in_a_step: float = 0.0

    slo_name = "judged"

    def __repr__(self) -> str:
        return f"<{self.name}: {self.kind}; {', '.join(self.hazards) or 'gentle'}>"

    def unknown(
        self, lookback_ms: int | None = None, ignore: frozenset[Why] = frozenset(), *, rules: bool = False
    ) -> Doubt:
        """All that a path may leave out or add, summed over the grid, if it says so in a note.

        `lookback_ms` is how far it looks back for a series' last value (None: without bound). `ignore` are doubts that it
        must not have. `rules`: with what only rules take otherwise.
        """
        sums = [0.0, 0.0, float(self.more_errors.sum()), float(self.more_total.sum())]
        for doubt in (*self.doubts, *(self.of_rules if rules else ())):
            if self.grid.holds(doubt.at_ms) and doubt.why not in ignore:
                for i, amount in enumerate((doubt.less_errors, doubt.less_total, doubt.more_errors, doubt.more_total)):
                    sums[i] += amount
        for bridge in self.bridges:
            if lookback_ms is not None and bridge.gap_ms > lookback_ms and self.grid.holds(bridge.at_ms):
                sums[0] += max(0.0, bridge.errors)
                sums[1] += bridge.total
                sums[2] += max(0.0, -bridge.errors)
                more = bridge.stood_errors - bridge.errors
                sums[0] += max(0.0, -more)
                sums[2] += max(0.0, more)
                sums[3] += max(0.0, bridge.stood_total - bridge.total)
        return Doubt(self.grid.end_ms, "birth", *sums)

    def begun_in_pauses(self, longer_ms: int) -> float:
        """All events that series brought which began, under other labels, in a pause of their target that was longer."""
        return sum(bridge.total for bridge in self.bridges if bridge.renamed and bridge.gap_ms > longer_ms)

    def problem(
        self,
        errors: Floats,
        total: Floats,
        *,
        lookback_ms: int | None = None,
        ignore: frozenset[Why] = frozenset(),
        noted: bool = True,
    ) -> str | None:
        """What is wrong with a path's counts, in words; None if nothing is.

        Where nothing is in doubt each step must be right; else the sums must lie within the doubts. Without a note
        (`noted`) nothing may be left out.
        """
        if self.state != "counted":
            return None
        span = self.unknown(lookback_ms, ignore)
        exact = not any((span.less_errors, span.less_total, span.more_errors, span.more_total))
        for what, came, right, less, more in (
            ("errors", errors, self.errors, span.less_errors, span.more_errors),
            ("total", total, self.total, span.less_total, span.more_total),
        ):
            if came.shape != right.shape:
                return f"{what}: {came.shape} instead of {right.shape}"
            allowed = 1e-9 * float(np.abs(right).sum()) + 1e-6
            if exact and self.by_step:
                off = np.flatnonzero(~(np.abs(came - right) <= allowed))
                if len(off):
                    i = int(off[0])
                    return f"{what}: {came[i]} instead of {right[i]} in step {i} of {len(right)} ({came.sum()} for {right.sum()} in all)"
                continue
            whole, true = float(came.sum()), float(right.sum())
            if not true - less - allowed <= whole <= true + more + allowed:
                return f"{what}: {whole} instead of {true} (−{less}, +{more} are in doubt)"
            if abs(whole - true) > allowed and not noted:
                return f"{what}: {whole} instead of {true}, without a note"
        return None

    def write_openmetrics(self, path: Path) -> Path:
        """For `tests.servers.load_openmetrics`; stale markers are left out, so ask only where `stale` is False.

        With them, `tests.promql.remote.Real.write(self.rows())` carries all.
        """
        write_openmetrics(path, self.samples)
        return path

    def rows(self) -> list[tuple[dict[str, str], list[int], list[float]]]:
        """As `tests.promql.remote` writes them."""
        return [(dict(one.labels), one.times.tolist(), one.values.tolist()) for one in self.samples.series]


@dataclass
class Setting:
    """A fleet for one kind, while a history is made. Minutes count from the fleet's start, an hour before the grid's."""

    kind: Kind
    fleet: Fleet
    state: State = "counted"
    notes: set[str] = field(default_factory=set)
    # targets without the threshold's bound
    left_out: set[int] = field(default_factory=set)

    def at(self, minutes: float) -> int:
        return self.fleet.start_ms + round(minutes * MINUTE)

    def flow(self, rate: float, bad: Floats | float, exact: bool = False) -> dict[str, Floats]:
        """The events of each tick by key, for `rate` events a second of which a share `bad` (per tick) is bad."""
        ticks = len(self.fleet.ticks)
        mean = np.broadcast_to(np.asarray(rate, dtype=float) * self.fleet.tick_ms / SECOND, (ticks,))
        share = np.broadcast_to(np.asarray(bad, dtype=float), (ticks,))
        random = self.fleet.random
        if exact:
            every, failed = mean.copy(), mean * share
        else:
            every = random.poisson(mean).astype(float)
            failed = random.binomial(every.astype(np.int64), share).astype(float)
        return self.split(every, failed)

    def split(self, every: Floats, failed: Floats) -> dict[str, Floats]:
        """All events and the bad ones of each tick, shared among the kind's keys."""
        good = every - failed
        match self.kind.form:
            case "codes":
                unknown, unavailable = np.floor(good * 0.1), np.floor(failed * 0.3)
                return {"200": good - unknown, "404": unknown, "500": failed - unavailable, "503": unavailable}
            case "two":
                return {"bad": failed, "all": every} if self.kind.part == "bad" else {"good": good, "all": every}
            case "buckets":
                bounds = list(self.kind.keys)
                at = bounds.index(self.kind.part)
                less = {bound: np.floor(good * (i + 1) / (at + 1)) for i, bound in enumerate(bounds[:at])}
                more = {bound: good + np.floor(failed / 2) for bound in bounds[at + 1 :] if bound not in _WHOLE}
                whole = {bound: every for bound in bounds if bound in _WHOLE}
                return less | {self.kind.part: good} | more | whole
        raise ValueError(self.kind.form)

    def old(self, size: float) -> dict[str, float]:
        """Counters that stand where an old process has them: a hundredth of `size` is bad."""
        every, failed = np.array([float(size)]), np.array([float(np.floor(size / 100))])
        return {key: float(value[0]) for key, value in self.split(every, failed).items()}

    def incident(self, base: float, *stretches: tuple[float, float, float]) -> Floats:
        """A share of bad events per tick: `base`, and in each (from minute, to minute, share) another."""
        share = np.full(len(self.fleet.ticks), base)
        for start, end, ratio in stretches:
            share[self.fleet.during(self.at(start), self.at(end))] = ratio
        return share

    def add(
        self,
        name: str,
        rate: float = 10.0,
        bad: Floats | float = 0.01,
        size: float = 1e6,
        exact: bool = False,
        **rest: Any,
    ) -> Target:
        """A target of job `shop`; `size` is where its counters stand when the fleet's time begins."""
        labels = rest.pop("labels", {"job": "shop", "instance": name})
        counters = rest.pop("counters", None) or self.flow(rate, bad, exact)
        target = Target(labels, counters, old=self.old(size) if size else {}, **rest)
        return self.fleet.add(target)

    def gauge(self, name: str, values: Floats, **rest: Any) -> Target:
        labels = rest.pop("labels", {"job": "shop", "instance": name})
        return self.fleet.add(Target(labels, gauges={"gauge": values}, **rest))

    @property
    def bad_keys(self) -> frozenset[str]:
        return frozenset(
            key for key, known in self.kind.keys.items() if known.errors > 0 and not known.total
        ) or frozenset(key for key in ("500", "503") if key in self.kind.keys)


def setting(kind: str, hours: float = 2.0, *, seed: int = 0, stale: bool = False) -> Setting:
    """A fleet for `hours` of grid, and the hour before it."""
    return Setting(KINDS[kind], Fleet(KINDS[kind].keys, hours + 1, seed=seed, stale=stale))


LEAD = 60  # minutes of data before the grid


def finish(made: Setting, name: str, hazards: Sequence[str] = (), step_ms: int = 5 * MINUTE) -> History:
    """Scrapes the fleet and says what must come."""
    fleet, kind = made.fleet, made.kind
    steps = (fleet.end_ms - fleet.start_ms - LEAD * MINUTE) // step_ms
    grid = Grid(fleet.end_ms, step_ms, int(steps))
    reading = scrape(fleet)
    more = np.zeros(grid.steps), np.zeros(grid.steps)
    if kind.form == "gauge":
        if kind.name == "probe":
            errors, total = count_checks(reading, grid)
        else:
            bound, age = (100.0, False) if kind.name == "threshold" else (1800.0, True)
            errors, total, *rest = count_slices(reading, grid, MINUTE, bound, age=age, stale=fleet.stale)
            more = rest[0], rest[1]
        happened = errors, total
    else:
        if made.left_out:
            _forget(made, reading)
        happened = reading.happened_in(grid)
        errors, total = reading.revealed_in(grid)
        if kind.name == "outage":
            errors, total = count_outage(reading, grid, MINUTE, 10 * MINUTE, 0.5)
            happened = errors, total
            _outage_doubts(reading, grid)
    notes = set(made.notes)
    if not _seen(reading, grid, total):
        made.state = "no data"
    if kind.name == "probe" and IMPOSSIBLE in notes and not _shows_impossible(reading, grid):
        made.state = "counted"  # every scrape that would have shown it timed out
        notes.discard(IMPOSSIBLE)
    if any(doubt.less_total or doubt.less_errors for doubt in reading.doubts if doubt.why in ("birth", "new target")):
        notes.add(IN_DOUBT)
    return History(
        name,
        kind.name,
        kind.definition,
        reading.samples,
        grid,
        errors,
        total,
        happened[0],
        happened[1],
        tuple(reading.doubts),
        tuple(reading.bridges),
        tuple(doubt for doubt in reading.of_rules if grid.holds(doubt.at_ms)),
        more[0],
        more[1],
        made.state,
        frozenset(notes),
        fleet.stale,
        tuple(hazards),
        not fleet.broken and not any(rename.keys is not None for rename in fleet.renames),
        float(reading.happened[2][reading.happened[0] <= grid.start_ms].sum()),
        _taken_back(fleet, reading, FOREVER if {"no job and instance", "series away"} & set(hazards) else _SHORT_MS),
        _taken_back_in_a_step(fleet, reading, grid),
    )


def _shows_impossible(reading: Reading, grid: Grid) -> bool:
    """Whether a scrape within the grid gave what no probe gives."""
    return any(
        bool(((series.values < 0) | (series.values > 1))[series.times > grid.start_ms].any())
        for series in reading.samples.series
    )


# A quarter of an hour, and a scrape of five minutes.
_SHORT_MS = 20 * MINUTE


def _taken_back(fleet: Fleet, reading: Reading, within_ms: int) -> float:
    """All events revealed while a relabelling held that was taken back soon enough, or in a long pause, and after it."""
    times, _, total = reading.revealed
    held = np.zeros(len(times), bool)
    pauses = [(one.at_ms - one.gap_ms, one.at_ms) for one in reading.bridges if one.gap_ms > within_ms - 5 * MINUTE]
    for rename in fleet.renames:
        if rename.end_ms == FOREVER or rename.drop:
            continue
        paused = any(low <= rename.end_ms <= high for low, high in pauses)
        if paused or rename.end_ms - rename.start_ms <= within_ms:
            held |= (times >= rename.start_ms) & (times <= rename.end_ms + 5 * MINUTE)
    return float(total[held].sum())


def _taken_back_in_a_step(fleet: Fleet, reading: Reading, grid: Grid) -> float:
    """All events revealed while a relabelling held that is over in the step in which it began, or began up to five minutes
    before: so far back a server looks for the last few scrapes before a step."""
    times, _, total = reading.revealed
    held = np.zeros(len(times), bool)
    for rename in fleet.renames:
        step_ms = rename.end_ms - (rename.end_ms - grid.start_ms) % grid.step_ms
        if rename.end_ms != FOREVER and not rename.drop and rename.start_ms > step_ms - 5 * MINUTE:
            held |= (times >= rename.start_ms) & (times <= rename.end_ms)
    return float(total[held].sum())


def _seen(reading: Reading, grid: Grid, total: Floats) -> bool:
    """Whether a number came in the grid."""
    if total.any():
        return True
    for stream in reading.streams:
        for key in stream.target.counters:
            times = stream.times[stream.visible(key)]
            if ((times > grid.start_ms) & (times <= grid.end_ms)).any():
                return True
    return False


def _outage_doubts(reading: Reading, grid: Grid) -> None:
    """Events in doubt put slices in doubt where a slice could be judged otherwise; then the whole history is."""
    before = -(-10 * MINUTE // grid.step_ms) * (grid.step_ms // MINUTE)
    fine = Grid(grid.end_ms, MINUTE, (grid.end_ms - grid.start_ms) // MINUTE + before)
    errors, total = reading.revealed_in(fine)
    inf = float("inf")
    doubts: dict[int, Doubt] = {}
    for doubt in reading.doubts:
        i = -(-(doubt.at_ms - fine.start_ms) // MINUTE) - 1
        if not 0 <= i < fine.steps:
            continue
        verdict = errors[i] >= 0.5 * total[i] if total[i] > 0 else None
        least, most = total[i] - doubt.less_total, total[i] + doubt.more_total
        sure = (
            verdict is not None
            and least > 0
            and (
                errors[i] - doubt.less_errors >= 0.5 * most if verdict else errors[i] + doubt.more_errors < 0.5 * least
            )
        )
        if not sure:
            at = max(doubt.at_ms, grid.start_ms + 1)
            doubts[i] = Doubt(at, doubt.why, inf, inf, inf, inf)
    reading.doubts = list(doubts.values())
    reading.bridges = [Bridge(bridge.at_ms, bridge.gap_ms, inf, inf) for bridge in reading.bridges]


def _forget(made: Setting, reading: Reading) -> None:
    """Targets without the threshold's bound count in neither errors nor total: the truth is that of the others."""
    others = reread(made.fleet, [stream for stream in reading.streams if stream.index not in made.left_out])
    reading.happened, reading.revealed = others.happened, others.revealed
    reading.doubts, reading.bridges, reading.of_rules = others.doubts, others.bridges, others.of_rules
