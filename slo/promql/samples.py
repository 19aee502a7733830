"""Samples in memory: series of labels, times and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slo.promql.ast import Matcher, VectorSelector
from slo.promql.regex import compile_anchored

_INDEXED = 500  # series of a name from which on they are looked up by their labels
STALE_BITS = 0x7FF0000000000002
STALE = float(np.array([STALE_BITS], dtype=np.int64).view(np.float64)[0])


def is_stale(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a series was marked as ended."""
    return np.asarray(values.view(np.int64) == STALE_BITS)


@dataclass(frozen=True, eq=False)
class Series:
    """One series: labels with `__name__`, times (int64 ms UTC, ascending), values (float64)."""

    labels: Mapping[str, str]
    times: NDArray[np.int64]
    values: NDArray[np.float64]


class Samples:
    """Many series, to be selected from."""

    def __init__(self, series: Iterable[Series]) -> None:
        self.series = tuple(series)

    @classmethod
    def from_series(cls, rows: Iterable[tuple[Mapping[str, str], Any, Any]]) -> Samples:
        """From (labels, times in ms, values); times must ascend. Raises ValueError."""
        series = []
        for labels, times, values in rows:
            at = np.ascontiguousarray(times, dtype=np.int64)
            held = np.ascontiguousarray(values, dtype=np.float64)
            if at.shape != held.shape or at.ndim != 1:
                raise ValueError(f"{dict(labels)}: {at.shape} times for {held.shape} values")
            if len(at) > 1 and not bool((at[1:] > at[:-1]).all()):
                raise ValueError(f"{dict(labels)}: times do not ascend")
            series.append(Series(dict(labels), at, held))
        return cls(series)

    def __len__(self) -> int:
        return len(self.series)

    @cached_property
    def _by_value(self) -> dict[tuple[str | None, str], dict[str, list[Series]]]:
        """By name and label, as far as they were asked for."""
        return {}

    @cached_property
    def _by_name(self) -> dict[str, list[Series]]:
        by_name: dict[str, list[Series]] = {}
        for series in self.series:
            by_name.setdefault(series.labels.get("__name__", ""), []).append(series)
        return by_name

    @property
    def start_ms(self) -> int | None:
        """The first sample's time."""
        return min((int(s.times[0]) for s in self.series if len(s.times)), default=None)

    @property
    def end_ms(self) -> int | None:
        """The last sample's time."""
        return max((int(s.times[-1]) for s in self.series if len(s.times)), default=None)

    def select(self, selector: VectorSelector) -> list[Series]:
        """The series that a selector matches; its offset and `@` are ignored. Raises PromqlError on a bad regex."""
        pool: Sequence[Series] = self._by_name.get(selector.name, []) if selector.name is not None else self.series
        if len(pool) >= _INDEXED:
            pool = self._narrowed(selector, pool)
        return [series for series in pool if all(matches(matcher, series.labels) for matcher in selector.matchers)]

    def _narrowed(self, selector: VectorSelector, pool: Sequence[Series]) -> Sequence[Series]:
        """The fewest series, in their order, that have the value of one of the selector's `label="value"`."""
        for matcher in selector.matchers:
            if matcher.op != "=" or not matcher.value:
                continue
            key = (selector.name, matcher.label)
            if key not in self._by_value:
                by_value: dict[str, list[Series]] = {}
                for series in self._by_name.get(selector.name, []) if selector.name is not None else self.series:
                    by_value.setdefault(series.labels.get(matcher.label, ""), []).append(series)
                self._by_value[key] = by_value
            some = self._by_value[key].get(matcher.value, [])
            if len(some) < len(pool):
                pool = some
        return pool

    def concat(self, other: Samples) -> Samples:
        """Both, as they are."""
        return Samples((*self.series, *other.series))


def matches(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """Whether labels satisfy a matcher; a missing label is an empty one. Raises PromqlError on a bad regex."""
    value = labels.get(matcher.label, "")
    match matcher.op:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return compile_anchored(matcher.value)(value)
        case _:
            return not compile_anchored(matcher.value)(value)
