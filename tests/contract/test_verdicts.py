"""What rules take otherwise is known by what it comes from, is as much as that explains, and hides nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.contract.fleet import FOREVER, MINUTE, SECOND, Doubt, Rename
from tests.contract.history import History, Setting, finish, setting
from tests.contract.paths import Counted, count_by_rules
from tests.contract.verdicts import fault_by_rules


def _clusters(*renames: Rename) -> History:
    """Two clusters behind one address, scraped 20 s apart, and a target of its own."""
    made = setting("ratio of two", 2)
    for cluster, size, phase in (("east", 50_000, 7_137), ("west", 5_000, 27_137)):
        labels = {"job": "shop", "instance": "a", "cluster": cluster}
        made.add("", 10.0, 0.01, size, labels=labels, phase_ms=phase, every_ms=MINUTE)
    made.add("b", 10.0, 0.01, 1e6)
    made.fleet.renames += renames
    return finish(made, "two clusters")


def _rename(minute: float, until: float | None = None, *targets: int) -> Rename:
    start = setting("ratio of two", 2).fleet.start_ms
    end = FOREVER if until is None else start + round(until * MINUTE)
    return Rename(start + round(minute * MINUTE), {"node": "n2"}, end, frozenset(targets) or None, frozenset({"all"}))


def _reasons(history: History) -> list[str]:
    return [doubt.why for doubt in history.of_rules]


def test_only_what_is_relabelled_at_a_shared_address_is_taken_otherwise() -> None:
    assert _clusters().of_rules == ()
    assert _clusters(_rename(130, None, 2)).of_rules == ()
    assert _reasons(_clusters(_rename(130, None, 1))) == ["shared address"]
    assert _reasons(_clusters(_rename(130))) == ["shared address"] * 2
    west = _clusters(_rename(130, None, 1)).of_rules[0]
    # It stands at 5,000 and 130 minutes of 10 a second, far beyond what half an hour of the busiest is.
    assert west.more_total == 0
    assert west.less_total == pytest.approx(600, abs=100)
    [_, back] = _clusters(_rename(90, 130, 1)).of_rules
    # What it had under its old name was 40 minutes ago, one of which counts.
    assert back.more_total == pytest.approx(40 * 600, rel=0.05)


@pytest.mark.parametrize(("every_s", "reasons"), [(15, []), (120, ["shared address"] * 4)])
def test_two_scrapers_of_a_target_are_one_to_rules_where_their_scrapes_are_near(
    every_s: int, reasons: list[str]
) -> None:
    """One is 24 s behind the other, and 9 s before its next of each 15 s; one series is called otherwise for 40 minutes."""
    made = setting("ratio of two", 2)
    pair = (("a", (-FOREVER, FOREVER)), ("b", (-FOREVER, FOREVER)))
    made.add("a", 10.0, 0.01, 1e6, every_ms=every_s * SECOND, replicas=pair)
    made.fleet.renames.append(_rename(90, 130))
    found = [doubt for doubt in finish(made, "a pair").of_rules if doubt.more_total or doubt.less_total]
    assert [doubt.why for doubt in found] == reasons


def test_a_series_that_was_held_back_since_its_target_began_is_new_to_rules() -> None:
    def joined(minutes: float) -> list[Doubt]:
        made = setting("ratio of two", 2)
        made.add("old", 10.0, 0.01, 1e6)
        made.add("new", 10.0, 1.0, 0, lives=[(made.at(90), FOREVER)], present=(made.at(90), FOREVER))
        drop = Rename(made.at(80), {}, made.at(90 + minutes), frozenset({1}), frozenset({"bad"}), drop=True)
        made.fleet.renames.append(drop)
        return list(finish(made, "held back").of_rules)

    [doubt, other] = joined(20)
    assert other.why == "first tile"
    assert (doubt.why, doubt.less_errors, doubt.more_total) == ("held back", 0, 0)
    assert doubt.more_errors == pytest.approx(20 * 600, rel=0.05)
    assert [doubt.why for doubt in joined(40)] == ["first tile"]  # which the job's traffic does not make possible


def test_the_first_tile_of_a_target_with_old_counters_is_its_baseline_in_rules() -> None:
    made = setting("ratio of two", 2)
    made.add("a", 10.0, 0.0, 1e6)
    made.add("joined", 10.0, 0.0, 1e9, present=(made.at(100), FOREVER))
    [doubt] = finish(made, "joined").of_rules
    # Of a minute after its first scrape: that of the bad events, of which there are none, is nothing.
    assert (doubt.why, doubt.less_errors, doubt.more_total) == ("first tile", 0, 0)
    assert doubt.less_total == pytest.approx(600, abs=100)


def test_what_begins_in_a_pause_of_more_than_a_quarter_of_an_hour_is_not_believed_by_rules() -> None:
    def away(minutes: float, every_s: int) -> list[str]:
        made = setting("ratio", 2)
        hole, rare = (made.at(90), made.at(90 + minutes)), frozenset({"500", "503"})
        made.add("a", 10.0, 0.05, 0, holes=[hole], rare=rare, every_ms=every_s * SECOND)
        for key in ("500", "503"):
            made.fleet.targets[0].counters[key][made.fleet.ticks < made.at(91)] = 0
        return _reasons(finish(made, "rare errors"))

    assert away(13, 30) == []
    assert away(20, 30) == ["above the bound"] * 2
    # Two scrapes say what traffic there was.
    assert away(4, 180) == []
    assert away(9, 180) == ["above the bound"] * 2


def _found(history: History, came: Counted) -> str | None:
    return fault_by_rules(history, came)


def _one(history: History, share: float, step: int) -> np.ndarray:
    found = np.zeros(history.grid.steps)
    found[step] = share * history.total.sum()
    return found


def test_a_limit_explains_what_it_is_about_and_nothing_elsewhere() -> None:
    """West goes back to its old name after 40 minutes: its events of these may count twice, there and then."""
    history = _clusters(_rename(90, 130, 1))
    right = Counted(history.errors, history.total, "counted", frozenset())
    limit = int(np.flatnonzero(history.grid.add(np.array([history.of_rules[1].at_ms]), np.ones(1)))[0])
    assert _found(history, right) is None
    assert _found(history, count_by_rules(history)) is None
    twice = replace(right, total=right.total + _one(history, 0.11, limit))
    assert _found(history, twice) is None
    for step in (0, limit - 3, limit + 3):
        elsewhere = replace(right, total=right.total + _one(history, 0.11, step))
        found = _found(history, elsewhere)
        assert found is not None and "where no limit is met" in found
    # As much as that, and no more.
    assert _found(history, replace(right, total=right.total + _one(history, 0.5, limit))) is not None
    # Errors were not relabelled.
    assert _found(history, replace(right, errors=right.errors + _one(history, 0.11, limit))) is not None


@pytest.mark.parametrize(
    ("start", "end", "twice"), [(91, 94, 1_800), (88, 93, 3_000), (84, 93, 0), (91, 131, 0), (91, None, 0)]
)
def test_what_is_taken_back_within_a_step_of_a_server(start: float, end: float | None, twice: float) -> None:
    """Steps of five minutes; all of ten events a second while the relabelling held."""
    made = setting("ratio of two", 2)
    made.add("a", 10.0, 0.01, 1e6)
    made.fleet.renames.append(_rename(start, end))
    assert finish(made, "taken back").taken_back_in_a_step == pytest.approx(twice, rel=0.2)


def test_without_a_limit_a_fiftieth_is_too_much() -> None:
    made: Setting = setting("ratio of two", 2)
    made.add("a", 10.0, 0.01, 1e6)
    history = finish(made, "gentle")
    right = Counted(history.errors, history.total, "counted", frozenset())
    assert _found(history, right) is None
    for share in (-0.03, 0.03):
        assert _found(history, replace(right, total=right.total + _one(history, share, 5))) is not None
