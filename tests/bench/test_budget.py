"""How long the main jobs take; compared as figures in docs/benchmarks.md, never asserted."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.budget.evaluate import evaluate_all
from slo.budget.incidents import find_incidents
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import Samples
from slo.sli.ratio import Ratio
from slo.source.recording import Header, Recording, write
from slo.spec.model import Objective, Slo
from slo.window import DAY, parse_window

END = 1_790_000_000_000 // DAY * DAY
SLOS, INSTANCES, DAYS = 100, 4, 33


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 SLOs of 8 series each, 33 d of scrapes every 30 s: 76 million samples."""
    random = np.random.default_rng(1)
    count = DAYS * 2880
    times = END - 30_000 * np.arange(count - 1, -1, -1, dtype=np.int64)
    rates = {"200": np.cumsum(random.poisson(30, count)), "500": np.cumsum(random.poisson(0.01, count))}
    samples = Samples.from_series(
        ({"__name__": f"r{slo}_total", "job": "j", "instance": str(i), "code": code}, times + i, counter + 0.0)
        for slo in range(SLOS)
        for i in range(INSTANCES)
        for code, counter in rates.items()
    )
    path = tmp_path_factory.mktemp("bench") / "r.parquet"
    write(path, samples, Header(END - DAYS * DAY, END, "a benchmark"))
    return path


def slos() -> list[Slo]:
    return [
        Slo(
            "bench", f"slo-{number}", Objective(Decimal("99.9")), parse_window("30d"),
            Ratio(VectorSelector(f"r{number}_total"), VectorSelector(f"r{number}_total", (Matcher("code", "=~", "5.."),)), "errors"),
        )
        for number in range(SLOS)
    ]  # fmt: skip


@pytest.mark.benchmark(group="budget")
def test_evaluate_100_slos_over_30_days_after_loading(benchmark: Any, recording: Path) -> None:
    source = Recording.open(recording)
    specs = slos()
    evaluate_all(specs, source, END)  # loads
    budgets = benchmark.pedantic(evaluate_all, (specs, source, END), rounds=3)
    assert all(budget.total > 0 for budget in budgets)


@pytest.mark.benchmark(group="budget")
def test_load_and_evaluate_100_slos_over_30_days(benchmark: Any, recording: Path) -> None:
    budgets = benchmark.pedantic(lambda: evaluate_all(slos(), Recording.open(recording), END), rounds=2)
    assert all(budget.coverage > 0.99 for budget in budgets)


@pytest.mark.benchmark(group="start")
@pytest.mark.parametrize("program", ["import slo", "import slo.cli; slo.cli.app(['--help'], standalone_mode=False)"])
def test_start(benchmark: Any, program: str) -> None:
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-c", program], check=True, capture_output=True), rounds=5
    )


@pytest.mark.benchmark(group="budget")
def test_incidents_of_a_month_in_the_worst_case(benchmark: Any) -> None:
    """A burn about at the bound, where chance makes the most stretches."""
    total = np.full(8640, 10_000.0)
    errors = np.random.default_rng(1).binomial(10_000, 0.02, 8640).astype(np.float64)
    benchmark(find_incidents, errors, total, 0.01, 0.01 * total.sum(), 300_000)
