"""slo-generator, Grafana's Terraform resource, and tools that are only known by name."""

from __future__ import annotations

import sys

import pytest

from slo.convert.from_terraform import WITHOUT
from tests.convert import draft_of, imported, reasons


def generator(indicator: str, method: str = "good_bad_ratio", backend: str = "prometheus", goal: str = "0.999") -> str:
    return f"""\
apiVersion: sre.google.com/v2
kind: ServiceLevelObjective
metadata:
  name: shop-web-requests
  labels: {{service_name: shop, feature_name: web, slo_name: requests, env: prod}}
spec:
  description: Requests succeed
  backend: {backend}
  method: {method}
  service_level_indicator: {{{indicator}}}
  goal: {goal}
"""


@pytest.mark.parametrize(
    ("method", "indicator", "sli"),
    [
        (
            "query_sli", "expression: 'sum(rate(x_total{code=~\"2..\"}[window])) / sum(rate(x_total[window]))'",
            {"ratio": {"good": 'x_total{code=~"2.."}', "total": "x_total"}},
        ),
        (
            "good_bad_ratio", "filter_good: 'x_total{code=~\"2..\"}[window]', filter_valid: x_total",
            {"ratio": {"good": 'x_total{code=~"2.."}', "total": "x_total"}},
        ),
        (
            "distribution_cut", "expression: 'd_seconds_bucket{job=\"a\"}', threshold_bucket: 0.25",
            {"latency": {"histogram": 'd_seconds{job="a"}', "threshold": "250ms"}},
        ),
    ],
)  # fmt: skip
def test_each_method_of_slo_generator_is_exact(method: str, indicator: str, sli: object) -> None:
    draft = draft_of(generator(indicator, method))
    assert (draft.entry["sli"], draft.grade) == (sli, "exact")
    assert (draft.entry["name"], draft.entry["objective"], draft.entry["labels"]) == (
        "web-requests",
        "99.9",
        {"env": "prod"},
    )


def test_good_and_bad_events_are_all_events() -> None:
    draft = draft_of(generator("filter_good: good_total, filter_bad: bad_total"))
    assert draft.entry["sli"] == {"ratio": {"errors": "bad_total", "good": "good_total"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (generator("x: y", backend="datadog"), "its backend is datadog"),
        (generator("x: y", method="basic"), "the method basic is not one of"),
        (generator("filter_good: a_total"), "filter_bad` is missing"),
        (generator("filter_good: a_total, filter_valid: b_total", goal="99.9"), "is above 100"),
        ("apiVersion: n9/v1alpha\nkind: SLO\nmetadata: {name: a}\n", "Nobl9"),
        ("apiVersion: apps/v1\nkind: Deployment\n", "no SLO definition of a tool that is known"),
    ],
)
def test_what_is_not_prometheus_is_refused(text: str, reason: str) -> None:
    assert reason in reasons(text)


TERRAFORM = r"""
resource "grafana_slo" "requests" {
  name        = "Requests"
  description = "Requests succeed"
  folder_uid  = "shop"
  query {
    type = "ratio"
    ratio {
      success_metric  = "x_total{code!~\"5..\"}"
      total_metric    = "x_total"
      group_by_labels = ["route"]
    }
  }
  objectives {
    value  = 0.995
    window = "28d"
  }
  label {
    key   = "team"
    value = "web"
  }
  alerting {
    fastburn {
      label {
        key   = "severity"
        value = "P1"
      }
      annotation {
        key   = "summary"
        value = "fast"
      }
    }
    advanced_options {
      min_failures = 10
    }
  }
}
"""
FREEFORM = (
    TERRAFORM[: TERRAFORM.index("    type = ")]
    + '    type = "freeform"\n    freeform {\n      query = "sum(rate(a_total[$__rate_interval])) / sum(rate(b_total[$__rate_interval]))"\n    }\n  }\n'
    + TERRAFORM[TERRAFORM.index("  objectives") :]
)


def _terraform(text: str) -> dict[str, object]:
    pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    result = imported(text, "slo.tf")
    assert not result.refusals, result.refusals
    [draft] = result.drafts
    assert draft.grade == "exact"
    return draft.entry


def test_grafanas_ratio() -> None:
    assert _terraform(TERRAFORM) == {
        "name": "requests", "objective": "99.5", "window": "28d", "description": "Requests succeed", "owner": "web",
        "labels": {"team": "web"}, "sli": {"ratio": {"good": 'x_total{code!~"5.."}', "total": "x_total"}}, "by": ["route"],
        "alerting": {"page": {"severity": "P1", "annotations": {"summary": "fast"}}, "least_errors": "10"},
    }  # fmt: skip


def test_grafanas_freeform_query() -> None:
    assert _terraform(FREEFORM)["sli"] == {"ratio": {"good": "a_total", "total": "b_total"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TERRAFORM.replace('"28d"', "var.window"), "is an expression of Terraform"),
        (TERRAFORM.replace('"Requests succeed"', '"for ${var.x}"'), "holds an expression of Terraform"),
        ("resource {", "not HCL"),
        ('resource "datadog_service_level_objective" "x" {\n}\n', "whose queries are not PromQL"),
        ('resource "aws_instance" "x" {\n}\n', "without SLOs"),
    ],
)
def test_what_terraform_works_out_itself_is_refused(text: str, reason: str) -> None:
    pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    assert reason in "\n".join(refusal.reason for refusal in imported(text, "slo.tf").refusals)


def test_without_the_library_terraform_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hcl2", None)
    [refusal] = imported(TERRAFORM, "slo.tf").refusals
    assert refusal.reason == WITHOUT
    assert "pip install 'slo[terraform]'" in WITHOUT
