"""`slo import`: what is written, what is said, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slo.cli import run
from tests.convert import pyrra, sloth
from tests.convert.test_expression import ALL, BAD, COUNT, FAST
from tests.convert.test_pyrra import RATIO
from tests.servers import promtool

EXACT = sloth(BAD, ALL)
CHANGED = sloth(BAD, f"{ALL} or vector(1)").replace("service: shop", "service: other")
REFUSED = sloth(FAST, COUNT).replace("service: shop", "service: third")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("exact", EXACT), ("changed", CHANGED), ("refused", REFUSED)):
        (tmp_path / f"{name}.yml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "flags", "code"),
    [
        (["exact"], [], 0), (["exact"], ["--strict"], 0), (["exact", "changed"], [], 0), (["changed"], ["--strict"], 1),
        (["exact", "refused"], [], 1), (["refused"], ["--invert"], 0), (["refused"], ["--invert", "--strict"], 1),
    ],
)  # fmt: skip
def test_the_exit_code_is_0_only_where_nothing_was_lost(
    folder: Path, names: list[str], flags: list[str], code: int
) -> None:
    assert run(["import", *(str(folder / f"{name}.yml") for name in names), *flags]) == code


def test_what_is_written_passes_slo_check_and_promtool(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pyrra.yml").write_text(pyrra(RATIO, metadata="namespace: fourth"))
    out, rules = folder / "definitions", folder / "rules.txt"
    assert run(["import", str(folder), "-o", str(out)]) == 1
    said = capsys.readouterr().err
    assert "refused.yml:4: refused: third/requests: counts as errors what was fast" in said
    assert "changed.yml:4: changed: other/requests: left out `or vector(1)`" in said
    assert f"4 SLOs: 2 exact, 1 changed with a note, 1 refused with a reason; written to {out}" in said
    assert sorted(path.name for path in out.iterdir()) == ["changed.yaml", "exact.yaml", "pyrra.yaml"]
    assert "# changed: left out `or vector(1)`" in (out / "changed.yaml").read_text()
    assert run(["check", str(out)]) == 0
    assert run(["rules", str(out), "-o", str(rules)]) == 0
    done = promtool("check", "rules", str(rules))
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_folder_the_definitions_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(folder / "exact.yml"), str(folder / "changed.yml")]) == 0
    text = capsys.readouterr().out
    (folder / "printed.yaml").write_text(text)
    assert run(["check", str(folder / "printed.yaml")]) == 0


def test_a_definition_that_exists_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out"
    out.mkdir()
    (out / "exact.yaml").write_text("mine")
    assert run(["import", str(folder / "exact.yml"), "-o", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (out / "exact.yaml").read_text() == "mine"


def test_files_of_one_name_do_not_overwrite_each_other(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "exact.yml").write_text(EXACT.replace("service: shop", "service: sub"))
    out = folder / "out"
    assert run(["import", str(folder / "exact.yml"), str(folder / "sub" / "exact.yml"), "-o", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["exact-2.yaml", "exact.yaml"]


def test_an_slo_that_two_files_define_is_taken_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "more.yml").write_text(EXACT)
    assert run(["import", str(folder / "exact.yml"), str(folder / "sub" / "more.yml")]) == 1
    captured = capsys.readouterr()
    assert f"another SLO of the service has this name, in {folder / 'exact.yml'}" in captured.err
    assert captured.out.count("name: requests") == 1


def test_json_has_an_object_for_each_slo(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(folder), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [(entry["grade"], entry["slo"], entry["kind"]) for entry in data] == [
        ("changed", "other/requests", "ratio"), ("exact", "shop/requests", "ratio"), ("refused", None, None),
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [["missing.yml"], ["--window", "soon", "exact.yml"]])
def test_what_cannot_be_read_is_bad_input(folder: Path, arguments: list[str]) -> None:
    assert run(["import", *(str(folder / name) if name.endswith(".yml") else name for name in arguments)]) == 2


def test_bytes_that_are_not_text_are_bad_input(folder: Path) -> None:
    (folder / "bad.yml").write_bytes(b"\xff\xfe")
    assert run(["import", str(folder / "bad.yml")]) == 2


def test_a_foreign_file_in_the_place_of_a_definition_leads_here(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", str(folder / "exact.yml")]) == 2
    assert (
        "this is a Sloth file, not a definition of this tool; `slo import` makes definitions of it"
        in capsys.readouterr().err
    )
