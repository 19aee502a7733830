"""Asks a source for what an SLI counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slo.budget.model import Note
from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node
from slo.promql.parse import parse
from slo.sli.counting import Counts, Gap, Grid, Seen, count, count_buckets
from slo.sli.selectors import buckets, raw_selectors
from slo.spec.build import WINDOW_VARIABLE
from slo.spec.model import Latency, Raw, Slo
from slo.window import HOUR, format_duration

if TYPE_CHECKING:
    from slo.source import Matrix, Source

Floats = NDArray[np.float64]

# A counter's last value before the period is its baseline; a pause in scraping may lie between.
LOOKBACK_MS = HOUR
# Above this many raw samples a server adds up the steps itself: a month of 40 series at 30 s is 3.5 million.
MOST_RAW_SAMPLES = 6_000_000


@dataclass(frozen=True)
class Measured:
    """Counts per step, the histogram's buckets if there are any, and what must be said beside them."""

    counts: Counts
    bounds: Floats = field(default_factory=lambda: np.empty(0))
    bucket_counts: Floats = field(default_factory=lambda: np.empty((0, 0)))
    notes: tuple[Note, ...] = ()
    has_data: bool = True


def measure(slo: Slo, source: Source, grid: Grid) -> Measured:
    """The events of an SLO per step of `grid`. Raises SourceError."""
    sli = slo.sli
    if isinstance(sli, Raw):
        return _ask_raw(sli, source, grid)
    if not source.local and _raw_samples(slo, source, grid) > MOST_RAW_SAMPLES:
        return _ask_steps(slo, source, grid)
    samples = source.samples(raw_selectors(sli), grid.start_ms - LOOKBACK_MS, grid.end_ms)
    counts = count(sli, samples, grid)
    if isinstance(sli, Latency):
        bounds, bucket_counts = count_buckets(sli, samples, grid)
        return Measured(counts, bounds, bucket_counts, has_data=counts.seen.series > 0)
    return Measured(counts, has_data=counts.seen.series > 0)


def _raw_samples(slo: Slo, source: Source, grid: Grid) -> float:
    """About how many raw samples the period holds, by the series at its middle and end."""
    scrapes = grid.steps * grid.step_ms / slo.scrape_interval_ms
    series = 0.0
    for at in (grid.end_ms, (grid.start_ms + grid.end_ms) // 2):
        found = 0.0
        for selector in raw_selectors(slo.sli):
            answer = source.query(Aggregate("count", selector), at)
            found += sum(float(np.nansum(values)) for _, values in answer.series)
        series = max(series, found)
    return series * scrapes


def _ask_steps(slo: Slo, source: Source, grid: Grid) -> Measured:
    """Each step added up by the server, in the form in which the generated rules count."""
    from slo.sli.promql import errors_tile, total_tile

    first, step = int(grid.ends[0]), grid.step_ms
    errors = source.query_range(errors_tile(slo.sli, step), first, grid.end_ms, step)
    total = source.query_range(total_tile(slo.sli, step), first, grid.end_ms, step)
    counts, has_data = _counts(errors, total, grid)
    text = f"counted by the server in steps of {format_duration(step)}, as there are many series"
    notes = (Note("stepwise", text), *_remarks(errors, total))
    if not isinstance(slo.sli, Latency):
        return Measured(counts, notes=notes, has_data=has_data)
    by_bound: Node = Aggregate("sum", Call("increase", (MatrixSelector(buckets(slo.sli), step),)), grouping=("le",))
    answer = source.query_range(by_bound, first, grid.end_ms, step)
    rows = sorted((float(labels.get("le", "nan").replace("Inf", "inf")), values) for labels, values in answer.series)
    if not rows:
        return Measured(counts, notes=notes, has_data=has_data)
    bounds = np.array([bound for bound, _ in rows]) * float(slo.sli.unit_seconds)
    return Measured(counts, bounds, np.nan_to_num(np.column_stack([v for _, v in rows])), notes, has_data)


def _ask_raw(sli: Raw, source: Source, grid: Grid) -> Measured:
    """Expressions as they are, asked over each step."""
    first, step = int(grid.ends[0]), grid.step_ms
    answers = [
        source.query_range(parse(text.replace(WINDOW_VARIABLE, format_duration(step))), first, grid.end_ms, step)
        for text in (sli.errors, sli.total)
    ]
    notes = list(_remarks(*answers))
    for name, answer in zip(("errors", "total"), answers, strict=True):
        if len(answer.series) > 1:
            text = f"`{name}` gives {len(answer.series)} series, which were added up; write sum(…)"
            notes.append(Note("many-series", text))
    counts, has_data = _counts(answers[0], answers[1], grid)
    return Measured(counts, notes=tuple(notes), has_data=has_data)


def _counts(errors: Matrix, total: Matrix, grid: Grid) -> tuple[Counts, bool]:
    bad, whole = _summed(errors, grid), _summed(total, grid)
    seen_steps = ~np.isnan(whole)
    # Without a single error many expressions have no answer; with a total that means none.
    bad = np.where(np.isfinite(bad), bad, 0.0)
    whole = np.where(np.isfinite(whole), whole, 0.0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~seen_steps, [False]]).astype(np.int8)))
    gaps = tuple(
        Gap(grid.start_ms + int(low) * grid.step_ms, grid.start_ms + int(high) * grid.step_ms)
        for low, high in edges.reshape(-1, 2)
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


def ratio_query(slo: Slo, window_ms: int) -> Node:
    """PromQL that gives about the same error ratio on any server, in one query over raw series."""
    from slo.sli.promql import errors_tile, total_tile

    return Binary("/", errors_tile(slo.sli, window_ms), total_tile(slo.sli, window_ms))
