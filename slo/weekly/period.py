"""Whole weeks, months and quarters of a time zone. Pure arithmetic, no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from slo.window import Calendar, midnight

Unit = Literal["week", "month", "quarter"]


@dataclass(frozen=True, slots=True)
class Period:
    """A whole period: (start_ms, end_ms], milliseconds UTC; `name` is `2026-W47`, `2026-11` or `2026-Q4`."""

    name: str
    start_ms: int
    end_ms: int
    first_day: str
    last_day: str

    def __str__(self) -> str:
        return f"{self.name}, {self.first_day} to {self.last_day}"


def last_whole(at_ms: int, unit: Unit, zone: ZoneInfo, back: int = 0) -> Period:
    """The last period that was over at `at_ms`, or the one `back` periods before it; weeks are Monday to Sunday.

    Its edges are midnights of the time zone, the same as those of a calendar window there: a week in which clocks
    change has 167 or 169 hours.
    """
    window = Calendar(unit, zone.key)
    end_ms = window.start(at_ms + 1)  # a period is over at its last moment
    for _ in range(back):
        end_ms = window.start(end_ms)
    first, after = window.days(end_ms)
    last = after - timedelta(days=1)
    return Period(_name(first, unit), midnight(first, zone.key), end_ms, f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}")


_NAMES: dict[Unit, str] = {"week": r"\d{4}-W\d\d", "month": r"\d{4}-\d\d", "quarter": r"\d{4}-Q[1-4]"}


def unit_of(name: str) -> Unit | None:
    """Of which unit the period of a name is; None where it is not a period's."""
    return next((unit for unit, pattern in _NAMES.items() if re.fullmatch(pattern, name, re.ASCII)), None)


def _name(first: date, unit: Unit) -> str:
    match unit:
        case "week":
            year, week, _ = first.isocalendar()
            return f"{year}-W{week:02d}"
        case "month":
            return f"{first:%Y-%m}"
        case "quarter":
            return f"{first:%Y}-Q{(first.month - 1) // 3 + 1}"
