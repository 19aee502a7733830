"""Two stretches of counts, one after the other, as one: how a budget's past is made of what was before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slo.budget.past import _joined
from slo.sli.base import Measured, Note
from slo.sli.counts import CountingStats, Counts, Gap, Grid
from slo.window import MINUTE

END = 100 * MINUTE


def stretch(
    end_ms: int, errors: list[float], bounds: list[float], *, seen: CountingStats | None = None, **more: Any
) -> Measured:
    """A step a minute, of ten events each; in step i each bucket has i."""
    steps = len(errors)
    counts = Counts(Grid(end_ms, MINUTE, steps), np.array(errors), np.full(steps, 10.0), seen or CountingStats())
    rows = np.repeat(np.arange(float(steps))[:, None], len(bounds), axis=1) if bounds else np.empty((0, 0))
    return Measured(counts, np.array(bounds), rows, **more)


def test_events_and_buckets_of_the_later_one_follow() -> None:
    joined = _joined(stretch(END, [1, 2, 3], [0.5, 1]), stretch(END + 2 * MINUTE, [4, 5], [0.5, 1]))
    assert joined.counts.grid == Grid(END + 2 * MINUTE, MINUTE, 5)
    assert (joined.counts.errors.tolist(), joined.counts.total.tolist()) == ([1, 2, 3, 4, 5], [10] * 5)
    assert joined.bounds.tolist() == [0.5, 1]
    assert joined.bucket_counts.tolist() == [[0, 0], [1, 1], [2, 2], [0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("old", "new", "bounds", "buckets"),
    [
        ([0.5, 2], [0.5, 1], [], []),  # others than today's are not to be compared
        ([], [0.5], [0.5], [[0], [0], [0], [0], [1]]),  # where nothing was counted yet
        ([0.5], [], [], []),
        ([], [], [], []),
    ],
)
def test_bounds_are_todays_and_those_before_are_the_same(
    old: list[float], new: list[float], bounds: list[float], buckets: list[list[float]]
) -> None:
    joined = _joined(stretch(END, [1, 2, 3], old), stretch(END + 2 * MINUTE, [4, 5], new))
    assert (joined.bounds.tolist(), joined.bucket_counts.tolist()) == (bounds, buckets)
    assert joined.bucket_counts.size == np.size(buckets)


@pytest.mark.parametrize(("before", "after", "usual"), [(60.0, 30.0, 30.0), (60.0, 0.0, 60.0), (0.0, 30.0, 30.0)])
def test_the_usual_interval_is_todays_where_it_is_known(before: float, after: float, usual: float) -> None:
    old = stretch(END, [1.0], [], seen=CountingStats(series=3, interval_ms=before))
    new = stretch(END + MINUTE, [1.0], [], seen=CountingStats(series=2, interval_ms=after))
    assert _joined(old, new).counts.seen == CountingStats(series=3, interval_ms=usual)


def test_gaps_that_touch_are_one() -> None:
    first, second = Gap(0, 5 * MINUTE), Gap(98 * MINUTE, END)
    old = stretch(END, [1.0], [], seen=CountingStats(gaps=(first, second)))
    for start, gaps in ((0, (first, Gap(98 * MINUTE, END + MINUTE))), (1, (first, second, Gap(END + 1, END + MINUTE)))):
        new = stretch(END + MINUTE, [1.0], [], seen=CountingStats(gaps=(Gap(END + start, END + MINUTE),)))
        assert _joined(old, new).counts.seen.gaps == gaps


@pytest.mark.parametrize("old_has", [False, True])
@pytest.mark.parametrize("new_has", [False, True])
def test_either_may_have_data_and_be_invalid(old_has: bool, new_has: bool) -> None:
    one, other = Note("a", "one"), Note("b", "other")
    joined = _joined(
        stretch(END, [1.0], [], has_data=old_has, invalid=(one,)),
        stretch(END + MINUTE, [1.0], [], has_data=new_has, invalid=(other,)),
    )
    assert joined.has_data is (old_has or new_has) and joined.invalid == (one, other)
