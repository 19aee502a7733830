"""Real servers for tests: found in the cache that `tests/servers/fetch` fills, started on a free port of 127.0.0.1,
stopped by their own process id.

    with Prometheus(tmp_path, data=load_openmetrics(text_file, tmp_path / "data")) as server:
        server.query("sum(up)", at=1_700_000_000)
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

START_SECONDS = 60.0
STOP_SECONDS = 20.0
BIND_ATTEMPTS = 5

NO_SCRAPES = """\
global: {scrape_interval: 15s, evaluation_interval: 15s}
"""


def binary(name: str) -> Path:
    """The path of a server's binary: prometheus, promtool (3.5), prometheus2, promtool2 (2.42), alertmanager, amtool,
    victoria-metrics, vmalert.

    Skips the test where it is missing, and fails it where the environment variable CI is set.
    """
    for folder in _folders():
        candidate = folder / name
        if os.access(candidate, os.X_OK):
            return candidate.resolve()
    reason = f"{name} is not in {' or '.join(map(str, _folders()))}; run tests/servers/fetch"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _folders() -> tuple[Path, ...]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slo-servers"
    named = os.environ.get("SLO_SERVERS")
    return (Path(named) / "bin", cache / "bin") if named else (cache / "bin",)


def promtool(
    *args: str | Path, name: str = "promtool", timeout: float = 300, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs promtool (name="promtool2": that of 2.42) and returns what it said, whatever its exit code."""
    command = [str(binary(name)), *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd, env=_environment()
    )


def _environment() -> dict[str, str]:
    """Go looks for garbage a fifth as often as it would: a quarter less to do, for memory that there is."""
    return {"GOGC": "400", **os.environ}


def load_openmetrics(path: Path, data_dir: Path, *, block: str = "1458h") -> Path:
    """Turns a file of OpenMetrics text (timestamps in seconds, ends with `# EOF`) into blocks in `data_dir`, which is
    returned and is a data folder for `Prometheus`. Both 3.5 and 2.42 read it.

    `block` is the longest block, 2 h times a power of three: promtool reads the file once per block, so its own default
    of 2 h is slow.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    done = promtool(
        "tsdb", "create-blocks-from", "openmetrics", f"--max-block-duration={block}", "--quiet", path, data_dir
    )
    if done.returncode != 0:
        raise AssertionError(f"promtool cannot load {path}:\n{done.stdout}{done.stderr}")
    return data_dir


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One server process: started by `start` or `with`, ready when that returns, stopped by `stop` or the end of the
    block. Its log is in `log_path` and is shown when the start fails."""

    binary_name = ""
    ready_path = "/-/ready"

    def __init__(self, tmp: Path, *, binary_name: str | None = None, flags: Sequence[str] = ()) -> None:
        self.binary_path = binary(binary_name or self.binary_name)
        self.flags = tuple(flags)
        self.address = ""  # host:port
        self.folder = _fresh(tmp, self.binary_path.name)
        self.log_path = self.folder / "log.txt"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.binary_path.name} is not running")
        return self._process.pid

    def arguments(self) -> list[str]:
        """The command line after the binary, for the port in `self.address`; writes the files that it names."""
        raise NotImplementedError

    def start(self) -> Self:
        for _ in range(BIND_ATTEMPTS):
            port = free_port()
            self.address = f"127.0.0.1:{port}"
            arguments = self.arguments()
            command = [str(self.binary_path), *arguments, *self.flags]
            with self.log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=_environment()
                )
            if self._wait_until_ready(port):
                return self
            log_text = self.log()
            self.stop()
            if "address already in use" not in log_text:
                break
        raise AssertionError(f"{self.binary_path.name} did not start; its log ends:\n{log_text[-6000:]}")

    def _wait_until_ready(self, port: int) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                return False
            with suppress(urllib.error.URLError, OSError):
                self.get(self.ready_path, timeout=5)
                if _listens(self._process.pid, port):  # a stranger on the same port would be ready too
                    return True
            time.sleep(0.02)
        return False

    def stop(self) -> None:
        """Ends the process; does nothing when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def get(self, path: str, params: Mapping[str, str] | None = None, *, timeout: float = 120) -> bytes:
        """The body of a GET; raises urllib.error.HTTPError for a status of 400 and above."""
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        with urllib.request.urlopen(f"{self.url}{path}{query}", timeout=timeout) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body

    def post(self, path: str, body: bytes = b"", *, timeout: float = 120) -> bytes:
        request = urllib.request.Request(f"{self.url}{path}", data=body, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
                reply: bytes = answer.read()
                return reply
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Queries(Server):
    """A server with Prometheus's query API, asked with the standard library alone: the oracle alongside our client."""

    def query(self, expr: str, at: float) -> list[dict[str, Any]]:
        """`data.result` of an instant query at `at`, in seconds."""
        return self._result("/api/v1/query", {"query": expr, "time": f"{at:.3f}"})

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """`data.result` of a range query; all times in seconds, at most 11,000 steps."""
        params = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._result("/api/v1/query_range", params)

    def _result(self, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            body = self.get(path, params)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{params}: {error.read().decode(errors='replace')}") from error
        result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return result


class Prometheus(_Queries):
    """A Prometheus 3.5, or 2.42 with binary="prometheus2".

    `config` is the text of its configuration (none: it scrapes nothing); `$ADDRESS` in it becomes the server's own
    host:port, so that it can scrape itself. `rules` are rule files to load. `data` is a folder with blocks, used as
    the server's storage, and kept however old the blocks are.
    """

    binary_name = "prometheus"

    def __init__(
        self,
        tmp: Path,
        *,
        config: str | None = None,
        rules: Sequence[Path] = (),
        data: Path | None = None,
        binary: str = "prometheus",
        flags: Sequence[str] = (),
    ) -> None:
        super().__init__(tmp, binary_name=binary, flags=flags)
        self.config = NO_SCRAPES if config is None else config
        self.rules = tuple(path.resolve() for path in rules)
        self.data = (data or self.folder / "data").resolve()
        self.config_path = self.folder / "prometheus.yml"

    def arguments(self) -> list[str]:
        self._write_config()
        return [
            f"--config.file={self.config_path}",
            f"--storage.tsdb.path={self.data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address={self.address}",
            "--web.enable-lifecycle",
        ]

    def _write_config(self) -> None:
        content = yaml.safe_load(self.config.replace("$ADDRESS", self.address)) or {}
        if self.rules:
            content["rule_files"] = [*content.get("rule_files", ()), *map(str, self.rules)]
        self.config_path.write_text(yaml.safe_dump(content, sort_keys=False))

    def reload(self, *, config: str | None = None, rules: Sequence[Path] | None = None) -> None:
        """Reads the configuration and the rule files again; an AssertionError carries the server's refusal."""
        if config is not None:
            self.config = config
        if rules is not None:
            self.rules = tuple(path.resolve() for path in rules)
        self._write_config()
        seen = len(self.log())
        try:
            self.post("/-/reload")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[seen:]}") from error

    def rule_groups(self) -> list[dict[str, Any]]:
        """The rule groups as the server sees them, with the health and last error of each rule."""
        groups: list[dict[str, Any]] = json.loads(self.get("/api/v1/rules"))["data"]["groups"]
        return groups


class Alertmanager(Server):
    """An Alertmanager that talks to no peers. `config` is its configuration (none: one receiver that tells nobody)."""

    binary_name = "alertmanager"

    def __init__(self, tmp: Path, *, config: str | None = None, flags: Sequence[str] = ()) -> None:
        super().__init__(tmp, flags=flags)
        self.config = config or "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"

    def arguments(self) -> list[str]:
        self._bring_templates()
        config_path = self.folder / "alertmanager.yml"
        config_path.write_text(self.config)
        return [
            f"--config.file={config_path}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]

    def _bring_templates(self) -> None:
        """Debian's build reads its message templates from /usr/share, where an unpacked package has put nothing: a copy
        of the binary is pointed at empty ones in the working folder, by a path of the same length."""
        installed = b"/usr/share/prometheus/alertmanager"
        copy = self.folder / "alertmanager"
        if Path(installed.decode()).exists() or copy.exists():
            return
        here = b"/proc/self/cwd"
        content = self.binary_path.read_bytes().replace(installed, here.ljust(len(installed), b"/"))
        copy.write_bytes(content)
        copy.chmod(0o755)
        for name in ("default.tmpl", "email.tmpl"):
            (self.folder / name).touch()
        self.binary_path = copy

    def alerts(self) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = json.loads(self.get("/api/v2/alerts"))
        return data


class VictoriaMetrics(_Queries):
    """A single-node VictoriaMetrics; `load` gives it samples."""

    binary_name = "victoria-metrics"
    ready_path = "/health"

    def __init__(self, tmp: Path, *, flags: Sequence[str] = ()) -> None:
        super().__init__(tmp, flags=flags)

    def arguments(self) -> list[str]:
        return [
            f"-httpListenAddr={self.address}",
            f"-storageDataPath={self.folder / 'data'}",
            "-retentionPeriod=100y",
            "-search.latencyOffset=0s",  # recent samples are answered at once
            "-memory.allowedPercent=10",
        ]

    def load(self, path: Path) -> None:
        """Imports OpenMetrics text and makes it searchable."""
        self.post("/api/v1/import/prometheus", path.read_bytes())
        self.get("/internal/force_flush")


class Vmalert(Server):
    """A vmalert of default flags that evaluates `rules` over a VictoriaMetrics and writes what they record back.

    `notifier` is the address of what takes alerts; without one they go nowhere.
    """

    binary_name = "vmalert"
    ready_path = "/health"

    def __init__(
        self, tmp: Path, rules: Path, store: Server, *, notifier: str | None = None, flags: Sequence[str] = ()
    ) -> None:
        super().__init__(tmp, flags=flags)
        self.rules, self.store, self.notifier = rules.resolve(), store, notifier

    def arguments(self) -> list[str]:
        store = self.store.url
        return [
            f"-rule={self.rules}",
            f"-datasource.url={store}",
            f"-remoteWrite.url={store}",
            f"-remoteRead.url={store}",
            f"-notifier.url=http://{self.notifier}" if self.notifier else "-notifier.blackhole",
            f"-httpListenAddr={self.address}",
        ]


def wait_until(holds: Callable[[], object], what: str, *, seconds: float = 60) -> None:
    """Asks again and again until `holds()` is true; an AssertionError that names `what` when it never is."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.02)


def pause(server: Server) -> None:
    """Freezes the process, which then accepts connections and answers nothing; `resume` thaws it."""
    os.kill(server.pid, signal.SIGSTOP)


def resume(server: Server) -> None:
    os.kill(server.pid, signal.SIGCONT)


def _fresh(tmp: Path, name: str) -> Path:
    for number in range(1, 1000):
        folder = tmp / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise RuntimeError(f"no free folder for {name} in {tmp}")


def _listens(pid: int, port: int) -> bool:
    """Whether the process holds the listening socket; assumed where the system doesn't tell."""
    owners = set(_listening_inodes(port))
    try:
        held = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}  # noqa: PTH115
    except OSError:
        return True
    return not owners or any(f"socket:[{inode}]" in held for inode in owners)


def _listening_inodes(port: int) -> Iterator[str]:
    table = Path("/proc/net/tcp")
    if not table.exists():
        return
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            yield fields[9]
