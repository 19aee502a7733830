"""Aggregations over groups of series, all steps at once."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from slo.errors import PromqlError
from slo.promql import heap, streams
from slo.promql.ast import Aggregate, quote
from slo.promql.quantiles import quantile_of_sorted
from slo.promql.text import float_text
from slo.promql.values import (
    NAME,
    Bools,
    Floats,
    Ints,
    Labels,
    Notes,
    Vector,
    make,
    merge_same,
    only,
    refuse_more,
    without,
)
from slo.promql.xxhash import labels_hash

_IN_CACHE = 16_000  # values
_HEAPED = 20_000_000  # elements, up to which equal ones are chosen among as a server chooses


def aggregate(node: Aggregate, vector: Vector, param: Floats | str | None, notes: Notes, most: int) -> Vector:
    """The aggregation's result. `param` is one number per step, or the label of count_values; `most` the samples that it may
    hold. Raises PromqlError."""
    groups: dict[Labels, list[int]] = {}
    for row, labels in enumerate(vector.labels):
        key = without(labels, (*node.grouping, NAME)) if node.without else only(labels, node.grouping)
        groups.setdefault(key, []).append(row)
    if node.op == "count_values":
        return _count_values(str(param), vector, groups, node, most)
    if isinstance(param, np.ndarray) and node.op in ("topk", "bottomk", "limitk", "limit_ratio"):
        return _choose(node.op, vector, list(groups.values()), param, notes)
    steps = vector.values.shape[1]
    quantiles = param if isinstance(param, np.ndarray) else np.zeros(steps)
    if node.op == "quantile":
        for q in _worst(quantiles, 0, 1):
            notes.warn(f"quantile value should be between 0 and 1, got {float_text(q, shortest=True)}")
    values = np.zeros((len(groups), steps))
    present = np.zeros((len(groups), steps), dtype=bool)
    for places, rows in _alike(list(groups.values()), steps):
        if node.op == "quantile":
            for place, members in zip(places, rows, strict=True):
                values[place] = _quantile(vector.values[members], vector.present[members], quantiles)
                present[place] = vector.present[members].any(axis=0)
            continue
        values[places] = _reduce(node.op, vector, rows)
        present[places] = vector.present[rows].any(axis=1)
    # as a server has it: the n-th group follows the n-th series, be it another group's
    drop = vector.drop[: len(groups)]
    return Vector(list(groups), values, present, drop)


def _alike(groups: list[list[int]], steps: int) -> Iterator[tuple[Ints, Ints]]:
    """Groups of one size side by side, some at a time: their places, and their members (groups, size)."""
    sizes: dict[int, list[int]] = {}
    for place, rows in enumerate(groups):
        sizes.setdefault(len(rows), []).append(place)
    at_once = max(1, _IN_CACHE // max(steps, 1))
    for places in sizes.values():
        for start in range(0, len(places), at_once):
            some = places[start : start + at_once]
            yield np.array(some, dtype=np.int64), np.array([groups[place] for place in some], dtype=np.int64)


def _reduce(op: str, vector: Vector, rows: Ints) -> Floats:
    shape = (len(rows), vector.values.shape[1])

    def stream() -> Iterator[tuple[Floats, Bools]]:
        return ((vector.values[members], vector.present[members]) for members in rows.T)

    match op:
        case "sum":
            return streams.total(stream(), shape)
        case "avg":
            return streams.mean(stream, shape)
        case "count":
            return np.asarray(vector.present[rows].sum(axis=1), dtype=np.float64)
        case "group":
            return np.ones(shape)
        case "min" | "max":
            return streams.extreme(stream(), shape, largest=op == "max")
        case _:
            spread = streams.variance(stream(), shape, compensated=False)
            return np.sqrt(spread) if op == "stddev" else spread


def _quantile(values: Floats, mask: Bools, q: Floats) -> Floats:
    kind = np.where(mask, np.where(np.isnan(values), 0, 1), 2)
    order = np.lexsort((values, kind), axis=0)
    ordered = np.take_along_axis(values, order, axis=0).T
    return quantile_of_sorted(q, ordered, mask.sum(axis=0))


def _worst(params: Floats, least: float, most: float) -> list[float]:
    """The parameters that a warning names: NaN alone, else the largest and the smallest where they are outside."""
    if np.isnan(params).any():
        return [math.nan]
    largest, smallest = float(params.max()), float(params.min())
    return [largest] * (largest > most) + [smallest] * (smallest < least)


def _int_params(param: Floats, needed: Bools) -> Floats:
    for value in param[needed].tolist():
        if not value < 2.0**63:
            raise PromqlError(f"Scalar value {float_text(value, shortest=True)} overflows int64")
        if value <= -(2.0**63):
            raise PromqlError(f"Scalar value {float_text(value, shortest=True)} underflows int64")
    return np.trunc(param)


def _choose(op: str, vector: Vector, groups: list[list[int]], param: Floats, notes: Notes) -> Vector:
    """topk, bottomk, limitk and limit_ratio keep whole elements."""
    present = np.zeros_like(vector.present)
    order: list[int] = []
    needed = np.asarray(vector.present.any(axis=0))
    if op == "limit_ratio":
        if (np.isnan(param) & needed).any():
            raise PromqlError("Ratio value NaN is NaN")
        for ratio in dict.fromkeys(_worst(param, -1, 1)):
            if not math.isnan(ratio):
                shown = float_text(ratio, shortest=True)
                notes.warn(f"ratio value should be between -1 and 1, got {shown}, capping to {1 if ratio > 1 else -1}")
        param = np.clip(param, -1, 1)
        for row, labels in enumerate(vector.labels):
            offset = labels_hash(labels) / float(2**64 - 1)
            present[row] = vector.present[row] & np.where(param >= 0, offset < param, offset >= 1 + param)
        order = [row for rows in groups for row in _heaped(rows, vector.values, present)]
    else:
        if not len(param) or float(np.nan_to_num(param, nan=math.inf, posinf=math.inf).max()) < 1:
            return Vector.empty(vector.values.shape[1])
        k = _int_params(param, needed)
        for rows in groups:
            mask = vector.present[rows]
            if op == "limitk":
                present[rows] = mask & (np.cumsum(mask, axis=0) <= k)
                order.extend(_heaped(rows, vector.values, present))
                continue
            values = vector.values[rows]
            kind = np.where(mask, np.where(np.isnan(values), 1, 0), 2)
            ranked = np.lexsort((-values if op == "topk" else values, kind), axis=0)
            place = np.empty_like(ranked)
            np.put_along_axis(place, ranked, np.broadcast_to(np.arange(len(rows))[:, None], ranked.shape), axis=0)
            chosen_here = mask & (place < k)
            tied = _tied(values, mask, ranked, k)
            if tied.any() and int(tied.sum()) * len(rows) <= _HEAPED:
                signed = values[:, tied] if op == "topk" else -values[:, tied]
                chosen_here[:, tied] = heap.kept(signed, mask[:, tied], k[tied].astype(np.int64))
            present[rows] = chosen_here
            if ranked.shape[1] == 1 and k[0] >= 1 and min(k[0], mask.sum()) <= heap.SHORT:
                signed = values[:, 0] if op == "topk" else -values[:, 0]
                order.extend(rows[index] for index in heap.in_order(signed, mask[:, 0], int(min(k[0], len(rows)))))
            else:
                order.extend(rows[index] for index in ranked[:, 0]) if ranked.shape[1] else order.extend(rows)
    chosen = Vector(vector.labels, vector.values, present, vector.drop)
    kept = chosen.take([row for row in order if present[row].any()])
    kept.ordered = op in ("topk", "bottomk")
    return kept


def _heaped(rows: list[int], values: Floats, present: Bools) -> list[int]:
    """The order in which limitk and limit_ratio hand on the elements of an instant query: as they lie in a heap."""
    if values.shape[1] != 1:
        return rows
    return [rows[index] for index in heap.layout(values[rows, 0], present[rows, 0])]


def _tied(values: Floats, mask: Bools, ranked: Ints, k: Floats) -> Bools:
    """The steps at which the k-th element (of two or more) equals the one behind it."""
    last = len(values) - 1
    edge = np.clip(np.nan_to_num(k, nan=0, posinf=last + 1, neginf=0), 0, last + 1).astype(np.int64)
    some = (edge >= 2) & (edge < mask.sum(axis=0))
    ordered = np.take_along_axis(values, ranked, axis=0)
    a = np.take_along_axis(ordered, np.maximum(edge - 1, 0)[None, :], axis=0)[0]
    b = np.take_along_axis(ordered, np.minimum(edge, last)[None, :], axis=0)[0]
    return np.asarray(some & ((a == b) | (np.isnan(a) & np.isnan(b))))


def _count_values(label: str, vector: Vector, groups: dict[Labels, list[int]], node: Aggregate, most: int) -> Vector:
    if not label:
        raise PromqlError(f"invalid label name {quote(label)}")
    steps = vector.values.shape[1]
    counted: dict[Labels, Floats] = {}
    for key, rows in groups.items():
        values, mask = vector.values[rows], vector.present[rows]
        bits = np.where(np.isnan(values), np.nan, values).view(np.uint64)
        distinct, which = np.unique(bits[mask], return_inverse=True)
        refuse_more((len(counted) + len(distinct)) * steps, most)
        places = which.reshape(-1) * steps + np.nonzero(mask)[1]
        counts = np.bincount(places, minlength=len(distinct) * steps).reshape(len(distinct), steps)
        for value, count in zip(distinct.view(np.float64).tolist(), counts, strict=True):
            text = float_text(value)
            labels = key if node.without and label in node.grouping else make({**dict(key), label: text})
            counted[labels] = counted.get(labels, 0.0) + count.astype(np.float64)
    if not counted:
        return Vector.empty(steps)
    held = np.stack(list(counted.values()))
    return merge_same(Vector(list(counted), held, held > 0, [False] * len(counted)))
