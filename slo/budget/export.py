"""A budget as plain data, for programs: the same figures that people see, unrounded."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from slo.budget.breakdown import Breakdown, of_budget
from slo.budget.events import without_maintenance
from slo.budget.forecast import CONFIDENCE, Forecast
from slo.budget.model import Budget, moment
from slo.budget.policy import follows
from slo.window import Calendar, format_duration

# Raised when a field changes its meaning or goes; a new field does not raise it.
SCHEMA_VERSION = 1
# So many values of a label are listed one by one.
VALUES = 20


def as_data(budget: Budget) -> dict[str, Any]:
    """One SLO's figures, for JSON. Ratios are 0..1, times RFC 3339 in UTC, unknown figures null."""
    slo, without = budget.slo, without_maintenance(budget)
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
        "state": budget.state.value,
        "start": _time(budget.start),
        "end": _time(budget.end),
        "events": _events(budget),
        "sli": budget.sli,
        "error_ratio": budget.error_ratio,
        "error_budget": {
            "ratio": budget.error_budget,
            "minutes": budget.budget_minutes,
            "consumed": budget.consumed,
            "remaining": budget.remaining,
            "exhaustion": _time(budget.exhaustion),
            "forecast": _forecast(budget.forecast),
        },
        "burn_rates": {window: budget.burn_rate(window) for window in ("1h", "6h", "3d")},
        "alerts": [
            {
                "severity": burn.window.severity,
                "long_window": format_duration(burn.window.long_ms),
                "short_window": format_duration(burn.window.short_ms),
                "factor": float(burn.window.factor),
                "long_burn_rate": burn.long,
                "short_burn_rate": burn.short,
                "firing": burn.firing,
            }
            for burn in budget.burns
        ],
        "percentiles_seconds": dict(budget.quantiles),
        "incidents": None
        if budget.invalid
        else [
            {
                "start": _time(incident.start),
                "end": _time(incident.end),
                "errors": incident.errors,
                "total": incident.total,
                "error_ratio": incident.error_ratio,
                "budget_share": incident.budget_share,
            }
            for incident in budget.incidents
        ],
        "breakdown": None if budget.invalid else [_breakdown(one) for one in of_budget(budget)],
        "outages": None
        if budget.invalid
        else [{"start": _time(one.start), "end": _time(one.end), "seconds": one.seconds} for one in budget.downtimes],
        "mttr_seconds": budget.mttr_seconds,
        "mtbf_seconds": budget.mtbf_seconds,
        "policy": list(follows(budget)),
        "known_events": [
            {
                "kind": one.kind,
                "name": one.name,
                "start": _time(moment(one.start_ms)),
                "end": _time(moment(one.end_ms)),
            }
            for one in budget.known
        ],
        "without_maintenance": None if without is None else asdict(without),
        "remaining_change": budget.change,
        "earlier": _past(budget.earlier),
        "previous": _past(budget.previous),
        "coverage": budget.coverage,
        "data_start": _time(budget.data_start),
        "notes": [{"code": note.code, "text": note.text} for note in budget.notes],
        "source": budget.source,
    }


def _breakdown(found: Breakdown) -> dict[str, Any]:
    """The values with most bad events; `others` are all that follow, together."""
    shown, rest = found.shares[:VALUES], found.shares[VALUES:]
    return {
        "label": found.label,
        "alike": list(found.alike),
        "kinds": found.kinds,
        "skew": found.skew,
        "values": [{"value": share.value, "errors": share.errors, "total": share.total} for share in shown],
        "others": {
            "values": len(rest),
            "errors": sum(share.errors for share in rest),
            "total": sum(share.total for share in rest),
        },
    }


def _past(budget: Budget | None) -> dict[str, Any] | None:
    if budget is None:
        return None
    return {
        "state": budget.state.value,
        "start": _time(budget.start),
        "end": _time(budget.end),
        "events": _events(budget),
        "sli": budget.sli,
        "error_ratio": budget.error_ratio,
        "consumed": budget.consumed,
        "remaining": budget.remaining,
        "percentiles_seconds": dict(budget.quantiles),
        "incidents": None if budget.invalid else len(budget.incidents),
        "coverage": budget.coverage,
    }


def _events(budget: Budget) -> dict[str, float | None]:
    if budget.invalid:
        return dict.fromkeys(("total", "good", "errors", "allowed_errors"))
    return {
        "total": budget.total,
        "good": budget.good,
        "errors": budget.errors,
        "allowed_errors": budget.allowed_errors,
    }


def _forecast(found: Forecast | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "pace_window": format_duration(found.pace_ms),
        "burn_rate": found.pace,
        "confidence": CONFIDENCE,
        "burn_rate_low": found.low,
        "burn_rate_high": found.high,
        "exhaustion_earliest": _time(found.earliest),
        "exhaustion_latest": _time(found.latest),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")
