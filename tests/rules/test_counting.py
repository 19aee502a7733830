"""Raw expressions over `$window` as tiles; that they count right is held by tests/contract."""

from __future__ import annotations

import pytest

from slo.promql.ast import Aggregate, VectorSelector
from slo.promql.parse import parse
from slo.sli.tile import Tile
from slo.sli.tiles import by_series, counted
from slo.window import MINUTE
from tests.counting import raw_tile

TILE = MINUTE


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
