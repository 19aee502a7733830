"""`slo` as a shell runs it, without what an interpreter takes to start.

A process with everything imported forks for each command: the child has the arguments, folder and environment that are asked
for, files of its own as standard output and error, and ends as the program ends. It is one process for each worker of pytest.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# What most commands come to import.
_IMPORTED = (
    "matplotlib.figure", "pandas", "prometheus_api_client", "pyarrow.compute", "pyarrow.parquet", "rich.table", "slo.api",
    "slo.budget.evaluate", "slo.cli.main", "slo.rules", "slo.source.prometheus", "slo.source.recording", "slo.spec.load",
)  # fmt: skip
_server: subprocess.Popen[str] | None = None
_owner = 0


def run(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """`slo` with these arguments; `env` (none: this process's own without SLO_…) is all of its environment."""
    if env is None:
        env = {key: value for key, value in os.environ.items() if not key.startswith("SLO_")}
    words = ["slo", *map(str, arguments)]
    with tempfile.TemporaryDirectory(prefix="slo-shell-") as folder:
        asked = {"words": words, "cwd": str(cwd or Path.cwd()), "env": dict(env), "folder": folder, "timeout": timeout}
        server = _started()
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = json.loads(server.stdout.readline())
        out, err = (Path(folder, name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err"))
    if code is None:
        raise subprocess.TimeoutExpired(words, timeout, out, err)
    return subprocess.CompletedProcess(words, code, out, err)


def _started() -> subprocess.Popen[str]:
    global _server, _owner
    if _server is None or _owner != os.getpid() or _server.poll() is not None:
        # Without thread pools: a child of a process with threads has none of them.
        env = {key: value for key, value in os.environ.items() if not key.startswith("SLO_")}
        env |= {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
        _server = subprocess.Popen(
            [sys.executable, "-m", "tests.shell"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=ROOT,
        )
        _owner = os.getpid()
        atexit.register(_server.kill)
    return _server


def _serve() -> None:
    for module in _IMPORTED:
        importlib.import_module(module)
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
        answers.write(json.dumps(_code(child, asked["timeout"])) + "\n")
        answers.flush()


def _become(asked: Mapping[str, Any]) -> None:
    """Runs one command in this process, and ends it."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(Path(asked["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.stdin = os.fdopen(0, "r")
    sys.stdout, sys.stderr = (
        os.fdopen(number, "w", encoding="utf-8", errors=how) for number, how in ((1, "strict"), (2, "backslashreplace"))
    )
    sys.argv = list(asked["words"])
    from slo.cli.main import main

    code: Any = 1
    try:
        main()
    except SystemExit as left:
        code = left.code
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = 120
        os._exit(code if isinstance(code, int) else 1)


def _code(child: int, timeout: float) -> int | None:
    """The exit code of a child, negative for a signal; None for one that took too long."""
    end = time.monotonic() + timeout
    pause = 0.002
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(pause)
        pause = min(0.05, pause * 1.2)


if __name__ == "__main__":
    _serve()
