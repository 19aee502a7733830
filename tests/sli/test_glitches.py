"""Samples that were never a counter's value, and falls that are not restarts: ten events a minute, scrape by scrape."""

from __future__ import annotations

import numpy as np
import pytest

from slo.sli.glitches import _most_nearby, falls_of, falls_of_sums, without_glitches
from slo.window import MINUTE

SIZE, AT = 80, 40
TIMES = MINUTE * np.arange(SIZE, dtype=np.int64)


def steady(start: float = 10_000) -> np.ndarray:
    return start + 10.0 * np.arange(SIZE)


def shown(values: dict[int, float], start: float = 10_000) -> np.ndarray:
    """A steady counter that shows these values instead at these minutes."""
    values_of = steady(start)
    for minute, value in values.items():
        values_of[minute] = value
    return values_of


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


def test_for_four_scrapes_it_is_not_a_glitch() -> None:
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


def test_far_more_and_then_less_than_before_is_not_a_glitch() -> None:
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
    falls = falls_of_sums([(TIMES, values, falls_of(values))])
    assert falls.tolist() == ([AT * MINUTE] if refused else [])


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
def test_a_glitch_alongside_another_one_is_not_a_measure_of_it(apart: int) -> None:
    assert dropped(shown({AT: 0.0, AT + apart: 0.0})) == [[AT, AT + apart]]


@pytest.mark.parametrize("apart", [5, 10, 25])
def test_far_more_is_not_a_measure_of_far_more_nearby(apart: int) -> None:
    assert dropped(shown({AT: 1e9, AT + apart: 1e9})) == [[AT, AT + apart]]


@pytest.mark.parametrize(("burst", "glitch"), [(AT - 1, False), (AT - 32, True)])
def test_a_burst_right_before_is_a_measure(burst: int, glitch: bool) -> None:
    """500 events in one minute: a process that shows 100 a minute after its restart, and 1,500 in the next, is possible."""
    values = np.full(SIZE, 1_000.0)
    values[burst:] = 1_500.0
    values[AT] = 100.0
    assert dropped(values) == [[AT] if glitch else []]


@pytest.mark.parametrize(("shows", "glitch"), [(4_989.0, True), (4_990.0, False)])
def test_a_dip_by_ten_events_is_none(shows: float, glitch: bool) -> None:
    values = np.full(SIZE, 5_000.0)
    values[AT] = shows
    assert dropped(values) == [[AT] if glitch else []]


@pytest.mark.parametrize(("shows", "glitch"), [(51.0, True), (50.0, False)])
def test_a_new_process_shows_four_times_what_happens_nearby_at_most(shows: float, glitch: bool) -> None:
    """Ten events a minute: four times ten and ten more. It comes back by 60, which happens: twice 20 and ten."""
    values = np.concatenate([10.0 * np.arange(11), [shows], shows + 60 + 10.0 * np.arange(30)])
    assert dropped(values, times=TIMES[: len(values)]) == [[11] if glitch else []]


def test_of_less_than_ten_samples_one_may_be_left_out() -> None:
    assert dropped(shown({4: 0.0})[:8], times=TIMES[:8]) == [[4]]


def fallen(*lines: np.ndarray) -> list[int]:
    """The minutes of falls that cannot be restarts."""
    falls = falls_of_sums([(TIMES, values, falls_of(values)) for values in lines])
    return [int(at) // MINUTE for at in falls]


def falls_to(before: float, left: float) -> np.ndarray:
    """A counter that stands at `before` a minute before AT, and at `left` then; ten events a minute."""
    values = steady(start=before - 10 * (AT - 1))
    values[AT:] = left + 10.0 * np.arange(SIZE - AT)
    return values


@pytest.mark.parametrize(("other", "refused"), [(1000, False), (999, True)])
def test_more_than_half_of_what_fell_decides(other: float, refused: bool) -> None:
    """The one still has nine tenths, the other, which is as large or a little smaller, two fifths: it may be a process."""
    assert fallen(falls_to(1000, 900), falls_to(other, 400)) == ([AT] if refused else [])


@pytest.mark.parametrize(
    ("was", "left", "refused"),
    [(500, 50, False), (500, 51, True), (11, 1, False), (10, 1, True), (500, 0, False)],
)
def test_one_that_is_nearly_gone_was_restarted_and_the_others_with_it(was: float, left: float, refused: bool) -> None:
    """A tenth of it or less is left; of ten events and fewer that says nothing."""
    small = np.concatenate([np.full(AT, float(was)), np.full(SIZE - AT, float(left))])
    assert fallen(falls_to(1000, 900), small) == ([AT] if refused else [])


def test_what_had_just_grown_and_is_nearly_gone_was_restarted() -> None:
    """Five events until a minute before, then 500, of which 40 are left: it is what it had last that counts."""
    small = np.concatenate([np.full(AT - 1, 5.0), [500.0], np.full(SIZE - AT, 40.0)])
    assert fallen(falls_to(1000, 900), small) == []


def test_without_falls_there_is_none_that_cannot_be_one() -> None:
    assert fallen(steady()) == []
    assert fallen(steady(), falls_to(1000, 900)) == [AT]
    assert dropped(steady()) == [[]] and dropped(np.array([5.0]), times=TIMES[:1]) == [[]]


@pytest.mark.parametrize(
    ("minute", "nearby"),
    [(AT - 30, True), (AT - 31, False), (AT + 30, True), (AT + 31, False), (AT + 1, True), (AT - 1, True)],
)
def test_nearby_are_thirty_intervals_before_and_after(minute: int, nearby: bool) -> None:
    """A burst of 1,000 in one of them: a process with 4,000 events after a minute is possible then."""
    values = np.full(SIZE, 6_000.0)
    values[AT:] = 3_500.0
    values[minute:] += 1_000.0 * (minute > AT)
    if minute < AT:
        values[:minute] -= 1_000.0
    assert fallen(values) == ([] if nearby else [AT])


@pytest.mark.parametrize(("many", "left_out"), [(8, 8), (9, 0)])
def test_of_more_than_a_tenth_of_the_samples_none_is_left_out(many: int, left_out: int) -> None:
    minutes = [5 + 8 * place for place in range(many)]
    assert [len(minutes) for minutes in dropped(shown(dict.fromkeys(minutes, 0.0)))] == [left_out]


@pytest.mark.parametrize(("minutes", "left_out"), [([5], [5]), ([3, 8], [])])
def test_of_a_short_series_one_sample_may_be_left_out(minutes: list[int], left_out: list[int]) -> None:
    values = shown(dict.fromkeys(minutes, 0.0))[:12]
    assert dropped(values, times=TIMES[:12]) == [left_out]


@pytest.mark.parametrize(
    ("idle", "shows", "glitch"), [(100, 11, True), (100, 10, False), (11, 11, False), (12, 11, False)]
)
def test_an_idle_counter_of_few_events_may_have_restarted(idle: float, shows: float, glitch: bool) -> None:
    """Ten events are what any run may have; nothing happens nearby."""
    values = np.full(SIZE, float(idle))
    values[AT] = shows
    assert dropped(values) == [[AT] if glitch else []]


@pytest.mark.parametrize(("back_at", "glitch"), [(25, True), (24, False)])
def test_what_it_comes_back_by_is_more_than_happens_nearby(back_at: float, glitch: bool) -> None:
    """One event a minute: two in the two minutes and ten more, twice."""
    values = back_at - 6 + np.arange(float(SIZE))
    values[5] = 0.0
    assert values[6] == back_at
    assert dropped(values) == [[5] if glitch else []]


@pytest.mark.parametrize(("more", "glitch"), [(30, True), (31, False)])
def test_it_goes_on_from_about_where_it_was(more: float, glitch: bool) -> None:
    """Of ten events a minute twice as many in two minutes, and ten more: 50 instead of 20."""
    values = shown({AT: 0.0})
    values[AT + 1 :] += more
    assert dropped(values) == [[AT] if glitch else []]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_at_the_ends_of_a_series(length: int) -> None:
    """What it shows in its last scrapes may be a restart; in the first ones after its first it comes back."""
    last = dict.fromkeys(range(SIZE - length, SIZE), 0.0)
    assert dropped(shown(last)) == [[]]
    first = range(1, 1 + length)
    assert dropped(shown(dict.fromkeys(first, 0.0))) == [[*first]]
    before_last = range(SIZE - 1 - length, SIZE - 1)
    assert dropped(shown(dict.fromkeys(before_last, 0.0))) == [[*before_last]]
    assert dropped(shown(dict.fromkeys(before_last, 1e9))) == [[*before_last]]
    assert dropped(shown(dict.fromkeys(range(SIZE - length, SIZE), 1e9))) == [[]]


def test_the_falls_of_most_events_say_whether_it_was_a_glitch() -> None:
    """Alongside a glitch a small series shows a little less for a moment, which a restart could leave; together they are
    one scrape's."""
    small = np.full(SIZE, 12.0)
    small[AT] = 5.0
    assert dropped(shown({AT: 0.0}), small) == [[AT], [AT]]
    # Idle ones show 5, which a restart could leave, and 20, which none could: the larger fall decides.
    for idle, left_out in ((1_986.0, []), (985.0, []), (984.0, [AT])):
        possible = np.full(SIZE, idle)
        possible[AT] = 5.0
        evident = np.full(SIZE, 1_000.0)
        evident[AT] = 20.0
        assert dropped(possible, evident) == [left_out, left_out]


@pytest.mark.parametrize(("others", "sums"), [(0, 3), (3, 3), (4, 0)])
def test_a_sum_loses_much_but_keeps_too_much_at_half_of_its_falls(others: int, sums: int) -> None:
    """It falls thrice to four tenths, and now and then to nothing."""
    values = steady(start=10_000)
    for fall in range(3):
        at = 20 + 8 * fall
        values[at:] = 0.4 * values[at - 1] + 10.0 * np.arange(SIZE - at)
    for fall in range(others):
        at = 50 + 6 * fall
        values[at:] = 10.0 * np.arange(SIZE - at)
    assert len(fallen(values)) == sums


def test_the_most_that_happens_nearby_is_a_rate_and_none_where_it_only_falls() -> None:
    """Gains of 10 and 40 in a minute, and of 60 in two; falls are none; the places themselves do not count."""
    minutes = np.array([0, 1, 2, 4, 5, 6])
    values = np.array([0.0, 10, 50, 110, 5, 15])
    rates = _most_nearby(MINUTE * minutes, values, np.array([4]), np.array([4]))
    assert rates.tolist() == [40 / MINUTE]
    rates = _most_nearby(MINUTE * minutes, values, np.array([2, 4]), np.array([2, 4]))
    assert rates.tolist() == [30 / MINUTE, 40 / MINUTE]
    others = np.array([False, True, True, False, False])
    assert _most_nearby(MINUTE * minutes, values, np.array([4]), np.array([4]), others).tolist() == [10 / MINUTE]
    # The first interval of all is one.
    rates = _most_nearby(MINUTE * np.arange(4), np.array([0.0, 100, 101, 102]), np.array([2]), np.array([2]))
    assert rates.tolist() == [100 / MINUTE]
    falling = 1_000.0 - np.arange(SIZE, dtype=np.float64)
    assert _most_nearby(TIMES, falling, np.array([AT]), np.array([AT])).tolist() == [0]
