"""Text to nodes, through promql-parser."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

import promql_parser as rust

from slo.errors import PromqlError
from slo.promql.ast import (
    Aggregate,
    At,
    Binary,
    Call,
    Cardinality,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    String,
    Subquery,
    Unary,
    VectorMatching,
    VectorSelector,
)


def parse(text: str) -> Node:
    """The nodes of an expression. Raises PromqlError with the reason."""
    return _parse(text)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Node:
    try:
        tree = rust.parse(text)
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise PromqlError(f"not valid PromQL: {_one_line(str(error))}: {_shorten(text)}") from None
    return _node(tree, text)


def parse_selector(text: str) -> VectorSelector:
    """A metric with matchers, as in PromQL. Raises PromqlError where it is anything else."""
    node = parse(text)
    if not isinstance(node, VectorSelector):
        raise PromqlError(f'must be a metric with matchers such as requests_total{{job="api"}}: {_shorten(text)}')
    return node


def _node(tree: Any, text: str) -> Node:
    match tree:
        case rust.ParenExpr():
            return _node(tree.expr, text)
        case rust.NumberLiteral():
            return Number(tree.val)
        case rust.StringLiteral():
            return String(tree.val)
        case rust.VectorSelector():
            return _selector(tree, text)
        case rust.MatrixSelector():
            return MatrixSelector(_selector(tree.vector_selector, text), _ms(tree.range))
        case rust.SubqueryExpr():
            step = None if tree.step is None else _ms(tree.step)
            return Subquery(_node(tree.expr, text), _ms(tree.range), step, _offset(tree.offset), _at(tree.at))
        case rust.Call():
            return Call(tree.func.name, tuple(_node(argument, text) for argument in tree.args))
        case rust.AggregateExpr():
            param = None if tree.param is None else _node(tree.param, text)
            labels: tuple[str, ...] = ()
            without = False
            if tree.modifier is not None:
                labels = tuple(tree.modifier.labels)
                without = tree.modifier.type == rust.AggModifierType.Without
            return Aggregate(str(tree.op), _node(tree.expr, text), param, labels, without)
        case rust.BinaryExpr():
            return _binary(tree, text)
        case rust.UnaryExpr():
            inner = _node(tree.expr, text)
            return Number(-inner.value) if isinstance(inner, Number) else Unary("-", inner)
    raise PromqlError(f"{type(tree).__name__} is not supported: {_shorten(text)}")


def _selector(tree: Any, text: str) -> VectorSelector:
    if tree.matchers.or_matchers:
        raise PromqlError(f"not valid PromQL: `or` between matchers: {_shorten(text)}")
    ops = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
    matchers = tuple(Matcher(m.name, ops[str(m.op).rpartition(".")[2]], m.value) for m in tree.matchers.matchers)
    name = tree.name
    if name is None:
        named = [m for m in matchers if m.label == "__name__" and m.op == "="]
        if len(named) == 1:
            name, matchers = named[0].value, tuple(m for m in matchers if m is not named[0])
    return VectorSelector(name, matchers, _offset(tree.offset), _at(tree.at))


def _binary(tree: Any, text: str) -> Node:
    matching, return_bool = None, False
    if tree.modifier is not None:
        return_bool = tree.modifier.return_bool
        card: Cardinality = "one-to-one"
        written = str(tree.modifier.card).rpartition(".")[2]
        include = tuple(tree.modifier.group_labels or ())
        match written:
            case "ManyToOne":
                card = "many-to-one"
            case "OneToMany":
                card = "one-to-many"
            case "ManyToMany":
                card = "many-to-many"
        labels: tuple[str, ...] = ()
        on = False
        if tree.modifier.matching is not None:
            labels = tuple(tree.modifier.matching.labels)
            on = tree.modifier.matching.type == rust.LabelModifierType.Include
        if on or labels or card in ("many-to-one", "one-to-many"):
            if str(tree.op) in ("and", "or", "unless"):
                card = "many-to-many"
            matching = VectorMatching(card, labels, on, include)
    return Binary(str(tree.op), _node(tree.lhs, text), _node(tree.rhs, text), return_bool, matching)


def _ms(length: Any) -> int:
    return timedelta.__floordiv__(length, timedelta(milliseconds=1))


def _offset(offset: timedelta | None) -> int:
    return 0 if offset is None else _ms(offset)


def _at(at: Any) -> At:
    if at is None:
        return None
    kind = str(at.type).rpartition(".")[2]
    if kind in ("Start", "End"):
        return "start" if kind == "Start" else "end"
    return float(at.at.timestamp())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shorten(text: str) -> str:
    line = _one_line(text)
    return line if len(line) <= 200 else line[:197] + "…"
