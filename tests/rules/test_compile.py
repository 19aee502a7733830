"""What the rules say, by their text: names, numbers, quoting, order; checked by both promtools."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.errors import DefinitionError
from slo.promql.parse import parse
from slo.rules import AlertRule, RecordingRule, alert_windows, compile_specs, to_prometheus_rule, to_yaml
from slo.rules.format import scalar
from slo.rules.names import SLOTH
from slo.spec.load import load, loads
from slo.spec.model import Specs
from slo.window import HOUR, parse_duration
from tests.quick_yaml import read_yaml
from tests.servers import promtool

DEFINITIONS = Path(__file__).parent.parent.parent / "definitions"
ALL_KINDS = """\
service: shop
owner: "web {{ team }}"
labels: {tier: "1"}
defaults: {window: 30d}
alerts:
  - {name: PodCrashLooping, expr: 'rate(restarts_total[15m]) > 0', for: 5m, severity: critical, description: "{{ $value }}"}
slos:
  - {name: availability, objective: 99.9, description: "100 {{ percent }}", alerting: {least_errors: 3},
     sli: {ratio: {errors: 'r_total{code=~"5.."}', total: 'r_total'}}}
  - {name: hits, objective: 80, window: 28d, sli: {ratio: {good: 'c_total{result="hit"}', total: 'c_total'}}}
  - {name: latency, objective: p95 < 500ms, window: 24h, sli: {latency: {histogram: 'd_seconds{job="shop"}'}}}
  - {name: probe, objective: 99.5, window: 7d, sli: {probe: {metric: up}}}
  - {name: throughput, objective: 99, window: month, sli: {threshold: {value: 'sum(rate(r_total[2m]))', at_least: 100}}}
  - {name: memory, objective: 99.5, window: 1h, sli: {threshold: {value: process_resident_memory_bytes, below: 1GiB}}}
  - {name: backup, objective: 99.9, window: quarter, sli: {freshness: {metric: backup_seconds, max_age: 1h}}}
  - {name: recovery, objective: 99.9, window: week, sli: {outage: {of: availability, longer_than: 15m}}}
  - {name: raw, objective: 95, sli: {raw: {errors: 'sum(increase(e[$window]))', total: 'sum(increase(t[$window]))'}}}
"""


def specs(text: str) -> Specs:
    problems: list[Any] = []
    services = loads(text, "shop.yaml", problems)
    assert [problem for problem in problems if problem.severity == "error"] == []
    return Specs(services)


def one(sli: str = "probe: {metric: up}", **keys: str) -> Specs:
    more = "".join(f"    {key}: {value}\n" for key, value in keys.items())
    return specs(
        f"service: shop\nslos:\n  - name: a\n    objective: 99.9\n{more}    sli: {{{sli}}}\n".replace(
            "objective: 99.9\n    objective", "objective"
        )
    )


def rule(defined: Specs, name: str) -> RecordingRule:
    groups, _ = compile_specs(defined)
    [match] = [r for group in groups for r in group.rules if isinstance(r, RecordingRule) and r.name == name]
    return match


@pytest.mark.server
@pytest.mark.parametrize("tool", ["promtool", "promtool2"])
def test_promtool_finds_nothing_to_say(tmp_path: Path, tool: str) -> None:
    for number, defined in enumerate((load(DEFINITIONS), specs(ALL_KINDS))):
        for names in ("slo", "sloth"):
            groups, _ = compile_specs(defined, SLOTH) if names == "sloth" else compile_specs(defined)
            file = tmp_path / f"{number}{names}.yml"
            file.write_text(to_yaml(groups, flat=names == "slo"))
            said = promtool("check", "rules", "--lint=all", "--lint-fatal", file, name=tool)
            assert said.returncode == 0, said.stdout + said.stderr
            assert "SUCCESS" in said.stdout + said.stderr


def test_the_same_definitions_give_the_same_bytes_in_any_order() -> None:
    loaded_specs = specs(ALL_KINDS)
    text = to_yaml(compile_specs(loaded_specs)[0], ["/home/a/b.yaml", "a.yaml"])
    shuffled = Specs(
        [type(s)(**{**{f: getattr(s, f) for f in s.__slots__}, "slos": s.slos[::-1]}) for s in loaded_specs.services]
    )
    assert to_yaml(compile_specs(shuffled)[0], ["a.yaml", "b.yaml"]) == text
    assert "/home" not in text
    assert text.startswith("# SLO rules. Made by `slo rules` from:\n#   a.yaml\n#   b.yaml\n")


def test_no_series_is_recorded_twice_and_every_expression_parses_back() -> None:
    groups, problems = compile_specs(specs(ALL_KINDS))
    assert [problem for problem in problems if "could never fire" not in problem.message] == []
    seen: set[tuple[Any, ...]] = set()
    for group in groups:
        for r in group.rules:
            assert parse(str(r.expr)) == r.expr
            if isinstance(r, RecordingRule):
                key = (r.name, tuple(sorted(r.labels.items())))
                assert key not in seen
                seen.add(key)
    assert len({group.name for group in groups}) == len(groups)


def test_recorded_series_carry_identifying_labels_only() -> None:
    for group in compile_specs(specs(ALL_KINDS))[0]:
        for r in group.rules:
            if isinstance(r, RecordingRule) and r.name != "slo_info":
                assert set(r.labels) == {"service", "slo"}


def test_what_reads_raw_series_reads_two_hours_at_most() -> None:
    """That is how long a pause may be until what it hid is unknown, whatever the window."""
    for group in compile_specs(load(DEFINITIONS))[0]:
        for r in group.rules:
            for selector, length in re.findall(r"([a-z_:0-9]+)(?:\{[^}]*\})?\[([0-9a-z]+)\]", str(r.expr)):
                assert selector.startswith("slo:") or parse_duration(length) <= 2 * HOUR


def test_no_expression_is_longer_than_victoria_metrics_takes() -> None:
    """16 KiB; an outage of a latency counts its histogram twice."""
    loaded_specs = specs(
        "service: shop\nslos:\n"
        '  - {name: lat, objective: 99, sli: {latency: {histogram: \'http_request_duration_seconds{job="checkout-service",namespace="production"}\', threshold: 300ms}}}\n'
        "  - {name: down, objective: 99.9, sli: {outage: {of: lat, longer_than: 10m}}}\n"
    )
    longest = max(len(str(r.expr)) for group in compile_specs(loaded_specs)[0] for r in group.rules)
    assert longest < 12_000


def test_an_slo_of_30_days_has_19_rules_in_two_groups() -> None:
    """As docs/rules.md says, missing data and the coverage of the window among them."""
    groups, _ = compile_specs(one("ratio: {errors: 'r_total{code=\"500\"}', total: r_total}"))
    assert [len(group.rules) for group in groups] == [10, 9]
    assert "two rule groups of 19 rules" in (DEFINITIONS.parent / "docs" / "rules.md").read_text()


def test_burn_windows_of_the_workbook() -> None:
    [spec] = one(window="30d").values()
    alerts = [r for g in compile_specs(one(window="30d"))[0] for r in g.rules if isinstance(r, AlertRule)]
    assert [(a.labels["severity"], a.labels.get("window")) for a in alerts] == [
        ("page", "1h, 6h"), ("ticket", None), ("ticket", "1d, 3d"),
    ]  # fmt: skip
    assert [re.findall(r"> ([0-9.]+)", str(a.expr)) for a in alerts if a.burns] == [
        ["0.0144"] * 2 + ["0.006"] * 2,
        ["0.003"] * 2 + ["0.001"] * 2,
    ]
    assert [float(b.factor) for b in alert_windows(spec)] == [14.4, 6, 3, 1]


def test_latency_bounds_are_matched_in_both_spellings() -> None:
    text = str(rule(one("latency: {histogram: d_seconds, threshold: 1s}"), "slo:events:increase1m").expr)
    assert 'le=~"1([.]0*)?|1([.]0*)?[eE][+]?0*"' in text
    text = str(rule(one("latency: {histogram: d_seconds, threshold: 500ms}"), "slo:events:increase1m").expr)
    assert 'le=~"0?[.]50*|5([.]0*)?[eE]-0*1"' in text


def test_an_alert_that_is_off_is_not_written() -> None:
    groups, _ = compile_specs(one(alerting="{page: off, absent: off}"))
    assert [r.name for g in groups for r in g.rules if isinstance(r, AlertRule)] == ["ErrorBudgetBurn"]
    groups, _ = compile_specs(one(alerting="{page: off}"))
    assert {r.labels["severity"] for g in groups for r in g.rules if isinstance(r, AlertRule)} == {"ticket"}


def test_a_window_that_cannot_fire_is_an_error() -> None:
    text = one(objective="90", alerting="{windows: [{severity: page, long: 6h, factor: 6}]}")
    [spec] = text.values()
    assert compile_specs(text)[0]
    from dataclasses import replace

    burn = replace(alert_windows(spec)[0], factor=alert_windows(spec)[0].factor * 2)
    dead = replace(spec, alerting=replace(spec.alerting, windows=(burn,)))
    service = replace(text.services[0], slos=(dead,))
    with pytest.raises(DefinitionError, match="can never fire"):
        compile_specs(Specs([service]))


HOSTILE = [
    "a\"b'c",
    "x\ny",
    "</script>",
    "{{ $labels }}",
    "no",
    "0x1f",
    "-",
    "# x",
    "a: b",
    "é\U0001f600",
    "\x85\u2028\ufeff\x00\x7f",
    "z" * 10_000,
    "",
    " ",
    "\\",
]


def test_hostile_texts_arrive_as_they_are(tmp_path: Path) -> None:
    for text in HOSTILE:
        assert yaml.safe_load(scalar(text)) == text
    loaded_specs = specs(ALL_KINDS)
    service = loaded_specs.services[0]
    from dataclasses import replace

    for text in HOSTILE:
        hostile = Specs(
            [
                replace(
                    service,
                    slos=tuple(replace(s, labels={"x": text}, description=text, owner=text) for s in service.slos),
                )
            ]
        )
        written = to_yaml(compile_specs(hostile)[0], [text])
        data = read_yaml(written)
        alerts = [r for g in data["groups"] for r in g["rules"] if "alert" in r and "x" in r["labels"]]
        assert {a["labels"]["x"].replace('{{ "{{" }}', "{{") for a in alerts} == {text}
    file = tmp_path / "r.yml"
    file.write_text(written)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_a_yaml_scalar(text: str) -> None:
    assert yaml.safe_load(f"k: {scalar(text)}\n") == {"k": text}


@pytest.mark.server
def test_plain_text_of_a_definition_is_not_a_template(tmp_path: Path) -> None:
    groups, _ = compile_specs(specs(ALL_KINDS.replace('tier: "1"', 'tier: "{{ boom }}"')))
    (tmp_path / "r.yml").write_text(to_yaml(groups))
    said = promtool("check", "rules", tmp_path / "r.yml")
    assert said.returncode == 0, said.stdout + said.stderr


def test_annotations_of_a_definition_are_templates() -> None:
    groups, _ = compile_specs(one(annotations="{note: 'at {{ $value }}'}"))
    assert {r.annotations["note"] for g in groups for r in g.rules if isinstance(r, AlertRule)} == {"at {{ $value }}"}


def test_sloths_names_and_labels() -> None:
    groups, _ = compile_specs(one(), SLOTH)
    recorded = {r.name: r for g in groups for r in g.rules if isinstance(r, RecordingRule)}
    for name in (
        "slo:sli_error:ratio_rate5m", "slo:sli_error:ratio_rate30d", "slo:objective:ratio", "slo:error_budget:ratio",
        "slo:time_period:days", "slo:current_burn_rate:ratio", "slo:period_burn_rate:ratio",
        "slo:period_error_budget_remaining:ratio", "sloth_slo_info",
    ):  # fmt: skip
        assert {"sloth_id": "shop-a", "sloth_service": "shop", "sloth_slo": "a"}.items() <= recorded[
            name
        ].labels.items()
    assert recorded["slo:sli_error:ratio_rate3d"].labels["sloth_window"] == "3d"
    alerts = [r for g in groups for r in g.rules if isinstance(r, AlertRule)]
    assert {a.labels["sloth_severity"] for a in alerts} == {"page", "ticket"}


def test_the_operators_resource_holds_the_same_groups() -> None:
    groups, _ = compile_specs(specs(ALL_KINDS))
    resource = read_yaml(to_prometheus_rule(groups, "shop", "monitoring", {"role": "alert-rules"}))
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["metadata"] == {"name": "shop", "namespace": "monitoring", "labels": {"role": "alert-rules"}}
    assert resource["spec"] == read_yaml(to_yaml(groups))


TARGETS = ("99", "99.5", "99.9", "99.99", "95", "90")
WINDOWS = ("1h", "24h", "7d", "28d", "30d", "90d", "month", "year")


@pytest.mark.parametrize(
    ("objective", "window", "scrape"), [*itertools.product(TARGETS, WINDOWS, ("1s", "15s", "30s", "1m", "5m"))]
)
def test_every_objective_and_window_gets_alerts_that_can_fire(objective: str, window: str, scrape: str) -> None:
    text = (
        f"service: s\ndefaults: {{scrape_interval: {scrape}}}\nslos:\n"
        f"  - {{name: a, objective: {objective}, window: {window}, sli: {{probe: {{metric: up}}}}}}\n"
    )
    loaded_specs = specs(text)
    [slo] = loaded_specs.values()
    groups, reported = compile_specs(loaded_specs)
    budget = slo.objective.error_budget
    # What the catalogue has and this objective cannot reach is named; it was widened.
    problems = [problem for problem in reported if "could never fire" not in problem.message]
    assert all(objective in ("90", "95") or window == "year" for _ in reported if not problems)
    alerts = [(g.interval_ms, r) for g in groups for r in g.rules if isinstance(r, AlertRule)]
    recorded = {(r.name, g.interval_ms) for g in groups for r in g.rules if isinstance(r, RecordingRule)}
    # Scrapes of 5 m cannot resolve two windows within an hour: that is said.
    coarse = (window, scrape) == ("1h", "5m")
    assert {a.labels["severity"] for _, a in alerts if a.burns} == ({"page"} if problems else {"page", "ticket"})
    assert [p.message for p in problems] == (["has no ticket alert: no burn-rate window fits 1h"] if problems else [])
    assert coarse or not problems
    for interval, alert in alerts:
        for burn in alert.burns:
            # All failing exceeds it, and so does less: it can fire; and not by a budget that lasts.
            assert burn.threshold(budget) <= Decimal("0.8")
            assert burn.factor >= Decimal("0.9")
            assert burn.short_ms < burn.long_ms <= slo.window.nominal_ms
            assert burn.long_ms % interval == burn.short_ms % interval == 0
            # It is reported within its short window, and the series that it reads are there.
            assert interval <= burn.short_ms
        for name in re.findall(r"slo:sli_error:ratio_rate[0-9a-z]+", str(alert.expr)):
            assert any(name == found_name for found_name, _ in recorded)


def test_an_alert_that_could_never_fire_is_named_with_what_it_became() -> None:
    text = "service: s\nslos:\n  - {name: a, objective: 90, sli: {probe: {metric: up}}}\n"
    _, problems = compile_specs(Specs(loads(text, "x.yaml", [])))
    assert [str(problem) for problem in problems] == [
        "x.yaml:3:1: warning: slos.a: the page over 1h could never fire at 90%: a burn rate of 14.4 is an error ratio of "
        "144%; it watches 1h48m instead"
    ]
    for objective in ("95", "99.9"):
        assert compile_specs(Specs(loads(text.replace("90", objective), "x.yaml", [])))[1] == []
    quiet = text.replace("{name", "{alerting: {page: off}, name")
    assert compile_specs(Specs(loads(quiet, "x.yaml", [])))[1] == []
