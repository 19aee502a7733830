"""What is believed after falls and at births, at its very bounds; minute by minute, up to END."""

from __future__ import annotations

import numpy as np
import pytest

from slo.sli.counters import Counters
from slo.sli.counts import EdgeCursor, Grid, usual_interval
from slo.window import HOUR, MINUTE, SECOND
from tests.sli.test_counters import END, NONE, series, sums, tally


@pytest.mark.parametrize("fourth", [60_270.0, 60_271.0])
def test_what_is_believed_makes_more_believable_three_times_over(fourth: float) -> None:
    """100 events, and ten minutes later one series after the other restarts, each with what the ones before make possible.

    5 are always believed and 200 are twice the 100; then twice three times 205, 205 + 1,230, and so on. Three rounds find
    the first of these, so that the fourth restart is in doubt.
    """
    steady = series([5000.0] * 20 + [5100.0] * 12, code="200")
    falls = {7: (5.0, 200.0), 8: (1230.0,), 9: (8610.0,), 10: (fourth,)}
    rows = [
        series([1e6] * (20 + minute) + [after] * (12 - minute), code=f"{minute}-{after}")
        for minute, values in falls.items()
        for after in values
    ]
    # Elsewhere all is believed at once.
    other = series([5000.0] * 27 + [10.0] * 5, job="other")
    tallied = tally(steady, *rows, other, minutes=6)
    assert tallied.sums.tolist() == [0, 215, 1230, 8610, 0, 0]
    assert tallied.doubt == fourth


@pytest.mark.parametrize(("after", "counts"), [(60.0, True), (61.0, False)])
def test_what_another_of_its_job_had_after_its_restart_makes_more_possible(after: float, counts: bool) -> None:
    """Both are idle. One has ten events after a restart, three times as many in 15 minutes, and twice these are possible."""
    row = series([5000.0] * 20 + [10.0, 10.0])
    other = series([5000.0] * 21 + [after], instance="b")
    assert sums(row, other, minutes=2) == [10, after if counts else 0]
    assert sums(other, row, minutes=2) == [10, after if counts else 0]


def test_another_that_began_since_the_last_scrape_makes_no_restart_possible() -> None:
    """Its own target is idle; a new one counts 1,000 in half a minute."""
    idle = series([5000.0] * 20 + [300.0])
    new = series([0, 500, 1000], every_ms=15 * SECOND, instance="b")
    tallied = tally(idle, new, minutes=1)
    assert (tallied.sums.tolist(), tallied.doubt) == ([1000], 300)


@pytest.mark.parametrize(("born", "first", "counts"), [(320.0, 2220.0, True), (320.0, 2221.0, False)])
def test_what_is_born_counts_three_times_for_the_next(born: float, first: float, counts: bool) -> None:
    """In the last five minutes its job's busiest target had 50 events and 320 more: twice three times these."""
    asked_before = series([20.0 + n for n in range(11)], instance="c")
    busy = series([10.0 * n for n in range(60)], code="200")
    anew = series([born] * 5, code="500")
    tallied = tally(asked_before, busy, anew, series([first], instance="b"), minutes=1)
    assert tallied.sums.tolist() == [1 + 10 + (first if counts else 0)]


@pytest.mark.parametrize("scraped_every_ms", [30 * SECOND, 120 * SECOND])
def test_what_begins_one_and_a_half_scrapes_after_its_job_begins_with_it(scraped_every_ms: int) -> None:
    """Of the slower one's scrapes: 90 s after one of a minute, and 3 minutes before one of two."""
    after_ms = max(90 * SECOND, scraped_every_ms * 3 // 2)
    known = series([10.0 * n for n in range(10)], instance="a")
    many = (9 * MINUTE - after_ms) // scraped_every_ms + 1
    begins = END - 9 * MINUTE + after_ms
    new = series([8.0 + n for n in range(many)], begins + (many - 1) * scraped_every_ms, scraped_every_ms, instance="b")
    assert tally(known, new, minutes=9).sums.sum() == 90 + many - 1


def test_labels_of_a_target_but_the_last_name_its_job() -> None:
    """Of three labels the first two: in one cluster an instance is new in its job, in the other it is the first."""
    by = ("cluster", "job", "instance")
    known = [series([10.0 * n for n in range(31)], cluster="x", job=job) for job in "jk"]
    new = series([70.0], cluster="x", instance="b")
    elsewhere = [series([70.0], cluster="y", instance="b"), series([70.0], cluster="x", job="l", instance="b")]
    tallied = Counters([*known, new, *elsewhere], by).tally(EdgeCursor(Grid(END, MINUTE, 1), 0))
    assert (tallied.sums.tolist(), tallied.born) == ([10 + 10 + 70], 1)


def test_a_target_is_as_old_as_its_slowest_series_has_scrapes() -> None:
    """At the second scrape of a code that comes every five minutes another scraper's series appears, with its whole life."""
    slow = series([10.0, 20, 30, 40], every_ms=5 * MINUTE, code="200")
    quick = series([100.0 * n for n in range(16)], code="404")
    late = series([100.0 + n for n in range(11)], code="500")
    assert tally(slow, quick, late, minutes=15).sums.sum() == 30 + 1500 + 10
    # At the third one it is new.
    late = series([100.0 + n for n in range(6)], code="500")
    assert tally(slow, quick, late, minutes=15).sums.sum() == 30 + 1500 + 100 + 5


def test_what_a_series_counted_before_and_after_a_pause_lies_where_it_was() -> None:
    """Alongside one that is always there and counts nothing: 1 and 2, then away for four minutes, and 4, 8 and 16."""
    times = END - MINUTE * np.arange(9, -1, -1)
    always = series([7.0] * 10, code="200")
    away = series([0, 1, 3, NONE, NONE, NONE, 7, 15, 31, NONE], code="500")
    [target] = Counters([always, away]).targets.values()
    assert target.up_to(times).tolist() == [0, 1, 3, 3, 3, 3, 7, 15, 31, 31]


@pytest.mark.parametrize(("first", "counts"), [(600.0, True), (601.0, False)])
def test_a_new_target_may_have_had_more_while_its_job_was_away(first: float, counts: bool) -> None:
    """150 events in the 15 minutes before half an hour without a scrape, in which it begins; then the job is there again."""
    known = series([*[10.0 * n for n in range(31)], *[NONE] * 31, 920.0])
    tallied = tally(known, series([first, first, first], instance="b"), minutes=3)
    assert tallied.sums.tolist() == [first if counts else 0, 0, 620]


@pytest.mark.parametrize(("gained", "goes_on"), [(81.0, True), (84.0, False)])
def test_a_young_instance_was_as_fast_as_in_its_busiest_five_minutes(gained: float, goes_on: bool) -> None:
    """40 events in its four minutes are 24 a minute of 15, as three times the last five count; three times these, and ten."""
    old = series([1000.0, 1010, 1020, 1030, 1040], end_ms=END - MINUTE)
    tallied = tally(old, series([1040 + gained], instance="b"), minutes=1)
    assert (tallied.sums.tolist(), tallied.continued) == (([gained], 1) if goes_on else ([0], 0))


@pytest.mark.parametrize(("errors", "goes_on"), [(None, False), (49.0, False), (50.0, True)])
def test_each_series_of_a_relabelled_instance_goes_on(errors: float | None, goes_on: bool) -> None:
    """It has 100 events a minute and had 50 errors; where these are fewer or not there, another process began."""
    old = [series([7100 + 100.0 * n for n in range(30)], END - MINUTE, code="200"), series([50.0] * 30, END - MINUTE)]
    new = [series([10_100.0], code="200", instance="b")]
    if errors is not None:
        new.append(series([errors], instance="b"))
    tallied = tally(*old, *new, minutes=1)
    assert (tallied.sums.tolist(), tallied.continued) == (([100], 2) if goes_on else ([0], 0))
    assert tallied.doubt == (0 if goes_on else 10_100 + (errors or 0))


def test_an_instance_that_ended_as_another_began_is_not_a_other_name_of_it() -> None:
    """Both are scraped at the same moment."""
    old = series([1000 + 10.0 * n for n in range(30)])
    tallied = tally(old, series([1295.0], instance="b"), minutes=1)
    assert (tallied.sums.tolist(), tallied.continued, tallied.doubt) == ([10], 0, 1295)


@pytest.mark.parametrize("value", [-5.0, -1.0, -0.5])
def test_values_below_zero_are_none_at_any_place(value: float) -> None:
    for values in ([10, value, 13, 15], [value, 10, 13, 15], [10, 13, 15, value]):
        tallied = tally(series(values), minutes=3)
        assert (tallied.sums.sum(), tallied.dropped, tallied.resets) == (5, 1, 0)
    assert tally(series([0, 0, 3]), minutes=3).dropped == 0


@pytest.mark.parametrize(("alone", "named"), [(2_000, True), (4_000, False)])
def test_several_writers_are_looked_for_in_the_first_four_thousand_samples(alone: int, named: bool) -> None:
    """One process alone, and then two that take turns for 4,000 samples, with a fall at every second one."""
    values = [50_000.0 + n for n in range(alone)]
    turns = [value for n in range(2_000) for value in (100.0 + n, 60_000.0 + n)]
    assert bool(tally(series([*values, *turns]), minutes=1).several_writers) is named


@pytest.mark.parametrize(("slow", "usual"), [(400, 30), (600, 60), (1_600, 60)])
def test_the_first_thousand_intervals_tell_what_is_usual(slow: int, usual: int) -> None:
    """So many of a minute come first, and then 2,000 of half a minute."""
    times = np.concatenate([[0], np.cumsum([60] * slow + [30] * 2_000)]).astype(np.int64)
    assert usual_interval(times) == usual


def test_of_a_single_moment_a_minute_is_usual() -> None:
    assert usual_interval(np.array([5], dtype=np.int64)) == MINUTE
    assert usual_interval(np.array([5, 7], dtype=np.int64)) == 2


@pytest.mark.parametrize(("first", "counts"), [(2400.0, True), (2401.0, False)])
def test_a_pause_of_two_hours_makes_eight_times_as_much_possible(first: float, counts: bool) -> None:
    """150 events in the 15 minutes before it, eight times these, and twice that."""
    known = series([10.0 * n for n in range(31)], END - 2 * HOUR)
    assert sums(known, series([first], instance="b"), minutes=1) == [first if counts else 0]


def test_what_appears_after_the_period_is_none_of_it() -> None:
    known, new = series([0, 10, 20, 30, 40], code="200"), series([7], code="500")
    tallied = Counters([known, new]).tally(EdgeCursor(Grid(END - MINUTE, MINUTE, 3), 0))
    assert tallied.sums.tolist() == [10, 10, 10]
    tallied = Counters([known, series([7] * 5, code="500")]).tally(EdgeCursor(Grid(END, MINUTE, 1), 0))
    assert tallied.sums.tolist() == [10]


@pytest.mark.parametrize(
    ("late_s", "first", "counts"),
    [(90, 50.0, False), (91, 50.0, True), (45, 10.0, False), (60, 10.0, True), (60, 11.0, False)],
)
def test_what_a_targets_first_scrapes_show_of_new_series(late_s: int, first: float, counts: bool) -> None:
    """Up to three quarters of a scrape after the first one it is the same scrape; up to one and a half a few events count."""
    known = series([100.0 * n for n in range(11)], code="200")
    begins = END - 10 * MINUTE + late_s * SECOND
    new = series([first, first + 7, first + 90], begins + 2 * MINUTE, code="500")
    assert tally(known, new, minutes=10).sums.sum() == 1000 + 90 + (first if counts else 0)


def test_after_hours_without_its_job_first_errors_are_in_doubt() -> None:
    """The target that was there before had none that were counted."""
    old = series([10.0 * n for n in range(31)], END - 3 * HOUR, instance="a")
    every = series([700, 705], instance="b")
    tallied = tally(series([7, 8], instance="b", code="500"), minutes=2, whole=[old, every])
    assert (tallied.sums.tolist(), tallied.doubt, tallied.without_baseline) == ([0, 1], 7, 1)


def test_errors_may_be_scraped_at_moments_of_their_own() -> None:
    """All events are scraped each minute; of two kinds of errors both are half a minute later, and one is away meanwhile."""
    whole = series([100.0 * n for n in range(11)])
    late = END - 30 * SECOND
    steady = series([5.0] * 10, late, code="500")
    away = series([3, 3, 3, NONE, NONE, 8, 8, 8, 8, 8], late, code="501")
    tallied = tally(steady, away, minutes=10, whole=[whole])
    assert (tallied.sums.sum(), tallied.doubt, tallied.continued) == (5, 0, 0)


@pytest.mark.parametrize(
    ("before_s", "first", "counts"), [(22, 320.0, True), (22, 321.0, False), (23, 300.0, True), (23, 301.0, False)]
)
def test_up_to_three_eighths_of_a_scrape_it_is_the_same_one(before_s: int, first: float, counts: bool) -> None:
    """150 events in 15 minutes; the last ten came so long before the birth: in its scrape, or before it."""
    steady = series([10.0 * n for n in range(61)], END - before_s * SECOND, code="200")
    tallied = tally(steady, series([first], code="500"), minutes=1)
    assert tallied.sums.tolist() == [10 + (first if counts else 0)]


@pytest.mark.parametrize(("before_s", "goes_on"), [(45, True), (44, False)])
def test_what_was_there_less_than_three_quarters_of_a_scrape_ago_has_not_vanished(before_s: int, goes_on: bool) -> None:
    steady = series([10.0 * n for n in range(61)], code="200")
    old = series([30.0] * 20, END - before_s * SECOND, code="500", version="1")
    tallied = tally(steady, old, series([33.0], code="500", version="2"), minutes=1)
    assert (tallied.sums.tolist(), tallied.continued) == ([10 + (3 if goes_on else 33)], int(goes_on))


def test_one_that_vanished_is_continued_once() -> None:
    """Version 2 goes on for version 1; version 3, which appears a minute later, does not."""
    steady = series([10.0 * n for n in range(61)], code="200")
    old = series([1000.0] * 59, END - 2 * MINUTE, code="500", version="1")
    one, two = series([1010.0, 1010.0], code="500", version="2"), series([1020.0], code="500", version="3")
    tallied = tally(steady, old, one, two, minutes=2)
    assert (tallied.sums.tolist(), tallied.continued, tallied.doubt) == ([20, 10], 1, 1020)


def test_what_appears_alongside_one_that_comes_back_is_held_against_the_traffic() -> None:
    """The one has gained three meanwhile; the other one shows 9,000."""
    steady = series([0, 50, 100, 150, 200, 250], code="200")
    away, new = series([70, 72, NONE, NONE, 75, 76], code="404"), series([9000, 9001], code="500")
    tallied = tally(steady, away, new, minutes=5)
    assert (tallied.sums.tolist(), tallied.doubt) == ([52, 50, 50, 53, 52], 9000)


@pytest.mark.parametrize(("first", "counts"), [(200.0, True), (201.0, False)])
def test_what_one_that_comes_back_has_gained_is_traffic(first: float, counts: bool) -> None:
    """Nothing else happens: twice the 100 that it has gained may be another one's first value."""
    idle, away = series([5000.0] * 20, code="200"), series([*[70.0] * 17, NONE, NONE, 170], code="404")
    tallied = tally(idle, away, series([first], code="500"), minutes=1)
    assert (tallied.sums.tolist(), tallied.doubt) == (([100 + first], 0) if counts else ([100], first))


def test_what_goes_on_by_more_than_can_be_is_in_doubt_with_all_that_came_back() -> None:
    """Version 2 appears as version 3 comes back and version 1 is gone: of 50 and 9,000 for 100, 8,950 are in doubt."""
    steady = series([10.0 * n for n in range(30)], code="200")
    old, new = series([100.0] * 3, END - MINUTE, code="500", version="1"), series([9000.0], code="500", version="2")
    back = series([*[21.0] * 25, *[NONE] * 4, 50], code="500", version="3")
    tallied = tally(steady, old, back, new, minutes=1)
    assert (tallied.sums.tolist(), tallied.doubt) == ([10], 8950)


@pytest.mark.parametrize(("first", "counts"), [(600.0, True), (601.0, False)])
def test_after_a_pause_of_its_target_as_much_more_may_appear(first: float, counts: bool) -> None:
    """150 events in 15 minutes, then half an hour without a scrape and without an event: twice two times these."""
    known = series([*[10.0 * n for n in range(31)], *[NONE] * 29, 300.0], code="200")
    assert sums(known, series([first], code="500"), minutes=1) == [first if counts else 0]


@pytest.mark.parametrize(("then", "counts"), [(30.0, True), (29.0, False)])
def test_errors_of_a_new_target_are_held_against_its_next_scrape_too(then: float, counts: bool) -> None:
    """Its first scrape has 30 errors, of no request yet; these are counted when they end."""
    whole = [series([10.0 * n for n in range(31)]), series([0, then], instance="b")]
    tallied = tally(series([30, 30], instance="b", code="500"), minutes=2, whole=whole)
    assert (tallied.sums.tolist(), tallied.doubt) == (([30, 0], 0) if counts else ([0, 0], 30))


def test_a_relabelled_instance_goes_on_from_its_first_values() -> None:
    """It had 50 errors, and shows 49 under its new name; the next scrape has 60."""
    old = [
        series([7100 + 100.0 * n for n in range(29)], END - 2 * MINUTE, code="200"),
        series([50.0] * 29, END - 2 * MINUTE),
    ]
    new = [series([10_000.0, 10_100], code="200", instance="b"), series([49.0, 60], instance="b")]
    tallied = tally(*old, *new, minutes=2)
    assert (tallied.sums.tolist(), tallied.continued, tallied.doubt) == ([0, 111], 0, 10_049)


def test_at_a_fifth_of_the_samples_falls_are_of_several_writers() -> None:
    """Four samples of the one and one of the other, 20 times."""
    values = [value for n in range(20) for value in (*(5000.0 + 4 * n + i for i in range(4)), 100.0 + n)]
    assert tally(series(values), minutes=1).several_writers


def test_five_writers_are_not_told_from_restarts() -> None:
    assert not tally(series([1000.0 * (5 - n % 5) + n for n in range(60)]), minutes=1).several_writers


@pytest.mark.parametrize(("restarts", "named"), [(2, True), (3, False)])
def test_of_several_writers_one_in_ten_falls_may_be_a_restart(restarts: int, named: bool) -> None:
    """Four take turns six times, with three falls each; now and then the last one restarts, falls and goes on."""
    values: list[float] = []
    for turn in range(6):
        values += [4000.0, 3000.0, 2000.0, 1000.0]
        if turn < restarts:
            values += [500.0, 510.0]
    assert bool(tally(series(values), minutes=1).several_writers) is named
