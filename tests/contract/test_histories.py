"""The histories themselves: they are what they say, and the oracle never invents an event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from slo.promql.samples import is_stale
from tests.contract.fleet import FOREVER, Bridge, Doubt, Grid
from tests.contract.histories import COUNTED, HAZARDS, KINDS, NAMED, History, draw, drawn
from tests.contract.paths import count_by_samples, slo_of
from tests.memory import Memory
from tests.promql.remote import Real
from tests.servers import Prometheus, load_openmetrics

SEEDS = range(400)
# A fleet of which some events are seen twice, or whose targets are not judged.
_OTHERWISE = {"replicas", "two writers", "mixed bounds", "more than all"}


def test_a_seed_is_one_history() -> None:
    for seed in range(0, 60, 3):
        one, other = draw(seed), draw(seed)
        assert one.hazards == other.hazards
        assert np.array_equal(one.total, other.total)
        for left, right in zip(one.samples.series, other.samples.series, strict=True):
            assert left.labels == right.labels
            assert np.array_equal(left.values, right.values, equal_nan=True)


def test_the_drawn_space_has_every_kind_and_every_hazard() -> None:
    kinds: set[str] = set()
    hazards: set[str] = set()
    states: set[str] = set()
    for seed in range(300):
        history = draw(seed)
        kinds.add(history.kind)
        hazards.update(history.hazards)
        states.add(history.state)
    assert kinds == set(KINDS)
    assert hazards == set(HAZARDS)
    assert states == {"counted", "invalid", "no data"}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_more_is_revealed_than_happened(seed: int) -> None:
    """From any moment on, by the end, a reader knows at most what happened since the data began."""
    history = draw(seed, COUNTED)
    if set(history.hazards) & _OTHERWISE or history.state != "counted":
        return
    allowed = 1e-9 * history.happened_total.sum() + 1e-6
    lead = history.lead_total  # what happened before the grid may be revealed in it
    assert history.total.sum() <= history.happened_total.sum() + lead + allowed
    assert history.total.min(initial=0) >= 0
    if history.by_step:
        assert (history.errors <= history.total + allowed).all()
        assert history.errors.min(initial=0) >= -allowed


@given(drawn())
@settings(max_examples=100)
def test_hypothesis_draws_of_the_same_space(history: History) -> None:
    assert history.errors.shape == history.total.shape == (history.grid.steps,)
    assert set(history.hazards) <= set(HAZARDS)
    for series in history.samples.series:
        assert not (series.times % 1000 == 0).any(), "a sample on an edge belongs to nobody for sure"


@pytest.mark.parametrize("name", NAMED)
def test_named_histories_are_made(name: str) -> None:
    history = NAMED[name]()
    assert history.name == name
    assert history.problem(history.errors, history.total, noted=False) is None
    if history.state == "counted":
        assert history.total.sum() > 0


@pytest.mark.parametrize(
    ("name", "errors", "total"),
    [
        # Per target and hour 720 ticks of 5 s with 50 events each, of which one is bad; the grid has 2 h.
        ("two steady targets", 2 * 2 * 720, 2 * 72_000),
        ("one target is relabelled", 2 * 2 * 720, 2 * 72_000),
        ("a relabelling is undone", 2 * 2 * 720, 2 * 72_000),
        ("counters of 1e15", 2 * 2 * 720, 2 * 72_000),
        ("latency: le 0.25 becomes 0.250", 2 * 2 * 720, 2 * 72_000),
        ("one target lacks the bound", 2 * 720, 72_000),
        ("a histogram without its last bucket", 2 * 720, 72_000),
        ("two scrapers", 2 * 2 * 720, 2 * 72_000),
        # The pod lives for the last 80 m: 960 ticks, of which 4 come after the last scrape, 23 s before the end.
        ("a pod joins at zero", 2 * 720 + 956, 72_000 + 956 * 50),
        ("no error series at all", 0, 72_000),
        ("counters of eighths", 900, 26_100),  # 7,200 s of 0.125 and of 3.625
        ("a probe that fails for ten minutes", 20, 240),
        ("a summary that is nan when idle", 10, 120),
    ],
)
def test_named_histories_have_the_figures_of_their_words(name: str, errors: float, total: float) -> None:
    history = NAMED[name]()
    assert (history.errors.sum(), history.total.sum()) == (errors, total)


def test_a_problem_is_named() -> None:
    history = replace(NAMED["two steady targets"](), doubts=())
    assert history.problem(history.errors, history.total) is None
    problem = history.problem(history.errors + _one(24, 0), history.total)
    assert problem == "errors: 121.0 instead of 120.0 in step 0 of 24 (2881.0 for 2880.0 in all)"
    assert (history.problem(history.errors[1:], history.total) or "").startswith("errors: (23,)")
    shifted = np.roll(history.total, 1) + _one(24, 0) - _one(24, 1)
    assert history.problem(history.errors, shifted) is not None


def test_doubts_allow_what_they_say_and_no_more() -> None:
    history = NAMED["two steady targets"]()
    at = history.grid.start_ms + 1
    doubtful = replace(history, doubts=(Doubt(at, "birth", less_errors=5, less_total=7, more_total=2),))
    assert doubtful.problem(history.errors - 5 * _one(24, 3), history.total - 7 * _one(24, 3)) is None
    assert doubtful.problem(history.errors - 6 * _one(24, 3), history.total) is not None
    assert doubtful.problem(history.errors + _one(24, 3), history.total) is not None
    assert doubtful.problem(history.errors, history.total + 2 * _one(24, 3)) is None
    assert doubtful.problem(history.errors, history.total - _one(24, 3), noted=False) is not None
    assert doubtful.problem(history.errors, history.total - _one(24, 3), ignore=frozenset({"birth"})) is not None
    outside = replace(history, doubts=(Doubt(history.grid.start_ms, "birth", less_total=7),))
    assert outside.problem(history.errors, history.total - _one(24, 3)) is not None
    bridged = replace(history, bridges=(Bridge(at, 20 * 60_000, 5, 50),))
    short = history.total - 50 * _one(24, 3)
    assert bridged.problem(history.errors, short, lookback_ms=15 * 60_000) is None
    assert bridged.problem(history.errors, short, lookback_ms=30 * 60_000) is not None
    assert bridged.problem(history.errors, short) is not None


def _one(steps: int, at: int) -> np.ndarray:
    found = np.zeros(steps)
    found[at] = 1
    return found


def test_a_source_in_memory_gives_what_it_is_asked_for() -> None:
    history = NAMED["two steady targets"]()
    source = Memory(history.samples, history.grid.end_ms)
    slo = slo_of(history)
    selectors = slo.sli.selectors()[1:]
    start, end = history.grid.start_ms, history.grid.start_ms + 600_000
    found = source.samples(selectors, start, end)
    assert {series.labels["code"] for series in found.series} == {"500", "503"}
    assert all(start <= series.times[0] and series.times[-1] <= end for series in found.series)
    assert len(source.samples(selectors, 0, start - FOREVER // 2**20).series) == 0


@pytest.mark.parametrize("seed", range(60))
def test_gentle_histories_are_counted_by_samples(seed: int) -> None:
    """Without any hazard every path agrees; this is the one that needs no server."""
    kinds = [name for name in KINDS if name not in ("ratio of buckets", "raw rate")]
    history = draw(seed, kinds, most=0)
    counted = count_by_samples(history)
    assert history.problem(counted.errors, counted.total, noted=False) is None


@pytest.mark.server
def test_a_server_holds_what_a_history_has(tmp_path: Path) -> None:
    history = NAMED["all series are relabelled"]()
    data = load_openmetrics(history.write_openmetrics(tmp_path / "history.txt"), tmp_path / "data")
    with Prometheus(tmp_path, data=data) as server:
        real = Real(server.address)
        answer = real.ask("/api/v1/query", query="http_requests_total[4h]", time=history.grid.end_ms / 1000)
        held = {frozenset(row["metric"].items()): row["values"] for row in answer["data"]["result"]}
    assert len(held) == len(history.samples.series) == 32
    for series in history.samples.series:
        values = held[frozenset(series.labels.items())]
        assert [float(value) for _, value in values] == series.values.tolist()
        assert [round(at * 1000) for at, _ in values] == series.times.tolist()


def test_only_histories_without_stale_markers_can_be_written_as_text() -> None:
    history = NAMED["a relabelling with stale markers"]()
    assert history.stale
    assert any(is_stale(series.values).any() for series in history.samples.series)
    assert all(is_stale(np.array(row[2])).sum() <= 1 for row in history.rows())
    assert Grid(0, 1, 1).start_ms == -1
