"""What a source counts, as entries of a ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

import numpy as np

from slo.budget.evaluate import why_invalid
from slo.budget.groups import expand
from slo.budget.measure import measure
from slo.ledger.entry import Entry
from slo.ledger.tables import STEP_MS
from slo.promql.ast import Node
from slo.sli.counts import Grid
from slo.spec.model import Slo

if TYPE_CHECKING:
    from slo.source import Source


def entries_of(slos: Iterable[Slo], source: Source, start_ms: int, end_ms: int) -> dict[str, Entry]:
    """Each SLO's events in (start_ms, end_ms], in steps of 5 m from `end_ms` back; none of an SLO whose figures are invalid.

    Raises SourceError.
    """
    grid = Grid(end_ms, STEP_MS, (end_ms - start_ms) // STEP_MS)
    entries: dict[str, Entry] = {}
    for slo in slos:
        for part in expand(slo, source, end_ms)[0]:
            measured = measure(part, source, grid)
            if why_invalid(measured):
                continue  # kept, it would be counted for as long as the ledger is
            counts = measured.counts
            held = (counts.total > 0) & ~np.isnan(counts.errors)
            entries[part.id] = Entry(
                grid.ends[held], counts.errors[held], counts.total[held], fingerprint(slo.sli), slo.objective.ratio
            )
    return entries


def fingerprint(sli: object) -> str:
    """What tells one SLI definition from another: its kind, and every field as text."""
    return hashlib.sha256(_text(sli).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    if isinstance(value, Node):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(f'{field.name}={_text(getattr(value, field.name))}' for field in fields(value))})"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    return str(value)
