"""Months, quarters and years as people name them, and the moments between their parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from slo.errors import ConfigError
from slo.window import midnight


@dataclass(frozen=True, slots=True)
class NamedSpan:
    """A named time, with its parts.

    Attributes:
        name: `2026Q1`, `2026` or `2026-03`.
        parts: The names of its parts, in order.
        edges: Where they begin, and where the last one ends; milliseconds UTC.
    """

    name: str
    parts: tuple[str, ...]
    edges: tuple[int, ...]


def quarter(text: str, zone: str = "UTC") -> NamedSpan:
    """A calendar quarter by its months: `2026Q1` or `2026-Q1`. Raises ConfigError."""
    match = re.fullmatch(r"(\d{4})-?[Qq]([1-4])", text.strip(), re.ASCII)
    if match is None:
        raise ConfigError(f"--quarter {text[:40]!r} is not a quarter; write one such as 2026Q1")
    year, number = int(match[1]), int(match[2])
    return _months(f"{year}Q{number}", year, 3 * number - 2, 3, zone, "--quarter")


def year(text: str, zone: str = "UTC") -> NamedSpan:
    """A calendar year by its months. Raises ConfigError."""
    if re.fullmatch(r"\d{4}", text.strip(), re.ASCII) is None:
        raise ConfigError(f"--year {text[:40]!r} is not a year; write one such as 2026")
    return _months(text.strip(), int(text), 1, 12, zone, "--year")


def month(text: str, zone: str = "UTC") -> NamedSpan:
    """A calendar month. Raises ConfigError."""
    match = re.fullmatch(r"(\d{4})-(\d\d)", text.strip(), re.ASCII)
    if match is None or not 1 <= int(match[2]) <= 12:
        raise ConfigError(f"--month {text[:40]!r} is not a month; write one such as 2026-03")
    return _months(text.strip(), int(match[1]), int(match[2]), 1, zone, "--month")


def _months(name: str, year: int, first: int, count: int, zone: str, flag: str) -> NamedSpan:
    if not 1970 <= year <= 2199:
        raise ConfigError(f"{flag} {name}: the year must be from 1970 to 2199")
    starts = [date(year + (first - 1 + index) // 12, (first - 1 + index) % 12 + 1, 1) for index in range(count + 1)]
    try:
        edges = tuple(midnight(start, zone) for start in starts)
    except (OSError, ValueError, KeyError):  # a zone that is not found is a KeyError
        raise ConfigError(f"--zone {zone[:60]!r} is not a valid time zone; write one such as Europe/Berlin") from None
    return NamedSpan(name, tuple(f"{start:%Y-%m}" for start in starts[:-1]), edges)
