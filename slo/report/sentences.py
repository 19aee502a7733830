"""What the figures say, in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from slo.budget.breakdown import Breakdown
from slo.budget.forecast import CONFIDENCE, PARTS
from slo.budget.incidents import Incident
from slo.budget.model import LEAST_COVERAGE, Budget, State
from slo.budget.notes import say_begin, share_of_window
from slo.display import (
    MINUS,
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
from slo.report.text import clean
from slo.window import Calendar, format_duration

STATE_WORDS = {
    State.EXHAUSTED: "Exhausted",
    State.BURNING: "Burning",
    State.INVALID: "Invalid",
    State.AT_RISK: "At risk",
    State.NO_DATA: "No data",
    State.HEALTHY: "Healthy",
}
OPERATORS = {"<": "below", "<=": "up to", ">": "above", ">=": "from"}
MISSING = "Missing data: what the source did not answer is shown as it was known before, or not at all."
# A window that is covered to this share is whole for a reader: a scrape or two are missing at its edges.
_WHOLE = 0.995
# A label's value stands out when its share of the bad events exceeds that of all events by so much.
_STANDS_OUT = 0.15
_WINDOW_WORDS = {
    "week": "this calendar week",
    "month": "this calendar month",
    "quarter": "this calendar quarter",
    "year": "this calendar year",
}


def say_moment(at: datetime) -> str:
    """`20 Nov 2026 23:05`."""
    return f"{at.day} {at:%b %Y %H:%M}"


def say_window(budget: Budget) -> str:
    """The window an objective holds over."""
    window = budget.slo.window
    if not isinstance(window, Calendar):
        return f"the last {window}"
    return _WINDOW_WORDS[window.unit] + (f" ({window.zone})" if window.zone != "UTC" else "")


def minutes_remaining(budget: Budget) -> float | None:
    """What remains of the budget, as minutes of full outage; negative when exhausted, None without traffic."""
    return None if budget.remaining is None else budget.remaining * budget.budget_minutes


def say_minutes(minutes: float | None) -> str:
    """A stretch of the budget: `12m 5s`, `1h 3m over`."""
    if minutes is None:
        return NOTHING
    return f"{show_duration(-minutes * 60)} over" if minutes < 0 else show_duration(minutes * 60)


def say_events(budget: Budget) -> str:
    """How many more bad events the budget bears, or how many there were too many."""
    if budget.remaining is None:
        return NOTHING
    spare = budget.allowed_errors - budget.errors
    return f"{show_count(-spare)} too many" if spare < 0 else f"{show_count(spare)} to spare"


def what_is_counted(budget: Budget) -> str:
    """What an event is, and when it is bad."""
    return budget.slo.sli.describe()


def excluding(budget: Budget) -> str:
    """The figures without planned maintenance, in a sentence; empty where there was none."""
    without = budget.without_maintenance
    if without is None:
        return ""
    return (
        f"All figures count the planned maintenance. Without its {show_duration(without.seconds)} the SLI is "
        f"{show_percent(without.sli, 3)}, with {show_count(without.errors)} bad events of {show_count(without.total)}, and "
        f"{show_percent(without.remaining)} of the budget remains."
    )


def forecast(budget: Budget) -> str:
    """When the budget ends: at the rate of an alert that fires now, and at the pace of the last days.

    The only place that says so: whoever shows a forecast shows this, so that what burns is nowhere "not at risk".
    """
    state = budget.state
    if state in (State.NO_DATA, State.INVALID):
        return NOTHING
    if state is State.EXHAUSTED:
        return "exhausted"
    prediction = budget.forecast
    now = _at_firing_rate(budget)
    if prediction is None:
        return now or "unknown: no traffic lately"
    rate = f"at the {format_duration(prediction.pace_ms)} rate"
    if prediction.at is None:
        if now:
            return f"{now}; not at risk {rate}"
        # At risk as little is left, not by the pace.
        return f"little left, lasts {rate}" if state is State.AT_RISK else f"not at risk {rate}"
    if now:
        return f"{now}; in {_ahead(budget, prediction.at)} {rate}"
    return f"exhausted in {_ahead(budget, prediction.at)} {rate}"


def ends_in(budget: Budget) -> int:
    """Seconds to the end that `forecast` says first; 0 where the budget is exhausted, a very long time where there is none."""
    if budget.state is State.EXHAUSTED:
        return 0
    burn = next((burn for burn in budget.burns if burn.firing), None)
    seconds = None if burn is None else _lasts(budget, burn.long)
    if seconds is None and budget.exhaustion is not None:
        seconds = (budget.exhaustion - budget.end).total_seconds()
    return 9_999_999_999 if seconds is None else round(seconds)


def _at_firing_rate(budget: Budget) -> str:
    """When the budget ends at the rate that an alert fires at; empty where none does, or it could not end in its window."""
    burn = next((burn for burn in budget.burns if burn.firing), None)
    if burn is None or (seconds := _lasts(budget, burn.long)) is None:
        return ""
    rate = f"at the current {format_duration(burn.window.long_ms)} rate"
    if isinstance(budget.slo.window, Calendar) and seconds > (budget.window_end - budget.end).total_seconds():
        return f"lasts to the end of the window {rate}"
    return f"exhausted in {show_duration(_two_units(seconds))} {rate}"


def _two_units(seconds: float) -> float:
    """To the minute above an hour: nobody plans by the second."""
    return seconds // 60 * 60 if seconds >= 3600 else seconds


def forecast_range(budget: Budget) -> str:
    """Between which moments the budget ends, by the spread of its pace; empty where it lasts all the same."""
    prediction = budget.forecast
    if prediction is None or prediction.earliest is None:
        return ""
    share = f"{CONFIDENCE:.0%} range"
    soonest = _ahead(budget, prediction.earliest)
    if prediction.at is None:
        return f"{share}: from {soonest} on, or not at all"
    return f"{share}: {soonest} to {_ahead(budget, prediction.latest) if prediction.latest else 'not at all'}"


def _ahead(budget: Budget, at: datetime) -> str:
    ahead = at - budget.end
    return "over 90d" if ahead > timedelta(days=90) else show_duration(ahead.total_seconds())


def since(budget: Budget) -> str:
    """When the review was that a change is measured against: `since 13 Nov`."""
    return "" if budget.earlier is None else f"since {budget.earlier.end.day} {budget.earlier.end:%b}"


def change_from(budget: Budget) -> str:
    """What was left then: `from 84.1%`; empty where nothing was asked."""
    then = budget.earlier
    if then is None:
        return ""
    if then.invalid:
        return "invalid then"
    if then.remaining is None:
        return "no data then"
    covered = f", {show_percent(then.coverage, 0)} covered" if then.coverage < _WHOLE else ""
    return f"from {show_percent(then.remaining)}{covered}"


def compared(budget: Budget) -> tuple[str, tuple[tuple[str, str, str, str], ...]]:
    """The previous window in a sentence, and rows of (figure, then, now, difference); no rows where nothing is known."""
    then = budget.previous
    if then is None:
        return "", ()
    span = f"{say_moment(then.start)} to {say_moment(then.end)} UTC"
    if then.invalid:
        return (
            f"The figures of the previous window ({span}) cannot be believed: {clean(then.invalid[0].text, 2000)}.",
            (),
        )
    if then.remaining is None or budget.remaining is None:
        return f"Nothing is known of the previous window ({span}).", ()
    reported = f"Previous window: {span}"
    reported += "." if then.coverage >= _WHOLE else f" ({show_percent(then.coverage)} data)."
    digits = max(2, 2 - budget.slo.objective.error_budget.adjusted())
    # Ratios of half a window say something about it; counts do not, nor do those of a calendar window that is not over.
    alike = then.coverage >= LEAST_COVERAGE
    whole = min(then.coverage, budget.coverage) >= _WHOLE and budget.end == budget.window_end
    rows = [
        ("SLI", show_percent(then.sli, digits), show_percent(budget.sli, digits), ""),
        (
            "Budget consumed",
            show_percent(then.consumed),
            show_percent(budget.consumed),
            show_points(_less(budget.consumed, then.consumed)) if alike else "",
        ),
        (
            "Bad events",
            show_count(then.errors),
            show_count(budget.errors),
            _share(budget.errors, then.errors) if whole else "",
        ),
        (
            "All events",
            show_count(then.total),
            show_count(budget.total),
            _share(budget.total, then.total) if whole else "",
        ),
        ("Incidents", show_count(len(then.incidents)), show_count(len(budget.incidents)), ""),
    ]
    rows += [
        (f"Latency {name}", show_latency(before), show_latency(now), _share(now, before) if alike else "")
        for name, now in budget.quantiles.items()
        if (before := then.quantiles.get(name)) is not None
    ]
    return reported, tuple(rows)


def _less(now: float | None, then: float | None) -> float | None:
    return None if now is None or then is None else now - then


def _share(now: float | None, then: float | None) -> str:
    """How much more or less it is, as a share of what it was."""
    if now is None or not then:
        return ""
    return f"{(now / then - 1) * 100:+,.1f}%".replace("-", MINUS)


def pace(budget: Budget) -> str:
    """What a forecast rests on, in a sentence."""
    if budget.forecast is None:
        return "Nothing is left to forecast, or nothing was counted lately."
    prediction = budget.forecast
    return (
        f"Budget remaining × {budget.slo.window} ÷ burn rate of the last {format_duration(prediction.pace_ms)}, {show_rate(prediction.pace)}. "
        f"Range: the {CONFIDENCE:.0%} interval of that burn rate ({show_rate(prediction.low)} to {show_rate(prediction.high)}), from "
        f"how much its {PARTS} parts differ; it knows nothing of what is to come."
    )


def top_contributors(budget: Budget, breakdowns: Sequence[Breakdown]) -> str:
    """Who had the bad events, in a sentence or two; empty where it is not known."""
    if not breakdowns:
        return ""
    parts = []
    first = breakdowns[0]
    # A deployment makes instances of a day look busy; a route that fails may tell more than the label that divides best.
    by_excess = [
        (share.errors_share - share.total_share, clean(breakdown.label), share)
        for breakdown in breakdowns
        if not breakdown.kinds
        for share in breakdown.shares
    ]
    if by_excess:
        _, label, top = max(by_excess, key=lambda item: item[0])
        name = f"{label} {say_value(top.value)}"
        if top.errors_share - top.total_share >= _STANDS_OUT:
            parts.append(
                f"{name} had {show_percent(top.errors_share)} of the bad events and {show_percent(top.total_share)} of all."
            )
        else:
            parts.append(f"Errors are spread evenly; no {by_excess[0][1]} stands out.")
    reported = sum(share.errors for share in first.shares)
    if abs(reported - budget.errors) > 0.005 * budget.errors:
        parts.append(f"Of {show_count(budget.errors)} bad events {show_count(reported)} are known by series.")
    return " ".join(parts)


def say_value(value: str) -> str:
    """A label's value; a series without the label has an empty one."""
    return clean(value) if value else "(none)"


def headline(budget: Budget) -> str:
    """How an SLO stands and why, in one or two sentences."""
    over = say_window(budget)
    match budget.state:
        case State.NO_DATA:
            return _nothing_known(budget)
        case State.INVALID:
            return _withheld(budget)
        case State.EXHAUSTED:
            first = (
                f"The error budget of {over} is exhausted: {show_count(budget.errors)} bad events where "
                f"{show_count(budget.allowed_errors)} are allowed, {show_percent(budget.consumed)} of it."
            )
        case State.BURNING:
            burn = next(b for b in budget.burns if b.firing)
            first = (
                f"The budget burns at {show_rate(burn.long)} over the last {format_duration(burn.window.long_ms)}, "
                f"above the {burn.window.severity} threshold of {show_rate(float(burn.window.factor))}; "
                f"{show_percent(budget.remaining)} is left: {forecast(budget)}."
            )
        case State.AT_RISK:
            first = f"{show_percent(budget.remaining)} of the budget remains ({say_minutes(minutes_remaining(budget))})"
            first += f": {forecast(budget)}."
        case State.HEALTHY:
            first = f"{show_percent(budget.remaining)} of the budget remains over {over} ({say_minutes(minutes_remaining(budget))} of full outage)."
    return f"{first} {_why(budget)}".strip()


def _lasts(budget: Budget, rate: float | None) -> float | None:
    """Seconds until what is left is consumed at a burn rate: left × window ÷ rate."""
    if not rate or budget.remaining is None:
        return None
    return budget.remaining * budget.slo.window.nominal_ms / 1000 / rate


def why(budget: Budget) -> str:
    """The shortest reason for a state, for the summary."""
    match budget.state:
        case State.NO_DATA:
            return _nothing_known(budget)
        case State.INVALID:
            return _withheld(budget, short=True)
        case State.HEALTHY if not budget.incidents:
            return "No incidents in the window."
        case State.BURNING:
            burn = next(b for b in budget.burns if b.firing)
            return (
                f"Burn rate {show_rate(burn.long)} over {format_duration(burn.window.long_ms)}. {_why(budget)}".strip()
            )
    return _why(budget)


def _why(budget: Budget) -> str:
    firing = [burn for burn in budget.burns if burn.firing]
    worst = max(budget.incidents, key=lambda incident: incident.budget_share, default=None)
    parts = []
    if firing and budget.state is not State.BURNING:
        burn = firing[0]
        parts.append(f"Still burning at {show_rate(burn.long)} over {format_duration(burn.window.long_ms)}.")
    if worst is not None:
        count = len(budget.incidents)
        share = f"consumed {show_percent(worst.budget_share)} of the budget"
        start, length = _day(worst.start), show_duration(worst.seconds)
        if count == 1:
            parts.append(f"One incident on {start} ({length}) {share}.")
        else:
            parts.append(f"{count} incidents; the costliest, on {start} ({length}), {share}.")
    elif budget.consumed is not None and budget.consumed >= 0.05:
        parts.append("No single incident stands out: it goes to errors spread over the window.")
    return " ".join(parts)


def _withheld(budget: Budget, *, short: bool = False) -> str:
    """Why there is no figure; `short` is without what usually causes it, which follows a semicolon."""
    text = clean(budget.invalid[0].text, 2000)
    return f"The figures cannot be true and are withheld: {text.partition(';')[0] if short else text}."


def _nothing_known(budget: Budget) -> str:
    codes = {note.code for note in budget.notes}
    if not budget.has_data:
        return "No data: the source has no series for this SLI in the window. This is not the same as 100%."
    if "no-such-bound" in codes:
        return "Nothing can be counted: the threshold is not a bucket bound of the histogram (see the notes)."
    return "No traffic: the series are there, but nothing was counted in the window, so there is no SLI."


def _day(at: datetime) -> str:
    return f"{at.day} {at:%b %H:%M}"


def incident_title(incident: Incident) -> str:
    """An incident in a line, for a chart's band."""
    return (
        f"{say_moment(incident.start)} UTC, {show_duration(incident.seconds)}: {show_count(incident.errors)} bad events "
        f"({show_ratio_up(incident.error_ratio, 2)}), {show_percent(incident.budget_share)} of the budget"
    )


def coverage(budget: Budget) -> str:
    """How much of the window was seen."""
    if not budget.has_data:
        return "Nothing of the window was scraped."
    share = show_share(budget.coverage)
    if budget.coverage >= 1:
        return "Scrapes came throughout the window."
    carried = " except what counters carried over" if budget.slo.sli.gap_words[1].startswith("counters") else ""
    if budget.data_start is not None:
        begins = f"Data begins {say_begin(budget.data_start, budget.end)} ({share_of_window(budget)} of the window)"
        if not budget.gaps:
            return f"{begins}; since then scrapes came throughout."
        return f"{begins}; since then there are gaps, of which nothing is known{carried}; {share} of the window is covered."
    return f"Scrapes came in {share} of the window; for the rest nothing is known{carried}."
