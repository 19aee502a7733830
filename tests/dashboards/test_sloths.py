"""Sloth's dashboards (14348, 14643) and its own page read what an imported SLO records under `--names sloth`."""

from __future__ import annotations

import itertools

import pytest
import yaml

from slo.convert.model import Options
from slo.convert.read import convert
from slo.convert.write import file_text
from slo.promql.engine import Engine
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.rules import SLOTH, compile_specs, to_yaml
from slo.spec.load import loads
from slo.spec.model import Specs

END = 1_790_000_000_000 // 3_600_000 * 3600
HOURS = 10
# A low objective: burn rates of the shortest windows cannot be reached, and yet the dashboards read their ratios.
FILE = """\
version: prometheus/v1
service: shop
labels: {installation: gaia}
slos:
  - name: requests
    objective: 90
    sli:
      events:
        error_query: sum(rate(x_total{code="500"}[{{.window}}])) + sum(rate(lost_total[{{.window}}]))
        total_query: sum(rate(x_total[{{.window}}]))
    alerting: {name: ShopBurns, page_alert: {labels: {team: web}}, ticket_alert: {labels: {team: web}}}
"""
ONE = '{sloth_service="shop",sloth_slo="requests"}'
# In the forms in which these dashboards and the page ask: a maximum or 0, joins by the id, and the info series as it is.
QUERIES = {
    **{
        f"1 - (max(slo:sli_error:ratio_rate{window}{ONE}) OR on() vector(0))": 0.1
        for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
    },
    f"max(slo:objective:ratio{ONE})": 0.9,
    f"max(slo:error_budget:ratio{ONE})": 0.1,
    f"max(slo:time_period:days{ONE})": 30,
    f"max(slo:current_burn_rate:ratio{ONE})": 9,
    f"max(slo:period_burn_rate:ratio{ONE})": 9,
    f"max(slo:period_error_budget_remaining:ratio{ONE}) or on() vector(1)": -8,
    'count(slo:objective:ratio{installation="gaia"})': 1,
    "sum(slo:current_burn_rate:ratio > 1) by (sloth_id)": 9,
    'max by (sloth_id) (slo:period_error_budget_remaining:ratio and on (sloth_id) sloth_slo_info{sloth_objective="90"})': -8,
    'count(sloth_slo_info{sloth_id="shop-requests",sloth_mode!="",sloth_spec!="",sloth_version!=""})': 1,
    'count(count by (sloth_id) (ALERTS{alertstate="firing",sloth_severity="page"}))': 1,
    'count(count by (sloth_id) (ALERTS{alertstate="firing",sloth_severity="ticket"}))': 1,
}


@pytest.fixture(scope="module")
def recorded() -> Engine:
    """Ten hours in which nine of ten requests are bad, by two counters of errors."""
    [result] = convert({"x.yml": FILE}, Options())
    assert result.grade == "exact"
    times = range((END - HOURS * 3600) * 1000, END * 1000 + 1, 30_000)
    rows = [
        (
            {"__name__": name, "job": "shop", "instance": "a", **labels},
            times,
            list(itertools.accumulate(each for _ in times)),
        )
        for name, labels, each in (
            ("x_total", {"code": "200"}, 10.0),
            ("x_total", {"code": "500"}, 20.0),
            ("lost_total", {}, 7.0),
        )
    ]
    groups, _ = compile_specs(Specs(loads(file_text(result), "x.yaml", [])), SLOTH)
    ran = run_rules(yaml.safe_load(to_yaml(groups))["groups"], Samples.from_series(rows), END - HOURS * 3600, END)
    assert not ran.problems
    return Engine(ran.recorded)


@pytest.mark.parametrize(("query", "value"), QUERIES.items(), ids=lambda value: str(value)[:40])
def test_what_sloths_dashboards_ask_has_the_planted_value(recorded: Engine, query: str, value: float) -> None:
    [series] = recorded.query(query, END).series
    assert float(series.values[-1]) == pytest.approx(value, rel=0.02)


def test_every_ratio_carries_the_labels_that_dashboards_choose_by(recorded: Engine) -> None:
    found = recorded.query('{__name__=~"slo:(sli_error|objective|period_error_budget_remaining).*"}', END).series
    assert len(found) >= 9
    assert all(series.labels["installation"] == "gaia" for series in found)
