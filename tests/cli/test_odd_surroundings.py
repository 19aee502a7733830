"""Odd surroundings: streams that are closed or full, devices, links that lead nowhere, other encodings, narrow terminals."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from slo.cli import output, run
from slo.errors import ConfigError, DefinitionError
from slo.promql import Engine, Samples
from slo.source.config import load as load_config
from slo.source.recording import Header, write
from slo.spec.events import read_events

ROOT = Path(__file__).parents[2]
DEFINITION = "service: shop\nslos:\n  - {name: errors, objective: 99, window: 1d, sli: {ratio: {errors: 'x_total{code=\"5\"}', total: x_total}}}\n"
END_MS = 1_790_000_000_000


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    times = np.arange(END_MS - 7_200_000, END_MS + 1, 60_000)
    series = [({"__name__": "x_total", "code": code, "job": "j"}, times, np.arange(len(times)) * 1.0) for code in "25"]
    write(tmp_path / "r.parquet", Samples.from_series(series), Header(int(times[0]), END_MS, "a test"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


CHECK, NOWHERE = "check shop.yaml", "check nowhere"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"{CHECK} >&-", 0),
        ("report shop.yaml -s r.parquet -o out --format json >&- 2>&- <&-", 0),
        (f"{NOWHERE} 2>&-", 2),
        (f"{NOWHERE} 2>/dev/full", 2),
        ("check - <&-", 2),
        ("schema >/dev/full 2>/dev/full", 2),
    ],
)
def test_closed_and_full_streams_keep_the_promised_exit_codes(place: Path, command: str, code: int) -> None:
    """1 would say that a budget is exhausted, 3 that there is a bug."""
    line = f"exec {shlex.quote(sys.executable)} -m slo {command}"
    done = subprocess.run(["sh", "-c", line], env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False)
    assert done.returncode == code
    if "report" in command:
        assert json.loads((place / "out" / "report.json").read_text())  # and no message in it


def said_of(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    assert run(arguments) == code
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["check", ""], ["rules", "shop.yaml", "-o", ""], ["status", "shop.yaml", "-s", ""]]
)
def test_an_empty_argument_is_not_a_folder(
    place: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`slo check "$FOLDER"` read whatever is here."""
    assert "an argument is empty" in said_of(arguments, capsys)


def test_a_device_without_end_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slo.files.MOST_BYTES", 1 << 16)
    monkeypatch.setattr("slo.spec.yaml.MOST_BYTES", (1 << 16) - 1)
    monkeypatch.setattr("slo.files.read_up_to.__defaults__", (1 << 16,))
    assert "/dev/zero: error: larger than" in said_of(["check", "/dev/zero"], capsys)
    with open("/dev/zero", "rb") as endless:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(endless))
        assert "<standard input>: error: larger than" in said_of(["check", "-"], capsys)
    assert run(["weekly", "/dev/zero"]) == 2


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_recognised(place: Path, encoding: str, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "wide.yaml").write_bytes(DEFINITION.encode(encoding))
    assert "looks like UTF-16; save it as UTF-8" in said_of(["check", "wide.yaml"], capsys)


def test_a_mark_and_other_ends_of_lines_are_fine(place: Path) -> None:
    (place / "shop.yaml").write_bytes(b"\xef\xbb\xbf" + DEFINITION.replace("\n", "\r\n").encode())
    assert run(["check", "shop.yaml"]) == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_events_have_any_ends_of_lines(place: Path, end: str) -> None:
    lines = ["start,end,name", "2026-09-21T00:00:00Z,2026-09-21T01:00:00Z,known", ""]
    (place / "e.csv").write_bytes(end.join(lines).encode())
    [event] = read_events(place / "e.csv")
    assert event.name == "known"


@pytest.mark.parametrize(
    "text", ["start,end,name\n2026-09-21,2026-09-22," + "x" * 200_000 + "\n", "x" * 200_000 + "\n"]
)
def test_a_field_that_is_too_long_is_a_fault_of_the_file(place: Path, text: str) -> None:
    (place / "e.csv").write_text(text)
    with pytest.raises(DefinitionError, match="not valid CSV"):
        read_events(place / "e.csv")


def test_links_that_lead_nowhere_are_not_passed_over(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A definition that is gone would lose its rules without a word."""
    (place / "d").mkdir()
    (place / "d" / "shop.yaml").write_text(DEFINITION)
    (place / "d" / "lost.yaml").symlink_to("nowhere.yaml")
    assert "d/lost.yaml: error: is a link that leads nowhere" in said_of(["check", "d"], capsys)
    (place / "d" / "lost.yaml").unlink()
    (place / "d" / "loop.yaml").symlink_to("loop.yaml")
    assert "d/loop.yaml: error: is a link that leads nowhere" in said_of(["check", "d"], capsys)
    assert "is a link that leads nowhere" in said_of(["check", "d/loop.yaml"], capsys)
    (place / "d" / "loop.yaml").unlink()
    (place / "d" / "folder.yaml").mkdir()  # no file
    os.mkfifo(place / "d" / "pipe.yaml")
    assert run(["check", "d"]) == 0


@pytest.mark.parametrize("command", ["backtest", "backfill"])
def test_decades_of_history_are_refused(place: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They took minutes and all memory."""
    arguments = [
        command,
        "shop.yaml",
        "-s",
        "r.parquet",
        "-o",
        "out",
        "--start",
        "1970-01-01",
        "--end",
        str(END_MS // 1000),
    ]
    assert "20,718 days from start to end are too many; 400 at most" in said_of(arguments, capsys)


def test_a_folder_is_not_a_recording(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ": is a folder; name the recording in it" in said_of(["status", "shop.yaml", "-s", str(place)], capsys)


def test_a_narrow_terminal_loses_no_figure(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.flush", lambda: None)
    assert output.terminal_width() == 40
    assert run(["status", "shop.yaml", "-s", "r.parquet"]) == 0
    [row] = [line for line in capsys.readouterr().out.splitlines() if "shop/errors" in line]
    assert "%" in row and "exhausted" in row


def test_an_export_does_not_replace_the_definitions(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "would be lost" in said_of(["export", "sloth", "shop.yaml", "-o", "."], capsys)
    assert (place / "shop.yaml").read_text() == DEFINITION


def test_a_report_does_not_replace_what_it_reads(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = "start,end,title\n2026-09-21T00:00:00Z,2026-09-21T01:00:00Z,known\n"
    (place / "report.csv").write_text(events)
    arguments = ["report", "shop.yaml", "-s", "r.parquet", "-o", ".", "--format", "csv", "--events", "report.csv"]
    run(arguments)
    assert (place / "report.csv").read_text() == events
    assert "report.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    "metrics",
    ["r.parquet", "shop.yaml", "w.yaml", "e.yaml", "c.yaml", "out/state.json", "out/index.html", "d/x.yaml", "link"],
)
def test_the_job_does_not_write_over_what_it_reads(
    place: Path, metrics: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "link").symlink_to("r.parquet")
    for name in ("e.yaml", "c.yaml"):
        (place / name).write_text("[]\n" if name == "e.yaml" else "")
    (place / "d").mkdir()
    text = f"definitions: [shop.yaml, d]\nsource: r.parquet\nsource_config: c.yaml\nevents: e.yaml\nmetrics: {metrics}\ndeliver: {{folder: out}}\n"
    (place / "w.yaml").write_text(text)
    before = {path: path.read_bytes() for path in place.iterdir() if path.is_file()}
    assert f"w.yaml:5:1: error: metrics: {metrics} is " in said_of(["weekly", "w.yaml"], capsys)
    assert {path: path.read_bytes() for path in place.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("key", ["source", "ledger", "events", "metrics", "source_config"])
def test_an_empty_path_in_the_jobs_configuration_is_named(
    place: Path, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {"definitions": "[shop.yaml]", "source": "r.parquet", "deliver": "{folder: out}", key: '""'}
    (place / "w.yaml").write_text("".join(f"{name}: {value}\n" for name, value in keys.items()))
    assert f"{key}: is empty" in said_of(["weekly", "w.yaml"], capsys)


def test_a_recording_that_does_not_fit_says_so(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 99 failed")

    monkeypatch.setattr("slo.source.recording.Recording._decoded", fails)
    said = said_of(["status", "shop.yaml", "-s", "r.parquet"], capsys)
    assert "r.parquet: damaged, or larger than the memory: malloc of size 99 failed" in said


@pytest.mark.parametrize("written", ["\uff19\uff19", "9_9", "\u0669\u0669", "\u00b2"])
def test_digits_are_the_usual_ones(place: Path, written: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Python takes others for digits too: a file that looks like nothing we know should not be read as something."""
    (place / "shop.yaml").write_text(DEFINITION.replace("objective: 99", f"objective: {written}"))
    assert "is not a valid percentage" in said_of(["check", "shop.yaml"], capsys)
    (place / "w.yaml").write_text(
        f"definitions: [shop.yaml]\nsource: r.parquet\nretries: {written}\ndeliver: {{folder: out}}\n"
    )
    assert "is not a valid number from 0 to 20" in said_of(["weekly", "w.yaml"], capsys)
    settings = {"SLO_MAX_RESPONSE": written, "SLO_TIMEOUT": written}
    for name, value in settings.items():
        with pytest.raises(ConfigError, match=name):
            load_config(environ={name: value})


def test_labels_with_digits_of_other_kinds_are_sorted() -> None:
    """`sort_by_label` took `\u00b2` for a number."""
    samples = Samples.from_series(
        ({"__name__": "x", "l": label}, np.array([END_MS]), np.array([1.0]))
        for label in ("\u00b2b", "\u00b2a", "2", "10")
    )
    answer = Engine(samples).query('sort_by_label(x, "l")', at=END_MS / 1000)
    assert [series.labels["l"] for series in answer.series] == ["2", "10", "\u00b2a", "\u00b2b"]
