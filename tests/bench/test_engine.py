"""The engine alongside a real Prometheus 3.5 on the same data: time per step of query_range, and equal values.

`make bench` prints the engine's times; `python -m tests.bench.test_engine` prints the table of docs/engine.md.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.promql import Engine, Samples
from tests.servers import Prometheus, load_openmetrics

DAY = 86_400
BASE = 1_700_006_400
SHORT, LONG = 2 * DAY, 34 * DAY

_PAIRS = (("1h", "5m"), ("6h", "30m"), ("1d", "2h"), ("3d", "6h"))


def _ratio(window: str) -> str:
    return f'sum(rate(x_total{{code="500"}}[{window}])) / sum(rate(x_total[{window}]))'


# name, expression, steps of the engine, steps asked of the server (fewer where it is slow), series: few or many
QUERIES = (
    ("30 d ratio", _ratio("30d"), 4320, 4, "few"),
    ("3 d ratio", _ratio("3d"), 20_000, 60, "few"),
    ("four pairs of windows", " or ".join(f"({_ratio(a)} > 0.1 and {_ratio(b)} > 0.1)" for a, b in _PAIRS), 20_000, 60, "few"),
    ("avg_over_time[1d]", "avg_over_time(x_total[1d])", 20_000, 60, "few"),
    ("max_over_time[6h]", "max_over_time(x_total[6h])", 20_000, 200, "few"),
    ("rate[5m], 1,000 series", "rate(y_total[5m])", 240, 240, "many"),
    ("sum(rate[5m]), 1,000 series", "sum(rate(y_total[5m]))", 240, 240, "many"),
    ("histogram_quantile, 1,000 series", "histogram_quantile(0.9, sum by (le, i) (rate(h_bucket[5m])))", 240, 240, "many"),
)  # fmt: skip


def rows(kind: str) -> list[tuple[dict[str, str], Any, Any]]:
    rng = np.random.default_rng(1)
    out: list[tuple[dict[str, str], Any, Any]] = []

    def add(labels: dict[str, str], seconds: int, phase: int) -> None:
        times = np.arange(BASE, BASE + seconds, 30) * 1000 + phase
        out.append((labels, times, np.cumsum(rng.integers(0, 5, len(times))).astype(np.float64)))

    if kind == "few":
        for i in range(24):
            add({"__name__": "x_total", "i": str(i), "code": "500" if i % 4 == 0 else "200"}, LONG, i * 371 % 1000)
        return out
    for i in range(1000):
        add({"__name__": "y_total", "i": str(i)}, SHORT // 8, i * 371 % 1000)
    for i in range(100):
        for le in ("0.1", "0.2", "0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "50.0", "+Inf"):
            add({"__name__": "h_bucket", "i": str(i), "le": le}, SHORT // 8, i * 371 % 1000)
    return out


def window(kind: str, steps: int) -> tuple[float, float]:
    end = BASE + (LONG if kind == "few" else SHORT // 8) - 60
    return end - (steps - 1) * 60, end


def openmetrics(data: list[tuple[dict[str, str], Any, Any]]) -> str:
    lines: list[str] = []
    for labels, times, values in data:
        name = labels["__name__"]
        head = f"# TYPE {name} unknown"
        if head not in lines[:1] and not any(line == head for line in lines[-1:]) and name not in _seen(lines):
            lines.append(head)
        inner = ",".join(f'{key}="{value}"' for key, value in labels.items() if key != "__name__")
        lines.append(
            "\n".join(f"{name}{{{inner}}} {v:g} {t / 1000:.3f}" if v < 1e5 else f"{name}{{{inner}}} {v:.0f} {t / 1000:.3f}"
                      for t, v in zip(times.tolist(), values.tolist(), strict=True))
        )  # fmt: skip
    return "\n".join([*lines, "# EOF", ""])


def _seen(lines: list[str]) -> set[str]:
    return {line.split()[2] for line in lines if line.startswith("# TYPE")}


@pytest.mark.parametrize(("name", "expr", "steps", "asked", "kind"), QUERIES, ids=[query[0] for query in QUERIES])
def test_query_range(benchmark: Any, name: str, expr: str, steps: int, asked: int, kind: str) -> None:
    engine = Engine(Samples.from_series(rows(kind)))
    start, end = window(kind, steps)
    result = benchmark(lambda: engine.query_range(expr, start, end, 60))
    assert result.series


def table(kind: str) -> None:
    data = rows(kind)
    engine = Engine(Samples.from_series(data))
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        (tmp / "data.txt").write_text(openmetrics(data))
        blocks = load_openmetrics(tmp / "data.txt", tmp / "data")
        with Prometheus(tmp, data=blocks, flags=["--query.timeout=10m", "--query.max-samples=500000000"]) as server:
            for name, expr, steps, asked, of in QUERIES:
                if of != kind:
                    continue
                start, end = window(kind, steps)
                ours = min(_timed(lambda: engine.query_range(expr, start, end, 60))[0] for _ in range(3)) / steps  # noqa: B023
                begin, _ = window(kind, asked)
                query = urllib.parse.urlencode({"query": expr, "start": begin, "end": end, "step": 60})
                url = f"{server.url}/api/v1/query_range?{query}&stats=all"
                theirs = math.inf
                body: dict[str, Any] = {}
                for _ in range(2):
                    with urllib.request.urlopen(url, timeout=600) as response:  # noqa: S310 - our own server
                        body = json.loads(response.read())["data"]
                    theirs = min(theirs, body["stats"]["timings"]["evalTotalTime"] / asked)
                far = _furthest(engine.query_range(expr, begin, end, 60).series, body["result"])
                print(
                    f"| {name} | {theirs * 1e6:,.0f} | {ours * 1e6:,.1f} | {theirs / ours:,.0f} | {far:.0e} |",
                    flush=True,
                )


def _timed(fn: Any) -> tuple[float, Any]:
    begin = time.perf_counter()
    answer = fn()
    return time.perf_counter() - begin, answer


def _furthest(ours: Any, theirs: list[dict[str, Any]]) -> float:
    """The largest relative difference; infinite where series or steps differ."""
    held = {tuple(sorted(one.labels.items())): one for one in ours}
    worst = 0.0 if len(held) == len(theirs) else math.inf
    for one in theirs:
        mine = held.get(tuple(sorted(one["metric"].items())))
        wanted = np.array([float(value) for _, value in one["values"]])
        if mine is None or len(mine.values) != len(wanted):
            return math.inf
        worst = max(worst, float((np.abs(mine.values - wanted) / np.maximum(np.abs(wanted), 1e-300)).max()))
    return worst


if __name__ == "__main__":
    print(
        "| query | server, µs per step | engine, µs per step | ratio | largest relative difference |\n|---|---|---|---|---|"
    )
    for which in sys.argv[1:] or ("few", "many"):
        table(which)
