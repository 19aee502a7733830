"""Expressions to values over all steps at once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from slo.errors import PromqlError
from slo.promql import binary, buckets, functions, info, rangefns, select
from slo.promql.aggregate import aggregate
from slo.promql.ast import (
    SET_OPERATORS,
    Aggregate,
    Binary,
    Call,
    MatrixSelector,
    Node,
    Number,
    String,
    Subquery,
    Unary,
    VectorSelector,
    walk,
)
from slo.promql.samples import Samples
from slo.promql.text import float_text
from slo.promql.values import (
    NAME,
    Flat,
    Floats,
    Ints,
    Labels,
    Notes,
    Ranges,
    Vector,
    make,
    nameless,
    refuse_same,
)

PER_BLOCK = 20_000_000  # samples that are laid side by side at once
_COUNTER_ENDINGS = ("_total", "_sum", "_count", "_bucket")
_IGNORES_FLOATS = frozenset(
    {"histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"}
)


@dataclass
class Settings:
    lookback_ms: int
    interval_ms: int
    delayed: bool
    start_ms: int
    end_ms: int
    instant: bool


@dataclass
class Evaluator:
    """Evaluates nodes at `times` (ms, one per step)."""

    samples: Samples
    times: Ints
    settings: Settings
    notes: Notes
    flats: dict[Any, tuple[list[Labels], Flat]] = field(default_factory=dict)

    # what a node gives: Floats (scalar, one per step), str, Vector

    def eval(self, node: Node) -> Floats | str | Vector:
        steps = len(self.times)
        match node:
            case Number(value=value):
                return np.full(steps, value)
            case String(value=value):
                return value
            case VectorSelector():
                return self.selector(node)
            case Unary(op=op, expr=expr):
                return self.unary(op, self.eval(expr))
            case Binary():
                return self.binary(node)
            case Aggregate(param=param, expr=expr):
                held = None if param is None else self.eval(param)
                if isinstance(held, np.ndarray) and is_fixed(expr):
                    # a server evaluates the whole aggregation once where its expression is the same at every step
                    held = np.full_like(held, held[0])
                return aggregate(node, self.vector(expr), held, self.notes)  # type: ignore[arg-type]
            case Call():
                return self.call(node)
            case _:
                raise PromqlError(f"a range vector cannot be used as a value here: {node}")

    def vector(self, node: Node) -> Vector:
        value = self.eval(node)
        assert isinstance(value, Vector)
        return value

    def scalar(self, node: Node) -> Floats:
        value = self.eval(node)
        assert isinstance(value, np.ndarray)
        return value

    def string(self, node: Node) -> str:
        value = self.eval(node)
        assert isinstance(value, str)
        return value

    def moments(self, node: VectorSelector | Subquery) -> Ints:
        """The steps as `@` and offset move them."""
        times = self.times
        if node.at is not None:
            fixed = {"start": self.settings.start_ms, "end": self.settings.end_ms}
            at = fixed[node.at] if isinstance(node.at, str) else round(node.at * 1000)
            times = np.full(len(times), at, dtype=np.int64)
        return times - node.offset_ms

    def flat(self, node: VectorSelector, after: int, until: int, stale: bool) -> tuple[list[Labels], Flat]:
        key = (node.name, node.matchers, after, until, stale)
        if key not in self.flats:
            chosen = sorted((make(dict(one.labels)), i, one) for i, one in enumerate(self.samples.select(node)))
            parts = select.cut([one for _, _, one in chosen], after, until, stale)
            kept = [i for i, (times, _) in enumerate(parts) if len(times)]
            self.flats[key] = ([chosen[i][0] for i in kept], select.flatten([parts[i] for i in kept]))
        return self.flats[key]

    def selector(self, node: VectorSelector, want_times: bool = False) -> Vector:
        at = self.moments(node)
        after = int(at.min()) - self.settings.lookback_ms
        labels, flat = self.flat(node, after, int(at.max()), stale=True)
        values, present, times = select.latest(flat, at, self.settings.lookback_ms)
        if want_times:
            values = times / 1000
        return _compact(Vector(labels, values, present, [False] * len(labels)))

    def ranges(self, node: Node) -> Ranges:
        match node:
            case MatrixSelector(selector=selector, range_ms=range_ms):
                ends = self.moments(selector)
                labels, flat = self.flat(selector, int(ends.min()) - range_ms, int(ends.max()), stale=False)
                return select.ranges(flat, labels, [False] * len(labels), ends, range_ms)
            case Subquery():
                ends = self.moments(node)
                vector, times = self.subquery(node, ends)
                flat = select.flatten(select.samples_of(vector, times))
                return select.ranges(flat, vector.labels, vector.drop, ends, node.range_ms)
            case _:
                raise PromqlError(f"expected a range vector: {node}")

    def subquery(self, node: Subquery, ends: Ints) -> tuple[Vector, Ints]:
        step = node.step_ms or self.settings.interval_ms
        first_edge, last = int(ends.min()) - node.range_ms, int(ends.max())
        start = step * int(first_edge / step)
        while start <= first_edge:
            start += step
        times = np.arange(start, last + 1, step, dtype=np.int64)
        if len(times) == 0:
            return Vector.empty(0), times
        inner = replace(self, times=times, settings=replace(self.settings, instant=False))
        value = inner.eval(node.expr)
        if isinstance(value, Vector):
            return value, times
        raise PromqlError(f"subquery is only allowed on instant vector: {node}")

    # operators

    def unary(self, op: str, value: Floats | str | Vector) -> Floats | Vector:
        if isinstance(value, Vector):
            if op == "+":
                return value
            negative = Vector(value.labels, -value.values, value.present, value.drop, value.ordered)
            return binary.renamed(negative, self.settings.delayed, strict=True)
        assert isinstance(value, np.ndarray)
        return -value if op == "-" else value

    def binary(self, node: Binary) -> Floats | Vector:
        left, right = self.eval(node.left), self.eval(node.right)
        delayed = self.settings.delayed
        if isinstance(left, Vector) and isinstance(right, Vector):
            if node.op in SET_OPERATORS:
                return _compact(binary.set_operator(node, left, right))
            return binary.vectors(node, left, right, delayed)
        if isinstance(left, Vector) and isinstance(right, np.ndarray):
            return _compact(binary.vector_scalar(node, left, right, False, delayed))
        if isinstance(left, np.ndarray) and isinstance(right, Vector):
            return _compact(binary.vector_scalar(node, right, left, True, delayed))
        assert isinstance(left, np.ndarray) and isinstance(right, np.ndarray)
        return binary.scalars(node, left, right)

    # functions

    def call(self, node: Call) -> Floats | Vector:
        name, args = node.func, node.args
        steps = len(self.times)
        seconds = self.times / 1000
        if name in functions.MATH:
            return self.mapped(self.vector(args[0]), functions.MATH[name])
        if name in functions.DATES:
            source = self.vector(args[0]) if args else self.constant(seconds)
            return self.mapped(source, lambda v: functions.date(name, v))
        if name in _IGNORES_FLOATS:
            self.vector(args[0])
            return Vector.empty(steps)
        match name:
            case "time":
                return seconds
            case "pi":
                return np.full(steps, math.pi)
            case "vector":
                return self.constant(self.scalar(args[0]))
            case "scalar":
                return self.to_scalar(self.vector(args[0]))
            case "absent":
                vector = self.vector(args[0])
                return self.absence(args[0], vector.present.any(axis=0))
            case "absent_over_time":
                windows = self.ranges(args[0])
                return self.absence(args[0], (rangefns.counts(windows) > 0).any(axis=0))
            case "timestamp":
                if isinstance(args[0], VectorSelector):
                    return binary.renamed(self.selector(args[0], want_times=True), self.settings.delayed)
                return self.mapped(self.vector(args[0]), lambda v: np.broadcast_to(seconds, v.shape))
            case "clamp" | "clamp_min" | "clamp_max" | "round":
                return self.bounded(name, args)
            case "sort" | "sort_desc":
                vector = self.vector(args[0])
                return functions.by_value(vector, name == "sort_desc") if self.settings.instant else vector
            case "sort_by_label" | "sort_by_label_desc":
                vector = self.vector(args[0])
                names = [self.string(arg) for arg in args[1:]]
                return functions.by_label(vector, names, name.endswith("_desc")) if self.settings.instant else vector
            case "label_replace":
                texts = [self.string(arg) for arg in args[1:]]
                return refuse_same(functions.label_replace(self.vector(args[0]), *texts))
            case "label_join":
                target, separator, *sources = [self.string(arg) for arg in args[1:]]
                return refuse_same(functions.label_join(self.vector(args[0]), target, separator, sources))
            case "histogram_quantile":
                q = self.scalar(args[0])
                vector = self.vector(args[1])
                self.check_quantile(q)
                return self.unnamed(buckets.by_histogram(vector, [q], self.notes, name, self.settings.delayed))
            case "histogram_fraction":
                edges = [self.scalar(args[0]), self.scalar(args[1])]
                return self.unnamed(
                    buckets.by_histogram(self.vector(args[2]), edges, self.notes, name, self.settings.delayed)
                )
            case "info":
                return self.info(args[0], args[1] if len(args) > 1 else None)
            case _:
                return self.over_range(node)

    def info(self, of: Node, selector: Node | None) -> Vector:
        assert selector is None or isinstance(selector, VectorSelector)
        base = self.vector(of)
        names, data = info.matchers_of(selector)
        infos = Vector.empty(len(self.times))
        if (chosen := info.wanted(base, names, data)) is not None:
            # as on a server, info series are read over the time that the first selector below covers
            first = next((node for node in walk(of) if isinstance(node, VectorSelector)), VectorSelector())
            span = self.times[[0, -1]] if first.at is None else np.unique(self.moments(replace(first, offset_ms=0)))
            after, until = int(span[0]) - first.offset_ms - self.settings.lookback_ms, int(span[-1]) - first.offset_ms
            labels, flat = self.flat(chosen, after, until, stale=True)
            _, present, times = select.latest(flat, self.times, self.settings.lookback_ms)
            infos = Vector(labels, times / 1000, present, [False] * len(labels))
        return _compact(info.join(base, infos, names, data))

    def mapped(self, vector: Vector, fn: Any) -> Vector:
        changed = Vector(vector.labels, np.asarray(fn(vector.values)), vector.present, vector.drop, vector.ordered)
        return binary.renamed(changed, self.settings.delayed)

    def unnamed(self, vector: Vector) -> Vector:
        return _compact(binary.renamed(vector, self.settings.delayed))

    def constant(self, values: Floats) -> Vector:
        steps = len(self.times)
        return Vector([()], np.array(values, dtype=np.float64).reshape(1, steps), np.ones((1, steps), bool), [False])

    def to_scalar(self, vector: Vector) -> Floats:
        one = vector.present.sum(axis=0) == 1
        values = np.where(vector.present, vector.values, 0.0)
        index = vector.present.argmax(axis=0) if len(vector.labels) else np.zeros(len(self.times), dtype=np.int64)
        if not len(vector.labels):
            return np.full(len(self.times), np.nan)
        return np.where(one, values[index, np.arange(len(self.times))], np.nan)

    def absence(self, node: Node, there: Any) -> Vector:
        selector = node.selector if isinstance(node, MatrixSelector) else node
        labels: dict[str, str] = {}
        if isinstance(selector, VectorSelector):
            named = [matcher.label for matcher in selector.matchers]
            for matcher in selector.matchers:
                if matcher.label != NAME and matcher.op == "=" and named.count(matcher.label) == 1:
                    labels[matcher.label] = matcher.value
        steps = len(self.times)
        absent = ~np.broadcast_to(np.asarray(there, dtype=bool), (steps,))
        return _compact(Vector([make(labels)], np.ones((1, steps)), absent.reshape(1, steps), [False]))

    def bounded(self, name: str, args: tuple[Node, ...]) -> Vector:
        vector = self.vector(args[0])
        params = [self.scalar(arg) for arg in args[1:]]
        match name:
            case "clamp":
                low, high = params
                vector = _compact(replace(vector, present=vector.present & ~(high < low)))
                return self.mapped(vector, lambda v: functions.larger(low, functions.smaller(high, v)))
            case "clamp_min":
                return self.mapped(vector, lambda v: functions.larger(params[0], v))
            case "clamp_max":
                return self.mapped(vector, lambda v: functions.smaller(params[0], v))
            case _:
                nearest = params[0] if params else np.ones(len(self.times))
                return self.mapped(vector, lambda v: functions.round_to(v, nearest))

    def over_range(self, node: Call) -> Vector:
        name = node.func
        position = 1 if name == "quantile_over_time" else 0
        others = [self.scalar(arg) for index, arg in enumerate(node.args) if index != position]
        parts = [self.over_block(node, others, r) for r in self.blocks(node.args[position])]
        vector = parts[0] if len(parts) == 1 else _stacked(parts)
        if name == "last_over_time":
            return replace(vector, drop=[False] * len(vector.labels))
        return binary.renamed(vector, self.settings.delayed, strict=True)

    def blocks(self, node: Node) -> Iterator[Ranges]:
        """The windows of all series; of some series at a time where their samples are many."""
        if isinstance(node, MatrixSelector):
            chosen = self.samples.select(node.selector)
            held = sum(len(one.times) for one in chosen)
            if held > PER_BLOCK and len(chosen) > 1:
                rows = max(1, len(chosen) * PER_BLOCK // held)
                chosen.sort(key=lambda one: make(dict(one.labels)))
                for row in range(0, len(chosen), rows):
                    some = replace(self, samples=Samples(chosen[row : row + rows]), flats={})
                    yield some.ranges(node)
                return
        yield self.ranges(node)

    def over_block(self, node: Call, others: list[Floats], r: Ranges) -> Vector:
        name = node.func
        if name in ("rate", "increase", "delta"):
            values, present = rangefns.extrapolated(r, name != "delta", name == "rate")
            if name != "delta":
                self.hint_counters(r, present)
            return _compact(Vector(r.labels, values, present, r.drop))
        counted = rangefns.counts(r)
        present = counted > 0
        match name:
            case "irate" | "idelta":
                values, present = rangefns.instant_change(r, name == "irate")
            case "resets" | "changes":
                values = rangefns.changes(r, name)
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
                values = rangefns.at(r, r.hi - 1)
            case "ts_of_last_over_time":
                values = rangefns.times_at(r, r.hi - 1) / 1000
            case "ts_of_max_over_time" | "ts_of_min_over_time":
                values = rangefns.extreme_time(r, "max" in name)
            case "stddev_over_time" | "stdvar_over_time":
                values = rangefns.variance_over_time(r)
                values = np.sqrt(values) if name == "stddev_over_time" else values
            case "quantile_over_time":
                q = others[0]
                self.check_quantile(q[present.any(axis=0)])
                values = rangefns.quantile_over_time(r, q)
            case "mad_over_time":
                values = rangefns.mad_over_time(r)
            case "deriv":
                first = rangefns.times_at(r, r.lo)
                values, present = rangefns.regression(r, first)[0], counted >= 2
            case "predict_linear":
                at = np.broadcast_to(self.times, counted.shape)
                slope, intercept = rangefns.regression(r, at)
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
        return _compact(Vector(r.labels, np.asarray(values, dtype=np.float64), present, r.drop))

    def check_quantile(self, q: Floats) -> None:
        """For quantile_over_time and histogram_quantile: every wrong parameter."""
        for wrong in dict.fromkeys(q[np.isnan(q) | (q < 0) | (q > 1)].tolist()):
            self.notes.warn(f"quantile value should be between 0 and 1, got {float_text(wrong, shortest=True)}")

    def hint_counters(self, r: Ranges, present: Any) -> None:
        for row, labels in enumerate(r.labels):
            metric = dict(labels).get(NAME, "")
            if metric and not metric.endswith(_COUNTER_ENDINGS) and present[row].any():
                self.notes.info(
                    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: " + f'"{metric}"'
                )


def is_fixed(node: Node) -> bool:
    """Whether `@` makes the expression the same at every step."""
    match node:
        case VectorSelector(at=at) | Subquery(at=at):
            return at is not None
        case MatrixSelector(selector=selector):
            return selector.at is not None
        case Number() | String():
            return True
        case Aggregate(expr=expr) | Unary(expr=expr):
            return is_fixed(expr)
        case Binary(left=left, right=right):
            return is_fixed(left) and is_fixed(right)
        case Call(func=func, args=args):
            moving = func in ("time", "timestamp", "predict_linear") or func in functions.DATES
            return not moving and all(is_fixed(arg) for arg in args)


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


def _compact(vector: Vector) -> Vector:
    """Without the series that stand at no step."""
    some = vector.present.any(axis=1)
    if some.all():
        return vector
    kept = vector.take(np.flatnonzero(some).tolist())
    kept.ordered = vector.ordered
    return kept


def finished(value: Vector) -> Vector:
    """Metric names that were marked are dropped, and equal label sets refused."""
    labels = [nameless(held) if gone else held for held, gone in zip(value.labels, value.drop, strict=True)]
    return refuse_same(Vector(labels, value.values, value.present, value.drop, value.ordered))
