"""Labels whose names need quotes, such as `http.route`, in `on` and `group_left` of rules.

Prometheus evaluates the text that it prints of a rule's expression. Up to 3.8 it prints these names without their quotes
there, and the rule fails each time although its file loads; in `by` and in selectors they are right from 3.0 on. So a label
with a plain name stands in for such a label within an expression that matches by it, and its series have the real one again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Node,
    String,
    Subquery,
    Unary,
    VectorSelector,
    is_plain_label,
    walk,
)

_STAND_IN = "slo_quoted_"
_WHOLE = String("(.*)")


def without_quotes(node: Node) -> Node:
    """An instant vector that is the same, without names that need quotes in `on`, `ignoring` and `group_left`."""
    labels = sorted(_matched(node))
    if not labels:
        return node
    stand_ins = {label: f"{_STAND_IN}{number}" for number, label in enumerate(labels, 1)}
    rewritten = _rewritten(node, stand_ins)
    for label, stand_in in stand_ins.items():
        rewritten = _renamed(rewritten, stand_in, label)
    return rewritten


def _matched(node: Node) -> set[str]:
    """The labels that operators match by and whose names need quotes."""
    return {
        label
        for part in walk(node)
        if isinstance(part, Binary) and part.matching is not None
        for label in (*part.matching.labels, *part.matching.include)
        if not is_plain_label(label)
    }


def _rewritten(node: Node, stand_ins: Mapping[str, str]) -> Node:
    """The expression with its series under other labels, and never under both: what matches by all labels still does.

    What does not match by them is left as it is, so that few series are renamed.
    """
    if not _matched(node):
        if not any(isinstance(part, VectorSelector) for part in walk(node)):
            return node
        for label, stand_in in stand_ins.items():
            node = _renamed(node, label, stand_in)
        return node

    def named(labels: Iterable[str]) -> tuple[str, ...]:
        return tuple(stand_ins.get(label, label) for label in labels)

    match node:
        case Binary(matching=matching):
            left, right = _rewritten(node.left, stand_ins), _rewritten(node.right, stand_ins)
            if matching is not None:
                matching = replace(matching, labels=named(matching.labels), include=named(matching.include))
            return replace(node, left=left, right=right, matching=matching)
        case Aggregate():
            return replace(node, expr=_rewritten(node.expr, stand_ins), grouping=named(node.grouping))
        case Call(func="label_replace", args=(inner, target, value, String(source), pattern)):
            source_label = String(stand_ins.get(source, source))
            return replace(node, args=(_rewritten(inner, stand_ins), target, value, source_label, pattern))
        case Call():
            return replace(node, args=tuple(_rewritten(arg, stand_ins) if _matched(arg) else arg for arg in node.args))
        case Subquery() | Unary():
            return replace(node, expr=_rewritten(node.expr, stand_ins))
    return node


def _renamed(node: Node, source: str, target: str) -> Node:
    """With a label's value under another name."""
    copied = Call("label_replace", (node, String(target), String("$1"), String(source), _WHOLE))
    return Call("label_replace", (copied, String(source), String(""), String(""), String("")))
