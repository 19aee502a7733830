"""The rule by which the clocks of a time zone go, as its file has it for all times to come."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

# As a file of a zone ends: the rule for all times to come, in the notation of POSIX. `EST5EDT,M3.2.0,M11.1.0` is five hours west
# of UTC, and saves daylight from the second Sunday of March on to the first of November.
_NAME = r"(?:<[^>]+>|[A-Za-z]+)"
_CLOCK = r"[+-]?\d{1,3}(?::\d{2}){0,2}"
_DATE = rf"M(\d+)\.(\d)\.(\d)(?:/({_CLOCK}))?"
_RULE = re.compile(rf"{_NAME}({_CLOCK})(?:{_NAME}({_CLOCK})?,{_DATE},{_DATE})?")
_HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Change:
    """When clocks change: the `week`-th (5: the last) `weekday` (0 is Sunday) of a month, so many seconds after midnight of the clock
    that was in force until then."""

    month: int
    week: int
    weekday: int
    after_midnight: int


@dataclass(frozen=True, slots=True)
class Zone:
    """Seconds east of UTC, and where daylight is saved those in force then, and from when to when."""

    standard: int
    daylight: int = 0
    begins: Change | None = None
    ends: Change | None = None


@lru_cache(maxsize=100)
def zone(name: str) -> Zone | None:
    """A zone's rule by its IANA name; None where it has none that is the same each year."""
    match = _RULE.fullmatch(_last_line(name))
    if match is None:
        return None
    standard = -_seconds(match[1])
    if match[3] is None:
        return Zone(standard)
    daylight = standard + _HOUR_SECONDS if match[2] is None else -_seconds(match[2])
    changes = [
        Change(int(month), int(week), int(weekday), 2 * _HOUR_SECONDS if clock is None else _seconds(clock))
        for month, week, weekday, clock in (match.group(3, 4, 5, 6), match.group(7, 8, 9, 10))
    ]
    return Zone(standard, daylight, *changes)


def _last_line(name: str) -> str:
    if name == "UTC":
        return "UTC0"
    for folder in zoneinfo.TZPATH:
        path = Path(folder) / name
        if path.is_file():
            content = path.read_bytes()
            break
    else:
        content = resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    return content.rsplit(b"\n", 2)[-2].decode("ascii", "replace")


def _seconds(clock: str) -> int:
    sign = -1 if clock.startswith("-") else 1
    hours, minutes, seconds = ([int(part) for part in clock.lstrip("+-").split(":")] + [0, 0])[:3]
    return sign * (hours * _HOUR_SECONDS + minutes * 60 + seconds)
