"""Which buckets and counts of a target belong together, and while both are there."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from slo.promql.ast import VectorSelector
from slo.promql.samples import Samples, Series
from slo.sli.base import Measured
from slo.sli.counts import TARGET_LABELS, Grid
from slo.sli.latency import Latency, _by_set, _set_of, _while_there
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
    """Scraped each minute; half a minute alongside a bucket's moment it is still the same scrape."""
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
        kept = _while_there(count, [series(bucket, le="1")])
        assert (kept.times // MINUTE).tolist() == kept.values.tolist() == left, bucket
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


def counted(*rows: tuple[str, str, str, Sequence[float]]) -> Measured:
    """Requests within a quarter of a second; rows are (instance, metric, le, a value a minute)."""
    samples = Samples.from_series(
        ({"__name__": name, "job": "j", "instance": instance, **({"le": le} if le else {})}, *minutes(values))
        for instance, name, le, values in rows
    )
    sli = Latency(VectorSelector("h"), Decimal("0.25"))
    return sli.count(samples, Grid(100 * MINUTE, MINUTE, 5), TARGET_LABELS)


def minutes(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Up to minute 100."""
    return MINUTE * np.arange(101 - len(values), 101, dtype=np.int64), np.array(values, dtype=np.float64)


RISING = [10.0 * n for n in range(10)]


@pytest.mark.parametrize(
    ("many", "said"),
    [(1, "instance=0"), (3, "instance=2"), (4, "instance=2 and 1 more"), (6, "instance=2 and 3 more")],
)
def test_three_targets_without_the_bound_are_named(many: int, said: str) -> None:
    """They are counted in nothing; the other bounds that there are stand alongside them."""
    rows = [("a", "h_count", "", RISING), ("a", "h_bucket", "0.25", RISING)]
    for number in range(many):
        rows += [(str(number), "h_count", "", RISING), (str(number), "h_bucket", "0.5", RISING)]
    counts = counted(*rows, ("b", "h_bucket", "fast", RISING), ("a", "h_bucket", "1", []))
    [note] = counts.notes
    assert note.text.startswith("not counted: job=j, instance=0")
    assert note.text.endswith(f"{said}, whose h has no bucket bound 0.25; its bounds are 0.5")
    assert counts.counts.total.tolist() == [10] * 5 and counts.counts.errors.tolist() == [0] * 5
    assert counts.counts.seen.without_bound == tuple(f"job=j, instance={number}" for number in range(many))
    assert counts.counts.seen.bounds == (Decimal("0.25"), Decimal("0.5"))


def test_what_is_in_doubt_of_the_fast_ones_is_reported() -> None:
    """A sum over processes loses one: what is left of all requests, and of the fast ones, is not a restart."""
    every, fast = [5_000 + 10.0 * n for n in range(30)] + [4_700.0, 4_710.0], [50.0] * 30 + [20.0, 21.0]
    counts = counted(("a", "h_count", "", every), ("a", "h_bucket", "0.25", fast))
    assert (counts.counts.seen.doubt_events, counts.counts.seen.doubt_errors) == (4_700, 20)
