"""Compiling: 1,000 SLOs under 2 s in all, 10,000 under 10 s, linear."""

from __future__ import annotations

import os
import resource
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from slo.rules import compile_specs, to_yaml
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.servers import promtool


@lru_cache(maxsize=1)
def text(number: int) -> str:
    """Ten SLOs a service: two of three on counters, one on a histogram."""
    found = []
    for service in range(number // 10):
        found.append(f"---\nservice: s{service}\nlabels: {{tier: '1'}}\nslos:\n")
        for slo in range(10):
            match = f'job="s{service}",route="/{slo}"'
            ratio = f"{{ratio: {{errors: 'http_requests_total{{{match},code=~\"5..\"}}', total: 'http_requests_total{{{match}}}'}}}}"
            latency = f"{{latency: {{histogram: 'duration_seconds{{{match}}}', threshold: 500ms}}}}"
            found.append(
                f"  - {{name: a{slo}, objective: 99.9, description: One of many, sli: {latency if slo % 3 == 2 else ratio}}}\n"
            )
    return "".join(found)


def compiled(number: int) -> str:
    problems: list[Any] = []
    groups, _ = compile_specs(Specs(loads(text(number), "many.yaml", problems)))
    assert not problems
    return to_yaml(groups, ["many.yaml"])


@pytest.mark.parametrize("number", [100, 1_000, 10_000])
def test_compile(benchmark: Any, number: int) -> None:
    if not benchmark.enabled and number > 1_000:
        pytest.skip("takes long; `make bench` runs it")
    text(number)
    rules = benchmark.pedantic(compiled, args=(number,), rounds=1 if number > 1_000 else 3)
    assert rules.count("- record:") + rules.count("- alert:") == 24 * number
    benchmark.extra_info["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.server
def test_promtool_takes_many(benchmark: Any, tmp_path: Path) -> None:
    number = 1_000 if benchmark.enabled or os.environ.get("SLO_MANY") else 50
    file = tmp_path / "rules.yml"
    file.write_text(compiled(number))
    said = benchmark.pedantic(promtool, args=("check", "rules", file), rounds=1)
    assert said.returncode == 0
    assert f"{24 * number} rules found" in said.stdout + said.stderr
