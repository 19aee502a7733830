"""A ledger of version 1: a file for each week, month or quarter in its folder. Its rows are taken over once, and the files put aside in `v1`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from slo.errors import ConfigError
from slo.ledger.entry import Entry
from slo.source import parquet

_KEY = b"slo.ledger"
ASIDE = "v1"


def migrate(place: str | os.PathLike[str], write: Callable[[dict[str, Entry]], None]) -> list[str]:
    """Takes over what the folder has of version 1; the names of the files. Raises ConfigError, OSError.

    A run that is stopped half way is repeated: a file is put aside once all of its rows are in the new tables.
    """
    folder = Path(os.fspath(place))
    if "://" in os.fspath(place) or not folder.is_dir():
        return []
    # Where two files hold one step, as a month and a week do, the first of them counted, and here the last that is written counts.
    files = sorted(folder.glob("*.parquet"), reverse=True)
    for path in files:
        write(_read(path))
        (folder / ASIDE).mkdir(exist_ok=True)
        path.rename(folder / ASIDE / path.name)
    return [path.name for path in files]


def _read(path: Path) -> dict[str, Entry]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fix = "move it away and run the job again: what it held is counted anew while the server still has it"
    try:
        if not parquet.whole(path):
            raise ValueError
        table = pq.read_table(path)
        head: dict[str, Any] = json.loads((table.schema.metadata or {})[_KEY])
        if head["version"] != 1 or head["sha256"] != _digest(table):
            raise ConfigError(f"{path}: its rows are not those that were written; {fix}")
        names = table.column("slo").to_pylist()
        ends, errors, total = (table.column(name).to_numpy() for name in ("end_ms", "errors", "total"))
        slis = {str(name): str(text) for name, text in dict(head.get("slis") or {}).items()}
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: no ledger file, or damaged ({type(error).__name__}); {fix}") from None
    entries: dict[str, Entry] = {}
    start = 0
    for index in range(1, len(names) + 1):
        if index == len(names) or names[index] != names[start]:
            own = slice(start, index)
            entries[names[start]] = Entry(ends[own], errors[own], total[own], slis.get(names[start], ""))
            start = index
    return entries


def _digest(table: Any) -> str:
    digest = hashlib.sha256("\n".join(table.column("slo").to_pylist()).encode())
    for name in ("end_ms", "errors", "total"):
        digest.update(np.ascontiguousarray(table.column(name).to_numpy()).tobytes())
    return digest.hexdigest()
