"""The same alerts at the same evaluations as a real Prometheus with the same history."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.backtest import run
from slo.promql.rules import run_rules
from slo.promql.samples import is_stale
from slo.rules import compile_specs, to_yaml
from slo.source import open as open_source
from slo.source.openmetrics import write_openmetrics
from tests.backtest.history import START, definition, record
from tests.quick_yaml import read_yaml
from tests.servers import Prometheus, load_openmetrics
from tests.servers.replay import CONFIG, FLAGS, alerts, replay

HOURS = 30
OUTAGES = [(8.0, 30.0, 0.15), (14.0, 4.0, 0.4), (20.0, 20.0, 1.0)]
CLASSIC = Path(__file__).parent / "classic.yml"


@pytest.mark.server
@pytest.mark.parametrize("which", ["classic", "own"])
def test_alerts_are_pending_and_firing_when_a_real_prometheus_says(tmp_path: Path, which: str) -> None:
    history = record(tmp_path, HOURS, OUTAGES)
    write_openmetrics(tmp_path / "history.txt", history.all())
    if which == "classic":
        rules = read_yaml(CLASSIC.read_text())
    else:
        rules = read_yaml(to_yaml(compile_specs(definition(tmp_path))[0]))
    start, end = START, START + HOURS * 3_600_000
    result = run_rules(rules, history.all(), start / 1000, end / 1000)
    assert not result.problems
    here = {
        tuple(sorted(series.labels.items())): set(series.times[~is_stale(series.values)].tolist())
        for series in result.recorded.series
        if series.labels["__name__"] == "ALERTS"
    }
    data = load_openmetrics(tmp_path / "history.txt", tmp_path / "data")
    with Prometheus(tmp_path, data=data, config=CONFIG, flags=FLAGS) as server:
        replay(tmp_path, rules, server, start, end)
        there = alerts(server, start, end)
    states = {dict(labels)["alertstate"] for labels in there}
    assert states == ({"pending", "firing"} if which == "classic" else {"firing"})
    assert len(there) >= (3 if which == "classic" else 2)  # our own: a page and a ticket
    assert there == here


@pytest.mark.server
def test_through_a_server_the_backtest_is_that_of_the_recording(tmp_path: Path) -> None:
    history, specs = record(tmp_path, HOURS, OUTAGES), definition(tmp_path)
    write_openmetrics(tmp_path / "history.txt", history.all())
    data = load_openmetrics(tmp_path / "history.txt", tmp_path / "data")
    start, end = START + 3_600_000, START + HOURS * 3_600_000
    here = run(specs, history, rules=[CLASSIC], start=start, end=end)
    with Prometheus(tmp_path, data=data) as server:
        there = run(specs, open_source(server.url), rules=[CLASSIC], start=start, end=end)
    assert [policy.score.caught for policy in here.policies] == [3, 3]
    for played, other in zip(here.policies, there.policies, strict=True):
        assert played.score == other.score
        assert played.outcomes["shop/availability"].intervals == other.outcomes["shop/availability"].intervals
        assert played.outcomes["shop/availability"].caught == other.outcomes["shop/availability"].caught
