"""What each kind of SLI shows over time, from values that are planted here."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from slo.budget.incidents import Downtime
from slo.budget.model import Budget
from slo.report import render
from slo.report.drawings import Chart, draw
from slo.report.svg import NARROWEST, WIDTH, rectangle
from slo.report.values import Values, values_of
from slo.sli.freshness import Freshness
from slo.sli.outage import Outage
from slo.sli.threshold import Threshold
from slo.source import Matrix, MatrixSeries
from slo.window import HOUR, MINUTE
from tests.report.budgets import END, LATENCY, PROBE, TOTAL, Case, Fault, budget
from tests.report.test_page import NOW

GIB = 2.0**30
MEMORY = Threshold("process_resident_memory_bytes", "<", Decimal(4 * 2**30), MINUTE)
AGE = Freshness(TOTAL, HOUR, MINUTE)


class Planted:
    """A source whose answer is 2 GiB, but 5 for ten minutes three days before the end."""

    def __init__(self, usual: float = 2 * GIB, high: float = 5 * GIB) -> None:
        self.asked: list[str] = []
        self.usual, self.high = usual, high

    def query_range(self, expr: Any, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        self.asked.append(str(expr))
        times = np.arange(start_ms, end_ms + 1, step_ms)
        since = end_ms - times
        spike = (since <= 72 * HOUR) & (since > 72 * HOUR - 10 * MINUTE)
        return Matrix(times, (MatrixSeries({}, np.where(spike, self.high, self.usual)),), ())


def found(evaluated: Budget, source: Any) -> Values:
    return values_of([evaluated], source)[evaluated.slo.id]


def titled(charts: tuple[Chart, ...], title: str) -> Chart:
    return next(chart for chart in charts if chart.title == title)


def test_a_value_is_drawn_against_its_bound_and_a_spike_of_ten_minutes_is_seen() -> None:
    evaluated, source = budget(Case("memory", sli=MEMORY, objective="99.5")), Planted()
    values = found(evaluated, source)
    assert source.asked == ["max(process_resident_memory_bytes)"]
    assert (values.highest.max(), values.lowest.max(), values.now) == (5 * GIB, 2 * GIB, 2 * GIB)
    high = np.flatnonzero(values.highest == 5 * GIB)
    planted = END.timestamp() * 1000 - 72 * HOUR
    assert len(high) <= 2 and values.edges[high[0]] <= planted <= values.edges[high[-1] + 1]
    chart = titled(draw(evaluated, values), "Measured value")
    assert ("limit", "good below 4 GiB") in chart.plot.legend
    assert "4 GiB" in [tick.label for tick in chart.plot.y]
    html = render([evaluated], title="x", generated=NOW, values={evaluated.slo.id: values})
    assert "Measured value" in html and "now 2 GiB" in html and '"chart-title">Error ratio' not in html


def test_an_age_is_drawn_as_a_length_of_time() -> None:
    evaluated = budget(Case("backup", sli=AGE, objective="99.9"))
    source = Planted(1200, 2 * 3600)
    chart = titled(draw(evaluated, found(evaluated, source)), "Measured value")
    assert source.asked[0].startswith("max(time() - http_requests_total")
    assert ("limit", "good up to 1h") in chart.plot.legend
    assert [tick.label for tick in chart.plot.y] == ["0s", "30m", "1h", "1h 30m", "2h"]


def test_a_source_that_fails_leaves_the_error_ratio() -> None:
    from slo.errors import SourceError

    class Down:
        def query_range(self, *_: Any) -> Matrix:
            raise SourceError("down")

    evaluated = budget(Case("memory", sli=MEMORY))
    assert values_of([evaluated], Down()) == {}  # type: ignore[arg-type]
    assert "Error ratio" in [chart.title for chart in draw(evaluated)]


@pytest.mark.parametrize(
    ("expr", "unit"),
    [
        ("process_resident_memory_bytes", "bytes"),
        ("sum(rate(sent_bytes[5m]))", ""),
        ("a_bytes / b_bytes", ""),
        ("histogram_quantile(0.9, sum by (le) (rate(took_seconds_bucket[5m])))", "seconds"),
        ("sum(rate(cpu_seconds_total[5m]))", ""),
        ("queue_length", ""),
    ],
)
def test_a_unit_is_said_only_where_the_name_has_it_and_nothing_changes_it(expr: str, unit: str) -> None:
    assert Threshold(expr, "<", Decimal(1), MINUTE).held.unit == unit


def test_outages_are_bars_with_their_figures_in_front() -> None:
    sli = Outage(PROBE, "up", 15 * MINUTE, Decimal("0.5"), MINUTE)
    two = tuple(
        Downtime(END - timedelta(hours=ago), END - timedelta(hours=ago - hours))
        for ago, hours in ((90, 0.5), (20, 1.0))
    )
    changed = replace(budget(Case("recovery", sli=sli, background=0.0)), downtimes=two)
    chart = titled(draw(changed), "Outages")
    assert len(re.findall(r'<path class="outage"', chart.plot.shapes)) == 2
    assert ("limit", "bad from 15m on") in chart.plot.legend
    html = render([changed], title="x", generated=NOW)
    front = html[html.index('class="key-figures"') :].split("</dl>")[0]
    names = re.findall(r"<dt>([^<]+)</dt><dd><b[^>]*>([^<]+)", front)
    assert names[:3] == [
        ("Outages", "2"), ("Mean time to recovery", "45m"), ("Mean time between failures", "14d 23h"),
    ]  # fmt: skip


def test_no_errors_are_a_line_at_zero_not_an_empty_chart() -> None:
    chart = titled(draw(budget(Case("up", sli=PROBE, background=0.0))), "Error ratio")
    zero = next(tick for tick in chart.plot.y if tick.label == "0%")
    (line,) = re.findall(r'<path class="main" d="M(\d+) (\d+)h(\d+)"', chart.plot.shapes)
    assert int(line[0]) == 0 and int(line[2]) > 0.97 * WIDTH
    assert int(line[1]) == pytest.approx(zero.at * 10, abs=2)


def test_what_fires_now_stands_clear_of_the_edge_and_can_be_seen() -> None:
    evaluated = budget(Case("now", background=0.0, faults=(Fault(0.4, 0.4, 0.5),)))
    assert evaluated.firings("page")[-1][1] == evaluated.end
    chart = titled(draw(evaluated), "Error ratio")
    bars = re.findall(r'<rect class="fired-page" x="(\d+)" y="\d+" width="(\d+)"', chart.bands)
    assert [int(width) >= NARROWEST for _, width in bars] == [True] * len(bars)
    assert int(bars[-1][0]) + int(bars[-1][1]) < WIDTH
    # A band at the very end is moved in, not cut.
    assert 'x="1988"' in rectangle("x", 0.9999, 1.0, "")


def test_what_burns_is_shown_over_its_last_day_too() -> None:
    burning = budget(Case("now", background=0.0, faults=(Fault(1.2, 1.2, 0.03),)))
    last = titled(draw(burning), "Error ratio, last 24 h")
    assert {tick.label for tick in last.plot.x} >= {"00:00", "12:00"} or len(last.plot.x) >= 3
    assert "per 5m" in last.unit and 'class="incident"' in last.bands
    quiet = budget(Case("quiet", background=0.0))
    assert "last 24 h" not in " ".join(chart.title for chart in draw(quiet))


def test_a_heatmap_shows_a_short_incident_of_87_percent() -> None:
    """Half an hour of it is 5% of its column's requests."""
    evaluated = budget(Case("latency", sli=LATENCY, objective="95", background=0.0, faults=(Fault(200, 0.5, 0.87),)))
    chart = titled(draw(evaluated), "Latency heatmap")
    # Of the bad 60% lie in the first bucket above: the root of 0.52 is the fifth of six shades.
    assert 'class="b5"' in chart.plot.shapes and 'class="b6"' not in chart.plot.shapes
    calm = budget(Case("latency", sli=LATENCY, objective="95", background=0.0))
    assert 'class="b' not in titled(draw(calm), "Latency heatmap").plot.shapes
