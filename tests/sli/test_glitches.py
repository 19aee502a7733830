"""Samples that were never a counter's value, and falls that are no restart: ten events a minute, scrape by scrape."""

from __future__ import annotations

import numpy as np
import pytest

from slo.sli.glitches import falls_of, falls_of_sums, without_glitches
from slo.window import MINUTE

SIZE, AT = 80, 40
TIMES = MINUTE * np.arange(SIZE, dtype=np.int64)


def steady(start: float = 10_000) -> np.ndarray:
    return start + 10.0 * np.arange(SIZE)


def shown(values: dict[int, float], start: float = 10_000) -> np.ndarray:
    """A steady counter that shows these values instead at these minutes."""
    found = steady(start)
    for minute, value in values.items():
        found[minute] = value
    return found


def dropped(*lines: np.ndarray, times: np.ndarray = TIMES, restarts: list[int] | None = None) -> list[list[int]]:
    """Of each series the minutes of the samples that are left out."""
    known = None if restarts is None else MINUTE * np.array(restarts, dtype=np.int64)
    kept, _ = without_glitches([(times, values, falls_of(values)) for values in lines], known)
    return [[] if keep is None else np.flatnonzero(~keep).tolist() for keep in kept]


@pytest.mark.parametrize("value", [0.0, 5_000.0, 10_300.0])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_what_it_showed_before_is_shown_for_up_to_three_scrapes(value: float, length: int) -> None:
    minutes = range(AT, AT + length)
    assert dropped(shown(dict.fromkeys(minutes, value))) == [[*minutes]]


def test_for_four_scrapes_it_is_no_glitch() -> None:
    assert dropped(shown(dict.fromkeys(range(AT, AT + 4), 0.0))) == [[]]
    assert dropped(shown({10: 0.0, **dict.fromkeys(range(AT, AT + 4), 0.0)})) == [[10]]


def test_a_series_may_have_glitches_again_and_again() -> None:
    assert dropped(shown({5: 0.0, 40: 0.0, 75: 1e9})) == [[5, 40, 75]]


@pytest.mark.parametrize("length", [1, 3])
def test_far_more_for_a_moment(length: int) -> None:
    minutes = range(AT, AT + length)
    assert dropped(shown(dict.fromkeys(minutes, 1e9))) == [[*minutes]]


def test_far_more_in_the_first_scrapes() -> None:
    assert dropped(shown({1: 1e9})) == [[1]]
    assert dropped(shown({0: 1e9})) == [[]]  # nothing was before it
    for later, expected in (
        (MINUTE, [[1]]),
        (2 * MINUTE, [[]]),
    ):  # too long a pause for two scrapes, though not for three
        times = TIMES.copy()
        times[2:] += later
        assert dropped(shown({1: 1e9}), times=times) == expected


@pytest.mark.parametrize("value", [9_000.0, 1e9])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_an_idle_counter_is_back_at_exactly_what_it_was(value: float, length: int) -> None:
    values = np.full(SIZE, 10_000.0)
    values[AT : AT + length] = value
    assert dropped(values) == [[*range(AT, AT + length)]]


def test_far_more_right_after_a_restart() -> None:
    values = steady()
    values[AT - 1 :] = 95 + 10.0 * np.arange(SIZE - AT + 1)
    values[AT] = 1e9
    assert dropped(values) == [[AT]]


def test_a_value_that_a_burst_may_have_had_stays() -> None:
    """Up to a hundred times of what happens nearby: of 20 events in two minutes and ten more."""
    before = steady()[AT - 1]
    assert dropped(shown({AT: before + 3_000})) == [[]]
    assert dropped(shown({AT: before + 3_001})) == [[AT]]


def test_what_does_not_come_back_is_a_restart() -> None:
    values = steady()
    values[AT:] = 10.0 * np.arange(SIZE - AT)
    kept, restarts = without_glitches([(TIMES, values, falls_of(values))])
    assert kept == [None] and restarts.tolist() == [AT * MINUTE]
    # It comes back, but below where it was: two processes, or more.
    lower = shown({AT: 0.0})
    lower[AT + 1 :] -= 500
    assert dropped(lower) == [[]]


def test_far_more_and_then_less_than_before_is_no_glitch() -> None:
    """From 100 it shows far more, and never goes back to where it was: these are restarts."""
    values = steady(start=100 - 10 * (AT - 1))
    values[AT:] = 70 + 10.0 * np.arange(SIZE - AT) - 20
    values[AT], values[AT + 1] = 10_000.0, 400.0
    assert (values[AT - 1], values[AT + 2]) == (100, 70)
    assert dropped(np.maximum(values, 0.0)) == [[]]


def test_a_glitch_may_follow_a_fall_from_which_it_does_not_come_back() -> None:
    """It loses a half, shows nothing for a moment, and goes on from the half: only the nothing is left out."""
    values = steady(start=1000 - 10 * (AT - 1))
    values[AT:] = 500 + 10.0 * np.arange(SIZE - AT)
    values[AT + 1] = 0.0
    assert dropped(values) == [[AT + 1]]


def test_a_process_restarts_with_all_its_series() -> None:
    """One falls for a moment, the other one for good: the first one was a restart too."""
    restarted = steady()
    restarted[AT:] = 10.0 * np.arange(SIZE - AT)
    assert dropped(shown({AT: 0.0}), restarted) == [[], []]
    small = steady(start=500)
    small[AT:] = 10.0 * np.arange(SIZE - AT)
    assert dropped(shown({AT: 0.0}), small) == [[], []]
    small[10] = 0.0  # and once before it had a glitch of its own
    assert dropped(shown({AT: 0.0}), small) == [[], [10]]
    assert dropped(shown({AT: 0.0}), steady()) == [[AT], []]
    assert dropped(shown({AT: 0.0}), shown({AT: 3.0}, start=500)) == [[AT], [AT]]
    assert dropped(shown({AT: 0.0}), restarts=[AT]) == [[]]
    assert dropped(shown({AT: 0.0}), restarts=[AT + 1]) == [[AT]]


def test_after_a_pause_it_may_have_restarted() -> None:
    """The fall and the return are more than one and three quarters of two scrapes apart."""
    for later, expected in ((MINUTE, [[AT]]), (1.5 * MINUTE, [[AT]]), (1.5 * MINUTE + 1, [[]]), (2 * MINUTE, [[]])):
        times = TIMES.copy()
        times[AT:] += int(later)
        assert dropped(shown({AT: 0.0}), times=times) == expected
        assert dropped(shown({AT: 1e9}), times=times) == expected


def test_a_young_counter_that_restarts_is_none() -> None:
    """It had 15 events, and a minute later 25 again: that can be new ones."""
    values = np.concatenate([[5.0, 15.0, 0.0, 17.0], 17 + 10.0 * np.arange(1, SIZE - 3)])
    assert dropped(values) == [[]]


@pytest.mark.parametrize(
    ("left", "refused"),
    [
        (900, True),  # of 1,000 a part is gone
        (501, True),
        (500, False),  # half of it or less is what a busy new process may have
        (51, False),
        (0, False),
    ],
)
def test_a_sum_falls_by_what_one_of_it_had(left: float, refused: bool) -> None:
    values = steady(start=1000 - 10 * (AT - 1))
    values[AT:] = left + 10.0 * np.arange(SIZE - AT)
    assert values[AT - 1] == 1000
    found = falls_of_sums([(TIMES, values, falls_of(values))])
    assert found.tolist() == ([AT * MINUTE] if refused else [])


@pytest.mark.parametrize(("left", "refused"), [(51, True), (50, False)])
def test_a_new_process_may_have_four_times_what_happens_nearby(left: float, refused: bool) -> None:
    """Four minutes' events and ten more, of a sum of 60."""
    values = np.concatenate([np.full(AT - 1, 50.0), [60.0], left + np.zeros(SIZE - AT)])
    assert falls_of_sums([(TIMES, values, falls_of(values))]).tolist() == ([AT * MINUTE] if refused else [])


@pytest.mark.parametrize(("times", "refused"), [(2, 0), (3, 3)])
def test_what_falls_again_and_again_to_much_is_a_sum(times: int, refused: int) -> None:
    """Each time to four tenths of what it had."""
    values = steady(start=1000)
    for fall in range(times):
        at = 20 + 20 * fall
        values[at:] = 0.4 * values[at - 1] + 10.0 * np.arange(SIZE - at)
    assert len(falls_of_sums([(TIMES, values, falls_of(values))])) == refused


def test_falls() -> None:
    assert falls_of(np.array([1.0, 2, 2, 1, 5, 0])).tolist() == [3, 5]
    assert falls_of(np.array([1.0])).tolist() == []


@pytest.mark.parametrize("apart", [2, 5, 10, 25])
def test_a_glitch_beside_another_one_is_no_measure_of_it(apart: int) -> None:
    assert dropped(shown({AT: 0.0, AT + apart: 0.0})) == [[AT, AT + apart]]
