"""A budget's figures at their edges, each from counts to add up by hand: steps of 5 m up to END."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from slo.budget.breakdown import break_down
from slo.budget.evaluate import budget_of, evaluate, evaluate_all, step_of, with_known, withheld
from slo.budget.groups import expand
from slo.budget.incidents import Downtime, Incident
from slo.budget.measure import parts_between
from slo.budget.model import Budget, Burn, State
from slo.budget.notes import data_begins, gap_note, gaps_within, retention_note
from slo.budget.past import _joined, _until, older_grid, with_older, with_past
from slo.budget.possible import impossible, impossible_steps, possible, ratio_of
from slo.errors import SourceError
from slo.notebook import percentiles, tables_by_label, timeline, top_contributors
from slo.promql.ast import Matcher, Node, VectorSelector
from slo.promql.samples import Samples
from slo.review import with_breakdown
from slo.sli import stepwise
from slo.sli.base import Measured, Note
from slo.sli.counts import CountingStats, Counts, Gap, Grid, Part
from slo.sli.freshness import Freshness
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.source import Matrix
from slo.spec.events import Event
from slo.spec.model import Objective, Slo
from slo.spec.split import MOST
from slo.window import DAY, HOUR, MINUTE, BurnWindow, Calendar, Rolling, moment, parse_window
from tests.budget.test_evaluate import END, ratio_slo
from tests.memory import Memory, Server

STEP = 5 * MINUTE
AT = datetime(2026, 11, 20, tzinfo=UTC)
PAGE = BurnWindow("page", HOUR, STEP, Fraction(1, 50), Fraction(10))


def budget(
    errors: Sequence[float],
    total: Sequence[float],
    percent: str = "90",
    before: int = 0,
    windows: tuple[BurnWindow, ...] = (),
    **measured: Any,
) -> Budget:
    """Of the steps from the one after `before` on; a rolling window of just these."""
    grid = Grid(END, STEP, len(total))
    found = Measured(
        Counts(grid, np.array(errors, float), np.array(total, float), measured.pop("seen", CountingStats(series=1))),
        **measured,
    )
    slo = Slo("s", "a", Objective(Decimal(percent)), Rolling((len(total) - before) * STEP), ratio_slo("99").sli)
    return budget_of(slo, "memory", found, END - (len(total) - before) * STEP, END, windows)


def test_only_the_steps_of_the_period_count() -> None:
    one = budget([9, 1, 2, 3], [10, 20, 30, 40], before=1)
    assert (one.errors, one.total, one.good) == (6, 90, 84)
    assert one.error_ratio == pytest.approx(6 / 90) and one.sli == pytest.approx(84 / 90)
    assert one.allowed_errors == pytest.approx(9)
    assert one.consumed == pytest.approx(6 / 9) and one.remaining == pytest.approx(3 / 9)
    assert one.budget_minutes == pytest.approx(1.5)  # a tenth of 15 minutes
    assert one.start == AT - timedelta(minutes=15) and one.end == AT


@pytest.mark.parametrize("event", [1.0, 0.5, 1e-3])
def test_a_single_event_is_traffic(event: float) -> None:
    """Counted by an expression it may be a part of one."""
    bad, good = budget([event], [event]), budget([0.0], [event])
    assert (bad.error_ratio, bad.sli) == (1, 0)
    assert [bad.consumed, bad.burn_rate(STEP)] == pytest.approx([10, 10])
    assert (good.consumed, good.remaining, good.error_ratio, good.sli, good.burn_rate(STEP)) == (0, 1, 0, 1, 0)
    assert timeline(bad)["error_ratio"].tolist() == [1] and timeline(good)["error_ratio"].tolist() == [0]
    assert timeline(bad)["budget_remaining"].tolist() == [pytest.approx(-9)]
    assert (bad.state, good.state) == (State.EXHAUSTED, State.HEALTHY)
    assert [note.code for note in good.notes] == ["low-traffic"]
    assert Incident(AT, AT, event, event, 1.0).error_ratio == 1
    [share] = {one.error_ratio for found in break_down([Part({"a": "1"}, event, event), Part({"a": "2"}, 0, 0)])
               for one in found.shares if one.total}  # fmt: skip
    assert share == 1


def test_the_timeline_ends_with_what_remains() -> None:
    line = timeline(budget([9, 1, 2, 3], [10, 20, 0, 40], before=1))
    assert line["errors"].tolist() == [1, 2, 3] and line["total"].tolist() == [20, 0, 40]
    assert line["good"].tolist() == [19, -2, 37]
    assert line["error_ratio"].tolist() == pytest.approx([0.05, np.nan, 0.075], nan_ok=True)
    assert line["sli"].tolist() == pytest.approx([0.95, np.nan, 0.925], nan_ok=True)
    # A tenth of 60 events may fail: 6.
    assert line["budget_remaining"].tolist() == pytest.approx([1 - 1 / 6, 1 - 3 / 6, 0])
    assert [at.minute for at in line.index] == [50, 55, 0]


@pytest.mark.parametrize(
    ("steps", "rate"),
    [(1, 0.0), (2, 2.0), (3, 10 / 3), (4, None)],  # at 90 %: the ratio of the last so many steps, times ten
)
def test_a_burn_rate_is_that_of_the_last_steps(steps: int, rate: float | None) -> None:
    one = budget([6, 4, 0], [10, 10, 10], percent="90")
    found = one.burn_rate(steps * STEP)
    assert found == (rate if rate is None else pytest.approx(rate))
    # Half a step is the last one; 7 m are one step of 5.
    assert one.burn_rate(MINUTE) == one.burn_rate(7 * MINUTE) == 0.0
    assert one.burn_rate("10m") == pytest.approx(2.0)


def test_a_burn_rate_without_traffic_or_sense_is_none() -> None:
    assert budget([0, 0], [10, 0]).burn_rate(STEP) is None
    assert budget([0, 12], [100, 10]).burn_rate(STEP) is None
    assert budget([0, 0], [10, 0]).burn_rate(2 * STEP) == 0.0


@pytest.mark.parametrize(
    ("long", "short", "fires"),
    [
        (10.1, 10.1, True), (10, 11, False), (11, 10, False), (None, 11, False), (11, None, False), (9, 99, False),
        (99, 9, False),
    ],
)  # fmt: skip
def test_an_alert_fires_while_both_windows_are_above_its_threshold(long: float, short: float, fires: bool) -> None:
    assert Burn(PAGE, long, short).firing is fires


@pytest.mark.parametrize(
    ("errors", "state"),
    [
        (0, State.HEALTHY),
        (75, State.HEALTHY),  # of 100 that are allowed: a quarter is left
        (76, State.AT_RISK),
        (99, State.AT_RISK),
        (100, State.EXHAUSTED),
        (101, State.EXHAUSTED),
    ],
)
def test_states_by_what_is_left(errors: float, state: State) -> None:
    """All of it in the first of 181 steps: the pace of the last ones is none."""
    one = budget([errors, *[0.0] * 180], [100.0] + [5.0] * 180)
    assert one.total == 1000
    assert one.state is state


def test_states_by_alert_and_pace() -> None:
    calm = budget([0.0] * 24, [100.0] * 24)
    assert replace(calm, burns=(Burn(PAGE, 11, 11),)).state is State.BURNING
    assert replace(calm, burns=(Burn(PAGE, 11, 9),)).state is State.HEALTHY
    fast = budget([*[0.0] * 216, *[20.0] * 24], [100.0] * 240)  # the last tenth of the window at twice the budget
    assert fast.forecast is not None and fast.forecast.pace == pytest.approx(2)
    assert fast.exhaustion is not None and fast.state is State.AT_RISK
    assert replace(calm, invalid=(Note("impossible", "x"),)).state is State.INVALID


def test_when_alerts_fired() -> None:
    """Ten times the budget of 10 % cannot be exceeded; at 99 % a step of 20 % errors is 20 times."""
    errors = [0.0] * 24
    errors[10:14] = [20.0] * 4
    short = replace(PAGE, long_ms=2 * STEP)  # 10 m and 5 m
    one = budget(errors, [100.0] * 24, percent="99", windows=(short,))
    [(low, high)] = one.firings("page")
    # Over 10 m it is 20 % from the second bad step on (after the first 10 %, which is not above ten times 1 %).
    assert (low, high) == (AT - timedelta(minutes=65), AT - timedelta(minutes=50))
    assert one.firings("ticket") == []
    assert [one.burns[0].long, one.burns[0].short] == [0.0, 0.0]


def test_outages_and_the_time_between_them() -> None:
    hours = [(10, 11), (20, 23)]
    day = budget([0.0] * 288, [1.0] * 288)
    made = tuple(Downtime(day.start + timedelta(hours=a), day.start + timedelta(hours=b)) for a, b in hours)
    one = replace(day, downtimes=made)
    assert (one.mttr_seconds, one.mtbf_seconds) == (2 * 3600, 10 * 3600)  # 20 hours up, two outages
    lasting = replace(day, downtimes=(*made, Downtime(day.end - timedelta(hours=1), day.end)))
    assert lasting.mttr_seconds == 2 * 3600  # one that lasts is not a recovery
    assert lasting.mtbf_seconds == pytest.approx(19 * 3600 / 3)
    earlier = replace(day, downtimes=(Downtime(day.start - timedelta(hours=1), day.start + timedelta(hours=4)),))
    assert earlier.mtbf_seconds == 20 * 3600
    assert (day.mttr_seconds, day.mtbf_seconds) == (None, None)
    assert made[1].seconds == 3 * 3600


def test_a_change_is_in_shares_of_the_budget() -> None:
    now = budget([5.0], [100.0])  # half is left
    then = budget([2.0], [100.0])
    assert replace(now, earlier=then).change == pytest.approx(-0.3)
    assert replace(now, earlier=replace(then, coverage=0.5)).change == pytest.approx(-0.3)
    assert replace(now, earlier=replace(then, coverage=0.49)).change is None
    assert replace(now, earlier=budget([0.0], [0.0])).change is None
    assert replace(budget([0.0], [0.0]), earlier=then).change is None
    assert now.change is None


def test_what_was_before_the_data_is_unknown() -> None:
    """The data begins after the second of four steps."""
    gap = Gap(END - 4 * STEP, END - 2 * STEP)
    one = budget([0, 0, 1, 0], [0, 0, 10, 10], seen=CountingStats(1, gaps=(gap,), interval_ms=MINUTE))
    assert one.data_start == AT - timedelta(minutes=10)
    assert one.before_data.tolist() == [True, True, False, False]
    assert timeline(one)["errors"].isna().tolist() == [True, True, False, False]
    assert one.coverage == pytest.approx(0.5)
    assert one.gaps == ()
    whole = budget([0, 0], [1, 1])
    assert whole.before_data.tolist() == [False, False] and whole.coverage == 1


@pytest.mark.parametrize(
    ("gaps", "begins"),
    [
        ((), None),
        (((0, 2),), 2),
        (((-3, 2), (5, 6)), 2),
        (((1, 2),), None),  # it is a gap: something came before
        (((0, 10),), None),  # nothing ever came
    ],
)
def test_data_begins_where_a_gap_from_the_start_on_ends(gaps: tuple[tuple[int, int], ...], begins: int | None) -> None:
    found = tuple(Gap(END - 10 * STEP + low * STEP, END - 10 * STEP + high * STEP) for low, high in gaps)
    expected = None if begins is None else END - 10 * STEP + begins * STEP
    assert data_begins(found, Grid(END, STEP, 10)) == expected


def test_gaps_of_a_period_end_in_it_and_after_the_data_begins() -> None:
    grid = Grid(END, STEP, 10)
    gaps = [Gap(grid.start_ms, grid.start_ms + STEP), Gap(END - 8 * STEP, END - 6 * STEP), Gap(END - 4 * STEP, END)]
    assert gaps_within(gaps, grid, grid.start_ms) == (gaps[1], gaps[2])
    assert gaps_within(gaps, grid, END - 7 * STEP) == (gaps[1], gaps[2])
    assert gaps_within(gaps, grid, END - 6 * STEP) == (gaps[2],)


def test_the_longest_gaps_are_named_as_far_as_they_lie_in_the_period() -> None:
    day = budget([0.0] * 288, [1.0] * 288)
    start = END - DAY
    one = replace(day, gaps=tuple(Gap(start + low * HOUR, start + high * HOUR) for low, high in ((-5, 1), (3, 5))))
    [note] = gap_note(one, start)
    assert note.text == "no scrapes for 2h, 1h; counters carry their events over to the next scrape"
    many = replace(
        one, gaps=tuple(Gap(start + 3 * n * HOUR, start + 3 * n * HOUR + n * 600_000 + 400) for n in range(1, 6))
    )
    assert gap_note(many, start)[0].text.startswith("no scrapes for 50m, 40m, 30m and 2 more; ")
    assert gap_note(day, start) == []


@pytest.mark.parametrize(
    ("window", "kept_days", "words"),
    [
        ("30d", 30, None),
        ("30d", None, None),
        ("30d", 29, "keeps 29d of samples, and the window is 30d: .*time=35d$"),
        ("36h", 1, "the window is 1d12h: .*time=7d$"),
        ("month", 15, "the window is month of 30d: .*time=35d$"),
        ("month", 29, "the window is month of 30d: .*time=35d$"),
        ("quarter", 91, "the window is quarter of 92d: .*time=97d$"),
    ],
)
def test_a_window_beyond_what_is_kept(window: str, kept_days: int | None, words: str | None) -> None:
    slo = ratio_slo("99", window)
    start, end = slo.window.period(END)
    notes = retention_note(slo, start, end, None if kept_days is None else kept_days * DAY)
    assert [note.code for note in notes] == ([] if words is None else ["retention"])
    if words is not None:
        import re

        assert re.search(words, notes[0].text)


@pytest.mark.parametrize(
    ("errors", "total", "words"),
    [
        (0, 0, None),
        (10, 10, None),
        (1e9 + 0.5, 1e9, None),  # rounding of large sums
        (-0.5, 1e9, None),
        (11, 10, "errors cannot exceed the total"),
        (0.5, 0.1, "errors cannot exceed the total"),
        (-0.5, 10, "errors cannot be below 0"),
        (-0.25, -0.5, "there cannot be fewer events than none"),
        (-1, 10, "errors cannot be below 0"),
        (-3, -2, "there cannot be fewer events than none"),
        (float("nan"), 10, "these are not numbers of events"),
        (1, float("inf"), "these are not numbers of events"),
    ],
)
def test_what_no_counting_can_give(errors: float, total: float, words: str | None) -> None:
    text = impossible(errors, total, "in the window")
    assert (text is None) is (words is None)
    if words is not None and text is not None:
        assert words in text and "events in the window" in text
    assert bool(possible(errors, total)) is (words is None)


def test_ratios_of_what_is_possible() -> None:
    assert (ratio_of(1, 4), ratio_of(4, 4), ratio_of(0, 4)) == (0.25, 1.0, 0.0)
    assert (ratio_of(0, 0), ratio_of(5, 4), ratio_of(-1, 4)) == (None, None, None)
    assert (ratio_of(4 + 1e-10, 4), ratio_of(-1e-10, 4)) == (1.0, 0.0)
    # Of small totals too: a billionth of an event is rounding, two are not.
    assert bool(possible(0.01 + 0.9e-9, 0.01)) and not bool(possible(0.01 + 2e-9, 0.01))
    assert bool(possible(1e9 + 0.9, 1e9)) and not bool(possible(1e9 + 2, 1e9))
    nan = float("nan")
    assert impossible_steps(np.array([1, 5, -1, nan, 1]), np.array([2, 4, 4, 4, nan])).tolist() == [1, 2]


def test_a_policy_says_the_step_that_was_passed() -> None:
    plain = budget([0.0], [1000.0])
    steps = tuple(
        replace(plain.slo.policy[0], below=Decimal(below), follows=text)
        for below, text in (("0", "none left"), ("0.2", "a fifth left"), ("0.5", "half left"))
    )

    def said(errors: float, *incidents: float) -> tuple[str, ...]:
        found = tuple(Incident(AT, AT, 1, 1, share) for share in incidents)
        one = budget([errors], [1000.0])
        return replace(one, slo=replace(one.slo, policy=steps), incidents=found).policy_actions

    assert said(0) == said(50) == ()
    assert said(51) == said(80) == ("half left",)  # exactly a fifth left is not below it
    assert said(81) == said(99) == ("a fifth left",)
    assert said(100) == said(150) == ("none left",)  # exactly nothing left is
    assert said(0, 0.2) == ()
    [postmortem] = said(0, 0.1, 0.21)
    assert postmortem == "A postmortem of the incident of 20 Nov 2026 00:00: it consumed 21.0% of the budget."
    assert budget([0.0], [0.0]).policy_actions == ()


@pytest.mark.parametrize(
    ("window", "slice_ms", "step"),
    [
        ("30d", None, STEP), ("48h", None, STEP), ("47h", None, MINUTE), ("49h1m", None, MINUTE), ("1h", None, MINUTE),
        ("48h5m", None, STEP), ("48h6m", None, MINUTE),
        ("1h", MINUTE, MINUTE), ("1h", 30_000, MINUTE), ("1h", 5 * MINUTE, STEP), ("month", None, STEP),
    ],
)  # fmt: skip
def test_steps_hold_whole_slices(window: str, slice_ms: int | None, step: int) -> None:
    slo = ratio_slo("99", window)
    if slice_ms is not None:
        slo = replace(slo, sli=Freshness(VectorSelector("g"), HOUR, slice_ms))
    assert step_of(slo) == step


def ledger(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    return np.full(grid.steps, 1.0), np.full(grid.steps, 50.0)


def test_what_the_source_lost_is_filled_and_the_rest_stays() -> None:
    """Six steps, of which the first three are a gap; the ledger knows the first two of these."""
    grid = Grid(END, STEP, 6)
    gap = Gap(grid.start_ms, grid.start_ms + 3 * STEP)
    seen = CountingStats(1, gaps=(gap, Gap(END - STEP, END)), interval_ms=MINUTE)
    counts = Counts(grid, np.array([0.0, 0, 0, 2, 2, 0]), np.array([0.0, 0, 0, 20, 20, 0]), seen)
    errors, total = ledger(grid)
    errors[2:], total[2:] = np.nan, np.nan
    # Where nothing was counted and the ledger knows nothing either it stays a gap; NaN is not a figure of the ledger's.
    known = with_known(Measured(counts, has_data=False), np.nan_to_num(errors), np.nan_to_num(total))
    assert known.counts.errors.tolist() == [1, 1, 0, 2, 2, 0]
    assert known.counts.total.tolist() == [50, 50, 0, 20, 20, 0]
    partly = with_known(Measured(counts, has_data=False), errors, total)
    assert partly.counts.errors.tolist() == [1, 1, 0, 2, 2, 0]
    assert partly.counts.seen.gaps == (Gap(grid.start_ms + 2 * STEP, grid.start_ms + 3 * STEP), Gap(END - STEP, END))
    assert partly.has_data
    assert [note.text for note in partly.notes] == ["10m that the source no longer has are from the ledger"]
    errors[0], total[0] = np.nan, np.nan
    middle = with_known(Measured(counts), errors, total).counts.seen.gaps
    starts = [(gap.start_ms - grid.start_ms) // STEP for gap in middle]
    assert starts == [0, 2, 5] and all(gap.end_ms == gap.start_ms + STEP for gap in middle)
    nothing = Measured(counts)
    assert with_known(nothing, errors * np.nan, total * np.nan) is nothing


ROUTES = {"/": 9.0, "/pay": 1.0}


def routes(kind: type[Memory], count: int = 2, hours: int = 30) -> Memory:
    """A counter for each of some routes, every minute; all that fails is of the first one, in the last hour."""
    times = END - MINUTE * np.arange(hours * 60, -1, -1)
    late = np.arange(len(times)) > len(times) - 61
    rows = []
    for number in range(count):
        labels = {"__name__": "t_total", "job": "j", "instance": "a", "route": f"/{number}"}
        rows.append(({**labels, "code": "200"}, times, 100 + 10.0 * np.arange(len(times))))
        rows.append(({**labels, "code": "500"}, times, 100 + np.cumsum(late * (number == 0) * 1.0)))
    return kind(Samples.from_series(rows), END)


TOTAL = VectorSelector("t_total")
ERRORS = VectorSelector("t_total", (Matcher("code", "=", "500"),))


def by_route(window: str = "24h") -> Slo:
    slo = ratio_slo("99", window)
    return replace(slo, sli=Ratio(TOTAL, ERRORS, "errors"), by=("route",), scrape_interval_ms=60_000)


def test_a_server_is_asked_at_a_few_hundred_moments_which_values_there_are() -> None:
    asked: list[int] = []

    class Counting(Server):
        def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
            asked.append((end_ms - start_ms) // step_ms + 1)
            return super().query_range(expr, start_ms, end_ms, step_ms)

    assert expand(by_route("1w"), routes(Counting), END)[1] == 2
    assert len(asked) == 1 and 250 <= asked[0] <= 310


def test_a_window_of_one_step_has_a_forecast_by_it() -> None:
    one = budget([1.0], [100.0]).forecast
    assert one is not None and one.pace_ms == STEP


@pytest.mark.parametrize("kind", [Memory, Server])
def test_a_budget_for_each_value_that_is_there(kind: type[Memory]) -> None:
    found, count = expand(by_route(), routes(kind), END)
    assert count == 2 and [one.name for one in found] == ["a.0", "a.1"]
    first, second = evaluate_all([by_route()], routes(kind), END)
    assert (first.errors, first.total) == (60, 24 * 660 - 60 * 23)
    assert (second.errors, second.total) == (0, 24 * 600)


@pytest.mark.parametrize("kind", [Memory, Server])
def test_each_slo_is_done_once(kind: type[Memory]) -> None:
    """However many values it has."""
    done: list[int] = []
    found = evaluate_all([by_route(), ratio_slo("99", "1h")], routes(kind), END, lambda: done.append(len(done)))
    assert (len(found), done) == (3, [0, 1])


@pytest.mark.parametrize("kind", [Memory, Server])
def test_values_of_the_period_alone(kind: type[Memory]) -> None:
    """One route was last seen an hour before a window of a day, another one has just come."""
    times = END - MINUTE * np.arange(30 * 60, -1, -1)
    rows = [
        ({"__name__": "t_total", "job": "j", "route": route}, times[part], np.arange(float(len(times[part]))))
        for route, part in (("/old", times < END - 25 * HOUR), ("/", times > 0), ("/new", times > END - 2 * MINUTE))
    ]
    found, count = expand(by_route(), kind(Samples.from_series(rows), END), END)
    assert count == 2 and [one.labels["route"] for one in found] == ["/", "/new"]
    assert expand(ratio_slo("99"), kind(Samples.from_series(rows), END), END)[1] == 1
    nothing = expand(by_route(), kind(Samples.from_series([]), END), END)
    assert nothing == ((by_route(),), 0)


@pytest.mark.parametrize("kind", [Memory, Server])
def test_of_more_values_than_have_a_budget_each_the_first_stay(kind: type[Memory]) -> None:
    """Those that were there first, whatever their traffic; of these the ones with the most traffic."""
    times = np.arange(END - 24 * HOUR + MINUTE, END + 1, MINUTE)
    rows = [
        ({"__name__": "t_total", "job": "j", "route": f"/{number:03}"}, times, np.arange(len(times)) * (number + 1.0))
        for number in range(MOST + 1)
    ]
    late = times > END - 12 * HOUR
    rows.append(({"__name__": "t_total", "job": "j", "route": "/late"}, times[late], np.arange(late.sum()) * 1e6))
    source = kind(Samples.from_series(rows), END)
    found, values = expand(by_route(), source, END)
    assert values == MOST + 2
    assert [one.labels["route"] for one in found] == [f"/{number:03}" for number in range(1, MOST + 1)]
    reported = [(one.slo.labels["route"], note.text) for one in evaluate_all([by_route()], source, END)
            for note in one.notes if note.code == "many-values"]  # fmt: skip
    assert reported == [
        (
            "/001",
            "102 values of route, of which 100 have an error budget each, this one among them: those that were there first, "
            "then those with the most traffic; the others are not measured",
        )
    ]


@pytest.mark.parametrize("only_steps", [False, True])
def test_what_a_server_added_up_is_asked_for_by_series(only_steps: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if only_steps:
        monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)
    source = routes(Server)
    slo = replace(by_route(), by=())
    [plain] = evaluate_all([slo], source, END)
    assert (plain.counts.parts is None) is only_steps
    one = with_breakdown(plain, source)
    assert top_contributors(one, "route")["errors"].to_dict() == {"/0": 60, "/1": 0}
    assert top_contributors(one, "route")["total"].sum() == plain.total == one.total
    # The last two hours alone; the first of them had no errors.
    table = tables_by_label(parts_between(slo, source, END - 2 * HOUR, END) or ())["route"]
    assert table["errors"].to_dict() == {"/0": 60, "/1": 0}
    assert table["total"].sum() == 2 * 1200 + 60
    quiet = tables_by_label(parts_between(slo, source, END - 3 * HOUR, END - HOUR) or ())
    assert "route" not in quiet


def test_a_server_that_fails_leaves_the_breakdown_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)
    source = routes(Server)
    [plain] = evaluate_all([replace(by_route(), by=())], source, END)

    def fail(*_: object) -> None:
        raise SourceError("too busy")

    monkeypatch.setattr(source, "query", fail)
    one = with_breakdown(plain, source)
    assert one.counts.parts is None
    assert one.notes[-1] == Note("no-breakdown", "which series had the bad events could not be asked for: too busy")
    empty = replace(plain, total=0.0, errors=0.0)
    assert with_breakdown(empty, source) is empty  # nothing to be divided: nobody is asked


def test_the_label_where_errors_are_elsewhere_than_traffic_comes_first() -> None:
    """Both instances fail alike; of the routes one has a tenth of the traffic and all errors."""
    parts = [
        Part({"instance": "a", "route": "/", "pod": "p"}, 0, 90), Part({"instance": "a", "route": "/pay", "pod": "p"}, 5, 10),
        Part({"instance": "b", "route": "/", "pod": "q"}, 0, 90), Part({"instance": "b", "route": "/pay", "pod": "q"}, 5, 10),
    ]  # fmt: skip
    route, instance = break_down(parts)
    assert (route.label, route.skew, route.alike) == ("route", 0.9, ())
    assert (instance.label, instance.skew, instance.alike) == ("instance", 0.0, ("pod",))
    pay, root = route.shares
    assert (pay.value, pay.errors, pay.total, pay.errors_share, pay.total_share) == ("/pay", 10, 20, 1.0, 0.1)
    assert (pay.error_ratio, root.error_ratio) == (0.5, 0.0)
    table = tables_by_label(parts)["route"]
    assert list(table.columns) == ["errors", "total", "error_ratio", "errors_share", "total_share"]
    assert table.index.name == "route" and list(table.loc["/pay"]) == [10, 20, 0.5, 1.0, 0.1]
    assert not route.kinds
    [last, first] = sorted(break_down(parts, frozenset({"route"})), key=lambda one: -one.kinds)
    assert (last.label, last.kinds, first.label) == ("route", True, "instance")
    assert [one.label for one in break_down(parts, frozenset({"route"}))] == ["instance", "route"]


def test_a_label_that_bad_events_alone_have_tells_their_kinds() -> None:
    parts = [Part({}, 0, 100), Part({"reason": "timeout"}, 3, 0), Part({"reason": "refused"}, 1, 0)]
    [reason] = break_down(parts)
    assert reason.kinds and [(share.value, share.errors) for share in reason.shares] == [
        ("timeout", 3), ("refused", 1), ("", 0),
    ]  # fmt: skip
    assert break_down([Part({"a": "1"}, 0, 5), Part({"a": "2"}, 0, 5)]) == ()  # nothing failed
    assert break_down([Part({"a": "1"}, 1, 5)]) == ()  # one value divides nothing


def test_a_budget_of_nothing_has_no_figures() -> None:
    one = budget([0.0] * 3, [0.0] * 3, has_data=False)
    assert [note.code for note in one.notes] == ["no-data"]
    assert (one.coverage, one.state) == (0.0, State.NO_DATA)
    bound = budget([0.0] * 3, [0.0] * 3, has_data=False, notes=(Note("no-such-bound", "x"),))
    assert [note.code for note in bound.notes] == ["no-such-bound"]  # that says why
    quiet = budget([0.0] * 3, [0.0] * 3)
    assert [note.code for note in quiet.notes] == ["no-traffic"]


@pytest.mark.parametrize(("total", "low"), [(9, True), (10, False)])
def test_traffic_is_low_where_a_single_error_exceeds_the_budget(total: float, low: bool) -> None:
    """At 90 % ten events allow one error."""
    assert ("low-traffic" in [note.code for note in budget([0.0], [total]).notes]) is low


def test_an_alert_that_can_never_fire_is_named() -> None:
    one = budget([0.0] * 12, [100.0] * 12, windows=(PAGE,))
    [dead] = [note for note in one.notes if note.code == "dead-alert"]
    assert dead.text == "the alert over 1h can never fire at 90%"
    assert "dead-alert" not in [note.code for note in budget([0.0] * 12, [1e3] * 12, "91", windows=(PAGE,)).notes]


def test_downtimes_of_the_period() -> None:
    start = END - 2 * STEP
    spans = ((start - HOUR, start), (start - HOUR, start + 1), (start + MINUTE, END))
    one = budget([0, 0, 0], [1, 1, 1], before=1, downtimes=spans)
    assert [(at.start, at.end) for at in one.downtimes] == [(moment(low), moment(high)) for low, high in spans[1:]]


def test_withheld_figures_keep_nothing_that_was_counted() -> None:
    one = replace(budget([1.0], [10.0]), quantiles={"p50": 1.0}, bucket_counts=np.ones((1, 2)))
    gone = withheld(one, (Note("impossible", "x"),))
    assert np.isnan([gone.errors, gone.total]).all()
    assert np.isnan(gone.counts.errors).all() and gone.counts.parts is None
    assert gone.quantiles == {"p50": None} and gone.bucket_counts.size == 0
    assert gone.invalid == (Note("impossible", "x"),) and gone.state is State.INVALID


def test_the_past_is_made_of_the_steps_before() -> None:
    """A window of an hour: of two hours and a half of steps the budget has the last three quarters; it reviews every 15 m."""
    source = routes(Memory, 1, hours=10)
    slo = replace(by_route("1h"), by=())
    now = evaluate(slo, source, END)
    older = older_grid(now, 30 * MINUTE)
    assert older is None  # three days of burn rates hold it
    long = replace(slo, window=parse_window("30d"))
    thirty = evaluate(long, source, END)
    grid = older_grid(thirty, 7 * DAY)
    assert grid is not None
    # The previous window began 60 days ago; the budget's own counts reach back 33.
    assert (grid.end_ms, grid.start_ms, grid.step_ms) == (END - 33 * DAY, END - 60 * DAY, STEP)
    [found] = with_past([now], source, 30 * MINUTE)
    assert found.earlier is not None and found.previous is not None
    assert found.earlier.end == AT - timedelta(minutes=30) and found.previous.end == AT - timedelta(hours=1)
    assert (now.errors, found.earlier.errors, found.previous.errors) == (60, 30, 0)
    assert (found.earlier.total, found.previous.total) == (630, 600)
    assert with_older(replace(now, invalid=(Note("x", "y"),)), None, HOUR).earlier is None


def test_a_window_of_which_nothing_is_there_has_no_figures() -> None:
    """The service is two hours old: of the hour before this one it has all, of the one a week ago nothing."""
    slo = replace(by_route("1h"), by=())
    source = routes(Memory, 1, hours=2)
    [found] = with_past([evaluate(slo, source, END)], source, 7 * DAY)
    assert found.earlier is not None and found.previous is not None
    assert (found.previous.total, found.previous.coverage) == (600, 1.0)
    assert (found.earlier.state, found.earlier.sli, found.change) == (State.NO_DATA, None, None)
    assert found.earlier.coverage < 0.02 and found.previous.has_data


def test_a_gap_over_the_seam_is_one_gap() -> None:
    """Ten steps and ten steps: the older ones lack 0 to 2 and 7 to 10, the newer ones 10 to 11 and 15 to 16."""

    def made(end_ms: int, *gaps: tuple[int, int], series: int = 1) -> Measured:
        start = END - 20 * STEP
        seen = CountingStats(
            series, gaps=tuple(Gap(start + low * STEP, start + high * STEP) for low, high in gaps), interval_ms=1.0
        )
        return Measured(Counts(Grid(end_ms, STEP, 10), np.arange(10.0), np.arange(10.0) + 10, seen))

    whole = _joined(made(END - 10 * STEP, (0, 2), (7, 10)), made(END, (10, 11), (15, 16))).counts
    starts = [
        ((gap.start_ms - whole.grid.start_ms) // STEP, (gap.end_ms - whole.grid.start_ms) // STEP)
        for gap in whole.seen.gaps
    ]
    assert starts == [(0, 2), (7, 11), (15, 16)]
    assert (whole.grid.steps, whole.grid.end_ms) == (20, END)
    assert whole.errors.tolist() == [*range(10), *range(10)] and whole.total[-1] == 19
    apart = _joined(made(END - 10 * STEP, (0, 2)), made(END, (15, 16))).counts.seen.gaps
    assert len(apart) == 2
    for older, newer in ((3, 1), (1, 3)):
        both = _joined(made(END - 10 * STEP, series=older), made(END, series=newer)).counts
        assert both.seen.series == 3


@pytest.mark.parametrize(("has_data", "gap", "there"), [(True, 0, True), (True, 10, False), (False, 0, False)])
def test_the_past_has_data_where_there_was_some(has_data: bool, gap: int, there: bool) -> None:
    """Of ten steps the first five; `gap` steps from the start on were not scraped."""
    start = END - 10 * STEP
    seen = CountingStats(1, gaps=(Gap(start, start + gap * STEP),) if gap else ())
    whole = Measured(Counts(Grid(END, STEP, 10), np.zeros(10), np.ones(10), seen), has_data=has_data)
    assert _until(whole, start, END - 5 * STEP).has_data == there


def test_a_budget_has_no_buckets_unless_it_is_given_some() -> None:
    one = budget([1.0], [100.0])
    bare = Budget(one.slo, one.start, one.end, one.window_end, 1.0, 100.0, 1.0, one.counts)
    assert (bare.bounds.shape, bare.bucket_counts.shape) == ((0,), (0, 0))


@pytest.mark.parametrize(("wrong", "state"), [(2, State.HEALTHY), (3, State.INVALID)])
def test_of_few_steps_two_may_be_impossible(wrong: int, state: State) -> None:
    """Of 20: a scrape of the errors that came before that of the total, so that the next step makes up for it."""
    errors, total = [0.0] * 20, [1000.0] * 20
    for step in range(wrong):
        errors[3 + 2 * step], total[3 + 2 * step] = 10.0, 5.0
    one = budget(errors, total)
    assert one.state is state
    assert [note.code for note in one.notes] == ["impossible" if state is State.INVALID else "impossible-steps"]
    assert (
        f"in {wrong} of 20 steps of 5m" in one.notes[0].text
        and "at worst 10 of 5 up to 19 Nov 22:40" in one.notes[0].text
    )


def test_what_cannot_be_believed_by_definition_is_not_asked_for() -> None:
    source = routes(Memory)
    slo = replace(by_route(), by=(), unusable=("two buckets are one",))
    one = evaluate(slo, source, END)
    assert one.state is State.INVALID and source.asked == []
    assert not one.has_data and one.data_start is None
    assert [(note.code, note.text) for note in one.invalid] == [("definition", "two buckets are one")]


def test_without_traffic_nothing_of_the_budget_is_known_at_any_time() -> None:
    line = timeline(budget([0, 0], [0, 0]))
    assert line[["error_ratio", "sli", "budget_remaining"]].isna().all(axis=None)
    assert line["total"].tolist() == [0, 0]


def test_an_sli_without_latencies_has_an_empty_table_of_them() -> None:
    table = percentiles(budget([0.0, 0.0], [1.0, 1.0]))
    assert table.empty and list(table.columns) == ["p50", "p90", "p95", "p99"]


def test_an_invalid_hour_of_the_past_is_none_of_the_present() -> None:
    calls: list[int] = []
    bad = replace(budget([1.0], [10.0]), invalid=(Note("impossible", "x"),))
    source = Memory(Samples.from_series([]), END)
    assert with_past([bad], source, HOUR, done=lambda: calls.append(1)) == [bad]
    assert calls == [1] and source.asked == []


def test_a_month_is_counted_from_its_first_moment_in_whole_steps() -> None:
    source = routes(Memory, 1, hours=24 * 20)
    slo = replace(by_route("month"), by=())
    for end in (END - 1, END - 4 * MINUTE):
        one = evaluate(slo, source, end)
        assert (one.start, one.end) == (datetime(2026, 11, 1, tzinfo=UTC), AT - timedelta(minutes=5))
    first = evaluate(slo, source, END - 19 * DAY + 2 * MINUTE)
    assert (first.start, first.end - first.start) == (datetime(2026, 11, 1, tzinfo=UTC), timedelta(minutes=5))


def test_as_data_has_the_figures_as_they_are() -> None:
    errors = [0.0] * 288
    errors[100:112] = [50.0] * 12
    incident = budget(errors, [100.0] * 288, percent="99", windows=(replace(PAGE, short_ms=2 * STEP),))
    data = replace(incident, events=(), previous=budget([1.0], [10.0])).to_dict()
    assert data["events"] == {"total": 28_800, "good": 28_200, "errors": 600, "allowed_errors": pytest.approx(288)}
    assert (data["slo"], data["objective_percent"], data["window"], data["time_zone"]) == ("s/a", "99", "1d", None)
    assert data["state"] == "exhausted" and data["source"] == "memory"
    assert (data["start"], data["end"]) == ("2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z")
    assert data["error_budget"]["consumed"] == pytest.approx(600 / 288)
    assert data["error_budget"]["minutes"] == pytest.approx(14.4)
    [alert] = data["alerts"]
    assert alert == {
        "severity": "page", "long_window": "1h", "short_window": "10m", "factor": 10.0,
        "long_burn_rate": 0.0, "short_burn_rate": 0.0, "firing": False,
    }  # fmt: skip
    [found] = data["incidents"]
    assert (found["start"], found["end"]) == ("2026-11-19T08:20:00Z", "2026-11-19T09:20:00Z")
    assert (found["errors"], found["total"], found["error_ratio"]) == (600, 1200, 0.5)
    assert found["budget_share"] == pytest.approx(600 / 288)
    assert data["previous"]["events"]["errors"] == 1 and data["previous"]["incidents"] == 0
    assert data["earlier"] is None and data["without_maintenance"] is None
    zoned = replace(incident, slo=replace(incident.slo, window=Calendar("month", "Europe/Berlin")))
    assert zoned.to_dict()["time_zone"] == "Europe/Berlin"


def test_probes_have_no_kinds_of_errors() -> None:
    one = replace(budget([1.0], [2.0]), slo=replace(ratio_slo("99"), sli=Probe(VectorSelector("up"))))
    parts = (Part({"instance": "a"}, 1, 1), Part({"instance": "b"}, 0, 1))
    one = replace(one, counts=replace(one.counts, parts=parts))
    data = one.to_dict()["breakdown"]
    assert data == [
        {
            "label": "instance", "alike": [], "kinds": False, "skew": 0.5,
            "values": [{"value": "a", "errors": 1, "total": 1}, {"value": "b", "errors": 0, "total": 1}],
            "others": {"values": 0, "errors": 0, "total": 0},
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("window", "since", "step"),
    [
        ("30d", 33 * DAY, STEP),  # three days before the window for its burn rates
        ("1h", 3 * DAY + HOUR, MINUTE),
        ("2d", 5 * DAY, STEP),
        ("47h", 3 * DAY + 47 * HOUR, MINUTE),
    ],
)
def test_as_much_is_asked_for_as_burn_rates_at_the_windows_start_need(window: str, since: int, step: int) -> None:
    """And two hours before that for baselines."""
    source = routes(Memory)
    found = evaluate(replace(by_route(window), by=()), source, END)
    assert source.asked == [(END - since - 2 * HOUR, END)]
    assert (found.counts.grid.step_ms, found.counts.grid.steps) == (step, since // step)
    assert found.start == AT - timedelta(milliseconds=parse_window(window).nominal_ms) and found.end == AT


def test_an_alerts_own_window_is_asked_for_too() -> None:
    source = routes(Memory)
    slo = replace(by_route("30d"), by=())
    long = replace(PAGE, long_ms=5 * DAY)
    evaluate(replace(slo, alerting=replace(slo.alerting, windows=(long,))), source, END)
    assert source.asked == [(END - 35 * DAY - 2 * HOUR, END)]


@pytest.mark.parametrize(("errors", "there"), [(9.0, True), (10.0, False), (15.0, False), (25.0, False)])
def test_what_is_consumed_has_no_end_to_come(errors: float, there: bool) -> None:
    """Ten errors of a hundred are allowed."""
    found = budget([errors, 0.0], [50.0, 50.0])
    assert (found.forecast is not None) is there
    assert budget([0.0, 0.0], [0.0, 0.0]).forecast is None


def test_the_pace_is_that_of_a_tenth_of_the_window_up_to_now() -> None:
    """Of 100 steps the last ten; fewer where the data has just begun."""
    errors, total = np.zeros(100), np.full(100, 100.0)
    errors[-11], errors[-10], errors[-1] = 50.0, 20.0, 5.0
    found = budget(errors.tolist(), total.tolist()).forecast
    assert found is not None and found.pace_ms == 10 * STEP and found.pace == pytest.approx(25 / 1000 / 0.1)
    for age, pace in ((3, 5 / 300 / 0.1), (10, 25 / 1000 / 0.1), (50, 25 / 1000 / 0.1)):
        began = CountingStats(series=1, gaps=(Gap(END - 100 * STEP, END - age * STEP),))
        total[: 100 - age] = 0
        young = budget((errors * (total > 0)).tolist(), total.tolist(), seen=began).forecast
        total[:] = 100.0
        assert young is not None and young.pace == pytest.approx(pace)
        assert young.pace_ms == min(10, age) * STEP


@pytest.mark.parametrize(
    ("gaps", "covered"),
    [
        ([], 1.0),
        ([(2, 4)], 0.8),
        ([(0, 5)], 0.5),  # before the data began
        ([(0, 5), (6, 8)], 0.3),
        ([(8, 10)], 0.8),
        ([(0, 10)], 0.0),
    ],
)
def test_coverage_is_the_share_of_the_window_in_which_data_came(gaps: list[tuple[int, int]], covered: float) -> None:
    """Of ten steps, and five before them that do not count."""
    start = END - 10 * STEP
    made = [(start + low * STEP - 5 * STEP * (not low), start + high * STEP) for low, high in gaps]
    seen = CountingStats(series=1, gaps=tuple(Gap(*one) for one in made))
    found = budget([0.0] * 15, [10.0] * 15, before=5, seen=seen)
    assert found.coverage == pytest.approx(covered)
    if gaps == [(0, 5)]:
        assert found.data_start == AT - 5 * timedelta(minutes=5)
    assert budget([0.0] * 15, [0.0] * 15, before=5, seen=seen, has_data=False).coverage == 0.0


def test_a_window_shorter_than_a_step_is_that_step() -> None:
    found = budget([0, 5, 2], [100, 100, 100])
    assert [found.steps_in(length) for length in (MINUTE, STEP, 2 * STEP, 2 * STEP + MINUTE)] == [1, 1, 2, 2]
    assert found.burn_rate("1m") == found.burn_rate("5m") == pytest.approx(0.2)
    assert found.burn_rate("10m") == pytest.approx(0.35)


def test_a_budget_says_in_one_line_how_it_stands() -> None:
    assert repr(budget([1.0], [100.0])) == "<Budget s/a 90% over 5m: healthy, 90.0% of the budget remaining>"
    assert repr(budget([0.0], [0.0])) == "<Budget s/a 90% over 5m: no data>"


def test_outside_of_maintenance_what_cannot_be_is_not_a_figure() -> None:
    """Three errors of two events in the first step; the second one, with ten events, was planned."""
    one = budget([3, 0], [2, 10], "50")
    planned = Event(END - STEP, END, "racks", "*", "maintenance")
    without = replace(one, events=(planned,)).without_maintenance
    assert not one.invalid and without is not None
    assert (without.seconds, without.errors, without.total, without.sli, without.remaining) == (
        300,
        None,
        None,
        None,
        None,
    )


def test_of_a_gap_the_steps_that_are_filled_are_gone() -> None:
    """Two gaps of two steps of six; of the first one the first step is known, of the other one neither."""
    grid = Grid(END, STEP, 6)

    def gap(low: int, high: int) -> Gap:
        return Gap(grid.start_ms + low * STEP, grid.start_ms + high * STEP)

    seen = CountingStats(gaps=(gap(0, 2), gap(3, 5)))
    counts = Counts(grid, np.zeros(6), np.array([0.0, 0, 5, 0, 0, 5]), seen)
    for known, left in (
        ([0], [gap(1, 2), gap(3, 5)]),
        ([1], [gap(0, 1), gap(3, 5)]),
        ([0, 1], [gap(3, 5)]),
        ([4], [gap(0, 2), gap(3, 4)]),
    ):
        total = np.full(6, np.nan)
        total[known] = 7.0
        assert with_known(Measured(counts), total * 0, total).counts.seen.gaps == tuple(left)
