"""A recording: raw samples on disk, as one Parquet file, so that an analysis can be repeated without the server.

One row is one series: `name` (metric), `labels` (a JSON object, sorted), `times` (int64 milliseconds UTC, ascending),
`times_of` and `values` (float64). Series of one target are scraped at the same moments: where `times_of` is not null, it is the
row of the same row group whose `times` these are, and the row's own are empty. The rows are sorted by name and labels, a row
group holds one metric or less. The file's
metadata has a JSON object under `slo.recording`: see `Header`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from slo.errors import RecordingError
from slo.files import replaced
from slo.promql.ast import VectorSelector
from slo.promql.samples import Samples, Series
from slo.source import parquet
from slo.source.sampled import SampleSource
from slo.window import checked_moment

if TYPE_CHECKING:
    import pyarrow as pa


FORMAT_VERSION = 2  # 1 had no `times_of`
_KEY = b"slo.recording"
# A row group must stay small enough to decode one metric of many instances in parts.
_SAMPLES_PER_GROUP = 8_000_000


@dataclass(frozen=True, slots=True)
class Header:
    """What a recording says of itself.

    The samples cover `start_ms` to `end_ms`; `origin` names where they came from; `truth` is what a simulation
    knows of the events in it (empty for a recorded server).
    """

    start_ms: int
    end_ms: int
    origin: str
    truth: Mapping[str, Any] = field(default_factory=dict)
    version: int = FORMAT_VERSION


def write(path: str | os.PathLike[str], samples: Samples, header: Header) -> None:
    """Writes a recording; the file appears whole or not at all. Raises RecordingError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = sorted(
        (
            (series.labels.get("__name__", ""), json.dumps(dict(sorted(series.labels.items()))), series)
            for series in samples.series
        ),
        key=lambda row: row[:2],
    )
    schema = pa.schema(
        [
            pa.field("name", pa.string(), nullable=False),
            pa.field("labels", pa.string(), nullable=False),
            pa.field("times", pa.list_(pa.field("item", pa.int64(), nullable=False)), nullable=False),
            pa.field("times_of", pa.int32()),
            pa.field("values", pa.list_(pa.field("item", pa.float64(), nullable=False)), nullable=False),
        ],
        metadata={_KEY: json.dumps(asdict(header), sort_keys=True).encode()},
    )
    try:
        with replaced(path) as temporary:
            with pq.ParquetWriter(
                temporary,
                schema,
                compression="zstd",
                write_page_checksum=True,
                use_compliant_nested_type=True,
                use_dictionary=["name"],
                column_encoding={
                    "labels": "PLAIN",
                    # As the Parquet format names a list's items; another name is ignored without a word.
                    "times.list.element": "DELTA_BINARY_PACKED",
                    "values.list.element": "BYTE_STREAM_SPLIT",
                },
            ) as writer:
                for group in _groups(rows):
                    writer.write_table(_table(group, schema))
            parquet.seal(temporary)
    except OSError as error:
        raise RecordingError(f"cannot write the recording {path}: {error.strerror or error}") from error


def _groups(rows: Sequence[tuple[str, str, Any]]) -> Iterable[list[tuple[str, str, Any]]]:
    group: list[tuple[str, str, Any]] = []
    size = 0
    for row in rows:
        if group and (row[0] != group[-1][0] or size > _SAMPLES_PER_GROUP):
            yield group
            group, size = [], 0
        group.append(row)
        size += len(row[2].times)
    if group:
        yield group


def _table(group: Sequence[tuple[str, str, Any]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    times_of = _shared([series.times for _, _, series in group])
    own = [
        series.times[:0] if of is not None else series.times for (_, _, series), of in zip(group, times_of, strict=True)
    ]

    def lists(parts: Sequence[Any], name: str) -> pa.ListArray:
        offsets = np.zeros(len(parts) + 1, dtype=np.int32)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return pa.ListArray.from_arrays(
            pa.array(offsets), pa.array(np.concatenate(parts)), type=schema.field(name).type
        )

    return pa.table(
        [
            pa.array([name for name, _, _ in group]),
            pa.array([labels for _, labels, _ in group]),
            lists(own, "times"),
            pa.array(times_of, pa.int32()),
            lists([series.values for _, _, series in group], "values"),
        ],
        schema=schema,
    )


def _shared(times: Sequence[Any]) -> list[int | None]:
    """For each the first one that is equal, None for itself."""
    known: dict[tuple[int, int, int], list[int]] = {}
    numbers: list[int | None] = []
    for row, own in enumerate(times):
        ends = (len(own), int(own[0]), int(own[-1])) if len(own) else (0, 0, 0)
        alike = known.setdefault(ends, [])
        same = next((other for other in alike if np.array_equal(times[other], own)), None)
        if same is None:
            alike.append(row)
        numbers.append(same)
    return numbers


class Recording(SampleSource):
    """A recording opened for reading. Only the metrics that are asked for are decoded, and kept for the next question."""

    def __init__(self, name: str, file: Any, header: Header) -> None:
        self._name = name
        self._file = file
        self.header = header
        self._cache: dict[int, Samples] = {}
        self._locks = [Lock() for _ in range(file.metadata.num_row_groups)]

    @property
    def name(self) -> str:
        """The file's path, or its address."""
        return self._name

    def earliest_ms(self) -> int:
        """Where the recording begins."""
        return self.header.start_ms

    def latest_ms(self) -> int:
        """Where the recording ends."""
        return self.header.end_ms

    @classmethod
    def open(cls, path: str | os.PathLike[str], name: str | None = None) -> Recording:
        """Opens a recording; `name` is what it is called, if not by its path. Raises RecordingError if it is missing, damaged or of a later version."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        place, shown = Path(path), name or str(Path(path))
        if not place.exists():
            raise RecordingError(f"{shown}: no such recording; make one with `slo record` or `slo simulate`")
        if place.is_dir():
            raise RecordingError(f"{shown}: is a folder; name the recording in it")
        try:
            if not parquet.whole(place):
                raise RecordingError(
                    f"{shown}: not a Parquet file, or damaged: its footer is not the one that was written"
                )
            file = pq.ParquetFile(place, memory_map=True, page_checksum_verification=True)
            metadata = file.schema_arrow.metadata or {}
        except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
            raise RecordingError(f"{shown}: not a Parquet file, or {_damaged(error)}") from error
        if _KEY not in metadata:
            raise RecordingError(
                f"{shown}: a Parquet file, but no recording; make one with `slo record` or `slo simulate`"
            )
        try:
            fields = json.loads(metadata[_KEY])
            version = fields["version"]
            if version > FORMAT_VERSION:
                raise RecordingError(f"{shown}: written by a later version (format {version}); update this package")
            header = Header(**fields)
            _check(header, file.schema_arrow)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RecordingError(f"{shown}: its header is damaged{_reported(error)}") from error
        return cls(shown, file, header)

    @cached_property
    def _names(self) -> list[str]:
        # A row group holds one metric, so its statistics name it.
        metadata = self._file.metadata
        names = []
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(0).statistics
            names.append(statistics.min if statistics is not None and statistics.min == statistics.max else "")
        return names

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """All series that match one of `selectors`, with start_ms <= time <= end_ms. Raises RecordingError."""
        by_place: dict[int, Any] = {}
        for selector in selectors:
            for group in self._groups_of(selector.name):
                for series in self._group(group).select(selector):
                    by_place.setdefault(id(series), series)
        cut = []
        parts: dict[int, tuple[int, int, Any]] = {}
        for series in by_place.values():
            if id(series.times) not in parts:
                low, high = np.searchsorted(series.times, [start_ms, end_ms + 1]).tolist()
                parts[id(series.times)] = low, high, series.times[low:high]
            # Series of one target go on holding the same array.
            low, high, times = parts[id(series.times)]
            if high > low:
                cut.append(Series(series.labels, times, series.values[low:high]))
        return Samples(cut)

    def _groups_of(self, name: str | None) -> Sequence[int]:
        """The row groups that may hold a metric; all of them for one without a name."""
        return range(len(self._names)) if name is None else self._by_name.get(name, self._nameless)

    @cached_property
    def _nameless(self) -> list[int]:
        """Groups whose statistics name none."""
        return [group for group, name in enumerate(self._names) if not name]

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        by_name: dict[str, list[int]] = {name: [] for name in self._names if name}
        for group, name in enumerate(self._names):
            for groups in by_name.values() if not name else (by_name[name],):
                groups.append(group)
        return by_name

    def all(self) -> Samples:
        """Every sample of the recording."""
        return Samples.from_series(
            (series.labels, series.times, series.values)
            for group in range(len(self._names))
            for series in self._group(group).series
        )

    def _group(self, index: int) -> Samples:
        with self._locks[index]:
            if index not in self._cache:
                self._cache[index] = self._read(index)
            return self._cache[index]

    def _read(self, index: int) -> Samples:
        import pyarrow as pa

        try:
            table = self._file.read_row_group(index)
            return self._decoded(table)
        except (pa.ArrowException, OSError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
            raise RecordingError(f"{self._name}: {_damaged(error)}") from error

    def _decoded(self, table: Any) -> Samples:
        rows = []
        whole = table.combine_chunks()
        arrays = []
        for column in ("times", "values"):
            held = whole.column(column).chunk(0)
            arrays.append((held.offsets.to_numpy(), held.values.to_numpy()))
        (t_offsets, times), (v_offsets, values) = arrays
        shared = whole.column("times_of").to_pylist() if "times_of" in whole.column_names else [None] * len(whole)
        starts: list[Any] = []
        for row, (text, of) in enumerate(zip(whole.column("labels").to_pylist(), shared, strict=True)):
            # Not a copy: series of one target hold the same array.
            starts.append(times[t_offsets[row] : t_offsets[row + 1]] if of is None else starts[of])
            labels = json.loads(text)
            if not all(type(value) is str for value in labels.values()):
                raise ValueError("a label's value is not text")
            rows.append((labels, starts[row], values[v_offsets[row] : v_offsets[row + 1]]))
        return Samples.from_series(rows)


def _damaged(error: Exception) -> str:
    """What is wrong with a file that cannot be read; a damaged one may ask for any amount of memory."""
    said = (str(error).splitlines() or [""])[0]
    return f"{'damaged, or larger than the memory' if isinstance(error, MemoryError) else 'damaged'}: {said}"


def holds_counts(path: Path) -> bool:
    """Whether a file is a Parquet table of events per step, and no recording."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = set(pq.read_schema(path).names) if parquet.whole(path) else set()
    except (OSError, pa.ArrowException, ValueError):
        return False  # opening it as a recording says what is wrong
    return {"time", "total"} <= names


def _check(header: Header, schema: Any) -> None:
    """That a recording's header and columns are what they should be. Raises ValueError, TypeError."""
    for at in (header.start_ms, header.end_ms):
        if type(at) is not int:
            raise TypeError(f"{at!r} is not a time in milliseconds")
        checked_moment(at)
    if not isinstance(header.origin, str) or not isinstance(header.truth, dict) or header.end_ms < header.start_ms:
        raise ValueError("")
    types = {"name": "string", "labels": "string", "times": "list<item: int64>", "values": "list<item: double>"}
    for name, kind in types.items():
        type_found = str(schema.field(name).type).replace("element", "item").replace(" not null", "")
        if type_found != kind:
            raise ValueError(f"column {name} is of {type_found}, not {kind}")


def _reported(error: Exception) -> str:
    text = str(error)
    return f": {text}" if text else ""
