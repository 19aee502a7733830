"""From a document of the right shape to what it means; every fault that shape alone does not show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

from slo.errors import DurationError, PromqlError
from slo.promql.ast import VectorSelector
from slo.promql.parse import parse as parse_promql
from slo.promql.parse import parse_selector
from slo.spec.document import (
    AlertingModel,
    AlertModel,
    FreshnessModel,
    LatencyModel,
    OutageModel,
    PlainAlertModel,
    RatioModel,
    ServiceModel,
    SliModel,
    SloModel,
    ThresholdModel,
    WindowModel,
)
from slo.spec.model import (
    Alert,
    Alerting,
    Comparison,
    Freshness,
    Latency,
    Objective,
    Outage,
    PlainAlert,
    Probe,
    Ratio,
    Raw,
    Service,
    Sli,
    Slo,
    Threshold,
)
from slo.spec.suggest import suggest
from slo.window import (
    DAY,
    MINUTE,
    BurnWindow,
    Rolling,
    Window,
    burn_factor,
    format_duration,
    parse_duration,
    parse_window,
)

Path = tuple[str | int, ...]
Report = Callable[[Path, str, str], None]  # path, message, "error" or "warning"

WINDOW_VARIABLE = "$window"
# Recorded and alerting series carry these; a label of a team's own by the same name would be overwritten.
RESERVED_LABELS = ("service", "slo", "objective", "window", "alertname", "le")
_DEFAULT_WINDOW: Window = Rolling(30 * DAY)
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
    built: dict[str, Sli | None] = {}
    # An outage is of another SLO, wherever that stands, so outages come last.
    order = sorted(range(len(model.slos)), key=lambda index: model.slos[index].sli.outage is not None)
    for index in order:
        entry, path = model.slos[index], ("slos", index)
        built.setdefault(entry.name, None)
        _check_labels(entry.labels, (*path, "labels"), report)
        own_window = window if entry.window is None else _window(entry.window, (*path, "window"), report)
        try:
            objective, sli = _objective_and_sli(entry, path, report, scrape_ms, built)
        except Fault:
            continue
        built[entry.name] = sli
        if own_window is None:
            continue
        try:
            alerting = _alerting((*base_alerting, entry.alerting), objective, own_window, (*path, "alerting"), report)
        except Fault:
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
                alerting=alerting,
                scrape_interval_ms=scrape_ms,
                file=file,
                line=lines(path),
            )
        )
    slos.sort(key=lambda slo: slo.line)
    alerts = _plain_alerts(model.alerts, base_labels, base_annotations, report)
    return Service(model.service, model.owner, dict(model.labels), tuple(slos), file, model.description, alerts)


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


def _objective_and_sli(
    entry: SloModel, path: Path, report: Report, scrape_ms: int, built: Mapping[str, Sli | None]
) -> tuple[Objective, Sli]:
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
        sli = _sli(entry.sli, percentile["threshold"] if percentile else None, path, report, scrape_ms, built)
    except Fault:
        fault = True
    if fault or objective is None:
        raise Fault
    return objective, sli


def _sli(
    model: SliModel,
    percentile_threshold: str | None,
    path: Path,
    report: Report,
    scrape_ms: int,
    built: Mapping[str, Sli | None],
) -> Sli:
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
    if model.threshold is not None:
        return _threshold(model.threshold, at, report, scrape_ms)
    if model.freshness is not None:
        return _freshness(model.freshness, at, report, scrape_ms)
    if model.outage is not None:
        return _outage(model.outage, at, report, built)
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


_OPERATORS: dict[str, Comparison] = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}
_UNITS = {
    "": Decimal(1), "%": Decimal("0.01"), "ms": Decimal("0.001"), "s": Decimal(1), "k": Decimal(1000),
    **{f"{prefix}B": Decimal(1000) ** power for power, prefix in enumerate(("", "k", "M", "G", "T"))},
    **{f"{prefix}iB": Decimal(1024) ** power for power, prefix in enumerate(("K", "M", "G", "T"), 1)},
}  # fmt: skip
_QUANTITY = re.compile(r"(?P<number>[+-]?[0-9][0-9_,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)\s*(?P<unit>[A-Za-z%]*)")


def parse_quantity(text: str) -> Decimal:
    """A number with or without a unit: `100`, `1GiB`, `10GB`, `70%` (0.7), `5ms` (0.005). Raises ValueError."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found["unit"] not in _UNITS:
        raise ValueError(
            f"{text!r} is no quantity; write a number, with a unit such as {', '.join(filter(None, _UNITS))}"
        )
    return Decimal(found["number"].replace("_", "").replace(",", "")) * _UNITS[found["unit"]]


def _threshold(model: ThresholdModel, at: Path, report: Report, scrape_ms: int) -> Threshold:
    given = [name for name in _OPERATORS if getattr(model, name) is not None]
    if len(given) != 1:
        found = " and ".join(given) if given else "none"
        report(at, f"a threshold has exactly one of {', '.join(_OPERATORS)}; found {found}", "error")
        raise Fault
    try:
        bound = parse_quantity(getattr(model, given[0]))
    except ValueError as error:
        report((*at, given[0]), str(error), "error")
        raise Fault from None
    _check_promql(model.value, (*at, "value"), report)
    return Threshold(model.value, _OPERATORS[given[0]], bound, _slice(model.slice, scrape_ms, at, report))


def _freshness(model: FreshnessModel, at: Path, report: Report, scrape_ms: int) -> Freshness:
    metric = _selector(model.metric, (*at, "metric"), report)
    max_age = _duration(model.max_age, (*at, "max_age"), report)
    return Freshness(metric, max_age, _slice(model.slice, scrape_ms, at, report))


def _outage(model: OutageModel, at: Path, report: Report, built: Mapping[str, Sli | None]) -> Outage:
    if model.of not in built:
        report((*at, "of"), f"no SLO `{model.of}` in this service{suggest(model.of, built)}", "error")
        raise Fault
    of = built[model.of]
    if of is None:
        raise Fault  # its own fault has been told
    if not isinstance(of, Ratio | Latency | Probe | Raw):
        report((*at, "of"), f"`{model.of}` is judged per slice itself; name an SLO that counts events", "error")
        raise Fault
    try:
        down = parse_quantity(model.down_at)
        if not 0 < down <= 1:
            raise ValueError(f"{model.down_at!r} is no error ratio above 0 % and up to 100 %; write one such as 50%")
    except ValueError as error:
        report((*at, "down_at"), str(error), "error")
        raise Fault from None
    longest = _duration(model.longer_than, (*at, "longer_than"), report)
    slice_ms = _slice(model.slice, MINUTE, at, report)
    if longest < slice_ms:
        report((*at, "longer_than"), f"is shorter than a slice of {format_duration(slice_ms)}", "error")
        raise Fault
    return Outage(of, longest, down, slice_ms)


def _slice(text: str | None, default_ms: int, at: Path, report: Report) -> int:
    if text is None:
        return default_ms
    found = _duration(text, (*at, "slice"), report)
    if not 1000 <= found <= 5 * MINUTE or 5 * MINUTE % found:
        report(
            (*at, "slice"), f"a slice of {text} does not divide 5m; accepted are such as 10s, 30s, 1m and 5m", "error"
        )
        raise Fault
    return found


def _duration(text: str, at: Path, report: Report) -> int:
    try:
        return parse_duration(text)
    except DurationError as error:
        report(at, str(error), "error")
        raise Fault from None


def _check_promql(text: str, at: Path, report: Report) -> None:
    try:
        parse_promql(text)
    except PromqlError as error:
        report(at, str(error), "error")
        raise Fault from None


def _plain_alerts(
    models: list[PlainAlertModel], labels: Mapping[str, str], annotations: Mapping[str, str], report: Report
) -> tuple[PlainAlert, ...]:
    alerts: list[PlainAlert] = []
    for index, model in enumerate(models):
        at: Path = ("alerts", index)
        _check_labels(model.labels, (*at, "labels"), report)
        if any(alert.name == model.name for alert in alerts):
            report((*at, "name"), f"alert {model.name} is defined twice in this service", "error")
        try:
            _check_promql(model.expr, (*at, "expr"), report)
            for_ms = 0 if model.for_ is None else _duration(model.for_, (*at, "for"), report)
            keep_ms = 0
            if model.keep_firing_for is not None:
                keep_ms = _duration(model.keep_firing_for, (*at, "keep_firing_for"), report)
        except Fault:
            continue
        severity = {} if model.severity is None else {"severity": model.severity}
        text = {"description": model.description} if model.description else {}
        alerts.append(
            PlainAlert(
                model.name, model.expr, for_ms, keep_ms, {**labels, **model.labels, **severity},
                {**annotations, **text, **model.annotations},
            )
        )  # fmt: skip
    return tuple(alerts)


def _alerting(
    layers: tuple[AlertingModel | Literal["off"] | None, ...],
    objective: Objective,
    window: Window,
    at: Path,
    report: Report,
) -> Alerting:
    severities: dict[str, Alert] = {"page": Alert(), "ticket": Alert()}
    windows: tuple[BurnWindow, ...] | None = None
    least_errors = 0
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
        long = _duration(model.long, (*place, "long"), report)
        short = -(-long // (12 * MINUTE)) * MINUTE
        if model.short is not None:
            short = _duration(model.short, (*place, "short"), report)
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
