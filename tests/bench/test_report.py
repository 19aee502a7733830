"""`slo report` from the command to the file: 20 SLOs and 200, 30 days of four series each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.promql.samples import Samples
from slo.source.recording import Header, write
from slo.window import DAY

END = 1_790_000_000_000 // DAY * DAY
DAYS = 33


@pytest.mark.benchmark(group="report")
@pytest.mark.parametrize("number", [20, 200])
def test_report(benchmark: Any, tmp_path: Path, number: int) -> None:
    random = np.random.default_rng(1)
    count = DAYS * 2880
    times = END - 30_000 * np.arange(count - 1, -1, -1, dtype=np.int64)
    ratio = np.full(count, 0.0005)
    ratio[-20_000:-19_700] = 0.2
    counters = {"200": random.poisson(30, count), "500": random.binomial(30, ratio)}
    rows = [
        (
            {"__name__": f"r{slo}_total", "job": "j", "instance": str(i), "code": code},
            times + i,
            np.cumsum(events) + 0.0,
        )
        for slo in range(number)
        for i in range(2)
        for code, events in counters.items()
    ]
    write(tmp_path / "r.parquet", Samples.from_series(rows), Header(END - DAYS * DAY, END, "a benchmark"))
    del rows
    slos = "".join(
        f"  - {{name: s{slo}, objective: 99.9, sli: {{ratio: {{errors: 'r{slo}_total{{code=\"500\"}}', total: r{slo}_total}}}}}}\n"
        for slo in range(number)
    )
    (tmp_path / "shop.yaml").write_text(f"service: shop\nslos:\n{slos}")
    command = [
        sys.executable,
        "-m",
        "slo",
        "report",
        tmp_path / "shop.yaml",
        "-s",
        tmp_path / "r.parquet",
        "-o",
        tmp_path,
    ]
    benchmark.pedantic(subprocess.run, args=(command,), kwargs={"check": True, "capture_output": True}, rounds=3)
    size = (tmp_path / "index.html").stat().st_size
    benchmark.extra_info["page MB"] = size / 1e6
    assert size < 50_000 * number + 100_000
