"""Durations, SLO windows, and the windows over which burn rates are watched. Pure arithmetic, no clock.

Times are integer milliseconds since the epoch, UTC; durations are integer milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from slo.errors import DurationError

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
# How old a sample an instant vector may show, of a server with its defaults.
INSTANT_MS = 5 * MINUTE

# Prometheus's units, largest first: a duration names each at most once, in this order. A year is 365 d there.
_UNITS = {"y": 365 * DAY, "w": WEEK, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+){unit}(?![a-z]))?" for unit in _UNITS))

_MOST_DURATION = 60  # characters; Python refuses to read numbers of thousands of digits


def parse_duration(text: str) -> int:
    """A Prometheus duration such as `1h30m` in milliseconds. Raises DurationError, also on zero."""
    match = _DURATION.fullmatch(text) if len(text) <= _MOST_DURATION else None
    if not text or match is None:
        raise DurationError(
            f"{shorten(text)!r} is not a valid duration; write a number and a unit, such as 500ms, 30s, 5m, 1h30m or 30d"
        )
    total = sum(int(count) * _UNITS[unit] for unit, count in match.groupdict().items() if count)
    if total == 0:
        raise DurationError(f"{text!r} is a duration of zero")
    if total > 100 * 365 * DAY:
        raise DurationError(f"{text!r} is longer than a hundred years")
    return total


# Every moment that is read lies between these: the windows before it and the calendar around it are then moments that
# Python, pandas (1677 to 2262) and servers can all write down.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_MS = (datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
LATEST_MS = (datetime(2200, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
# What other programs count in, by how many of it make a second.
_FINER = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


def parse_moment(text: str) -> int:
    """A time as people write it, in milliseconds UTC: 2026-11-20T12:00:00Z, without a zone UTC, or Unix seconds.

    Raises DurationError, also for a time before 1900 or after 2199, which is a mistake such as milliseconds.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        seconds = Fraction(text) if len(text) <= 40 else Fraction(LATEST_MS)
        if EARLIEST_MS <= seconds * SECOND <= LATEST_MS:
            return round(seconds * SECOND)
        raise DurationError(f"{shorten(text)!r} is out of range{_in_seconds(seconds)}; {_ACCEPTED_MOMENTS}")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        reason = "is out of range" if re.match(r"[+-]?[0-9]{4,}-[0-9]", text) and not _plausible_year(text) else ""
        if reason:
            raise DurationError(f"{shorten(text)!r} {reason}; {_ACCEPTED_MOMENTS}") from None
        raise DurationError(
            f"{shorten(text)!r} is not a valid time; write 2026-11-20T12:00:00Z or Unix seconds"
        ) from None
    return checked_moment(((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1), text)


def checked_moment(at_ms: int, text: str = "") -> int:
    """A moment in milliseconds UTC that figures can be about; `text` is how it was written. Raises DurationError."""
    if EARLIEST_MS <= at_ms <= LATEST_MS:
        return at_ms
    raise DurationError(f"{shorten(text) if text else f'{at_ms} ms'!r} is out of range; {_ACCEPTED_MOMENTS}")


def moment_ms(at: datetime | int | str) -> int:
    """A datetime with a time zone, milliseconds UTC, or a text as `parse_moment` reads it, in milliseconds UTC.

    Raises DurationError where it is out of range, or no time.
    """
    if isinstance(at, str):
        return parse_moment(at)
    if not isinstance(at, datetime):
        return checked_moment(int(at))
    if at.tzinfo is None:
        raise DurationError("a time needs its time zone: datetime(…, tzinfo=UTC)")
    return checked_moment((at - _EPOCH) // timedelta(milliseconds=1), at.isoformat())


_ACCEPTED_MOMENTS = "accepted are times from 1900 to 2199, such as 2026-11-20T12:00:00Z or 1795176000 (Unix seconds)"


def start_of(start: datetime | int | str, end_ms: int) -> int:
    """A start in milliseconds UTC: a moment as in `moment_ms`, or a duration before the end (`30d`). Raises DurationError."""
    if isinstance(start, str):
        try:
            return end_ms - parse_duration(start)
        except DurationError:
            return parse_moment(start)
    return moment_ms(start)


def moment(ms: int) -> datetime:
    """Milliseconds as a UTC datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def utc_text(at: datetime | None) -> str | None:
    """A moment as RFC 3339 in UTC, for JSON; None stays None."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")


MOST_DAYS = 400  # of history in which rules are evaluated, one step after the other


def check_length(start_ms: int, end_ms: int) -> None:
    """Refuses more history than rules are evaluated on in reasonable time and memory. Raises DurationError."""
    days = (end_ms - start_ms) / DAY
    if days > MOST_DAYS:
        raise DurationError(f"{days:,.0f} days from start to end are too many; {MOST_DAYS} at most, in several runs")


def shorten(text: str, most: int = 60) -> str:
    """A text as a message quotes it: its beginning, where it is long."""
    return text if len(text) <= most else f"{text[:most]}…"


def _plausible_year(text: str) -> bool:
    year = text.partition("-")[0]
    return year.isascii() and year.isdigit() and 1900 <= int(year[:9]) < 2200


def _in_seconds(count: Fraction) -> str:
    """What a number would be in seconds, where it looks like one of a finer unit: it lies within a century of now then."""
    for unit, of_a_second in _FINER.items():
        if 10**8 <= count / of_a_second <= 5 * 10**9:
            return f": it looks like {unit}; write {count // of_a_second}"
    return ""


@lru_cache(maxsize=4096)
def format_duration(milliseconds: int) -> str:
    """The shortest text that Prometheus reads as this duration: `1h30m`; days are the largest unit."""
    if milliseconds == 0:
        return "0s"
    parts = []
    rest = milliseconds
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Rolling:
    """The last `length_ms` up to the moment of evaluation."""

    length_ms: int

    def start(self, end_ms: int) -> int:
        """Where the window that ends at `end_ms` begins."""
        return end_ms - self.length_ms

    def period(self, at_ms: int) -> tuple[int, int]:
        """(start, end) of the budget's whole window: for a rolling window it ends now."""
        return at_ms - self.length_ms, at_ms

    @property
    def nominal_ms(self) -> int:
        """The length that burn-rate thresholds are computed from."""
        return self.length_ms

    def __str__(self) -> str:
        return format_duration(self.length_ms)


CalendarUnit = Literal["week", "month", "quarter", "year"]
_NOMINAL: dict[CalendarUnit, int] = {"week": WEEK, "month": 30 * DAY, "quarter": 90 * DAY, "year": 365 * DAY}


@dataclass(frozen=True, slots=True)
class Calendar:
    """The calendar week (from Monday), month, quarter or year that holds the moment of evaluation.

    Its edges are midnights of `zone`, an IANA name such as `Europe/Berlin`: a month in which clocks change is an hour
    longer or shorter.
    """

    unit: CalendarUnit
    zone: str = "UTC"

    def start(self, end_ms: int) -> int:
        """Where the window that `end_ms` closes or lies in begins; a window's last moment is its end."""
        return self.period(end_ms)[0]

    def period(self, at_ms: int) -> tuple[int, int]:
        """(start, end) of the whole window in which the last millisecond before `at_ms` lies."""
        first, after = self.days(at_ms)
        return midnight(first, self.zone), midnight(after, self.zone)

    def days(self, at_ms: int) -> tuple[date, date]:
        """The same window as dates of the zone: its first day, and the first day of the next."""
        today = datetime.fromtimestamp((at_ms - 1) / 1000, zone_of(self.zone)).date()
        if self.unit == "week":
            start = today - timedelta(days=today.weekday())
            return start, start + timedelta(days=7)
        months = {"month": 1, "quarter": 3, "year": 12}[self.unit]
        start = today.replace(day=1, month=(today.month - 1) // months * months + 1)
        month = start.month + months
        return start, start.replace(year=start.year + (month > 12), month=(month - 1) % 12 + 1)

    @property
    def nominal_ms(self) -> int:
        """The length that burn-rate thresholds are computed from: 7 d, 30 d, 90 d or 365 d."""
        return _NOMINAL[self.unit]

    def __str__(self) -> str:
        return self.unit


def midnight(day: date, zone: str) -> int:
    """When a day begins in a time zone, milliseconds UTC; where clocks skip its midnight, with its first moment."""
    return round(datetime(day.year, day.month, day.day, tzinfo=zone_of(zone)).timestamp()) * 1000


def zone_of(name: str) -> tzinfo:
    """A time zone by its IANA name; UTC needs no database of zones, which small containers lack."""
    return UTC if name == "UTC" else ZoneInfo(name)


Window = Rolling | Calendar


def parse_window(text: str) -> Window:
    """`30d`, `24h`, … or `week`, `month`, `quarter`, `year`. Raises DurationError."""
    match text:
        case "week" | "month" | "quarter" | "year":
            return Calendar(text)
    try:
        length = parse_duration(text)
    except DurationError as error:
        raise DurationError(
            f"{shorten(text)!r} is not a valid window; write a duration from 1h to 90d such as 30d, or week, month, quarter or year"
        ) from error
    if not HOUR <= length <= 90 * DAY:
        raise DurationError(f"a window of {text} is out of range; accepted are 1h to 90d")
    return Rolling(length)


def tile_length(scrape_interval_ms: int) -> int:
    """The length of the tiles that events are counted in: a minute, or 5 m where scrapes are further apart than that.

    A tile holds a scrape, so that an empty one means that nothing was scraped; and 5 m is as far apart as a
    server lets the samples of a recorded series be.
    """
    return MINUTE if scrape_interval_ms <= MINUTE else 5 * MINUTE


Severity = Literal["page", "ticket"]


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """One multiwindow burn-rate alert: it fires while the burn rate over both windows is above `factor`.

    `budget_share` (a ratio) of the window's error budget is consumed when the long window alone fires.
    """

    severity: Severity
    long_ms: int
    short_ms: int
    budget_share: Fraction
    factor: Fraction

    def threshold(self, error_budget: Decimal) -> Decimal:
        """The error ratio (0..1) above which it fires: the burn-rate threshold times the budget."""
        return Decimal(self.factor.numerator) * error_budget / Decimal(self.factor.denominator)


# SRE workbook, chapter 5, table 5-8, and the tickets of its recommendation: for an SLO window of 30 d the
# thresholds are 14.4, 6, 3 and 1. The short window is a twelfth of the long one.
CATALOGUE: tuple[tuple[Severity, int, Fraction], ...] = (
    ("page", HOUR, Fraction(2, 100)),
    ("page", 6 * HOUR, Fraction(5, 100)),
    ("ticket", DAY, Fraction(10, 100)),
    ("ticket", 3 * DAY, Fraction(10, 100)),
)
_SHORT = 12
_CATALOGUE_PERIOD = 30 * DAY
# A threshold of 0.933 (3 d of a window of 28 d) is in common use; below 0.9 a budget that lasts is called burning.
_LEAST_THRESHOLD = Fraction(9, 10)
# A threshold above this error ratio needs nearly everything to fail; at 1 and above it can never be exceeded.
_MOST_THRESHOLD = Fraction(4, 5)


def burn_threshold(budget_share: Fraction, period_ms: int, window_ms: int) -> Fraction:
    """The burn rate that consumes `budget_share` of a window's budget within `window_ms`: share × the SLO's window ÷ this one."""
    return budget_share * period_ms / window_ms


@lru_cache(maxsize=1024)
def burn_windows(window: Window, error_budget: Decimal, scrape_interval_ms: int) -> tuple[BurnWindow, ...]:
    """The catalogue fitted to a window, an error budget (a ratio) and a scrape interval.

    The budget share of each alert is kept, its windows give way:
    - from an SLO window of 7 d on the catalogue's windows stand; shorter SLO windows scale them in proportion;
    - a window over which burning would be sustainable (a threshold below 0.9) is narrowed to a threshold of 1;
    - a window whose threshold nothing could exceed is widened until 80 % of errors do;
    - a short window holds at least two scrapes, a long one at least two short ones; both are whole tiles, of 5 m from 12 h on.
    A window that resolution widened until its threshold fell below 0.9 drops: it would fire on a budget that lasts.
    Where a severity would lose all its alerts so, its last one stays with a threshold of 1 and a larger share.
    No alert's window outgrows the SLO's; one that an earlier one of the same length covers drops.
    """
    period = window.nominal_ms
    budget = Fraction(error_budget)
    tile = tile_length(scrape_interval_ms)
    least_short = _whole(Fraction(2 * scrape_interval_ms), tile)
    fitted: list[BurnWindow] = []
    for index, (severity, catalogue_ms, share) in enumerate(CATALOGUE):
        long = Fraction(catalogue_ms)
        if period < WEEK:
            long = long * period / _CATALOGUE_PERIOD
        if burn_threshold(share, period, 1) / long < _LEAST_THRESHOLD:
            long = share * period
        long = max(long, share * period * budget / _MOST_THRESHOLD, Fraction(2 * least_short))
        whole = 5 * MINUTE if long >= 12 * HOUR else tile
        long_ms = min(_whole(long, whole), period)
        short_ms = max(_whole(Fraction(long_ms, _SHORT), whole), least_short)
        factor = burn_threshold(share, period, long_ms)
        if factor < _LEAST_THRESHOLD:
            later = [entry for entry in CATALOGUE[index + 1 :] if entry[0] == severity]
            if later or any(burn.severity == severity for burn in fitted):
                continue
            factor, share = Fraction(1), Fraction(long_ms, period)
        # The catalogue runs from pages to tickets: what already pages on less needs no ticket over the same window.
        if not any(burn.long_ms == long_ms and burn.factor <= factor for burn in fitted):
            fitted.append(BurnWindow(severity, long_ms, short_ms, share, factor))
    return tuple(fitted)


def dead_windows(windows: Sequence[BurnWindow], error_budget: Decimal) -> list[BurnWindow]:
    """Those whose threshold is an error ratio of 1 or more, which no service can exceed."""
    return [burn for burn in windows if burn.factor * Fraction(error_budget) >= 1]


def _whole(milliseconds: Fraction, tile_ms: int) -> int:
    """Rounded up to whole tiles: a wider window never fires on less budget than its share."""
    return -int(-milliseconds // tile_ms) * tile_ms
