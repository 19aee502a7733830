"""The folder's own page: all periods, and how each objective has stood at their ends."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slo.display import NOTHING, show_percent, show_points
from slo.report.page import page_of

SHOWN = 13  # periods side by side: a quarter of weeks
# Of a trend's picture, whose line is full at the top; what is overspent by more than a whole budget is drawn at its foot.
_WIDTH, _HEIGHT, _LEAST = 120, 30, -1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One objective: a (budget left, state) for each period, its trend as a picture, and its last change."""

    slo: str
    cells: tuple[tuple[str, str], ...]
    line: str
    zero: int
    change: str


def index_page(folder: Path, periods: Sequence[str], title: str) -> str:
    """An HTML page over the periods' `report.json` files, oldest first in `periods`."""
    shown = list(periods[-SHOWN:])
    left: dict[str, dict[str, float | None]] = {}
    states: dict[tuple[str, str], str] = {}
    gaps: dict[str, bool] = {}
    for name in shown:
        found = _figures(folder / name / "report.json")
        gaps[name] = found is None or found[0]
        for slo, remaining, state in () if found is None else found[1]:
            left.setdefault(slo, {})[name] = remaining
            states[slo, name] = state
    rows = [_row(slo, [values.get(name) for name in shown], [states.get((slo, name), "") for name in shown]) for slo, values in sorted(left.items())]  # fmt: skip
    links = [(name, (folder / name / "index.html").exists(), gaps[name]) for name in shown]
    older = list(periods[: -len(shown)]) if shown else []
    return page_of("archive.html", "backtest.css", title=title, periods=links, rows=rows, older=older)


def is_readable(folder: Path, period: str) -> bool:
    """Whether a period's figures can be read; the index has none of the others."""
    return _figures(folder / period / "report.json") is not None


def _figures(path: Path) -> tuple[bool, list[tuple[str, float | None, str]]] | None:
    """(whether data is missing, each objective's budget left and state) of a report; None where it is damaged."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        rows = [(slo["slo"], slo["error_budget"]["remaining"], slo["state"]) for slo in report["slos"]]
        good = all(isinstance(name, str) and isinstance(state, str) for name, _, state in rows)
        numbers = all(left is None or (isinstance(left, int | float) and abs(left) < math.inf) for _, left, _ in rows)
        return (bool(report.get("missing")), rows) if good and numbers else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _row(slo: str, left: Sequence[float | None], states: Sequence[str]) -> Row:
    known = [(index, value) for index, value in enumerate(left) if value is not None]
    lowest = max(_LEAST, min([0.0, *(value for _, value in known)]))
    points = [
        (round((index + 0.5) / len(left) * _WIDTH), round((1 - max(value, lowest)) / (1 - lowest) * (_HEIGHT - 4)) + 2)
        for index, value in known
    ]
    change = known[-1][1] - known[-2][1] if len(known) > 1 else None
    return Row(
        slo=slo,
        cells=tuple(
            (NOTHING if value is None else show_percent(value, 0), state)
            for value, state in zip(left, states, strict=True)
        ),
        line="".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(points)) if points[1:] else "",
        zero=round(1 / (1 - lowest) * (_HEIGHT - 4)) + 2,
        change=show_points(change),
    )
