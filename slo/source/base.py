"""What every source offers: samples, answers to PromQL, and what it says alongside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from slo.promql.ast import Node, VectorSelector
    from slo.promql.samples import Samples
    from slo.spec.model import Slo


class MatrixSeries(NamedTuple):
    """One series of a `Matrix`: its labels and a value per time, NaN where there is none."""

    labels: Mapping[str, str]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """The values of an expression at each of `times` (int64 milliseconds UTC, ascending).

    A series without a value at some time has NaN there; no series at all is an empty answer, not an error. `notes` is
    what the source said alongside it, such as that the answer is partial.
    """

    times: NDArray[np.int64]
    series: tuple[MatrixSeries, ...]
    notes: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One float64 column per series, named as PromQL writes it, over a UTC DatetimeIndex called `time`."""
        import pandas as pd

        index = pd.DatetimeIndex(pd.to_datetime(self.times, unit="ms", utc=True), name="time")
        return pd.DataFrame({_text(series.labels): series.values for series in self.series}, index=index)


class Source(Protocol):
    """Where samples and query results come from. All methods raise errors.SourceError with a plain statement."""

    @property
    def name(self) -> str:
        """For humans; never holds a credential."""

    @property
    def local(self) -> bool:
        """Whether raw samples cost nothing to ask for."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the source has said alongside its answers so far, such as that one is partial; each once."""

    def latest_ms(self) -> int:
        """The last moment that the source knows of: a recording's end, a server's present."""

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """The raw samples of all series that any of the selectors matches, start_ms <= time <= end_ms, stale markers
        where the source has them. The selectors' offsets are ignored."""

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """The expression at start_ms, start_ms + step_ms, … up to end_ms."""

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """The expression at one time."""


def source_of(source: Source, slo: Slo) -> Source:
    """The source that an SLO is asked of: the source itself, or of several the one that they choose. Raises SourceError.

    A source that stands for several has a method `of`.
    """
    choose = getattr(source, "of", None)
    chosen: Source = source if choose is None else choose(slo)
    return chosen


def retention_ms(source: Source) -> int | None:
    """How long a source keeps its samples, milliseconds; None where it does not say, as a recording does not.

    A source may have a method of this name, which asks once and never raises.
    """
    ask = getattr(source, "retention_ms", None)
    number: int | None = None if ask is None else ask()
    return number


def _text(labels: Mapping[str, str]) -> str:
    rest = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items() if name != "__name__"
    )
    name = labels.get("__name__", "")
    return f"{name}{{{rest}}}" if rest or not name else name
