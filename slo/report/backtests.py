"""A backtest as one HTML page: policies side by side, and each SLO's history with what fired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from slo.display import NOTHING, show_count, show_duration, show_percent
from slo.report import axis, charts
from slo.report.downsample import column_most, column_steps, column_sums
from slo.report.drawings import Chart
from slo.report.sentences import say_moment
from slo.report.svg import canvas, plot, rectangle
from slo.window import format_duration, moment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from slo.backtest.model import Backtest, Detection, Firing, Outcome, Score
    from slo.sli.counts import Counts
    from slo.spec.model import Slo

_COLUMNS = 480


@dataclass(frozen=True, slots=True)
class Lane:
    """What one policy's alerts of one kind did over time."""

    policy: str
    kind: str
    bars: Markup
    summary: str


@dataclass(frozen=True, slots=True)
class BacktestView:
    """One SLO: its history as a picture, its incidents, what fired for nothing."""

    name: str
    anchor: str
    description: str
    chart: Chart | None
    lanes: tuple[Lane, ...]
    scores: tuple[tuple[str, ...], ...]
    incidents: tuple[tuple[str, ...], ...]
    false_alarms: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class View:
    """The page."""

    title: str
    verdict: str
    period: str
    source: str
    policies: tuple[str, ...]
    columns: tuple[str, ...]
    scores: tuple[tuple[str, ...], ...]
    missed: tuple[tuple[str, ...], ...]
    table: tuple[tuple[str, ...], ...]
    slos: tuple[BacktestView, ...]
    quiet: tuple[str, ...]
    notes: tuple[str, ...]
    generated: str


SCORE_COLUMNS = (
    "policy", "incidents caught", "median delay", "pages a week", "firings", "during incidents", "time firing",
    "budget consumed unalerted",
)  # fmt: skip


def render_backtest(result: Backtest, *, title: str, generated: datetime) -> str:
    """One self-contained HTML page, as safe and as quiet as the report: no network, no script."""
    from slo.report.page import page_of

    return page_of("backtest.html", "backtest.css", view=backtest_view(result, title=title, generated=generated))


def backtest_view(result: Backtest, *, title: str, generated: datetime) -> View:
    """What the page shows, as text and drawings."""
    from slo.backtest.export import verdict

    shown, quiet = [], []
    for name in result.policies[0].outcomes if result.policies else ():
        outcomes = [played.outcomes[name] for played in result.policies]
        if any(outcome.caught or outcome.firings for outcome in outcomes):
            shown.append((name, outcomes))
        else:
            quiet.append(name)
    # First what misses incidents, then what has most of them and of firings.
    worst = sorted(
        shown,
        key=lambda item: (
            -max(outcome.score.incidents - outcome.score.caught for outcome in item[1]),
            -max(outcome.score.incidents + outcome.score.firings for outcome in item[1]),
        ),
    )
    problems = [f"{played.name}: {problem}" for played in result.policies for problem in played.problems]
    days = (result.end_ms - result.start_ms) / 86_400_000
    return View(
        title=title,
        verdict=verdict(result),
        period=f"{_moment(result.start_ms)} to {_moment(result.end_ms)} ({days:.3g} days)",
        source=result.source,
        policies=tuple(played.name for played in result.policies),
        columns=SCORE_COLUMNS,
        scores=tuple(score_row(played.name, played.score) for played in result.policies),
        missed=_missed(result, worst),
        table=tuple(
            (f"slo-{number}", name or "Alerts", *score_row(outcome.policy, outcome.score))
            for number, (name, outcomes) in enumerate(worst)
            for outcome in outcomes
        ),
        slos=tuple(_slo(result, name, outcomes, number) for number, (name, outcomes) in enumerate(worst)),
        quiet=tuple(quiet),
        notes=(*result.notes, *problems),
        generated=f"{say_moment(generated)} UTC",
    )


def _missed(result: Backtest, shown: Sequence[tuple[str, Sequence[Outcome]]]) -> tuple[tuple[str, ...], ...]:
    """(place, SLO, policy, incident, began, lasted, budget consumed) of incidents in which nothing fired, the costliest first."""
    results = [
        (detection.incident.budget_share or 0.0, number, name, outcome.policy, detection.incident)
        for number, (name, outcomes) in enumerate(shown)
        for outcome in outcomes
        for detection in outcome.caught
        if detection.at_ms is None
    ]
    return tuple(
        (f"slo-{number}", name or "Alerts", policy, incident.name, _moment(incident.start_ms),
         show_duration((incident.end_ms - incident.start_ms) / 1000), show_percent(incident.budget_share))
        for _, number, name, policy, incident in sorted(results, key=lambda row: -row[0])
    )  # fmt: skip


def score_row(name: str, score: Score) -> tuple[str, ...]:
    """One policy's figures as text, in the order of SCORE_COLUMNS."""
    return (
        name,
        f"{score.caught} of {score.incidents}" if score.incidents else NOTHING,
        show_duration(score.delay_seconds),
        f"{score.pages_per_week:.1f}",
        show_count(score.firings),
        show_percent(score.precision, 0),
        show_duration(score.firing_seconds) if score.firing_seconds else "none",
        show_percent(score.unalerted),
    )


def missed(result: Backtest) -> list[str]:
    """A line for each incident that a policy let pass."""
    several = len(result.policies) > 1
    return [
        f"{played.name + ': ' if several else ''}{outcome.slo or 'alerts'}: nothing fired in {detection.incident.name} of "
        f"{_moment(detection.incident.start_ms)}, which lasted "
        f"{show_duration((detection.incident.end_ms - detection.incident.start_ms) / 1000)}"
        + (
            ""
            if detection.incident.budget_share is None
            else f" and consumed {show_percent(detection.incident.budget_share)} of the budget"
        )
        for played in result.policies
        for outcome in played.outcomes.values()
        for detection in outcome.caught
        if detection.at_ms is None
    ]


def _slo(result: Backtest, name: str, outcomes: Sequence[Outcome], number: int) -> BacktestView:
    slo = result.slos.get(name)
    span = (result.start_ms, result.end_ms)
    several = len(result.policies) > 1
    lanes = [lane for outcome in outcomes for lane in _lanes(outcome, span)]
    incidents = []
    for place, incident in enumerate(result.incidents.get(name, ())):
        head = (incident.name, _moment(incident.start_ms), show_duration((incident.end_ms - incident.start_ms) / 1000),
                show_percent(incident.budget_share))  # fmt: skip
        for row, outcome in enumerate(outcomes):
            detection = outcome.caught[place]
            incidents.append(
                (*(head if row == 0 else ("", "", "", "")), outcome.policy if several else "", *_caught(detection))
            )
    false = tuple(
        (outcome.policy if several else "", ", ".join(firing.alerts), firing.severity, _moment(firing.start_ms), show_duration(firing.seconds))
        for outcome in outcomes
        for firing in outcome.firings
        if not firing.right
    )  # fmt: skip
    return BacktestView(
        name=name or "Alerts",
        anchor=f"slo-{number}",
        description=" ".join(slo.description.split()) if slo else "",
        chart=_timeline(slo, result.timelines[name], result) if slo else None,
        lanes=tuple(lanes),
        scores=tuple(score_row(outcome.policy, outcome.score) for outcome in outcomes),
        incidents=tuple(incidents),
        false_alarms=false,
    )


def _caught(detection: Detection) -> tuple[str, str, str]:
    if detection.at_ms is None:
        return "missed", NOTHING, NOTHING
    alert = f"{detection.alert} ({detection.severity})" if detection.severity else detection.alert
    delay = show_duration(detection.delay_seconds) if detection.delay_seconds else "already firing"
    return alert, delay, show_percent(detection.consumed)


def _lanes(outcome: Outcome, span: tuple[int, int]) -> list[Lane]:
    lanes = []
    for page, kind in ((True, "pages"), (False, "tickets")):
        own = [firing for firing in outcome.firings if firing.page is page]
        length = span[1] - span[0]
        bars = Markup("").join(
            rectangle(
                ("page" if page else "ticket") + ("" if firing.right else " idle"),
                (firing.start_ms - span[0]) / length,
                (firing.end_ms - span[0]) / length,
                _reported(firing),
            )
            for firing in own
        )
        wrong = sum(not firing.right for firing in own)
        summary = f"{outcome.policy}: {len(own)} {kind}, {wrong} of them outside incidents"
        lanes.append(Lane(outcome.policy, f"{len(own)} {kind if len(own) != 1 else kind[:-1]}", bars, summary))
    return lanes


def _reported(firing: Firing) -> str:
    when = f"{_moment(firing.start_ms)} for {show_duration(firing.seconds)}"
    return f"{', '.join(firing.alerts)} ({firing.severity}), {when}{'' if firing.right else ', outside any incident'}"


def error_ratio(axes: Axes, counts: Counts, error_budget: float, span: tuple[int, int]) -> int:
    """The error ratio on an axis with a zero; returns the milliseconds of a column. For notebooks too."""
    grid = counts.grid
    width = column_steps(grid.steps, grid.step_ms, _COLUMNS)
    bad, whole = column_sums(counts.errors, width), column_sums(counts.total, width)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(whole > 0, bad / whole, np.nan)
        worst = column_most(np.where(counts.total > 0, counts.errors / counts.total, np.nan), width)
    edges = np.minimum(grid.start_ms + width * grid.step_ms * np.arange(len(ratio) + 1), grid.end_ms).astype(float)
    highest = float(np.nanmax(worst)) if np.isfinite(worst).any() else error_budget
    if width > 1:
        charts.steps(axes, edges, worst, "faint", "worst step in it")
    charts.steps(axes, edges, ratio, "main", "error ratio")
    axes.axhline(error_budget, gid="limit", label="error budget", **charts.LOOKS["limit"])
    charts.from_zero(axes, error_budget, max(min(1.0, highest * 1.5), error_budget * 4))
    axes.set_xlim(*span)
    return width * grid.step_ms


def _timeline(slo: Slo, counts: Counts, result: Backtest) -> Chart | None:
    if not counts.total.sum() > 0:
        return None
    span = (result.start_ms, result.end_ms)
    axes = canvas("symlog")
    column = error_ratio(axes, counts, float(slo.objective.error_budget), span)
    incidents = result.incidents.get(slo.id, ())
    bands = Markup("").join(
        rectangle(
            "incident",
            (incident.start_ms - span[0]) / (span[1] - span[0]),
            (incident.end_ms - span[0]) / (span[1] - span[0]),
            f"{incident.name}, {_moment(incident.start_ms)}",
        )
        for incident in incidents
    )
    return Chart(
        title="Error ratio",
        unit=f"bad ÷ all events per {format_duration(column)}, logarithmic above the budget",
        summary=f"Error ratio over time with {len(incidents)} incidents shaded; below it, what fired.",
        plot=plot(
            axes, axis.time_ticks(*span), axis.ratio_ticks(float(slo.objective.error_budget), axes.get_ylim()[1])
        ),
        bands=bands,
    )


def _moment(at_ms: int) -> str:
    return say_moment(moment(at_ms))
