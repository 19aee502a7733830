"""Sums of a ledger over quarters and years, from it alone.

Whole days (UTC) come from the table `days`; where an edge, as midnight in another time zone, lies within a day, that day is summed from its steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from slo.ledger.store import Store
from slo.ledger.tables import DAYS, STEP_MS, STEPS, Partition, days_of, partitions, read, week_start
from slo.window import DAY, WEEK

if TYPE_CHECKING:
    import pyarrow as pa


AT_ONCE = 4  # partitions that are read at the same time


@dataclass(frozen=True, slots=True)
class Sum:
    """An SLO's events over a time, and the budget for them.

    Attributes:
        errors: Bad events.
        total: All events.
        allowed: Bad events that the objective of each day allows; None where the ledger does not know one.
        steps: Steps of 5 minutes with events.
    """

    errors: float
    total: float
    allowed: float | None
    steps: int

    @property
    def sli(self) -> float | None:
        """The share of good events; None without events."""
        return 1 - self.errors / self.total if self.total else None

    @property
    def remaining(self) -> float | None:
        """The share of the error budget that remains; below 0 where more than it was consumed; None where it is not known."""
        return None if not self.allowed else 1 - self.errors / self.allowed


@dataclass(frozen=True, slots=True)
class SumRow:
    """An SLO over all the time, and over each part of it.

    Attributes:
        slo: Its id.
        objective: The latest objective, as a ratio.
        whole: Over all the time.
        parts: Over each part, in order.
        left_out: Days that another definition of its SLI counted, and that are not in the figures.
    """

    slo: str
    objective: Decimal | None
    whole: Sum
    parts: tuple[Sum, ...]
    left_out: int


def sums(store: Store, edges: Sequence[int]) -> list[SumRow]:
    """Each SLO's events between the first and the last of some moments, and between each two of them that follow each other.

    Only what the latest definition of its SLI counted. `edges` are ascending, multiples of 5 minutes, milliseconds UTC.
    Raises DamagedError, which names the file, ConfigError and OSError.
    """
    import pyarrow as pa

    first, last = week_start(edges[0] + 1), week_start(edges[-1])
    known = [partition for partition in partitions(store, STEPS) if first <= partition.start_ms <= last]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="slo-ledger") as pool:
        tables = [
            table for part in pool.map(lambda partition: _grouped(store, partition, edges), known) for table in part
        ]
    if not tables:
        return []
    rows = (
        pa.concat_tables(tables)
        .group_by(["slo", "sli", "objective", "part"], use_threads=False)
        .aggregate([("errors", "sum"), ("total", "sum"), ("steps", "sum"), ("days", "sum"), ("last", "max")])
    )
    by_slo: dict[str, list[dict[str, object]]] = {}
    for row in rows.to_pylist():
        by_slo.setdefault(row["slo"], []).append(row)
    return [_row(slo, by_slo[slo], len(edges) - 1) for slo in sorted(by_slo)]


def _tables(store: Store, partition: Partition, edges: Sequence[int]) -> Iterator[pa.Table]:
    """Rows by day of a partition, with the part in which each lies."""
    import pyarrow as pa
    import pyarrow.compute as pc

    split = [edge // DAY for edge in edges if edge % DAY]
    days = _days(store, partition)
    number = days.column("day").cast(pa.int32()).to_numpy().astype(np.int64)
    part = np.searchsorted(edges, number * DAY, side="right") - 1
    inside = (part >= 0) & (part < len(edges) - 1) & ~np.isin(number, split)
    yield _with_part(days, part).filter(pa.array(inside))
    own = [day for day in split if partition.start_ms <= day * DAY < partition.start_ms + WEEK]
    if own:
        steps = read(store, partition, STEPS)
        ends = steps.column("end").cast(pa.int64()).to_numpy()
        part = np.searchsorted(edges, ends - STEP_MS, side="right") - 1
        inside = np.isin((ends - 1) // DAY, own) & (part >= 0) & (part < len(edges) - 1)
        for index in np.unique(part[inside]).tolist():
            chosen = days_of(steps.filter(pc.and_(pa.array(inside), pa.array(part == index))))
            yield _with_part(chosen, np.full(chosen.num_rows, index))


def _days(store: Store, partition: Partition) -> pa.Table:
    """The sums of a partition by day; of its steps, where they are missing, as a run that was stopped leaves it."""
    try:
        return read(store, partition, DAYS)
    except FileNotFoundError:
        return days_of(read(store, partition, STEPS))


def _with_part(days: pa.Table, part: np.ndarray) -> pa.Table:
    import pyarrow as pa

    return days.append_column("part", pa.array(part.astype(np.int32)))


def _grouped(store: Store, partition: Partition, edges: Sequence[int]) -> list[pa.Table]:
    """Sums of a partition by SLO, definition, objective and part; `last` is the last day."""
    keys = ["slo", "sli", "objective", "part"]
    wanted = [("errors", "sum"), ("total", "sum"), ("steps", "sum"), ("day", "count"), ("day", "max")]
    names = {"errors_sum": "errors", "total_sum": "total", "steps_sum": "steps", "day_count": "days", "day_max": "last"}
    grouped = [table.group_by(keys, use_threads=False).aggregate(wanted) for table in _tables(store, partition, edges)]
    return [table.rename_columns([names.get(name, name) for name in table.column_names]) for table in grouped]


def _row(slo: str, rows: list[dict[str, object]], parts: int) -> SumRow:
    latest = max(rows, key=lambda row: (row["last_max"], str(row["objective"])))
    # One without a fingerprint is of an earlier version of the ledger, which is believed.
    own = [row for row in rows if row["sli"] in ("", latest["sli"])]
    left_out = sum(int(str(row["days_sum"])) for row in rows) - sum(int(str(row["days_sum"])) for row in own)
    each = tuple(_sum([row for row in own if row["part"] == index]) for index in range(parts))
    objective = latest["objective"]
    return SumRow(slo, objective if isinstance(objective, Decimal) else None, _sum(own), each, left_out)


def _sum(rows: list[dict[str, object]]) -> Sum:
    errors = sum(float(str(row["errors_sum"])) for row in rows)
    total = sum(float(str(row["total_sum"])) for row in rows)
    allowed: Decimal | None = Decimal(0)
    for row in rows:
        objective = row["objective"]
        if not isinstance(objective, Decimal):
            allowed = None
            break
        assert allowed is not None
        allowed += (1 - objective) * Decimal(str(row["total_sum"]))
    return Sum(
        errors, total, None if allowed is None else float(allowed), sum(int(str(row["steps_sum"])) for row in rows)
    )
