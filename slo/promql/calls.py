"""Calls of functions: of instant vectors here, of range vectors in `rangecalls`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from slo.promql import binary, buckets, functions, info, rangecalls, select, windows
from slo.promql.ast import Call, MatrixSelector, Node, VectorSelector, walk
from slo.promql.context import Context
from slo.promql.values import NAME, Floats, Vector, compact, make, refuse_same

_IGNORES_FLOATS = frozenset(
    {"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"}
)


def call(ev: Context, node: Call) -> Floats | Vector:
    """The value of a call. Raises PromqlError."""
    name, args = node.func, node.args
    steps = len(ev.times)
    seconds = ev.times / 1000
    if name in functions.MATH:
        return ev.mapped(ev.vector(args[0]), functions.MATH[name])
    if name in functions.DATES:
        source = ev.vector(args[0]) if args else ev.constant(seconds)
        return ev.mapped(source, lambda v: functions.date(name, v))
    if name in _IGNORES_FLOATS:
        ev.vector(args[0])
        return Vector.empty(steps)
    match name:
        case "time":
            return seconds
        case "pi":
            return np.full(steps, math.pi)
        case "vector":
            return ev.constant(ev.scalar(args[0]))
        case "scalar":
            return _to_scalar(ev, ev.vector(args[0]))
        case "absent":
            vector = ev.vector(args[0])
            return _absence(ev, args[0], vector.present.any(axis=0))
        case "absent_over_time":
            ranges = ev.ranges(args[0])
            return _absence(ev, args[0], (windows.counts(ranges) > 0).any(axis=0))
        case "timestamp":
            if isinstance(args[0], VectorSelector):
                return binary.renamed(ev.selector(args[0], want_times=True), ev.settings.delayed)
            return ev.mapped(ev.vector(args[0]), lambda v: np.broadcast_to(seconds, v.shape))
        case "clamp" | "clamp_min" | "clamp_max" | "round":
            return _bounded(ev, name, args)
        case "sort" | "sort_desc":
            vector = ev.vector(args[0])
            return functions.by_value(vector, name == "sort_desc") if ev.settings.instant else vector
        case "sort_by_label" | "sort_by_label_desc":
            vector = ev.vector(args[0])
            names = [ev.string(arg) for arg in args[1:]]
            return functions.by_label(vector, names, name.endswith("_desc")) if ev.settings.instant else vector
        case "label_replace":
            texts = [ev.string(arg) for arg in args[1:]]
            return refuse_same(functions.label_replace(ev.vector(args[0]), *texts))
        case "label_join":
            target, separator, *sources = [ev.string(arg) for arg in args[1:]]
            return refuse_same(functions.label_join(ev.vector(args[0]), target, separator, sources))
        case "histogram_quantile":
            q = ev.scalar(args[0])
            vector = ev.vector(args[1])
            rangecalls.check_quantile(ev.notes, q)
            return ev.unnamed(buckets.by_histogram(vector, [q], ev.notes, name, ev.settings.delayed))
        case "histogram_fraction":
            edges = [ev.scalar(args[0]), ev.scalar(args[1])]
            return ev.unnamed(buckets.by_histogram(ev.vector(args[2]), edges, ev.notes, name, ev.settings.delayed))
        case "info":
            return _info(ev, args[0], args[1] if len(args) > 1 else None)
        case _:
            return rangecalls.over_range(ev, node)


def _info(ev: Context, of: Node, selector: Node | None) -> Vector:
    assert selector is None or isinstance(selector, VectorSelector)
    base = ev.vector(of)
    names, data = info.matchers_of(selector)
    infos = Vector.empty(len(ev.times))
    if (chosen := info.wanted(base, names, data)) is not None:
        # as on a server, info series are read over the time that the first selector below covers
        first = next((node for node in walk(of) if isinstance(node, VectorSelector)), VectorSelector())
        span = ev.times[[0, -1]] if first.at is None else np.unique(ev.moments(replace(first, offset_ms=0)))
        after, until = int(span[0]) - first.offset_ms - ev.settings.lookback_ms, int(span[-1]) - first.offset_ms
        labels, flat = ev.flat(chosen, after, until, stale=True)
        _, present, times = select.latest(flat, ev.times, ev.settings.lookback_ms)
        infos = Vector(labels, times / 1000, present, [False] * len(labels))
    return compact(info.join(base, infos, names, data))


def _to_scalar(ev: Context, vector: Vector) -> Floats:
    single = vector.present.sum(axis=0) == 1
    values = np.where(vector.present, vector.values, 0.0)
    index = vector.present.argmax(axis=0) if len(vector.labels) else np.zeros(len(ev.times), dtype=np.int64)
    if not len(vector.labels):
        return np.full(len(ev.times), np.nan)
    return np.where(single, values[index, np.arange(len(ev.times))], np.nan)


def _absence(ev: Context, node: Node, there: Any) -> Vector:
    selector = node.selector if isinstance(node, MatrixSelector) else node
    labels: dict[str, str] = {}
    if isinstance(selector, VectorSelector):
        named = [matcher.label for matcher in selector.matchers]
        for matcher in selector.matchers:
            if matcher.label != NAME and matcher.op == "=" and named.count(matcher.label) == 1:
                labels[matcher.label] = matcher.value
    steps = len(ev.times)
    absent = ~np.broadcast_to(np.asarray(there, dtype=bool), (steps,))
    return compact(Vector([make(labels)], np.ones((1, steps)), absent.reshape(1, steps), [False]))


def _bounded(ev: Context, name: str, args: tuple[Node, ...]) -> Vector:
    vector = ev.vector(args[0])
    params = [ev.scalar(arg) for arg in args[1:]]
    match name:
        case "clamp":
            low, high = params
            vector = compact(replace(vector, present=vector.present & ~(high < low)))
            return ev.mapped(vector, lambda v: functions.larger(low, functions.smaller(high, v)))
        case "clamp_min":
            return ev.mapped(vector, lambda v: functions.larger(params[0], v))
        case "clamp_max":
            return ev.mapped(vector, lambda v: functions.smaller(params[0], v))
        case _:
            nearest = params[0] if params else np.ones(len(ev.times))
            return ev.mapped(vector, lambda v: functions.round_to(v, nearest))
