"""No outage of another SLO of a service is longer than a given time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from slo.fields import Duration, Model
from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, Number, Subquery, VectorSelector
from slo.reading import Fault, Path, Report, parse_quantity, read_duration, read_slice
from slo.sli.base import Measured, Reader, RecordedTiles, Scraping, Simulated, Sli, Surroundings
from slo.sli.counts import Counts, Grid
from slo.sli.slices import continued, too_long
from slo.sli.tile import ZERO, Tile, settled, side_by_side
from slo.spans import stretches
from slo.suggest import suggest
from slo.window import MINUTE, format_duration

_ONE = Number(1.0)
_LOOKBACK_MS = 15 * MINUTE


class OutageModel(Model):
    """No outage of another SLO of this service is longer than a given time."""

    of: Annotated[str, Field(description="the name of an SLO of this service")]
    longer_than: Duration
    down_at: Annotated[
        str, Field(description="the error ratio from which it is down, in percent", examples=["50%", "100%"])
    ] = "50%"
    slice: Annotated[str | None, Field(description="how often it is judged; 1m if not given")] = None


@dataclass(frozen=True)
class Outage(Sli):
    """Outages of another SLI that are over within `longest_ms`.

    A slice is down where the error ratio of `of`, the SLI of the SLO `of_name` of the same service, is at least
    `down_ratio` (0..1); it is bad once everything has been down for `longest_ms`. A slice without traffic continues
    what was before it.
    """

    key: ClassVar[str] = "outage"
    words: ClassVar[tuple[str, str]] = ("slices", "bad_slices")
    model: ClassVar[type[Model]] = OutageModel
    simulated: ClassVar[Simulated] = "another's"
    of_another: ClassVar[bool] = True

    of: Sli
    of_name: str
    longest_ms: int
    down_ratio: Decimal
    every_ms: int

    @classmethod
    def read(cls, model: OutageModel, at: Path, report: Report, around: Surroundings) -> Outage:
        if model.of not in around.others:
            report((*at, "of"), f"no SLO `{model.of}` in this service{suggest(model.of, around.others)}", "error")
            raise Fault
        of = around.others[model.of]
        if of is None:
            raise Fault  # its own fault has been reported
        if of.slice_ms is not None:
            report((*at, "of"), f"`{model.of}` is judged per slice itself; name an SLO that counts events", "error")
            raise Fault
        try:
            down = parse_quantity(model.down_at)
            if not 0 < down <= 1:
                raise ValueError(
                    f"{model.down_at!r} is not an error ratio above 0% and up to 100%; write one such as 50%"
                )
        except ValueError as error:
            report((*at, "down_at"), str(error), "error")
            raise Fault from None
        longest = read_duration(model.longer_than, (*at, "longer_than"), report)
        slice_ms = read_slice(model.slice, MINUTE, at, report)
        if longest < slice_ms:
            report((*at, "longer_than"), f"is shorter than a slice of {format_duration(slice_ms)}", "error")
            raise Fault
        return cls(of, model.of, longest, down, slice_ms)

    @property
    def slice_ms(self) -> int:
        return self.every_ms

    @property
    def longest_outage_ms(self) -> int:
        return self.longest_ms

    def selectors(self) -> tuple[VectorSelector, ...]:
        return self.of.selectors()

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        """Slices of the other SLI, and which of them lie in an outage that has lasted too long."""
        slices = self.slices_of(grid)
        return self.judged(self.of.measure(reader, slices, scraping), slices, grid)

    @property
    def another(self) -> tuple[str, Sli]:
        return self.of_name, self.of

    def slices_of(self, grid: Grid) -> Grid:
        """With as many before the grid as an outage may last."""
        per_step = grid.step_ms // self.every_ms
        before = -(-(self.longest_ms // self.every_ms) // per_step)
        return Grid(grid.end_ms, self.every_ms, (grid.steps + before) * per_step)

    def judged(self, measured: Measured, slices: Grid, grid: Grid) -> Measured:
        fine, longest = slices, self.longest_ms // self.every_ms
        per_step = grid.step_ms // self.every_ms
        before = slices.steps // per_step - grid.steps
        errors, total = measured.counts.errors, measured.counts.total
        known = total > 0
        down = known & (errors >= float(self.down_ratio) * total)
        bad = too_long(down, known, longest)
        judged = np.logical_or.accumulate(known)
        own = slice(before * per_step, None)
        summed = [flags[own].reshape(grid.steps, per_step).sum(axis=1).astype(float) for flags in (bad, judged)]
        downtimes = tuple(
            (fine.start_ms + low * self.every_ms, fine.start_ms + high * self.every_ms)
            for low, high in stretches(continued(down, known))
            if high > before * per_step
        )
        counts = Counts(grid, summed[0], summed[1], measured.counts.seen)
        return replace(
            measured,
            counts=counts,
            bounds=np.empty(0),
            bucket_counts=np.empty((0, 0)),
            downtimes=downtimes,
        )

    def errors_tile(self, tile: Tile) -> Node:
        down = Subquery(self._down(replace(tile, length_ms=self.every_ms, lag_ms=0)), self.longest_ms, self.every_ms)
        bad = Subquery(self._long_down(down), tile.length_ms, self.every_ms, tile.lag_ms)
        return Aggregate("sum", Call("sum_over_time", (bad,)))

    def total_tile(self, tile: Tile) -> Node:
        slice_tile = replace(tile, length_ms=self.every_ms, lag_ms=0)
        judged = Subquery(self._down(slice_tile), tile.length_ms, self.every_ms, tile.lag_ms)
        return Aggregate("sum", Call("count_over_time", (judged,)))

    def recorded(self, tile: Tile, series: Callable[[str, int], MatrixSelector]) -> tuple[RecordedTiles, ...]:
        """Whether it was down is kept, so that a long outage is not judged anew from raw series each time."""
        errors = self._long_down(series("down", max(self.longest_ms, tile.length_ms)), tile.length_ms)
        return (
            RecordedTiles("down", settled(self._down, tile) if self.of.counts_lean else self._down(tile)),
            RecordedTiles(
                "events", side_by_side(self.event_words, all=Binary("+", Binary("*", ZERO, errors), _ONE), bad=errors)
            ),
        )

    def _down(self, tile: Tile) -> Node:
        """1 where the share of bad events in a slice is at least `down_ratio`, 0 where it is less, absent without traffic."""
        traffic = Binary(">", self.of.total_tile(tile), ZERO)
        share = Binary("/", self.of.errors_tile(tile), traffic)
        return Binary(">=", share, Number(float(self.down_ratio)), return_bool=True)

    def _long_down(self, down: MatrixSelector | Subquery, slice_ms: int | None = None) -> Node:
        """1 where `down` has been 1 throughout its range, 0 where not, absent where nothing is known.

        A slice without traffic continues what was before it. At the start of a history an outage is as old as the
        history.
        """
        slice_ms = self.every_ms if slice_ms is None else slice_ms
        oldest: Node
        if isinstance(down, Subquery):
            oldest = Call("last_over_time", (replace(down, range_ms=slice_ms, offset_ms=down.range_ms - slice_ms),))
        else:
            selector = replace(down.selector, offset_ms=down.range_ms - slice_ms)
            oldest = Call("last_over_time", (MatrixSelector(selector, _LOOKBACK_MS),))
        throughout = Binary("and", Call("min_over_time", (down,)), oldest)
        return Binary("or", throughout, Binary("*", ZERO, Call("max_over_time", (down,))))

    def describe(self) -> str:
        return (
            f"slices of {format_duration(self.every_ms)}, bad once an outage lasts {format_duration(self.longest_ms)}"
        )

    @property
    def gap_words(self) -> tuple[str, str]:
        return self.of.gap_words
