"""Parquet files that are not opened where they are damaged: pyarrow ends the whole process on some damaged footers.

A sealed file has, between its last row group and its footer, where readers do not look, the SHA-256 of the footer. One
without a seal, as of an earlier version or another program, is first opened by a process of its own.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"slo.seal"
_SEAL = len(_MAGIC) + 32
_END = 8  # the footer's length and the format's name
_TRIAL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
import pyarrow.parquet as pq
file = pq.ParquetFile(sys.argv[1], memory_map=True, page_checksum_verification=True)
str(file.schema_arrow.metadata), str(file.metadata)
for index in range(file.metadata.num_row_groups):
    str(file.metadata.row_group(index).to_dict())
    file.read_row_group(index)
"""
TRIAL_S = 120


def seal(path: Path) -> None:
    """Seals a Parquet file that was just written. Raises OSError, ValueError."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        footer = _footer(file, size)
        file.seek(size - _END - len(footer))
        file.write(_MAGIC + hashlib.sha256(footer).digest() + footer + struct.pack("<I", len(footer)) + b"PAR1")


def sealed(content: bytes) -> bytes:
    """A Parquet file's content with its seal. Raises ValueError."""
    footer = _footer(io.BytesIO(content), len(content))
    body = content[: len(content) - _END - len(footer)]
    return body + _MAGIC + hashlib.sha256(footer).digest() + footer + struct.pack("<I", len(footer)) + b"PAR1"


def is_sealed(content: bytes) -> bool:
    """Whether a Parquet file's content has its seal, and its footer is the one that was sealed: it can be opened in this process."""
    try:
        footer = _footer(io.BytesIO(content), len(content))
    except ValueError:
        return False
    start = len(content) - _END - len(footer) - _SEAL
    return start >= 0 and content[start : start + _SEAL] == _MAGIC + hashlib.sha256(footer).digest()


def whole(path: Path) -> bool:
    """Whether a Parquet file can be opened in this process. Raises OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            footer = _footer(file, size)
        except ValueError:
            return False
        start = size - _END - len(footer) - _SEAL
        if start >= 0:
            file.seek(start)
            read = file.read(_SEAL)
            if read.startswith(_MAGIC):
                return read[len(_MAGIC) :] == hashlib.sha256(footer).digest()
        about = os.fstat(file.fileno())
    return _survives(os.fspath(path.absolute()), (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns))


@lru_cache(maxsize=64)
def _survives(path: str, _: tuple[int, ...]) -> bool:
    """Whether a process that opens a file goes on; tried once as long as the file is the same."""
    try:
        done = subprocess.run([sys.executable, "-c", _TRIAL, path], capture_output=True, timeout=TRIAL_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode >= 0  # what fails with a message, fails with it here, too


def _footer(file: BinaryIO, size: int) -> bytes:
    """Raises ValueError where there is none."""
    if size < 2 * _END:
        raise ValueError("too short")
    file.seek(size - _END)
    length, name = struct.unpack("<I4s", file.read(_END))
    if name != b"PAR1" or length > size - _END:
        raise ValueError("no footer")
    file.seek(size - _END - length)
    return file.read(length)
