"""Asks a source for what an SLI counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slo.budget.model import Note
from slo.promql.ast import Aggregate, Call, MatrixSelector, Node, VectorSelector
from slo.sli.counting import Counts, Gap, Grid, Part, Seen, count, count_buckets, parts_of
from slo.sli.promql import errors_tile, every_request, good_requests, increments, total_tile
from slo.sli.selectors import buckets, raw_selectors
from slo.sli.slices import bad_slice, continued, stretches, too_long
from slo.spec.model import Freshness, Latency, NativeLatency, Outage, Probe, Ratio, Raw, Sli, Slo, Threshold
from slo.window import DAY, HOUR, format_duration

if TYPE_CHECKING:
    from slo.source import Matrix, Source

Floats = NDArray[np.float64]

# A counter's last value before the period is its baseline; a pause in scraping may lie between.
LOOKBACK_MS = HOUR
# Above this many raw samples a server adds up the steps itself: a month of 40 series at 30 s is 3.5 million.
MOST_RAW_SAMPLES = 6_000_000
_ESTIMATES = 300
# So many values a server is asked for to tell which series had which events, in the shortest tiles that fit.
_MOST_PARTS = 2_000_000
_PART_TILES = (HOUR, 6 * HOUR, DAY)


@dataclass(frozen=True)
class Measured:
    """Counts per step, the histogram's buckets if there are any, and what must be said beside them.

    Where `invalid` is not empty the counts cannot be believed, for the reasons that it names.
    """

    counts: Counts
    bounds: Floats = field(default_factory=lambda: np.empty(0))
    bucket_counts: Floats = field(default_factory=lambda: np.empty((0, 0)))
    notes: tuple[Note, ...] = ()
    has_data: bool = True
    downtimes: tuple[tuple[int, int], ...] = ()
    invalid: tuple[Note, ...] = ()


def measure(slo: Slo, source: Source, grid: Grid, first: int = 0) -> Measured:
    """The events of an SLO per step of `grid`; by series those of step `first` and later. Raises SourceError."""
    return _measure(slo.sli, slo.scrape_interval_ms, source, grid, first)


def _measure(sli: Sli, scrape_ms: int, source: Source, grid: Grid, first: int = 0) -> Measured:
    match sli:
        case Raw() | NativeLatency():
            return _ask_steps(sli, source, grid)
        case Threshold() | Freshness():
            return _ask_slices(sli, source, grid, first)
        case Outage():
            return _measure_outage(sli, scrape_ms, source, grid)
        case Ratio() | Latency() | Probe():
            if not source.local and _raw_samples(sli, scrape_ms, source, grid) > MOST_RAW_SAMPLES:
                return _ask_steps(sli, source, grid)
            samples = source.samples(raw_selectors(sli), grid.start_ms - LOOKBACK_MS, grid.end_ms)
            counts = count(sli, samples, grid, first)
            has_data = counts.seen.series > 0
            notes = tuple(Note("source", text) for text in source.notes)
            if not isinstance(sli, Latency):
                return Measured(counts, notes=notes, has_data=has_data)
            bounds, bucket_counts = count_buckets(sli, samples, grid)
            return Measured(counts, bounds, bucket_counts, notes, has_data)


def _measure_outage(sli: Outage, scrape_ms: int, source: Source, grid: Grid) -> Measured:
    """Slices of the other SLI, and which of them lie in an outage that has lasted too long."""
    per_step, longest = grid.step_ms // sli.slice_ms, sli.longest_ms // sli.slice_ms
    before = -(-longest // per_step)
    fine = Grid(grid.end_ms, sli.slice_ms, (grid.steps + before) * per_step)
    measured = _measure(sli.of, scrape_ms, source, fine)
    errors, total = measured.counts.errors, measured.counts.total
    known = total > 0
    down = known & (errors >= float(sli.down_ratio) * total)
    bad = too_long(down, known, longest)
    judged = np.logical_or.accumulate(known)
    own = slice(before * per_step, None)
    summed = [flags[own].reshape(grid.steps, per_step).sum(axis=1).astype(float) for flags in (bad, judged)]
    downtimes = tuple(
        (fine.start_ms + low * sli.slice_ms, fine.start_ms + high * sli.slice_ms)
        for low, high in stretches(continued(down, known))
        if high > before * per_step
    )
    counts = Counts(grid, summed[0], summed[1], measured.counts.seen)
    return Measured(
        counts, notes=measured.notes, has_data=measured.has_data, downtimes=downtimes, invalid=measured.invalid
    )


def _ask_slices(sli: Threshold | Freshness, source: Source, grid: Grid, first: int) -> Measured:
    """A value judged at the end of each slice."""
    answer = source.query_range(bad_slice(sli), grid.start_ms + sli.slice_ms, grid.end_ms, sli.slice_ms)
    bad, judged = np.zeros(grid.steps), np.zeros(grid.steps)
    parts = []
    for labels, values in answer.series:
        rows = values.reshape(grid.steps, -1)
        own, own_bad = (~np.isnan(rows)).sum(axis=1), np.nansum(rows, axis=1)
        judged += own
        bad += own_bad
        parts.append(Part(labels, float(np.sum(own_bad[first:])), float(np.sum(own[first:]))))
    gaps = tuple(
        Gap(grid.start_ms + low * grid.step_ms, grid.start_ms + high * grid.step_ms)
        for low, high in stretches(judged == 0)
    )
    counts = Counts(grid, bad, judged, Seen(series=len(answer.series), gaps=gaps), tuple(parts))
    return Measured(counts, notes=tuple(_remarks(answer)), has_data=bool(judged.any()))


def _raw_samples(sli: Sli, scrape_ms: int, source: Source, grid: Grid) -> float:
    """About how many raw samples the period holds, by the number of series at a few hundred moments in it."""
    length = grid.end_ms - grid.start_ms
    every = max(grid.step_ms, length // _ESTIMATES)
    found = 0.0
    for selector in raw_selectors(sli):
        answer = source.query_range(
            Aggregate("count", selector), grid.end_ms - length // every * every, grid.end_ms, every
        )
        found += sum(float(np.nansum(values)) for _, values in answer.series)
    return found * every / scrape_ms


def _ask_steps(sli: Ratio | Latency | NativeLatency | Probe | Raw, source: Source, grid: Grid) -> Measured:
    """Each step added up where the samples are, in the form in which the generated rules count."""
    first, step = int(grid.ends[0]), grid.step_ms
    errors = source.query_range(errors_tile(sli, step), first, grid.end_ms, step)
    total = source.query_range(total_tile(sli, step), first, grid.end_ms, step)
    counts, has_data = _counts(errors, total, grid)
    notes = _remarks(errors, total)
    if not isinstance(sli, Raw | NativeLatency):
        text = f"counted by the server in steps of {format_duration(step)}, as there are many series"
        notes.insert(0, Note("stepwise", text))
    if not isinstance(sli, Latency):
        return Measured(counts, notes=tuple(notes), has_data=has_data)
    by_bound: Node = Aggregate("sum", Call("increase", (MatrixSelector(buckets(sli), step),)), grouping=("le",))
    answer = source.query_range(by_bound, first, grid.end_ms, step)
    rows = sorted((float(labels.get("le", "nan").replace("Inf", "inf")), values) for labels, values in answer.series)
    if not rows:
        return Measured(counts, notes=tuple(notes), has_data=has_data)
    bounds = np.array([bound for bound, _ in rows]) * float(sli.unit_seconds)
    return Measured(counts, bounds, np.nan_to_num(np.column_stack([v for _, v in rows])), tuple(notes), has_data)


def parts_between(slo: Slo, source: Source, start_ms: int, end_ms: int) -> tuple[Part, ...] | None:
    """The events of (start, end] by series; None for an SLI of which that is not known. Raises SourceError."""
    match slo.sli:
        case Threshold(slice_ms=slice_ms) | Freshness(slice_ms=slice_ms):
            grid = Grid(end_ms, slice_ms, max(1, (end_ms - start_ms) // slice_ms))
        case Ratio() | Latency() | Probe():
            grid = Grid(end_ms, end_ms - start_ms, 1)
            if not source.local and _raw_samples(slo.sli, slo.scrape_interval_ms, source, grid) > MOST_RAW_SAMPLES:
                return ask_parts(slo.sli, source, start_ms, end_ms)
        case _:
            return None
    return measure(slo, source, grid).counts.parts


def ask_parts(sli: Sli, source: Source, start_ms: int, end_ms: int) -> tuple[Part, ...] | None:
    """The events of the whole hours up to `end_ms` by series, added up where the samples are.

    None for an SLI of which that is not known, or of too many series. Raises SourceError.
    """
    known: tuple[VectorSelector, ...]
    match sli:
        case Ratio():
            selector, known = sli.total, (sli.total, sli.part)
        case Latency():
            selector, known = every_request(sli), (every_request(sli),)
        case Probe():
            selector, known = sli.metric, ()
        case _:
            return None
    counted = source.query(Aggregate("count", Call("last_over_time", (MatrixSelector(selector, HOUR),))), end_ms)
    series = sum(float(np.nansum(values)) for _, values in counted.series) or 1.0
    tile = next((tile for tile in _PART_TILES if series * (end_ms - start_ms) / tile <= _MOST_PARTS), None)
    if tile is None:
        return None
    tile = min(tile, end_ms - start_ms)  # of a calendar period that has just begun
    first = end_ms - max(0, (end_ms - start_ms) // tile - 1) * tile

    def amounts(expr: Node) -> list[tuple[Mapping[str, str], float]]:
        answer = source.query_range(expr, first, end_ms, tile)
        return [(labels, float(np.nansum(values))) for labels, values in answer.series]

    match sli:
        case Probe(metric=metric):
            window = MatrixSelector(metric, tile)
            checks, passed = amounts(Call("count_over_time", (window,))), amounts(Call("sum_over_time", (window,)))
            return parts_of(checks, passed, "good")
        case Latency():
            whole = amounts(increments(selector, tile))
            return parts_of(whole, amounts(increments(good_requests(sli), tile, 0, known)), "good")
        case Ratio(total=total, part=part, part_is=part_is):
            return parts_of(amounts(increments(total, tile)), amounts(increments(part, tile, 0, known)), part_is)


def _counts(errors: Matrix, total: Matrix, grid: Grid) -> tuple[Counts, bool]:
    bad, whole = _summed(errors, grid), _summed(total, grid)
    seen_steps = ~np.isnan(whole)
    # Without a single error many expressions have no answer; with a total that means none.
    bad = np.where(np.isfinite(bad), bad, 0.0)
    whole = np.where(np.isfinite(whole), whole, 0.0)
    gaps = tuple(
        Gap(grid.start_ms + low * grid.step_ms, grid.start_ms + high * grid.step_ms)
        for low, high in stretches(~seen_steps)
    )
    return Counts(grid, bad, whole, Seen(series=len(total.series), gaps=gaps)), bool(seen_steps.any())


def _summed(answer: Matrix, grid: Grid) -> Floats:
    if not answer.series:
        return np.full(grid.steps, np.nan)
    rows = np.vstack([values for _, values in answer.series])
    known = np.isfinite(rows)
    return np.where(known.any(axis=0), np.where(known, rows, 0.0).sum(axis=0), np.nan)


def _remarks(*answers: Matrix) -> list[Note]:
    return [Note("source", text) for text in dict.fromkeys(text for answer in answers for text in answer.notes)]
