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
    every = [rule for group in groups for rule in group.rules if isinstance(rule, Recording)]
    recorded = {rule.name for rule in every}
    reads = {
        id(rule): {node.name for node in walk(rule.expr) if isinstance(node, VectorSelector) and node.name} & recorded
        for rule in every
    }
    level_of: dict[str, int] = {}
    while len(level_of) < len(recorded):
        before = len(level_of)
        level = max(level_of.values(), default=-1) + 1
        ready = {
            r.name
            for r in every
            if r.name not in level_of and all(reads[id(o)] <= level_of.keys() for o in every if o.name == r.name)
        }
        level_of |= dict.fromkeys(sorted(ready), level)
        if len(level_of) == before:
            raise ValueError("recorded series read each other in a circle")
    found = []
    for level in range(max(level_of.values(), default=-1) + 1):
        kept = (
            replace(
                group, rules=tuple(r for r in group.rules if isinstance(r, Recording) and level_of[r.name] == level)
            )
            for group in groups
        )
        found.append(tuple(group for group in kept if group.rules))
    return tuple(found)


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
