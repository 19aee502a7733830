"""SQL over a ledger, by DuckDB (extra `duckdb`): the tables `steps` and `days`, with the columns `week` and `service`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slo.errors import ConfigError
from slo.ledger.tables import DAYS, STEPS, partitions
from slo.redact import hide_userinfo

if TYPE_CHECKING:
    import pyarrow as pa


def query(place: str | os.PathLike[str], sql: str) -> pa.Table:
    """The answer to a query. Raises ConfigError where DuckDB is missing, there is no ledger, or the query fails."""
    try:
        import duckdb
    except ImportError:
        raise ConfigError("SQL needs DuckDB; install it with `pip install 'slo[duckdb]'`") from None
    connection = duckdb.connect(config={"preserve_insertion_order": False})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (STEPS, DAYS):
            connection.register(table, _dataset(place, table))
        rows = connection.sql(sql)
        if rows is None:
            raise ConfigError("this is not a query: it gives no rows; write SELECT … FROM steps or days")
        answer: pa.Table = rows.to_arrow_table()
        return answer
    except duckdb.Error as error:
        raise ConfigError(f"DuckDB cannot run the query: {hide_userinfo(str(error))[:500]}") from None
    finally:
        connection.close()


def _dataset(place: str | os.PathLike[str], table: str) -> Any:
    """The files of a table, of which a query reads the columns and partitions that it needs."""
    import pyarrow as pa

    from slo.ledger.store import store

    text = os.fspath(place)
    if not partitions(store(place), table):
        raise ConfigError(
            f"{hide_userinfo(text)}: there is no ledger here; `slo ledger update` or `slo weekly` writes one"
        )
    try:
        return _opened(text, table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ConfigError(f"{hide_userinfo(text)}: cannot be read as a ledger: {type(error).__name__}") from None


def _opened(text: str, table: str) -> Any:
    import pyarrow as pa
    from pyarrow import dataset, fs

    filesystem, root = (
        fs.FileSystem.from_uri(text) if "://" in text else (fs.LocalFileSystem(), str(Path(text).resolve()))
    )
    keys = dataset.partitioning(pa.schema([("week", pa.string()), ("service", pa.string())]), flavor="hive")
    return dataset.dataset(f"{root.rstrip('/')}/{table}", filesystem=filesystem, format="parquet", partitioning=keys)
