"""How many series an expression can give, as far as its text alone says it: which labels can tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    MatrixSelector,
    Node,
    Number,
    String,
    Subquery,
    Unary,
    VectorMatching,
    VectorSelector,
)
from slo.promql.types import value_type

Cardinality = Literal["scalar", "one", "many"] | tuple[str, ...]
# The labels that the series of a result can have; None where nothing bounds them.
_Labels = frozenset[str] | None

_NONE: frozenset[str] = frozenset()
# These keep the series that they choose, with all of their labels.
_CHOOSING = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
_WITHOUT_LE = frozenset({"histogram_quantile", "histogram_fraction"})


def cardinality(node: Node) -> Cardinality:
    """`scalar` (a string too); `one`: at most one series at a moment, and it has no labels; the labels, sorted, that
    alone can tell its series apart; `many` where nothing bounds them.

    >>> from slo.promql.parse import parse
    >>> cardinality(parse("sum by (route) (rate(x[5m]))"))
    ('route',)
    """
    if value_type(node) in ("scalar", "string"):
        return "scalar"
    labels = series_labels(node)
    if labels is None:
        return "many"
    return tuple(sorted(labels)) if labels else "one"


def grouped_by(node: Node, labels: Iterable[str]) -> bool:
    """Whether the series can be told apart by exactly these labels, no fewer and no more."""
    return value_type(node) == "vector" and series_labels(node) == frozenset(labels)


def series_labels(node: Node) -> frozenset[str] | None:
    """The labels that a result's series can have: empty where it is one series, None where the text does not say."""
    match node:
        case VectorSelector() | MatrixSelector():
            return None
        case Number() | String():
            return _NONE
        case Subquery(expr=expr) | Unary(expr=expr):
            return series_labels(expr)
        case Aggregate():
            return _of_aggregate(node)
        case Binary():
            return _of_binary(node)
        case Call():
            return _of_call(node)


def _of_aggregate(node: Aggregate) -> _Labels:
    inner = series_labels(node.expr)
    if node.op in _CHOOSING:
        return inner
    labels = _minus(inner, node.grouping) if node.without else _both(inner, frozenset(node.grouping))
    if node.op == "count_values" and node.param is not None:
        return _either(labels, _named(node.param))
    return labels


def _named(label: Node) -> _Labels:
    return frozenset({label.value}) if isinstance(label, String) else None


def _of_call(node: Call) -> _Labels:
    match node.func:
        case "absent" | "absent_over_time":
            return _of_absent(node.args[0])
        case "label_replace" | "label_join":
            target = node.args[1]
            return _either(series_labels(node.args[0]), _named(target))
        case "info":
            return None
    if value_type(node) == "scalar":
        return _NONE
    inner: _Labels = _NONE
    for arg in node.args:
        if value_type(arg) in ("vector", "matrix"):
            inner = series_labels(arg)
    return _minus(inner, ("le",)) if node.func in _WITHOUT_LE else inner


def _of_absent(node: Node) -> _Labels:
    """One series, with the labels that the selector asks to be equal to something."""
    selector = node.selector if isinstance(node, MatrixSelector) else node
    if not isinstance(selector, VectorSelector):
        return _NONE
    return frozenset(m.label for m in selector.matchers if m.op == "=" and m.label != "__name__")


def _of_binary(node: Binary) -> _Labels:
    scalars = [value_type(side) == "scalar" for side in (node.left, node.right)]
    if all(scalars):
        return _NONE
    if any(scalars):
        return series_labels(node.right if scalars[0] else node.left)
    left, right = series_labels(node.left), series_labels(node.right)
    matching = node.matching or VectorMatching()
    match node.op, matching.card:
        case "or", _:
            return _either(left, right)
        case (("and" | "unless"), _):
            return left
        case _, "many-to-one":
            return _either(left, frozenset(matching.include))
        case _, "one-to-many":
            return _either(right, frozenset(matching.include))
    # One to one: the two sides agree on the labels that are matched, and no others are left.
    if matching.on:
        return _both(_both(left, right), frozenset(matching.labels))
    return _minus(_both(left, right), matching.labels)


def _both(left: _Labels, other: _Labels) -> _Labels:
    if left is None or other is None:
        return other if left is None else left
    return left & other


def _either(left: _Labels, other: _Labels) -> _Labels:
    return None if left is None or other is None else left | other


def _minus(labels: _Labels, names: Iterable[str]) -> _Labels:
    return None if labels is None else labels - frozenset(names)
