"""A budget alongside its own past: as it stood at the last review, and the previous window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from slo.budget.evaluate import CountHistory, budget_of, with_known
from slo.budget.measure import measure
from slo.budget.model import Budget
from slo.errors import SourceError
from slo.sli.base import Measured, Note
from slo.sli.counts import CountingStats, Counts, Gap, Grid, coverage

if TYPE_CHECKING:
    from slo.source import Source


def with_past(
    budgets: Sequence[Budget],
    source: Source,
    since_ms: int,
    known: CountHistory | None = None,
    done: Callable[[], None] = lambda: None,
) -> list[Budget]:
    """The budgets with `earlier`, the same objective `since_ms` ago, and `previous`, the window that ends where its own begins.

    Both are without burn rates of alerts and outages. Only what lies before a budget's own counts is asked for, so that
    none of its figures changes. A source that fails on that leaves them out, and a note says so. `done` is called
    after each. A budget whose own figures are invalid has no past: there is nothing to compare.
    """
    reviewed = []
    for budget in budgets:
        reviewed.append(_with_past(budget, source, since_ms, known))
        done()
    return reviewed


def _with_past(budget: Budget, source: Source, since_ms: int, known: CountHistory | None) -> Budget:
    if budget.invalid:
        return budget
    slo, older = budget.slo, older_grid(budget, since_ms)
    if older is None:
        return with_older(budget, None, since_ms)
    try:
        measured = measure(slo, source, older)
    except SourceError as error:
        why = str(error).removeprefix(f"{slo.id}: ")  # a note stands alongside the name
        note = Note("no-past", f"the previous window could not be read: {why}")
        return replace(budget, notes=(*budget.notes, note))
    return with_older(budget, with_known(measured, *known(slo.id, older)) if known else measured, since_ms)


def older_grid(budget: Budget, since_ms: int) -> Grid | None:
    """The steps before a budget's own counts that its past is made of; None where they are long enough."""
    grid = budget.counts.grid
    first = min(budget.slo.window.period(end)[0] for end in _ends(budget, since_ms))
    steps = -(-(grid.start_ms - first) // grid.step_ms)
    return Grid(grid.start_ms, grid.step_ms, steps) if steps > 0 else None


def with_older(budget: Budget, older: Measured | None, since_ms: int) -> Budget:
    """The budget with `earlier` and `previous`, from its own counts and those of its older grid."""
    if budget.invalid:
        return budget
    own = Measured(budget.counts, budget.bounds, budget.bucket_counts, has_data=budget.has_data)
    measured = own if older is None else _joined(older, own)
    earlier, previous = (_budget_at(budget, measured, end) for end in _ends(budget, since_ms))
    return replace(budget, earlier=earlier, previous=previous)


def _ends(budget: Budget, since_ms: int) -> tuple[int, int]:
    """Where the window of the last review and the one before this one end."""
    grid = budget.counts.grid
    return (
        grid.end_ms - max(1, since_ms // grid.step_ms) * grid.step_ms,
        budget.start_ms,
    )


def _budget_at(budget: Budget, measured: Measured, end_ms: int) -> Budget:
    start_ms, window_end_ms = budget.slo.window.period(end_ms)
    return budget_of(budget.slo, budget.source, _until(measured, start_ms, end_ms), start_ms, window_end_ms, ())


def _joined(old: Measured, new: Measured) -> Measured:
    """Two stretches of which the second begins where the first ends."""
    before, after = old.counts, new.counts
    grid = Grid(after.grid.end_ms, after.grid.step_ms, before.grid.steps + after.grid.steps)
    gaps = list(before.seen.gaps)
    for gap in after.seen.gaps:
        if gaps and gaps[-1].end_ms >= gap.start_ms:
            gaps[-1] = Gap(gaps[-1].start_ms, gap.end_ms)
        else:
            gaps.append(gap)
    seen = CountingStats(
        max(before.seen.series, after.seen.series),
        gaps=tuple(gaps),
        interval_ms=after.seen.interval_ms or before.seen.interval_ms,
        bounds=after.seen.bounds,
    )
    # Where nothing was counted yet there are no buckets either; other bounds than today's are not to be compared.
    buckets = old.bucket_counts if old.bounds.size else np.zeros((before.grid.steps, new.bounds.size))
    alike = np.array_equal(old.bounds, new.bounds) or not old.bounds.size
    return Measured(
        Counts(
            grid,
            np.concatenate([before.errors, after.errors]),
            np.concatenate([before.total, after.total]),
            seen,
        ),
        new.bounds if alike else np.empty(0),
        np.concatenate([buckets, new.bucket_counts]) if alike and new.bounds.size else np.empty((0, 0)),
        has_data=old.has_data or new.has_data,
        invalid=old.invalid + new.invalid,
    )


def _until(measured: Measured, start_ms: int, end_ms: int) -> Measured:
    """What was there at an earlier moment, of a window that began at `start_ms`."""
    counts, grid = measured.counts, measured.counts.grid
    steps = (end_ms - grid.start_ms) // grid.step_ms
    gaps = tuple(Gap(gap.start_ms, min(gap.end_ms, end_ms)) for gap in counts.seen.gaps if gap.start_ms < end_ms)
    seen = CountingStats(counts.seen.series, gaps=gaps, interval_ms=counts.seen.interval_ms, bounds=counts.seen.bounds)
    return Measured(
        Counts(Grid(end_ms, grid.step_ms, steps), counts.errors[:steps], counts.total[:steps], seen),
        measured.bounds,
        measured.bucket_counts[:steps],
        has_data=measured.has_data and coverage(seen, start_ms, end_ms) > 0,
        invalid=measured.invalid,
    )
