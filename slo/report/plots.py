"""The report's charts on matplotlib axes, for notebooks: `budget.plot()` and `result.plot("shop/availability")`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from slo.report import axis, charts
from slo.window import format_duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slo.backtest.model import Backtest
    from slo.budget.model import Budget

Kind = Literal["burn_down", "error_ratio", "burn_rate", "latency"]
KINDS: tuple[Kind, ...] = ("burn_down", "error_ratio", "burn_rate", "latency")
INCIDENT = "#f7ddd8"
BEFORE = "#c9cfd4"
PAGE, TICKET = "#a8201a", "#8a5a00"


def plot_budget(
    budget: Budget,
    kind: Kind = "burn_down",
    axes: Axes | None = None,
    span: tuple[datetime, datetime] | None = None,
) -> Axes:
    """One chart of a budget, incidents shaded; `burn_rate` is that of its first alert, `span` a part of the period.

    Raises ValueError where there is nothing to draw.
    """
    if span is not None and kind != "burn_down":
        budget = charts.within(budget, *span)
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no chart; there are {', '.join(KINDS)}")
    if budget.invalid:
        raise ValueError(f"{budget.slo.id} has nothing to draw: its figures are invalid: {budget.invalid[0].text}")
    if budget.remaining is None:
        raise ValueError(f"{budget.slo.id} has nothing to draw: no events in the period")
    drawn = _new() if axes is None else axes
    title = f"{budget.slo.id}: "
    match kind:
        case "burn_down":
            charts.burn_down(drawn, budget)
            if span is not None:
                drawn.set_xlim(*(at.timestamp() * 1000 for at in span))
            _ticks(drawn, axis.share_ticks(*drawn.get_ylim()))
            title += "error budget left"
        case "error_ratio":
            column, _ = charts.error_ratio(drawn, budget)
            _ticks(drawn, axis.ratio_ticks(budget.error_budget, drawn.get_ylim()[1]))
            title += f"error ratio per {format_duration(column)}"
        case "burn_rate":
            if not budget.burns:
                raise ValueError(f"{budget.slo.id} has no alerts")
            charts.burn_rate(drawn, budget, budget.burns[0])
            _ticks(drawn, axis.rate_ticks(drawn.get_ylim()[1]))
            window = budget.burns[0].window
            title += f"burn rate over {format_duration(window.long_ms)} and {format_duration(window.short_ms)}"
        case "latency":
            if (limit := budget.slo.sli.latency_limit_seconds) is None or not budget.bucket_counts.size:
                raise ValueError(f"{budget.slo.id} has no latency to draw")
            column = charts.latency(drawn, budget, limit)
            _ticks(drawn, axis.latency_ticks(*drawn.get_ylim()))
            title += f"latency per {format_duration(column)}"
    low, high = drawn.get_xlim()
    if budget.data_start is not None and (begun := budget.data_start.timestamp() * 1000) > low:
        drawn.axvspan(
            low, begun, facecolor="none", edgecolor=BEFORE, hatch="//", linewidth=0, zorder=0, label="no data yet"
        )
    _shade(drawn, [(one.start.timestamp() * 1000, one.end.timestamp() * 1000) for one in budget.incidents])
    drawn.set_xlim(low, high)
    return _finished(drawn, title)


def plot_backtest(result: Backtest, slo: str | None = None, axes: Axes | None = None) -> Axes:
    """An SLO's error ratio with its incidents, and above it what each policy's alerts did: pages over tickets.

    Without `slo` it is the first one. Raises KeyError for one that is not there.
    """
    from slo.report.backtests import error_ratio

    name = next(iter(result.slos)) if slo is None else slo
    drawn = _new() if axes is None else axes
    span = (result.start_ms, result.end_ms)
    allowed = float(result.slos[name].objective.error_budget)
    error_ratio(drawn, result.timelines[name], allowed, span)
    low, high = drawn.get_ylim()
    _ticks(drawn, axis.ratio_ticks(allowed, high))
    _shade(drawn, [(one.start_ms, one.end_ms) for one in result.incidents[name]])
    # Lanes stand above the ratio, where the axis is logarithmic.
    lane = (high / allowed) ** 0.1
    for played in result.policies:
        for page, colour in ((True, PAGE), (False, TICKET)):
            kind = "pages" if page else "tickets"
            drawn.text(
                1.01, high * lane**0.35, f"{played.name}: {kind}", fontsize=8, transform=drawn.get_yaxis_transform()
            )
            for one in played.outcomes[name].firings:
                if one.page is page:
                    face = colour if one.right else "none"
                    edges = [one.start_ms, one.end_ms]
                    drawn.fill_between(edges, high, high * lane**0.7, facecolor=face, edgecolor=colour, linewidth=1.5)
            high *= lane
    drawn.set_ylim(low, high)
    return _finished(drawn, f"{name}: error ratio, incidents, and what fired")


def _new() -> Axes:
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(10, 3.4), layout="constrained")[1]


def _ticks(axes: Axes, found: Sequence[tuple[float, str]]) -> None:
    axes.set_yticks([value for value, _ in found], [text for _, text in found])
    axes.minorticks_off()
    across = axis.time_ticks(*axes.get_xlim())
    axes.set_xticks([value for value, _ in across], [text for _, text in across])
    axes.grid(color="#e6e8e6", linewidth=0.6)


def _shade(axes: Axes, spans: Sequence[tuple[float, float]]) -> None:
    for number, (start, end) in enumerate(spans):
        axes.axvspan(start, end, color=INCIDENT, zorder=0, label="incident" if not number else None)


def _finished(axes: Axes, title: str) -> Axes:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=4, frameon=False, fontsize=8)
    return axes
