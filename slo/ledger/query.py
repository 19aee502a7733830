"""SQL over a ledger, by DuckDB (extra `duckdb`): the tables `steps` and `days`, with the columns `week` and `service`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slo.errors import ConfigError
from slo.ledger.tables import DAYS, STEPS, nothing_there, partitions
from slo.source import objects
from slo.source.sql import DISK, MEMORY, message

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 512 << 20  # of an answer
_AT_ONCE = 100_000  # rows


def query(place: str | os.PathLike[str], sql: str) -> pa.Table:
    """The answer to a query, of MOST_BYTES at most. Raises ConfigError where DuckDB is missing, there is no ledger, or the query fails."""
    import pyarrow as pa

    try:
        import duckdb
    except ImportError:
        raise ConfigError("SQL needs DuckDB; install it with `pip install 'slo[duckdb]'`") from None
    scratch = tempfile.TemporaryDirectory(prefix="slo-", ignore_cleanup_errors=True)
    connection = duckdb.connect(config={"preserve_insertion_order": False})
    try:
        settings = {"memory_limit": MEMORY, "temp_directory": scratch.name, "max_temp_directory_size": DISK}
        for key, value in (("TimeZone", "UTC"), *settings.items()):
            connection.execute(f"SET {key} = ?", [value])
        for table in (STEPS, DAYS):
            connection.register(table, _dataset(place, table))
        rows = connection.sql(sql)
        if rows is None:
            raise ConfigError("this is not a query: it gives no rows; write SELECT … FROM steps or days")
        reader = (
            getattr(rows, "to_arrow_reader", None) or rows.fetch_arrow_reader
        )  # its name in newer and older versions
        return _whole(reader(_AT_ONCE))
    except (duckdb.Error, pa.ArrowException) as error:
        raise ConfigError(f"DuckDB cannot run the query: {message(error, sql)}") from None
    finally:
        connection.close()
        scratch.cleanup()


def _whole(reader: pa.RecordBatchReader) -> pa.Table:
    """All of an answer, taken a piece at a time. Raises ConfigError where it is larger than MOST_BYTES."""
    import pyarrow as pa

    batches, size = [], 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > MOST_BYTES:
            raise ConfigError(
                f"the answer is larger than {MOST_BYTES >> 20} MiB; let the query count (GROUP BY), or take some (LIMIT)"
            )
    return pa.Table.from_batches(batches, reader.schema)


def _dataset(place: str | os.PathLike[str], table: str) -> Any:
    """The files of a table, of which a query reads the columns and partitions that it needs."""
    import pyarrow as pa

    from slo.ledger.store import shown, store

    text = os.fspath(place)
    if not partitions(store(place), table):
        raise nothing_there(text)
    try:
        return _opened(text, table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigError(f"{shown(text)}: cannot be read as a ledger: {type(error).__name__}") from None


def _opened(text: str, table: str) -> Any:
    import pyarrow as pa
    from pyarrow import dataset, fs

    filesystem, root = (
        objects.opened(text, "a ledger") if "://" in text else (fs.LocalFileSystem(), str(Path(text).resolve()))
    )
    keys = dataset.partitioning(pa.schema([("week", pa.string()), ("service", pa.string())]), flavor="hive")
    return dataset.dataset(f"{root.rstrip('/')}/{table}", filesystem=filesystem, format="parquet", partitioning=keys)
