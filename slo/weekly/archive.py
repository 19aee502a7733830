"""The folder's own page: all periods, and how each objective has stood at their ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from slo.display import show_percent
from slo.report.page import page_of

SHOWN = 13  # periods side by side: a quarter of weeks


def index_page(folder: Path, periods: Sequence[str], title: str) -> str:
    """An HTML page over the periods' `report.json` files, oldest first in `periods`."""
    shown = list(periods[-SHOWN:])
    reports = {name: json.loads((folder / name / "report.json").read_text(encoding="utf-8")) for name in shown}
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    for name, report in reports.items():
        for slo in report["slos"]:
            left = slo["error_budget"]["remaining"]
            rows.setdefault(slo["slo"], {})[name] = (show_percent(left, 0), slo["state"])
    table = [
        (slo, [cells.get(name, ("–", "")) for name in shown], _trend([cells[n][0] for n in shown if n in cells]))
        for slo, cells in sorted(rows.items())
    ]
    links = [(name, (folder / name / "index.html").exists()) for name in shown]
    return page_of(
        "archive.html", "backtest.css", title=title, periods=links, rows=table, older=list(periods[: -len(shown)] if shown else []),
    )  # fmt: skip


def _trend(left: Sequence[str]) -> str:
    """The last budget against the one before."""
    known = [float(text.rstrip("%")) for text in left if text.endswith("%")]
    if len(known) < 2:
        return ""
    change = known[-1] - known[-2]
    return "steady" if abs(change) < 1 else f"{change:+.0f} points"
