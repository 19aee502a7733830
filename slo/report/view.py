"""What a report shows, as text that is ready to be set: no figure is computed or rounded after this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slo.budget.breakdown import Breakdown, Share
from slo.budget.model import Budget, State, worst_first
from slo.budget.notes import FRESH, RETENTION, said_once
from slo.display import (
    NOTHING,
    show_count,
    show_duration,
    show_latency,
    show_percent,
    show_points,
    show_rate,
    show_ratio_up,
    show_share,
)
from slo.report import sentences
from slo.report.text import anchor, clean, is_link
from slo.window import Calendar, format_duration, moment

if TYPE_CHECKING:
    from slo.errors import Problem
    from slo.report.heatmap import Day
    from slo.report.queries import ReportQuery
    from slo.report.whatif import WhatIf

BURN_WINDOWS = ("1h", "6h", "3d")
# So many labels, and values of each, are shown of the top contributors to a budget's consumption.
_BREAKDOWNS = 3
# So many sentences on the data's beginning stand above a report.
_SAID = 4
_VALUES = 4
_OF_OUTAGES = ("Outages", "Mean time to recovery", "Mean time between failures")


@dataclass(frozen=True, slots=True)
class Figure:
    """One exact figure, with what it means."""

    name: str
    value: str
    definition: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident; `at` is its start in ISO 8601."""

    at: str
    start: str
    length: str
    errors: str
    total: str
    ratio: str
    share: str


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One value of a label, or what all the others had; the ratios draw its bar."""

    value: str
    errors: str
    share: str
    of_all: str
    ratio: str
    errors_share: float
    total_share: float


@dataclass(frozen=True, slots=True)
class SharesView:
    """What the values of a label had of the bad events."""

    label: str
    kinds: bool
    rows: tuple[ShareRow, ...]


@dataclass(frozen=True, slots=True)
class BurnRow:
    """One burn-rate alert now."""

    name: str
    long: str
    short: str
    factor: str
    firing: bool


@dataclass(frozen=True, slots=True)
class SloView:
    """One SLO of a report."""

    budget: Budget
    anchor: str
    service: str
    name: str
    description: str
    owner: str
    labels: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str, bool], ...]
    state: State
    state_text: str
    objective: str
    window: str
    sli: str
    left: str
    remaining_ratio: float | None
    minutes: str
    events: str
    change: str
    change_from: str
    since: str
    compared: tuple[str, tuple[tuple[str, str, str, str], ...]]
    burns: tuple[tuple[str, str], ...]
    forecast: str
    forecast_range: str
    headline: str
    follows: tuple[str, ...]
    why: str
    period: str
    coverage: str
    notes: tuple[str, ...]
    figures: tuple[Figure, ...]
    incidents: tuple[IncidentRow, ...]
    top_contributors: str
    shares: tuple[SharesView, ...]
    known: tuple[tuple[str, str, str, str], ...]
    excluding: str
    alerts: tuple[BurnRow, ...]
    day_unit: str = ""
    days: tuple[Day, ...] = ()
    queries: tuple[ReportQuery, ...] = ()

    def but_budget(self) -> dict[str, Any]:
        """Its fields, to be sent to where the budget is."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "budget"}

    @property
    def zone(self) -> str:
        """The time zone of a calendar window, the team's; UTC otherwise."""
        window = self.budget.slo.window
        return window.zone if isinstance(window, Calendar) else "UTC"

    @property
    def what_if(self) -> tuple[WhatIf, ...]:
        """How it would stand with another objective."""
        from slo.report.whatif import what_if

        return what_if(self.budget)

    @property
    def ends_in(self) -> int:
        """Seconds to the end of the budget as its forecast says it, to sort by: 0 where it is exhausted."""
        return sentences.ends_in(self.budget)

    @property
    def outages(self) -> tuple[Figure, ...]:
        """What stands first where outages are judged: their number, MTTR and MTBF."""
        return tuple(figure for figure in self.figures if figure.name in _OF_OUTAGES)

    @property
    def has_sli(self) -> bool:
        """Whether anything was counted."""
        return self.remaining_ratio is not None


@dataclass(frozen=True, slots=True)
class Total:
    """How the SLOs of one service, team or tier stand: the worst state, a count of each, the least budget."""

    name: str
    state: State
    counts: str
    worst: str
    anchor: str
    left: str


@dataclass(frozen=True, slots=True)
class ReportView:
    """A whole report."""

    title: str
    generated: str
    period: str
    sources: tuple[str, ...]
    slos: tuple[SloView, ...]
    tally: tuple[tuple[State, str, int], ...]
    verdict: str
    services: int
    missing: str
    since: str
    data: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())
    totals: tuple[tuple[str, tuple[Total, ...]], ...] = ()
    # Of very many SLOs the index shows the worst, and leads to a page of each service.
    count: int = 0
    pages: tuple[ServicePage, ...] = ()


@dataclass(frozen=True, slots=True)
class ServicePage:
    """The page of a service, of a report on very many SLOs: its worst state, and how many SLOs it has."""

    name: str
    file: str
    state: State
    counts: str
    slos: tuple[SloView, ...]


# So many rows a table on the index has; so many lines of warnings, and of teams, are read.
MOST_ROWS = 200
MOST_SERVICES = 1000
_MOST_LINES = 100


def by_service(view: ReportView, folder: str) -> tuple[ReportView, tuple[ReportView, ...]]:
    """The index of a report on more than `MOST_ROWS` SLOs, and the view of each service's page, in the order of trouble.

    The index has the worst SLOs; all others are on the pages of their services.
    """
    groups: dict[str, list[SloView]] = {}
    for slo in view.slos:  # the worst first
        groups.setdefault(slo.service, []).append(slo)
    files = service_files([slo.service for slo in view.slos], folder)
    pages = tuple(
        ServicePage(
            name,
            files[name],
            own[0].state,
            _total(name, own).counts,
            tuple(own),
        )
        for name, own in groups.items()
    )
    totals = tuple((title, rows[:_MOST_LINES]) for title, rows in view.totals if title != "Service")
    index = replace(view, slos=view.slos[:MOST_ROWS], pages=pages, totals=totals, warnings=view.warnings[:_MOST_LINES])
    return index, tuple(_of_service(view, page) for page in pages)


def service_files(services: Sequence[str], folder: str) -> dict[str, str]:
    """The page of each service, in their order."""
    taken: set[str] = set()
    return {
        name: f"{folder}/{anchor(name, taken).replace('slo-', 'service-', 1)}.html" for name in dict.fromkeys(services)
    }


def _of_service(view: ReportView, page: ServicePage) -> ReportView:
    counted = {state: sum(slo.state is state for slo in page.slos) for state in State}
    return replace(
        view,
        title=f"{page.name} – {view.title}",
        slos=page.slos,
        count=len(page.slos),
        tally=tuple((state, sentences.STATE_WORDS[state], count) for state, count in counted.items() if count),
        verdict=_verdict(counted, len(page.slos)),
        services=1,
        data=(),
        warnings=(),
        totals=(),
    )


def generated_text(at: datetime) -> str:
    """When a report was made."""
    return f"{sentences.say_moment(at)} {at.tzname() or 'UTC'}"


def report_view(
    budgets: Sequence[Budget],
    *,
    title: str,
    generated: datetime,
    warnings: Sequence[Problem] = (),
    missing: str = "",
    slos: tuple[SloView, ...] | None = None,
) -> ReportView:
    """A report on `budgets`, in the order of trouble; `missing` says what the source did not answer, `slos` is what is shown of
    each, where that is known already."""
    if slos is None:
        taken: set[str] = set()
        slos = tuple(slo_view(budget, anchor(budget.slo.id, taken)) for budget in worst_first(budgets))
    counted = [(state, sum(item.state is state for item in slos)) for state in State]
    return ReportView(
        title=clean(title),
        generated=generated_text(generated),
        period=_periods(budgets),
        sources=tuple(dict.fromkeys(clean(budget.source) for budget in budgets if budget.source)),
        slos=slos,
        tally=tuple((state, sentences.STATE_WORDS[state], count) for state, count in counted if count),
        verdict=_verdict(dict(counted), len(slos)),
        since=days.pop() if len(days := {slo.since for slo in slos if slo.since}) == 1 else "since the review before",
        data=_data(budgets),
        missing=clean(missing, 2000),
        services=len({budget.slo.service for budget in budgets}),
        warnings=tuple(clean(str(problem)) for problem in warnings),
        totals=_totals(slos),
        count=len(slos),
    )


def _data(budgets: Sequence[Budget]) -> tuple[str, ...]:
    """Where data begins and what a server keeps, in sentences that each hold for as many SLOs as they can."""
    said = [str(note) for note in said_once(worst_first(budgets)) if note.code in (FRESH, RETENTION)]
    rest = len(said) - _SAID
    more = [f"{rest} more such notes are with their SLOs"] if rest > 0 else []
    return tuple(
        clean(f"{text.replace('all ', 'All ', 1) if text.startswith('all ') else text}.", 2000)
        for text in said[:_SAID] + more
    )


def _totals(slos: Sequence[SloView]) -> tuple[tuple[str, tuple[Total, ...]], ...]:
    """By service, team and tier, each where there are several and not one per objective; worst first."""
    totals: list[tuple[str, tuple[Total, ...]]] = []
    for title in ("Service", "Team", "Tier"):
        groups: dict[str, list[SloView]] = {}
        for slo in slos:  # the worst first
            name = {"Service": slo.service, "Team": slo.owner, "Tier": dict(slo.labels).get("tier", "")}[title]
            if name:
                groups.setdefault(name, []).append(slo)
        same = any([total.counts for total in reported] == _counts(groups) for _, reported in totals)
        if 1 < len(groups) < len(slos) and not same:
            totals.append((title, tuple(_total(name, own) for name, own in groups.items())))
    return tuple(totals)


def _counts(groups: Mapping[str, Sequence[SloView]]) -> list[str]:
    """What stands alongside each group; teams that are the services again need no table of their own."""
    return [_total(name, own).counts for name, own in groups.items()]


def _total(name: str, own: Sequence[SloView]) -> Total:
    counted = [(state, sum(slo.state is state for slo in own)) for state in State]
    counts = ", ".join(f"{count} {sentences.STATE_WORDS[state].lower()}" for state, count in counted if count)
    return Total(name, own[0].state, counts, own[0].name, own[0].anchor, own[0].left)


def slo_view(budget: Budget, name: str) -> SloView:
    """One SLO, to be found at the id `name`."""
    from slo.report.heatmap import cells
    from slo.report.queries import queries

    slo = budget.slo
    broken = budget.breakdowns
    unit, days = cells(budget)
    return SloView(
        budget=budget,
        anchor=name,
        service=clean(slo.service),
        name=clean(slo.name),
        description=clean(slo.description, 2000),
        owner=clean(slo.owner),
        labels=tuple((clean(key), clean(value)) for key, value in sorted(slo.labels.items())),
        links=tuple((clean(key), clean(value, 2000), is_link(value)) for key, value in sorted(slo.annotations.items())),
        state=budget.state,
        state_text=sentences.STATE_WORDS[budget.state],
        objective=str(slo.objective),
        window=str(slo.window),
        sli=show_percent(budget.sli, sli_digits(budget)),
        left=show_percent(budget.remaining),
        remaining_ratio=budget.remaining,
        minutes=sentences.say_minutes(sentences.minutes_remaining(budget)),
        events=sentences.say_events(budget),
        change=show_points(budget.change),
        change_from=sentences.change_from(budget),
        since=sentences.since(budget),
        compared=sentences.compared(budget),
        burns=tuple((window, show_rate(budget.burn_rate(window))) for window in BURN_WINDOWS),
        forecast=sentences.forecast(budget),
        forecast_range=sentences.forecast_range(budget),
        headline=sentences.headline(budget),
        follows=tuple(clean(text, 2000) for text in budget.policy_actions),
        why=sentences.why(budget),
        period=f"{sentences.say_moment(budget.start)} to {sentences.say_moment(budget.end)} UTC",
        coverage=sentences.coverage(budget),
        # Where the data begins is part of what is said on its coverage.
        notes=tuple(clean(note.text, 2000) for note in budget.notes if note.code != FRESH),
        figures=figures(budget),
        incidents=tuple(
            IncidentRow(
                at=f"{incident.start:%Y-%m-%dT%H:%MZ}",
                start=sentences.say_moment(incident.start),
                length=show_duration(incident.seconds),
                errors=show_count(incident.errors),
                total=show_count(incident.total),
                ratio=show_ratio_up(incident.error_ratio, 2),
                share=show_percent(incident.budget_share),
            )
            for incident in sorted(budget.incidents, key=lambda incident: incident.start, reverse=True)
        ),
        top_contributors=sentences.top_contributors(budget, broken),
        shares=tuple(_shares(breakdown) for breakdown in broken[:_BREAKDOWNS]),
        known=tuple(
            (
                sentences.say_moment(moment(event.start_ms)),
                event.kind,
                clean(event.name),
                show_duration((event.end_ms - event.start_ms) / 1000) if event.end_ms > event.start_ms else "",
            )
            for event in reversed(budget.events)
        ),
        excluding=sentences.excluding(budget),
        alerts=tuple(
            BurnRow(
                name=f"{burn.window.severity.capitalize()}: {format_duration(burn.window.long_ms)} and "
                f"{format_duration(burn.window.short_ms)}",
                long=show_rate(burn.long),
                short=show_rate(burn.short),
                factor=show_rate(float(burn.window.factor)),
                firing=burn.firing,
            )
            for burn in budget.burns
        ),
        day_unit=unit,
        days=days,
        queries=queries(budget),
    )


def _shares(breakdown: Breakdown) -> SharesView:
    """The values with most bad events, and the others together; those without any are shown only as traffic."""
    guilty = [share for share in breakdown.shares if share.errors > 0]
    shown = guilty if len(guilty) <= _VALUES + 1 else guilty[:_VALUES]
    rows = [_share_row(sentences.say_value(share.value), share, breakdown.kinds) for share in shown]
    rest = breakdown.shares[len(shown) :]
    if rest and not (breakdown.kinds and shown == guilty):
        sums = [
            sum(getattr(share, name) for share in rest) for name in ("errors", "total", "errors_share", "total_share")
        ]
        name = f"{show_count(len(rest))} other{'' if len(rest) == 1 else 's'}"
        rows.append(_share_row(name, Share("", *sums), breakdown.kinds))
    return SharesView(
        ", ".join(clean(name) for name in (breakdown.label, *breakdown.alike)), breakdown.kinds, tuple(rows)
    )


def _share_row(value: str, share: Share, kinds: bool) -> ShareRow:
    return ShareRow(
        value=value,
        errors=show_count(share.errors),
        share=show_percent(share.errors_share),
        of_all="" if kinds else show_percent(share.total_share),
        ratio="" if kinds else show_ratio_up(share.error_ratio, 2),
        errors_share=min(1.0, max(0.0, share.errors_share)),
        total_share=0.0 if kinds else share.total_share,
    )


def sli_digits(budget: Budget) -> int:
    """So many digits of the SLI in percent that a hundredth of the error budget shows, two at the least."""
    exponent = budget.slo.objective.error_budget.adjusted()
    return max(2, -exponent)


def figures(budget: Budget) -> tuple[Figure, ...]:
    """All figures of an SLO, with their definitions."""
    digits = sli_digits(budget) + 2
    counted = sentences.what_is_counted(budget)
    rows = [
        Figure("All events", show_count(budget.total if budget.has_data else None), f"Counted: {counted}."),
        Figure("Bad events", show_count(budget.errors if budget.has_data else None), "Those that consume the budget."),
        Figure("SLI", show_percent(budget.sli, digits), "Good events ÷ all events, rounded down."),
        Figure("Error ratio", show_ratio_up(budget.error_ratio, digits), "Bad events ÷ all events, rounded up."),
        Figure(
            "Error budget",
            f"{(budget.slo.objective.error_budget * 100).normalize():f}%",
            f"1 − objective: the share of events that may fail. As time, {show_duration(budget.budget_minutes * 60)} of "
            f"full outage per {budget.slo.window}.",
        ),
        Figure(
            "Bad events allowed",
            show_count(budget.allowed_errors if budget.remaining is not None else None),
            "Error budget × all events so far.",
        ),
        Figure("Budget consumed", show_percent(budget.consumed, 2), "Bad events ÷ bad events allowed."),
        Figure(
            "Budget remaining", show_percent(budget.remaining, 2), "1 − budget consumed; below zero it is exhausted."
        ),
    ]
    rows += [
        Figure(
            f"Burn rate over {window}",
            show_rate(budget.burn_rate(window)),
            f"Error ratio of the last {window} ÷ error budget: at 1x the budget lasts exactly its window.",
        )
        for window in BURN_WINDOWS
    ]
    rows.append(Figure("Forecast", sentences.forecast(budget), sentences.pace(budget)))
    rows += [
        Figure(f"Latency {name}", show_latency(value), "histogram_quantile over all requests of the window.")
        for name, value in budget.quantiles.items()
    ]
    if budget.slo.sli.longest_outage_ms is not None and budget.remaining is not None:
        rows += [
            Figure("Outages", show_count(len(budget.downtimes)), "Of any length, from first to last slice down."),
            Figure(
                "Mean time to recovery", show_duration(budget.mttr_seconds), "Mean length of outages that are over."
            ),
            Figure("Mean time between failures", show_duration(budget.mtbf_seconds), "Time up ÷ number of outages."),
        ]
    rows.append(Figure("Data coverage", show_share(budget.coverage), "The share of the window in which scrapes came."))
    return tuple(rows)


def _verdict(counted: dict[State, int], total: int) -> str:
    """The worst of the whole report in a sentence; how many are in each state stands alongside it."""
    if not total:
        return "There are no SLOs in this report."
    said = {
        State.EXHAUSTED: ("has exhausted its error budget", "have exhausted their error budget"),
        State.BURNING: ("is burning too fast", "are burning too fast"),
        State.INVALID: ("has invalid figures", "have invalid figures"),
        State.AT_RISK: ("is at risk", "are at risk"),
        State.NO_DATA: ("has no data", "have no data"),
    }
    worst = [(counted[state], forms) for state, forms in said.items() if counted.get(state)][:2]
    if not worst:
        return f"All {total} SLOs are within their error budgets." if total > 1 else "The SLO is met."
    if total == 1:
        return f"The SLO {worst[0][1][0]}."
    parts = [f"{count} {forms[count > 1]}" for count, forms in worst]
    parts[0] = f"{worst[0][0]} of {total} SLOs {worst[0][1][worst[0][0] > 1]}"
    return f"{' and '.join(parts)}."


def _periods(budgets: Sequence[Budget]) -> str:
    ends = {budget.end for budget in budgets}
    if not ends:
        return NOTHING
    starts = {budget.start for budget in budgets}
    if len(ends) == 1 and len(starts) == 1:
        return f"{sentences.say_moment(min(starts))} to {sentences.say_moment(max(ends))} UTC"
    return f"up to {sentences.say_moment(max(ends))} UTC, each over its own window"
