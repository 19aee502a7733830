"""Values that time itself moves: the age of a last success, the time that a certificate has left, how long a process runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slo.promql.ast import Aggregate, Binary, Call, Node, Number, Unary, VectorSelector, walk
from slo.promql.parse import parse
from slo.sli.threshold import Threshold
from slo.source.simulation.context import cannot
from slo.source.simulation.plan import Floats, Ints, Span
from slo.spec.model import Slo
from slo.window import DAY

# Functions and aggregations that give the one value that they are given, or nearly.
_SAME = ("round", "ceil", "floor", "scalar", "vector", "abs")
_SAME_OF_MANY = ("min", "max", "avg")
HELD = 1e6  # what a metric stands at alongside the one that moves


@dataclass(frozen=True, slots=True)
class LinearValue:
    """A value as `per_metric` × the metric + `per_second` × Unix seconds + `rest`."""

    per_metric: float
    per_second: float
    rest: float


def moved_by_time(slo: Slo, sli: Threshold, metric: str) -> LinearValue | None:
    """How a threshold's value follows from its metric and `time()`; None without that. Raises SloError where unknown."""
    root = parse(sli.expr)
    nodes = list(walk(root))
    if not any(isinstance(node, Call) and node.func == "time" for node in nodes):
        return None
    names = {node.name for node in nodes if isinstance(node, VectorSelector)}
    line = _line(root, metric, _SAME_OF_MANY) if names == {metric} else None
    if line is None:
        raise cannot(
            slo,
            f"how time() and {' and '.join(sorted(map(str, names)))} make the value of {sli.expr} is not known; "
            "use `metric - time()` or `time() - metric` of one metric, with min, max, avg and constants",
        )
    return line


def made_of(sli: Threshold, metric: str) -> LinearValue | None:
    """How a threshold's value follows from one of its metrics while the others stand at HELD; None where it does not."""
    return _line(parse(sli.expr), metric, (*_SAME_OF_MANY, "sum"))


def driver(sli: Threshold) -> str | None:
    """The metric that is made to move a threshold's value: the first of which it is a linear function."""
    names = [node.name for node in walk(parse(sli.expr)) if isinstance(node, VectorSelector) and node.name]
    lines = ((name, made_of(sli, name)) for name in names)
    return next((name for name, line in lines if line is not None and line.per_metric), None)


def summed(sli: Threshold) -> set[str]:
    """The metrics that are summed over their series."""
    sums = [node for node in walk(parse(sli.expr)) if isinstance(node, Aggregate) and node.op == "sum"]
    return {
        node.name for node_found in sums for node in walk(node_found) if isinstance(node, VectorSelector) and node.name
    }


def _line(node: Node, metric: str, same: tuple[str, ...]) -> LinearValue | None:
    match node:
        case Number(value=value):
            return LinearValue(0.0, 0.0, value)
        case VectorSelector(name=name):
            return LinearValue(1.0, 0.0, 0.0) if name == metric else LinearValue(0.0, 0.0, HELD)
        case Call(func="time") | Call(func="timestamp"):
            return LinearValue(0.0, 1.0, 0.0)
        case Call(func=func, args=(inner, *_)) if func in _SAME:
            return _line(inner, metric, same)
        case Aggregate(op=op, expr=inner) if op in same:
            return _line(inner, metric, same)
        case Unary(op=sign, expr=inner):
            line = _line(inner, metric, same)
            return line if line is None or sign != "-" else _scaled(line, -1.0)
        case Binary(op=op, left=left, right=right) if op in ("+", "-", "*", "/"):
            first, other = _line(left, metric, same), _line(right, metric, same)
            return None if first is None or other is None else _joined(first, op, other)
    return None


def _joined(line: LinearValue, op: str, other: LinearValue) -> LinearValue | None:
    if op in ("+", "-"):
        sign = 1.0 if op == "+" else -1.0
        return LinearValue(
            line.per_metric + sign * other.per_metric,
            line.per_second + sign * other.per_second,
            line.rest + sign * other.rest,
        )
    if op == "*" and (line.per_metric, line.per_second) == (0.0, 0.0):
        line, other = other, line
    if (other.per_metric, other.per_second) != (0.0, 0.0) or (op == "/" and other.rest == 0):
        return None
    return _scaled(line, other.rest if op == "*" else 1 / other.rest)


def _scaled(line: LinearValue, factor: float) -> LinearValue:
    return LinearValue(line.per_metric * factor, line.per_second * factor, line.rest * factor)


def aged(
    slo: Slo, sli: Threshold, line: LinearValue, times: Ints, spans: Sequence[Span], around: tuple[int, int]
) -> Floats:
    """The metric at `times` (ms), so that the value keeps to its bound but in `spans`: from their starts to their ends.

    It is renewed now and then and stands still between, as a timestamp does. `around` are the simulation's start and end, ms.
    """
    if line.per_metric == 0:
        return np.ones(len(times))  # such as time() - timestamp(metric): the scrapes alone decide
    bound, upper = float(sli.bound), sli.op in ("<", "<=")
    if line.per_second == 0 or (upper and line.per_second < 0):
        # Time runs towards the good side: the metric keeps the distance.
        level = np.full(len(times), 0.7 if upper else 1.4)
        for span in spans:
            level[(times > span.start_ms) & (times <= span.end_ms)] = span.level or (1.2 if upper else 0.7)
        return np.asarray((level * bound - line.rest - line.per_second * times / 1000) / line.per_metric)
    reach_ms = round(1000 * (bound - line.rest) / line.per_second)
    if not upper and line.per_second > 0:
        at = _starts(max(1, reach_ms), spans, around[0])
        last = at[np.searchsorted(at, times, side="right") - 1]
        return np.asarray(-line.per_second * (last / 1000) / line.per_metric)
    # An age counts from the success; what is left of something was three times the bound when it was new.
    life_ms = reach_ms if upper else (-2 * reach_ms or 30 * DAY)
    if life_ms <= 0:
        raise cannot(slo, f"{sli.expr} {sli.op} {sli.bound} never holds once time has passed; correct the bound")
    at, until = renewals(life_ms, spans, around)
    held = until[np.searchsorted(at, times, side="right") - 1]
    return np.asarray((bound - line.rest - line.per_second * held / 1000) / line.per_metric)


def renewals(life_ms: int, spans: Sequence[Span], around: tuple[int, int]) -> tuple[Ints, Ints]:
    """When something was renewed, and until when it is good after each time, ms: too late from each span's start to its end.

    Renewed well within its life; before a span it is not, and at the span's end it is.
    """
    spans = sorted(spans, key=lambda span: span.start_ms)
    until = {at: at + life_ms for at in range(around[0] - life_ms // 4, around[1] + 1, max(1, life_ms * 4 // 5))}
    for span in spans:
        until = {at: end for at, end in until.items() if not span.start_ms - life_ms < at <= span.end_ms}
    before = around[0] - 2 * life_ms
    for span in spans:
        if span.start_ms < before:
            continue  # it begins within another
        until[max(before, span.start_ms - life_ms)] = span.start_ms
        until[span.end_ms] = span.end_ms + life_ms
        before = span.end_ms
    renewed = sorted({before: before, **until}.items()) if not until else sorted(until.items())
    return np.array([at for at, _ in renewed], dtype=np.int64), np.array([end for _, end in renewed], dtype=np.int64)


def _starts(least_ms: int, spans: Sequence[Span], start_ms: int) -> Ints:
    """When a process started that is to run for `least_ms`: long ago, and again and again in each span, not to run that long."""
    starts = {start_ms - 10 * least_ms}
    for span in spans:
        starts |= {span.start_ms, *range(span.start_ms, span.end_ms - least_ms, max(1, least_ms // 2))}
    return np.array(sorted(starts), dtype=np.int64)
