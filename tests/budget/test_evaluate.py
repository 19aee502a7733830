"""Error budgets, against figures worked out by hand and in the SRE workbook."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.budget.evaluate import evaluate, evaluate_all
from slo.budget.model import Budget, State
from slo.budget.past import with_past
from slo.budget.quantile import histogram_quantile
from slo.notebook import burn_timeline, percentiles, timeline, to_html
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import Samples
from slo.report import render, to_json
from slo.sli.latency import Latency
from slo.sli.ratio import Ratio
from slo.spec.model import Objective, Slo
from slo.window import DAY, HOUR, MINUTE, Window, parse_window
from tests.memory import Memory

END = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 1000
ERRORS, TOTAL = VectorSelector("t", (Matcher("code", "=", "500"),)), VectorSelector("t")


def held(rows: Iterable[tuple[Mapping[str, str], Sequence[int] | np.ndarray, Sequence[float] | np.ndarray]]) -> Memory:
    """A source of series up to END."""
    return Memory(Samples.from_series(rows), END)


def steps(good: np.ndarray, bad: np.ndarray, step_ms: int) -> Memory:
    """Two counters, scraped once a step, up to END; the arrays hold the events of each step."""
    times = END - step_ms * np.arange(len(good), -1, -1)
    rows = [
        (
            {"__name__": "t", "job": "j", "instance": "a", "code": code},
            times,
            np.concatenate([[7.0], 7.0 + np.cumsum(e)]),
        )
        for code, e in (("200", good), ("500", bad))
    ]
    return held(rows)


def ratio_slo(percent: str, window: str | Window = "30d") -> Slo:
    window = parse_window(window) if isinstance(window, str) else window
    return Slo("s", "a", Objective(Decimal(percent)), window, Ratio(TOTAL, ERRORS, "errors"))


def even(days: float, good: int, bad: int, step_ms: int = 5 * MINUTE) -> Memory:
    count = round(days * DAY / step_ms)
    return steps(np.full(count, good), np.full(count, bad), step_ms)


def test_the_worked_example_of_the_workbook() -> None:
    """SRE workbook, chapter 2: 3,663,253 requests, 3,557,865 good; the budgets at 97, 90 and 99 %."""
    good, bad = np.zeros(8640), np.zeros(8640)
    good[100], bad[100] = 3_557_865, 3_663_253 - 3_557_865
    source = steps(good, bad, 5 * MINUTE)
    allowed = {"97": 109_897, "90": 366_325, "99": 36_632}
    for percent, events in allowed.items():
        budget = evaluate(ratio_slo(percent), source, END)
        assert int(budget.allowed_errors) == events
        assert budget.sli is not None
        assert f"{budget.sli:.3%}" == "97.123%"
    assert evaluate(ratio_slo("97"), source, END).remaining == pytest.approx(1 - 105_388 / 109_897.59)


def test_14066_errors_consume_an_eighth_of_the_budget() -> None:
    """SRE workbook, chapter 2: 14,066 errors of 3,663,253 at 97 % are 12.8 % of the budget."""
    good, bad = np.zeros(8640), np.zeros(8640)
    good[0], bad[0] = 3_663_253 - 14_066, 14_066
    consumed = evaluate(ratio_slo("97"), steps(good, bad, 5 * MINUTE), END).consumed
    assert consumed is not None
    assert f"{consumed:.1%}" == "12.8%"


def test_one_error_in_ten_at_three_nines_burns_a_hundredfold() -> None:
    assert evaluate(ratio_slo("99.9"), even(34, 9, 1), END).burn_rate("1h") == pytest.approx(100)


@pytest.mark.parametrize(("window", "expected"), [("1h", 10.0), ("6h", 10 / 6), ("3d", 10 / 72), ("2h", 5.0)])
def test_burn_rates_weigh_events_not_steps(window: str, expected: float) -> None:
    good, bad = np.full(34 * 288, 1000.0), np.zeros(34 * 288)
    bad[-12:], good[-12:] = 10, 990
    assert evaluate(ratio_slo("99.9"), steps(good, bad, 5 * MINUTE), END).burn_rate(window) == pytest.approx(expected)


def test_a_busy_bad_hour_outweighs_a_quiet_good_day() -> None:
    """A mean of ratios would read 2 %; the events say half."""
    good, bad = np.full(8640, 0.0), np.zeros(8640)
    good[:864], good[864:], bad[864:876] = 1, 0, 72
    budget = evaluate(ratio_slo("90"), steps(good, bad, 5 * MINUTE), END)
    assert budget.error_ratio == pytest.approx(0.5)
    assert budget.remaining == pytest.approx(1 - 5)


def test_exhaustion_is_what_is_left_over_the_pace() -> None:
    """Half a budget remaining, burning at twice the pace: a quarter of the window. (FACTS: time to exhaustion = P/b.)"""
    good, bad = np.full(34 * 288, 1000.0), np.zeros(34 * 288)
    bad[-3 * 288 :] = 2.0
    good -= bad
    bad[-20 * 288] += 8640 * 1000 * 0.001 * 0.5 - bad[-3 * 288 :].sum()
    budget = evaluate(ratio_slo("99.9"), steps(good, bad, 5 * MINUTE), END)
    assert budget.remaining == pytest.approx(0.5, abs=1e-3)
    assert budget.exhaustion is not None
    assert budget.exhaustion - budget.end == pytest.approx(timedelta(days=7.5), abs=timedelta(minutes=30))


def test_a_budget_that_lasts_has_no_exhaustion() -> None:
    budget = evaluate(ratio_slo("99"), even(34, 995, 5), END)
    assert budget.exhaustion is None
    assert budget.state is State.HEALTHY
    assert budget.remaining == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("bad", "recent", "state"),
    [(0, 0, State.HEALTHY), (0, 500, State.BURNING), (8, 8, State.AT_RISK), (11, 11, State.EXHAUSTED)],
)
def test_states(bad: int, recent: int, state: State) -> None:
    errors = np.full(34 * 288, float(bad))
    errors[-12:] = recent
    assert evaluate(ratio_slo("99"), steps(1000 - errors, errors, 5 * MINUTE), END).state is state


def test_no_data_and_no_traffic_are_said_and_never_a_figure() -> None:
    nothing = evaluate(ratio_slo("99"), held([]), END)
    quiet = evaluate(ratio_slo("99"), even(34, 0, 0), END)
    for budget, code in ((nothing, "no-data"), (quiet, "no-traffic")):
        assert budget.state is State.NO_DATA
        figures = (budget.sli, budget.remaining, budget.consumed, budget.burn_rate("1h"), budget.exhaustion)
        assert figures == (None,) * 5
        assert [note.code for note in budget.notes if note.code != "unmatched"] == [code]
        assert "NaN" not in to_html(budget)
    assert (nothing.coverage, quiet.coverage) == (0.0, 1.0)


@pytest.mark.parametrize("kind", ["latency", "ratio"])
def test_without_series_there_is_json_and_a_page_all_the_same(kind: str) -> None:
    sli = Latency(VectorSelector("d_seconds"), Decimal("0.5")) if kind == "latency" else ratio_slo("99").sli
    slo = replace(ratio_slo("99"), sli=sli)
    source = held([])
    [budget] = with_past([evaluate(slo, source, END)], source, 7 * DAY)
    assert (budget.errors, budget.total, budget.state) == (0.0, 0.0, State.NO_DATA)
    at = datetime(2026, 11, 20, tzinfo=UTC)
    [reported] = json.loads(to_json([budget], title="x", generated=at))["slos"]
    assert reported["sli"] is None and reported["events"]["errors"] == 0.0
    assert "No data" in render([budget], title="x", generated=at)


def test_incidents_are_found_with_their_cost() -> None:
    good, bad = np.full(34 * 288, 1000.0), np.zeros(34 * 288)
    start = len(bad) - 10 * 288
    bad[start : start + 6], good[start : start + 6] = 500, 500
    [incident] = evaluate(ratio_slo("99"), steps(good, bad, 5 * MINUTE), END).incidents
    assert incident.start == datetime(2026, 11, 10, tzinfo=UTC)
    assert incident.end == datetime(2026, 11, 10, 0, 30, tzinfo=UTC)
    assert (incident.errors, incident.total, incident.error_ratio) == (3000, 6000, 0.5)
    assert incident.budget_share == pytest.approx(3000 / 86_400)


def test_a_calendar_month_counts_from_its_first_day() -> None:
    source = even(40, 990, 10)
    budget = evaluate(ratio_slo("99", "month"), source, END)
    assert (budget.start, budget.end) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC))
    assert budget.window_end == datetime(2026, 12, 1, tzinfo=UTC)
    assert budget.total == 19 * 288 * 1000
    uneven = evaluate(ratio_slo("99", "month"), source, END - 2 * MINUTE)
    assert uneven.start == budget.start
    assert uneven.end == budget.end - timedelta(minutes=5)


@pytest.mark.parametrize("window", ["1h", "24h", "7d", "28d", "90d", "week", "quarter"])
def test_every_window_counts_its_own_events(window: str) -> None:
    parsed = parse_window(window)
    budget = evaluate(ratio_slo("99", window), even(95, 99, 1, MINUTE), END)
    length = (END - parsed.start(END)) // MINUTE
    assert budget.total == length * 100
    assert len(timeline(budget)) * budget.counts.grid.step_ms == length * MINUTE
    assert timeline(budget)["total"].sum() == budget.total
    assert timeline(budget)["budget_remaining"].iloc[-1] == pytest.approx(budget.remaining, abs=1e-9)


def test_the_frames_have_utc_times_and_named_columns() -> None:
    budget = evaluate(ratio_slo("99.9"), even(34, 999, 1), END)
    assert list(timeline(budget).columns) == ["errors", "good", "total", "error_ratio", "sli", "budget_remaining"]
    assert isinstance(timeline(budget).index, pd.DatetimeIndex)
    assert str(pd.DatetimeIndex(timeline(budget).index).tz) == "UTC"
    assert timeline(budget).index.name == "time"
    assert list(burn_timeline(budget).columns) == ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
    assert percentiles(budget).empty
    assert timeline(budget).index[-1] == budget.end


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        evaluate(ratio_slo("99"), even(1, 1, 0), datetime(2026, 11, 20))


@pytest.mark.parametrize(
    "end",
    [
        datetime(2026, 11, 19, 12, tzinfo=UTC),
        datetime(2026, 11, 19, 21, tzinfo=ZoneInfo("Asia/Tokyo")),
        int(datetime(2026, 11, 19, 12, tzinfo=UTC).timestamp()) * 1000,
    ],
)
def test_it_ends_at_the_moment_that_is_asked_for(end: datetime | int) -> None:
    """The last twelve hours are bad, and not asked for; the last one that is asked for is half bad."""
    bad = np.zeros(2 * 288)
    bad[-144:] = 10
    bad[-156:-144] = 5
    source = steps(10 - bad, bad, 5 * MINUTE)
    budget = evaluate(ratio_slo("90", "24h"), source, end)
    assert budget.end == datetime(2026, 11, 19, 12, tzinfo=UTC)
    assert budget.start == datetime(2026, 11, 18, 12, tzinfo=UTC)
    assert (budget.errors, budget.total) == (12 * 5, 288 * 10)
    assert budget.burn_rate("1h") == pytest.approx(5)
    assert all(end_ms <= END - 12 * HOUR for _, end_ms in source.asked)
    [same] = evaluate_all([ratio_slo("90", "24h")], source, end)
    assert (same.end, same.errors, same.total) == (budget.end, budget.errors, budget.total)


def test_percentiles_come_from_the_buckets() -> None:
    """100 requests a step: 50 below 0.1 s, 90 below 0.5 s, all below 1 s. p50 is the bound; p95 lies halfway on."""
    times = END - 5 * MINUTE * np.arange(34 * 288, -1, -1)
    rows = [
        ({"__name__": "h_bucket", "job": "j", "instance": "a", "le": le}, times, np.arange(len(times)) * float(n))
        for le, n in (("0.1", 50), ("0.5", 90), ("1.0", 100), ("+Inf", 100))
    ]
    slo = Slo("s", "l", Objective(Decimal(95)), parse_window("30d"), Latency(VectorSelector("h"), Decimal("0.5")))
    budget = evaluate(slo, held(rows), END)
    assert budget.error_ratio == pytest.approx(0.1)
    assert budget.quantiles == {
        "p50": pytest.approx(0.1), "p90": pytest.approx(0.5), "p95": pytest.approx(0.75), "p99": pytest.approx(0.95),
    }  # fmt: skip
    assert percentiles(budget)["p95"].iloc[-1] == pytest.approx(0.75)


def test_a_threshold_that_is_not_a_bound_is_named() -> None:
    times = END - 5 * MINUTE * np.arange(34 * 288, -1, -1)
    rows = [({"__name__": "h_bucket", "le": le}, times, np.arange(len(times)) * 1.0) for le in ("0.1", "1.0", "+Inf")]
    slo = Slo("s", "l", Objective(Decimal(95)), parse_window("30d"), Latency(VectorSelector("h"), Decimal("0.5")))
    budget = evaluate(slo, held(rows), END)
    assert budget.state is State.NO_DATA
    assert "threshold 0.5 is not a bucket bound of h" in budget.notes[0].text
    assert "0.1, 1" in budget.notes[0].text


@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=8),
    st.floats(0.001, 0.999),
)
def test_a_quantile_lies_between_the_bounds_of_its_bucket(increments: list[int], q: float) -> None:
    bounds = np.array([*range(1, len(increments) + 1), np.inf], dtype=float)
    counts = np.cumsum([*increments, 0]).astype(float)[None, :]
    [quantile] = histogram_quantile(q, bounds, counts)
    if counts[0, -1] == 0:
        assert np.isnan(quantile)
    else:
        below = int(np.searchsorted(counts[0], q * counts[0, -1]))
        assert below <= quantile <= min(below + 1, len(increments))


def seconds(budget: Budget) -> float:
    return (budget.end - budget.start).total_seconds()


@given(st.integers(1, 30), st.integers(0, 99))
def test_budgets_of_parts_add_up(days: int, bad: int) -> None:
    """Events of adjoining windows are the events of the whole."""
    source = even(31, 100 - bad, bad, HOUR)
    whole = evaluate(ratio_slo("99", f"{days}d"), source, END)
    assert whole.errors == bad * 24 * days
    assert whole.consumed == pytest.approx(bad)
    assert seconds(whole) == days * 86_400
