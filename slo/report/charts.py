"""The charts, each drawn on matplotlib axes: the page turns them into SVG, a notebook shows them as they are.

Times are milliseconds since the epoch on every x axis. The gid of an artist is its class in the page's style sheet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slo.budget.forecast import CONFIDENCE
from slo.report.thin import column_most, column_steps, column_sums, keep
from slo.window import Calendar

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slo.budget.model import Budget, Burn

Floats = NDArray[np.float64]

COLUMNS = 110  # of a line with up to four points in each
WIDE_COLUMNS = 300
# How an artist looks outside the page, whose style sheet has classes of the same names.
LOOKS: dict[str, dict[str, Any]] = {
    "main": {"color": "#24598c", "linewidth": 1.8},
    "second": {"color": "#8a5a00", "linewidth": 1.3},
    "faint": {"color": "#8d979f", "linewidth": 1.0},
    "ideal": {"color": "#59626c", "linewidth": 1.0, "linestyle": "--"},
    "forecast": {"color": "#b3400c", "linewidth": 1.6, "linestyle": ":"},
    "limit": {"color": "#a8201a", "linewidth": 1.2, "linestyle": "--"},
    "p50": {"color": "#8d979f", "linewidth": 1.1, "linestyle": ":"},
    "p90": {"color": "#8d979f", "linewidth": 1.3},
    "p95": {"color": "#24598c", "linewidth": 1.8},
    "p99": {"color": "#8a5a00", "linewidth": 1.3},
}


def period_end_ms(budget: Budget) -> float:
    """Where the x axis ends: a calendar window shows the whole of its period."""
    end = budget.period_end if isinstance(budget.slo.window, Calendar) else budget.end
    return end.timestamp() * 1000


def burn_down(axes: Axes, budget: Budget) -> None:
    """The share of the error budget that is left, from where the data begins, against spending it evenly."""
    start, end = _span(budget)
    last = period_end_ms(budget)
    part = budget.timeline
    known = ~budget.before_data
    begin = start if budget.data_start is None else budget.data_start.timestamp() * 1000
    left = np.concatenate([[1.0], part.budget_remaining[known]])
    times = np.concatenate([[begin], _times(budget)[known]])
    index = keep(left, COLUMNS)
    least = float(np.nanmin(left))
    _line(axes, [start, last], [1.0, 0.0], "ideal", "spent evenly")
    if least < 0:
        axes.axhline(0, gid="limit", label="exhausted", **LOOKS["limit"])
    _line(axes, times[index], left[index], "main", "budget left")
    if budget.forecast is not None and last > end:
        found = budget.forecast
        for rate, name, label in (
            (found.low, "faint", f"{CONFIDENCE:.0%} range"),
            (found.high, "faint", ""),
            (found.pace, "forecast", "at the present pace"),
        ):
            _line(axes, *_ahead(budget, rate, end, last), name, label)
    axes.set_xlim(start, last)
    axes.set_ylim(min(-0.04, least * 1.06), 1.06)


def error_ratio(axes: Axes, budget: Budget) -> tuple[int, int]:
    """The error ratio on a logarithmic axis; returns (milliseconds of a column, of a step)."""
    start, _ = _span(budget)
    part = budget.timeline
    step = budget.counts.grid.step_ms
    errors, total = (np.nan_to_num(values) for values in (part.errors, part.total))
    width = column_steps(len(part.ends_ms), step, WIDE_COLUMNS)
    bad, whole = column_sums(errors, width), column_sums(total, width)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(whole > 0, bad / whole, np.nan)
    worst = column_most(part.error_ratio, width)
    edges = np.minimum(start + width * step * np.arange(len(ratio) + 1), _times(budget)[-1])
    allowed = budget.error_budget
    highest = float(np.nanmax(worst)) if np.isfinite(worst).any() else allowed
    floor, top = allowed / 30, min(1.0, max(highest * 1.5, allowed * 4))
    # A logarithm has no zero: columns without an error stay empty.
    steps(axes, edges, np.where(worst > 0, np.maximum(worst, floor), np.nan), "faint", "worst step in it")
    steps(axes, edges, np.where(ratio > 0, np.maximum(ratio, floor), np.nan), "main", "error ratio")
    axes.axhline(allowed, gid="limit", label="error budget", **LOOKS["limit"])
    if axes.get_yscale() != "log":
        axes.set_yscale("log")
    axes.set_xlim(start, period_end_ms(budget))
    axes.set_ylim(floor * 0.85, top * 1.1)
    return width * step, step


def burn_rate(axes: Axes, budget: Budget, burn: Burn) -> None:
    """The burn rates over the two windows of one alert, on a logarithmic axis, with its factor."""
    start, _ = _span(budget)
    times = _times(budget)
    factor = float(burn.window.factor)
    long = budget.burn_rates(burn.window.long_ms)[-len(times) :]
    short = budget.burn_rates(burn.window.short_ms)[-len(times) :]
    floor = min(0.1, factor / 30)
    known = np.concatenate([long, short])
    highest = float(np.nanmax(known)) if np.isfinite(known).any() else factor
    for values, name, label in ((short, "faint", "short window"), (long, "main", "long window")):
        index = keep(values, COLUMNS // 2)
        _line(axes, times[index], np.maximum(values[index], floor), name, label)
    axes.axhline(factor, gid="limit", label="fires above", **LOOKS["limit"])
    if axes.get_yscale() != "log":
        axes.set_yscale("log")
    axes.set_xlim(start, period_end_ms(budget))
    axes.set_ylim(floor * 0.85, max(highest, factor) * 1.6)


def latency(axes: Axes, budget: Budget, threshold_seconds: float) -> int:
    """Percentiles over time on a logarithmic axis, each of all requests of its column; returns its milliseconds."""
    from slo.budget.quantile import PERCENTILES, histogram_quantile

    start, _ = _span(budget)
    step = budget.counts.grid.step_ms
    times = _times(budget)
    width = column_steps(len(times), step, WIDE_COLUMNS // 2)
    counts = column_sums(budget.bucket_counts[-len(times) :], width)
    edges = np.minimum(start + width * step * np.arange(len(counts) + 1), times[-1])
    least, most = threshold_seconds, threshold_seconds
    for name, quantile in PERCENTILES.items():
        found = histogram_quantile(quantile, budget.bounds, counts)
        if np.isfinite(found).any():
            positive = found[found > 0]
            least = min(least, float(positive.min())) if len(positive) else least
            most = max(most, float(np.nanmax(found)))
        _line(axes, (edges[1:] + edges[:-1]) / 2, np.where(found > 0, found, np.nan), name, name)
    axes.axhline(threshold_seconds, gid="limit", label="threshold", **LOOKS["limit"])
    if axes.get_yscale() != "log":
        axes.set_yscale("log")
    axes.set_xlim(start, period_end_ms(budget))
    axes.set_ylim(least / 1.3, most * 1.3)
    return width * step


def _ahead(budget: Budget, rate: float, end: float, last: float) -> tuple[list[float], list[float]]:
    """The line of a budget that goes on to be spent at a burn rate, until it is gone or the axis ends."""
    left, period = budget.remaining or 0.0, budget.slo.window.nominal_ms
    until = min(last, end + left * period / rate) if rate > 0 else last
    return [end, until], [left, left - rate * (until - end) / period]


def _span(budget: Budget) -> tuple[float, float]:
    return budget.start.timestamp() * 1000, budget.end.timestamp() * 1000


def _times(budget: Budget) -> NDArray[np.int64]:
    """The ends of the period's steps."""
    ends = budget.counts.grid.ends
    return ends[ends > budget.start.timestamp() * 1000]


def _line(axes: Axes, x: Any, y: Any, name: str, label: str) -> None:
    axes.plot(x, y, gid=name, label=label, **LOOKS[name])


def steps(axes: Axes, edges: Floats, values: Floats, name: str, label: str) -> None:
    """A line that stays level from each edge to the next."""
    axes.plot(np.repeat(edges, 2)[1:-1], np.repeat(values, 2), gid=name, label=label, **LOOKS[name])
