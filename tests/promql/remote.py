"""Samples written into a real Prometheus by remote write, which carries staleness markers; asked over one connection.

The body is `WriteRequest` of Prometheus's remote-write 1.0 protocol, in snappy's block format with literals only.
"""

from __future__ import annotations

import json
import struct
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.servers import Prometheus

EXPERIMENTAL = "promql-experimental-functions"
DELAYED = "promql-delayed-name-removal"
_LITERAL = 65_536

Row = tuple[Mapping[str, str], Sequence[int], Sequence[float]]  # labels, times in ms, values

# subqueries without a step take 1 m, and samples may come in any order
CONFIG = """\
global: {evaluation_interval: 1m}
storage: {tsdb: {out_of_order_time_window: 100y}}
"""


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def _series(row: Row) -> bytes:
    labels, times, values = row
    content = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode())) for name, value in sorted(labels.items())
    )
    for at, value in zip(times, values, strict=True):
        content += _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(int(at)))
    return _field(1, content)


def snappy(content: bytes) -> bytes:
    out = [varint(len(content))]
    for start in range(0, len(content), _LITERAL):
        part = content[start : start + _LITERAL]
        out.append(bytes([61 << 2]) + (len(part) - 1).to_bytes(2, "little") + part)
    return b"".join(out)


class Real:
    """One server's HTTP API over one connection."""

    def __init__(self, address: str) -> None:
        self.connection = HTTPConnection(address, timeout=120)

    def ask(self, path: str, **params: Any) -> dict[str, Any]:
        body = urllib.parse.urlencode(params)
        self.connection.request("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        answer: dict[str, Any] = json.loads(self.connection.getresponse().read())
        return answer

    def write(self, rows: Iterable[Row]) -> None:
        body = snappy(b"".join(map(_series, rows)))
        headers = {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf"}
        self.connection.request("POST", "/api/v1/write", body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status < 300, f"remote write: {answer.status} {text}"


def server(tmp: Path, *, delayed: bool = True, data: Path | None = None) -> Prometheus:
    """A Prometheus that takes remote writes and knows the experimental functions."""
    features = f"{EXPERIMENTAL},{DELAYED}" if delayed else EXPERIMENTAL
    flags = ["--web.enable-remote-write-receiver", f"--enable-feature={features}"]
    return Prometheus(tmp, data=data, config=CONFIG, flags=flags)
