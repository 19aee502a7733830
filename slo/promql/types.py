"""The types of expressions, and the checks that Prometheus makes before it evaluates one."""

from __future__ import annotations

from collections.abc import Iterator

from slo.promql.ast import (
    COMPARISONS,
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
from slo.promql.cursor import Places
from slo.promql.lex import quote
from slo.promql.signatures import AGGREGATIONS, FUNCTIONS, SHOWN, ValueType

Problem = tuple[int, str]  # a place in the text, and what is wrong there

NO_MATCHER = "vector selector must contain at least one non-empty matcher"


def value_type(node: Node) -> ValueType:
    """The type of what the expression gives: scalar, string, vector or matrix."""
    match node:
        case Number():
            return "scalar"
        case String():
            return "string"
        case MatrixSelector() | Subquery():
            return "matrix"
        case Call(func=func):
            return FUNCTIONS[func].returns
        case Unary(expr=expr):
            return value_type(expr)
        case Binary(left=left, right=right):
            return "scalar" if value_type(left) == "scalar" and value_type(right) == "scalar" else "vector"
        case _:
            return "vector"


def problems(node: Node, places: Places) -> Iterator[Problem]:
    """What is wrong with the types of an expression, in the order in which the server finds it."""
    start = places.own[id(node)]
    match node:
        case VectorSelector():
            if fault := places.faults.get(id(node)):
                yield start, fault
        case MatrixSelector(selector=selector):
            yield from problems(selector, places)
        case Call():
            yield from _of_call(node, places)
        case Aggregate(op=op, expr=expr, param=param):
            yield from _expected(expr, "vector", "aggregation expression", places)
            wanted = AGGREGATIONS[op]
            if wanted is not None and param is not None:
                yield from _expected(param, wanted, "aggregation parameter", places)
        case Binary():
            yield from _of_binary(node, places)
        case Unary(expr=expr):
            yield from problems(expr, places)
            if (got := value_type(expr)) not in ("scalar", "vector"):
                text = "unary expression only allowed on expressions of type scalar or instant vector"
                yield start, f"{text}, got {quote(SHOWN[got])}"
        case Subquery(expr=expr):
            yield from problems(expr, places)
            if (got := value_type(expr)) != "vector":
                yield start, f"subquery is only allowed on instant vector, got {got} instead"
        case _:
            pass


def _expected(node: Node, wanted: ValueType, context: str, places: Places) -> Iterator[Problem]:
    yield from problems(node, places)
    if (got := value_type(node)) != wanted:
        yield places.outer[id(node)], f"expected type {SHOWN[wanted]} in {context}, got {SHOWN[got]}"


def _of_call(node: Call, places: Places) -> Iterator[Problem]:
    start, name = places.own[id(node)], quote(node.func)
    signature = FUNCTIONS[node.func]
    most = len(signature.args)
    least = most - signature.optional - (1 if signature.repeat else 0)
    got = len(node.args)
    if least == most and got != most:
        yield start, f"expected {most} argument(s) in call to {name}, got {got}"
    elif got < least:
        yield start, f"expected at least {least} argument(s) in call to {name}, got {got}"
    elif got > most and not signature.repeat:
        yield start, f"expected at most {most} argument(s) in call to {name}, got {got}"
    if node.func == "info" and got > 1:
        chosen = node.args[1]
        if not isinstance(chosen, VectorSelector):
            kind = value_type(chosen)
            yield start, f"expected type instant vector in call to function {name}, got {SHOWN[kind]}"
        elif id(chosen) in places.named:
            yield places.outer[id(chosen)], "expected label selectors only, got vector selector instead"
        elif places.faults.get(id(chosen)) == NO_MATCHER:
            del places.faults[id(chosen)]
    for index, arg in enumerate(node.args[: got if most else 0]):
        if index < most or signature.repeat or signature.optional:
            yield from _expected(arg, signature.args[min(index, most - 1)], f"call to function {name}", places)


def _of_binary(node: Binary, places: Places) -> Iterator[Problem]:
    yield from problems(node.left, places)
    yield from problems(node.right, places)
    start, operator = places.own[id(node)], places.operator[id(node)]
    left, right = value_type(node.left), value_type(node.right)
    matching = node.matching
    if node.return_bool and node.op not in COMPARISONS:
        yield operator, "bool modifier can only be used on comparison operators"
    if node.op in COMPARISONS and left == right == "scalar" and not node.return_bool:
        yield operator, "comparisons between scalars must use BOOL modifier"
    if matching is not None and matching.on:
        for label in matching.labels:
            if label in matching.include:
                yield operator, f"label {quote(label)} must not occur in ON and GROUP clause at once"
    for side, kind in ((node.left, left), (node.right, right)):
        if kind not in ("scalar", "vector"):
            yield places.outer[id(side)], "binary expression must contain only scalar and instant vector types"
    if matching is not None and (left != "vector" or right != "vector"):
        if matching.labels:
            yield start, "vector matching only allowed between instant vectors"
    elif id(node) in places.faults:
        yield start, places.faults[id(node)]
    if node.op in SET_OPERATORS and "scalar" in (left, right):
        yield start, f"set operator {quote(node.op)} not allowed in binary scalar expression"
