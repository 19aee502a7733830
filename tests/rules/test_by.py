"""`by: [route]`: a budget for each value that a label comes to have, in the rules and in the evaluation."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from slo.backtest.run import run
from slo.budget.evaluate import evaluate, evaluate_all
from slo.budget.groups import expand
from slo.errors import Problem
from slo.promql.ast import Binary, walk
from slo.promql.engine import Engine
from slo.promql.samples import Samples
from slo.report.plain import to_json
from slo.rules import AlertRule, RecordingRule, compile_specs, rule_tests, to_prometheus_rule, to_yaml
from slo.source import open as open_source
from slo.source.openmetrics import write_openmetrics
from slo.source.recording import Header, Recording, write
from slo.spec.load import loads
from slo.spec.model import Specs
from slo.spec.split import MOST
from tests.quick_yaml import read_yaml
from tests.servers import Prometheus, VictoriaMetrics, load_openmetrics, promtool

DEFINITION = """\
service: shop
slos:
  - name: availability
    objective: 99
    by: [route]
    sli: {ratio: {errors: 'requests_total{code="500"}', total: requests_total}}
  - name: latency
    objective: 99
    window: month
    by: [route]
    alerting: {least_errors: 2}
    sli: {latency: {histogram: duration_seconds, threshold: 500ms}}
  - name: checks
    objective: 99
    by: [route]
    sli: {probe: {metric: probe_success}}
"""
TEST = """\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 30s
    input_series:
      - {series: 'requests_total{job="shop",instance="a",route="/bad",code="200"}', values: '0+50x240'}
      - {series: 'requests_total{job="shop",instance="a",route="/bad",code="500"}', values: '0+50x240'}
      - {series: 'requests_total{job="shop",instance="a",route="/good",code="200"}', values: '0+900x240'}
      - {series: 'requests_total{job="shop",instance="a",code="200"}', values: '0+10x240'}
    promql_expr_test:
      - expr: slo:events:increase1m{slo="availability",event="bad"}
        eval_time: 90m
        exp_samples:
          - {labels: 'slo:events:increase1m{service="shop",slo="availability",event="bad",route="/bad"}', value: 100}
          - {labels: 'slo:events:increase1m{service="shop",slo="availability",event="bad",route="/good"}', value: 0}
          - {labels: 'slo:events:increase1m{service="shop",slo="availability",event="bad"}', value: 0}
      - expr: slo:events:increase1m{slo="availability",event="good"}
        eval_time: 90m
        exp_samples:
          - {labels: 'slo:events:increase1m{service="shop",slo="availability",event="good",route="/bad"}', value: 100}
          - {labels: 'slo:events:increase1m{service="shop",slo="availability",event="good",route="/good"}', value: 1800}
          - {labels: 'slo:events:increase1m{service="shop",slo="availability",event="good"}', value: 20}
      - expr: count by (alertname, route) (ALERTS{alertstate="firing"})
        eval_time: 90m
        exp_samples: [{labels: '{alertname="ErrorBudgetBurn",route="/bad"}', value: 2}]
    alert_rule_test:
      - {alertname: ErrorBudgetBurn, eval_time: 90m, exp_alerts: []}
"""


def specs(text: str = DEFINITION) -> Specs:
    problems: list[object] = []
    loaded_specs = Specs(loads(text, "shop.yaml", problems))  # type: ignore[arg-type]
    assert not problems, problems
    return loaded_specs


@pytest.mark.server
def test_each_route_has_its_tiles_and_its_alerts(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(specs())[0]))
    (tmp_path / "test.yml").write_text(TEST)
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    said = promtool("test", "rules", tmp_path / "test.yml")
    text = said.stdout + said.stderr
    # The one expectation that is wrong on purpose shows what the annotations say: of this route's own budget.
    assert "expr:" not in text, text
    page = text.split('window="1h, 6h"')[1].split("},")[0]
    assert 'summary="[page] shop/availability (route /bad): 50.0% of requests bad over 1h (burn rate 50.0x, ' in page
    assert "Error budget: already exhausted (-4900.0% remaining of 30d)." in page
    assert 'breakdown="topk(5, increase(requests_total{code=\\"500\\",route=\\"/bad\\"}[1h]) > 0)"' in page
    assert "error calling" not in text


def with_label(text: str, label: str) -> str:
    """A test or a definition with another name for the label `route`, as it stands in PromQL."""
    return text.replace(",route=", f",{label}=").replace("{route=", f"{{{label}=").replace("(route)", f"({label})")


@pytest.mark.server
@pytest.mark.parametrize("label", ["http.route", "a`b %d {{c}} ö"])
def test_a_label_may_have_any_name(tmp_path: Path, victoria_metrics: VictoriaMetrics, label: str) -> None:
    text = ONE.replace("[route]", f"['{label}']")
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(specs(text))[0]))
    test = with_label(TEST, f'"{label}"').replace("(alertname, route)", f'(alertname, "{label}")')
    (tmp_path / "test.yml").write_text(test)
    said = promtool("test", "rules", tmp_path / "test.yml")
    out = said.stdout + said.stderr
    assert "expr:" not in out and " err" not in out, out
    page = out.split('window="1h, 6h"')[1].split("},")[0]
    assert f"[page] shop/availability ({label} /bad): 50.0% of requests bad over 1h" in page
    assert "Error budget: already exhausted (-4900.0% remaining of 30d)." in page
    assert f'\\"{label}\\"=\\"/bad\\"' in page
    for group in compile_specs(specs(text))[0]:
        for rule in group.rules:
            answer = json.loads(victoria_metrics.get("/api/v1/query", {"query": str(rule.expr)}))
            assert answer["status"] == "success"
    # Servers before 3.0 know no such names, and say so as they load the file.
    refused = promtool("check", "rules", tmp_path / "rules.yml", name="promtool2")
    assert refused.returncode != 0 and "grouping opts" in refused.stdout + refused.stderr


def test_a_name_in_quotes_is_nowhere_in_on_and_counts_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus 3.5 loses the quotes there."""
    samples = history(tmp_path, 3, "http.route").all()
    loaded_specs = specs(DEFINITION.replace("[route]", "[http.route]"))
    rewritten = compile_specs(loaded_specs)[0]
    monkeypatch.setattr("slo.rules.compile.without_quotes", lambda node: node)
    compared = 0
    for ours, plain in zip(rewritten, compile_specs(loaded_specs)[0], strict=True):
        for rule, other in zip(ours.rules, plain.rules, strict=True):
            names = {
                label
                for node in walk(rule.expr)
                if isinstance(node, Binary) and node.matching is not None
                for label in (*node.matching.labels, *node.matching.include)
            }
            assert "http.route" not in names
            if isinstance(rule, RecordingRule) and rule.expr != other.expr:
                at = END / 1000 - 600
                got, expected = (
                    {
                        tuple(series.labels.items()): series.values.tolist()
                        for series in Engine(samples).query(asked, at).series
                    }
                    for asked in (rule.expr, other.expr)
                )
                assert got == expected
                compared += len(got) > 3
    assert compared == 1  # of availability; there are no samples of the others


@pytest.mark.server
@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_its_rules_prove_themselves(tmp_path: Path) -> None:
    loaded_specs = specs(DEFINITION.replace("[route]", "[http.route]", 1))
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(loaded_specs)[0]))
    for number, text in enumerate(rule_tests(loaded_specs, ["rules.yml"]).values()):
        (tmp_path / f"t{number}.yml").write_text(text)
        said = promtool("test", "rules", tmp_path / f"t{number}.yml")
        assert said.returncode == 0, said.stdout + said.stderr


FEW = """\
rule_files: [rules.yml]
evaluation_interval: 1m
group_eval_order: [slo/shop/availability/1m, slo/shop/availability/5m]
tests:
  - interval: 1m
    input_series:
      # What has the most traffic when the rules begin has a place: /a, /b and /c. Later /d has more than /c.
      - {series: 'requests_total{job="shop",instance="a",route="/a",code="200"}', values: '9000+90x90 _x60 0+90x130'}
      - {series: 'requests_total{job="shop",instance="a",route="/b",code="200"}', values: '8000+80x280'}
      - {series: 'requests_total{job="shop",instance="a",route="/c",code="200"}', values: '7000+1x280'}
      - {series: 'requests_total{job="shop",instance="a",route="/d",code="200"}', values: '6000+60x60 10000+990x220'}
      - {series: 'requests_total{job="shop",instance="a",route="/e",code="200"}', values: '_x120 0+9000x160'}
    promql_expr_test:
      - expr: count by (route) (count_over_time(slo:events:increase1m{event="bad"}[280m]))
        eval_time: 280m
        exp_samples: [{labels: '{route="/a"}', value: 1}, {labels: '{route="/b"}', value: 1}, {labels: '{route="/c"}', value: 1}]
      # /c at all times, /a but while it was not scraped: its place is not given away.
      - expr: count_over_time(slo:events:increase1m{event="bad",route="/c"}[270m]) > bool 265
        eval_time: 280m
        exp_samples: [{labels: '{service="shop",slo="availability",event="bad",route="/c"}', value: 1}]
      - expr: slo:events:increase1m{event="good",route="/a"}
        eval_time: 250m
        exp_samples: [{labels: 'slo:events:increase1m{service="shop",slo="availability",event="good",route="/a"}', value: 90}]
      - expr: count by (alertname, severity) (ALERTS{alertstate="firing"})
        eval_time: 5m
        exp_samples: []
      - expr: count by (alertname, severity) (ALERTS{alertstate="firing"})
        eval_time: 200m
        exp_samples: [{labels: '{alertname="SLOTooManyValues",severity="ticket"}', value: 1}]
    alert_rule_test:
      - eval_time: 20m
        alertname: SLOTooManyValues
        exp_alerts: [{exp_labels: LABELS, exp_annotations: {summary: SUMMARY of 4, description: DESCRIPTION}}]
      - eval_time: 250m
        alertname: SLOTooManyValues
        exp_alerts: [{exp_labels: LABELS, exp_annotations: {summary: SUMMARY of 5, description: DESCRIPTION}}]
"""


@pytest.mark.server
@pytest.mark.parametrize("version", ["promtool", "promtool2"])
def test_of_too_many_values_the_first_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr("slo.rules.values.MOST", 3)
    monkeypatch.setattr("slo.rules.annotate.MOST", 3)
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(specs(ONE))[0]))
    summary = "[ticket] shop/availability: {} values of route, more than have an error budget each"
    description = (
        "3 values of route have an error budget each: those that had one already, then those with the most traffic. The others "
        "are not measured, and nobody is alerted about them. List the values that matter under `by`, or choose a label with "
        "fewer values. SLO: 99% of requests good over 30d."
    )
    test = FEW.replace("LABELS", "{service: shop, slo: availability, severity: ticket}")
    for many in (4, 5):
        test = test.replace(f"SUMMARY of {many}", json.dumps(summary.format(many)))
    (tmp_path / "test.yml").write_text(test.replace("DESCRIPTION", json.dumps(description)))
    said = promtool("test", "rules", tmp_path / "test.yml", name=version)
    assert said.returncode == 0, said.stdout + said.stderr


def test_no_rule_of_many_values_gives_more_than_its_limit() -> None:
    groups, _ = compile_specs(specs())
    for text in (to_yaml(groups), to_prometheus_rule(groups, "shop")):
        content = read_yaml(text)
        group_list = content.get("spec", content)["groups"]
        assert {group.get("limit") for group in group_list} == {10 * MOST}
    plain = compile_specs(specs(DEFINITION.replace("    by: [route]\n", "")))[0]
    assert "limit" not in to_yaml(plain)


def test_without_tickets_nobody_is_notified_of_too_many_values() -> None:
    names = {
        rule.name
        for group in compile_specs(specs(ONE + "    alerting: {ticket: off}\n"))[0]
        for rule in group.rules
        if isinstance(rule, AlertRule)
    }
    assert "SLOTooManyValues" not in names and "ErrorBudgetBurn" in names


def many(place: Path, routes: int) -> tuple[Samples, Recording, int]:
    """Ten minutes of so many routes, the last with the most traffic."""
    end = START + 10 * 60_000
    times = np.arange(START, end + 1, 60_000)
    rows = [
        ({"__name__": "requests_total", "job": "shop", "route": f"/{route}"}, times, np.arange(len(times)) * (1.0 + route))
        for route in range(routes)
    ]  # fmt: skip
    write(place / "many.parquet", Samples.from_series(rows), Header(START, end, "a test"))
    return Samples.from_series(rows), Recording.open(place / "many.parquet"), end


def test_twenty_thousand_values_are_a_hundred(tmp_path: Path) -> None:
    _, recording, end = many(tmp_path, 20_000)
    slos, values = expand(specs(ONE)["shop/availability"], recording, end)
    assert values == 20_000
    assert {slo.labels["route"] for slo in slos} == {f"/{route}" for route in range(20_000 - MOST, 20_000)}


def test_a_tile_has_no_more_than_a_hundred_values(tmp_path: Path) -> None:
    samples, _, end = many(tmp_path, 5 * MOST)
    tile = compile_specs(specs(ONE))[0][0].rules[0]
    series = Engine(samples).query(tile.expr, end / 1000).series
    assert {row.labels["route"] for row in series} == {f"/{route}" for route in range(4 * MOST, 5 * MOST)}


START = 1_790_000_000_000 // 3_600_000 * 3_600_000
END = START + 6 * 3_600_000


def history(place: Path, routes: int, label: str = "route") -> Recording:
    random = np.random.default_rng(3)
    times = np.arange(START, END + 1, 30_000)
    rows = []
    for route in range(routes):
        for code, rate in (("200", 20.0), ("500", 0.1 * route)):
            labels = {"__name__": "requests_total", "job": "shop", "instance": "a", label: f"/{route}", "code": code}
            rows.append((labels, times, np.cumsum(random.poisson(rate, len(times))).astype(float)))
    write(place / "r.parquet", Samples.from_series(rows), Header(START, END, "a test"))
    return Recording.open(place / "r.parquet")


ONE = DEFINITION.split("  - name: latency")[0]


@pytest.mark.parametrize("label", ["route", "http.route"])
def test_the_evaluation_has_a_budget_for_each_route_and_loses_none(tmp_path: Path, label: str) -> None:
    recording = history(tmp_path, 5, label)
    spec = specs(ONE.replace("[route]", f"[{label}]"))["shop/availability"]
    budgets = evaluate_all([spec], recording, END)
    assert [budget.slo.id for budget in budgets] == [f"shop/availability.{route}" for route in range(5)]
    assert [budget.slo.labels[label] for budget in budgets] == [f"/{route}" for route in range(5)]
    assert budgets[0].errors == 0 < budgets[1].errors < budgets[4].errors
    whole = evaluate(spec, recording, END)
    assert sum(budget.errors for budget in budgets) == whole.errors
    assert sum(budget.total for budget in budgets) == whole.total


def test_a_backtest_and_a_report_know_labels_of_any_name(tmp_path: Path) -> None:
    recording = history(tmp_path, 3, "http.route")
    loaded_specs = specs(ONE.replace("[route]", "[http.route]").replace("objective: 99", "objective: 99.9"))
    outcome = run(loaded_specs, recording).policies[0].outcomes["shop/availability"]
    # 0.5 % and 1 % of the requests of two routes fail: six hours of that are a page for the second only.
    labels = [dict(interval.labels) for interval in outcome.intervals]
    assert {(label["http.route"], label["severity"]) for label in labels} == {("/2", "page")}
    report = json.loads(
        to_json(
            evaluate_all(loaded_specs.values(), recording, END),
            title="a week",
            generated=datetime.fromtimestamp(END / 1000, UTC),
        )
    )
    assert [entry["labels"] for entry in report["slos"]] == [{"http.route": f"/{route}"} for route in (2, 1, 0)]


@pytest.mark.server
def test_through_a_server_it_is_the_same(tmp_path: Path) -> None:
    recording = history(tmp_path, 3, "http.route")
    write_openmetrics(tmp_path / "r.txt", recording.all())
    data = load_openmetrics(tmp_path / "r.txt", tmp_path / "data")
    spec = specs(ONE.replace("[route]", "[http.route]"))["shop/availability"]
    here = evaluate_all([spec], recording, END)
    with Prometheus(tmp_path, data=data) as server:
        there = evaluate_all([spec], open_source(server.url), END)
    assert [(b.slo.id, b.errors, b.total) for b in there] == [(b.slo.id, b.errors, b.total) for b in here]


def test_a_label_that_selectors_fix_is_one_of_the_slo() -> None:
    problems: list[Problem] = []
    sli = '{ratio: {errors: \'x_total{zone="a",code="5"}\', total: \'x_total{zone="a"}\'}}'
    [service] = loads(
        f"service: s\nslos:\n  - {{name: a, objective: 99, by: [zone, route], sli: {sli}}}\n", "x.yaml", problems
    )
    [slo] = service.slos
    assert (slo.by, dict(slo.labels)) == (("route",), {"zone": "a"})
    assert [problem.severity for problem in problems] == ["warning"]
    assert "`zone` has one value, as each selector says zone='a'" in problems[0].message


@pytest.mark.parametrize(
    ("by", "sli", "message"),
    [
        ("[route, route]", "{probe: {metric: up}}", "`by` names a label twice"),
        (
            "[zone]",
            '{ratio: {good: \'x_total{zone="a",code="1"}\', total: \'x_total{zone!="b"}\'}}',
            "a selector already fixes zone",
        ),
        ("[route]", "{threshold: {value: x, above: 1}}", "`by` works with ratio, latency and probe"),
        ("[slo]", "{probe: {metric: up}}", "label `slo` is set by the rules themselves"),
        ('["a\\nb"]', "{probe: {metric: up}}", "not a valid label name; any text without control characters"),
        ("route", "{probe: {metric: up}}", "must be"),
    ],
)
def test_faults_are_named(by: str, sli: str, message: str) -> None:
    problems: list[object] = []
    loads(f"service: s\nslos:\n  - {{name: a, objective: 99, by: {by}, sli: {sli}}}\n", "x.yaml", problems)  # type: ignore[arg-type]
    assert message in " ".join(map(str, problems)), problems
