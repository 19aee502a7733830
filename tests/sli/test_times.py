"""Moments of several series together: which are the same, where some lie among others, all of them, and gaps in them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.promql.samples import Samples, Series
from slo.sli.counts import EdgeCursor, Gap, Grid, find_gaps, same_times, slices_of, union

moments = st.sets(st.integers(0, 60)).map(lambda numbers: np.array(sorted(numbers), dtype=np.int64))


def at(*times: int) -> np.ndarray:
    return np.array(times, dtype=np.int64)


@given(moments, moments)
def test_where_some_lie_among_others(some: np.ndarray, every: np.ndarray) -> None:
    slices = slices_of(some, every)
    if set(some.tolist()) <= set(every.tolist()):
        assert slices is not None
        places = [place for run in slices for place in range(run.start, run.stop)]
        assert every[places].tolist() == some.tolist()
        # Runs are as long as they can be.
        assert all(earlier.stop < other.start for earlier, other in itertools.pairwise(slices))
    else:
        assert slices is None


@pytest.mark.parametrize(("runs", "known"), [(32, True), (33, False)])
def test_of_many_runs_sorting_is_quicker(runs: int, known: bool) -> None:
    every = np.arange(100, dtype=np.int64)
    slices = slices_of(every[: 2 * runs : 2], every)
    assert (slices is not None) is known
    assert union([every[: 2 * runs : 2], every]).tolist() == every.tolist()


@given(st.lists(moments.filter(lambda entry: len(entry) > 0), min_size=1, max_size=5))
def test_all_moments_of_several(times: list[np.ndarray]) -> None:
    assert union(times).tolist() == sorted({moment for span in times for moment in span.tolist()})


@given(moments, moments)
def test_the_same_moments(one: np.ndarray, other: np.ndarray) -> None:
    assert same_times(one, other) is (one.tolist() == other.tolist())
    assert same_times(one, one.copy()) and same_times(one, one)


def test_series_that_differ_in_one_moment_are_not_the_same() -> None:
    assert not same_times(at(1, 2, 3), at(1, 2, 4))
    assert not same_times(at(1, 2, 3), at(1, 2))
    assert not same_times(at(0, 2, 3), at(1, 2, 3))


@given(st.lists(moments, min_size=1, max_size=6), st.integers(1, 9), st.integers(1, 8))
def test_samples_up_to_each_edge(times: list[np.ndarray], step: int, steps: int) -> None:
    """Whatever was asked before: of equal times, of the same ones, in turns."""
    grid = Grid(50, step, steps)
    cursor = EdgeCursor(grid, 0)
    for entry in (*times, *times, *(moments_of.copy() for moments_of in times)):
        edges = [50 - step * (steps - place) for place in range(steps + 1)]
        assert cursor.counts(entry).tolist() == [sum(moment <= edge for moment in entry.tolist()) for edge in edges]


def gaps(*series: np.ndarray, start: int = 0, end: int = 600, instances: str = "abcdef") -> list[tuple[int, int]]:
    rows = [({"instance": name}, times, np.zeros(len(times))) for name, times in zip(instances, series, strict=False)]
    gaps_between, _ = find_gaps([Series(*row) for row in rows], start, end)
    return [(gap.start_ms, gap.end_ms) for gap in gaps_between]


@given(st.lists(moments, max_size=4), st.integers(0, 30), st.integers(31, 60))
def test_gaps_are_where_no_series_has_a_sample_for_two_and_a_half_intervals(
    series: list[np.ndarray], start: int, end: int
) -> None:
    """Moment by moment; what is usual is asked of the answer."""
    made = [Series({"instance": str(number)}, row, np.zeros(len(row))) for number, row in enumerate(series)]
    gaps_between, usual = find_gaps(made, start, end)
    scrapes = sorted({moment for row in series for moment in row.tolist() if start < moment <= end})
    edges = [start, *scrapes, end]
    expected = [Gap(low, high) for low, high in itertools.pairwise(edges) if high - low > 2.5 * usual and high > low]
    if end - start <= 2.5 * usual:
        expected = []
    assert list(gaps_between) == (expected if any(len(row) for row in series) else [Gap(start, end)])


def test_what_is_usual_is_the_median_of_all_intervals_of_all_targets() -> None:
    quick, slow = np.arange(0, 600, 10, dtype=np.int64), np.arange(0, 600, 60, dtype=np.int64)
    for series, usual in (([quick], 10), ([slow], 60), ([quick, slow], 10), ([slow, slow + 1, at(5)], 60)):
        made = [Series({"instance": str(number)}, row, np.zeros(len(row))) for number, row in enumerate(series)]
        assert find_gaps(made, 0, 600)[1] == usual
    # One target's series are one.
    made = [Series({"instance": "a", "code": str(code)}, slow + 30 * code, np.zeros(10)) for code in range(2)]
    assert find_gaps(made, 0, 600) == ((), 30.0)
    assert find_gaps(made, 0, 600, ("code",))[1] == 60.0


def test_a_stretch_of_two_and_a_half_intervals_has_no_gap() -> None:
    scrapes = np.arange(0, 600, 60, dtype=np.int64)
    assert gaps(scrapes, start=1000, end=1150) == []
    assert gaps(scrapes, start=1000, end=1151) == [(1000, 1151)]
    assert Samples.from_series([]).series == ()
