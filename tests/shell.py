"""`slo` as a shell runs it, without what an interpreter takes to start.

A process with everything imported forks for each command: the child has the arguments, folder and environment that are asked
for, files of its own as standard output and error, and ends as the program ends. It is one process for each worker of pytest.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
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
    asked = {"words": words, "cwd": str(cwd or Path.cwd()), "env": dict(env), "timeout": timeout}
    server = _started()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    code, out, err = json.loads(server.stdout.readline())
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
    main = importlib.import_module("slo.cli.main")
    main.built(len(main.app.registered_commands), len(main.app.registered_groups))
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        pipes = [os.pipe(), os.pipe()]
        child = os.fork()
        if child == 0:
            _become(asked, [write for _, write in pipes])
        for _, write in pipes:
            os.close(write)
        texts = _read([read for read, _ in pipes], child, asked["timeout"])
        code = None if texts is None else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        answers.write(json.dumps([code, *(text.decode(errors="replace") for text in texts or (b"", b""))]) + "\n")
        answers.flush()


def _read(pipes: Sequence[int], child: int, timeout: float) -> list[bytes] | None:
    """What a child writes to its pipes until it ends; None for one that took too long, which is killed."""
    end = time.monotonic() + timeout
    texts = {pipe: bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(end - time.monotonic())
            if not ready:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                texts[key.fd] += piece
                if not piece:
                    selector.unregister(key.fd)
        late = bool(selector.get_map())
    for pipe in pipes:
        os.close(pipe)
    return None if late else [bytes(text) for text in texts.values()]


def _become(asked: Mapping[str, Any], pipes: Sequence[int]) -> None:
    """Runs one command in this process, and ends it."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for number, pipe in zip((1, 2), pipes, strict=True):
        os.dup2(pipe, number)
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


if __name__ == "__main__":
    _serve()
