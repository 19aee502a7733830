"""`slo check --source`: what definitions assume, asked of a real Prometheus that scrapes targets with planted faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from slo.check import Finding, check_source
from slo.promql.parse import parse
from slo.rules import compile_specs, to_yaml
from slo.source.prometheus import PrometheusSource
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.cli.test_cli import GOOD
from tests.servers import Prometheus, load_openmetrics, wait_until
from tests.shell import run as slo

BORN = time.time()

PAGE = """\
# TYPE requests_total counter
requests_total{{code="200"}} {many}
requests_total{{code="404"}} {few}
# TYPE rare_total counter
rare_total{{code="200"}} {few}
rare_total{{code="500"}} 0
# TYPE queue_depth gauge
queue_depth {wave}
# TYPE untyped_wave untyped
untyped_wave {wave}
# TYPE well gauge
well 1
# TYPE temperature gauge
temperature 21.5
# TYPE stamp gauge
stamp {stamp}
# TYPE stamp_ms gauge
stamp_ms {stamp_ms}
# TYPE lat_seconds histogram
{buckets}
lat_seconds_bucket{{le="1"}} {many}
lat_seconds_bucket{{le="+Inf"}} {many}
lat_seconds_sum {many}
lat_seconds_count {many}
# TYPE mixed_seconds histogram
mixed_seconds_bucket{{path="/a",le="0.5"}} {many}
mixed_seconds_bucket{{path="/a",le="+Inf"}} {many}
mixed_seconds_count{{path="/a"}} {many}
mixed_seconds_bucket{{path="/b",le="0.4"}} {many}
mixed_seconds_bucket{{path="/b",le="+Inf"}} {many}
mixed_seconds_count{{path="/b"}} {many}
# TYPE many_total counter
{routes}
# TYPE late_total counter
late_total {many} {late_ms}
"""
LATE_S = 40  # so much later than their time samples of late_total are scraped


class _Target(BaseHTTPRequestHandler):
    """A target; the one at an even port has the bucket of 500 ms, the other has not."""

    has_half = True

    def do_GET(self) -> None:
        age = time.time() - BORN
        many, few = int(age * 1000), 60 + int(age / 2)
        text = PAGE.format(
            many=many, few=few, wave=int(age * 7) % 5, stamp=int(time.time()), stamp_ms=int(time.time() * 1000),
            late_ms=int((time.time() - LATE_S) * 1000),
            buckets=f'lat_seconds_bucket{{le="0.5"}} {many}' if self.has_half else f'lat_seconds_bucket{{le="0.4"}} {many}',
            routes="\n".join(f'many_total{{route="/{number}"}} {many}' for number in range(120)),
        )  # fmt: skip
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Without(_Target):
    has_half = False


class ShortMemory(Prometheus):
    """A server that keeps 15 days."""

    def arguments(self) -> list[str]:
        return [argument.replace("time=100y", "time=15d") for argument in super().arguments()]


HEAD = "service: shop\ndefaults: {scrape_interval: 1s, window: 1d}\nslos:\n"
# By name: an SLO that a server of these targets fulfils, as a line of `slos`.
FINE = {
    "ratio": "{objective: 50, sli: {ratio: {errors: 'requests_total{code=\"404\"}', total: requests_total}}}",
    "probe": "{objective: 99, sli: {probe: well}}",
    "fresh": "{objective: 99, sli: {freshness: {metric: stamp, max_age: 1h}}}",
    "latency": "{objective: p99 < 1s, sli: {latency: lat_seconds}}",
    "native": "{objective: p99 < 1s, sli: {latency: {histogram: prometheus_http_request_duration_seconds, native: true}}}",
    "level": "{objective: 99, sli: {threshold: temperature < 30}}",
    "late-and-waited-for": "{objective: 99, delay: 1m, sli: {ratio: {good: late_total, total: late_total}}}",
}
# What is wrong: an SLO, then the check, its severity, and pieces of what it says.
WRONG: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "value": (
        "{objective: 99, sli: {ratio: {errors: 'requests_total{code=\"500\"}', total: requests_total}}}",
        "series", "warning", ("`errors` matches no series", "none of the values of code: 200, 404", "fine if there have been none"),
    ),
    "total-value": (
        "{objective: 99, sli: {ratio: {errors: 'requests_total{job=\"x\",code=~\"5..\"}', total: 'requests_total{job=\"x\"}'}}}",
        "series", "error", ("`total` matches no series", 'job="x" is none of the values of job: targets', "correct the selector"),
    ),
    "metric": (
        "{objective: 99, sli: {ratio: {errors: 'request_total{code=~\"5..\"}', total: request_total}}}",
        "series", "error", ("there is no metric request_total", "did you mean `requests_total`"),
    ),
    "gauge": (
        "{objective: 99, sli: {ratio: {good: queue_depth, total: requests_total}}}",
        "type", "error", ("queue_depth is a gauge, by the server's metadata", "use a counter"),
    ),
    "falls": (
        "{objective: 99, sli: {ratio: {good: untyped_wave, total: requests_total}}}",
        "type", "error", ("untyped_wave falls at", "% of its samples", "its own `instance`"),
    ),
    "counter-probe": (
        "{objective: 99, sli: {probe: requests_total}}", "type", "error", ("requests_total is a counter", "use a gauge"),
    ),
    "no-probe": (
        "{objective: 99, sli: {probe: temperature}}", "type", "error", ("values from 21.5 to 21.5", "use a `threshold`"),
    ),
    "milliseconds": (
        "{objective: 99, sli: {freshness: {metric: stamp_ms, max_age: 1h}}}",
        "type", "error", ("which is milliseconds", "needs Unix seconds"),
    ),
    "no-bound": (
        "{objective: p99 < 300ms, sli: {latency: lat_seconds}}",
        "bound", "error", ("0.3 is not a bucket bound (le) of lat_seconds_bucket", "use 0.4 or 0.5", "bounds are 0.4, 0.5, 1"),
    ),
    "some-bounds": (
        "{objective: p99 < 500ms, sli: {latency: lat_seconds}}",
        "bound", "error", ("1 of 2 targets have no bucket at the threshold 0.5", "targets/127.0.0.1:", "bounds are 0.4, 1"),
    ),
    "two-layouts": (
        "{objective: p99 < 500ms, sli: {latency: mixed_seconds}}",
        "bound", "error", ("on 2 of 2 targets", "some histograms have no bucket at the threshold 0.5 and others do", "target_labels"),
    ),
    "became-native": (
        "{objective: p99 < 1s, sli: {latency: prometheus_http_request_duration_seconds}}",
        "histogram", "error", ("prometheus_http_request_duration_seconds is a native histogram", "set `native: true`"),
    ),
    "not-native": (
        "{objective: p99 < 1s, sli: {latency: {histogram: temperature, native: true}}}",
        "histogram", "error", ("temperature has no native histograms", "leave `native: true` out"),
    ),
    "late": (
        "{objective: 99, delay: 20s, sli: {ratio: {good: late_total, total: late_total}}}",
        "late", "error", ("samples of late_total are up to", "old when they arrive on 2 targets", "read 21s late", "set `delay: 1m`"),
    ),
    "window": (
        "{objective: 99, window: 30d, sli: {probe: well}}",
        "retention", "warning", ("the window is 30d and the server keeps 15d", "--storage.tsdb.retention.time=35d"),
    ),
    "by": (
        "{objective: 50, by: [route], sli: {ratio: {good: many_total, total: many_total}}}",
        "by", "error", ("route has 120 values, and 100 have an error budget each", "list those that matter"),
    ),
    "by-absent": (
        "{objective: 50, by: [rout], sli: {ratio: {good: many_total, total: many_total}}}",
        "by", "error", ("many_total has no label rout",),
    ),
    "traffic": (
        "{objective: 99.99, sli: {ratio: {errors: 'rare_total{code=\"500\"}', total: rare_total}}}",
        "traffic", "warning", ("at the traffic of the last day", "a single error does", "least_errors: 3"),
    ),
}  # fmt: skip


def definition(name: str, entry: str) -> str:
    return f"{HEAD}  - {{name: {name}, {entry[1:]}\n"


def specs_of(*texts: str) -> Specs:
    problems: list[object] = []
    services = [service for number, text in enumerate(texts) for service in loads(text, f"{number}.yaml", problems)]  # type: ignore[arg-type]
    assert not [problem for problem in problems if problem.severity == "error"]  # type: ignore[attr-defined]
    return Specs(services)


def rare_minutes(place: Path, addresses: Sequence[str]) -> Path:
    """A server's data with two minutes of rare_total: traffic is judged by a minute of data or more.

    They end before the oldest late sample, which would not be taken after them.
    """
    end = int(time.time()) - LATE_S - 20
    lines = ["# TYPE rare counter"]
    for address in addresses:
        for code, rate in (("200", 0.5), ("500", 0.0)):
            series = f'rare_total{{job="targets",instance="{address}",code="{code}"}}'
            lines += [f"{series} {int((at - end + 120) * rate)} {at}" for at in range(end - 120, end)]
    (place / "rare.txt").write_text("\n".join([*lines, "# EOF", ""]))
    return load_openmetrics(place / "rare.txt", place / "data")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped two targets of ours, and itself with native histograms, for long enough to judge."""
    with ExitStack() as stack:
        addresses = []
        for handler in (_Target, _Without):
            http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=http.serve_forever, daemon=True).start()
            stack.callback(http.shutdown)
            addresses.append(f"127.0.0.1:{http.server_address[1]}")
        config = (
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\nscrape_configs:\n"
            f"- {{job_name: targets, static_configs: [{{targets: [{', '.join(addresses)}]}}]}}\n"
            "- {job_name: prom, static_configs: [{targets: [$ADDRESS]}]}\n"
        )
        place = tmp_path_factory.mktemp("check")
        started = ShortMemory(
            place, config=config, data=rare_minutes(place, addresses), flags=["--enable-feature=native-histograms"]
        )
        stack.enter_context(started)
        source = PrometheusSource.open(started.url)
        enough = parse(
            "count_over_time(requests_total[5m]) > 12 and on () histogram_count(prometheus_http_request_duration_seconds)"
        )
        wait_until(lambda: source.query(enough, source.latest_ms()).series, "a dozen scrapes")
        yield started


def found_at(server: Prometheus, specs: Specs) -> list[Finding]:
    """All findings but that rules are not loaded."""
    return [finding for finding in check_source(specs, PrometheusSource.open(server.url)) if finding.check != "rules"]


@pytest.mark.server
@pytest.mark.parametrize("name", FINE)
def test_what_a_server_fulfils_has_no_finding(server: Prometheus, name: str) -> None:
    assert list(map(str, found_at(server, specs_of(definition(name, FINE[name]))))) == []


@pytest.mark.server
@pytest.mark.parametrize("name", WRONG)
def test_what_a_server_does_not_fulfil_is_one_line_with_what_to_do(server: Prometheus, name: str) -> None:
    entry, check, severity, pieces = WRONG[name]
    findings = found_at(server, specs_of(definition(name, entry)))
    assert [(finding.check, finding.severity, finding.slo) for finding in findings] == [
        (check, severity, f"shop/{name}")
    ]
    for piece in pieces:
        assert piece in findings[0].message
    assert "\n" not in str(findings[0])
    assert str(findings[0]).startswith("0.yaml:4: ")


@pytest.mark.server
def test_another_scrape_interval_is_named(server: Prometheus) -> None:
    [finding] = found_at(server, specs_of(definition("probe", FINE["probe"]).replace("interval: 1s", "interval: 30s")))
    assert (finding.check, finding.severity) == ("scrape-interval", "warning")
    assert "well is scraped every 1s, and `scrape_interval` is 30s; set `scrape_interval: 1s`" in finding.message


@pytest.mark.server
def test_loaded_rules_are_compared_with_those_of_now(server: Prometheus, tmp_path: Path) -> None:
    specs = specs_of(definition("ratio", FINE["ratio"]), definition("probe", FINE["probe"]).replace("shop", "till"))
    source = PrometheusSource.open(server.url)

    def rules_now() -> list[Finding]:
        return [finding for finding in check_source(specs, source) if finding.check == "rules"]

    [none] = rules_now()
    assert none.severity == "warning"
    assert "rules is loaded at the server; run `slo rules`" in none.message
    groups = compile_specs(specs)[0]
    text = to_yaml(groups)
    (tmp_path / "rules.yml").write_text(text)
    server.reload(rules=[tmp_path / "rules.yml"])
    assert rules_now() == []

    (tmp_path / "half.yml").write_text(to_yaml([group for group in groups if group.service == "shop"]))
    server.reload(rules=[tmp_path / "half.yml"])
    [missing] = rules_now()
    assert missing.slo == "till/probe"
    assert "missing at the server" in missing.message

    (tmp_path / "changed.yml").write_text(text.replace('"code", "404"', '"code", "500"'))
    server.reload(rules=[tmp_path / "changed.yml"])
    [changed] = rules_now()
    assert changed.slo == "shop/ratio"
    assert "different at the server: slo:events:increase" in changed.message

    # The same rules under other group names, in a second file.
    (tmp_path / "again.yml").write_text(to_yaml(groups).replace("name: slo/till", "name: copy/till"))
    server.reload(rules=[tmp_path / "half.yml", tmp_path / "again.yml"])
    assert {finding.slo: "loaded twice" in finding.message for finding in rules_now()} == {"shop/ratio": True}


@pytest.mark.server
def test_the_command_has_exit_codes_and_json(server: Prometheus, tmp_path: Path) -> None:
    (tmp_path / "fine.yaml").write_text(definition("probe", FINE["probe"]))
    (tmp_path / "wrong.yaml").write_text(definition("no-probe", WRONG["no-probe"][0]))
    (tmp_path / "doubt.yaml").write_text(definition("value", WRONG["value"][0]))
    codes = {
        name: slo("check", tmp_path / f"{name}.yaml", "-s", server.address).returncode
        for name in ("fine", "wrong", "doubt")
    }
    assert codes == {"fine": 0, "wrong": 1, "doubt": 0}
    reported = json.loads(slo("check", tmp_path / "wrong.yaml", "-s", server.url, "--json").stdout)
    [problem] = [entry for entry in reported if entry.get("check") == "type"]
    assert (problem["slo"], problem["severity"], problem["line"]) == ("shop/no-probe", "error", 4)
    chosen = slo("check", tmp_path, "-s", server.address, "--slo", "probe")
    assert chosen.returncode == 0
    assert "no-probe" not in chosen.stderr


def test_a_recording_is_asked_too(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD)
    slo("simulate", tmp_path / "shop.yaml", "--days", "0.2", "-o", tmp_path / "r.parquet")
    fine = slo("check", tmp_path / "shop.yaml", "-s", tmp_path / "r.parquet")
    assert fine.returncode == 0, fine.stderr
    (tmp_path / "shop.yaml").write_text(GOOD.replace("r_total", "rr_total"))
    wrong = slo("check", tmp_path / "shop.yaml", "-s", tmp_path / "r.parquet")
    assert wrong.returncode == 1
    assert "did you mean `r_total`?" in wrong.stderr
    assert slo("check", tmp_path / "shop.yaml", "-s", "http://127.0.0.1:9").returncode == 2
