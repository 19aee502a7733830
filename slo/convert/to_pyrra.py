"""Definitions as Pyrra's resources, one for each SLO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from slo.convert.export import Exported, Warned, by_service, events_of, labels_of, not_held, window_text
from slo.convert.from_pyrra import PREFIX
from slo.convert.model import Refused
from slo.promql.ast import Matcher
from slo.rules.resource import object_name
from slo.sli.latency import Latency, threshold_text
from slo.sli.native_latency import NativeLatency
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.sums import Sums
from slo.spec.model import Slo
from slo.window import Calendar, format_duration

_OPPOSITE = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


def export(slos: Iterable[Slo]) -> Iterator[Exported]:
    """The resources of each service."""
    for service, own in by_service(slos):
        entry = Exported(service)
        for slo in own:
            try:
                entry.documents.append(_resource(slo, entry))
            except Refused as error:
                entry.warnings.append(Warned(slo.id, str(error), left_out=True))
        yield entry


def _resource(slo: Slo, entry: Exported) -> dict[str, Any]:
    indicator = _indicator(slo, entry)
    alerting: dict[str, Any] = {}
    name = slo.alerting.page.name or slo.alerting.ticket.name
    if name:
        alerting["name"] = name
    if not slo.alerting.page.enabled and not slo.alerting.ticket.enabled:
        alerting["burnrates"] = False
    elif slo.alerting.page.enabled != slo.alerting.ticket.enabled:
        entry.warnings.append(Warned(slo.id, "Pyrra alerts on all of its pairs of windows or on none"))
    if not slo.alerting.absent.alert.enabled:
        alerting["absent"] = False
    entry.warnings += [Warned(slo.id, f"Pyrra does not hold {what}") for what in not_held(slo, absent=True)]
    if any(alert.labels or alert.annotations for alert in (slo.alerting.page, slo.alerting.ticket)):
        entry.warnings.append(Warned(slo.id, "Pyrra does not hold labels and annotations of one severity"))
    window = window_text(slo)
    if isinstance(slo.window, Calendar):
        entry.warnings.append(Warned(slo.id, f"Pyrra has no calendar windows; the window is {window}"))
    name = object_name(slo.name)
    if name != slo.name:
        entry.warnings.append(Warned(slo.id, f"Kubernetes has no object of this name; it is written as {name}"))
    metadata: dict[str, Any] = {"name": name, "labels": {f"{PREFIX}service": slo.service}}
    metadata["labels"] |= {f"{PREFIX}{key}": value for key, value in labels_of(slo).items()}
    if slo.annotations:
        metadata["annotations"] = {f"{PREFIX}{key}": value for key, value in slo.annotations.items()}
    spec: dict[str, Any] = {"target": f"{slo.objective.percent:f}", "window": window}
    if slo.description:
        spec["description"] = slo.description
    spec["indicator"] = indicator
    if alerting:
        spec["alerting"] = alerting
    return {"apiVersion": "pyrra.dev/v1alpha1", "kind": "ServiceLevelObjective", "metadata": metadata, "spec": spec}


def _indicator(slo: Slo, entry: Exported) -> dict[str, Any]:
    grouping = {"grouping": list(slo.by)} if slo.by else {}
    match slo.sli:
        case Probe(metric=metric):
            return {"bool_gauge": {"metric": str(metric), **grouping}}
        case NativeLatency(histogram=histogram, bound=bound):
            if bound * 1000 % 1:
                raise Refused(f"Pyrra knows no latency of {threshold_text(bound)}: it takes whole milliseconds")
            return {
                "latencyNative": {
                    "latency": format_duration(int(bound * 1000)),
                    "total": {"metric": str(histogram)},
                    **grouping,
                }
            }
        case Latency() as latency:
            events = events_of(latency)
            assert events is not None
            [part], [total] = events.parts, events.totals
            le = next(matcher for matcher in part.matchers if matcher.label == "le")
            if le.op == "=~":
                text = le.value.partition("|")[0]
                part = replace(part, matchers=tuple(Matcher("le", "=", text) if m == le else m for m in part.matchers))
                entry.warnings.append(
                    Warned(
                        slo.id,
                        f'Pyrra names one spelling of a bucket: le="{text}", which is le="{text}.0" on Prometheus 3',
                    )
                )
            return {"latency": {"success": {"metric": str(part)}, "total": {"metric": str(total)}, **grouping}}
        case Ratio(total=total, part=errors, part_is="errors"):
            return {"ratio": {"errors": {"metric": str(errors)}, "total": {"metric": str(total)}, **grouping}}
        case Ratio(total=total, part=good):
            further = [matcher for matcher in good.matchers if matcher not in total.matchers]
            if (
                good.name == total.name
                and len(further) == 1
                and len(good.matchers) == len(total.matchers) + 1
                and further[0].label != "le"
            ):
                [apart] = further
                bad = replace(total, matchers=(*total.matchers, Matcher(apart.label, _OPPOSITE[apart.op], apart.value)))
                entry.warnings.append(Warned(slo.id, f"Pyrra counts errors: they are what {apart} does not match"))
                return {"ratio": {"errors": {"metric": str(bad)}, "total": {"metric": str(total)}, **grouping}}
            raise Refused(
                "Pyrra counts errors, and these are the total minus other counters; leave it out, or count errors"
            )
        case Sums():
            raise Refused("Pyrra adds up no counters of several metrics")
    raise Refused(f"Pyrra has nothing for the kind `{slo.sli.key}`")
