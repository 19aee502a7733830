"""What kills, full disks, forbidden folders and clocks do to the job and to a report: the state is that of an undisturbed run.

`SLO_KILLS=100` kills as often; `make test` does so once, `make slow` thirty.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import multiprocessing
import os
import re
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

KILLS = int(os.environ.get("SLO_KILLS", "1"))

# Children begin with all modules loaded, and no threads: a run takes no longer than its work.
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.crash", "tests.crash.loaded"])


def child(work: Callable[..., None], *arguments: Any, **more: Any) -> Any:
    """A process that has begun to do some work; `kill`, `join` and `exitcode` are its own."""
    process = _server.Process(target=work, args=arguments, kwargs=more, daemon=True)
    process.start()
    return process


def command(arguments: list[str], said: str, file_bytes: int = -1, helpless: bool = False) -> None:
    """`slo` with these arguments; its messages go to the file `said`, its exit code is the process's.

    `file_bytes` is the most that a file may have; `helpless` takes root's right to write everywhere.
    """
    from slo.cli import run
    from slo.report import page

    page.FOLDER_FROM = 2  # the folder of pages, which otherwise begins at fifty SLOs
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    if file_bytes >= 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    if helpless:
        drop_capabilities()
    code = run(arguments)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
    with open(said, "w") as file:  # noqa: PTH123
        file.write(sys.stderr.getvalue())
    os._exit(code)


def finished(arguments: list[str], place: Path, **more: Any) -> tuple[int, str]:
    """The exit code of a command that is left alone, and what it said on standard error."""
    process = child(command, arguments, str(place / "said"), **more)
    process.join(120)
    text = (place / "said").read_text() if (place / "said").exists() else ""
    (place / "said").unlink(missing_ok=True)
    return process.exitcode, text


def drop_capabilities() -> None:
    """Makes root somebody whom permissions hold for, as they hold for the user of a job."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None, use_errno=True).capset(header, nothing) == 0


# What differs between runs at the same moment: how long they took, and when a report was made.
_TIMES = re.compile(
    rb'slo_weekly_last_run_duration_seconds [\d.e+-]+|"generated": "[^"]*"|[Gg]enerated \d+ \w+ \d+ \d+:\d+'
)


def tree(*folders: Path) -> dict[str, str]:
    """The files below folders, temporary ones among them, with a digest of each one's content."""
    digests: dict[str, str] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            if path.is_file() and path.name != ".lock":
                content = _TIMES.sub(b"", path.read_bytes())
                digests[str(path.relative_to(folder.parent))] = hashlib.sha256(content).hexdigest()
    return digests


def is_temporary(name: str) -> bool:
    """Whether a file of `tree` is one that a killed run has left."""
    return name.endswith(".slo-new")


def copied(source: Path, target: Path) -> None:
    """Makes a folder what another one is."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
