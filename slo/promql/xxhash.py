"""xxHash64 of labels, as Prometheus hashes them for limit_ratio."""

from __future__ import annotations

from slo.promql.values import Labels

_MASK = 2**64 - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def _rotate(x: int, by: int) -> int:
    return ((x << by) | (x >> (64 - by))) & _MASK


def _round(acc: int, lane: int) -> int:
    return (_rotate((acc + lane * _P2) & _MASK, 31) * _P1) & _MASK


def xxhash64(data: bytes) -> int:
    """The hash with seed zero. Source: the xxHash specification."""
    at, length = 0, len(data)
    if length >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, (-_P1) & _MASK]
        while at + 32 <= length:
            for i in range(4):
                lanes[i] = _round(lanes[i], int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little"))
            at += 32
        acc = sum(_rotate(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            acc = ((acc ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        acc = _P5
    acc = (acc + length) & _MASK
    while at + 8 <= length:
        acc ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        acc = (_rotate(acc, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= length:
        acc ^= (int.from_bytes(data[at : at + 4], "little") * _P1) & _MASK
        acc = (_rotate(acc, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        acc ^= (byte * _P5) & _MASK
        acc = (_rotate(acc, 11) * _P1) & _MASK
    acc ^= acc >> 33
    acc = (acc * _P2) & _MASK
    acc ^= acc >> 29
    acc = (acc * _P3) & _MASK
    return acc ^ (acc >> 32)


def _sized(text: bytes) -> bytes:
    length = len(text)
    return bytes([length]) + text if length < 255 else b"\xff" + length.to_bytes(3, "little") + text


def labels_hash(labels: Labels) -> int:
    """Over the labels packed with their lengths, as servers hold them."""
    packed = b"".join(_sized(part.encode("utf-8", "surrogateescape")) for pair in labels for part in pair)
    return xxhash64(packed)
