"""Quantiles of windows: quantile_over_time and mad_over_time."""

from __future__ import annotations

import numpy as np

from slo.promql import moments
from slo.promql.order import Order, median_deviation, quantile
from slo.promql.values import Flat, Floats, Ints, Ranges
from slo.promql.windows import at, counts, is_short, some_of

_CHUNK = 4_000_000


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
        quantiles = quantile_of_sorted(spread_q[rows], values, n)
        if spread:
            away = np.abs(values - quantiles[:, None])
            inside = np.arange(values.shape[1])[None, :] < n[:, None]
            missing = (np.isnan(away) & inside).sum(axis=1)
            ordered = np.sort(np.where(inside, away, np.nan), axis=1)
            place = np.arange(values.shape[1])[None, :] - missing[:, None]
            away = np.where(place < 0, np.nan, np.take_along_axis(ordered, np.maximum(place, 0), axis=1))
            quantiles = quantile_of_sorted(spread_q[rows], away, n)
        result[rows] = quantiles
    return result.reshape(r.lo.shape)


def _order(flat: Flat, row: int) -> Order:
    """Of one series, made when it is needed and let go: it takes several times the memory of the samples."""
    return Order(flat.values[flat.bounds[row] : flat.bounds[row + 1]])


def quantile_over_time(r: Ranges, q: Floats) -> Floats:
    """The q-quantile of each window; q is one per step."""
    if is_short(r):
        return _by_windows(r, q, spread=False)
    values = np.empty(r.lo.shape)
    for row, first in enumerate(r.flat.bounds[:-1]):
        values[row] = quantile(_order(r.flat, row), r.lo[row] - first, r.hi[row] - first, q)
    return values


def mad_over_time(r: Ranges) -> Floats:
    """The median absolute deviation of each window."""
    half = np.full(r.lo.shape[1], 0.5)
    if is_short(r):
        return _by_windows(r, half, spread=True)
    values, plain = np.full(r.lo.shape, np.nan), moments.odd(r) == 0
    for row, first in enumerate(r.flat.bounds[:-1]):
        some = plain[row] & (counts(r)[row] > 0)
        values[row, some] = median_deviation(_order(r.flat, row), r.lo[row, some] - first, r.hi[row, some] - first)
    if not plain.all():
        values[~plain] = _by_windows(some_of(r, ~plain), half[:1], spread=True)[0]
    return values
