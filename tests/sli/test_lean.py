"""How rules count a counter in a tile, on planted values; the embedded engine evaluates.

A tile of a minute ends at a scrape, and has this scrape and the one before it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from slo.promql.ast import Aggregate, Matcher, Node, Subquery, VectorSelector, walk
from slo.promql.samples import Samples
from slo.sli import lean
from slo.sli.tile import Tile
from slo.window import MINUTE
from tests.memory import Server

END = 1_798_761_600_000
SCRAPE = 30_000
X, PART = VectorSelector("x_total"), VectorSelector("x_total", (Matcher("code", "=", "500"),))
TILE = Tile(MINUTE, lean=True)
HOUR_OF_SCRAPES = 120
NO = math.nan  # no sample
Row = tuple[Mapping[str, str], np.ndarray, np.ndarray]


def row(values: Sequence[float], ago: int = 0, late_ms: int = 0, name: str = "x_total", **labels: str) -> Row:
    """A series whose last sample is `ago` scrapes before the end, and each so much after its scrape; NO is left out."""
    given = np.array(values, dtype=np.float64)
    times = END + late_ms - SCRAPE * (ago + np.arange(len(given) - 1, -1, -1, dtype=np.int64))
    there = ~np.isnan(given)
    return {"__name__": name, "job": "j", "instance": "a", **labels}, times[there], given[there]


def grows(each: float, scrapes: int = HOUR_OF_SCRAPES, first: float = 1000) -> list[float]:
    return [first + each * place for place in range(scrapes)]


def asked(node: Node, *rows: Row, at_ms: int = END) -> dict[str, float]:
    """The values at a moment, by what differs of the labels: the instance, and the code or the job if there is one."""
    answer = Server(Samples.from_series(rows), END).query(node, at_ms).series
    return {
        "".join(value for label, value in sorted(labels.items(), reverse=True) if label != "job"): float(values[0])
        for labels, values in answer
    }


def counted(*rows: Row, tile: Tile = TILE, label: str = "", at_ms: int = END) -> dict[str, float]:
    return asked(lean.counted(X, tile, label), *rows, at_ms=at_ms)


def test_a_target_counts_what_its_series_gained() -> None:
    """Two scrapes of 9 and 1 each; of the second target 4."""
    rows = row(grows(9), code="200"), row(grows(1), code="500"), row(grows(4), instance="b")
    assert counted(*rows) == {"a": 20, "b": 8}
    assert counted(*rows, tile=Tile(5 * MINUTE, lean=True)) == {"a": 100, "b": 40}
    assert counted(*rows, label="code") == {"a200": 18, "a500": 2, "b": 8}
    assert counted(row(grows(0))) == {"a": 0}
    assert counted(row(grows(9), ago=2)) == {}


def test_targets_are_those_of_the_labels_that_name_them() -> None:
    """Each value of `by` is counted by itself."""
    rows = row(grows(9), code="200", pod="p"), row(grows(1), code="500", pod="p"), row(grows(4), instance="b", pod="p")
    assert counted(*rows, tile=Tile(MINUTE, target=("job", "pod"), lean=True)) == {"p": 28}
    assert counted(*rows, tile=Tile(MINUTE, target=("job", "pod"), by=("code",), lean=True)) == {
        "p200": 18,
        "p500": 2,
        "p": 8,
    }


@pytest.mark.parametrize("at", [-1, -2, -3, -4])
def test_a_restart_counts_from_zero_in_the_tile_that_it_lies_in(at: int) -> None:
    """The new process has had 4 at its first scrape, and 9 at each one after."""
    values = grows(9)
    values[at:] = [4 + 9 * place for place in range(-at)]
    assert counted(row(values)) == {"a": {-1: 9 + 4, -2: 4 + 9}.get(at, 18)}


def test_every_fall_counts() -> None:
    values = grows(9)
    values[-2:] = [4, 3]
    assert counted(row(values)) == {"a": 4 + 3}


@pytest.mark.parametrize("away", [10, 28])
@pytest.mark.parametrize(("back", "events"), [(5000, 5000 - 1000), (7, 7)])
def test_over_a_pause_of_up_to_a_quarter_of_an_hour(away: int, back: float, events: float) -> None:
    """The series stood at 1000 when its target went away, and is back at the last scrape, after a restart or not."""
    assert counted(row([1000] * 60 + [NO] * away + [back])) == {"a": events}


@pytest.mark.parametrize(("away", "events"), [(60, 4000), (200, 4000), (238, 4000), (300, None)])
def test_over_a_longer_pause_what_was_gained_counts_up_to_the_look_back(away: int, events: float | None) -> None:
    """It was there for two hours before."""
    assert counted(row([1000] * 240 + [NO] * away + [5000])) == ({} if events is None else {"a": events})


def test_a_shorter_look_back() -> None:
    values = [1000.0] * 240 + [NO] * 60 + [5000]
    assert counted(row(values), tile=Tile(MINUTE, lookback_ms=28 * MINUTE, lean=True)) == {}
    assert counted(row(values), tile=Tile(MINUTE, lookback_ms=32 * MINUTE, lean=True)) == {"a": 4000}


@pytest.mark.parametrize("odd", [math.inf, -math.inf])
def test_what_is_infinite_is_not_a_value(odd: float) -> None:
    """Within the tile; at its end, or where the one before ended, nothing is known of what was gained."""
    for place, events in ((-2, 18), (-1, 0), (-3, 0), (-4, 18)):
        values = grows(9)
        values[place] = odd
        assert counted(row(values)).get("a", 0) == events


BUSY = row(grows(9), code="200")  # 270 in 15 minutes


@pytest.mark.parametrize(("value", "events"), [(5, 5), (540, 540), (560, 0)])
def test_a_birth_counts_up_to_twice_what_its_target_had(value: float, events: float) -> None:
    """In the 15 minutes before the tile."""
    assert counted(BUSY, row([value], code="500")) == {"a": 18 + events}
    assert counted(BUSY, row([value - 1, value], code="500")) == {"a": 18 + events}


def test_a_birth_counts_once() -> None:
    """In the tile in which it is first seen; then what it gained."""
    assert counted(BUSY, row([5, 6], code="500")) == {"a": 18 + 6}
    assert counted(BUSY, row([5, 6, 7], code="500")) == {"a": 18 + 2}


@pytest.mark.parametrize(("value", "events"), [(10, 10), (11, 0)])
def test_a_few_events_are_believed_of_an_idle_target(value: float, events: float) -> None:
    assert counted(row(grows(0), code="200"), row([value], code="500")) == {"a": events}


def test_all_that_appears_on_a_target_is_believed_together() -> None:
    """Two that are too much together; of another target one that is not."""
    rows = (BUSY, row([300], code="500"), row([300], code="501"), row(grows(1), instance="b", code="200"))
    assert counted(*rows, row([30], instance="b", code="500")) == {"a": 18, "b": 2 + 30}
    assert counted(*rows, row([30], instance="b", code="500"), label="code") == {"a200": 18, "b200": 2, "b500": 30}


def test_a_new_target_starts_at_zero_as_the_busiest_of_its_job_makes_possible() -> None:
    assert counted(BUSY, row([530], instance="b")) == {"a": 18, "b": 530}
    assert counted(BUSY, row([560], instance="b")) == {"a": 18}
    # Of another job nothing follows.
    assert counted(BUSY, row([5], instance="b", job="k")) == {"a": 18}
    # The busiest, not all together.
    third = row(grows(8), instance="c", code="200")
    assert counted(BUSY, third, row([560], instance="b")) == {"a": 18, "c": 16}


def test_the_first_targets_of_a_job_are_baselines() -> None:
    assert counted(row([5, 6])) == {}
    assert counted(row([5, 6, 8])) == {"a": 8 - 5}


def test_a_series_that_goes_on_under_other_labels_counts_the_difference() -> None:
    """Version 1 ended a scrape before the end, or two; version 2 is there since."""
    for since in (1, 2):
        old = row(grows(1, 120 - since, 50), ago=since, code="500", version="1")
        new = row([old[2][-1] + place for place in range(1, since + 1)], code="500", version="2")
        assert counted(BUSY, old, new) == {"a": 18 + 2}
        # Where less appears it has started anew.
        new = row([3 + place for place in range(1, since + 1)], code="500", version="2")
        assert counted(BUSY, old, new) == {"a": 18 + 2 - since + 3 + since}


def test_what_goes_on_with_a_whole_life_counts_the_difference() -> None:
    """As long as that is no more than the busiest target had in a quarter of an hour twice; else it may be any series."""
    old = row(grows(9, 119), ago=1, version="1")
    last = float(old[2][-1])
    for more, events in ((9, 9 + 9), (540 - 9, 540), (541 - 9, 9)):
        assert counted(old, row([last + more], version="2")) == {"a": events}
    older = row(grows(9, 117), ago=3, version="1")
    assert counted(older, row([last, last + 9, last + 18], version="2")) == {"a": 18}


def test_a_relabelling_that_is_taken_back_after_twenty_minutes_counts_once() -> None:
    """The series had other labels for 40 scrapes; one alongside it kept its own."""
    values = grows(9)
    own = [*values[:79], *[NO] * 40, values[119]]
    assert counted(row(own), row(values[79:119], ago=1, cluster="c")) == {"a": 18}
    assert counted(BUSY, row(own, code="500"), row(values[79:119], ago=1, code="500", cluster="c")) == {"a": 36}


def test_several_series_go_on_together() -> None:
    """By code, and in all."""
    rows = [row(grows(9), code="100")]
    for code, each in (("200", 2), ("500", 1)):
        old = row(grows(each, 119, 10), ago=1, version="1", code=code)
        rows += [old, row([old[2][-1] + each], version="2", code=code)]
    assert counted(*rows) == {"a": 24}
    assert counted(*rows, label="code") == {"a100": 18, "a200": 4, "a500": 2}


def test_where_less_appears_than_vanished_it_has_started_anew() -> None:
    """The new process has had 30 under its new labels; the old one gained 9 in the tile."""
    old = row(grows(9, 119), ago=1, version="1")
    assert counted(old, row([30], version="2")) == {"a": 9 + 30}


def test_what_ended_long_ago_has_not_gone_on() -> None:
    """The old series ended 14 or 20 minutes ago; the target is there by another one."""
    busy = row(grows(90), code="200")
    for ago, events in ((28, 500 - 300), (40, 500)):
        old = row([300] * 60, ago=ago, code="500", version="1")
        assert counted(busy, old, row([500], code="500", version="2")) == {"a": 180 + events}


def test_what_is_scraped_a_little_later_has_not_vanished() -> None:
    """Its last sample is a third of a scrape older than the newest one of its target, or less: it is there."""
    for late_ms, events in ((-9_000, 30), (-11_000, 30 - 22)):
        old = row([22] * HOUR_OF_SCRAPES, late_ms=late_ms, code="500")
        assert counted(BUSY, old, row([30], code="501")) == {"a": 18 + events}


def test_what_vanished_at_less_than_its_target_gains_is_not_what_goes_on() -> None:
    """The target gained 18: at 12 what appears counts in full, which is too much by no more than that."""
    old = row([12] * (HOUR_OF_SCRAPES - 1), ago=1, code="500", version="1")
    assert counted(BUSY, old, row([20], code="500", version="2")) == {"a": 18 + 20}


def test_a_series_that_is_back_is_not_born() -> None:
    """Away for 20 to 100 minutes alongside another of its target: what it gained meanwhile counts."""
    for away in (40, 200):
        values = [400.0] * 240 + [NO] * away + [430]
        assert counted(row(grows(9, 241 + away), code="200"), row(values, code="500")) == {"a": 18 + 30}


@pytest.mark.parametrize("lag_ms", [0, 10_000, MINUTE])
def test_a_tile_ends_so_much_before_it_is_asked_for_as_its_lag(lag_ms: int) -> None:
    values = grows(9)
    values[-4:] = [4, 5, 6, 7]
    tile = Tile(MINUTE, lag_ms, lean=True)
    for ago, events in ((0, 2), (2, 4 + 1), (4, 18)):
        # What falls within a step is seen at multiples of it alone, so that rules ask for these, without a lag.
        if lag_ms % tile.step_ms == 0 or ago != 2:
            assert counted(row(values), tile=tile, at_ms=END - ago * SCRAPE + lag_ms) == {"a": events}


@pytest.mark.parametrize("lag_ms", [0, 10 * MINUTE])
def test_births_are_believed_and_series_go_on_as_of_the_end_of_the_tile(lag_ms: int) -> None:
    """The target had 270 in the 15 minutes before the tile, and nothing since."""
    later = [1891.0] * (lag_ms // SCRAPE)
    busy = row(grows(9, 100) + later, code="200")
    for value, events in ((530, 530), (560, 0)):
        new = row([value] + [value] * len(later), code="500")
        assert counted(busy, new, tile=Tile(MINUTE, lag_ms, lean=True), at_ms=END) == {"a": 18 + events}
    old = row([30] * 80, ago=len(later) + 1, code="500", version="1")
    new = row([35] + [35] * len(later), code="500", version="2")
    assert counted(busy, old, new, tile=Tile(MINUTE, lag_ms, lean=True)) == {"a": 18 + 5}
    # It was there for a few minutes, 25 to 40 minutes before the end of the tile.
    values = [30.0] * 30 + [NO] * 49 + [35] + [35] * len(later)
    assert counted(busy, row(values, code="500"), tile=Tile(MINUTE, lag_ms, lean=True)) == {"a": 18 + 5}


def test_what_is_read_ends_with_the_tile_or_with_the_one_before() -> None:
    """Or a step earlier, where falls are looked for."""
    for node in (lean.counted(X, TILE), lean.counted_part(PART, X, TILE, together=True)):
        found = {one.offset_ms for one in walk(node) if isinstance(one, VectorSelector | Subquery)}
        assert found == {0, TILE.step_ms, MINUTE}


def test_a_label_is_grouped_by_once() -> None:
    by = Tile(MINUTE, by=("code",), lean=True)
    groups = {one.grouping for one in walk(lean.counted(X, TILE)) if isinstance(one, Aggregate)}
    assert groups == {("job", "instance"), ("job",)}
    for tile, label in ((by, ""), (by, "code"), (by, "job")):
        groups = {one.grouping for one in walk(lean.counted(X, tile, label)) if isinstance(one, Aggregate)}
        assert groups == {("job", "instance", "code"), ("job", "code")}


def part(*rows: Row, selector: VectorSelector = PART, **more: bool) -> dict[str, float]:
    return asked(lean.counted_part(selector, X, TILE, **more), *rows)


def test_a_part_counts_as_its_whole_does() -> None:
    errors = row(grows(1), code="500")
    assert part(BUSY, errors) == {"a": 2}
    assert part(BUSY) == {}
    assert part(BUSY, row([7], code="500")) == {"a": 7}


@pytest.mark.parametrize(("value", "events"), [(540, {"a": 540}), (560, {})])
def test_births_of_a_part_are_held_against_all_events(value: float, events: dict[str, float]) -> None:
    assert part(BUSY, row([value], code="500")) == events


def test_births_of_a_part_do_not_count_where_those_of_the_whole_do_not() -> None:
    """5 errors and 900 others appear at once, on a target with 270 events in 15 minutes."""
    assert part(BUSY, row([5], code="500"), row([900], code="201")) == {}
    assert part(BUSY, row([5], code="500"), row([90], code="201")) == {"a": 5}


def test_a_part_of_another_metric() -> None:
    failures = VectorSelector("failures_total")
    # Its target had 18 events in the tile.
    assert part(BUSY, row([18], name="failures_total"), selector=failures) == {"a": 18}
    assert part(BUSY, row([19], name="failures_total"), selector=failures) == {}
    # Where it has none of its own, those of its job are what there is.
    assert part(BUSY, row([540], instance="b", name="failures_total"), selector=failures) == {"b": 540}
    assert part(BUSY, row([560], instance="b", name="failures_total"), selector=failures) == {}


def test_a_part_that_is_relabelled_soon_after_a_deployment_has_no_more_than_its_whole() -> None:
    """What the old version had at its end is not gone for 15 minutes, so that the change of a label looks like a birth."""
    served = VectorSelector("served_total")
    every = row([*grows(9)[:-20], *[NO] * 20], version="1"), row(grows(9, 20, 9), version="2")
    old = row([*grows(8)[:-20], *[NO] * 20], name="served_total", version="1")
    new = row([*grows(8, 20, 8)[:-1], NO], name="served_total", version="2")
    renamed = row([8 * 20], name="served_total", version="2", cluster="c1")
    assert counted(*every) == {"a": 18}
    # Its own first value of the tile is that of its old name.
    assert part(*every, old, new, renamed, selector=served) == {"a": 8}


def test_a_part_of_a_target_that_restarts_in_the_tile() -> None:
    """Of 7 events since the restart 3 are of a kind that was not there before."""
    restarted = row([*grows(9)[:-1], 7])
    assert part(restarted, row([3], name="failures_total"), selector=VectorSelector("failures_total")) == {"a": 3}


def test_a_part_that_was_away_counts_over_the_pause_only_with_its_whole() -> None:
    """A bucket that was not there for five minutes while requests were counted, and what it gained meanwhile."""
    gone = row([1000] * 109 + [NO] * 10 + [1100], code="500")
    assert part(BUSY, gone) == {"a": 100}
    assert part(BUSY, gone, together=True) == {}
    both = row([2000] * 109 + [NO] * 10 + [2200], code="200")
    assert part(both, gone, together=True) == {"a": 100}
    # Away for one scrape it is not missing.
    brief = row([1000] * 118 + [NO] + [1100], code="500")
    assert part(BUSY, brief, together=True) == {"a": 100}
    # Another target has nothing to do with it.
    other = row(grows(1), instance="b", code="500"), row(grows(9), instance="b", code="200")
    assert part(BUSY, gone, *other, together=True) == {"b": 2}


def test_falls_are_looked_for_at_each_step_of_a_tile_and_at_no_other() -> None:
    """A subquery's range is a millisecond short, as Prometheus 2 counts its start in."""
    [falls] = {node for node in walk(lean.counted(X, TILE)) if isinstance(node, Subquery) and node.step_ms == 15_000}
    assert (falls.range_ms, falls.offset_ms) == (59_999, 0)
    steps = range(END - 8 * TILE.step_ms, END + 1, TILE.step_ms)
    assert [at for at in steps if at >= END - falls.range_ms] == [*steps][-4:]


def test_tiles_add_up() -> None:
    """Whatever happens at whichever scrape: each event counts in one tile."""
    values = grows(9, 60)
    for place in (20, 21, 33, 40):
        values[place:] = [value - values[place] + 3 for value in values[place:]]
    true = sum(b - a if b >= a else b for a, b in itertools.pairwise(values[9:]))
    tiles = [counted(row(values), at_ms=END - 2 * SCRAPE * tile)["a"] for tile in range(25)]
    assert sum(tiles) == true
