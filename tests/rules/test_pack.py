"""Groups within a ruler's limits: never more than 20 rules, and several SLOs in one where there would be too many groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from slo.errors import ConfigError
from slo.rules import NAMES, RuleGroup, compile_specs, rule_texts, to_yaml
from slo.rules.pack import MIMIR_GROUPS, MOST_RULES, packed
from slo.spec.load import load
from tests.cli.test_cli import ROOT
from tests.quick_yaml import read_yaml
from tests.rules.test_compile import ALL_KINDS, specs
from tests.servers import promtool
from tests.shell import run as slo

PROBE = "  - {{name: up{0}, objective: 99.9, sli: {{probe: {{metric: 'up{{job=\"{0}\"}}'}}}}}}\n"
ALL_SETTINGS = """\
service: shop
slos:
  - {name: marks, objective: 99.9, alerting: {budget: [10%, 20%, 30%, 40%, 50%, 60%, 70%, 80%, 90%, 100%]}, sli: {probe: {metric: up}}}
  - name: windows
    objective: 99.9
    alerting:
      windows:
WINDOWSEND
    sli: {probe: {metric: up}}
alerts:
ALERTSEND
""".replace("WINDOWSEND", "\n".join(
    f"        - {{severity: page, long: {minutes}m, short: {minutes // 5}m, factor: {20 - minutes / 20:g}}}" for minutes in range(60, 360, 20)
)).replace("ALERTSEND", "\n".join(f"  - {{name: A{number:02}, expr: up == {number}}}" for number in range(45)))  # fmt: skip


def probes(count: int) -> str:
    return "service: shop\nslos:\n" + "".join(map(PROBE.format, range(count)))


@pytest.mark.parametrize("names", list(NAMES))
@pytest.mark.parametrize("text", [ALL_KINDS, ALL_SETTINGS], ids=["kinds", "settings"])
def test_no_group_has_more_rules_than_rulers_take(text: str, names: str) -> None:
    loaded_specs = specs(text)
    groups, _ = compile_specs(loaded_specs, NAMES[names])
    assert all(0 < len(group.rules) <= MOST_RULES for group in groups)
    assert len({group.name for group in groups}) == len(groups)
    if text is ALL_SETTINGS:
        assert [len(group.rules) for group in groups if not group.slo] == [20, 20, 5]
        assert max(len([1 for group in groups if group.slo == slo]) for slo in ("marks", "windows")) > 2
    assert "".join(rule_text.text for rule_text in rule_texts(loaded_specs, NAMES[names])[0]) in to_yaml(groups)


def rules_by_slo(groups: Sequence[RuleGroup]) -> dict[str, list[str]]:
    """The rules of each SLO in their order, by interval; `by` has no rule without them."""
    texts: dict[str, list[str]] = {}
    for group in groups:
        for rule in group.rules:
            key = f"{group.interval_ms} {rule.labels.get('service')} {rule.labels.get('slo')}"
            texts.setdefault(key, []).append(f"{rule.name} {rule.labels} {rule.expr}")
    return texts


def test_packed_groups_have_the_same_rules_in_the_same_order() -> None:
    groups, _ = compile_specs(load(ROOT / "definitions"))
    [document] = packed([groups], 60)
    assert len(document) <= 60 < len(groups)
    assert all(len(group.rules) <= MOST_RULES for group in document)
    assert len({group.name for group in document}) == len(document)
    assert rules_by_slo(document) == rules_by_slo(groups)
    lines = [line for group in groups for line in group.comment]
    assert sorted(line for group in document for line in group.comment) == sorted(lines)


def test_groups_within_the_limit_stay_as_they_are() -> None:
    groups, _ = compile_specs(specs(probes(3)))
    assert packed([groups], 6) == [list(groups)]
    assert len(packed([groups], 5)[0]) < 6


def test_as_many_slos_fit_in_mimirs_defaults_as_the_docs_say() -> None:
    reported = re.search(
        r"(\d+) SLOs fit in Mimir's defaults, with `--max-groups 70` (\d+)",
        " ".join((ROOT / "docs/rules.md").read_text().split()),
    )
    assert reported is not None and MIMIR_GROUPS == 70
    apart, together = map(int, reported.groups())
    assert len(compile_specs(specs(probes(apart)))[0]) <= 70 < len(compile_specs(specs(probes(apart + 1)))[0])
    packed([compile_specs(specs(probes(together)))[0]], 70)
    with pytest.raises(ConfigError, match=r"the rules need \d+ groups of at most 20 rules, and --max-groups is 70"):
        packed([compile_specs(specs(probes(together + 1)))[0]], 70)


@pytest.mark.server
def test_packed_rules_prove_themselves(tmp_path: Path) -> None:
    # Windows of an hour have short tests.
    (tmp_path / "shop.yaml").write_text(probes(2).replace("objective: 99.9", "objective: 99.9, window: 1h"))
    done = slo("rules", "shop.yaml", "-o", "rules.yml", "--tests", "t.yml", "--max-groups", "3", cwd=tmp_path)
    assert done.returncode == 0 and "in 3 groups for 2 SLOs" in done.stderr, done.stderr
    assert "packed/5m/1" in (tmp_path / "t.yml").read_text()
    said = promtool("test", "rules", tmp_path / "t.yml")
    assert said.returncode == 0, said.stdout + said.stderr


def test_files_of_services_are_packed_together(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(probes(2))
    (tmp_path / "b.yaml").write_text(probes(2).replace("shop", "till"))
    done = slo("rules", ".", "-o", "out", "--split", "--max-groups", "4", cwd=tmp_path)
    assert done.returncode == 0 and "in 4 groups for 4 SLOs" in done.stderr, done.stderr
    for service in ("shop", "till"):
        groups = read_yaml((tmp_path / "out" / f"{service}.yml").read_text())["groups"]
        assert [group["name"] for group in groups] == [f"slo/{service}/packed/{every}/1" for every in ("1m", "5m")]
    done = slo("rules", ".", "-o", "out", "--split", "--max-groups", "3", cwd=tmp_path)
    assert done.returncode == 2 and "the rules need 4 groups" in done.stderr
