"""The engine: instant and range queries over samples in memory, with Prometheus 3's semantics."""

from __future__ import annotations

import numpy as np

from slo.errors import PromqlError
from slo.promql.ast import MatrixSelector, Node, Subquery
from slo.promql.context import Settings
from slo.promql.evaluate import Evaluator, finished
from slo.promql.parse import parse, parse_duration
from slo.promql.result import Result, ResultSeries
from slo.promql.samples import Samples
from slo.promql.types import value_type
from slo.promql.values import Ints, Notes, Vector, nameless, refuse_more

# A server's own defaults: `--query.max-samples`, and the most steps of one query.
MAX_SAMPLES, MAX_STEPS = 50_000_000, 11_000
# Of a range query here, which a server would have in pieces: a year in steps of a second.
MAX_RANGE_STEPS = 32_000_000
UNLIMITED = 2**62
# What functions make of a subquery's samples takes up to 150 bytes of each: they count this many times.
_OF_SUBQUERY = 5


class Engine:
    """Evaluates PromQL over `samples`.

    `lookback` is how old a sample an instant selector may take; `interval` the step of subqueries that name none.
    `delayed_name_removal` drops metric names at the end of the query (Prometheus's feature flag of that name), else each
    function drops them at once, as a server does by default. `max_samples` is the most samples that an expression may hold
    at once, as `--query.max-samples` of a server, for each MAX_STEPS steps, the most that one query of a server has; those
    of subqueries count five times.
    """

    def __init__(
        self,
        samples: Samples,
        lookback: str | float = "5m",
        *,
        interval: str | float = "1m",
        delayed_name_removal: bool = True,
        max_samples: int = MAX_SAMPLES,
    ) -> None:
        self.samples = samples
        self._lookback_ms = _length_ms(lookback)
        self._interval_ms = _length_ms(interval)
        self._delayed = delayed_name_removal
        self._max_samples = max_samples

    def query(self, expr: str | Node, at: float) -> Result:
        """The expression at one moment (seconds since the epoch). Raises PromqlError."""
        node = parse(expr) if isinstance(expr, str) else expr
        moment = round(at * 1000)
        times = np.array([moment], dtype=np.int64)
        evaluator = self._evaluator(times, moment, moment, instant=True)
        notes = evaluator.notes
        with np.errstate(all="ignore"):
            match value_type(node):
                case "matrix":
                    return Result("matrix", _windows(evaluator, node), tuple(notes.warnings), tuple(notes.infos))
                case _:
                    value = evaluator.eval(node)
        warnings, infos = tuple(notes.warnings), tuple(notes.infos)
        if isinstance(value, str):
            return Result("string", (), warnings, infos, value)
        if isinstance(value, Vector):
            return Result("vector", _rows(finished(value), times), warnings, infos)
        return Result("scalar", (ResultSeries({}, times, value),), warnings, infos)

    def query_range(self, expr: str | Node, start: float, end: float, step: str | float) -> Result:
        """The expression at start, start + step, … up to end (seconds since the epoch). Raises PromqlError."""
        node = parse(expr) if isinstance(expr, str) else expr
        kind = value_type(node)
        if kind in ("string", "matrix"):
            shown = "range vector" if kind == "matrix" else kind
            raise PromqlError(f'invalid expression type "{shown}" for range query, must be Scalar or instant Vector')
        start_ms, end_ms, step_ms = round(start * 1000), round(end * 1000), _length_ms(step)
        if step_ms <= 0:
            raise PromqlError(f"the step must be above zero, got {step}")
        if end_ms < start_ms:
            raise PromqlError("end timestamp must not be before start time")
        steps = (end_ms - start_ms) // step_ms + 1
        refuse_more(steps, MAX_RANGE_STEPS)  # an array of them is made first of all
        times = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
        evaluator = self._evaluator(times, start_ms, end_ms, instant=False)
        with np.errstate(all="ignore"):
            value = evaluator.eval(node)
        notes = evaluator.notes
        if isinstance(value, Vector):
            held = finished(value)
            order = sorted(range(len(held.labels)), key=lambda row: held.labels[row])
            series = _rows(held.take(order), times)
        else:
            series = (ResultSeries({}, times, np.asarray(value, dtype=np.float64)),)
        return Result("matrix", series, tuple(notes.warnings), tuple(notes.infos))

    def vector_at(self, expr: Node, times: Ints) -> Vector:
        """The expression at each of `times` (ms, ascending), each as a query of its own; a scalar becomes a vector.

        Raises PromqlError. For rules: `@ start()` and `@ end()` mean the first and the last of `times`.
        """
        evaluator = self._evaluator(times, int(times[0]), int(times[-1]), instant=False, single=True)
        with np.errstate(all="ignore"):
            value = evaluator.eval(expr)
        if isinstance(value, np.ndarray):
            return evaluator.constant(value)
        if isinstance(value, str):
            raise PromqlError(f"rule result is not a vector or scalar: {expr}")
        return finished(value)

    def _evaluator(self, times: Ints, start_ms: int, end_ms: int, instant: bool, single: bool = False) -> Evaluator:
        """`single`: each step is a query of its own, which a server would not add up; what is in subqueries counts all the same."""
        most = self._max_samples * max(1, -(-len(times) // MAX_STEPS))
        settings = Settings(
            self._lookback_ms,
            self._interval_ms,
            self._delayed,
            start_ms,
            end_ms,
            instant,
            UNLIMITED if single else most,
            most // _OF_SUBQUERY,
            single,
        )
        return Evaluator(self.samples, times, settings, Notes())


def _length_ms(length: str | float) -> int:
    return parse_duration(length) if isinstance(length, str) else round(length * 1000)


def _rows(vector: Vector, times: Ints) -> tuple[ResultSeries, ...]:
    rows = []
    for labels, values, mask in zip(vector.labels, vector.values, vector.present, strict=True):
        if mask.all():
            rows.append(ResultSeries(dict(labels), times, values))
        elif mask.any():
            rows.append(ResultSeries(dict(labels), times[mask], values[mask]))
    return tuple(rows)


def _windows(evaluator: Evaluator, node: Node) -> tuple[ResultSeries, ...]:
    """An instant query of a range vector gives the samples themselves."""
    if not isinstance(node, MatrixSelector | Subquery):
        raise PromqlError(f"expected a range vector: {node}")
    r = evaluator.ranges(node)
    rows = []
    for row, labels in enumerate(r.labels):
        low, high = int(r.lo[row, 0]), int(r.hi[row, 0])
        if high > low:
            held = nameless(labels) if r.drop[row] else labels
            rows.append((held, r.flat.times[low:high], r.flat.values[low:high]))
    return tuple(
        ResultSeries(dict(held), times, values) for held, times, values in sorted(rows, key=lambda row: row[0])
    )
