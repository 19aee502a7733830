"""Long series made short for drawing. Figures are never computed from what is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slo.window import DAY, HOUR, MINUTE

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_WIDTHS = (
    MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR, 6 * HOUR, 8 * HOUR, 12 * HOUR, DAY,
)  # fmt: skip


def keep(values: Floats, columns: int) -> Ints:
    """Indexes that draw `values` as all of them would: of each column its first, least, greatest and last.

    NaN is kept where it begins and ends a stretch, so that gaps stay gaps.
    """
    count = len(values)
    if count <= 4 * columns:
        return np.arange(count, dtype=np.int64)
    starts = np.linspace(0, count, columns, endpoint=False).astype(np.int64)
    ends = np.append(starts[1:], count)
    width = int((ends - starts).max())
    index = starts[:, None] + np.arange(width)
    inside = index < ends[:, None]
    table = values[np.minimum(index, count - 1)]
    known = inside & ~np.isnan(table)
    least = starts + np.argmin(np.where(known, table, np.inf), axis=1)
    most = starts + np.argmax(np.where(known, table, -np.inf), axis=1)
    missing = np.isnan(values)
    edges = np.flatnonzero(missing[1:] != missing[:-1])
    return np.unique(np.concatenate([starts, least, most, ends - 1, edges, edges + 1]))


def column_steps(steps: int, step_ms: int, most: int) -> int:
    """How many steps make a column of a usual length (5 m, 2 h, …), so that there are at most about `most` of them."""
    for width in _WIDTHS:
        if width % step_ms == 0 and steps * step_ms <= width * most:
            return width // step_ms
    return max(1, -(-steps // most))


def column_sums(values: NDArray[np.float64], width: int) -> Floats:
    """Sums of `width` rows at a time, the last possibly of fewer; sums along the first axis."""
    if not len(values):
        return values
    return np.add.reduceat(values, np.arange(0, len(values), width), axis=0)


def column_least(values: Floats, width: int) -> Floats:
    """The least of `width` values at a time; NaN where all are."""
    return -column_most(-values, width)


def column_most(values: Floats, width: int) -> Floats:
    """The greatest of `width` values at a time; NaN where all are."""
    if not len(values):
        return values
    reduceat = np.maximum.reduceat(np.where(np.isnan(values), -np.inf, values), np.arange(0, len(values), width))
    return np.where(np.isneginf(reduceat), np.nan, reduceat)
