"""What an evaluation gives: figures, and nothing that draws or formats them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slo.budget.breakdown import Breakdown, break_down
from slo.budget.forecast import Forecast
from slo.budget.incidents import Downtime, Incident
from slo.budget.maintenance import Without, without_maintenance
from slo.budget.policy import policy_actions
from slo.budget.possible import possible, ratio_of
from slo.sli.base import Note
from slo.sli.counts import Counts, Floats, Gap, Ints
from slo.spans import stretches
from slo.spec.events import Event
from slo.spec.model import Slo
from slo.window import MINUTE, BurnWindow, Calendar, format_duration, moment, moment_ms, parse_duration, utc_text

# Of `to_dict`: raised when a field changes its meaning or goes; a new field does not raise it.
SCHEMA_VERSION = 1


class State(StrEnum):
    """How an SLO stands, worst first.

    Invalid figures stand behind budgets that are known to run out, which need somebody now, and before those that last
    for the moment: an SLO whose figures cannot be believed may be any of them, and its measuring is broken for sure.
    """

    EXHAUSTED = "exhausted"
    BURNING = "burning"
    INVALID = "invalid"
    AT_RISK = "at risk"
    NO_DATA = "no data"
    HEALTHY = "healthy"


# A window of which less than this is covered is not compared with another.
LEAST_COVERAGE = 0.5
TROUBLE = {state: rank for rank, state in enumerate(State)}


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert's burn rates now.

    Attributes:
        window: The pair of windows, with severity and threshold.
        long: The burn rate over the long window; None without traffic, or without enough data for the window.
        short: The burn rate over the short window, in the same way.
    """

    window: BurnWindow
    long: float | None
    short: float | None

    @property
    def firing(self) -> bool:
        """Both windows are above the threshold."""
        factor = float(self.window.factor)
        return self.long is not None and self.short is not None and self.long > factor and self.short > factor

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "severity": self.window.severity,
            "long_window": format_duration(self.window.long_ms),
            "short_window": format_duration(self.window.short_ms),
            "factor": float(self.window.factor),
            "long_burn_rate": self.long,
            "short_burn_rate": self.short,
            "firing": self.firing,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A window step by step: arrays of shape (steps,).

    Attributes:
        ends_ms: The steps' ends, int64 milliseconds UTC.
        errors: Bad events, NaN before the data begins.
        good: Good events, NaN before the data begins.
        total: All events, NaN before the data begins.
        error_ratio: A ratio 0..1, NaN without traffic.
        sli: A ratio 0..1, NaN without traffic.
        budget_remaining: The share of the window's budget that remains after the step; it ends at the budget's `remaining`.
    """

    ends_ms: Ints
    errors: Floats
    good: Floats
    total: Floats
    error_ratio: Floats
    sli: Floats
    budget_remaining: Floats


@dataclass(frozen=True, eq=False)
class Budget:
    """One SLO over one window: events counted, the SLI, and what remains of the error budget. Ratios are 0..1.

    Everything is None, never 0 or 1, where nothing is known. Where the figures cannot be believed the state is invalid, all
    figures are None, numbers of events NaN, and nothing is kept of what was counted.

    Attributes:
        slo: The SLO.
        start: Where the window begins, UTC.
        end: The moment that this is about, UTC; events are counted up to here.
        window_end: Where a calendar window ends; of a rolling one it is `end`.
        errors: Bad events from `start` to `end`.
        total: All events from `start` to `end`.
        coverage: The share (0..1) of that time in which scrapes came.
        counts: Events per step; steps before `start` are there for burn rates.
        notes: What must be known about the figures.
        gaps: Stretches without scrapes after the data begins.
        incidents: Stretches that used the budget quickly.
        burns: The burn rates of each alert.
        forecast: When the budget is exhausted at the current pace, and how sure that is.
        quantiles: Of a latency `p50` to `p99`, seconds.
        bounds: Of a latency the upper bounds of its buckets, seconds, ascending, shape (bounds,).
        bucket_counts: Events up to each bound (cumulative), shape (steps, bounds).
        source: The name of the source, without credentials.
        has_data: Whether the source has any series of the SLI.
        downtimes: Of an outage SLI its outages, of any length.
        events: Incidents, deployments and maintenance that people know of.
        invalid: Why the figures cannot be believed.
        data_start: When the data begins, if that is within the window; what was before is unknown, not 0.
        earlier: The same SLO some time ago.
        previous: The previous window.
        sums: Of a budget whose steps were not asked for: (errors, total) of windows that end at `end`, by length in milliseconds.
    """

    slo: Slo
    start: datetime
    end: datetime
    window_end: datetime
    errors: float
    total: float
    coverage: float
    counts: Counts
    notes: tuple[Note, ...] = ()
    gaps: tuple[Gap, ...] = ()
    incidents: tuple[Incident, ...] = ()
    burns: tuple[Burn, ...] = ()
    forecast: Forecast | None = None
    quantiles: Mapping[str, float | None] = field(default_factory=dict)
    bounds: Floats = field(default_factory=lambda: np.empty(0))
    bucket_counts: Floats = field(default_factory=lambda: np.empty((0, 0)))
    source: str = ""
    has_data: bool = True
    downtimes: tuple[Downtime, ...] = ()
    events: tuple[Event, ...] = ()
    invalid: tuple[Note, ...] = ()
    data_start: datetime | None = None
    earlier: Budget | None = None
    previous: Budget | None = None
    sums: Mapping[int, tuple[float, float]] | None = None

    @property
    def good(self) -> float:
        """Events that were not bad."""
        return self.total - self.errors

    @property
    def sli(self) -> float | None:
        """Good events out of all; None without traffic."""
        ratio = self.error_ratio
        return None if ratio is None else 1.0 - self.errors / self.total

    @property
    def error_ratio(self) -> float | None:
        """Bad events out of all; None without traffic."""
        return ratio_of(self.errors, self.total)

    @property
    def error_budget(self) -> float:
        """The share of events that may fail."""
        return float(self.slo.objective.error_budget)

    @property
    def allowed_errors(self) -> float:
        """The error budget in events: its share of all events so far."""
        return float(self.slo.objective.error_budget) * self.total

    @property
    def consumed(self) -> float | None:
        """The share of the error budget that is consumed; above 1 when it is exhausted, None without traffic."""
        return self.errors / self.allowed_errors if self.total > 0 else None

    @property
    def remaining(self) -> float | None:
        """The share of the error budget that is left; below 0 when it is exhausted, None without traffic."""
        consumed = self.consumed
        return None if consumed is None else 1.0 - consumed

    @property
    def exhaustion(self) -> datetime | None:
        """When the budget ends at the current pace; None where it lasts, is exhausted, or nothing is known."""
        return None if self.forecast is None else self.forecast.at

    @property
    def change(self) -> float | None:
        """What `remaining` has gained or lost since `earlier`, in shares of the budget.

        None where either is unknown, or where less than half of the earlier window is covered by data.
        """
        then = self.earlier
        if then is None or then.coverage < LEAST_COVERAGE or then.remaining is None or self.remaining is None:
            return None
        return self.remaining - then.remaining

    @property
    def budget_minutes(self) -> float:
        """The error budget of the whole window as minutes of full outage."""
        return self.error_budget * self.slo.window.nominal_ms / MINUTE

    @property
    def state(self) -> State:
        """How the SLO stands at `end`.

        Exhausted: nothing is left. Burning: an alert of its own catalogue would fire now. At risk: less than a quarter
        is left, or the current pace exhausts it. No data: nothing could be counted. Invalid: what was counted cannot be
        true, such as more errors than events.
        """
        if self.invalid:
            return State.INVALID
        remaining = self.remaining
        if remaining is None:
            return State.NO_DATA
        if remaining <= 0:
            return State.EXHAUSTED
        if any(burn.firing for burn in self.burns):
            return State.BURNING
        if remaining < 0.25 or self.exhaustion is not None:
            return State.AT_RISK
        return State.HEALTHY

    @property
    def mttr_seconds(self) -> float | None:
        """Mean time to recovery: the mean length of the outages that are over; None without one."""
        over = [downtime.seconds for downtime in self.downtimes if downtime.end < self.end]
        return sum(over) / len(over) if over else None

    @property
    def mtbf_seconds(self) -> float | None:
        """Mean time between failures: the time that was up over the number of outages; None without one."""
        if not self.downtimes:
            return None
        down = sum((downtime.end - max(downtime.start, self.start)).total_seconds() for downtime in self.downtimes)
        return ((self.end - self.start).total_seconds() - down) / len(self.downtimes)

    def burn_rate(self, window: str | int) -> float | None:
        """The burn rate over a window (`1h`, or milliseconds) that ends at `end`.

        Error ratio ÷ error budget (SRE workbook, chapter 5): 1 consumes the budget exactly in the window. None without
        traffic, where the counted time is shorter than the window, or where its errors are below 0 or above its total.
        """
        if self.sums is not None:
            errors, total = self.sums[parse_duration(window) if isinstance(window, str) else window]
            return errors / total / self.error_budget if total > 0 and possible(errors, total) else None
        width = self.steps_in(parse_duration(window) if isinstance(window, str) else window)
        errors, total = _last(self.counts.errors, width), _last(self.counts.total, width)
        return errors / total / self.error_budget if total > 0 and possible(errors, total) else None

    def firings(self, severity: str) -> list[tuple[datetime, datetime]]:
        """When an alert of a severity (`page`, `ticket`) has fired in the window, by its two windows, to the step.

        What `for` and an evaluation's delay do to it is left to `slo.backtest`.
        """
        part = self.steps
        on = np.zeros(self.counts.grid.steps, dtype=bool)
        for burn in self.burns:
            if burn.window.severity == severity and self.slo.alerting.of(burn.window.severity).enabled:
                factor = float(burn.window.factor)
                both = np.minimum(self.burn_rates(burn.window.long_ms), self.burn_rates(burn.window.short_ms))
                on |= both > factor
        ends, step = self.counts.grid.ends[part], self.counts.grid.step_ms
        return [(moment(int(ends[low]) - step), moment(int(ends[high - 1]))) for low, high in stretches(on[part])]

    def burn_rates(self, window: str | int) -> Floats:
        """The burn rate over a window up to the end of each step of the counts, NaN where it is not known."""
        length = parse_duration(window) if isinstance(window, str) else window
        width = self.steps_in(length)
        errors, total = _trailing(self.counts.errors, width), _trailing(self.counts.total, width)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((total > 0) & possible(errors, total), errors / total / self.error_budget, np.nan)

    def steps_in(self, length_ms: int) -> int:
        """The number of steps in a length of time, at least one."""
        return max(1, round(length_ms / self.counts.grid.step_ms))

    @property
    def start_ms(self) -> int:
        """`start`, milliseconds UTC."""
        return moment_ms(self.start)

    @property
    def end_ms(self) -> int:
        """`end`, milliseconds UTC."""
        return moment_ms(self.end)

    @property
    def steps(self) -> slice:
        """Which steps of `counts` lie in the window; those before are there for burn rates."""
        grid = self.counts.grid
        return slice(max(0, (self.start_ms - grid.start_ms) // grid.step_ms), grid.steps)

    @property
    def before_data(self) -> NDArray[np.bool_]:
        """Which steps of the window lie before the data begins, of which nothing is known."""
        part = self.steps
        if self.data_start is None:
            return np.zeros(part.stop - part.start, dtype=bool)
        begun = moment_ms(self.data_start)
        return np.asarray((self.counts.grid.ends[part] <= begun) & (self.counts.total[part] == 0))

    @property
    def timeline(self) -> Timeline:
        """The window step by step."""
        part = self.steps
        errors, total = self.counts.errors[part], self.counts.total[part]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(total > 0, errors / total, np.nan)
        allowed = self.allowed_errors
        left = 1.0 - np.cumsum(errors) / allowed if allowed > 0 else np.full(len(errors), np.nan)
        errors, total, left = (np.where(self.before_data, np.nan, values) for values in (errors, total, left))
        return Timeline(self.counts.grid.ends[part], errors, total - errors, total, ratio, 1.0 - ratio, left)

    @property
    def breakdowns(self) -> tuple[Breakdown, ...]:
        """Who had the bad events, by each label; nothing where that is not known by series."""
        return break_down(self.counts.parts or (), self.slo.sli.kind_labels)

    @property
    def policy_actions(self) -> tuple[str, ...]:
        """What is to be done now by the error-budget policy, most pressing first."""
        return policy_actions(self.slo.policy, self.remaining, self.incidents)

    @property
    def without_maintenance(self) -> Without | None:
        """The figures without the steps that touch planned maintenance; None where there is none, or no figure at all.

        Nothing is removed from the budget itself: this stands alongside it.
        """
        if self.invalid:
            return None
        grid, part, counts = self.counts.grid, self.steps, self.counts
        return without_maintenance(
            self.events, grid.ends[part], grid.step_ms, counts.errors[part], counts.total[part], self.error_budget
        )

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain data, as `slo status --json` has them, unrounded: ratios are 0..1, times RFC 3339 in UTC,
        unknown figures None. See `slo schema report` for each field."""
        slo, without, withheld = self.slo, self.without_maintenance, bool(self.invalid)
        return {
            "slo": slo.id,
            "service": slo.service,
            "name": slo.name,
            "description": slo.description,
            "owner": slo.owner,
            "labels": dict(slo.labels),
            "objective_percent": f"{slo.objective.percent.normalize():f}",
            "window": str(slo.window),
            "time_zone": slo.window.zone if isinstance(slo.window, Calendar) else None,
            "state": self.state.value,
            "start": utc_text(self.start),
            "end": utc_text(self.end),
            "events": self._events(),
            "sli": self.sli,
            "error_ratio": self.error_ratio,
            "error_budget": {
                "ratio": self.error_budget,
                "minutes": self.budget_minutes,
                "consumed": self.consumed,
                "remaining": self.remaining,
                "exhaustion": utc_text(self.exhaustion),
                "forecast": None if self.forecast is None else self.forecast.to_dict(),
            },
            "burn_rates": {window: self.burn_rate(window) for window in ("1h", "6h", "3d")},
            "alerts": [burn.to_dict() for burn in self.burns],
            "percentiles_seconds": dict(self.quantiles),
            "incidents": None if withheld else [incident.to_dict() for incident in self.incidents],
            "breakdown": None if withheld else [breakdown.to_dict() for breakdown in self.breakdowns],
            "outages": None if withheld else [downtime.to_dict() for downtime in self.downtimes],
            "mttr_seconds": self.mttr_seconds,
            "mtbf_seconds": self.mtbf_seconds,
            "policy": list(self.policy_actions),
            "known_events": [
                {
                    "kind": event.kind,
                    "name": event.name,
                    "start": utc_text(moment(event.start_ms)),
                    "end": utc_text(moment(event.end_ms)),
                }
                for event in self.events
            ],
            "without_maintenance": None if without is None else asdict(without),
            "remaining_change": self.change,
            "earlier": None if self.earlier is None else self.earlier._as_past(),
            "previous": None if self.previous is None else self.previous._as_past(),
            "coverage": self.coverage,
            "data_start": utc_text(self.data_start),
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
            "source": self.source,
        }

    def _as_past(self) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "start": utc_text(self.start),
            "end": utc_text(self.end),
            "events": self._events(),
            "sli": self.sli,
            "error_ratio": self.error_ratio,
            "consumed": self.consumed,
            "remaining": self.remaining,
            "percentiles_seconds": dict(self.quantiles),
            "incidents": None if self.invalid else len(self.incidents),
            "coverage": self.coverage,
        }

    def _events(self) -> dict[str, float | None]:
        names = ("total", "good", "errors", "allowed_errors")
        return dict.fromkeys(names) if self.invalid else {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        from slo.display import show_percent

        left = "" if self.remaining is None else f", {show_percent(self.remaining)} of the budget remaining"
        return f"<Budget {self.slo.id} {self.slo.objective} over {self.slo.window}: {self.state.value}{left}>"


def worst_first(budgets: Iterable[Budget]) -> list[Budget]:
    """The budgets by state, then by what remains of them, then by id; those of which nothing is known last in their state."""
    return sorted(
        budgets,
        key=lambda budget: (
            TROUBLE[budget.state],
            2.0 if budget.remaining is None else budget.remaining,
            budget.slo.id,
        ),
    )


def _last(amounts: Floats, width: int) -> float:
    """The last of `_trailing`, to the bit."""
    if width > len(amounts):
        return np.nan
    cumulated = np.cumsum(amounts)
    return float(cumulated[-1] - (cumulated[-width - 1] if width < len(amounts) else 0.0))


def _trailing(amounts: Floats, width: int) -> Floats:
    """The sum over the last `width` steps up to each step, NaN where there are not as many."""
    sums = np.full(len(amounts), np.nan)
    if width <= len(amounts):
        cumulated = np.concatenate([[0.0], np.cumsum(amounts)])
        sums[width - 1 :] = cumulated[width:] - cumulated[:-width]
    return sums
