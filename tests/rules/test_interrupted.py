"""Rules on live servers that were down: an outage of an hour, rules that are loaded for the first time, a restart, and edits.

None of these may page, or say that data is missing, and no event that the counters still show is lost; an incident that the
outage hid pages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from slo.backtest.policy import of_definitions
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.rules import compile_specs, to_yaml
from slo.source.openmetrics import write_openmetrics
from tests.rules.target import Web
from tests.rules.test_compile import specs
from tests.servers import Prometheus, load_openmetrics

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("SLO_LONG" not in os.environ, reason="takes a quarter of an hour; make long runs it"),
]

SERVERS = ("prometheus", "prometheus2")
SCRAPE_S, HISTORY_S, OUTAGE_S = 15, 8 * 3600, 3600
PODS = ("0", "1")
PER_S = 100  # requests of a route and a pod
RATIO = """{{ratio: {{errors: 'requests_total{{route="/{route}",code="500"}}', total: 'requests_total{{route="/{route}"}}'}}}}"""
LATENCY = "{latency: {histogram: duration_seconds, threshold: 500ms}}"
# Those that the server had before, and those that it has for the first time.
BEFORE = {"kept": RATIO.format(route="a"), "slow": LATENCY, "hidden": RATIO.format(route="b")}
FIRST = {"first": RATIO.format(route="a"), "fresh": LATENCY}


def definition(slis: dict[str, str], **keys: str) -> str:
    """An SLO of 99.9 % for each SLI; `keys` are further ones by its name."""
    lines = [f"  - {{name: {name}, {keys.get(name, 'objective: 99.9')}, sli: {sli}}}" for name, sli in slis.items()]
    return "\n".join([f"service: shop\ndefaults: {{scrape_interval: {SCRAPE_S}s}}\nslos:", *lines]) + "\n"


# A new name, a looser objective, `by`, another kind of SLI; of `hidden` nothing.
EDITED = definition(
    {"renamed": BEFORE["kept"], "slow": LATENCY, "hidden": BEFORE["hidden"], "first": FIRST["first"], "fresh": FIRST["first"]},
    slow="objective: 99",
    first="objective: 99.9, by: [instance]",
)  # fmt: skip


class Shop(Web):
    """Counters that go by the clock: 1 of 20 of all that they ever had are errors, 1 of 5,000 of what comes now.

    On route `/b` a tenth of what comes between `begin` and `end`, the outage of the server, fails.
    """

    def __init__(self, begin: float, end: float) -> None:
        super().__init__(self._metrics)
        self.begin, self.end = begin, end

    def counters(self, pod: str, at: float) -> Iterator[tuple[str, dict[str, str], float]]:
        """(name, labels, value) of a pod's counters at a moment, s."""
        since = at - (self.begin - HISTORY_S)
        every = 10_000_000 + 1_000_000 * int(pod) + int(PER_S * since)
        for route in ("/a", "/b"):
            hidden = max(min(at, self.end) - self.begin, 0) / 10 if route == "/b" else 0
            errors = every // 20 - int(PER_S * since) // 20 + int(PER_S * (since / 5000 + hidden))
            yield "requests_total", {"route": route, "code": "500"}, errors
            yield "requests_total", {"route": route, "code": "200"}, every - errors
            if route == "/a":
                for bound, count in (("0.5", every - errors), ("+Inf", every)):
                    yield "duration_seconds_bucket", {"le": bound}, count
                yield "duration_seconds_count", {}, every

    def _metrics(self, path: str, body: bytes) -> str:
        rows = self.counters(path.strip("/"), time.time())
        named = ((name, ",".join(f'{k}="{v}"' for k, v in labels.items()), value) for name, labels, value in rows)
        return "".join(f"{name}{{{labels}}} {value}\n" for name, labels, value in named)

    def history(self) -> Samples:
        """What was scraped until the outage."""
        times = np.arange(self.begin - HISTORY_S, self.begin, SCRAPE_S)
        rows = []
        for number, pod in enumerate(PODS):
            at = [list(self.counters(pod, moment + 7 * number)) for moment in times]
            for column, (name, labels, _) in enumerate(at[0]):
                whole = {"__name__": name, "job": "shop", "instance": pod, **labels}
                rows.append((whole, (times * 1000).astype(np.int64) + 7000 * number, [row[column][2] for row in at]))
        return Samples.from_series([(labels, stamps, np.array(values)) for labels, stamps, values in rows])


def loaded(place: Path, text: str) -> Path:
    """The rules of a definition as a file."""
    place.mkdir(exist_ok=True)
    (place / "rules.yml").write_text(to_yaml(compile_specs(specs(text))[0]))
    return place / "rules.yml"


class Watched:
    """What all servers say of their alerts and rules."""

    def __init__(self, servers: Sequence[Prometheus]) -> None:
        self.servers = servers

    def wait(self, seconds: float) -> None:
        """Fails as soon as a rule does, a page fires that should not, or data is said to be missing."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(10)
            for server in self.servers:
                for group in server.rule_groups():
                    for rule in group["rules"]:
                        assert rule["health"] != "err", (server.binary_path.name, rule["name"], rule["lastError"])
                fired = server.query('ALERTS{alertstate="firing",slo!="hidden"}', time.time())
                wrong = [
                    row["metric"]
                    for row in fired
                    if row["metric"]["severity"] == "page" or row["metric"]["alertname"] == "SLODataMissing"
                ]
                assert not wrong, (server.binary_path.name, wrong)

    def counted(self, slo: str, since: float) -> list[tuple[float, float]]:
        """(events in tiles that were recorded since a moment, what the counters gained since it), by server."""
        faults = []
        for server in self.servers:
            now = time.time()
            tiles = f'slo:events:increase1m{{slo="{slo}",event!="passed"}}'
            [row] = server.query(f"sum(sum_over_time({tiles}[{int(now - since)}s]))", now)
            faults.append((float(row["value"][1]), PER_S * len(PODS) * (now - since)))
        return faults


def test_rules_live_on_a_server_that_was_down(tmp_path: Path) -> None:
    """Both servers at once, as the clock cannot be hurried."""
    started = time.time() // 60 * 60
    shop = Shop(started - OUTAGE_S, started)
    history = shop.history()
    before, both = definition(BEFORE), definition(BEFORE | FIRST)
    groups = of_definitions(specs(before)).groups
    ran = run_rules(groups, history, shop.begin - HISTORY_S + 600, shop.begin - 60)
    assert not ran.problems
    write_openmetrics(tmp_path / "history.txt", Samples([*history.series, *ran.recorded.series]))
    with ExitStack() as stack:
        stack.enter_context(shop)
        targets = "".join(
            f"      - {{targets: ['{shop.address}'], labels: {{__metrics_path__: /{pod}, instance: '{pod}'}}}}\n"
            for pod in PODS
        )
        config = (
            f"global: {{scrape_interval: {SCRAPE_S}s, scrape_timeout: 10s}}\n"
            f"scrape_configs:\n  - job_name: shop\n    static_configs:\n{targets}"
        )
        servers = []
        for kind in SERVERS:
            place = tmp_path / kind
            rules = loaded(place, both)
            data = load_openmetrics(tmp_path / "history.txt", place / "data")
            servers.append(stack.enter_context(Prometheus(place, config=config, rules=[rules], data=data, binary=kind)))
        watched = Watched(servers)

        # The outage is over, and some rules are there for the first time.
        watched.wait(240)
        for slo in BEFORE:
            for events, gained in watched.counted(slo, shop.begin):
                assert 0.97 * gained < events <= gained, (slo, events, gained)
        for server in servers:
            assert server.query('ALERTS{alertstate="firing",severity="page",slo="hidden"}', time.time())

        # A restart that takes longer than a server sees a last sample: it knows of its rules, and of no tile.
        for server in servers:
            server.stop()
        stopped = time.time()
        time.sleep(370)
        for server in servers:
            server.start()
        watched.wait(180)
        for slo in (*BEFORE, *FIRST):
            # What was scraped between the last tile and the stop may be lost: a tile and a scrape interval.
            for events, gained in watched.counted(slo, stopped - 60):
                assert events > gained - PER_S * len(PODS) * (60 + 2 * SCRAPE_S + 120), (slo, events, gained)
                assert events < gained + PER_S * len(PODS) * 120, (slo, events, gained)

        # Edits, all at once.
        for server, kind in zip(servers, SERVERS, strict=True):
            server.reload(rules=[loaded(tmp_path / kind, EDITED)])
        watched.wait(240)
        for server in servers:
            assert server.query('ALERTS{alertstate="firing",severity="page",slo="hidden"}', time.time())
            for slo in ("renamed", "slow", "first", "fresh"):
                assert server.query(f'slo:current_burn_rate:ratio{{slo="{slo}"}}', time.time()), slo
