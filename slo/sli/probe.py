"""A gauge that is 1 when all is well and 0 when not, such as `up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from slo.fields import Model, Selector
from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, Number, VectorSelector
from slo.promql.samples import Samples
from slo.reading import Path, Report, check_gauge, read_selector
from slo.sli.base import Measured, Measuring, Note, Reader, Scraping, Simulated, Surroundings
from slo.sli.counted import CountedSli, Labelled
from slo.sli.counts import CountingStats, Counts, EdgeCursor, Grid, Part, find_gaps, finite
from slo.sli.tile import ZERO, Tile, matrix

_ONE = Number(1.0)


class ProbeModel(Model):
    """A gauge that is 1 when all is well and 0 when not, such as `up`."""

    metric: Selector


@dataclass(frozen=True)
class Probe(CountedSli):
    """A gauge from 0 to 1, such as `up`: every sample is one check, good by its value.

    Any other value makes it no probe, and its figures invalid.
    """

    key: ClassVar[str] = "probe"
    words: ClassVar[tuple[str, str]] = ("checks", "bad_checks")
    model: ClassVar[type[Model]] = ProbeModel
    simulated: ClassVar[Simulated] = "checks"
    measured_by: ClassVar[Measuring] = "checks"

    metric: VectorSelector

    @classmethod
    def read(cls, model: ProbeModel, at: Path, report: Report, around: Surroundings) -> Probe:
        metric = read_selector(model.metric, (*at, "metric"), report)
        check_gauge(metric, (*at, "metric"), report)
        return cls(metric)

    def selectors(self) -> tuple[VectorSelector, ...]:
        return (self.metric,)

    @property
    def always_counted(self) -> tuple[VectorSelector, ...]:
        return (self.metric,)

    @property
    def parameters(self) -> tuple[VectorSelector, ...]:
        return (self.metric,)

    def with_parameters(self, parameters: tuple[VectorSelector, ...]) -> Probe:
        return replace(self, metric=parameters[0])

    def narrowed(self, matchers: tuple[Matcher, ...]) -> Probe:
        return replace(self, metric=replace(self.metric, matchers=(*self.metric.matchers, *matchers)))

    def count(self, samples: Samples, grid: Grid, target: tuple[str, ...], first: int = 0) -> Measured:
        series = samples.select(self.metric)
        total, good = np.zeros(grid.steps), np.zeros(grid.steps)
        cursor = EdgeCursor(grid, first)
        parts = []
        left_out, odd = 0, []
        for line in series:
            times, values, dropped = finite(line)
            left_out += dropped
            odd += _outside(values)
            places = cursor.counts(times)
            checks = np.diff(places).astype(float)
            passed = np.diff(np.concatenate([[0.0], np.cumsum(values)])[places])
            total += checks
            good += passed
            parts.append(Part(line.labels, float(np.sum((checks - passed)[first:])), float(np.sum(checks[first:]))))
        gaps, interval = find_gaps(series, grid.start_ms, grid.end_ms, target)
        seen = CountingStats(len(series), dropped=left_out, gaps=gaps, interval_ms=interval)
        counts = Counts(grid, total - good, total, seen, tuple(parts))
        return Measured(counts, has_data=bool(series), invalid=(_no_probe(self, odd),) if odd else ())

    def errors_tile(self, tile: Tile) -> Node:
        window = matrix(self.metric, tile.length_ms, tile.lag_ms)
        failed = Binary("-", Call("count_over_time", (window,)), Call("sum_over_time", (window,)))
        return Aggregate("sum", Binary(">=", failed, ZERO), grouping=tile.by)

    def total_tile(self, tile: Tile) -> Node:
        window = matrix(self.metric, tile.length_ms, tile.lag_ms)
        # A series whose sum is NaN has a sample that is not a value: neither good nor bad.
        values = Binary("<", Call("sum_over_time", (window,)), Number(float("inf")))
        checks = Binary("and", Call("count_over_time", (window,)), values)
        return Aggregate("sum", checks, grouping=tile.by)

    def named(self) -> Mapping[str, VectorSelector]:
        return {"metric": self.metric}

    def labelled(self, tile: Tile) -> Labelled:
        window = matrix(self.metric, tile.length_ms, tile.lag_ms)
        return Labelled(self.metric, Call("count_over_time", (window,)), Call("sum_over_time", (window,)), "good")

    def finish_steps(self, measured: Measured, reader: Reader, grid: Grid, scraping: Scraping) -> Measured:
        window = MatrixSelector(self.metric, grid.step_ms)
        above = Binary(">", Call("max_over_time", (window,)), _ONE)
        below = Binary("<", Call("min_over_time", (window,)), ZERO)
        extremes = []
        for expr in (Aggregate("max", above), Aggregate("min", below)):
            answer = reader.query_range(expr, int(grid.ends[0]), grid.end_ms, grid.step_ms)
            extremes += [float(value) for _, values in answer.series for value in values[np.isfinite(values)]]
        return replace(measured, invalid=(_no_probe(self, extremes),)) if extremes else measured

    def breakdown(self, range_ms: int, target: tuple[str, ...]) -> Node:
        failed = Binary("-", _ONE, Call("avg_over_time", (MatrixSelector(self.metric, range_ms),)))
        return Aggregate("topk", Binary(">", failed, ZERO), Number(5.0))

    def describe(self) -> str:
        return "checks, bad where the answer is not 1"

    @property
    def gap_words(self) -> tuple[str, str]:
        return (
            "scrapes",
            "a gauge carries nothing over: what it was then is unknown and counts as neither good nor bad",
        )


def _outside(values: np.ndarray) -> list[float]:
    """The least and the greatest value, where they are not from 0 to 1."""
    if not len(values):
        return []
    return [value for value in (float(values.min()), float(values.max())) if not 0 <= value <= 1]


def _no_probe(probe: Probe, odd: list[float]) -> Note:
    named = ", ".join(f"{value:g}" for value in sorted({min(odd), max(odd)}))
    return Note(
        "not-a-probe",
        f"{probe.metric} has values outside 0..1 ({named}), so it cannot be read as a probe; use a threshold SLI for "
        "a gauge, or a metric that is 1 when all is well and 0 when not",
    )
