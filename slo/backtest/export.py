"""A backtest as plain data, for programs, and as a sentence, for people: the same figures."""

from __future__ import annotations

from typing import Any

from slo.backtest.model import Backtest, BacktestIncident, Detection, Outcome, Played, Score
from slo.display import show_percent
from slo.promql.alerts import AlertInterval
from slo.window import moment

# Raised when a field changes its meaning or goes; a new field does not raise it.
SCHEMA_VERSION = 1


def as_data(result: Backtest) -> dict[str, Any]:
    """Everything that a backtest found, for JSON. Ratios are 0..1, times RFC 3339 in UTC, unknown figures null."""
    best = result.best
    return {
        "version": SCHEMA_VERSION,
        "source": result.source,
        "start": _time(result.start_ms),
        "end": _time(result.end_ms),
        "samples": result.samples,
        "notes": list(result.notes),
        "verdict": verdict(result),
        "best": None if best is None else best.name,
        "incidents": {
            name: [_incident(incident) for incident in incidents] for name, incidents in result.incidents.items()
        },
        "policies": [_played(policy) for policy in result.policies],
    }


def _played(played: Played) -> dict[str, Any]:
    return {
        "name": played.name,
        "rules": played.rules,
        "score": _score(played.score),
        "slos": [_outcome(outcome) for outcome in played.outcomes.values()],
        "other_alerts": [_interval(other) for other in played.others],
        "problems": list(played.problems),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "slo": outcome.slo,
        "score": _score(outcome.score),
        "incidents": [_caught(detection) for detection in outcome.caught],
        "firings": [
            {
                "severity": firing.severity,
                "page": firing.page,
                "start": _time(firing.start_ms),
                "end": _time(firing.end_ms),
                "alerts": list(firing.alerts),
                "during_incident": firing.right,
            }
            for firing in outcome.firings
        ],
        "intervals": [_interval(interval) for interval in outcome.intervals],
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "incidents": score.incidents,
        "caught": score.caught,
        "recall": score.recall,
        "firings": score.firings,
        "precision": score.precision,
        "pages": score.pages,
        "pages_per_week": score.pages_per_week,
        "firing_seconds": score.firing_seconds,
        "median_delay_seconds": score.delay_seconds,
        "budget_consumed": score.consumed,
        "budget_unalerted": score.unalerted,
    }


def _caught(detection: Detection) -> dict[str, Any]:
    return _incident(detection.incident) | {
        "alert": detection.alert or None,
        "severity": detection.severity or None,
        "fired": None if detection.at_ms is None else _time(detection.at_ms),
        "paged": None if detection.paged_ms is None else _time(detection.paged_ms),
        "delay_seconds": detection.delay_seconds,
        "budget_consumed_by_then": detection.consumed,
    }


def _incident(incident: BacktestIncident) -> dict[str, Any]:
    return {
        "name": incident.name,
        "start": _time(incident.start_ms),
        "end": _time(incident.end_ms),
        "origin": incident.origin,
        "budget_share": incident.budget_share,
    }


def _interval(alert_interval: AlertInterval) -> dict[str, Any]:
    return {
        "alert": alert_interval.name,
        "labels": dict(alert_interval.labels),
        "state": alert_interval.state,
        "start": _time(alert_interval.start_ms),
        "end": _time(alert_interval.end_ms),
        "open": alert_interval.open,
    }


def _time(at_ms: int) -> str:
    return moment(at_ms).isoformat().replace("+00:00", "Z")


def verdict(result: Backtest) -> str:
    """What came out, in a sentence or two."""
    best = result.best
    if best is not None:
        others = [policy for policy in result.policies if policy is not best]
        same = [other for other in others if other.score.caught == best.score.caught]
        text = f"{best.name} catches {_of(best.score)} with {_pages(best.score)}"
        if same:
            rest = ", ".join(f"{policy.name} needs {_pages(policy.score)}" for policy in same)
            return f"{text}; for as many, {rest}."
        return f"{text}; no other policy catches as many."
    if len(result.policies) > 1:
        return f"All policies catch {_of(result.policies[0].score)} with {_pages(result.policies[0].score)}."
    score = result.policies[0].score
    text = f"The alerts catch {_of(score)} with {_pages(score)}"
    if score.firings:
        text += f"; {show_percent(score.precision, 0)} of {score.firings} firings were during an incident"
    return f"{text}."


def _of(score: Score) -> str:
    return f"{score.caught} of {score.incidents} incident{'' if score.incidents == 1 else 's'}"


def _pages(score: Score) -> str:
    return f"{score.pages_per_week:.1f} pages a week"
