"""Real servers, of both behaviours at the left end of a range: what was written is what is read, to the sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import slo.source.prometheus as module
from slo.errors import SourceError
from slo.promql.ast import Matcher, VectorSelector
from slo.promql.parse import parse
from slo.source.config import SourceConfig
from slo.source.prometheus import PrometheusSource
from tests.servers import Prometheus, VictoriaMetrics, load_openmetrics, pause, resume
from tests.source.conftest import quick

pytestmark = pytest.mark.server

STEP_MS = 30_000
COUNT = 12_000  # four days and four hours
START_MS = 1_700_000_000_000
END_MS = START_MS + (COUNT - 1) * STEP_MS
EVERY = np.arange(COUNT, dtype=np.int64)

# (times in ms, values) by metric and instance: a whole series, one that appears late, one that stops, one scraped with
# jitter, and values that are not numbers or need every digit.
WRITTEN: dict[tuple[str, str], tuple[NDArray[np.int64], NDArray[Any]]] = {
    ("requests_total", "a"): (START_MS + EVERY * STEP_MS, EVERY * 3.0),
    ("requests_total", "late"): (START_MS + EVERY[9000:] * STEP_MS, EVERY[9000:] * 1.0),
    ("requests_total", "stops"): (START_MS + EVERY[:2500] * STEP_MS, EVERY[:2500] * 1.0),
    ("errors_total", "a"): (START_MS + EVERY * STEP_MS + (EVERY * 7919) % 1000, np.floor(EVERY / 7)),
    ("odd", "a"): (
        START_MS + EVERY[:5] * STEP_MS,
        np.array([np.nan, np.inf, -np.inf, 0.1 + 0.2, 5e-324]),
    ),
}


@dataclass(frozen=True)
class Loaded:
    server: Prometheus | VictoriaMetrics
    source: PrometheusSource


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WRITTEN as OpenMetrics."""
    lines = []
    for (name, instance), (times, values) in WRITTEN.items():
        lines += [
            f'{name}{{instance="{instance}"}} {value!r} {time // 1000}.{time % 1000:03d}'
            for time, value in zip(times.tolist(), values.tolist(), strict=True)
        ]
    path = tmp_path_factory.mktemp("openmetrics") / "written.txt"
    path.write_text("\n".join([*lines, "# EOF\n"]))
    return path


@pytest.fixture(scope="module")
def blocks(text: Path) -> Path:
    return load_openmetrics(text, text.parent / "blocks")


@pytest.fixture(scope="module", params=["prometheus", "prometheus2"])
def loaded(request: pytest.FixtureRequest, blocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with Prometheus(tmp_path_factory.mktemp("server"), data=blocks, binary=request.param) as server:
        yield Loaded(server, quick(server.url, timeout_s=60.0))


def read(
    source: PrometheusSource, *selectors: VectorSelector, start_ms: int = START_MS - 7, end_ms: int = END_MS
) -> dict[tuple[str, str], tuple[list[int], list[float]]]:
    return {
        (series.labels["__name__"], series.labels["instance"]): (series.times.tolist(), series.values.tolist())
        for series in source.samples(selectors, start_ms, end_ms).series
    }


def written(
    *names: str, start_ms: int = 0, end_ms: int = END_MS
) -> dict[tuple[str, str], tuple[list[int], list[float]]]:
    answers = {}
    for key, (times, values) in WRITTEN.items():
        kept = (times >= start_ms) & (times <= end_ms)
        if key[0] in names and kept.any():
            answers[key] = (times[kept].tolist(), values[kept].tolist())
    return answers


REQUESTS = VectorSelector("requests_total")
ERRORS = VectorSelector("errors_total")


# From one span that holds everything to spans of a few hours; the days they are made of begin and end on samples.
@pytest.mark.parametrize("span_samples", [10_000_000, 10_000, 999])
def test_samples_are_those_written(loaded: Loaded, span_samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPAN_SAMPLES", span_samples)
    assert read(loaded.source, REQUESTS, ERRORS) == written("requests_total", "errors_total")


@pytest.mark.parametrize("days", [0, 1, 3])
def test_borders_that_lie_on_samples(loaded: Loaded, days: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends of a time range count, and the days that it is planned in begin and end on samples."""
    monkeypatch.setattr(module, "SPAN_SAMPLES", 1000)
    start_ms, end_ms = START_MS + 100 * STEP_MS, START_MS + 100 * STEP_MS + days * 86_400_000
    selector = VectorSelector("requests_total", (Matcher("instance", "=", "a"),))
    ((times, _),) = read(loaded.source, selector, start_ms=start_ms, end_ms=end_ms).values()
    assert times == list(range(start_ms, end_ms + 1, STEP_MS))
    shorter = read(loaded.source, selector, start_ms=start_ms + 1, end_ms=end_ms + STEP_MS - 1).values()
    assert [times for times, _ in shorter] == ([times[1:]] if days else [])


def test_values_that_are_not_numbers_or_need_every_digit(loaded: Loaded) -> None:
    ((times, values),) = read(loaded.source, VectorSelector("odd")).values()
    expected_times, expected = WRITTEN["odd", "a"]
    assert times == expected_times.tolist()
    np.testing.assert_array_equal(values, expected)


def test_metrics_told_apart_by_name_only(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPAN_SAMPLES", 5000)
    both = VectorSelector(None, (Matcher("__name__", "=~", "requests_total|errors_total"),))
    assert read(loaded.source, both) == written("requests_total", "errors_total")


def test_overlapping_selectors_count_nothing_twice(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPAN_SAMPLES", 3000)
    some = VectorSelector("requests_total", (Matcher("instance", "!=", "late"),))
    later = VectorSelector("requests_total", offset_ms=3_600_000)
    assert read(loaded.source, some, REQUESTS, later, REQUESTS) == written("requests_total")


def test_a_selector_that_narrows_another_one_is_not_asked_for(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of its series are in the other one's answer; of another metric, or with another matcher, they are not."""
    planned: list[VectorSelector] = []
    plan = PrometheusSource._plan

    def noted(self: PrometheusSource, selector: VectorSelector, after_ms: int, end_ms: int) -> list[module.SampleSpan]:
        planned.append(selector)
        return plan(self, selector, after_ms, end_ms)

    monkeypatch.setattr(PrometheusSource, "_plan", noted)
    narrow = VectorSelector("requests_total", (Matcher("instance", "!=", "late"),))
    assert read(loaded.source, narrow, REQUESTS, ERRORS) == written("requests_total", "errors_total")
    assert set(planned) == {REQUESTS, ERRORS}
    planned.clear()
    other = VectorSelector("requests_total", (Matcher("instance", "=", "late"),))
    assert read(loaded.source, narrow, other) == written("requests_total")
    assert set(planned) == {narrow, other}


def test_few_samples_are_those_of_many(loaded: Loaded) -> None:
    """Where they are more than was thought, they come all the same."""
    start_ms, end_ms = START_MS + 100 * STEP_MS, END_MS - 50 * STEP_MS
    few = loaded.source.few_samples(REQUESTS, start_ms, end_ms)
    every = loaded.source.samples([REQUESTS], start_ms, end_ms)
    assert [(one.labels, one.times.tolist()) for one in few.series] == [
        (one.labels, one.times.tolist()) for one in every.series
    ]
    assert few.series


def test_no_such_series_is_not_an_error(loaded: Loaded) -> None:
    assert read(loaded.source, VectorSelector("no_such_metric")) == {}
    assert read(loaded.source, REQUESTS, start_ms=0, end_ms=1000) == {}
    assert loaded.source.samples([], START_MS, END_MS).series == ()
    assert loaded.source.query(parse("no_such_metric"), START_MS).series == ()


def test_a_range_of_many_steps_is_what_the_server_answers_in_parts(loaded: Loaded) -> None:
    expr = "sum by (instance) (rate(requests_total[5m]))"
    matrix = loaded.source.query_range(parse(expr), START_MS, END_MS, 10_000)
    assert len(matrix.times) == (END_MS - START_MS) // 10_000 + 1 > 3 * 11_000
    expected: dict[str, dict[int, float]] = {}
    for start_ms in range(START_MS, END_MS + 1, 50_000_000):
        end_ms = min(start_ms + 50_000_000 - 10_000, END_MS)
        for entry in loaded.server.query_range(expr, start_ms / 1000, end_ms / 1000, 10):
            row = expected.setdefault(entry["metric"]["instance"], {})
            row.update((round(time * 1000), float(value)) for time, value in entry["values"])
    assert {series.labels["instance"] for series in matrix.series} == set(expected) == {"a", "late", "stops"}
    for series in matrix.series:
        present = ~np.isnan(series.values)
        values_by_time = dict(zip(matrix.times[present].tolist(), series.values[present].tolist(), strict=True))
        assert values_by_time == expected[series.labels["instance"]]


def test_times_are_exact_to_the_millisecond(loaded: Loaded) -> None:
    sample_ms, value = (array[500].item() for array in WRITTEN["errors_total", "a"])
    assert sample_ms % 1000
    expr = parse("timestamp(errors_total)")
    (at,) = loaded.source.query(expr, sample_ms).series
    (before,) = loaded.source.query(expr, sample_ms - 1).series
    assert at.values.tolist() == [sample_ms / 1000] and before.values[0] < sample_ms / 1000
    (series,) = loaded.source.query_range(expr, sample_ms - 1, sample_ms + 1, 1).series
    assert series.values[0] < series.values[1] == series.values[2]
    assert loaded.source.query(parse("errors_total"), sample_ms).series[0].values[0] == value


def test_the_servers_reason_is_passed_on(loaded: Loaded) -> None:
    both = parse(
        '{__name__=~"requests_total|errors_total"} + on() group_left() {__name__=~"requests_total|errors_total"}'
    )
    with pytest.raises(SourceError, match=r"cannot evaluate the query.*the query is"):
        loaded.source.query(both, START_MS + 10_000_000)


def test_a_server_that_loads_few_samples_at_once(blocks: Path, tmp_path: Path) -> None:
    with Prometheus(tmp_path, data=blocks, flags=["--query.max-samples=2000"]) as server:
        source = quick(server.url)
        assert read(source, REQUESTS, ERRORS) == written("requests_total", "errors_total")
        matrix = source.query_range(parse("requests_total"), START_MS, END_MS, STEP_MS)
        assert matrix.series[0].values.tolist() == WRITTEN["requests_total", "a"][1].tolist()


def test_halves_that_meet_on_a_sample(blocks: Path, tmp_path: Path) -> None:
    start_ms = END_MS - 4096 * STEP_MS + 1  # the middle of the time range, and that of its halves, are times of samples
    selector = VectorSelector("requests_total", (Matcher("instance", "=", "a"),))
    for name in ("prometheus", "prometheus2"):
        with Prometheus(tmp_path, data=blocks, binary=name, flags=["--query.max-samples=3500"]) as server:
            ((times, _),) = read(quick(server.url), selector, start_ms=start_ms).values()
        assert times == list(range(END_MS - 4095 * STEP_MS, END_MS + 1, STEP_MS))


def test_a_frozen_server_is_given_up(blocks: Path, tmp_path: Path) -> None:
    with Prometheus(tmp_path) as server:
        source = PrometheusSource.open(server.url, config=SourceConfig(timeout_s=0.3))
        pause(server)
        try:
            with pytest.raises(SourceError, match=r"no answer for 0\.3 s"):
                source.query(parse("1"), 0)
        finally:
            resume(server)
        assert source.query(parse("1"), 0).series[0].values == 1
        server.stop()
        with pytest.raises(SourceError, match="connection refused"):
            quick(server.url).query(parse("1"), 0)


def test_victoria_metrics_gives_the_same(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPAN_SAMPLES", 5000)
    with VictoriaMetrics(tmp_path) as server:
        server.load(text)
        source = quick(server.url, timeout_s=30.0)
        assert read(source, REQUESTS, ERRORS) == written("requests_total", "errors_total")
        matrix = source.query_range(parse('requests_total{instance="a"}'), START_MS + 7, END_MS + 7, STEP_MS)
        assert matrix.series[0].values.tolist() == WRITTEN["requests_total", "a"][1].tolist()
        with pytest.raises(SourceError, match=r"cannot|not accept"):
            source.query(VectorSelector("a", (Matcher("b", "=~", "("),)), START_MS)
