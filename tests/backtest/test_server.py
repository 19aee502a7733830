"""The same alerts at the same evaluations as a real Prometheus with the same history: vmalert replays the rules on it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from slo.promql.rules import run_rules
from slo.promql.samples import is_stale
from slo.rules import compile_specs, to_yaml
from slo.source.openmetrics import write_openmetrics
from tests.backtest.history import START, definition, record
from tests.servers import Prometheus, binary, load_openmetrics

HOURS = 30
OUTAGES = [(8.0, 30.0, 0.15), (14.0, 4.0, 0.4), (20.0, 20.0, 1.0)]
CLASSIC = Path(__file__).parent / "classic.yml"
# What is replayed is written into the past.
CONFIG = "{storage: {tsdb: {out_of_order_time_window: 10y}}}\n"
States = dict[tuple[tuple[str, str], ...], set[int]]


def replayed(place: Path, rules: Mapping[str, Any], history: Path, start: int, end: int) -> States:
    """When which alert was pending or firing, by what vmalert wrote into the Prometheus that it asked."""
    file = place / "rules.yml"
    file.write_text(yaml.safe_dump(rules, sort_keys=False))
    data = load_openmetrics(history, place / "data")
    with Prometheus(place, data=data, config=CONFIG, flags=["--web.enable-remote-write-receiver"]) as server:
        moments = [datetime.fromtimestamp(at / 1000, UTC).isoformat().replace("+00:00", "Z") for at in (start, end)]
        done = subprocess.run(
            [
                str(binary("vmalert")), f"-rule={file}", f"-datasource.url={server.url}",
                f"-remoteWrite.url={server.url}", f"-replay.timeFrom={moments[0]}",
                f"-replay.timeTo={moments[1]}", "-replay.rulesDelay=400ms", "-remoteWrite.flushInterval=100ms",
                "-replay.maxDatapointsPerQuery=10000", "-disableAlertgroupLabel", "-replay.disableProgressBar",
                "-httpListenAddr=127.0.0.1:0",
            ],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        rows = server.query(f"ALERTS[{(end - start) // 1000 + 1}s]", end / 1000)
        found: States = {}
        for row in rows:
            labels = tuple(sorted(row["metric"].items()))
            found[labels] = {round(float(at) * 1000) for at, _ in row["values"]}
        return found


def ours(rules: Mapping[str, Any], history: Any, start: int, end: int) -> States:
    result = run_rules(rules, history.all(), start / 1000, end / 1000)
    assert not result.problems
    return {
        tuple(sorted(series.labels.items())): set(series.times[~is_stale(series.values)].tolist())
        for series in result.recorded.series
        if series.labels["__name__"] == "ALERTS"
    }


@pytest.mark.server
@pytest.mark.parametrize("which", ["classic", "own"])
def test_alerts_are_pending_and_firing_when_a_real_prometheus_says(tmp_path: Path, which: str) -> None:
    history = record(tmp_path, HOURS, OUTAGES)
    write_openmetrics(tmp_path / "history.txt", history.all())
    if which == "classic":
        rules = yaml.safe_load(CLASSIC.read_text())
    else:
        groups, _ = compile_specs(definition(tmp_path))
        rules = yaml.safe_load(to_yaml(groups))
        for group in rules["groups"]:
            for rule in group["rules"]:
                rule.pop("annotations", None)  # they ask for more, and change nothing
    start, end = START, START + HOURS * 3_600_000
    there, here = replayed(tmp_path, rules, tmp_path / "history.txt", start, end), ours(rules, history, start, end)
    states = {dict(labels)["alertstate"] for labels in there}
    assert states == ({"pending", "firing"} if which == "classic" else {"firing"})
    assert len(there) >= 3
    assert there == here
