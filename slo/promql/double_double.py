"""Numbers of twice the digits, as pairs (high, low) of arrays: what is left when nearly equal sums are subtracted.

Source: T. J. Dekker, A floating-point technique for extending the available precision (1971); D. E. Knuth's two-sum.
"""

from __future__ import annotations

from typing import TypeAlias

from slo.promql.values import Floats

DoubleDouble: TypeAlias = tuple[Floats, Floats]
_SPLIT = 2.0**27 + 1


def two_sum(a: Floats, b: Floats) -> DoubleDouble:
    """The sum and what rounding took from it, exactly."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _halves(a: Floats) -> DoubleDouble:
    big = _SPLIT * a
    high = big - (big - a)
    return high, a - high


def two_product(a: Floats, b: Floats) -> DoubleDouble:
    """The product and what rounding took from it, exactly while nothing overflows."""
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def add(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    high, low = two_sum(a[0], b[0])
    return two_sum(high, low + a[1] + b[1])


def subtract(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    return add(a, (-b[0], -b[1]))


def multiply(a: DoubleDouble, b: DoubleDouble) -> DoubleDouble:
    high, low = two_product(a[0], b[0])
    return two_sum(high, low + (a[0] * b[1] + a[1] * b[0]))


def divide(a: DoubleDouble, by: Floats) -> DoubleDouble:
    """By plain numbers."""
    high = a[0] / by
    back = two_product(high, by)
    rest = ((a[0] - back[0]) - back[1] + a[1]) / by
    return two_sum(high, rest)
