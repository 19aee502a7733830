"""Numbers as Go writes them."""

from __future__ import annotations

import math
import re

import numpy as np

_DECIMAL = re.compile(r"[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9]+)?")
_HEX = re.compile(r"[+-]?0[xX]_?(?:[0-9a-fA-F](?:_?[0-9a-fA-F])*\.?[0-9a-fA-F_]*|\.[0-9a-fA-F_]+)[pP][+-]?[0-9]+")
_WORDS = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)


def parse_float(text: str) -> float | None:
    """A float as Go's ParseFloat reads it; None where it reads none."""
    if _WORDS.fullmatch(text) or _DECIMAL.fullmatch(text):
        return float(text.replace("_", ""))
    if _HEX.fullmatch(text):
        return float.fromhex(text.replace("_", ""))
    return None


def float_text(value: float, shortest: bool = False) -> str:
    """All digits without an exponent, or with `shortest` as `%v` writes it (exponents from 1e6 and below 1e-4)."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if shortest and value != 0 and not 1e-4 <= abs(value) < 1e6:
        return np.format_float_scientific(value, trim="-", exp_digits=2)
    return np.format_float_positional(value, trim="-")
