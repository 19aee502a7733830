"""Annotations and labels of alerts are Go templates: what a server would refuse is reported where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from slo.reading import Path, Report
from slo.redact import has_userinfo
from slo.spec.document import AlertingModel, AlertModel, DefaultsModel, ServiceModel, SloModel
from slo.spec.gotemplate import fault_in

# A link by its key in a definition, which is its annotation's name too, and by the annotation that it used to be.
LINKS = {"runbook_url": "runbook", "dashboard_url": "dashboard"}
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def check_annotations(model: ServiceModel, report: Report) -> None:
    """Reports every template of a definition that a server would refuse."""
    for at, text in _templates(model):
        fault = fault_in(text)
        if fault is not None:
            line, column = text.count("\n", 0, fault.at) + 1, fault.at - (text.rfind("\n", 0, fault.at) + 1) + 1
            place = f"line {line}, column {column}" if "\n" in text.strip() else f"column {column}"
            report(at, f"not a valid template, at {place} of the text: {fault.message}", "error")
        elif at[-2] == "labels" and "$value" in text:
            report(
                at, f"label `{at[-1]}` changes with `$value`, so that each evaluation makes a new alert; put it into an annotation",
                "warning",
            )  # fmt: skip


def linked(model: SloModel | DefaultsModel, base: Mapping[str, str], at: Path, report: Report) -> dict[str, str]:
    """The annotations of an SLO's alerts: those of `base`, those given here, and its links under their names.

    A link that is given the old way, as annotation `runbook` or `dashboard`, has its new name too.
    """
    texts = {**base, **model.annotations}
    for key, old in LINKS.items():
        url: str | None = getattr(model, key)
        if url is not None and not _URL.fullmatch(_ACTION.sub("x", url.strip())):
            report((*at, key), f"{url!r} is not a URL; write one such as https://{old}s.example.com/shop", "error")
        elif url is not None and has_userinfo(url):
            report((*at, key), "holds a user or password, which every alert would show; leave it out", "error")
        for other in (key, old):
            text = model.annotations.get(other)
            if url is not None and text is not None and text != url:
                report(
                    (*at, "annotations", other),
                    f"annotation `{other}` is {text!r} here and {url!r} as `{key}`; leave one out",
                    "error",
                )
        url = url or model.annotations.get(key) or model.annotations.get(old)
        if url is not None:
            texts[key] = url
            if old in texts:
                texts[old] = url
    return texts


def _templates(model: ServiceModel) -> Iterator[tuple[Path, str]]:
    """Each text of a definition that is a template to a server, and its path."""
    entries: list[tuple[Path, SloModel | DefaultsModel]] = [(("slos", i), entry) for i, entry in enumerate(model.slos)]
    if model.defaults is not None:
        entries.insert(0, (("defaults",), model.defaults))
    for path, entry in entries:
        yield from _each(entry.annotations, (*path, "annotations"))
        for key in LINKS:
            text = getattr(entry, key)
            if text is not None:
                yield (*path, key), text
        if isinstance(entry.alerting, AlertingModel):
            for at, part in entry.alerting.parts():
                for key in ("annotations", "labels"):
                    yield from _each(getattr(part, key), (*path, "alerting", *at, key))
                if isinstance(part, AlertModel) and part.severity is not None:
                    yield (*path, "alerting", *at, "severity"), part.severity
    for index, alert in enumerate(model.alerts):
        yield from _each(alert.annotations, ("alerts", index, "annotations"))
        yield ("alerts", index, "description"), alert.description


def _each(annotations: Mapping[str, str], at: Path) -> Iterator[tuple[Path, str]]:
    for name, text in annotations.items():
        yield (*at, name), text
