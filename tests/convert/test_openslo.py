"""OpenSLO: windows, methods, references, conditions; and what is not Prometheus."""

from __future__ import annotations

from decimal import Decimal

import pytest

from slo.convert.model import Options
from slo.convert.read import convert
from slo.window import DAY, HOUR, MINUTE, Calendar, Rolling
from tests.convert import draft_of, imported, reasons, slo_of

RATIO = """ratioMetric:
        counter: true
        good: {metricSource: {type: Prometheus, spec: {query: 'sum(x_total{code!="500"})'}}}
        total: {metricSource: {type: Prometheus, spec: {query: sum(x_total)}}}"""
THRESHOLD = "thresholdMetric: {metricSource: {type: Prometheus, spec: {query: sum(queue_length)}}}"
ROLLING = "{duration: 28d, isRolling: true}"


def openslo(
    sli: str = RATIO,
    window: str = ROLLING,
    objective: str = "target: 0.999",
    method: str = "Occurrences",
    more: str = "",
) -> str:
    return f"""\
apiVersion: openslo/v1
kind: SLO
metadata: {{name: requests, labels: {{env: [prod], team: web}}}}
spec:
  service: shop
  description: Requests succeed
  indicator:
    metadata: {{name: sli}}
    spec:
      {sli}
  timeWindow: [{window}]
  budgetingMethod: {method}
  objectives: [{{displayName: Good, {objective}}}]
{more}"""


def test_counters_become_a_ratio() -> None:
    slo = slo_of(openslo())
    assert draft_of(openslo()).grade == "exact"
    assert (slo.id, slo.owner, slo.labels) == ("shop/requests", "web", {"env": "prod", "team": "web"})
    assert (slo.objective.percent, slo.window) == (Decimal("99.9"), Rolling(28 * DAY))
    assert not slo.alerting.page.enabled  # there are no alert policies


@pytest.mark.parametrize(
    ("target", "percent"), [("target: 0.9995", "99.95"), ("target: '0.57'", "57"), ("targetPercent: 99.95", "99.95")]
)
def test_a_ratio_and_a_percentage_are_told_apart_and_never_floats(target: str, percent: str) -> None:
    assert slo_of(openslo(objective=target)).objective.percent == Decimal(percent)


def test_a_percentage_in_the_place_of_a_ratio_is_refused() -> None:
    assert "is above 100" in reasons(openslo(objective="target: 99.9"))


@pytest.mark.parametrize(
    ("window", "meant"),
    [
        ("{duration: 2w, isRolling: true}", Rolling(14 * DAY)),
        ("{duration: 12h, isRolling: true}", Rolling(12 * HOUR)),
        (
            "{duration: 1M, isRolling: false, calendar: {startTime: 2022-01-01 00:00:00, timeZone: UTC}}",
            Calendar("month"),
        ),
        (
            "{duration: 1w, isRolling: false, calendar: {startTime: 2022-01-03 00:00:00, timeZone: UTC}}",
            Calendar("week"),
        ),
        (
            "{duration: 1Q, isRolling: false, calendar: {startTime: 2022-04-01 00:00:00, timeZone: UTC}}",
            Calendar("quarter"),
        ),
    ],
)
def test_time_windows(window: str, meant: object) -> None:
    assert slo_of(openslo(window=window)).window == meant
    assert draft_of(openslo(window=window)).grade == "exact"


def test_a_capital_m_is_a_month_and_a_small_one_a_minute() -> None:
    draft = draft_of(openslo(window="{duration: 1M, isRolling: true}"))
    assert (draft.entry["window"], draft.grade) == ("30d", "changed")
    assert "accepted are 1h to 90d" in reasons(openslo(window="{duration: 1m, isRolling: true}"))
    assert "1m is a minute" in reasons(openslo(window="{duration: 1m, isRolling: false}"))


@pytest.mark.parametrize(
    "calendar",
    ["{startTime: 2022-01-01 12:00:00, timeZone: UTC}", "{startTime: 2022-01-03 00:00:00, timeZone: Mars/Olympus}"],
)
def test_another_beginning_or_an_unknown_time_zone_is_a_change(calendar: str) -> None:
    draft = draft_of(openslo(window=f"{{duration: 1w, isRolling: false, calendar: {calendar}}}"))
    assert (draft.entry["window"], draft.grade) == ("week", "changed")
    assert "time_zone" not in draft.entry


def test_a_calendar_keeps_its_time_zone() -> None:
    calendar = "{startTime: 2022-01-03 00:00:00, timeZone: America/New_York}"
    text = openslo(window=f"{{duration: 1w, isRolling: false, calendar: {calendar}}}")
    assert (draft_of(text).entry["time_zone"], draft_of(text).grade) == ("America/New_York", "exact")
    assert slo_of(text).window == Calendar("week", "America/New_York")


def test_a_threshold_in_slices() -> None:
    draft = draft_of(
        openslo(THRESHOLD, objective="op: lte, value: 100, target: 0.99, timeSliceWindow: 1m", method="Timeslices")
    )
    assert draft.entry["sli"] == {"threshold": {"value": "sum(queue_length)", "at_most": "100", "slice": "1m"}}
    assert draft.grade == "exact"


def test_slices_of_a_ratio_are_a_threshold_on_it() -> None:
    draft = draft_of(openslo(objective="target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 5m", method="Timeslices"))
    value = 'sum(increase(x_total{code!="500"}[5m])) / sum(increase(x_total[5m]))'
    assert draft.entry["sli"] == {"threshold": {"value": value, "at_least": "0.95", "slice": "5m"}}
    assert draft.grade == "changed"


def test_a_mean_of_ratios_is_refused() -> None:
    assert "the mean of the slices' ratios" in reasons(
        openslo(objective="target: 0.99, timeSliceWindow: 1m", method="RatioTimeslices")
    )


def test_a_gauge_is_not_counted() -> None:
    assert "not numbers of events" in reasons(
        openslo(RATIO.replace("counter: true", "counter: false").replace("x_total", "x"))
    )


def test_a_counter_by_its_name_alone_is_counted_with_a_note() -> None:
    draft = draft_of(openslo(RATIO.replace("counter: true", "counter: false")))
    assert (draft.kind, draft.grade) == ("ratio", "changed")


@pytest.mark.parametrize("kind", ["Datadog", "CloudWatch", "Any"])
def test_other_sources_are_refused(kind: str) -> None:
    assert f"its metrics come from {kind}" in reasons(openslo(RATIO.replace("Prometheus", kind)))


SLI = f"apiVersion: openslo/v1\nkind: SLI\nmetadata: {{name: shared}}\nspec:\n      {RATIO}\n"
POLICY = """\
apiVersion: openslo/v1
kind: AlertPolicy
metadata: {name: burns}
spec:
  conditions:
    - kind: AlertCondition
      metadata: {name: fast}
      spec:
        severity: critical
        condition: {kind: burnrate, op: gt, threshold: 14, lookbackWindow: 1h, alertAfter: 2m}
"""


def test_references_are_followed_into_other_files() -> None:
    text = openslo(more="  alertPolicies: [{alertPolicyRef: burns}]\n")
    head, _, rest = text.partition("  indicator:\n")
    text = head + "  indicatorRef: shared\n" + rest[rest.index("  timeWindow") :]
    [result, *others] = convert({"slo.yaml": text, "sli.yaml": SLI, "policy.yaml": POLICY}, Options())
    [draft] = result.drafts
    assert draft.kind == "ratio"
    assert draft.entry["alerting"]["windows"] == [{"severity": "page", "long": "1h", "factor": "14", "for": "2m"}]
    assert draft.entry["alerting"]["page"] == {"severity": "critical"}
    assert draft.entry["alerting"]["ticket"] is False
    assert all("without SLOs" in other.refusals[0].reason for other in others)


def test_a_condition_fires_as_it_is_written() -> None:
    result = convert({"a": openslo(more="  alertPolicies: [burns]\n"), "b": POLICY}, Options())[0]
    [burn] = [pair for draft in result.drafts for pair in draft.entry["alerting"]["windows"]]
    assert (burn["long"], burn["factor"]) == (f"{HOUR // MINUTE // 60}h", "14")


@pytest.mark.parametrize("reference", ["indicatorRef: nothing"])
def test_a_reference_to_nothing_is_refused(reference: str) -> None:
    text = openslo()
    head, _, rest = text.partition("  indicator:\n")
    assert "is in none of the files" in reasons(head + f"  {reference}\n" + rest[rest.index("  timeWindow") :])


def test_each_objective_is_an_slo() -> None:
    text = openslo().replace(
        "objectives: [{displayName: Good, target: 0.999}]",
        "objectives: [{target: 0.99}, {displayName: Best, target: 0.999}]",
    )
    assert [(draft.entry["name"], draft.entry["objective"]) for draft in imported(text).drafts] == [
        ("requests-1", "99"), ("requests-best", "99.9"),
    ]  # fmt: skip


def test_v1alpha() -> None:
    text = """\
apiVersion: openslo/v1alpha
kind: SLO
metadata: {name: requests}
spec:
  service: shop
  budgetingMethod: Occurrences
  objectives:
    - ratioMetrics:
        good: {source: prometheus, queryType: promql, query: 'sum(rate(x_total{code!="500"}[{{.window}}]))'}
        total: {source: prometheus, queryType: promql, query: 'sum(rate(x_total[{{.window}}]))'}
      target: 0.999
  timeWindows: [{count: 28, unit: Day, isRolling: true}]
"""
    slo = slo_of(text)
    assert (slo.window, slo.objective.percent, slo.sli.key) == (Rolling(28 * DAY), Decimal("99.9"), "ratio")
    assert slo_of(
        text.replace("count: 28, unit: Day, isRolling: true", "count: 1, unit: Month, isRolling: false")
    ).window == Calendar("month")


def test_v2alpha() -> None:
    text = """\
- apiVersion: openslo.com/v2alpha
  kind: SLO
  metadata: {name: requests}
  spec:
    serviceRef: shop
    sli:
      metadata: {name: sli}
      spec:
        ratioMetric:
          counter: true
          bad: {dataSourceRef: prom, spec: {query: 'sum(x_total{code="500"})'}}
          total: {dataSourceRef: prom, spec: {query: sum(x_total)}}
    timeWindow: [{duration: 28d, isRolling: true}]
    objectives: [{target: 0.999}]
"""
    draft = draft_of(text)
    assert (draft.entry["sli"], draft.grade) == (
        {"ratio": {"errors": 'x_total{code="500"}', "total": "x_total"}},
        "exact",
    )


def metric(query: str) -> str:
    return f"{{metricSource: {{type: Prometheus, spec: {{query: '{query}'}}}}}}"


def test_sums_of_counters_become_lists() -> None:
    ratio = (
        f"ratioMetric: {{counter: true, bad: {metric('sum(a_total) + sum(b_total)')}, total: {metric('sum(c_total)')}}}"
    )
    draft = draft_of(openslo(ratio))
    assert draft.entry["sli"] == {"ratio": {"errors": ["a_total", "b_total"], "total": "c_total"}}
    assert draft.grade == "exact"


def test_what_was_fast_as_bad_events_is_refused_unless_it_shall_be_turned_round() -> None:
    fast = metric('sum(d_seconds_bucket{le="0.3"})')
    text = openslo(f"ratioMetric: {{counter: true, bad: {fast}, total: {metric('sum(d_seconds_count)')}}}")
    assert "inverted" in reasons(text)
    assert draft_of(text, invert=True).entry["sli"] == {"latency": {"histogram": "d_seconds", "threshold": "300ms"}}


def test_good_and_bad_events_are_all_events() -> None:
    ratio = f"ratioMetric: {{counter: true, bad: {metric('sum(a_total)')}, good: {metric('sum(b_total)')}}}"
    draft = draft_of(openslo(ratio))
    assert (draft.entry["sli"], draft.grade) == ({"ratio": {"errors": "a_total", "good": "b_total"}}, "exact")
