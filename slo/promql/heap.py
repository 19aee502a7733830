"""Which of equal elements topk and bottomk keep: those that a binary heap of k elements would, element after element.

Source: the array heap of any textbook, as Go's container/heap has it; here one heap per step, all steps at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slo.promql.values import Bools, Floats, Ints

SHORT = 12  # elements, up to which a server sorts by insertion


class _Heaps:
    """A heap of rows per step (columns), least value on top; NaN is less than all else."""

    def __init__(self, most: int, steps: int) -> None:
        self.rows = np.zeros((most, steps), dtype=np.int64)
        self.values = np.full((most, steps), np.nan)
        self.size = np.zeros(steps, dtype=np.int64)

    def less(self, a: Ints, b: Ints, steps: Ints) -> Bools:
        left, right = self.values[a, steps], self.values[b, steps]
        return np.asarray(np.isnan(left) | (left < right))

    def swap(self, a: Ints, b: Ints, steps: Ints) -> None:
        for held in (self.rows, self.values):
            held[a, steps], held[b, steps] = held[b, steps], held[a, steps]

    def push(self, row: int, values: Floats, steps: Ints) -> None:
        place = self.size[steps].copy()
        self.rows[place, steps], self.values[place, steps] = row, values
        self.size[steps] += 1
        while True:
            steps, place = steps[place > 0], place[place > 0]
            parent = (place - 1) // 2
            rises = self.less(place, parent, steps)
            if not rises.any():
                return
            steps, place, parent = steps[rises], place[rises], parent[rises]
            self.swap(place, parent, steps)
            place = parent

    def replace_top(self, row: int, values: Floats, steps: Ints) -> None:
        self.rows[0, steps], self.values[0, steps] = row, values
        place = np.zeros(len(steps), dtype=np.int64)
        while True:
            child = 2 * place + 1
            inside = child < self.size[steps]
            steps, place, child = steps[inside], place[inside], child[inside]
            if not len(steps):
                return
            other = np.minimum(child + 1, self.size[steps] - 1)
            child = np.where((other > child) & self.less(other, child, steps), other, child)
            sinks = self.less(child, place, steps)
            steps, place, child = steps[sinks], place[sinks], child[sinks]
            self.swap(place, child, steps)
            place = child


def _filled(values: Floats, mask: Bools, k: Ints) -> _Heaps:
    heaps = _Heaps(max(1, min(int(k.max(initial=1)), len(values))), values.shape[1])
    for row in range(len(values)):
        steps = np.flatnonzero(mask[row] & (k > 0))
        new = values[row, steps]
        free = heaps.size[steps] < k[steps]
        top = heaps.values[0, steps]
        better = ~free & ((top < new) | (np.isnan(top) & ~np.isnan(new)))
        heaps.push(row, new[free], steps[free])
        heaps.replace_top(row, new[better], steps[better])
    return heaps


def in_order(values: Floats, mask: Bools, k: int) -> list[int]:
    """The rows of the k largest at one step, largest first, equal ones as sorting the heap by insertion leaves them."""
    heaps = _filled(values[:, None], mask[:, None], np.array([k]))
    return by_insertion(values, heaps.rows[: heaps.size[0], 0].tolist())


def layout(values: Floats, mask: Bools) -> list[int]:
    """The rows of a mask as they lie in a heap."""
    heaps = _filled(values[:, None], mask[:, None], np.array([len(values)]))
    return [int(row) for row in heaps.rows[: heaps.size[0], 0]]


def by_insertion(values: Floats, rows: Sequence[int]) -> list[int]:
    """The rows by falling value, NaN last; equal ones stay as they are, those that are NaN turn round."""
    order: list[int] = []
    for row in rows:
        place = len(order)
        while place and (np.isnan(values[order[place - 1]]) or values[order[place - 1]] < values[row]):
            place -= 1
        order.insert(place, row)
    return order


def kept(values: Floats, mask: Bools, k: Ints) -> Bools:
    """Which elements of (rows, steps) are among the k largest of each step, equal ones as a heap leaves them."""
    heaps = _filled(values, mask, k)
    bools = np.zeros(values.shape, dtype=bool)
    for place in range(len(heaps.rows)):
        steps = np.flatnonzero(heaps.size > place)
        bools[heaps.rows[place, steps], steps] = True
    return bools
