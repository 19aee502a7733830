"""Bucket bounds are numbers, however they are spelled."""

from __future__ import annotations

from decimal import Decimal

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from slo.promql.ast import Matcher, VectorSelector
from slo.sli.bounds import INFINITY, any_spelling, bound_in, bound_of, le_matcher


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("1", "1"), ("1.0", "1"), ("0.250", "0.25"), ("2.5e-1", "0.25"), ("1e+06", "1000000"), ("+Inf", "Infinity"),
        ("Inf", "Infinity"),
    ],
)  # fmt: skip
def test_what_a_text_means(text: str, bound: str) -> None:
    assert bound_of(text) == Decimal(bound)


@pytest.mark.parametrize("text", ["", "one", "NaN", "1s"])
def test_what_spells_no_bound(text: str) -> None:
    assert bound_of(text) is None


@pytest.mark.parametrize(
    ("bound", "spelled", "others"),
    [
        ("0.25", ["0.25", "0.250", ".25", "2.5e-1", "2.5E-01", "2.50e-1"], ["0.2", "0.251", "10.25", "2.5e1", "25"]),
        ("1", ["1", "1.0", "1.00", "1e0", "1e+00", "1.0E0"], ["10", "0.1", "1.5", "11", "1e1", "1e-0x"]),
        ("10", ["10", "10.0", "1e1", "1e+01", "1.0e1"], ["1", "100", "1e10", "1e-1"]),
        ("1000000", ["1000000", "1e6", "1e+06", "1000000.0", "1.0E6"], ["1000", "1e+60", "1e5", "100000"]),
        ("12.5", ["12.5", "12.50", "1.25e1", "1.250e+01"], ["1.25", "125", "12x5", "1.25e2"]),
        ("0.001", ["0.001", "1e-3", "1e-03", "1.0e-3"], ["0.01", "1e3", "1e-30"]),
        ("Infinity", ["+Inf", "Inf"], ["-Inf", "1", "Info"]),
    ],
)
def test_a_matcher_takes_every_spelling_of_its_bound_alone(bound: str, spelled: list[str], others: list[str]) -> None:
    matcher = le_matcher(Decimal(bound))
    pattern = re2.compile(matcher.value)
    assert [text for text in spelled if not pattern.fullmatch(text)] == []
    assert [text for text in others if pattern.fullmatch(text)] == []
    assert (matcher.label, matcher.op) == ("le", "=~")


@given(st.decimals("0.0001", "99999", places=4))
def test_a_matcher_says_which_bound_it_is_for(bound: Decimal) -> None:
    assert bound_in(le_matcher(bound)) == bound
    for text in (f"{bound:f}", f"{bound.normalize():f}", f"{bound:e}", f"{float(bound)!r}", f"{float(bound):g}"):
        matched = bool(re2.compile(le_matcher(bound).value).fullmatch(text))
        assert matched is (Decimal(text) == bound)


@pytest.mark.parametrize(
    ("op", "value", "bound"),
    [
        ("=", "2.5e-1", "0.25"),
        ("=~", "0\\.25", "0.25"),
        ("=~", "1|1.0", "1"),
        ("=~", "[+]?Inf", "Infinity"),
        ("=~", "0[.].*", None),
        ("!=", "1", None),
        ("!~", "1", None),
    ],
)
def test_the_bound_that_a_matcher_means(op: str, value: str, bound: str | None) -> None:
    expected = None if bound is None else Decimal(bound)
    assert bound_in(Matcher("le", op, value)) == expected
    assert bound_in(le_matcher(INFINITY)) == INFINITY


def test_a_selectors_bound_finds_every_spelling_and_the_rest_stays() -> None:
    written = VectorSelector("b", (Matcher("le", "=", "1.0"), Matcher("job", "=", "1")), 5, None)
    assert any_spelling(written) == VectorSelector("b", (le_matcher(Decimal(1)), Matcher("job", "=", "1")), 5, None)
    for left in (Matcher("le", "=~", "1"), Matcher("le", "=", "x"), Matcher("le", "!=", "1")):
        assert any_spelling(VectorSelector("b", (left,))) == VectorSelector("b", (left,))
