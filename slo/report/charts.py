"""The charts, each drawn on matplotlib axes: the page turns them into SVG, a notebook shows them as they are.

Times are milliseconds since the epoch on every x axis. The gid of an artist is its class in the page's style sheet.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slo.budget.forecast import CONFIDENCE
from slo.report import cached
from slo.report.downsample import column_most, column_steps, column_sums, keep
from slo.sli.counts import Counts, Grid
from slo.window import Calendar, moment, moment_ms

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slo.budget.model import Budget, Burn
    from slo.report.values import Values
    from slo.sli.base import Held

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
    "outage": {"facecolor": "#b3400c", "edgecolor": "none"},
    "limit": {"color": "#a8201a", "linewidth": 1.2, "linestyle": "--"},
    "p50": {"color": "#8d979f", "linewidth": 1.1, "linestyle": ":"},
    "p90": {"color": "#8d979f", "linewidth": 1.3},
    "p95": {"color": "#24598c", "linewidth": 1.8},
    "p99": {"color": "#8a5a00", "linewidth": 1.3},
}


def window_end_ms(budget: Budget) -> float:
    """Where the x axis ends: a calendar window shows the whole of its window."""
    end = budget.window_end if isinstance(budget.slo.window, Calendar) else budget.end
    return moment_ms(end)


def axis_end_ms(budget: Budget) -> float:
    """The right edge of a chart: beyond the window's end by a margin, so that what happens now is not on the edge."""
    start, end = _span(budget)
    return max(window_end_ms(budget), end + (end - start) / 70)


def within(budget: Budget, start: datetime, end: datetime) -> Budget:
    """The budget's counts of the steps from `start` to `end`, to be drawn. Raises ValueError without a step."""
    grid = budget.counts.grid
    steps = min(grid.steps, -(-(moment_ms(end) - grid.start_ms) // grid.step_ms))
    first = max(budget.start, start)
    if steps <= 0 or moment_ms(first) >= grid.start_ms + steps * grid.step_ms:
        raise ValueError(f"nothing was counted from {start} to {end}")
    cut = Grid(grid.start_ms + steps * grid.step_ms, grid.step_ms, steps)
    counts = Counts(cut, budget.counts.errors[:steps], budget.counts.total[:steps], budget.counts.seen)
    over = moment(cut.end_ms)
    # The first step is a whole one: times of steps are their ends.
    edge = grid.start_ms + (moment_ms(first) - grid.start_ms) // grid.step_ms * grid.step_ms
    return replace(
        budget,
        start=moment(edge),
        end=over,
        window_end=over,
        data_start=None if budget.data_start is None or budget.data_start <= first else budget.data_start,
        counts=counts,
        bucket_counts=budget.bucket_counts[:steps],
    )


def burn_down(axes: Axes, budget: Budget) -> None:
    """The share of the error budget that is left, from where the data begins, against consuming it evenly."""
    start, end = _span(budget)
    last = window_end_ms(budget)
    part = cached.timeline(budget)
    known = ~budget.before_data
    begin = start if budget.data_start is None else moment_ms(budget.data_start)
    left = np.concatenate([[1.0], part.budget_remaining[known]])
    times = np.concatenate([[begin], _times(budget)[known]])
    index = keep(left, COLUMNS)
    least = float(np.nanmin(left))
    _line(axes, [start, last], [1.0, 0.0], "ideal", "consumed evenly")
    if least < 0:
        axes.axhline(0, gid="limit", label="exhausted", **LOOKS["limit"])
    _line(axes, times[index], left[index], "main", "budget remaining")
    if budget.forecast is not None and last > end:
        forecast = budget.forecast
        for rate, name, label in (
            (forecast.low, "faint", f"{CONFIDENCE:.0%} range"),
            (forecast.high, "faint", ""),
            (forecast.pace, "forecast", "at the current pace"),
        ):
            _line(axes, *_ahead(budget, rate, end, last), name, label)
    axes.set_xlim(start, axis_end_ms(budget))
    axes.set_ylim(min(-0.04, least * 1.06), 1.06)


def error_ratio(axes: Axes, budget: Budget) -> tuple[int, int]:
    """The error ratio on an axis that is even up to the budget and logarithmic above; returns (milliseconds of a column, of a step)."""
    start, _ = _span(budget)
    part = cached.timeline(budget)
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
    if width > 1:
        steps(axes, edges, worst, "faint", "worst step in it")
    steps(axes, edges, ratio, "main", "error ratio")
    axes.axhline(allowed, gid="limit", label="error budget", **LOOKS["limit"])
    axes.set_xlim(start, axis_end_ms(budget))
    from_zero(axes, allowed, min(1.0, max(highest * 1.5, allowed * 4)))
    return width * step, step


def from_zero(axes: Axes, unit: float, top: float) -> None:
    """An axis with a zero: even from 0 to `unit`, which is as long as a power of ten is above it."""
    if getattr(axes.yaxis.get_transform(), "linthresh", None) != unit:
        axes.set_yscale("symlog", linthresh=unit, linscale=0.8)
    axes.set_ylim(-unit * 0.06, top * 1.15)


def value(axes: Axes, budget: Budget, values: Values, held: Held) -> None:
    """What is held against a bound: the highest and the lowest value of each column, and the bound."""
    start, _ = _span(budget)
    high_first = held.op in ("<", "<=")
    worst, best = (values.highest, values.lowest) if high_first else (values.lowest, values.highest)
    steps(axes, values.edges, best, "faint", "lowest" if high_first else "highest")
    steps(axes, values.edges, worst, "main", "highest" if high_first else "lowest")
    axes.axhline(held.bound, gid="limit", label="bound", **LOOKS["limit"])
    known = np.concatenate([values.highest, values.lowest, [held.bound]])
    known = known[np.isfinite(known)]
    low, high = min(0.0, float(known.min())), float(known.max())
    axes.set_xlim(start, axis_end_ms(budget))
    axes.set_ylim(low - (high - low) * 0.03, high + (high - low) * 0.12)


def outages(axes: Axes, budget: Budget, longest_ms: int) -> None:
    """Each outage as a bar, as high as it was long (in seconds), and how long one may be."""
    from matplotlib.patches import Rectangle

    start, _ = _span(budget)
    right = axis_end_ms(budget)
    for downtime in budget.downtimes:
        begin, over = moment_ms(downtime.start), moment_ms(downtime.end)
        width = max(over - begin, (right - start) / 150)  # to be seen at all
        left = min(max(begin, start), right - width)
        axes.add_patch(Rectangle((left, 0), width, downtime.seconds, gid="outage", label="outage", **LOOKS["outage"]))
    axes.axhline(longest_ms / 1000, gid="limit", label="longest allowed", **LOOKS["limit"])
    top = max([longest_ms / 1000, *(outage.seconds for outage in budget.downtimes)])
    axes.set_xlim(start, right)
    axes.set_ylim(-top * 0.02, top * 1.15)


def burn_rate(axes: Axes, budget: Budget, burn: Burn) -> None:
    """The burn rates over the two windows of one alert, on an axis that is even up to 1x and logarithmic above."""
    start, _ = _span(budget)
    times = _times(budget)
    factor = float(burn.window.factor)
    long = cached.burn_rates(budget, burn.window.long_ms)[-len(times) :]
    short = cached.burn_rates(budget, burn.window.short_ms)[-len(times) :]
    known = np.concatenate([long, short])
    highest = float(np.nanmax(known)) if np.isfinite(known).any() else factor
    for values, name, label in ((short, "faint", "short window"), (long, "main", "long window")):
        index = keep(values, COLUMNS // 4)
        _line(axes, times[index], values[index], name, label)
    axes.axhline(factor, gid="limit", label="fires above", **LOOKS["limit"])
    axes.set_xlim(start, axis_end_ms(budget))
    from_zero(axes, 1.0, max(highest, factor) * 1.4)


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
        seconds = histogram_quantile(quantile, budget.bounds, counts)
        if np.isfinite(seconds).any():
            positive = seconds[seconds > 0]
            least = min(least, float(positive.min())) if len(positive) else least
            most = max(most, float(np.nanmax(seconds)))
        _line(axes, (edges[1:] + edges[:-1]) / 2, np.where(seconds > 0, seconds, np.nan), name, name)
    axes.axhline(threshold_seconds, gid="limit", label="threshold", **LOOKS["limit"])
    if axes.get_yscale() != "log":
        axes.set_yscale("log")
    axes.set_xlim(start, axis_end_ms(budget))
    axes.set_ylim(least / 1.3, most * 1.3)
    return width * step


def _ahead(budget: Budget, rate: float, end: float, last: float) -> tuple[list[float], list[float]]:
    """The line of a budget that goes on to be consumed at a burn rate, until it is gone or the axis ends."""
    left, period = budget.remaining or 0.0, budget.slo.window.nominal_ms
    until = min(last, end + left * period / rate) if rate > 0 else last
    return [end, until], [left, left - rate * (until - end) / period]


def _span(budget: Budget) -> tuple[float, float]:
    return budget.start_ms, budget.end_ms


def _times(budget: Budget) -> NDArray[np.int64]:
    """The ends of the window's steps."""
    ends = budget.counts.grid.ends
    return ends[ends > budget.start_ms]


def _line(axes: Axes, x: Any, y: Any, name: str, label: str) -> None:
    axes.plot(x, y, gid=name, label=label, **LOOKS[name])


def steps(axes: Axes, edges: Floats, values: Floats, name: str, label: str) -> None:
    """A line that stays level from each edge to the next."""
    axes.plot(np.repeat(edges, 2)[1:-1], np.repeat(values, 2), gid=name, label=label, **LOOKS[name])
