"""Where latencies lay over time, and which days consumed the budget."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from slo.budget.model import Budget
from slo.display import NOTHING, show_count, show_latency, show_percent
from slo.report.charts import axis_end_ms
from slo.report.downsample import column_steps, column_sums
from slo.report.svg import HEIGHT, WIDTH, Plot, Tick
from slo.spans import stretches
from slo.window import DAY, MINUTE, WEEK, Calendar, midnight, zone_of

LEVELS = 6
_COLUMNS = 90
_LABELS = 7
_ENOUGH = 20  # requests, of which one is less than a twentieth of a picture


def latency_heatmap(budget: Budget, threshold_seconds: float, x: Sequence[Tick]) -> tuple[Plot, int]:
    """(a row per bucket, a column per stretch of time, darker where more of its requests lie; a column's length in ms).

    The shade goes by the root of the share of the column's requests, so that one request in a hundred is still seen. Above
    the threshold it is the share in the column's worst quarter of an hour: a short incident does not fade in a long column.
    """
    step = budget.counts.grid.step_ms
    start = budget.start_ms
    steps = round((budget.end_ms - start) / step)
    width = column_steps(steps, step, _COLUMNS)
    counts = column_sums(budget.bucket_counts[-steps:], width)
    inside = np.diff(np.maximum.accumulate(counts, axis=1), axis=1, prepend=0.0)
    used = np.flatnonzero(inside.sum(axis=0) > 0)
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, len(budget.bounds))
    inside, bounds = inside[:, low:high], budget.bounds[low:high]
    total = inside.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, inside / total, 0.0)
    bad = bounds > threshold_seconds * (1 + 1e-9)
    share[:, bad] = np.maximum(share[:, bad], _worst(budget, steps, width, low, high)[:, bad])
    level = np.ceil(np.sqrt(share) * LEVELS - 1e-9).astype(int)
    edges = np.minimum(np.arange(len(level) + 1) * width, steps) * step / (axis_end_ms(budget) - start)
    across = np.round(edges * WIDTH).astype(int)
    up = np.round(np.linspace(HEIGHT, 0, len(bounds) + 1)).astype(int)
    shapes = Markup("").join(
        Markup('<path class="{}{}" d="{}"/>').format(name, shade, path)
        for name, rows in (("h", ~bad), ("b", bad))
        for shade in range(1, LEVELS + 1)
        if (path := _cells((level == shade) & rows, across, up))
    )
    every = max(1, -(-len(bounds) // _LABELS))
    y = [
        Tick(round(float(up[row + 1]) / HEIGHT * 100, 2), show_latency(float(bound)))
        for row, bound in enumerate(bounds)
        if np.isfinite(bound) and row < len(bounds) - 1 and row % every == 0
    ]
    legend = [("h1", "few"), (f"h{LEVELS}", "all of a column's requests")]
    if (level[:, bad] > 0).any():
        legend.append((f"b{LEVELS}", "too slow, in the worst 15m of a column"))
    at = np.flatnonzero(np.isclose(bounds, threshold_seconds))
    if len(at) and at[0] < len(bounds) - 1:
        shapes += Markup('<path class="limit" d="M0 {}h{}"/>').format(int(up[at[0] + 1]), WIDTH)
        legend.append(("limit", "threshold"))
    return Plot(shapes, x, y, legend), width * step


def _worst(budget: Budget, steps: int, width: int, low: int, high: int) -> NDArray[np.float64]:
    """The greatest share (0..1) of each bucket in a quarter of an hour of a column; of those with enough requests to tell."""
    part = max(1, min(width, 15 * MINUTE // budget.counts.grid.step_ms))
    while width % part:
        part -= 1
    counts = column_sums(budget.bucket_counts[-steps:], part)
    inside = np.diff(np.maximum.accumulate(counts, axis=1), axis=1, prepend=0.0)[:, low:high]
    total = inside.sum(axis=1, keepdims=True)
    share = np.where(total >= _ENOUGH, inside / np.maximum(total, 1.0), 0.0)
    return np.asarray(np.maximum.reduceat(share, np.arange(0, len(share), width // part), axis=0))


def _cells(chosen: NDArray[np.bool_], across: NDArray[np.int_], up: NDArray[np.int_]) -> str:
    """Rectangles of the chosen (column, row) cells, neighbours of a row joined."""
    parts = []
    for row in range(chosen.shape[1]):
        for left, right in stretches(chosen[:, row]):
            width, height = across[right] - across[left], up[row] - up[row + 1]
            parts.append(f"M{across[left]} {up[row + 1]}h{width}v{height}h{-width}z")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the window, of a long one a week: what it consumed, and how much that is alongside an even one (0 to 5).

    `level` is None, and `consumed` is n/a, where nothing is known of it.
    """

    date: str
    consumed: str
    level: int | None
    title: str
    column: int


def cells(budget: Budget) -> tuple[str, tuple[Day, ...]]:
    """(`day` or `week`, what each of the window consumed); none for windows below a week, or where nothing was counted.

    Days are those of UTC, of a calendar window those of its time zone. A window of over a hundred days is shown by weeks from
    Monday. A day or week without data, or without events, is n/a:
    it consumed nothing that is known.
    """
    allowed = budget.allowed_errors
    if budget.slo.window.nominal_ms < 7 * DAY or budget.remaining is None or allowed <= 0:
        return "", ()
    weekly = budget.slo.window.nominal_ms > 100 * DAY
    zone = budget.slo.window.zone if isinstance(budget.slo.window, Calendar) else "UTC"
    dates = _dates(budget, zone, weekly)
    edges = np.array([midnight(date, zone) for date in dates])
    grid, part = budget.counts.grid, slice(-len(budget.before_data), None)
    ends = grid.ends[part]
    number = np.searchsorted(edges, ends - 1, side="right") - 1
    errors = np.bincount(number, weights=budget.counts.errors[part], minlength=len(dates))
    total = np.bincount(number, weights=budget.counts.total[part], minlength=len(dates))
    known = np.bincount(number, weights=~_unknown(budget, ends), minlength=len(dates)) > 0
    even = (WEEK if weekly else DAY) / budget.slo.window.nominal_ms
    days = []
    for date, bad, events, known_day in zip(dates, errors.tolist(), total.tolist(), known.tolist(), strict=True):
        share = bad / allowed
        seen = known_day and events > 0
        level = int(np.searchsorted([0, 0.25 * even, even, 3 * even, 10 * even], share, side="left")) if seen else None
        title = f"{'week from' if weekly else f'{date:%a}'} {date.day} {date:%b}: "
        if seen:
            title += f"{show_count(bad)} bad of {show_count(events)} events, {show_percent(share, 2)} of the budget"
        else:
            title += "no data" if not known_day else "no events"
        consumed = NOTHING if not seen else show_percent(share) if bad else "0%"
        days.append(Day(f"{date.day} {date:%b}", consumed, level, title, 1 if weekly else date.isoweekday()))
    return "week" if weekly else "day", tuple(days)


def _dates(budget: Budget, zone: str, weekly: bool) -> list[datetime.date]:
    """The days, or the Mondays, on which each stretch of the window begins, in a time zone."""
    first, last = (
        at.astimezone(zone_of(zone)).date() for at in (budget.start, budget.end - datetime.timedelta(milliseconds=1))
    )
    if weekly:
        first -= datetime.timedelta(days=first.weekday())
    every = 7 if weekly else 1
    return [first + datetime.timedelta(days=days) for days in range(0, (last - first).days + 1, every)]


def _unknown(budget: Budget, ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which steps lie before the data begins, or within a gap: what counters carry over is not of the gap's days."""
    step = budget.counts.grid.step_ms
    unknown = budget.before_data.copy()
    for gap in budget.gaps:
        unknown |= (ends - step >= gap.start_ms) & (ends <= gap.end_ms)
    return np.asarray(unknown & (budget.counts.total[-len(ends) :] == 0))
