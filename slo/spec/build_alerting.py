"""From the YAML's alerting to what it means: severities, burn windows, plain alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from slo.reading import Fault, Path, Report, parse_quantity, read_duration, read_vector
from slo.spec.document import AlertingModel, AlertModel, PolicyModel, ServiceModel, WindowModel
from slo.spec.labels import check_alert_series
from slo.spec.model import Alert, Alerting, Objective, PlainAlert, PolicyStep
from slo.window import MINUTE, BurnWindow, Window, burn_factor, format_duration


def build_alerting(
    layers: tuple[AlertingModel | Literal["off", False] | None, ...],
    objective: Objective,
    window: Window,
    at: Path,
    report: Report,
) -> Alerting:
    """How an SLO alerts: the layers from defaults to its own, later ones over earlier. Raises Fault once reported."""
    severities: dict[str, Alert] = {"page": Alert(), "ticket": Alert()}
    windows: tuple[BurnWindow, ...] | None = None
    least_errors = 0
    for layer in layers:
        if layer is None:
            continue
        for severity, alert in severities.items():
            own: AlertModel | Literal["off", False] | None = (
                "off" if layer in ("off", False) else getattr(layer, severity)
            )
            if own in ("off", False):
                severities[severity] = Alert(False, alert.labels, alert.annotations, alert.for_ms)
            elif isinstance(own, AlertModel):
                severities[severity] = Alert(
                    True,
                    {**alert.labels, **own.labels},
                    {**alert.annotations, **own.annotations},
                    alert.for_ms if own.for_ is None else read_duration(own.for_, (*at, severity, "for"), report),
                )
        if isinstance(layer, AlertingModel):
            if layer.windows is not None:
                windows = _burn_windows(layer.windows, objective, window, at, report)
            if layer.least_errors is not None:
                if not layer.least_errors.isdecimal():
                    report((*at, "least_errors"), f"{layer.least_errors!r} is no number of events such as 3", "error")
                    raise Fault
                least_errors = int(layer.least_errors)
    return Alerting(severities["page"], severities["ticket"], windows, least_errors)


def _burn_windows(
    models: list[WindowModel], objective: Objective, window: Window, at: Path, report: Report
) -> tuple[BurnWindow, ...]:
    """A team's own windows, against the period and objective of the SLO that they are used for."""
    period = window.nominal_ms
    found: list[BurnWindow] = []
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
            problem = f"a window of {model.long} is longer than the period of {window}"
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
            factor = number if model.factor is not None else burn_factor(number, period, long)
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
        found.append(BurnWindow(model.severity, long, short, share, factor))
    return tuple(found)


def build_plain_alerts(
    service: ServiceModel,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    lines: Callable[[Path], int],
    report: Report,
) -> tuple[PlainAlert, ...]:
    """The alerts beside a service's SLOs; faulty ones are reported and left out."""
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
            for_ms = 0 if model.for_ is None else read_duration(model.for_, (*at, "for"), report)
            keep_ms = 0
            if model.keep_firing_for is not None:
                keep_ms = read_duration(model.keep_firing_for, (*at, "keep_firing_for"), report)
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
            report((*at, index, "below"), f"{model.below} is no share of a budget; write one from 0% to 100%", "error")
        elif below in steps:
            report((*at, index, "below"), f"{model.below} has a step already", "error")
        else:
            steps[below] = PolicyStep(below, " ".join(model.follows.split()))
    return tuple(steps[below] for below in sorted(steps))
