"""A timestamp in Unix seconds that is never older than a given age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from slo.fields import Duration, Model, Selector, Slice
from slo.promql.ast import Binary, Call, Node, VectorSelector
from slo.reading import Path, Report, read_duration, read_selector, read_slice
from slo.sli.base import Held, Measured, Measuring, Reader, Scraping, Simulated, Sli, Surroundings
from slo.sli.counts import Grid, Part
from slo.sli.slices import bad_value, measure_slices, slice_parts, slices_tile
from slo.sli.tile import Tile
from slo.window import SECOND, format_duration


class FreshnessModel(Model):
    """A timestamp in Unix seconds that is never older than a given age."""

    metric: Selector
    max_age: Duration
    slice: Slice = None


@dataclass(frozen=True)
class Freshness(Sli):
    """A timestamp in Unix seconds, such as a last backup's, that is never older than `max_age_ms`; per slice."""

    key: ClassVar[str] = "freshness"
    words: ClassVar[tuple[str, str]] = ("ages", "bad_ages")
    model: ClassVar[type[Model]] = FreshnessModel
    simulated: ClassVar[Simulated] = "timestamp"
    measured_by: ClassVar[Measuring] = "timestamp"
    has_breakdown: ClassVar[bool] = True

    metric: VectorSelector
    max_age_ms: int
    every_ms: int

    @classmethod
    def read(cls, model: FreshnessModel, at: Path, report: Report, around: Surroundings) -> Freshness:
        metric = read_selector(model.metric, (*at, "metric"), report)
        max_age = read_duration(model.max_age, (*at, "max_age"), report)
        return cls(metric, max_age, read_slice(model.slice, around.scrape_ms, at, report))

    @property
    def slice_ms(self) -> int:
        return self.every_ms

    @property
    def bad(self) -> Node:
        """1 for a series that is too old now, 0 for one that is not, nothing where there is no value."""
        return bad_value(self.held.value, "<=", self.held.bound)

    @property
    def held(self) -> Held:
        return Held(Binary("-", Call("time"), self.metric), "<=", self.max_age_ms / SECOND, "seconds")

    def selectors(self) -> tuple[VectorSelector, ...]:
        return (self.metric,)

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        return measure_slices(self.bad, self.every_ms, reader, grid, first)

    def parts(self, reader: Reader, start_ms: int, end_ms: int, scraping: Scraping) -> tuple[Part, ...] | None:
        return slice_parts(self.bad, self.every_ms, reader, start_ms, end_ms)

    def errors_tile(self, tile: Tile) -> Node:
        return slices_tile(self.bad, self.every_ms, tile, "errors")

    def total_tile(self, tile: Tile) -> Node:
        return slices_tile(self.bad, self.every_ms, tile, "total")

    def describe(self) -> str:
        age = format_duration(self.max_age_ms)
        return f"checks each {format_duration(self.every_ms)}, bad where it is older than {age}"

    @property
    def gap_words(self) -> tuple[str, str]:
        return ("value", "what has no value is not judged")
