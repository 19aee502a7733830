"""Cases found alongside a server, each small and named; and what holds of the engine's own making."""

from __future__ import annotations

import math

import numpy as np
import pytest

from slo.errors import PromqlError
from slo.promql import STALE, Engine, Samples, rangecalls
from tests.promql.grammar import BASE, samples, series


def engine(*rows: tuple[dict[str, str], list[int], list[float]], **options: bool) -> Engine:
    return Engine(
        Samples.from_series((labels, [s * 1000 for s in at], values) for labels, at, values in rows), **options
    )


def test_series_in_blocks_answer_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Engine(samples(series(3)))
    at = BASE / 1000 + 3000
    whole = held.query_range("sum by (job) (rate(c_total[10m]))", at, at + 1200, "1m")
    monkeypatch.setattr(rangecalls, "PER_BLOCK", 200)
    blocks = held.query_range("sum by (job) (rate(c_total[10m]))", at, at + 1200, "1m")
    assert [(s.labels, s.values.tolist()) for s in whole.series] == [
        (s.labels, s.values.tolist()) for s in blocks.series
    ]


def test_a_stale_marker_ends_a_series_at_once() -> None:
    held = engine(({"__name__": "x"}, [0, 60, 120], [1.0, float(STALE), 2.0]))
    assert held.query("x", at=59).value == 1
    assert held.query("x", at=60).series == ()
    assert held.query("count_over_time(x[2m1s])", at=120).value == 2


def test_a_sample_as_old_as_the_look_back_is_too_old() -> None:
    held = engine(({"__name__": "x"}, [0], [1.0]))
    assert held.query("x", at=299.999).value == 1
    assert held.query("x", at=300).series == ()


def test_infinity_beats_nan_in_clamp() -> None:
    held = engine(({"__name__": "x"}, [0], [math.inf]))
    assert held.query("clamp_min(x, NaN)", at=0).value == math.inf


def test_names_dropped_at_once_or_at_the_end() -> None:
    rows = [({"__name__": name}, [0, 60], [1.0, 2.0]) for name in ("a", "b")]
    expr = 'sum(delta({__name__=~"a|b"}[2m]))'
    assert len(engine(*rows).query(expr, at=60).series) == 1
    with pytest.raises(PromqlError, match="vector cannot contain metrics with the same labelset"):
        engine(*rows, delayed_name_removal=False).query(expr, at=60)


def test_a_name_is_dropped_or_kept_as_the_first_of_merged_series_has_it() -> None:
    held = engine(({"__name__": "x"}, [0, 60, 120], [1.0, 1.0, 2.0]))
    answer = held.query_range("(x offset 1m == bool x) or x", 0, 120, 60)
    assert [row.labels for row in answer.series] == [{"__name__": "x"}]


def test_of_equal_elements_those_stay_that_a_heap_keeps() -> None:
    held = engine(
        *[({"__name__": "x", "a": str(a)}, [0], [value]) for a, value in enumerate((1.0, 1.0, 1.0, 2.0, 1.0))]
    )
    # the heap of the first three is 0 1 2; the 2 takes the place of 0 and sinks below 1
    assert [row.labels["a"] for row in held.query("topk(3, x)", at=0).series] == ["3", "1", "2"]
    assert [row.labels["a"] for row in held.query("bottomk(2, x)", at=0).series] == ["0", "1"]


def test_a_frame_has_a_column_per_series() -> None:
    held = engine(({"__name__": "x", "a": "1"}, [0, 60], [1.0, 2.0]), ({"__name__": "x", "a": "2"}, [60], [3.0]))
    frame = held.query_range("x", 0, 60, 60).to_frame()
    assert list(frame.columns) == ['x{a="1"}', 'x{a="2"}']
    assert np.isnan(frame['x{a="2"}'].iloc[0])
