"""A ruler of ours: the configuration API that Mimir and Cortex have, with their answers and limits, in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import unquote

import yaml

Trouble = Callable[[str, str, int], "int | tuple[int, str] | None"]


class FakeRuler:
    """Groups by tenant and namespace. `trouble(method, path, number)` answers the request `number` (from 0) in its place."""

    def __init__(
        self,
        place: str = "/prometheus/config/v1/rules",
        *,
        most_groups: int = 70,
        most_rules: int = 20,
        token: str = "",
        trouble: Trouble = lambda method, path, number: None,
        multi_tenant: bool = False,
    ) -> None:
        self.place, self.most_groups, self.most_rules, self.trouble = place, most_groups, most_rules, trouble
        self.token, self.multi_tenant = token, multi_tenant
        self.tenants: dict[str, dict[str, dict[str, Any]]] = {}
        self.requests: list[tuple[str, str]] = []
        handler = type("Handler", (_Handler,), {"ruler": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def groups(self, namespace: str = "slo", tenant: str = "anonymous") -> dict[str, Any]:
        return self.tenants.get(tenant, {}).get(namespace, {})

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.requests if method != "GET"]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    ruler: FakeRuler
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one packet an answer: the second would wait for what the first is acknowledged by

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _serve(self) -> None:
        ruler = self.ruler
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        number = len(ruler.requests)
        ruler.requests.append((self.command, unquote(self.path)))
        answer = ruler.trouble(self.command, unquote(self.path), number)
        if answer is not None:
            status, text = answer if isinstance(answer, tuple) else (answer, "trouble\n")
            return self._answer(status, text)
        if ruler.token and self.headers.get("Authorization") != f"Bearer {ruler.token}":
            return self._answer(401, "no\n")
        tenant = self.headers.get("X-Scope-OrgID") or ("" if ruler.multi_tenant else "anonymous")
        if not tenant:
            return self._answer(401, "no org id\n")
        if not self.path.startswith(f"{ruler.place}/"):
            return self._answer(404, "404 page not found\n")
        # Split before it is unquoted: a group's name may hold slashes.
        parts = [unquote(part) for part in self.path.removeprefix(f"{ruler.place}/").split("/")]
        namespaces = ruler.tenants.setdefault(tenant, {})
        if self.command == "GET" and len(parts) == 1:
            groups = namespaces.get(parts[0], {})
            if not groups:
                return self._answer(404, "no rule groups found\n")
            return self._answer(200, yaml.safe_dump({parts[0]: list(groups.values())}))
        if self.command == "POST" and len(parts) == 1:
            group = yaml.safe_load(body)
            if len(group["rules"]) > ruler.most_rules:
                text = f"per-user rules per rule group limit (limit: {ruler.most_rules} actual: {len(group['rules'])}) exceeded\n"
                return self._answer(400, text)
            total = sum(map(len, namespaces.values())) + (group["name"] not in namespaces.get(parts[0], {}))
            if total > ruler.most_groups:
                return self._answer(
                    400, f"per-user rule groups limit (limit: {ruler.most_groups} actual: {total}) exceeded\n"
                )
            namespaces.setdefault(parts[0], {})[group["name"]] = group
            return self._answer(202, '{"status":"success"}')
        if self.command == "DELETE" and len(parts) == 2:
            if namespaces.get(parts[0], {}).pop(parts[1], None) is None:
                return self._answer(404, "group does not exist\n")
            return self._answer(202, '{"status":"success"}')
        return self._answer(405, "no\n")

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815

    def _answer(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
