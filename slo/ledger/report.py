"""A report on a quarter or a year, from a ledger alone: rows as data, JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from slo.display import show_percent
from slo.ledger.periods import NamedSpan
from slo.ledger.sums import Sum, SumRow
from slo.ledger.tables import STEP_MS
from slo.window import moment, utc_text

FORMATS = ("json", "csv", "md")


def ordered(rows: Sequence[SumRow]) -> list[SumRow]:
    """The worst first: by the budget that remains, then those of which nothing is known, by name."""
    return sorted(rows, key=lambda row: (row.whole.remaining is None, row.whole.remaining or 0.0, row.slo))


def texts(rows: Sequence[SumRow], span: NamedSpan, form: str) -> str:
    """The report in one of FORMATS."""
    return {"json": as_json, "csv": as_csv, "md": as_markdown}[form](rows, span)


def as_json(rows: Sequence[SumRow], span: NamedSpan) -> str:
    """All figures, unrounded."""
    head = {"span": span.name, "start": utc_text(moment(span.edges[0])), "end": utc_text(moment(span.edges[-1]))}
    slos = [
        {"slo": row.slo, "objective": None if row.objective is None else float(row.objective), **_figures(row.whole), "left_out_days": row.left_out,
         "parts": {name: _figures(part) for name, part in zip(span.parts, row.parts, strict=True)}}
        for row in ordered(rows)
    ]  # fmt: skip
    return json.dumps({**head, "step_s": STEP_MS // 1000, "slos": slos}, indent=2, allow_nan=False) + "\n"


def _figures(part: Sum) -> dict[str, Any]:
    return {
        "sli": part.sli,
        "errors": part.errors,
        "total": part.total,
        "allowed": part.allowed,
        "budget_remaining": part.remaining,
        "steps": part.steps,
    }


def as_csv(rows: Sequence[SumRow], span: NamedSpan) -> str:
    """A row for each SLO and part, and for the whole."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["slo", "part", "objective", "sli", "errors", "total", "allowed", "budget_remaining", "steps"])
    for row in ordered(rows):
        for name, part in zip((span.name, *span.parts), (row.whole, *row.parts), strict=True):
            figures = [part.sli, part.errors, part.total, part.allowed, part.remaining, part.steps]
            writer.writerow(
                [row.slo, name, row.objective, *("" if value is None else repr(value) for value in figures)]
            )
    return out.getvalue()


def as_markdown(rows: Sequence[SumRow], span: NamedSpan) -> str:
    """A table for people."""
    head, *body = table(rows, span)
    lines = [f"# Error budgets: {span.name}", "", summary(rows), ""]
    lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cells)} |" for cells in body]
    lines += ["", *notes(rows)]
    return "\n".join(lines).rstrip() + "\n"


def table(rows: Sequence[SumRow], span: NamedSpan) -> list[list[str]]:
    """The cells of the table, its head first: the budget remaining of the whole, and of each part."""
    head = [
        "SLO",
        "objective",
        "SLI",
        "bad events",
        "events",
        "remaining",
        *(span.parts if len(span.parts) > 1 else ()),
    ]
    cells = [head]
    for row in ordered(rows):
        parts = [show_percent(part.remaining) for part in row.parts] if len(span.parts) > 1 else []
        objective = "n/a" if row.objective is None else f"{(row.objective * 100).normalize():f}%"
        figures = [show_percent(row.whole.sli, 3), f"{row.whole.errors:,.0f}", f"{row.whole.total:,.0f}"]
        cells.append([row.slo, objective, *figures, show_percent(row.whole.remaining), *parts])
    return cells


def summary(rows: Sequence[SumRow]) -> str:
    """How many SLOs have exhausted their error budget."""
    exhausted = sum(row.whole.remaining is not None and row.whole.remaining <= 0 for row in rows)
    return f"{exhausted} of {len(rows)} SLOs {'has' if exhausted == 1 else 'have'} exhausted their error budget"


def notes(rows: Sequence[SumRow]) -> list[str]:
    """What the figures leave out, a sentence each."""
    return [
        f"{row.slo}: {row.left_out} {'day was' if row.left_out == 1 else 'days were'} counted by another definition of its SLI, and left out"
        for row in ordered(rows)
        if row.left_out
    ]
