"""Where an axis has its ticks, and what they say."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from slo.display import show_latency
from slo.window import DAY, HOUR, MINUTE

_STEPS = (
    5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
    DAY, 2 * DAY, 3 * DAY, 5 * DAY, 7 * DAY, 14 * DAY,
)  # fmt: skip


def time_ticks(start_ms: float, end_ms: float, most: int = 8) -> list[tuple[float, str]]:
    """Round times (UTC) within a stretch, at most `most` of them."""
    step = next((s for s in _STEPS if (end_ms - start_ms) / s <= most), _STEPS[-1])
    first = math.ceil(start_ms / step) * step
    found: list[tuple[float, str]] = []
    for index in range(int((end_ms - first) // step) + 1):
        at = first + index * step
        moment = datetime.fromtimestamp(at / 1000, UTC)
        dated = step >= DAY or (moment.hour == 0 and moment.minute == 0)
        # The outermost labels would stick out of the page.
        if 0.02 < (at - start_ms) / (end_ms - start_ms) < 0.98:
            found.append((at, f"{moment.day} {moment:%b}" if dated else f"{moment:%H:%M}"))
    return found


def share_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round shares of the budget, as percentages."""
    step = next((s for s in (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if (high - low) / s <= 6), (high - low) / 4)
    first = math.ceil(low / step - 1e-9)
    return [(index * step, f"{index * step * 100:,.0f}%") for index in range(first, int(high / step + 1e-9) + 1)]


def _decades(low: float, high: float, most: int = 5) -> list[float]:
    exponents = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
    every = max(1, -(-len(exponents) // most))
    found: list[float] = [10.0**e for e in exponents if e % every == 0]
    if len(found) < 2:
        base = 10.0 ** math.floor(math.log10(low))
        found = [base * m for m in (1, 2, 5, 10, 20, 50, 100) if low <= base * m <= high]
    return found


def percent_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten of an error ratio, as percentages."""
    return [(value, f"{float(f'{value * 100:.3g}'):g}%") for value in _decades(low, high)]


def rate_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten of a burn rate."""
    return [(value, f"{float(f'{value:.3g}'):g}x") for value in _decades(low, high, 4)]


def latency_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Powers of ten of seconds."""
    return [(value, show_latency(value)) for value in _decades(low, high)]
