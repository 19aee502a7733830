"""Calls of functions of range vectors, for as many series at a time as memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from slo.errors import PromqlError
from slo.promql import binary, quantiles, rangefns, spread
from slo.promql.ast import Call, MatrixSelector, Node
from slo.promql.context import Context
from slo.promql.samples import Samples
from slo.promql.text import float_text
from slo.promql.values import NAME, Floats, Notes, Ranges, Vector, compact, make
from slo.promql.windows import at, changes, counts, times_at

PER_BLOCK = 1_000_000  # samples that are laid side by side at once: few enough for the processor's caches
KEPT = 20_000_000  # samples up to which what was prepared of them is kept until the end of the query
# prefix sums of products take up to 25 times the memory of the values
_OF_PRODUCTS = frozenset({"stddev_over_time", "stdvar_over_time", "deriv", "predict_linear"})
_HEAVY = 2
_COUNTER_ENDINGS = ("_total", "_sum", "_count", "_bucket")


def over_range(ev: Context, node: Call) -> Vector:
    """The value of a call over windows. Raises PromqlError."""
    name = node.func
    position = 1 if name == "quantile_over_time" else 0
    others = [ev.scalar(arg) for index, arg in enumerate(node.args) if index != position]
    most = PER_BLOCK // (_HEAVY if name in _OF_PRODUCTS else 1)
    parts = [_over_block(ev, node, others, r) for r in _blocks(ev, node.args[position], most)]
    vector = parts[0] if len(parts) == 1 else _stacked(parts)
    if name == "last_over_time":
        return replace(vector, drop=[False] * len(vector.labels))
    return binary.renamed(vector, ev.settings.delayed, strict=True)


def _blocks(ev: Context, node: Node, most: int) -> Iterator[Ranges]:
    """The windows of all series; of some series at a time where their samples are many."""
    if isinstance(node, MatrixSelector):
        chosen = ev.samples.select(node.selector)
        held = sum(len(series.times) for series in chosen)
        ev.refuse_more(len(chosen))
        if held > most and len(chosen) > 1:
            rows = max(1, len(chosen) * most // held)
            chosen.sort(key=lambda series: make(dict(series.labels)))
            for row in range(0, len(chosen), rows):
                key = ("block", node.selector, row, rows)
                flats = ev.flats.setdefault(key, {}) if held <= KEPT else {}
                some = ev.of(Samples(chosen[row : row + rows]), flats)
                yield some.ranges(node)
            return
    yield ev.ranges(node)


def _over_block(ev: Context, node: Call, others: list[Floats], r: Ranges) -> Vector:
    name = node.func
    if name in ("rate", "increase", "delta"):
        values, present = rangefns.extrapolated(r, name != "delta", name == "rate")
        if name != "delta":
            _hint_counters(ev.notes, r, present)
        return compact(Vector(r.labels, values, present, r.drop))
    counted = counts(r)
    present = counted > 0
    match name:
        case "irate" | "idelta":
            values, present = rangefns.instant_change(r, name == "irate")
        case "resets" | "changes":
            values = changes(r, name)
        case "sum_over_time":
            values = rangefns.sum_over_time(r)
        case "avg_over_time":
            values = rangefns.avg_over_time(r)
        case "count_over_time":
            values = counted.astype(np.float64)
        case "present_over_time":
            values = np.ones(counted.shape)
        case "min_over_time" | "max_over_time":
            values = rangefns.extreme_over_time(r, name.startswith("max"))
        case "last_over_time":
            values = at(r, r.hi - 1)
        case "ts_of_last_over_time":
            values = times_at(r, r.hi - 1) / 1000
        case "ts_of_max_over_time" | "ts_of_min_over_time":
            values = rangefns.extreme_time(r, "max" in name)
        case "stddev_over_time" | "stdvar_over_time":
            values = spread.variance_over_time(r)
            values = np.sqrt(values) if name == "stddev_over_time" else values
        case "quantile_over_time":
            q = others[0]
            check_quantile(ev.notes, q[present.any(axis=0)])
            values = quantiles.quantile_over_time(r, q)
        case "mad_over_time":
            values = quantiles.mad_over_time(r)
        case "deriv":
            first = times_at(r, r.lo)
            values, present = spread.regression(r, first)[0], counted >= 2
        case "predict_linear":
            now = np.broadcast_to(ev.times, counted.shape)
            slope, intercept = spread.regression(r, now, np.broadcast_to(others[0], counted.shape))
            values, present = slope * others[0] + intercept, counted >= 2
        case "double_exponential_smoothing":
            used = present.any(axis=0)
            for text, held in (("smoothing", others[0]), ("trend", others[1])):
                bad = held[used & ((held <= 0) | (held >= 1))]
                if len(bad):
                    raise PromqlError(f"invalid {text} factor. Expected: 0 < {text[0]}f < 1, got: {bad[0]:.6f}")
            values, present = rangefns.double_exponential(r, others[0], others[1])
        case _:
            raise PromqlError(f"{name}() is not supported: {node}")
    return compact(Vector(r.labels, np.asarray(values, dtype=np.float64), present, r.drop))


def check_quantile(notes: Notes, q: Floats) -> None:
    """For quantile_over_time and histogram_quantile: every wrong parameter."""
    for wrong in dict.fromkeys(q[np.isnan(q) | (q < 0) | (q > 1)].tolist()):
        notes.warn(f"quantile value should be between 0 and 1, got {float_text(wrong, shortest=True)}")


def _hint_counters(notes: Notes, r: Ranges, present: Any) -> None:
    for row, labels in enumerate(r.labels):
        metric = dict(labels).get(NAME, "")
        if metric and not metric.endswith(_COUNTER_ENDINGS) and present[row].any():
            notes.info(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " + f'"{metric}"'
            )


def _stacked(parts: list[Vector]) -> Vector:
    """The series of several vectors; the parts are let go one by one, so that memory holds the series but once more."""
    labels = [held for part in parts for held in part.labels]
    drop = [gone for part in parts for gone in part.drop]
    steps = parts[0].values.shape[1]
    values, present = np.empty((len(labels), steps)), np.empty((len(labels), steps), dtype=bool)
    row = 0
    parts.reverse()
    while parts:
        part = parts.pop()
        values[row : row + len(part.labels)], present[row : row + len(part.labels)] = part.values, part.present
        row += len(part.labels)
    return Vector(labels, values, present, drop)
