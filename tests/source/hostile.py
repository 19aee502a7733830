"""Servers that misbehave on purpose: a socket on 127.0.0.1 whose every answer is the bytes that a script returns."""

from __future__ import annotations

import http
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    params: Mapping[str, str]  # of the URL
    form: Mapping[str, str]  # of the body
    headers: Mapping[str, str]  # names in lower case


Script = Callable[[Request, int], "bytes | Iterator[bytes] | None"]


class Hostile:
    """Answers request number n (from 0) with the bytes of `script(request, n)`, then closes the connection.

    An iterator's pieces are sent one by one; None means to accept and never answer.
    """

    def __init__(self, script: Script | Sequence[bytes | None], *, tls: ssl.SSLContext | None = None) -> None:
        self._script: Script = script if callable(script) else lambda _, number: script[min(number, len(script) - 1)]
        self._tls = tls
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        self._busy = 0
        self.most_at_once = 0
        self.stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(10)
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with stream:
                self._answer(stream)

    def _answer(self, stream: socket.socket) -> None:
        request = _read(stream)
        if request is None:
            return
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            self._busy += 1
            self.most_at_once = max(self.most_at_once, self._busy)
        try:
            answer = self._script(request, number)
            if answer is None:
                self.stopped.wait(10)
                return
            for piece in (answer,) if isinstance(answer, bytes) else answer:
                stream.sendall(piece)
        finally:
            with self._lock:
                self._busy -= 1


def _read(stream: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if data.startswith(b"\x16"):  # TLS, where it is not spoken
            stream.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
        piece = stream.recv(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += stream.recv(65536)
    method, target, _ = first.split(" ")
    url = urlsplit(target)
    return Request(
        method, url.path, dict(parse_qsl(url.query)), dict(parse_qsl(body.decode(errors="replace"))), headers
    )


def reply(status: int, body: bytes | str | dict[str, Any], **headers: str) -> bytes:
    """A whole answer; a header's name is written with `_` for `-`."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def success(kind: str, result: Any, **extra: Any) -> bytes:
    """A successful answer of the API."""
    return reply(200, {"status": "success", "data": {"resultType": kind, "result": result}, **extra})


def error(status: int, error_type: str, said: str, **headers: str) -> bytes:
    """An error as Prometheus tells it."""
    return reply(status, {"status": "error", "errorType": error_type, "error": said}, **headers)


ONE = success("vector", [{"metric": {}, "value": [1000, "1"]}])
