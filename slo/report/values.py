"""What is held against a bound, over time: asked of the source once more, as counts do not keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slo.errors import SourceError
from slo.limits import asked_for
from slo.promql.ast import Aggregate
from slo.report.downsample import column_least, column_most, column_steps
from slo.source.base import source_of

if TYPE_CHECKING:
    from slo.budget.model import Budget
    from slo.source import Source

Floats = NDArray[np.float64]

COLUMNS = 220
_MOST_POINTS = 9000  # below what a server answers at once


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The value of an SLO's worst series: its highest and lowest in each column, NaN where there is none.

    `edges` are milliseconds, one more than columns; `now` is the last value of all, None without one.
    """

    edges: Floats
    highest: Floats
    lowest: Floats
    now: float | None


def values_of(budgets: Sequence[Budget], source: Source) -> dict[str, Values]:
    """By SLO id, for those that hold a value against a bound and have data; a source that fails leaves one out."""
    values: dict[str, Values] = {}
    for budget in budgets:
        if budget.slo.sli.held is not None and budget.remaining is not None:
            with suppress(SourceError), asked_for(budget.slo.id):
                values[budget.slo.id] = _values(budget, source_of(source, budget.slo))
    return values


def _values(budget: Budget, source: Source) -> Values:
    held = budget.slo.sli.held
    assert held is not None
    start, end = budget.start_ms, budget.end_ms
    step = budget.counts.grid.step_ms
    every = step * max(1, -(-(end - start) // step // _MOST_POINTS))
    worst = Aggregate("max" if held.op in ("<", "<=") else "min", held.value)
    answer = source.query_range(worst, start + every, end, every)
    points = np.full(len(answer.times), np.nan)
    for _, values in answer.series:
        points = np.where(np.isfinite(values), values, points)
    width = column_steps(len(points), every, COLUMNS)
    columns = -(-len(points) // width)
    edges = np.minimum(start + width * every * np.arange(columns + 1), end).astype(float)
    known = points[np.isfinite(points)]
    return Values(
        edges, column_most(points, width), column_least(points, width), float(known[-1]) if len(known) else None
    )


NO_VALUES: Mapping[str, Values] = {}
