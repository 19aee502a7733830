"""Order statistics of windows: the k-th smallest sample of any window in as many look-ups as the series' length has bits.

A wavelet matrix over the ranks of a series' samples. Source: F. Claude, G. Navarro, A. Ordóñez, The wavelet matrix (2015).
"""

from __future__ import annotations

import numpy as np

from slo.promql.values import Bools, Floats, Ints


class Order:
    """The samples of one series, NaN below all else."""

    def __init__(self, values: Floats) -> None:
        order = np.lexsort((values, ~np.isnan(values)))
        self.sorted = values[order]
        ranks = np.empty(len(values), dtype=np.int32)
        ranks[order] = np.arange(len(values), dtype=np.int32)
        self.bits = max(1, len(values).bit_length())
        self.zeros: list[Ints] = []  # how many ranks before each place have no such bit, highest bit first
        for bit in reversed(range(self.bits)):
            low = (ranks >> bit) & 1 == 0
            self.zeros.append(np.concatenate([np.zeros(1, np.int32), np.cumsum(low, dtype=np.int32)]))
            ranks = np.concatenate([ranks[low], ranks[~low]])

    def kth(self, lo: Ints, hi: Ints, k: Ints) -> Floats:
        """The k-th smallest (from 0) of samples [lo, hi); k must be below hi - lo."""
        lo, hi, k = lo.copy(), hi.copy(), k.copy()
        rank = np.zeros(len(lo), dtype=np.int64)
        for level, zeros in enumerate(self.zeros):
            low, high = zeros[lo], zeros[hi]
            all_equal = k >= high - low
            k -= np.where(all_equal, high - low, 0)
            lo = np.where(all_equal, zeros[-1] + lo - low, low)
            hi = np.where(all_equal, zeros[-1] + hi - high, high)
            rank += np.where(all_equal, 1 << (self.bits - 1 - level), 0)
        return self.sorted.take(rank, mode="clip")


def quantile(order: Order, lo: Ints, hi: Ints, q: Floats) -> Floats:
    """The q-quantile of each window, between the two nearest samples; NaN for empty windows."""
    n = hi - lo
    inside = (q >= 0) & (q <= 1) & (n > 0)
    rank = np.where(inside, q, 0.0) * np.maximum(n - 1, 0)
    lower = np.floor(rank)
    upper = np.minimum(np.maximum(n - 1, 0), lower + 1)
    weight = rank - lower
    result = _kth(order, lo, hi, lower, inside) * (1 - weight) + _kth(order, lo, hi, upper, inside) * weight
    outside = np.where(np.isnan(q) | (n == 0), np.nan, np.where(q < 0, -np.inf, np.inf))
    return np.where(inside, result, outside)


def _kth(order: Order, lo: Ints, hi: Ints, k: Floats, inside: Bools) -> Floats:
    out = np.full(len(lo), np.nan)
    out[inside] = order.kth(lo[inside], hi[inside], k[inside].astype(np.int64))
    return out


def median_deviation(order: Order, lo: Ints, hi: Ints) -> Floats:
    """The median of the distances from the median, of windows that hold samples and no NaN.

    The distances of the samples below the median and of those above it ascend; the k-th of both is found by halving.
    """
    n = hi - lo
    middle = quantile(order, lo, hi, np.full(len(lo), 0.5))
    below = (n + 1) // 2  # samples at or below the median, nearest last

    def distance(k: Ints, k_of: Ints) -> Floats:
        """Of the k-th nearest at or below (0) or above the median (1); infinite beyond the last."""
        place = np.where(k_of == 0, below - 1 - k, below + k)
        there = (k >= 0) & (place >= 0) & (place < n)
        value = order.kth(lo, hi, np.clip(place, 0, n - 1))
        return np.where(there, np.abs(value - middle), np.inf)

    def kth(k: Ints) -> Floats:
        # how many of the k + 1 nearest are below: the least number whose next one below is not nearer than the last above
        least, most = np.maximum(0, k + 1 - (n - below)), np.minimum(k + 1, below)
        for _ in range(int(n.max(initial=1)).bit_length() + 1):
            half = (least + most) // 2
            enough = distance(half, zero) >= distance(k - half, last_place)
            open_ = least < most
            most = np.where(open_ & enough, half, most)
            least = np.where(open_ & ~enough, half + 1, least)
        last_below = np.where(least > 0, distance(least - 1, zero), -np.inf)
        last_above = np.where(k + 1 - least > 0, distance(k - least, last_place), -np.inf)
        return np.asarray(np.maximum(last_below, last_above))

    zero, last_place = np.zeros(len(lo), dtype=np.int64), np.ones(len(lo), dtype=np.int64)
    rank = 0.5 * (n - 1)
    lower = np.floor(rank).astype(np.int64)
    weight = rank - lower
    return np.asarray(kth(lower) * (1 - weight) + kth(np.minimum(n - 1, lower + 1)) * weight)
