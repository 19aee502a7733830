"""The one way from definitions and a source to what people read: budgets, their past, who had the bad events, what is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import overload

import numpy as np

from slo.budget.evaluate import CountHistory, evaluate_all, evaluate_each, quantiles_of, summaries
from slo.budget.events import with_events
from slo.budget.measure import parts_between
from slo.budget.model import Budget, worst_first
from slo.budget.past import with_past
from slo.budget.recorded import From, Recorded, checked_from, reading
from slo.budget.track import RECORDED
from slo.callable import callable_as
from slo.errors import Problem, SourceError
from slo.jobs import chunks, in_processes, number_of
from slo.limits import asked_for
from slo.sli.base import Note
from slo.sli.counts import Grid
from slo.source.base import Source, source_of
from slo.spec.events import Event, read_events
from slo.spec.model import Slo, Specs
from slo.suggest import suggest
from slo.window import moment, moment_ms, parse_duration

# Called with what is done and how often; within it, its result is called after each.
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
# A report compares with how things stood a week before.
SINCE = "7d"


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
    breakdown: bool = True,
    percentiles: bool = True,
    steps: bool = True,
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
        breakdown: Whether a server is asked which series had the bad events.
        percentiles: Whether a server is asked for the buckets of latencies that were counted from recorded series.
        steps: Whether the steps of each window are asked for; without them budgets may have the figures of a table alone.
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
    if processes > 1 and opened is not None:
        shown = _Shown(at_ms, ago_ms, breakdown, percentiles)
        summed = {} if steps else summaries(specs, source, at_ms)
        rest = [slo for slo in specs if slo.id not in summed]
        with progress("evaluating", len(specs)) as done:
            evaluated = _in_processes(
                specs, rest, summed, partial(_opened, opened, read, at is not None, rest, at_ms), shown, processes, done
            )
        budgets = with_events([budget for budget in evaluated if keep is None or keep(budget)], reported)
        return Review(tuple(budgets), moment(at_ms), source.name, tuple(warnings))
    with progress("evaluating", len(specs)) as done:
        budgets = evaluate_all(specs, source, at_ms, done, known, steps)
    budgets = with_events([budget for budget in budgets if keep is None or keep(budget)], reported)
    more = (since is not None) + breakdown
    if more:
        with progress("comparing", more * len(budgets)) as done:
            budgets = _with_more(budgets, source, _Shown(at_ms, ago_ms, breakdown, percentiles), known, done)
    elif percentiles:
        budgets = [with_percentiles(budget, source) for budget in budgets]
    return Review(tuple(budgets), moment(at_ms), source.name, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Shown:
    """What of each budget is shown: as it stood so long ago, who had the bad events, percentiles."""

    at_ms: int
    ago_ms: int | None
    breakdown: bool
    percentiles: bool


def _with_more(
    budgets: list[Budget],
    source: Source,
    shown: _Shown,
    known: CountHistory | None = None,
    done: Callable[[], None] = lambda: None,
) -> list[Budget]:
    if shown.ago_ms is not None:
        budgets = with_past(budgets, source, shown.ago_ms, known, done)
    if shown.percentiles:
        budgets = [with_percentiles(budget, source) for budget in budgets]
    return with_breakdown(budgets, source, done) if shown.breakdown else budgets


def _opened(opened: Callable[[], Source], read: From, exact: bool, slos: Sequence[Slo], at_ms: int) -> Source:
    """In another process: a source of its own, with what was recorded lately of all that it may be asked for."""
    source = reading(opened(), read, exact)
    if isinstance(source, Recorded):
        source.prepare(slos, at_ms)
    return source


def _evaluated(shown: _Shown, source: Source, slos: Sequence[Slo]) -> list[list[Budget]]:
    """In another process: the budgets of each of some SLOs."""
    return [_with_more(budgets, source, shown) for budgets in evaluate_each(slos, source, shown.at_ms)]


def _in_processes(
    slos: Sequence[Slo],
    rest: Sequence[Slo],
    summed: Mapping[str, Budget],
    opened: Callable[[], Source],
    shown: _Shown,
    processes: int,
    done: Callable[[], None],
) -> list[Budget]:
    """The budgets of all SLOs in their order, those of `rest` from other processes."""
    made: dict[str, list[Budget]] = {key: [budget] for key, budget in summed.items()}
    for _ in summed:
        done()
    parts = chunks(rest, processes)
    for part, results in (
        zip(parts, in_processes(opened, partial(_evaluated, shown), parts, processes), strict=True) if parts else ()
    ):
        for slo, budgets in zip(part, results, strict=True):
            made[slo.id] = budgets
            done()
    return [budget for slo in slos for budget in made[slo.id]]


def with_percentiles(budget: Budget, source: Source) -> Budget:
    """The budget of a latency with its percentiles, and with its events by series, where tiles gave its events: they hold no
    buckets, so these are read from raw samples.

    A server that fails leaves them out, and a note says so.
    """
    recorded = any(note.code == RECORDED for note in budget.notes)
    if not recorded or budget.slo.sli.buckets is None or budget.bounds.size or budget.remaining is None:
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


def with_breakdown(budgets: Sequence[Budget], source: Source, done: Callable[[], None] = lambda: None) -> list[Budget]:
    """The budgets, each with its events by series where they were added up by a server, which is asked for them once more.

    Those of raw samples have them already. A server that fails leaves them out, and a note says so.
    """
    budgets_found = []
    for budget in budgets:
        if budget.counts.parts is None and budget.remaining is not None:
            start_ms, end_ms = (budget.start_ms, budget.end_ms)
            try:
                parts = parts_between(budget.slo, source, start_ms, end_ms)
                budget = replace(budget, counts=replace(budget.counts, parts=parts))
            except SourceError as error:
                why = str(error).removeprefix(f"{budget.slo.id}: ")  # a note stands alongside the name
                note = Note("no-breakdown", f"which series had the bad events could not be asked for: {why}")
                budget = replace(budget, notes=(*budget.notes, note))
        budgets_found.append(budget)
        done()
    return budgets_found


callable_as(__name__, review)
