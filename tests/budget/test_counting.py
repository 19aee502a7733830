"""Events counted from samples, against a recount in plain Python that follows the rule's words."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import STALE, Samples
from slo.sli.counting import Grid, count, coverage
from slo.spec.model import Latency, Probe, Ratio

Row = tuple[dict[str, str], list[int], list[float]]

RATIO = Ratio(VectorSelector("t"), VectorSelector("t", (Matcher("code", "=~", "5.."),)), "errors")
MINUTE = 60_000


def counter(code: str, times: list[int], values: list[float], instance: str = "a") -> Row:
    return {"__name__": "t", "job": "j", "instance": instance, "code": code}, times, values


def counted(rows: list[Row], grid: Grid) -> tuple[list[float], list[float]]:
    found = count(RATIO, Samples.from_series(rows), grid)
    return found.errors.tolist(), found.total.tolist()


def recount(rows: list[Row], grid: Grid) -> tuple[list[float], list[float]]:
    errors, total = [0.0] * grid.steps, [0.0] * grid.steps
    first: dict[str, int] = {}
    for labels, times, _ in rows:
        if times:
            first[labels["instance"]] = min(times[0], first.get(labels["instance"], times[0]))
    for labels, times, values in rows:
        before = None
        for at, value in zip(times, values, strict=True):
            if math.isnan(value) or math.isinf(value):
                continue
            if before is None:
                amount = value if at > first[labels["instance"]] else 0.0
            else:
                amount = value if value < before else value - before
            before = value
            step = -(-(at - grid.start_ms) // grid.step_ms) - 1
            if 0 <= step < grid.steps:
                total[step] += amount
                if labels["code"].startswith("5"):
                    errors[step] += amount
    return errors, total


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


def test_stale_markers_and_values_that_are_no_numbers_are_no_samples() -> None:
    rows = [counter("200", [0, 30_000, 60_000, 90_000], [5, STALE, math.nan, 9])]
    found = count(RATIO, Samples.from_series(rows), Grid(2 * MINUTE, MINUTE, 2))
    assert found.total.tolist() == [0, 4]
    assert found.seen.dropped == 1


values = st.one_of(st.integers(0, 1000).map(float), st.sampled_from([math.nan, math.inf, STALE]))


@st.composite
def series(draw: st.DrawFn) -> list[Row]:
    rows = []
    for code, instance in draw(st.sets(st.tuples(st.sampled_from(["200", "500", "503"]), st.sampled_from("ab")))):
        times = sorted(draw(st.sets(st.integers(0, 60).map(lambda i: i * 10_000), max_size=20)))
        rows.append(counter(code, times, draw(st.lists(values, min_size=len(times), max_size=len(times))), instance))
    return rows


@given(series())
@settings(max_examples=300, deadline=None)
def test_the_count_equals_a_recount_by_hand(rows: list[Row]) -> None:
    grid = Grid(600_000, MINUTE, 8)
    assert counted(rows, grid) == recount(rows, grid)


@given(series(), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_steps_of_any_length_add_up_to_the_same(rows: list[Row], parts: int) -> None:
    whole, split = Grid(630_000, 630_000, 1), Grid(630_000, 630_000 // parts, parts)
    if whole.start_ms == split.start_ms:
        assert sum(counted(rows, split)[1]) == counted(rows, whole)[1][0]


def test_bounds_written_by_prometheus_2_and_3_are_one() -> None:
    rows: list[Row] = []
    for le, bucket in (("0.5", [0, 1]), ("1", [0, 3]), ("1.0", [0, 2]), ("+Inf", [0, 9])):
        rows.append(
            ({"__name__": "h_bucket", "job": "j", "instance": le if "1" in le else "x", "le": le}, [0, MINUTE], bucket)  # type: ignore[arg-type]
        )
    found = count(Latency(VectorSelector("h"), Decimal(1)), Samples.from_series(rows), Grid(MINUTE, MINUTE, 1))
    assert (found.errors.tolist(), found.total.tolist()) == ([9 - 3 - 2], [9])


def test_a_threshold_between_bounds_counts_nothing_and_names_the_bounds() -> None:
    rows: list[Row] = [({"__name__": "h_bucket", "le": le}, [0, MINUTE], [0, 1]) for le in ("0.5", "1", "+Inf")]
    found = count(Latency(VectorSelector("h"), Decimal("0.7")), Samples.from_series(rows), Grid(MINUTE, MINUTE, 1))
    assert np.isnan(found.errors).all()
    assert found.seen.bounds == (Decimal("0.5"), Decimal(1))


def test_every_sample_of_a_probe_is_one_check() -> None:
    rows: list[Row] = [({"__name__": "up", "instance": i}, [10_000, 40_000, 70_000], [1, 0, i == "a"]) for i in "ab"]
    found = count(Probe(VectorSelector("up")), Samples.from_series(rows), Grid(2 * MINUTE, MINUTE, 2))
    assert (found.errors.tolist(), found.total.tolist()) == ([2, 1], [4, 2])


def test_coverage_is_the_time_in_which_scrapes_came() -> None:
    times = [t for t in range(0, 3_600_000, 30_000) if not 600_000 < t <= 1_200_000]
    rows = [counter("200", times, [float(i) for i in range(len(times))])]
    seen = count(RATIO, Samples.from_series(rows), Grid(3_600_000, MINUTE, 60)).seen
    assert [(gap.start_ms, gap.end_ms) for gap in seen.gaps] == [(600_000, 1_230_000)]
    assert coverage(seen, 0, 3_600_000) == 1 - 600_000 / 3_600_000
    assert coverage(seen, 1_800_000, 3_600_000) == 1
