"""A second scraper of a target shows no events that the first one has not shown; what begins on a target does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from slo.promql.samples import Series
from slo.sli.counters import Counters
from slo.sli.counts import EdgeCursor, Grid
from slo.sli.scrapers import Scrapers
from slo.window import MINUTE, SECOND

SINCE = 10 * MINUTE


def row(values: Sequence[float], start_ms: int = 0, **labels: str) -> Series:
    """One value a minute of a counter of pod a."""
    times = start_ms + MINUTE * np.arange(len(values), dtype=np.int64)
    every = {"__name__": "x_total", "job": "shop", "instance": "a", **labels}
    return Series(every, times, np.array(values, dtype=np.float64))


def sums(*rows: Series) -> float:
    """What is counted in 40 minutes."""
    counters = Counters(rows)
    return float(counters.tally(EdgeCursor(Grid(40 * MINUTE, 40 * MINUTE, 1), 0)).sums.sum())


def grows(each: float, first: float = 0.0, minutes: int = 40) -> list[float]:
    return [first + each * minute for minute in range(minutes)]


# Twenty minutes and twenty seconds on, where the first scraper has 1,200 and then 1,260 at either side.
JOINS = 20 * MINUTE + 20 * SECOND


@pytest.mark.parametrize(
    ("value", "start_ms", "other", "seen"),
    [
        (1220, JOINS, {}, True),
        (1200, JOINS, {}, True),
        (1260, JOINS, {}, True),
        (1199, JOINS, {}, False),
        (1261, JOINS, {}, False),
        (1220, 20 * MINUTE, {}, False),  # one scrape gave both
        (1220, JOINS, {"code": "500"}, False),  # two labels differ
        (0, JOINS, {}, False),  # nothing to count
    ],
)
def test_a_series_is_seen_already_where_another_scrapers_stands_there(
    value: float, start_ms: int, other: dict[str, str], seen: bool
) -> None:
    first = row(grows(60), replica="a")
    new = row([value], start_ms, replica="b", **other)
    assert Scrapers([first, new], [first, new]).seen_already([new], start_ms, SINCE) is seen


def test_a_label_for_some_minutes_is_not_another_scraper() -> None:
    """The process restarts, and has another label until its old one is back: it stands between, as another scraper's would."""
    values = np.array([*grows(60, minutes=20), *[np.nan] * 4, *grows(60, 1500, 16)])
    there = ~np.isnan(values)
    usual = Series(row([]).labels, (MINUTE * np.arange(40, dtype=np.int64))[there], values[there])
    brief = row([1200, 1260, 1320], JOINS, cluster="c1")
    assert not Scrapers([usual, brief], [usual, brief]).seen_already([brief], JOINS, SINCE)
    lasting = row([1200, 1260, 1320, 1380, 1440], JOINS, cluster="c1")
    assert Scrapers([usual, lasting], [usual, lasting]).seen_already([lasting], JOINS, SINCE)


def test_a_scraper_has_all_series_of_a_target() -> None:
    first = [row(grows(60), replica="a", code="200"), row(grows(6), replica="a", code="500")]
    new = [row([1220], JOINS, replica="b", code="200"), row([122], JOINS, replica="b", code="500")]
    assert Scrapers([*first, *new], first).seen_already(new, JOINS, SINCE)
    new = [new[0], row([700], JOINS, replica="b", code="500")]
    assert not Scrapers([*first, *new], first).seen_already(new, JOINS, SINCE)


def test_a_scraper_that_has_been_there_shows_what_begins() -> None:
    """It showed all events before; that the first error stands where the other scraper's does is no wonder."""
    whole = [row(grows(60), replica="a"), row(grows(60), 20 * SECOND, replica="b")]
    errors = [row([1.0] * 20, 19 * MINUTE, replica="a"), row([1.0], JOINS, replica="b")]
    assert not Scrapers(errors, whole).seen_already(errors[1:], JOINS, SINCE)
    assert Scrapers(errors, whole[:1]).seen_already(errors[1:], JOINS, SINCE)


def test_a_label_that_tells_series_apart_is_not_a_scrapers() -> None:
    """A code is born with 61 while one code stands at 60 to 62; another stands elsewhere."""
    codes = [row(grows(1, 40), code="200"), row(grows(60), code="404")]
    born = row([61], JOINS, code="500")
    assert not Scrapers([*codes, born], codes).seen_already([born], JOINS, SINCE)


def test_a_process_that_restarts_meanwhile() -> None:
    """The first scraper has 1,200, then 3 after the restart."""
    first = row([*grows(60, minutes=21), *grows(60, 3, minutes=19)], replica="a")
    for value, seen in ((1230, True), (2, True), (3, True), (4, False)):
        new = row([value], JOINS, replica="b")
        assert Scrapers([first, new], [first]).seen_already([new], JOINS, SINCE) is seen


def test_a_second_scraper_that_joins_counts_from_its_first_scrape_on() -> None:
    """60 a minute; the process began with the first scraper, 20 minutes before the second."""
    job = row(grows(60, 1e6), instance="b")
    first, second = row(grows(60), replica="a"), row(grows(60, 1220, 19), JOINS, replica="b")
    assert sums(job, first) == 2 * 39 * 60
    assert sums(job, first, second) == 2 * 39 * 60 + 18 * 60
    # Without the first one it would be a process of that age that is new to the job.
    assert sums(job, second) == 39 * 60 + 1220 + 18 * 60


def test_what_all_events_say_of_a_change_holds_for_a_part_of_them() -> None:
    """Version 2 begins anew after a pause with more errors than version 1 ended with, and with fewer events in all."""
    hole = 30 * MINUTE
    whole = [
        row(grows(60, 5000, 10), version="1", code="200"),
        row(grows(1, 50, 10), version="1", code="500"),
        row(grows(60, 900, 10), hole, version="2", code="200"),
        row(grows(1, 300, 10), hole, version="2", code="500"),
    ]
    every = Counters(whole)
    cursor = EdgeCursor(Grid(40 * MINUTE, 40 * MINUTE, 1), 0)
    assert every.tally(cursor).sums.sum() == 9 * 61 + 1200 + 9 * 61
    errors = Counters([whole[1], whole[3]], whole=every)
    assert errors.tally(cursor).sums.sum() == 9 + 300 + 9
