"""What series that appear on a target mean: they start anew, come back, or go on for what vanished."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from slo.sli.counters import _alike, _Line, _line, _paired, _read, _Run, _runs, _Together
from slo.window import MINUTE


def lines(*values: Sequence[float], **labels: Sequence[str]) -> list[_Line]:
    """Series, one value a minute, with a value of each label for each."""
    return [
        _line(
            {label: of[number] for label, of in labels.items()},
            MINUTE * np.arange(len(own), dtype=np.int64),
            np.array(own, dtype=np.float64),
        )
        for number, own in enumerate(values)
    ]


def test_a_series_that_is_new_starts_at_zero() -> None:
    [one, other] = made = lines([7, 9], [5])
    read_specs = _read(made, [_Run(0, 0, 2), _Run(1, 0, 1)], [0, 1], [])
    assert (read_specs.events, read_specs.went_on) == (12, False)
    assert read_specs.shares == [(one, 7, 0), (other, 5, 0)]


def test_a_series_that_comes_back_has_gained_since_its_last_value() -> None:
    """From 30 to 50; or it fell from 50 to 4, which counts where it is believed."""
    made = lines([10, 30, 50, 60])
    read_specs = _read(made, [_Run(0, 0, 2), _Run(0, 2, 4)], [1], [])
    assert (read_specs.events, read_specs.shares) == (20, [(made[0], 20, 20)])
    made = lines([10, 30, 7, 50, 4, 5])
    assert _read(made, [_Run(0, 0, 4), _Run(0, 4, 6)], [1], []).events == 4
    made[0].believed = np.array([7.0, 0.0])
    assert _read(made, [_Run(0, 0, 4), _Run(0, 4, 6)], [1], []).events == 0
    assert _read(made, [_Run(0, 0, 2), _Run(0, 2, 6)], [1], []).events == 7


@pytest.mark.parametrize(
    ("appeared", "vanished", "events", "went_on"),
    [
        (103, [100], 3, True),
        (100, [100], 0, True),
        (99, [100], 99, False),  # less than vanished: it has started anew
        (103, [60, 40], 3, True),
        (103, [], 103, False),
        (103, [0], 103, False),  # going on for nothing is starting anew
        (0, [0], 0, False),
    ],
)
def test_of_two_readings_the_one_with_fewer_events_counts(
    appeared: float, vanished: list[float], events: float, went_on: bool
) -> None:
    made = lines([appeared])
    read_specs = _read(made, [_Run(0, 0, 1)], [0], vanished)
    assert (read_specs.events, read_specs.went_on) == (events, went_on)


def test_one_that_comes_back_may_go_on_for_another_too() -> None:
    """Back at 50 from 30 it has gained 20; for one that ended at 35 it has gained 15."""
    made = lines([10, 30, 50])
    runs = [_Run(0, 0, 2), _Run(0, 2, 3)]
    read_specs = _read(made, runs, [1], [35])
    assert (read_specs.events, read_specs.went_on, read_specs.shares) == (15, True, [(made[0], 15, 20)])
    assert not _read(made, runs, [1], [30]).went_on
    assert _read(made, runs, [1], [25]).events == 20


@pytest.mark.parametrize(
    ("values", "vanished", "each"),
    [
        ([105, 13], [100, 10], [5, 3]),  # each goes on for the one of its rank
        ([13, 105], [100, 10], [3, 5]),
        ([100, 15], [100, 10], [0, 5]),
        ([15, 103], [16, 100], [2 * 15 / 118, 2 * 103 / 118]),
        ([100, 5], [50, 50], [5 * 100 / 105, 5 * 5 / 105]),  # by rank one would have lost
        ([30, 90], [100], [5, 15]),  # of another number, in proportion
        ([110], [40, 60], [10]),
    ],
)
def test_the_events_of_each_that_goes_on(values: list[float], vanished: list[float], each: list[float]) -> None:
    assert _paired(values, vanished, sum(values) - sum(vanished)) == pytest.approx(each)


def test_of_those_that_vanished_the_most_alike_are_chosen() -> None:
    """By the labels that differ; those that the new one does not have say nothing."""
    made = lines([1], [1], [1], [1], code=["200", "200", "500", "500"], pod=["new", "a", "a", "b"])
    runs = [_Run(number, 0, 1) for number in range(4)]
    assert _alike(made, runs, [0], [1, 2, 3]).tolist() == [1]
    assert _alike(made, runs, [0], [2, 3]).tolist() == [2, 3]
    assert _alike(made, runs, [0, 2], [1, 3]).tolist() == [1, 3]
    assert _alike(made, runs, [0], []).tolist() == []
    made[0].labels = {"code": "500"}
    assert _alike(made, runs, [0], [1, 2, 3]).tolist() == [2, 3]


def test_when_two_were_first_there_together() -> None:
    """Line 0 at 0 to 9, and 20 to 29; line 1 at 5 to 24; line 2 at 9 to 20 and at 40 alone."""
    runs = np.array([[0, 0, 9], [0, 20, 29], [1, 5, 24], [2, 9, 20], [2, 40, 40], [3, 7, 7]])
    together = _Together(runs[:, 0], runs[:, 1], runs[:, 2])
    assert together.since(0, 1) == 0
    assert together.since(1, 0) == 5
    assert together.since(0, 2) == np.inf  # they touch, and no more
    assert together.since(2, 0) == np.inf
    assert together.since(1, 2) == 5 and together.since(2, 1) == 9
    assert together.since(0, 1) == 0  # asked again
    assert together.since(3, 1) == np.inf  # a single sample lasts no time
    assert together.since(1, 3) == np.inf


def cut(minutes: Sequence[float], scraped: Sequence[float] = range(400)) -> list[tuple[int, int]]:
    """The runs of a series with samples at these minutes, whose target was scraped at those."""
    times = (MINUTE * np.array(minutes)).astype(np.int64)
    line = _line({}, times, np.zeros(len(times)))
    runs = _runs(7, line, (MINUTE * np.array(scraped)).astype(np.int64))
    assert all(run.line == 7 for run in runs)
    return [(run.low, run.high) for run in runs]


def test_a_series_is_cut_where_it_paused_while_its_target_was_scraped() -> None:
    assert cut([0, 1, 2, 3]) == [(0, 4)]
    assert cut([0, 1, 2, 5, 6]) == [(0, 3), (3, 5)]
    assert cut([0, 1, 2, 5, 6], [0, 1, 2, 5, 6, 7]) == [(0, 5)]  # the target paused too
    assert cut([0, 1, 2, 5, 6], [0, 1, 2, 3, 5, 6]) == [(0, 3), (3, 5)]
    assert cut([0, 1, 2, 5, 6, 9, 10, 11]) == [(0, 3), (3, 5), (5, 8)]
    assert cut([5]) == [(0, 1)]
    assert cut([5, 9]) == [(0, 2)]  # nothing says that it is scraped more often
    assert cut([], []) == [(0, 0)]


def test_a_pause_is_one_and_a_half_of_its_intervals_and_more() -> None:
    often = [minute / 10 for minute in range(200)]
    assert cut([0, 1, 2, 3.5, 4.5], often) == [(0, 5)]
    assert cut([0, 1, 2, 3.6, 4.6], often) == [(0, 3), (3, 5)]


def test_a_sample_within_three_quarters_of_an_interval_is_of_the_same_scrape() -> None:
    """Between the third and the fourth sample the target was scraped once."""
    for at, cuts in ((2.7, 1), (2.75, 1), (2.8, 2), (4.2, 2), (4.25, 1), (4.3, 1)):
        assert len(cut([0, 1, 2, 5, 6], [0, 1, 2, at, 5, 6])) == cuts, at


def test_what_is_scraped_more_slowly_for_a_while_has_not_paused() -> None:
    """Every minute for an hour, then every three minutes for an hour; it is away for 20 minutes in each."""
    quick = [minute for minute in range(60) if not 30 < minute < 50]
    slow = [60 + 3 * place for place in range(20) if not 8 < place < 15]
    assert cut([*range(60), *range(60, 120, 3)]) == [(0, 80)]
    runs = cut([*quick, *slow])
    assert runs == [(0, 31), (31, 50), (50, 55)]
    # Nine pauses and no more are pauses.
    for pauses in (9, 10):
        minutes = [10 * part + minute for part in range(pauses + 1) for minute in range(7)]
        assert len(cut(minutes)) == pauses + 1
    assert len(cut([*range(40), *range(40, 40 + 3 * 9, 3)])) == 9
    assert len(cut([*range(40), *range(40, 40 + 3 * 10, 3)])) == 10
    assert len(cut([*range(40), *range(40, 40 + 3 * 11, 3)])) == 1
