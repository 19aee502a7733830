"""Events counted from samples: small cases to check by hand. The hostile ones are in tests/contract."""

from __future__ import annotations

import math
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import STALE, Samples
from slo.sli.counts import TARGET_LABELS, Grid, coverage
from slo.sli.latency import Latency
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from tests.counting import count

Row = tuple[dict[str, str], list[int], list[float]]

RATIO = Ratio(VectorSelector("t"), VectorSelector("t", (Matcher("code", "=~", "5.."),)), "errors")
MINUTE = 60_000


def counter(code: str, times: list[int], values: list[float], instance: str = "a") -> Row:
    return {"__name__": "t", "job": "j", "instance": instance, "code": code}, times, values


def counted(rows: list[Row], grid: Grid) -> tuple[list[float], list[float]]:
    counts = count(RATIO, Samples.from_series(rows), grid)
    return counts.errors.tolist(), counts.total.tolist()


def test_what_each_scrape_reveals() -> None:
    rows = [
        counter("200", [0, 30_000, 60_000, 90_000, 120_000], [1000, 1010, 1020, 5, 15]),  # restarts before 90 s
        counter("500", [60_000, 90_000], [3, 1]),  # first seen at 60 s with 3; restarts too
    ]
    errors, total = counted(rows, Grid(2 * MINUTE, MINUTE, 2))
    assert errors == [3, 1]
    assert total == [10 + 10 + 3, 5 + 10 + 1]


def test_the_first_values_of_a_new_target_are_its_baseline() -> None:
    rows = [
        counter("200", [0, MINUTE], [10, 20]),
        counter("200", [MINUTE, 2 * MINUTE], [1_000_000, 1_000_007], instance="b"),
    ]
    assert counted(rows, Grid(2 * MINUTE, MINUTE, 2))[1] == [10, 7]


def test_a_gap_hides_no_event() -> None:
    rows = [counter("200", [0, 30_000, 20 * MINUTE, 20 * MINUTE + 30_000], [0, 5, 905, 910])]
    assert sum(counted(rows, Grid(25 * MINUTE, 5 * MINUTE, 5))[1]) == 910


def test_a_sample_on_an_edge_belongs_to_the_step_that_it_ends() -> None:
    rows = [counter("200", [0, MINUTE, MINUTE + 1, 2 * MINUTE], [0, 1, 3, 7])]
    assert counted(rows, Grid(2 * MINUTE, MINUTE, 2))[1] == [1, 6]


def test_stale_markers_and_values_that_are_not_numbers_are_not_samples() -> None:
    rows = [counter("200", [0, 30_000, 60_000, 90_000], [5, STALE, math.nan, 9])]
    counts = count(RATIO, Samples.from_series(rows), Grid(2 * MINUTE, MINUTE, 2))
    assert counts.total.tolist() == [0, 4]
    assert counts.seen.dropped == 1


values = st.one_of(st.integers(0, 1000).map(float), st.sampled_from([math.nan, math.inf, STALE]))


@st.composite
def series(draw: st.DrawFn) -> list[Row]:
    rows = []
    for code, instance in draw(st.sets(st.tuples(st.sampled_from(["200", "500", "503"]), st.sampled_from("ab")))):
        times = sorted(draw(st.sets(st.integers(0, 60).map(lambda i: i * 10_000), max_size=20)))
        rows.append(counter(code, times, draw(st.lists(values, min_size=len(times), max_size=len(times))), instance))
    return rows


@given(series(), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_steps_of_any_length_add_up_to_the_same(rows: list[Row], parts: int) -> None:
    whole, split = Grid(630_000, 630_000, 1), Grid(630_000, 630_000 // parts, parts)
    if whole.start_ms == split.start_ms:
        assert sum(counted(rows, split)[1]) == counted(rows, whole)[1][0]


def test_bounds_written_by_prometheus_2_and_3_are_one() -> None:
    rows: list[Row] = [({"__name__": "h_count", "job": "j", "instance": i}, [0, MINUTE], [0, 9]) for i in "xy"]
    for le, instance, bucket in (("0.5", "x", [0, 1]), ("1", "x", [0, 3]), ("1.0", "y", [0, 2])):
        rows.append(({"__name__": "h_bucket", "job": "j", "instance": instance, "le": le}, [0, MINUTE], bucket))  # type: ignore[arg-type]
    counts = count(Latency(VectorSelector("h"), Decimal(1)), Samples.from_series(rows), Grid(MINUTE, MINUTE, 1))
    assert (counts.errors.tolist(), counts.total.tolist()) == ([18 - 3 - 2], [18])


def test_a_threshold_between_bounds_counts_nothing_and_names_the_bounds() -> None:
    rows: list[Row] = [({"__name__": "h_bucket", "le": le}, [0, MINUTE], [0, 1]) for le in ("0.5", "1", "+Inf")]
    grid = Grid(MINUTE, MINUTE, 1)
    counts = Latency(VectorSelector("h"), Decimal("0.7")).count(Samples.from_series(rows), grid, TARGET_LABELS)
    assert not counts.has_data
    assert [(note.code, "0.5, 1" in note.text) for note in counts.notes] == [("no-such-bound", True)]
    assert counts.counts.total.sum() == 0


def test_every_sample_of_a_probe_is_one_check() -> None:
    rows: list[Row] = [({"__name__": "up", "instance": i}, [10_000, 40_000, 70_000], [1, 0, i == "a"]) for i in "ab"]
    counts = count(Probe(VectorSelector("up")), Samples.from_series(rows), Grid(2 * MINUTE, MINUTE, 2))
    assert (counts.errors.tolist(), counts.total.tolist()) == ([2, 1], [4, 2])


def test_coverage_is_the_time_in_which_scrapes_came() -> None:
    times = [t for t in range(0, 3_600_000, 30_000) if not 600_000 < t <= 1_200_000]
    rows = [counter("200", times, [float(i) for i in range(len(times))])]
    seen = count(RATIO, Samples.from_series(rows), Grid(3_600_000, MINUTE, 60)).seen
    assert [(gap.start_ms, gap.end_ms) for gap in seen.gaps] == [(600_000, 1_230_000)]
    assert coverage(seen, 0, 3_600_000) == 1 - 600_000 / 3_600_000
    assert coverage(seen, 1_800_000, 3_600_000) == 1


def test_a_recorded_sum_that_loses_a_target_is_not_a_restart() -> None:
    """Ten targets' sum gains 20 a scrape; half of them go, and it gains 10. Of the fall itself nothing is known."""
    times = [30_000 * i for i in range(200)]
    total = [100_000.0 + 20 * i for i in range(100)] + [50_000.0 + 10 * i for i in range(100)]
    errors = [100.0 + i // 10 for i in range(100)] + [50.0 + i // 20 for i in range(100)]
    rows: list[Row] = [
        ({"__name__": name, "job": "j"}, times, values)
        for name, values in (("job:r:sum", total), ("job:e:sum", errors))
    ]
    sli = Ratio(VectorSelector("job:r:sum"), VectorSelector("job:e:sum"), "errors")
    counts = count(sli, Samples.from_series(rows), Grid(6_000_000, 60_000, 100))
    assert counts.total.sum() == 99 * 20 + 99 * 10
    assert counts.errors.sum() == 9 + 4
    assert counts.seen.doubt_events == 50_000
