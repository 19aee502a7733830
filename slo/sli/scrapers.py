"""Whether series are those of a target that another scraper has shown all along: of a pair of Prometheus servers the second
is there later than the first, or is back.

Its series stand where the first one's stand, at moments between theirs, and differ from them in one label, the same for
all. The first value of each is a baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_Key = frozenset[tuple[str, str]]
# A label of more values than this does not tell scrapers apart.
_MOST_SCRAPERS = 8


class Shown(Protocol):
    """A series: its labels, the times of its samples (ms, ascending), and their values, none of them NaN."""

    @property
    def labels(self) -> Mapping[str, str]: ...
    @property
    def times(self) -> NDArray[np.int64]: ...
    @property
    def values(self) -> NDArray[np.float64]: ...


class Scrapers:
    """The series of one target, each by its labels; `whole` are those of all its events where these are a part of them."""

    def __init__(self, series: Sequence[Shown], whole: Sequence[Shown]) -> None:
        self._series, self._whole = series, whole

    @cached_property
    def _by_labels(self) -> dict[_Key, Shown]:
        return {frozenset(item.labels.items()): item for item in self._series}

    @cached_property
    def _values(self) -> dict[str, set[str | None]]:
        """Of each label the values that there are."""
        labels = {label for item in self._series for label in item.labels}
        return {label: {item.labels.get(label) for item in self._series} for label in labels}

    def seen_already(self, new: Sequence[Shown], at_ms: int, since_ms: int) -> bool:
        """Whether all series that appear at a moment are seen by a scraper that was not there up to a moment before: but for one
        label each is one that was there before and after it, and between whose values it stands."""
        counting = [item for item in new if item.values[0] > 0]
        if not counting:
            return False
        return any(
            self._told_apart_by(label, counting, at_ms, since_ms)
            for label, values in self._values.items()
            if 1 < len(values) <= _MOST_SCRAPERS
        )

    def _told_apart_by(self, label: str, new: Sequence[Shown], at_ms: int, since_ms: int) -> bool:
        """Whether a label tells scrapers apart: whatever else its value is, the series stands there too."""
        own = {item.labels.get(label) for item in new}
        if len(own) > 1 or any(item.labels.get(label) in own and item.times[0] <= since_ms for item in self._whole):
            return False
        alongside = False
        for value in self._values[label] - own:
            there = [self._other(item, label, value) for item in new]
            between = [
                other is not None and _between(item, other, at_ms) for item, other in zip(new, there, strict=True)
            ]
            if all(between):
                alongside = True
            elif any(other is not None and _there(other, at_ms) for other in there):
                return False
        return alongside

    def _other(self, shown: Shown, label: str, value: str | None) -> Shown | None:
        labels = {key: held for key, held in shown.labels.items() if key != label}
        if value is not None:
            labels[label] = value
        return self._by_labels.get(frozenset(labels.items()))


def _there(series: Shown, at_ms: int) -> bool:
    return bool(series.times[0] < at_ms <= series.times[-1])


def _between(shown: Shown, other: Shown, at_ms: int) -> bool:
    """Whether the first value of a series is between those of another before it and after it."""
    if not _there(other, at_ms):
        return False
    place = int(np.searchsorted(other.times, at_ms))
    if other.times[place] == at_ms:
        return False  # one scrape gave both
    if 1 < len(shown.times) == int(np.searchsorted(shown.times, other.times[place])):
        return False  # it is back when this one is gone: they are one scraper's, under two labels
    before, after, value = other.values[place - 1], other.values[place], shown.values[0]
    if after < before:  # it restarted in between
        return bool(value >= before or value <= after)
    return bool(before <= value <= after)
