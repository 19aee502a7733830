"""histogram_quantile and histogram_fraction over classic buckets, all steps of a histogram at once."""

from __future__ import annotations

import numpy as np

from slo.promql.text import parse_float
from slo.promql.values import NAME, Bools, Floats, Ints, Labels, Notes, Vector, without

_SMALL = 1e-12
_MONOTONIC = (
    "input to histogram_quantile needed to be fixed for monotonicity (see "
    "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name "
)


def bound(text: str) -> float | None:
    """The upper bound of an `le` label; None where it is none."""
    return parse_float(text)


def _coalesced(bounds: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Sorted by bound, equal bounds added up."""
    order = np.argsort(bounds, kind="stable")
    bounds, counts = bounds[order], counts[order]
    unique, first = np.unique(bounds, return_index=True)
    if len(unique) != len(bounds):
        counts = np.add.reduceat(counts, first, axis=0)
    return unique, counts


def _monotonic(counts: Floats) -> tuple[Floats, Bools]:
    """Counts that never fall from bucket to bucket, and at which steps more than rounding was corrected."""
    out = counts.copy()
    held = out[0].copy()
    forced = np.zeros(counts.shape[1], dtype=bool)
    for index in range(1, len(out)):
        now = out[index]
        size = np.abs(held) + np.abs(now)
        close = (held != now) & (np.abs(held - now) / np.minimum(size, np.finfo(float).max) < _SMALL)
        falls = (now < held) & ~close
        forced |= falls
        out[index] = np.where(close | falls, held, now)
        held = out[index]
    return out, forced


def _rows(counts: Floats, index: Ints) -> Floats:
    return np.asarray(np.take_along_axis(counts, np.maximum(index, 0)[None, :], axis=0)[0])


def _first_reached(counts: Floats, rank: Floats) -> Ints:
    """The first bucket of each step that reaches the rank, by halving as the server does: it shows where counts are NaN."""
    low, high = np.zeros(len(rank), dtype=np.int64), np.full(len(rank), len(counts), dtype=np.int64)
    for _ in range(len(counts).bit_length()):
        middle = (low + high) // 2
        short = ~(np.take_along_axis(counts, np.minimum(middle, len(counts) - 1)[None, :], axis=0)[0] >= rank)
        open_ = low < high
        low, high = np.where(open_ & short, middle + 1, low), np.where(open_ & ~short, middle, high)
    return low


def quantile(q: Floats, bounds: Floats, counts: Floats) -> tuple[Floats, Bools]:
    """The q-quantile of each step; counts are (buckets, steps). Also where the counts had to be made monotonic."""
    outside = np.where(np.isnan(q), np.nan, np.where(q < 0, -np.inf, np.inf))
    plain = (q >= 0) & (q <= 1)
    nothing = np.full(len(q), np.nan)
    bounds, counts = _coalesced(bounds, counts)
    if not len(bounds) or not np.isposinf(bounds[-1]):
        return np.where(plain, nothing, outside), np.zeros(len(q), dtype=bool)
    counts, forced = _monotonic(counts)
    if len(bounds) < 2:
        return np.where(plain, nothing, outside), forced & plain
    observations = counts[-1]
    rank = q * observations
    last = len(bounds) - 1
    b = _first_reached(counts[:-1], rank)
    below = np.where(b > 0, _rows(counts, b - 1), 0.0)
    start = np.where(b > 0, bounds[np.maximum(b - 1, 0)], 0.0)
    result = start + (bounds[b] - start) * ((rank - below) / (_rows(counts, b) - below))
    result = np.where((b == 0) & (bounds[0] <= 0), bounds[0], result)
    result = np.where(b == last, bounds[last - 1], result)
    result = np.where(observations == 0, np.nan, result)
    return np.where(plain, result, outside), forced & plain


def fraction(lower: Floats, upper: Floats, bounds: Floats, counts: Floats) -> Floats:
    """The share of observations between lower and upper, by linear interpolation in buckets."""
    steps = counts.shape[1]
    bounds, counts = _coalesced(bounds, counts)
    if not len(bounds) or not np.isposinf(bounds[-1]):
        return np.full(steps, np.nan)
    total = counts[-1]

    def rank(x: Floats) -> Floats:
        result = np.full(steps, np.nan)
        zeros = np.zeros(steps, dtype=bool)
        before = np.zeros(steps)
        for i, top in enumerate(bounds):
            low = bounds[i - 1] if i else -np.inf
            at_edge = ~zeros & (low >= x)
            result = np.where(at_edge, before, result)
            zeros |= at_edge
            inside = ~zeros & (low < x) & (top > x)
            result = np.where(inside, before + (counts[i] - before) * (x - low) / (top - low), result)
            zeros |= inside
            before = counts[i]
        return np.where(~zeros | (result > total), total, result)

    share = (rank(upper) - rank(lower)) / total
    share = np.where(lower >= upper, 0.0, share)
    return np.where((total == 0) | np.isnan(lower) | np.isnan(upper), np.nan, share)


def by_histogram(vector: Vector, params: list[Floats], notes: Notes, name: str, delayed: bool) -> Vector:
    """histogram_quantile(q, vector) or histogram_fraction(lower, upper, vector)."""
    groups: dict[Labels, list[tuple[int, float]]] = {}
    for row, labels in enumerate(vector.labels):
        held = dict(labels)
        top = bound(held.get("le", ""))
        if top is None:
            if vector.present[row].any():
                notes.warn(
                    f'bucket label "le" is missing or has a malformed value of "{held.get("le", "")}" '
                    f'for metric name "{held.get(NAME, "")}"'
                )
            continue
        groups.setdefault(without(labels, ("le",)), []).append((row, top))
    steps = vector.values.shape[1]
    values = np.full((len(groups), steps), np.nan)
    present = np.zeros((len(groups), steps), dtype=bool)
    for index, (labels, members) in enumerate(groups.items()):
        rows = [row for row, _ in members]
        tops = np.array([top for _, top in members])
        mask = vector.present[rows]
        if mask.all():  # the usual case, without the sort
            patterns, which = mask[:, :1], np.zeros(steps, dtype=np.int64)
        else:
            patterns, which = np.unique(mask, axis=1, return_inverse=True)
        forced = np.zeros(steps, dtype=bool)
        for pattern in range(patterns.shape[1]):
            used = patterns[:, pattern]
            if not used.any():
                continue
            at = np.flatnonzero(which.reshape(-1) == pattern)
            counts = vector.values[np.ix_(np.asarray(rows)[used], at)]
            if name == "histogram_quantile":
                values[index, at], forced[at] = quantile(params[0][at], tops[used], counts)
            else:
                values[index, at] = fraction(params[0][at], params[1][at], tops[used], counts)
            present[index, at] = True
        first = present[index].argmax()
        for step in np.flatnonzero(forced)[[0, -1]] if forced.any() else ():
            # a server that drops names at once has lost it after the histogram's first step
            notes.info(f'{_MONOTONIC}"{dict(labels).get(NAME, "") if delayed or step == first else ""}"')
    return Vector(list(groups), values, present, [True] * len(groups))
