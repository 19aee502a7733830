"""Kinds of SLI that are counted from raw samples: the scrapes reveal their events."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from slo.promql.ast import Aggregate, Call, MatrixSelector, Node, VectorSelector
from slo.promql.samples import Samples, Series
from slo.sli.base import Measured, Note, Reader, Scraping, Sli
from slo.sli.counters import Counters, Tally
from slo.sli.counts import LOOKBACK_MS, CountingStats, Counts, EdgeCursor, Grid, Part, PartIs, find_gaps, parts_of
from slo.sli.notes import several_writers
from slo.sli.stepwise import added_up, measure_steps, part_tile, stepwise_note, tile_of, too_many
from slo.sli.tile import Tile
from slo.sli.unmatched import unmatched

_LOOKS = 300


@dataclass(frozen=True, slots=True)
class Labelled:
    """What each series counted in a tile: of all events and of a part of them; `selector` selects all."""

    selector: VectorSelector
    whole: Node
    part: Node
    part_is: PartIs


@dataclass(frozen=True)
class CountedSli(Sli):
    """An SLI whose events are known from the raw samples of its series."""

    has_breakdown: ClassVar[bool] = True

    @abstractmethod
    def count(self, samples: Samples, grid: Grid, target: tuple[str, ...], first: int = 0) -> Measured:
        """The events per step; by series those of step `first` and later.

        `samples` should begin before the grid does, for the baselines. `target` are the labels that name a target.
        """

    @abstractmethod
    def labelled(self, tile: Tile) -> Labelled:
        """The events of each series in a tile as PromQL."""

    @property
    def takes_by(self) -> bool:
        return True

    def counters(self) -> tuple[tuple[VectorSelector, ...], Mapping[VectorSelector, VectorSelector]]:
        """The counters of all events, if it has any, and those of a part, each with the one that it is a part of."""
        return (), {}

    @abstractmethod
    def named(self) -> Mapping[str, VectorSelector]:
        """The selectors by the key that a definition has them under, of all events first."""

    def _unmatched(self, samples: Samples, reader: Reader, grid: Grid) -> tuple[Note, ...]:
        """Which of the selectors match nothing. Of an SLI without any data the first one says it all."""
        missing = [(key, selector) for key, selector in self.named().items() if not samples.select(selector)]
        return tuple(unmatched(key, selector, reader, grid) for key, selector in missing[:1])

    def _absent(self, reader: Reader, grid: Grid) -> tuple[Note, ...]:
        """The same of a server: what matches nothing at any of many moments."""
        every = max(grid.step_ms, (grid.end_ms - grid.start_ms) // _LOOKS)
        for key, selector in self.named().items():
            seen = Call("last_over_time", (MatrixSelector(selector, every),))
            there = reader.query_range(Aggregate("count", seen), grid.start_ms + every, grid.end_ms, every)
            if not there.series:
                return (unmatched(key, selector, reader, grid),)
        return ()

    def finish_steps(self, measured: Measured, reader: Reader, grid: Grid, scraping: Scraping) -> Measured:
        """What a server's answer needs alongside its counts."""
        return measured

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        if too_many(self, reader, grid, scraping):
            steps = measure_steps(self, reader, grid, scraping, *self.counters(), steady=bool(self.counters()[0]))
            steps = replace(steps, notes=(stepwise_note(grid), *steps.notes, *self._absent(reader, grid)))
            return self.finish_steps(steps, reader, grid, scraping)
        samples = reader.samples(self.selectors(), grid.start_ms - LOOKBACK_MS, grid.end_ms)
        steps = self.count(samples, grid, scraping.target, first)
        notes = (
            *(Note("source", text) for text in reader.notes),
            *steps.notes,
            *self._unmatched(samples, reader, grid),
        )
        return replace(steps, notes=notes, invalid=(*steps.invalid, *several_writers(steps.counts.seen)))

    def parts(self, reader: Reader, start_ms: int, end_ms: int, scraping: Scraping) -> tuple[Part, ...] | None:
        grid = Grid(end_ms, end_ms - start_ms, 1)
        if not too_many(self, reader, grid, scraping):
            samples = reader.samples(self.selectors(), grid.start_ms - LOOKBACK_MS, grid.end_ms)
            return self.count(samples, grid, scraping.target).counts.parts
        of = self.labelled(tile_of(grid, scraping)).selector
        asked = part_tile(of, reader, start_ms, end_ms)
        if asked is None:
            return None
        tile_ms, first_ms = asked

        def amounts(expr: Node) -> list[tuple[Mapping[str, str], float]]:
            answer = reader.query_range(expr, first_ms, end_ms, tile_ms)
            return [(labels, added_up(values)) for labels, values in answer.series]

        by_series = self.labelled(replace(tile_of(grid, scraping), length_ms=tile_ms))
        return parts_of(amounts(by_series.whole), amounts(by_series.part), by_series.part_is)


def count_part(
    series: Sequence[Series],
    part_series: Sequence[Series],
    part_is: PartIs,
    grid: Grid,
    target: tuple[str, ...],
    first: int,
) -> Measured:
    """The events of counters of all of them and of a part: per step, by series those of step `first` and later."""
    every = Counters(series, target)
    cursor = EdgeCursor(grid, first)
    whole = every.tally(cursor)
    part = Counters(part_series, target, every).tally(cursor)
    errors = part.sums if part_is == "errors" else whole.sums - part.sums
    parts = parts_of(whole.by_series, part.by_series, part_is)
    seen = seen_of(series, grid, target, whole, part)
    return Measured(Counts(grid, errors, whole.sums, seen, parts), has_data=bool(series))


def seen_of(
    series: Sequence[Series], grid: Grid, target: tuple[str, ...], whole: Tally, part: Tally | None = None
) -> CountingStats:
    """What was met while all events, and a part of them, were counted."""
    gaps, interval = find_gaps(series, grid.start_ms, grid.end_ms, target)
    return CountingStats(
        len(series),
        whole.resets,
        max(whole.born, part.born if part else 0),
        whole.born_events,
        whole.dropped,
        gaps,
        interval,
        continued=whole.continued,
        doubt_events=whole.doubt,
        doubt_errors=part.doubt if part else 0.0,
        without_baseline=whole.without_baseline,
        several_writers=tuple(dict.fromkeys((*whole.several_writers, *(part.several_writers if part else ())))),
    )
