"""From the YAML's alerting to what it means: severities, burn windows, plain alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from slo.reading import Fault, Path, Report, parse_quantity, read_duration, read_vector
from slo.spec.document import (
    AbsentModel,
    AlertingModel,
    AlertModel,
    AlertTexts,
    BudgetAlertsModel,
    PolicyModel,
    ServiceModel,
    WindowModel,
)
from slo.spec.labels import check_alert_series
from slo.spec.model import AbsentAlert, Alert, Alerting, BudgetAlerts, Objective, PlainAlert, PolicyStep
from slo.spec.read import read_wait
from slo.window import MINUTE, BurnWindow, Severity, Window, burn_threshold, format_duration

Layer = AlertingModel | Literal["off", False] | None
Layers = Sequence[tuple[Path, Layer]]
_OFF = ("off", False)
_SEVERITIES: tuple[Severity, ...] = ("page", "ticket")


def build_alerting(layers: Layers, objective: Objective, window: Window, report: Report) -> Alerting:
    """How an SLO alerts: the layers from defaults to its own with their paths. Raises Fault once reported.

    What is said of one severity or pair of windows holds over what is said of all alerts; of the same, the later layer.
    """
    given = [(at, layer) for at, layer in layers if isinstance(layer, AlertingModel)]
    common = Alert()
    for at, layer in given:
        common = _laid(common, layer, at, report)
    severities: dict[Severity, Alert] = {}
    for severity in _SEVERITIES:
        alert = common
        for at, own in _parts(layers, severity):
            alert = replace(alert, enabled=own not in _OFF)
            if isinstance(own, AlertModel):
                alert = _laid(alert, own, at, report)
        severities[severity] = alert
    windows: tuple[BurnWindow, ...] | None = None
    pairs: dict[BurnWindow, Alert] = {}
    least_errors = 0
    for at, layer in given:
        if layer.windows is not None:
            windows = _burn_windows(layer.windows, objective, window, at, report)
            pairs = {}
            for index, (burn, model) in enumerate(zip(windows, layer.windows, strict=True)):
                alert = _laid(severities[burn.severity], model, (*at, "windows", index), report)
                if alert != severities[burn.severity]:
                    pairs[burn] = alert
        if layer.least_errors is not None:
            if not (layer.least_errors.isascii() and layer.least_errors.isdecimal()):
                report((*at, "least_errors"), f"{layer.least_errors!r} is not a number of events such as 3", "error")
                raise Fault
            least_errors = int(layer.least_errors)
    shared = Alert(annotations=common.annotations)
    return Alerting(
        severities["page"],
        severities["ticket"],
        windows,
        least_errors,
        pairs,
        _absent(_parts(layers, "absent"), severities, shared, report),
        _budget(_parts(layers, "budget"), severities, shared, objective, report),
    )


def _parts(layers: Layers, key: str) -> list[tuple[Path, Any]]:
    """What each layer says of a part of the alerting; a layer that is off turns it off."""
    parts: list[tuple[Path, Any]] = []
    for at, layer in layers:
        own = layer if layer in _OFF else getattr(layer, key, None)
        if own is not None:
            parts.append(((*at, key), own))
    return parts


def _laid(base: Alert, own: AlertTexts, at: Path, report: Report) -> Alert:
    """An alert with what is said of it laid over. Raises Fault once reported."""
    severity = {"severity": own.severity} if isinstance(own, AlertModel) and own.severity is not None else {}
    return Alert(
        base.enabled,
        {**base.labels, **own.labels, **severity},
        {**base.annotations, **own.annotations},
        base.for_ms if own.for_ is None else read_wait(own.for_, (*at, "for"), report),
        base.keep_firing_ms
        if own.keep_firing_for is None
        else read_wait(own.keep_firing_for, (*at, "keep_firing_for"), report),
        own.name or base.name,
    )


def _absent(
    parts: list[tuple[Path, Any]], severities: Mapping[Severity, Alert], shared: Alert, report: Report
) -> AbsentAlert:
    """The alert on missing data: labelled as the other alerts of its severity are."""
    models = [(at, own) for at, own in parts if isinstance(own, AbsentModel)]
    severity: Severity = next((own.severity for _, own in reversed(models) if own.severity is not None), "ticket")
    enabled = not parts or parts[-1][1] not in _OFF
    alert = replace(shared, enabled=enabled, labels=severities[severity].labels)
    for_ms = None
    for at, own in models:
        alert = _laid(alert, own, at, report)
        for_ms = for_ms if own.for_ is None else alert.for_ms
    return AbsentAlert(alert, severity, for_ms)


def _budget(
    parts: list[tuple[Path, Any]],
    severities: Mapping[Severity, Alert],
    shared: Alert,
    objective: Objective,
    report: Report,
) -> BudgetAlerts:
    """The alerts on shares of the budget. Raises Fault once reported."""
    models = [(at, own) for at, own in parts if isinstance(own, BudgetAlertsModel)]
    severity: Severity = next((own.severity for _, own in reversed(models) if own.severity is not None), "ticket")
    alert = replace(shared, labels=severities[severity].labels)
    marks: tuple[Decimal, ...] = ()
    keep_ms, last = None, None
    for at, own in parts:
        last = at if own not in _OFF else None
        if own in _OFF:
            marks = ()
        elif isinstance(own, BudgetAlertsModel):
            alert = _laid(alert, own, at, report)
            keep_ms = keep_ms if own.keep_firing_for is None else alert.keep_firing_ms
            if own.consumed is not None:
                marks = _marks(own.consumed, (*at, "consumed"), objective, report)
        else:
            marks = _marks(own, at, objective, report)
    if last is not None and not marks:
        report(last, "has no `consumed`; give the shares of the budget, such as [50%, 75%, 100%]", "error")
        raise Fault
    return BudgetAlerts(marks, alert, severity, keep_ms)


def _marks(texts: Sequence[str], at: Path, objective: Objective, report: Report) -> tuple[Decimal, ...]:
    marks: list[Decimal] = []
    most = 1 / objective.error_budget
    for index, text in enumerate(texts):
        problem = None
        try:
            mark = parse_quantity(text)
        except ValueError as error:
            problem = str(error)
        else:
            if mark <= 0:
                problem = f"{text} is not a share of a budget; write one above 0%, such as 50%"
            elif mark > 1 and "%" not in text:
                problem = f"{text} is {mark * 100:f}% of the budget; did you mean `{text}%`?"
            elif mark > most:
                problem = (
                    f"{text} can never be consumed: if everything fails, {float(most * 100):.10g}% of the budget of {objective} "
                    "is; write a smaller share"
                )
            elif mark in marks:
                problem = f"{text} is listed twice; leave one out"
        if problem is not None:
            report((*at, index), problem, "error")
            raise Fault
        marks.append(mark)
    return tuple(sorted(marks))


def _burn_windows(
    models: list[WindowModel], objective: Objective, window: Window, at: Path, report: Report
) -> tuple[BurnWindow, ...]:
    """A team's own windows, against the window and objective of the SLO that they are used for."""
    period = window.nominal_ms
    burn_windows: list[BurnWindow] = []
    for index, model in enumerate(models):
        place: Path = (*at, "windows", index)
        long = read_duration(model.long, (*place, "long"), report)
        short = -(-long // (12 * MINUTE)) * MINUTE
        if model.short is not None:
            short = read_duration(model.short, (*place, "short"), report)
        problem = None
        if (model.budget is None) == (model.factor is None):
            problem = "give exactly one of `budget` (2%) and `factor` (14.4)"
        elif long > period:
            problem = f"a window of {model.long} is longer than the SLO's window of {window}"
        elif short >= long:
            problem = f"the short window of {format_duration(short)} is not shorter than the long one of {model.long}"
        elif long % MINUTE or short % MINUTE:
            problem = "alert windows are whole minutes"
        else:
            try:
                number = Fraction(parse_quantity(model.budget or model.factor or ""))
                if number <= 0:
                    raise ValueError("must be above 0")
            except ValueError as error:
                problem = str(error)
        if problem is None:
            factor = number if model.factor is not None else burn_threshold(number, period, long)
            share = number if model.budget is not None else number * long / period
            threshold = factor * Fraction(objective.error_budget)
            if threshold >= 1:
                least = share * period * Fraction(objective.error_budget)
                problem = (
                    f"can never fire: at {objective} a burn rate of {float(factor):.4g} is an error ratio of "
                    f"{float(threshold):.0%}; widen `long` beyond {format_duration(-int(-least // MINUTE) * MINUTE)}"
                    " or lower the budget share"
                )
        if problem is not None:
            report(place, problem, "error")
            raise Fault
        burn = BurnWindow(model.severity, long, short, share, factor)
        if burn in burn_windows:
            report(place, f"the {burn.severity} over {model.long} is listed twice; leave one out", "error")
            raise Fault
        burn_windows.append(burn)
    return tuple(burn_windows)


def build_plain_alerts(
    service: ServiceModel,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    lines: Callable[[Path], int],
    report: Report,
) -> tuple[PlainAlert, ...]:
    """The alerts alongside a service's SLOs; faulty ones are reported and left out."""
    alerts: list[PlainAlert] = []
    for index, model in enumerate(service.alerts):
        at: Path = ("alerts", index)
        if any(alert.name == model.name for alert in alerts):
            report((*at, "name"), f"alert {model.name} is defined twice in this service", "error")
        severity = {} if model.severity is None else {"severity": model.severity}
        own = {**labels, **model.labels, **severity}
        try:
            node = read_vector(model.expr, (*at, "expr"), report)
            check_alert_series(node, {"service": service.service, **own}, model, at, report)
            for_ms = 0 if model.for_ is None else read_wait(model.for_, (*at, "for"), report)
            keep_ms = 0
            if model.keep_firing_for is not None:
                keep_ms = read_wait(model.keep_firing_for, (*at, "keep_firing_for"), report)
        except Fault:
            continue
        text = {"description": model.description} if model.description else {}
        alerts.append(
            PlainAlert(
                model.name, model.expr, for_ms, keep_ms, own,
                {**annotations, **text, **model.annotations}, lines((*at, "name")),
            )
        )  # fmt: skip
    return tuple(alerts)


def build_policy(models: list[PolicyModel], at: Path, report: Report) -> tuple[PolicyStep, ...]:
    """An error-budget policy, least budget first; faulty steps are reported and left out."""
    steps: dict[Decimal, PolicyStep] = {}
    for index, model in enumerate(models):
        try:
            below = parse_quantity(model.below)
        except ValueError as error:
            report((*at, index, "below"), str(error), "error")
            continue
        if not 0 <= below <= 1:
            report(
                (*at, index, "below"), f"{model.below} is not a share of a budget; write one from 0% to 100%", "error"
            )
        elif below in steps:
            report((*at, index, "below"), f"{model.below} has a step already", "error")
        else:
            steps[below] = PolicyStep(below, " ".join(model.follows.split()))
    return tuple(steps[below] for below in sorted(steps))
