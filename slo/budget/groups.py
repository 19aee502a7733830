"""SLOs with a budget for each value of a label: which values there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slo.errors import named
from slo.promql.ast import Aggregate, Call, MatrixSelector
from slo.source.base import source_of
from slo.source.counted import CountSource
from slo.spec.model import Slo
from slo.spec.split import MOST, narrowed
from slo.window import HOUR

if TYPE_CHECKING:
    from slo.source import Source

_LOOKS = 300  # moments at which a server is asked which series there are


def expand(slo: Slo, source: Source, end_ms: int) -> tuple[tuple[Slo, ...], int]:
    """An SLO for each combination of its `by` labels' values in the period, sorted; and how many there are.

    Without any, or with more than MOST of them, it is the SLO as a whole. Raises SourceError.
    """
    source = source_of(source, slo)
    if not slo.by or isinstance(source, CountSource):
        return (slo,), 1
    with named(slo.id):
        found = sorted(_values(slo, source, slo.window.period(end_ms)[0], end_ms))
    if not 0 < len(found) <= MOST:
        return (slo,), len(found)
    return narrowed(slo, found), len(found)


def _values(slo: Slo, source: Source, start_ms: int, end_ms: int) -> set[tuple[str, ...]]:
    total = slo.sli.selectors()[0]
    if source.local:
        labels = [series.labels for series in source.samples([total], start_ms, end_ms).series]
    else:
        every = max((end_ms - start_ms) // _LOOKS // 1000 * 1000, slo.scrape_interval_ms)
        every = min(every, 2 * HOUR)
        present = Call("last_over_time", (MatrixSelector(total, every),))
        first = end_ms - (end_ms - start_ms - 1) // every * every
        answer = source.query_range(Aggregate("group", present, grouping=slo.by), first, end_ms, every)
        labels = [series for series, _ in answer.series]
    return {tuple(one.get(label, "") for label in slo.by) for one in labels}
