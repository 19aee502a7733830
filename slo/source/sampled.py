"""A source of raw samples: it gives samples, and the embedded engine answers PromQL over them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from slo.promql.ast import Node, VectorSelector, walk
from slo.promql.samples import Samples
from slo.source.base import Matrix, MatrixSeries


class SampleSource(ABC):
    """What a source of samples must say; the rest of `slo.source.Source` follows. All that fails is a SourceError."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For humans; never holds a credential."""

    @abstractmethod
    def earliest_ms(self) -> int:
        """Where its samples begin, ms UTC."""

    @abstractmethod
    def latest_ms(self) -> int:
        """Where they end."""

    @abstractmethod
    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """All series that match one of `selectors`, with start_ms <= time <= end_ms."""

    @property
    def local(self) -> bool:
        """True: raw samples are at hand."""
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing, unless it has something to say."""
        return ()

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """The expression at each step, by the embedded engine. Raises PromqlError, SourceError."""
        selectors = [node for node in walk(expr) if isinstance(node, VectorSelector)]
        samples = self.samples(selectors, self.earliest_ms(), self.latest_ms())
        return answered(samples, expr, start_ms, end_ms, step_ms)

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """The expression at one time. Raises PromqlError, SourceError."""
        return self.query_range(expr, at_ms, at_ms, 1000)


def answered(samples: Samples, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
    """What the embedded engine makes of an expression over samples, at each step. Raises PromqlError."""
    from slo.promql import Engine

    answer = Engine(samples).query_range(expr, start=start_ms / 1000, end=end_ms / 1000, step=step_ms / 1000)
    times = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
    rows = []
    for series in answer.series:
        values = np.full(len(times), np.nan)
        values[(series.times - start_ms) // step_ms] = series.values
        rows.append(MatrixSeries(series.labels, values))
    return Matrix(times, tuple(rows), tuple(str(text) for text in (*answer.warnings, *answer.infos)))
