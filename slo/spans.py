"""Spans of time and runs of flags: where they begin and end, and which of them are one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def edges(flags: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Where each run of True begins, and one past where it ends: shape (runs, 2), ascending."""
    return np.flatnonzero(np.diff(flags, prepend=False, append=False)).reshape(-1, 2)


def stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs of True as (first, one past the last)."""
    return [(low, high) for low, high in edges(flags).tolist()]


def joined(flags: NDArray[np.bool_], apart: int) -> list[tuple[int, int]]:
    """The runs of True, those that at most `apart` others lie between as one."""
    runs: list[tuple[int, int]] = []
    for low, high in stretches(flags):
        if runs and low - runs[-1][1] <= apart:
            runs[-1] = runs[-1][0], high
        else:
            runs.append((low, high))
    return runs


def union(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans (low, high), joined where they touch or overlap, ascending."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if result and low <= result[-1][1]:
            result[-1] = result[-1][0], max(result[-1][1], high)
        else:
            result.append((low, high))
    return result
