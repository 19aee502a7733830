"""The second history is as nasty as it says, its truth adds up, and evaluation counts what its scrapes reveal."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from slo.budget.measure import measure
from slo.promql.samples import Samples, Series
from slo.sli.base import Measured
from slo.sli.counts import Grid
from slo.source import Source
from slo.source import open as open_source
from slo.source.openmetrics import write_openmetrics
from slo.spec.load import loads
from slo.window import MINUTE
from tests.contract.fleet import DAY, END, HOUR, Floats
from tests.contract.paths import events_of, tiles_of
from tests.contract.second import COLD_MS, HOLE, Second, load, make
from tests.memory import Memory
from tests.servers import Prometheus, VictoriaMetrics, load_openmetrics


@pytest.fixture(scope="module")
def second() -> Second:
    return make(seed=2)


@pytest.fixture(scope="module")
def measured(second: Second) -> Measured:
    """As `slo status` evaluates a recording of it."""
    (slo,) = loads(second.definition, "second.yaml", [])[0].slos
    return measure(slo, Memory(second.samples, END), Grid(END, second.grid.step_ms, second.grid.steps))


def test_its_size_and_its_budget(second: Second) -> None:
    assert 4_000 < len(second.samples) < 6_000
    assert 80 < second.revealed < second.happened < 95
    assert second.grid.start_ms == END - 30 * DAY
    for said in (f"{second.revealed:.1f} % of the budget", f"{len(second.samples):,} series"):
        assert said in DOCS.read_text()


def test_what_is_revealed_never_exceeds_what_happened(second: Second) -> None:
    day = 24
    for hours in (1, 6, day, 30 * day):
        revealed, happened = second.revealed_total[-hours:].sum(), second.happened_total[-hours:].sum()
        # An hour's last events are revealed in the next one, up to 5 m later.
        assert revealed <= happened * 1.1
    assert 0.99 < second.revealed_total.sum() / second.happened_total.sum() < 1
    assert 0.95 < second.revealed_errors.sum() / second.happened_errors.sum() < 1


def test_no_scrape_falls_into_the_hole_and_its_errors_are_revealed_after_it(second: Second) -> None:
    for series in second.samples.series:
        assert not ((series.times >= HOLE[0]) & (series.times < HOLE[1])).any()
    hour = (HOLE[0] - second.grid.start_ms) // HOUR
    around = slice(hour, hour + 3)
    assert second.revealed_errors[around].sum() == pytest.approx(second.happened_errors[around].sum(), rel=0.05)
    # Twenty minutes of a fifth of the requests are a good part of the budget: no path may lose them.
    assert second.happened_errors[around].sum() > 0.4 * second.happened_errors.sum()


def test_nights_are_idle_pods_are_replaced_and_crash(second: Second) -> None:
    assert load(np.array([END + 2.5 * HOUR])).tolist() == [0.0]
    instances = {series.labels["instance"] for series in second.samples.series}
    versions = {series.labels["version"] for series in second.samples.series}
    assert len(versions) > 31 * 24 / 5 - 2
    assert len(instances) > 1000
    falls = [int((np.diff(series.values) < 0).sum()) for series in second.samples.series]
    assert sum(many > 2 for many in falls) > 10
    intervals = {int(np.median(np.diff(s.times)) / 1000 + 0.5) for s in second.samples.series if len(s.times) > 50}
    assert {15, 30, 60, 120, 300} <= intervals


def test_first_values_of_pods_matter(second: Second) -> None:
    """Who takes them for baselines misses more of the budget than the contract's 0.2 points."""
    assert COLD_MS == 30_000
    without = second.consumed(
        second.revealed_errors.sum() - second.first_errors, second.revealed_total.sum() - second.first_total
    )
    assert second.revealed - without > 0.5


def test_evaluation_consumes_what_scrapes_reveal(second: Second, measured: Measured) -> None:
    """Within 0.2 points of the budget, and no event that scrapes do not reveal."""
    errors, total = float(measured.counts.errors.sum()), float(measured.counts.total.sum())
    assert measured.has_data
    assert not measured.invalid
    assert abs(second.consumed(errors, total) - second.revealed) < 0.2
    assert total == pytest.approx(second.revealed_total.sum(), rel=1e-4)
    assert errors == pytest.approx(second.revealed_errors.sum(), rel=1e-3)


def test_evaluation_is_right_in_every_hour(second: Second, measured: Measured) -> None:
    """Nothing is made up for elsewhere: an hour's errors are its own, in crash loops, after the hole and in deployments."""
    wrong = np.abs(measured.counts.errors - second.revealed_errors)
    assert second.consumed(float(wrong.sum()), float(second.revealed_total.sum())) < 0.2
    assert measured.counts.errors.min() >= 0
    assert (measured.counts.errors <= measured.counts.total).all()


def test_evaluation_counts_the_first_values_of_new_pods(second: Second, measured: Measured) -> None:
    """All but one of them are within what their job's traffic makes possible, and the one is said to be in doubt."""
    seen = measured.counts.seen
    assert seen.born_events + seen.doubt_events >= second.first_total
    assert seen.doubt_events < 0.01 * second.first_total
    assert seen.several_writers == ()


DOCS = Path(__file__).parents[2] / "docs" / "rules.md"
SERVERS = {"prometheus": "Prometheus 3.5", "prometheus2": "Prometheus 2.42", "victoria-metrics": "VictoriaMetrics"}
SHIFT = -100 * DAY  # VictoriaMetrics takes no samples of the future


@pytest.fixture(scope="module")
def moved(second: Second, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history as text, in the past."""
    place = tmp_path_factory.mktemp("second") / "history.txt"
    rows = (Series(one.labels, one.times + SHIFT, one.values) for one in second.samples.series)
    write_openmetrics(place, Samples(rows))
    return place


@pytest.fixture(scope="module")
def blocks(moved: Path) -> Path:
    return load_openmetrics(moved, moved.parent / "data")


@pytest.fixture(scope="module", params=["engine", *SERVERS])
def by_rules(
    request: pytest.FixtureRequest, second: Second, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Floats, Floats]:
    """Who counts, and (errors, events) per hour that the rules' tiles count, each minute for itself, by our engine or a real server."""
    if request.param != "engine" and "SLO_LONG" not in os.environ:
        pytest.skip("minutes for each server; make long runs it")
    place, moved_by = tmp_path_factory.mktemp("servers"), SHIFT
    served: Source
    with ExitStack() as stack:
        if request.param == "victoria-metrics":
            store = stack.enter_context(VictoriaMetrics(place))
            store.load(request.getfixturevalue("moved"))
            served = open_source(store.url)
        elif request.param != "engine":
            data = request.getfixturevalue("blocks")
            served = open_source(stack.enter_context(Prometheus(place, data=data, binary=request.param)).url)
        else:
            moved_by = 0
        (slo,) = loads(second.definition, "second.yaml", [])[0].slos
        hours: list[tuple[Floats, Floats]] = []
        for start in range(second.grid.start_ms, END, 6 * HOUR):
            end = start + 6 * HOUR
            if request.param == "engine":
                near = (
                    one for one in second.samples.series if one.times[-1] > start - 3 * HOUR and one.times[0] <= end
                )
                served = Memory(Samples(list(near)), end + MINUTE)
            hours.append(events_of(slo, tiles_of(slo, served, start + moved_by, end + moved_by)))
    errors, events = (
        np.concatenate([(found if len(found) else np.zeros(360)).reshape(6, 60).sum(axis=1) for found in counts])
        for counts in zip(*hours, strict=True)
    )
    return request.param, errors, events


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_the_rules_consume_the_budget_that_scrapes_reveal(second: Second, by_rules: tuple[str, Floats, Floats]) -> None:
    server, errors, events = by_rules
    off = second.consumed(float(errors.sum()), float(events.sum())) - second.revealed
    assert abs(off) < 0.2
    if server in SERVERS:
        assert f"| {SERVERS[server]} | {off:+.3f} |" in DOCS.read_text()


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
@pytest.mark.parametrize("hours", [1, 6, 72])
def test_the_rules_burn_rates_are_those_of_the_scrapes(
    second: Second, by_rules: tuple[str, Floats, Floats], hours: int
) -> None:
    errors, events = (np.convolve(counts, np.ones(hours), "valid") for counts in by_rules[1:])
    right = (np.convolve(counts, np.ones(hours), "valid") for counts in (second.revealed_errors, second.revealed_total))
    true_errors, true_events = right
    assert errors.max() / events[errors.argmax()] == pytest.approx(
        true_errors.max() / true_events[true_errors.argmax()], rel=0.02
    )
    burning = true_errors > 0.0005 * true_events
    ratio = errors[burning] / events[burning]
    assert ratio == pytest.approx(true_errors[burning] / true_events[burning], rel=0.02)
