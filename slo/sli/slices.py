"""Slices of time that are good or bad: as PromQL and as arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slo.promql.ast import Aggregate, Binary, Call, Node, Number, Subquery
from slo.sli.base import Measured, Note, Reader
from slo.sli.counts import CountingStats, Counts, Gap, Grid, Part
from slo.sli.notes import source_notes
from slo.sli.tile import ZERO, Tile
from slo.spans import stretches
from slo.window import INSTANT_MS

Comparison = Literal[">=", "<=", ">", "<"]
_HUGE = Number(1e308)
_GOES_ON = "a series that goes on under other labels is still shown under its old ones for 5m"


def bad_value(value: Node, op: Comparison, bound: float) -> Node:
    """1 for a series where `value op bound` does not hold, 0 where it holds, nothing where there is no value.

    The remainder of the difference is the difference itself, but NaN for an infinite one; its sign stays NaN, and the
    comparison at the end drops that: neither is a value that could be judged.
    """
    limit = Number(bound)
    above = Binary("-", value, limit) if op in ("<=", "<") else Binary("-", limit, value)
    sign: Node = Call("sgn", (Binary("%", above, _HUGE),))
    if op in ("<=", ">="):
        bad: Node = Call("clamp_min", (sign, ZERO))
    else:
        bad = Call("clamp_max", (Binary("+", sign, Number(1.0)), Number(1.0)))
    return Binary(">=", bad, ZERO)


def slices_tile(bad: Node, slice_ms: int, tile: Tile, what: Literal["errors", "total"]) -> Node:
    """The bad, or all, judged slices of all series in a tile."""
    func = "sum_over_time" if what == "errors" else "count_over_time"
    return Aggregate("sum", Call(func, (Subquery(bad, tile.length_ms, slice_ms, tile.lag_ms),)))


def measure_slices(bad: Node, slice_ms: int, reader: Reader, grid: Grid, first: int) -> Measured:
    """A value judged at the end of each slice."""
    answer = reader.query_range(bad, grid.start_ms + slice_ms, grid.end_ms, slice_ms)
    errors, judged = np.zeros(grid.steps), np.zeros(grid.steps)
    parts = []
    for labels, values in answer.series:
        rows = values.reshape(grid.steps, grid.step_ms // slice_ms)
        own, own_bad = (~np.isnan(rows)).sum(axis=1), np.nansum(rows, axis=1)
        judged += own
        errors += own_bad
        parts.append(Part(labels, float(np.sum(own_bad[first:])), float(np.sum(own[first:]))))
    gaps = tuple(
        Gap(grid.start_ms + low * grid.step_ms, grid.start_ms + high * grid.step_ms)
        for low, high in stretches(judged == 0)
    )
    counts = Counts(grid, errors, judged, CountingStats(series=len(answer.series), gaps=gaps), tuple(parts))
    notes = source_notes(answer)
    twice = _twice([~np.isnan(values) for _, values in answer.series], slice_ms)
    if twice:
        notes = (*notes, Note("judged-twice", f"{twice} slices may be judged twice: {_GOES_ON}"))
    return Measured(counts, notes=notes, has_data=bool(judged.any()))


def _twice(known: Sequence[NDArray[np.bool_]], slice_ms: int) -> int:
    """In how many slices a series that ends is still there alongside one that has just begun."""
    runs = [(place, low, high - 1) for place, spell in enumerate(known) for low, high in stretches(spell)]
    reach = round(INSTANT_MS / slice_ms)
    number = 0
    for place, low, high in runs:
        if high == len(known[place]) - 1:
            continue
        others = [run for run in runs if run[0] != place]
        took_over = [first for _, first, _ in others if max(0, high - reach) < first <= high]
        # A short one alongside another that lasts: it took over, and was taken over from, before it could be seen to end.
        parallel = low > 0 and high - low <= 3 * reach and any(first < low and last > high for _, first, last in others)
        number += max((high - first + 1 for first in took_over), default=reach if parallel else 0)
    return number


def slice_parts(
    bad: Node, slice_ms: int, reader: Reader, start_ms: int, end_ms: int
) -> tuple[Part, ...] | None:  # fmt: skip
    """The slices of (start, end] by series."""
    grid = Grid(end_ms, slice_ms, max(1, (end_ms - start_ms) // slice_ms))
    return measure_slices(bad, slice_ms, reader, grid, 0).counts.parts


def too_long(down: NDArray[np.bool_], known: NDArray[np.bool_], slices: int) -> NDArray[np.bool_]:
    """Where everything has been down for `slices` slices or more. An unknown slice continues what was before it."""
    state = continued(down, known)
    index = np.arange(len(state))
    last_up = np.maximum.accumulate(np.where(state, -1, index))
    result: NDArray[np.bool_] = state & (index - last_up >= slices)
    return result


def continued(down: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`down` with each unknown slice like the last known one before it; up before the first."""
    last = np.maximum.accumulate(np.where(known, np.arange(len(down)), -1))
    return np.asarray((last >= 0) & down[last])
