"""The values of a chart as the page's script shows them at the pointer: each already as text, as everywhere else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from slo.budget.model import Budget, Burn
from slo.budget.quantile import PERCENTILES, histogram_quantile
from slo.display import show_latency, show_percent, show_rate, show_ratio_up, show_value
from slo.report import cached
from slo.report.downsample import column_steps, column_sums
from slo.report.values import Values
from slo.sli.base import Held
from slo.window import format_duration

COLUMNS = 300
FEW_COLUMNS = 100


@dataclass(frozen=True, slots=True)
class StepSeries:
    """Values at `first_ms` and each `step_ms` after it (the last at the end): of the stretch that ends there.

    `values` are joined by `|`; nothing between two is the value before.
    """

    label: str
    first_ms: int
    step_ms: int
    values: str


def joined(values: Iterable[str]) -> str:
    """Texts, each but for those that are what was before."""
    pieces, before = [], ""
    for value in values:
        pieces.append("" if value == before else value)
        before = value
    return "|".join(pieces)


def of_budget_remaining(budget: Budget) -> tuple[StepSeries, ...]:
    """What is left at the end of each column."""
    width, step = _columns(budget, COLUMNS)
    left = cached.timeline(budget).budget_remaining
    at = np.minimum(np.arange(1, -(-len(left) // width) + 1) * width, len(left)) - 1
    return (_series(budget, "budget remaining", width * step, [show_percent(float(v)) for v in left[at]]),)


def of_error_ratio(budget: Budget) -> tuple[StepSeries, ...]:
    """Bad out of all events of each column."""
    width, step = _columns(budget, COLUMNS)
    part = cached.timeline(budget)
    bad, whole = (column_sums(np.nan_to_num(values), width) for values in (part.errors, part.total))
    texts = [show_ratio_up(b / t if t > 0 else None, 3) for b, t in zip(bad.tolist(), whole.tolist(), strict=True)]
    return (_series(budget, f"errors in {format_duration(width * step)}", width * step, texts),)


def of_burn_rate(budget: Budget, burn: Burn) -> tuple[StepSeries, ...]:
    """The burn rate over the long window up to the end of each column."""
    width, step = _columns(budget, FEW_COLUMNS)
    count = len(budget.before_data)
    rates = cached.burn_rates(budget, burn.window.long_ms)[-count:]
    at = np.minimum(np.arange(1, -(-count // width) + 1) * width, count) - 1
    return (
        _series(
            budget,
            f"over {format_duration(burn.window.long_ms)}",
            width * step,
            [show_rate(float(v)) for v in rates[at]],
        ),
    )


def of_values(values: Values, held: Held) -> tuple[StepSeries, ...]:
    """The highest and the lowest value of each column."""
    step = round(values.edges[1] - values.edges[0])
    return tuple(
        StepSeries(label, round(values.edges[0]) + step, step, joined(show_value(float(v), held.unit) for v in column))
        for label, column in (("highest", values.highest), ("lowest", values.lowest))
    )


def of_latency(budget: Budget) -> tuple[StepSeries, ...]:
    """Percentiles of each column's requests."""
    width, step = _columns(budget, FEW_COLUMNS)
    counts = column_sums(budget.bucket_counts[-len(budget.before_data) :], width)
    series = []
    for name in ("p95", "p99"):
        texts = [show_latency(float(v)) for v in histogram_quantile(PERCENTILES[name], budget.bounds, counts)]
        series.append(_series(budget, name, width * step, texts))
    return tuple(series)


def _columns(budget: Budget, most: int) -> tuple[int, int]:
    """(steps of a column, milliseconds of a step)."""
    step = budget.counts.grid.step_ms
    return column_steps(len(budget.before_data), step, most), step


def _series(budget: Budget, label: str, step_ms: int, texts: list[str]) -> StepSeries:
    return StepSeries(label, budget.start_ms + step_ms, step_ms, joined(texts))
