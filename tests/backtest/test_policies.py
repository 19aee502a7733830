"""Policies from files: what they change, what is wrong with them, and which of them is better."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.backtest import of_file, of_rules, run
from slo.backtest.export import as_data, verdict
from slo.errors import ConfigError, DefinitionError
from slo.spec.model import Specs
from tests.backtest.history import HOUR, START, definition, record

OUTAGES = [(30.0, 30.0, 0.15), (60.0, 3.0, 0.3), (80.0, 20.0, 1.0)]
NOISY = """\
groups:
  - name: noisy
    rules:
      - {record: job:errors:ratio5m, expr: 'sum(rate(requests_total{code="500"}[5m])) / sum(rate(requests_total[5m]))'}
      - {alert: AnyError, expr: job:errors:ratio5m > 0.0001, labels: {severity: critical}}
      - {alert: Elsewhere, expr: up == 0, labels: {severity: critical}}
"""
CALM = """\
policy: calm
alerting:
  page: {for: 10m}
  windows:
    - {severity: page, long: 2h, short: 10m, budget: 4%}
"""


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    return definition(tmp_path)


def test_policies_stand_side_by_side_and_the_quieter_of_equals_is_named(tmp_path: Path, specs: Specs) -> None:
    (tmp_path / "noisy.yml").write_text(NOISY)
    (tmp_path / "calm.yaml").write_text(CALM)
    reported = tmp_path / "incidents.yaml"
    rows = [f"- {{start: {START / 1000 + b * 3600}, end: {START / 1000 + b * 3600 + m * 60}}}" for b, m, _ in OUTAGES]
    reported.write_text("incidents:\n" + "\n".join(rows[::2]))  # the three minutes were nobody's incident
    result = run(
        specs,
        record(tmp_path, 100, OUTAGES),
        policies=[tmp_path / "calm.yaml"],
        rules=[tmp_path / "noisy.yml"],
        incidents=reported,
    )
    scores = {played.name: played.score for played in result.policies}
    assert {name: score.caught for name, score in scores.items()} == {"definitions": 2, "calm": 2, "noisy": 2}
    # Three minutes of 30 % are 0.9 min of the hour's 0.864: the definitions page for them, and so does any error.
    assert scores["noisy"].pages == 3 and scores["noisy"].precision == pytest.approx(2 / 3)
    assert scores["calm"].pages == 2 and scores["calm"].precision == 1
    assert result.best is not None and result.best.name == "calm"
    assert verdict(result).startswith("calm catches 2 of 2 incidents with 3.4 pages a week")
    delays = {p.name: [c.delay_seconds for c in p.outcomes["shop/availability"].caught] for p in result.policies}
    for quick, slow in zip(delays["definitions"], delays["calm"], strict=True):
        assert quick is not None and slow is not None and quick + 540 <= slow
    data = as_data(result)
    assert data["best"] == "calm" and [
        sum(f["page"] for f in policy["slos"][0]["firings"]) for policy in data["policies"]
    ] == [3, 2, 3]


def test_an_alert_without_labels_is_about_the_slo_whose_metric_it_reads(tmp_path: Path, specs: Specs) -> None:
    (tmp_path / "noisy.yml").write_text(NOISY)
    result = run(specs, record(tmp_path, 100, OUTAGES), rules=[tmp_path / "noisy.yml"])
    noisy = result.policies[1]
    assert {interval.name for interval in noisy.outcomes["shop/availability"].intervals} == {"AnyError"}
    assert noisy.others == ()  # there is no `up` in this history


def test_that_data_was_missing_is_neither_right_nor_wrong(tmp_path: Path, specs: Specs) -> None:
    """No incident is answered by it; when it fired is reported separately."""
    whole, holed = (run(specs, record(tmp_path, 100, OUTAGES, hole=hole)).policies[0] for hole in (None, (50.0, 50.5)))
    assert [interval.name for interval in whole.others] == []
    firing = [interval for interval in holed.others if interval.state == "firing"]
    assert [interval.name for interval in firing] == ["SLODataMissing"]
    assert 50.0 < (firing[0].start_ms - START) / HOUR < 50.2 and 50.4 < (firing[0].end_ms - START) / HOUR < 50.7
    assert holed.score.firings == whole.score.firings and holed.score.precision == whole.score.precision


def test_rules_alone_need_no_definitions(tmp_path: Path) -> None:
    (tmp_path / "noisy.yml").write_text(NOISY)
    history = record(tmp_path, 100, OUTAGES, {"incidents": [{"slo": "x/y", "kind": "outage", "start_ms": START + 80 * HOUR, "end_ms": START + 81 * HOUR}]})  # fmt: skip
    result = run(Specs([]), history, rules=[tmp_path / "noisy.yml"])
    score = result.policies[0].score
    assert (score.incidents, score.caught, score.pages, score.right) == (1, 1, 3, 1)
    with pytest.raises(ConfigError, match="nothing to backtest"):
        run(Specs([]), history)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("polcy: x\n", r"unknown key `polcy`; did you mean `policy`\?"),
        ("policy: x\nslos: [shop/avail]\n", r"2:\d+: error: slos\[0\]: 'shop/avail' is the id of no SLO"),
        ("policy: x\nobjective: 100\n", r"2:1: error: objective: objective 100 leaves no error budget"),
        ("policy: x\nalerting: {windows: [{severity: page, long: 1h, factor: 2000}]}\n", "for shop/availability can never fire"),
        ("policy: x\nalerting: {page: {four: 5m}}\n", r"unknown key `four`; did you mean `for`\?"),
        ("- policy: x\n", "a policy is one mapping"),
        ("policy: [\n", "not valid YAML"),
    ],
)  # fmt: skip
def test_faults_of_a_policy_say_where_and_what(tmp_path: Path, specs: Specs, text: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(DefinitionError, match=message):
        of_file(tmp_path / "p.yaml", specs)


def test_faults_of_a_rules_file_too(tmp_path: Path) -> None:
    for text, message in (
        ("groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]", "rule 'A'"),
        ("groups: []", "holds no alert"),
        ("- 1", "a group is a mapping"),
        ("groups: [{name: g, rules: [{expr: up}]}]", "either record or alert"),
        ("{", "cannot be read"),
        ("groups: 5", "`groups` must be a list"),
        ("groups: [{name: g, rules: [7]}]", "a rule is a mapping"),
        ("groups: [{name: g, interval: soon, rules: [{alert: A, expr: up}]}]", "soon"),
    ):
        (tmp_path / "r.yml").write_text(text)
        with pytest.raises(DefinitionError, match=message):
            of_rules(tmp_path / "r.yml")
    with pytest.raises(DefinitionError, match="cannot be read"):
        of_rules(tmp_path / "missing.yml")
