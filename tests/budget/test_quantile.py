"""Percentiles from buckets, as Prometheus has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.budget.quantile import histogram_quantile
from slo.promql import Engine
from slo.promql.samples import Samples

INF = float("inf")


def quantile(q: float, bounds: list[float], *rows: list[float]) -> list[float]:
    quantiles: list[float] = histogram_quantile(q, np.array(bounds), np.array(rows, dtype=float)).tolist()
    return quantiles


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        (0.25, 0.5),  # 50 of 100 lie below 1, evenly: a quarter of them below 0.5
        (0.5, 1.0),
        (0.7, 2.0),  # 40 between 1 and 3: the 20th of these
        (0.9, 3.0),
        (0.95, 3.0),  # beyond the last finite bound: that bound
        (1.0, 3.0),
        (0.0, 0.0),
    ],
)
def test_within_a_bucket_values_lie_evenly(q: float, expected: float) -> None:
    assert quantile(q, [1, 3, INF], [50, 90, 100]) == pytest.approx([expected])


def test_each_row_by_itself_and_an_empty_one_has_none() -> None:
    assert quantile(0.5, [1, 2, INF], [10, 10, 10], [0, 10, 10], [0, 0, 0]) == pytest.approx(
        [0.5, 1.5, np.nan], nan_ok=True
    )


def test_a_count_that_falls_from_one_bound_to_the_next_is_raised() -> None:
    """4 below 1 cannot be 2 below 2."""
    assert quantile(0.75, [1, 2, 3, INF], [4, 2, 8, 8]) == quantile(0.75, [1, 2, 3, INF], [4, 4, 8, 8])
    assert quantile(0.75, [1, 2, 3, INF], [4, 2, 8, 8]) == [2.5]


@pytest.mark.parametrize(("lowest", "expected"), [(-1.0, -1.0), (0.0, 0.0), (2.0, 1.0)])
def test_the_lowest_bucket_starts_at_zero_unless_its_bound_is_no_more_than_that(lowest: float, expected: float) -> None:
    assert quantile(0.25, [lowest, 5, INF], [5, 10, 10]) == [expected]


@pytest.mark.parametrize("bounds", [[INF], [1.0, 2.0], []])
def test_without_a_bucket_for_all_or_any_other_there_is_none(bounds: list[float]) -> None:
    quantiles = histogram_quantile(0.5, np.array(bounds), np.full((2, len(bounds)), 5.0))
    assert quantiles.shape == (2,) and np.isnan(quantiles).all()


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6), st.floats(0.01, 0.99), st.floats(-2, 2))
def test_it_is_the_engines(increments: list[int], q: float, lowest: float) -> None:
    bounds = [lowest + place for place in range(len(increments) - 1)]
    counts = np.cumsum(increments).astype(float)
    rows = [
        ({"__name__": "b", "le": f"{bound!r}" if bound < INF else "+Inf"}, [0], [count])
        for bound, count in zip([*bounds, INF], counts.tolist(), strict=True)
    ]
    answer = Engine(Samples.from_series(rows)).query(f"histogram_quantile({q!r}, b)", 0.0).series
    theirs = answer[0].values[0]
    assert quantile(q, [*bounds, INF], counts.tolist()) == pytest.approx([theirs], nan_ok=True)


def test_the_least_value_of_a_histogram_that_begins_at_zero_is_zero() -> None:
    quantiles = histogram_quantile(0.0, np.array([0.0, 1.0, np.inf]), np.array([[0.0, 5.0, 5.0]]))
    assert quantiles.tolist() == [0.0]
