"""What cannot be true is never a figure: errors below 0 or above the total, or counts that their counting disowns."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.budget.evaluate import budget_of, evaluate
from slo.budget.events import with_events
from slo.budget.model import TROUBLE, Budget, State
from slo.budget.past import older_grid, with_older, with_past
from slo.budget.possible import possible
from slo.budget.schema import SloShape
from slo.notebook import burn_timeline, plot, timeline, to_html
from slo.promql.ast import Matcher
from slo.report import render, to_csv, to_json, to_markdown
from slo.sli.base import Measured, Note
from slo.sli.counts import CountingStats, Counts, Gap, Grid, Part
from slo.sli.ratio import Ratio
from slo.spec.events import Event
from slo.window import DAY, HOUR, MINUTE, burn_windows
from tests.budget.test_evaluate import END, ERRORS, TOTAL, ratio_slo, steps

NOW = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)
STEP = 5 * MINUTE
SLO = ratio_slo("99", "7d")
DAYS = 10  # of a window of 7 d, and 3 d before it for the burn rates
COUNT = DAYS * DAY // STEP


def measured(errors: np.ndarray, total: np.ndarray, **more: Any) -> Measured:
    parts = (Part({"instance": "a"}, float(errors.sum()), float(total.sum())),)
    return Measured(
        Counts(Grid(END, STEP, len(errors)), errors, total, CountingStats(series=2, interval_ms=30_000), parts), **more
    )


def budget(measurement: Measured, slo: Any = SLO) -> Budget:
    windows = burn_windows(slo.window, slo.objective.error_budget, slo.scrape_interval_ms)
    return budget_of(slo, "memory", measurement, END - 7 * DAY, END, windows)


def flat(errors: float, total: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full(COUNT, float(errors)), np.full(COUNT, float(total))


def nothing_is_reported(evaluated: Budget) -> None:
    """No figure in any form; the cause in all of them."""
    assert evaluated.state is State.INVALID
    cause = evaluated.notes[0]
    assert evaluated.invalid == evaluated.notes[: len(evaluated.invalid)]
    assert evaluated.burns and all(burn.long is None and burn.short is None for burn in evaluated.burns)
    for name in ("sli", "error_ratio", "consumed", "remaining", "exhaustion", "change", "forecast"):
        assert getattr(evaluated, name) is None, name
    for name in ("errors", "total", "good", "allowed_errors"):
        assert np.isnan(getattr(evaluated, name)), name
    assert (
        evaluated.incidents == ()
        and evaluated.downtimes == ()
        and not evaluated.bucket_counts.size
        and evaluated.counts.parts is None
    )
    assert all(burn.long is None and burn.short is None and not burn.firing for burn in evaluated.burns)
    assert timeline(evaluated).isna().all(axis=None) and burn_timeline(evaluated).isna().all(axis=None)
    assert evaluated.firings("page") == [] == evaluated.firings("ticket")
    data = evaluated.to_dict()
    SloShape.model_validate(data)
    assert data["state"] == "invalid" and data["notes"][0] == {"code": cause.code, "text": cause.text}
    assert set(data["events"].values()) == {None} == set(data["burn_rates"].values())
    assert data["incidents"] is data["breakdown"] is data["outages"] is data["sli"] is None
    budget_data = data["error_budget"]
    assert [budget_data[name] for name in ("consumed", "remaining", "exhaustion", "forecast")] == [None] * 4
    head: dict[str, Any] = {"title": "Review", "generated": NOW}
    first = cause.text.partition(";")[0].split("<")[0]
    for text in (
        render([evaluated], **head),
        to_markdown([evaluated], **head),
        to_json([evaluated], **head),
        to_html(evaluated),
    ):
        assert first in text.replace("\\", "") and not re.search(r"\bnan\b", text, re.IGNORECASE)
    row = to_csv([evaluated]).splitlines()[1].split(",")
    assert row[2] == "invalid" and row[7:18] == [""] * 11  # from total to exhaustion


@pytest.mark.parametrize(
    ("errors", "total", "words"),
    [
        (20, 10, "40,320 errors of 20,160 events in the window: errors cannot exceed the total"),
        (-1, 10, "-2,016 errors of 20,160 events in the window: errors cannot be below 0"),
        (-5, -10, "-10,080 errors of -20,160 events in the window: there cannot be fewer events than none"),
        (1, 0, "2,016 errors of 0 events in the window: errors cannot exceed the total"),
        (np.inf, 10, "inf errors of 20,160 events in the window: these are not numbers of events"),
        (10, np.inf, "20,160 errors of inf events in the window"),
    ],
)
def test_counts_that_cannot_be_true_are_withheld_and_named(errors: float, total: float, words: str) -> None:
    evaluated = budget(measured(*flat(errors, total)))
    assert (
        evaluated.notes[0].code == "impossible"
        and words in evaluated.notes[0].text
        and "; usually " in evaluated.notes[0].text
    )
    nothing_is_reported(evaluated)


@given(
    st.lists(st.tuples(st.integers(-20, 120), st.integers(0, 100)), min_size=1, max_size=12),
    st.integers(-3, 3),
)
def test_no_figure_is_ever_outside_what_is_possible(drawn: list[tuple[int, int]], off: int) -> None:
    errors, total = flat(1, 50)
    for number, (bad, events) in enumerate(drawn):
        errors[-1 - 7 * number], total[-1 - 7 * number] = bad * 10.0**off, events
    evaluated = budget(measured(errors, total))
    inside = slice(-7 * DAY // STEP, None)
    bad, events = errors[inside].sum(), total[inside].sum()
    if not 0 <= bad <= events:
        nothing_is_reported(evaluated)
        return
    figures = [evaluated.sli, evaluated.error_ratio, *(incident.error_ratio for incident in evaluated.incidents)]
    assert all(figure is None or 0 <= figure <= 1 for figure in figures)
    highest = 1 / evaluated.error_budget * (1 + 1e-9)
    rates = [evaluated.burn_rates(window) for window in ("5m", "1h", "6h", "3d")]
    known = np.concatenate(rates)
    known = known[~np.isnan(known)]
    assert ((known >= -1e-6) & (known <= highest)).all()
    wrong = int(((errors[inside] < 0) | (errors[inside] > total[inside])).sum())
    # An alert might fire on a short window that cannot be believed, within an SLO window that can.
    if evaluated.invalid:
        assert "in the last " in evaluated.notes[0].text
        nothing_is_reported(evaluated)
    else:
        named = [note.text for note in evaluated.notes if note.code == "impossible-steps"]
        assert [
            f"in {wrong:,} of 2,016 steps of 5m errors are below 0 or above the total" in text for text in named
        ] == ([True] if wrong else [])


def test_rounding_is_not_a_cause() -> None:
    _, total = flat(0, 0.1)
    evaluated = budget(measured(np.cumsum(np.full(COUNT, 0.0)) - 1e-14, total))
    assert evaluated.state is State.HEALTHY and evaluated.sli == 1.0 and evaluated.errors == 0.0
    assert bool(possible(-1e-10, 1.0)) and not bool(possible(-0.01, 1e6))


def test_sums_of_many_impossible_steps_are_not_believed() -> None:
    """What is too much in one step and too little in the next adds up to nothing, in a week of such steps."""
    errors, total = flat(0, 10)
    errors[:] = np.where(np.arange(COUNT) % 2, 3, -3)
    evaluated = budget(measured(errors, total))
    assert evaluated.notes[0].text.startswith(
        "in 1,008 of 2,016 steps of 5m errors are below 0 or above the total, at worst -3 of 10"
    )
    nothing_is_reported(evaluated)
    few = errors * (np.arange(COUNT) > COUNT - 200)  # 100 of 2,016 steps
    assert budget(measured(few, total)).state is State.HEALTHY


@pytest.mark.parametrize(
    ("busy", "wrong", "code"),
    [(30, 3, "impossible-steps"), (30, 4, "impossible"), (5, 2, "impossible-steps"), (5, 3, "impossible")],
)
def test_a_tenth_of_the_steps_with_traffic_may_be_impossible_or_two(busy: int, wrong: int, code: str) -> None:
    """Steps without any traffic do not count."""
    errors, total = flat(0, 0)
    total[-2_000 : -2_000 + busy], errors[-2_000 : -2_000 + busy] = 10, 9
    errors[-2_000 : -2_000 + wrong] = -3
    codes = [note.code for note in budget(measured(errors, total)).notes]
    assert [code for code in codes if code.startswith("impossible")] == [code]


def test_the_worst_step_is_the_one_furthest_from_what_is_possible() -> None:
    errors, total = flat(1, 1000)
    errors[-1_500], errors[-1_400], errors[-1_300] = 1_003, -5, 1_004
    [note] = [note for note in budget(measured(errors, total)).notes if note.code == "impossible-steps"]
    assert "in 3 of 2,016 steps" in note.text and "at worst -5 of 1,000 up to" in note.text


def test_one_impossible_hour_makes_a_budget_that_seems_to_last_invalid() -> None:
    """The week has errors enough below its total; whether it burns now cannot be known."""
    errors, total = flat(1, 1000)
    errors[-12:], total[-12:] = 30, 20
    evaluated = budget(measured(errors, total))
    assert evaluated.notes[0].text.startswith("360 errors of 240 events in the last 1h: errors cannot exceed the total")
    nothing_is_reported(evaluated)


def test_an_impossible_step_that_no_alert_hangs_on_leaves_the_figures() -> None:
    """Errors of one target may come a scrape before the total of another: the hour is quiet, so no alert may fire."""
    errors, total = flat(1, 1000)
    errors[-1], total[-1] = 3, 2
    evaluated = budget(measured(errors, total))
    assert (
        evaluated.state is State.HEALTHY and evaluated.burn_rate("5m") is None and evaluated.burn_rate("1h") is not None
    )
    assert [note.code for note in evaluated.notes] == ["impossible-steps"]
    # With an hour that burns, it would be a page if the step were true.
    errors[-12:-6] = 100
    burning = budget(measured(errors, total))
    assert burning.notes[0].text.startswith("3 errors of 2 events in the last 5m")
    nothing_is_reported(burning)


def test_a_budget_that_is_gone_is_exhausted_whatever_an_hour_says() -> None:
    errors, total = flat(20, 1000)
    errors[-12:], total[-12:] = 30, 20
    evaluated = budget(measured(errors, total))
    assert evaluated.state is State.EXHAUSTED and evaluated.burn_rate("1h") is None
    [note] = [note for note in evaluated.notes if note.code == "impossible-steps"]
    assert note.text.startswith(
        "in 12 of 2,016 steps of 5m errors are below 0 or above the total, at worst 30 of 20 up to 19 Nov"
    )


def test_what_the_counting_disowns_is_withheld_with_its_own_words_first() -> None:
    cause = (
        Note("several-writers", "job a falls at half of its scrapes; figures <b> are unusable"),
        Note("more", "and more"),
    )
    measurement = measured(*flat(1, 1000), invalid=cause, notes=(Note("source", "partial"),))
    evaluated = budget(measurement)
    assert [note.code for note in evaluated.notes[:3]] == ["several-writers", "more", "source"]
    nothing_is_reported(evaluated)
    # Also where there was nothing at all, and where nothing is known.
    nothing_is_reported(budget(replace(measurement, has_data=False)))
    nothing_is_reported(budget(measured(np.full(COUNT, np.nan), np.full(COUNT, 5.0), invalid=cause)))


def test_through_a_source() -> None:
    """Errors of another metric than the total's, as a selector that is too wide counts them."""
    good, bad = np.full(34 * 288, -5.0), np.full(34 * 288, 15.0)
    source = steps(np.abs(good), bad, STEP)
    slo = ratio_slo("99")
    assert evaluate(slo, source, END).state is State.EXHAUSTED
    narrow = Ratio(replace(TOTAL, matchers=(Matcher("code", "=", "200"),)), ERRORS, "errors")
    evaluated = evaluate(replace(slo, sli=narrow), source, END)
    assert "129,600 errors of 43,200 events" in evaluated.notes[0].text
    nothing_is_reported(evaluated)


def test_an_invalid_window_is_never_compared() -> None:
    fine = budget(measured(*flat(1, 1000)))
    older = older_grid(fine, 7 * DAY)
    assert older is not None
    before = Counts(older, np.full(older.steps, 2.0), np.full(older.steps, 1000.0), CountingStats(series=2))
    reported = with_older(fine, Measured(before), 7 * DAY)
    # Of the former window 4 d had two errors of a thousand, and the 3 d that are counted for burn rates one.
    assert reported.change == pytest.approx(4 / 70) and reported.previous is not None
    assert reported.previous.sli == pytest.approx(1 - 11 / 7000)
    # The previous window had more errors than events.
    wrong = with_older(fine, Measured(replace(before, errors=before.errors * 1000)), 7 * DAY)
    disowned = with_older(fine, Measured(before, invalid=(Note("several-writers", "two writers"),)), 7 * DAY)
    for evaluated in (wrong, disowned):
        assert evaluated.remaining == fine.remaining and evaluated.change is None
        for past in (evaluated.earlier, evaluated.previous):
            assert past is not None
            assert past.state is State.INVALID and past.remaining is None
        data = evaluated.to_dict()
        SloShape.model_validate(data)
        assert data["previous"]["state"] == "invalid" and data["previous"]["incidents"] is None
        assert set(data["previous"]["events"].values()) == {None}
        page = render([evaluated], title="Review", generated=NOW)
        assert "invalid then" in page and "The figures of the previous window" in page
        assert not re.search(r"\bnan\b", page, re.IGNORECASE)


class Unasked:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the source was asked for {name}")


def test_what_is_invalid_now_has_no_past() -> None:
    evaluated = budget(measured(*flat(20, 10)))
    [reported] = with_past([evaluated], Unasked(), 7 * DAY)
    assert reported is evaluated
    assert with_older(evaluated, None, 7 * DAY) is evaluated
    [known] = with_events([evaluated], [Event(END - 2 * HOUR, END - HOUR, "racks", "*", "maintenance")])
    assert known.without_maintenance is None


def test_maintenance_that_leaves_nothing_possible_has_no_figures() -> None:
    errors, total = flat(1, 1)
    errors[:-12], total[:-12] = 0, 0
    errors[-6:], total[-6:] = 0, 10
    errors[-12:-6] = 3  # 18 of 6, outside the maintenance; burn windows look at the whole hour
    [known] = with_events([budget(measured(errors, total))], [Event(END - HOUR // 2, END, "racks", "*", "maintenance")])
    without = known.without_maintenance
    assert known.sli is not None or known.invalid
    if without is not None:
        assert (without.errors, without.total, without.sli, without.remaining) == (None, None, None, None)
        SloShape.model_validate(known.to_dict())


def test_it_stands_behind_what_needs_somebody_now_and_before_all_that_lasts() -> None:
    order = sorted(State, key=TROUBLE.__getitem__)
    assert [state.value for state in order] == ["exhausted", "burning", "invalid", "at risk", "no data", "healthy"]
    healthy, invalid = budget(measured(*flat(1, 1000))), budget(measured(*flat(20, 10)))
    text = to_markdown([healthy, invalid], title="Review", generated=NOW)
    assert "1 of 2 SLOs has invalid figures." in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert ["Invalid" in lines[1], "Healthy" in lines[2]] == [True, True]
    assert [entry["state"] for entry in json.loads(to_json([healthy, invalid], title="", generated=NOW))["slos"]] == [
        "invalid", "healthy",
    ]  # fmt: skip


def test_gaps_are_still_reported_of_what_is_invalid() -> None:
    measurement = measured(*flat(20, 10))
    gap = Gap(END - 5 * HOUR, END - 3 * HOUR)
    measurement = replace(
        measurement, counts=replace(measurement.counts, seen=replace(measurement.counts.seen, gaps=(gap,), resets=3))
    )
    evaluated = budget(measurement)
    assert {"gaps", "resets"} <= {note.code for note in evaluated.notes}
    assert evaluated.coverage == pytest.approx(1 - 2 / 168, rel=1e-3)
    with pytest.raises(ValueError, match="its figures are invalid: 40,320 errors"):
        plot(evaluated)
