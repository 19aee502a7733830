"""Expressions to values over all steps at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from slo.errors import PromqlError
from slo.promql import binary, calls, functions, select
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
)
from slo.promql.context import Settings
from slo.promql.samples import Samples
from slo.promql.shared import Shared
from slo.promql.values import (
    Bools,
    Flat,
    Floats,
    Ints,
    Labels,
    Notes,
    Ranges,
    Vector,
    compact,
    make,
    nameless,
    refuse_more,
    refuse_same,
)


@dataclass
class Evaluator:
    """Evaluates nodes at `times` (ms, one per step)."""

    samples: Samples
    times: Ints
    settings: Settings
    notes: Notes
    flats: dict[Any, Any] = field(default_factory=dict)
    shared: Shared | None = None

    # what a node gives: Floats (scalar, one per step), str, Vector

    def eval(self, node: Node) -> Floats | str | Vector:
        if self.shared is None:
            self.shared = Shared(node)
        value = self.shared.take(node)
        if value is None:
            value = self._eval(node)
            self.shared.put(node, value)
        return value

    def _eval(self, node: Node) -> Floats | str | Vector:
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
                return aggregate(node, self.vector(expr), held, self.notes, self.settings.most)  # type: ignore[arg-type]
            case Call():
                return calls.call(self, node)
            case _:
                raise PromqlError(f"a range vector cannot be used as a value here: {node}")

    def of(self, samples: Samples, flats: dict[Any, Any]) -> Evaluator:
        """The same evaluation of other samples."""
        return replace(self, samples=samples, flats=flats, shared=None)

    def refuse_more(self, series: int) -> None:
        """Raises PromqlError where so many series have more samples at all steps than may be held."""
        refuse_more(series * len(self.times), self.settings.most)

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
            chosen = sorted(
                (make(dict(series.labels)), i, series) for i, series in enumerate(self.samples.select(node))
            )
            parts = select.cut([series for _, _, series in chosen], after, until, stale)
            kept = [i for i, (times, _) in enumerate(parts) if len(times)]
            self.flats[key] = ([chosen[i][0] for i in kept], select.flatten([parts[i] for i in kept]))
        held: tuple[list[Labels], Flat] = self.flats[key]
        return held

    def selector(self, node: VectorSelector, want_times: bool = False) -> Vector:
        at = self.moments(node)
        after = int(at.min()) - self.settings.lookback_ms
        labels, flat = self.flat(node, after, int(at.max()), stale=True)
        self.refuse_more(len(labels))
        values, present, times = select.latest(flat, at, self.settings.lookback_ms)
        if want_times:
            values = times / 1000
        return compact(Vector(labels, values, present, [False] * len(labels)))

    def ranges(self, node: Node) -> Ranges:
        match node:
            case MatrixSelector(selector=selector, range_ms=range_ms):
                ends = self.moments(selector)
                labels, flat = self.flat(selector, int(ends.min()) - range_ms, int(ends.max()), stale=False)
                self.refuse_more(len(labels))
                return select.ranges(flat, labels, [False] * len(labels), ends, range_ms)
            case Subquery():
                ends = self.moments(node)
                vector, times = self.subquery(node, ends)
                self.refuse_more(len(vector.labels))
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
        refuse_more((last - start) // step + 1, self.settings.most_inside)
        times = np.arange(start, last + 1, step, dtype=np.int64)
        if len(times) == 0:
            return Vector.empty(0), times
        if self.settings.single:
            times = times[_within(times, ends, node.range_ms)]
        inner = replace(
            self,
            times=times,
            settings=replace(self.settings, instant=False, most=self.settings.most_inside),
            shared=None,
        )
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
                return compact(binary.set_operator(node, left, right))
            return binary.vectors(node, left, right, delayed)
        if isinstance(left, Vector) and isinstance(right, np.ndarray):
            return compact(binary.vector_scalar(node, left, right, False, delayed))
        if isinstance(left, np.ndarray) and isinstance(right, Vector):
            return compact(binary.vector_scalar(node, right, left, True, delayed))
        assert isinstance(left, np.ndarray) and isinstance(right, np.ndarray)
        return binary.scalars(node, left, right)

    # functions

    def mapped(self, vector: Vector, fn: Any) -> Vector:
        changed = Vector(vector.labels, np.asarray(fn(vector.values)), vector.present, vector.drop, vector.ordered)
        return binary.renamed(changed, self.settings.delayed)

    def unnamed(self, vector: Vector) -> Vector:
        return compact(binary.renamed(vector, self.settings.delayed))

    def constant(self, values: Floats) -> Vector:
        steps = len(self.times)
        return Vector([()], np.array(values, dtype=np.float64).reshape(1, steps), np.ones((1, steps), bool), [False])


def _within(times: Ints, ends: Ints, range_ms: int) -> Bools:
    """Which times lie in a window (end - range, end]: where windows are shorter than what is between them, not all do."""
    after = ends[np.minimum(np.searchsorted(ends, times), len(ends) - 1)]
    return np.asarray((times <= after) & (times > after - range_ms))


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


def finished(value: Vector) -> Vector:
    """Metric names that were marked are dropped, and equal label sets refused."""
    labels = [nameless(held) if gone else held for held, gone in zip(value.labels, value.drop, strict=True)]
    return refuse_same(Vector(labels, value.values, value.present, value.drop, value.ordered))
