"""From the YAML's SLI to what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from slo.promql.ast import VectorSelector
from slo.spec.document import (
    FreshnessModel,
    LatencyModel,
    OutageModel,
    RatioModel,
    SliModel,
    SloModel,
    ThresholdModel,
)
from slo.spec.expressions import WINDOW_VARIABLE as WINDOW_VARIABLE
from slo.spec.expressions import read_vector, read_windowed
from slo.spec.model import (
    Comparison,
    Freshness,
    Latency,
    NativeLatency,
    Objective,
    Outage,
    Probe,
    Ratio,
    Raw,
    Sli,
    Threshold,
)
from slo.spec.read import (
    Fault,
    Path,
    Report,
    parse_objective,
    parse_quantity,
    read_duration,
    read_selector,
)
from slo.spec.selectors import bucket_holds, check_counter, check_gauge, check_level
from slo.spec.suggest import suggest
from slo.window import MINUTE, format_duration

_PERCENTILE = re.compile(r"p(?P<percent>[0-9]+(?:\.[0-9]+)?)\s*(?:<=?|≤)\s*(?P<threshold>\S+)")

_OPERATORS: dict[str, Comparison] = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}


def build_objective_and_sli(
    entry: SloModel, path: Path, report: Report, scrape_ms: int, built: Mapping[str, Sli | None]
) -> tuple[Objective, Sli]:
    """The objective and SLI of one SLO. Raises Fault once all their faults are reported."""
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
        metric = read_selector(model.probe.metric, (*at, "metric"), report)
        check_gauge(metric, (*at, "metric"), report)
        return Probe(metric)
    if model.threshold is not None:
        return _threshold(model.threshold, at, report, scrape_ms)
    if model.freshness is not None:
        return _freshness(model.freshness, at, report, scrape_ms)
    if model.outage is not None:
        return _outage(model.outage, at, report, built)
    assert model.raw is not None
    texts = {"errors": model.raw.errors, "total": model.raw.total}
    for key, text in texts.items():
        read_windowed(text, (*at, key), report)
    return Raw(**texts)


def _ratio(model: RatioModel, at: Path, report: Report) -> Ratio:
    if (model.errors is None) == (model.good is None):
        report(at, "a ratio has `total` and exactly one of `errors` and `good`", "error")
        raise Fault
    part_is: Literal["errors", "good"] = "errors" if model.errors is not None else "good"
    total = read_selector(model.total, (*at, "total"), report)
    part = read_selector(model.errors or model.good or "", (*at, part_is), report)
    if part.name == total.name and part_is == "errors" and set(part.matchers) == set(total.matchers):
        report((*at, part_is), "errors and total select the same series, so everything counts as an error", "error")
        raise Fault
    counted = [check_counter(one, (*at, key), report) for one, key in ((total, "total"), (part, part_is))]
    if not all(counted):
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
        if matcher.op == "=" and equal is not None and matcher.label == "le" and bucket_holds(matcher.value, equal):
            continue  # a bucket counts what all smaller ones do
        if matcher.op == "=" and equal is not None:
            report(
                at,
                f"`{part_is}` has {matcher.label}={equal!r} but `total` {matcher.label}={matcher.value!r}: nothing of it is in the total",
                "error",
            )
            raise Fault
        if not any(m.label == matcher.label for m in part.matchers):
            report(at, f"`{part_is}` may count events outside `total`: it lacks the matcher {matcher}", "warning")


def _latency(
    model: LatencyModel, percentile_threshold: str | None, path: Path, at: Path, report: Report
) -> Latency | NativeLatency:
    histogram = read_selector(model.histogram, (*at, "histogram"), report)
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
    threshold = Decimal(read_duration(text or "", where, report)) / 1000
    unit = model.unit or ("milliseconds" if name.endswith(("_milliseconds", "_ms")) else "seconds")
    kind = NativeLatency if model.native else Latency
    return kind(histogram, threshold, Decimal(1) if unit == "seconds" else Decimal("0.001"))


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
    check_level(read_vector(model.value, (*at, "value"), report), (*at, "value"), report)
    return Threshold(model.value, _OPERATORS[given[0]], bound, _slice(model.slice, scrape_ms, at, report))


def _freshness(model: FreshnessModel, at: Path, report: Report, scrape_ms: int) -> Freshness:
    metric = read_selector(model.metric, (*at, "metric"), report)
    max_age = read_duration(model.max_age, (*at, "max_age"), report)
    return Freshness(metric, max_age, _slice(model.slice, scrape_ms, at, report))


def _outage(model: OutageModel, at: Path, report: Report, built: Mapping[str, Sli | None]) -> Outage:
    if model.of not in built:
        report((*at, "of"), f"no SLO `{model.of}` in this service{suggest(model.of, built)}", "error")
        raise Fault
    of = built[model.of]
    if of is None:
        raise Fault  # its own fault has been told
    if not isinstance(of, Ratio | Latency | NativeLatency | Probe | Raw):
        report((*at, "of"), f"`{model.of}` is judged per slice itself; name an SLO that counts events", "error")
        raise Fault
    try:
        down = parse_quantity(model.down_at)
        if not 0 < down <= 1:
            raise ValueError(f"{model.down_at!r} is no error ratio above 0 % and up to 100 %; write one such as 50%")
    except ValueError as error:
        report((*at, "down_at"), str(error), "error")
        raise Fault from None
    longest = read_duration(model.longer_than, (*at, "longer_than"), report)
    slice_ms = _slice(model.slice, MINUTE, at, report)
    if longest < slice_ms:
        report((*at, "longer_than"), f"is shorter than a slice of {format_duration(slice_ms)}", "error")
        raise Fault
    return Outage(of, model.of, longest, down, slice_ms)


def _slice(text: str | None, default_ms: int, at: Path, report: Report) -> int:
    if text is None:
        return default_ms
    found = read_duration(text, (*at, "slice"), report)
    if not 1000 <= found <= 5 * MINUTE or 5 * MINUTE % found:
        report(
            (*at, "slice"), f"a slice of {text} does not divide 5m; accepted are such as 10s, 30s, 1m and 5m", "error"
        )
        raise Fault
    return found
