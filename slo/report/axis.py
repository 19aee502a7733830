"""Where an axis has its ticks, and what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slo.display import MINUS, show_latency, show_value
from slo.window import DAY, HOUR, MINUTE, moment

_STEPS = (
    5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 56 * DAY, 91 * DAY, 182 * DAY,
)  # fmt: skip


def time_ticks(start_ms: float, end_ms: float, most: int = 8) -> list[tuple[float, str]]:
    """Round times (UTC) within a stretch, at most `most` of them."""
    step = next((s for s in _STEPS if (end_ms - start_ms) / s <= most), _STEPS[-1])
    first = math.ceil(start_ms / step) * step
    ticks: list[tuple[float, str]] = []
    for index in range(int((end_ms - first) // step) + 1):
        at = first + index * step
        shown = moment(at)
        dated = step >= DAY or (shown.hour == 0 and shown.minute == 0)
        # The outermost labels would stick out of the page.
        if 0.02 < (at - start_ms) / (end_ms - start_ms) < 0.98:
            ticks.append((at, f"{shown.day} {shown:%b}" if dated else f"{shown:%H:%M}"))
    return ticks


def share_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round shares of the budget, as percentages."""
    step = next((s for s in (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if (high - low) / s <= 6), (high - low) / 4)
    first = math.ceil(low / step - 1e-9)
    return [
        (index * step, f"{index * step * 100:,.0f}%".replace("-", MINUS))
        for index in range(first, int(high / step + 1e-9) + 1)
    ]


def ratio_ticks(budget: float, high: float) -> list[tuple[float, str]]:
    """An error ratio's axis, as percentages: 0, the error budget, and powers of ten above it."""
    return [(value, f"{float(f'{value * 100:.3g}'):g}%") for value in _from_zero(budget, high)]


def rate_ticks(high: float) -> list[tuple[float, str]]:
    """A burn rate's axis: 0, 1, and powers of ten."""
    return [(value, f"{float(f'{value:.3g}'):g}x") for value in _from_zero(1.0, high)]


def _from_zero(unit: float, high: float) -> list[float]:
    """0, `unit`, and powers of ten that do not stand too near it."""
    exponents = range(math.ceil(math.log10(unit * 2.5)), math.floor(math.log10(max(high, unit)) + 1e-9) + 1)
    return [0.0, unit, *(10.0**e for e in exponents)]


# Lengths of time that people count in, in seconds.
_LENGTHS = (
    *(m * 10.0**e for e in range(-6, 1) for m in (1, 2, 5)),
    10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200,
    *(86400.0 * m for m in (1, 2, 5, 7, 14, 28, 56, 112, 224, 365)),
)  # fmt: skip
# And those far enough from each other for a logarithmic axis.
_FAR_LENGTHS = (*(10.0**e for e in range(-6, 2)), 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 28 * 86400.0)


def latency_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Lengths of time on a logarithmic axis in seconds: `10ms`, `1s`, `1m`, `1h`, `1d`."""
    values = [value for value in _FAR_LENGTHS if low <= value <= high]
    if len(values) < 2:
        values = [value for value in _LENGTHS if low <= value <= high]
    every = max(1, -(-len(values) // most))
    return [(value, show_latency(value)) for value in values[::every]]


def value_ticks(low: float, high: float, unit: str, most: int = 5) -> list[tuple[float, str]]:
    """Round values on a linear axis, in bytes, in seconds, or in what they are."""
    span = (high - low) or 1.0
    steps: Sequence[float]
    if unit == "seconds":
        steps = _LENGTHS
    elif unit == "bytes":
        steps = [2.0**e for e in range(70)]
    else:
        steps = [m * 10.0**e for e in range(-9, 16) for m in (1, 2, 5)]
    step = next((s for s in steps if span / s <= most), steps[-1])
    first = math.ceil(low / step - 1e-9)
    return [(index * step, show_value(index * step, unit)) for index in range(first, int(high / step + 1e-9) + 1)]
