"""Tiles in PromQL count as `slo.sli.counting` does, and as the events happened: on histories that hypothesis makes up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.promql.ast import Aggregate, Matcher, Node, VectorSelector
from slo.promql.engine import Engine
from slo.promql.parse import parse
from slo.promql.samples import Samples
from slo.sli.counts import Grid
from slo.sli.ratio import Ratio
from slo.sli.tiles import Tile, by_series, counted
from slo.window import MINUTE
from tests.counting import count, raw_tile

SCRAPE, TILE = 30_000, MINUTE
START = 1_700_000_000_000 // TILE * TILE
TOTAL = VectorSelector("r_total", (Matcher("job", "=", "j"),))
ERRORS = VectorSelector("r_total", (Matcher("job", "=", "j"), Matcher("code", "=~", "5..")))
GOOD = VectorSelector("r_total", (Matcher("job", "=", "j"), Matcher("code", "!~", "5..")))
STEPS = 30


@st.composite
def processes(draw: st.DrawFn) -> Samples:
    """Targets whose code 200 is there from the start, and 500 from its first error; scrapes fail, processes restart."""
    rows = []
    for instance in range(draw(st.integers(1, 2))):
        phase = draw(st.integers(1, SCRAPE - 1))
        good = draw(st.lists(st.integers(0, 9), min_size=2 * STEPS, max_size=2 * STEPS))
        # The first tile of a target is its baseline; a process lives for two tiles and more.
        bad = [0] * 4 + draw(st.lists(st.integers(0, 2), min_size=2 * STEPS - 4, max_size=2 * STEPS - 4))
        restarts = {at * 6 for at in draw(st.sets(st.integers(1, 2 * STEPS // 6)))}
        unseen = draw(st.sets(st.integers(4, 2 * STEPS - 1), max_size=20))
        for code, events in (("200", good), ("500", bad)):
            value, times, values, born = 0, [], [], code == "200"
            for scrape, number in enumerate(events):
                if scrape in restarts:
                    value, born = 0, code == "200"
                value += number
                born = born or value > 0
                if born and scrape not in unseen:
                    times.append(START + phase + SCRAPE * scrape)
                    values.append(float(value))
            labels = {"__name__": "r_total", "job": "j", "instance": f"i{instance}", "code": code}
            rows.append((labels, times, values))
    return Samples.from_series([row for row in rows if row[1]])


def told(samples: Samples, expr: Node, lag_ms: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """An expression per tile, 0 where it is absent."""
    found = np.zeros(STEPS)
    start = (START + TILE + lag_ms) / 1000
    for row in Engine(samples).query_range(expr, start, start + (STEPS - 1) * TILE / 1000, TILE / 1000).series:
        found[(row.times - lag_ms - START) // TILE - 1] += row.values
    return found


@settings(max_examples=20, deadline=None)
@given(processes())
def test_a_raw_increase_over_the_window_is_counted_the_same_way(samples: Samples) -> None:
    text = 'sum(increase(r_total{job="j",code=~"5.."}[$window]))'
    grid = Grid(START + STEPS * TILE, TILE, STEPS)
    seen_by_itself = count(Ratio(ERRORS, ERRORS, "errors"), samples, grid).total
    assert told(samples, raw_tile(text, TILE)) == pytest.approx(seen_by_itself)


@pytest.mark.parametrize(("moved", "lag_ms"), [("", 0), (" offset 5m", 5 * MINUTE)])
def test_a_raw_increase_is_the_tile_of_its_counter_as_far_back_as_it_is_moved(moved: str, lag_ms: int) -> None:
    counter, tile = VectorSelector("x_total"), Tile(TILE, lag_ms)
    each = raw_tile(f"max(increase(x_total[$window]{moved}))", TILE)
    assert str(each) == str(Aggregate("sum", Aggregate("max", by_series(counter, tile))))
    together = raw_tile(f"sum(increase(x_total[$window]{moved}))", TILE)
    assert str(together) == str(Aggregate("sum", Aggregate("sum", counted(counter, tile))))


@pytest.mark.parametrize(
    ("text", "tile"),
    [
        ("max_over_time(x[$window:30s])", "sum(max_over_time(x offset 30s[1m:30s]))"),
        ("delta(x[$window] offset 1h)", "sum(delta(x[1m] offset 1h30s))"),
        (
            "rate(x[5m]) + 0 * count_over_time(x[$window])",
            "sum(rate(x[5m] offset 30s) + 0 * count_over_time(x[1m] offset 30s)) * 60",
        ),
        (
            "count_over_time(x[$window]) * (time() > bool 5)",
            "sum(count_over_time(x[1m] offset 30s) * (time() - 30 > bool 5))",
        ),
        ("count_over_time(x[$window]) * pi()", "sum(count_over_time(x[1m] offset 30s) * pi())"),
        ("count_over_time(x[$window] @ 5)", "sum(count_over_time(x[1m] @ 5))"),
        (
            "x and on () hour() < count_over_time(x[$window])",
            "sum(x offset 30s and on () hour(vector(time() - 30)) < count_over_time(x[1m] offset 30s))",
        ),
    ],
)
def test_what_is_not_an_increase_is_moved_and_otherwise_left_alone(text: str, tile: str) -> None:
    assert str(raw_tile(text, TILE, 30_000)) == str(parse(tile))
