"""The contract on single targets, with numbers to check by hand: minute by minute, up to END."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from slo.promql.samples import Samples, Series
from slo.sli.counters import Counters, Tally
from slo.sli.counts import (
    CountingStats,
    EdgeCursor,
    Gap,
    Grid,
    Part,
    coverage,
    find_gaps,
    finite,
    parts_of,
    target_of,
)
from slo.sli.notes import counting_notes, several_writers
from slo.window import HOUR, MINUTE

END = 1_798_761_600_000
NONE = float("nan")  # no sample at that minute


def series(values: Sequence[float], end_ms: int = END, every_ms: int = MINUTE, **labels: str) -> Series:
    """A counter with a value a minute, the last one at its end; NONE: no scrape."""
    times = end_ms - every_ms * np.arange(len(values) - 1, -1, -1, dtype=np.int64)
    own = np.array(values, dtype=np.float64)
    kept = ~np.isnan(own)
    labels = {"__name__": "c_total", "job": "j", "instance": "a", **labels}
    [made] = Samples.from_series([(labels, times[kept], own[kept])]).series
    return made


def tally(*rows: Series, minutes: int, first: int = 0, whole: Sequence[Series] | None = None) -> Tally:
    """What the minutes up to END counted; `whole` are the counters of all events, where the rows count a part."""
    cursor = EdgeCursor(Grid(END, MINUTE, minutes), first)
    every = None
    if whole is not None:
        every = Counters(whole)
        every.tally(cursor)
    return Counters(rows, whole=every).tally(cursor)


def sums(*rows: Series, minutes: int, whole: Sequence[Series] | None = None) -> list[float]:
    found: list[float] = tally(*rows, minutes=minutes, whole=whole).sums.tolist()
    return found


def test_an_increase_counts_at_the_later_scrape() -> None:
    assert sums(series([100, 103, 103, 110]), minutes=3) == [3, 0, 7]


def test_a_gap_hides_nothing() -> None:
    assert sums(series([100, NONE, NONE, 130]), minutes=3) == [0, 0, 30]


def test_the_first_target_ever_seen_is_a_baseline() -> None:
    found = tally(series([500, 501]), minutes=3)
    assert found.sums.tolist() == [0, 0, 1]
    assert (found.born, found.born_events, found.doubt, found.without_baseline) == (0, 0, 0, 0)


def test_a_fall_restarts_at_zero() -> None:
    """100 events a minute; the new process has had 40 when it is scraped, and twice in a row."""
    found = tally(series([0, 100, 200, 40, 30, 130]), minutes=5)
    assert found.sums.tolist() == [100, 100, 40, 30, 100]
    assert (found.resets, found.doubt) == (2, 0)


@pytest.mark.parametrize(
    ("after", "counts"),
    [
        (10, True),  # ten events are always believed
        (200, True),  # twice what the target counted in the 15 minutes before
        (201, False),
    ],
)
def test_a_fall_is_believed_up_to_twice_the_traffic_before(after: float, counts: bool) -> None:
    """A large counter of which 100 events are of the last 15 minutes falls to what a restart could have had, or not."""
    steady = [5000.0] * 15 + [5100.0] * 10
    found = tally(series([*steady, after, after]), minutes=2)
    assert found.sums.tolist() == [after if counts else 0, 0]
    assert found.doubt == (0 if counts else after)


@pytest.mark.parametrize(("after", "counts"), [(200, True), (201, False)])
def test_all_series_of_a_process_restart_or_none_does(after: float, counts: bool) -> None:
    """All served ones are what a restart could have had, or not: those not found are no restart by themselves."""
    found = series([*[5000.0] * 15, *[5100.0] * 10, after, after], code="200")
    missing = series([900.0] * 25 + [20, 20], code="404")
    every = tally(found, missing, minutes=2)
    assert every.sums.tolist() == [after + 20 if counts else 0, 0]
    assert every.doubt == (0 if counts else after + 20)
    # So a part has what all events say.
    assert sums(missing, minutes=2, whole=[found, missing]) == [20 if counts else 0, 0]


def test_after_a_long_pause_as_much_more_is_believed_as_it_lasted() -> None:
    """100 events in the quarter of an hour before, then a pause of 45 minutes: up to 2 × 3 × 100."""
    before = [5000.0] * 5 + [5100.0] * 10
    for after, counts in ((600.0, True), (601.0, False)):
        found = tally(series([*before, *[NONE] * 44, after]), minutes=1)
        assert found.sums.tolist() == [after if counts else 0]


def test_traffic_that_has_just_begun_counts_as_three_times_its_five_minutes() -> None:
    """30 events in the last five minutes, none before: a restart may have had 2 × 3 × 30."""
    before = [5000.0] * 20 + [5030.0]
    for after, counts in ((180.0, True), (181.0, False)):
        assert sums(series([*before, after]), minutes=1) == [after if counts else 0]


def test_a_restart_that_the_busiest_of_its_job_could_have_had_is_believed() -> None:
    """Its own target is idle; another one of its job counts 10 a minute, 150 in 15 minutes."""
    idle = [5000.0] * 20
    other = series([10.0 * n for n in range(21)], instance="b")
    for after, counts in ((300.0, True), (400.0, False)):
        found = tally(series([*idle, after]), other, minutes=1)
        assert found.sums.tolist() == [10 + (after if counts else 0)]
    # In a quarter of an hour without a scrape as much again as before it.
    other = series([10.0 * n for n in range(35)], instance="b")
    for after, counts in ((600.0, True), (601.0, False)):
        found = tally(series([*idle, *[NONE] * 14, after]), other, minutes=1)
        assert found.sums.tolist() == [10 + (after if counts else 0)]


@pytest.mark.parametrize(("value", "counts"), [(10.0, True), (11.0, False)])
def test_of_an_idle_target_ten_events_are_believed(value: float, counts: bool) -> None:
    """After a restart, and of a code that appears."""
    idle = [5000.0] * 20
    assert sums(series([*idle, value]), minutes=1) == [value if counts else 0]
    assert sums(series([*idle, 5000]), series([value], code="500"), minutes=1) == [value if counts else 0]


def test_what_is_believed_makes_more_believable() -> None:
    """A target that was idle: ten events after one restart, and because of these 60 of another series two minutes later."""
    one = series([5000.0] * 20 + [10.0] * 4, code="200")
    for after, counts in ((60.0, True), (61.0, False)):
        found = tally(one, series([8000.0] * 22 + [after] * 2, code="500"), minutes=4)
        assert found.sums.tolist() == [10, 0, after if counts else 0, 0]


def test_another_jobs_traffic_says_nothing() -> None:
    other = series([10.0 * n for n in range(21)], instance="b", job="other")
    assert sums(series([5000.0] * 20 + [300.0]), other, minutes=1) == [10]


@pytest.mark.parametrize("code_first", [7.0, 10.0])
def test_a_new_series_of_a_known_target_starts_at_zero(code_first: float) -> None:
    """The code 500 appears at the third minute, with all that it has."""
    ok, bad = series([100, 150, 200, 250], code="200"), series([code_first, code_first + 1], code="500")
    found = tally(ok, bad, minutes=3)
    assert found.sums.tolist() == [50, 50 + code_first, 51]
    assert (found.born, found.born_events, found.doubt) == (1, code_first, 0)


def test_a_birth_above_what_traffic_makes_possible_is_a_baseline() -> None:
    ok, bad = series([100, 110, 120, 130], code="200"), series([9000, 9001], code="500")
    found = tally(ok, bad, minutes=3)
    assert found.sums.tolist() == [10, 10, 11]
    assert (found.born, found.doubt, found.without_baseline) == (0, 9000, 0)


def test_what_a_birth_is_held_against_is_from_before_the_pause() -> None:
    """10 a minute, then half an hour without a scrape; 300 of these half an hour are no 300 a minute."""
    known = series([*[10.0 * n for n in range(31)], *[NONE] * 29, 600.0])
    for first, counts in ((600.0, True), (1500.0, False)):
        assert sums(known, series([first], code="500"), minutes=1) == [300 + (first if counts else 0)]


def test_a_relabelling_is_not_an_event() -> None:
    """The same process under another version: it had 1,000 and has 1,010."""
    old = series([980, 990, 1000], end_ms=END - 2 * MINUTE, version="1")
    new = series([1010, 1020], version="2")
    found = tally(old, new, minutes=4)
    assert found.sums.tolist() == [10, 10, 10, 10]
    assert (found.continued, found.born, found.doubt) == (1, 0, 0)


def test_of_several_relabelled_series_each_goes_on_for_its_own() -> None:
    """Two codes change their version at once, with 5 and 1 events meanwhile; by series these are told apart."""
    at = END - 2 * MINUTE
    old = [series([990, 1000], at, version="1", code="200"), series([90, 100], at, version="1", code="500")]
    new = [series([1005, 1005], version="2", code="200"), series([101, 101], version="2", code="500")]
    found = tally(*old, *new, minutes=2)
    assert found.sums.tolist() == [6, 0]
    assert found.continued == 2
    by = {(labels["version"], labels["code"]): amount for labels, amount in found.by_series}
    assert by == {("1", "200"): 0, ("1", "500"): 0, ("2", "200"): 5, ("2", "500"): 1}


def test_series_that_merge_go_on_in_proportion() -> None:
    """1,000 of two series go on as one with 1,010."""
    at = END - 2 * MINUTE
    old = [series([590, 600], at, shard="1"), series([390, 400], at, shard="2")]
    found = tally(*old, series([1010, 1010], shard="all"), minutes=2)
    assert found.sums.tolist() == [10, 0]


def test_one_that_vanished_and_returns_counts_its_own_increase() -> None:
    """Its target is scraped meanwhile."""
    ok = series([0, 50, 100, 150, 200, 250], code="200")
    away = series([70, 72, NONE, NONE, 75, 76], code="404")
    assert sums(ok, away, minutes=5) == [52, 50, 50, 53, 51]


def test_a_restart_under_another_label_counts_from_zero() -> None:
    """A deployment: the new version's first value is below what the old one had."""
    old = series([900, 1000], END - 2 * MINUTE, version="1")
    new = series([50, 150], version="2")
    found = tally(old, new, minutes=3)
    assert found.sums.tolist() == [100, 50, 100]
    assert found.continued == 0


def test_a_new_target_of_a_scraped_job_starts_at_zero_as_far_as_the_busiest_goes() -> None:
    """The job's one target counts 10 a minute: 150 in 15 minutes, so that 300 are believed."""
    known = series([10.0 * n for n in range(31)], instance="a")
    for first, counts in ((300.0, True), (301.0, False)):
        found = tally(known, series([first, first + 5], instance="b"), minutes=2)
        assert found.sums.tolist() == [10 + (first if counts else 0), 15]
        assert (found.born, found.doubt) == ((1, 0) if counts else (0, first))
        assert found.without_baseline == (0 if counts else 1)


def test_what_begins_at_the_same_moment_makes_no_first_value_possible() -> None:
    """Its job's known target is all but idle; of two new ones one is busy from then on, and the other one stood at 500."""
    known = series([float(n) for n in range(31)], instance="a")
    new = series([500, 500, 500], instance="b")
    busy = series([1, 10_001, 20_001], instance="c")
    found = tally(known, new, busy, minutes=3)
    assert found.sums.tolist() == [1 + 1, 1 + 10_000, 1 + 10_000]
    assert (found.doubt, found.born) == (500, 1)


def test_a_single_sample_within_the_same_scrape_has_not_vanished() -> None:
    """Two codes are first seen in one scrape, though 5 s apart; one of them is gone again."""
    known = series([10.0 * n for n in range(21)], code="200")
    once, stays = series([100], END - 5_000, code="404"), series([105], code="500")
    found = tally(known, once, stays, minutes=1)
    assert found.sums.tolist() == [10 + 100 + 105]
    assert (found.continued, found.born) == (0, 2)


@pytest.mark.parametrize(("late_ms", "goes_on"), [(90_000, True), (90_001, False)])
def test_what_was_scraped_once_is_taken_to_be_scraped_every_minute(late_ms: int, goes_on: bool) -> None:
    """A target that was seen once goes on under another name up to one and a half minutes later."""
    job = series([float(n) for n in range(31)], every_ms=30_000, instance="a")
    old = series([5000], END - late_ms, instance="b")
    found = tally(job, old, series([5001], instance="c"), minutes=1)
    assert found.continued == goes_on
    assert found.sums.tolist() == [2 + goes_on]


def test_a_new_target_may_have_had_more_where_its_job_was_away_for_longer() -> None:
    """10 a minute, then 30 minutes without any scrape of the job: twice what two quarters of an hour make possible."""
    known = series([10.0 * n for n in range(31)], END - 30 * MINUTE, instance="a")
    for first, counts in ((600.0, True), (601.0, False)):
        assert sums(known, series([first], instance="b"), minutes=1) == [first if counts else 0]


def test_after_hours_without_its_job_a_first_value_is_in_doubt() -> None:
    known = series([10.0 * n for n in range(31)], END - 3 * HOUR, instance="a")
    found = tally(known, series([700, 705], instance="b"), minutes=2)
    assert found.sums.tolist() == [0, 5]
    assert (found.doubt, found.without_baseline, found.born) == (700, 1, 0)
    # The known one itself counts on from where it was.
    back = series([*[10.0 * n for n in range(31)], *[NONE] * 179, 2000], instance="a")
    assert sums(back, minutes=1) == [1700]


def test_of_two_scrapers_of_a_target_one_is_relabelled_and_the_other_is_not_a_stand_in() -> None:
    """Both see the same process; the first one's series get a label while the other one's stay."""
    at = END - 2 * MINUTE
    first = [series([980, 990, 1000], at, replica="1"), series([1010, 1020], replica="1", zone="b")]
    other = series([979, 989, 999, 1009, 1019], replica="2")
    found = tally(*first, other, minutes=4)
    assert found.sums.tolist() == [20, 20, 20, 20]
    assert (found.continued, found.born) == (1, 0)


def test_of_two_that_vanish_the_one_with_the_same_labels_goes_on() -> None:
    """Of two scrapers one gets a label as the other one ends, 50 events behind."""
    at = END - 2 * MINUTE
    first, other = series([980, 990, 1000], at, replica="1"), series([930, 940, 950], at, replica="2")
    found = tally(first, other, series([1010, 1020], replica="1", zone="b"), minutes=4)
    assert found.sums.tolist() == [20, 20, 10, 10]
    assert (found.continued, found.born) == (1, 0)


def test_what_is_relabelled_while_nothing_happens_has_no_events() -> None:
    found = tally(series([5, 5, 5], END - 2 * MINUTE, code="500"), series([5, 5], code="500", zone="b"), minutes=4)
    assert found.sums.tolist() == [0, 0, 0, 0]
    assert (found.continued, found.born) == (1, 0)


def test_a_series_that_comes_back_takes_nothing_from_one_that_was_there_alongside_it() -> None:
    """Two scrapers; one of them is away for two minutes, and as it returns the other one goes."""
    one = series([100, 110, 120, NONE, NONE, 150, 160], replica="1")
    other = series([100, 110, 120, 130, 140], END - 2 * MINUTE, replica="2")
    assert sums(one, other, minutes=6) == [20, 20, 10, 10, 30, 10]
    # A code that it shows for the first time as it returns changes nothing of that.
    new = series([4, 4], replica="1", code="500")
    assert sums(one, other, new, minutes=6) == [20, 20, 10, 10, 30 + 4, 10]


def test_a_slow_series_is_not_gone_before_its_next_scrape() -> None:
    """One code is scraped every two minutes alongside one of every minute: nothing of it vanished when a third appears."""
    slow = series([100, NONE, 102, NONE, 104, NONE, 106], code="200")
    fast = series([50, 51, 52, 53, 54, 55, 56], code="404")
    new = series([5, 6], code="500")
    found = tally(slow, fast, new, minutes=6)
    assert found.sums.tolist() == [1, 3, 1, 3, 1 + 5, 4]
    assert (found.continued, found.born) == (0, 1)


def test_behind_one_address_a_scrape_that_timed_out_hides_no_new_label() -> None:
    """What times share says which series are of one process: its own scrape before is minutes ago, the address's is not."""
    quick = series(range(1000, 1200, 10), host="h0", code="200")
    end_ms, every_ms = END - 20_000, 2 * MINUTE
    values = [*range(5000, 5120, 20), NONE, NONE, *range(5160, 5220, 20)]
    steady = series(values, end_ms, every_ms, host="h1", code="200")
    before = series([200] * 6 + [NONE] * 5, end_ms, every_ms, host="h1", code="503")
    after = series([NONE] * 8 + [203, 203, 204], end_ms, every_ms, host="h1", code="503", cluster="c1")
    found = tally(quick, steady, before, after, minutes=30)
    assert (found.sums.sum(), found.continued, found.born) == (190 + 200 + 4, 1, 0)
    errors = tally(before, after, minutes=30, whole=[quick, steady, before, after])
    assert (errors.sums.sum(), errors.born) == (4, 0)


def test_a_label_of_two_scrapes_one_of_which_timed_out_is_over_when_the_old_one_is_back() -> None:
    """Two samples two minutes apart do not say that the next is two minutes later."""
    other = series(range(1000, 1200, 10), host="h0")
    values = [*range(5000, 5100, 10), NONE, NONE, NONE, *range(5130, 5200, 10)]
    usual = series(values, END - 30_000, host="h1")
    meanwhile = series([NONE] * 10 + [5100, NONE, 5120] + [NONE] * 7, END - 30_000, host="h1", cluster="c1")
    found = tally(other, usual, meanwhile, minutes=30)
    assert (found.sums.sum(), found.continued) == (190 + 190, 2)


@pytest.mark.parametrize(
    ("before_s", "after_s", "goes_on"),
    [
        (120, 30, True),  # the old one was due every two minutes
        (30, 120, True),
        (30, 30, False),  # four scrapes late it is another process
    ],
)
def test_a_relabelled_instance_goes_on_within_a_scrape(before_s: int, after_s: int, goes_on: bool) -> None:
    """50 events a minute; the new name is first seen two minutes after the old one, 100 events later."""
    begins = END - 2 * after_s * 1000
    old = series([10_000 + 50 * before_s / 60 * n for n in range(31)], begins - 120_000, before_s * 1000, instance="a")
    first = float(old.values[-1]) + 100
    new = series([first + 50 * after_s / 60 * n for n in range(3)], END, after_s * 1000, instance="b")
    found = tally(old, new, minutes=2 * after_s // 60 + 1)
    assert found.sums.sum() == (100 if goes_on else 0) + 100 * after_s / 60
    assert (found.continued, found.doubt) == ((1, 0) if goes_on else (0, first))


def test_of_two_new_targets_one_goes_on_for_the_one_that_vanished() -> None:
    """The lowest does; where the other one had its first value from nobody knows."""
    at = END - 2 * MINUTE
    known = series([10.0 * n for n in range(31)], instance="a")
    old = series([4860 + 5.0 * n for n in range(29)], at, instance="b")
    one, other = series([5005, 5010], instance="c"), series([5010, 5020], instance="d")
    found = tally(known, old, one, other, minutes=2)
    assert found.sums.tolist() == [10 + 5, 10 + 5 + 10]
    assert (found.continued, found.doubt) == (1, 5010)


def test_values_below_zero_are_none_of_a_counters() -> None:
    found = tally(series([10, -5, 13, 15]), minutes=3)
    assert (found.sums.tolist(), found.dropped, found.resets) == ([0, 3, 2], 1, 0)


def test_a_job_is_there_while_any_series_of_its_targets_is() -> None:
    """One series of the known target ended hours ago, another one is still scraped."""
    old = series([5.0] * 5, END - 4 * HOUR, instance="a", code="404")
    known = series([10.0 * n for n in range(300)], instance="a", code="200")
    new = series([8, 9], instance="b")
    assert sums(old, known, new, minutes=2) == [18, 11]
    # Of a job that was last seen over two hours ago nothing is known: a new target is a baseline.
    assert sums(old, new, minutes=2) == [0, 1]


def test_a_target_that_begins_with_its_job_is_a_baseline() -> None:
    """Within one and a half scrapes of the first."""
    known = series([0, 10, 20, 30], instance="a")
    assert sums(known, series([8, 9, 10], instance="b"), minutes=3) == [10, 11, 11]
    # Two scrapes later it is new, and its first events are its own.
    assert sums(known, series([8, 9], instance="b"), minutes=3) == [10, 18, 11]


def test_errors_are_believed_up_to_what_the_target_counted_of_all() -> None:
    """The code 500 appears with 40, of which its target counted 40 of all events at that scrape, or 39."""
    for counted, believed in ((40.0, True), (39.0, False)):
        whole = series([1000, 1010, 1010, 1010 + counted, 1010 + counted])
        found = tally(series([40, 40], code="500"), minutes=3, whole=[whole])
        assert found.sums.tolist() == [0, 40 if believed else 0, 0]
        assert (found.doubt, found.born) == ((0, 1) if believed else (40, 0))
    # All of 5,000, which is not lost to rounding.
    whole = series([1000, 1010, 1010, 6010, 6010])
    assert tally(series([5000, 5000], code="500"), minutes=3, whole=[whole]).sums.tolist() == [0, 5000, 0]


def test_errors_are_held_against_their_own_target() -> None:
    """40 errors appear on a target that counted 5 of all events then; another one of its job counted 1,000."""
    whole = [series([100, 110, 115]), series([100, 1100, 2100], instance="b")]
    found = tally(series([40], code="500"), minutes=2, whole=whole)
    assert (found.sums.tolist(), found.doubt) == ([0, 0], 40)


def test_what_is_not_a_number_is_not_a_sample() -> None:
    found = tally(series([0, 5, float("inf"), 15]), minutes=3)
    assert (found.sums.tolist(), found.dropped) == ([5, 0, 10], 1)


def test_events_by_series_are_those_from_a_step_on() -> None:
    found = tally(series([0, 1, 3, 7], code="200"), series([0, 10, 10, 10], code="500"), minutes=3, first=1)
    assert {labels["code"]: amount for labels, amount in found.by_series} == {"200": 6, "500": 0}
    assert found.sums.tolist() == [11, 2, 4]


def test_two_processes_behind_one_address_are_named() -> None:
    """One counts from 100, the other from 5,000; scrapes meet them in turn."""
    values = [value for n in range(20) for value in (100.0 + n, 5000.0 + n)]
    assert tally(series(values), minutes=5).several_writers == ['c_total{instance="a", job="j"}']


@pytest.mark.parametrize(("many", "said"), [(1, "a "), (3, "a; b; c: "), (5, "a; b; c and 2 more: ")])
def test_three_series_of_several_writers_are_named(many: int, said: str) -> None:
    [note] = several_writers(CountingStats(several_writers=tuple("abcde"[:many])))
    assert f"several processes write {said.strip().removesuffix(':')}: " in note.text


def test_several_writers_may_be_idle() -> None:
    assert len(tally(series([100.0, 5000.0] * 20), minutes=5).several_writers) == 1


@pytest.mark.parametrize(("more", "named"), [(3, True), (4, False)])
def test_several_writers_make_it_fall_at_a_fifth_of_its_scrapes_or_more(more: int, named: bool) -> None:
    """After each scrape of the one some of the other: 19 falls of 80 scrapes, or of 100."""
    values = [value for n in range(20) for value in (100.0 + n, *(5000.0 + 9 * n + i for i in range(more)))]
    assert len(tally(series(values), minutes=5).several_writers) == named


@pytest.mark.parametrize(
    ("what", "values"),
    [
        ("a crash loop", [float(n * n * 7919 % 997) for n in range(60)]),
        ("few falls", [0, 10] * 5 + [20 + n for n in range(10)]),
        ("a small share of falls", [v for n in range(8) for v in (1000.0 - n, *(1000.0 + i for i in range(9)))]),
        ("it never falls", [float(n) for n in range(60)]),
    ],
)
def test_what_falls_for_other_causes_has_one_writer(what: str, values: list[float]) -> None:
    assert tally(series(values), minutes=5).several_writers == [], what


def test_gaps_are_what_no_series_covers() -> None:
    """Scrapes a minute apart; a gap is more than two and a half of them."""
    start = END - 20 * MINUTE
    one = series([0] * 5 + [NONE] * 2 + [0] * 5 + [NONE] * 3 + [0] * 6)
    found, usual = find_gaps([one], start, END)
    assert usual == MINUTE
    # Minutes 0 to 4, 7 to 11, 15 to 20: three minutes between scrapes are a gap, and so are four.
    assert found == (
        Gap(start + 4 * MINUTE, start + 7 * MINUTE),
        Gap(start + 11 * MINUTE, start + 15 * MINUTE),
    )
    # Another target was scraped in the first of them.
    other = series([NONE] * 3 + [0] * 6 + [NONE] * 12, instance="b")
    assert find_gaps([one, other], start, END)[0] == (Gap(start + 11 * MINUTE, start + 15 * MINUTE),)


def test_two_scrapes_tell_the_interval() -> None:
    """Of one nothing is known, and a minute is usual."""
    for values, every_ms, usual in (([1, 2], 30_000, 30_000), ([1], 30_000, 60_000), ([1, 2, 3], 20_000, 20_000)):
        _, interval = find_gaps([series(values, every_ms=every_ms)], END - HOUR, END)
        assert interval == usual


def test_a_target_is_scraped_while_any_of_its_series_is() -> None:
    start = END - 20 * MINUTE
    old, new = series([0] * 10, END - 11 * MINUTE, version="1"), series([0] * 11, version="2")
    assert find_gaps([old, new], start, END) == ((), MINUTE)


def test_before_the_first_scrape_and_after_the_last_are_gaps() -> None:
    start = END - 20 * MINUTE
    found, _ = find_gaps([series([0] * 5, END - 10 * MINUTE)], start, END)
    assert found == (Gap(start, END - 14 * MINUTE), Gap(END - 10 * MINUTE, END))
    assert find_gaps([], start, END) == ((Gap(start, END),), 0.0)
    # Of a single sample no interval is known: it is taken for a minute.
    assert find_gaps([series([0], END - 10 * MINUTE)], start, END)[1] == MINUTE


def test_a_scrape_shortly_before_the_start_covers_it() -> None:
    one = series([0] * 10, END - 30_000)
    assert find_gaps([one], END - 9 * MINUTE, END)[0] == ()


def test_coverage_is_what_gaps_leave_and_each_is_a_scrape_shorter() -> None:
    """Of 100 minutes ten lie between two scrapes: nine of them had none that should have come."""
    seen = CountingStats(gaps=(Gap(END - 50 * MINUTE, END - 40 * MINUTE),), interval_ms=MINUTE)
    assert coverage(seen, END - 100 * MINUTE, END) == pytest.approx(0.91)
    # A stretch has its own part of a gap, and none of the others.
    assert coverage(seen, END - 45 * MINUTE, END - 35 * MINUTE) == pytest.approx(0.6)
    assert coverage(seen, END - 30 * MINUTE, END) == 1.0
    assert coverage(CountingStats(gaps=(Gap(END - HOUR, END),)), END - HOUR, END) == 0.0


@pytest.mark.parametrize(
    ("at", "step"), [(-5 * MINUTE, -1), (-5 * MINUTE + 1, 0), (-4 * MINUTE, 0), (-4 * MINUTE + 1, 1), (0, 4), (1, 5)]
)
def test_a_step_ends_with_its_last_moment(at: int, step: int) -> None:
    grid = Grid(END, MINUTE, 5)
    assert grid.step_of(END + at) == step
    assert (grid.start_ms, grid.ends.tolist()) == (END - 5 * MINUTE, [END - n * MINUTE for n in (4, 3, 2, 1, 0)])


def test_edges_belong_to_the_step_before() -> None:
    cursor = EdgeCursor(Grid(END, MINUTE, 2), 0)
    times = np.array([END - 2 * MINUTE, END - MINUTE, END - MINUTE + 1, END], dtype=np.int64)
    assert cursor.counts(times).tolist() == [1, 2, 4]
    # Of other times, though as many.
    assert cursor.counts(times - MINUTE).tolist() == [2, 4, 4]
    assert cursor.counts(times).tolist() == [1, 2, 4]


def test_edges_are_right_for_any_number_of_targets_in_turns() -> None:
    """More than are remembered; arrays of the same times, and ones that are made anew where others were."""
    cursor = EdgeCursor(Grid(END, MINUTE, 2), 0)
    held = [END - MINUTE * np.arange(many, -1, -1, dtype=np.int64) for many in range(300)]
    for times in (*held, *held, *(times.copy() for times in held)):
        assert cursor.counts(times).tolist() == [np.count_nonzero(times <= END - ago * MINUTE) for ago in (2, 1, 0)]


def test_where_nothing_was_met_nothing_is_noted() -> None:
    assert counting_notes(CountingStats()) == []
    nothing = CountingStats()
    assert (nothing.series, nothing.resets, nothing.born, nothing.born_events, nothing.dropped) == (0, 0, 0, 0, 0)
    assert (nothing.doubt_events, nothing.doubt_errors, nothing.without_baseline) == (0, 0, 0)
    assert (nothing.continued, nothing.interval_ms, nothing.longest_unseen_ms) == (0, 0, 0)


def test_parts_add_up_to_the_errors() -> None:
    a, b = {"code": "200"}, {"code": "500"}
    whole: list[tuple[Mapping[str, str], float]] = [(a, 90.0), (b, 10.0)]
    assert parts_of(whole, [(b, 10.0)], "errors") == (Part(a, 0, 90), Part(b, 0, 10), Part(b, 10, 0))
    assert parts_of(whole, [(a, 90.0)], "good") == (Part(a, 90, 90), Part(b, 10, 10), Part(a, -90, 0))


def test_a_target_is_what_its_labels_say() -> None:
    labels = {"job": "j", "instance": "a", "pod": "p"}
    assert target_of(labels) == ("j", "a")
    assert target_of(labels, ("pod", "zone")) == ("p", "")


def test_stale_markers_are_not_samples_and_nan_is_one_that_is_not_a_number() -> None:
    from slo.promql.samples import STALE

    times = np.arange(5, dtype=np.int64)
    one = Series({}, times, np.array([1.0, STALE, float("nan"), float("-inf"), 5.0]))
    left_times, values, dropped = finite(one)
    assert (left_times.tolist(), values.tolist(), dropped) == ([0, 4], [1.0, 5.0], 2)


@pytest.mark.parametrize(("first", "counts"), [(10.0, True), (11.0, False)])
def test_of_a_new_target_of_an_idle_job_ten_events_are_believed(first: float, counts: bool) -> None:
    found = tally(series([70.0] * 30), series([first], instance="b"), minutes=1)
    assert (found.sums.tolist(), found.doubt) == (([first], 0) if counts else ([0], first))


@pytest.mark.parametrize(("minutes_ago", "joins"), [(119, True), (120, True), (121, False)])
def test_a_job_is_known_for_two_hours(minutes_ago: int, joins: bool) -> None:
    """Its only target ended so long before another one begins with five events."""
    old = series([70.0] * 30, end_ms=END - minutes_ago * MINUTE)
    found = tally(old, series([5.0], instance="b"), minutes=1)
    assert (found.sums.tolist(), found.doubt, found.without_baseline) == (([5], 0, 0) if joins else ([0], 5, 1))


def test_an_idle_instance_that_is_relabelled_goes_on_with_nothing() -> None:
    """It stands at exactly what it stood at, or a little above or below."""
    for value, events, goes_on in ((1000.0, 0, 1), (1004.0, 4, 1), (999.0, 0, 0)):
        old, new = series([1000.0] * 30, end_ms=END - MINUTE), series([value], instance="b")
        found = tally(old, new, minutes=1)
        assert (found.sums.tolist(), found.continued) == ([events], goes_on)
        assert found.doubt == (0 if goes_on else value)


def test_what_was_scraped_once_on_a_quickly_scraped_target_may_have_vanished() -> None:
    """Scraped every 15 s; version 1 was seen once, a scrape before version 2."""
    steady = series([10.0 * n for n in range(40)], every_ms=15_000)
    once = series([50.0], end_ms=END - 30_000, every_ms=15_000, version="1")
    found = tally(steady, once, series([52.0, 53.0], every_ms=15_000, version="2"), minutes=1)
    assert found.sums.tolist() == [40 + 50 + 2 + 1]
    assert found.continued == 1


@pytest.mark.parametrize("scrapes", [2, 3, 12])
def test_a_slow_series_goes_on_at_its_next_scrape(scrapes: int) -> None:
    """It comes every five minutes alongside one of each minute; at its next scrape it has another label."""
    quick = series([10.0 * n for n in range(61)], code="200")
    values = [70.0 + n for n in range(12)][-scrapes:]
    slow = series(values, end_ms=END - 5 * MINUTE, every_ms=5 * MINUTE, code="500", version="1")
    found = tally(quick, slow, series([85.0], code="500", version="2"), minutes=1)
    assert (found.sums.tolist(), found.continued) == ([10 + 4], 1)


def test_what_cannot_be_a_restart_of_all_events_is_none_of_the_errors() -> None:
    """A sum over processes loses one of them: of all events a tenth is gone, of the errors nearly three quarters."""
    every = [5_000 + 10.0 * n for n in range(30)] + [4_700.0, 4_710.0]
    errors = [50.0] * 30 + [20.0, 21.0]
    found = tally(series(errors, code="500"), minutes=2, whole=[series(every)])
    assert (found.sums.tolist(), found.doubt) == ([0, 1], 20)
    # Were it the errors alone that fell, they would have restarted.
    steady = [5_000 + 10.0 * n for n in range(32)]
    found = tally(series(errors, code="500"), minutes=2, whole=[series(steady)])
    assert (found.sums.tolist(), found.doubt) == ([20, 1], 0)


@pytest.mark.parametrize(("writers", "named"), [(2, True), (3, True), (4, True)])
def test_up_to_four_writers_are_told_from_restarts(writers: int, named: bool) -> None:
    """They take turns, each higher than the next."""
    values = [1000.0 * (writers - n % writers) + n for n in range(60)]
    found = tally(series(values), minutes=1)
    assert bool(found.several_writers) is named


@pytest.mark.parametrize(("gained", "goes_on"), [(40.0, True), (41.0, False)])
def test_a_relabelled_instance_may_be_three_times_as_fast_for_a_scrape(gained: float, goes_on: bool) -> None:
    """It had 10 a minute: 30 in this one, and ten more."""
    old = series([1000 + 10.0 * n for n in range(30)], end_ms=END - MINUTE)
    found = tally(old, series([1290 + gained], instance="b"), minutes=1)
    assert (found.sums.tolist(), found.continued) == (([gained], 1) if goes_on else ([0], 0))


@pytest.mark.parametrize(("first", "events", "goes_on"), [(41.0, 26, 1), (40.0, 40, 0)])
def test_an_instance_that_could_be_new_has_not_gone_on(first: float, events: float, goes_on: bool) -> None:
    """The one that ended stood at 15; a process with 40 after a minute is possible where 10 a minute are usual."""
    old = series([1000 + 10.0 * n for n in range(28)] + [5.0, 15.0], end_ms=END - MINUTE)
    found = tally(old, series([first], instance="b"), minutes=1)
    assert (found.sums.tolist(), found.continued) == ([events], goes_on)


@pytest.mark.parametrize("fall", [10.0, 11.0, 300.0, 301.0])
def test_a_fall_is_believed_alike_alone_and_among_many(fall: float) -> None:
    """Up to twice of the 150 events in 15 minutes before; and again after a while."""
    once = [1000 + 10.0 * n for n in range(30)] + [fall + 10.0 * n for n in range(40)]
    twice = [*once, fall, fall + 10]
    found = tally(series(twice), minutes=72)
    assert found.doubt == (0 if fall <= 300 else 2 * fall)
    assert found.sums.sum() == 29 * 10 + 39 * 10 + 10 + (2 * fall if fall <= 300 else 0)


@pytest.mark.parametrize(("first", "counts"), [(300.0, True), (301.0, False)])
def test_an_earlier_pause_of_its_job_makes_no_more_possible_now(first: float, counts: bool) -> None:
    """The busiest was away for an hour, and has had 10 a minute since; its last scrape was at the new one's first."""
    other = series([10.0 * n if n < 30 or n > 90 else NONE for n in range(130)])
    found = tally(other, series([first], instance="b"), minutes=1)
    assert found.sums.tolist() == [10 + (first if counts else 0)]


@pytest.mark.parametrize(("first", "counts"), [(600.0, True), (601.0, False)])
def test_a_new_target_is_held_against_all_that_was_scraped_before_it(first: float, counts: bool) -> None:
    """100 events in the last scrape before it: three times as many in a quarter of an hour, and twice that."""
    other = series([0.0] * 20 + [100.0, 100.0])
    found = tally(other, series([first], instance="b"), minutes=1)
    assert found.sums.tolist() == [first if counts else 0]


def test_what_a_relabelled_instance_gained_makes_its_next_births_possible() -> None:
    """26 events in its first scrape, and ten in the next two: up to 2 × (3 × 36 + 10) errors may appear."""
    old = series([1000 + 10.0 * n for n in range(30)], end_ms=END - 3 * MINUTE, code="200")
    new = series([1316.0, 1326.0, 1336.0], instance="b", code="200")
    for errors, counts in ((236.0, True), (237.0, False)):
        found = tally(old, new, series([errors], instance="b", code="500"), minutes=3)
        assert found.sums.tolist() == [26, 10, 10 + (errors if counts else 0)]


@pytest.mark.parametrize(("born", "counts"), [(320.0, True), (321.0, False)])
def test_what_one_target_of_a_job_counted_anew_makes_more_possible_for_another(born: float, counts: bool) -> None:
    """10 a minute and 320 that appear make 900 errors of a new target possible, which 150 in 15 minutes do not."""
    first = series([20.0 + n for n in range(11)], instance="c")  # which is new too, and looked at first
    busy = series([10.0 * n for n in range(60)], code="200")
    anew = series([born] * 5, code="500")
    found = tally(first, busy, anew, series([900.0], instance="b"), minutes=1)
    assert found.sums.tolist() == [1 + 10 + (900 if counts else 0)]


@pytest.mark.parametrize(("scrapes", "counts"), [(1, False), (2, True)])
def test_in_the_first_minute_a_series_seen_once_is_a_baseline(scrapes: int, counts: bool) -> None:
    """Its target is scraped every 15 s and a minute old; of one scrape nobody knows how often it comes."""
    steady = series([40.0 * n for n in range(4 + scrapes)], every_ms=15_000)
    found = tally(steady, series([100.0] * scrapes, every_ms=15_000, code="500"), minutes=2)
    assert found.sums.sum() == 40 * (3 + scrapes) + (100 if counts else 0)


@pytest.mark.parametrize(("late_s", "goes_on"), [(60, True), (75, True), (76, False), (100, False)])
def test_what_goes_on_was_there_a_scrape_and_a_quarter_before_at_most(late_s: int, goes_on: bool) -> None:
    """Before the last scrape, a minute ago; both versions have 30 and then 33."""
    steady = series([10.0 * n for n in range(61)], code="200")
    old = series([30.0] * 20, end_ms=END - MINUTE - late_s * 1000, code="500", version="1")
    found = tally(steady, old, series([33.0], code="500", version="2"), minutes=1)
    assert (found.sums.tolist(), found.continued) == ([10 + (3 if goes_on else 33)], int(goes_on))


def test_errors_restart_with_a_total_that_starts_at_nothing() -> None:
    """The new process has had no request that was counted, and two errors of another metric."""
    every = series([100.0 * n for n in range(20)] + [0.0, 50.0])
    errors = series([30.0 + n for n in range(20)] + [2.0, 3.0])
    found = tally(errors, minutes=2, whole=[every])
    assert (found.sums.tolist(), found.doubt) == ([2, 1], 0)


@pytest.mark.parametrize(("first", "counts"), [(320.0, True), (321.0, False)])
def test_what_is_scraped_a_little_later_is_of_the_same_scrape(first: float, counts: bool) -> None:
    """The others came 10 s before, with 10 events: twice these, and twice the 150 in the 15 minutes before."""
    steady = series([10.0 * n for n in range(61)], end_ms=END - 10_000, code="200")
    found = tally(steady, series([first], code="500"), minutes=1)
    assert found.sums.tolist() == [10 + (first if counts else 0)]


@pytest.mark.parametrize(("falls", "named"), [(5, False), (6, True)])
def test_six_falls_are_looked_at_for_several_writers(falls: int, named: bool) -> None:
    values = [value for n in range(falls) for value in (50_000.0 + n, 10.0 + n)]
    assert bool(tally(series(values), minutes=1).several_writers) is named


@pytest.mark.parametrize("names", [("x", "y"), ("y", "x")])
def test_of_two_the_lower_one_goes_on_for_one_that_vanished(names: tuple[str, str]) -> None:
    """Both could; whatever they are called."""
    old = series([1000 + 10.0 * n for n in range(30)], end_ms=END - MINUTE)
    low, high = names
    found = tally(old, series([1292.0], instance=low), series([1295.0], instance=high), minutes=1)
    assert (found.sums.tolist(), found.continued, found.doubt) == ([2], 1, 1295)


def test_less_than_a_scrape_of_a_gap_is_none_of_the_periods() -> None:
    """A gap ends 20 s into it; scrapes are a minute apart."""
    seen = CountingStats(gaps=(Gap(END - 2 * HOUR, END - HOUR + 20_000),), interval_ms=60_000.0)
    assert coverage(seen, END - HOUR, END) == 1.0
    assert coverage(CountingStats(gaps=(Gap(END - HOUR, END),)), END - HOUR, END) == 0.0


@pytest.mark.parametrize(("first", "counts"), [(170.0, True), (171.0, False)])
def test_what_appears_together_is_held_against_the_pause_of_the_slowest(first: float, counts: bool) -> None:
    """One series of each minute and one of five: twice the 150 before, and twice the 20 of two minutes."""
    steady = series([10.0 * n for n in range(61)], code="200")
    quick = series([170.0] * 6, code="500")
    slow = series([first] * 2, every_ms=5 * MINUTE, code="501")
    found = tally(steady, quick, slow, minutes=6)
    assert found.sums.sum() == 60 + (170 + first if counts else 0)
    assert found.doubt == (0 if counts else 170 + first)


def test_a_relabelled_instance_may_have_a_series_that_is_new() -> None:
    """Its old name had no errors; five are there at its first scrape."""
    old = series([1000 + 10.0 * n for n in range(30)], end_ms=END - MINUTE, code="200")
    new = series([1292.0], instance="b", code="200"), series([5.0], instance="b", code="500")
    found = tally(old, *new, minutes=1)
    assert (found.sums.tolist(), found.continued) == ([2 + 5], 2)
