"""`python -m tests.backtest.benchmark`: a month of one SLO's classic rules, here and on real servers, in one run.

Seven windows from the raw series and four alerts, 24 series of 30 s scrapes over 30 d (and the 3 d before, which the
longest window reads), evaluated each 30 s.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from slo.backtest import run
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.source.openmetrics import write_openmetrics
from slo.source.recording import Header, Recording, write
from slo.spec.model import Specs
from tests.servers import Prometheus, VictoriaMetrics, binary, load_openmetrics, promtool

DAYS, WARM = 30, 3
START = 1_790_000_000_000 // 86_400_000 * 86_400_000
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
ALERTS = (("1h", "5m", 0.0144, "page"), ("6h", "30m", 0.006, "page"), ("1d", "2h", 0.003, "ticket"), ("3d", "6h", 0.001, "ticket"))  # fmt: skip


def history() -> Samples:
    random = np.random.default_rng(1)
    steps = (DAYS + WARM) * 2880
    ratio = np.full(steps, 0.0002)
    for day in range(WARM + 1, DAYS + WARM, 5):
        low = int(day * 2880 + random.integers(0, 2000))
        ratio[low : low + int(random.integers(20, 200))] = random.choice([0.02, 0.1, 0.5])
    rows = []
    for instance in range(4):
        times = START + 30_000 * np.arange(1, steps + 1) + 1700 * instance
        total = random.poisson(600, steps)
        bad = random.binomial(total, ratio)
        parts = random.multinomial(total - bad, [0.6, 0.2, 0.15, 0.05]).T
        late = random.binomial(bad, 0.3)
        for code, events in zip(("200", "201", "204", "404", "500", "503"), (*parts, bad - late, late), strict=True):
            labels = {"__name__": "requests_total", "job": "shop", "instance": f"i{instance}", "code": code}
            rows.append((labels, times, np.cumsum(events).astype(float)))
    return Samples.from_series(rows)


def group(interval: str, alerts: bool = True) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [
        {
            "record": f"slo:sli_error:ratio_rate{window}",
            "expr": f'sum(rate(requests_total{{code=~"5.."}}[{window}])) / sum(rate(requests_total[{window}]))',
        }
        for window in WINDOWS
    ]
    for long, short, threshold, severity in ALERTS if alerts else ():
        expr = f"slo:sli_error:ratio_rate{long} > {threshold} and slo:sli_error:ratio_rate{short} > {threshold}"
        rules.append({"alert": f"Burn{long}", "expr": expr, "labels": {"severity": severity}})
    return {"groups": [{"name": "classic", "interval": interval, "rules": rules}]}


def timed(what: str, action: Any, times: int = 1) -> float:
    """The median."""
    each = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        each.append(time.perf_counter() - begun)
    took = sorted(each)[times // 2]
    print(f"{what:70s} {took:8.2f} s", flush=True)
    return took


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        samples = history()
        first, last = START + WARM * 86_400_000, START + (WARM + DAYS) * 86_400_000
        write(place / "r.parquet", samples, Header(START, last, "benchmark"))
        for name, interval, alerts in (("half", "30s", True), ("minute", "1m", True), ("recordings", "30s", False)):
            (place / f"{name}.yml").write_text(yaml.safe_dump(group(interval, alerts), sort_keys=False))

        def here(name: str) -> None:
            recording = Recording.open(place / "r.parquet")
            run(Specs([]), recording, rules=[place / f"{name}.yml"], start=first, end=last, incidents="found")

        run_rules(group("30s"), samples, last / 1000 - 3600, last / 1000)  # imports
        ours = {name: timed(f"here, from disk, rules of {name}", lambda name=name: here(name), 5) for name in ("half", "minute")}  # fmt: skip
        write_openmetrics(place / "r.txt", samples)
        moments = [datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z") for at in (first, last)]
        with VictoriaMetrics(place) as server:
            server.load(place / "r.txt")
            command = [
                str(binary("vmalert")), f"-rule={place / 'minute.yml'}", f"-datasource.url={server.url}",
                f"-remoteWrite.url={server.url}", f"-replay.timeFrom={moments[0]}", f"-replay.timeTo={moments[1]}",
                "-replay.disableProgressBar", "-httpListenAddr=127.0.0.1:0",
            ]  # fmt: skip
            replay = timed("vmalert replays each 1 m on VictoriaMetrics", lambda: subprocess.run(command, check=True, capture_output=True))  # fmt: skip
        print(f"{'ratio, rules each 1 m':70s} {replay / ours['minute']:8.0f}")
        data = load_openmetrics(place / "r.txt", place / "data")
        with Prometheus(place, data=data) as prometheus:

            def backfill() -> None:
                done = promtool(
                    "tsdb", "create-blocks-from", "rules", f"--url={prometheus.url}", f"--start={first // 1000}",
                    f"--end={last // 1000}", f"--output-dir={place / 'out'}", "--eval-interval=30s",
                    place / "recordings.yml", timeout=3600,
                )  # fmt: skip
                assert done.returncode == 0, done.stderr

            blocks = timed("promtool tsdb create-blocks-from rules, recordings each 30 s", backfill)
        print(f"{'ratio, rules each 30 s':70s} {blocks / ours['half']:8.0f}")


if __name__ == "__main__":
    main()
