"""What was counted, kept for longer than a server keeps its samples: one Parquet file a period.

A row is one step of one SLO: `slo`, `end_ms` (int64), `errors` and `total` (float64), sorted. The file's metadata holds the
version, the period and a SHA-256 of the rows, so that a damaged file is never added up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slo.errors import ConfigError
from slo.files import replaced
from slo.promql.ast import Node
from slo.source import parquet
from slo.weekly.period import Period

VERSION = 1
STEP_MS = 300_000
_KEY = b"slo.ledger"
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Entry:
    """An SLO's bad and all events per step; `ends` are the steps' ends, milliseconds UTC."""

    ends: Ints
    errors: Floats
    total: Floats


class Ledger:
    """The files of a folder, one a period. Writing a period again replaces it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, dict[str, Entry]] = {}
        self._slis: dict[Path, dict[str, str]] = {}
        # SLOs of which something was left out, with the names of the periods.
        self.changed: dict[str, dict[str, None]] = {}

    def path(self, period: Period) -> Path:
        """The file of a period."""
        return self.folder / f"{period.name}.parquet"

    def write(self, period: Period, entries: Mapping[str, Entry], slis: Mapping[str, str] | None = None) -> None:
        """The period's events, and the fingerprints of the SLI definitions that counted them, by SLO; the file appears whole or
        not at all. Raises OSError."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = sorted(entries)
        table = pa.table(
            {
                "slo": pa.array([name for name in names for _ in entries[name].ends], pa.string()),
                "end_ms": np.concatenate([entries[name].ends for name in names] or [np.empty(0, np.int64)]),
                "errors": np.concatenate([entries[name].errors for name in names] or [np.empty(0)]),
                "total": np.concatenate([entries[name].total for name in names] or [np.empty(0)]),
            }
        )
        head = {"version": VERSION, "period": period.name, "start_ms": period.start_ms, "end_ms": period.end_ms}
        head["sha256"] = _digest(table)
        head["slis"] = {name: text for name, text in (slis or {}).items() if name in entries}
        table = table.replace_schema_metadata({_KEY: json.dumps(head, sort_keys=True).encode()})
        with replaced(self.path(period)) as temporary:
            pq.write_table(table, temporary, compression="zstd")
            parquet.seal(temporary)
        self._read.pop(self.path(period), None)

    def of_period(self, period: Period) -> dict[str, Entry]:
        """What a period's own file holds; nothing where there is none. Raises ConfigError for a damaged file."""
        return dict(self._file(self.path(period))) if self.path(period).exists() else {}

    def slis_of(self, period: Period) -> dict[str, str]:
        """The fingerprints of the SLIs in a period's own file, by SLO. Raises ConfigError for a damaged file."""
        return dict(self._slis[self.path(period)]) if self.of_period(period) else {}

    def entry(self, slo: str, start_ms: int, end_ms: int, sli: str = "") -> Entry:
        """An SLO's steps that end in (start_ms, end_ms], of all periods. Raises ConfigError for a damaged file.

        With `sli`, its definition's fingerprint, those that another definition counted are left out, and named in `changed`.
        """
        parts = []
        for path in sorted(self.folder.glob("*.parquet")):
            part = self._file(path).get(slo)
            if part is None:
                continue
            then = self._slis[path].get(slo, sli)  # a file of an earlier version says nothing
            if sli and then != sli:
                if ((part.ends > start_ms) & (part.ends <= end_ms)).any():
                    self.changed.setdefault(slo, {})[path.stem] = None
                continue
            parts.append(part)
        if not parts:
            return Entry(np.empty(0, np.int64), np.empty(0), np.empty(0))
        ends = np.concatenate([part.ends for part in parts])
        # Where two files hold one step, as a week and a month do, the first counts.
        ends, order = np.unique(ends, return_index=True)
        inside = (ends > start_ms) & (ends <= end_ms)
        errors = np.concatenate([part.errors for part in parts])[order]
        total = np.concatenate([part.total for part in parts])[order]
        return Entry(ends[inside], errors[inside], total[inside])

    def counted(self, start_ms: int, end_ms: int) -> dict[str, dict[str, str]]:
        """By period: the SLOs of which there are steps that end in (start_ms, end_ms], each with its SLI's fingerprint ("" where
        none was kept). Raises ConfigError for a damaged file."""
        by_slo = {}
        for path in sorted(self.folder.glob("*.parquet")):
            inside = {
                name: self._slis[path].get(name, "")
                for name, part in self._file(path).items()
                if ((part.ends > start_ms) & (part.ends <= end_ms)).any()
            }
            if inside:
                by_slo[path.stem] = inside
        return by_slo

    def _file(self, path: Path) -> dict[str, Entry]:
        if path not in self._read:
            self._read[path], self._slis[path] = _read(path)
        return self._read[path]


def fingerprint(sli: object) -> str:
    """What tells one SLI definition from another: its kind, and every field as text."""
    return hashlib.sha256(_text(sli).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    if isinstance(value, Node):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(f'{field.name}={_text(getattr(value, field.name))}' for field in fields(value))})"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    return str(value)


def _read(path: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fix = "move it away and run the job again: the period is counted anew while the server still has it"
    try:
        if not parquet.whole(path):
            raise ValueError
        table = pq.read_table(path)
        head: dict[str, Any] = json.loads((table.schema.metadata or {})[_KEY])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: no ledger file, or damaged ({type(error).__name__}); {fix}") from None
    version = head.get("version") if isinstance(head, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(
            f"{path}: of a later ledger version ({version}, this one reads {VERSION}); update this package"
        )
    try:
        if version != VERSION or head.get("sha256") != _digest(table):
            raise ConfigError(f"{path}: its rows are not those that were written; {fix}")
        names = table.column("slo").to_pylist()
        columns = [table.column(name).to_numpy() for name in ("end_ms", "errors", "total")]
        slis = {str(name): str(text) for name, text in dict(head.get("slis") or {}).items()}
    except (KeyError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: is not a ledger of this package ({type(error).__name__}); {fix}") from None
    entries: dict[str, Entry] = {}
    start = 0
    for index in range(1, len(names) + 1):
        if index == len(names) or names[index] != names[start]:
            entries[names[start]] = Entry(*(column[start:index] for column in columns))
            start = index
    return entries, slis


def _digest(table: Any) -> str:
    digest = hashlib.sha256("\n".join(table.column("slo").to_pylist()).encode())
    for name in ("end_ms", "errors", "total"):
        digest.update(np.ascontiguousarray(table.column(name).to_numpy()).tobytes())
    return digest.hexdigest()
