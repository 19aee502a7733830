"""How long a Prometheus keeps its samples, from what its status pages say. Pure; what is not understood is None."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from slo.errors import DurationError
from slo.window import DAY, parse_duration

RUNTIME, FLAGS = "/api/v1/status/runtimeinfo", "/api/v1/status/flags"
# What a Prometheus keeps where neither a time nor a size is set.
DEFAULT_MS = 15 * DAY
_SIZE = re.compile(r"[0-9]+(\.[0-9]+)?(B|[KMGTPE]i?B)")


def of_runtime(body: bytes) -> int | None:
    """Milliseconds, of runtimeinfo's `storageRetention`: `15d`, `15d or 10GiB`; a size alone is not a valid time."""
    said = _data(body).get("storageRetention")
    if not isinstance(said, str):
        return None
    parts = [part.strip() for part in said.split(" or ")]
    times = [time for part in parts if (time := _time(part)) is not None]
    return (
        times[0]
        if len(times) == 1 and all(_time(part) is not None or _SIZE.fullmatch(part) for part in parts)
        else None
    )


def of_flags(body: bytes) -> int | None:
    """Milliseconds, of the server's flags; a time of 0 is the default of 15 d, and unlimited where a size is set."""
    flags = _data(body)
    said = flags.get("storage.tsdb.retention.time")
    if not isinstance(said, str):
        return None
    if said not in ("0", "0s"):
        return _time(said)
    # The flag's old name, which still counts in Prometheus 2.
    old = flags.get("storage.tsdb.retention")
    if isinstance(old, str) and old not in ("0", "0s"):
        return _time(old)
    size = flags.get("storage.tsdb.retention.size", "0B")
    return DEFAULT_MS if size in ("0", "0B") else None


def _data(body: bytes) -> Mapping[str, Any]:
    """The `data` of a successful answer; nothing of any other."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    match document:
        case {"status": "success", "data": dict(data)}:
            return data
    return {}


def _time(text: str) -> int | None:
    try:
        return parse_duration(text)
    except (DurationError, ValueError):  # a number of more digits than Python reads
        return None
