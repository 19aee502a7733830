"""Rules over history by promtool, which does not let a rule see what another one of the same run would have recorded:
it evaluates what reads raw series, then what reads that, until nothing is left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from slo.promql.ast import VectorSelector, walk
from slo.rules import RecordingRule, RuleGroup, to_yaml
from slo.rules.groups import Rule
from tests.servers import Prometheus, promtool

RULES = "rules.yml"


def backfill(place: Path, data: Path, groups: Sequence[RuleGroup], start: int, end: int, most: int = 9) -> None:
    """Fills `data` with the recorded series of (start, end], seconds; `most` passes at most.

    A group's moments hang on its name and that of its file: it has one of both in all passes, wherever `place` is.
    """
    for number, level in enumerate(passes(groups)[:most]):
        folder = place / f"pass{number}"
        folder.mkdir(exist_ok=True)
        (folder / RULES).write_text(to_yaml(level))
        out = folder / "blocks"
        with Prometheus(place, data=data) as server:
            done = promtool(
                "tsdb", "create-blocks-from", "rules", f"--url={server.url}", f"--start={start}", f"--end={end}",
                f"--output-dir={out}", RULES, timeout=3600, cwd=folder,
            )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        for block in out.iterdir():
            shutil.move(str(block), data / block.name)


def recordings(groups: Sequence[RuleGroup], keep: Callable[[RecordingRule], bool]) -> tuple[RuleGroup, ...]:
    """Only some recordings of the groups, and no alerts."""
    kept = [replace(g, rules=tuple(r for r in g.rules if isinstance(r, RecordingRule) and keep(r))) for g in groups]
    return tuple(group for group in kept if group.rules)


def alerts_recorded(groups: Sequence[RuleGroup]) -> tuple[RuleGroup, ...]:
    """The burn alerts as recordings `alert:<window>`, with what they read and no more: promtool leaves alerts out."""
    kept_groups = []
    for group in groups:
        rules: list[Rule] = []
        for rule in group.rules:
            if isinstance(rule, RecordingRule):
                rules.append(rule)
            elif rule.burns:
                assert not rule.for_ms
                name = "alert:" + rule.labels["window"]
                rules.append(
                    RecordingRule(
                        name, rule.expr, {key: rule.labels[key] for key in ("service", "slo") if key in rule.labels}
                    )
                )
        kept_groups.append(replace(group, rules=tuple(rules)))
    read = read_by(kept_groups, lambda name: name.startswith("alert:"))
    return recordings(kept_groups, lambda rule: rule.name in read)


def read_by(groups: Sequence[RuleGroup], keep: Callable[[str], bool]) -> set[str]:
    """The names of some rules, and of the recordings that they read."""
    read: set[str] = set()
    todo = {rule.name for group in groups for rule in group.rules if keep(rule.name)}
    while todo:
        read |= todo
        named = (_names(rule) for group in groups for rule in group.rules if rule.name in read)
        recorded = {rule.name for group in groups for rule in group.rules if isinstance(rule, RecordingRule)}
        todo = (set().union(*named) & recorded) - read
    return read


def passes(groups: Sequence[RuleGroup]) -> tuple[tuple[RuleGroup, ...], ...]:
    """The recordings of the groups, in the order in which they can be filled; alerts are left out."""
    of_slo: dict[tuple[str, str], list[RecordingRule]] = {}
    for group in groups:
        own = of_slo.setdefault((group.service, group.slo), [])
        own += (rule for rule in group.rules if isinstance(rule, RecordingRule))
    levels = {slo: _levels(rules) for slo, rules in of_slo.items()}
    deepest = max((level for value in levels.values() for level in value.values()), default=-1)
    levels_of_rules = []
    for number in range(deepest + 1):
        kept = (
            replace(group, rules=tuple(_at_level(group, levels[group.service, group.slo], number))) for group in groups
        )
        levels_of_rules.append(tuple(group for group in kept if group.rules))
    return tuple(levels_of_rules)


def _at_level(group: RuleGroup, levels: dict[str, int], number: int) -> list[RecordingRule]:
    return [rule for rule in group.rules if isinstance(rule, RecordingRule) and levels[rule.name] == number]


def _levels(rules: Sequence[RecordingRule]) -> dict[str, int]:
    """How many passes must come before each recorded name of one SLO."""
    recorded = {rule.name for rule in rules}
    reads = {rule.name: _names(rule) & recorded for rule in rules}
    order: dict[str, int] = {}
    while len(order) < len(recorded):
        ready = [name for name in recorded - order.keys() if reads[name] <= order.keys()]
        if not ready:
            raise ValueError("recorded series read each other in a circle")
        order |= dict.fromkeys(ready, max(order.values(), default=-1) + 1)
    return order


def _names(rule: Rule) -> set[str]:
    return {node.name for node in walk(rule.expr) if isinstance(node, VectorSelector) and node.name}
