"""What a range query costs as samples, steps and windows grow: `python -m tests.bench.cost` draws docs/engine-cost.svg."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from slo.promql import Engine, Samples

OUT = Path(__file__).parents[2] / "docs" / "engine-cost.svg"
DAY = 86_400
BASE = 1_700_006_400
FUNCTIONS = (
    "rate(x_total[{w}])", "avg_over_time(g[{w}])", "max_over_time(g[{w}])", "stddev_over_time(g[{w}])", "deriv(g[{w}])",
    "quantile_over_time(0.9, g[{w}])", "mad_over_time(g[{w}])",
)  # fmt: skip
WINDOWS = (300, 1800, 7200, 6 * 3600, DAY, 3 * DAY)  # seconds
STEPS = (1_000, 2_000, 5_000, 10_000, 20_000, 40_000)
DAYS = (4, 7, 15, 30, 60)  # days of samples
SERIES = 4


def samples(days: int) -> Samples:
    """Counters and gauges, scraped every 30 s."""
    rng = np.random.default_rng(1)
    times = np.arange(BASE, BASE + days * DAY, 30) * 1000
    rows: list[tuple[dict[str, str], Any, Any]] = []
    for i in range(SERIES):
        rows.append(({"__name__": "x_total", "i": str(i)}, times, np.cumsum(rng.integers(0, 5, len(times)))))
        wave = 50 + 20 * np.sin(times / 3.6e6) + rng.normal(0, 5, len(times))
        rows.append(({"__name__": "g", "i": str(i)}, times, wave))
    return Samples.from_series(rows)


def seconds(data: Samples, expr: str, steps: int) -> float:
    """The best of three, each on an engine that has prepared nothing."""
    end = (data.end_ms or 0) / 1000
    best = float("inf")
    for _ in range(3):
        engine = Engine(data)
        begin = time.perf_counter()
        engine.query_range(expr, end - (steps - 1) * 4, end, 4)
        best = min(best, time.perf_counter() - begin)
    return best


def measure() -> dict[str, dict[str, list[float]]]:
    """Seconds by panel and function."""
    month = samples(30)
    panels: dict[str, dict[str, list[float]]] = {"window": {}, "steps": {}, "samples": {}}
    histories = [samples(days) for days in DAYS]
    for function in FUNCTIONS:
        name = function.split("(")[0]
        panels["window"][name] = [seconds(month, function.format(w=f"{w}s"), 20_000) for w in WINDOWS]
        panels["steps"][name] = [seconds(month, function.format(w="1d"), steps) for steps in STEPS]
        # the window reaches over all samples, so that all of them are prepared
        panels["samples"][name] = [
            seconds(data, function.format(w=f"{days - 1}d"), 20_000) for days, data in zip(DAYS, histories, strict=True)
        ]
    return panels


def draw(panels: dict[str, dict[str, list[float]]], out: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "engine-cost"
    import matplotlib.pyplot as plt

    axes_of = {
        "window": ("window (20,000 steps, 30 d of samples)", [w / 3600 for w in WINDOWS], "hours"),
        "steps": ("steps (windows of 1 d, 30 d of samples)", list(STEPS), "steps"),
        "samples": ("samples (20,000 steps, windows as long)", [d * 2880 * SERIES for d in DAYS], "samples"),
    }
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for axis, (panel, (title, x, unit)) in zip(axes, axes_of.items(), strict=True):
        for name, y in panels[panel].items():
            axis.plot(x, y, marker="o", markersize=3, linewidth=1, label=name)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(unit, fontsize=8)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=8)
    axes[0].set_ylabel("seconds, 4 series", fontsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    found = measure()
    for panel, rows in found.items():
        for name, times in rows.items():
            print(f"{panel:8} {name:20} " + " ".join(f"{t * 1000:8.1f}" for t in times), file=sys.stderr)
    draw(found, OUT)
