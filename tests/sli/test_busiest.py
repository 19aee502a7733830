"""The most that a target counted in 15 minutes, found by looking at few scrapes, is what looking at all of them finds."""

from __future__ import annotations

import numpy as np
import pytest

from slo.promql.samples import Series
from slo.sli.counters import Counters
from slo.window import MINUTE, SECOND


def test_an_idle_targets_busiest_quarter_is_nothing() -> None:
    times = 1_700_000_000_000 + MINUTE * np.arange(500)
    counters = Counters([Series({"job": "a", "instance": "b"}, times, np.full(500, 7.0))])
    (target,) = counters.targets.values()
    assert target.busiest == 0.0


def test_what_was_busy_ten_minutes_ago_was_so_lately() -> None:
    """90 events in the first minute and none since: 15 minutes later they are over."""
    times = 1_700_000_000_000 + MINUTE * np.arange(20)
    values = np.concatenate([[0.0], np.full(19, 90.0)])
    [target] = Counters([Series({"job": "a", "instance": "b"}, times, values)]).targets.values()
    assert target.lately_at(times).tolist() == [0] + [270] * 5 + [90] * 10 + [0] * 4


def test_what_births_and_restarts_bring_counts_whenever_it_is_asked_for() -> None:
    """One event a minute, and 40 more in the third minute."""
    times = 1_700_000_000_000 + MINUTE * np.arange(5)
    for asked_before in (False, True):
        [target] = Counters([Series({"job": "a", "instance": "b"}, times, np.arange(5.0))]).targets.values()
        if asked_before:
            assert target.up_to(times).tolist() == [0, 1, 2, 3, 4]
        target.add(int(times[2]), 40.0)
        assert target.up_to(times).tolist() == [0, 1, 42, 43, 44]


@pytest.mark.parametrize("seed", range(40))
def test_the_busiest_quarter_of_an_hour(seed: int) -> None:
    random = np.random.default_rng(seed)
    many = int(random.integers(2, 3_000))
    pauses = random.choice([15 * SECOND, 15 * SECOND, 16_001, 40 * MINUTE], many, p=[0.5, 0.3, 0.199, 0.001])
    times = 1_700_000_000_000 + np.cumsum(pauses)
    values = np.cumsum(random.poisson(random.choice([0.01, 3.0, 50.0]), many)).astype(np.float64)
    counters = Counters([Series({"job": "a", "instance": "b"}, times, values)])
    (target,) = counters.targets.values()
    expected = max(target.lately(float(at)) for at in times.tolist())
    assert target.busiest == expected
    assert target.lately_at(times[::7]).tolist() == [target.lately(float(at)) for at in times[::7].tolist()]
    target.add(int(times[many // 2]), 1000.0)
    assert target.busiest == max(target.lately(float(at)) for at in times.tolist())
    target.add(int(times[many // 3]), -500.0)
    assert target.busiest == max(target.lately(float(at)) for at in times.tolist())


def test_what_is_taken_back_was_there_before() -> None:
    """In a busy history 1,000 events come and are taken back within two minutes: up to then they were lately."""
    times = 1_700_000_000_000 + 15 * SECOND * np.arange(2_000)
    [target] = Counters(
        [Series({"job": "a", "instance": "b"}, times, np.arange(2_000, dtype=np.float64))]
    ).targets.values()
    assert target.busiest == 60.0
    target.add(int(times[1_001]), 1000.0)
    target.add(int(times[1_005]), -1000.0)
    assert target.busiest == 3 * 1020.0


def test_before_its_first_scrape_a_target_has_counted_nothing() -> None:
    times = 1_700_000_000_000 + MINUTE * np.arange(4)
    [target] = Counters([Series({"job": "a", "instance": "b"}, times, np.array([5.0, 6, 8, 11]))]).targets.values()
    moments = times[0] + MINUTE * np.array([-1, 0, 1, 2, 3, 4])
    assert target.up_to(moments).tolist() == [0, 0, 1, 3, 6, 6]
    assert [target.between(float(at), float(at + MINUTE)) for at in moments] == [0, 1, 2, 3, 0, 0]
    assert target.between(float(times[0]) - 0.5, float(times[1]) - 0.5) == 0


def test_what_a_job_counted_is_that_of_its_target_or_of_all() -> None:
    times = 1_700_000_000_000 + MINUTE * np.arange(4)
    counters = Counters(
        [
            Series({"job": "a", "instance": name}, times, each * np.arange(4.0))
            for name, each in (("b", 1.0), ("c", 10.0))
        ]
    )
    during = float(times[0]), float(times[2])
    assert counters.counted(("a", "b"), *during) == 2
    assert counters.counted(("a", "c"), *during) == 20
    assert counters.counted(("a", "d"), *during) == 22


def test_a_series_with_many_pauses_counts_whole() -> None:
    """Away every third minute, alongside one that is always there."""
    minutes = np.arange(300)
    away = minutes % 3 != 1
    times = 1_700_000_000_000 + MINUTE * minutes
    rows = [
        Series({"job": "a", "instance": "b", "code": "1"}, times, (10 * minutes).astype(np.float64)),
        Series({"job": "a", "instance": "b", "code": "2"}, times[away], minutes[away].astype(np.float64)),
    ]
    [target] = Counters(rows).targets.values()
    assert target.up_to(times[[0, 2, 299]]).tolist() == [0, 22, 11 * 299]
    assert target.busiest == 165 + 3  # at an end of a pause six minutes of it lie in five


def test_a_restart_that_is_believed_later_makes_its_target_busier() -> None:
    """One event a minute, and 40 more in the third minute."""
    times = 1_700_000_000_000 + MINUTE * np.arange(20)
    [target] = Counters(
        [Series({"job": "a", "instance": "b"}, times, np.arange(20, dtype=np.float64))]
    ).targets.values()
    assert target.busiest == 15
    target.believe(times[[2]], np.array([40.0]))
    assert target.busiest == 3 * 45 and target.up_to(times[[1, 2, 3]]).tolist() == [1, 42, 43]
