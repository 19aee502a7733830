"""Two small services with metrics, for the presets of Python's libraries: `python services.py fastapi|multiprocess PORT`."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any


def fastapi(port: int) -> None:
    """`/good`, `/bad` and `/metrics` by prometheus-fastapi-instrumentator."""
    import uvicorn
    from prometheus_fastapi_instrumentator import Instrumentator
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def answer(request: Any) -> Any:
        return PlainTextResponse("", 500 if request.url.path == "/bad" else 200)

    app = Starlette(routes=[Route("/good", answer), Route("/bad", answer)])
    Instrumentator(excluded_handlers=["/metrics"]).instrument(app).expose(app)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def multiprocess(port: int) -> None:
    """The same by prometheus_client in two processes that share a port, and their counters by files."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, body = (500, b"bad") if self.path == "/bad" else (200, b"good")
            if self.path == "/metrics":
                registry = CollectorRegistry()
                MultiProcessCollector(registry)
                body = generate_latest(registry)
            else:
                requests.labels(code=str(code)).inc()
                duration.observe(0.01 if code == 200 else 3.0)
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", port), Handler)
    os.fork()
    # Made in each process: a file is a process's own.
    requests = Counter("http_requests", "Requests.", ["code"])
    duration = Histogram("http_request_duration_seconds", "How long.", buckets=(0.1, 0.5, 1))
    server.serve_forever()


if __name__ == "__main__":
    {"fastapi": fastapi, "multiprocess": multiprocess}[sys.argv[1]](int(sys.argv[2]))
