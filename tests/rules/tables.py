"""The tables of docs/rules.md and docs/alerting.md, measured on real servers:

python -m tests.rules.tables accuracy --days 40
python -m tests.rules.tables cost --series 24 240 2400
python -m tests.rules.tables pages
python -m tests.rules.tables detection
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from slo.rules import compile_specs
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import MINUTE, format_duration
from tests.rules import history, scenario
from tests.rules.history import DAY, HOUR, START, History
from tests.rules.replay import backfill
from tests.servers import Prometheus, load_openmetrics, remote

DEFINITION = """\
service: shop
slos:
  - name: availability
    objective: 99.9
    sli: {ratio: {errors: 'requests_total{job="shop",code=~"5.."}', total: 'requests_total{job="shop"}'}}
  - name: latency
    objective: 99
    sli: {latency: {histogram: 'duration_seconds{job="shop"}', threshold: 500ms}}
"""
BUDGET = {"availability": 0.001, "latency": 0.01}
LAG, STEP = 30, 15
_LONG = 15.0
# A server writes a block when it has three hours in memory.
IN_MEMORY = 2.75 * HOUR
CLASSIC = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
ERRORS, TOTAL = 'requests_total{job="shop",code=~"5.."}', 'requests_total{job="shop"}'


def classic_ratio(slo: str, window: str) -> str:
    """The expression that everybody writes."""
    if slo == "availability":
        return f"sum(rate({ERRORS}[{window}])) / sum(rate({TOTAL}[{window}]))"
    good, total = 'duration_seconds_bucket{job="shop",le="0.5"}', 'duration_seconds_count{job="shop"}'
    return f"1 - sum(rate({good}[{window}])) / sum(rate({total}[{window}]))"


def specs(place: Path) -> Specs:
    file = place / "shop.yaml"
    file.write_text(DEFINITION)
    return load(file)


def value(server: Prometheus, expr: str, at: float) -> float:
    answer = server.query(expr, at)
    return float(answer[0]["value"][1]) if answer else math.nan


def counted(server: Prometheus, series: str, slo: str, window: int, at: float) -> tuple[float, float]:
    """(errors, events) that recorded tiles add up to over a window, s."""

    def summed(word: str) -> float:
        return value(server, f'sum(sum_over_time({series[:-1]},event="{word}"}}[{window}s]))', at)

    if slo == "latency":
        return summed("all") - summed("passed"), summed("all")
    return summed("bad"), summed("good") + summed("bad")


def period_error(server: Prometheus, reported: History, slo: str, days: float) -> tuple[float, float, float]:
    """(errors counted, events counted, points of the budget that the window's ratio is off)."""
    window = int(days * DAY)
    series = f'slo:events:increase5m{{slo="{slo}"}}'
    at = value(server, f"max(timestamp({series}))", reported.end)
    errors, events = counted(server, series, slo, window, at)
    # A coarse tile ends with the last fine one that is a minute old.
    fine = value(server, f'max(timestamp(slo:events:increase1m{{slo="{slo}"}} offset 1m))', at)
    bad = reported.slow if slo == "latency" else reported.errors
    ends = (fine - LAG) // STEP * STEP
    true = reported.revealed(bad, ends, window) / reported.revealed(reported.total, ends, window)
    return errors, events, (errors / events - true) / BUDGET[slo] * 100


def burn_error(server: Prometheus, reported: History, slo: str, window: int, at: float) -> float:
    """By how much a window's recorded tiles are off the truth, relative, at the last tile before `at`."""
    tile = "1m" if window <= 6 * HOUR else "5m"
    series = f'slo:events:increase{tile}{{slo="{slo}"}}'
    moment = value(server, f"max(timestamp({series}))", at)
    errors, events = counted(server, series, slo, window, moment)
    late = "" if tile == "1m" else " offset 1m"
    fine = value(server, f'max(timestamp(slo:events:increase1m{{slo="{slo}"}}{late}))', moment)
    bad = reported.slow if slo == "latency" else reported.errors
    ends = (fine - LAG) // STEP * STEP
    return (
        errors / events / (reported.revealed(bad, ends, window) / reported.revealed(reported.total, ends, window)) - 1
    )


def accuracy(place: Path, days: float) -> Iterable[str]:
    reported = history.write(place / "history.txt", days)
    data = load_openmetrics(place / "history.txt", place / "data")
    groups, _ = compile_specs(specs(place))
    backfill(place, data, groups, START, reported.end, most=2)
    period = min(30.0, days - 1)
    yield f"| {period:g} d, 24 series | rule | points of the budget off |"
    yield "|---|---|---|"
    with Prometheus(place, data=data) as server:
        for slo, budget in BUDGET.items():
            bad = reported.slow if slo == "latency" else reported.errors
            window = int(period * DAY)
            true = reported.revealed(bad, reported.end, window) / reported.revealed(
                reported.total, reported.end, window
            )
            mean = classic_ratio(slo, "5m")
            for name, expr in (
                ("average of ratios", f"avg_over_time(({mean})[{window}s:5m])"),
                ("average of ratios where there is traffic", f"avg_over_time(({mean} >= 0)[{window}s:5m])"),
                ("raw series over the window", classic_ratio(slo, f"{window}s")),
            ):
                yield f"| {slo} | {name} | {(value(server, expr, reported.end) - true) / budget * 100:+.3f} |"
            errors, events, off = period_error(server, reported, slo, period)
            yield f"| {slo} | tiles: {errors:,.0f} errors of {events:,.0f} | {off:+.5f} |"
        yield ""
        yield "| burn rate over | " + " | ".join(BUDGET) + " |"
        yield "|---|---|---|"
        for window in (HOUR, 6 * HOUR, 3 * DAY):
            offs = [
                max(abs(burn_error(server, reported, slo, window, reported.end - ago)) for ago in (0, 1800, 9 * HOUR))
                for slo in BUDGET
            ]
            yield f"| {format_duration(window * 1000)} | " + " | ".join(f"{off * 100:.4f} % off" for off in offs) + " |"


def cost(place: Path, series: Sequence[int], most: int = 60) -> Iterable[str]:
    yield "| series | rules | samples read per minute | ratio | evaluation time per minute | ratio |"
    yield "|---|---|---|---|---|---|"
    for number in series:
        # 2,400 series for three days would be 20 million lines of text: there the longest window is taken as three times a day.
        days = 3.2 if number <= 240 else 1.1
        here = place / str(number)
        here.mkdir()
        reported = history.write(here / "history.txt", days, instances=number // 6, rate=5, histogram=False)
        recent = _without_recent(here / "history.txt", here / "old.txt", reported.end)
        data = load_openmetrics(here / "old.txt", here / "data")
        groups, _ = compile_specs(load(_only_availability(here)))
        with Prometheus(here, data=data, flags=[remote.FLAG]) as server:
            remote.write(server, recent)
            ours = [0.0, 0.0]
            for group in groups:
                for rule in group.rules:
                    text = str(rule.expr)
                    read, took = _stats(server, text, reported.end - 1, most)
                    ours[0] += read * MINUTE / group.interval_ms
                    ours[1] += took * MINUTE / group.interval_ms
            theirs = [0.0, 0.0]
            asked = {window: classic_ratio("availability", window) for window in CLASSIC}
            asked["30d"] = "sum_over_time(classic:ratio_rate5m[30d]) / count_over_time(classic:ratio_rate5m[30d])"
            # It has its metadata and its alerts too.
            asked |= {f"constant {number}": "vector(1)" for number in range(5)}
            for severity, limit in (("page", 0.0144), ("ticket", 0.003)):
                both = f"classic:ratio_rate5m > {limit} and classic:ratio_rate5m > {limit}"
                asked[severity] = f"{both} or {both}"
            for window, text in asked.items():
                scale = 3 if window == "3d" and days < 3 else 1
                text = text.replace("[3d]", "[1d]") if scale == 3 else text
                read, took = _stats(server, text, reported.end - 1, most)
                theirs[0] += read * scale
                theirs[1] += took * scale
        yield f"| {number} | classic | {theirs[0]:,.0f} | | {theirs[1] * 1000:,.1f} ms | |"
        yield (
            f"| {number} | ours | {ours[0]:,.0f} | 1/{theirs[0] / ours[0]:.0f} | {ours[1] * 1000:,.2f} ms | "
            f"1/{theirs[1] / ours[1]:.0f} |"
        )


def _without_recent(
    history: Path, old: Path, end: float
) -> dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]:
    """Writes what a running server has in blocks, the recorded series with it; returns what it has in memory, by labels."""
    spans: dict[str, list[tuple[float, float]]] = {}
    with history.open() as lines, old.open("w") as file:
        for line in chain(lines, _recorded(int(end))):
            if line.startswith("#"):
                file.write(line if not line.startswith("# EOF") else "")
                continue
            name, sample, at = line.rsplit(" ", 2)
            if float(at) < end - IN_MEMORY:
                file.write(line)
            else:
                spans.setdefault(name, []).append((float(at), float(sample)))
        file.write("# EOF\n")
    history.unlink()
    by_labels = {}
    for name, samples in spans.items():
        metric, _, labels = name.partition("{")
        by_labels[("__name__", metric), *re.findall(r'(\w+)="([^"]*)"', labels)] = samples
    return by_labels


def _only_availability(place: Path) -> Path:
    file = place / "shop.yaml"
    file.write_text(DEFINITION.split("  - name: latency")[0])
    return file


def _recorded(end: int) -> Iterable[str]:
    """The recorded series of both rule sets, at the intervals at which they are recorded."""
    labels = '{service="shop",slo="availability"}'
    kept = [labels.replace("}", f',event="{event}"}}') for event in ("good", "bad")]
    for name, interval, length in (
        *((f"slo:events:increase1m{series}", 60, DAY) for series in kept),
        *((f"slo:events:increase5m{series}", 300, 30 * DAY) for series in kept),
        ("classic:ratio_rate5m", 60, 30 * DAY),
    ):
        yield f"# TYPE {name.partition('{')[0]} unknown\n"
        yield from (f"{name} {at // interval % 997} {at}\n" for at in range(end - length, end, interval))


def _stats(server: Prometheus, expr: str, at: float, most: int) -> tuple[float, float]:
    """(samples read, the least of `most` evaluation times in seconds, of long ones of three), as Prometheus reports them."""
    read, times = 0.0, list[float]()
    while len(times) < (most if sum(times) < _LONG else min(most, 3)):
        answer = json.loads(server.get("/api/v1/query", {"query": expr, "time": f"{at:.3f}", "stats": "all"}))
        stats = answer["data"]["stats"]
        read = stats["samples"]["totalQueryableSamples"]
        times.append(stats["timings"]["evalTotalTime"])
    return read, min(times)


# Outages long enough for each pair of windows to fire, by the share of failing requests: seconds.
OUTAGES = {1.0: HOUR, 0.1: 2 * HOUR, 0.01: 11 * HOUR, 0.002: 37 * HOUR}


def detection(place: Path, ratios: Sequence[float] = tuple(OUTAGES)) -> Iterable[str]:
    yield "| errors | alert | fires after: workbook | Prometheus | resets after: workbook | Prometheus |"
    yield "|---|---|---|---|---|---|"
    fired = scenario.outages(place, {ratio: OUTAGES[ratio] for ratio in ratios}, 3 * DAY + HOUR, 7 * HOUR)
    for ratio in ratios:
        for burn in scenario.windows_of(scenario.definition(place)):
            expected = scenario.workbook(burn, 0.001, ratio)
            name = f"{burn.severity} {format_duration(burn.long_ms)} and {format_duration(burn.short_ms)}"
            got = fired.get((ratio, format_duration(burn.long_ms)))
            if expected[1] <= 0 or got is None:
                yield f"| {ratio * 100:g} % | {name} | {'never' if expected[1] <= 0 else f'{expected[0]:,.0f} s'} | {'never' if got is None else 'fires'} | | |"
                continue
            after, reset = _span([series.after for series in got]), _span([series.reset for series in got])
            yield f"| {ratio * 100:g} % | {name} | {expected[0]:,.0f} s | {after} | {expected[1]:,.0f} s | {reset} |"


def _span(seconds: Sequence[float]) -> str:
    low, high = f"{min(seconds):,.0f}", f"{max(seconds):,.0f}"
    return f"{low} s" if low == high else f"{low} to {high} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["accuracy", "cost", "pages", "detection"])
    parser.add_argument("--days", type=float, default=40)
    parser.add_argument("--series", type=int, nargs="+", default=[24, 240, 2400])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        match chosen.table:
            case "accuracy":
                rows = accuracy(place, chosen.days)
            case "cost":
                rows = cost(place, chosen.series)
            case "pages":
                rows = scenario.first_pages_table(scenario.first_pages(place))
            case _:
                rows = detection(place)
        for row in rows:
            print(row, flush=True)


if __name__ == "__main__":
    main()
