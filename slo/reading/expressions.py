"""PromQL in a definition, checked before a server sees it: its type, its series, what no server takes without a flag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slo.errors import PromqlError
from slo.promql.ast import (
    Aggregate,
    Call,
    MatrixSelector,
    Node,
    Subquery,
    VectorSelector,
    walk,
)
from slo.promql.parse import parse
from slo.promql.series import cardinality, grouped_by
from slo.promql.signatures import FUNCTIONS, SHOWN
from slo.promql.types import value_type
from slo.reading.faults import Fault, Path, Report
from slo.reading.selectors import check_matchers, check_rated, is_counter_name
from slo.reading.texts import refusal

WINDOW_VARIABLE = "$window"
# A duration as long as the variable, so that places in the text stay where they are.
_FIVE_MINUTES = "000005m"
# A duration that nobody writes: where it comes back, the variable stood.
_MARK_MS = 86_399_989
_FLAG = "promql-experimental-functions"
_EXPERIMENTAL_AGGREGATIONS = frozenset({"limitk", "limit_ratio"})


def read_vector(text: str, at: Path, report: Report) -> Node:
    """The nodes of an expression that gives an instant vector. Raises Fault once reported."""
    if WINDOW_VARIABLE in text:
        report(at, f"{WINDOW_VARIABLE} is known to `raw` only; write a duration, such as 5m", "error")
        raise Fault
    node = _read(text, at, report)
    if (kind := value_type(node)) != "vector":
        report(at, f"gives a {SHOWN[kind]}; an instant vector is accepted{_instead(text, node)}", "error")
        raise Fault
    return node


def read_windowed(text: str, at: Path, report: Report, by: Sequence[str] = ()) -> Node:
    """The nodes of an expression over `$window`, 5 m in its place. Raises Fault once reported.

    It gives one number; with `by`, one for each value of exactly these labels.
    """
    if WINDOW_VARIABLE not in text:
        report(
            at, f"has no {WINDOW_VARIABLE}, so it cannot be asked over a window; write …[{WINDOW_VARIABLE}]", "error"
        )
        raise Fault
    node = _read(text, at, report)
    if _uses_of_window(text) != text.count(WINDOW_VARIABLE):
        report(
            at, f"{WINDOW_VARIABLE} stands for a range: write it in brackets, …[{WINDOW_VARIABLE}], or after `offset`",
            "error",
        )  # fmt: skip
        raise Fault
    if (kind := value_type(node)) != "vector":
        report(
            at, f"gives a {SHOWN[kind]}; one number for {WINDOW_VARIABLE} is accepted{_counted(text, node)}", "error"
        )
        raise Fault
    labels = cardinality(node)
    if by and not grouped_by(node, by):
        wanted = ", ".join(by)
        report(
            at,
            f"must be grouped by exactly {wanted}, as `by` is; did you mean `sum by ({wanted}) {_inside_sum(text)}`?",
            "error",
        )
        raise Fault
    if not by and labels != "one":
        several = f"one series for each value of {', '.join(labels)}" if isinstance(labels, tuple) else "several series"
        report(at, f"can give {several}; one is accepted; did you mean `sum({_bare(text)})`?", "withheld")
    return node


def _read(text: str, at: Path, report: Report) -> Node:
    try:
        node = parse(text.replace(WINDOW_VARIABLE, _FIVE_MINUTES))
    except PromqlError as error:
        report(at, refusal(error).replace(_FIVE_MINUTES, WINDOW_VARIABLE), "error")
        raise Fault from None
    for name in dict.fromkeys(_experimental(node)):
        report(at, f"{name} is experimental: servers refuse it unless they run with --enable-feature={_FLAG}", "error")
        raise Fault
    for part in walk(node):
        if isinstance(part, VectorSelector):
            check_matchers(part, at, report)
        elif isinstance(part, Call):
            check_rated(part, at, report)
    return node


def _experimental(node: Node) -> Iterator[str]:
    for part in walk(node):
        if (isinstance(part, Call) and FUNCTIONS[part.func].experimental) or (
            isinstance(part, Aggregate) and part.op in _EXPERIMENTAL_AGGREGATIONS
        ):
            yield part.func if isinstance(part, Call) else part.op


def _uses_of_window(text: str) -> int:
    """How often `$window` is a range, or how far back something lies."""
    try:
        node = parse(text.replace(WINDOW_VARIABLE, f"{_MARK_MS}ms"))
    except PromqlError:
        return 0  # such as [1$window]
    count = 0
    for part in walk(node):
        if isinstance(part, MatrixSelector | Subquery):
            count += part.range_ms == _MARK_MS
        if isinstance(part, VectorSelector | Subquery):
            count += part.offset_ms == _MARK_MS
    return count


def _instead(text: str, node: Node) -> str:
    match node:
        case MatrixSelector(selector=selector):
            func = "rate" if is_counter_name(selector.name or "") else "avg_over_time"
            return f"; did you mean `{func}({_bare(text)})`?"
        case Subquery():
            return f"; did you mean `avg_over_time({_bare(text)})`?"
        case Call(func="scalar", args=(inner,)):
            return f"; did you mean `{inner}`?"
    return f"; did you mean `vector({_bare(text)})`?" if value_type(node) == "scalar" else ", such as `up == 0`"


def _counted(text: str, node: Node) -> str:
    match node:
        case MatrixSelector():
            return f"; did you mean `sum(increase({_bare(text)}))`?"
        case Subquery():
            return f"; did you mean `sum(sum_over_time({_bare(text)}))`?"
    return f", such as `sum(increase(requests_total[{WINDOW_VARIABLE}]))`"


def _inside_sum(text: str) -> str:
    bare = _bare(text)
    return bare.removeprefix("sum") if bare.startswith("sum(") and bare.count("sum") == 1 else f"({bare})"


def _bare(text: str) -> str:
    return " ".join(text.split())
