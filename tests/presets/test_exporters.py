"""Presets on the exporters that they are for: planted requests are counted to the event. `make slow` runs them, where
`tests/servers/exporters` has fetched the exporters, and where SLO_EXPORTERS_PYTHON has the Python libraries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from slo.budget.evaluate import evaluate
from slo.budget.model import Budget
from slo.source.prometheus import PrometheusSource
from tests.presets import specs_of
from tests.servers import Prometheus, free_port, wait_until

pytestmark = [pytest.mark.server, pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")]
HERE = Path(__file__).parent
GOOD, BAD = 90, 10


def exporter(name: str) -> Path:
    """A binary that `tests/servers/exporters` fetches; skips the test where it is missing."""
    cache = Path(os.environ.get("SLO_SERVERS") or Path.home() / ".cache" / "slo-servers")
    path = cache / "exporters" / name
    if not os.access(path, os.X_OK):
        pytest.skip(f"{path} is missing; run tests/servers/exporters")
    return path


@contextmanager
def running(command: Sequence[str | Path], url: str, folder: Path) -> Iterator[None]:
    """A process, and what it starts, until the block ends; ready when its address answers."""
    libraries = command[0].parents[1] / "lib" / "x86_64-linux-gnu" if isinstance(command[0], Path) else HERE
    environment = {**os.environ, "LD_LIBRARY_PATH": str(libraries), "HOME": str(folder)}
    with (folder / "exporter.log").open("wb") as log:
        process = subprocess.Popen(
            list(map(str, command)), cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        wait_until(lambda: process.poll() is not None or asked(url), f"{command[0]} answers", seconds=30)
        assert process.poll() is None, (folder / "exporter.log").read_text()
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def asked(url: str, body: bytes | None = None) -> int:
    """The status of an answer; 0 for none."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=5) as answer:  # noqa: S310
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@contextmanager
def scraped(folder: Path, address: str, path: str = "/metrics", **more: object) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a target each second."""
    job = {"job_name": "x", "metrics_path": path, "static_configs": [{"targets": [address]}], **more}
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    with Prometheus(folder, config=json.dumps(config)) as server:
        wait_until(lambda: server.query("up == 1", time.time()), "the target is scraped")
        yield server


def measured(server: Prometheus, name: str, **parameters: str) -> Budget:
    """A preset's figures, as of two scrapes later."""
    time.sleep(3)
    [slo] = specs_of([name], **parameters).values()
    return evaluate(slo, PrometheusSource.open(server.url), round(time.time() * 1000))


def requests(base: str, good: int = GOOD, bad: int = BAD) -> None:
    """So many requests that succeed, and so many that end in a 500."""
    for path, count, code in (("/good", good, 200), ("/bad", bad, 500)):
        assert {asked(base + path) for _ in range(count)} == {code}


def counts(server: Prometheus, base: str, names: Sequence[str], **parameters: str) -> None:
    """That each preset counts what is planted: after one request of each kind, which begin the series."""
    requests(base, 1, 1)
    time.sleep(3)
    [before] = [[measured(server, name, **parameters) for name in names]]
    requests(base)
    for name, old in zip(names, before, strict=True):
        new = measured(server, name, **parameters)
        assert (new.total or 0) - (old.total or 0) == GOOD + BAD, name
        assert (new.errors or 0) - (old.errors or 0) == BAD, name


def test_haproxy(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    (tmp_path / "haproxy.cfg").write_text(f"""\
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend web
  bind 127.0.0.1:{port}
  http-request return status 500 if {{ path /bad }}
  http-request return status 200
frontend metrics
  bind 127.0.0.1:{metrics}
  http-request use-service prometheus-exporter
""")
    command: list[str | Path] = [exporter("usr/sbin/haproxy"), "-f", tmp_path / "haproxy.cfg"]
    with (
        running(command, f"http://127.0.0.1:{metrics}/metrics", tmp_path),
        scraped(tmp_path, f"127.0.0.1:{metrics}") as server,
    ):
        counts(server, f"http://127.0.0.1:{port}", ["haproxy/frontend-availability"], proxy="web")


def test_caddy(tmp_path: Path) -> None:
    port, admin = free_port(), free_port()
    (tmp_path / "Caddyfile").write_text(f"""\
{{
  admin 127.0.0.1:{admin}
  servers {{
    metrics
  }}
}}
http://127.0.0.1:{port} {{
  respond /bad 500
  respond 200
}}
""")
    command: list[str | Path] = [
        exporter("usr/bin/caddy"),
        "run",
        "--config",
        tmp_path / "Caddyfile",
        "--adapter",
        "caddyfile",
    ]
    with running(command, f"http://127.0.0.1:{port}/", tmp_path), scraped(tmp_path, f"127.0.0.1:{admin}") as server:
        counts(server, f"http://127.0.0.1:{port}", ["caddy/availability"])
        assert measured(server, "caddy/latency").errors == 0


def test_etcd(tmp_path: Path) -> None:
    port, peer = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        exporter("usr/bin/etcd"), "--data-dir", tmp_path / "data", "--listen-client-urls", url, "--advertise-client-urls", url,
        "--listen-peer-urls", f"http://127.0.0.1:{peer}",
    ]  # fmt: skip
    with running(command, f"{url}/health", tmp_path), scraped(tmp_path, f"127.0.0.1:{port}") as server:
        for _ in range(20):
            assert asked(f"{url}/v3/kv/put", b'{"key": "YQ==", "value": "Yg=="}') == 200
        for name in ("etcd/wal-fsync", "etcd/backend-commit"):
            assert (measured(server, name).total or 0) > 0, name
        assert measured(server, "etcd/leader").errors == 0


def test_blackbox(tmp_path: Path) -> None:
    port, target = free_port(), free_port()
    (tmp_path / "blackbox.yml").write_text("modules: {http: {prober: http, timeout: 1s}}\n")
    command: list[str | Path] = [
        exporter("usr/bin/prometheus-blackbox-exporter"), f"--config.file={tmp_path / 'blackbox.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    site = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(target)]
    probe = {"params": {"module": ["http"], "target": [f"http://127.0.0.1:{target}"]}}
    (tmp_path / "site").mkdir()
    with (
        running(command, f"http://127.0.0.1:{port}/metrics", tmp_path),
        scraped(tmp_path, f"127.0.0.1:{port}", "/probe", **probe) as server,
    ):
        with running(site, f"http://127.0.0.1:{target}/", tmp_path / "site"):
            time.sleep(5)
            up = measured(server, "blackbox/probes")
        down = measured(server, "blackbox/probes")
        assert (down.errors or 0) - (up.errors or 0) >= 2
        assert (up.total or 0) - (up.errors or 0) >= 3
        assert measured(server, "blackbox/duration").errors == 0


def test_node(tmp_path: Path) -> None:
    port = free_port()
    command: list[str | Path] = [exporter("usr/bin/prometheus-node-exporter"), f"--web.listen-address=127.0.0.1:{port}"]
    with (
        running(command, f"http://127.0.0.1:{port}/metrics", tmp_path),
        scraped(tmp_path, f"127.0.0.1:{port}") as server,
    ):
        for name in ("node/memory", "node/filesystem"):
            assert (measured(server, name).total or 0) > 0, name


@pytest.mark.parametrize(
    ("service", "names"),
    [("fastapi", ["fastapi/availability"]), ("multiprocess", ["http/availability", "http/latency"])],
)
def test_python(service: str, names: list[str], tmp_path: Path) -> None:
    python = os.environ.get("SLO_EXPORTERS_PYTHON", sys.executable)
    wanted = {"fastapi": "uvicorn, prometheus_fastapi_instrumentator", "multiprocess": "prometheus_client"}[service]
    if subprocess.run([python, "-c", f"import {wanted}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no {wanted}; SLO_EXPORTERS_PYTHON may name one that has")
    port = free_port()
    command: list[str | Path] = [python, str(HERE / "services.py"), service, str(port)]
    with running(command, f"http://127.0.0.1:{port}/good", tmp_path), scraped(tmp_path, f"127.0.0.1:{port}") as server:
        counts(server, f"http://127.0.0.1:{port}", names)
