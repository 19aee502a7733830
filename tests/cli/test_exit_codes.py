"""Exit codes are a promise: 1 means only what the docs say, and what should not happen has a code of its own."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.cli import main, program, run
from slo.errors import DefinitionError, DurationError
from slo.spec.events import read_events
from slo.window import EARLIEST_MS, LATEST_MS, Calendar, moment_ms, parse_moment
from tests.cli.test_cli import GOOD, ROOT
from tests.shell import run as slo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A definition, and six hours of a recording for it."""
    place = tmp_path_factory.mktemp("moments")
    (place / "shop.yaml").write_text(GOOD)
    done = slo("simulate", "shop.yaml", "--days", "0.25", "--end", "2026-11-20", "-o", "r.parquet", cwd=place)
    assert done.returncode == 0, done.stderr
    (place / "weekly.yaml").write_text(
        "definitions: [shop.yaml]\nsource: r.parquet\nevents: events.yaml\ndeliver: {folder: out}\n"
    )
    (place / "events.yaml").write_text("- {start: 2026-11-19, end: 2026-11-20}\n")
    return place


UNEXPECTED = [
    ValueError("x"), KeyError("x"), RecursionError("x"), OverflowError(), AssertionError("x"),
    UnicodeEncodeError("utf-8", "x", 0, 1, "x"), OSError("no number"), ZeroDivisionError(), StopIteration(),
]  # fmt: skip


def test_too_little_memory_is_not_a_bug(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(**_: Any) -> int:
        raise MemoryError

    monkeypatch.setattr(sys.modules["slo.cli.main"], "built", lambda *counts: fails)
    assert run(["status"]) == 2
    assert "not enough memory" in capsys.readouterr().err


@pytest.mark.parametrize("error", UNEXPECTED, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("debug", [False, True])
def test_what_should_not_happen_has_a_code_of_its_own(
    error: Exception, debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(**_: Any) -> int:
        raise error

    monkeypatch.setattr(sys.modules["slo.cli.main"], "built", lambda *counts: fails)
    monkeypatch.setattr(sys, "argv", ["slo", "status", *(["--debug"] if debug else [])])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 3
    assert type(error).__name__ in said and "Please report it at" in said
    assert ("Traceback" in said) == debug
    assert ("--debug" in said) != debug


def test_a_failure_of_the_system_is_none_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.html")

    monkeypatch.setattr(sys.modules["slo.cli.main"], "built", lambda *counts: fails)
    assert run([]) == 2


def test_a_full_disk_under_standard_output_is_an_error(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "slo", "rules", str(folder / "shop.yaml")],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, "No space left" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize(("encoding", "name"), [("utf-8:strict", b"d\xff"), ("ascii:strict", "dé".encode())])
def test_a_name_that_cannot_be_printed_is_escaped(folder: Path, encoding: str, name: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slo", "report", "shop.yaml", "-s", "r.parquet", "--format", "csv", "-o", name], capture_output=True, cwd=folder, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip() in (b"d\\udcff/report.csv", b"d\\xe9/report.csv"), done.stdout
    assert (folder / os.fsdecode(name)).exists()


def test_the_docs_have_every_code() -> None:
    for page in ("commands.md", "weekly.md"):
        rows = re.findall(r"^\| (\d) \| (.*) \|$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
        assert [int(code) for code, _ in rows] == [
            program.FINE,
            program.OUT_OF_BUDGET,
            program.BAD_INPUT,
            program.UNEXPECTED,
        ], page
    assert all(f"{code} " in str(program.app.info.epilog) for code in (0, 1, 2, 3))


@pytest.mark.parametrize("place", [0, 1, 4], ids=["first", "second", "last"])
def test_debug_is_accepted_anywhere(folder: Path, place: int) -> None:
    arguments: list[str] = ["status", "shop.yaml", "-s", "none.parquet"]
    arguments.insert(place, "--debug")
    done = slo(*arguments, cwd=folder)
    assert done.returncode == 2 and "Traceback" in done.stderr and "no such recording" in done.stderr
    assert slo("status", "--", "--debug", "-s", cwd=folder).returncode == 2


# What is out of range, and what the message offers.
MOMENTS = [
    ("1761955200000", "milliseconds; write 1761955200"),
    ("1761955200000000", "microseconds; write 1761955200"),
    ("1761955200000000000", "nanoseconds; write 1761955200"),
    ("9e99", "accepted are times from 1900 to 2199"),
    ("-99999999999", "accepted are times from 1900 to 2199"),
    ("0000-01-01", "accepted are times from 1900 to 2199"),
    ("0001-01-01T00:00:00+14:00", "accepted are times from 1900 to 2199"),
    ("9999-12-31T23:59:59-14:00", "accepted are times from 1900 to 2199"),
    ("10000-01-01", "accepted are times from 1900 to 2199"),
    ("9" * 5000, "accepted are times from 1900 to 2199"),
]


@pytest.mark.parametrize(("text", "said"), MOMENTS, ids=lambda text: text[:20])
def test_a_moment_out_of_range_is_one_message(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DurationError, match="is out of range") as caught:
        parse_moment(text)
    assert said in str(caught.value) and len(str(caught.value)) < 300
    for name, content in (
        ("a.yaml", f"- start: 2026-11-19\n  end: {text}\n"),
        ("b.yaml", f"- start: {text}\n  kind: deployment\n"),
        ("c.csv", f"start,end\n{text},2026-11-19\n"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(DefinitionError, match="is out of range") as refused:
            read_events(tmp_path / name)
        assert said in str(refused.value) and name in str(refused.value)


@pytest.mark.parametrize("text", ["1761955200000", "0001-01-01", "9999-12-31", "1e300"])
@pytest.mark.parametrize(
    "command",
    [
        ("status", "shop.yaml", "-s", "r.parquet", "--fail-on-exhausted", "--end"),
        ("report", "shop.yaml", "-s", "r.parquet", "-o", "out", "--fail-on-exhausted", "--end"),
        ("record", "shop.yaml", "-s", "r.parquet", "-o", "out.parquet", "--start"),
        ("backtest", "shop.yaml", "-s", "r.parquet", "--start"),
        ("simulate", "shop.yaml", "-o", "out.parquet", "--end"),
        ("weekly", "weekly.yaml", "--now"),
        ("backfill", "shop.yaml", "-s", "r.parquet", "-o", "out", "--start"),
        ("ledger", "update", "shop.yaml", "-s", "r.parquet", "--ledger", "out", "--end"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_says_so_with_code_2(folder: Path, command: tuple[str, ...], text: str) -> None:
    if os.environ.get("CI") and text in ("9999-12-31", "1e300"):
        pytest.skip("two of each are enough there")
    done = slo(*command, text, cwd=folder)
    assert done.returncode == 2 and done.stdout == ""
    assert f"{command[-1]} {text!r} is out of range" in done.stderr and "Traceback" not in done.stderr
    assert not list(folder.glob("out*"))


@given(st.one_of(st.text(max_size=30), st.from_regex(r"[-+]?[0-9]{1,25}(\.[0-9]*)?([eE][-+]?[0-9]{1,4})?", fullmatch=True),
                 st.from_regex(r"[0-9]{4,5}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?([Z]|[+-][0-9]{2}:[0-9]{2})?)?", fullmatch=True)))  # fmt: skip
def test_any_text_is_a_moment_in_range_or_refused(text: str) -> None:
    try:
        at = parse_moment(text)
    except DurationError:
        return
    assert EARLIEST_MS <= at <= LATEST_MS
    assert moment_ms(datetime.fromtimestamp(at / 1000, UTC)) == pytest.approx(at, abs=1)


@given(
    at=st.one_of(st.sampled_from([EARLIEST_MS, LATEST_MS]), st.integers(EARLIEST_MS, LATEST_MS)),
    zone=st.sampled_from(["UTC", "Pacific/Kiritimati", "Pacific/Apia", "America/New_York", "Asia/Kathmandu"]),
)
def test_around_every_moment_in_range_there_are_calendars(at: int, zone: str) -> None:
    """The range is narrow enough for the windows before the windows, in every time zone."""
    for unit in ("week", "month", "quarter", "year"):
        start, end = Calendar(unit, zone).period(at)
        assert start < at <= end
        for edge in (start, end, Calendar(unit, zone).start(start)):
            assert datetime.fromtimestamp(edge / 1000, ZoneInfo(zone)).year > 1890
