"""Many SLOs live on one server, under traffic whose every event is known. The figures of docs/rules.md:

python -m tests.rules.load prometheus --slos 1000 --seconds 1200
python -m tests.rules.load vmalert --slos 200 --seconds 1800
"""

from __future__ import annotations

import argparse
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slo.rules import compile_specs, to_yaml
from slo.spec.load import load
from tests.rules.target import Web
from tests.servers import Prometheus, Server, VictoriaMetrics, Vmalert, wait_until

SCRAPE_S = 30
CODES = ("200", "201", "204", "404", "500", "503")  # the last two are errors
INSTANCES = 4
# So long after the traffic all must be counted: the last scrape, the lag of the rules, a fine tile, a coarse one that is
# read a minute late; vmalert evaluates half a minute late, and a group up to its interval after the moment that it asks for.
_QUIET_S = SCRAPE_S + SCRAPE_S + 60 + 300 + 60 + 30 + 300 + 30
_SLO = """\
  - name: s{number:04}
    objective: 99
    sli: {{ratio: {{errors: 'requests_total{{job="shop",route="r{number:04}",code=~"5.."}}', total: 'requests_total{{job="shop",route="r{number:04}"}}'}}}}
"""


class Traffic:
    """Instances that serve requests on a route for each SLO: so many come between two scrapes, drawn once each."""

    def __init__(self, slos: int, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self.busy = False
        self.counts = np.zeros((INSTANCES, slos, len(CODES)), dtype=np.int64)
        self._mean = self._random.uniform(1, 100, (slos, 1)) * [0.7, 0.15, 0.1, 0.04, 0.005, 0.005]
        self._names = [
            f'requests_total{{route="r{number:04}",code="{code}"}} ' for number in range(slos) for code in CODES
        ]

    def metrics(self, path: str, body: bytes) -> str:
        """A scrape of the instance that the path names: `/0` to `/3`."""
        instance = int(path.strip("/"))
        with self._lock:
            if self.busy:
                self.counts[instance] += self._random.poisson(self._mean)
            values = self.counts[instance].ravel().tolist()
        return "# TYPE requests_total counter\n" + "".join(
            f"{name}{value}\n" for name, value in zip(self._names, values, strict=True)
        )

    @property
    def happened(self) -> dict[str, tuple[int, int]]:
        """(bad events, all events) by the name of the SLO."""
        by_code = self.counts.sum(axis=0)
        return {f"s{number:04}": (int(row[4:].sum()), int(row.sum())) for number, row in enumerate(by_code)}


@dataclass(frozen=True)
class Outcome:
    """What was seen. Counts are (bad events, all events) by SLO; `cpu` and `memory_mb` by the name of the server."""

    slos: int
    seconds: float
    happened: dict[str, tuple[int, int]]
    fine: dict[str, tuple[int, int]]
    coarse: dict[str, tuple[int, int]]
    iterations: float
    missed: float
    failed: float
    series: float
    cpu: dict[str, float]
    memory_mb: dict[str, float]

    def lost(self) -> dict[str, tuple[int, int]]:
        """(SLOs whose tiles hold other counts than happened, events that they lack), for both lengths of tiles."""
        faults = {}
        for name, counted in (("1m", self.fine), ("5m", self.coarse)):
            wrong = [slo for slo, events in self.happened.items() if counted.get(slo) != events]
            lacking = sum(self.happened[slo][1] - counted.get(slo, (0, 0))[1] for slo in wrong)
            faults[name] = (len(wrong), lacking)
        return faults

    def examples(self) -> list[str]:
        """Some SLOs whose tiles hold other counts than happened."""
        wrong = [
            slo for slo, events in self.happened.items() if not self.fine.get(slo) == self.coarse.get(slo) == events
        ]
        return [f"{slo}: {self.happened[slo]}, 1m {self.fine.get(slo)}, 5m {self.coarse.get(slo)}" for slo in wrong[:5]]

    def rows(self) -> Iterator[str]:
        bad, events = (sum(column) for column in zip(*self.happened.values(), strict=True))
        yield f"{self.slos:,} SLOs of {INSTANCES * len(CODES)} series, {self.seconds:,.0f} s of traffic: {events:,} events, {bad:,} bad"
        for tile, (wrong, lacking) in self.lost().items():
            yield f"tiles of {tile}: {wrong:,} SLOs with other counts, {lacking:,} events not counted"
        yield from self.examples()
        yield f"evaluations of groups: {self.iterations:,.0f}, missed {self.missed:,.0f}, failed rules {self.failed:,.0f}"
        yield f"series of the server: {self.series:,.0f}"
        for server, seconds in self.cpu.items():
            yield f"{server}: {seconds:,.0f} CPU seconds ({seconds / self.seconds:.2f} cores), {self.memory_mb[server]:,.0f} MB"


def definition(place: Path, slos: int) -> Path:
    """Rules of so many SLOs, as a file."""
    file = place / "shop.yaml"
    file.write_text("service: shop\nslos:\n" + "".join(_SLO.format(number=number) for number in range(slos)))
    rules = place / "rules.yml"
    rules.write_text(to_yaml(compile_specs(load(file))[0]))
    return rules


def scrape_config(address: str) -> str:
    targets = "".join(
        f"      - {{targets: ['{address}'], labels: {{__metrics_path__: /{number}, instance: i{number}}}}}\n"
        for number in range(INSTANCES)
    )
    return (
        f"global: {{scrape_interval: {SCRAPE_S}s, scrape_timeout: 10s}}\n"
        f"scrape_configs:\n  - job_name: shop\n    static_configs:\n{targets}"
    )


def metric(server: Server, name: str) -> float:
    """One of the server's own metrics, added up over the labels that the name leaves open."""
    text, labels = server.get("/metrics").decode(), "" if "{" in name else r"(?:\{.*\})?"
    values = re.findall(rf"^{re.escape(name)}{labels} (\S+)$", text, re.MULTILINE)
    assert values, f"{server.url} has no metric {name}"
    return sum(map(float, values))


def counted(store: Prometheus | VictoriaMetrics, tile: str) -> dict[str, tuple[int, int]]:
    """(bad events, all events) of all recorded tiles, by SLO."""
    counts: dict[str, dict[str, int]] = {}
    for row in store.query(f"sum by (slo, event) (sum_over_time(slo:events:increase{tile}[6h]))", time.time()):
        counts.setdefault(row["metric"]["slo"], {})[row["metric"]["event"]] = int(float(row["value"][1]))
    return {slo: (events["bad"], events["bad"] + events["good"]) for slo, events in counts.items()}


def run(place: Path, kind: str, slos: int, seconds: float) -> Outcome:
    """`kind` is prometheus, prometheus2 or vmalert."""
    rules, traffic = definition(place, slos), Traffic(slos)
    with ExitStack() as stack:
        target = stack.enter_context(Web(traffic.metrics))
        config = scrape_config(target.address)
        store: Prometheus | VictoriaMetrics
        if kind == "vmalert":
            file = place / "scrape.yml"
            file.write_text(config)
            # As it comes, tests' VictoriaMetrics answers what is new at once; users' do not.
            flags = [f"-promscrape.config={file}", "-search.latencyOffset=30s"]
            store = stack.enter_context(VictoriaMetrics(place, flags=flags))
            ruler: Server = stack.enter_context(Vmalert(place, rules, store))
            names = ("vmalert_iteration_total", "vmalert_iteration_missed_total", "vmalert_execution_errors_total")
            series = 'vm_cache_entries{type="storage/hour_metric_ids"}'
            servers: dict[str, Server] = {"VictoriaMetrics": store, "vmalert": ruler}
        else:
            store = ruler = stack.enter_context(Prometheus(place, config=config, rules=[rules], binary=kind))
            names = (
                "prometheus_rule_group_iterations_total",
                "prometheus_rule_group_iterations_missed_total",
                "prometheus_rule_evaluation_failures_total",
            )
            series, servers = "prometheus_tsdb_head_series", {"Prometheus": store}
        ask = 'count(last_over_time(slo:events:increase1m{event="bad"}[10m]))'
        wait_until(
            lambda: [row["value"][1] for row in store.query(ask, time.time())] == [str(slos)],
            "the first tiles",
            seconds=300,
        )
        before = {name: metric(server, "process_cpu_seconds_total") for name, server in servers.items()}
        counters = [metric(ruler, name) for name in names]
        begin = time.monotonic()
        traffic.busy = True
        time.sleep(seconds)
        lasted = time.monotonic() - begin
        cpu = {name: metric(server, "process_cpu_seconds_total") - before[name] for name, server in servers.items()}
        iterations, missed, failed = (metric(ruler, name) - first for name, first in zip(names, counters, strict=True))
        held = metric(store, series)
        memory = {name: metric(server, "process_resident_memory_bytes") / 2**20 for name, server in servers.items()}
        traffic.busy = False
        happened, deadline = traffic.happened, time.monotonic() + _QUIET_S
        while True:
            fine, coarse = counted(store, "1m"), counted(store, "5m")
            if fine == coarse == happened or time.monotonic() > deadline:
                break
            time.sleep(15)
    return Outcome(slos, lasted, happened, fine, coarse, iterations, missed, failed, held, cpu, memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("server", choices=["prometheus", "prometheus2", "vmalert"])
    parser.add_argument("--slos", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=1800)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for row in run(Path(folder), chosen.server, chosen.slos, chosen.seconds).rows():
            print(row, flush=True)


if __name__ == "__main__":
    main()
