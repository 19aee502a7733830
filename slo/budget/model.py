"""What an evaluation gives: small typed values, whose series are DataFrames."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from slo.budget.forecast import Forecast
from slo.budget.possible import possible, ratio_of
from slo.sli.base import Note
from slo.sli.counts import Counts, Gap
from slo.sli.slices import stretches
from slo.spec.events import Event
from slo.spec.model import Slo
from slo.window import MINUTE, BurnWindow, format_duration, parse_duration

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]


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
class Incident:
    """A stretch that used the error budget quickly, with all events from its start to its end.

    `budget_share` is the share of the window's whole error budget (a ratio) that it consumed.
    """

    start: datetime
    end: datetime
    errors: float
    total: float
    budget_share: float

    @property
    def error_ratio(self) -> float | None:
        """Bad events out of all, 0..1; None without traffic, or where there are more bad events than events."""
        return ratio_of(self.errors, self.total)

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class Downtime:
    """One outage of an `outage` SLI, of any length: from its first slice that was down to its last."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert's burn rates now. None where there was no traffic, or not data enough for the window."""

    window: BurnWindow
    long: float | None
    short: float | None

    @property
    def firing(self) -> bool:
        """Both windows are above the factor."""
        factor = float(self.window.factor)
        return self.long is not None and self.short is not None and self.long > factor and self.short > factor


@dataclass(frozen=True, eq=False)
class Budget:
    """One SLO over one period: events counted, the SLI, and what is left of the error budget.

    Ratios are 0..1. `errors` and `total` count events from `start` to `end` (for a calendar window the part that has
    passed). `coverage` is the share of that time in which scrapes came. Everything is None, never 0 or 1, where
    nothing is known.

    Where the data begins within the period, `data_start` says when; what was before is unknown, not 0. `gaps` are the
    stretches after that without scrapes.

    Where the figures cannot be believed `invalid` says why: the state is invalid, all figures are None, numbers of events
    NaN, and nothing is kept of what was counted.
    """

    slo: Slo
    start: datetime
    end: datetime
    period_end: datetime
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
    known: tuple[Event, ...] = ()
    invalid: tuple[Note, ...] = ()
    data_start: datetime | None = None
    earlier: Budget | None = None
    previous: Budget | None = None

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain data, as `slo status --json` has them; unknown ones are None."""
        from slo.budget.export import as_data

        return as_data(self)

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
        """The share of the error budget that is spent; above 1 when it is exhausted, None without traffic."""
        return self.errors / self.allowed_errors if self.total > 0 else None

    @property
    def remaining(self) -> float | None:
        """The share of the error budget that is left; below 0 when it is overspent, None without traffic."""
        consumed = self.consumed
        return None if consumed is None else 1.0 - consumed

    @property
    def exhaustion(self) -> datetime | None:
        """When the budget ends at the present pace; None where it lasts, is spent, or nothing is known."""
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
        """The error budget of the whole period as minutes of full outage."""
        return self.error_budget * self.slo.window.nominal_ms / MINUTE

    @property
    def state(self) -> State:
        """How the SLO stands at `end`.

        Exhausted: nothing is left. Burning: an alert of its own catalogue would fire now. At risk: less than a quarter
        is left, or the present pace exhausts it. No data: nothing could be counted. Invalid: what was counted cannot be
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
        over = [one.seconds for one in self.downtimes if one.end < self.end]
        return sum(over) / len(over) if over else None

    @property
    def mtbf_seconds(self) -> float | None:
        """Mean time between failures: the time that was up over the number of outages; None without one."""
        if not self.downtimes:
            return None
        down = sum((one.end - max(one.start, self.start)).total_seconds() for one in self.downtimes)
        return ((self.end - self.start).total_seconds() - down) / len(self.downtimes)

    def burn_rate(self, window: str | int) -> float | None:
        """The burn rate over a window (`1h`, or milliseconds) that ends at `end`.

        Error ratio ÷ error budget (SRE workbook, chapter 5): 1 spends the budget exactly in the period. None without
        traffic, where the counted time is shorter than the window, or where its errors are below 0 or above its total.
        """
        rates = self.burn_rates(window)
        last = rates[-1] if len(rates) else np.nan
        return None if np.isnan(last) else float(last)

    def firings(self, severity: str) -> list[tuple[datetime, datetime]]:
        """When an alert of a severity (`page`, `ticket`) has fired in the period, by its two windows, to the step.

        What `for` and an evaluation's delay do to it is left to `slo.backtest`.
        """
        part = self._period
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
    def _period(self) -> slice:
        grid = self.counts.grid
        first = (round(self.start.timestamp() * 1000) - grid.start_ms) // grid.step_ms
        return slice(max(0, first), grid.steps)

    @property
    def before_data(self) -> NDArray[np.bool_]:
        """Which steps of the period lie before the data begins, of which nothing is known."""
        part = self._period
        if self.data_start is None:
            return np.zeros(part.stop - part.start, dtype=bool)
        begun = round(self.data_start.timestamp() * 1000)
        return np.asarray((self.counts.grid.ends[part] <= begun) & (self.counts.total[part] == 0))

    @property
    def timeline(self) -> pd.DataFrame:
        """Per step of the period, indexed by its end (UTC).

        Columns: `errors`, `good`, `total` (events), `error_ratio` and `sli` (0..1, NaN without traffic), and
        `budget_remaining`: the share of the period's budget left after the step (it ends at `remaining`). All are NaN
        before the data begins.
        """
        import pandas as pd

        part = self._period
        errors, total = self.counts.errors[part], self.counts.total[part]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(total > 0, errors / total, np.nan)
        allowed = self.allowed_errors
        left = 1.0 - np.cumsum(errors) / allowed if allowed > 0 else np.full(len(errors), np.nan)
        errors, total, left = (np.where(self.before_data, np.nan, values) for values in (errors, total, left))
        return pd.DataFrame(
            {
                "errors": errors,
                "good": total - errors,
                "total": total,
                "error_ratio": ratio,
                "sli": 1.0 - ratio,
                "budget_remaining": left,
            },
            index=self._index(part),
        )

    @property
    def burn_timeline(self) -> pd.DataFrame:
        """Burn rates per step of the period, indexed by its end (UTC); a column for each window of its alerts."""
        import pandas as pd

        part = self._period
        lengths = sorted({length for burn in self.burns for length in (burn.window.long_ms, burn.window.short_ms)})
        return pd.DataFrame(
            {format_duration(length): self.burn_rates(length)[part] for length in lengths}, index=self._index(part)
        )

    @property
    def percentiles(self) -> pd.DataFrame:
        """Latency per step of the period in seconds: `p50`, `p90`, `p95`, `p99`. Empty for other kinds of SLI."""
        import pandas as pd

        from slo.budget.quantile import PERCENTILES, histogram_quantile

        part = self._period
        if not self.bucket_counts.size:
            return pd.DataFrame(index=self._index(slice(0)), columns=list(PERCENTILES), dtype=float)
        counts = self.bucket_counts[part]
        return pd.DataFrame(
            {name: histogram_quantile(q, self.bounds, counts) for name, q in PERCENTILES.items()},
            index=self._index(part),
        )

    @property
    def incident_table(self) -> pd.DataFrame:
        """The incidents found: `start`, `end`, `seconds`, `errors`, `total`, `error_ratio`, `budget_share`."""
        import pandas as pd

        columns = ["start", "end", "seconds", "errors", "total", "error_ratio", "budget_share"]
        return pd.DataFrame([[getattr(i, c) for c in columns] for i in self.incidents], columns=columns)

    def burned_by(self, label: str) -> pd.DataFrame:
        """What each value of a label had of the period's events, most bad events first.

        Columns: `errors`, `total` (events), `error_ratio`, `errors_share` and `total_share` (0..1). Raises KeyError, which
        names the labels that there are.
        """
        found: Any = import_module("slo.budget.breakdown")
        tables: Mapping[str, pd.DataFrame] = found.budget_tables(self)
        if label not in tables:
            raise KeyError(f"{label!r} divides no series of {self.slo.id}; there are {', '.join(tables) or 'none'}")
        return tables[label]

    def plot(
        self,
        kind: Literal["burn_down", "error_ratio", "burn_rate", "latency"] = "burn_down",
        axes: Axes | None = None,
        span: tuple[datetime, datetime] | None = None,
    ) -> Axes:
        """One of the report's charts on matplotlib axes, of the whole period or of a `span` of it.

        Raises ValueError where there is nothing to draw.
        """
        # As pandas names its plotting backend: drawing is looked up when it is asked for, counting does not need it.
        drawing: Any = import_module("slo.report.plots")
        drawn: Axes = drawing.plot_budget(self, kind, axes, span)
        return drawn

    def _index(self, part: slice) -> pd.DatetimeIndex:
        import pandas as pd

        return pd.DatetimeIndex(pd.to_datetime(self.counts.grid.ends[part], unit="ms", utc=True), name="time")

    def __repr__(self) -> str:
        from slo.display import show_percent

        left = "" if self.remaining is None else f", {show_percent(self.remaining)} of the budget left"
        return f"<Budget {self.slo.id} {self.slo.objective} over {self.slo.window}: {self.state.value}{left}>"

    def _repr_html_(self) -> str:
        from slo.display import show_count, show_percent, show_points, show_rate, show_share

        rows = [
            ("state", self.state.value),
            ("objective", f"{self.slo.objective} over {self.slo.window}"),
            ("SLI", show_percent(self.sli, 4)),
            ("budget left", show_percent(self.remaining)),
            *([("change", f"{show_points(self.change)} since {self.earlier.end:%Y-%m-%d}")] if self.earlier else []),
            (
                "bad events",
                f"{show_count(self.errors)} of {show_count(self.total)}; {show_count(self.allowed_errors)} allowed",
            ),
            ("burn rate 1 h / 6 h / 3 d", " / ".join(show_rate(self.burn_rate(w)) for w in ("1h", "6h", "3d"))),
            (
                "period",
                f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC, {show_share(self.coverage)} covered",
            ),
            *[("note", note.text) for note in self.notes],
        ]
        body = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in rows)
        return f"<table><caption>{html.escape(self.slo.id)}</caption>{body}</table>"


def _trailing(amounts: Floats, width: int) -> Floats:
    """The sum over the last `width` steps up to each step, NaN where there are not as many."""
    sums = np.full(len(amounts), np.nan)
    if width <= len(amounts):
        cumulated = np.concatenate([[0.0], np.cumsum(amounts)])
        sums[width - 1 :] = cumulated[width:] - cumulated[:-width]
    return sums


def moment(ms: int) -> datetime:
    """Milliseconds as a UTC datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)
