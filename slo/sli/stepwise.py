"""Events added up by the server, step by step, in the form in which the generated rules count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, Number, VectorSelector
from slo.sli.base import Measured, Note, QueryAnswer, Reader, Scraping, Sli
from slo.sli.counters import FALLING_SHARE, name_of, several_writers
from slo.sli.counts import LOOKBACK_MS, CountingStats, Counts, Floats, Gap, Grid
from slo.sli.notes import several_writers as written_by_several
from slo.sli.tile import Tile
from slo.sli.tiles import appearing, born, broken, continued, in_doubt, refused_falls
from slo.spans import joined, stretches
from slo.window import DAY, HOUR, MINUTE, format_duration

# Above this many raw samples a server adds up the steps itself: a month of 40 series at 30 s is 3.5 million.
MOST_RAW_SAMPLES = 6_000_000
_ESTIMATES = 300
_HOURS_LOOKED_AT = 24
_SERIES_LOOKED_AT = 5
_MOST_SPANS = 40
# Metrics of one SLO may be scraped at different intervals: up to 5 m, as far as an instant vector looks back, and jitter.
_SLOWEST_MS = 330_000
_PACE_MS = 10 * MINUTE
# So many values a server is asked for to tell which series had which events, in the shortest tiles that fit.
_MOST_PARTS = 2_000_000
_PART_TILES = (HOUR, 6 * HOUR, DAY)


def too_many(sli: Sli, reader: Reader, grid: Grid, scraping: Scraping) -> bool:
    """Whether the raw samples of a time range are better left where they are. Raises SourceError."""
    return not reader.local and _raw_samples(sli, reader, grid, scraping) > MOST_RAW_SAMPLES


def _raw_samples(sli: Sli, reader: Reader, grid: Grid, scraping: Scraping) -> float:
    """About how many raw samples the time range holds, by the number of series at a few hundred moments in it."""
    length = grid.end_ms - grid.start_ms
    every = max(grid.step_ms, length // _ESTIMATES)
    samples = 0.0
    for selector in sli.selectors():
        answer = reader.query_range(
            Aggregate("count", selector), grid.end_ms - length // every * every, grid.end_ms, every
        )
        with np.errstate(over="ignore"):  # what is infinite is too many
            samples += sum(float(np.nansum(values)) for _, values in answer.series)
    return samples * every / scraping.interval_ms


def tile_of(grid: Grid, scraping: Scraping) -> Tile:
    """A step of a grid as a tile."""
    return Tile(grid.step_ms, target=scraping.target, scrape_ms=scraping.interval_ms)


def _paced(tile: Tile, counters: Sequence[VectorSelector], reader: Reader, grid: Grid) -> Tile:
    """The tile for the intervals at which the series are really scraped: those of a definition may not be all."""
    every = max(HOUR, (grid.end_ms - grid.start_ms) // _HOURS_LOOKED_AT)
    first = grid.end_ms - (grid.end_ms - grid.start_ms - 1) // every * every
    intervals = [float(tile.scrape_ms)]
    for counter in counters:
        # Of series that were there all the while.
        count = Call("count_over_time", (MatrixSelector(counter, _PACE_MS),))
        there, before = (
            Call("last_over_time", (MatrixSelector(replace(counter, offset_ms=offset), _SLOWEST_MS),))
            for offset in (0, _PACE_MS)
        )
        steady = Binary("and", Binary("and", count, there), before)
        for what in ("min", "max"):
            answer = reader.query_range(Aggregate(what, steady), first, grid.end_ms, every)
            values_found = [value for _, values in answer.series for value in values[np.isfinite(values)].tolist()]
            intervals += [_PACE_MS / value for value in values_found if value]
    slowest = min(_SLOWEST_MS, round(5 * max(intervals) / 2)) if max(intervals) > 1.5 * tile.scrape_ms else 0
    return replace(tile, slowest_ms=slowest, fastest_ms=round(min(intervals)))


def measure_steps(
    sli: Sli,
    reader: Reader,
    grid: Grid,
    scraping: Scraping,
    counters: Sequence[VectorSelector] = (),
    parts: Mapping[VectorSelector, VectorSelector] = MappingProxyType({}),
    steady: bool = False,
) -> Measured:
    """Each step added up where the samples are.

    `counters` count all events, of which some may not be believed; `parts` those of the one that each is a part of.
    `steady` says that these are all that it counts: then steps in which no series appears are asked for in a form that
    costs a server a fraction.
    """
    steps = _Steps(reader, grid)
    tile = _paced(tile_of(grid, scraping), counters, reader, grid)
    both = (*counters, *parts)
    changed = np.zeros(grid.steps, dtype=bool)
    for answer in both:
        changed |= np.isfinite(steps.ask(appearing(answer, tile)))
    errors = total = np.full(grid.steps, np.nan)
    if steady:
        errors, total = _events(steps, sli, replace(tile, steady=True), None, errors, total)
    errors, total = _events(steps, sli, tile, changed if steady else None, errors, total)
    seen_steps = np.isfinite(total)
    gaps = tuple(
        Gap(grid.start_ms + low * grid.step_ms, grid.start_ms + high * grid.step_ms)
        for low, high in stretches(~seen_steps)
    )

    def sum_of(nodes: Iterable[Node], where: NDArray[np.bool_] | None = changed) -> float:
        return sum(added_up(steps.ask(node, where)) for node in nodes)

    pauses = [gap.end_ms - gap.start_ms for gap in gaps if gap.start_ms > grid.start_ms and gap.end_ms < grid.end_ms]
    seen = CountingStats(
        series=int(seen_steps.any()),
        dropped=int(added_up(steps.ask(broken(sli.selectors(), tile)))),
        several_writers=_writers(both, reader, grid),
        gaps=gaps,
        doubt_events=sum_of(in_doubt(counter, tile) for counter in counters)
        + sum_of((refused_falls(counter, tile) for counter in counters), None),
        doubt_errors=sum_of(in_doubt(part, tile, whole) for part, whole in parts.items())
        + sum_of((refused_falls(part, tile, whole) for part, whole in parts.items()), None),
        # Of a target without a name of its own parts alone may seem to go on for others.
        continued=int(max(sum_of(continued(item, tile) for item in group) for group in (counters, parts))),
        born=int(sum_of(born(counter, tile) for counter in counters)),
        longest_unseen_ms=max((pause for pause in pauses if pause > LOOKBACK_MS), default=0),
    )
    return Measured(
        # Without a single error many expressions have no answer; with a total that means none.
        Counts(grid, np.where(np.isfinite(errors), errors, 0.0), np.where(seen_steps, total, 0.0), seen),
        notes=steps.notes,
        has_data=bool(seen_steps.any()),
        invalid=written_by_several(seen),
    )


def _events(
    steps: _Steps, sli: Sli, tile: Tile, where: NDArray[np.bool_] | None, errors: Floats, total: Floats
) -> tuple[Floats, Floats]:
    """(errors, total) per step. What errors are taken from is not asked for twice: servers have a limit on how long an
    expression is, 16 KB for VictoriaMetrics."""
    total = steps.ask(sli.total_tile(tile), where, total)
    part_is, part = sli.part_tile(tile)
    if part_is == "errors":
        return steps.ask(part, where, errors), total
    return total - steps.ask(part, where, total - errors), total


class _Steps:
    """A server's answers per step of a grid."""

    def __init__(self, reader: Reader, grid: Grid) -> None:
        self._reader, self._grid = reader, grid
        self._said: dict[str, None] = {}
        self._infinite = np.zeros(grid.steps, dtype=bool)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the source said alongside its answers, and what of them is left out."""
        said = tuple(Note("source", text) for text in self._said)
        many = np.count_nonzero(self._infinite)
        if not many:
            return said
        return (
            *said,
            Note(
                "not-finite",
                f"in {many} of {len(self._infinite)} steps the server's sums are infinite; they were left out",
            ),
        )

    def ask(self, expr: Node, where: NDArray[np.bool_] | None = None, other: Floats | None = None) -> Floats:
        """All series of an expression added up, NaN where there is none; with `where` at these steps alone, else `other`."""
        grid = self._grid
        full = np.full(grid.steps, np.nan) if other is None else other.copy()
        for low, high in [(0, grid.steps)] if where is None else _spans(where):
            first = int(grid.ends[low])
            answer = self._reader.query_range(expr, first, first + (high - low - 1) * grid.step_ms, grid.step_ms)
            self._said |= dict.fromkeys(answer.notes)
            for _, values in answer.series:
                self._infinite[low:high] |= np.isinf(values)
            full[low:high] = _summed(answer, high - low)
        return full


def _spans(where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs of steps to ask for, few of them: those that lie close together are one."""
    return joined(where, max(3, len(where) // _MOST_SPANS))


def _writers(counters: Sequence[VectorSelector], reader: Reader, grid: Grid) -> tuple[str, ...]:
    """The series that several processes write: those that fall often in some hour are read, a few at most."""
    every = max(HOUR, (grid.end_ms - grid.start_ms) // _HOURS_LOOKED_AT)
    texts: list[str] = []
    for counter in dict.fromkeys(counters):
        window = MatrixSelector(counter, HOUR)
        often = Binary("*", Number(FALLING_SHARE), Call("count_over_time", (window,)))
        first = grid.end_ms - (grid.end_ms - grid.start_ms - 1) // every * every
        answer = reader.query_range(Binary(">=", Call("resets", (window,)), often), first, grid.end_ms, every)
        for labels, values in answer.series[:_SERIES_LOOKED_AT]:
            at_ms = first + every * int(np.flatnonzero(~np.isnan(values))[-1])
            own = tuple(Matcher(label, "=", value) for label, value in sorted(labels.items()) if label != "__name__")
            # At five minutes an hour has too few scrapes; and what falls before and after is no short crash loop.
            start_ms, end_ms = at_ms - LOOKBACK_MS, min(at_ms + LOOKBACK_MS, grid.end_ms)
            samples = reader.samples([VectorSelector(counter.name, own)], start_ms, end_ms)
            texts += [name_of(series.labels) for series in samples.series if several_writers(series)]
    return tuple(dict.fromkeys(texts))


def stepwise_note(grid: Grid) -> Note:
    """Says that a server counted."""
    return Note(
        "stepwise", f"counted by the server in steps of {format_duration(grid.step_ms)}, as there are many series"
    )


def part_tile(selector: VectorSelector, reader: Reader, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """(tile_ms, the first tile's end) in which a server is asked for the events of each series; None: too many of them."""
    counted = reader.query(Aggregate("count", Call("last_over_time", (MatrixSelector(selector, HOUR),))), end_ms)
    series = sum(added_up(values) for _, values in counted.series)
    tile = next((tile for tile in _PART_TILES if series * (end_ms - start_ms) / tile <= _MOST_PARTS), None)
    if tile is None:
        return None
    tile = min(tile, end_ms - start_ms)  # of a calendar window that has just begun
    return tile, end_ms - max(0, (end_ms - start_ms) // tile - 1) * tile


def added_up(values: Floats) -> float:
    """The sum of the values that there are. Raises ArithmeticError where numbers add up to none, as 1e308 and 1e308 do."""
    with np.errstate(over="raise"):
        return float(np.nansum(values))


def _summed(answer: QueryAnswer, steps: int) -> Floats:
    """All series added up by step; what is infinite is not a value, but a sum that becomes it is an ArithmeticError: left out,
    it would be a gap, or no errors."""
    if not answer.series:
        return np.full(steps, np.nan)
    rows = np.vstack([values for _, values in answer.series])
    known = np.isfinite(rows)
    with np.errstate(over="raise"):
        return np.where(known.any(axis=0), np.where(known, rows, 0.0).sum(axis=0), np.nan)
