"""Events added up by the server, step by step, in the form in which the generated rules count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, Number, VectorSelector
from slo.sli.base import Answer, Measured, Note, Reader, Scraping, Sli
from slo.sli.counters import FALLING_SHARE, name_of, several_writers
from slo.sli.counts import LOOKBACK_MS, Counts, Floats, Gap, Grid, Seen
from slo.sli.notes import several_writers as written_by_several
from slo.sli.slices import stretches
from slo.sli.tiles import Tile, born, broken, continued, in_doubt
from slo.window import DAY, HOUR, format_duration

# Above this many raw samples a server adds up the steps itself: a month of 40 series at 30 s is 3.5 million.
MOST_RAW_SAMPLES = 6_000_000
_ESTIMATES = 300
_HOURS_LOOKED_AT = 24
_SERIES_LOOKED_AT = 5
# Metrics of one SLO may be scraped at different intervals: up to 5 m, as far as an instant vector looks back, and jitter.
_SLOWEST_MS = 330_000
_FASTEST_MS = 15_000
# So many values a server is asked for to tell which series had which events, in the shortest tiles that fit.
_MOST_PARTS = 2_000_000
_PART_TILES = (HOUR, 6 * HOUR, DAY)


def too_many(sli: Sli, reader: Reader, grid: Grid, scraping: Scraping) -> bool:
    """Whether the raw samples of a period are better left where they are. Raises SourceError."""
    return not reader.local and _raw_samples(sli, reader, grid, scraping) > MOST_RAW_SAMPLES


def _raw_samples(sli: Sli, reader: Reader, grid: Grid, scraping: Scraping) -> float:
    """About how many raw samples the period holds, by the number of series at a few hundred moments in it."""
    length = grid.end_ms - grid.start_ms
    every = max(grid.step_ms, length // _ESTIMATES)
    found = 0.0
    for selector in sli.selectors():
        answer = reader.query_range(
            Aggregate("count", selector), grid.end_ms - length // every * every, grid.end_ms, every
        )
        found += sum(float(np.nansum(values)) for _, values in answer.series)
    return found * every / scraping.interval_ms


def tile_of(grid: Grid, scraping: Scraping) -> Tile:
    """A step of a grid as a tile."""
    return Tile(
        grid.step_ms,
        target=scraping.target,
        scrape_ms=scraping.interval_ms,
        slowest_ms=_SLOWEST_MS,
        fastest_ms=_FASTEST_MS,
    )


def measure_steps(
    sli: Sli,
    reader: Reader,
    grid: Grid,
    scraping: Scraping,
    counters: Sequence[VectorSelector] = (),
    parts: Mapping[VectorSelector, VectorSelector] | None = None,
) -> Measured:
    """Each step added up where the samples are.

    `counters` count all events, of which some may not be believed; `parts` those of the one that each is a part of.
    """
    tile = tile_of(grid, scraping)

    def ask(expr: Node) -> Answer:
        return reader.query_range(expr, int(grid.ends[0]), grid.end_ms, grid.step_ms)

    errors, total = ask(sli.errors_tile(tile)), ask(sli.total_tile(tile))
    bad, whole = _summed(errors, grid), _summed(total, grid)
    seen_steps = ~np.isnan(whole)
    # Without a single error many expressions have no answer; with a total that means none.
    bad = np.where(np.isfinite(bad), bad, 0.0)
    whole = np.where(np.isfinite(whole), whole, 0.0)
    gaps = tuple(
        Gap(grid.start_ms + low * grid.step_ms, grid.start_ms + high * grid.step_ms)
        for low, high in stretches(~seen_steps)
    )

    def all_of(nodes: Iterable[Node]) -> float:
        return sum(float(np.nansum(_summed(ask(node), grid))) for node in nodes)

    no_numbers = float(np.nansum(_summed(ask(broken(sli.selectors(), tile)), grid)))
    writers = _writers((*counters, *(parts or {})), reader, grid)
    unseen = max(
        (gap.end_ms - gap.start_ms for gap in gaps if gap.start_ms > grid.start_ms and gap.end_ms < grid.end_ms),
        default=0,
    )
    seen = Seen(
        series=len(total.series),
        dropped=int(no_numbers),
        several_writers=writers,
        gaps=gaps,
        doubt_events=all_of(in_doubt(one, tile) for one in counters),
        doubt_errors=all_of(in_doubt(part, tile, whole) for part, whole in (parts or {}).items()),
        continued=int(all_of(continued(one, tile) for one in counters)),
        born=int(all_of(born(one, tile) for one in counters)),
        longest_unseen_ms=unseen if unseen > LOOKBACK_MS else 0,
    )
    return Measured(
        Counts(grid, bad, whole, seen),
        notes=source_notes(errors, total),
        has_data=bool(seen_steps.any()),
        invalid=written_by_several(seen),
    )


def _writers(counters: Sequence[VectorSelector], reader: Reader, grid: Grid) -> tuple[str, ...]:
    """The series that several processes write: those that fall often in some hour are read, a few at most."""
    every = max(HOUR, (grid.end_ms - grid.start_ms) // _HOURS_LOOKED_AT)
    found: list[str] = []
    for counter in dict.fromkeys(counters):
        window = MatrixSelector(counter, HOUR)
        often = Binary("*", Number(FALLING_SHARE), Call("count_over_time", (window,)))
        first = grid.end_ms - (grid.end_ms - grid.start_ms - 1) // every * every
        answer = reader.query_range(Binary(">=", Call("resets", (window,)), often), first, grid.end_ms, every)
        for labels, values in answer.series[:_SERIES_LOOKED_AT]:
            at_ms = first + every * int(np.flatnonzero(~np.isnan(values))[-1])
            own = tuple(Matcher(label, "=", value) for label, value in sorted(labels.items()) if label != "__name__")
            samples = reader.samples([VectorSelector(counter.name, own)], at_ms - HOUR, at_ms)
            found += [name_of(series.labels) for series in samples.series if several_writers(series)]
    return tuple(dict.fromkeys(found))


def stepwise_note(grid: Grid) -> Note:
    """Says that a server counted."""
    return Note(
        "stepwise", f"counted by the server in steps of {format_duration(grid.step_ms)}, as there are many series"
    )


def source_notes(*answers: Answer) -> tuple[Note, ...]:
    """What a source said beside its answers."""
    return tuple(Note("source", text) for text in dict.fromkeys(text for answer in answers for text in answer.notes))


def part_tile(selector: VectorSelector, reader: Reader, start_ms: int, end_ms: int) -> tuple[int, int] | None:
    """(tile_ms, the first tile's end) in which a server is asked for the events of each series; None: too many of them."""
    counted = reader.query(Aggregate("count", Call("last_over_time", (MatrixSelector(selector, HOUR),))), end_ms)
    series = sum(float(np.nansum(values)) for _, values in counted.series) or 1.0
    tile = next((tile for tile in _PART_TILES if series * (end_ms - start_ms) / tile <= _MOST_PARTS), None)
    if tile is None:
        return None
    tile = min(tile, end_ms - start_ms)  # of a calendar period that has just begun
    return tile, end_ms - max(0, (end_ms - start_ms) // tile - 1) * tile


def outside(values: Sequence[Node]) -> Node:
    """All of some expressions' series."""
    found = values[0]
    for other in values[1:]:
        found = Binary("or", found, other)
    return found


def _summed(answer: Answer, grid: Grid) -> Floats:
    if not answer.series:
        return np.full(grid.steps, np.nan)
    rows = np.vstack([values for _, values in answer.series])
    known = np.isfinite(rows)
    return np.where(known.any(axis=0), np.where(known, rows, 0.0).sum(axis=0), np.nan)
