"""Sums of counters: they count what one counter of the same events does, on every path and on hostile histories."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from slo.budget.evaluate import evaluate
from slo.budget.groups import expand
from slo.errors import SloError
from slo.promql.ast import VectorSelector
from slo.promql.parse import parse_selector
from slo.promql.samples import Samples
from slo.rules import compile_specs
from slo.sli import stepwise
from slo.sli.base import Scraping
from slo.sli.counts import Grid
from slo.sli.sums import Sums
from slo.sli.tile import Tile, settled
from slo.source.simulation import simulate
from slo.spec.load import load_text
from slo.window import HOUR, MINUTE
from tests.contract.histories import History, draw
from tests.contract.paths import count_by_engine, count_by_rules, count_by_samples
from tests.contract.verdicts import fault, fault_by_rules, fault_on_a_server, undecided
from tests.memory import Memory

_ONE = "{ratio: {errors: 'http_requests_total{code=~\"5..\"}', total: http_requests_total}}"
_SEVERAL = {
    "several errors": "{ratio: {errors: ['http_requests_total{code=\"500\"}', 'http_requests_total{code=\"503\"}'],"
    " total: http_requests_total}}",
    "errors and good": "{ratio: {errors: ['http_requests_total{code=\"500\"}', 'http_requests_total{code=\"503\"}'],"
    " good: ['http_requests_total{code=\"200\"}', 'http_requests_total{code=\"404\"}']}}",
    "several of both": "{ratio: {good: ['http_requests_total{code=\"200\"}', 'http_requests_total{code=\"404\"}'],"
    " total: ['http_requests_total{code=~\"[24]..\"}', 'http_requests_total{code=~\"5..\"}']}}",
}


def _history(seed: int, name: str) -> History:
    history = draw(seed, ["ratio"])
    assert _ONE in history.definition
    return replace(history, definition=history.definition.replace(_ONE, _SEVERAL[name]))


@pytest.mark.parametrize("name", _SEVERAL)
def test_several_counters_count_as_one_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle of the contract knows what every process counted, whatever happened to its series."""
    for seed in range(40 if os.environ.get("SLO_SLOW") else 3):
        history = _history(seed, name)
        came = count_by_samples(history)
        assert fault(history, came) is None or undecided(history, came), (seed, name)
        assert fault_by_rules(history, count_by_rules(history)) is None, (seed, name)
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)
    for seed in (7,):
        history = _history(seed, name)
        assert fault_on_a_server(history, count_by_engine(history)) is None, (seed, name)


END = 1_798_761_600_000


def _rows(values: dict[str, Sequence[float]]) -> Memory:
    """Counters of one target, by name, at scrapes 30 s apart that end at END − 5 s; NaN stands for a scrape without one."""
    rows = []
    for name, given in values.items():
        line = np.array(given, dtype=np.float64)
        times = END - 5_000 - 30_000 * np.arange(len(line) - 1, -1, -1, dtype=np.int64)
        there = ~np.isnan(line)
        rows.append(({"__name__": name, "job": "j", "instance": "a"}, times[there], line[there]))
    return Memory(Samples.from_series(rows), END)


def _sums(errors: str, *totals: str) -> Sums:
    return Sums(tuple(map(parse_selector, totals)), (parse_selector(errors),), "errors")


def test_first_errors_are_held_against_what_went_well_before() -> None:
    """The first failure of a client is a new series of a counter that had no traffic of its own: its 500 events are among the
    1,000 a minute that the target counts, not the counter of a long life."""
    scrapes = 2 * 60
    good = [10_000 + 500.0 * number for number in range(scrapes)]
    failed = [np.nan] * (scrapes - 4) + [500, 500, 500, 500]
    source = _rows({"ok_total": good, "failed_total": failed})
    sli = _sums("failed_total", "failed_total", "ok_total")
    for each in (sli, replace(sli, sums=(VectorSelector("ok_total"),), part_is="good")):
        counts = each.measure(source, Grid(END, 5 * MINUTE, 6), Scraping()).counts
        assert counts.errors.tolist() == [0, 0, 0, 0, 0, 500]
        assert counts.total.tolist() == [5_000] * 5 + [5_500]
        for make in (each.errors_tile, each.total_tile):
            lean = settled(make, Tile(5 * MINUTE))
            for node in (make(Tile(5 * MINUTE)), lean):
                [(_, values)] = source.query_range(node, END, END, 5 * MINUTE).series
                assert values.tolist() == [500 if make == each.errors_tile else 5_500]


def test_what_appears_with_a_long_life_is_a_baseline() -> None:
    scrapes = 2 * 60
    good = [10_000 + 5.0 * number for number in range(scrapes)]
    failed = [np.nan] * (scrapes - 4) + [90_000, 90_001, 90_002, 90_003]
    source = _rows({"ok_total": good, "failed_total": failed})
    sli = _sums("failed_total", "failed_total", "ok_total")
    assert sli.measure(source, Grid(END, HOUR, 1), Scraping()).counts.errors.tolist() == [3]
    [(_, values)] = source.query_range(settled(sli.errors_tile, Tile(5 * MINUTE)), END, END, 5 * MINUTE).series
    assert values[0] <= 3


def test_a_counter_without_series_counts_nothing() -> None:
    source = _rows({"ok_total": [100.0 * number for number in range(40)]})
    found = _sums("failed_total", "failed_total", "ok_total").measure(source, Grid(END, 5 * MINUTE, 2), Scraping())
    assert (found.counts.errors.tolist(), found.counts.total.tolist()) == ([0, 0], [1_000, 1_000])
    assert found.has_data


def test_without_any_total_there_is_no_data() -> None:
    source = _rows({"failed_total": [100.0 * number for number in range(40)]})
    sli = Sums((VectorSelector("a_total"), VectorSelector("b_total")), (VectorSelector("failed_total"),), "errors")
    found = sli.measure(source, Grid(END, 5 * MINUTE, 2), Scraping())
    assert not found.has_data and "a_total" in found.notes[0].text
    for tile in (Tile(5 * MINUTE), Tile(5 * MINUTE, lean=True)):
        assert list(source.query_range(sli.total_tile(tile), END, END, 5 * MINUTE).series) == []


def test_each_series_has_its_own_errors() -> None:
    ticks = np.arange(40.0)
    source = _rows({"a_total": ticks.tolist(), "b_total": (2 * ticks).tolist(), "all_total": (10 * ticks).tolist()})
    sli = Sums((VectorSelector("all_total"),), (VectorSelector("a_total"), VectorSelector("b_total")), "errors")
    parts = sli.measure(source, Grid(END, 5 * MINUTE, 1), Scraping()).counts.parts or ()
    assert {part.labels["__name__"]: (part.errors, part.total) for part in parts} == {
        "a_total": (10, 0),
        "b_total": (20, 0),
        "all_total": (0, 100),
    }


def test_a_value_that_only_one_of_the_counters_has_has_a_budget() -> None:
    """A route on which all goes well has no series of errors, and one on which nothing does has none of good events."""
    rows = []
    times = END - 5_000 - 30_000 * np.arange(2 * 24 * 120, -1, -1, dtype=np.int64)
    for name, route in (("ok_total", "fine"), ("failed_total", "broken")):
        labels = {"__name__": name, "job": "j", "instance": "a", "route": route}
        rows.append((labels, times, 10.0 * np.arange(len(times))))
    source = Memory(Samples.from_series(rows), END)
    [slo] = load_text(
        "service: a\nslos:\n  - {name: r, objective: 99, window: 1d, by: [route], "
        "sli: {ratio: {errors: failed_total, good: ok_total}}}\n"
    ).values()
    found, number = expand(slo, source, END)
    assert number == 2
    ratios = {one.name: evaluate(one, source, END).error_ratio for one in found}
    assert ratios == {"r.broken": 1.0, "r.fine": 0.0}
    tile = Tile(5 * MINUTE, by=("route",), lean=True)
    errors = source.query_range(slo.sli.errors_tile(tile), END, END, MINUTE).series
    assert {labels["route"]: values[0] for labels, values in errors} == {"broken": 100.0, "fine": 0.0}


def test_errors_and_good_events_of_two_metrics_can_be_simulated_and_other_sums_say_that_they_cannot() -> None:
    text = "service: a\nslos:\n  - {name: r, objective: 99, window: 1d, sli: {ratio: {errors: %s, good: b_total}}}\n"
    samples, _ = simulate(load_text(text % "a_total"), days=0.1, seed=1, end_ms=END)
    assert {series.labels["__name__"] for series in samples.series} == {"a_total", "b_total"}
    with pytest.raises(SloError, match="adds up several counters"):
        simulate(load_text(text % "[a_total, c_total]"), days=0.1, seed=1, end_ms=END)


def test_three_counters_of_errors_fit_into_what_victoria_metrics_takes() -> None:
    """16 KiB, as docs/definitions.md says."""
    matchers = '{job="payments-service",namespace="production",cluster="eu-west-1"}'
    lengths = []
    for number in (2, 3):
        errors = ", ".join(f"'payments_failed_{index}_total{matchers}'" for index in range(number))
        ratio = f"{{ratio: {{errors: [{errors}], total: 'payments_total{matchers}'}}}}"
        groups, _ = compile_specs(load_text(f"service: a\nslos:\n  - {{name: r, objective: 99.9, sli: {ratio}}}\n"))
        lengths.append(max(len(str(rule.expr)) for group in groups for rule in group.rules))
    assert lengths[1] < 16_384
    assert lengths[1] - lengths[0] == pytest.approx(3_300, rel=0.1)
