"""Expressions print as PromQL that parses back to an equal node, whatever the names and label values."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.errors import PromqlError
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    Subquery,
    Unary,
    VectorMatching,
    VectorSelector,
    pretty,
)
from slo.promql.parse import parse, parse_selector

metric_names = st.sampled_from(["x", "http_requests_total", "a:b", "sum", "by", "or", "offset", "é.b", 'q"x'])
label_names = st.sampled_from(["job", "by", "on", "bool", "le", "a.b", "ö", "end"])
labels = st.lists(label_names, max_size=2, unique=True).map(tuple)
matchers = st.builds(Matcher, label_names, st.sampled_from(["=", "!="]), st.text(max_size=8)) | st.builds(
    Matcher, label_names, st.just("=~"), st.sampled_from(["a|b", ".+", "(?i)x", "a\\.b"])
)
offsets = st.just(0) | st.integers(-(10**9), 10**9)
ats = st.none() | st.sampled_from(["start", "end"]) | st.integers(-(10**12), 10**13).map(lambda ms: ms / 1000)
spans = st.integers(1, 10**10)
selectors = st.builds(
    VectorSelector, metric_names, st.lists(matchers, max_size=2).map(tuple), offset_ms=offsets, at=ats
) | st.builds(lambda name: VectorSelector(None, (Matcher("__name__", "=~", name),)), st.sampled_from(["a.+", "b|c"]))
numbers = st.floats(allow_nan=True).map(Number)


def extend(vectors: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    ranges = st.builds(MatrixSelector, selectors, spans) | st.builds(
        Subquery, vectors, spans, st.none() | spans, offsets, ats
    )
    one_to_one = st.none() | st.builds(VectorMatching, st.just("one-to-one"), labels, st.just(True))
    grouped = st.builds(VectorMatching, st.sampled_from(["many-to-one", "one-to-many"]), labels, st.just(False), labels)
    arithmetic = st.sampled_from(["+", "-", "*", "/", "%", "^", "atan2", "==", "<=", ">"])
    return st.one_of(
        st.builds(lambda m: Call("rate", (m,)), ranges),
        st.builds(lambda v: Call("abs", (v,)), vectors),
        st.builds(Aggregate, st.sampled_from(["sum", "count"]), vectors, st.none(), labels, st.booleans()),
        st.builds(Aggregate, st.just("topk"), vectors, numbers, labels),
        st.builds(Binary, arithmetic, vectors, vectors, st.just(False), one_to_one | grouped),
        st.builds(Binary, st.sampled_from(["<", "!="]), vectors, vectors | numbers, st.just(True)),
        st.builds(Binary, arithmetic, numbers, vectors),
        st.builds(Binary, st.sampled_from(["and", "or", "unless"]), vectors, vectors),
        st.builds(Unary, st.sampled_from(["-", "+"]), vectors),
    )


expressions = st.recursive(selectors, extend, max_leaves=8)


@settings(max_examples=600, deadline=None)
@given(expressions)
def test_an_expression_parses_back_to_itself(expr: Node) -> None:
    assert parse(str(expr)) == expr
    assert parse(pretty(expr)) == expr
    assert pickle.loads(pickle.dumps(expr)) == expr  # noqa: S301
    assert hash(parse(str(expr))) == hash(expr)


@given(st.text(), st.sampled_from(["=", "!="]))
def test_any_label_value_survives(value: str, op: str) -> None:
    selector = VectorSelector("x", (Matcher("a", op, value),))
    assert parse_selector(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000.0), ("0x1F", 31.0), ("010", 8.0), ("1h30m", 5400.0), ("+Inf", math.inf), ("-inf", -math.inf),
        ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("1500ms", 1.5),
    ],
)  # fmt: skip
def test_numbers_are_read_as_prometheus_reads_them(text: str, value: float) -> None:
    assert parse(text) == Number(value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{a="1" or b="2"}', "label matching"),
        ("rate(x)", 'expected type range vector in call to function "rate", got instant vector'),
        ("1 > 2", "comparisons between scalars must use BOOL modifier"),
        ("{}", "at least one non-empty matcher"),
        ('{a=~".*"}', "at least one non-empty matcher"),
        ('x{a=~"("}', "error parsing regexp"),
        ("(x)[5m]", "ranges only allowed for vector selectors"),
        ("x offset 5m[1m]", "no offset modifiers allowed before range"),
        ("sum(x) offset 5m", "offset modifier must be preceded"),
        ("x[0s]", "duration must be greater than 0"),
        ("nope(x)", "unknown function"),
        ("topk(x)", "wrong number of arguments"),
        ("x and 1", 'set operator "and" not allowed in binary scalar expression'),
        ("x and on() group_left y", "no grouping allowed"),
        ("abs(x,)", "trailing commas not allowed"),
        ("x y", 'unexpected identifier "y"'),
        ("x + bool y", "bool modifier can only be used on comparison operators"),
        ('x{__name__="y"}', "metric name must not be set twice"),
    ],
)
def test_what_prometheus_refuses_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PromqlError, match=r"^\d+:\d+: parse error: ") as caught:
        parse(text)
    assert reason in str(caught.value)
