"""How a server counts a counter in a tile when it is asked now and then, on planted values; the engine stands in for it.

A tile of five minutes ends at a scrape, and has this one and the nine before it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from slo.promql.ast import Matcher, Node, Subquery, VectorSelector, walk
from slo.sli.tile import Tile
from slo.sli.tiles import (
    added,
    appearing,
    born,
    broken,
    by_series,
    continued,
    counted,
    counted_part,
    in_doubt,
    present,
)
from slo.window import HOUR, MINUTE
from tests.sli.test_lean import END, HOUR_OF_SCRAPES, NO, PART, SCRAPE, Row, X, asked, grows, row

TILE = Tile(5 * MINUTE)
BUSY = row(grows(9), code="200")  # 90 in a tile, 350 or 360 in this and the 15 minutes before


def total(*rows: Row, tile: Tile = TILE, at_ms: int = END) -> dict[str, float]:
    return asked(counted(X, tile), *rows, at_ms=at_ms)


def reported(node: Node, *rows: Row) -> float | None:
    """What an expression of one series says; None where it has none."""
    answer = asked(node, *rows)
    assert len(answer) <= 1
    return next(iter(answer.values()), None)


def test_a_target_counts_what_its_series_gained() -> None:
    rows = row(grows(9), code="200"), row(grows(1), code="500"), row(grows(4), instance="b")
    assert total(*rows) == {"a": 100, "b": 40}
    assert total(*rows, tile=Tile(MINUTE)) == {"a": 20, "b": 8}
    assert total(*rows, tile=Tile(5 * MINUTE, by=("code",))) == {"a200": 90, "a500": 10, "b": 40}
    assert total(*rows, tile=Tile(5 * MINUTE, steady=True)) == {"a": 100, "b": 40}
    assert total(row(grows(0))) == {"a": 0} and total(row(grows(9), ago=10)) == {}
    assert reported(added(counted(X, TILE), ()), *rows) == 140


@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize("at", range(-12, 0))
def test_a_restart_counts_from_zero_in_the_tile_that_it_lies_in(at: int, steady: bool) -> None:
    """The new process has had 4 at its first scrape."""
    values = grows(9)
    values[at:] = [4 + 9 * place for place in range(-at)]
    assert total(row(values), tile=Tile(5 * MINUTE, steady=steady)) == {"a": 90 - 9 + 4 if at >= -10 else 90}


def test_every_fall_counts() -> None:
    values = grows(9)
    values[-6:] = [4, 3, 12, 2, 11, 10]
    assert total(row(values)) == {"a": 4 * 9 + 4 + 3 + 9 + 2 + 9 + 10}


def test_a_fall_at_an_end_that_is_not_a_step_is_seen_too() -> None:
    """The tile ends 10 s after its last scrape, a few seconds before the next step."""
    for rest in (0, 5_000, 10_000, 14_000):
        values = grows(9)
        values[-1] = 4
        assert total(row(values), at_ms=END + rest) == {"a": 9 * 9 + 4}


@pytest.mark.parametrize(
    ("away", "back", "events"),
    [
        (1, 1100, 100),
        (30, 1050, 50),
        (30, 7, 7),
        (200, 1050, 50),
        (238, 1050, 50),
        (250, 1050, 0),  # a baseline
    ],
)
def test_over_a_pause_of_up_to_the_look_back_what_was_gained_counts(away: int, back: float, events: float) -> None:
    assert total(row([1000] * 100 + [NO] * away + [back])) == {"a": events}


def test_what_comes_after_a_pause_counts_with_it() -> None:
    """It stood at 1000, is back at 1050, and has gained 9 at each of two scrapes since."""
    assert total(row([1000] * 100 + [NO] * 30 + [1050, 1059, 1068])) == {"a": 68}
    assert total(row([1000] * 100 + [NO] * 30 + [5, 14, 3])) == {"a": 5 + 9 + 3}
    values = row([1000] * 100 + [NO] * 30 + [1050, 1059, 1068])
    assert reported(by_series(X, TILE), values) == 68


@pytest.mark.parametrize("away", [1, 3, 6])
def test_a_fall_over_a_gap_in_the_tile_counts(away: int) -> None:
    """It had 90, and 30 of another process after a few scrapes that failed."""
    values = [*grows(9)[:-9], 10_000, *[NO] * away, 30, *grows(9, 7 - away, 39)]
    assert len(values) == HOUR_OF_SCRAPES
    assert total(row(values)) == {"a": 10_000 - grows(9)[-11] + 30 + 9 * (7 - away)}


def test_after_a_pause_a_fall_is_in_the_pause_or_in_the_tile() -> None:
    """It stood at 1000 before half an hour; 300 went on, or began anew before or after it was back."""
    cases: list[tuple[list[float], float]] = [
        ([1100, 1200, 1300], 300),
        ([1100, 200, 300], 100 + 300),
        ([100, 200, 1300], 1300),  # more than it had before, and a new process all the same
        ([100, 50, 60], 100 + 60),
    ]
    for values, events in cases:
        assert total(row([1000] * 100 + [NO] * 30 + values)) == {"a": events}


def test_a_second_scraper_shows_nothing_that_is_new() -> None:
    """Its series stand between those of the first before the tile and at its end; the process has had 300, or restarts."""
    first = row([*[0] * 85, *grows(9, 35, 9)], replica="1")
    assert total(first) == {"a": 90}
    for stands in (240, 315):
        assert total(first, row([stands, stands], replica="2", late_ms=-9000)) == {"a": 90}
    assert total(first, row([20, 20], code="500")) == {"a": 90 + 20}
    old = row([*grows(9, 118), 4, 8], replica="1")
    assert total(old) == {"a": 72 + 8}
    assert total(old, row([grows(9)[-3], 4, 8], replica="2", late_ms=-9000)) == {"a": 72 + 8 + 8}


def test_a_part_counts_nothing_new_where_what_appeared_of_all_is_not_believed() -> None:
    """After three hours 500 of 50,000 events; the target had 90 of another series in the tile."""
    failed, of = row([500, 510], name="failures_total"), row([50_000, 50_100])
    parts = asked(counted_part(FAILURES, X, TILE), failed, of, BUSY)
    assert parts == {"a": 10}
    parts = asked(counted_part(FAILURES, X, TILE), row([50, 60], name="failures_total"), BUSY)
    assert parts == {"a": 60}


@pytest.mark.parametrize("odd", [math.inf, -math.inf])
def test_what_is_infinite_is_not_a_value(odd: float) -> None:
    for place in (-3, -14):
        values = grows(9)
        values[place] = odd
        assert total(row(values)).get("a", 0) in (0, 90)


@pytest.mark.parametrize(("first", "believed"), [(5, True), (690, True), (740, False)])
def test_a_birth_counts_up_to_twice_what_its_target_had(first: float, believed: bool) -> None:
    """In the tile and the 15 minutes before; it has gained 3 since it appeared."""
    new = row([first, first + 3], code="500")
    assert total(BUSY, new) == {"a": 90 + 3 + (first if believed else 0)}
    assert reported(in_doubt(X, TILE), BUSY, new) == (None if believed else first)
    assert reported(born(X, TILE), BUSY, new) == (1 if believed else None)
    assert reported(appearing(X, TILE), BUSY, new) == 1
    assert reported(continued(X, TILE), BUSY, new) is None
    each = asked(by_series(X, TILE), BUSY, new)
    assert each == {"a200": 90, "a500": 3 + (first if believed else 0)}


def test_what_appears_while_neither_target_nor_job_had_traffic_is_in_doubt() -> None:
    """The target was away for half an hour and gained nothing meanwhile: 500 errors began then, or long before."""
    pause = row([1000] * 100 + [NO] * 30 + [1000], code="200")
    assert reported(in_doubt(X, TILE), pause, row([500], code="500")) == 500
    assert total(pause, row([500], code="500")) == {"a": 0}
    # 400 that it gained say as much of the errors.
    pause = row([1000] * 100 + [NO] * 30 + [1400], code="200")
    assert reported(in_doubt(X, TILE), pause, row([500], code="500")) is None
    assert total(pause, row([500], code="500")) == {"a": 900}
    # Nor does anything say what a new target of its job had before its first scrape; 10 events are believed of any that
    # had traffic.
    away = row([1000] * 100 + [NO] * 20)
    assert reported(in_doubt(X, TILE), away, row([13], instance="b")) == 13
    assert reported(in_doubt(X, TILE), away, row([13], job="other")) is None
    # The first targets ever are baselines.
    assert reported(in_doubt(X, TILE), row([500, 510])) is None


def test_where_nothing_appears_nothing_is_born_or_in_doubt() -> None:
    for node in (in_doubt(X, TILE), born(X, TILE), continued(X, TILE), appearing(X, TILE)):
        assert reported(node, BUSY, row(grows(1), code="500")) is None


@pytest.mark.parametrize(("first", "events"), [(10, 10), (11, 0)])
def test_a_few_events_are_believed_of_an_idle_target(first: float, events: float) -> None:
    assert total(row(grows(0), code="200"), row([first] * 3, code="500")) == {"a": events}


def test_a_new_target_starts_at_zero_as_the_busiest_of_its_job_makes_possible() -> None:
    third = row(grows(2), instance="c", code="200")
    assert total(BUSY, third, row([690], instance="b")) == {"a": 90, "b": 690, "c": 20}
    assert total(BUSY, third, row([740], instance="b")) == {"a": 90, "b": 0, "c": 20}
    assert total(BUSY, row([5, 7], instance="b", job="k")) == {"a": 90, "b": 2}
    assert total(row([5, 7])) == {"a": 2}


@pytest.mark.parametrize("since", [1, 5, 10])
def test_a_series_that_goes_on_under_other_labels_counts_the_difference(since: int) -> None:
    """Whatever it stands at: version 2 is there for some of the tile's scrapes."""
    old = row(grows(9, 120 - since), ago=since, version="1")
    last = float(old[2][-1])
    new = row([last + 9 * place for place in range(1, since + 1)], version="2")
    assert total(old, new) == {"a": 90}
    assert reported(continued(X, TILE), old, new) == 1
    assert reported(born(X, TILE), old, new) is None
    # Where less appears than vanished it has started anew.
    anew = row([30 + 9 * place for place in range(since)], version="2")
    assert total(old, anew) == {"a": 90 - 9 + 30}
    assert reported(continued(X, TILE), old, anew) is None and reported(born(X, TILE), old, anew) == 1


def test_what_vanished_is_not_there_when_the_tile_ends() -> None:
    """A third of a scrape later it is: other series of a target are scraped a little later."""
    for late_ms, events in ((-9_000, 20), (-11_000, 20 - 12)):
        old = row([12] * HOUR_OF_SCRAPES, late_ms=late_ms, code="500")
        assert total(BUSY, old, row([20], code="501")) == {"a": 90 + events}


def test_a_sum_that_lost_a_part_has_not_restarted() -> None:
    """It fell to 800, which is more than twice of the 270 in the 15 minutes before; to 500 it may have."""
    for left, events in ((800, {}), (500, {"a": 4 * 9 + 500 + 5 * 9})):
        values = [5000 + 9.0 * place for place in range(HOUR_OF_SCRAPES)]
        values[-6:] = [left + 9.0 * place for place in range(6)]
        assert total(row(values)) == events


@pytest.mark.parametrize("lag_ms", [0, 10_000, 10 * MINUTE])
def test_a_tile_ends_so_much_before_it_is_asked_for_as_its_lag(lag_ms: int) -> None:
    later = lag_ms // SCRAPE
    tile = Tile(5 * MINUTE, lag_ms)
    at_ms = END if later else END + lag_ms
    values = grows(9, 100)
    values[-3:] = [4, 13, 22]
    busy = row(values + [22.0] * later, code="200")
    assert total(busy, tile=tile, at_ms=at_ms) == {"a": 7 * 9 + 4 + 18}
    busy = row(grows(9, 100) + [1891.0] * later, code="200")
    for first, events in ((690, 690), (740, 0)):
        assert total(busy, row([first] * (1 + later), code="500"), tile=tile, at_ms=at_ms) == {"a": 90 + events}
    old = row(grows(9, 99), ago=1 + later, version="1")
    new = row([1891.0] * (1 + later), version="2")
    assert total(old, new, tile=tile, at_ms=at_ms) == {"a": 90}
    back = row([1000] * 60 + [NO] * 30 + [1050] * (1 + later))
    assert total(back, tile=tile, at_ms=at_ms) == {"a": 50}


def part(*rows: Row, selector: VectorSelector = PART, **more: bool) -> dict[str, float]:
    return asked(counted_part(selector, X, TILE, **more), *rows)


FAILURES = VectorSelector("failures_total")


def test_a_part_counts_as_its_whole_does() -> None:
    assert part(BUSY, row(grows(1), code="500")) == {"a": 10}
    assert part(BUSY) == {}
    assert part(BUSY, row([7, 9], code="500")) == {"a": 9}
    values = grows(1)
    values[-3:] = [2, 3, 4]
    assert part(BUSY, row(values, code="500")) == {"a": 7 + 4}


def test_births_of_a_part_are_believed_up_to_those_of_its_whole() -> None:
    """Of one metric; those of another one up to all that its target counted in the tile."""
    assert part(BUSY, row([690], code="500")) == {"a": 690}
    assert part(BUSY, row([740], code="500")) == {"a": 0}
    assert reported(in_doubt(PART, TILE, X), BUSY, row([740], code="500")) == 740
    assert reported(in_doubt(PART, TILE, X), BUSY, row([690], code="500")) is None
    for first, events in ((90, 90), (91, 0)):
        new = row([first], name="failures_total")
        assert part(BUSY, new, selector=FAILURES) == {"a": events}
        assert reported(in_doubt(FAILURES, TILE, X), BUSY, new) == (None if events else first)


def test_births_of_a_part_of_a_new_target_are_not_doubt() -> None:
    """Nothing was known of its whole either: both are baselines."""
    rows = row([5000, 5009], instance="b"), row([900], instance="b", name="failures_total")
    assert reported(in_doubt(FAILURES, TILE, X), BUSY, *rows) is None


def test_a_part_that_was_away_counts_over_the_pause_only_with_its_whole() -> None:
    gone = row([1000] * 105 + [NO] * 14 + [1100], name="failures_total")
    assert part(BUSY, gone, selector=FAILURES) == {"a": 100}
    assert part(BUSY, gone, selector=FAILURES, together=True) == {"a": 0}
    both = row([2000] * 105 + [NO] * 14 + [2200], code="200")
    assert part(both, gone, selector=FAILURES, together=True) == {"a": 100}
    other = row(grows(9), instance="b", code="200"), row(grows(2), instance="b", name="failures_total")
    assert part(both, gone, *other, selector=FAILURES, together=True) == {"a": 100, "b": 20}


@pytest.mark.parametrize(
    ("part_name", "whole_name", "one_family"),
    [
        ("x_total", "x_total", True),
        ("h_bucket", "h_count", True),
        ("h_bucket", "h_bucket", True),
        ("x_total", "y_total", False),
        ("h_bucket", "g_count", False),
    ],
)
def test_births_of_one_family_come_together(part_name: str, whole_name: str, one_family: bool) -> None:
    """80 appear alongside nothing, while the target counts 90: of one family births are those of the whole, here none."""
    whole, some = VectorSelector(whole_name), VectorSelector(part_name, (Matcher("code", "=", "500"),))
    rows = [row(grows(9), name=whole_name, code="200"), row([80], name=part_name, code="500")]
    answer = asked(counted_part(some, whole, TILE), *rows)
    alone = part_name != whole_name and one_family
    assert answer == {"a": 0 if alone else 80}


def test_what_is_there_is_one_for_each_value_of_by() -> None:
    rows = BUSY, row(grows(1), code="500"), row(grows(1), code="404", ago=10)
    assert reported(present(X, TILE), *rows) == 1
    assert asked(present(X, Tile(5 * MINUTE, by=("code",))), *rows) == {"200": 1, "500": 1}
    assert reported(present(X, Tile(5 * MINUTE, 5 * MINUTE)), row(grows(1), ago=19)) == 1
    assert reported(present(X, Tile(5 * MINUTE, 5 * MINUTE)), row(grows(1), ago=20)) is None


def test_series_with_samples_that_are_no_numbers_are_reported() -> None:
    """Of a tile; however many such samples each has there."""
    values = np.array(grows(9), dtype=np.float64)
    labels, times, _ = row(grows(9))
    values[[-2, -5, -12]] = math.inf, math.nan, math.inf
    assert reported(broken([X], TILE), (labels, times, values)) == 1
    assert reported(broken([X], TILE), (labels, times, values), ({**labels, "code": "1"}, times, values), BUSY) == 2
    assert reported(broken([X], TILE), (labels, times - 5 * MINUTE, values)) is None
    assert reported(broken([X], TILE), BUSY) is None
    other = {**labels, "__name__": "failures_total"}
    assert reported(broken([X, FAILURES], TILE), BUSY, (other, times, values)) == 1
    # Every 10 s, of a target that is scraped as often.
    quick = times[-1] - 10_000 * np.arange(59, -1, -1, dtype=np.int64), np.where(np.arange(60) == 50, np.nan, 1.0)
    assert reported(broken([X], Tile(5 * MINUTE, fastest_ms=10_000)), (labels, *quick)) == 1


def lengths(node: Node) -> set[tuple[int, int]]:
    return {(inner.range_ms, inner.step_ms or 0) for inner in walk(node) if isinstance(inner, Subquery)}


def test_falls_are_looked_for_at_the_steps_whose_own_step_lies_in_the_tile() -> None:
    assert lengths(counted(X, TILE)) == {(5 * MINUTE - 15_000 + 1, 15_000)}
    assert lengths(counted(X, Tile(MINUTE, fastest_ms=10_000))) == {(MINUTE - 5_000 + 1, 5_000)}


def test_tiles_add_up() -> None:
    """Whatever happens at whichever scrape, each event counts in one tile, at any place of the tiles."""
    values: Sequence[float] = grows(9, 200)
    made = list(values)
    for place in (90, 91, 113, 127, 160):
        made[place:] = [value - made[place] + 3 for value in made[place:]]
    made[140:150] = [NO] * 10
    known = [value for value in made[59:] if not math.isnan(value)]
    true = sum(b - a if b >= a else b for a, b in itertools.pairwise(known))
    for rest in (0, 7_000, 29_000):
        totals = [total(row(made), at_ms=END + rest - 5 * MINUTE * tile).get("a", 0) for tile in range(14)]
        assert sum(totals) == true
    assert HOUR % (5 * MINUTE) == 0
