"""Objectives, windows, scrape intervals and labels of a definition, read; their faults are reported."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from zoneinfo import available_timezones

from slo.errors import DurationError
from slo.reading import Fault, Path, Report, read_duration
from slo.spec.model import Objective
from slo.spec.zone import zone
from slo.suggest import suggest
from slo.window import HOUR, Window, format_duration, parse_duration, parse_window, zone_of

# Samples that are later than that are not delays, but missing.
MAX_DELAY_MS = HOUR


def parse_objective(text: str) -> Objective:
    """A percentage as people write it: `99.9` or `99.9%`. Raises ValueError with the reason."""
    written = text.strip().removesuffix("%").strip()
    try:
        # Python reads `９９` and `9_9` as numbers too.
        percent = Decimal(written if written.isascii() and "_" not in written else "none")
    except InvalidOperation:
        raise ValueError(f"objective {text!r} is not a valid percentage; write one such as 99.9") from None
    if not percent.is_finite():
        raise ValueError(f"objective {text} is not a valid percentage; write one such as 99.9")
    if percent > 100:
        raise ValueError(f"objective {text} is above 100; write a percentage such as 99.9")
    if percent == 100:
        raise ValueError(
            "objective 100 leaves no error budget, so nothing can be measured against it; 99.99 leaves 1 of 10,000"
        )
    if percent <= 0:
        raise ValueError(f"objective {text} asks for nothing; write a percentage above 0, such as 99.9")
    if percent < 1:
        raise ValueError(
            f"objective {text} is below 1 %; it is a percentage, so for the ratio {text} write {(percent * 100).normalize():f}"
        )
    if len(percent.as_tuple().digits) > 12:
        raise ValueError(f"objective {text} has more than 12 digits")
    return Objective(percent)


def read_window(text: str, at: Path, report: Report) -> Window | None:
    """A window, or None once its fault is reported."""
    try:
        return parse_window(text)
    except DurationError as error:
        report(at, str(error), "error")
        return None


def read_time_zone(text: str, at: Path, report: Report) -> str | None:
    """The name of a time zone, or None once its fault is reported."""
    try:
        known = text == "UTC" or zone_of(text) is not None
    except (OSError, ValueError, KeyError):  # a zone that is not found is a KeyError
        known = False
    if not known:
        names = available_timezones()
        report(
            at,
            f"{text[:80]!r} is not a time zone{suggest(text, names) or '; write one such as Europe/Berlin'}",
            "error",
        )
        return None
    if zone(text) is None:
        report(
            at,
            f"the clocks of {text} have no rule that is the same each year, so that no server can tell its months",
            "error",
        )
        return None
    return text


def read_scrape_interval(text: str, at: Path, report: Report) -> int | None:
    """A scrape interval in milliseconds, or None once its fault is reported."""
    try:
        number = parse_duration(text)
    except DurationError as error:
        report(at, str(error), "error")
        return None
    if not 1000 <= number <= 5 * 60_000:
        report(at, f"a scrape interval of {text} is out of range; accepted are 1s to 5m", "error")
        return None
    return number


def read_wait(text: str, at: Path, report: Report) -> int:
    """A duration in milliseconds that may be none at all, `0s`. Raises Fault once reported."""
    return 0 if re.fullmatch("0+(ms|s|m|h|d)?", text) else read_duration(text, at, report)


def read_delay(text: str, at: Path, report: Report) -> int | None:
    """How late samples arrive, in milliseconds, or None once its fault is reported."""
    try:
        number = read_wait(text, at, report)
    except Fault:
        return None
    if number > MAX_DELAY_MS:
        report(at, f"a delay of {text} is out of range; accepted are 0s to {format_duration(MAX_DELAY_MS)}", "error")
        return None
    return number
