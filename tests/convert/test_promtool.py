"""Sloth's and Pyrra's own rules alongside ours, in promtool, over the same simulated series: one error ratio, or a note that says why not.

Their rules are made here by the formulas that both tools document: an SLI's error ratio over a window is the error query over the
total query, and Pyrra's burn rate is that of the sums over the grouping.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo.convert.model import Draft, Imported, Options
from slo.convert.read import convert
from slo.convert.write import document_text
from slo.errors import SloError
from slo.promql.ast import Matcher
from slo.promql.samples import Samples, is_stale
from slo.rules import compile_specs, to_yaml
from slo.source.simulation import simulate
from slo.source.simulation.scenario import Scenario
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.convert.test_corpus import CHART, HELPERS, files
from tests.servers import promtool

pytestmark = pytest.mark.skipif(
    not os.environ.get("SLO_CORPUS"), reason="SLO_CORPUS names no folder of public definitions"
)
STEP_MS = 30_000
MINUTES = 80
END_MS = 1_790_000_000_000 // 3_600_000 * 3_600_000
# `rate` extends what it saw to the edges of an hour; ours counts what the scrapes show.
ALIKE = 0.01
# What cannot be compared, and why.
NOTED = {
    "nginx-api-latency": "its requests within the bound are those that end in a 5xx, which its total leaves out",
}


def of_both_tools() -> Iterator[tuple[str, Imported]]:
    """The files of Sloth and of Pyrra, the chart among them rendered."""
    for file, text in files().items():
        result = convert({file: text, "_helpers.tpl": HELPERS}, CHART if "{{" in text else Options())[0]
        if result.tool in ("a Sloth file", "a Pyrra file"):
            yield file, result


def theirs(draft: Draft, by: tuple[str, ...], pyrra: bool) -> str:
    """The error ratio over an hour as the tool's own rules record it."""
    parts = {role: text.replace("$window", "1h") for role, text in draft.original.items()}
    if "ratio" in parts:
        return parts["ratio"]
    if pyrra:
        # Its sums are by the grouping, and `increase` in a quotient is `rate`.
        grouped = f"sum by ({', '.join(by)}) (" if by else "sum("
        parts = {role: text.replace("sum(", grouped) for role, text in parts.items()}
    if "good" in parts:
        return f"(({parts['total']}) - ({parts['good']})) / ({parts['total']})"
    return f"({parts['errors']}) / ({parts['total']})"


def notation(samples: Samples, start_ms: int, steps: int, bounds: Sequence[str]) -> list[dict[str, str]]:
    """The series as promtool has them, a value or `_` at each step: what is scraped between two steps stands at the later."""
    rows = []
    for series in samples.series:
        values = ["_"] * (steps + 1)
        for at_ms, value, ended in zip(
            series.times.tolist(), series.values.tolist(), is_stale(series.values), strict=True
        ):
            values[min(steps, -((start_ms - at_ms) // STEP_MS))] = "stale" if ended else repr(value)
        texts = {key: text for key, text in series.labels.items() if key != "__name__"}
        if "le" in texts:  # as their query spells it, and the servers that it was written for
            texts["le"] = next((bound for bound in bounds if float(bound) == float(texts["le"])), texts["le"])
        labels = ",".join(str(Matcher(key, "=", text)) for key, text in texts.items())
        rows.append({"series": f"{series.labels['__name__']}{{{labels}}}", "values": " ".join(values)})
    return rows


def written(folder: Path, result: Imported, draft: Draft, head: Mapping[str, Any]) -> Path:
    """A test file with both tools' rules for one SLO. Raises SloError where its series cannot be simulated."""
    [service] = loads(document_text(head, [draft]), result.file, [])
    specs = Specs([service])
    first = service.slos[0]
    # As many errors as make a ratio certain, whatever the objective: a twentieth of all events.
    scenario = Scenario(steady=True, per_second=20.0, steady_errors=0.05 / float(first.objective.error_budget))
    samples, _ = simulate(specs, days=MINUTES / 1440, seed=1, end_ms=END_MS, scenario=scenario)
    groups, _ = compile_specs(specs)
    (folder / "ours.yml").write_text(to_yaml(groups), encoding="utf-8")
    rules = [{"record": "theirs", "expr": theirs(draft, tuple(first.by), result.tool == "a Pyrra file")}]
    (folder / "theirs.yml").write_text(yaml.safe_dump({"groups": [{"name": "theirs", "rules": rules}]}))
    ours = f'slo:sli_error:ratio_rate1h{{service="{first.service}",slo="{first.name.partition(".")[0]}"}}'
    on = f"on ({', '.join(first.by)})"
    steps = MINUTES * 2
    test = {
        "interval": "30s",
        "input_series": notation(
            samples, END_MS - MINUTES * 60_000, steps, re.findall(r'\ble="([^"]+)"', " ".join(draft.original.values()))
        ),
        "promql_expr_test": [
            {
                "expr": f"count(abs({ours} / {on} theirs - 1) < {ALIKE}) / count(theirs > 0)",
                "eval_time": f"{MINUTES}m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
        ],
    }
    order = [group.name for group in sorted(groups, key=lambda group: (group.interval_ms, group.name))] + ["theirs"]
    path = folder / "test.yml"
    path.write_text(
        yaml.safe_dump(
            {"rule_files": ["ours.yml", "theirs.yml"], "evaluation_interval": "1m", "group_eval_order": order, "tests": [test]},
            width=10_000_000,
        )
    )  # fmt: skip
    return path


def test_both_tools_rules_and_ours_record_one_error_ratio(tmp_path: Path) -> None:
    alike, others = [], {}
    for number, (file, result) in enumerate(of_both_tools()):
        for service in result.services:
            for draft in service.slos:
                folder = tmp_path / f"{number}-{draft.line}"
                folder.mkdir()
                name = f"{file} {draft.name}"
                try:
                    path = written(folder, result, draft, service.head)
                except SloError as error:
                    others[name] = str(error)
                    continue
                done = promtool("test", "rules", path)
                if done.returncode == 0:
                    alike.append(name)
                else:
                    others[name] = done.stdout + done.stderr
    assert {name: text for name, text in others.items() if name.partition(" ")[2] not in NOTED} == {}
    assert len(alike) >= 30, others
