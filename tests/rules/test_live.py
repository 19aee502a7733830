"""Live: a target that is restarted, slowed and cut off; alerts on their way through Alertmanager to a webhook."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from slo.promql.ast import Matcher, VectorSelector
from slo.rules import compile_specs, to_yaml
from slo.sli.ratio import Ratio
from tests.counting import errors_tile, total_tile
from tests.rules.target import Service, Web
from tests.rules.test_compile import one
from tests.servers import Alertmanager, Prometheus, load_openmetrics, wait_until

pytestmark = pytest.mark.server

DOCS = Path(__file__).parent.parent.parent / "docs" / "alerting.md"
TOTAL = VectorSelector("requests_total", (Matcher("job", "=", "shop"),))
ERRORS = VectorSelector("requests_total", (Matcher("job", "=", "shop"), Matcher("code", "=~", "5..")))


def test_a_target_that_is_restarted_slowed_and_cut_off_is_counted(tmp_path: Path) -> None:
    """Tiles of 5 s, scrapes of 1 s: at least 99.5 % of the events, in total and of the errors."""
    sli = Ratio(TOTAL, ERRORS, "errors")
    with Service() as service:
        config = (
            "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
            f"  - {{job_name: shop, static_configs: [{{targets: ['{service.address}']}}]}}\n"
        )
        service.busy = False
        with Prometheus(tmp_path, config=config) as server:
            wait_until(lambda: server.query("requests_total", time.time()), "the first scrape")
            begin = int(time.time()) - 5
            time.sleep(5)  # a target's first tile is its baseline
            service.busy = True
            time.sleep(4)
            service.restart()
            time.sleep(2)
            service.slow = 0.7  # answered within the time-out
            time.sleep(3)
            service.slow = 1.5  # not answered: the target is alive and unseen
            time.sleep(3)
            service.slow = 0.0
            time.sleep(2)
            service.stop()  # cut off, while it goes on working
            time.sleep(3)
            service.start()
            time.sleep(2)
            service.restart()
            time.sleep(2)
            service.busy = False
            time.sleep(2.5)
            steps = (int(time.time()) - 1 - begin) // 5 + 1
            counted = {}
            for what, tile in (
                ("errors", errors_tile(sli, 5000, 1000, scrape_ms=1000)),
                ("total", total_tile(sli, 5000, 1000, scrape_ms=1000)),
            ):
                time.sleep(3)
                rows = server.query_range(str(tile), begin + 5, begin + 5 * (steps + 1), 5)
                counted[what] = sum(float(value) for row in rows for _, value in row["values"])
            gaps = server.query_range("up", begin + 5, begin + 5 * steps, 1)
    happened = {"errors": service.happened["500"], "total": sum(service.happened.values())}
    assert happened["errors"] > 100
    for what, count in happened.items():
        assert 0.995 * count <= counted[what] <= count, (counted, happened)
    assert any(value == "0" for row in gaps for _, value in row["values"])


SCRAPED = """\
slo:sli_error:ratio_rate1h{service="shop",slo="a"} 0.05
slo:sli_error:ratio_rate5m{service="shop",slo="a"} 0.06
slo:sli_error:ratio_rate3d{service="shop",slo="b"} 0.002
slo:sli_error:ratio_rate6h{service="shop",slo="b"} 0.002
slo:sli_error:ratio_rate1d{service="shop",slo="a"} 0.05
slo:sli_error:ratio_rate2h{service="shop",slo="a"} 0.05
slo:period_error_budget_remaining:ratio{service="shop",slo="a"} 0.5
slo:period_error_budget_remaining:ratio{service="shop",slo="b"} -0.45
slo:current_burn_rate:ratio{service="shop",slo="b"} 0.08
"""


def tiles_of_days(place: Path) -> Path:
    """A server's data with the tiles of four days, without which no window would be known."""
    now, lines = int(time.time()) // 300 * 300, []
    for tile, seconds in (("1m", 60), ("5m", 300)):
        lines.append(f"# TYPE slo:events:increase{tile} unknown")
        for name in "ab":
            series = f'slo:events:increase{tile}{{service="shop",slo="{name}",event="checks"}}'
            lines += [f"{series} 60 {at}" for at in range(now - 4 * 86_400, now - 60, seconds)]
    (place / "tiles.txt").write_text("\n".join([*lines, "# EOF", ""]))
    return load_openmetrics(place / "tiles.txt", place / "data")


def test_alerts_reach_the_pager_and_the_tickets(tmp_path: Path) -> None:
    """The configuration of the docs: pages to one receiver, tickets to another, a page silences its own ticket."""
    from dataclasses import replace

    from slo.spec.model import Specs

    found = one(
        annotations="{runbook: 'https://runbooks.example.com/a'}",
        dashboard_url="'https://dashboards.example.com/{{ $labels.slo }}'",
        description="Checks that pass",
        alerting="{budget: [100%], labels: {team: 'team-{{ $labels.slo }}'}}",
    )
    [service] = found.services
    both = Specs([replace(service, slos=(service.slos[0], replace(service.slos[0], name="b")))])
    groups, _ = compile_specs(both)
    rules = tmp_path / "rules.yml"
    rules.write_text(re.sub(r"interval: \dm", "interval: 1s", to_yaml(groups)))
    got: list[tuple[str, dict[str, object]]] = []

    def receive(path: str, body: bytes) -> str:
        got.append((path, json.loads(body)))
        return ""

    [example] = re.findall(r"```yaml\n(route:.*?)```", DOCS.read_text(), re.DOTALL)
    with Web(receive) as receiver, Web(lambda path, body: SCRAPED) as target:
        config = re.sub(r"http://(pager|tickets)\.example\.com/", rf"http://{receiver.address}/\1", example)
        config = config.replace("group_wait: 30s", "group_wait: 2s")
        with Alertmanager(tmp_path, config=config) as manager:
            # What a rule records has no labels of a target.
            scrape = (
                f"{{job_name: s, static_configs: [{{targets: ['{target.address}']}}], "
                "metric_relabel_configs: [{action: labeldrop, regex: instance|job}]}"
            )
            prometheus = (
                f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nscrape_configs: [{scrape}]\n"
                f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{manager.address}']}}]}}]}}\n"
            )
            with Prometheus(tmp_path, data=tiles_of_days(tmp_path), config=prometheus, rules=[rules]) as server:
                wait_until(lambda: len({path for path, _ in got}) == 2, "both receivers")
                assert "level=ERROR" not in server.log()
    by_path = {path: body["alerts"] for path, body in got}
    assert isinstance(by_path["/pager"], list)
    assert isinstance(by_path["/tickets"], list)
    pages = [alert for alert in by_path["/pager"] if alert["labels"]["severity"] == "page"]
    assert {(a["labels"]["slo"], a["labels"]["window"]) for a in pages} == {("a", "1h, 6h")}
    assert {(a["labels"]["slo"], a["labels"]["severity"]) for a in by_path["/tickets"]} == {("b", "ticket")}
    assert pages[0]["labels"]["team"] == "team-a"
    assert pages[0]["annotations"] == {
        "summary": "[page] shop/a: 5.0% of checks bad over 1h (burn rate 50.0x, threshold 14.4x)",
        "description": (
            "Error budget: 50.0% remaining of 30d, exhausted in about 7h 12m 0s at this rate. "
            "SLO: 99.9% of checks good over 30d."
        ),
        "slo_description": "Checks that pass",
        "breakdown": "topk(5, 1 - avg_over_time(up[1h]) > 0)",
        "runbook": "https://runbooks.example.com/a",
        "runbook_url": "https://runbooks.example.com/a",
        "dashboard_url": "https://dashboards.example.com/a",
    }
    for shown in ("summary", "description"):
        assert f"| `{shown}` | {pages[0]['annotations'][shown]} |" in DOCS.read_text()
    tickets = {alert["labels"]["alertname"]: alert for alert in by_path["/tickets"]}
    assert tickets["ErrorBudgetBurn"]["labels"]["window"] == "1d, 3d"
    assert tickets["ErrorBudgetBurn"]["annotations"]["summary"] == (
        "[ticket] shop/b: 0.20% of checks bad over 3d (burn rate 2.0x, threshold 1x)"
    )
    assert tickets["ErrorBudgetBurn"]["annotations"]["description"] == (
        "Error budget: already exhausted (-45.0% remaining of 30d). SLO: 99.9% of checks good over 30d."
    )
    assert tickets["BudgetConsumed"]["labels"]["consumed"] == "100%"
    assert tickets["BudgetConsumed"]["annotations"]["summary"] == (
        "[ticket] shop/b: 145.0% of the error budget of 30d consumed (alert at 100%)"
    )
    assert tickets["BudgetConsumed"]["annotations"]["description"] == (
        "Burn rate now: 0.08x (at 1x the budget lasts for the window). SLO: 99.9% of checks good over 30d."
    )
