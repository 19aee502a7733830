"""Selectors over samples: series flattened once, windows and look-ups for all steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from slo.promql.samples import Series, is_stale
from slo.promql.values import Bools, Flat, Floats, Ints, Labels, Ranges, Vector


def flatten(parts: Sequence[tuple[Ints, Floats]]) -> Flat:
    """Series one behind the other."""
    bounds = np.concatenate([[0], np.cumsum([len(times) for times, _ in parts])]).astype(np.int64)
    if not parts:
        return Flat(np.zeros(0, dtype=np.int64), np.zeros(0), bounds)
    return Flat(np.concatenate([t for t, _ in parts]), np.concatenate([v for _, v in parts]), bounds)


def cut(series: Iterable[Series], after_ms: int, until_ms: int, keep_stale: bool) -> list[tuple[Ints, Floats]]:
    """The samples of each series in (after, until], without staleness markers unless they are wanted."""
    parts = []
    for line in series:
        low, high = np.searchsorted(line.times, (after_ms, until_ms), "right")
        times, values = line.times[low:high], line.values[low:high]
        if not keep_stale and bool((stale := is_stale(values)).any()):
            times, values = times[~stale], values[~stale]
        parts.append((times, values))
    return parts


def _edges(flat: Flat, at: Ints) -> Ints:
    """For each series and moment the index after the last sample that is not later."""
    out = np.empty((len(flat.bounds) - 1, len(at)), dtype=np.int64)
    for row, twin in enumerate(flat.twins()):
        low, high = flat.bounds[row], flat.bounds[row + 1]
        if twin == row:
            out[row] = np.searchsorted(flat.times[low:high], at, "right")
            out[row] += low
        else:
            np.add(out[twin], low - flat.bounds[twin], out=out[row])
    return out


def ranges(flat: Flat, labels: list[Labels], drop: list[bool], ends: Ints, range_ms: int) -> Ranges:
    """Windows (end - range, end] of every series at every step."""
    shift = _shift(ends, range_ms)
    if shift:
        # A window begins where an earlier one ended, so one look-up serves for both edges.
        both = _edges(flat, np.concatenate([ends[:shift] - range_ms, ends]))
        return Ranges(labels, drop, flat, both[:, : len(ends)], both[:, shift:], ends, range_ms)
    return Ranges(labels, drop, flat, _edges(flat, ends - range_ms), _edges(flat, ends), ends, range_ms)


def _shift(ends: Ints, range_ms: int) -> int:
    """How many steps a window is long; 0 where it is not a whole number of them, or longer than all."""
    step = int(ends[1] - ends[0]) if len(ends) > 1 else 0
    if step <= 0:
        return 0
    shift, rest = divmod(range_ms, step)
    return shift if not rest and shift < len(ends) and bool((np.diff(ends) == step).all()) else 0


def latest(flat: Flat, at: Ints, lookback_ms: int) -> tuple[Floats, Bools, Ints]:
    """The last sample of each series that is younger than the look-back and no staleness marker; its time too."""
    index = _edges(flat, at) - 1
    if len(flat.times) == 0:
        return np.full(index.shape, np.nan), np.zeros(index.shape, dtype=bool), np.zeros(index.shape, dtype=np.int64)
    exists = index >= flat.bounds[:-1][:, None]
    index = np.maximum(index, 0)
    values, times = flat.values[index], flat.times[index]
    present = exists & (times > at[None, :] - lookback_ms)
    stale = is_stale(flat.values)
    if stale.any():
        present &= ~stale[index]
    return values, present, times


def samples_of(vector: Vector, times: Ints) -> list[tuple[Ints, Floats]]:
    """The present values of a vector as samples, for subqueries."""
    return [(times[mask], values[mask]) for values, mask in zip(vector.values, vector.present, strict=True)]
