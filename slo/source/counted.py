"""Good and all events per step as a source: a DataFrame, a CSV or a Parquet file. Nothing of it is PromQL."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

import numpy as np

from slo.errors import DurationError, SourceError
from slo.sli.base import Measured, Note
from slo.sli.counts import CountingStats, Counts, Floats, Gap, Grid, Ints
from slo.source import parquet
from slo.suggest import suggest
from slo.window import EARLIEST_MS, LATEST_MS, MINUTE, checked_moment, format_duration, parse_moment

if TYPE_CHECKING:
    import pandas as pd

    from slo.promql.samples import Samples
    from slo.source.base import Matrix
    from slo.spec.model import Slo


COLUMNS = ("time", "total", "good", "errors", "slo")  # of a file or a query
MOST_ROWS = 10_000_000  # of a table, which takes a gigabyte then
_LONGEST_LINE = 1 << 20  # bytes of a CSV's first line: a million columns are none of ours
_AT_ONCE = 100_000  # rows
# Up to here rows are as fine as the shortest burn rate that is shown.
_FINE_MS = 5 * MINUTE


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows in the order of time: where each begins and ends (int64 ms), its bad and all events (float64)."""

    begins: Ints
    ends: Ints
    errors: Floats
    total: Floats

    def between(self, values: Floats, edges: Ints) -> Floats:
        """What fell between consecutive edges; within a row events are spread evenly."""
        times = np.column_stack([self.begins, self.ends]).ravel()
        sums = np.cumsum(values)
        reached = np.column_stack([np.concatenate([[0.0], sums[:-1]]), sums]).ravel()
        return np.diff(np.interp(edges, times, reached))


class CountSource:
    """Events per step by SLO. It answers no PromQL: an SLO's own SLI is not asked, and there is no breakdown by series."""

    def __init__(self, name: str, rows: Mapping[str | None, _Rows], step_ms: int) -> None:
        self._name, self._rows, self._step_ms = name, rows, step_ms
        self._only: str | None = None

    @classmethod
    def of_frame(
        cls,
        frame: pd.DataFrame,
        *,
        time: str = "time",
        total: str = "total",
        good: str | None = None,
        errors: str | None = None,
        slo: str | None = None,
        step: str | int | None = None,
        name: str = "events",
    ) -> CountSource:
        """The events of a table; see `slo.from_events`. Raises SourceError."""
        import pandas as pd

        for column in filter(None, (time, total, good, errors, slo)):
            if column not in frame.columns:
                raise SourceError(f"{name}: no column {column!r}{suggest(column, map(str, frame.columns))}")
        if (good is None) == (errors is None):
            raise SourceError(f"{name}: give exactly one of `good` and `errors`, the column of good or of bad events")
        if not len(frame):
            raise SourceError(f"{name}: has no rows")
        part = str(good or errors)
        table = pd.DataFrame({
            "slo": frame[slo].astype(str) if slo else "", "time": _milliseconds(frame[time], name),
            "total": _numbers(frame[total], name), "part": _numbers(frame[part], name),
        })  # fmt: skip
        table["errors"] = table["total"] - table["part"] if good is not None else table["part"]
        table = table.groupby(["slo", "time"], sort=True)[["errors", "total"]].sum().reset_index()
        step_ms = _step(table["time"].to_numpy(), step, name)
        rows: dict[str | None, _Rows] = {}
        for key, own in table.groupby("slo"):
            begins = own["time"].to_numpy(np.int64)
            ends = begins + step_ms
            if len(begins) > 1 and (np.diff(begins) < step_ms).any():
                raise SourceError(f"{name}: rows are closer than the step of {format_duration(step_ms)}; give `step`")
            rows[str(key) if slo else None] = _Rows(
                begins, ends, own["errors"].to_numpy(np.float64), own["total"].to_numpy(np.float64)
            )
        return cls(name, rows, step_ms)

    @classmethod
    def open(cls, path: str | os.PathLike[str], most_bytes: int = 1 << 30) -> CountSource:
        """A CSV or Parquet file with the columns `time`, `total`, one of `good` and `errors`, and maybe `slo`.

        Raises SourceError, also where the file, unpacked, has more than `most_bytes`.
        """
        file = Path(path)
        is_csv = file.suffix.lower() == ".csv"
        try:
            if not is_csv and not parquet.whole(file):
                raise SourceError(f"{file}: not a Parquet file, or damaged")
            frame = _read_csv(file, most_bytes) if is_csv else _read_parquet(file, most_bytes)
        except OSError as error:
            raise SourceError(f"{file}: cannot be read: {error.strerror or error}") from None
        except ValueError as error:  # pandas's and pyarrow's own for what is not such a file
            raise SourceError(f"{file}: is not a table: {' '.join(str(error).split())[:300]}") from None
        return of_table(frame, str(file))

    @property
    def name(self) -> str:
        """The file, or what it was called."""
        return self._name

    @property
    def local(self) -> bool:
        """True: nothing is asked of a server."""
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """None."""
        return ()

    def latest_ms(self) -> int:
        """The end of the last row."""
        return max(int(rows.ends[-1]) for rows in self._rows.values())

    def has(self, slo: Slo) -> bool:
        """Whether there are events of an SLO."""
        return None in self._rows or slo.id in self._rows

    def measured(self, slo: Slo, grid: Grid) -> Measured:
        """The events of an SLO per step of a grid. Raises SourceError."""
        if None in self._rows:
            # A table without names is of one SLO; taking it for several would give all the same figures.
            if self._only not in (None, slo.id):
                raise SourceError(
                    f"{self._name}: has no column of SLOs, so it is the events of one; add a column `slo` with {self._only} and "
                    f"{slo.id}, or choose one with --slo"
                )
            self._only = slo.id
        rows = self._rows.get(None) or self._rows.get(slo.id)
        edges = np.concatenate([[grid.start_ms], grid.ends])
        if rows is None or rows.ends[-1] <= grid.start_ms or rows.begins[0] >= grid.end_ms:
            nothing = np.zeros(grid.steps)
            seen = CountingStats(gaps=(Gap(grid.start_ms, grid.end_ms),))
            return Measured(Counts(grid, nothing, nothing, seen, ()), has_data=False)
        errors, total = rows.between(rows.errors, edges), rows.between(rows.total, edges)
        seen = CountingStats(series=1, gaps=_gaps(rows, grid))
        notes: tuple[Note, ...] = ()
        if self._step_ms > _FINE_MS:
            length = format_duration(self._step_ms)
            notes = (Note("coarse", f"events are known per {length}: burn rates over less show the mean of {length}"),)
        return Measured(Counts(grid, errors, total, seen, ()), notes=notes)

    def samples(self, selectors: Sequence[Any], start_ms: int, end_ms: int) -> Samples:
        """There are none. Raises SourceError."""
        self._no_promql()

    def query_range(self, expr: Any, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """It answers none. Raises SourceError."""
        self._no_promql()

    def query(self, expr: Any, at_ms: int) -> Matrix:
        """It answers none. Raises SourceError."""
        self._no_promql()

    def _no_promql(self) -> NoReturn:
        raise SourceError(f"{self._name}: holds numbers of events, no series; use a server or a recording for this")


def of_table(frame: pd.DataFrame, name: str) -> CountSource:
    """The events of a table with the columns `time`, `total`, one of `good` and `errors`, and maybe `slo`. Raises SourceError."""
    there = set(map(str, frame.columns))
    good = "good" if "good" in there else None
    errors = "errors" if "errors" in there and good is None else None
    if good is None and errors is None:
        raise SourceError(f"{name}: needs a column `good` or `errors` alongside `time` and `total`")
    return CountSource.of_frame(frame, good=good, errors=errors, slo="slo" if "slo" in there else None, name=name)


def chosen(names: Sequence[str], name: str) -> list[str]:
    """Those of a table's columns that events have, each once. Raises SourceError where some are missing."""
    import pandas as pd

    if not {"time", "total"} <= set(names) or not {"good", "errors"} & set(names):
        of_table(pd.DataFrame(columns=list(dict.fromkeys(names))), name)
    return [column for column in dict.fromkeys(names) if column in COLUMNS]


class _Bounded(io.RawIOBase):
    """A file that is read up to so many bytes: a device has no end. Raises SourceError beyond."""

    def __init__(self, file: BinaryIO, name: str, most: int) -> None:
        self._file, self._name, self._most, self._read = file, name, most, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._read += count
        if self._read > self._most:
            raise _too_large(self._name, self._most)
        return int(count)


def _too_large(name: str, most: int) -> SourceError:
    return SourceError(
        f"{name}: is larger than {most / (1 << 20):,.0f} MiB; leave out what is older, or raise SLO_MAX_RESPONSE"
    )


def _too_many(name: str) -> SourceError:
    return SourceError(f"{name}: has more than {MOST_ROWS:,} rows; count events per step, and leave out what is older")


def _read_csv(file: Path, most_bytes: int) -> pd.DataFrame:
    """The columns that events have, a piece at a time. Raises OSError, ValueError, SourceError."""
    import pandas as pd

    pieces: list[pd.DataFrame] = []
    count = 0
    with file.open("rb", buffering=0) as raw:
        buffered = io.BufferedReader(_Bounded(raw, str(file), most_bytes), _LONGEST_LINE)
        if len(head := buffered.peek(_LONGEST_LINE)) >= _LONGEST_LINE and b"\n" not in head and b"\r" not in head:
            raise SourceError(f"{file}: is not a table: its first line has no end")
        names: list[str] = []

        def is_ours(column: str) -> bool:
            names.append(str(column))
            return column in COLUMNS

        with pd.read_csv(buffered, usecols=is_ours, chunksize=_AT_ONCE) as reader:
            chosen(names, str(file))
            for piece in reader:
                pieces.append(piece)
                count += len(piece)
                if count > MOST_ROWS:
                    raise _too_many(str(file))
    return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame()


def _read_parquet(file: Path, most_bytes: int) -> pd.DataFrame:
    """The same of a Parquet file. Raises OSError, ValueError, SourceError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = pq.ParquetFile(file)
    if content.metadata.num_rows > MOST_ROWS:
        raise _too_many(str(file))
    columns = chosen(content.schema_arrow.names, str(file))
    pieces, size = [], 0
    for batch in content.iter_batches(batch_size=_AT_ONCE // 10, columns=columns):
        pieces.append(batch)
        size += batch.nbytes
        if size > most_bytes:
            raise _too_large(str(file), most_bytes)
    table = pa.Table.from_batches(pieces, pa.schema([content.schema_arrow.field(name) for name in columns]))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _gaps(rows: _Rows, grid: Grid) -> tuple[Gap, ...]:
    """Where there are no rows within a grid."""
    begins = np.concatenate([[grid.start_ms], rows.ends])
    ends = np.concatenate([rows.begins, [grid.end_ms]])
    spans = zip(begins.tolist(), ends.tolist(), strict=True)
    inside = ((max(low, grid.start_ms), min(high, grid.end_ms)) for low, high in spans)
    return tuple(Gap(low, high) for low, high in inside if low < high)


def _milliseconds(column: pd.Series, name: str) -> pd.Series:
    """Milliseconds UTC of datetimes (without a zone UTC), text, or Unix seconds."""
    import pandas as pd

    try:
        if pd.api.types.is_numeric_dtype(column):
            times = pd.to_datetime(column, unit="s", utc=True)
        else:
            # Left to itself, pandas takes `01/02/2026`, `10:00` and `soon` apart as best it can.
            if column.dtype == object:  # numbers among texts are no times
                column = column.map(lambda at: str(at) if isinstance(at, int | float) and at == at else at)
            times = pd.to_datetime(column, utc=True, format="ISO8601")
    except (ValueError, TypeError, OverflowError) as error:
        raise SourceError(f"{name}: {column.name!r} has something that is not a time: {error}") from None
    if times.isna().any():
        raise SourceError(f"{name}: row {int(np.argmax(times.isna()))} has no time")
    series = times.dt.as_unit("ms").astype("int64")
    for row in (int(np.argmin(series)), int(np.argmax(series))):
        try:
            if not EARLIEST_MS <= series.iloc[row] <= LATEST_MS:
                parse_moment(str(column.iloc[row]))  # says which unit it looks like
                checked_moment(int(series.iloc[row]))
        except DurationError as error:
            raise SourceError(f"{name}: {column.name!r} in row {row}: {error}") from None
    return series


def _numbers(column: pd.Series, name: str) -> pd.Series:
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers) | (numbers < 0)
    if wrong.any():
        row = int(np.argmax(wrong))
        value = column.iloc[row]
        shown = repr(value) if isinstance(value, str) else str(value)
        raise SourceError(f"{name}: {column.name!r} in row {row} is {shown}; numbers of events are 0 or more")
    return numbers


def _step(times: Ints, step: str | int | None, name: str) -> int:
    """How long a row is, milliseconds: as given, or the shortest distance of two."""
    from slo.window import parse_duration

    if step is not None:
        return parse_duration(step) if isinstance(step, str) else step
    distances = np.diff(np.unique(times))
    if not len(distances):
        raise SourceError(f"{name}: has rows of one time only, so their length is unknown; give `step`, such as 5m")
    shortest = int(distances.min())
    if shortest < MINUTE / 60:
        raise SourceError(f"{name}: rows are {shortest} ms apart; give `step`, such as 1m")
    return shortest
