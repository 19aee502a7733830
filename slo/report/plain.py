"""The report as Markdown for a chat or a pull request, as CSV for a sheet, and as JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from slo.budget.model import SCHEMA_VERSION, State, worst_first
from slo.report.sentences import MISSING
from slo.report.text import clean
from slo.report.view import report_view

if TYPE_CHECKING:
    from slo.budget.model import Budget
    from slo.errors import Problem

MARKS = {
    State.EXHAUSTED: "🛑",
    State.BURNING: "🔥",
    State.INVALID: "⛔",
    State.AT_RISK: "⚠️",
    State.NO_DATA: "❔",
    State.HEALTHY: "✅",
}
_COLUMNS = (
    "service", "name", "state", "objective_percent", "window", "start", "end", "total", "errors", "allowed_errors", "sli",
    "remaining", "remaining_change", "minutes_remaining", "burn_rate_1h", "burn_rate_6h", "burn_rate_3d", "exhaustion", "incidents", "coverage",
    "owner", "data_start",
)  # fmt: skip


def to_markdown(
    budgets: Sequence[Budget], *, title: str, generated: datetime, warnings: Sequence[Problem] = (), missing: str = ""
) -> str:
    """The summary as a table, and a sentence on each objective that is not healthy."""
    view = report_view(budgets, title=title, generated=generated, warnings=warnings, missing=missing)
    counts = ", ".join(f"{count} {name.lower()}" for _, name, count in view.tally)
    counts = f"{counts[:1].upper()}{counts[1:]}. " if len(view.slos) > 1 else ""
    lines = [f"## {_plain(view.title)}", "", f"**{view.verdict}** {counts}{_plain(view.period)}", ""]
    if view.missing:
        lines += [f"**{_plain(MISSING)}** {_plain(view.missing)}", ""]
    lines += [line for text in view.data for line in (_plain(text), "")]
    if view.slos:
        lines += [
            "| State | Objective | SLI | Target | Budget remaining | Change | Burn 1h / 6h / 3d | Forecast |",
            "|---|---|--:|--:|--:|--:|--:|---|",
        ]
    for slo in view.slos:
        left = f"{slo.left} ({slo.minutes}, {slo.events})" if slo.has_sli else slo.left
        burns = " / ".join(rate for _, rate in slo.burns)
        cells = (
            f"{MARKS[slo.state]} {slo.state_text}", f"{slo.service}/{slo.name}", slo.sli, f"{slo.objective} {slo.window}",
            left, f"{slo.change} {slo.since}".strip(), burns, f"{slo.forecast} ({slo.forecast_range})" if slo.forecast_range else slo.forecast,
        )  # fmt: skip
        lines.append("| " + " | ".join(_plain(cell) for cell in cells) + " |")
    troubled = [slo for slo in view.slos if slo.state is not State.HEALTHY]
    if troubled:
        lines += [
            "",
            *(
                f"- **{_plain(f'{slo.service}/{slo.name}')}**: {_plain(slo.headline)} {_plain(slo.top_contributors)}".rstrip()
                for slo in troubled
            ),
        ]
    planned = [(slo, slo.excluding) for slo in view.slos if slo.excluding]
    lines += [f"- **{_plain(f'{slo.service}/{slo.name}')}**: {_plain(text)}" for slo, text in planned]
    reported = [(slo, text) for slo in view.slos for text in slo.follows]
    if reported:
        lines += [
            "",
            "Policy actions:",
            *(f"- **{_plain(f'{s.service}/{s.name}')}**: {_plain(text)}" for s, text in reported),
        ]
    if view.warnings:
        lines += ["", "Warnings about the definitions:", *(f"- {_plain(warning)}" for warning in view.warnings)]
    sources = f" from {', '.join(map(_plain, view.sources))}" if view.sources else ""
    return "\n".join([*lines, "", f"Generated {view.generated}{sources}.", ""])


def to_csv(budgets: Sequence[Budget]) -> str:
    """A row per objective with unrounded figures, worst first; ratios 0..1, times RFC 3339, empty where unknown."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for budget in worst_first(budgets):
        data = budget.to_dict()
        remaining = budget.remaining
        row = {
            **data,
            **data["events"],
            "service": _cell(budget.slo.service),
            "name": _cell(budget.slo.name),
            "owner": _cell(budget.slo.owner),
            "remaining": remaining,
            "minutes_remaining": None if remaining is None else remaining * budget.budget_minutes,
            "exhaustion": data["error_budget"]["exhaustion"],
            "incidents": None if budget.invalid else len(budget.incidents),
            **{f"burn_rate_{window}": rate for window, rate in data["burn_rates"].items()},
        }
        writer.writerow(["" if row[column] is None else row[column] for column in _COLUMNS])
    return text.getvalue()


def to_json(
    budgets: Sequence[Budget], *, title: str, generated: datetime, warnings: Sequence[Problem] = (), missing: str = ""
) -> str:
    """What `slo status --json` gives, worst first, with the report's title, time and warnings."""
    return json.dumps(
        {
            "version": SCHEMA_VERSION,
            "title": title,
            "generated": generated.isoformat().replace("+00:00", "Z"),
            "missing": missing or None,
            "warnings": [str(problem) for problem in warnings],
            "slos": [budget.to_dict() for budget in worst_first(budgets)],
        },
        indent=2,
        ensure_ascii=False,
        allow_nan=False,
    )


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    one_line = " ".join(clean(text).split())
    escaped = "".join(f"\\{c}" if c in "\\`*_[]<>|#~" else c for c in one_line.replace("&", "&amp;"))
    # A zero-width joiner would be copied along; an entity is not, and keeps @names from being notified.
    return escaped.replace("@", "&#64;")


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    shown = clean(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@", "\t", "\r") else shown
