"""Functions over range vectors: all windows of all series at once.

Short windows go through the samples of all windows side by side, in Prometheus's own order of operations; long ones use
prefix sums, so that the cost grows with samples and steps, not with the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from slo.promql import streams
from slo.promql.prefix import prefixes, window_sums
from slo.promql.values import Bools, Flat, Floats, Ints, Ranges

DIRECT = 3_000_000  # samples in all windows together, below which windows are gone through side by side
_CHUNK = 4_000_000
_IN_CACHE = 16_000  # values
_SPANS = 64  # targets whose windows' times are kept


def counts(r: Ranges) -> Ints:
    """The number of samples of each window."""
    return r.hi - r.lo


def at(r: Ranges, index: Ints) -> Floats:
    """Values by index; any value where the index is out of bounds, for windows that are masked anyway."""
    if len(r.flat.values) == 0:
        return np.full(index.shape, np.nan)
    return r.flat.values.take(index, mode="clip")


def times_at(r: Ranges, index: Ints) -> Ints:
    if len(r.flat.times) == 0:
        return np.zeros(index.shape, dtype=np.int64)
    return r.flat.times.take(index, mode="clip")


def stream(r: Ranges) -> Iterator[tuple[Floats, Bools]]:
    """The samples of all windows, first ones first."""
    n = counts(r)
    for j in range(int(n.max(initial=0))):
        yield at(r, r.lo + j), j < n


def is_short(r: Ranges) -> bool:
    return int(counts(r).sum()) <= DIRECT


def _folds(r: Ranges, what: str = "values") -> list[Floats] | None:
    key = f"prefix {what}"
    if key not in r.flat.cache:
        values = r.flat.values if what == "values" else r.flat.values**2
        r.flat.cache[key] = prefixes(values)
    return r.flat.cache[key]  # type: ignore[return-value]


def sum_over_time(r: Ranges) -> Floats:
    if not is_short(r) and (folds := _folds(r)) is not None:
        return window_sums(folds, r.lo, r.hi)
    return streams.total(stream(r), r.lo.shape)


def avg_over_time(r: Ranges) -> Floats:
    if not is_short(r) and (folds := _folds(r)) is not None:
        return window_sums(folds, r.lo, r.hi) / counts(r)
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


def variance_over_time(r: Ranges) -> Floats:
    return streams.variance(stream(r), r.lo.shape, compensated=True)


def _changes(flat: Flat, kind: str) -> Ints:
    """Prefix counts of the samples that differ from the one before (`changes`) or fall below it (`resets`)."""
    key = f"count {kind}"
    if key not in flat.cache:
        v = flat.values
        mask = np.zeros(len(v), dtype=bool)
        if kind == "resets":
            mask[1:] = v[1:] < v[:-1]
        else:
            mask[1:] = (v[1:] != v[:-1]) & ~(np.isnan(v[1:]) & np.isnan(v[:-1]))
        mask &= ~flat.first_of_series()
        flat.cache[key] = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(mask)])
    return flat.cache[key]  # type: ignore[return-value]


def changes(r: Ranges, kind: str) -> Floats:
    """How often the value changed, or fell, between neighbours in each window."""
    prefix = _changes(r.flat, kind)
    last = len(prefix) - 1
    found = prefix[np.clip(r.hi, 0, last)] - prefix[np.clip(r.lo + 1, 0, last)]
    return np.where(counts(r) > 1, found, 0).astype(np.float64)


def _with_resets(r: Ranges, result: Floats) -> Floats:
    """The change from first to last sample, plus the values that stood before each reset in the window."""
    flat = r.flat
    if "resets at" not in flat.cache:
        v = flat.values
        mask = np.zeros(len(v), dtype=bool)
        mask[1:] = v[1:] < v[:-1]
        mask &= ~flat.first_of_series()
        found = np.flatnonzero(mask)
        flat.cache["resets at"] = found
        flat.cache["resets sums"] = prefixes(v[found - 1]) if len(found) else None
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


def regression(r: Ranges, intercept_ms: Ints) -> tuple[Floats, Floats]:
    """Slope per second and value at `intercept_ms` of the least squares line of each window."""
    n = counts(r)
    shape = n.shape
    x_sum, x_rest, y_sum, y_rest = (np.zeros(shape) for _ in range(4))
    xy_sum, xy_rest, xx_sum, xx_rest = (np.zeros(shape) for _ in range(4))
    first = at(r, r.lo)
    constant = np.ones(shape, dtype=bool)
    for j in range(int(n.max(initial=0))):
        mask = j < n
        y = at(r, r.lo + j)
        x = (times_at(r, r.lo + j) - intercept_ms) / 1000
        constant &= ~mask | (y == first)
        for_x, rest = streams.kahan(x, x_sum, x_rest)
        x_sum, x_rest = np.where(mask, for_x, x_sum), np.where(mask, rest, x_rest)
        for_y, rest = streams.kahan(y, y_sum, y_rest)
        y_sum, y_rest = np.where(mask, for_y, y_sum), np.where(mask, rest, y_rest)
        for_xy, rest = streams.kahan(x * y, xy_sum, xy_rest)
        xy_sum, xy_rest = np.where(mask, for_xy, xy_sum), np.where(mask, rest, xy_rest)
        for_xx, rest = streams.kahan(x * x, xx_sum, xx_rest)
        xx_sum, xx_rest = np.where(mask, for_xx, xx_sum), np.where(mask, rest, xx_rest)
    x_sum, y_sum, xy_sum, xx_sum = x_sum + x_rest, y_sum + y_rest, xy_sum + xy_rest, xx_sum + xx_rest
    covariance = xy_sum - x_sum * y_sum / n
    spread = xx_sum - x_sum * x_sum / n
    slope = covariance / spread
    intercept = y_sum / n - slope * x_sum / n
    slope = np.where(constant, np.where(np.isinf(first), np.nan, 0.0), slope)
    intercept = np.where(constant, np.where(np.isinf(first), np.nan, first), intercept)
    return slope, intercept


def sorted_windows(r: Ranges, rows: Ints) -> tuple[Floats, Ints]:
    """The samples of the chosen windows (flat indices), sorted with NaN first; padded behind. Also the lengths."""
    lo, n = r.lo.reshape(-1)[rows], counts(r).reshape(-1)[rows]
    width = max(int(n.max(initial=0)), 1)
    columns = np.arange(width)
    inside = columns[None, :] < n[:, None]
    values = np.where(inside, at(r, lo[:, None] + columns[None, :]), np.nan)
    missing = (np.isnan(values) & inside).sum(axis=1)
    ordered = np.sort(values, axis=1)
    place = columns[None, :] - missing[:, None]
    return np.where(place < 0, np.nan, np.take_along_axis(ordered, np.maximum(place, 0), axis=1)), n


def quantile_of_sorted(q: Floats, values: Floats, n: Ints) -> Floats:
    """Prometheus's quantile of each row of sorted values, of which the first n count; q is one per row."""
    rank = q * (n - 1)
    lower = np.maximum(0, np.floor(rank))
    upper = np.minimum(n - 1, lower + 1)
    weight = rank - np.floor(rank)
    last = values.shape[1] - 1

    def pick(index: Floats) -> Floats:
        whole = np.clip(np.nan_to_num(index, nan=0.0, posinf=last, neginf=0), 0, last).astype(np.int64)
        return np.take_along_axis(values, whole[:, None], axis=1)[:, 0]

    result = pick(lower) * (1 - weight) + pick(upper) * weight
    result = np.where(q < 0, -np.inf, np.where(q > 1, np.inf, result))
    return np.where(np.isnan(q) | (n == 0), np.nan, result)


def _by_windows(r: Ranges, q: Floats, spread: bool) -> Floats:
    result = np.full(r.lo.size, np.nan)
    widest = max(int(counts(r).max(initial=0)), 1)
    per = max(1, _CHUNK // widest)
    spread_q = np.broadcast_to(q, r.lo.shape).reshape(-1)
    for start in range(0, r.lo.size, per):
        rows = np.arange(start, min(start + per, r.lo.size))
        values, n = sorted_windows(r, rows)
        found = quantile_of_sorted(spread_q[rows], values, n)
        if spread:
            away = np.abs(values - found[:, None])
            inside = np.arange(values.shape[1])[None, :] < n[:, None]
            missing = (np.isnan(away) & inside).sum(axis=1)
            ordered = np.sort(np.where(inside, away, np.nan), axis=1)
            place = np.arange(values.shape[1])[None, :] - missing[:, None]
            away = np.where(place < 0, np.nan, np.take_along_axis(ordered, np.maximum(place, 0), axis=1))
            found = quantile_of_sorted(spread_q[rows], away, n)
        result[rows] = found
    return result.reshape(r.lo.shape)


def quantile_over_time(r: Ranges, q: Floats) -> Floats:
    """The q-quantile of each window; q is one per step."""
    return _by_windows(r, q, spread=False)


def mad_over_time(r: Ranges) -> Floats:
    """The median absolute deviation of each window."""
    return _by_windows(r, np.full(r.lo.shape[1], 0.5), spread=True)


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
