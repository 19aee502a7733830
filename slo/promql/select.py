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
    for one in series:
        low, high = np.searchsorted(one.times, (after_ms, until_ms), "right")
        times, values = one.times[low:high], one.values[low:high]
        if not keep_stale and bool((stale := is_stale(values)).any()):
            times, values = times[~stale], values[~stale]
        parts.append((times, values))
    return parts


def _edges(flat: Flat, at: Ints) -> Ints:
    """For each series and moment the index after the last sample that is not later."""
    out = np.empty((len(flat.bounds) - 1, len(at)), dtype=np.int64)
    same: dict[bytes, Ints] = {}
    for row in range(len(out)):
        low, high = flat.bounds[row], flat.bounds[row + 1]
        times = flat.times[low:high]
        # series of one target share their timestamps: look up once
        key = times.tobytes() if len(at) > 64 and len(times) < 50_000 else b""
        found = same.get(key) if key else None
        if found is None:
            found = np.searchsorted(times, at, "right")
            if key:
                same[key] = found
        out[row] = low + found
    return out


def ranges(flat: Flat, labels: list[Labels], drop: list[bool], ends: Ints, range_ms: int) -> Ranges:
    """Windows (end - range, end] of every series at every step."""
    return Ranges(labels, drop, flat, _edges(flat, ends - range_ms), _edges(flat, ends), ends, range_ms)


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
