"""Spread and regression of windows from prefix sums: the cost does not grow with the window.

A server goes through each window's samples; its own rounding shows where large sums nearly cancel. There the windows are
gone through as it does (`spread`), so that both give the same figures to 1e-12.
"""

from __future__ import annotations

import numpy as np

from slo.promql import double_double
from slo.promql.double_double import DoubleDouble
from slo.promql.prefix import prefixes
from slo.promql.values import Bools, Flat, Floats, Ints, Ranges

_STEADY = 1000.0  # how far a sum may exceed what is left of it: 1e-16 of rounding stays below 1e-12
_LARGEST = 1e140  # squares and products stay finite
_PARTS = {"y": ("y",), "t": ("t",), "yy": ("y", "y"), "tt": ("t", "t"), "ty": ("t", "y")}


def folds(flat: Flat, what: str) -> list[Floats] | None:
    """Prefix sums of values (y), times in s (t) or their products; what is not finite counts as zero."""
    key = f"moment {what}"
    if key not in flat.cache:
        finite = np.where(np.isfinite(flat.values), flat.values, 0.0)
        sources = {"y": finite, "t": seconds(flat)}
        parts = [sources[name] for name in _PARTS[what]]
        held: list[Floats] | None = []
        if max(float(np.abs(part).max(initial=0.0)) for part in parts) > _LARGEST:
            held = None
        for piece in (parts[0],) if len(parts) == 1 else double_double.two_product(parts[0], parts[1]):
            sums_before = prefixes(piece)
            held = None if held is None or sums_before is None else held + sums_before
        flat.cache[key] = held
    return flat.cache[key]  # type: ignore[return-value]


def seconds(flat: Flat) -> Floats:
    """Milliseconds since the first sample of all, as floats without rounding."""
    return (flat.times - origin(flat)).astype(np.float64)


def origin(flat: Flat) -> int:
    return int(flat.times.min()) if len(flat.times) else 0


def _sum(parts: list[Floats], lo: Ints, hi: Ints) -> DoubleDouble:
    total, rest = np.zeros(lo.shape), np.zeros(lo.shape)
    for fold in parts:
        total, lost = double_double.two_sum(total, fold[hi] - fold[lo])
        rest = rest + lost
    return double_double.two_sum(total, rest)


def sums(r: Ranges, *names: str) -> list[DoubleDouble] | None:
    """The sums of each window by name; None where exponents reach too far."""
    double_doubles = []
    for name in names:
        held = folds(r.flat, name)
        if held is None:
            return None
        double_doubles.append(_sum(held, r.lo, r.hi))
    return double_doubles


def odd(r: Ranges) -> Ints:
    """How many samples of each window are not finite."""
    cache = r.flat.cache
    if "odd" not in cache:
        cache["odd"] = np.concatenate([np.zeros(1, np.int64), np.cumsum(~np.isfinite(r.flat.values))])
    prefix: Ints = cache["odd"]  # type: ignore[assignment]
    return np.asarray(prefix[r.hi] - prefix[r.lo])


def variance(r: Ranges, constant: Bools) -> tuple[Floats, Bools]:
    """The population variance of each window, and where it can be relied on. `constant` says where no value differs."""
    n = (r.hi - r.lo).astype(np.float64)
    moments = sums(r, "y", "yy")
    if moments is None:
        return np.full(n.shape, np.nan), np.zeros(n.shape, dtype=bool)
    total, squares = moments
    mean = double_double.divide(total, n)
    spread = double_double.divide(double_double.subtract(squares, double_double.multiply(mean, total)), n)[0]
    steady = constant | (mean[0] ** 2 <= _STEADY**2 * spread)
    strange = odd(r) > 0  # NaN, as a server has it
    return np.where(strange, np.nan, np.where(constant, 0.0, spread)), steady | strange


def line(r: Ranges, intercept_ms: Ints, ahead: Floats | None, constant: Bools) -> tuple[Floats, Floats, Bools]:
    """The least squares line of each window: slope per second, value at `intercept_ms`; where they can be relied on.

    `ahead` is how far from there the line is followed, in seconds; None where only the slope is wanted.
    """
    n = (r.hi - r.lo).astype(np.float64)
    moments = sums(r, "y", "t", "ty", "tt")
    if moments is None:
        return np.full(n.shape, np.nan), np.full(n.shape, np.nan), np.zeros(n.shape, dtype=bool)
    y, t, ty, tt = moments
    from_ms = np.broadcast_to((intercept_ms - origin(r.flat)).astype(np.float64), n.shape)
    x = double_double.subtract(t, double_double.two_product(n, from_ms))
    mean = double_double.divide(y, n)
    covariance = double_double.subtract(ty, double_double.multiply(t, mean))[0] / 1000
    spread = double_double.subtract(tt, double_double.divide(double_double.multiply(t, t), n))[0] / 1e6
    slope = covariance / spread
    to_middle = x[0] / 1000 / n
    intercept = mean[0] - slope * to_middle
    # what a server's own sums lose where they cancel
    lost = np.abs(to_middle * y[0] / covariance) + np.abs(to_middle**2 * n / spread)
    steady = lost <= _STEADY
    if ahead is not None:
        shaken = lost * np.abs(slope) * (np.abs(to_middle) + np.abs(ahead)) + np.abs(mean[0])
        steady &= shaken <= _STEADY * np.abs(slope * ahead + intercept)
    first = r.flat.values.take(r.lo, mode="clip") if len(r.flat.values) else np.zeros(n.shape)
    slope, intercept = np.where(constant, 0.0, slope), np.where(constant, first, intercept)
    return slope, intercept, (steady | constant) & (odd(r) == 0)
