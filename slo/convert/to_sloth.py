"""Definitions as Sloth files (`version: prometheus/v1`), one for each service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slo.convert.export import (
    PLACEHOLDER,
    Exported,
    Warned,
    added,
    by_service,
    checks_of,
    events_of,
    labels_of,
    not_held,
    rated,
    sampled,
    window_text,
    with_placeholder,
)
from slo.convert.model import Refused
from slo.promql.ast import Binary
from slo.sli.probe import Probe
from slo.sli.raw import Raw
from slo.spec.model import Alert, Slo
from slo.window import Calendar


def export(slos: Iterable[Slo]) -> Iterator[Exported]:
    """One file for each service."""
    for service, own in by_service(slos):
        entry = Exported(service)
        entries = []
        for slo in own:
            try:
                entries.append(_slo(slo))
            except Refused as error:
                entry.warnings.append(Warned(slo.id, str(error), left_out=True))
                continue
            entry.warnings += [Warned(slo.id, f"Sloth does not hold {what}") for what in not_held(slo)]
            events = events_of(slo.sli)
            entry.warnings += [Warned(slo.id, text) for text in events.warnings] if events else []
            window = window_text(slo)
            if isinstance(slo.window, Calendar):
                entry.warnings.append(
                    Warned(slo.id, f"Sloth has no calendar windows; over {window}: --default-slo-period={window}")
                )
            elif window != "30d":
                entry.warnings.append(
                    Warned(slo.id, f"Sloth takes the window from its command line: --default-slo-period={window}")
                )
        if entries:
            entry.documents.append({"version": "prometheus/v1", "service": service, "slos": entries})
        yield entry


def _slo(slo: Slo) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": slo.name, "objective": slo.objective.percent}
    if slo.description:
        entry["description"] = slo.description
    if labels := labels_of(slo):
        entry["labels"] = labels
    entry["sli"] = _sli(slo)
    entry["alerting"] = _alerting(slo)
    return entry


def _sli(slo: Slo) -> dict[str, Any]:
    events = events_of(slo.sli)
    if events is not None:
        total = added([rated(counter, slo.by) for counter in events.totals])
        errors = events.errors(lambda counter: rated(counter, slo.by))
        return {"events": {"error_query": with_placeholder(errors), "total_query": with_placeholder(total)}}
    match slo.sli:
        case Probe(metric=metric):
            total = sampled("count_over_time", metric, slo.by)
            errors = Binary("-", total, sampled("sum_over_time", metric, slo.by))
            return {"events": {"error_query": with_placeholder(errors), "total_query": with_placeholder(total)}}
        case Raw(errors=text, total=whole):
            return {"events": {"error_query": with_placeholder(text), "total_query": with_placeholder(whole)}}
    checks = checks_of(slo.sli)
    if checks is None:
        raise Refused(f"Sloth has nothing for the kind `{slo.sli.key}` with these keys")
    check, every = checks
    query = f"1 - avg(avg_over_time(({with_placeholder(check)})[{PLACEHOLDER}:{every}]))"
    return {"raw": {"error_ratio_query": query}}


def _alerting(slo: Slo) -> dict[str, Any]:
    page, ticket = slo.alerting.page, slo.alerting.ticket
    alerting: dict[str, Any] = {}
    if page.enabled or ticket.enabled:
        alerting["name"] = (page if page.enabled else ticket).name or "ErrorBudgetBurn"
    for key, alert in (("page_alert", page), ("ticket_alert", ticket)):
        alerting[key] = _alert(alert, slo.annotations) if alert.enabled else {"disable": True}
    return {key: value for key, value in alerting.items() if value}


def _alert(alert: Alert, annotations: Mapping[str, str]) -> dict[str, Any]:
    result = {"labels": dict(alert.labels), "annotations": {**annotations, **alert.annotations}}
    return {key: value for key, value in result.items() if value}
