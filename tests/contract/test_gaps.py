"""Gaps in scraping: the stretches in which no target at all was scraped."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slo.promql.samples import Series
from slo.sli.counts import Gap, find_gaps

START, END = 1_000_000, 2_000_000


def scraped(instance: str, *times: int) -> Series:
    return Series({"job": "a", "instance": instance}, np.array(times, dtype=np.int64), np.zeros(len(times)))


def test_a_gap_is_where_no_target_was_scraped_for_two_and_a_half_intervals() -> None:
    every = range(START, END + 1, 10_000)
    left_out = [at for at in every if not START + 200_000 < at < START + 230_000]
    gaps, interval = find_gaps([scraped("a", *left_out)], START, END)
    assert (gaps, interval) == ((Gap(START + 200_000, START + 230_000),), 10_000.0)
    # Two missed scrapes are a gap of three intervals; another target's one in the middle leaves none.
    assert find_gaps([scraped("a", *left_out), scraped("b", START + 214_000)], START, END)[0] == ()


def test_targets_that_take_turns_have_no_gap() -> None:
    halves = [scraped("a", *range(START, 1_500_000, 10_000)), scraped("b", *range(1_510_000, END, 10_000))]
    assert find_gaps(halves, START, END)[0] == ()
    assert find_gaps(halves[1:], START, END)[0] == (Gap(START, 1_510_000),)


def test_without_a_sample_all_is_a_gap() -> None:
    assert find_gaps([], START, END) == ((Gap(START, END),), 0.0)
    assert find_gaps([scraped("a", 5_000, 15_000)], START, END)[0] == (Gap(START, END),)


def test_a_stretch_of_two_intervals_has_none() -> None:
    assert find_gaps([scraped("a", 0, 10_000, 20_000)], 40_000, 60_000)[0] == ()


moments = st.lists(st.integers(800, 2_200).map(lambda s: s * 1000), min_size=1, max_size=60, unique=True).map(sorted)


@given(st.lists(moments, min_size=1, max_size=6))
def test_gaps_are_those_of_all_scrapes_together(targets: list[list[int]]) -> None:
    """However many targets there are and whoever comes first."""
    series = [scraped(str(number), *times) for number, times in enumerate(targets)]
    found, usual = find_gaps(series, START, END)
    marks = sorted({START, END, *(at for times in targets for at in times if START < at < END)})
    expected = [Gap(low, high) for low, high in pairwise(marks) if high - low > 2.5 * usual]
    assert list(found) == expected
    assert find_gaps(series[::-1], START, END)[0] == found
