"""The five systems, end to end: history as blocks in a real Prometheus, the generated rules backfilled on it.

Every planted incident fires exactly the alerts that it must, with the right severity, and nothing fires alongside; what
`slo status` says through the server and through the recording is the simulation's truth.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.backtest.policy import of_definitions
from slo.promql.dependencies import needed_by_alerts
from slo.promql.rules import run_rules
from slo.promql.samples import is_stale
from slo.rules import AlertRule, alert_windows, compile_specs, to_yaml
from slo.sli.freshness import Freshness
from slo.sli.latency import Latency
from slo.sli.outage import Outage
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.threshold import Threshold
from slo.source.openmetrics import write_openmetrics
from slo.source.recording import Recording, write
from slo.source.simulation import simulate
from slo.source.simulation.scenario import read_scenario
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, HOUR, MINUTE, format_duration
from tests.quick_yaml import read_yaml
from tests.servers import Prometheus, load_openmetrics, promtool
from tests.servers.replay import CONFIG, FLAGS, States, alerts, replay
from tests.shell import run as slo
from tests.systems.expected import SYSTEMS

HERE = Path(__file__).parent
DEFINITIONS = HERE.parent.parent / "definitions"
DAYS = 10
# All in one calendar month: 12 to 22 October 2026, UTC.
END = 1_792_627_200_000
START = END - DAYS * DAY
# A scrape, its lag, a tile and an evaluation, each of 5 m where the window is a slow one's.
LATE_MS = 20 * MINUTE
# All of this one's rules are replayed, those of the window too.
WHOLE = "hitl-api"
pytestmark = pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")


@dataclass
class System:
    """A server that holds a system's history and what its rules did over it; the recording of the same history."""

    name: str
    specs: Specs
    place: Path
    recording: Recording
    server: Prometheus
    states: States
    replayed: dict[str, Any]


@pytest.fixture(scope="module", params=sorted(SYSTEMS))
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    name: str = request.param
    place = tmp_path_factory.mktemp(name)
    specs = load(DEFINITIONS / f"{name}.yaml")
    scenario = read_scenario(HERE / f"{name}.yaml", specs)
    samples, header = simulate(specs, days=DAYS, seed=1, end_ms=END, scenario=scenario)
    write(place / "r.parquet", samples, header)
    write_openmetrics(place / "r.txt", samples)
    data = load_openmetrics(place / "r.txt", place / "data")
    groups, _ = compile_specs(specs)
    file = place / "rules.yml"
    file.write_text(to_yaml(groups))
    rules = read_yaml(file.read_text())
    if name != WHOLE:
        # What no alert reads is left out of the replay, not of the server's rules.
        needed = needed_by_alerts(of_definitions(specs).groups)
        wanted = {(group.name, rule.name, frozenset(rule.labels)) for group in needed for rule in group.rules}
        for group in rules["groups"]:
            group["rules"] = [rule for rule in group["rules"] if _key(group, rule) in wanted]
        rules["groups"] = [group for group in rules["groups"] if group["rules"]]
    with Prometheus(place, data=data, config=CONFIG, flags=FLAGS, rules=[file]) as server:
        replay(place, rules, server, START, END, timeout=600)
        yield System(name, specs, place, Recording.open(place / "r.parquet"), server, alerts(server, START, END), rules)


def _key(group: dict[str, Any], rule: dict[str, Any]) -> tuple[str, str, frozenset[tuple[str, str]]]:
    return group["name"], rule.get("record") or rule["alert"], frozenset((rule.get("labels") or {}).items())


def firings(states: States, step_of: dict[str, int]) -> list[tuple[str, int, int]]:
    """(alert as in `expected`, first evaluation at which it fires, first one at which it no longer does)."""
    faults = []
    for held, times in states.items():
        labels = dict(held)
        if labels["alertstate"] != "firing":
            continue
        burn = labels["alertname"] == "ErrorBudgetBurn"
        shown = " ".join(
            [labels["slo"], labels["window"].replace(" ", ""), labels["severity"]]
            if burn
            else [labels["alertname"], labels["severity"]]
        )
        step = step_of[f"{labels['slo']} {labels['window']}" if burn else labels["alertname"]]
        ordered = sorted(times)
        first = ordered[0]
        for at, following in zip(ordered, [*ordered[1:], ordered[-1] + 10 * step], strict=True):
            if following - at > step:
                faults.append((shown, first, at + step))
                first = following
    return faults


@pytest.mark.server
def test_every_incident_fires_what_it_must_and_nothing_fires_alongside(system: System) -> None:
    truth = system.recording.header.truth
    incidents = {
        (incident.get("slo", incident.get("alert")).partition("/")[2], incident["kind"]): (
            incident["start_ms"],
            incident["end_ms"],
        )
        for incident in (*truth["incidents"], *truth.get("alerts", ()))
        if "of" not in incident  # what another SLO planned on the same metrics
    }
    # Pairs of windows of one severity are one alert: `1h,6h` for each of both.
    merged: dict[str, str] = {}
    for group in compile_specs(system.specs)[0]:
        for rule in group.rules:
            for burn in rule.burns if isinstance(rule, AlertRule) else ():
                merged[f"{group.slo} {format_duration(burn.long_ms)}"] = rule.labels["window"].replace(" ", "")

    def shown_as(alert: str) -> str:
        slo, *rest = alert.split()
        return " ".join([slo, merged[f"{slo} {rest[0]}"], *rest[1:]]) if f"{slo} {rest[0]}" in merged else alert

    expected = {key: {shown_as(alert) for alert in alerts_of} for key, alerts_of in SYSTEMS[system.name].items()}
    assert set(incidents) == set(expected)
    step_of: dict[str, int] = {}
    shorts: dict[str, int] = {}
    for group in compile_specs(system.specs)[0]:
        for rule in group.rules:
            if isinstance(rule, AlertRule):
                key = f"{group.slo} {rule.labels['window']}" if rule.burns else rule.name
                step_of[key] = group.interval_ms
    for spec in system.specs.values():
        for burn in alert_windows(spec):
            key = f"{spec.name} {merged.get(f'{spec.name} {format_duration(burn.long_ms)}')}"
            shorts[key] = max(burn.short_ms, shorts.get(key, 0))
    fired: dict[tuple[str, str], set[str]] = {key: set() for key in expected}
    for shown, start, end in firings(system.states, step_of):
        # A plain alert looks back over no more than 15 m.
        reset = shorts.get(" ".join(shown.split()[:2]), 15 * MINUTE)
        reported = [
            key
            for key, (begins, ends) in incidents.items()
            if shown in expected[key] and begins < start <= ends + LATE_MS and end <= ends + reset + LATE_MS
        ]
        assert len(reported) == 1, f"{shown} fired from hour {(start - START) / HOUR:.2f} to {(end - START) / HOUR:.2f}"
        fired[reported[0]].add(shown)
    assert fired == expected


@pytest.mark.server
def test_the_embedded_engine_records_and_fires_the_same_at_the_same_evaluations(system: System) -> None:
    result = run_rules(system.replayed, system.recording.all(), START / 1000, END / 1000)
    assert not result.problems
    here: dict[tuple[tuple[str, str], ...], tuple[Any, Any]] = {}
    for series in result.recorded.series:
        kept = ~is_stale(series.values)
        here[tuple(sorted(series.labels.items()))] = series.times[kept], series.values[kept]
    fired = {labels: set(times.tolist()) for labels, (times, _) in here.items() if dict(labels)["__name__"] == "ALERTS"}
    assert fired == system.states
    recorded = 0
    for name in sorted({dict(labels)["__name__"] for labels in here if dict(labels)["__name__"].startswith("slo")}):
        for row in system.server.query(f"{name}[{(END - START) // 1000 + 1}s]", END / 1000):
            times, values = here[tuple(sorted(row["metric"].items()))]
            assert [round(float(at) * 1000) for at, _ in row["values"]] == times.tolist()
            np.testing.assert_allclose([float(value) for _, value in row["values"]], values, rtol=1e-12)
            recorded += 1
    assert recorded == sum(dict(labels)["__name__"].startswith("slo") for labels in here) > 40


@pytest.mark.server
def test_the_rules_are_clean_and_the_server_takes_them(system: System) -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", system.place / "rules.yml")
    assert said.returncode == 0, said.stdout + said.stderr
    loaded = system.server.rule_groups()
    groups, _ = compile_specs(system.specs)
    assert {group["name"]: len(group["rules"]) for group in loaded} == {g.name: len(g.rules) for g in groups}
    assert {rule["health"] for group in loaded for rule in group["rules"]} <= {"ok", "unknown"}


def status(system: System, source: str) -> dict[str, dict[str, Any]]:
    """`slo status --json`, by the SLO's name."""
    done = slo("status", DEFINITIONS / f"{system.name}.yaml", "--source", source, "--end", str(END // 1000), "--json")
    assert done.returncode == 0, done.stderr
    return {entry["name"]: entry for entry in json.loads(done.stdout)["slos"]}


@pytest.mark.server
def test_status_tells_the_truth_through_the_recording_and_through_the_server(system: System) -> None:
    truth = system.recording.header.truth
    here, there = status(system, system.recording.name), status(system, system.server.url)
    for spec in system.specs.values():
        one, other = here[spec.name], there[spec.name]
        spans = [i for i in truth["incidents"] if i["slo"] == spec.id]
        if isinstance(spec.sli, Ratio | Latency | Probe):
            revealed = truth["slos"][spec.id]["revealed"]
            hours = min(spec.window.nominal_ms, END - START) // HOUR
            errors, total = (sum(revealed[f"hourly_{what}"][-hours:]) for what in ("errors", "total"))
            assert (one["events"]["errors"], one["events"]["total"]) == (errors, total)
            assert one["sli"] == pytest.approx(1 - errors / total, abs=1e-12)
            budget = float(spec.objective.error_budget)
            assert one["error_budget"]["remaining"] == pytest.approx(1 - errors / total / budget, abs=1e-9)
            last = [sum(revealed[f"hourly_{what}"][-6:]) for what in ("errors", "total")]
            assert one["burn_rates"]["6h"] == pytest.approx(last[0] / last[1] / budget, abs=1e-9)
        if isinstance(spec.sli, Latency):
            # The threshold is a bucket's bound: more than 1 - q above it puts the quantile q above it, and no less.
            slow = one["events"]["errors"] / one["events"]["total"]
            for name, seconds in one["percentiles_seconds"].items():
                assert (seconds > float(spec.sli.threshold_seconds)) == (slow > 1 - int(name[1:]) / 100)
        if isinstance(spec.sli, Outage):
            outages = [
                i for i in truth["incidents"]
                if i["slo"] == f"{spec.service}/{spec.sli.of_name}" and i["errors"] >= float(spec.sli.down_ratio) * i["total"]
            ]  # fmt: skip
            lengths = [(i["end_ms"] - i["start_ms"]) / 1000 for i in outages]
            outage_seconds = [outage["seconds"] for outage in one["outages"]]
            slice_s = spec.sli.slice_ms / 1000
            assert outage_seconds == [pytest.approx(length, abs=2 * slice_s) for length in lengths]
            assert one["mttr_seconds"] == pytest.approx(sum(lengths) / len(lengths), abs=2 * slice_s)
            bad = sum(max(0.0, length - spec.sli.longest_ms / 1000) for length in lengths) / slice_s
            assert one["events"]["errors"] == pytest.approx(bad, abs=2 * len(lengths))
        if isinstance(spec.sli, Freshness):
            stale = sum(i["end_ms"] - i["start_ms"] for i in spans) / spec.sli.slice_ms
            assert one["events"]["errors"] == pytest.approx(stale, abs=len(spans))
        if isinstance(spec.sli, Threshold) and spec.name != "memory":  # which is crossed somewhere on its way up
            each = one["events"]["total"] / ((END - START) / spec.sli.slice_ms)
            beyond = sum(i["end_ms"] - i["start_ms"] for i in spans) / spec.sli.slice_ms * round(each)
            # A rate over 2m is between two states for 2m at each end.
            assert one["events"]["errors"] == pytest.approx(beyond, abs=5 * len(spans) * max(1, round(each)))
        # Through the server: the same samples, so the same figures.
        for path in (("events", "errors"), ("events", "total"), ("burn_rates", "1h"), ("burn_rates", "3d")):
            assert other[path[0]][path[1]] == pytest.approx(one[path[0]][path[1]], rel=1e-9), (spec.name, path)
        assert other["state"] == one["state"]
        for name in ("sli", "percentiles_seconds", "mttr_seconds", "mtbf_seconds"):
            assert other[name] == (None if one[name] is None else pytest.approx(one[name], rel=1e-9))
        assert [o["seconds"] for o in other["outages"]] == [o["seconds"] for o in one["outages"]]
