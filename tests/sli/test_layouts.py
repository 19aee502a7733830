"""Which buckets and counts of a target belong together, and while both are there."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from slo.promql.samples import Series
from slo.sli.latency import _by_set, _set_of, _while_there
from slo.sli.slices import slice_parts
from slo.window import MINUTE


def series(minutes: Sequence[float], **labels: str) -> Series:
    times = (MINUTE * np.array(minutes)).astype(np.int64)
    return Series({"__name__": "h", **labels}, times, np.arange(len(times), dtype=np.float64))


def test_buckets_belong_to_the_count_with_their_labels() -> None:
    """`le` apart. A count that was away, and came back under the same labels, is one of two series."""
    counts = [series([0, 1, 2, 3], path="/a"), series([5, 6, 7], path="/a"), series([0, 1], path="/b"), series([])]
    bucket, other = series([1, 2, 6], path="/a", le="1"), series([0, 1], path="/b", le="1.0")
    assert _by_set([bucket, other], counts) == {_set_of(bucket): [bucket], _set_of(other): [other]}
    assert _by_set([bucket, series([0, 7], path="/a", le="1.0")], counts[1::-1]) is not None


@pytest.mark.parametrize(("minutes", "path"), [([0, 1, 2], "/a"), ([1, 2, 3, 5], "/a"), ([1, 2], "/b"), ([1], "")])
def test_buckets_that_were_there_without_a_count_have_other_labels(minutes: list[int], path: str) -> None:
    """The count is there from minute 1 to 4."""
    count = series([1, 2, 3, 4], path="/a")
    assert _by_set([series(minutes, path=path, le="1")], [count]) is None


def test_a_count_is_taken_while_its_target_had_a_bucket() -> None:
    """Scraped each minute; half a minute beside a bucket's moment it is still the same scrape."""
    count = series([0, 1, 2, 3, 4, 5, 6])
    assert _while_there(count, [series([0, 1, 2, 3, 4, 5, 6], le="1")]) is count
    for bucket, left in (
        ([2, 3, 4], [2, 3, 4]),
        ([1.5, 2.5, 3.5], [1, 2, 3, 4]),
        ([1.4, 2.4, 3.4], [1, 2, 3]),
        ([1.6, 2.6, 3.6], [2, 3, 4]),
        ([0.5], [0, 1]),
        ([7], []),
        ([], []),
    ):
        found = _while_there(count, [series(bucket, le="1")])
        assert (found.times // MINUTE).tolist() == found.values.tolist() == left, bucket
    both = _while_there(count, [series([0, 1], le="1"), series([5], le="1.0")])
    assert both.values.tolist() == [0, 1, 5]


@pytest.mark.parametrize(("minutes", "slices"), [(0.5, 1), (1, 1), (1.5, 1), (2, 2), (5, 5)])
def test_slices_of_a_period_are_whole_and_one_at_least(minutes: float, slices: int) -> None:
    asked = []

    def query_range(_: Any, start_ms: int, end_ms: int, step_ms: int) -> SimpleNamespace:
        asked.append((start_ms, end_ms, step_ms))
        values = np.ones((end_ms - start_ms) // step_ms + 1)
        return SimpleNamespace(series=[({"a": "b"}, values)], notes=())

    reader: Any = SimpleNamespace(query_range=query_range)
    end = 100 * MINUTE
    parts = slice_parts(None, MINUTE, reader, end - int(minutes * MINUTE), end)  # type: ignore[arg-type]
    assert parts is not None and [(part.labels, part.errors, part.total) for part in parts] == [
        ({"a": "b"}, slices, slices)
    ]
    assert asked == [(end - (slices - 1) * MINUTE, end, MINUTE)]
