"""The words of tests/words.yaml are looked for where people read, and found; `make check` runs the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.words import ROOT, Words, check, findings, text_of, words_of

WORDS = Words.read()


@pytest.mark.parametrize("place", range(len(WORDS.text)), ids=lambda place: WORDS.text[place].example.replace(" ", "-"))
def test_a_word_is_seen_in_every_kind_of_text(place: int) -> None:
    word = WORDS.text[place]
    for path, content in [
        ("docs/new.md", word.example),
        ("slo/new.py", f'"""{word.example}."""\n'),
        ("slo/new.py", f"x = 1  # {word.example}\n"),
        ("slo/new.py", f'def f(x: int) -> str:\n    return f"{{x}}: {word.example}"\n'),
        ("notebooks/new.ipynb", f'    "source": ["{word.example}"]'),
        ("slo/report/templates/new.html", f"<p>{word.example}</p>"),
    ]:
        lines = list(check(path, content, Words.read()))
        assert any(line.startswith(f"{path}:") and word.use in line for line in lines), (path, word.example)


@pytest.mark.parametrize("place", range(len(WORDS.name)), ids=lambda place: WORDS.name[place].example)
def test_a_word_is_seen_in_every_kind_of_name(place: int) -> None:
    word = WORDS.name[place]
    name = word.example
    for content in [
        f"def {name}(): ...",
        f"class {name}: ...",
        f"{name} = 1",
        f"def f({name}): ...",
        f"lambda {name}: 0",
    ]:
        assert list(check("tests/new.py", content, Words.read())) == [
            f"tests/new.py:1: the name {name}: use {word.use}"
        ]
    assert list(check(f"slo/{name}.py", "", Words.read())) == [f"slo/{name}.py:1: the name {name}: use {word.use}"]


def test_names_that_say_nothing_are_seen_in_the_package_only() -> None:
    for content in ("one = 1", "[one for one in ()]", "def f(found): ...", "match x:\n    case [*found]: ..."):
        assert len(list(check("slo/new.py", content, WORDS))) == 1, content
        assert list(check("tests/new.py", content, WORDS)) == []
    assert list(check("slo/new.py", "one_line = is_found = 1", WORDS)) == []


def test_code_and_values_are_not_text() -> None:
    content = 'told = 1\nx = f"{told} {x[0]}"\ny = told.beside  # fine\n'
    assert [line for line in check("tests/new.py", content, WORDS) if "the name told" not in line] == []
    assert words_of("BudgetSpentToday") == "budget_spent_today"
    assert list(text_of("x.py", 'a = """b\nc"""\n')) == [(1, '"""b'), (2, 'c"""')]


def test_what_was_released_stays_as_it_was() -> None:
    old = "## [Unreleased]\n- new\n\n## [0.2.0] - 2026-11-28\n- what burned a budget\n"
    assert list(check("CHANGELOG.md", old, WORDS)) == []
    assert len(list(check("CHANGELOG.md", old.replace("- new", "- what burned a budget"), WORDS))) == 1


def test_an_exception_has_a_reason_and_is_named_once_nothing_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    words = Words.read()
    rules = [rule for word in (*words.text, *words.name) for rule in word.allowed]
    assert all(len(rule.why) > 5 for rule in rules)
    monkeypatch.setattr("tests.words.files", lambda: ())
    assert len(findings(words)) == len(rules)


def test_make_check_looks_for_them() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-m tests.words" in makefile.partition("\ncheck:")[2].partition("\n\n")[0]
    assert Path(ROOT / "tests" / "words.yaml").is_file()
