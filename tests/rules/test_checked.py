"""What `slo check` passes, Prometheus loads: random definitions, compiled, before the real promtool.

`SLO_CHECKED=100000` runs that many; `SLO_SEED` sets the seed, which a failure prints.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from slo.errors import Problem
from slo.promql.ast import Aggregate, VectorSelector, is_plain_label, walk
from slo.rules import NAMES, RuleGroup, compile_specs, rule_tests, to_yaml
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.rules.definitions import Draw
from tests.servers import promtool

CASES = int(os.environ.get("SLO_CHECKED", "200"))
SEED = int(os.environ.get("SLO_SEED", "1"))
PER_FILE = 250
# Names in quotes, as tests/rules/definitions.py has them, are not known to Prometheus 2.
NEW = ('"a.b', "größe_total", "http.server")

Compiled = list[tuple[str, list[RuleGroup]]]


def checked(text: str) -> tuple[Specs, list[Problem]]:
    problems: list[Problem] = []
    services = loads(text, "x.yaml", problems)
    return Specs(services, problems), [problem for problem in problems if problem.severity == "error"]


def refused(groups: list[RuleGroup], tool: str, file: Path) -> str:
    """What promtool says against them; empty if nothing."""
    file.write_text(to_yaml(groups), encoding="utf-8")
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", file, name=tool)
    return "" if said.returncode == 0 else said.stdout + said.stderr


def culprit(batch: Compiled, tool: str, file: Path) -> str:
    """The first definition of a batch that is refused, by halves."""
    while len(batch) > 1:
        half = batch[: len(batch) // 2]
        batch = half if refused([g for _, groups in half for g in groups], tool, file) else batch[len(batch) // 2 :]
    [(text, groups)] = batch
    return f"{tool}, SLO_SEED={SEED}:\n{text}\n{refused(groups, tool, file)}"


@pytest.fixture(scope="module")
def compiled() -> tuple[Compiled, int, int]:
    """The definitions that pass with their rules, and how many were refused; each refusal has a place."""
    draw = Draw(SEED)
    passed: Compiled = []
    accepted = rejected = 0
    for number in range(CASES):
        text = yaml.dump(draw.document(number), Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
        specs, errors = checked(text)
        if errors:
            rejected += 1
            for problem in errors:
                assert problem.line > 0, f"{problem}\n{text}"
                assert problem.path, f"{problem}\n{text}"
                assert problem.message, f"{problem}\n{text}"
            continue
        accepted += 1
        names = NAMES["sloth" if number % 4 == 0 else "slo"]
        groups, _ = compile_specs(specs, names)  # raises nothing: what passes, compiles
        rule_tests(specs, ["x.yml"], names)
        passed.append((text, list(groups)))
    return passed, accepted, rejected


def test_most_definitions_pass_and_many_are_refused(compiled: tuple[Compiled, int, int]) -> None:
    _, accepted, rejected = compiled
    assert accepted >= CASES * 0.53  # of 3,800 more than 2,000
    assert rejected >= CASES // 10


def is_new(text: str, groups: list[RuleGroup]) -> bool:
    """Whether a definition has such names, of labels under `by` too."""
    return any(name in text for name in NEW) or any(
        not is_plain_label(label)
        for group in groups
        for rule in group.rules
        for node in walk(rule.expr)
        for label in (
            *(node.grouping if isinstance(node, Aggregate) else ()),
            *((matcher.label for matcher in node.matchers) if isinstance(node, VectorSelector) else ()),
        )
    )


@pytest.mark.server
@pytest.mark.parametrize("tool", ["promtool", "promtool2"])
def test_what_check_passes_promtool_passes(compiled: tuple[Compiled, int, int], tool: str, tmp_path: Path) -> None:
    passed = [(text, groups) for text, groups in compiled[0] if tool == "promtool" or not is_new(text, groups)]
    assert len(passed) >= CASES * 0.5
    for start in range(0, len(passed), PER_FILE):
        batch = passed[start : start + PER_FILE]
        if refused([group for _, groups in batch for group in groups], tool, tmp_path / "rules.yml"):
            pytest.fail(culprit(batch, tool, tmp_path / "rules.yml"))
