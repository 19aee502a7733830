"""Scenarios: what is written happens, and nothing else; faults are named with their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slo.errors import DefinitionError, SloError
from slo.promql.parse import parse_selector
from slo.promql.samples import Samples
from slo.source.simulation import simulate
from slo.source.simulation.scenario import known_events, read_scenario
from slo.spec.events import read_events
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, HOUR

END = 1_790_000_000_000 // DAY * DAY
START = END - 2 * DAY
DEFINITION = """\
service: shop
slos:
  - name: errors
    objective: 99
    sli: {ratio: {errors: 'r_total{code=~"5.."}', total: r_total}}
  - name: memory
    objective: 99
    sli: {threshold: {value: memory_bytes, below: 1GiB}}
  - name: traffic
    objective: 99
    sli: {threshold: {value: 'sum(rate(r_total[2m]))', at_least: '100'}}
  - name: backup
    objective: 99
    sli: {freshness: {metric: backup_seconds, max_age: 6h}}
alerts:
  - {name: CrashLoop, expr: 'rate(restarts_total[15m]) > 0'}
"""
SCENARIO = """\
traffic: {per_second: 50, steady: true}
incidents:
  - {slo: errors, kind: outage, at: 6h, lasts: 30m}
  - {slo: shop/memory, kind: leak, at: 10h, lasts: 5h, level: 1.5, ramp: true}
  - {slo: traffic, kind: drop, at: 20h, lasts: 1h, level: 0.4}
  - {slo: backup, kind: missed backup, at: 30h, lasts: 3h}
  - {alert: CrashLoop, kind: crash loop, at: 40h, lasts: 20m}
  - {kind: gap, at: 42h, lasts: 10m}
"""


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "shop.yaml").write_text(DEFINITION)
    return load(tmp_path / "d")


def within(samples: Samples, selector: str, start_h: float, end_h: float) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = []
    for series in samples.select(parse_selector(selector)):
        inside = (series.times > START + start_h * HOUR) & (series.times <= START + end_h * HOUR)
        rows.append((series.times[inside], series.values[inside]))
    return rows


def test_what_is_written_happens_and_nothing_else(tmp_path: Path, specs: Specs) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    samples, header = simulate(specs, days=2, seed=1, end_ms=END, scenario=read_scenario(tmp_path / "s.yaml", specs))
    [outage] = [i for i in header.truth["incidents"] if i["kind"] == "outage"]
    assert outage["errors"] == outage["total"] > 4 * 50 * 1800 * 0.9
    revealed = header.truth["slos"]["shop/errors"]["revealed"]
    bad = [e / t for e, t in zip(revealed["hourly_errors"], revealed["hourly_total"], strict=True)]
    assert [hour for hour, ratio in enumerate(bad) if ratio > 0.003] == [6]
    for times, values in within(samples, "memory_bytes", 0, 48):
        over = times[values > 2**30]
        # From 0.7 to 1.5 bounds in 5 h: beyond the bound after three eighths of it, give or take its noise.
        assert START + 10 * HOUR + 1.2 * HOUR < over[0] < START + 12.5 * HOUR
        assert over[-1] <= START + 15 * HOUR
    rates = [(values[-1] - values[0]) / 3600 for _, values in within(samples, 'r_total{code="200"}', 20, 21)]
    assert 0.35 * 200 * 0.9 < sum(rates) < 0.45 * 200
    [(times, last)] = within(samples, "backup_seconds", 0, 48)
    stale = times[times / 1000 - last > 6 * 3600]
    assert abs(int(stale[0]) - (START + 30 * HOUR)) <= 60_000 and abs(int(stale[-1]) - (START + 33 * HOUR)) <= 60_000
    counted = [values[-1] - values[0] for _, values in within(samples, "restarts_total", 39, 41)]
    assert sorted(counted) == [0, 0, 0, 10]
    assert all(values[-1] == values[0] for _, values in within(samples, "restarts_total", 0, 39))
    assert all(not len(times) for times, _ in within(samples, "r_total", 42.01, 42.16))
    assert header.truth["alerts"][0]["alert"] == "shop/CrashLoop"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("incident: []\n", r"unknown key `incident`; did you mean `incidents`\?"),
        ("incidents: [{slo: eror, kind: x, at: 1h, lasts: 1h}]\n", r"incidents\[0\]\.slo: 'eror' is not an SLO"),
        ("incidents: [{alert: Crash, kind: x, at: 1h, lasts: 1h}]\n", r"'Crash' is not an alert"),
        ("incidents: [{slo: errors, kind: x, at: soon, lasts: 1h}]\n", "'soon' is not a valid duration"),
        ("incidents: [{slo: errors, kind: x, at: 1h}]\n", "`lasts` is missing"),
        (
            "incidents: [{slo: errors, kind: x, at: 1h, lasts: 1h, error_ratio: 300%}]\n",
            "300% is not a share of events",
        ),
        (
            "incidents: [{slo: errors, kind: x, at: 1h, lasts: 1h, levl: 2}]\n",
            r"unknown key `levl`; did you mean `level`\?",
        ),
        ("traffic: {per_second: many}\n", "'many' is not a valid quantity"),
        ("- 1\n", "a scenario is one mapping"),
        ("labels: {shop: {instance: [a, b]}}\n", r"labels\.shop\.instance: 'instance' cannot be added"),
        ("labels: {shop: {route: [a, a]}}\n", r"labels\.shop\.route: a label has 1 to 20 values, each another"),
        ("labels: {shop: {route: []}}\n", "a label has 1 to 20 values"),
    ],
)
def test_faults_say_where_and_what(tmp_path: Path, specs: Specs, text: str, message: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(DefinitionError, match=message):
        read_scenario(tmp_path / "s.yaml", specs)


def test_an_incident_may_be_of_one_instance(tmp_path: Path, specs: Specs) -> None:
    """Half of the requests of one of four instances fail for an hour: its own errors are nearly all of the hour's."""
    text = 'incidents: [{slo: errors, kind: bad release, at: 6h, lasts: 1h, error_ratio: 50%, instance: "shop-2:8080"}]'
    (tmp_path / "s.yaml").write_text(text)
    samples, header = simulate(specs, days=1, seed=1, end_ms=END, scenario=read_scenario(tmp_path / "s.yaml", specs))
    grown: dict[str, float] = {}
    for series in samples.select(parse_selector('r_total{code=~"5.."}')):
        inside = (series.times > END - DAY + 6 * HOUR) & (series.times <= END - DAY + 7 * HOUR)
        values = series.values[inside & np.isfinite(series.values)]
        grown[series.labels["instance"]] = (
            grown.get(series.labels["instance"], 0) + float(np.ptp(values)) if len(values) else 0.0
        )
    assert grown["shop-2:8080"] > 0.9 * sum(grown.values()) > 100
    [incident] = header.truth["incidents"]
    assert incident["errors"] / incident["total"] == pytest.approx(0.125, rel=0.2)
    (tmp_path / "s.yaml").write_text(text.replace("shop-2", "shop-9"))
    with pytest.raises(SloError, match=r"incident of shop/errors names instance 'shop-9:8080'.*did you mean"):
        simulate(specs, days=1, seed=1, end_ms=END, scenario=read_scenario(tmp_path / "s.yaml", specs))


def test_deployments_and_maintenance_become_an_events_file(tmp_path: Path, specs: Specs) -> None:
    (tmp_path / "s.yaml").write_text(
        "incidents: [{slo: errors, kind: maintenance, at: 6h, lasts: 1h}]\n"
        "events: [{kind: deployment, at: 3h}, {kind: crash loop, at: 4h, lasts: 10m}]\n"
    )
    scenario = read_scenario(tmp_path / "s.yaml", specs)
    (tmp_path / "events.yaml").write_text(known_events(scenario, specs, START, END))
    events = read_events(tmp_path / "events.yaml")
    assert [(e.kind, e.start_ms - START, e.end_ms - e.start_ms, e.slo) for e in events] == [
        ("deployment", 3 * HOUR, 300_000, "*"),
        ("maintenance", 6 * HOUR, HOUR, "shop/errors"),
    ]


def test_the_demonstration_is_a_believable_month() -> None:
    """No SLO fails all the while, few are in trouble, and there is one bad instance at least, deployments and a maintenance."""
    root = Path(__file__).parent.parent.parent
    specs = load(root / "definitions")
    scenario = read_scenario(root / "reports" / "demo.yaml", specs)
    spans = [span for value in scenario.slos.values() for span in value]
    assert max(span.end_ms - span.start_ms for span in spans) <= 4 * DAY
    assert sum(span.start_ms > 33 * DAY for span in spans) >= 10 and max(span.end_ms for span in spans) <= 40 * DAY
    assert len({span.instance for span in spans if span.instance}) >= 3
    known = known_events(scenario, specs, START, START + 40 * DAY)
    assert known.count('"deployment"') >= 3 and known.count('"maintenance"') == 1


def test_an_incident_may_be_of_one_route(tmp_path: Path, specs: Specs) -> None:
    """A fifth of all requests fail for an hour, all of one route: what is good of it, and of the others, goes on."""
    text = (
        'labels: {shop: {route: ["/", "/pay", "/export"]}}\n'
        "incidents: [{slo: errors, kind: bad release, at: 6h, lasts: 1h, error_ratio: 20%, labels: {route: /export}}]"
    )
    (tmp_path / "s.yaml").write_text(text)
    samples, header = simulate(specs, days=1, seed=1, end_ms=END, scenario=read_scenario(tmp_path / "s.yaml", specs))

    def grown(selector: str) -> dict[str, float]:
        sums: dict[str, float] = {}
        for series in samples.select(parse_selector(selector)):
            inside = (series.times > END - DAY + 6 * HOUR) & (series.times <= END - DAY + 7 * HOUR)
            values = series.values[inside & np.isfinite(series.values)]
            route = series.labels["route"]
            sums[route] = sums.get(route, 0) + (float(np.ptp(values)) if len(values) else 0.0)
        return sums

    bad, every = grown('r_total{code=~"5.."}'), grown("r_total")
    assert set(every) == {"/", "/pay", "/export"}
    assert bad["/export"] > 0.98 * sum(bad.values())
    assert sum(bad.values()) == pytest.approx(0.2 * sum(every.values()), rel=0.05)
    [incident] = header.truth["incidents"]
    assert incident["errors"] / incident["total"] == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("slo", ["errors", "memory"])
def test_an_incident_of_a_route_that_no_event_has_is_refused(tmp_path: Path, specs: Specs, slo: str) -> None:
    text = f"incidents: [{{slo: {slo}, kind: x, at: 6h, lasts: 1h, labels: {{route: /export}}}}]"
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(
        SloError, match=f"an incident of shop/{slo} is of route='/export', which none of its bad events"
    ):
        simulate(specs, days=1, seed=1, end_ms=END, scenario=read_scenario(tmp_path / "s.yaml", specs))


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ("{shp: {route: [a]}}", "'route' to the job 'shp': no such job is simulated.*did you mean `shop`"),
        ("{shop: {code: [a]}}", "'code' to the job 'shop': its counters of events have that label"),
    ],
)
def test_a_label_that_nothing_takes_is_refused(tmp_path: Path, specs: Specs, labels: str, why: str) -> None:
    (tmp_path / "s.yaml").write_text(f"labels: {labels}")
    with pytest.raises(SloError, match=why):
        simulate(specs, days=1, seed=1, end_ms=END, scenario=read_scenario(tmp_path / "s.yaml", specs))
