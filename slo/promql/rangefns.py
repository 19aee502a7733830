"""Functions over range vectors: all windows of all series at once.

Short windows go through the samples of all windows side by side, in Prometheus's own order of operations; long ones use
prefix sums, so that the cost grows with samples and steps, not with the window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slo.promql import moments, streams
from slo.promql.prefix import prefixes, window_sums
from slo.promql.values import Bools, Floats, Ints, Ranges
from slo.promql.windows import at, counts, is_short, stream, times_at

_IN_CACHE = 16_000  # values
_SPANS = 64  # targets whose windows' times are kept


def _exact_sum(r: Ranges) -> Floats | None:
    """The sum of each window by look-ups; None where the exponents reach too far."""
    folds = moments.folds(r.flat, "y")
    if folds is None:
        return None
    total = window_sums(folds, r.lo, r.hi)
    if not moments.odd(r).any():
        return total
    v = r.flat.values
    nan, up, down = (_within(r, mask) > 0 for mask in (np.isnan(v), np.isposinf(v), np.isneginf(v)))
    return np.where(nan | (up & down), np.nan, np.where(up, np.inf, np.where(down, -np.inf, total)))


def _within(r: Ranges, mask: Bools) -> Ints:
    prefix = np.concatenate([np.zeros(1, np.int64), np.cumsum(mask)])
    return np.asarray(prefix[r.hi] - prefix[r.lo])


def sum_over_time(r: Ranges) -> Floats:
    if not is_short(r) and (total := _exact_sum(r)) is not None:
        return total
    return streams.total(stream(r), r.lo.shape)


def avg_over_time(r: Ranges) -> Floats:
    if not is_short(r) and (total := _exact_sum(r)) is not None:
        return total / counts(r)
    return streams.mean(lambda: stream(r), r.lo.shape)


def extreme_over_time(r: Ranges, largest: bool) -> Floats:
    """By a doubling pyramid: level l holds the extreme of 2**l samples from each on."""
    n = counts(r)
    longest = int(n.max(initial=0))
    if longest == 0:
        return np.full(n.shape, np.nan)
    pick = np.fmax if largest else np.fmin
    level = np.where(n > 0, np.frexp(n.astype(np.float64))[1] - 1, 0)
    result = np.full(n.shape, np.nan)
    held = r.flat.values
    for current in range(longest.bit_length()):
        mask = (level == current) & (n > 0)
        if mask.any():
            result[mask] = pick(held[r.lo[mask]], held[r.hi[mask] - (1 << current)])
        step = 1 << current
        if step < len(held):
            held = np.concatenate([pick(held[:-step], held[step:]), held[-step:]])
    return result


def _with_resets(r: Ranges, result: Floats) -> Floats:
    """The change from first to last sample, plus the values that stood before each reset in the window."""
    flat = r.flat
    if "resets at" not in flat.cache:
        v = flat.values
        mask = np.zeros(len(v), dtype=bool)
        mask[1:] = v[1:] < v[:-1]
        mask &= ~flat.first_of_series()
        flatnonzero = np.flatnonzero(mask)
        flat.cache["resets at"] = flatnonzero
        flat.cache["resets sums"] = prefixes(v[flatnonzero - 1]) if len(flatnonzero) else None
    places: Ints = flat.cache["resets at"]  # type: ignore[assignment]
    if len(places) == 0:
        return result
    folds: list[Floats] | None = flat.cache["resets sums"]  # type: ignore[assignment]
    first = np.searchsorted(places, r.lo, "right")
    last = np.maximum(np.searchsorted(places, r.hi, "left"), first)
    if folds is not None and not is_short(r):
        return result + window_sums(folds, first, last)
    for j in range(int((last - first).max(initial=0))):
        held = flat.values[places[np.minimum(first + j, len(places) - 1)] - 1]
        result = np.where(first + j < last, result + held, result)
    return result


@dataclass(frozen=True, slots=True)
class _Spans:
    """What extrapolation needs of a window's times alone, seconds; the same for all series of a target."""

    present: Bools
    sampled: Floats
    to_start: Floats
    to_end: Floats


def extrapolated(r: Ranges, counter: bool, per_second: bool) -> tuple[Floats, Bools]:
    """delta, increase and rate, some series at a time so that what is at work stays in the processor's cache."""
    series, steps = r.lo.shape
    values, present = np.empty(r.lo.shape), np.empty(r.lo.shape, dtype=bool)
    rows = max(1, _IN_CACHE // max(steps, 1))
    if rows > 1:
        for row in range(0, series, rows):
            part = slice(row, row + rows)
            some = Ranges([], [], r.flat, r.lo[part], r.hi[part], r.ends, r.range_ms)
            spans = _spans(some)
            values[part], present[part] = _extrapolated(some, spans, counter, per_second), spans.present
        return values, present
    twins = r.flat.twins()
    known: dict[int, _Spans] = {}
    for row in range(series):
        some = Ranges([], [], r.flat, r.lo[row : row + 1], r.hi[row : row + 1], r.ends, r.range_ms)
        if twins[row] not in known:
            known = {twins[row]: _spans(some)} if len(known) > _SPANS else known | {twins[row]: _spans(some)}
        spans = known[twins[row]]
        values[row], present[row] = _extrapolated(some, spans, counter, per_second), spans.present
    return values, present


def _spans(r: Ranges) -> _Spans:
    n = counts(r)
    first_time, last_time = times_at(r, r.lo), times_at(r, r.hi - 1)
    to_start = (first_time - (r.ends - r.range_ms)[None, :]) / 1000
    to_end = (r.ends[None, :] - last_time) / 1000
    sampled = (last_time - first_time) / 1000
    average = sampled / (n - 1)
    threshold = average * 1.1
    return _Spans(
        n >= 2,
        sampled,
        np.where(to_start >= threshold, average / 2, to_start),
        np.where(to_end >= threshold, average / 2, to_end),
    )


def _extrapolated(r: Ranges, spans: _Spans, counter: bool, per_second: bool) -> Floats:
    """The change between first and last sample, extrapolated towards the window's edges.

    Source: Prometheus 3's documented behaviour: to a boundary nearer than 1.1 average intervals in full, else by half an
    interval, and for counters never below zero.
    """
    first, last = at(r, r.lo), at(r, r.hi - 1)
    result = last - first
    if counter:
        result = _with_resets(r, result)
    to_start = spans.to_start
    if counter:
        to_zero = spans.sampled * (first / result)
        clamp = (result > 0) & (first >= 0) & (to_zero < to_start)
        if clamp.any():
            to_start = np.where(clamp, to_zero, to_start)
    factor = (spans.sampled + to_start + spans.to_end) / spans.sampled
    if per_second:
        factor = factor / (r.range_ms / 1000)
    return np.asarray(result * factor)


def instant_change(r: Ranges, rate: bool) -> tuple[Floats, Bools]:
    """irate and idelta: from the last two samples."""
    last, before = at(r, r.hi - 1), at(r, r.hi - 2)
    change = last - before
    if rate:
        seconds = (times_at(r, r.hi - 1) - times_at(r, r.hi - 2)) / 1000
        change = np.where(last < before, last, change) / seconds
    return change, counts(r) >= 2


def extreme_time(r: Ranges, largest: bool) -> Floats:
    """When the last extreme of each window stood, in seconds."""
    held, when = at(r, r.lo), times_at(r, r.lo) / 1000
    n = counts(r)
    for j in range(1, int(n.max(initial=0))):
        values = at(r, r.lo + j)
        better = (values >= held if largest else values <= held) | np.isnan(held)
        mask = (j < n) & better
        held = np.where(mask, values, held)
        when = np.where(mask, times_at(r, r.lo + j) / 1000, when)
    return when


def double_exponential(r: Ranges, smoothing: Floats, trend: Floats) -> tuple[Floats, Bools]:
    """Holt's linear smoothing of each window."""
    n = counts(r)
    before, held = np.zeros(n.shape), at(r, r.lo)
    slope = at(r, r.lo + 1) - held
    for j in range(1, int(n.max(initial=0))):
        x = smoothing * at(r, r.lo + j)
        if j > 1:
            slope = np.where(j < n, trend * (held - before) + (1 - trend) * slope, slope)
        new = x + (1 - smoothing) * (held + slope)
        before, held = np.where(j < n, held, before), np.where(j < n, new, held)
    return held, n >= 2
