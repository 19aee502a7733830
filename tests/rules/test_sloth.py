"""The guide on running alongside Sloth says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from slo.promql.ast import Node, VectorSelector, walk
from slo.promql.engine import Engine
from slo.promql.samples import Samples
from slo.rules import OWN, SLOTH, AlertRule, compile_specs, to_yaml
from slo.rules.names import Names
from tests.rules.test_compile import ALL_KINDS, specs
from tests.servers import binary, promtool

GUIDE = (Path(__file__).parents[2] / "docs" / "sloth.md").read_text()
YAML_BLOCKS = re.findall(r"```yaml\n(.+?)```", GUIDE, re.DOTALL)
ALERTING = YAML_BLOCKS[1]
TEST = """\
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 30s
    input_series:
      - {series: 'requests_total{job="shop",instance="a",code="200"}', values: '0+30x240'}
      - {series: 'requests_total{job="shop",instance="a",code="500"}', values: '0+10x240'}
    alert_rule_test:
      - {alertname: ErrorBudgetBurn, eval_time: 90m, exp_alerts: []}
"""


def selectors(names: Names) -> list[VectorSelector]:
    """What the rules read of recorded series."""
    nodes: list[Node] = [
        node for group in compile_specs(specs(ALL_KINDS), names)[0] for rule in group.rules for node in walk(rule.expr)
    ]
    return [node for node in nodes if isinstance(node, VectorSelector) and (node.name or "").startswith("slo:")]


@pytest.mark.parametrize(
    ("names", "labels"), [(OWN, {"service", "slo"}), (SLOTH, {"sloth_id", "sloth_service", "sloth_slo"})]
)
def test_neither_reads_what_the_other_records(names: Names, labels: set[str]) -> None:
    picked = selectors(names)
    assert len(picked) > 50
    assert all(labels <= {matcher.label for matcher in selector.matchers if matcher.op == "="} for selector in picked)
    row = next(line for line in GUIDE.splitlines() if line.startswith("| an SLO is identified by"))
    reported = {frozenset(re.findall("`([a-z_]+)`", cell)) for cell in row.split("|")[2:-1]}
    assert frozenset(labels) in reported


def test_error_ratios_of_both_have_one_name_and_each_its_labels() -> None:
    ours, theirs = (
        {rule.name: rule.labels for group in compile_specs(specs(TEXT), names)[0] for rule in group.rules}
        for names in (OWN, SLOTH)
    )
    assert ours["slo:sli_error:ratio_rate1h"] == {"service": "shop", "slo": "a"}
    assert theirs["slo:sli_error:ratio_rate1h"] == {
        "sloth_id": "shop-a", "sloth_service": "shop", "sloth_slo": "a", "sloth_window": "1h",
    }  # fmt: skip
    assert theirs["sloth_slo_info"]["window"] == "30d"


TEXT = """\
service: shop
slos: [{name: a, objective: 99, sli: {ratio: {errors: 'requests_total{code="500"}', total: requests_total}}}]
"""


@pytest.mark.server
def test_window_and_value_mean_what_the_guide_says(tmp_path: Path) -> None:
    loaded_specs = specs(
        TEXT.replace("slos:", f"defaults:\n{re.sub('^', '  ', ALERTING, flags=re.MULTILINE).rstrip()}\nslos:")
    )
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(loaded_specs, SLOTH)[0]))
    (tmp_path / "test.yml").write_text(TEST)
    said = promtool("test", "rules", tmp_path / "test.yml")
    text = said.stdout + said.stderr
    # A quarter fails: 25 times what an objective of 99 % allows.
    assert 'title="[page] shop/a: 25.0% of requests bad over 1h (burn rate 25.0x, threshold 14.4x)"' in text
    assert text.count('ratio="25%"') == 1
    labels = [matchers for matchers in re.findall(r"alertname=[^}]+", text) if 'severity="page"' in matchers]
    assert labels and all(' window="1h, 6h"' in line and ' sloth_window="1h, 6h"' in line for line in labels)
    assert all('sloth_severity="page"' in line for line in labels)


def test_the_two_ratios_compare() -> None:
    [query] = re.findall(r"```promql\n(.+)\n```", GUIDE)
    labels = {"__name__": "slo:sli_error:ratio_rate1h"}
    rows = [
        ({**labels, "service": "shop", "slo": "a"}, [0], [0.02]),
        (
            {**labels, "sloth_id": "shop-a", "sloth_service": "shop", "sloth_slo": "a", "sloth_window": "1h"},
            [0],
            [0.01],
        ),
    ]
    [series] = Engine(Samples.from_series(rows)).query(query, 60).series
    assert series.values.tolist() == [2.0] and dict(series.labels) == {"sloth_id": "shop-a"}


@pytest.mark.server
def test_alertmanager_routes_our_alerts_to_nobody(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "a.yml").write_text(YAML_BLOCKS[0])
    names = {
        rule.name for group in compile_specs(specs(TEXT))[0] for rule in group.rules if isinstance(rule, AlertRule)
    }
    for labels, receiver in (
        *((["severity=page", f"alertname={name}"], "nobody") for name in names),
        (["sloth_severity=page", "alertname=ErrorBudgetBurn"], "pager"),
    ):
        command = [str(binary("amtool")), "config", "routes", "test", f"--config.file={tmp_path / 'a.yml'}", *labels]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert said.stdout.strip() == receiver, said.stdout + said.stderr
    assert yaml.safe_load(YAML_BLOCKS[0])["route"]["receiver"] == "pager"
