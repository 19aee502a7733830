"""An SLO's charts as inline SVG, with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from markupsafe import Markup

from slo.budget.model import Budget
from slo.display import show_duration, show_latency, show_percent, show_rate, show_value
from slo.report import axis, cached, charts, sentences, series
from slo.report.downsample import keep
from slo.report.heatmap import latency_heatmap
from slo.report.svg import HEIGHT, WIDTH, Plot, canvas, path_data, plot, rectangle
from slo.report.text import clean
from slo.report.values import Values
from slo.sli.base import Held
from slo.window import format_duration, moment_ms

_LATELY = timedelta(hours=24)  # what burns is shown in so much detail
_HATCH = 100  # between the lines of what is hatched, of WIDTH


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its frame: `unit` names the y axis, `summary` says for a screen reader what is to be seen."""

    title: str
    unit: str
    summary: str
    plot: Plot
    bands: Markup
    small: bool = False
    firing: bool = False
    span: tuple[int, int, int] = (0, 0, 0)  # milliseconds at the left and the right edge, and where the counts end
    series: tuple[series.StepSeries, ...] = ()


def draw(budget: Budget, values: Values | None = None) -> tuple[Chart, ...]:
    """The charts of one SLO; none where nothing was counted. `values` are those that it holds against a bound."""
    if budget.remaining is None:
        return ()
    ratios = [_burn_down(budget), _main(budget, values)]
    if any(burn.firing for burn in budget.burns) and budget.end - budget.start > _LATELY:
        ratios.append(_error_ratio(charts.within(budget, budget.end - _LATELY, budget.end), "Error ratio, last 24 h"))
    limit = budget.slo.sli.latency_limit_seconds
    if budget.bucket_counts.size and limit is not None:
        ratios += _latency(budget, limit)
    return (*ratios, *_burn_rates(budget))


def sparkline(budget: Budget) -> Markup:
    """The burn-down as bare line and area; empty where nothing was counted."""
    if budget.remaining is None:
        return Markup("")
    left = cached.timeline(budget).budget_remaining
    before = int(budget.before_data.sum())  # steps: the line begins where the data does
    left, steps = left[before:], len(left)
    index = keep(left, 14)
    low, high = min(0.0, float(left.min())), 1.0
    across = (before + index + 1) / steps * WIDTH
    down = (high - left[index]) / (high - low) * (HEIGHT - 80) + 40
    from matplotlib.path import Path

    line = path_data(
        Path(np.column_stack([np.append(before / steps * WIDTH, across), np.append(40, down)]), _codes(len(index) + 1))
    )
    zero = round((high - 0.0) / (high - low) * (HEIGHT - 80) + 40)
    return Markup('<path class="spark-zero" d="M0 {}h{}"/><path class="spark-line" d="{}"/>').format(zero, WIDTH, line)


def _codes(count: int) -> list[int]:
    return [1] + [2] * (count - 1)


def _burn_down(budget: Budget) -> Chart:
    axes = canvas()
    charts.burn_down(axes, budget)
    return Chart(
        title="Error budget remaining",
        unit="share of the budget",
        summary=f"Burn-down of the error budget: {show_percent(budget.remaining)} is left at the end.",
        plot=plot(axes, _times(budget), axis.share_ticks(*axes.get_ylim())),
        bands=_bands(budget),
        span=_edges(budget),
        series=series.of_budget_remaining(budget),
    )


def _main(budget: Budget, values: Values | None) -> Chart:
    """What the SLI judges over time: the value against its bound, outages, or the error ratio."""
    held, longest = budget.slo.sli.held, budget.slo.sli.longest_outage_ms
    if held is not None and values is not None:
        return _value(budget, values, held)
    return _error_ratio(budget) if longest is None else _outages(budget, longest)


def _value(budget: Budget, values: Values, held: Held) -> Chart:
    axes = canvas()
    charts.value(axes, budget, values, held)
    drawn = plot(axes, _times(budget), axis.value_ticks(*axes.get_ylim(), held.unit))
    bound = f"good {sentences.OPERATORS[held.op]} {show_value(held.bound, held.unit)}"
    legend = [(css, bound if label == "bound" else label) for css, label in drawn.legend]
    per = format_duration(round(values.edges[1] - values.edges[0]))
    return Chart(
        title="Measured value",
        unit=f"of the worst series, now {show_value(values.now, held.unit)}; per {per}",
        summary=f"The measured value over time, now {show_value(values.now, held.unit)}; good {sentences.OPERATORS[held.op]} "
        f"{show_value(held.bound, held.unit)}. {_incidents(budget)} shaded.",
        plot=Plot(drawn.shapes, drawn.x, drawn.y, legend),
        bands=_bands(budget) + _firings(budget),
        span=_edges(budget),
        series=series.of_values(values, held),
    )


def _outages(budget: Budget, longest_ms: int) -> Chart:
    axes = canvas()
    charts.outages(axes, budget, longest_ms)
    drawn = plot(axes, _times(budget), axis.value_ticks(*axes.get_ylim(), "seconds"))
    longest = f"bad from {format_duration(longest_ms)} on"
    legend = [(css, longest if css == "limit" else label) for css, label in drawn.legend]
    count = len(budget.downtimes)
    outages = f"{count} outage{'' if count == 1 else 's'}" if count else "no outage in the window"
    return Chart(
        title="Outages",
        unit=f"how long each was; {outages}",
        summary=f"Outages over time, as high as they were long: {outages}; those of {format_duration(longest_ms)} or "
        "longer consume the budget.",
        plot=Plot(drawn.shapes, drawn.x, drawn.y, legend),
        bands=_bands(budget) + _firings(budget),
        span=_edges(budget),
        series=series.of_error_ratio(budget),
    )


def _error_ratio(budget: Budget, title: str = "Error ratio") -> Chart:
    axes = canvas("symlog")
    column, step = charts.error_ratio(axes, budget)
    worst = f"worst {format_duration(step)} in it"
    drawn = plot(axes, _times(budget), axis.ratio_ticks(budget.error_budget, axes.get_ylim()[1]))
    legend = [(css, worst if label.startswith("worst") else label) for css, label in drawn.legend]
    return Chart(
        title=title,
        unit=f"bad ÷ all events per {format_duration(column)}, logarithmic above the budget",
        summary=f"Error ratio over time, with {_incidents(budget)} shaded, against an error budget of "
        f"{show_percent(budget.error_budget, 4)}.",
        plot=Plot(drawn.shapes, drawn.x, drawn.y, legend),
        bands=_bands(budget) + _firings(budget),
        span=_edges(budget),
        series=series.of_error_ratio(budget),
    )


def _firings(budget: Budget) -> Markup:
    """Pages and tickets that fired, as bars along the top."""
    start, end = budget.start_ms, charts.axis_end_ms(budget)
    rectangles = []
    for severity, top in (("page", 0), ("ticket", 45)):
        for begin, over in budget.firings(severity)[-100:]:
            left, right = ((moment_ms(at) - start) / (end - start) for at in (begin, over))
            reported = (
                f"a {severity} fired, {sentences.say_moment(begin)} for {show_duration((over - begin).total_seconds())}"
            )
            rectangles.append(rectangle(f"fired-{severity}", left, right, reported, top, 38))
    return Markup("").join(rectangles)


def _latency(budget: Budget, limit: float) -> list[Chart]:
    axes = canvas("log")
    column = charts.latency(axes, budget, limit)
    drawn = plot(axes, _times(budget), axis.latency_ticks(*axes.get_ylim()))
    shown = ", ".join(f"{name} {show_latency(value)}" for name, value in budget.quantiles.items())
    heat, stretch = latency_heatmap(budget, limit, drawn.x)
    percentiles = Chart(
        title="Latency percentiles",
        unit=f"of all requests per {format_duration(column)}, logarithmic",
        summary=f"Latency percentiles over time; over the window {shown}.",
        plot=drawn,
        bands=_bands(budget),
        span=_edges(budget),
        series=series.of_latency(budget),
    )
    heatmap = Chart(
        title="Latency heatmap",
        unit=f"share of requests per {format_duration(stretch)} and bucket",
        summary="Where latencies lay over time: a row per bucket of the histogram, darker where more requests are.",
        plot=heat,
        bands=_before(budget),
        span=_edges(budget),
    )
    return [percentiles, heatmap]


def _burn_rates(budget: Budget) -> Sequence[Chart]:
    drawings = []
    for burn in budget.burns:
        axes = canvas("symlog", "burn rates")
        charts.burn_rate(axes, budget, burn)
        long, short = format_duration(burn.window.long_ms), format_duration(burn.window.short_ms)
        factor = show_rate(float(burn.window.factor))
        names = {
            "long window": f"{long}, now {show_rate(burn.long)}",
            "short window": f"{short}, now {show_rate(burn.short)}",
        }
        names["fires above"] = f"{burn.window.severity}s above {factor}"
        drawn = plot(axes, _times(budget, 4), axis.rate_ticks(axes.get_ylim()[1]))
        legend = [(css, names.get(label, label)) for css, label in drawn.legend]
        drawings.append(
            Chart(
                title=f"Burn rate over {long} and {short}",
                unit="error ratio ÷ budget",
                summary=f"Burn rates over {long} (now {show_rate(burn.long)}) and {short} (now {show_rate(burn.short)}); "
                f"a {burn.window.severity} fires when both are above {factor}.",
                plot=Plot(drawn.shapes, drawn.x, drawn.y, legend),
                bands=_before(budget),
                span=_edges(budget),
                series=series.of_burn_rate(budget, burn),
                small=True,
                firing=burn.firing,
            )
        )
    return drawings


def _edges(budget: Budget) -> tuple[int, int, int]:
    start, end = budget.start_ms, budget.end_ms
    return start, round(charts.axis_end_ms(budget)), end


def _times(budget: Budget, most: int = 6) -> list[tuple[float, str]]:
    return axis.time_ticks(budget.start_ms, charts.axis_end_ms(budget), most)


def _incidents(budget: Budget) -> str:
    count = len(budget.incidents)
    return f"{count} incident{'' if count == 1 else 's'}"


def _before(budget: Budget) -> Markup:
    """The time before the data begins, hatched: nothing is known of it."""
    if budget.data_start is None:
        return Markup("")
    start, end = budget.start_ms, charts.axis_end_ms(budget)
    until = (moment_ms(budget.data_start) - start) / (end - start)
    band = rectangle("before", 0.0, until, f"no data before {sentences.say_moment(budget.data_start)} UTC")
    right = round(until * WIDTH)
    lines = []
    for foot in range(
        _HATCH - HEIGHT, right, _HATCH
    ):  # each rises to the right by a full height, cut at the band's edges
        low, high = max(foot, 0), min(foot + HEIGHT, right)
        lines.append(f"M{low} {HEIGHT - low + foot}L{high} {HEIGHT - high + foot}")
    return band + Markup('<path class="hatch" d="{}"/>').format("".join(lines))


def _bands(budget: Budget) -> Markup:
    """Incidents, gaps and the time before the data begins as bands behind a chart."""
    start, end = budget.start_ms, charts.axis_end_ms(budget)

    def share(at_ms: float) -> float:
        return (at_ms - start) / (end - start)

    gaps = [
        rectangle("gap", share(gap.start_ms), share(gap.end_ms), "no scrapes came")
        for gap in budget.gaps[:200]
        if gap.end_ms - gap.start_ms > (end - start) / 1000 and start < gap.end_ms and gap.start_ms < end
    ]
    incidents = [
        rectangle(
            "incident",
            share(moment_ms(incident.start)),
            share(moment_ms(incident.end)),
            sentences.incident_title(incident),
        )
        for incident in budget.incidents
        if incident.end > budget.start
    ]
    reported = [
        rectangle(
            event.kind if event.kind != "incident" else "known",
            share(event.start_ms),
            share(event.end_ms),
            f"{event.kind}: {clean(event.name)}",
            *((0, HEIGHT) if event.kind == "maintenance" else (HEIGHT - 60, 60)),
        )
        for event in budget.events[:200]
        if start <= event.end_ms and event.start_ms <= end
    ]
    return Markup("").join([_before(budget), *gaps, *incidents, *reported])
