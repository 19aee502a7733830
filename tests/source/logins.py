"""Servers that ask for a login and verify it: a Prometheus's query API behind it, and where its tokens come from."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

Answer = tuple[int, dict[str, Any]]
UP = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1000, "1"]}]}}
NO = {"status": "error", "errorType": "unauthorized", "error": "no"}


class Request:
    def __init__(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.method, self.target, self.body = handler.command, handler.path, body
        self.path, _, self.query = handler.path.partition("?")
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.bearer = self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def form(self) -> dict[str, str]:
        from urllib.parse import parse_qsl

        return dict(parse_qsl(self.body.decode()))


class Served:
    """A server on 127.0.0.1 whose every answer is what `answer(request)` gives: a status and JSON."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", 1 << 16

            def log_message(self, *_: object) -> None:
                """Nothing."""

            def do_GET(self) -> None:
                request = Request(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                served.requests.append(request)
                status, content = answer(request)
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Tokens:
    """Tokens that are given out by number, and those that are good: `expire()` makes the given ones bad at once."""

    def __init__(self, lasts_s: float = 3600) -> None:
        self.lasts_s = lasts_s
        self.given: list[str] = []
        self.good: set[str] = set()

    def give(self) -> str:
        self.given.append(f"tok-{len(self.given)}-93hf")
        self.good.add(self.given[-1])
        return self.given[-1]

    def expire(self) -> None:
        self.good.clear()

    def guard(self, request: Request) -> Answer:
        """A Prometheus for those who have a good token; its refusal quotes what it was sent."""
        return (200, UP) if request.bearer in self.good else (401, {**NO, "error": f"{request.bearer} is no good"})


def sigv4(request: Request, secret: str, host: str, region: str, service: str) -> bool:
    """Whether a request is signed with the secret and for this place, by Signature Version 4 as Amazon's manual has it."""
    head = request.headers.get("authorization", "")
    if not head.startswith("AWS4-HMAC-SHA256 "):
        return False
    fields = dict(part.strip().split("=", 1) for part in head.removeprefix("AWS4-HMAC-SHA256 ").split(","))
    _, date, *place = fields["Credential"].split("/")
    if place != [region, service, "aws4_request"] or "host" not in fields["SignedHeaders"].split(";"):
        return False
    moment = request.headers["x-amz-date"]
    if abs(time.mktime(time.strptime(moment, "%Y%m%dT%H%M%SZ")) - time.timezone - time.time()) > 300:
        return False
    if "+" in request.query:  # Amazon's servers do not read it as a space
        return False
    pairs = sorted(part.partition("=")[::2] for part in request.query.split("&")) if request.query else []
    names = fields["SignedHeaders"].split(";")
    if request.headers["host"] != host:
        return False
    canonical = "\n".join([
        request.method, unquote(request.path), "&".join(f"{name}={value}" for name, value in pairs),
        *(f"{name}:{' '.join(request.headers[name].split())}" for name in names), "", ";".join(names),
        hashlib.sha256(request.body).hexdigest(),
    ])  # fmt: skip
    scope = "/".join([date, *place])
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (date, *place):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), fields["Signature"])
