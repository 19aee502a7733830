"""Annotations of alerts are Go templates: what a server would refuse is reported where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slo.reading import Path, Report
from slo.spec.document import ServiceModel
from slo.spec.gotemplate import fault_in


def check_annotations(model: ServiceModel, report: Report) -> None:
    """Reports every template of a definition that a server would refuse."""
    for at, text in _templates(model):
        fault = fault_in(text)
        if fault is not None:
            line, column = text.count("\n", 0, fault.at) + 1, fault.at - (text.rfind("\n", 0, fault.at) + 1) + 1
            place = f"line {line}, column {column}" if "\n" in text.strip() else f"column {column}"
            report(at, f"not a valid template, at {place} of the text: {fault.message}", "error")


def _templates(model: ServiceModel) -> Iterator[tuple[Path, str]]:
    """Each text of a definition that becomes an annotation as it stands, and its path."""
    if model.defaults is not None:
        yield from _each(model.defaults.annotations, ("defaults", "annotations"))
        yield from _of_alerting(model.defaults.alerting, ("defaults", "alerting"))
    for index, entry in enumerate(model.slos):
        yield from _each(entry.annotations, ("slos", index, "annotations"))
        yield from _of_alerting(entry.alerting, ("slos", index, "alerting"))
    for index, alert in enumerate(model.alerts):
        yield from _each(alert.annotations, ("alerts", index, "annotations"))
        yield ("alerts", index, "description"), alert.description


def _of_alerting(alerting: object, at: Path) -> Iterator[tuple[Path, str]]:
    for severity in ("page", "ticket"):
        alert = getattr(alerting, severity, None)
        yield from _each(getattr(alert, "annotations", {}), (*at, severity, "annotations"))


def _each(annotations: Mapping[str, str], at: Path) -> Iterator[tuple[Path, str]]:
    for name, text in annotations.items():
        yield (*at, name), text
