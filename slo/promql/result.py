"""Answers of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slo.promql.values import Floats, Ints

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class ResultSeries:
    """Labels, times (int64 ms UTC) and values (float64) where the series is present; NaN is a value."""

    labels: Mapping[str, str]
    times: Ints
    values: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """`type` is scalar, string, vector or matrix. A scalar of an instant query is one series without labels.

    `series` of a vector hold one sample each, in the server's order where the query sorts; `text` is a string's.
    """

    type: Literal["scalar", "string", "vector", "matrix"]
    series: tuple[ResultSeries, ...]
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    text: str | None = None

    @property
    def value(self) -> float:
        """The number of a scalar, or of a vector of one element. Raises ValueError for anything else."""
        if len(self.series) != 1 or len(self.series[0].values) != 1:
            raise ValueError(f"a {self.type} of {len(self.series)} series has no single value")
        return float(self.series[0].values[0])

    def to_frame(self) -> pd.DataFrame:
        """One column per series (named by its labels in PromQL), one row per time (UTC); NaN where it is absent."""
        import pandas as pd

        columns = {}
        for item in self.series:
            name = item.labels.get("__name__", "")
            inner = ", ".join(f'{k}="{v}"' for k, v in item.labels.items() if k != "__name__")
            index = pd.to_datetime(item.times, unit="ms", utc=True)
            columns[f"{name}{{{inner}}}" if inner or not name else name] = pd.Series(item.values, index=index)
        return pd.DataFrame(columns).sort_index()
