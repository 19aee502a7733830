"""Durations, windows, calendars, and the burn-rate windows that are fitted to them."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.errors import DurationError
from slo.window import (
    DAY,
    EARLIEST_MS,
    HOUR,
    LATEST_MS,
    MINUTE,
    WEEK,
    BurnWindow,
    Calendar,
    Rolling,
    burn_threshold,
    burn_windows,
    checked_moment,
    dead_windows,
    format_duration,
    midnight,
    moment,
    moment_ms,
    parse_duration,
    parse_moment,
    parse_window,
    shorten,
    start_of,
    tile_length,
    utc_text,
)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "length"),
    [("1h30m", 90 * MINUTE), ("500ms", 500), ("30d", 30 * DAY), ("1y", 365 * DAY), ("1w2d", 9 * DAY)],
)
def test_durations(text: str, length: int) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize("text", ["", "5", "1m1h", "1.5h", "-1h", "0s", "5 m", "1h1h", "1mo", "200y"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(DurationError):
        parse_duration(text)


@given(st.integers(1, 100 * 365 * DAY))
def test_a_duration_is_written_as_it_is_read(length: int) -> None:
    assert parse_duration(format_duration(length)) == length


def test_windows() -> None:
    assert parse_window("30d") == Rolling(30 * DAY)
    assert parse_window("month") == Calendar("month")
    for text in ("59m", "91d", "decade", "30"):
        with pytest.raises(DurationError):
            parse_window(text)


@pytest.mark.parametrize(
    ("unit", "at", "start", "end"),
    [
        ("month", "2024-02-29T12:00", "2024-02-01", "2024-03-01"),
        ("month", "2025-01-01T00:00", "2024-12-01", "2025-01-01"),  # a window's last moment is its end
        ("quarter", "2026-11-20T00:00", "2026-10-01", "2027-01-01"),
        ("year", "2028-02-29T12:00", "2028-01-01", "2029-01-01"),
        ("year", "2028-01-01T00:00", "2027-01-01", "2028-01-01"),
        ("week", "2026-11-20T00:00", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-16T00:00", "2026-11-09", "2026-11-16"),
    ],
)
def test_calendar_periods(unit: str, at: str, start: str, end: str) -> None:
    window = parse_window(unit)
    assert window.period(ms(at)) == (ms(start), ms(end))
    assert window.start(ms(at)) == ms(start)


@pytest.mark.parametrize(
    ("unit", "zone", "at", "start", "end", "hours"),
    [
        # Clocks go forward: 23 hours on 14 March and 28 March 2027.
        ("week", "America/Los_Angeles", "2027-03-15T00:00", "2027-03-08T08:00", "2027-03-15T07:00", 167),
        ("month", "America/Los_Angeles", "2027-04-01T07:00", "2027-03-01T08:00", "2027-04-01T07:00", 743),
        ("month", "Europe/Berlin", "2027-03-31T22:00", "2027-02-28T23:00", "2027-03-31T22:00", 743),
        ("quarter", "Europe/Berlin", "2027-02-01T00:00", "2026-12-31T23:00", "2027-03-31T22:00", 90 * 24 - 1),
        # Clocks go back: 25 hours on 31 October and 7 November 2027.
        ("week", "Europe/Berlin", "2027-10-31T12:00", "2027-10-24T22:00", "2027-10-31T23:00", 169),
        ("month", "America/Los_Angeles", "2027-11-30T00:00", "2027-11-01T07:00", "2027-12-01T08:00", 721),
        ("quarter", "America/Los_Angeles", "2027-12-31T00:00", "2027-10-01T07:00", "2028-01-01T08:00", 92 * 24 + 1),
        # Both in a year, which keeps its length; an hour of half an hour; none at all; a day's first moment is 01:00.
        ("year", "Europe/Berlin", "2027-06-01T00:00", "2026-12-31T23:00", "2027-12-31T23:00", 365 * 24),
        ("month", "Australia/Lord_Howe", "2027-04-10T00:00", "2027-03-31T13:00", "2027-04-30T13:30", 720.5),
        ("month", "Asia/Kathmandu", "2027-04-10T00:00", "2027-03-31T18:15", "2027-04-30T18:15", 720),
        ("month", "Asia/Beirut", "2024-04-10T00:00", "2024-03-31T21:00", "2024-04-30T21:00", 720),
        ("week", "Asia/Beirut", "2024-03-30T21:59", "2024-03-24T22:00", "2024-03-31T21:00", 167),
    ],
)
def test_calendar_periods_of_a_time_zone(unit: Any, zone: str, at: str, start: str, end: str, hours: float) -> None:
    window = Calendar(unit, zone)
    assert window.period(ms(at)) == (ms(start), ms(end))
    assert (ms(end) - ms(start)) / HOUR == hours
    assert window.period(ms(end)) == (ms(start), ms(end))  # a window's last moment is its end
    assert window.period(ms(end) + 1)[0] == ms(end)


@given(
    at=st.integers(ms("2020-01-01T00:00"), ms("2035-01-01T00:00")),
    unit=st.sampled_from(["week", "month", "quarter", "year"]),
    zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Beirut", "Asia/Kolkata", "Pacific/Apia"]
    ),
)
def test_every_moment_is_in_one_calendar_period(at: int, unit: Any, zone: str) -> None:
    start, end = Calendar(unit, zone).period(at)
    assert start < at <= end
    assert Calendar(unit, zone).period(start)[1] == start
    local = datetime.fromtimestamp(start / 1000, ZoneInfo(zone))
    # Midnight, or what clocks make of it.
    assert (local.hour, local.minute) in ((0, 0), (1, 0))
    assert local.day == 1 or (unit == "week" and local.weekday() == 0)
    assert local.month in {"quarter": (1, 4, 7, 10), "year": (1,)}.get(unit, range(1, 13))


def factors(text: str, budget: str = "0.001", scrape: int = 30_000) -> list[float]:
    return [float(burn.factor) for burn in burn_windows(parse_window(text), Decimal(budget), scrape)]


def test_thresholds_by_period() -> None:
    assert factors("30d") == [14.4, 6, 3, 1]
    assert factors("28d") == pytest.approx([13.44, 5.6, 2.8, 14 / 15])
    assert factors("90d") == pytest.approx([43.2, 18, 9, 3])
    assert factors("month") == factors("30d")
    assert factors("7d")[:2] == pytest.approx([3.36, 1.4])


@given(
    st.sampled_from(
        ["1h", "2h", "6h", "24h", "36h", "7d", "10d", "28d", "30d", "90d", "week", "month", "quarter", "year"]
    ),
    st.decimals("0.00001", "0.5", places=5),
    st.integers(1, 300),
)
def test_laws_of_the_fitted_windows(text: str, budget: Decimal, scrape_seconds: int) -> None:
    """The share is what threshold and window say; nothing is dead, nothing fires on a budget that lasts, none is twice there."""
    window = parse_window(text)
    windows = burn_windows(window, budget, scrape_seconds * 1000)
    assert windows
    assert dead_windows(windows, budget) == []
    for burn in windows:
        assert burn_threshold(burn.budget_share, window.nominal_ms, burn.long_ms) == burn.factor >= Fraction(9, 10)
        assert burn.short_ms >= 2 * scrape_seconds * 1000
        assert (
            burn.long_ms % tile_length(scrape_seconds * 1000) == burn.short_ms % tile_length(scrape_seconds * 1000) == 0
        )
        assert burn.short_ms < burn.long_ms <= window.nominal_ms
    lengths = [(burn.severity, burn.long_ms) for burn in windows]
    assert len(set(lengths)) == len(lengths)


@pytest.mark.parametrize(
    ("window", "budget", "scrape_s", "expected"),
    [
        # (severity, long, short, threshold); the share of the catalogue is 2, 5, 10 and 10 % of the window's budget.
        ("30d", "0.001", 30, ["page 1h/5m 14.4", "page 6h/30m 6", "ticket 1d/2h 3", "ticket 3d/6h 1"]),
        # Two scrapes of 5 m are the shortest window.
        ("30d", "0.001", 300, ["page 1h/10m 14.4", "page 6h/30m 6", "ticket 1d/2h 3", "ticket 3d/6h 1"]),
        # Of a budget of a tenth 1 h would need 144 % errors; at 80 % it is 2 % of 30 d × 0.1 ÷ 0.8.
        ("30d", "0.1", 30, ["page 1h48m/9m 8", "page 6h/30m 6", "ticket 1d/2h 3", "ticket 3d/6h 1"]),
        # A tenth of the budget within 3 d of 27 d is a burn rate of 0.9; of 26 d it would be less.
        ("27d", "0.001", 30, ["page 1h/5m 12.96", "page 6h/30m 5.4", "ticket 1d/2h 2.7", "ticket 3d/6h 0.9"]),
        (
            "26d",
            "0.001",
            30,
            ["page 1h/5m 12.48", "page 6h/30m 5.2", "ticket 1d/2h 2.6", "ticket 2d14h25m/5h15m 0.9997"],
        ),
        # A tenth of 7 d are 16 h 48 m, where the tickets meet, rounded up to 5 m.
        ("7d", "0.001", 30, ["page 1h/5m 3.36", "page 6h/30m 1.4", "ticket 16h50m/1h25m 0.998"]),
        # Below a week all windows shrink with the window; from 12 h on they are whole tiles of 5 m.
        (
            "6d",
            "0.001",
            30,
            ["page 12m/1m 14.4", "page 1h12m/6m 6", "ticket 4h48m/24m 3", "ticket 14h25m/1h15m 0.9988"],
        ),
        ("24h", "0.001", 30, ["page 2m/1m 14.4", "page 12m/1m 6", "ticket 48m/4m 3", "ticket 2h24m/12m 1"]),
        # 2 m is the shortest long window; within it 2 % of an hour would be a threshold of 0.6.
        ("1h", "0.001", 30, ["page 2m/1m 1.5", "ticket 6m/1m 1"]),
        # And 20 m of 5 m scrapes: one page of a threshold of 1 is left.
        ("1h", "0.001", 300, ["page 20m/10m 1"]),
    ],
)
def test_the_catalogue_fitted_by_hand(window: str, budget: str, scrape_s: int, expected: list[str]) -> None:
    windows = burn_windows(parse_window(window), Decimal(budget), scrape_s * 1000)
    said = [
        f"{pair.severity} {format_duration(pair.long_ms)}/{format_duration(pair.short_ms)} {float(pair.factor):.4g}"
        for pair in windows
    ]
    assert said == expected


def test_the_last_alert_of_a_severity_says_the_share_that_it_has() -> None:
    [page] = burn_windows(parse_window("1h"), Decimal("0.001"), 300_000)
    assert page.budget_share == Fraction(1, 3)


def test_windows_that_nothing_exceeds_are_named() -> None:
    """A threshold of 10 needs all events to fail where a tenth may."""
    ten, nine = (BurnWindow("page", HOUR, 5 * MINUTE, Fraction(1, 50), Fraction(factor)) for factor in (10, 9))
    assert dead_windows([ten, nine], Decimal("0.1")) == [ten]
    assert dead_windows([ten, nine], Decimal("0.0999")) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T12:00:00Z", ms("2026-11-20T12:00")),
        ("2026-11-20T12:00:00", ms("2026-11-20T12:00")),
        ("2026-11-20", ms("2026-11-20T00:00")),
        ("2026-11-20T12:00:00+01:00", ms("2026-11-20T11:00")),
        ("1798761600", 1_798_761_600_000),
        ("1798761600.25", 1_798_761_600_250),
        ("-1.5", -1500),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert parse_moment(text) == expected


def test_a_moment_without_a_zone_is_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_moment("2026-11-20T12:00:00") == ms("2026-11-20T12:00")
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "noon", "nan", "inf", "2026-13-01"])
def test_what_is_not_a_moment_is_refused(text: str) -> None:
    with pytest.raises(DurationError, match="is not a valid time; write 2026-11-20T12:00:00Z or Unix seconds"):
        parse_moment(text)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [("1h", True), ("59m59s", False), ("90d", True), ("90d1s", False), ("100y", False), ("36500d1ms", False)],
)
def test_the_edges_of_windows(text: str, accepted: bool) -> None:
    if accepted:
        assert str(parse_window(text)) == text
    else:
        with pytest.raises(DurationError, match=r"accepted are 1h to 90d|write a duration from 1h to 90d"):
            parse_window(text)


def test_the_edges_of_durations() -> None:
    assert parse_duration("100y") == 100 * 365 * DAY
    with pytest.raises(DurationError, match="longer than a hundred years"):
        parse_duration("36500d1ms")
    with pytest.raises(DurationError, match="a duration of zero"):
        parse_duration("0d0s")
    assert format_duration(0) == "0s"


def test_a_rolling_window_ends_now() -> None:
    window = Rolling(DAY)
    assert (window.start(WEEK), window.period(WEEK), window.nominal_ms) == (6 * DAY, (6 * DAY, WEEK), DAY)


@pytest.mark.parametrize(("unit", "days"), [("week", 7), ("month", 30), ("quarter", 90), ("year", 365)])
def test_calendar_units_have_a_nominal_length(unit: Any, days: int) -> None:
    assert Calendar(unit).nominal_ms == days * DAY
    assert str(Calendar(unit)) == unit


def test_a_threshold_is_exact() -> None:
    [first, *_] = burn_windows(Rolling(30 * DAY), Decimal("0.001"), 30_000)
    assert first.threshold(Decimal("0.001")) == Decimal("0.0144")


def test_tiles_hold_a_scrape() -> None:
    assert [tile_length(s * 1000) for s in (1, 30, 60, 61, 300)] == [MINUTE, MINUTE, MINUTE, 5 * MINUTE, 5 * MINUTE]
    assert HOUR % tile_length(300_000) == WEEK % tile_length(1) == 0


FIRST, LAST = "1900-01-01T00:00:00Z", "2200-01-01T00:00:00Z"
OUT_OF_RANGE = "out of range; accepted are times from 1900 to 2199, such as 2026-11-20T12:00:00Z or 1795176000"


@pytest.mark.parametrize(
    ("inside", "outside"),
    [
        (FIRST, "1899-12-31T23:59:59.999Z"),
        (LAST, "2200-01-01T00:00:00.001Z"),
        ("-2208988800", "-2208988800.001"),  # the same as Unix seconds
        ("7258118400", "7258118400.001"),
    ],
)
def test_the_edges_of_moments(inside: str, outside: str) -> None:
    assert parse_moment(inside) in (ms("1900-01-01T00:00"), ms("2200-01-01T00:00"))
    with pytest.raises(DurationError, match=OUT_OF_RANGE):
        parse_moment(outside)


def test_moments_given_as_such_have_the_same_edges() -> None:
    for at_ms, later in ((ms("1900-01-01T00:00"), -1), (ms("2200-01-01T00:00"), 1)):
        assert moment_ms(at_ms) == checked_moment(at_ms) == at_ms
        assert moment_ms(datetime.fromtimestamp(at_ms / 1000, UTC)) == at_ms
        with pytest.raises(DurationError, match=rf"^'{at_ms + later} ms' is {OUT_OF_RANGE}"):
            moment_ms(at_ms + later)
        with pytest.raises(DurationError, match=rf"^'so' is {OUT_OF_RANGE}"):
            checked_moment(at_ms + later, "so")
    berlin = datetime(2026, 11, 20, 13, 0, 0, 250_000, tzinfo=ZoneInfo("Europe/Berlin"))
    assert moment_ms(berlin) == ms("2026-11-20T12:00:00.250")
    with pytest.raises(DurationError, match="a time needs its time zone"):
        moment_ms(datetime(2026, 11, 20))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1798761600000", ": it looks like milliseconds; write 1798761600;"),
        ("1798761600123456", ": it looks like microseconds; write 1798761600;"),
        ("1798761600123456789", ": it looks like nanoseconds; write 1798761600;"),
        (f"{10**11}", ": it looks like milliseconds; write 100000000;"),
        (f"{10**11 - 1}", "out of range;"),
        (f"{5 * 10**12}", ": it looks like milliseconds; write 5000000000;"),
        (f"{5 * 10**12 + 1}", "out of range;"),
        (f"{10**14}", ": it looks like microseconds; write 100000000;"),
        (f"{5 * 10**18}", ": it looks like nanoseconds; write 5000000000;"),
        (f"{5 * 10**18 + 1}", "out of range;"),
        ("1e99", "out of range;"),
        (f"-{10**12}", "out of range;"),
    ],
)
def test_seconds_of_a_finer_unit_are_named(text: str, words: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_moment(text)
    assert words in str(caught.value) and "accepted are times from 1900 to 2199" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("2200-02-30", True),
        ("1899-02-30", True),
        ("1900-02-30", False),
        ("2199-02-30", False),
        ("+2026-11-20", True),
        ("12026-11-20", True),
        (f"{2**63}-11-20", True),
        ("2026-11", False),
        ("2026-1x-20", False),
    ],
)
def test_a_date_of_another_age_is_out_of_range_and_one_that_there_is_not_is_not_a_time(text: str, out: bool) -> None:
    with pytest.raises(DurationError, match="is out of range" if out else "is not a valid time"):
        parse_moment(text)


def test_what_is_read_has_a_length() -> None:
    """A duration up to 60 characters, a number of seconds up to 40; messages quote 60."""
    assert parse_duration("0" * 58 + "1s") == 1000
    with pytest.raises(DurationError, match=rf"^'{'0' * 59}1…' is not a valid duration"):
        parse_duration("0" * 59 + "1s")
    assert parse_moment("1." + "0" * 38) == 1000
    with pytest.raises(DurationError, match="out of range"):
        parse_moment("1." + "0" * 39)
    assert shorten("x" * 60) == "x" * 60 and shorten("x" * 61) == "x" * 60 + "…"
    assert shorten("xyz", 2) == "xy…"


def test_the_first_moment_of_a_day() -> None:
    """In Beirut clocks skip the midnight of 29 March 2026: its first moment is one o'clock."""
    assert midnight(date(2026, 11, 20), "UTC") == ms("2026-11-20T00:00")
    assert midnight(date(2026, 11, 20), "Europe/Berlin") == ms("2026-11-19T23:00")
    assert midnight(date(2026, 3, 29), "Asia/Beirut") == ms("2026-03-28T22:00")


@pytest.mark.parametrize("text", ["3d", "5d", "6d", "7d", "8d"])
def test_windows_of_twelve_hours_and_more_are_whole_tiles_of_five_minutes(text: str) -> None:
    for burn in burn_windows(parse_window(text), Decimal("0.001"), 30_000):
        assert burn.long_ms % (5 * MINUTE if burn.long_ms >= 12 * HOUR else MINUTE) == 0
        assert burn.short_ms % (5 * MINUTE if burn.long_ms >= 12 * HOUR else MINUTE) == 0
        # The short window is a twelfth of the long one, rounded up.
        assert 0 <= burn.short_ms - burn.long_ms / 12 < (5 * MINUTE if burn.long_ms >= 12 * HOUR else MINUTE)


def test_a_window_over_which_little_is_left_to_exceed_is_widened_and_no_further() -> None:
    """A threshold is an error ratio of four fifths at most, as far as tiles allow."""
    for budget in ("0.05", "0.1", "0.2", "0.3"):
        windows = burn_windows(Rolling(30 * DAY), Decimal(budget), 30_000)
        for burn in windows:
            assert burn.threshold(Decimal(budget)) <= Decimal("0.8")
        assert windows[0].threshold(Decimal(budget)) >= Decimal("0.72")


@given(st.integers(EARLIEST_MS, LATEST_MS))
def test_a_moment_comes_back_from_every_form(at: int) -> None:
    assert moment_ms(moment(at)) == moment_ms(at) == at
    assert moment_ms(utc_text(moment(at)) or "") == at
    assert utc_text(None) is None


def test_a_start_is_a_moment_or_a_duration_before_the_end() -> None:
    end = parse_moment("2026-11-20T00:00:00Z")
    assert start_of("30d", end) == end - 30 * DAY
    assert start_of("2026-11-01", end) == start_of(parse_moment("2026-11-01"), end) == end - 19 * DAY
    with pytest.raises(DurationError, match="'soon' is not a valid time"):
        start_of("soon", end)
