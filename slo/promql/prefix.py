"""Exact sums over any window in two look-ups: prefix sums of values folded into bins that add without rounding."""

from __future__ import annotations

import math

import numpy as np

from slo.promql.values import Floats, Ints

FOLDS = 4


def prefixes(values: Floats) -> list[Floats] | None:
    """Prefix sums, each exact, whose windows' differences add up to the sum of the window.

    Each fold rounds what is left to multiples of a unit so large that n of them add exactly; None where the exponents
    reach too far for `FOLDS` folds, or a value is not finite.
    """
    if len(values) == 0:
        return [np.zeros(1)]
    largest = float(np.abs(values).max())
    if not math.isfinite(largest) or largest > 1e290:
        return None
    bits = 52 - math.ceil(math.log2(len(values) + 1))
    rest, folds = values, []
    for _ in range(FOLDS):
        largest = float(np.abs(rest).max())
        if largest == 0:
            break
        exponent = math.frexp(largest)[1] - bits
        if exponent < -1000:
            return None
        unit = math.ldexp(1.0, exponent)
        piece = np.rint(rest / unit) * unit
        folds.append(np.concatenate([np.zeros(1), np.cumsum(piece)]))
        rest = rest - piece
    if float(np.abs(rest).max()) > 0:
        return None
    return folds or [np.zeros(len(values) + 1)]


def window_sums(folds: list[Floats], lo: Ints, hi: Ints) -> Floats:
    """The sums of values[lo:hi]."""
    total = folds[-1][hi] - folds[-1][lo]
    for fold in reversed(folds[:-1]):
        total = total + (fold[hi] - fold[lo])
    return np.asarray(total)
