"""A real Prometheus that scrapes itself, with the generated rules loaded, under real requests, some of them failing."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slo.budget.evaluate import evaluate
from slo.rules import compile_specs, to_yaml
from slo.source import open as open_source
from slo.spec.load import load
from slo.spec.model import Specs
from tests.servers import Prometheus, promtool, wait_until
from tests.shell import run as slo

DEFINITION = Path(__file__).parent.parent.parent / "definitions" / "prometheus.yaml"
CONFIG = """\
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: [$ADDRESS]}]
"""
# Rules of long windows are evaluated every 5 m: `make slow` waits for all of them. Otherwise the load lasts for as long as it
# takes to count, and the rules are evaluated so often that each has been: what they record is then no sum of tiles.
SECONDS_UNDER_LOAD = int(os.environ.get("SLO_LIVE_SECONDS", "15"))
OFTEN = SECONDS_UNDER_LOAD < 300
EVERY = 5
waits = pytest.mark.skipif(OFTEN, reason="slow: rules at their own intervals; make slow runs it")


@dataclass
class Live:
    """A server after its load, the moment to ask for, and what the load did."""

    server: Prometheus
    definition: Path
    specs: Specs
    end: int
    failed: int


def ask(server: Prometheus, failing: bool) -> bool:
    """Whether the answer was a 5xx."""
    # Three and a half million steps cannot be done within 50 ms: a time-out, which is a 503. On a machine so busy that
    # the time is over before the query begins, the server calls it a 400.
    slow = {"query": "count(count_over_time(vector(1)[1h:1ms]))", "timeout": "0.05"}
    parameters = slow if failing else {"query": "up"}
    try:
        server.get("/api/v1/query", parameters)
    except urllib.error.HTTPError as error:
        assert failing, error
        assert error.code in (400, 503), error
        return error.code == 503
    assert not failing
    return False


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    place = tmp_path_factory.mktemp("live")
    definition = place / "prometheus.yaml"
    definition.write_text(DEFINITION.read_text().replace("scrape_interval: 30s", "scrape_interval: 1s"))
    specs = load(definition)
    groups, _ = compile_specs(specs)
    rules = place / "rules.yml"
    text = to_yaml(groups, ["prometheus.yaml"])
    rules.write_text(re.sub(r"interval: \d+m", f"interval: {EVERY}s", text) if OFTEN else text)
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", rules)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with Prometheus(place, config=CONFIG, rules=[rules]) as server:
        wait_until(lambda: server.query("up", time.time()), "the first scrape")
        time.sleep(2)
        sent, failed, done = 0, 0, time.monotonic() + SECONDS_UNDER_LOAD
        while time.monotonic() < done:
            failing = sent % 20 == 19
            sent, failed = sent + 1, failed + ask(server, failing)
            time.sleep(0.01)
        time.sleep(2)
        yield Live(server, definition, specs, int(time.time()) * 1000, failed)


def own_count(server: Prometheus, selector: str, end_ms: int) -> float:
    """What the server's counters say happened between its first and its last scrape, by its raw samples."""
    total = 0.0
    rows = server.query(f"{selector}[1h]", end_ms / 1000)
    # A series that was not there at the first scrape was born at zero: its first value is part of what happened.
    [up] = server.query("up[1h]", end_ms / 1000)
    first = up["values"][0][0]
    for row in rows:
        values = [float(value) for _, value in row["values"]]
        total += values[-1] - (values[0] if row["values"][0][0] == first else 0.0)
    return total


@pytest.mark.server
def test_event_counts_equal_the_servers_own_counters(live: Live) -> None:
    source = open_source(live.server.url)
    budget = evaluate(live.specs["prometheus/api-availability"], source, live.end)
    assert live.failed > 20
    assert (
        budget.errors == live.failed == own_count(live.server, 'prometheus_http_requests_total{code=~"5.."}', live.end)
    )
    assert budget.total == own_count(live.server, "prometheus_http_requests_total", live.end)


@pytest.mark.server
def test_latency_and_scrapes_are_counted_too(live: Live) -> None:
    source = open_source(live.server.url)
    latency = evaluate(live.specs["prometheus/query-latency"], source, live.end)
    buckets = 'prometheus_http_request_duration_seconds_bucket{handler="/api/v1/query",le="%s"}'
    assert latency.total == own_count(live.server, buckets % "+Inf", live.end) > 400
    assert latency.good == own_count(live.server, buckets % "1.0", live.end)
    assert latency.quantiles["p50"] is not None
    scrapes = evaluate(live.specs["prometheus/scrape-success"], source, live.end)
    [row] = live.server.query("up[1h]", live.end / 1000)
    assert (scrapes.total, scrapes.errors) == (len(row["values"]), 0)


@pytest.mark.server
def test_the_rules_evaluate_without_a_complaint(live: Live) -> None:
    groups = live.server.rule_groups()
    assert {group["interval"] for group in groups} == ({EVERY} if OFTEN else {60, 300})
    rules = [rule for group in groups for rule in group["rules"]]
    assert {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}
    [failures] = live.server.query("sum(prometheus_rule_evaluation_failures_total)", live.end / 1000)
    assert failures["value"][1] == "0"
    assert live.server.log().count("level=WARN") + live.server.log().count("level=ERROR") == 0, live.server.log()


@pytest.mark.server
@waits
def test_every_recorded_series_has_values(live: Live) -> None:
    rules = [rule for group in live.server.rule_groups() for rule in group["rules"]]
    now = time.time()
    # Coverage looks for tiles at full five minutes: there is none before the first after the first coarse tile.
    empty = [
        rule["name"]
        for rule in rules
        if rule["type"] == "recording"
        and rule["name"] != "slo:period_coverage:ratio"
        and not live.server.query(f"last_over_time({rule['name']}[10m])", now)
    ]
    assert empty == []


@pytest.mark.server
@waits
def test_the_recorded_tiles_hold_what_has_happened_so_far(live: Live) -> None:
    """The newest minute and a half is not in a tile yet, nor what came before the rules had seen the target."""
    now = time.time()
    [row] = live.server.query('sum_over_time(slo:events:increase1m{slo="api-availability",event="bad"}[30m])', now)
    assert 0.2 * live.failed < float(row["value"][1]) <= live.failed
    [row] = live.server.query('slo:sli_error:ratio_rate5m{slo="api-availability"}', now)
    assert 0 < float(row["value"][1]) < 0.06


@pytest.mark.server
def test_no_alert_fires_before_its_share_of_the_budget_is_consumed(live: Live) -> None:
    """At 5 % errors and 99.9 % the fastest page needs 1 h x 14.4 x 0.001 / 0.05 = 17 min (SRE workbook, chapter 5)."""
    alerts = [
        alert for group in live.server.rule_groups() for rule in group["rules"] for alert in rule.get("alerts", ())
    ]
    assert alerts == []


@pytest.mark.server
def test_the_report_of_the_live_server_holds_the_same_counts(live: Live, tmp_path: Path) -> None:
    end = str(live.end / 1000)
    done = slo("report", live.definition, "--source", live.server.url, "--end", end, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text()
    reported = json.loads(slo("status", live.definition, "--source", live.server.url, "--end", end, "--json").stdout)
    found = {availability["name"]: availability for availability in reported["slos"]}["api-availability"]
    assert found["events"]["errors"] == live.failed
    assert f"{live.failed:,}" in page
    assert f"{found['events']['total']:,.0f}" in page


@pytest.mark.server
def test_a_recording_of_the_live_server_gives_the_same_figures(live: Live, tmp_path: Path) -> None:
    end = str(live.end / 1000)
    recording = tmp_path / "r.parquet"
    done = slo("record", live.definition, "--source", live.server.url, "--start", "2h", "--end", end, "-o", recording)
    assert done.returncode == 0, done.stderr
    for spec in live.specs.values():
        ours = evaluate(spec, open_source(str(recording)), live.end)
        theirs = evaluate(spec, open_source(live.server.url), live.end)
        assert (ours.errors, ours.total) == (theirs.errors, theirs.total)
