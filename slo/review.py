"""The one way from definitions and a source to what people read: budgets, their past, who had the bad events, what is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import overload

import numpy as np

from slo.budget.evaluate import CountHistory, evaluate_all, evaluate_each, quantiles_of, summaries
from slo.budget.events import with_events
from slo.budget.measure import known_by_series, parts_between
from slo.budget.model import Budget, worst_first
from slo.budget.past import with_past
from slo.budget.recorded import From, Recorded, checked_from, reading
from slo.budget.track import RECORDED
from slo.callable import callable_as
from slo.errors import Problem, SourceError
from slo.jobs import Processes, chunks, number_of
from slo.limits import ASKED_OF_ALL, MOST_ASKED, asked_for
from slo.sli.base import Note
from slo.sli.counts import Counts, Grid
from slo.source.base import Source, source_of
from slo.spec.events import Event, read_events
from slo.spec.model import Slo, Specs
from slo.suggest import suggest
from slo.window import moment, moment_ms, parse_duration

# Called with what is done and how often; within it, its result is called after each.
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
# A report compares with how things stood a week before.
SINCE = "7d"
NOT_ASKED = "not-asked"


@dataclass(frozen=True, eq=False)
class Review(Sequence[Budget]):
    """All that is shown of some SLOs at one moment: a sequence of budgets, in the order of the definitions.

    `review["shop/availability"]` is one by its id; a KeyError names the ids that there are.

    Attributes:
        budgets: The budgets.
        at: The moment, UTC.
        source: The name of the source, without credentials.
        warnings: What is doubtful in the definitions.
    """

    budgets: tuple[Budget, ...]
    at: datetime
    source: str
    warnings: tuple[Problem, ...] = ()

    @property
    def worst_first(self) -> list[Budget]:
        """The budgets by state, then by what remains."""
        return worst_first(self.budgets)

    @overload
    def __getitem__(self, key: int | str) -> Budget: ...

    @overload
    def __getitem__(self, key: slice) -> tuple[Budget, ...]: ...

    def __getitem__(self, key: int | str | slice) -> Budget | tuple[Budget, ...]:
        if not isinstance(key, str):
            return self.budgets[key]
        for budget in self.budgets:
            if budget.slo.id == key:
                return budget
        raise KeyError(f"no budget of {key!r}{suggest(key, [budget.slo.id for budget in self.budgets])}")

    def __iter__(self) -> Iterator[Budget]:
        return iter(self.budgets)

    def __len__(self) -> int:
        return len(self.budgets)

    def __repr__(self) -> str:
        return f"<Review of {len(self.budgets)} SLOs at {self.at:%Y-%m-%d %H:%M} UTC>"


def review(
    slos: Specs | Iterable[Slo],
    source: Source,
    *,
    at: datetime | int | str | None = None,
    since: str | int | None = SINCE,
    events: Sequence[Event] | str | os.PathLike[str] = (),
    breakdown: bool | int | None = None,
    percentiles: bool = True,
    steps: bool = True,
    past_steps: bool = True,
    read: From = "auto",
    keep: Callable[[Budget], bool] | None = None,
    known: CountHistory | None = None,
    progress: Progress = lambda what, steps: nullcontext(lambda: None),
    jobs: int | None = 1,
    opened: Callable[[], Source] | None = None,
) -> Review:
    """The budgets of SLOs at one moment, as `slo status`, `slo report`, `slo weekly` and notebooks show them.

    Whatever is added, no figure of a budget changes.

    Args:
        slos: The SLOs.
        source: Where their samples are.
        at: The moment: a datetime with a time zone, a text such as `2026-11-20T12:00:00Z` (without a zone UTC; Unix seconds too), or
            milliseconds UTC. Without it a recording's end, a server's present.
        since: How long ago to compare with (a duration, or milliseconds): adds `earlier`, the same SLO at that time, `change`
            since then, and `previous`, the previous window. None leaves them out.
        events: Known incidents, deployments and maintenance, or their file.
        breakdown: Whether a server is asked which series had the bad events: of all SLOs, or of so many, the worst first;
            without it of all up to 50 SLOs, of more of the 10 worst.
        percentiles: Whether a server is asked for the buckets of latencies that were counted from recorded series; of as many.
        steps: Whether the steps of each window are asked for; without them budgets may have the figures of a table alone.
        past_steps: Whether `earlier` and `previous` keep their steps; without them they are a fifth of the memory.
        read: Where a server's figures come from: `recorded` series, `raw` samples, or `auto`: recorded series where they are whole
            and count what the definition does, raw samples for the rest.
        keep: Chooses budgets before anything more is asked for them.
        known: The counts of steps that the source no longer has.
        progress: Called with what is done and how often; within it, its result is called after each.
        jobs: The number of processes in which many SLOs are evaluated, where `opened` is given; None for as many as there are cores.
        opened: What opens the source anew in another process, such as `functools.partial(slo.open, url)`.

    Returns:
        The budgets.

    Raises:
        SourceError: The source failed, or its answer cannot be used.
        DefinitionError: The file of events has faults.
        DurationError: `at` or `since` is not valid.
        ConfigError: `read` is `recorded`, and the source is no server.

    Examples:
        >>> slo.review(specs, source, since="7d")["shop/availability"].change  # doctest: +SKIP
    """
    specs = list(slos.values() if isinstance(slos, Specs) else slos)
    source = reading(source, checked_from(read), at is not None)
    at_ms = source.latest_ms() if at is None else moment_ms(at)
    reported = read_events(events) if isinstance(events, str | os.PathLike) else events
    ago_ms = parse_duration(since) if isinstance(since, str) else since
    warnings = slos.warnings if isinstance(slos, Specs) else ()
    processes = 1 if opened is None or known is not None else number_of(jobs, len(specs))
    shown = _Wanted(at_ms, ago_ms, breakdown is not False, percentiles and read != "recorded", past_steps)
    evaluated = _Many(specs, source, shown, steps, known, keep)
    if processes > 1 and opened is not None:
        make = partial(_opened, opened, read, at is not None, specs, at_ms)
        with Processes(make, processes) as pool:
            budgets = evaluated.in_processes(pool, breakdown, progress)
    else:
        budgets = evaluated.here(breakdown, progress)
    return Review(tuple(with_events(budgets, reported)), moment(at_ms), source.name, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of each budget is shown: as it stood so long ago, who had the bad events, percentiles."""

    at_ms: int
    ago_ms: int | None
    breakdown: bool
    percentiles: bool
    past_steps: bool

    def lacks(self, budget: Budget) -> bool:
        """Whether a server must be asked for more of it."""
        lacks_parts = budget.counts.parts is None and budget.remaining is not None and budget.errors > 0
        by_series = self.breakdown and lacks_parts and known_by_series(budget.slo)
        return by_series or (self.percentiles and _lacks_percentiles(budget))


@dataclass(frozen=True, slots=True)
class _Many:
    """Many SLOs on their way to what is shown of them."""

    slos: Sequence[Slo]
    source: Source
    shown: _Wanted
    steps: bool
    known: CountHistory | None
    keep: Callable[[Budget], bool] | None

    def here(self, most: bool | int | None, progress: Progress) -> list[Budget]:
        """In this process."""
        shown = self.shown
        with progress("evaluating", len(self.slos)) as done:
            budgets = evaluate_all(self.slos, self.source, shown.at_ms, done, self.known, self.steps)
        budgets = self._kept(budgets)
        if shown.ago_ms is not None:
            with progress("comparing", len(budgets)) as done:
                budgets = _with_past(budgets, self.source, shown, self.known, done)
        return self._with_more(budgets, most, partial(map, partial(_with_more, shown, self.source)), progress)

    def in_processes(self, pool: Processes[Source], most: bool | int | None, progress: Progress) -> list[Budget]:
        """In others. What a table needs is asked for all at once, and so in this one."""
        shown = self.shown
        with progress("evaluating", len(self.slos)) as done:
            summed = {} if self.steps else summaries(self.slos, self.source, shown.at_ms)
            made: dict[str, list[Budget]] = {key: [budget] for key, budget in summed.items()}
            for _ in summed:
                done()
            rest = [slo for slo in self.slos if slo.id not in summed]
            parts = chunks(rest, pool.jobs)
            for part, results in zip(parts, pool.each(partial(_evaluated, shown), parts), strict=True):
                for slo, budgets in zip(part, results, strict=True):
                    made[slo.id] = self._kept(budgets)
                    done()
        budgets = [budget for slo in self.slos for budget in made[slo.id]]
        return self._with_more(budgets, most, partial(pool.each, partial(_with_more, shown)), progress)

    def _with_more(
        self,
        budgets: Sequence[Budget],
        most: bool | int | None,
        ask: Callable[[list[Budget]], Iterable[Budget]],
        progress: Progress,
    ) -> list[Budget]:
        """The budgets with what `ask` gives of the worst in their places; the others say that they were not asked for."""
        chosen, more = self._worst(budgets, most), {}
        with progress("asking for contributors", len(chosen)) if chosen else nullcontext(lambda: None) as done:
            for place, budget in zip(chosen, ask([budgets[place] for place in chosen]), strict=True):
                more[place] = budget
                done()
        return [
            more[place] if place in more else _without_more(budget) if self.shown.lacks(budget) else budget
            for place, budget in enumerate(budgets)
        ]

    def _kept(self, budgets: list[Budget]) -> list[Budget]:
        return budgets if self.keep is None else [budget for budget in budgets if self.keep(budget)]

    def _worst(self, budgets: Sequence[Budget], most: bool | int | None) -> list[int]:
        """The places of those, the worst first, of which more is asked for."""
        places = {id(budget): place for place, budget in enumerate(budgets)}
        lacking = [places[id(budget)] for budget in worst_first(budgets) if self.shown.lacks(budget)]
        if most is None:
            most = len(self.slos) <= ASKED_OF_ALL or MOST_ASKED
        return lacking if isinstance(most, bool) else lacking[:most]


def _without_more(budget: Budget) -> Budget:
    text = (
        "top contributors and percentiles take raw samples, which a server is asked for of the worst SLOs of a report alone; "
        f"`slo report --slo {budget.slo.id}` has them"
    )
    return replace(budget, notes=(*budget.notes, Note(NOT_ASKED, text)))


def _with_past(
    budgets: Sequence[Budget],
    source: Source,
    shown: _Wanted,
    known: CountHistory | None = None,
    done: Callable[[], None] = lambda: None,
) -> list[Budget]:
    if shown.ago_ms is None:
        return list(budgets)
    compared = with_past(budgets, source, shown.ago_ms, known, done)
    return compared if shown.past_steps else [_figures_of_past(budget) for budget in compared]


def _figures_of_past(budget: Budget) -> Budget:
    return replace(budget, earlier=_without_steps(budget.earlier), previous=_without_steps(budget.previous))


def _without_steps(budget: Budget | None) -> Budget | None:
    if budget is None:
        return None
    grid, nothing = budget.counts.grid, np.zeros(0)
    counts = Counts(Grid(grid.end_ms, grid.step_ms, 0), nothing, nothing, budget.counts.seen)
    return replace(budget, counts=counts, bucket_counts=np.empty((0, 0)))


def _with_more(shown: _Wanted, source: Source, budget: Budget) -> Budget:
    """The budget with what raw samples have; in another process too."""
    if shown.percentiles:
        budget = with_percentiles(budget, source)
    return with_breakdown(budget, source) if shown.breakdown else budget


def _opened(opened: Callable[[], Source], read: From, exact: bool, slos: Sequence[Slo], at_ms: int) -> Source:
    """In another process: a source of its own, with what was recorded lately of all that it may be asked for."""
    source = reading(opened(), read, exact)
    if isinstance(source, Recorded):
        source.prepare(slos, at_ms)
    return source


def _evaluated(shown: _Wanted, source: Source, slos: Sequence[Slo]) -> list[list[Budget]]:
    """In another process: the budgets of each of some SLOs."""
    return [_with_past(budgets, source, shown) for budgets in evaluate_each(slos, source, shown.at_ms)]


def with_percentiles(budget: Budget, source: Source) -> Budget:
    """The budget of a latency with its percentiles, and with its events by series, where tiles gave its events: they hold no
    buckets, so these are read from raw samples.

    A server that fails leaves them out, and a note says so.
    """
    if not _lacks_percentiles(budget):
        return budget
    own = source_of(source, budget.slo)
    if isinstance(own, Recorded) and own.how == "recorded":
        return budget
    grid, part = budget.counts.grid, budget.steps
    window = Grid(grid.end_ms, grid.step_ms, part.stop - part.start)
    try:
        with asked_for(budget.slo.id):
            measured = budget.slo.sli.measure(own, window, budget.slo.scraping)
    except SourceError as error:
        why = str(error).removeprefix(f"{budget.slo.id}: ")
        note = Note("no-breakdown", f"percentiles could not be asked for: {why}")
        return replace(budget, notes=(*budget.notes, note))
    if not measured.bucket_counts.size:
        return budget
    before = np.zeros((part.start, measured.bounds.size))  # those of burn rates, of which nothing is shown
    return replace(
        budget,
        quantiles=quantiles_of(measured.bounds, measured.bucket_counts),
        bounds=measured.bounds,
        bucket_counts=np.concatenate([before, measured.bucket_counts]),
        counts=replace(budget.counts, parts=measured.counts.parts),
    )


def _lacks_percentiles(budget: Budget) -> bool:
    recorded = any(note.code == RECORDED for note in budget.notes)
    return bool(
        recorded and budget.slo.sli.buckets is not None and not budget.bounds.size and budget.remaining is not None
    )


def with_breakdown(budget: Budget, source: Source) -> Budget:
    """The budget with its events by series where they were added up by a server, which is asked for them once more.

    That of raw samples has them already. A server that fails leaves them out, and a note says so.
    """
    if budget.counts.parts is not None or budget.remaining is None:
        return budget
    try:
        parts = parts_between(budget.slo, source, budget.start_ms, budget.end_ms)
    except SourceError as error:
        why = str(error).removeprefix(f"{budget.slo.id}: ")  # a note stands alongside the name
        note = Note("no-breakdown", f"which series had the bad events could not be asked for: {why}")
        return replace(budget, notes=(*budget.notes, note))
    return replace(budget, counts=replace(budget.counts, parts=parts))


callable_as(__name__, review)
