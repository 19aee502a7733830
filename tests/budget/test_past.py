"""A budget alongside its past: the same figures that were reported then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from slo.budget.evaluate import evaluate
from slo.budget.model import Budget
from slo.budget.past import with_past
from slo.errors import SourceError
from slo.promql.ast import VectorSelector
from slo.promql.samples import Samples
from slo.sli.counts import Grid
from slo.sli.latency import Latency
from slo.source.recording import Recording, write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.spec.model import Slo
from slo.window import DAY, MINUTE, parse_window
from tests.budget.test_evaluate import END, held, ratio_slo
from tests.memory import Memory

WEEK = 7 * DAY
DEFINITION = """
service: shop
slos:
  - name: errors
    objective: 99.5
    sli: {ratio: {errors: 'requests_total{job="shop",code=~"5.."}', total: 'requests_total{job="shop"}'}}
  - name: latency
    objective: p95 < 500ms
    window: 7d
    sli: {latency: {histogram: 'request_duration_seconds{job="shop"}'}}
  - name: up
    objective: 99
    window: 24h
    sli: {probe: {metric: 'up{job="shop"}'}}
  - name: month
    objective: 99
    window: month
    sli: {ratio: {errors: 'requests_total{job="shop",code=~"5.."}', total: 'requests_total{job="shop"}'}}
  - name: busy
    objective: 99
    window: 7d
    sli: {threshold: {value: 'sum(rate(requests_total{job="shop"}[5m]))', at_least: 1, slice: 5m}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Slo], Recording]:
    place = tmp_path_factory.mktemp("past")
    (place / "shop.yaml").write_text(DEFINITION)
    specs = load(place / "shop.yaml")
    samples, header = simulate(specs, days=66, seed=3, end_ms=END)
    write(place / "r.parquet", samples, header)
    return {slo.name: slo for slo in specs.values()}, Recording.open(place / "r.parquet")


@pytest.mark.parametrize("name", ["errors", "latency", "up", "month", "busy"])
def test_it_is_what_an_evaluation_said_then(shop: tuple[dict[str, Slo], Recording], name: str) -> None:
    specs, source = shop
    now = evaluate(specs[name], source, END)
    [budget] = with_past([now], source, WEEK)
    assert budget.to_dict() | {"earlier": None, "previous": None, "remaining_change": None} == now.to_dict()
    for past, end in ((budget.earlier, END - WEEK), (budget.previous, round(now.start.timestamp() * 1000))):
        then = evaluate(specs[name], source, end)
        assert past is not None and then.total > 0
        assert (past.start, past.end, past.errors, past.total) == (then.start, then.end, then.errors, then.total)
        assert past.coverage == pytest.approx(then.coverage, abs=1e-9)
        assert past.incidents == then.incidents
        assert past.quantiles == pytest.approx(then.quantiles)
        assert budget.earlier is not None
    assert budget.change == budget.remaining - budget.earlier.remaining  # type: ignore[operator, union-attr]


def counted(days: float, window: str = "30d") -> Budget:
    """A percent of errors over the last `days`, and nothing before."""
    times = END - 5 * MINUTE * np.arange(round(days * 288), -1, -1)
    rows = [
        ({"__name__": "t", "job": "j", "instance": "a", "code": code}, times, each * np.arange(len(times)))
        for code, each in (("200", 99.0), ("500", 1.0))
    ]
    source = held(rows)
    [budget] = with_past([evaluate(ratio_slo("99", window), source, END)], source, WEEK)
    return budget


def test_what_is_not_covered_is_not_compared() -> None:
    """Of the window a week ago 28 of 30 days are there, of the one before 5; of one 25 days old nothing worth a word."""
    counts = counted(35)
    assert counts.earlier is not None and counts.earlier.coverage == pytest.approx(28 / 30, abs=1e-3)
    assert counts.previous is not None and counts.previous.coverage == pytest.approx(5 / 30, abs=1e-3)
    assert counts.change == pytest.approx(0.0)
    young = counted(20)
    assert young.earlier is not None and young.earlier.coverage == pytest.approx(13 / 30, abs=1e-3)
    assert young.change is None
    assert young.previous is not None and young.previous.remaining is None


class Forgetful(Memory):
    """A source that fails when it is asked for what is old."""

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        if end_ms < END:
            raise SourceError("out of retention")
        return super().samples(selectors, start_ms, end_ms)


def test_a_source_that_forgets_leaves_the_past_out_and_says_so() -> None:
    times = END - 5 * MINUTE * np.arange(34 * 288, -1, -1)
    source = Forgetful(
        Samples.from_series([({"__name__": "t", "job": "j", "code": "200"}, times, 1.0 * np.arange(len(times)))]),
        END,
    )
    now = evaluate(ratio_slo("99"), source, END)
    [budget] = with_past([now], source, WEEK)
    assert (budget.earlier, budget.previous, budget.change) == (None, None, None)
    assert [note.code for note in budget.notes if note not in now.notes] == ["no-past"]
    assert "out of retention" in budget.notes[-1].text


def test_what_was_counted_before_fills_what_the_source_has_no_more() -> None:
    asked: list[Grid] = []

    def known(name: str, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        asked.append(grid)
        return np.full(grid.steps, 2.0), np.full(grid.steps, 100.0)

    times = END - 5 * MINUTE * np.arange(33 * 288, -1, -1)
    source = held([({"__name__": "t", "job": "j", "code": "200"}, times, 1.0 * np.arange(len(times)))])
    [budget] = with_past([evaluate(ratio_slo("99"), source, END)], source, WEEK, known)
    assert budget.previous is not None
    assert (budget.previous.total, budget.previous.errors) == (27 * 288 * 100 + 3 * 288, 27 * 288 * 2)
    assert budget.errors == 0
    assert asked[0].end_ms == budget.counts.grid.start_ms


def test_a_latency_that_is_young_is_compared_by_what_is_there() -> None:
    """Thirty days of it: of the window a week ago 23 are known, though before them there is not one series."""
    times = END - 5 * MINUTE * np.arange(30 * 288, -1, -1)
    rows = [
        ({"__name__": "d_seconds_bucket", "job": "j", "le": le}, times, each * np.arange(len(times)))
        for le, each in (("0.5", 99.0), ("+Inf", 100.0))
    ]
    spec = replace(ratio_slo("99"), sli=Latency(VectorSelector("d_seconds"), Decimal("0.5")))
    source = held(rows)
    [budget] = with_past([evaluate(spec, source, END)], source, WEEK)
    assert budget.earlier is not None and budget.previous is not None
    assert (budget.earlier.errors, budget.earlier.total) == (23 * 288, 23 * 28_800)
    assert budget.change == pytest.approx(0.0)
    assert (budget.previous.errors, budget.previous.total, budget.previous.remaining) == (0, 0, None)


def test_a_short_window_is_held_against_itself_a_week_ago() -> None:
    counts = counted(20, "24h")
    assert counts.earlier is not None and counts.previous is not None
    assert counts.earlier.end == datetime.fromtimestamp((END - WEEK) / 1000, UTC)
    assert counts.previous.end == counts.start
    assert (counts.earlier.total, counts.previous.total) == (28_800, 28_800)
    assert counts.slo.window == parse_window("24h")
