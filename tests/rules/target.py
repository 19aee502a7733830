"""A target that the test owns: it serves metrics, and can be restarted, slowed and cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Web:
    """An HTTP server on a free port of 127.0.0.1. `answer(path, body)` gives the text; it runs in the server's threads."""

    def __init__(self, answer: Callable[[str, bytes], str]) -> None:
        self._answer = answer
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    def start(self) -> Self:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = answer(self.path, self.rfile.read(length)).encode()
                with suppress(BrokenPipeError, ConnectionResetError):  # nobody waits any more
                    self._send(text)

            def _send(self, text: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = _reply  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Silent."""

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Service(Web):
    """Serves requests, one in twenty of them failing, and counts them: the error code only once there is one."""

    def __init__(self) -> None:
        super().__init__(self._metrics)
        self.lock = threading.Lock()
        self.counts = {"200": 0, "500": 0}  # of the process that runs now
        self.happened = {"200": 0, "500": 0}  # of all of them
        self.slow = 0.0
        self.busy = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        number = 0
        while not self._ended.wait(0.005):
            if self.busy:
                number += 1
                with self.lock:
                    code = "500" if number % 20 == 0 else "200"
                    self.counts[code] += 1
                    self.happened[code] += 1

    def _metrics(self, path: str, body: bytes) -> str:
        with self.lock:
            shown = dict(self.counts)
        time.sleep(self.slow)  # a scrape's values are of its start, and arrive late
        return "# TYPE requests_total counter\n" + "".join(
            f'requests_total{{code="{code}"}} {count}\n' for code, count in shown.items() if count or code == "200"
        )

    def restart(self) -> None:
        """Drains, goes, and comes back as a new process with counters at 0."""
        self.busy = False
        time.sleep(2.3)
        self.stop()
        with self.lock:
            self.counts = {"200": 0, "500": 0}
        time.sleep(0.3)
        self.start()
        self.busy = True

    def __enter__(self) -> Self:
        self.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.stop()
