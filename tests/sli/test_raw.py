"""Expressions of one's own: their unit, their counters, and what of them is moved to a tile."""

from __future__ import annotations

import pytest

from slo.promql.ast import VectorSelector
from slo.promql.parse import parse
from slo.sli.raw import Raw, _Tiling, unit_of
from slo.sli.tile import Tile
from slo.window import MINUTE


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("0 * rate(x[1m])", None),  # nothing has no unit
        ("rate(x[1m]) * 0", None),
        ("2 * rate(x[1m])", "rate"),
        ("increase(x[1m]) * 2", "count"),
        ("rate(x[1m]) > 2", "rate"),
        ("rate(x[1m]) and y", "rate"),
        ("x * 2", None),
    ],
)
def test_the_unit_of_a_product_or_of_a_comparison(text: str, unit: str | None) -> None:
    assert unit_of(parse(text)) == unit


@pytest.mark.parametrize("func", ["hour", "minute", "day_of_week", "day_of_month", "days_in_month", "month", "year"])
def test_the_clock_of_a_tile_is_as_late_as_the_tile(func: str) -> None:
    for lag, expected in ((0, f"{func}()"), (MINUTE, f"{func}(vector(time() - 60))")):
        assert str(_Tiling(Tile(5 * MINUTE, lag), None).tiled(parse(f"{func}()"))) == expected
    # What is of another moment already, or of none, stays.
    for text in (f"{func}(x)", "pi()"):
        moved = str(_Tiling(Tile(5 * MINUTE, MINUTE), None).tiled(parse(text)))
        assert moved == text.replace("x", "x offset 1m")


@pytest.mark.parametrize(
    ("errors", "total", "parts"),
    [
        ("sum(increase(e[$window]))", "sum(increase(t[$window]))", {"e": "t"}),
        ("sum(increase(t[$window]))", "sum(increase(t[$window]))", {}),
        ("sum(increase(e[$window])) + sum(increase(f[$window]))", "sum(increase(t[$window]))", {"e": "t", "f": "t"}),
        ("sum(increase(e[$window]))", "sum(increase(t[$window])) + sum(increase(u[$window]))", {}),
        ("sum(increase(e[$window]))", "sum(count_over_time(t[$window]))", {}),
    ],
)
def test_errors_are_a_part_of_the_one_counter_of_the_total(errors: str, total: str, parts: dict[str, str]) -> None:
    """Of several counters nobody knows which; the parts are held against what the whole counted."""
    read_parts = Raw(errors, total)._parts
    assert read_parts == {VectorSelector(part): VectorSelector(whole) for part, whole in parts.items()}
