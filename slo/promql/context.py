"""What the functions of PromQL may ask of the evaluation that calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from slo.promql.ast import Node, Subquery, VectorSelector
from slo.promql.samples import Samples
from slo.promql.values import Flat, Floats, Ints, Labels, Notes, Ranges, Vector


@dataclass
class Settings:
    """How a query is evaluated; lengths and moments are milliseconds."""

    lookback_ms: int
    interval_ms: int
    delayed: bool
    start_ms: int
    end_ms: int
    instant: bool
    most: int  # samples that one node may hold, of all series and steps together
    most_inside: int  # the same of a subquery's
    single: bool = False  # each step is a query of its own: a subquery is evaluated where a window of it is


class Context(Protocol):
    """An evaluation at `times` (int64 ms, one per step)."""

    samples: Samples
    times: Ints
    settings: Settings
    notes: Notes
    flats: dict[Any, Any]

    def of(self, samples: Samples, flats: dict[Any, Any]) -> Context:
        """The same evaluation of other samples."""

    def vector(self, node: Node) -> Vector:
        """The value of a node that gives an instant vector."""

    def scalar(self, node: Node) -> Floats:
        """The value of a node that gives a scalar, one per step."""

    def string(self, node: Node) -> str:
        """The value of a node that gives a text."""

    def moments(self, node: VectorSelector | Subquery) -> Ints:
        """The steps as `@` and offset move them, ms."""

    def flat(self, node: VectorSelector, after: int, until: int, stale: bool) -> tuple[list[Labels], Flat]:
        """The labels and samples of (after, until] that a selector matches."""

    def selector(self, node: VectorSelector, want_times: bool = False) -> Vector:
        """The latest values of a selector, or their times in seconds."""

    def ranges(self, node: Node) -> Ranges:
        """The samples of a range vector at each step. Raises PromqlError for another node."""

    def refuse_more(self, series: int) -> None:
        """Raises PromqlError where so many series have more samples at all steps than may be held."""

    def mapped(self, vector: Vector, fn: Any) -> Vector:
        """The vector with its values through a function, without names."""

    def unnamed(self, vector: Vector) -> Vector:
        """The vector without names."""

    def constant(self, values: Floats) -> Vector:
        """One series without labels."""
