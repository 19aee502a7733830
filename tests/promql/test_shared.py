"""Many evaluations at once are the evaluations one by one, though repeated parts and subqueries are evaluated but once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.promql import Engine, Samples, select
from slo.promql.parse import parse
from slo.promql.shared import Shared
from slo.promql.values import Bools, Flat, Floats, Ints, Ranges

EXPRESSIONS = [
    "sum(rate(x[2m])) / sum(rate(x[2m]))",
    "sum by (i) (x) - on (i) max by (i) (x) + on (i) (sum by (i) (x) * 0)",
    "last_over_time((x - x offset 1m)[15s:15s] offset 30s)",
    "last_over_time((increase(x[2m]) unless x > 3 or increase(x[2m]))[14s999ms:15s] offset 30s)",
    "sum_over_time((last_over_time(x[1m]) > -Inf)[59s999ms:15s]) or last_over_time(x[1m])",
    "max_over_time((x + x)[5m:1m]) - min_over_time((x + x)[5m:30s])",
    "count_over_time((x @ 600 + x)[20s:7s])",
    "x * -0 + x * 0",
    "absent(x > 1e9) or absent(x > 1e9)",
]
LOOKBACK = "1m"


def history(seed: int) -> Samples:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(3):
        times = np.cumsum(rng.choice([7, 15, 15, 30, 200], 80)) * 1000
        rows.append(({"__name__": "x", "i": str(i)}, times, np.cumsum(rng.integers(-1, 4, 80)).astype(float)))
    return Samples.from_series(rows)


@pytest.mark.parametrize("text", EXPRESSIONS)
@given(st.integers(0, 1000), st.sampled_from([1, 10, 15, 60, 300]))
def test_steps_at_once_are_queries_one_by_one(text: str, seed: int, step: int) -> None:
    engine, expr = Engine(history(seed), LOOKBACK, delayed_name_removal=False), parse(text)
    times = np.arange(600, 1200, step)[:12] * 1000
    vector = engine.vector_at(expr, times)
    for place, at in enumerate(times.tolist()):
        single = {tuple(sorted(row.labels.items())): row.values[0] for row in engine.query(expr, at / 1000).series}
        together = {
            labels: values[place]
            for labels, values, present in zip(vector.labels, vector.values, vector.present, strict=True)
            if present[place]
        }
        assert together.keys() == single.keys()
        for labels, value in single.items():
            assert together[labels] == pytest.approx(value, rel=1e-13, nan_ok=True)
            assert np.signbit(together[labels]) == np.signbit(value)


def test_a_repeated_part_is_evaluated_once_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ranges = select.ranges

    def noted(*given: Any) -> Ranges:
        asked.append(given[-1])
        return ranges(*given)

    monkeypatch.setattr(select, "ranges", noted)
    engine = Engine(history(1))
    text = "sum(increase(x[3m])) > 0 unless sum(increase(x[3m])) > 1e9 or sum(increase(x[3m])) + sum(increase(x[4m]))"
    engine.vector_at(parse(text), np.array([600_000, 660_000]))
    assert sorted(asked) == [180_000, 240_000]
    expr = parse("x + x * x")
    shared = Shared(expr)
    [first, second, third] = [expr.left, expr.right.left, expr.right.right]  # type: ignore[union-attr]
    assert shared.take(first) is None
    shared.put(first, "value")
    assert (shared.take(second), shared.take(third), shared.take(first)) == ("value", "value", None)


def test_a_subquery_is_evaluated_where_a_window_of_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of 15 s each minute has one of its four moments."""
    moments: list[list[int]] = []
    latest = select.latest

    def noted(flat: Flat, at: Ints, lookback_ms: int) -> tuple[Floats, Bools, Ints]:
        moments.append(at.tolist())
        return latest(flat, at, lookback_ms)

    monkeypatch.setattr(select, "latest", noted)
    engine = Engine(history(2))
    times = np.arange(600, 900, 60) * 1000
    engine.vector_at(parse("last_over_time((x + 1)[14s999ms:15s] offset 30s)"), times)
    assert moments == [(times - 30_000).tolist()]
