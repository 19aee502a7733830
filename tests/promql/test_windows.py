"""What prefix sums and order statistics give of windows, against the windows gone through one by one."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.promql import Engine, Samples, windows
from slo.promql.order import Order, median_deviation, quantile

numbers = st.one_of(
    st.integers(-5, 5).map(float), st.floats(-1e9, 1e9), st.just(math.nan), st.just(math.inf), st.just(-math.inf)
)


@given(st.lists(numbers, min_size=1, max_size=40), st.data())
def test_the_kth_of_a_window_is_that_of_the_sorted_window(values: list[float], data: st.DataObject) -> None:
    lo = data.draw(st.integers(0, len(values) - 1))
    hi = data.draw(st.integers(lo + 1, len(values)))
    held = np.array(values)
    part = held[lo:hi]
    wanted = np.concatenate([part[np.isnan(part)], np.sort(part[~np.isnan(part)])])
    k = np.arange(hi - lo)
    got = Order(held).kth(np.full(len(k), lo), np.full(len(k), hi), k)
    assert np.array_equal(got, wanted, equal_nan=True)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.data())
def test_the_median_deviation_is_that_of_the_window(values: list[float], data: st.DataObject) -> None:
    lo = data.draw(st.integers(0, len(values) - 1))
    hi = data.draw(st.integers(lo + 1, len(values)))
    order, edges = Order(np.array(values)), (np.array([lo]), np.array([hi]))
    part = np.array(values[lo:hi])
    middle = quantile(order, *edges, np.array([0.5]))[0]
    assert middle == pytest.approx(np.median(part), rel=1e-12, abs=1e-9)
    assert median_deviation(order, *edges)[0] == pytest.approx(np.median(np.abs(part - middle)), rel=1e-12, abs=1e-9)


@given(
    st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 1000), min_size=3, max_size=30), st.sampled_from([0.0, 1e6])
)
def test_spread_and_slope_of_exact_sums_are_the_true_ones(values: list[float], level: float) -> None:
    held = [value + level for value in values]
    times = [7 * i + i % 3 for i in range(len(held))]
    exact = [Fraction(value) for value in held]
    mean, middle = sum(exact) / len(exact), Fraction(sum(times), len(times))
    variance = sum((y - mean) ** 2 for y in exact) / len(exact)
    covariance = sum((t - middle) * (y - mean) for t, y in zip(times, exact, strict=True))
    slope = covariance / sum((t - middle) ** 2 for t in times)
    engine = Engine(Samples.from_series([({"__name__": "x"}, [t * 1000 for t in times], held)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "DIRECT", -1)
        patch.setattr("slo.promql.spread.RETRACED", -1)
        got = engine.query("stdvar_over_time(x[1h])", at=times[-1]).value
        trend = engine.query("deriv(x[1h])", at=times[-1]).value
    # exact but for the last rounding; where hardly anything is left of the sums, of the digits that there were
    assert got == pytest.approx(float(variance), rel=1e-12, abs=1e-15 * float(mean**2))
    assert trend == pytest.approx(float(slope), rel=1e-12, abs=1e-18 * (abs(float(mean)) + 1e-3))


def test_long_windows_with_values_that_are_not_finite_are_summed_as_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [1.0, math.inf, 2.0, -math.inf, math.nan, 3.0, 4.0, math.inf, math.inf]
    engine = Engine(Samples.from_series([({"__name__": "x"}, [60_000 * i for i in range(len(odd))], odd)]))
    for name in ("sum", "avg", "stddev", "min", "max"):
        short = engine.query_range(f"{name}_over_time(x[2m])", 0, 480, 60).series[0].values
        with monkeypatch.context() as patch:
            patch.setattr(windows, "DIRECT", -1)
            long = engine.query_range(f"{name}_over_time(x[2m])", 0, 480, 60).series[0].values
        assert np.array_equal(short, long, equal_nan=True), name
