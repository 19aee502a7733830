"""The one way from definitions and a source to what people read: budgets, their past, who had the bad events, what is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import overload

import numpy as np

from slo.budget.evaluate import CountHistory, evaluate_all, quantiles_of
from slo.budget.events import with_events
from slo.budget.measure import parts_between
from slo.budget.model import Budget, worst_first
from slo.budget.past import with_past
from slo.budget.recorded import RECORDED, From, Recorded, checked_from, reading
from slo.callable import callable_as
from slo.errors import Problem, SourceError
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
    source = reading(source, checked_from(read))
    at_ms = source.latest_ms() if at is None else moment_ms(at)
    reported = read_events(events) if isinstance(events, str | os.PathLike) else events
    with progress("evaluating", len(specs)) as done:
        budgets = evaluate_all(specs, source, at_ms, done, known, steps)
    budgets = with_events([budget for budget in budgets if keep is None or keep(budget)], reported)
    more = (since is not None) + breakdown
    if more:
        with progress("comparing", more * len(budgets)) as done:
            if since is not None:
                ago_ms = parse_duration(since) if isinstance(since, str) else since
                budgets = with_past(budgets, source, ago_ms, known, done)
            if percentiles:
                budgets = [with_percentiles(budget, source) for budget in budgets]
            if breakdown:
                budgets = with_breakdown(budgets, source, done)
    elif percentiles:
        budgets = [with_percentiles(budget, source) for budget in budgets]
    warnings = slos.warnings if isinstance(slos, Specs) else ()
    return Review(tuple(budgets), moment(at_ms), source.name, tuple(warnings))


def with_percentiles(budget: Budget, source: Source) -> Budget:
    """The budget of a latency with its percentiles, and with its events by series, where tiles told its events: they hold no
    buckets, so these are read from raw samples.

    A server that fails leaves them out, and a note says so.
    """
    told = any(note.code == RECORDED for note in budget.notes)
    if not told or budget.slo.sli.buckets is None or budget.bounds.size or budget.remaining is None:
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
