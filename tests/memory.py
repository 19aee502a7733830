"""Samples in memory as a source that gives what it is asked for, and no more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slo.promql.ast import Node, VectorSelector, walk
from slo.promql.samples import Samples
from slo.source import Matrix
from slo.source.sampled import answered


class Memory:
    """A source of samples in memory. `asked` are the times of all reading, (start_ms, end_ms)."""

    name = "memory"
    local = True
    notes: tuple[str, ...] = ()

    def __init__(self, samples: Samples, end_ms: int) -> None:
        self._samples = samples
        self._end_ms = end_ms
        self.asked: list[tuple[int, int]] = []

    def latest_ms(self) -> int:
        return self._end_ms

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """The series that any selector matches, each once, with start_ms <= time <= end_ms."""
        self.asked.append((start_ms, end_ms))
        found = {
            id(by_identity): by_identity for selector in selectors for by_identity in self._samples.select(selector)
        }
        rows = []
        for series in found.values():
            low, high = np.searchsorted(series.times, [start_ms, end_ms + 1])
            if high > low:
                rows.append((series.labels, series.times[low:high], series.values[low:high]))
        return Samples.from_series(rows)

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """By the engine, over all samples."""
        self.asked.append((start_ms, end_ms))
        selectors = [node for node in walk(expr) if isinstance(node, VectorSelector)]
        wanted = {id(series): series for selector in selectors for series in self._samples.select(selector)}
        return answered(Samples(wanted.values()), expr, start_ms, end_ms, step_ms)

    def query(self, expr: Node, at_ms: int) -> Matrix:
        return self.query_range(expr, at_ms, at_ms, 1000)


class Server(Memory):
    """The same, as a server that is better left to add up by itself: the engine evaluates the kind's PromQL."""

    local = False
