"""Scripts in the grammar of promqltest, run by the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.promql.notation import values_of
from tests.promql.confirm import Servers
from tests.promql.script import main, run

SCRIPTS = sorted(Path(__file__).parent.glob("*.test"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_eval_of_a_script_holds(script: Path) -> None:
    report = run([str(script)])
    assert not report.failed and not report.skipped
    assert report.passed > 0


@pytest.mark.server
def test_a_real_server_holds_to_every_eval_of_our_scripts(tmp_path: Path) -> None:
    with Servers(tmp_path) as servers:
        report = run([str(script) for script in SCRIPTS], servers)
    assert not report.failed, "\n".join(report.failed)
    assert report.passed > 0


def test_a_wrong_expectation_is_reported_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "wrong.test"
    script.write_text("load 1m\n  x 1 2 3\n\neval instant at 1m x\n  x 3\n")
    assert main([str(script)]) == 1
    assert f"{script}:4: x" in capsys.readouterr().out


def test_an_eval_of_a_native_histogram_is_skipped_by_name(tmp_path: Path) -> None:
    script = tmp_path / "native.test"
    script.write_text(
        "load 1m\n  h {{schema:0 count:1}}x3\n  x 1\n\neval instant at 0 sum(h)\n  {} 1\n\neval instant at 0 x\n  x 1\n"
    )
    report = run([str(script)])
    assert (report.passed, len(report.skipped), report.failed) == (1, 1, [])


def test_a_command_that_cannot_be_read_is_reported_and_the_rest_is_run(tmp_path: Path) -> None:
    script = tmp_path / "faulty.test"
    script.write_text(
        "load 1m\n  x 1 y 3\n\nnonsense\n\neval instant at 0 1\n  expect nothing\n\neval instant at 0 1\n  1\n"
    )
    report = run([str(script), str(tmp_path / "missing.test")])
    assert report.passed == 1
    places = [line.removeprefix(f"{script}:") for line in report.failed]
    assert [line.split(": ")[0] for line in places[:3]] == ["2", "4", "7"]
    assert "No such file" in places[3]


def test_an_answer_that_has_other_notes_than_those_expected_fails(tmp_path: Path) -> None:
    head = 'load 1m\n  x{a="1"} 1x5\n\neval instant at 5m '
    cases = {
        'rate(x[5m])\n  expect no_info\n  {a="1"} 0': "expected no info",
        'rate(x[5m])\n  expect info msg: other\n  {a="1"} 0': "expected info 'other'",
        'rate(x[5m])\n  expect info regex: metric.*not.*counter.*"x"\n  {a="1"} 0': "",
        'x\n  expect warn\n  x{a="1"} 1': "expected warn",
        "x + on() x\n  expect fail": "expected an error",
        'x + x{a="2"} + on(a) group_left(a) x\n  expect fail regex: must not occur': "",
        "x\n  expect fail msg: nothing": "expected an error",
    }
    for index, (text, wrong) in enumerate(cases.items()):
        script = tmp_path / f"{index}.test"
        script.write_text(head + text + "\n")
        failed = run([str(script)]).failed
        assert bool(failed) == bool(wrong) and wrong in "".join(failed), text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1+2x3", [1, 3, 5, 7]), ("5-1x2", [5, 4, 3]), ("7x2", [7, 7, 7]), ("_x2 1", [None, None, 1]), ("-3+1x1", [-3, -2]),
        ("1 _ 0x1F -Inf", [1, None, 31, float("-inf")]),
        ("0x2 1 # more", [0, 0, 0, 1]), ("-0x1", [-0.0, -0.0]), ("1+0x2", [1, 1, 1]), ("1e2+1e1x1", [100, 110]),
    ],
)  # fmt: skip
def test_series_notation(text: str, values: list[float | None]) -> None:
    assert values_of(text) == values
