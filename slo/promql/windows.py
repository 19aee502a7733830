"""Windows over the samples of many series: look-ups, counts, and the samples one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slo.promql.values import Bools, Flat, Floats, Ints, Ranges

DIRECT = 3_000_000  # samples in all windows together, below which windows are gone through side by side


def counts(r: Ranges) -> Ints:
    """The number of samples of each window."""
    return r.hi - r.lo


def at(r: Ranges, index: Ints) -> Floats:
    """Values by index; any value where the index is out of bounds, for windows that are masked anyway."""
    if len(r.flat.values) == 0:
        return np.full(index.shape, np.nan)
    return r.flat.values.take(index, mode="clip")


def times_at(r: Ranges, index: Ints) -> Ints:
    if len(r.flat.times) == 0:
        return np.zeros(index.shape, dtype=np.int64)
    return r.flat.times.take(index, mode="clip")


def stream(r: Ranges) -> Iterator[tuple[Floats, Bools]]:
    """The samples of all windows, first ones first."""
    n = counts(r)
    for j in range(int(n.max(initial=0))):
        yield at(r, r.lo + j), j < n


def is_short(r: Ranges) -> bool:
    return int(counts(r).sum()) <= DIRECT


def constant(r: Ranges) -> Bools:
    """Windows whose samples are all alike."""
    return np.asarray(changes(r, "changes") == 0)


def some_of(r: Ranges, mask: Bools) -> Ranges:
    """The windows of a mask, side by side as those of one series."""
    return Ranges([], [], r.flat, r.lo[mask][None, :], r.hi[mask][None, :], r.ends, r.range_ms)


def _changes(flat: Flat, kind: str) -> Ints:
    """Prefix counts of the samples that differ from the one before (`changes`) or fall below it (`resets`)."""
    key = f"count {kind}"
    if key not in flat.cache:
        v = flat.values
        mask = np.zeros(len(v), dtype=bool)
        if kind == "resets":
            mask[1:] = v[1:] < v[:-1]
        else:
            mask[1:] = (v[1:] != v[:-1]) & ~(np.isnan(v[1:]) & np.isnan(v[:-1]))
        mask &= ~flat.first_of_series()
        flat.cache[key] = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(mask)])
    return flat.cache[key]  # type: ignore[return-value]


def changes(r: Ranges, kind: str) -> Floats:
    """How often the value changed, or fell, between neighbours in each window."""
    prefix = _changes(r.flat, kind)
    last = len(prefix) - 1
    changed = prefix[np.clip(r.hi, 0, last)] - prefix[np.clip(r.lo + 1, 0, last)]
    return np.where(counts(r) > 1, changed, 0).astype(np.float64)
