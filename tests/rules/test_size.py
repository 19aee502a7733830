"""How long a rules file is, and that its two forms say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest
import yaml

from slo.promql.parse import parse
from slo.rules import compile_specs, to_yaml
from slo.rules.compile import compile_slo
from slo.rules.names import OWN, SLOTH, Names
from slo.spec.load import load
from tests.bench.versus import definitions
from tests.quick_yaml import read_yaml
from tests.rules.test_compile import ALL_KINDS, specs
from tests.servers import binary
from tests.shell import run as slo

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")


def expressions(text: str) -> Iterator[str]:
    for group in read_yaml(text)["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_on_one_line_or_broken_over_several_an_expression_is_the_same() -> None:
    groups, _ = compile_specs(specs(ALL_KINDS))
    flat, broken = to_yaml(groups, flat=True), to_yaml(groups)
    assert [parse(text) for text in expressions(flat)] == [parse(text) for text in expressions(broken)]
    assert not any("\n" in text for text in expressions(flat))


def annotated(text: str) -> list[object]:
    return [rule.get("annotations") for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("names", [OWN, SLOTH])
def test_a_text_that_many_alerts_have_stands_once_in_a_file_for_servers(names: Names) -> None:
    """With an anchor, which all that read YAML put in where the file names it; in annotations Prometheus 2 does too."""
    found = specs(ALL_KINDS)
    groups, _ = compile_specs(found, names)
    flat, broken = to_yaml(groups, flat=True), to_yaml(groups)
    assert annotated(flat) == annotated(broken)
    shown = [rule for rule in annotated(broken) if isinstance(rule, dict)]
    texts = [
        text for rule in shown for key, text in rule.items() if key in ("summary", "description") and len(text) > 80
    ]
    assert len(set(texts)) < len(texts)
    assert all(flat.count(f"'{text}'") == 1 for text in set(texts) if "'" not in text)
    assert flat.count("&t") == len(set(re.findall(r"&(t\d+) ", flat)))
    assert " &t" not in broken
    # Each file of several has its own.
    for one in found.values():
        yaml.safe_load(to_yaml(compile_slo(one, names), flat=True))


@pytest.mark.parametrize("tool", ["promtool", "promtool2", "vmalert"])
def test_servers_take_texts_that_stand_once(tmp_path: Path, tool: str) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(to_yaml(compile_specs(specs(ALL_KINDS))[0], flat=True), encoding="utf-8")
    assert " *t1\n" in file.read_text(encoding="utf-8")
    command = ["-dryRun", f"-rule={file}"] if tool == "vmalert" else ["check", "rules", str(file)]
    run([binary(tool), *command], check=True, capture_output=True)


def test_a_file_is_as_long_as_the_page_says(tmp_path: Path) -> None:
    """Two of three SLOs on counters, one on a histogram; without the head of the file."""
    definitions(tmp_path / "few", 1, 6)
    found = load(tmp_path / "few")
    head = len(to_yaml([]))
    [said] = re.findall(r"the file has (\d+) KB for each,\s+(\d+) KB with `--pretty`", PAGE)
    for flat, reported in zip((True, False), said, strict=True):
        text = to_yaml(compile_specs(found)[0], flat=flat)
        assert (len(text) - head) / len(found) / 1000 <= int(reported) + 0.5


def test_few_slos_are_broken_over_lines_and_either_form_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "service: shop\nslos: [{name: a, objective: 99, sli: {ratio: {errors: 'a_total{c=\"5\"}', total: a_total}}}]\n"
    )
    made = {flag: slo("rules", "shop.yaml", *flag.split(), cwd=tmp_path).stdout for flag in ("", "--pretty", "--flat")}
    assert made[""] == made["--pretty"]
    assert "expr: |-\n" in made[""] and "expr: |-\n" not in made["--flat"]
    assert len(made["--flat"]) < 0.9 * len(made["--pretty"])
