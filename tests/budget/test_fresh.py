"""Data that has just begun is said as such, once, and the time before it is unknown: no gap, no zero, no traffic."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.budget.evaluate import budget_of, evaluate
from slo.budget.model import Budget, State
from slo.budget.notes import data_begins, said_once
from slo.budget.schema import SloShape
from slo.display import show_share
from slo.notebook import plot, timeline
from slo.promql.ast import VectorSelector
from slo.report import render, to_markdown
from slo.report.heatmap import cells
from slo.sli.base import Measured, Note, Sli
from slo.sli.counts import CountingStats, Counts, Gap, Grid
from slo.sli.outage import Outage
from slo.sli.probe import Probe
from slo.sli.raw import Raw
from slo.spec.model import Slo
from slo.window import DAY, HOUR, MINUTE, Calendar, burn_windows, parse_window
from tests.budget.test_evaluate import END, held, ratio_slo, steps

NOW = datetime(2026, 11, 20, 0, 5, tzinfo=UTC)
STEP = 5 * MINUTE
AT = datetime(2026, 11, 20, tzinfo=UTC)


def budget(gaps: tuple[Gap, ...], slo: Slo | None = None, per_step: float = 100.0, bad: float = 0.0) -> Budget:
    """An SLO whose steps hold `per_step` events, but for those in the gaps."""
    slo = slo or ratio_slo("99")
    start, window_end = slo.window.period(END)
    grid = Grid(END, STEP, (END - start + 3 * DAY) // STEP)
    held = np.ones(grid.steps, dtype=bool)
    for gap in gaps:
        held &= ~((grid.ends - STEP >= gap.start_ms) & (grid.ends <= gap.end_ms))
    measurement = Measured(
        Counts(grid, held * bad, held * per_step, CountingStats(series=2, gaps=gaps, interval_ms=30_000))
    )
    windows = burn_windows(slo.window, slo.objective.error_budget, slo.scrape_interval_ms)
    return budget_of(slo, "memory", measurement, start, window_end, windows)


def fresh(age_ms: int, slo: Slo | None = None, **more: Any) -> Budget:
    slo = slo or ratio_slo("99")
    return budget((Gap(slo.window.start(END) - 3 * DAY, END - age_ms),), slo, **more)


def codes(evaluated: Budget) -> list[str]:
    return [note.code for note in evaluated.notes]


def test_data_a_minute_old_is_one_note() -> None:
    """Four events, as in the first minute of a server: no gap of a month, no low traffic."""
    times = END - 60_000 + np.array([0, 30_000, 60_000])
    rows = [({"__name__": "t", "job": "j", "instance": "a", "code": code}, times, values)
            for code, values in (("200", np.array([9.0, 11.0, 13.0])), ("500", np.zeros(3)))]  # fmt: skip
    evaluated = evaluate(ratio_slo("99.9"), held(rows), END)
    assert (evaluated.total, evaluated.errors) == (4, 0)
    assert [str(note) for note in evaluated.notes] == ["data begins 19 Nov 23:59 UTC (<0.01% of the window)"]
    assert codes(evaluated) == ["fresh"] and evaluated.gaps == ()
    assert evaluated.data_start == AT - timedelta(minutes=1)
    data = evaluated.to_dict()
    SloShape.model_validate(data)
    assert data["data_start"] == "2026-11-19T23:59:00Z"


@pytest.mark.parametrize(
    ("age", "share"),
    [
        (60_000, "<0.01%"),
        (10 * MINUTE, "0.02%"),
        (6 * HOUR, "0.83%"),
        (15 * DAY, "50.00%"),
        (30 * DAY - HOUR, "99.86%"),
    ],
)
def test_the_note_names_the_share_of_the_window(age: int, share: str) -> None:
    [note] = [note for note in fresh(age).notes if note.code == "fresh"]
    assert f"({share} of the window)" in note.text


def test_data_that_covers_the_window_is_not_fresh() -> None:
    for age in (30 * DAY, 31 * DAY):
        evaluated = fresh(age)
        assert evaluated.data_start is None and "fresh" not in codes(evaluated) and evaluated.gaps == ()
        assert not evaluated.before_data.any() and evaluated.to_dict()["data_start"] is None


def test_a_gap_in_scraping_is_not_the_time_before_the_data() -> None:
    """Scrapes came before the window, then lacked until its middle."""
    evaluated = budget((Gap(END - 31 * DAY, END - 15 * DAY),))
    assert evaluated.data_start is None and len(evaluated.gaps) == 1
    assert [note.text for note in evaluated.notes] == [
        "no scrapes for 15d; counters carry their events over to the next scrape"
    ]
    both = budget((Gap(END - 33 * DAY, END - 10 * DAY), Gap(END - 5 * DAY, END - 4 * DAY)))
    assert both.data_start == AT - timedelta(days=10)
    assert both.gaps == (Gap(END - 5 * DAY, END - 4 * DAY),)
    assert codes(both) == ["fresh", "gaps"]
    assert both.coverage == pytest.approx(9 / 30, rel=1e-4)
    assert data_begins((), Grid(END, STEP, 10)) is None
    # Nothing ever came: no beginning.
    assert data_begins((Gap(END - HOUR, END),), Grid(END, STEP, 12)) is None


@pytest.mark.parametrize(
    ("sli", "words"),
    [
        (Probe(VectorSelector("up")), "no scrapes for 1h; a gauge carries nothing over"),
        (
            Outage(Probe(VectorSelector("up")), "up", 5 * MINUTE, Decimal("0.5"), MINUTE),
            "no scrapes for 1h; a gauge carries nothing over",
        ),
        (
            Raw("sum(increase(e[$window]))", "sum(increase(t[$window]))"),
            "no value for 1h; what was not counted then is unknown",
        ),
    ],
)
def test_a_gap_is_said_in_the_words_of_its_kind(sli: Sli, words: str) -> None:
    evaluated = budget((Gap(END - 3 * HOUR, END - 2 * HOUR),), replace(ratio_slo("99"), sli=sli))
    [note] = [note for note in evaluated.notes if note.code == "gaps"]
    assert note.text.startswith(words)
    assert "counters" not in render([evaluated], title="t", generated=NOW)


def test_low_traffic_is_that_of_a_whole_window() -> None:
    """Ten events an hour: 7,200 in 30 d are enough at 99 %, and not at 99.99 %."""
    for percent, low in (("99", False), ("99.99", True)):
        assert ("low-traffic" in codes(fresh(HOUR, ratio_slo(percent), per_step=10 / 12))) is low


@given(st.integers(1, 30 * 288 - 1), st.sampled_from([0.0, 1.0]))
def test_nothing_is_reported_of_the_time_before_the_data(age_steps: int, bad: float) -> None:
    evaluated = fresh(age_steps * STEP, bad=bad)
    line = timeline(evaluated)
    before = line.index <= AT - timedelta(milliseconds=age_steps * STEP)
    assert line[before].isna().all(axis=None) and int(before.sum()) == 30 * 288 - age_steps
    after = line[~before]
    assert (after["total"] == 100).all() and after[["errors", "good", "budget_remaining"]].notna().all(axis=None)
    assert float(after["errors"].sum()) == evaluated.errors and after["budget_remaining"].iloc[-1] == pytest.approx(
        evaluated.remaining
    )


def test_events_are_never_hidden() -> None:
    """A gauge's first sample counts in the step that ends with it."""
    evaluated = fresh(DAY)
    counts = evaluated.counts
    counts.total[-DAY // STEP - 1] = 7.0
    assert timeline(evaluated)["total"].notna().sum() == DAY // STEP + 1


@pytest.mark.parametrize("bad", [0.0, 1.0])
def test_days_without_data_are_not_zero(bad: float) -> None:
    evaluated = fresh(5 * DAY - 6 * HOUR, bad=bad)
    unit, days = cells(evaluated)
    assert unit == "day" and len(days) == 30
    assert [day.consumed for day in days[:25]] == ["n/a"] * 25
    assert {day.level for day in days[:25]} == {None}
    assert all(day.title.endswith("no data") for day in days[:25])
    assert all(day.level is not None and day.consumed != "n/a" for day in days[25:])
    page = render([evaluated], title="t", generated=NOW)
    assert page.count(' unknown" title=') == 25 and page.count('class="before"') > 2
    assert "Data begins 15 Nov 06:00 UTC (15.83% of the window); since then scrapes came throughout." in page
    gone = budget((Gap(END - 33 * DAY, END - 10 * DAY), Gap(END - 5 * DAY, END - 4 * DAY)))
    assert (
        "33.33% of the window); since then there are gaps, of which nothing is known except what counters carried over"
        in (render([gone], title="t", generated=NOW))
    )


def test_a_whole_day_in_a_gap_is_not_zero_either() -> None:
    """What counters carry over is of the day of the next scrape."""
    evaluated = budget((Gap(END - 4 * DAY - HOUR, END - 2 * DAY - HOUR),))
    _, days = cells(evaluated)
    assert [day.consumed for day in days[-6:]] == ["0%", "0%", "n/a", "0%", "0%", "0%"]


@pytest.mark.parametrize(
    ("zone", "first", "count"),
    [
        ("UTC", date(2026, 11, 1), 19),
        ("America/Los_Angeles", date(2026, 11, 1), 19),
        ("Asia/Tokyo", date(2026, 11, 1), 20),
    ],
)
def test_the_days_of_a_calendar_window_are_those_of_its_zone(zone: str, first: date, count: int) -> None:
    evaluated = budget((), replace(ratio_slo("99"), window=Calendar("month", zone)), bad=1.0)
    _, days = cells(evaluated)
    assert len(days) == count
    assert days[0].date == f"{first.day} {first:%b}" and days[0].column == first.isoweekday()
    # 1 November has 25 hours in Los Angeles.
    hours = 25 if zone == "America/Los_Angeles" else 24
    assert f"{hours * 12} bad of {hours * 1200:,} events" in days[0].title


def test_the_burn_down_begins_where_the_data_does() -> None:
    evaluated = fresh(6 * DAY, bad=0.5)
    axes = plot(evaluated)
    [line] = [line for line in axes.lines if line.get_label() == "budget remaining"]
    assert line.get_xdata()[0] == END - 6 * DAY and line.get_ydata()[0] == 1.0  # type: ignore[index]
    # To the end, and half a day more: what is now is not on the edge.
    low, high = axes.get_xlim()
    assert low == END - 30 * DAY and END < high < END + DAY / 2
    assert [patch.get_label() for patch in axes.patches if patch.get_hatch()] == ["no data yet"]
    ratio = plot(evaluated, "error_ratio", span=(AT - timedelta(days=2), AT))
    assert not [patch for patch in ratio.patches if patch.get_hatch()]


def test_the_pace_is_that_of_the_time_since() -> None:
    """An hour of data at half the budget's pace: the forecast says that it rests on an hour."""
    evaluated = fresh(HOUR, bad=0.5)
    assert evaluated.forecast is not None
    assert evaluated.forecast.pace_ms == HOUR and evaluated.forecast.pace == pytest.approx(0.5)
    assert evaluated.state is State.HEALTHY


def test_of_a_minute_of_data_the_pace_is_that_of_its_step() -> None:
    evaluated = fresh(2 * MINUTE, bad=0.5)
    assert evaluated.forecast is not None and evaluated.forecast.pace_ms == STEP


def shop(name: str, window: str, age_ms: int, **more: Any) -> Budget:
    return fresh(age_ms, replace(ratio_slo("99", window), name=name), **more)


def test_many_that_began_together_are_reported_once() -> None:
    budgets = [shop(f"slo-{number}", "30d", HOUR + number * 20_000) for number in range(11)]
    assert list(map(str, said_once(budgets))) == ["all 11 SLOs: data begins 19 Nov 22:56 UTC (0.14% of the window)"]
    for apart, notes in ((5 * MINUTE, 1), (6 * MINUTE, 2)):
        assert len(said_once([shop("a", "30d", HOUR), shop("b", "30d", HOUR + apart)])) == notes
    mixed = [shop("a", "30d", HOUR), shop("b", "1w", HOUR), shop("c", "30d", 6 * HOUR), budget((), ratio_slo("99"))]
    assert list(map(str, said_once(mixed))) == [
        "s/a, s/b: data begins 19 Nov 23:00 UTC (0.13% of 30d, 0.59% of 7d)",
        "s/c: data begins 19 Nov 18:00 UTC (0.83% of the window)",
    ]
    windows = [shop(window, window, HOUR) for window in ("30d", "1w", "28d", "90d", "10d")]
    assert str(said_once(windows)[0]).endswith("(0.13% of 30d, 0.59% of 7d, 0.14% of 28d, 0.04% of 90d)")
    text = to_markdown(mixed, title="Review", generated=NOW)
    assert text.count("data begins") == 2
    page = render(budgets, title="Review", generated=NOW)
    assert page.count("All 11 SLOs: data begins 19 Nov 22:56 UTC (0.14% of the window).") == 1


def test_other_notes_stay_with_their_slo_until_many_have_them() -> None:
    gone = [replace(fresh(HOUR), slo=replace(ratio_slo("99"), name=name), notes=()) for name in "abcd"]
    note = Note("no-data", "no data")
    two = [replace(evaluated, notes=(note,)) for evaluated in gone[:2]]
    assert list(map(str, said_once(two))) == ["s/a: no data", "s/b: no data"]
    three = [replace(evaluated, notes=(note,)) for evaluated in gone[:3]]
    assert list(map(str, said_once(three))) == ["all 3 SLOs: no data"]
    four = [
        replace(evaluated, notes=(Note("x", "own"), note))
        if evaluated is gone[1]
        else replace(evaluated, notes=(note,))
        for evaluated in gone
    ]
    assert list(map(str, said_once(four))) == ["all 4 SLOs: no data", "s/b: own"]
    assert str(said_once([*four, budget(())])[0]) == "s/a, s/b, s/c, and 1 more: no data"


def test_a_share_is_never_none_where_there_is_some() -> None:
    assert [show_share(share) for share in (None, 0.0, 1e-9, 0.0001, 0.99999, 1.0)] == [
        "n/a", "0%", "<0.01%", "0.01%", "99.99%", "100%",
    ]  # fmt: skip


def test_a_month_that_the_source_began_in_is_reported_in_its_own_window() -> None:
    good = np.full(20, 50.0)
    evaluated = evaluate(ratio_slo("99", parse_window("month")), steps(good, good * 0, STEP), END)
    # 100 minutes of the 19 days that have passed.
    assert str(evaluated.notes[0]) == "data begins 19 Nov 22:20 UTC (0.36% of the window)"


def test_data_that_began_for_one_slo_alone_is_said_in_its_place() -> None:
    quiet, young = (
        replace(evaluated, slo=replace(ratio_slo("99"), name=name))
        for name, evaluated in (("a", budget(())), ("b", fresh(HOUR)))
    )
    quiet = replace(quiet, notes=(Note("no-traffic", "no traffic"),))
    young = replace(young, notes=tuple(note for note in young.notes if note.code == "fresh"))
    assert [note.slos for note in said_once([quiet, young])] == [("s/a",), ("s/b",)]
    assert [note.slos for note in said_once([young, quiet])] == [("s/b",), ("s/a",)]
    other = replace(young, slo=replace(young.slo, name="c"))
    assert [note.slos for note in said_once([quiet, young, other])] == [("s/b", "s/c"), ("s/a",)]
