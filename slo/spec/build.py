"""From a document of the right shape to what it means; every fault that shape alone does not show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Literal

from slo.errors import DurationError, PromqlError
from slo.promql.ast import VectorSelector
from slo.promql.parse import parse as parse_promql
from slo.promql.parse import parse_selector
from slo.spec.document import AlertingModel, AlertModel, LatencyModel, RatioModel, ServiceModel, SliModel, SloModel
from slo.spec.model import Alert, Alerting, Latency, Objective, Probe, Ratio, Raw, Service, Sli, Slo
from slo.window import DAY as _DAY
from slo.window import Rolling, Window, parse_duration, parse_window

Path = tuple[str | int, ...]
Report = Callable[[Path, str, str], None]  # path, message, "error" or "warning"

WINDOW_VARIABLE = "$window"
# Recorded and alerting series carry these; a label of a team's own by the same name would be overwritten.
RESERVED_LABELS = ("service", "slo", "objective", "window", "alertname", "le")
_DEFAULT_WINDOW: Window = Rolling(30 * _DAY)
_DEFAULT_SCRAPE_INTERVAL_MS = 30_000
_PERCENTILE = re.compile(r"p(?P<percent>[0-9]+(?:\.[0-9]+)?)\s*(?:<=?|≤)\s*(?P<threshold>\S+)")


class Fault(Exception):  # noqa: N818 - carried to `report`, never shown by itself
    """A part that cannot be built; its problem has been reported."""


def build_service(model: ServiceModel, file: str, lines: Callable[[Path], int], report: Report) -> Service:
    """The service that a document describes. Faulty SLOs are reported and left out."""
    defaults = model.defaults
    window, scrape_ms = _DEFAULT_WINDOW, _DEFAULT_SCRAPE_INTERVAL_MS
    if defaults and defaults.window is not None:
        window = _window(defaults.window, ("defaults", "window"), report) or window
    if defaults and defaults.scrape_interval is not None:
        scrape_ms = _scrape_interval(defaults.scrape_interval, ("defaults", "scrape_interval"), report) or scrape_ms
    _check_labels(model.labels, ("labels",), report)
    base_labels = dict(model.labels)
    base_annotations: dict[str, str] = {}
    base_alerting: tuple[AlertingModel | Literal["off"] | None, ...] = ()
    if defaults:
        _check_labels(defaults.labels, ("defaults", "labels"), report)
        base_labels |= defaults.labels
        base_annotations |= defaults.annotations
        base_alerting = (defaults.alerting,)
    slos: list[Slo] = []
    for index, entry in enumerate(model.slos):
        path: Path = ("slos", index)
        _check_labels(entry.labels, (*path, "labels"), report)
        own_window = window if entry.window is None else _window(entry.window, (*path, "window"), report)
        try:
            objective, sli = _objective_and_sli(entry, path, report)
        except Fault:
            continue
        if own_window is None:
            continue
        slos.append(
            Slo(
                service=model.service,
                name=entry.name,
                objective=objective,
                window=own_window,
                sli=sli,
                description=entry.description,
                owner=model.owner,
                labels=base_labels | entry.labels,
                annotations=base_annotations | entry.annotations,
                alerting=_alerting((*base_alerting, entry.alerting)),
                scrape_interval_ms=scrape_ms,
                file=file,
                line=lines(path),
            )
        )
    return Service(model.service, model.owner, dict(model.labels), tuple(slos), file, model.description)


def parse_objective(text: str) -> Objective:
    """A percentage as people write it: `99.9` or `99.9%`. Raises ValueError with the reason."""
    written = text.strip().removesuffix("%").strip()
    try:
        percent = Decimal(written)
    except InvalidOperation:
        raise ValueError(f"objective {text!r} is no percentage; write one such as 99.9") from None
    if not percent.is_finite():
        raise ValueError(f"objective {text} is no percentage; write one such as 99.9")
    if percent > 100:
        raise ValueError(f"objective {text} is above 100; write a percentage such as 99.9")
    if percent == 100:
        raise ValueError(
            "objective 100 leaves no error budget, so nothing can be measured against it; 99.99 leaves 1 of 10,000"
        )
    if percent <= 0:
        raise ValueError(f"objective {text} asks for nothing; write a percentage above 0, such as 99.9")
    if percent < 1:
        raise ValueError(
            f"objective {text} is below 1 %; it is a percentage, so for the ratio {text} write {(percent * 100).normalize():f}"
        )
    if len(percent.as_tuple().digits) > 12:
        raise ValueError(f"objective {text} has more than 12 digits")
    return Objective(percent)


def _objective_and_sli(entry: SloModel, path: Path, report: Report) -> tuple[Objective, Sli]:
    percentile = _PERCENTILE.fullmatch(entry.objective.strip())
    if percentile and entry.sli.latency is None:
        report(
            (*path, "objective"),
            f"objective {entry.objective!r} is a percentile; only a `latency` SLI has one",
            "error",
        )
        raise Fault
    objective, fault = None, False
    try:
        objective = parse_objective(percentile["percent"] if percentile else entry.objective)
    except ValueError as error:
        report((*path, "objective"), str(error), "error")
        fault = True
    try:
        sli = _sli(entry.sli, percentile["threshold"] if percentile else None, path, report)
    except Fault:
        fault = True
    if fault or objective is None:
        raise Fault
    return objective, sli


def _sli(model: SliModel, percentile_threshold: str | None, path: Path, report: Report) -> Sli:
    at: Path = (*path, "sli")
    given = [name for name in type(model).model_fields if getattr(model, name) is not None]
    if len(given) != 1:
        kinds = ", ".join(type(model).model_fields)
        found = " and ".join(given) if given else "none"
        report(at, f"an SLI is exactly one of {kinds}; found {found}", "error")
        raise Fault
    at = (*at, given[0])
    if model.ratio is not None:
        return _ratio(model.ratio, at, report)
    if model.latency is not None:
        return _latency(model.latency, percentile_threshold, path, at, report)
    if model.probe is not None:
        return Probe(_selector(model.probe.metric, (*at, "metric"), report))
    assert model.raw is not None
    texts = {"errors": model.raw.errors, "total": model.raw.total}
    for key, text in texts.items():
        _check_raw(text, (*at, key), report)
    return Raw(**texts)


def _ratio(model: RatioModel, at: Path, report: Report) -> Ratio:
    if (model.errors is None) == (model.good is None):
        report(at, "a ratio has `total` and exactly one of `errors` and `good`", "error")
        raise Fault
    part_is: Literal["errors", "good"] = "errors" if model.errors is not None else "good"
    total = _selector(model.total, (*at, "total"), report)
    part = _selector(model.errors or model.good or "", (*at, part_is), report)
    if part.name == total.name and part_is == "errors" and set(part.matchers) == set(total.matchers):
        report((*at, part_is), "errors and total select the same series, so everything counts as an error", "error")
        raise Fault
    _check_inside(part, total, (*at, part_is), part_is, report)
    return Ratio(total, part, part_is)


def _check_inside(part: VectorSelector, total: VectorSelector, at: Path, part_is: str, report: Report) -> None:
    if part.name != total.name:
        return  # two metrics: nothing is known of how their series relate
    own = {(m.label, m.op): m.value for m in part.matchers}
    for matcher in total.matchers:
        found = own.get((matcher.label, matcher.op))
        if found == matcher.value:
            continue
        equal = own.get((matcher.label, "="))
        if matcher.op == "=" and equal is not None:
            report(
                at,
                f"`{part_is}` has {matcher.label}={equal!r} but `total` {matcher.label}={matcher.value!r}: nothing of it is in the total",
                "error",
            )
            raise Fault
        if not any(m.label == matcher.label for m in part.matchers):
            report(at, f"`{part_is}` may count events outside `total`: it lacks the matcher {matcher}", "warning")


def _latency(model: LatencyModel, percentile_threshold: str | None, path: Path, at: Path, report: Report) -> Latency:
    histogram = _selector(model.histogram, (*at, "histogram"), report)
    name = histogram.name or ""
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix):
            report(
                (*at, "histogram"),
                f"write the histogram's own name, without {suffix}: {name.removesuffix(suffix)}",
                "error",
            )
            raise Fault
    if not name:
        report((*at, "histogram"), "a histogram needs its metric's name", "error")
        raise Fault
    if any(matcher.label == "le" for matcher in histogram.matchers):
        report((*at, "histogram"), "leave `le` out; the threshold decides on the bucket", "error")
        raise Fault
    if (model.threshold is None) == (percentile_threshold is None):
        many = "both an objective such as `p95 < 500ms` and a `threshold`" if model.threshold else "no threshold"
        report(at, f"{many}; give one of the two: `threshold: 500ms`, or the objective as `p95 < 500ms`", "error")
        raise Fault
    where, text = (
        ((*at, "threshold"), model.threshold) if model.threshold else ((*path, "objective"), percentile_threshold)
    )
    try:
        threshold = Decimal(parse_duration(text or "")) / 1000
    except DurationError as error:
        report(where, str(error), "error")
        raise Fault from None
    unit = model.unit or ("milliseconds" if name.endswith(("_milliseconds", "_ms")) else "seconds")
    return Latency(histogram, threshold, Decimal(1) if unit == "seconds" else Decimal("0.001"))


def _selector(text: str, at: Path, report: Report) -> VectorSelector:
    try:
        selector = parse_selector(text)
    except PromqlError as error:
        report(at, str(error), "error")
        raise Fault from None
    if selector.offset_ms or selector.at is not None:
        report(at, "leave `offset` and `@` out; a definition holds for every moment", "error")
        raise Fault
    return selector


def _check_raw(text: str, at: Path, report: Report) -> None:
    if WINDOW_VARIABLE not in text:
        report(
            at, f"has no {WINDOW_VARIABLE}, so it cannot be asked over a window; write …[{WINDOW_VARIABLE}]", "error"
        )
        raise Fault
    try:
        parse_promql(text.replace(WINDOW_VARIABLE, "5m"))
    except PromqlError as error:
        report(at, str(error), "error")
        raise Fault from None


def _window(text: str, at: Path, report: Report) -> Window | None:
    try:
        return parse_window(text)
    except DurationError as error:
        report(at, str(error), "error")
        return None


def _scrape_interval(text: str, at: Path, report: Report) -> int | None:
    try:
        found = parse_duration(text)
    except DurationError as error:
        report(at, str(error), "error")
        return None
    if not 1000 <= found <= 5 * 60_000:
        report(at, f"a scrape interval of {text} is out of range; accepted are 1s to 5m", "error")
        return None
    return found


def _check_labels(labels: Mapping[str, str], at: Path, report: Report) -> None:
    for name in labels:
        if name in RESERVED_LABELS or name.startswith("__"):
            report((*at, name), f"label `{name}` is set by the rules themselves; choose another name", "error")


def _alerting(layers: tuple[AlertingModel | Literal["off"] | None, ...]) -> Alerting:
    severities: dict[str, Alert] = {"page": Alert(), "ticket": Alert()}
    for layer in layers:
        if layer is None:
            continue
        for severity, alert in severities.items():
            own: AlertModel | Literal["off"] | None = "off" if layer == "off" else getattr(layer, severity)
            if own == "off":
                severities[severity] = Alert(False, alert.labels, alert.annotations)
            elif isinstance(own, AlertModel):
                severities[severity] = Alert(
                    True, {**alert.labels, **own.labels}, {**alert.annotations, **own.annotations}
                )
    return Alerting(severities["page"], severities["ticket"])
