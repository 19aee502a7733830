"""The simulator and its oracle, on cases that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from slo.promql.samples import STALE, is_stale
from tests.contract.fleet import (
    FOREVER,
    HOUR,
    MINUTE,
    SECOND,
    Broken,
    Fleet,
    Grid,
    Key,
    Rename,
    Target,
)
from tests.contract.oracle import Reading, count_checks, count_outage, count_slices, scrape

KEYS = {
    "200": Key("r_total", {"code": "200"}, 0, 1),
    "500": Key("r_total", {"code": "500"}, 1, 1),
}
A = {"job": "shop", "instance": "a"}


def fleet(minutes: float = 10, keys: dict[str, Key] = KEYS, stale: bool = False) -> Fleet:
    """A tick every 10 s, the first 1.502 s after the start."""
    return Fleet(keys, minutes / 60, tick_ms=10 * SECOND, stale=stale)


def target(made: Fleet, good: float = 1.0, bad: float = 0.0, **rest: object) -> Target:
    """An event every `1 / good` seconds; scraped 7.137 s after each half minute."""
    counters = {"200": made.flat(good), "500": made.flat(bad)}
    return made.add(Target(rest.pop("labels", A), counters, **rest))  # type: ignore[arg-type]


def minutes(made: Fleet, reading: Reading, errors: bool = False) -> list[float]:
    count = (made.end_ms - made.start_ms) // MINUTE
    found: list[float] = reading.revealed_in(Grid(made.end_ms, MINUTE, count))[0 if errors else 1].tolist()
    return found


def test_events_count_at_the_scrape_that_reveals_them() -> None:
    made = fleet(3)
    target(made, good=1.0, bad=0.1)  # per tick of 10 s: 10 good, 1 bad
    reading = scrape(made)
    # Scrapes at 7, 37, 67, 97, 127, 157 s; ticks at 1, 11, 21, …: 3 of them between two scrapes. The first is the baseline.
    assert minutes(made, reading) == [33, 66, 66]
    assert minutes(made, reading, errors=True) == [3, 6, 6]
    happened = reading.happened_in(Grid(made.end_ms, MINUTE, 3))
    assert (happened[0].tolist(), happened[1].tolist()) == ([6, 6, 6], [66, 66, 66])
    assert not reading.doubts and not reading.bridges


def test_the_samples_are_what_the_process_shows() -> None:
    made = fleet(2)
    target(made, good=1.0, old={"200": 5000.0}, rare=frozenset({"500"}))
    (series,) = scrape(made).samples.series
    assert series.labels == {"__name__": "r_total", "job": "shop", "instance": "a", "code": "200"}
    assert (series.times - made.start_ms).tolist() == [7_137, 37_137, 67_137, 97_137]
    assert series.values.tolist() == [5010, 5040, 5070, 5100]


def test_a_restart_counts_what_came_after_it_and_nobody_knows_what_came_before() -> None:
    made = fleet(3)
    # A new process at 80 s: of the ticks at 71, 81 and 91 s the first is lost.
    start = made.start_ms + 80 * SECOND
    target(made, good=1.0, old={"200": 1000.0}, lives=[(-FOREVER, start), (start, FOREVER)])
    reading = scrape(made)
    assert minutes(made, reading) == [30, 30 + 20, 60]
    assert reading.restarts == 2  # of both series
    assert not reading.doubts


def test_a_restart_that_no_scrape_can_see_is_the_difference_and_in_doubt() -> None:
    made = fleet(4)
    start = made.start_ms + 30 * SECOND
    target(
        made,
        lives=[(-FOREVER, start), (start, FOREVER)],
        holes=[(made.start_ms + 20 * SECOND, made.start_ms + 150 * SECOND)],
    )
    reading = scrape(made)
    # At 7 s the counter stands at 10, at 157 s the new process has served the 13 ticks from 31 s to 151 s: 130.
    assert sum(minutes(made, reading)) == 130 - 10 + 30 * 2
    (doubt,) = [doubt for doubt in reading.doubts if doubt.why == "hidden restart"]
    assert (doubt.more_total, doubt.less_total, doubt.more_errors) == (10, 0, 0)


def test_a_hole_hides_nothing() -> None:
    made = fleet(60)
    target(made, bad=0.1, holes=[(made.start_ms + 10 * MINUTE, made.start_ms + 30 * MINUTE)])
    reading = scrape(made)
    counted = minutes(made, reading, errors=True)
    assert counted[10:30] == [0.0] * 20
    assert counted[30] == 6 * 20 + 6
    assert {bridge.gap_ms for bridge in reading.bridges} == {20 * MINUTE + 30 * SECOND}
    assert sum(bridge.errors for bridge in reading.bridges) == 3 * 41  # 41 intervals of 30 s, a bad one each 10 s


@pytest.mark.parametrize(
    "change", [{"cluster": "c1"}, {"job": "shop", "version": "{process}"}, {"pod": "a-0", "cluster": "c1"}]
)
def test_a_name_is_not_an_event(change: dict[str, str]) -> None:
    plain, named = fleet(30), fleet(30)
    for made in (plain, named):
        target(made, bad=0.1, old={"200": 1e6, "500": 2e4})
    named.renames.append(Rename(named.start_ms + 10 * MINUTE, change, named.start_ms + 20 * MINUTE))
    before, after = scrape(plain), scrape(named)
    assert minutes(plain, before) == minutes(named, after)
    assert len(after.samples) == 4 > len(before.samples)
    assert {doubt.why for doubt in after.doubts} <= {"relabelled"}


def test_a_series_held_back_and_kept_again_has_its_own_increments_only() -> None:
    made = fleet(30)
    target(made, good=1, bad=0.1, old={"500": 2e4})
    made.renames.append(
        Rename(made.start_ms + 5 * MINUTE, end_ms=made.start_ms + 15 * MINUTE, keys=frozenset({"500"}), drop=True)
    )
    counted = minutes(made, scrape(made), errors=True)
    assert counted[5:15] == [0.0] * 10
    assert counted[15] == 6 * 11
    assert sum(counted) == 3 * 59


def test_a_series_held_back_from_the_first_is_a_baseline() -> None:
    made = fleet(30)
    target(made, good=1, bad=0.1, old={"500": 2e4})
    made.renames.append(Rename(0, end_ms=made.start_ms + 15 * MINUTE, keys=frozenset({"500"}), drop=True))
    reading = scrape(made)
    assert sum(minutes(made, reading, errors=True)) == 3 * 29
    assert not reading.doubts  # 20,000 errors in half a minute are not possible


def test_the_first_errors_of_a_target_count() -> None:
    made = fleet(10)
    one = target(made, good=1, rare=frozenset({"500"}))
    one.counters["500"][made.during(made.start_ms + 5 * MINUTE, FOREVER)] = 1.0
    reading = scrape(made)
    # Ticks at 301 s and after. The scrape at 307 s shows the series with 1 for the first time.
    assert minutes(made, reading, errors=True) == [0, 0, 0, 0, 0, 1 + 3, 6, 6, 6, 6]
    assert reading.births == 1
    assert not reading.doubts


def test_first_errors_beyond_the_traffic_are_in_doubt() -> None:
    made = fleet(10)
    one = target(made, good=0.1, rare=frozenset({"500"}))  # 3 requests in half a minute
    one.counters["500"][30] = 50.0  # at 301 s
    (doubt,) = scrape(made).doubts
    assert (doubt.why, doubt.less_errors, doubt.less_total, doubt.more_total) == ("birth", 50, 50, 0)


def test_a_new_target_of_a_known_job_counts_from_zero_and_an_old_one_does_not() -> None:
    made = fleet(10)
    start = made.start_ms + 4 * MINUTE
    target(made)
    target(made, labels={"job": "shop", "instance": "b"}, lives=[(start, FOREVER)])
    target(made, labels={"job": "shop", "instance": "c"}, present=(start, FOREVER), old={"200": 1e9})
    reading = scrape(made)
    # a 30 + 9 × 60; b lives from 240 s: 10 at its first scrape at 247 s, then 30 each; c the same without the 10.
    assert sum(minutes(made, reading)) == 19 * 30 + (10 + 11 * 30) + 11 * 30
    assert reading.births == 2  # both series of b
    assert not reading.doubts


def test_targets_that_begin_together_are_all_baselines() -> None:
    made = fleet(5)
    target(made)
    target(made, labels={"job": "shop", "instance": "b"}, phase_ms=22_137, old={"200": 1e9})
    assert minutes(made, scrape(made))[0] == 30 + 30


def test_a_crash_loop_counts_every_process() -> None:
    made = fleet(10)
    lives = [(-FOREVER, made.start_ms + MINUTE)]
    for i in range(6):  # each lives 40 s and is seen once or twice
        lives.append((made.start_ms + MINUTE + i * 40_000, made.start_ms + MINUTE + i * 40_000 + 40_000))
    lives.append((lives[-1][1], FOREVER))
    target(made, lives=lives, old={"200": 1e6})
    counted = minutes(made, scrape(made))
    # Born at 60, 100, 140, 180, 220, 260, 300 s; ticks at 61, 71, …; scrapes at 67, 97, 127, 157, 187, 217, 247, 277, 307 s:
    # 10 | 40 | 30 | 20 | 10 | 40 | 30 | 20 | 10
    assert counted == [30, 10 + 30, 30 + 20, 10 + 30, 30 + 20, 10 + 30, 60, 60, 60, 60]


def test_a_deployment_under_a_version_label_counts_the_new_process() -> None:
    made = fleet(10)
    start = made.start_ms + 5 * MINUTE
    target(made, old={"200": 1e6}, lives=[(-FOREVER, start), (start, FOREVER)])
    made.renames.append(Rename(0, {"version": "v{process}"}))
    reading = scrape(made)
    # The scrape at 307 s shows the one tick since 300 s; the ticks at 281 and 291 s are lost.
    assert minutes(made, reading) == [30, 60, 60, 60, 60, 10 + 30, 60, 60, 60, 60]
    assert {series.labels["version"] for series in reading.samples.series} == {"v0", "v1"}


@pytest.mark.parametrize(("away_s", "doubts"), [(0, []), (200, [160])])
def test_a_process_with_the_label_and_the_value_of_an_earlier_one_may_be_that_one(
    away_s: int, doubts: list[float]
) -> None:
    """Three processes, the first and the third `env="a"`; the first had 160 at its last scrape, and ten more later."""
    made = fleet(20)
    first, second = made.start_ms + 3 * MINUTE, made.start_ms + 10 * MINUTE
    hole = (second, second + away_s * SECOND)
    target(made, lives=[(-FOREVER, first), (first, second), (second, FOREVER)], holes=[hole])
    made.renames += [Rename(0, {"env": "a"}, first), Rename(first, {"env": "b"}, second), Rename(second, {"env": "a"})]
    late = [doubt for doubt in scrape(made).doubts if doubt.at_ms > second]
    # The third has had 10 at 607 s, and 210 at 817 s: as much as the first, gone on.
    assert [doubt.less_total for doubt in late if doubt.less_total] == doubts


def test_two_scrapers_count_twice_and_one_that_joins_starts_from_its_baseline() -> None:
    made = fleet(10)
    target(made, old={"200": 1e6}, replicas=(("a", (-FOREVER, FOREVER)), ("b", (made.start_ms + 5 * MINUTE, FOREVER))))
    assert minutes(made, scrape(made))[4:7] == [60, 60 + 30, 120]


def test_what_is_not_a_number_is_not_a_sample() -> None:
    plain, broken = fleet(5), fleet(5)
    for made in (plain, broken):
        target(made)
    for at, value in ((1, np.nan), (2, np.inf), (3, -np.inf)):
        broken.broken.append(Broken(broken.start_ms + at * MINUTE, value, 0, "200"))
    before, after = scrape(plain), scrape(broken)
    assert sum(minutes(plain, before)) == sum(minutes(broken, after))
    held = next(series for series in after.samples.series if series.labels["code"] == "200").values
    assert int(np.isfinite(held).sum()) == len(held) - 3


def test_a_server_marks_a_series_that_ends() -> None:
    made = fleet(5, stale=True)
    target(made, holes=[(made.start_ms + MINUTE, made.start_ms + 3 * MINUTE)])
    made.renames.append(Rename(made.start_ms + 4 * MINUTE, {"cluster": "c"}))
    old = next(s for s in scrape(made).samples.series if s.labels["code"] == "200" and "cluster" not in s.labels)
    assert ((old.times - made.start_ms)[is_stale(old.values)] // SECOND).tolist() == [67, 247]
    assert STALE != STALE


def test_two_processes_behind_one_address_fall_at_every_other_scrape() -> None:
    made = fleet(5)
    target(made, old={"200": 1e6}, writers=2)
    (good, _) = scrape(made).samples.series
    assert int((np.diff(good.values) < 0).sum()) in (4, 5)


def test_checks_and_slices_and_outages() -> None:
    gauge = {"g": Key("g", {}, 0, 0)}
    made = fleet(10, gauge)
    up = np.ones(len(made.ticks))
    up[made.during(made.start_ms + 2 * MINUTE, made.start_ms + 4 * MINUTE)] = 0
    made.add(Target(A, gauges={"g": up}))
    grid = Grid(made.end_ms, MINUTE, 10)
    errors, total = count_checks(scrape(made), grid)
    assert (errors.tolist(), total.tolist()) == ([0, 0, 2, 2, 0, 0, 0, 0, 0, 0], [2.0] * 10)
    # 1 is above 0.5, seen at the end of each minute; it was 0 there in the third and fourth.
    errors, total, more_errors, more_total = count_slices(scrape(made), grid, MINUTE, 0.5)
    assert (errors.tolist(), total.tolist()) == ([1, 1, 0, 0, 1, 1, 1, 1, 1, 1], [1.0] * 10)
    assert not more_errors.any() and not more_total.any()
    made.renames.append(Rename(made.start_ms + 5 * MINUTE, {"cluster": "c"}))
    errors, total, more_errors, more_total = count_slices(scrape(made), grid, MINUTE, 0.5)
    assert total.tolist() == [1.0] * 10
    assert more_total.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0]  # the old name stands for 5 m after 277 s

    down = fleet(20)
    target(down, good=0.0, bad=0.0)
    down.targets[0].counters["200"][:] = 10
    bad = down.during(down.start_ms + 8 * MINUTE, down.start_ms + 14 * MINUTE)
    down.targets[0].counters["500"][bad], down.targets[0].counters["200"][bad] = 10, 0
    errors, total = count_outage(scrape(down), Grid(down.end_ms, MINUTE, 20), MINUTE, 3 * MINUTE, 0.5)
    # Down from the 9th minute to the 14th; from the third of them on it has lasted for 3 m.
    assert errors.tolist() == [0] * 10 + [1] * 4 + [0] * 6
    assert total.sum() == 20


def naive(reading: Reading, end_ms: int, start_ms: int) -> tuple[float, float]:
    """Per series: what it gained, and after a fall its whole value."""
    sums = {"200": 0.0, "500": 0.0}
    for series in reading.samples.series:
        change = np.diff(series.values)
        gained = np.where(change < 0, series.values[1:], change)
        inside = (series.times[1:] > start_ms) & (series.times[1:] <= end_ms)
        sums[series.labels["code"]] += float(gained[inside].sum())
    return sums["500"], sums["500"] + sums["200"]


@pytest.mark.parametrize("seed", range(20))
def test_on_a_gentle_history_the_oracle_is_a_difference_per_series(seed: int) -> None:
    random = np.random.default_rng(seed)
    made = Fleet(KEYS, 3, seed=seed)
    for name in "abc":
        middle = made.start_ms + int(random.integers(1, 170)) * MINUTE + 333
        made.add(
            Target(
                {"job": "shop", "instance": name},
                {
                    key: made.random.poisson(rate, len(made.ticks)).astype(float)
                    for key, rate in (("200", 20), ("500", 1))
                },
                every_ms=int(random.choice([15, 30, 60])) * SECOND,
                phase_ms=int(random.integers(0, 15_000)) * 2 + 1,
                jitter_ms=500,
                old={"200": 1e6, "500": 1e4},
                timeouts=0.02,
                lives=[(-FOREVER, middle), (middle + 20 * SECOND, FOREVER)],
            )
        )
    reading = scrape(made)
    errors, total = reading.revealed_in(Grid(made.end_ms, MINUTE, 120))
    assert (errors.sum(), total.sum()) == naive(reading, made.end_ms, made.end_ms - 2 * HOUR)
    happened = reading.happened_in(Grid(made.end_ms, MINUTE, 120))
    assert total.sum() == pytest.approx(happened[1].sum(), rel=0.05)
