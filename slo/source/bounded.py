"""Reading from servers that may never end: one deadline and one size for a whole call, whatever arrives.

Time-outs of single reads bound nothing: a server that sends a byte now and then goes on for ever.
"""

from __future__ import annotations

import http.client
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# What headers may take alongside an answer's body: of a hundred lines of 64 KiB, the most that Python reads, a few.
HEADER_BYTES = 1 << 20


class LateError(Exception):
    """The deadline of a call has passed."""


class TooLargeError(Exception):
    """A call has brought more than its limit."""


class BoundedCall:
    """One call, with all its attempts and redirects: until when it may take (`time.monotonic`), and how many bytes it may still
    bring."""

    def __init__(self, deadline: float, limit: int) -> None:
        self.deadline = deadline
        self.limit = limit  # of the body, unpacked
        self._wire_left = limit + HEADER_BYTES
        self.renewed = False  # whether a credential was asked for anew in it

    def left(self) -> float:
        """Seconds until the deadline, more than 0. Raises LateError past it."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise LateError
        return seconds

    def check(self) -> None:
        """Raises LateError past the deadline."""
        self.left()

    def took(self, count: int) -> None:
        """Counts bytes that came from the network, of whatever kind. Raises TooLargeError."""
        self._wire_left -= count
        if self._wire_left < 0:
            raise TooLargeError


_calls = threading.local()


class BoundedStream(io.RawIOBase):
    """A socket's stream that knows the call that it is read for.

    Everything that a server sends comes through here: status lines, any number of 1xx answers, headers, the sizes of
    chunks, bodies of redirects. Time-outs of single reads bound none of them.
    """

    def __init__(self, stream: Any, sock: Any, call: BoundedCall) -> None:
        self._stream, self._sock, self._call = stream, sock, call
        self._timeout = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._call.left()
        self._sock.settimeout(left if self._timeout is None else min(self._timeout, left))
        try:
            count: int = self._stream.readinto(buffer) or 0
        except TimeoutError:
            self._call.check()
            raise
        self._call.took(count)
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()


class _BoundedAnswer(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        call = getattr(_calls, "now", None)
        if call is not None:
            self.fp: Any = io.BufferedReader(BoundedStream(self.fp.detach(), sock, call))


class _PlainConnection(HTTPConnection):
    response_class = _BoundedAnswer


class _TlsConnection(HTTPSConnection):
    response_class = _BoundedAnswer


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class BoundedAdapter(HTTPAdapter):
    """An adapter whose connections read no further than the call at hand allows, through a proxy too."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
        return manager


@contextmanager
def reading(call: BoundedCall) -> Iterator[None]:
    """Within it, what this thread's connections read is counted for a call."""
    _calls.now = call
    try:
        yield
    finally:
        _calls.now = None
