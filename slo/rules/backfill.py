"""History for recorded series that are new: the commands that let promtool fill them from the raw series.

promtool evaluates a rule over history without seeing what another rule of the same run would have recorded. So the
rules go in passes: what reads raw series, then what reads that, until nothing is left.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from slo.promql.ast import VectorSelector, walk
from slo.rules.groups import Recording, RuleGroup


def passes(groups: Sequence[RuleGroup]) -> tuple[tuple[RuleGroup, ...], ...]:
    """The recordings of the groups, in the order in which they can be filled; alerts are left out."""
    of_slo: dict[tuple[str, str], list[Recording]] = {}
    for group in groups:
        own = of_slo.setdefault((group.service, group.slo), [])
        own += (rule for rule in group.rules if isinstance(rule, Recording))
    levels = {slo: _levels(rules) for slo, rules in of_slo.items()}
    deepest = max((level for found in levels.values() for level in found.values()), default=-1)
    found = []
    for number in range(deepest + 1):
        kept = (
            replace(group, rules=tuple(_at_level(group, levels[group.service, group.slo], number))) for group in groups
        )
        found.append(tuple(group for group in kept if group.rules))
    return tuple(found)


def _at_level(group: RuleGroup, levels: dict[str, int], number: int) -> list[Recording]:
    return [rule for rule in group.rules if isinstance(rule, Recording) and levels[rule.name] == number]


def _levels(rules: Sequence[Recording]) -> dict[str, int]:
    """How many passes must come before each recorded name of one SLO."""
    recorded = {rule.name for rule in rules}
    reads = {rule.name: _names(rule) & recorded for rule in rules}
    found: dict[str, int] = {}
    while len(found) < len(recorded):
        ready = [name for name in recorded - found.keys() if reads[name] <= found.keys()]
        if not ready:
            raise ValueError("recorded series read each other in a circle")
        found |= dict.fromkeys(ready, max(found.values(), default=-1) + 1)
    return found


def _names(rule: Recording) -> set[str]:
    return {node.name for node in walk(rule.expr) if isinstance(node, VectorSelector) and node.name}


def backfill_script(pass_files: Sequence[str], days: int) -> str:
    """A shell script that fills the last `days` days of a Prometheus server; `pass_files` hold the passes, in order.

    It stops at the first failure, and asks for the blocks of one pass to be loaded before the next begins.
    """
    steps = []
    for number, file in enumerate(pass_files, 1):
        steps.append(
            f'echo "pass {number} of {len(pass_files)}"\n'
            f'"$PROMTOOL" tsdb create-blocks-from rules --url="$PROMETHEUS" --start="$start" --end="$end" '
            f'--output-dir="$DATA" {shlex.quote(file)}\n'
            "wait_for_blocks"
        )
    return _SCRIPT.format(days=days, steps="\n".join(steps))


_SCRIPT = """\
#!/bin/sh
# Fills the history of the recorded series, from the raw series that the server still has. Made by `slo rules`.
# Run it where the server's data folder is, once the server has loaded the rules, so that the two histories meet:
#   PROMETHEUS=http://localhost:9090 DATA=/var/lib/prometheus sh backfill.sh
# Blocks that overlap with the server's own are merged when it compacts.
set -eu
: "${{PROMETHEUS:=http://localhost:9090}}" "${{PROMTOOL:=promtool}}" "${{DATA:?set it to the data folder of the server}}"
: "${{LOADED_HOURS_AGO:=0}}" # how long ago the server began to record by itself: it has the rest
now=$(date +%s)
end=$((now - LOADED_HOURS_AGO * 3600))
start=$((end - {days} * 86400))
# A server looks for new blocks once a minute; the next pass reads them.
wait_for_blocks() {{
  echo "waiting until the server has read the new blocks"
  sleep "${{WAIT_SECONDS:-90}}"
}}
{steps}
echo "done"
"""
