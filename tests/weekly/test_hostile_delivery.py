"""Mail servers and webhooks that never end: a delivery has one deadline, and a failure is a line in the log."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from slo.weekly import deliver
from slo.weekly.config import EmailModel, WebhookModel
from slo.weekly.deliver import DeliveryError, post_webhook, send_email
from tests.source.hostile import Hostile, reply
from tests.source.test_limits import ENDLESS, trickled
from tests.weekly.test_job import DAY, DEFINITION, MONDAY, WEEK, configure, go, record

LIMITS = deliver.TIMEOUT_S, deliver.TOTAL_S  # as they are
TOTAL_S, TIMEOUT_S = 0.3, 20.0
SECRET = "T0KEN"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("TOTAL_S", TOTAL_S), ("TIMEOUT_S", TIMEOUT_S), ("QUIT_S", 0.2)):
        monkeypatch.setattr(deliver, name, seconds)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time enough for what ends, on a busy machine too."""
    monkeypatch.setattr(deliver, "TOTAL_S", 20.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time-out of a single wait is what ends it, not the deadline."""
    monkeypatch.setattr(deliver, "TOTAL_S", 20.0)
    monkeypatch.setattr(deliver, "TIMEOUT_S", 0.2)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    record(tmp_path, MONDAY - DAY, MONDAY)
    return tmp_path


Talk = Callable[[socket.socket], None]


@contextmanager
def mail_server(talk: Talk) -> Iterator[int]:
    """The port of a server that says what `talk` says to whoever connects."""
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while not stopped.is_set():
                connection, _ = listener.accept()
                with suppress(OSError), connection:
                    connection.settimeout(5)
                    talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    stopped.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(10)


def talk_until(stage: str, then: Callable[[socket.socket], None], got: list[str] | None = None) -> Talk:
    """A server that is fine until a command, or "greeting"; then it goes its own way."""

    def talk(connection: socket.socket) -> None:
        if stage == "greeting":
            return then(connection)
        connection.sendall(b"220 sink\r\n")
        lines = connection.makefile("rb")
        while line := lines.readline():
            command = line.split()[0].decode().upper()
            if command == stage:
                return then(connection)
            if command == "DATA":
                connection.sendall(b"354 go on\r\n")
                if stage == "content":
                    return then(connection)
                while (part := lines.readline()) and part != b".\r\n":
                    pass
                if got is not None:
                    got.append(part.decode())
                if stage == "end of content":
                    return then(connection)
            connection.sendall(b"250-fine\r\n250 AUTH PLAIN\r\n" if command == "EHLO" else b"250 fine\r\n")
        return None

    return talk


def endless(piece: bytes, pause_s: float = 0.02) -> Callable[[socket.socket], None]:
    def then(connection: socket.socket) -> None:
        while True:  # until the other side hangs up
            connection.sendall(piece)
            if pause_s:
                time.sleep(pause_s)

    return then


def silent(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(0)
        threading.Event().wait(0.6)


def failure(port: int, security: str = "none", content: bytes = b"<html>") -> str:
    """What is said of a mail that fails, in bounded time; nothing where it was sent."""
    model = EmailModel.model_validate(
        {"host": "127.0.0.1", "from": "a@example.com", "to": ["b@example.com"], "security": security}
    )
    begun = time.monotonic()
    try:
        send_email(model, port, "Error budgets", "text", ("error-budgets.html", content), {})
        return ""
    except DeliveryError as error:
        return str(error).removeprefix(f"127.0.0.1:{port} ")
    finally:
        assert time.monotonic() - begun < 25


SLOW = f"took longer than {TOTAL_S} s in all"
SILENT = "did not answer for 0.2 s"


@pytest.mark.parametrize(
    ("stage", "piece"),
    [(stage, b"2") for stage in ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "end of content")]
    + [(stage, b"250-x\r\n") for stage in ("greeting", "RCPT")],
)
def test_a_mail_server_that_trickles_is_given_up(stage: str, piece: bytes) -> None:
    with mail_server(talk_until(stage, endless(piece))) as port:
        assert failure(port) == SLOW


@pytest.mark.parametrize("stage", ["greeting", "RCPT"])
def test_a_reply_without_end_is_given_up_before_it_fills_the_memory(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "TOTAL_S", 20.0)
    with mail_server(talk_until(stage, endless(b"250-" + b"x" * 4000 + b"\r\n", 0))) as port:
        assert failure(port) == "answers without end"


@pytest.mark.parametrize("stage", ["greeting", "MAIL", "end of content"])
def test_a_mail_server_that_says_nothing_is_given_up(stage: str, impatient: None) -> None:
    with mail_server(talk_until(stage, silent)) as port:
        assert failure(port) == SILENT


def test_a_mail_server_that_reads_nothing_is_given_up() -> None:
    """The message is larger than what the network holds."""
    with mail_server(talk_until("content", silent)) as port:
        assert failure(port, content=b"x" * (8 << 20)) == SLOW


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_tls_that_is_never_agreed_on_is_given_up(security: str) -> None:
    def begun(connection: socket.socket) -> None:
        if security == "starttls":
            connection.sendall(b"220 sink\r\n")
            connection.recv(1000)
            connection.sendall(b"250-fine\r\n250 STARTTLS\r\n")
            connection.recv(1000)
            connection.sendall(b"220 go on\r\n")
        connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB, which comes slowly
        endless(b"\0")(connection)

    with mail_server(begun) as port:
        assert failure(port, security) == SLOW


@pytest.mark.parametrize("then", [silent, endless(b"2"), lambda connection: None], ids=["silent", "slow", "gone"])
def test_a_bad_farewell_is_not_a_failure(then: Callable[[socket.socket], None], patient: None) -> None:
    """The message is taken: it would be sent again."""
    got: list[str] = []
    with mail_server(talk_until("QUIT", then, got)) as port:
        assert failure(port) == "" and len(got) == 1


def test_a_server_without_starttls_is_said_to_have_none(patient: None) -> None:
    with mail_server(talk_until("", silent)) as port:
        assert "STARTTLS extension not supported" in failure(port, "starttls")


def test_one_that_hangs_up_is_said_to(patient: None) -> None:
    with mail_server(talk_until("RCPT", lambda connection: None)) as port:
        assert failure(port) == "hung up before it took the message"


def post(url: str) -> str:
    """What is said of a webhook that fails, in bounded time; nothing where it took the message."""
    begun = time.monotonic()
    try:
        post_webhook(WebhookModel(url_env="HOOK"), "text", True, {"HOOK": f"{url}/{SECRET}"})
        return ""
    except DeliveryError as error:
        assert SECRET not in str(error)
        assert error.__suppress_context__ or error.__context__ is None  # which names the address
        return str(error).removeprefix("the webhook of HOOK ")
    finally:
        assert time.monotonic() - begun < 25


# What comes behind the status line and headers is not read: the status says whether it was taken.
READ = [name for name in ENDLESS if name in ("status line", "header", "headers") or name.startswith("100")]


@pytest.mark.parametrize("what", ENDLESS)
def test_a_webhook_that_never_ends_is_given_up(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what not in READ:
        monkeypatch.setattr(deliver, "TOTAL_S", 20.0)  # the status comes at once, and is enough
    with Hostile(trickled(*ENDLESS[what])) as server:
        said = post(server.url)
    if what in READ:
        assert said in (SLOW, "cannot be reached: ConnectionError")  # of a hundred headers
    else:
        assert said == ("" if b" 200 " in ENDLESS[what][0] else f"answers {302 if 'redirect' in what else 500}")


def test_headers_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "TOTAL_S", 20.0)
    head = b"HTTP/1.1 100 Continue\r\nX: " + b"x" * 60_000 + b"\r\n\r\n"
    with Hostile(trickled(b"", head, 0)) as server:
        assert post(server.url) == "answers without end"


def test_one_that_took_too_long_is_not_tried_for_each_missed_period(place: Path, impatient: None) -> None:
    """And what is left is delivered by the next run."""
    file = configure(place, deliver="{folder: out, webhook: {url_env: HOOK}}", formats="[json]")

    def run_at(now_ms: int, answer: bytes | None) -> tuple[int, list[str], int]:
        with Hostile([answer]) as server:
            code, reported = go(file, now_ms, {"HOOK": f"{server.url}/{SECRET}"})
            assert SECRET not in json.dumps(reported)
            return (
                code,
                [fields["error"] for event, fields in reported if event == "delivery failed"],
                len(server.requests),
            )

    assert run_at(MONDAY + 1, reply(200, "ok")) == (0, [], 1)
    record(place, MONDAY - DAY, MONDAY + 3 * WEEK)
    code, failures, asked = run_at(MONDAY + 3 * WEEK + 1, None)
    assert (code, asked) == (1, 1)
    assert ["not tried" in text for text in failures] == [False, True, True] and SILENT in failures[0]
    assert run_at(MONDAY + 3 * WEEK + 2, reply(200, "ok")) == (0, [], 3)


def test_the_docs_have_the_limits() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "weekly.md").read_text()
    assert f"{LIMITS[0]:g} s for each answer and {LIMITS[1]:g} s for a delivery in all" in text
