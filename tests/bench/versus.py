"""Two versions alongside each other in one run: `python -m tests.bench.versus WORKTREE` states ratios to what is checked out there.

    git worktree add --detach /tmp/before v1
    python -m tests.bench.versus /tmp/before            # all jobs
    python -m tests.bench.versus /tmp/before compile    # one of them

Each round runs a job once by either version, in processes of their own, one after the other; the least of the rounds
counts, so that what else the machine does falls on both.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parents[2]
ROUNDS, SLOS, DAYS = 3, 100, 31
END_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000

# Each prints the seconds of processor time that it took, of which a busy machine takes less than of a clock's.
JOBS: Mapping[str, str] = {
    "evaluate": """
import sys, time
from slo.budget.evaluate import evaluate_all
from slo.source.recording import Recording
from slo.spec.load import load
slos, source = list(load(sys.argv[1] + "/few").values()), Recording.open(sys.argv[1] + "/few.parquet")
evaluate_all(slos, source, int(sys.argv[2]))  # reads the samples
start = time.process_time()
budgets = evaluate_all(slos, source, int(sys.argv[2]))
print(time.process_time() - start)
assert all(budget.total > 0 for budget in budgets)
""",
    "load and evaluate": """
import sys, time
from slo.budget.evaluate import evaluate_all
from slo.source.recording import Recording
from slo.spec.load import load
slos = list(load(sys.argv[1] + "/few").values())
start = time.process_time()
budgets = evaluate_all(slos, Recording.open(sys.argv[1] + "/few.parquet"), int(sys.argv[2]))
print(time.process_time() - start)
assert all(budget.total > 0 for budget in budgets)
""",
    "compile": """
import sys, time
from slo.spec.load import load
try:
    from slo.rules import rule_texts
    from slo.rules.format import yaml_file
except ImportError:  # as it was before
    rule_texts = None
    from slo.rules import compile_specs, to_yaml
start = time.process_time()
specs = load(sys.argv[1] + "/many")
if rule_texts is None:
    text = to_yaml(compile_specs(specs)[0], [service.file for service in specs.services])
else:
    text = "".join(yaml_file(one.text for one in rule_texts(specs, flat=True)[0]))  # as `slo rules` writes so many
print(time.process_time() - start)
print(text.count("- record:") + text.count("- alert:"), "rules,", len(text) // 1_000_000, "MB", file=sys.stderr)
""",
}


def definitions(folder: Path, services: int, slos: int) -> None:
    """A file for each service: two of three SLOs on counters, one on a histogram."""
    folder.mkdir()
    for service in range(services):
        lines = [f"service: s{service}\nowner: bench\nslos:\n"]
        for slo in range(slos):
            match = f'job="s{service}",route="/{slo}"'
            ratio = f"{{ratio: {{errors: 'http_requests_total{{{match},code=~\"5..\"}}', total: 'http_requests_total{{{match}}}'}}}}"
            latency = f"{{latency: {{histogram: 'duration_seconds{{{match}}}', threshold: 500ms}}}}"
            sli = latency if slo % 3 == 2 else ratio
            lines.append(f"  - {{name: a{slo}, objective: 99.9, description: One of many, sli: {sli}}}\n")
        (folder / f"s{service:03}.yaml").write_text("".join(lines), encoding="utf-8")


def record(folder: Path) -> None:
    """What the few definitions need, simulated; gaps, restarts and incidents in it."""
    from slo.source.recording import write
    from slo.source.simulation import simulate
    from slo.spec.load import load

    samples, header = simulate(load(folder / "few"), days=DAYS, seed=1, end_ms=END_MS)
    write(folder / "few.parquet", samples, header)
    many = sum(len(series.times) for series in samples.series)
    print(f"{SLOS} SLOs, {len(samples)} series, {many / 1e6:.0f} million samples of {DAYS} days")


def seconds(job: str, version: Path, folder: Path) -> float:
    """How long a job takes by a version."""
    done = subprocess.run(
        [sys.executable, "-c", JOBS[job], str(folder), str(END_MS)],
        cwd=version,
        env={**os.environ, "PYTHONPATH": str(version)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(done.stdout)


def main(before: Path, jobs: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if any("evaluate" in job for job in jobs):
            definitions(folder / "few", SLOS // 10, 10)
            record(folder)
        if "compile" in jobs:
            definitions(folder / "many", 100, 100)
        for job in jobs:
            taken = [(seconds(job, before, folder), seconds(job, HERE, folder)) for _ in range(ROUNDS)]
            old, new = (min(one) for one in zip(*taken, strict=True))
            print(f"{job}: {old:.2f} s before, {new:.2f} s now, {new / old:.2f} times", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), sys.argv[2:] or list(JOBS))
