"""The folder's own page: all periods, and how each objective has stood at their ends."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slo.budget.model import TROUBLE, State
from slo.display import NOTHING, show_percent, show_points
from slo.report.page import FOLDER, page_of
from slo.report.sentences import STATE_WORDS
from slo.report.text import anchor

SHOWN = 6  # periods side by side
TREND = 53  # periods in the trend: a year of weeks
# Of a trend's picture, whose line is full at the top; what is exhausted by more than a whole budget is drawn at its foot.
_WIDTH, _HEIGHT, _LEAST = 120, 30, -1.0


@dataclass(frozen=True, slots=True)
class ArchiveRow:
    """One SLO: a (budget remaining, state, page) for each period, its trend over all that is kept, and its last change.

    `state` and `state_text` are those of the newest period, `link` its page there.
    """

    slo: str
    state: str
    state_text: str
    link: str
    cells: tuple[tuple[str, str], ...]
    known: int
    line: str
    zero: int
    change: str


def index_page(folder: Path, periods: Sequence[str], title: str) -> str:
    """An HTML page over the periods' `report.json` files, oldest first in `periods`."""
    trend = list(periods[-TREND:])
    shown = trend[-SHOWN:]
    left: dict[str, dict[str, float | None]] = {}
    states: dict[tuple[str, str], str] = {}
    gaps: dict[str, bool] = {}
    for name in trend:
        figures = _figures(folder / name / "report.json")
        gaps[name] = figures is None or figures[0]
        for slo, remaining, state in () if figures is None else figures[1]:
            left.setdefault(slo, {})[name] = remaining
            states[slo, name] = state
    newest = shown[-1] if shown else ""
    pages = _pages(folder, newest)
    rows = [
        _row(
            slo,
            [values.get(name) for name in trend],
            [states.get((slo, name), "") for name in trend],
            f"{newest}/{pages[slo]}" if slo in pages else "",
        )
        for slo, values in left.items()
    ]
    # The worst first; what is no longer reported on stands last.
    rank = {state.value: place for place, state in enumerate(State)}
    rows.sort(key=lambda row: (rank.get(row.state, len(rank)), _last(left[row.slo], newest), row.slo))
    links = [(name, (folder / name / "index.html").exists(), gaps[name]) for name in shown]
    older = list(periods[: -len(shown)]) if shown else []
    return page_of("archive.html", "backtest.css", title=title, periods=links, rows=rows, older=older, kept=len(trend))


def is_readable(folder: Path, period: str) -> bool:
    """Whether a period's figures can be read; the index has none of the others."""
    return _figures(folder / period / "report.json") is not None


def _figures(path: Path) -> tuple[bool, list[tuple[str, float | None, str]]] | None:
    """(whether data is missing, each SLO's budget remaining and state) of a report; None where it is damaged."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        rows = [(slo["slo"], slo["error_budget"]["remaining"], slo["state"]) for slo in report["slos"]]
        good = all(isinstance(name, str) and isinstance(state, str) for name, _, state in rows)
        numbers = all(left is None or (isinstance(left, int | float) and abs(left) < math.inf) for _, left, _ in rows)
        return (bool(report.get("missing")), rows) if good and numbers else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _last(left: dict[str, float | None], newest: str) -> float:
    last = left.get(newest)
    return 2.0 if last is None else last


def _pages(folder: Path, period: str) -> dict[str, str]:
    """The page of each SLO in a period's report, by its name: a file of its own, or a place in the one page."""
    try:
        report = json.loads((folder / period / "report.json").read_text(encoding="utf-8"))
        order = sorted(report["slos"], key=lambda entry: (TROUBLE[State(entry["state"])], _least(entry), entry["slo"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    taken: set[str] = set()
    texts = {}
    for item in order:  # as the report itself names its places
        place = anchor(item["slo"], taken)
        own = folder / period / FOLDER / f"{place}.html"
        if own.exists():
            texts[item["slo"]] = f"{FOLDER}/{place}.html"
        elif (folder / period / "index.html").exists():
            texts[item["slo"]] = f"index.html#{place}"
    return texts


def _least(entry: dict[str, Any]) -> float:
    remaining = entry["error_budget"]["remaining"]
    return 2.0 if remaining is None else float(remaining)


def _row(slo: str, left: Sequence[float | None], states: Sequence[str], link: str) -> ArchiveRow:
    known = [(index, value) for index, value in enumerate(left) if value is not None]
    lowest = max(_LEAST, min([0.0, *(value for _, value in known)]))
    points = [
        (round((index + 0.5) / len(left) * _WIDTH), round((1 - max(value, lowest)) / (1 - lowest) * (_HEIGHT - 4)) + 2)
        for index, value in known
    ]
    change = known[-1][1] - known[-2][1] if len(known) > 1 else None
    return ArchiveRow(
        slo=slo,
        state=states[-1],
        state_text=STATE_WORDS[State(states[-1])] if states[-1] in list(State) else "Gone",
        link=link,
        known=len(known),
        cells=tuple(
            (NOTHING if value is None else show_percent(value, 0), state)
            for value, state in list(zip(left, states, strict=True))[-SHOWN:]
        ),
        line="".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(points)) if points[1:] else "",
        zero=round(1 / (1 - lowest) * (_HEIGHT - 4)) + 2,
        change=show_points(change),
    )
