"""SLOs with a budget for each value of a label: which values there are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slo.limits import asked_for
from slo.promql.ast import Aggregate, Call, MatrixSelector
from slo.sli.counts import LOOKBACK_MS
from slo.sli.tile import alongside
from slo.source.base import source_of
from slo.source.counted import CountSource
from slo.spec.model import Slo
from slo.spec.split import MOST, narrowed
from slo.window import HOUR

if TYPE_CHECKING:
    from slo.source import Source

_LOOKS = 300  # moments at which a server is asked which series there are


def expand(slo: Slo, source: Source, end_ms: int) -> tuple[tuple[Slo, ...], int]:
    """An SLO for each combination of its `by` labels' values in the window, sorted; and how many there are.

    Of more than MOST those stay that were there first, of these the ones with the most traffic, as in the rules. Without
    any value it is the SLO as a whole. Raises SourceError.
    """
    source = source_of(source, slo)
    if not slo.by or isinstance(source, CountSource):
        return (slo,), 1
    with asked_for(slo.id):
        values = _values(slo, source, slo.window.period(end_ms)[0], end_ms)
    if not values:
        return (slo,), 0
    chosen = sorted(values, key=lambda value: (values[value].first, -values[value].traffic, value))[:MOST]
    return narrowed(slo, sorted(chosen)), len(values)


@dataclass
class _Value:
    """The step of 2 h in which a value was first there, and its traffic so far (targets, of a gauge)."""

    first: int
    traffic: float = 0.0


def _values(slo: Slo, source: Source, start_ms: int, end_ms: int) -> dict[tuple[str, ...], _Value]:
    counted = slo.sli.counts_lean
    result: dict[tuple[str, ...], _Value] = {}

    def add(labels: Mapping[str, str], first_ms: int, last: float) -> None:
        step = max(0, first_ms - start_ms) // LOOKBACK_MS
        item = result.setdefault(tuple(labels.get(label, "") for label in slo.by), _Value(step))
        item.first = min(item.first, step)
        item.traffic += last if math.isfinite(last) else 0.0

    if source.local:
        for series in source.samples(slo.sli.all_events, start_ms, end_ms).series:
            if len(series.times):
                add(series.labels, int(series.times[0]), float(series.values[-1]) if counted else 1.0)
        return result
    every = max((end_ms - start_ms) // _LOOKS // 1000 * 1000, slo.scrape_interval_ms)
    every = min(every, 2 * HOUR)
    present = alongside([Call("last_over_time", (MatrixSelector(counter, every),)) for counter in slo.sli.all_events])
    first = end_ms - (end_ms - start_ms - 1) // every * every
    answer = source.query_range(
        Aggregate("sum" if counted else "count", present, grouping=slo.by), first, end_ms, every
    )
    for labels, values in answer.series:
        there = np.flatnonzero(~np.isnan(values))
        if len(there):
            add(labels, int(answer.times[there[0]]) - every, float(values[there[-1]]))
    return result
