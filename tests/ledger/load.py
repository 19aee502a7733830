"""`python -m tests.ledger.load` prints what it takes to sum a quarter of ledgers of many SLOs, each in a process of its own.

A partition is 100 SLOs of one service over a week, with counts of their own for each day; whole days of UTC are read from `days` alone, so the steps
are those of few SLOs only (`--steps` writes them all, some minutes for 10,000 SLOs).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa

from slo.ledger.store import Folder
from slo.ledger.tables import DAYS, STEP_MS, STEPS, Partition, days_of, ratio, schema, write
from slo.window import DAY, WEEK, parse_moment

START = parse_moment("2026-01-05T00:00:00Z")
WEEKS, OF_SERVICE = 13, 100
SUM = """
import sys, time, resource
begun = time.perf_counter()
from slo.ledger.periods import Span
from slo.ledger.report import as_json
from slo.ledger.store import store
from slo.ledger.sums import sums
span = Span("13 weeks", ("all",), (int(sys.argv[2]), int(sys.argv[3])))
rows = sums(store(sys.argv[1]), span.edges)
text = as_json(rows, span)
seconds = time.perf_counter() - begun
total = sum(row.whole.total for row in rows)
used = resource.getrusage(resource.RUSAGE_SELF)
print(len(rows), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, total)
"""


def fill(place: Path, slos: int, every_step: bool) -> float:
    """Writes a ledger; the sum of all events in it."""
    events = 0.0
    rng = np.random.default_rng(1)
    for service in range(-(-slos // OF_SERVICE)):
        own = min(OF_SERVICE, slos - service * OF_SERVICE)
        names = [f"s{service:04d}/slo-{number:02d}" for number in range(own)]
        for week in range(WEEKS):
            partition = Partition(START + week * WEEK, f"s{service:04d}")
            steps = 2016 if every_step else 7
            length = STEP_MS if every_step else DAY
            ends = partition.start_ms + length * np.arange(1, steps + 1, dtype=np.int64)
            total = np.round(rng.gamma(4.0, 250.0, own * steps)) + 1
            errors = rng.binomial(total.astype(np.int64), 0.0005).astype(float)
            index = pa.array(np.repeat(np.arange(own), steps))
            fields = schema(STEPS)
            rows = pa.table({
                "slo": pa.array(names).take(index), "end": pa.array(np.tile(ends, own)).cast(pa.timestamp("ms", "UTC")), "errors": errors,
                "total": total, "sli": pa.array(["0123456789abcdef"]).take(pa.array(np.zeros(own * steps, int))),
                "objective": pa.array([ratio(Decimal("0.999"))], fields.field("objective").type).take(pa.array(np.zeros(own * steps, int))),
            }).cast(fields)  # fmt: skip
            events += float(total.sum())
            write(Folder(place), partition, STEPS, rows)
            write(Folder(place), partition, DAYS, days_of(rows))
    return events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slos", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--steps", action="store_true")
    chosen = parser.parse_args()
    print("| SLOs × 13 weeks | ledger | summed in | of CPU | memory |\n|---|---|---|---|---|")
    for slos in chosen.slos:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            events = fill(Path(folder), slos, chosen.steps)
            size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
            print(f"# written in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
            done = subprocess.run(
                [sys.executable, "-c", SUM, folder, str(START), str(START + WEEKS * WEEK)],
                capture_output=True,
                text=True,
                check=True,
            )
            count, seconds, cpu, memory, total = map(float, done.stdout.split())
            assert count == slos and total == events, (count, total, events)
            print(f"| {slos:,} | {size / 1e6:,.0f} MB | {seconds:.1f} s | {cpu:.1f} s | {memory:,.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
