"""The mutation check changes what could be wrong, and nothing that could not; its words in the README hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import mutants
from tests.mutants import Case, Lines, Mutant, chosen, collect

ROOT = Path(__file__).parent.parent


def changes(tmp_path: Path, source: str) -> list[str]:
    (tmp_path / "slo").mkdir(exist_ok=True)
    (tmp_path / "slo" / "window.py").write_text(source)
    return [mutant.change for mutant in collect(tmp_path)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("if a < b: f()", ["a < b  →  a <= b", "a < b  →  a >= b", "f()  →  pass"]),
        ("x = a + b", ["a + b  →  a - b"]),
        ("x = a and not b", ["a and (not b)  →  a or not b", "not b  →  b"]),
        ("x = a", []),
        ("x = 3", ["3  →  4", "3  →  2"]),
        ("x = 128", ["128  →  256", "128  →  64"]),
        ("x = 2.5e2", ["2.5e2  →  500.0", "2.5e2  →  125.0"]),
        ("x = 1e300", ["1e300  →  5e+299", "1e300  →  2.5e+299"]),
        ("return a", ["return a  →  return None"]),
        ("return None", []),
        ("x += 1", ["x += 1  →  pass", "x += 1  →  x -= 1", "1  →  2", "1  →  0"]),
        ("x.y = a", ["x.y = a  →  pass"]),
        ("x = f(a, b=c)", ["f(…) without b="]),
        ("x = max(a, b)", ["max(a, b)  →  min(a, b)"]),
        ("raise f", ["raise f  →  pass"]),
        ("x: Literal[1, 2] = a", []),
        ("assert a == 1", []),
        ("x = f'{a + 1}'", []),
        ("'a text'", []),
        ("x = Note('code', 'text')", []),
        ("x = zip(a, b, strict=True)", []),
        ("if a: f()", ["a  →  (not a)", "f()  →  pass"]),
    ],
)
def test_what_is_changed_in_a_function(tmp_path: Path, statement: str, expected: list[str]) -> None:
    changed = changes(tmp_path, f'def g(a: int = None) -> int:\n    """Text."""\n    {statement}\n')
    assert [change.replace("(not b)", "not b") for change in changed] == [
        change.replace("(not b)", "not b") for change in expected
    ]


def test_a_change_is_where_it_says_and_leaves_the_rest(tmp_path: Path) -> None:
    source = "def g(x):\n    # é\n    if x > 1 and (\n        y\n    ):\n        return 'ü', x * 2\n"
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "window.py").write_text(source)
    by_change = {mutant.change: mutant for mutant in collect(tmp_path)}
    one = by_change["x * 2  →  x / 2"]
    assert one.apply(source.encode()).decode() == source.replace("x * 2", "(x / 2)")
    assert (one.line, one.reach) == (6, frozenset({6}))
    assert by_change["x > 1  →  x >= 1"].reach == frozenset({3, 4, 5})  # the whole head of the `if`


def test_types_are_not_changed(tmp_path: Path) -> None:
    assert changes(tmp_path, "from x import TYPE_CHECKING\nif TYPE_CHECKING:\n    a = 1\nB = C | D\n") == []


def value(text: str) -> object:
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError):
        return text.strip()


def test_every_mutant_is_a_program_and_differs() -> None:
    every = collect(ROOT)
    sources = {path: (ROOT / path).read_bytes() for path in {mutant.file for mutant in every}}
    assert {"slo/window.py", "slo/sli/counters.py", "slo/budget/evaluate.py"} <= set(sources)
    for mutant in every[::40]:
        changed = mutant.apply(sources[mutant.file])
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(sources[mutant.file])), mutant
    for mutant in every:  # which is quick for all, and where a number was once written in another way only
        before = sources[mutant.file][mutant.low : mutant.high].decode()
        assert value(before) != value(mutant.text), mutant


def test_tests_that_reach_the_place_are_chosen_one_of_each_function_first() -> None:
    here: Lines = {"f": {7}}
    tests = [
        Case("t::a[1]", 2.0, True, here), Case("t::a[2]", 1.0, True, here), Case("t::b", 3.0, True, {"f": {6, 8}}),
        Case("t::c", 4.0, True, here), Case("t::d", 0.1, False, here), Case("t::e", 0.1, True, {"g": {7}}),
    ]  # fmt: skip
    mutant = Mutant("f", 7, 0, 0, "", "", frozenset({7}))
    assert [test.name for test in chosen(mutant, tests, 100)] == ["t::a[2]", "t::c", "t::a[1]"]
    assert [test.name for test in chosen(mutant, tests, 5)] == ["t::a[2]", "t::c"]
    imported = Mutant("f", 1, 0, 0, "", "", None)
    assert [test.name for test in chosen(imported, tests, 100)] == ["t::e", "t::a[2]", "t::b", "t::c", "t::a[1]"]
    other = Case("t::a[3]", 5.0, True, {"f": {7, 8}})  # another way through the file
    assert [test.name for test in chosen(mutant, [*tests, other], 9)] == ["t::a[2]", "t::c", "t::a[1]"]
    assert [test.name for test in chosen(mutant, [*tests, other], 10)] == ["t::a[2]", "t::c", "t::a[3]"]
    quick = [Case(f"t::a[{number}]", 0.01, True, here) for number in range(4, 6)]
    assert [test.name for test in chosen(mutant, [*tests, *quick], 2)] == ["t::a[4]", "t::a[5]", "t::a[2]"]
    assert chosen(Mutant("f", 9, 0, 0, "", "", frozenset({9})), tests, 100) == []


def test_the_readme_says_what_it_is() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    makefile = (ROOT / "Makefile").read_text()
    assert "of 200 changes to `slo/sli`, `slo/budget` and `slo/window.py`" in text
    assert f"at least {mutants.SHARE:.0%} must be noticed" in text
    assert mutants.SOURCES == ("slo/sli/*.py", "slo/budget/*.py", "slo/window.py")
    assert "\nmutants: " in makefile and "SAMPLE ?= 200" in makefile and "-m tests.mutants" in makefile
    assert "mutants" not in makefile.split("\ntest: ")[1].split("\n\n")[0]
