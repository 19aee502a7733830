"""A backtest as plain data, for programs, and as a sentence, for people: the same figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from slo.backtest.model import Backtest, Detection, Incident, Outcome, Played, Score
from slo.display import show_percent
from slo.promql.alerts import AlertInterval

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
        "incidents": {name: [_incident(one) for one in found] for name, found in result.incidents.items()},
        "policies": [_played(one) for one in result.policies],
    }


def _played(played: Played) -> dict[str, Any]:
    return {
        "name": played.name,
        "rules": played.rules,
        "score": _score(played.score),
        "slos": [_outcome(outcome) for outcome in played.outcomes.values()],
        "other_alerts": [_interval(one) for one in played.others],
        "problems": list(played.problems),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "slo": outcome.slo,
        "score": _score(outcome.score),
        "incidents": [_caught(one) for one in outcome.caught],
        "firings": [
            {
                "severity": one.severity,
                "page": one.page,
                "start": _time(one.start_ms),
                "end": _time(one.end_ms),
                "alerts": list(one.alerts),
                "during_incident": one.right,
            }
            for one in outcome.firings
        ],
        "intervals": [_interval(one) for one in outcome.intervals],
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


def _caught(one: Detection) -> dict[str, Any]:
    return _incident(one.incident) | {
        "alert": one.alert or None,
        "severity": one.severity or None,
        "fired": None if one.at_ms is None else _time(one.at_ms),
        "paged": None if one.paged_ms is None else _time(one.paged_ms),
        "delay_seconds": one.delay_seconds,
        "budget_consumed_by_then": one.consumed,
    }


def _incident(one: Incident) -> dict[str, Any]:
    return {
        "name": one.name,
        "start": _time(one.start_ms),
        "end": _time(one.end_ms),
        "origin": one.origin,
        "budget_share": one.budget_share,
    }


def _interval(one: AlertInterval) -> dict[str, Any]:
    return {
        "alert": one.name,
        "labels": dict(one.labels),
        "state": one.state,
        "start": _time(one.start_ms),
        "end": _time(one.end_ms),
        "open": one.open,
    }


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def verdict(result: Backtest) -> str:
    """What came out, in a sentence or two."""
    best = result.best
    if best is not None:
        others = [one for one in result.policies if one is not best]
        same = [one for one in others if one.score.caught == best.score.caught]
        text = f"{best.name} catches {_of(best.score)} with {_pages(best.score)}"
        if same:
            rest = ", ".join(f"{one.name} needs {_pages(one.score)}" for one in same)
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
