"""Figures as people look at them in a notebook: tables (DataFrames), the report's charts on matplotlib axes, and HTML.

Figures know nothing of this module: `slo.plot(budget)`, `slo.timeline(budget)`. In Jupyter a budget and a backtest show themselves,
as `import slo` there registers `to_html` with IPython (`%load_ext slo` does so where IPython was started later).
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

from slo.backtest.model import Backtest
from slo.budget.breakdown import Breakdown, by_label
from slo.budget.model import Budget
from slo.budget.quantile import PERCENTILES, histogram_quantile
from slo.display import show_count, show_percent, show_points, show_rate, show_share
from slo.sli.counts import Part
from slo.window import format_duration, moment, moment_ms

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Kind = Literal["burn_down", "error_ratio", "burn_rate", "latency"]
KINDS: tuple[Kind, ...] = ("burn_down", "error_ratio", "burn_rate", "latency")
INCIDENT = "#f7ddd8"
BEFORE = "#c9cfd4"
PAGE, TICKET = "#a8201a", "#8a5a00"


def summary(budgets: Iterable[Budget]) -> pd.DataFrame:
    """A table of budgets, a row for each, in their order.

    Args:
        budgets: The budgets, or a review.

    Returns:
        Indexed by the SLO's id. Columns: `service`, `owner`, `objective` (percent), `window`, `state`, `sli`, `error_ratio`, `consumed`,
            `remaining` (ratios), `errors`, `total` (events), `burn_1h`, `burn_6h`, `burn_3d` (burn rates), `coverage` (0..1), `exhaustion`
            (UTC). Unknown figures are NaN or NaT.
    """
    import pandas as pd

    rows = [
        {
            "slo": budget.slo.id,
            "service": budget.slo.service,
            "owner": budget.slo.owner,
            "objective": float(budget.slo.objective.percent),
            "window": str(budget.slo.window),
            "state": budget.state.value,
            **{
                name: getattr(budget, name)
                for name in ("sli", "error_ratio", "consumed", "remaining", "errors", "total")
            },
            **{f"burn_{window}": budget.burn_rate(window) for window in ("1h", "6h", "3d")},
            "coverage": budget.coverage,
            "exhaustion": budget.exhaustion,
        }
        for budget in budgets
    ]
    texts = ("slo", "service", "owner", "window", "state")
    columns = (
        *texts[:3], "objective", *texts[3:], "sli", "error_ratio", "consumed", "remaining", "errors", "total", "burn_1h", "burn_6h",
        "burn_3d", "coverage", "exhaustion",
    )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(columns))
    table["exhaustion"] = pd.to_datetime(table["exhaustion"], utc=True)
    numbers = [column for column in columns if column not in (*texts, "exhaustion")]
    table[numbers] = table[numbers].astype(float)
    return table.set_index("slo")


def timeline(budget: Budget) -> pd.DataFrame:
    """A budget step by step.

    Args:
        budget: The budget.

    Returns:
        A row per step of the window, indexed by its end (UTC). Columns: `errors`, `good`, `total` (events), `error_ratio` and `sli` (0..1,
            NaN without traffic), and `budget_remaining`: the share of the window's budget that remains after the step (it ends at
            `budget.remaining`). All are NaN before the data begins.
    """
    import pandas as pd

    line = budget.timeline
    columns = ("errors", "good", "total", "error_ratio", "sli", "budget_remaining")
    return pd.DataFrame({column: getattr(line, column) for column in columns}, index=_index(budget))


def burn_timeline(budget: Budget) -> pd.DataFrame:
    """Burn rates step by step.

    Args:
        budget: The budget.

    Returns:
        A row per step of the window, indexed by its end (UTC), and a column for each window of its alerts (`1h`): burn rates, NaN
            where they are not known.
    """
    import pandas as pd

    lengths = sorted({length for burn in budget.burns for length in (burn.window.long_ms, burn.window.short_ms)})
    rates = {format_duration(length): budget.burn_rates(length)[budget.steps] for length in lengths}
    return pd.DataFrame(rates, index=_index(budget))


def percentiles(budget: Budget) -> pd.DataFrame:
    """Latency step by step.

    Args:
        budget: The budget of a latency SLI.

    Returns:
        A row per step of the window, indexed by its end (UTC). Columns: `p50`, `p90`, `p95`, `p99`, in seconds. Empty for other kinds of
            SLI.
    """
    import pandas as pd

    if not budget.bucket_counts.size:
        return pd.DataFrame(index=_index(budget)[:0], columns=list(PERCENTILES), dtype=float)
    counts = budget.bucket_counts[budget.steps]
    columns = {name: histogram_quantile(q, budget.bounds, counts) for name, q in PERCENTILES.items()}
    return pd.DataFrame(columns, index=_index(budget))


def incidents(budget: Budget) -> pd.DataFrame:
    """The incidents of a budget.

    Args:
        budget: The budget.

    Returns:
        A row per incident. Columns: `start`, `end` (UTC), `seconds`, `errors`, `total` (events), `error_ratio`, `budget_share` (ratios).
    """
    import pandas as pd

    columns = ["start", "end", "seconds", "errors", "total", "error_ratio", "budget_share"]
    return pd.DataFrame(
        [[getattr(incident, column) for column in columns] for incident in budget.incidents], columns=columns
    )


def top_contributors(budget: Budget, label: str) -> pd.DataFrame:
    """What each value of a label had of the window's events, most bad events first.

    Args:
        budget: The budget.
        label: The label, such as `instance`.

    Returns:
        A row per value, indexed by it. Columns: `errors`, `total` (events), `error_ratio`, `errors_share` and `total_share` (0..1).

    Raises:
        KeyError: No series differ by the label; the message names the labels that there are.
    """
    tables = tables_by_label(budget.counts.parts or (), budget.slo.sli.kind_labels)
    if label not in tables:
        raise KeyError(f"{label!r} divides no series of {budget.slo.id}; there are {', '.join(tables) or 'none'}")
    return tables[label]


def tables_by_label(parts: Sequence[Part], kinds: frozenset[str] = frozenset()) -> Mapping[str, pd.DataFrame]:
    """A table as `top_contributors` gives it, for every label that has several values."""
    return {label: _table(breakdown) for label, breakdown in by_label(parts, kinds).items()}


def _table(breakdown: Breakdown) -> pd.DataFrame:
    import pandas as pd

    columns = ["errors", "total", "error_ratio", "errors_share", "total_share"]
    rows = [[getattr(share, column) for column in columns] for share in breakdown.shares]
    index = pd.Index([share.value for share in breakdown.shares], name=breakdown.label)
    return pd.DataFrame(rows, index=index, columns=columns).astype(float)


def _index(budget: Budget) -> pd.DatetimeIndex:
    import pandas as pd

    ends = budget.counts.grid.ends[budget.steps]
    return pd.DatetimeIndex(pd.to_datetime(ends, unit="ms", utc=True), name="time")


@overload
def plot(
    figures: Budget,
    what: Kind = "burn_down",
    *,
    ax: Axes | None = None,
    span: tuple[datetime | int | str, datetime | int | str] | None = None,
) -> Axes: ...


@overload
def plot(figures: Backtest, what: str | None = None, *, ax: Axes | None = None) -> Axes: ...


def plot(
    figures: Budget | Backtest,
    what: str | None = None,
    *,
    ax: Axes | None = None,
    span: tuple[datetime | int | str, datetime | int | str] | None = None,
) -> Axes:
    """One of the report's charts on matplotlib axes.

    Args:
        figures: A budget or a backtest.
        what: Of a budget `burn_down` (the default), `error_ratio`, `burn_rate` (of its first alert) or `latency`, with incidents
            shaded. Of a backtest an SLO's id (the default is the first): its error ratio with its incidents, and above it what
            each policy's alerts did, pages over tickets.
        ax: The axes to draw on; without it those of a figure of its own.
        span: A part of the budget's window: two moments, as in `evaluate`.

    Returns:
        The axes; times are milliseconds UTC.

    Raises:
        ValueError: There is nothing to draw, or `what` is not a chart.
        KeyError: The backtest has no such SLO.
        DurationError: A moment of `span` is not valid.

    Examples:
        >>> slo.plot(budget, "error_ratio", ax=axes)  # doctest: +SKIP
    """
    from matplotlib import pyplot

    def axes() -> Axes:
        return pyplot.subplots(figsize=(10, 3.4), layout="constrained")[1] if ax is None else ax

    if isinstance(figures, Backtest):
        return _plot_backtest(figures, what, axes)
    ends = None if span is None else (moment(moment_ms(span[0])), moment(moment_ms(span[1])))
    return _plot_budget(figures, what or "burn_down", axes, ends)


def _plot_budget(budget: Budget, kind: str, axes: Callable[[], Axes], span: tuple[datetime, datetime] | None) -> Axes:
    from slo.report import axis, charts

    if span is not None and kind != "burn_down":
        budget = charts.within(budget, *span)
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a chart; there are {', '.join(KINDS)}")
    if budget.invalid:
        raise ValueError(f"{budget.slo.id} has nothing to draw: its figures are invalid: {budget.invalid[0].text}")
    if budget.remaining is None:
        raise ValueError(f"{budget.slo.id} has nothing to draw: no events in the window")
    drawn = axes()
    title = f"{budget.slo.id}: "
    match kind:
        case "burn_down":
            charts.burn_down(drawn, budget)
            if span is not None:
                drawn.set_xlim(*(moment_ms(at) for at in span))
            _ticks(drawn, axis.share_ticks(*drawn.get_ylim()))
            title += "error budget remaining"
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
    if budget.data_start is not None and (begun := moment_ms(budget.data_start)) > low:
        drawn.axvspan(
            low, begun, facecolor="none", edgecolor=BEFORE, hatch="//", linewidth=0, zorder=0, label="no data yet"
        )
    _shade(drawn, [(moment_ms(incident.start), moment_ms(incident.end)) for incident in budget.incidents])
    drawn.set_xlim(low, high)
    return _finished(drawn, title)


def _plot_backtest(result: Backtest, slo: str | None, axes: Callable[[], Axes]) -> Axes:
    from slo.report import axis
    from slo.report.backtests import error_ratio

    name = next(iter(result.slos)) if slo is None else slo
    drawn = axes()
    span = (result.start_ms, result.end_ms)
    allowed = float(result.slos[name].objective.error_budget)
    error_ratio(drawn, result.timelines[name], allowed, span)
    low, high = drawn.get_ylim()
    _ticks(drawn, axis.ratio_ticks(allowed, high))
    _shade(drawn, [(incident.start_ms, incident.end_ms) for incident in result.incidents[name]])
    # Lanes stand above the ratio, where the axis is logarithmic.
    lane = (high / allowed) ** 0.1
    for played in result.policies:
        for page, colour in ((True, PAGE), (False, TICKET)):
            kind = "pages" if page else "tickets"
            drawn.text(
                1.01, high * lane**0.35, f"{played.name}: {kind}", fontsize=8, transform=drawn.get_yaxis_transform()
            )
            for firing in played.outcomes[name].firings:
                if firing.page is page:
                    face = colour if firing.right else "none"
                    edges = [firing.start_ms, firing.end_ms]
                    drawn.fill_between(edges, high, high * lane**0.7, facecolor=face, edgecolor=colour, linewidth=1.5)
            high *= lane
    drawn.set_ylim(low, high)
    return _finished(drawn, f"{name}: error ratio, incidents, and what fired")


def _ticks(axes: Axes, ticks: Sequence[tuple[float, str]]) -> None:
    from slo.report import axis

    axes.set_yticks([value for value, _ in ticks], [text for _, text in ticks])
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


def to_html(figures: Budget | Backtest) -> str:
    """A budget or a backtest as an HTML table, as Jupyter shows it."""
    if isinstance(figures, Backtest):
        return str(figures.summary.to_html(float_format=lambda value: f"{value:.4g}"))
    budget = figures
    rows = [
        ("state", budget.state.value),
        ("objective", f"{budget.slo.objective} over {budget.slo.window}"),
        ("SLI", show_percent(budget.sli, 4)),
        ("budget remaining", show_percent(budget.remaining)),
        *([("change", f"{show_points(budget.change)} since {budget.earlier.end:%Y-%m-%d}")] if budget.earlier else []),
        (
            "bad events",
            f"{show_count(budget.errors)} of {show_count(budget.total)}; {show_count(budget.allowed_errors)} allowed",
        ),
        ("burn rate 1 h / 6 h / 3 d", " / ".join(show_rate(budget.burn_rate(w)) for w in ("1h", "6h", "3d"))),
        (
            "period",
            f"{budget.start:%Y-%m-%d %H:%M} to {budget.end:%Y-%m-%d %H:%M} UTC, {show_share(budget.coverage)} covered",
        ),
        *[("note", note.text) for note in budget.notes],
    ]
    body = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in rows)
    return f"<table><caption>{html.escape(budget.slo.id)}</caption>{body}</table>"


def register(shell: Any) -> None:
    """Makes an IPython shell show budgets and backtests as HTML."""
    formatter = shell.display_formatter.formatters["text/html"]
    formatter.for_type(Budget, to_html)
    formatter.for_type(Backtest, to_html)
