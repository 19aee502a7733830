"""The types of expressions, and the checks that Prometheus makes before it evaluates one."""

from __future__ import annotations

from dataclasses import dataclass

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
from slo.promql.signatures import AGGREGATIONS, FUNCTIONS, SHOWN, ValueType


@dataclass(frozen=True, slots=True)
class TypeProblem:
    """What is wrong, and the sub-expression it is wrong with."""

    node: Node
    message: str


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


def _wrong(node: Node, wanted: ValueType, context: str) -> TypeProblem | None:
    got = value_type(node)
    if got == wanted:
        return None
    return TypeProblem(node, f"expected type {SHOWN[wanted]} in {context}, got {SHOWN[got]}: {node}")


def check(node: Node) -> TypeProblem | None:
    """The first fault of this node (not of those below it), or None."""
    match node:
        case Call():
            return _check_call(node)
        case Aggregate(op=op, expr=expr, param=param):
            wanted = AGGREGATIONS[op]
            if wanted is not None and param is not None and (problem := _wrong(param, wanted, "aggregation parameter")):
                return problem
            return _wrong(expr, "vector", "aggregation expression")
        case Binary():
            return _check_binary(node)
        case Unary(expr=expr):
            if value_type(expr) not in ("scalar", "vector"):
                return TypeProblem(
                    node,
                    "unary expression only allowed on expressions of type scalar or instant vector, "
                    f"got {SHOWN[value_type(expr)]}: {expr}",
                )
        case _:
            pass
    return None


def _check_call(node: Call) -> TypeProblem | None:
    signature = FUNCTIONS[node.func]
    most = len(signature.args)
    least = most - signature.optional - (1 if signature.repeat else 0)
    got = len(node.args)
    if least == most and got != most:
        return TypeProblem(node, f"expected {most} argument(s) in call to {node.func!r}, got {got}")
    if got < least:
        return TypeProblem(node, f"expected at least {least} argument(s) in call to {node.func!r}, got {got}")
    if got > most and not signature.repeat:
        return TypeProblem(node, f"expected at most {most} argument(s) in call to {node.func!r}, got {got}")
    for index, arg in enumerate(node.args):
        wanted = signature.args[min(index, most - 1)]
        if problem := _wrong(arg, wanted, f"call to function {node.func!r}"):
            return problem
    if node.func == "info" and got == 2 and (not isinstance(node.args[1], VectorSelector) or node.args[1].name):
        return TypeProblem(node.args[1], f"expected label selectors only, got vector selector instead: {node.args[1]}")
    return None


def _check_binary(node: Binary) -> TypeProblem | None:
    left, right = value_type(node.left), value_type(node.right)
    for side, kind in ((node.left, left), (node.right, right)):
        if kind not in ("scalar", "vector"):
            return TypeProblem(
                side, f"binary expression must contain only scalar and instant vector types, got {SHOWN[kind]}: {side}"
            )
    scalars = left == right == "scalar"
    if node.op in COMPARISONS and scalars and not node.return_bool:
        return TypeProblem(node, f"comparisons between scalars must use BOOL modifier: {node}")
    if node.op in SET_OPERATORS and "scalar" in (left, right):
        return TypeProblem(node, f"set operator {node.op!r} not allowed in binary scalar expression: {node}")
    if node.matching is not None and "scalar" in (left, right) and node.matching.labels:
        return TypeProblem(node, f"vector matching only allowed between instant vectors: {node}")
    return None
