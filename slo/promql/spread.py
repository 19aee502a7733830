"""Spread and trend of windows: stddev_over_time, stdvar_over_time, deriv, predict_linear."""

from __future__ import annotations

import numpy as np

from slo.promql import moments, streams
from slo.promql.values import Bools, Floats, Ints, Ranges
from slo.promql.windows import at, constant, counts, is_short, some_of, stream, times_at

# Where sums nearly cancel, a server's rounding shows. As many samples are gone through in its order of operations to get
# the same digits; beyond, the result is that of exact sums, nearer to the truth than the server's.
RETRACED = 10_000_000


def _retraceable(r: Ranges, mask: Bools) -> bool:
    """Few enough samples, or no exact sums because the exponents reach too far."""
    return int(counts(r)[mask].sum()) <= RETRACED or moments.sums(r, "yy") is None


def variance_over_time(r: Ranges) -> Floats:
    """The population variance of each window."""
    if is_short(r):
        return streams.variance(stream(r), r.lo.shape, compensated=True)
    values, steady = moments.variance(r, constant(r))
    rest = ~steady & (counts(r) > 0)
    if rest.any() and _retraceable(r, rest):
        some = some_of(r, rest)
        values[rest] = streams.variance(stream(some), some.lo.shape, compensated=True)[0]
    return values


def regression(r: Ranges, intercept_ms: Ints, ahead: Floats | None = None) -> tuple[Floats, Floats]:
    """Slope per second and value at `intercept_ms` of the least squares line of each window.

    `ahead` is how far from there it will be followed, in seconds, for each window; None where only the slope counts.
    """
    if is_short(r):
        return _regression(r, intercept_ms)
    slope, intercept, steady = moments.line(r, intercept_ms, ahead, constant(r))
    rest = ~steady & (counts(r) > 1)
    if rest.any() and _retraceable(r, rest):
        of_rest = _regression(some_of(r, rest), np.broadcast_to(intercept_ms, r.lo.shape)[rest][None, :])
        slope[rest], intercept[rest] = of_rest[0][0], of_rest[1][0]
    return slope, intercept


def _regression(r: Ranges, intercept_ms: Ints) -> tuple[Floats, Floats]:
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
