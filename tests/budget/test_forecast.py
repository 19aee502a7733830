"""When a budget ends, and how sure that is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from slo.budget.forecast import CONFIDENCE, Floats, Forecast, _student, forecast, pace_length
from slo.window import DAY

END = datetime(2026, 11, 20, tzinfo=UTC)
STEPS = 864  # three days of five minutes


def reported(errors: Floats, total: Floats, remaining: float = 0.5, until: datetime | None = None) -> Forecast:
    outlook = forecast(
        errors, total, error_budget=0.001, remaining=remaining, period_ms=30 * DAY, pace_ms=3 * DAY, end=END, until=until
    )  # fmt: skip
    assert outlook is not None
    return outlook


def test_an_even_pace_is_as_sure_as_its_count() -> None:
    """10,000 errors of 5 million at 99.9 %: twice the pace. Poisson: ±1.363 × √10000 of 10000."""
    errors, total = np.full(STEPS, 10_000 / STEPS), np.full(STEPS, 5e6 / STEPS)
    reported_now = reported(errors, total)
    assert reported_now.pace == pytest.approx(2.0)
    assert [reported_now.low, reported_now.high] == pytest.approx([2 * (1 - 0.01363), 2 * 1.01363], rel=1e-4)
    assert reported_now.at is not None and reported_now.at - END == pytest.approx(
        timedelta(days=7.5), abs=timedelta(seconds=1)
    )
    assert reported_now.earliest is not None and reported_now.latest is not None
    assert reported_now.earliest < reported_now.at < reported_now.latest
    assert reported_now.earliest - END == pytest.approx(
        timedelta(days=15 / reported_now.high), abs=timedelta(seconds=1)
    )


@pytest.mark.parametrize(("freedom", "quantile"), [(11, 1.363430), (20, 1.325341), (40, 1.303077)])
def test_students_quantile(freedom: int, quantile: float) -> None:
    """Of 90 %, from tables; the expansion is good to the third power of what is left out."""
    assert _student(freedom) == pytest.approx(quantile, abs=0.3 / freedom**3)


def test_one_burst_makes_it_unsure() -> None:
    """All errors in one of twelve parts, by hand: residuals 11/12 and eleven times -1/12 of them, sum of squares 11/12."""
    errors, total = np.zeros(STEPS), np.full(STEPS, 5e6 / STEPS)
    errors[:72] = 10_000 / 72
    reported_now = reported(errors, total)
    assert reported_now.pace == pytest.approx(2.0)
    assert reported_now.high == pytest.approx(2 + 2 * 1.3634 * (12 / 11 * 11 / 12) ** 0.5, rel=1e-3)
    assert reported_now.low == 0.0
    assert reported_now.latest is None and reported_now.at is not None


def test_without_an_error_it_is_not_sure_that_none_will_come() -> None:
    reported_now = reported(np.zeros(STEPS), np.full(STEPS, 1.0))
    assert (reported_now.pace, reported_now.low, reported_now.at) == (0.0, 0.0, None)
    assert reported_now.high == pytest.approx(1.3634 / STEPS / 0.001, rel=1e-3)  # one error more
    assert reported_now.earliest is not None


def test_a_calendar_budget_lasts_until_its_window_does() -> None:
    errors, total = np.full(STEPS, 10_000 / STEPS), np.full(STEPS, 5e6 / STEPS)
    assert reported(errors, total, until=END + timedelta(days=7)).at is None
    assert reported(errors, total, until=END + timedelta(days=7)).earliest is None
    near = reported(errors, total, until=END + timedelta(days=7.5))
    assert near.at is None and near.earliest is not None and near.latest is None
    assert (
        reported(errors / 10, total, until=END + timedelta(days=90)).at is not None
    )  # slower than 1, and yet not enough


def test_without_traffic_there_is_none() -> None:
    nothing = np.zeros(STEPS)
    assert (
        forecast(nothing, nothing, error_budget=0.001, remaining=0.5, period_ms=DAY, pace_ms=DAY, end=END, until=None)
        is None
    )


@pytest.mark.parametrize("bursts", [0.0, 0.05])
def test_the_range_holds_the_true_pace_as_often_as_it_says(bursts: float) -> None:
    """Traffic by the hour of the day, errors by chance, even or in bursts: over 600 cases 80 % within the chance of it."""
    chance = np.random.default_rng(7)
    rate = 0.002
    hours = np.arange(STEPS) / 12
    reached = 0
    for _ in range(600):
        total = chance.poisson(400 * (1.3 + np.sin(hours / 24 * 2 * np.pi))).astype(float)
        if bursts:
            weight = chance.random(STEPS) < bursts
            errors = chance.binomial(total.astype(int), rate / bursts * weight).astype(float)
        else:
            errors = chance.binomial(total.astype(int), rate).astype(float)
        reported_now = reported(errors, total)
        reached += reported_now.low <= rate / 0.001 <= reported_now.high
    assert reached / 600 == pytest.approx(CONFIDENCE, abs=0.08)


def test_the_pace_is_that_of_a_tenth_of_the_window() -> None:
    """Three days at most, a step at least."""
    assert [pace_length(days * DAY, 1000) for days in (7, 30, 90)] == [7 * DAY // 10, 3 * DAY, 3 * DAY]
    assert pace_length(5000, 1000) == 1000


def test_a_single_step_is_as_sure_as_its_count() -> None:
    """Four errors of 1,000 events: Poisson's deviation of two, and Student's quantile for one degree of freedom."""
    outlook = forecast(
        np.array([4.0]), np.array([1000.0]), error_budget=0.004, remaining=0.5, period_ms=DAY, pace_ms=DAY, end=END,
        until=None,
    )  # fmt: skip
    assert outlook is not None
    assert outlook.pace == pytest.approx(1) and outlook.at is None  # at a burn rate of 1 the budget lasts
    assert outlook.high - outlook.pace == pytest.approx(_student(1) * 2 / 4)
    assert outlook.low == pytest.approx(max(0.0, 1 - _student(1) * 2 / 4))


def test_the_end_is_not_farther_than_ten_windows() -> None:
    """All of the budget remaining at a pace a little over 1 on a calendar window without an end: at most so far ahead."""
    errors, total = np.full(STEPS, 1.0), np.full(STEPS, 1e5)  # a hundredth of the pace
    reported_now = reported(errors, total, remaining=1.0, until=END + timedelta(days=3000))
    assert reported_now.at is not None and reported_now.at - END == timedelta(days=300)
