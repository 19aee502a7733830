"""YAML's surprises never change a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.spec.yaml import parse


@pytest.mark.parametrize(
    "written",
    ["no", "yes", "on", "off", "012", "0x1F", "1:30", "1.10", "1_000", "1e3", "2026-01-01", ".inf", "=", "~/x"],
)
def test_a_plain_scalar_stays_the_text_that_was_written(written: str) -> None:
    [document] = parse(f"key: {written}\n", "x.yaml").documents
    assert document.data == {"key": written}


@pytest.mark.parametrize(
    ("written", "meant"), [("true", True), ("false", False), ("null", None), ("~", None), ("", None)]
)
def test_the_literals_of_yaml_1_2_are_read(written: str, meant: object) -> None:
    [document] = parse(f"key: {written}\n", "x.yaml").documents
    assert document.data == {"key": meant}


def test_quoted_literals_are_text() -> None:
    [document] = parse("a: 'true'\nb: \"null\"\n", "x.yaml").documents
    assert document.data == {"a": "true", "b": "null"}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key `a`, first given in line 1"),
        ("a: [\n", 2, 1, "not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, 4, "is not accepted"),
        ("a: !secret x\n", 1, 4, "tag !secret is not accepted"),
        ("? [a, b]\n: 1\n", 1, 3, "a key must be plain text"),
        ("a: *nowhere\n", 1, 4, "not valid YAML"),
        ("\ta: 1\n", 1, 1, "not valid YAML"),
        ("a: \x00\n", 0, 0, "not valid YAML"),
        ("<<: 5\n", 1, 5, "merges mappings only"),
    ],
)
def test_faults_name_their_place(text: str, line: int, column: int, message: str) -> None:
    [problem, *_] = parse(text, "x.yaml").problems
    assert message in problem.message
    assert problem.file == "x.yaml"
    if line:
        assert (problem.line, problem.column) == (line, column)


def test_a_few_lines_that_unfold_to_a_billion_values_are_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    parsed = parse("\n".join(lines), "x.yaml")
    assert not parsed.documents
    assert "unfolds to more than" in parsed.problems[0].message


def test_nesting_too_deep_is_refused() -> None:
    assert "levels" in parse("[" * 200 + "]" * 200, "x.yaml").problems[0].message


def test_merged_mappings_give_way_to_own_keys() -> None:
    [document] = parse("base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\n", "x.yaml").documents
    assert document.data["own"] == {"a": "1", "b": "3"}


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_never_a_crash(text: str) -> None:
    parsed = parse(text, "x.yaml")
    assert parsed.documents or parsed.problems or not text.strip() or text.strip().startswith(("#", "---", "%", "..."))
