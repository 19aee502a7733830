"""What a kind refuses in a definition: one fault for one mistake, with its place and what is accepted."""

from __future__ import annotations

import pytest

from slo.errors import Problem
from slo.spec.load import loads

UP = "  - {name: up, objective: 99, sli: {probe: {metric: up}}}\n"


def faults(sli: str, objective: str = "99", before: str = UP) -> list[str]:
    """The errors of an SLO `a` alongside one that is right."""
    problems: list[Problem] = []
    text = f"service: shop\nslos:\n{before}  - name: a\n    objective: {objective}\n    sli: {sli}\n"
    loads(text, "x.yaml", problems)
    return [str(problem) for problem in problems if problem.severity == "error"]


@pytest.mark.parametrize(
    ("sli", "path", "words"),
    [
        # outage
        ("{outage: {of: dn, longer_than: 1h}}", "outage.of", "no SLO `dn` in this service; accepted are up"),
        ("{outage: {of: up, longer_than: 1h, down_at: 0%}}", "outage.down_at", "'0%' is not an error ratio above 0%"),
        ("{outage: {of: up, longer_than: 1h, down_at: 101%}}", "outage.down_at", "up to 100%; write one such as 50%"),
        ("{outage: {of: up, longer_than: 1h, down_at: half}}", "outage.down_at", "'half'"),
        ("{outage: {of: up, longer_than: 30s}}", "outage.longer_than", "is shorter than a slice of 1m"),
        ("{outage: {of: up, longer_than: 4m, slice: 5m}}", "outage.longer_than", "is shorter than a slice of 5m"),
        # latency
        ("{latency: {histogram: h_bucket, threshold: 1s}}", "latency.histogram", "without _bucket: h"),
        ("{latency: {histogram: h_count, threshold: 1s}}", "latency.histogram", "without _count: h"),
        ("{latency: {histogram: '{a=\"b\"}', threshold: 1s}}", "latency.histogram", "needs its metric's name"),
        ("{latency: {histogram: 'h{le=\"1\"}', threshold: 1s}}", "latency.histogram", "leave `le` out"),
        ("{latency: {histogram: h}}", "latency", "no threshold; give one of the two"),
        # ratio
        ("{ratio: {total: t_total}}", "ratio", "exactly one of `errors` and `good`"),
        ("{ratio: {total: t_total, errors: e_total, good: g_total}}", "ratio", "exactly one of `errors` and `good`"),
        ("{ratio: {total: 't_total{a=\"1\"}', errors: 't_total{a=\"1\"}'}}", "ratio.errors", "select the same series"),
        (
            "{ratio: {total: 't_total{a=\"1\"}', errors: 't_total{a=\"2\"}'}}",
            "ratio.errors",
            "`errors` has a='2' but `total` a='1': nothing of it is in the total",
        ),
        # threshold
        ("{threshold: {value: g}}", "threshold", "exactly one of at_least, at_most, above, below; found none"),
        ("{threshold: {value: g, above: 1, at_most: 2}}", "threshold", "found at_most and above"),
        ("{threshold: {value: g, above: high}}", "threshold.above", "'high'"),
        # raw
        (
            "{raw: {errors: 'sum(rate(e_total[$window]))', total: 'sum(increase(t_total[$window]))'}}",
            "raw",
            "`errors` is per second (rate) but `total` is a number of events",
        ),
        (
            "{raw: {errors: 'sum(increase(e_total[$window]))', total: 'sum(rate(t_total[$window]))'}}",
            "raw",
            "`total` is per second (rate) but `errors` is a number of events",
        ),
    ],
)
def test_one_mistake_is_one_fault(sli: str, path: str, words: str) -> None:
    [fault] = faults(sli)
    assert f"slos[1].sli.{path}: " in fault and words in fault
    problems: list[Problem] = []
    text = f"service: shop\nslos:\n{UP}  - {{name: a, objective: 99, sli: {sli}}}\n"
    names = [slo.name for service in loads(text, "x.yaml", problems) for slo in service.slos]
    assert "a" not in names  # what is faulty has no figures


def test_an_outage_of_what_is_judged_by_slices_is_refused() -> None:
    other = "  - {name: memory, objective: 99, sli: {threshold: {value: g, above: 1}}}\n"
    [fault] = faults("{outage: {of: memory, longer_than: 1h}}", before=other)
    assert "`memory` is judged per slice itself; name an SLO that counts events" in fault


def test_an_outage_of_what_is_faulty_adds_no_fault() -> None:
    other = "  - {name: up, objective: 99, sli: {probe: {metric: 'up{'}}}\n"
    [fault] = faults("{outage: {of: up, longer_than: 1h}}", before=other)
    assert "slos[0].sli.probe.metric" in fault


def test_a_threshold_is_written_once() -> None:
    sli = "{latency: {histogram: h, threshold: 1s}}"
    [fault] = faults(sli, objective="p95 < 500ms")
    assert "both an objective such as `p95 < 500ms` and a `threshold`; give one of the two" in fault
    assert faults("{latency: {histogram: h}}", objective="p95 < 500ms") == []


@pytest.mark.parametrize("down_at", ["100%", "0.5%", "1"])
def test_any_share_above_none_may_be_an_outage(down_at: str) -> None:
    assert faults(f"{{outage: {{of: up, longer_than: 1m, down_at: '{down_at}'}}}}") == []


@pytest.mark.parametrize(
    "sli",
    [
        "{ratio: {good: 'x_bucket{le=\"1\"}', total: 'x_bucket{le=\"+Inf\"}'}}",
        '{ratio: {good: \'t_total{a="1",b="2"}\', total: \'t_total{a="1"}\'}}',
        "{ratio: {errors: e_total, total: 't_total{a=\"1\"}'}}",
    ],
)
def test_ratios_that_are_right(sli: str) -> None:
    assert faults(sli) == []


@pytest.mark.parametrize(
    ("name", "unit", "bound"),
    [
        ("h_seconds", "", "0.25"),
        ("h", "", "0.25"),
        ("h_milliseconds", "", "250"),
        ("h_ms", "", "250"),
        ("h_ms", ", unit: seconds", "0.25"),
        ("h", ", unit: milliseconds", "250"),
    ],
)
def test_a_histograms_unit_is_in_its_name(name: str, unit: str, bound: str) -> None:
    sli = f"{{latency: {{histogram: {name}, threshold: 250ms{unit}}}}}"
    [service] = loads(f"service: s\nslos: [{{name: a, objective: 99, sli: {sli}}}]\n", "x.yaml", [])
    assert str(service.slos[0].sli.bound.normalize()) == bound.replace("250", "2.5E+2")  # type: ignore[attr-defined]
