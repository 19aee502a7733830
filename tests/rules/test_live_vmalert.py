"""Live with VictoriaMetrics: vmalert records the rules, and its alert reaches a webhook with what it should say."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from slo.rules import compile_specs, to_yaml
from slo.spec.load import load
from tests.rules.target import Web
from tests.servers import VictoriaMetrics, Vmalert, wait_until

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it"),
]

# A window of an hour has alerts of minutes; every third request fails from the start: a burn of 33 times the budget.
DEFINITION = """\
service: shop
defaults: {scrape_interval: 5s, annotations: {runbook: 'https://runbooks.example.com/shop'}}
slos:
  - name: availability
    objective: 99
    window: 1h
    by: [route]
    sli: {ratio: {errors: 'requests_total{job="shop",code="500"}', total: 'requests_total{job="shop"}'}}
"""


@contextmanager
def traffic(server: VictoriaMetrics) -> Iterator[None]:
    """Each 5 s what a scrape would have brought; route `/b` fails."""
    stopped = threading.Event()

    def push() -> None:
        ticks = 0
        while not stopped.wait(5):
            ticks += 1
            rows = [
                f'requests_total{{job="shop",instance="a",route="{route}",code="{code}"}} {ticks * per}\n'
                for route, code, per in (("/a", "200", 100), ("/b", "200", 100), ("/b", "500", 50))
            ]
            server.post("/api/v1/import/prometheus", "".join(rows).encode())

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_vmalert_records_and_alerts(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    rules = tmp_path / "rules.yml"
    rules.write_text(to_yaml(compile_specs(load(tmp_path / "shop.yaml"))[0]))
    got: list[dict[str, Any]] = []

    def receive(path: str, body: bytes) -> str:
        got.extend(json.loads(body))
        return ""

    with (
        VictoriaMetrics(tmp_path) as server,
        Web(receive) as receiver,
        traffic(server),
        Vmalert(tmp_path, rules, server, notifier=receiver.address, flags=["-remoteWrite.flushInterval=1s"]) as vmalert,
    ):
        wait_until(lambda: any(series["labels"]["severity"] == "page" for series in got), "the page", seconds=420)
        now = time.time()
        tiles = server.query('last_over_time(slo:events:increase1m{slo="availability",event="bad"}[5m])', now)
        assert {row["metric"]["route"]: float(row["value"][1]) > 0 for row in tiles} == {"/a": False, "/b": True}
        assert server.query("last_over_time(slo:sli_error:ratio_rate2m[5m])", now)
    page = next(series for series in got if series["labels"]["severity"] == "page")
    assert {key: page["labels"][key] for key in ("alertname", "service", "slo", "route")} == {
        "alertname": "ErrorBudgetBurn", "service": "shop", "slo": "availability", "route": "/b",
    }  # fmt: skip
    assert all(series["labels"]["route"] == "/b" for series in got)
    assert page["annotations"]["summary"].startswith("[page] shop/availability (route /b): 33.3% of requests bad over")
    assert page["annotations"]["runbook"] == "https://runbooks.example.com/shop"
    complaints = [line for line in vmalert.log().splitlines() if "\terror\t" in line or "\tfatal\t" in line]
    # What it was about to ask when it was ended.
    complaints = [line for line in complaints if "context canceled" not in line]
    assert complaints == []
