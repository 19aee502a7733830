"""Whole weeks, months and quarters of a time zone. Pure arithmetic, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

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

    Its edges are midnights of the time zone: a week in which clocks change has 167 or 169 hours.
    """
    today = datetime.fromtimestamp(at_ms / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    match unit:
        case "week":
            end = today - timedelta(days=today.weekday() + 7 * back)
            start = end - timedelta(days=7)
            year, week, _ = start.isocalendar()
            name = f"{year}-W{week:02d}"
        case "month":
            end = _month(today, -back)
            start = _month(end, -1)
            name = f"{start:%Y-%m}"
        case "quarter":
            end = _month(today.replace(day=1, month=(today.month - 1) // 3 * 3 + 1), -3 * back)
            start = _month(end, -3)
            name = f"{start:%Y}-Q{(start.month - 1) // 3 + 1}"
    return Period(name, _ms(start, zone), _ms(end, zone), f"{start:%Y-%m-%d}", f"{end - timedelta(days=1):%Y-%m-%d}")


def _month(day: datetime, months: int) -> datetime:
    """The first day of the month `months` later."""
    count = day.year * 12 + day.month - 1 + months
    return day.replace(year=count // 12, month=count % 12 + 1, day=1)


def _ms(midnight: datetime, zone: ZoneInfo) -> int:
    return round(midnight.replace(tzinfo=zone).astimezone(UTC).timestamp() * 1000)
