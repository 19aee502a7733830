"""Good and all events per step from a SQL query, through DuckDB (the extra `duckdb`): files, object storage, other databases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from slo.errors import ConfigError, SourceError
from slo.files import read_text
from slo.source.counted import CountSource, of_table

if TYPE_CHECKING:
    import pandas as pd


def open_sql(path: str | os.PathLike[str]) -> CountSource:
    """The rows of a file's last statement, with the columns of `CountSource.open`; statements before it may attach databases.

    Paths in it start at its own folder. Raises SourceError, and ConfigError without DuckDB.
    """
    place = Path(path)
    try:
        text = read_text(place)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise SourceError(f"{place}: cannot be read: {reason}") from None
    return of_table(query(text, str(place), place.parent), str(place))


def query(text: str, name: str = "SQL", folder: str | os.PathLike[str] = ".") -> pd.DataFrame:
    """What the last of some SQL statements gives; times without a zone are UTC. Raises SourceError, ConfigError."""
    try:
        import duckdb
    except ImportError:
        raise ConfigError(f"{name}: SQL needs DuckDB; install it with `pip install 'slo[duckdb]'`") from None
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET file_search_path = ?", [os.fspath(folder)])
        answer = connection.execute(text)
        if answer is None or answer.description is None:
            raise SourceError(
                f"{name}: its last statement gives no rows; end with a SELECT of time, total and good or errors"
            )
        table: pd.DataFrame = answer.df()
        return table
    except duckdb.Error as error:
        raise SourceError(f"{name}: {' '.join(str(error).split())[:500]}") from None
    finally:
        connection.close()
