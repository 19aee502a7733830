"""Sums, means and spreads over a stream of arrays, in Prometheus's own order of operations.

A stream gives (values, mask) pairs of one shape: the samples of a window one after the other for all windows at once,
or the series of a group one after the other for all steps at once. Sums are compensated (Neumaier).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from slo.promql.values import Bools, Floats

Stream = Iterable[tuple[Floats, Bools]]


def kahan(inc: Floats, total: Floats, rest: Floats) -> tuple[Floats, Floats]:
    """One compensated addition: the new sum and the new rest."""
    t = total + inc
    big = np.abs(total) >= np.abs(inc)
    rest = rest + np.where(big, (total - t) + inc, (inc - t) + total)
    return t, np.where(np.isinf(t), 0.0, rest)


def total(stream: Stream, shape: tuple[int, ...]) -> Floats:
    """The sum of each cell."""
    held, rest = np.zeros(shape), np.zeros(shape)
    after, part, error = np.empty(shape), np.empty(shape), np.empty(shape)
    for values, mask in stream:
        inc = np.where(mask, values, 0.0)
        # What an addition rounds away, to the bit, in sums and differences alone: they need no memory of their own.
        np.add(held, inc, out=after)
        np.subtract(after, held, out=part)
        np.subtract(after, part, out=error)
        np.subtract(held, error, out=error)
        np.subtract(inc, part, out=part)
        error += part
        rest += error
        held, after = after, held
    # An infinite sum stays infinite; what was kept alongside it is NaN.
    return np.where(np.isinf(held), held, held + rest)


def mean(stream: Callable[[], Stream], shape: tuple[int, ...]) -> Floats:
    """The mean of each cell; where the sum overflows, by running means."""
    held, rest, count = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    unbounded = np.zeros(shape, dtype=bool)
    for values, mask in stream():
        t, c = kahan(values, held, rest)
        held, rest = np.where(mask, t, held), np.where(mask, c, rest)
        count += mask
        unbounded |= mask & np.isinf(values)
    result = np.where(np.isinf(held), held, (held + rest)) / count
    overflow = np.isinf(held) & ~unbounded
    if not overflow.any():
        return result
    running, rest, seen = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for values, mask in stream():
        seen = seen + mask
        share = (seen - 1) / seen
        t, c = kahan(values / seen, share * running, share * rest)
        running, rest = np.where(mask, t, running), np.where(mask, c, rest)
    return np.where(overflow, running + rest, result)


def extreme(stream: Stream, shape: tuple[int, ...], largest: bool) -> Floats:
    """The minimum or maximum of each cell; NaN only where there is nothing else."""
    held = np.full(shape, np.nan)
    for values, mask in stream:
        better = (values > held) if largest else (values < held)
        held = np.where(mask & (better | np.isnan(held)), values, held)
    return held


def variance(stream: Stream, shape: tuple[int, ...], compensated: bool) -> Floats:
    """The population variance of each cell, by Welford; compensated for windows, plain for aggregations."""
    count, centre, centre_rest = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    spread, spread_rest = np.zeros(shape), np.zeros(shape)
    for values, mask in stream:
        count = count + mask
        delta = values - (centre + centre_rest)
        if compensated:
            new_centre, new_rest = kahan(delta / count, centre, centre_rest)
            new_spread, new_spread_rest = kahan(delta * (values - (new_centre + new_rest)), spread, spread_rest)
        else:
            new_centre, new_rest = centre + delta / count, centre_rest
            new_spread, new_spread_rest = spread + delta * (values - new_centre), spread_rest
        centre, centre_rest = np.where(mask, new_centre, centre), np.where(mask, new_rest, centre_rest)
        spread, spread_rest = np.where(mask, new_spread, spread), np.where(mask, new_spread_rest, spread_rest)
    return (spread + spread_rest) / count
