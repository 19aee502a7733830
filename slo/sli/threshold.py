"""A value that must keep to a bound, judged once per slice of time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from slo.fields import Model, Quantity, Slice
from slo.promql.ast import Binary, Call, Node, VectorSelector, walk
from slo.promql.parse import parse
from slo.reading import Fault, Path, Report, check_level, parse_quantity, read_slice, read_vector
from slo.sli.base import Held, Measured, Reader, Scraping, Simulated, Sli, Surroundings
from slo.sli.counts import Grid, Part
from slo.sli.raw import selectors_in
from slo.sli.slices import Comparison, bad_value, measure_slices, slice_parts, slices_tile
from slo.sli.tile import Tile
from slo.window import format_duration

_OPERATORS: dict[str, Comparison] = {"at_least": ">=", "at_most": "<=", "above": ">", "below": "<"}


class ThresholdModel(Model):
    """A value that must keep to a bound, judged once per slice of time."""

    value: Annotated[
        str,
        Field(
            description="PromQL; each of its series is judged by itself",
            examples=['sum(rate(http_requests_total{job="api"}[2m]))'],
        ),
    ]
    at_least: Quantity | None = None
    at_most: Quantity | None = None
    above: Quantity | None = None
    below: Quantity | None = None
    slice: Slice = None


@dataclass(frozen=True)
class Threshold(Sli):
    """A value that must keep to a bound, judged once per slice of time: each slice of each series is one check.

    `expr` is PromQL; a check is good where `expr op bound` holds. A slice without a value is not judged.
    """

    key: ClassVar[str] = "threshold"
    words: ClassVar[tuple[str, str]] = ("values", "bad_values")
    model: ClassVar[type[Model]] = ThresholdModel
    simulated: ClassVar[Simulated] = "value"
    has_breakdown: ClassVar[bool] = True

    expr: str
    op: Comparison
    bound: Decimal
    every_ms: int

    @classmethod
    def read(cls, model: ThresholdModel, at: Path, report: Report, around: Surroundings) -> Threshold:
        given = [name for name in _OPERATORS if getattr(model, name) is not None]
        if len(given) != 1:
            join = " and ".join(given) if given else "none"
            report(at, f"a threshold has exactly one of {', '.join(_OPERATORS)}; found {join}", "error")
            raise Fault
        try:
            bound = parse_quantity(getattr(model, given[0]))
        except ValueError as error:
            report((*at, given[0]), str(error), "error")
            raise Fault from None
        check_level(read_vector(model.value, (*at, "value"), report), (*at, "value"), report)
        slice_ms = read_slice(model.slice, around.scrape_ms, at, report)
        return cls(model.value, _OPERATORS[given[0]], bound, slice_ms)

    @property
    def slice_ms(self) -> int:
        return self.every_ms

    @property
    def bad(self) -> Node:
        """1 for a series that is bad now, 0 for one that is good, nothing where there is no value."""
        return bad_value(parse(self.expr), self.op, float(self.bound))

    @property
    def held(self) -> Held:
        value = parse(self.expr)
        return Held(value, self.op, float(self.bound), _unit(value))

    def selectors(self) -> tuple[VectorSelector, ...]:
        return tuple(dict.fromkeys(selectors_in(self.expr)))

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        return measure_slices(self.bad, self.every_ms, reader, grid, first)

    def parts(self, reader: Reader, start_ms: int, end_ms: int, scraping: Scraping) -> tuple[Part, ...] | None:
        return slice_parts(self.bad, self.every_ms, reader, start_ms, end_ms)

    def errors_tile(self, tile: Tile) -> Node:
        return slices_tile(self.bad, self.every_ms, tile, "errors")

    def total_tile(self, tile: Tile) -> Node:
        return slices_tile(self.bad, self.every_ms, tile, "total")

    def describe(self) -> str:
        return f"checks each {format_duration(self.every_ms)}, good where the value is {self.op} {self.bound.normalize():f}"

    @property
    def gap_words(self) -> tuple[str, str]:
        return ("value", "what has no value is not judged")


def _unit(value: Node) -> Literal["bytes", "seconds", ""]:
    """The unit that the names of its metrics say, where nothing is done to them that changes it."""
    nodes = list(walk(value))
    called = {node.func for node in nodes if isinstance(node, Call)}
    if any(isinstance(node, Binary) and node.op in ("*", "/", "^") for node in nodes):
        return ""
    if (
        called & {"rate", "irate", "deriv", "count_over_time", "changes", "resets"}
        and "histogram_quantile" not in called
    ):
        return ""
    names = {node.name or "" for node in nodes if isinstance(node, VectorSelector)}
    for ending, unit in (("_bytes", "bytes"), ("_seconds", "seconds")):
        if names and all(name.removesuffix("_bucket").endswith(ending) for name in names):
            return "bytes" if unit == "bytes" else "seconds"
    return ""
