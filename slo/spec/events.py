"""What people know of a time: incidents, deployments, planned maintenance; from a YAML or CSV file."""

from __future__ import annotations

import csv
import fnmatch
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from slo.errors import DefinitionError, Problem
from slo.spec import yaml as strict_yaml
from slo.spec.single import read_text
from slo.suggest import suggest
from slo.window import parse_moment

Kind = Literal["incident", "deployment", "maintenance"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_KEYS = ("start", "end", "name", "slo", "kind")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that somebody reported: an incident, a deployment, maintenance.

    Attributes:
        start_ms: Its start, milliseconds UTC.
        end_ms: Its end, milliseconds UTC; of a deployment it may be its start.
        name: What it is called.
        slo: The id of the SLOs that it is about, with `*` for any text.
        kind: `incident`, `deployment` or `maintenance`.
    """

    start_ms: int
    end_ms: int
    name: str = "incident"
    slo: str = "*"
    kind: Kind = "incident"

    def is_of(self, slo: str) -> bool:
        """Whether it is about an SLO, by its id."""
        return fnmatch.fnmatchcase(slo, self.slo)


def read_events(path: str | os.PathLike[str]) -> tuple[Event, ...]:
    """The events of a file: YAML (a list, or `events:` or `incidents:` with one) or CSV with a header.

    Each has `start` and `end` (2026-11-01T10:00:00Z or Unix seconds; without a time zone UTC), and may have `name`, `slo`
    and `kind` (incident if not given; a deployment needs no end). Raises DefinitionError with every fault.
    """
    file = str(path)
    text = read_text(path)
    problems: list[Problem] = []
    rows = _csv_rows(text, file, problems) if Path(path).suffix == ".csv" else _yaml_rows(text, file, problems)
    events = []
    for line, row in rows:
        try:
            events.append(_event(row))
        except ValueError as error:
            problems.append(Problem(file, line, 1, "", str(error)))
    if not events and not problems:
        problems.append(Problem(file, 0, 0, "", "holds no event; each needs start and end"))
    if problems:
        raise DefinitionError(problems)
    return tuple(sorted(events, key=lambda event: (event.start_ms, event.end_ms, event.name)))


def of_slo(events: Sequence[Event], slo: str, start_ms: int, end_ms: int) -> tuple[Event, ...]:
    """Those that are about an SLO and touch [start, end)."""
    return tuple(event for event in events if event.is_of(slo) and event.start_ms < end_ms and event.end_ms >= start_ms)


def _csv_rows(text: str, file: str, problems: list[Problem]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    try:
        unknown = [name for name in reader.fieldnames or () if name not in _KEYS]
    except csv.Error as error:
        problems.append(Problem(file, 1, 1, "", f"not valid CSV: {error}"))
        return
    if unknown:
        problems.append(
            Problem(file, 1, 1, "", f"unknown column {unknown[0]!r}{suggest(unknown[0], _KEYS)}; accepted are {', '.join(_KEYS)}")
        )  # fmt: skip
        return
    try:
        for row in reader:
            yield reader.line_num, {key: value for key, value in row.items() if value}
    except csv.Error as error:  # such as a field of more than 131,072 characters
        problems.append(Problem(file, reader.line_num + 1, 1, "", f"not valid CSV: {error}"))


def _yaml_rows(text: str, file: str, problems: list[Problem]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    parsed = strict_yaml.parse(text, file)
    problems += parsed.problems
    for document in parsed.documents:
        above: strict_yaml.Path = ()
        data = document.data
        if isinstance(data, dict) and list(data) in (["incidents"], ["events"]):
            (key,) = data
            above, data = (key,), data[key]
        if not isinstance(data, list):
            problems.append(Problem(file, 1, 1, "", "must be a list of events, or `events:` or `incidents:` with one"))
            continue
        for index, row in enumerate(data):
            line = document.place((*above, index))[0]
            if isinstance(row, dict):
                yield line, row
            else:
                problems.append(Problem(file, line, 1, "", "an event is a mapping with start and end"))


def _event(row: Mapping[str, Any]) -> Event:
    for key in row:
        if key not in _KEYS:
            raise ValueError(f"unknown key `{key}`{suggest(str(key), _KEYS)}; accepted are {', '.join(_KEYS)}")
    kind = str(row.get("kind") or "incident")
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}{suggest(kind, KINDS)}; accepted are {', '.join(KINDS)}")
    for key in ("start", "end"):
        if not row.get(key) and not (key == "end" and kind == "deployment"):
            raise ValueError(f"`{key}` is missing")
    start = parse_moment(str(row["start"]))
    end = parse_moment(str(row["end"])) if row.get("end") else start
    if end <= start and row.get("end"):
        raise ValueError(f"ends at {row['end']}, which is not after its start at {row['start']}")
    return Event(start, end, str(row.get("name") or kind), str(row.get("slo") or "*"), kind)
