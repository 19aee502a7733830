"""Percentiles from cumulative bucket counts, as Prometheus defines `histogram_quantile` for classic histograms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def histogram_quantile(q: float, bounds: Floats, counts: Floats) -> Floats:
    """The q-quantile (q in 0..1) of each row of `counts`, in the unit of `bounds`.

    `bounds` holds the buckets' upper bounds, ascending, the last +Inf; `counts` has shape (rows, bounds) and is
    cumulative. Within a bucket values are taken to lie evenly; the lowest bucket starts at 0 if its bound is above 0;
    a quantile in the last bucket is the highest finite bound. NaN where a row is empty, there is no +Inf bucket, or
    there are fewer than two buckets.
    """
    rows = counts.shape[0]
    if len(bounds) < 2 or not np.isposinf(bounds[-1]):
        return np.full(rows, np.nan)
    # Buckets are scraped together but not always consistent: a count never falls from one bound to the next.
    counts = np.maximum.accumulate(counts, axis=1)
    total = counts[:, -1]
    rank = q * total
    bucket = np.minimum((counts < rank[:, None]).sum(axis=1), len(bounds) - 1)
    index = np.arange(rows)
    below = np.where(bucket > 0, counts[index, np.maximum(bucket - 1, 0)], 0.0)
    start = np.where(bucket > 0, bounds[np.maximum(bucket - 1, 0)], 0.0)
    inside = counts[index, bucket] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        place = start + (bounds[bucket] - start) * (rank - below) / inside
    place = np.where((bucket == 0) & (bounds[0] <= 0), bounds[0], place)
    place = np.where(bucket == len(bounds) - 1, bounds[-2], place)
    return np.where(total > 0, place, np.nan)
