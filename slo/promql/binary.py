"""Binary operators: arithmetic, comparisons that filter, vector matching, set operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slo.errors import PromqlError
from slo.promql.ast import COMPARISONS, Binary, VectorMatching, quote
from slo.promql.values import (
    NAME,
    Bools,
    Floats,
    Labels,
    Vector,
    make,
    merge_same,
    nameless,
    only,
    refuse_same,
    without,
)

ARITHMETIC: dict[str, Callable[[Floats, Floats], Floats]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "%": np.fmod, "^": np.power, "atan2": np.arctan2,
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip


def scalars(node: Binary, left: Floats, right: Floats) -> Floats:
    return np.asarray(ARITHMETIC[node.op](left, right), dtype=np.float64)


def vector_scalar(node: Binary, vector: Vector, scalar: Floats, swapped: bool, delayed: bool) -> Vector:
    """A vector and one number per step; `swapped` where the number stands on the left."""
    a, b = (scalar[None, :], vector.values) if swapped else (vector.values, scalar[None, :])
    values = ARITHMETIC[node.op](a, b)
    if node.op in COMPARISONS and not node.return_bool:
        return Vector(vector.labels, vector.values, vector.present & values.astype(bool), vector.drop)
    return renamed(Vector(vector.labels, np.asarray(values, dtype=np.float64), vector.present, vector.drop), delayed)


def renamed(vector: Vector, delayed: bool, strict: bool = False) -> Vector:
    """The vector without its metric names, or with them marked to go at the end.

    `strict` refuses series that become one even if they never stand at one step, as a server does after functions of
    ranges and the unary minus.
    """
    if delayed:
        return Vector(vector.labels, vector.values, vector.present, [True] * len(vector.labels), vector.ordered)
    labels = [nameless(labels) for labels in vector.labels]
    bare = Vector(labels, vector.values, vector.present, vector.drop, vector.ordered)
    return refuse_same(bare) if strict else merge_same(bare)


def _signature(matching: VectorMatching) -> Callable[[Labels], Labels]:
    if matching.on:
        return lambda labels: only(labels, matching.labels)
    return lambda labels: without(labels, (*matching.labels, NAME))


def set_operator(node: Binary, left: Vector, right: Vector) -> Vector:
    signature = _signature(node.matching or VectorMatching("many-to-many"))
    steps = left.values.shape[1]
    other, mine = (left, right) if node.op == "or" else (right, left)
    seen: dict[Labels, Bools] = {}
    for row, labels in enumerate(other.labels):
        key = signature(labels)
        seen[key] = seen[key] | other.present[row] if key in seen else other.present[row]
    nothing = np.zeros(steps, dtype=bool)
    there = [seen.get(signature(labels), nothing) for labels in mine.labels]
    mask = np.stack(there) if there else np.zeros((0, steps), dtype=bool)
    kept = Vector(mine.labels, mine.values, mine.present & (mask if node.op == "and" else ~mask), mine.drop)
    if node.op != "or":
        return kept
    both = Vector(
        left.labels + right.labels,
        np.concatenate([left.values, right.values]),
        np.concatenate([left.present, kept.present]),
        left.drop + right.drop,
    )
    return merge_same(both)


def vectors(node: Binary, left: Vector, right: Vector, delayed: bool) -> Vector:
    """Arithmetic and comparisons between vectors. Raises PromqlError where the matching is not unique."""
    matching = node.matching or VectorMatching()
    signature = _signature(matching)
    swapped = matching.card == "one-to-many"
    many, single = (right, left) if swapped else (left, right)
    steps = many.values.shape[1]
    some_many = many.present.any(axis=0) if len(many.labels) else np.zeros(steps, dtype=bool)
    singles: dict[Labels, list[int]] = {}
    for row, labels in enumerate(single.labels):
        singles.setdefault(signature(labels), []).append(row)
    faults: list[tuple[int, int, int, str]] = []  # the server meets the first step's fault first, row by row
    for key, rows in singles.items():
        twice = (single.present[rows].sum(axis=0) > 1) & some_many
        if len(rows) > 1 and bool(twice.any()):
            side = "left" if swapped else "right"
            # The one that is met second, then the one that was there.
            there = [row for row in rows if single.present[row, twice.argmax()]]
            shown = ", ".join(labels_text(single.labels[row]) for row in (there[1], there[0]))
            text = (
                f"found duplicate series for the match group {labels_text(key)} on the {side} hand-side of the "
                f"operation: [{shown}];many-to-many matching not allowed: matching labels must be unique on one side"
            )
            faults.append((int(twice.argmax()), 0, there[1], text))
    labels_out: list[Labels] = []
    values_out: list[Floats] = []
    present_out: list[Bools] = []
    taken: dict[tuple[Labels, Labels | None], Bools] = {}
    filters = node.op in COMPARISONS and not node.return_bool
    for row, labels in enumerate(many.labels):
        key = signature(labels)
        for other in singles.get(key, ()):
            mask = many.present[row] & single.present[other]
            a, b = (single.values[other], many.values[row]) if swapped else (many.values[row], single.values[other])
            values = ARITHMETIC[node.op](a, b)
            if filters:
                mask, values = mask & values.astype(bool), a
            if not mask.any():
                continue
            metric = _result_labels(labels, single.labels[other], node, matching, delayed)
            claim = (key, None if matching.card == "one-to-one" else metric)
            before = taken.get(claim)
            if before is not None and bool((before & mask).any()):
                text = (
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                    if matching.card == "one-to-one"
                    else "multiple matches for labels: grouping labels must ensure unique matches"
                )
                faults.append((int((before & mask).argmax()), 1, row, text))
            taken[claim] = mask if before is None else before | mask
            labels_out.append(metric)
            values_out.append(np.asarray(values, dtype=np.float64))
            present_out.append(mask)
    if faults:
        raise PromqlError(min(faults)[3])
    if not labels_out:
        return Vector.empty(steps)
    drop = [node.return_bool] * len(labels_out)
    return merge_same(Vector(labels_out, np.stack(values_out), np.stack(present_out), drop))


def _result_labels(many: Labels, label: Labels, node: Binary, matching: VectorMatching, delayed: bool) -> Labels:
    labels = dict(many)
    if node.op not in COMPARISONS or (node.return_bool and not delayed):
        labels.pop(NAME, None)
    if matching.card == "one-to-one":
        labels = {k: v for k, v in labels.items() if (k in matching.labels) == matching.on}
    from_one = dict(label)
    for name in matching.include:
        labels[name] = from_one.get(name, "")
    return make(labels)


def labels_text(labels: Labels) -> str:
    """Labels as errors show them: the name is one of them."""
    return "{" + ", ".join(f"{key}={quote(value)}" for key, value in sorted(labels)) + "}"
