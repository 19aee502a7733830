"""What a ledger of very many SLOs costs, by SLO: `python -m tests.bench.many --slos 1000 10000 100000`.

Simulated services of 20 SLOs with a series for good and one for bad requests, each scraped once a minute for an hour: what each SLO takes
for itself is little, so that anything that grows faster than the SLOs shows. Each command runs in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slo.promql.samples import Samples, Series
from slo.source.recording import Header, write

OF_SERVICE = 20
END = 1_772_452_800_000  # Monday, 2 March 2026, 12:00 UTC
MINUTES = 60
SLO = "  - {{name: s{slo:02d}, objective: 99.9, sli: {{ratio: {{errors: '{total}code=\"500\"}}', total: '{total}}}'}}}}}}\n"


def definitions(place: Path, slos: int) -> None:
    """A file for each service."""
    place.mkdir()
    for service in range(-(-slos // OF_SERVICE)):
        name = f"service-{service:05d}"
        lines = [f"service: {name}\nslos:\n"]
        for slo in range(min(OF_SERVICE, slos - service * OF_SERVICE)):
            lines.append(SLO.format(slo=slo, total=f'requests_total{{job="{name}",route="/{slo}",'))
        (place / f"{name}.yaml").write_text("".join(lines).replace(",}", "}"))


def recording(path: Path, slos: int) -> None:
    """Counters of one name for all, as services of one framework have."""
    rng = np.random.default_rng(1)
    times = END - 60_000 * np.arange(MINUTES, -1, -1, dtype=np.int64)
    rows = []
    for slo in range(slos):
        job, route = f"service-{slo // OF_SERVICE:05d}", f"/{slo % OF_SERVICE}"
        for code, each in (("200", 100), ("500", 1)):
            labels = {"__name__": "requests_total", "job": job, "instance": "a:80", "route": route, "code": code}
            rows.append(Series(labels, times, np.cumsum(rng.poisson(each, len(times))).astype(float)))
    write(path, Samples(rows), Header(int(times[0]), END, "simulated"))


def run(*arguments: str | Path) -> tuple[float, float, float]:
    """Seconds, seconds of processors and MB at most of a command."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "slo", *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said[-3000:]
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slos", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    chosen = parser.parse_args(arguments)
    print("| SLOs | command | time | processors | for each SLO | memory |\n|---|---|---|---|---|---|")
    for slos in chosen.slos:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            definitions(place / "definitions", slos)
            recording(place / "samples.parquet", slos)
            asked = ("--start", "1h", "--ledger", place / "ledger")
            update = ("ledger", "update", place / "definitions", "-s", place / "samples.parquet", *asked)
            for name, command in {
                "`slo ledger update`": update,
                "the same again": update,
                "`slo ledger report`": (
                    "ledger",
                    "report",
                    "--ledger",
                    place / "ledger",
                    "--month",
                    "2026-03",
                    "-o",
                    place / "report.csv",
                ),
            }.items():
                took, used, memory = run(*command)
                each = 1000 * used / slos
                print(
                    f"| {slos:,} | {name} | {took:.1f} s | {used:.1f} s | {each:.2f} ms | {memory:,.0f} MB |",
                    flush=True,
                )
            with (place / "report.csv").open() as lines:
                assert sum(1 for _ in lines) > slos


if __name__ == "__main__":
    main()
