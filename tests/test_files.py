"""Output never destroys: devices and pipes are written to, links followed, folders refused, leftovers removed."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.files import replaced, write_text
from tests.cli.test_cli import GOOD, ROOT
from tests.shell import run as slo


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_device_is_written_to_and_stays(tmp_path: Path) -> None:
    before = Path("/dev/null").stat()
    write_text("/dev/null", "x")
    (tmp_path / "link").symlink_to("/dev/null")
    write_text(tmp_path / "link", "x")
    after = Path("/dev/null").stat()
    assert stat.S_ISCHR(after.st_mode) and (after.st_ino, after.st_rdev) == (before.st_ino, before.st_rdev)
    assert (tmp_path / "link").is_symlink() and names(tmp_path) == ["link"]
    for size in (1, 100_000):
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            write_text("/dev/full", "x" * size)


def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    text = "0123456789" * 50_000  # more than a pipe holds
    write_text(pipe, text)
    reader.join(10)
    assert read == [text]
    assert stat.S_ISFIFO(pipe.stat().st_mode) and names(tmp_path) == ["pipe"]


def test_a_socket_is_not_a_place_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(OSError):
            write_text("socket", "x")
        assert stat.S_ISSOCK(Path("socket").stat().st_mode) and names(tmp_path) == ["socket"]


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing yet"])
def test_a_link_is_followed(tmp_path: Path, there: bool) -> None:
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "file"
    if there:
        target.write_text("old")
    (tmp_path / "one").symlink_to("there/file")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    write_text(tmp_path / "two", "new")
    assert target.read_text() == "new" and not target.is_symlink()
    assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()
    assert names(tmp_path / "there") == ["file"]


def test_links_in_a_circle_and_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        write_text(tmp_path / "a", "x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for name in ("folder", "link"):
        with pytest.raises(IsADirectoryError, match=name):
            write_text(tmp_path / name, "x")
    assert names(tmp_path) == ["a", "b", "folder", "link"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_permissions_are_kept(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(mode)
    write_text(file, "new")
    assert stat.S_IMODE(file.stat().st_mode) == mode
    mask = os.umask(0o027)
    try:
        write_text(tmp_path / "other", "new")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o640


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=255))
def test_any_name_can_be_written(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    if name in (".", "..") or len(name.encode()) > 255:
        return
    folder = tmp_path_factory.mktemp("names")
    write_text(folder / name, "x")
    assert names(folder) == [name]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replaced(file) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert file.read_text() == "old" and names(tmp_path) == ["file"]


KILLED = """
import sys, time
from slo.files import replaced
with replaced(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def writer(file: Path) -> subprocess.Popen[str]:
    """A process that is in the middle of writing a file."""
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(file)], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_what_killed_runs_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    (tmp_path / ".report.html.mine.new").write_text("a person's own")
    (tmp_path / ".report.html.backup_1").write_text("a person's own")
    killed, working = writer(file), writer(file)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    try:
        assert len(names(tmp_path)) == 4
        write_text(file, "new")
        assert len(names(tmp_path)) == 4  # of the two temporary files one is left
        assert file.read_text() == "new"
    finally:
        working.terminate()
        working.wait()
    write_text(file, "newer")
    assert names(tmp_path) == [".report.html.backup_1", ".report.html.mine.new", "report.html"]


def test_many_writers_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    """Each sees the others' temporary files, and takes none of them for a leftover."""
    file = tmp_path / "file"
    errors: list[Exception] = []

    def write(letter: str) -> None:
        try:
            for _ in range(60):
                write_text(file, letter * random.randint(1, 50_000))
        except Exception as error:  # noqa: BLE001 - whatever it is fails the test
            errors.append(error)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdef"]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        if file.exists():
            seen.add(re.sub(r"(.)\1*", r"\1", file.read_text()))
        time.sleep(0.001)
    assert errors == [] and seen <= set("abcdef") and names(tmp_path) == ["file"]


def test_standard_output_is_written_to_by_its_names(tmp_path: Path) -> None:
    """Also where it is a file that another program appends to."""
    (tmp_path / "shop.yaml").write_text(GOOD)
    plain = slo("rules", "shop.yaml", cwd=tmp_path).stdout
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert slo("rules", "shop.yaml", "-o", name, cwd=tmp_path).stdout == plain
    log = tmp_path / "log"
    log.write_text("before\n")
    with log.open("a") as out:
        subprocess.run(
            [sys.executable, "-m", "slo", "rules", "shop.yaml", "-o", "/dev/stdout"],
            stdout=out, stderr=subprocess.DEVNULL, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=60,
        )  # fmt: skip
    assert log.read_text() == f"before\n{plain}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("rules", "shop.yaml", "-o", "shop.yaml"),
        ("rules", ".", "-o", "link.yaml"),
        ("rules", "shop.yaml", "-o", "out", "--tests", "shop.yaml"),
        ("rules", "shop.yaml", "-o", "out", "--tests", "out"),
        ("rules", "shop.yaml", "-o", ".", "--split", "--tests", "shop.yml"),
        ("rules", "two.yml", "-o", ".", "--split"),
        ("simulate", "shop.yaml", "--days", "1", "-o", "shop.yaml"),
        ("record", "shop.yaml", "-s", "r.parquet", "--start", "1h", "-o", "r.parquet"),
        ("rules", "shop.yaml", "-o", "folder"),
        ("simulate", "shop.yaml", "--days", "0.05", "-o", "folder"),
    ],
    ids=" ".join,
)
def test_no_command_writes_over_what_it_reads(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.yaml").symlink_to("shop.yaml")
    (tmp_path / "two.yml").write_text(GOOD.replace("service: shop", "service: two"))
    done = slo("simulate", "shop.yaml", "--days", "0.05", "-o", "r.parquet", cwd=tmp_path)
    assert done.returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    done = slo(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr, done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_rules_among_definitions_may_be_written_again(tmp_path: Path) -> None:
    """A folder may hold its own rules: they are not definitions, and nobody loses one by writing them."""
    (tmp_path / "shop.yaml").write_text(GOOD)
    for _ in range(2):
        done = slo("rules", ".", "-o", "rules.yml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "shop.yaml").read_text() == GOOD
    done = slo("rules", ".", "-o", ".", "--split", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "shop.yml").exists(), done.stderr


def test_a_pipe_is_not_a_definition_that_is_there(tmp_path: Path) -> None:
    done = slo("init", "probe", "-o", "/dev/stdout", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == slo("init", "probe", cwd=tmp_path).stdout != "", done.stderr
