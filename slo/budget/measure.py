"""Asks a source for what an SLO's SLI counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slo.budget.recorded import Recorded
from slo.limits import asked_for
from slo.sli.base import Measured, Note, Sli
from slo.sli.counts import Counts, Grid, Part
from slo.source.base import source_of
from slo.source.counted import CountSource
from slo.spec.model import Slo

if TYPE_CHECKING:
    from slo.source import Source


def measure(slo: Slo, source: Source, grid: Grid, first: int = 0) -> Measured:
    """The events of an SLO per step of `grid`; by series those of step `first` and later. Raises SourceError."""
    if slo.unusable:
        nothing = np.zeros(grid.steps)
        reasons = tuple(Note("definition", text) for text in slo.unusable)
        return Measured(Counts(grid, nothing, nothing), has_data=False, invalid=reasons)
    source = source_of(source, slo)
    with asked_for(slo.id):
        if isinstance(source, CountSource):
            return source.measured(slo, grid)
        if isinstance(source, Recorded):
            return source.measured(slo, grid, first)
        return slo.sli.measure(source, grid, slo.scraping, first)


def parts_between(slo: Slo, source: Source, start_ms: int, end_ms: int) -> tuple[Part, ...] | None:
    """The events of (start, end] by series; None for an SLI of which that is not known. Raises SourceError."""
    with asked_for(slo.id):
        return slo.sli.parts(source_of(source, slo), start_ms, end_ms, slo.scraping)


def known_by_series(slo: Slo) -> bool:
    """Whether `parts_between` may have an answer: not of a kind that has no series with events of their own."""
    return type(slo.sli).parts is not Sli.parts
