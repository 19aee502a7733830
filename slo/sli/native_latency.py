"""Requests within a threshold, from a native histogram."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from slo.display import show_latency
from slo.promql.ast import Aggregate, Binary, Call, Node, Number, VectorSelector
from slo.reading import Path, Report
from slo.sli.base import Measured, Measuring, Reader, Scraping, Sli, Surroundings
from slo.sli.counts import Grid
from slo.sli.stepwise import measure_steps
from slo.sli.tile import ZERO, Tile, matrix


@dataclass(frozen=True)
class NativeLatency(Sli):
    """Requests of a native histogram that took longer than `threshold_seconds` are bad.

    Only a server can count them: recordings hold no histograms. They are counted by `increase`, which extrapolates, and
    the share within the threshold is interpolated inside a bucket.
    """

    key: ClassVar[str] = "latency"  # with `native: true`
    words: ClassVar[tuple[str, str]] = ("observations", "slow")
    measured_by: ClassVar[Measuring] = "native histogram"
    by_expression: ClassVar[bool] = True
    not_simulated: ClassVar[str] = "recordings hold no native histograms; use a classic one"

    histogram: VectorSelector
    threshold_seconds: Decimal
    unit_seconds: Decimal = Decimal(1)

    @classmethod
    def read(cls, model: Any, at: Path, report: Report, around: Surroundings) -> Sli:
        """A definition writes it as a `latency`, which reads it."""
        raise NotImplementedError("a native latency is read by Latency")

    @property
    def bound(self) -> Decimal:
        """The threshold in the histogram's own unit."""
        return self.threshold_seconds / self.unit_seconds

    def selectors(self) -> tuple[VectorSelector, ...]:
        return (self.histogram,)

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        return measure_steps(self, reader, grid, scraping)

    def errors_tile(self, tile: Tile) -> Node:
        observed = self._observed(tile)
        count = Call("histogram_count", (observed,))
        within = Call("histogram_fraction", (Number(float("-inf")), Number(float(self.bound)), observed))
        slow = Binary("*", count, Binary("-", Number(1.0), within))
        # Of no requests no share is within: that is NaN, and none of them was slow.
        return Binary("or", Binary(">=", slow, ZERO), Binary("*", ZERO, count))

    def total_tile(self, tile: Tile) -> Node:
        return Call("histogram_count", (self._observed(tile),))

    def _observed(self, tile: Tile) -> Node:
        return Aggregate("sum", Call("increase", (matrix(self.histogram, tile.length_ms, tile.lag_ms),)))

    @property
    def depends_on_tile(self) -> bool:
        return True

    @property
    def gap_words(self) -> tuple[str, str]:
        return "value", "what was not counted then is unknown"

    def describe(self) -> str:
        return f"requests, bad where they took longer than {show_latency(float(self.threshold_seconds))}"
