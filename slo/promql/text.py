"""Numbers as Go writes them."""

from __future__ import annotations

import math

import numpy as np


def float_text(value: float, shortest: bool = False) -> str:
    """All digits without an exponent, or with `shortest` as `%v` writes it (exponents from 1e6 and below 1e-4)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if shortest and value != 0 and not 1e-4 <= abs(value) < 1e6:
        return np.format_float_scientific(value, trim="-", exp_digits=2)
    return np.format_float_positional(value, trim="-")
