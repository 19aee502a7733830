"""Slices of time: what lasts too long, what goes on through the unknown, and what one series' slices count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.promql.ast import VectorSelector
from slo.promql.samples import STALE, Samples
from slo.sli.base import Scraping
from slo.sli.counts import Gap, Grid
from slo.sli.outage import Outage
from slo.sli.probe import Probe
from slo.sli.slices import _twice, continued, too_long
from slo.sli.threshold import Threshold
from slo.sli.tile import Tile
from slo.spans import stretches
from slo.window import MINUTE
from tests.memory import Memory

END = 1_798_761_600_000


def flags(text: str) -> tuple[np.ndarray, np.ndarray]:
    """(down, known) of slices: `x` is down, `.` up, `?` unknown."""
    return np.array([mark == "x" for mark in text], bool), np.array([mark != "?" for mark in text], bool)


def drawn(slices: np.ndarray) -> str:
    return "".join("x" if bad else "." for bad in slices)


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ("..xx..", "..xx.."),
        ("x??.?x?", "xxx..xx"),  # the unknown is like what was before it
        ("??x?", "..xx"),  # and up before anything was known
        ("????", "...."),
        ("", ""),
    ],
)
def test_an_unknown_slice_goes_on_as_before(slices: str, expected: str) -> None:
    assert drawn(continued(*flags(slices))) == expected


def test_what_is_not_known_to_be_down_is_not_down() -> None:
    """A slice of which nothing is known may hold anything in `down`."""
    down, known = np.array([True, True, False]), np.array([False, True, False])
    assert drawn(continued(down, known)) == ".xx"


@pytest.mark.parametrize(
    ("slices", "longest", "expected"),
    [
        (".xxx.", 1, ".xxx."),
        (".xxx.", 2, "..xx."),  # from the second slice on it has lasted for two
        (".xxx.", 3, "...x."),
        (".xxx.", 4, "....."),
        ("xxx", 3, "..x"),  # at the start of a history it is as old as the history
        ("xxx", 4, "..."),
        (".x.xx.xxx", 2, "....x..xx"),  # each outage by itself
        (".x??x.", 3, "...xx."),  # slices without traffic are a part of it
        ("", 1, ""),
        ("....", 1, "...."),
    ],
)
def test_an_outage_is_too_long_once_it_has_lasted(slices: str, longest: int, expected: str) -> None:
    assert drawn(too_long(*flags(slices), longest)) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("", []), ("...", []), ("xxx", [(0, 3)]), ("x..xx.x", [(0, 1), (3, 5), (6, 7)])]
)
def test_stretches(text: str, expected: list[tuple[int, int]]) -> None:
    assert stretches(flags(text)[0]) == expected


@given(st.text("x.?", max_size=30), st.integers(1, 6))
def test_too_long_is_an_outage_with_as_many_slices_before(text: str, longest: int) -> None:
    """Slice by slice, as somebody counts who watches: how long has it been down?"""
    lasted, expected = 0, ""
    for mark in text:
        lasted = lasted + 1 if mark == "x" or (mark == "?" and lasted) else 0
        expected += "x" if lasted >= longest else "."
    assert drawn(too_long(*flags(text), longest)) == expected


def gauge(values: Mapping[str, Sequence[float]], every_ms: int = MINUTE) -> Memory:
    """Gauges `g` by instance with a value a minute, the last one at END; None: no sample."""
    rows = []
    for instance, own in values.items():
        times = END - every_ms * np.arange(len(own) - 1, -1, -1)
        rows.append(({"__name__": "g", "instance": instance}, times, np.array(own)))
    return Memory(Samples.from_series(rows), END)


def at_most(bound: str, every_ms: int = MINUTE, op: str = "<=") -> Threshold:
    return Threshold("g", op, Decimal(bound), every_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("op", "bad"), [("<=", [0, 0, 1]), ("<", [0, 1, 1]), (">=", [1, 0, 0]), (">", [1, 1, 0])]
)  # fmt: skip
def test_a_value_on_its_bound(op: str, bad: list[int]) -> None:
    """4, 5 and 6 held against 5."""
    measurement = at_most("5", op=op).measure(gauge({"a": [4, 5, 6]}), Grid(END, MINUTE, 3), Scraping())
    assert (measurement.counts.errors.tolist(), measurement.counts.total.tolist()) == (bad, [1, 1, 1])


def test_each_series_is_judged_in_each_slice() -> None:
    """Steps of two slices; a is bad in the last three, b in the first."""
    source = gauge({"a": [1, 9, 9, 9], "b": [9, 1, 1, 1]})
    measurement = at_most("5").measure(source, Grid(END, 2 * MINUTE, 2), Scraping(), first=1)
    assert measurement.counts.errors.tolist() == [2, 2]
    assert measurement.counts.total.tolist() == [4, 4]
    assert measurement.counts.seen.series == 2 and measurement.counts.seen.gaps == () and measurement.has_data
    # By series the second step alone, as was asked for.
    assert measurement.counts.parts is not None
    assert {part.labels["instance"]: (part.errors, part.total) for part in measurement.counts.parts} == {
        "a": (2, 2), "b": (0, 2),
    }  # fmt: skip
    assert measurement.notes == ()


def test_a_slice_without_a_value_is_not_judged_and_a_step_without_any_is_a_gap() -> None:
    """The value is NaN, then gone as its stale marker says, then back: two steps of three minutes each have a slice."""
    nan = float("nan")
    source = gauge({"a": [9, nan, STALE, STALE, STALE, STALE, 1, nan, nan]})
    measurement = at_most("5").measure(source, Grid(END, 3 * MINUTE, 3), Scraping())
    assert (measurement.counts.errors.tolist(), measurement.counts.total.tolist()) == ([1, 0, 0], [1, 0, 1])
    assert measurement.counts.seen.gaps == (Gap(END - 6 * MINUTE, END - 3 * MINUTE),)
    nothing = at_most("5").measure(gauge({"a": [nan]}), Grid(END, MINUTE, 1), Scraping())
    assert not nothing.has_data


def test_the_parts_of_a_stretch_are_those_of_its_slices() -> None:
    source = gauge({"a": [9, 9, 1, 9]})
    parts = at_most("5").parts(source, END - 3 * MINUTE, END, Scraping())
    assert parts is not None
    assert [(dict(part.labels)["instance"], part.errors, part.total) for part in parts] == [("a", 2, 3)]


# A series without a stale marker is shown for five minutes after its last sample: values at minutes 0 to 9, and what
# follows from minute 10 on.
@pytest.mark.parametrize(
    ("last", "twice"),
    [
        (STALE, 0),  # its end is known
        (1.0, 4),  # the new one begins with the sixth minute in which the old one is seen; 4 minutes have both
    ],
)
def test_a_series_that_goes_on_under_another_label_is_judged_twice_for_a_while(last: float, twice: int) -> None:
    start = END - 19 * MINUTE
    first = start + MINUTE * np.arange(11 if last == STALE or np.isnan(last) else 10)
    values = np.array([1.0] * 10 + ([last] if len(first) == 11 else []))
    then = start + MINUTE * np.arange(10, 20)
    source = Memory(
        Samples.from_series(
            [({"__name__": "g", "pod": "old"}, first, values), ({"__name__": "g", "pod": "new"}, then, np.ones(10))]
        ),
        END,
    )
    measurement = at_most("5").measure(source, Grid(END, MINUTE, 20), Scraping())
    noted = [note for note in measurement.notes if note.code == "judged-twice"]
    assert measurement.counts.total.sum() == 20 + twice
    assert bool(noted) is bool(twice)
    if twice:
        assert noted[0].text.startswith(f"{twice} slices may be judged twice")


@pytest.mark.parametrize(
    ("old", "new", "twice"),
    [
        ("xxx...", ".xxxxx", 2),  # slices 1 and 2 have both
        ("xxx...", "xxxxxx", 0),  # both were there from the start
        ("xxx...", "...xxx", 0),
        ("xxxxxx", ".xxxxx", 0),  # the first one goes on too
        ("xxxxxxxxxx..", "....xxxxxxxx", 0),  # alongside each other for longer than a series is shown after its end
        ("xxxxxxxxxx..", ".....xxxxxxx", 5),
        ("...xxx......", "xxxxxxxxxxxx", 5),  # it took over, and was taken over from, before it could be seen to end
        ("...xxx......", "xx..........", 0),
        ("...xxx......", "........xxxx", 0),
    ],
)
def test_two_series_of_which_one_takes_over(old: str, new: str, twice: int) -> None:
    """Of slices of a minute, five are as long as a series is shown after its end."""
    assert _twice([flags(old)[0], flags(new)[0]], MINUTE) == twice


def outage(longest_minutes: int, down_at: str = "0.5") -> Outage:
    return Outage(Probe(VectorSelector("g")), "up", longest_minutes * MINUTE, Decimal(down_at), MINUTE)


def test_an_outage_that_is_over_in_time_is_good() -> None:
    """Up for 6 minutes, down for 2, up for 2, down for 5, up for 5; outages of three minutes are too long."""
    source = gauge({"a": [1] * 6 + [0] * 2 + [1] * 2 + [0] * 5 + [1] * 5})
    measurement = outage(3).measure(source, Grid(END, 5 * MINUTE, 3), Scraping())
    # Of the last 15 minutes: the second outage is of minutes 10 to 14, and bad from its third minute on.
    assert measurement.counts.errors.tolist() == [0, 3, 0]
    assert measurement.counts.total.tolist() == [5, 5, 5]
    minute = [END - 19 * MINUTE + number * MINUTE for number in range(20)]
    assert measurement.downtimes == (
        (minute[6] - MINUTE, minute[7]),
        (minute[10] - MINUTE, minute[14]),
    )
    assert not measurement.bounds.size and not measurement.bucket_counts.size


@pytest.mark.parametrize("lag", [0, 5 * MINUTE])
def test_as_promql_too_where_scrapes_come_at_the_edges_of_slices(lag: int) -> None:
    """The same; a value at the end of a slice is of it."""
    source = gauge({"a": [1] * 6 + [0] * 2 + [1] * 2 + [0] * 5 + [1] * 5})
    tile = Tile(5 * MINUTE, lag, scrape_ms=MINUTE)
    for node, expected in ((outage(3).errors_tile(tile), [0, 3, 0]), (outage(3).total_tile(tile), [5, 5, 5])):
        [(_, values)] = source.query_range(node, END - 10 * MINUTE + lag, END + lag, 5 * MINUTE).series
        assert values.tolist() == expected


def test_an_outage_is_as_old_as_it_was_before_the_steps_began() -> None:
    """Down for 8 minutes, of which the steps hold the last 5: all of these are too late for a bound of four."""
    source = gauge({"a": [1, 1] + [0] * 8})
    measurement = outage(4).measure(source, Grid(END, 5 * MINUTE, 1), Scraping())
    assert measurement.counts.errors.tolist() == [5]
    assert measurement.downtimes == ((END - 8 * MINUTE, END),)


def test_an_outage_before_the_steps_is_none_of_theirs() -> None:
    source = gauge({"a": [0, 0, 1, 1, 1, 1, 1]})
    measurement = outage(2).measure(source, Grid(END, 5 * MINUTE, 1), Scraping())
    assert (measurement.counts.errors.tolist(), measurement.counts.total.tolist(), measurement.downtimes) == (
        [0],
        [5],
        (),
    )


@pytest.mark.parametrize(("down_at", "bad"), [("0.25", 5), ("0.5", 5), ("0.51", 0)])
def test_it_is_down_from_a_share_on(down_at: str, bad: int) -> None:
    """One of two instances is down."""
    source = gauge({"a": [0] * 8, "b": [1] * 8})
    measurement = outage(1, down_at).measure(source, Grid(END, 5 * MINUTE, 1), Scraping())
    assert measurement.counts.errors.tolist() == [bad]


def test_before_anything_is_known_nothing_is_judged() -> None:
    """Three minutes of data in a step of five."""
    measurement = outage(1).measure(gauge({"a": [0, 0, 0]}), Grid(END, 5 * MINUTE, 1), Scraping())
    assert (measurement.counts.errors.tolist(), measurement.counts.total.tolist()) == ([3], [3])


def test_as_promql_an_outage_is_as_old_as_its_history() -> None:
    """Down from its first scrape on, five minutes before the end; three minutes are too long."""
    source = gauge({"a": [0.0] * 6})
    rows = source.query_range(outage(3).errors_tile(Tile(MINUTE)), END - 4 * MINUTE, END, MINUTE).series
    [(_, errors)] = rows
    assert errors.tolist() == [0, 1, 1, 1, 1]
