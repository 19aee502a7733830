"""Object stores that pyarrow knows: `s3://bucket/…` and the like. A recording there is fetched once, when it is opened."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slo.errors import ConfigError, RecordingError
from slo.redact import hide_userinfo

if TYPE_CHECKING:
    from slo.source.recording import Recording

# Schemes of pyarrow's own file systems.
SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")
_AT_ONCE = 8 << 20  # bytes


def scheme_of(text: str) -> str:
    """`s3` of `s3://bucket/…`; empty where it is not an address."""
    scheme, sign, _ = text.partition("://")
    return scheme.strip().lower() if sign else ""


def shown(text: str) -> str:
    """An address as messages name it: what follows `?` is how to reach it, and may be a key."""
    return hide_userinfo(text.partition("?")[0].rstrip("/"))


def opened(text: str, what: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it. Raises ConfigError, which says what was asked for."""
    import pyarrow as pa
    from pyarrow import fs

    try:
        filesystem, root = fs.FileSystem.from_uri(text)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigError(f"{shown(text)}: cannot be used as {what}: {type(error).__name__}") from None
    return filesystem, root


@contextmanager
def named(name: str) -> Iterator[None]:
    """Within it, a failure names the object, and has a number, which those of object stores have not. Raises OSError."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        text = " ".join(hide_userinfo(str(error)).split())[:300]
        raise OSError(error.errno or errno.EIO, text or os.strerror(errno.EIO), name) from error


def recording(text: str) -> Recording:
    """The recording at an address. Raises ConfigError, RecordingError."""
    from slo.source.recording import Recording

    name = shown(text)
    if not name.lower().endswith(".parquet"):
        raise ConfigError(f"{name}: a source in an object store is a recording, which ends in .parquet")
    filesystem, path = opened(text, "a source")
    handle, temporary = tempfile.mkstemp(suffix=".parquet", prefix="slo-")
    try:
        with os.fdopen(handle, "wb") as out, named(name), filesystem.open_input_stream(path) as stream:
            while piece := stream.read(_AT_ONCE):
                out.write(piece)
        return Recording.open(temporary, name)
    except FileNotFoundError:
        raise RecordingError(f"{name}: no such recording") from None
    except OSError as error:
        raise RecordingError(f"cannot read the recording {name}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # what is open stays readable, where a system lets go of its name
            Path(temporary).unlink()
