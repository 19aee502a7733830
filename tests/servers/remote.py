"""Samples that a server gets while it runs, by Prometheus's remote write: they are in its memory, as its last hours always are.

The body is a protobuf message in a snappy block; both are written here as far as that needs.
"""

from __future__ import annotations

import struct
import urllib.request
from collections.abc import Iterable, Mapping, Sequence

from tests.servers import Prometheus

FLAG = "--web.enable-remote-write-receiver"
# A server refuses what is an hour older than its newest sample.
_SLICE_SECONDS = 900
Samples = Sequence[tuple[float, float]]


def write(server: Prometheus, series: Mapping[tuple[tuple[str, str], ...], Samples]) -> None:
    """Samples (seconds, value) by labels, `__name__` among them, in the order of time; the server was started with FLAG."""
    labels = {row: b"".join(_label(*label) for label in sorted(row)) for row in series}
    times = [at for samples in series.values() for at, _ in (samples[0], samples[-1])]
    start = min(times)
    while start <= max(times):
        end = start + _SLICE_SECONDS
        sent = (
            (labels[entry], [sample for sample in samples if start <= sample[0] < end])
            for entry, samples in series.items()
        )
        _post(server, b"".join(_field(1, own + b"".join(map(_sample, samples))) for own, samples in sent if samples))
        start = end


def _post(server: Prometheus, message: bytes) -> None:
    headers = {
        "Content-Encoding": "snappy",
        "Content-Type": "application/x-protobuf",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    request = urllib.request.Request(f"{server.url}/api/v1/write", _snappy(message), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=120):  # noqa: S310
        pass


def _label(name: str, value: str) -> bytes:
    return _field(1, _field(1, name.encode()) + _field(2, value.encode()))


def _sample(sample: tuple[float, float]) -> bytes:
    at, value = sample
    return _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(round(at * 1000)))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    message = bytearray()
    while value > 0x7F:
        message.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*message, value])


def _snappy(content: bytes) -> bytes:
    """A block of literals: nothing is compressed."""
    return _varint(len(content)) + b"".join(_literals(content))


def _literals(content: bytes) -> Iterable[bytes]:
    for start in range(0, len(content), 1 << 16):
        part = content[start : start + (1 << 16)]
        yield bytes([61 << 2]) + struct.pack("<H", len(part) - 1) + part
