"""Reading and writing a ledger, an SLO at a time."""

from __future__ import annotations

import os
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slo.ledger import migrate
from slo.ledger.entry import Entry
from slo.ledger.store import store
from slo.ledger.tables import (
    DAYS,
    STEPS,
    Partition,
    days_of,
    nothing_there,
    partitions,
    partitions_of,
    ratio,
    read,
    schema,
    service_of,
    week_start,
    write,
)

if TYPE_CHECKING:
    import pyarrow as pa

_CACHED = 64  # partitions: those of a service over a year, so that SLO by SLO each is read once


class Ledger:
    """The ledger at a path or an address. What an earlier version wrote there is taken over when it is first opened.

    Raises ConfigError (DamagedError, which names the file) and OSError, in all that it does.
    """

    def __init__(self, place: str | os.PathLike[str]) -> None:
        self.place, self.store = place, store(place)
        self._rows: dict[Partition, dict[str, list[Entry]]] = {}
        self._known: list[Partition] | None = None
        self._by_service: dict[str, list[Partition]] = {}
        # SLOs of which something was left out, with the weeks.
        self.changed: dict[str, dict[str, None]] = {}
        self.migrated = migrate.migrate(place, self.write)

    def write(self, entries: Mapping[str, Entry]) -> None:
        """Adds SLOs' events. A step that is there already is counted anew; what the entries do not have stays."""
        by_partition: dict[Partition, dict[str, Entry]] = {}
        for name, entry in entries.items():
            for start_ms, own in _by_week(entry):
                by_partition.setdefault(Partition(start_ms, service_of(name)), {})[name] = own
        for partition, new in sorted(by_partition.items()):
            there = self._there(partition)
            rows = _table({**there, **{name: _merged(there.get(name, []), entry) for name, entry in new.items()}})
            # The sums last: where they are missing or old, the next writing of the week makes them anew.
            write(self.store, partition, STEPS, rows)
            write(self.store, partition, DAYS, days_of(rows))
            self._rows.pop(partition, None)
            # All that there is takes long to list, and a run writes a partition of each service.
            if self._known is not None and partition not in self._by_service.get(partition.service, ()):
                insort(self._known, partition)
                insort(self._by_service.setdefault(partition.service, []), partition)

    def entry(self, slo: str, start_ms: int, end_ms: int, sli: str = "") -> Entry:
        """An SLO's steps that end in (start_ms, end_ms].

        With `sli`, its definition's fingerprint, those that another definition counted are left out, and named in `changed`.
        """
        parts = []
        for partition in self._within(start_ms, end_ms, service_of(slo)):
            for part in self._partition(partition).get(slo, []):
                inside = (part.ends > start_ms) & (part.ends <= end_ms)
                if sli and part.sli and part.sli != sli:
                    if inside.any():
                        self.changed.setdefault(slo, {})[partition.week] = None
                    continue
                parts.append((part.ends[inside], part.errors[inside], part.total[inside]))
        if not parts:
            return Entry(np.empty(0, np.int64), np.empty(0), np.empty(0), sli)
        ends, errors, total = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(ends, kind="stable")
        return Entry(ends[order], errors[order], total[order], sli)

    def counted(self, start_ms: int, end_ms: int) -> dict[str, dict[str, str]]:
        """By week: the SLOs of which there are steps that end in (start_ms, end_ms], each with its SLI's fingerprint ("" where
        none was kept)."""
        by_week: dict[str, dict[str, str]] = {}
        for partition in self._within(start_ms, end_ms):
            for name, parts in self._partition(partition).items():
                inside = [part for part in parts if ((part.ends > start_ms) & (part.ends <= end_ms)).any()]
                if inside:
                    by_week.setdefault(partition.week, {})[name] = inside[-1].sli
        return by_week

    def last_end(self, service: str) -> int | None:
        """Where the last step of a service ends, milliseconds UTC; None where it has none."""
        own = partitions_of(self.store, service) if self._known is None else self._by_service.get(service, [])
        ends = [int(part.ends[-1]) for parts in (self._partition(own[-1]).values() if own else ()) for part in parts]
        return max(ends, default=None)

    def check(self) -> Iterator[str]:
        """What is wrong with it: partitions that are damaged, days that are not the sums of their steps, and steps without days.

        Raises ConfigError where there is no ledger: one that was looked for in the wrong place is not whole.
        """
        steps, days = set(self._partitions()), set(partitions(self.store, DAYS))
        if not steps | days:
            raise nothing_there(self.place)
        for partition in sorted(steps | days):
            if partition not in steps:
                yield f"{self.store.name(partition.path(DAYS))}: has no steps alongside it"
                continue
            try:
                rows = read(self.store, partition, STEPS)
                sums = read(self.store, partition, DAYS) if partition in days else None
            except Exception as error:  # noqa: BLE001 - each is said, and the others are looked at too
                yield str(error)
                continue
            if sums is None or not sums.equals(days_of(rows)):
                yield f"{self.store.name(partition.path(DAYS))}: is not the sum of its steps; write its week anew"

    def _within(self, start_ms: int, end_ms: int, service: str | None = None) -> list[Partition]:
        """The partitions with steps that end in (start_ms, end_ms], of a service or of all, by week."""
        first, last = week_start(start_ms + 1), week_start(end_ms)
        self._partitions()
        chosen = self._by_service.values() if service is None else [self._by_service.get(service, [])]
        return sorted(partition for own in chosen for partition in own if first <= partition.start_ms <= last)

    def _partitions(self) -> list[Partition]:
        if self._known is None:
            self._known = partitions(self.store)
            self._by_service = {}
            for partition in self._known:
                self._by_service.setdefault(partition.service, []).append(partition)
        return self._known

    def _there(self, partition: Partition) -> dict[str, list[Entry]]:
        """The rows of a partition; none where it is not there."""
        try:
            return self._partition(partition)
        except FileNotFoundError:
            return {}

    def _partition(self, partition: Partition) -> dict[str, list[Entry]]:
        rows = self._rows.get(partition)
        if rows is None:
            rows = _entries(read(self.store, partition, STEPS))
            while len(self._rows) >= _CACHED:
                del self._rows[next(iter(self._rows))]
            self._rows[partition] = rows
        return rows


def _by_week(entry: Entry) -> Iterator[tuple[int, Entry]]:
    starts = np.array([week_start(int(end)) for end in entry.ends], np.int64) if len(entry.ends) else entry.ends
    for start_ms in np.unique(starts).tolist():
        own = starts == start_ms
        yield start_ms, Entry(entry.ends[own], entry.errors[own], entry.total[own], entry.sli, entry.objective)


def _merged(there: Iterable[Entry], new: Entry) -> list[Entry]:
    """What was there without the steps that are counted anew, and these; parts of one definition are one part."""
    parts = [new]
    for part in there:
        kept = ~np.isin(part.ends, new.ends)
        if not kept.any():
            continue
        old = Entry(part.ends[kept], part.errors[kept], part.total[kept], part.sli, part.objective)
        if (part.sli, ratio(part.objective)) == (new.sli, ratio(new.objective)):
            parts[0] = _joined(old, parts[0])
        else:
            parts.append(old)
    return sorted(parts, key=lambda part: int(part.ends[0]))


def _joined(part: Entry, other: Entry) -> Entry:
    ends = np.concatenate([part.ends, other.ends])
    order = np.argsort(ends, kind="stable")
    errors, total = np.concatenate([part.errors, other.errors]), np.concatenate([part.total, other.total])
    return Entry(ends[order], errors[order], total[order], other.sli, other.objective)


def _table(rows: Mapping[str, list[Entry]]) -> pa.Table:
    """Sorted by SLO and step."""
    import pyarrow as pa

    parts = [(name, part) for name in sorted(rows) for part in rows[name] if len(part.ends)]
    lengths = [len(part.ends) for _, part in parts]

    def repeated(values: list[object], kind: pa.DataType) -> pa.Array:
        index = pa.array(np.repeat(np.arange(len(values)), lengths))
        return pa.array(values, kind).take(index)

    def joined(name: str, empty: type) -> NDArray[np.generic]:
        return np.concatenate([getattr(part, name) for _, part in parts] or [np.empty(0, empty)])

    fields = schema(STEPS)
    columns = {
        "slo": repeated([name for name, _ in parts], pa.string()),
        "end": pa.array(joined("ends", np.int64), pa.int64()).cast(schema(STEPS).field("end").type),
        "errors": pa.array(joined("errors", float), pa.float64()),
        "total": pa.array(joined("total", float), pa.float64()),
        "sli": repeated([part.sli for _, part in parts], pa.string()),
        "objective": repeated([ratio(part.objective) for _, part in parts], fields.field("objective").type),
    }
    return pa.table(columns).sort_by([("slo", "ascending"), ("end", "ascending")]).cast(fields)


def _entries(rows: pa.Table) -> dict[str, list[Entry]]:
    """The parts of each SLO: one for each definition and objective."""
    import pyarrow as pa

    if not rows.num_rows:
        return {}
    keys = [rows.column(name).combine_chunks().dictionary_encode() for name in ("slo", "sli", "objective")]
    codes = np.stack([key.indices.fill_null(-1).to_numpy(zero_copy_only=False) for key in keys])
    ends = rows.column("end").cast(pa.int64()).to_numpy()
    errors, total = rows.column("errors").to_numpy(), rows.column("total").to_numpy()
    # Rows of an SLO follow each other; of several definitions within a week they may be mixed.
    order = np.lexsort((ends, codes[2], codes[1], codes[0]))
    codes, ends, errors, total = codes[:, order], ends[order], errors[order], total[order]
    edges = np.flatnonzero((np.diff(codes, axis=1) != 0).any(axis=0)) + 1
    parts: dict[str, list[Entry]] = {}
    for low, high in zip([0, *edges.tolist()], [*edges.tolist(), len(ends)], strict=True):
        slo, sli, objective = (
            key.dictionary[int(code)].as_py() if code >= 0 else None
            for key, code in zip(keys, codes[:, low], strict=True)
        )
        part = Entry(ends[low:high], errors[low:high], total[low:high], str(sli), objective)
        parts.setdefault(str(slo), []).append(part)
    return parts
