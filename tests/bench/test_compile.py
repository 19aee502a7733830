"""Compiling and checking many SLOs; figures for docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slo.rules import compile_specs, to_yaml
from slo.spec.load import load

SLO = """\
  - name: slo{number}
    objective: 99.9
    description: Requests of route {number} that succeed
    sli:
      ratio:
        errors: http_requests_total{{job="svc{service}",route="r{number}",code=~"5.."}}
        total: http_requests_total{{job="svc{service}",route="r{number}"}}
"""


@pytest.fixture(params=[100, 1_000, 10_000])
def definitions(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Services of ten SLOs each."""
    for service in range(request.param // 10):
        slos = "".join(SLO.format(service=service, number=number) for number in range(10))
        (tmp_path / f"s{service:04}.yaml").write_text(f"service: svc{service}\nowner: bench\nslos:\n{slos}")
    return tmp_path


@pytest.mark.benchmark(group="compile")
def test_compile(benchmark: Any, definitions: Path) -> None:
    """From files to the text of the rules."""

    def job() -> str:
        specs = load(definitions)
        return to_yaml(compile_specs(specs)[0], [service.file for service in specs.services])

    text = benchmark.pedantic(job, rounds=1)
    assert text.startswith("#")
