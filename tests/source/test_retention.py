"""What a server says of how long it keeps samples; a server that says nothing, or nonsense, is not a failure."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.budget.evaluate import evaluate_all
from slo.promql.parse import parse
from slo.source import retention_ms
from slo.source.prometheus import PrometheusSource
from slo.source.recording import Recording
from slo.source.retention import FLAGS, RUNTIME, of_flags, of_runtime
from slo.window import DAY, HOUR
from tests.budget.test_evaluate import END, even, ratio_slo
from tests.servers import Prometheus, VictoriaMetrics, free_port
from tests.source.conftest import quick
from tests.source.hostile import Hostile, Request, error, reply


def page(data: Any) -> bytes:
    return json.dumps({"status": "success", "data": data}).encode()


def server(runtime: bytes | None, flags: bytes | None = None) -> Hostile:
    answers = {RUNTIME: runtime, FLAGS: reply(404, "404 page not found") if flags is None else flags}
    return Hostile(lambda request, _: answers[request.path])


def ok(data: Any) -> bytes:
    return reply(200, page(data))


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ("15d", 15),
        ("15d or 10GiB", 15),
        ("10GiB or 15d", 15),
        ("1w2d", 9),
        ("5y", 5 * 365),
        ("10GiB", None),  # by size alone: no time
        ("", None),
        ("forever", None),
        ("15 days", None),
        ("15d or never", None),
        ("15d or 30d", None),
        ("0s", None),
        ("9" * 5000 + "d", None),
        (15, None),
        (None, None),
        (["15d"], None),
    ],
)
def test_runtime_information(said: Any, days: int | None) -> None:
    assert of_runtime(page({"storageRetention": said, "startTime": "x"})) == (None if days is None else days * DAY)


@pytest.mark.parametrize(
    ("flags", "days"),
    [
        ({"storage.tsdb.retention.time": "0s"}, 15),  # the default
        ({"storage.tsdb.retention.time": "0s", "storage.tsdb.retention.size": "0B"}, 15),
        ({"storage.tsdb.retention.time": "0s", "storage.tsdb.retention.size": "50GB"}, None),
        ({"storage.tsdb.retention.time": "30d", "storage.tsdb.retention.size": "50GB"}, 30),
        ({"storage.tsdb.retention.time": "0s", "storage.tsdb.retention": "7d"}, 7),
        ({"storage.tsdb.retention.time": "soon"}, None),
        ({"storage.tsdb.retention.time": 0}, None),
        ({"retentionPeriod": "1"}, None),  # VictoriaMetrics's own
        ({}, None),
    ],
)
def test_flags(flags: dict[str, Any], days: int | None) -> None:
    assert of_flags(page(flags)) == (None if days is None else days * DAY)


@given(st.binary(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(page))
def test_nonsense_is_not_a_retention(body: bytes) -> None:
    assert of_runtime(body) is None and of_flags(body) is None


def test_the_flags_are_asked_where_the_runtime_says_nothing() -> None:
    with server(ok({"storageRetention": "20d"}), ok({"storage.tsdb.retention.time": "40d"})) as host:
        assert quick(host.url).retention_ms() == 20 * DAY
    for runtime in (
        reply(404, ""),
        ok({"startTime": "x"}),
        error(400, "bad_data", "no such page"),
        reply(200, "<html>"),
    ):
        with server(runtime, ok({"storage.tsdb.retention.time": "0s"})) as host:
            source = quick(host.url)
            assert [source.retention_ms() for _ in range(3)] == [15 * DAY] * 3
            assert [request.path for request in host.requests] == [RUNTIME, FLAGS]  # once


def test_a_server_with_a_prefix_is_asked_under_it_and_with_its_credentials() -> None:
    with Hostile(lambda request, _: ok({"storageRetention": "20d"})) as host:
        assert quick(f"{host.url}/prometheus/", bearer_token="s3cret").retention_ms() == 20 * DAY
        [request] = host.requests
        assert (request.path, request.headers["authorization"]) == (f"/prometheus{RUNTIME}", "Bearer s3cret")


def trickle(_: Request, __: int) -> Iterator[bytes]:
    yield reply(200, page({"storageRetention": "15d"}))[:-10].replace(b"Length: ", b"Length: 9")
    for _number in range(200):
        time.sleep(0.02)
        yield b" "


@pytest.mark.parametrize(
    "script",
    [
        [reply(404, "404 page not found")],
        [reply(401, "")],
        [reply(500, "oh no")],
        [reply(503, "", Retry_After="3600")],
        [error(422, "execution", "no")],
        [reply(200, "<!DOCTYPE html><title>Sign in</title>")],
        [reply(200, "[]")],
        [reply(200, page({"storageRetention": "15d"})[:-5])],
        [reply(200, gzip.compress(page({"storageRetention": "15d"}))[:-20], Content_Encoding="gzip")],
        [reply(200, b"\xff\xfe\x00")],
        [reply(200, b" " * (2 << 20) + page({"storageRetention": "15d"}))],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [b""],
        [reply(302, "", Location="/api/v1/status/runtimeinfo")],
        trickle,
    ],
)  # fmt: skip
def test_a_server_that_does_not_answer_has_no_retention_and_is_not_a_failure(script: Any) -> None:
    with Hostile(script) as host:
        source = quick(host.url, timeout_s=0.3)
        begun = time.monotonic()
        assert source.retention_ms() is None and source.retention_ms() is None
        assert time.monotonic() - begun < 3
        assert source.notes == ()


def test_a_server_that_hangs_is_waited_for_once() -> None:
    with Hostile([None]) as host:
        source = quick(host.url, timeout_s=0.2)
        assert source.retention_ms() is None and source.retention_ms() is None
        assert len(host.requests) == 1
    assert quick(f"http://127.0.0.1:{free_port()}").retention_ms() is None


class Keeping:
    """A source of given samples, on a server that keeps so many days."""

    def __init__(self, days: float, kept_ms: int | None) -> None:
        self._source = even(days, 995, 5)
        self.kept_ms = kept_ms
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def retention_ms(self) -> int | None:
        self.asked += 1
        return self.kept_ms


def reported(slos: Sequence[Any], source: Any) -> list[str]:
    return [
        note.text for budget in evaluate_all(slos, source, END) for note in budget.notes if note.code == "retention"
    ]


@pytest.mark.parametrize(
    ("window", "kept", "words"),
    [
        ("30d", 15, "the server keeps 15d of samples, and the window is 30d: what is older is not in the figures; start the "
                    "server with --storage.tsdb.retention.time=35d"),
        ("30d", 30, None),
        ("7d", 15, None),
        ("month", 15, "keeps 15d of samples, and the window is month of 30d: what"),  # November
        ("month", 30, None),
        ("year", 90, "is year of 365d: what is older is not in the figures; start the server with --storage.tsdb.retention.time=370d"),
        ("30d", None, None),
    ],
)  # fmt: skip
def test_a_window_beyond_what_a_server_keeps_is_noted(window: str, kept: int | None, words: str | None) -> None:
    reported_now = reported([ratio_slo("99", window)], Keeping(15, None if kept is None else kept * DAY))
    assert len(reported_now) == (words is not None)
    assert words is None or words in reported_now[0]


def test_parts_of_a_day_are_said_too() -> None:
    assert "keeps 2d12h of samples" in reported([ratio_slo("99")], Keeping(2, 60 * HOUR))[0]


def test_a_recording_keeps_what_it_has(tmp_path: Path) -> None:
    assert retention_ms(even(1, 1, 0)) is None
    assert not hasattr(Recording, "retention_ms")


@pytest.mark.server
@pytest.mark.parametrize("binary", ["prometheus", "prometheus2"])
@pytest.mark.parametrize(
    ("flags", "days"),
    [
        (["--storage.tsdb.retention.time=20d"], 20),
        (["--storage.tsdb.retention.time=0s"], 15),
        (["--storage.tsdb.retention.time=12d", "--storage.tsdb.retention.size=1GB"], 12),
        (["--storage.tsdb.retention.time=0s", "--storage.tsdb.retention.size=1GB"], None),
    ],
)
def test_real_servers_say_what_they_keep(tmp_path: Path, binary: str, flags: list[str], days: int | None) -> None:
    class Own(Prometheus):
        def arguments(self) -> list[str]:
            # A flag may be given once.
            return [argument for argument in super().arguments() if "retention" not in argument]

    with Own(tmp_path, binary=binary, flags=flags) as host:
        source = PrometheusSource.open(host.url)
        assert source.retention_ms() == (None if days is None else days * DAY)
        # From the flags alone the same.
        body = source._api.page(FLAGS)
        assert body is not None
        assert of_flags(body) == (None if days is None else days * DAY)
        source.query(parse("up"), END)


@pytest.mark.server
def test_victoria_metrics_does_not_say(victoria_metrics: VictoriaMetrics) -> None:
    assert PrometheusSource.open(victoria_metrics.url).retention_ms() is None
