"""The report's map on one and on two workers of Dask: `python -m tests.bench.spread FOLDER --slos 96 --days 30`.

A scheduler and two worker processes of one thread each run on this machine; the budgets of the same SLOs over a recording are evaluated by one of them, by
both, and so on in turns. What counts is the least time of each, and the figures of both must be those of one process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from slo.budget.model import State
from slo.cli.spreading import review
from slo.review import review as here
from slo.source import open as open_source
from slo.spec.load import load
from slo.spec.select import Selection

ROOT = Path(__file__).parents[2]
ROUNDS, OF_SERVICE = 3, 8
SLO = "  - {{name: s{slo}, objective: 99.9, sli: {{ratio: {{errors: '{total}{{code=~\"5..\"}}', total: {total}}}}}}}\n"


def prepared(place: Path, slos: int, days: int) -> tuple[Path, Path]:
    """Definitions, and a recording of their metrics."""
    place.mkdir(parents=True, exist_ok=True)
    definitions, samples = place / "definitions", place / f"{slos}-{days}.parquet"
    definitions.mkdir(exist_ok=True)
    for number in range(-(-slos // OF_SERVICE)):
        own = range(number * OF_SERVICE, min(slos, (number + 1) * OF_SERVICE))
        lines = (SLO.format(slo=slo, total=f"requests_{slo}_total") for slo in own)
        (definitions / f"s{number}.yaml").write_text(f"service: s{number}\nslos:\n{''.join(lines)}")
    if not samples.exists():
        command = ("simulate", definitions, "--days", str(days), "--seed", "1", "-o", samples)
        subprocess.run([sys.executable, "-m", "slo", *map(str, command)], check=True, cwd=ROOT)
    return definitions, samples


def started(place: Path, *command: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
        "OMP_NUM_THREADS": "1",
    }
    with (place / "cluster.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", *command], cwd=place, env=environment, stdout=log, stderr=log)


def main() -> None:
    from distributed import Client

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("place", type=Path)
    parser.add_argument("--slos", type=int, default=96)
    parser.add_argument("--days", type=int, default=30)
    given = parser.parse_args()
    place = given.place.resolve()
    definitions, samples = prepared(place, given.slos, given.days)
    specs, file = load(definitions), place / "scheduler.json"
    at_ms = open_source(str(samples)).latest_ms()
    file.unlink(missing_ok=True)
    with ExitStack() as stack:

        def run(*command: str) -> None:
            process = started(place, *command)
            stack.callback(process.wait)
            stack.callback(process.kill)

        run(
            "distributed.cli.dask_scheduler",
            "--port",
            "0",
            "--host",
            "127.0.0.1",
            "--no-dashboard",
            "--scheduler-file",
            str(file),
        )
        while not (file.exists() and file.stat().st_size):
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        best: dict[int, float] = {}
        answers = {}
        worker = (
            "distributed.cli.dask_worker",
            address,
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
            "--local-directory",
            str(place),
        )
        with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            for count in (1, 2) * ROUNDS:
                have = len(client.scheduler_info()["workers"])
                for _ in range(count - have):
                    run(*worker)
                if count < have:
                    client.retire_workers(list(client.scheduler_info()["workers"])[count:])
                client.wait_for_workers(count, timeout=60)
                while len(client.scheduler_info()["workers"]) != count:
                    time.sleep(0.05)
                # Modules are imported, and the file is in memory, before the clock runs.
                review(specs, [str(samples)], None, at_ms, Selection(), frozenset(State), (), address)
                began = time.monotonic()
                answers[count] = review(specs, [str(samples)], None, at_ms, Selection(), frozenset(State), (), address)
                best[count] = min(best.get(count, float("inf")), time.monotonic() - began)
    figures = {count: [(b.slo.id, b.errors, b.total) for b in found.budgets] for count, found in answers.items()}
    alone = here(list(specs.values()), open_source(str(samples)), at=at_ms)
    assert figures[1] == figures[2] == [(b.slo.id, b.errors, b.total) for b in alone.budgets]
    print("| workers | time |\n|---|---|")
    for count, took in best.items():
        print(f"| {count} | {took:.2f} s |")
    print(f"| ratio | {best[1] / best[2]:.2f} times |")


if __name__ == "__main__":
    main()
