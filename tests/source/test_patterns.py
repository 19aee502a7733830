"""Texts made for a pattern match it, as RE2 judges."""

from __future__ import annotations

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from slo.reading.patterns import examples

PATTERNS = (
    "5..",
    "2..|3..",
    "(GET|POST)",
    "api-(eu|us)-[0-9]+",
    "/a{2}",
    "/api/v[12]/.*",
    "web-[0-9]{3,}:80(80)?",
    "(?i)err.+",
    "(?:a|b(?:c|d))+",
    "(?P<name>x)y",
    r"\d{3}\.\w+\s?",
    r"[^a-z]{3}-\d+",
    "[]a]",
    "[^]a-]",
    "[[:digit:]][[:alpha:]]",
    r"\Qa.b|c\E",
    r"\pL\p{Lu}\PL",
    r"\x41\x{1F648}",
    "^anchored$",
    "",
    "a|",
    "https://.*",
    r"[\w.]+@[a-z-]+",
)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_example_matches(pattern: str) -> None:
    assert any(re2.fullmatch(pattern, text) for text in examples(pattern, "0")), examples(pattern, "0")


def test_every_alternative_is_met() -> None:
    assert examples("a(b|c)|d") == ["ab", "ac", "d"]
    assert examples("5..", "0") == ["500"]
    assert examples("(x|y){2}[pqr]") == ["xxp", "yyp"]


ATOMS = st.sampled_from(["a", "Z", "7", ".", r"\.", r"\d", "[a-f]", "[^b]", r"\w", "/", "-"])
GRAMMAR = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})")
        | st.tuples(inner.map(lambda part: f"(?:{part})"), st.sampled_from(["*", "+", "?", "{2}", "{1,3}"])).map(
            "".join
        )
    ),
    max_leaves=8,
)


@given(GRAMMAR)
def test_patterns_of_usual_parts_have_examples_that_all_match(pattern: str) -> None:
    texts = examples(pattern, "0")
    assert texts
    assert all(re2.fullmatch(pattern, text) for text in texts)


@given(st.text("()[]{}|\\*+?.^$-a1:P<>,=", max_size=20))
def test_no_text_however_broken_stops_it(pattern: str) -> None:
    assert len(examples(pattern)) <= 24
