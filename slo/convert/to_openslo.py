"""Definitions as OpenSLO v1, one document for each SLO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from slo.convert.export import Exported, Warned, by_service, events_of, labels_of, not_held, with_placeholder
from slo.convert.model import Refused
from slo.promql.ast import Aggregate, Binary, Call, VectorSelector
from slo.sli.freshness import Freshness
from slo.sli.probe import Probe
from slo.sli.raw import Raw
from slo.sli.threshold import Threshold
from slo.spec.model import Slo
from slo.window import DAY, HOUR, MINUTE, Calendar, Rolling, burn_windows, format_duration

_OPERATORS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_UNITS = {"week": "1w", "month": "1M", "quarter": "1Q", "year": "1Y"}
# A Monday, and the first day of a month, a quarter and a year.
_START = "2024-01-01 00:00:00"


def export(slos: Iterable[Slo]) -> Iterator[Exported]:
    """The documents of each service."""
    for service, own in by_service(slos):
        entry = Exported(service)
        for slo in own:
            try:
                entry.documents.append(_document(slo, entry))
            except Refused as error:
                entry.warnings.append(Warned(slo.id, str(error), left_out=True))
                continue
            entry.warnings += [Warned(slo.id, f"OpenSLO does not hold {what}") for what in not_held(slo, windows=True)]
        yield entry


def _document(slo: Slo, entry: Exported) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": slo.name}
    if labels := labels_of(slo):
        metadata["labels"] = labels
    spec: dict[str, Any] = {"description": slo.description} if slo.description else {}
    spec["service"] = slo.service
    indicator, objective, method = _indicator(slo, entry)
    spec["indicator"] = {"metadata": {"name": slo.name}, "spec": indicator}
    spec["timeWindow"] = [_window(slo)]
    spec["budgetingMethod"] = method
    spec["objectives"] = [{"displayName": slo.name, **objective, "target": slo.objective.ratio}]
    if conditions := _conditions(slo):
        spec["alertPolicies"] = [
            {
                "kind": "AlertPolicy",
                "metadata": {"name": slo.name},
                "spec": {"alertWhenBreaching": True, "conditions": conditions},
            }
        ]
        entry.warnings.append(
            Warned(slo.id, "OpenSLO's conditions have one window each: the short windows of its alerts are left out")
        )
        if any(alert.labels or alert.annotations or alert.name for alert in (slo.alerting.page, slo.alerting.ticket)):
            entry.warnings.append(Warned(slo.id, "OpenSLO does not hold names, labels and annotations of alerts"))
    return {"apiVersion": "openslo/v1", "kind": "SLO", "metadata": metadata, "spec": spec}


def _metric(query: str) -> dict[str, Any]:
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


def _indicator(slo: Slo, entry: Exported) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The indicator, what it needs in the objective, and the budgeting method."""
    events = events_of(slo.sli)
    if events is not None:
        entry.warnings += [Warned(slo.id, text) for text in events.warnings]
        part, total = (
            " + ".join(_summed(counter, slo.by) for counter in counters) for counters in (events.parts, events.totals)
        )
        key = "good" if events.part_is == "good" else "bad"
        return {"ratioMetric": {"counter": True, key: _metric(part), "total": _metric(total)}}, {}, "Occurrences"
    match slo.sli:
        case Threshold(expr=expr, op=op, bound=bound, every_ms=every):
            return {"thresholdMetric": _metric(expr)}, _slices(op, bound, every), "Timeslices"
        case Freshness(metric=metric, max_age_ms=age, every_ms=every):
            query = str(Binary("-", Call("time"), metric))
            return {"thresholdMetric": _metric(query)}, _slices("<=", Decimal(age) / 1000, every), "Timeslices"
        case Probe(metric=metric):
            if slo.by:
                raise Refused("OpenSLO has no budget for each value of a label of a gauge")
            entry.warnings.append(
                Warned(slo.id, "a probe is a threshold to OpenSLO: a value between 0 and 1 is bad there")
            )
            return {"thresholdMetric": _metric(str(metric))}, {"op": "gte", "value": Decimal(1)}, "Occurrences"
        case Raw(errors=errors, total=total):
            entry.warnings.append(
                Warned(slo.id, "its queries look back over {{.window}}, which only some tools fill in, such as Sloth")
            )
            ratio = {
                "counter": True,
                "bad": _metric(with_placeholder(errors)),
                "total": _metric(with_placeholder(total)),
            }
            return {"ratioMetric": ratio}, {}, "Occurrences"
    raise Refused(f"OpenSLO has nothing for the kind `{slo.sli.key}` with these keys")


def _summed(selector: VectorSelector, by: tuple[str, ...]) -> str:
    text = str(Aggregate("sum", selector, grouping=by))
    if "{{" in text:
        raise Refused("a query holds `{{`, which would be read as a template")
    return text


def _slices(op: str, bound: Decimal, every_ms: int) -> dict[str, Any]:
    return {
        "op": _OPERATORS[op],
        "value": bound,
        "timeSliceTarget": Decimal(1),
        "timeSliceWindow": format_duration(every_ms),
    }


def _window(slo: Slo) -> dict[str, Any]:
    match slo.window:
        case Calendar(kind, zone):
            return {"duration": _UNITS[kind], "isRolling": False, "calendar": {"startTime": _START, "timeZone": zone}}
        case Rolling(length):
            for unit_ms, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
                if length % unit_ms == 0:
                    return {"duration": f"{length // unit_ms}{unit}", "isRolling": True}
    raise Refused(f"OpenSLO has no window of {slo.window}")


def _conditions(slo: Slo) -> list[dict[str, Any]]:
    windows = slo.alerting.windows or burn_windows(slo.window, slo.objective.error_budget, slo.scrape_interval_ms)
    conditions = []
    for burn in windows:
        alert = slo.alerting.of_pair(burn)
        if not alert.enabled:
            continue
        condition = {
            "kind": "burnrate",
            "op": "gt",
            "threshold": _factor(burn.factor.numerator, burn.factor.denominator),
        }
        condition |= {"lookbackWindow": format_duration(burn.long_ms), "alertAfter": format_duration(alert.for_ms)}
        conditions.append(
            {
                "kind": "AlertCondition",
                "metadata": {"name": f"{slo.name}-{burn.severity}-{format_duration(burn.long_ms)}"},
                "spec": {"severity": burn.severity, "condition": condition},
            }
        )
    return conditions


def _factor(numerator: int, denominator: int) -> Decimal:
    """A burn rate with six digits at most."""
    return round(Decimal(numerator) / denominator, 6).normalize()
