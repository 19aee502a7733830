"""Good and all events per step from a SQL query, through DuckDB (the extra `duckdb`): files, object storage, other databases."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slo.errors import ConfigError, SourceError
from slo.files import read_text
from slo.redact import hide_literals
from slo.source.config import SourceConfig
from slo.source.counted import MOST_ROWS, CountSource, chosen, of_table
from slo.source.limited import Worker

if TYPE_CHECKING:
    import pandas as pd


MEMORY = "1GiB"  # beyond it DuckDB writes to a folder that goes with the query
DISK = "8GiB"
# Where a message quotes a line of the query, which may hold a secret.
_QUOTED_LINE = re.compile(r"\s*\bLINE (\d+): .*", re.DOTALL)


def open_sql(path: str | os.PathLike[str], limits: SourceConfig | None = None) -> CountSource:
    """The rows of a file's last statement, with the columns of `CountSource.open`; statements before it may attach databases.

    Paths in it start at its own folder. Raises SourceError, and ConfigError without DuckDB.
    """
    place = Path(path)
    worker = Worker(str(place), limits or SourceConfig(), "let the query read less")

    def read() -> str:
        try:
            return read_text(place)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "is not UTF-8"
            raise SourceError(f"{place}: cannot be read: {reason}") from None

    return of_table(query(worker.run(read), str(place), place.parent, limits), str(place))


def query(
    text: str, name: str = "SQL", folder: str | os.PathLike[str] = ".", limits: SourceConfig | None = None
) -> pd.DataFrame:
    """What the last of some SQL statements gives, of the columns that events have; times without a zone are UTC.

    It takes the time of one SLO at most. Raises SourceError, ConfigError.
    """
    try:
        import duckdb
    except ImportError:
        raise ConfigError(f"{name}: SQL needs DuckDB; install it with `pip install 'slo[duckdb]'`") from None
    with tempfile.TemporaryDirectory(prefix="slo-", ignore_cleanup_errors=True) as scratch:
        connection = duckdb.connect()
        settings = {"memory_limit": MEMORY, "temp_directory": scratch, "max_temp_directory_size": DISK}

        def work() -> pd.DataFrame:
            try:
                for key, value in (("TimeZone", "UTC"), ("file_search_path", os.fspath(folder)), *settings.items()):
                    connection.execute(f"SET {key} = ?", [value])
                return _rows(connection.execute(text), name)
            except (duckdb.Error, ValueError, OverflowError) as error:
                raise SourceError(f"{name}: {message(error, text)}") from None
            finally:
                with suppress(duckdb.Error):
                    connection.close()

        limits = limits or SourceConfig()
        return Worker(name, limits, "let the query read less").run(work, connection.interrupt)


def _rows(answer: Any, name: str) -> pd.DataFrame:
    """A result as a table, taken a few thousand rows at a time. Raises SourceError."""
    import pandas as pd

    if answer is None or answer.description is None:
        raise SourceError(
            f"{name}: its last statement gives no rows; end with a SELECT of time, total and good or errors"
        )
    columns = chosen([column[0] for column in answer.description], name)
    pieces: list[pd.DataFrame] = []
    count = 0
    while True:
        piece = answer.fetch_df_chunk()
        pieces.append(piece[columns])
        count += len(piece)
        if count > MOST_ROWS:
            raise SourceError(f"{name}: gives more than {MOST_ROWS:,} rows; count events per step with GROUP BY")
        if not len(piece):
            return (
                pd.concat(pieces, ignore_index=True) if len(pieces) == 1 else pd.concat(pieces[:-1], ignore_index=True)
            )


def message(error: Exception, text: str) -> str:
    """What DuckDB says, without the line that it quotes, and without the query's passwords."""
    said = " ".join(_QUOTED_LINE.sub(r" (line \1)", str(error)).split())
    return hide_literals(said, text)[:500]
