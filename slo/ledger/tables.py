"""The two tables of a ledger, and one partition of them as a file: its schema, its checksums, its name.

`steps` has a row for each step of 5 minutes in which an SLO had events, `days` their sums by UTC day. Both are partitioned by ISO week
(UTC) and service, as `steps/week=2026-W38/service=shop/events.parquet`: the form that DuckDB, pandas and Spark read as columns.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np

from slo.errors import ConfigError
from slo.ledger.store import Store, shown
from slo.source import parquet
from slo.window import DAY, WEEK, moment

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
STEP_MS = 300_000
STEPS, DAYS = "steps", "days"
FILE = "events.parquet"
KEY = b"slo.ledger"
SCALE = 18  # digits of an objective behind the point, as a ratio
_MONDAY_MS = 4 * DAY  # 1970-01-05
FIX = "move it away and write its week anew, while the source still has it: `slo ledger update --start …`"


class DamagedError(ConfigError):
    """A partition that is not what was written."""


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One week of one service: step ends in (start_ms, start_ms + a week], milliseconds UTC."""

    start_ms: int
    service: str

    @property
    def week(self) -> str:
        return week_name(self.start_ms)

    def path(self, table: str) -> str:
        """The file of a table."""
        return f"{table}/week={self.week}/{_folder(self.service)}/{FILE}"

    @classmethod
    def of_path(cls, path: str) -> Partition | None:
        """The partition of a file's path; None where it is none of ours."""
        parts = path.split("/")
        if len(parts) != 4 or not parts[1].startswith("week=") or not parts[2].startswith("service="):
            return None
        try:
            year, week = parts[1].removeprefix("week=").split("-W")
            start = date.fromisocalendar(int(year), int(week), 1)
        except ValueError:
            return None
        at = datetime(start.year, start.month, start.day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return cls(at // timedelta(milliseconds=1), unquote(parts[2].removeprefix("service=")))


def _folder(service: str) -> str:
    return f"service={quote(service, safe='')}"


def week_start(end_ms: int) -> int:
    """When the week begins that a step ending at `end_ms` lies in; one that ends at Monday's midnight is of the week before."""
    return (end_ms - 1 - _MONDAY_MS) // WEEK * WEEK + _MONDAY_MS


def week_name(start_ms: int) -> str:
    """`2026-W38` of a week's beginning."""
    year, week, _ = moment(start_ms).isocalendar()
    return f"{year}-W{week:02d}"


def service_of(slo: str) -> str:
    """The service of an SLO's id."""
    return slo.partition("/")[0]


def schema(table: str) -> pa.Schema:
    """The columns of a table's files; `week` and `service` are in their paths."""
    import pyarrow as pa
    from pyarrow import timestamp as instant

    own = {
        STEPS: [pa.field("end", instant("ms", "UTC"), nullable=False)],
        DAYS: [pa.field("day", pa.date32(), nullable=False)],
    }[table]
    count = [pa.field("steps", pa.int32(), nullable=False)] if table == DAYS else []
    return pa.schema(
        [
            pa.field("slo", pa.string(), nullable=False),
            *own,
            pa.field("errors", pa.float64(), nullable=False),
            pa.field("total", pa.float64(), nullable=False),
            *count,
            pa.field("sli", pa.string(), nullable=False),
            pa.field("objective", pa.decimal128(SCALE + 2, SCALE)),
        ]
    )


def ratio(objective: Decimal | None) -> Decimal | None:
    """An objective as the column has it."""
    return None if objective is None else objective.quantize(Decimal(1).scaleb(-SCALE))


def days_of(steps: pa.Table) -> pa.Table:
    """The sums by day of a partition's steps: a step counts on the day in which it lies, to its end inclusive."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not steps.num_rows:
        return schema(DAYS).empty_table()
    ends = steps.column("end").cast(pa.int64()).to_numpy()
    day = pa.array(((ends - 1) // DAY).astype(np.int32), pa.int32()).cast(pa.date32())
    keyed = steps.append_column("day", day).append_column("one", pa.array(np.ones(len(ends), np.int32)))
    sums = keyed.group_by(["slo", "day", "sli", "objective"], use_threads=False).aggregate(
        [("errors", "sum"), ("total", "sum"), ("one", "sum")]
    )
    columns = {
        "slo": sums.column("slo"), "day": sums.column("day"), "errors": sums.column("errors_sum"), "total": sums.column("total_sum"),
        "steps": pc.cast(sums.column("one_sum"), pa.int32()), "sli": sums.column("sli"), "objective": sums.column("objective"),
    }  # fmt: skip
    ordered = pa.table(columns).sort_by([("slo", "ascending"), ("day", "ascending"), ("sli", "ascending")])
    return ordered.cast(schema(DAYS))


def write(store: Store, partition: Partition, table: str, rows: pa.Table) -> None:
    """Writes a partition of a table, whole or not at all; the same rows give the same bytes. Raises OSError."""
    import pyarrow.parquet as pq

    head = {
        "version": VERSION,
        "table": table,
        "week": partition.week,
        "service": partition.service,
        "rows": rows.num_rows,
    }
    rows = rows.replace_schema_metadata({KEY: json.dumps(head, sort_keys=True).encode()})
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd", write_page_checksum=True)
    store.write(partition.path(table), parquet.sealed(buffer.getvalue()))


def read(store: Store, partition: Partition, table: str, columns: list[str] | None = None) -> pa.Table:
    """The rows of a partition, its checksums verified. Raises DamagedError, which names the file, and OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = partition.path(table)
    name = store.name(path)
    content = store.read(path)
    if not parquet.is_sealed(content):
        raise DamagedError(f"{name}: is damaged, or not a ledger's file; {FIX}")
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        head: Any = json.loads((file.schema_arrow.metadata or {})[KEY])
        version = head["version"]
        if isinstance(version, int) and version > VERSION:
            raise ConfigError(
                f"{name}: is of ledger version {version}, and this package reads {VERSION}; update the package"
            )
        if (version, head["table"], head["week"], head["service"]) != (
            VERSION,
            table,
            partition.week,
            partition.service,
        ):
            raise DamagedError(f"{name}: is the file of another partition; {FIX}")
        rows = file.read(columns, use_threads=False)
        if rows.num_rows != head["rows"]:
            raise ValueError
        return rows.replace_schema_metadata(None)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise DamagedError(f"{name}: is damaged ({type(error).__name__}); {FIX}") from None


def nothing_there(place: str | os.PathLike[str]) -> ConfigError:
    """The error of a place without a ledger, to be raised."""
    return ConfigError(f"{shown(place)}: there is no ledger here; `slo ledger update` or `slo weekly` writes one")


def partitions(store: Store, table: str = STEPS) -> list[Partition]:
    """All partitions that there are, by week and service. Raises OSError."""
    return sorted(filter(None, map(Partition.of_path, store.paths(table, FILE))))


def partitions_of(store: Store, service: str) -> list[Partition]:
    """Those of one service, by week, without a look at the files of all others. Raises OSError."""
    weeks = store.folders(STEPS)
    paths = (f"{STEPS}/{week}/{_folder(service)}/{FILE}" for week in weeks)
    return sorted(filter(None, map(Partition.of_path, store.present(list(paths)))))
