"""The shape of the JSON that `slo status --json` and reports give: what each field is, in which unit, and when it is null.

Ratios are 0..1, times RFC 3339 in UTC, events are counts. A version is raised when a field changes its meaning or goes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Time = Annotated[str, Field(description="RFC 3339, UTC", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")]
Maybe = float | None


class _JsonModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class EventsShape(_JsonModel):
    """Events of a window, whole numbers but where a server interpolates; all null where they cannot be believed."""

    total: Maybe
    good: Maybe
    errors: Maybe
    allowed_errors: Annotated[Maybe, Field(description="error budget × total")]


class ForecastShape(_JsonModel):
    """The pace that an end is forecast from, and its interval."""

    pace_window: Annotated[str, Field(description="how far back the pace is taken, a Prometheus duration")]
    burn_rate: float
    confidence: Annotated[float, Field(description="the share of cases that the interval is made to hold")]
    burn_rate_low: float
    burn_rate_high: float
    exhaustion_earliest: Annotated[Time | None, Field(description="at burn_rate_high; null: it lasts")]
    exhaustion_latest: Annotated[Time | None, Field(description="at burn_rate_low; null: it lasts")]


class ErrorBudgetShape(_JsonModel):
    """The budget and what remains of it."""

    ratio: Annotated[float, Field(description="1 - objective")]
    minutes: Annotated[float, Field(description="the whole window's budget as minutes of full outage")]
    consumed: Annotated[
        Maybe, Field(description="errors ÷ allowed_errors; above 1 it is exhausted; null without traffic")
    ]
    remaining: Annotated[Maybe, Field(description="1 - consumed; below 0 it is exhausted; null without traffic")]
    exhaustion: Annotated[
        Time | None, Field(description="when it ends at the current pace; null where it lasts or is exhausted")
    ]
    forecast: Annotated[
        ForecastShape | None, Field(description="null where nothing is left, or nothing was counted lately")
    ]


class AlertShape(_JsonModel):
    """A burn-rate alert now."""

    severity: Literal["page", "ticket"]
    long_window: str
    short_window: str
    factor: Annotated[float, Field(description="it fires while both burn rates are above")]
    long_burn_rate: Maybe
    short_burn_rate: Maybe
    firing: bool


class IncidentShape(_JsonModel):
    """A stretch with a burn rate of 2 or above, pauses included, that consumed 1% of the error budget or more."""

    start: Time
    end: Time
    errors: float
    total: float
    error_ratio: Maybe
    budget_share: Annotated[float, Field(description="of the window's whole budget")]


class ValueShape(_JsonModel):
    """What one value of a label had; a series without the label has an empty value."""

    value: str
    errors: float
    total: float


class OthersShape(_JsonModel):
    """What all further values had together."""

    values: int
    errors: float
    total: float


class BreakdownShape(_JsonModel):
    """Who had the bad events, by one label; the most telling label comes first."""

    label: str
    alike: Annotated[list[str], Field(description="labels that divide the series in the same way")]
    kinds: Annotated[bool, Field(description="the label tells bad from good, such as a code")]
    skew: Annotated[float, Field(description="the share of bad events that lie elsewhere than the traffic, 0..1")]
    values: Annotated[list[ValueShape], Field(description="those with most errors, twenty at most")]
    others: OthersShape


class OutageShape(_JsonModel):
    """An outage of an `outage` SLI, of any length."""

    start: Time
    end: Time
    seconds: float


class KnownShape(_JsonModel):
    """Something that people reported about the window."""

    kind: Literal["incident", "deployment", "maintenance"]
    name: str
    start: Time
    end: Time


class WithoutShape(_JsonModel):
    """The figures without planned maintenance; all others count it."""

    seconds: float
    errors: Maybe
    total: Maybe
    sli: Maybe
    remaining: Maybe


_State = Literal["exhausted", "burning", "invalid", "at risk", "no data", "healthy"]


class PastShape(_JsonModel):
    """The same objective over an earlier window."""

    state: Annotated[_State, Field(description="without its alerts, so never burning")]
    start: Time
    end: Time
    events: EventsShape
    sli: Maybe
    error_ratio: Maybe
    consumed: Maybe
    remaining: Maybe
    percentiles_seconds: dict[str, Maybe]
    incidents: int | None
    coverage: Annotated[float, Field(description="the share of that window in which scrapes came")]


class NoteShape(_JsonModel):
    """What a reader of the figures must know; `code` is stable, `text` is for people."""

    code: str
    text: str


class SloShape(_JsonModel):
    """One SLO over its window. Figures are null, never 0 or 1, where nothing is known."""

    slo: Annotated[str, Field(description="service/name")]
    service: str
    name: str
    description: str
    owner: str
    labels: dict[str, str]
    objective_percent: Annotated[str, Field(description="exact, as a decimal", examples=["99.9"])]
    window: Annotated[str, Field(description="a duration, or week, month, quarter, year")]
    time_zone: Annotated[str | None, Field(description="whose midnights a calendar window has; null for a rolling one")]
    state: Annotated[
        _State, Field(description="invalid: the figures cannot be true and are null; the first note names the cause")
    ]
    start: Time
    end: Time
    events: EventsShape
    sli: Annotated[Maybe, Field(description="good ÷ total")]
    error_ratio: Annotated[Maybe, Field(description="errors ÷ total")]
    error_budget: ErrorBudgetShape
    burn_rates: Annotated[dict[str, Maybe], Field(description="by window: error ratio ÷ error budget")]
    alerts: list[AlertShape]
    percentiles_seconds: Annotated[dict[str, Maybe], Field(description="p50 to p99 of a latency; empty for other SLIs")]
    incidents: Annotated[list[IncidentShape] | None, Field(description="null where the state is invalid")]
    breakdown: Annotated[list[BreakdownShape] | None, Field(description="null where the state is invalid")]
    outages: Annotated[list[OutageShape] | None, Field(description="null where the state is invalid")]
    mttr_seconds: Annotated[Maybe, Field(description="mean time to recovery")]
    mtbf_seconds: Annotated[Maybe, Field(description="mean time between failures")]
    policy: Annotated[list[str], Field(description="what follows now by the error-budget policy")]
    known_events: list[KnownShape]
    without_maintenance: WithoutShape | None
    remaining_change: Annotated[Maybe, Field(description="remaining - earlier.remaining; in reports only")]
    earlier: Annotated[PastShape | None, Field(description="the same objective at the review before; in reports only")]
    previous: Annotated[PastShape | None, Field(description="the window that ended where this begins; in reports only")]
    coverage: Annotated[float, Field(description="the share of the window in which scrapes came")]
    data_start: Annotated[
        Time | None, Field(description="when the data begins; null where it covers the window's start")
    ]
    notes: list[NoteShape]
    source: str


class ReportShape(_JsonModel):
    """SLOs with their figures; reports have them worst first, and a title, time and warnings."""

    version: Literal[1]
    title: str = ""
    generated: Time | None = None
    missing: Annotated[str | None, Field(description="why the source did not answer; null where it did")] = None
    warnings: list[str] = []
    slos: list[SloShape]


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `slo status --json` and `report.json`; later packages may add fields to a version."""
    schema = ReportShape.model_json_schema()
    for shape in (schema, *schema["$defs"].values()):
        shape.pop("additionalProperties", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "slo report"}
