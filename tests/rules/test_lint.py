"""pint's comments in rules files: what its documentation says of our rules is switched off, with the reason, and nothing else."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Number, Subquery, VectorSelector, walk
from slo.promql.parse import parse
from slo.rules import SLOTH, compile_specs, to_prometheus_rule, to_yaml
from slo.rules.lint import FILE_CHECKS
from slo.rules.names import OWN, Names
from slo.window import DAY
from tests.quick_yaml import read_yaml
from tests.rules.test_compile import specs
from tests.servers import binary, promtool

ROOT = Path(__file__).parents[2]
DEFINITION = """\
service: shop
alerts: [{name: Many, expr: orders_total > 5}, {name: There, expr: up}]
slos:
  - {name: availability, objective: 99.9, by: [route], sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}}
  - {name: latency, objective: 99, window: month, sli: {latency: {histogram: d_seconds, threshold: 500ms}}}
  - {name: up, objective: 99, window: 7d, alerting: {budget: [50%]}, sli: {probe: {metric: probe_success}}}
  - {name: hour, objective: 90, window: 1h, sli: {ratio: {good: 'g_total{ok="1"}', total: g_total}}}
  - {name: raw, objective: 99, sli: {raw: {errors: 'sum(increase(e_total[$window]))', total: 'sum(increase(r_total[$window]))'}}}
  - {name: down, objective: 99, sli: {outage: {of: availability, longer_than: 15m}}}
  - {name: queue, objective: 99, sli: {threshold: {value: queue_length, below: 10}}}
"""
# Prometheus keeps this long unless configured otherwise.
RETENTION_MS = 15 * DAY
ALLOWED = {
    "rate", "irate", "increase", "resets", "changes", "timestamp", "absent", "absent_over_time", "present_over_time", "count_over_time"
}  # fmt: skip
COUNTER = re.compile(r"^(?!slo:).*_(total|bucket|count)$")


def complaints(rule: dict[str, Any], group: str, recorded: dict[str, set[str]]) -> Iterator[str]:
    """The checks of pint that a rule fails, as its documentation describes them, on a server with the defaults."""
    node = parse(rule["expr"])
    nodes = list(walk(node))
    names = {inner.name for inner in nodes if isinstance(inner, VectorSelector)}
    if "record" in rule and any(recorded.get(name or "", {group}) - {group} for name in names):
        yield "rule/dependency"
    if any(isinstance(inner, MatrixSelector | Subquery) and inner.range_ms > RETENTION_MS for inner in nodes):
        yield "promql/range_query"
    if names:
        yield "promql/series"  # nothing of them is there before the rules are loaded, or the first error happens
    inside = {
        id(below) for inner in nodes for below in walk(inner)
        if (isinstance(inner, Call) and inner.func in ALLOWED) or (isinstance(inner, Aggregate) and inner.op in ("count", "group"))
    }  # fmt: skip
    if any(
        isinstance(inner, VectorSelector) and COUNTER.match(inner.name or "") and id(inner) not in inside
        for inner in nodes
    ):
        yield "promql/counter"
    if any(
        isinstance(inner, VectorSelector) and any(m.label == "le" and "~" in m.op for m in inner.matchers)
        for inner in nodes
    ):
        yield "promql/regexp"
    if "alert" in rule and not any(
        isinstance(inner, Binary) and inner.op in ("<", "<=", ">", ">=", "==", "!=") for inner in nodes
    ):
        yield "alerts/comparison"
    for part in nodes:
        if isinstance(part, Aggregate) and part.op in ("sum", "avg", "stddev", "stdvar"):
            divided = [below for below in walk(part.expr) if isinstance(below, Binary) and below.op in ("/", "%")]
            if any(not _never_zero(below.right) for below in divided):
                yield "promql/nan"
    if "alert" in rule and any(
        isinstance(inner, Aggregate) and inner.op in ("topk", "bottomk", "limitk") for inner in nodes
    ):
        yield "promql/fragile"
    if "alert" in rule and "$value" in "".join(rule.get("labels", {}).values()):
        yield "alerts/template"


def _never_zero(node: object) -> bool:
    return isinstance(node, Number) or (isinstance(node, Binary) and node.op in (">", "+"))


def rules_of(text: str) -> Iterator[tuple[str, str, dict[str, Any], set[str]]]:
    """(group, its interval, rule, the checks that the lines right above it switch off) of a rules file."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r" +- (record|alert): ", line)]
    content = read_yaml(text)
    rules = [(group, rule) for group in content.get("spec", content)["groups"] for rule in group["rules"]]
    for number, (group, rule) in zip(starts, rules, strict=True):
        faults, above = set(), number - 1
        while match := re.fullmatch(r" +# pint disable (\S+)", lines[above]):
            faults.add(match[1])
            above -= 1
        yield group["name"], group["interval"], rule, faults


def in_file(text: str) -> set[str]:
    return set(re.findall(r"^# pint file/disable (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize("names", [OWN, SLOTH])
def test_what_pint_finds_in_our_rules_has_its_comment_and_nothing_else_is_switched_off(names: Names) -> None:
    groups, _ = compile_specs(specs(DEFINITION), names)
    text = to_yaml(groups, ["shop.yaml"])
    recorded: dict[str, set[str]] = {}
    for group, _, rule, _ in rules_of(text):
        recorded.setdefault(rule.get("record", ""), set()).add(group)
    del recorded[""]
    of_file, needed = in_file(text), set()
    assert of_file == set(FILE_CHECKS)
    for group, interval, rule, disabled in rules_of(text):
        assert interval in ("1m", "5m")  # group/interval: a longer one leaves gaps
        said = set(complaints(rule, group, recorded))
        needed |= said & of_file
        if group.endswith("/alerts"):
            # A team's own alerts are checked as usual.
            assert not disabled
            assert said == {"promql/series"} | (
                {"promql/counter"} if rule["alert"] == "Many" else {"alerts/comparison"}
            )
            continue
        assert said - of_file == disabled, (group, rule)
    assert needed == of_file
    assert "# pint file/disable" in to_prometheus_rule(groups, "shop")


def test_every_check_that_is_switched_off_is_on_the_page() -> None:
    page = (ROOT / "docs/linting.md").read_text()
    text = to_yaml(compile_specs(specs(DEFINITION))[0])
    off = in_file(text) | {check for *_, disabled in rules_of(text) for check in disabled}
    reported = set(re.findall(r"^\| `([a-z]+/[a-z_]+)`", page, re.MULTILINE))
    assert reported == off
    for reason in FILE_CHECKS.values():
        assert f"# {reason}\n# pint file/disable" in text


@pytest.mark.server
def test_servers_load_files_with_the_comments(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(specs(DEFINITION))[0], ["shop.yaml"]))
    for name in ("promtool", "promtool2"):
        said = promtool("check", "rules", tmp_path / "rules.yml", name=name)
        assert said.returncode == 0, said.stdout + said.stderr
    command = [str(binary("vmalert")), "-dryRun", f"-rule={tmp_path / 'rules.yml'}"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
