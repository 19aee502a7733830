"""Rules over history on a real server: vmalert evaluates them there and writes what they record and fire."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.servers import Prometheus, VictoriaMetrics, binary

# What is replayed is written into the past.
CONFIG = "{storage: {tsdb: {out_of_order_time_window: 10y}}}\n"
FLAGS = ("--web.enable-remote-write-receiver",)
States = dict[tuple[tuple[str, str], ...], set[int]]


def replay(
    place: Path,
    rules: Mapping[str, Any],
    server: Prometheus | VictoriaMetrics,
    start: int,
    end: int,
    timeout: int = 240,
    delay: str = "300ms",
) -> None:
    """Evaluates rules from `start` to `end` (ms) on a VictoriaMetrics, or on a Prometheus with CONFIG and FLAGS.

    Annotations are left out. A rule finds what another one recorded only after a `delay`.
    """
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)  # they ask for more, and change nothing
    file = place / "replayed.yml"
    file.write_text(yaml.safe_dump(rules, sort_keys=False))
    moments = [datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z") for at in (start, end)]
    done = subprocess.run(
        [
            str(binary("vmalert")), f"-rule={file}", f"-datasource.url={server.url}", f"-remoteWrite.url={server.url}",
            f"-replay.timeFrom={moments[0]}", f"-replay.timeTo={moments[1]}", f"-replay.rulesDelay={delay}",
            "-remoteWrite.flushInterval=100ms", "-replay.maxDatapointsPerQuery=10000", "-disableAlertgroupLabel",
            "-replay.disableProgressBar", "-httpListenAddr=127.0.0.1:0",
        ],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def alerts(server: Prometheus | VictoriaMetrics, start: int, end: int) -> States:
    """At which evaluations (ms) which alert was pending or firing."""
    rows = server.query(f"ALERTS[{(end - start) // 1000 + 1}s]", end / 1000)
    return {tuple(sorted(row["metric"].items())): {round(float(at) * 1000) for at, _ in row["values"]} for row in rows}
