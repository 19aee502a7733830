"""What expressions evaluate to: labels, vectors over all steps with presence masks, notes alongside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slo.errors import PromqlError

Labels = tuple[tuple[str, str], ...]  # sorted by name, no empty values
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

NAME = "__name__"
SAME_LABELSET = "vector cannot contain metrics with the same labelset"

# As a server words it.
TOO_MANY_SAMPLES = "query processing would load too many samples into memory in query execution"


def refuse_more(samples: int, most: int) -> None:
    """Raises PromqlError, before memory is taken, where an expression would hold more samples than it may."""
    if samples > most:
        raise PromqlError(TOO_MANY_SAMPLES)


def without(labels: Labels, names: Iterable[str]) -> Labels:
    """The labels but those named."""
    gone = frozenset(names)
    return tuple(pair for pair in labels if pair[0] not in gone)


def only(labels: Labels, names: Iterable[str]) -> Labels:
    """Of the labels those named."""
    kept = frozenset(names)
    return tuple(pair for pair in labels if pair[0] in kept)


def nameless(labels: Labels) -> Labels:
    """The labels but the metric's name."""
    return tuple(pair for pair in labels if pair[0] != NAME)


def make(labels: dict[str, str]) -> Labels:
    """Labels of a mapping; a label with an empty value is none."""
    return tuple(sorted((name, value) for name, value in labels.items() if value != ""))


@dataclass
class Vector:
    """Series over steps: `values` and `present` are (series, steps); NaN is a value, absence is not.

    `drop` says whose metric name goes away at the end; `order` is the order of an instant answer, if one was asked for.
    """

    labels: list[Labels]
    values: Floats
    present: Bools
    drop: list[bool]
    ordered: bool = False

    @classmethod
    def empty(cls, steps: int) -> Vector:
        return cls([], np.zeros((0, steps)), np.zeros((0, steps), dtype=bool), [])

    def take(self, rows: Sequence[int]) -> Vector:
        index = np.asarray(rows, dtype=np.int64)
        return Vector(
            [self.labels[row] for row in rows],
            self.values[index],
            self.present[index],
            [self.drop[row] for row in rows],
        )


@dataclass
class Ranges:
    """Range vectors over steps: the samples of all series in one array, and each window's [lo, hi) in it, (series, steps).

    `ends` holds the right edges in ms, one per step; windows are open on the left and `range_ms` long.
    """

    labels: list[Labels]
    drop: list[bool]
    flat: Flat
    lo: Ints
    hi: Ints
    ends: Ints
    range_ms: int


@dataclass
class Flat:
    """The samples of several series one behind the other; series s is [bounds[s], bounds[s + 1])."""

    times: Ints
    values: Floats
    bounds: Ints
    cache: dict[str, object] = field(default_factory=dict)

    def twins(self) -> list[int]:
        """For each series the first one that has the same timestamps, as the series of one target have."""
        if "twins" not in self.cache:
            parts = [self.times[low:high] for low, high in itertools.pairwise(self.bounds.tolist())]
            known: dict[tuple[int, int, int], list[int]] = {}
            result = []
            for row, times in enumerate(parts):
                ends = (len(times), int(times[0]), int(times[-1])) if len(times) else (0, 0, 0)
                alike = known.setdefault(ends, [])
                twin = next((other for other in alike if np.array_equal(parts[other], times)), row)
                if twin == row:
                    alike.append(row)
                result.append(twin)
            self.cache["twins"] = result
        return self.cache["twins"]  # type: ignore[return-value]

    def first_of_series(self) -> Bools:
        """Which samples open a series."""
        mask = np.zeros(len(self.times) + 1, dtype=bool)
        mask[self.bounds[:-1]] = True
        return mask[:-1]


@dataclass
class Notes:
    """Warnings and infos, each once, in the order they came up."""

    warnings: dict[str, None] = field(default_factory=dict)
    infos: dict[str, None] = field(default_factory=dict)

    def warn(self, text: str) -> None:
        self.warnings[f"PromQL warning: {text}"] = None

    def info(self, text: str) -> None:
        self.infos[f"PromQL info: {text}"] = None


def refuse_same(vector: Vector) -> Vector:
    """The vector itself. Raises PromqlError where two series have equal labels, be it at different steps."""
    if len(set(vector.labels)) != len(vector.labels):
        raise PromqlError(SAME_LABELSET)
    return vector


def merge_same(vector: Vector) -> Vector:
    """Series of equal labels joined where they never stand at one step. Raises PromqlError where they do."""
    if len(set(vector.labels)) == len(vector.labels):
        return vector
    rows: dict[Labels, int] = {}
    values, present = vector.values.copy(), vector.present.copy()
    drop = list(vector.drop)
    kept = []
    for row, labels in enumerate(vector.labels):
        first = rows.setdefault(labels, row)
        if first == row:
            kept.append(row)
            continue
        if bool((present[first] & present[row]).any()):
            raise PromqlError(SAME_LABELSET)
        if present[row].any() and (not present[first].any() or present[row].argmax() < present[first].argmax()):
            drop[first] = drop[row]  # whoever comes first says what becomes of the name
        np.copyto(values[first], values[row], where=present[row])
        present[first] |= present[row]
    return Vector(vector.labels, values, present, drop, vector.ordered).take(kept)


def compact(vector: Vector) -> Vector:
    """Without the series that stand at no step."""
    some = vector.present.any(axis=1)
    if some.all():
        return vector
    kept = vector.take(np.flatnonzero(some).tolist())
    kept.ordered = vector.ordered
    return kept
