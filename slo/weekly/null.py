"""A source that has nothing: what a report is made from when its own does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slo.promql.samples import Samples
from slo.source import Matrix

if TYPE_CHECKING:
    from slo.promql.ast import Node, VectorSelector


class NullSource:
    """No samples, and a note that says why."""

    def __init__(self, name: str, why: str) -> None:
        self._name, self._why = name, why

    @property
    def name(self) -> str:
        """The source that failed."""
        return self._name

    @property
    def local(self) -> bool:
        """True: nothing costs nothing."""
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """Why there is nothing."""
        return (self._why,)

    def latest_ms(self) -> int:
        """It knows of no moment."""
        return 0

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """None."""
        return Samples(())

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """No series, and the note."""
        return Matrix(np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64), (), self.notes)

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """No series, and the note."""
        return self.query_range(expr, at_ms, at_ms, 1000)
