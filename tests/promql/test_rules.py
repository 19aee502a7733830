"""Rule groups over history, alongside promtool: the same recordings, the same ALERTS."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from slo.promql import Samples, is_stale, run_rules
from tests.servers import promtool

MINUTES = 40
VALUES = {
    name: [random.Random(name).choice([0, 1, 1, 5, None]) for _ in range(MINUTES + 1)] for name in ("a", "b", "c")
}
GROUPS: list[dict[str, Any]] = [
    {
        "name": "recordings",
        "interval": "1m",
        "rules": [
            {"record": "job:x:sum", "expr": "sum by (job) (x)", "labels": {"kind": "sum"}},
            {"record": "job:x:mean", "expr": "avg_over_time(job:x:sum[5m])"},
            {"record": "late", "expr": "count_over_time(itself[10m]) or vector(0)"},
            {"record": "itself", "expr": "sum(job:x:sum) + (itself offset 1m or vector(0))"},
        ],
    },
    {
        "name": "alerts",
        "interval": "1m",
        "rules": [
            {"alert": "Now", "expr": "job:x:sum > 4"},
            {"alert": "For", "expr": "job:x:sum > 0", "for": "2m", "labels": {"who": "{{ $labels.job }}"}},
            {"alert": "Kept", "expr": "job:x:mean > 1.5", "for": "1m", "keep_firing_for": "3m"},
            {"record": "pending", "expr": 'count(ALERTS{alertstate="pending"})'},
        ],
    },
]


def samples() -> Samples:
    rows = []
    for job, values in VALUES.items():
        held = [(minute * 60_000, value) for minute, value in enumerate(values) if value is not None]
        rows.append(({"__name__": "x", "job": job}, [t for t, _ in held], [float(v) for _, v in held]))
    return Samples.from_series(rows)


@pytest.mark.server
def test_recordings_and_alerts_are_those_of_promtool(tmp_path: Path) -> None:
    result = run_rules(GROUPS, samples(), 0, MINUTES * 60)
    assert not result.problems
    expected: dict[tuple[str, int], list[dict[str, Any]]] = {}
    names = ("job:x:sum", "job:x:mean", "late", "itself", "pending", "ALERTS", "ALERTS_FOR_STATE")
    for series in result.recorded.series:
        for at, value, stale in zip(series.times, series.values, is_stale(series.values), strict=True):
            if not stale:
                inner = ", ".join(f'{k}="{v}"' for k, v in series.labels.items() if k != "__name__")
                row = {"labels": f"{series.labels['__name__']}{{{inner}}}", "value": float(value)}
                expected.setdefault((series.labels["__name__"], int(at) // 60_000), []).append(row)
    checks = [
        {"expr": name, "eval_time": f"{minute}m", "exp_samples": expected.get((name, minute), [])}
        for minute in range(MINUTES + 1)
        for name in names
    ]
    rules, test = tmp_path / "rules.yml", tmp_path / "test.yml"
    rules.write_text(yaml.safe_dump({"groups": GROUPS}, sort_keys=False))
    inputs = [
        {"series": f'x{{job="{job}"}}', "values": " ".join("_" if v is None else str(v) for v in values)}
        for job, values in VALUES.items()
    ]
    test.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(rules)],
                "evaluation_interval": "1m",
                "group_eval_order": ["recordings", "alerts"],
                "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": checks}],
            }
        )
    )
    done = promtool("test", "rules", test)
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]


def test_an_alert_is_pending_then_fires_then_is_kept() -> None:
    times = np.arange(0, 11) * 60_000
    values = [0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    held = Samples.from_series([({"__name__": "x"}, times, [float(v) for v in values])])
    rule = {"alert": "A", "expr": "x > 0", "for": "2m", "keep_firing_for": "2m"}
    result = run_rules([{"name": "g", "interval": "1m", "rules": [rule]}], held, 0, 600)
    # holds at 1..3, fires from 3; gone from 4, kept through 5; at 6 it holds again, gone from 7, kept through 8
    assert [(alert.state, alert.start_ms // 60_000, alert.end_ms // 60_000) for alert in result.alerts] == [
        ("pending", 1, 3),
        ("firing", 3, 9),
    ]


def test_a_rule_that_fails_says_so_and_records_nothing_there() -> None:
    held = Samples.from_series([({"__name__": "x", "a": a}, [0, 60_000], [1.0, 1.0]) for a in "pq"])
    groups = [{"name": "g", "rules": [{"record": "bad", "expr": "x * on() x"}, {"record": "good", "expr": "sum(x)"}]}]
    result = run_rules(groups, held, 0, 60)
    assert [series.labels["__name__"] for series in result.recorded.series] == ["good"]
    assert "many-to-many" in result.problems[0] and "bad" in result.problems[0]
