"""Which incidents there were: from a YAML or CSV file, as planted by a simulation, or found in the SLI itself."""

from __future__ import annotations

import csv
import fnmatch
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slo.backtest.model import Incident, Origin
from slo.budget.incidents import INCIDENT_BURN, find_incidents
from slo.errors import DefinitionError, Problem
from slo.sli.counting import Counts
from slo.spec import yaml as strict_yaml
from slo.spec.model import Slo
from slo.spec.single import read_text
from slo.spec.suggest import suggest
from slo.window import parse_moment

_KEYS = ("start", "end", "name", "slo")


@dataclass(frozen=True, slots=True)
class Told:
    """An incident that somebody told of; `slo` is an SLO's id with `*` for any text."""

    start_ms: int
    end_ms: int
    name: str = "incident"
    slo: str = "*"


def read_incidents(path: str | os.PathLike[str]) -> tuple[Told, ...]:
    """The incidents of a file: YAML (a list, or `incidents:` with one) or CSV with a header.

    Each has `start` and `end` (2026-11-01T10:00:00Z or Unix seconds; without a time zone UTC), and may have `name` and
    `slo`. Raises DefinitionError with every fault.
    """
    file = str(path)
    text = read_text(path)
    problems: list[Problem] = []
    rows = _csv_rows(text, file, problems) if Path(path).suffix == ".csv" else _yaml_rows(text, file, problems)
    found = []
    for line, row in rows:
        try:
            found.append(_told(row))
        except ValueError as error:
            problems.append(Problem(file, line, 1, "", str(error)))
    if not found and not problems:
        problems.append(Problem(file, 0, 0, "", "holds no incident; each needs start and end"))
    if problems:
        raise DefinitionError(problems)
    return tuple(found)


def _csv_rows(text: str, file: str, problems: list[Problem]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    unknown = [name for name in reader.fieldnames or () if name not in _KEYS]
    if unknown:
        problems.append(
            Problem(file, 1, 1, "", f"unknown column {unknown[0]!r}{suggest(unknown[0], _KEYS)}; accepted are {', '.join(_KEYS)}")
        )  # fmt: skip
        return
    for row in reader:
        yield reader.line_num, {key: value for key, value in row.items() if value}


def _yaml_rows(text: str, file: str, problems: list[Problem]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    parsed = strict_yaml.parse(text, file)
    problems += parsed.problems
    for document in parsed.documents:
        above: strict_yaml.Path = ()
        data = document.data
        if isinstance(data, dict) and list(data) == ["incidents"]:
            above, data = ("incidents",), data["incidents"]
        if not isinstance(data, list):
            problems.append(Problem(file, 1, 1, "", "must be a list of incidents, or `incidents:` with one"))
            continue
        for index, row in enumerate(data):
            line = document.place((*above, index))[0]
            if isinstance(row, dict):
                yield line, row
            else:
                problems.append(Problem(file, line, 1, "", "an incident is a mapping with start and end"))


def _told(row: Mapping[str, Any]) -> Told:
    for key in row:
        if key not in _KEYS:
            raise ValueError(f"unknown key `{key}`{suggest(str(key), _KEYS)}; accepted are {', '.join(_KEYS)}")
    for key in ("start", "end"):
        if not row.get(key):
            raise ValueError(f"`{key}` is missing")
    start, end = parse_moment(str(row["start"])), parse_moment(str(row["end"]))
    if end <= start:
        raise ValueError(f"ends at {row['end']}, which is not after its start at {row['start']}")
    return Told(start, end, str(row.get("name") or "incident"), str(row.get("slo") or "*"))


def planted(truth: Mapping[str, Any]) -> tuple[Told, ...]:
    """The incidents that a simulation planted, from its recording's header."""
    return tuple(
        Told(int(one["start_ms"]), int(one["end_ms"]), str(one["kind"]), str(one["slo"]))
        for one in truth.get("incidents", ())
    )


def of_slo(
    told: Sequence[Told], slo: Slo, counts: Counts, span: tuple[int, int], origin: Origin
) -> tuple[Incident, ...]:
    """Those that are this SLO's and touch the span, with what they spent.

    A planted one that spent nothing is left out: what a simulation did to a value that keeps to its bound is no
    incident. One that a person told of stays: that the SLI did not see it is worth knowing.
    """
    found = (
        Incident(one.name, one.start_ms, one.end_ms, origin, budget_share(slo, counts, one.start_ms, one.end_ms))
        for one in sorted(told, key=lambda one: one.start_ms)
        if fnmatch.fnmatchcase(slo.id, one.slo) and one.start_ms < span[1] and one.end_ms > span[0]
    )
    return tuple(one for one in found if origin != "planted" or one.budget_share)


def found_in(slo: Slo, counts: Counts, burn: float = INCIDENT_BURN) -> tuple[Incident, ...]:
    """Where the SLI itself shows that the budget was spent `burn` times too fast, and a hundredth of it or more."""
    grid = counts.grid
    stretches = find_incidents(
        counts.errors, counts.total, float(slo.objective.error_budget), allowed(slo, counts), grid.step_ms, burn
    )
    return tuple(
        Incident("incident", grid.start_ms + one.low * grid.step_ms, grid.start_ms + one.high * grid.step_ms, "found", one.share)
        for one in stretches
    )  # fmt: skip


def allowed(slo: Slo, counts: Counts) -> float:
    """The whole error budget in events: of the traffic that this history has in one period of the SLO, on average."""
    length = counts.grid.steps * counts.grid.step_ms
    return float(slo.objective.error_budget) * float(counts.total.sum()) * slo.window.nominal_ms / length


def budget_share(slo: Slo, counts: Counts, start_ms: int, end_ms: int) -> float | None:
    """The share of the whole error budget that was spent from `start_ms` to `end_ms`, to the step."""
    whole = allowed(slo, counts)
    if whole <= 0:
        return None
    grid = counts.grid
    low = max(0, (start_ms - grid.start_ms) // grid.step_ms)
    high = max(low, -(-(end_ms - grid.start_ms) // grid.step_ms))
    return float(counts.errors[low:high].sum()) / whole
