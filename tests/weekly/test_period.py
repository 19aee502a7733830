"""Whole periods of a time zone, across changes of the clock and of the year."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.spec.load import load_text
from slo.weekly.job import in_zone
from slo.weekly.period import Unit, last_whole
from slo.window import DAY, Calendar, Rolling

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
HOUR = 3_600_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("at", "unit", "zone", "name", "start", "end"),
    [
        ("2026-11-20T12:00", "week", UTC_ZONE, "2026-W46", "2026-11-09T00:00", "2026-11-16T00:00"),
        ("2026-11-16T00:00", "week", UTC_ZONE, "2026-W46", "2026-11-09T00:00", "2026-11-16T00:00"),
        # In Berlin it is still Sunday at 22:59 UTC, and Monday at 23:00.
        ("2026-11-15T22:59", "week", BERLIN, "2026-W45", "2026-11-01T23:00", "2026-11-08T23:00"),
        ("2026-11-15T23:00", "week", BERLIN, "2026-W46", "2026-11-08T23:00", "2026-11-15T23:00"),
        # The year's first days belong to its last week.
        ("2027-01-05T00:00", "week", UTC_ZONE, "2026-W53", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("2026-11-01T00:00", "month", UTC_ZONE, "2026-10", "2026-10-01T00:00", "2026-11-01T00:00"),
        ("2027-01-31T00:00", "month", BERLIN, "2026-12", "2026-11-30T23:00", "2026-12-31T23:00"),
        ("2027-02-15T00:00", "quarter", UTC_ZONE, "2026-Q4", "2026-10-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_the_last_whole_period(at: str, unit: Unit, zone: ZoneInfo, name: str, start: str, end: str) -> None:
    period = last_whole(ms(at), unit, zone)
    assert (period.name, period.start_ms, period.end_ms) == (name, ms(start), ms(end))


@pytest.mark.parametrize(("at", "hours"), [("2026-10-27T00:00", 169), ("2026-03-31T00:00", 167)])
def test_a_week_in_which_clocks_change(at: str, hours: int) -> None:
    period = last_whole(ms(at), "week", BERLIN)
    assert period.end_ms - period.start_ms == hours * HOUR


@given(
    at=st.integers(ms("2020-01-01T00:00"), ms("2035-01-01T00:00")),
    unit=st.sampled_from(["week", "month", "quarter"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia"]),
    back=st.integers(0, 30),
)
def test_periods_follow_each_other_without_a_gap(at: int, unit: Unit, zone: str, back: int) -> None:
    own, before = (last_whole(at, unit, ZoneInfo(zone), back + more) for more in (0, 1))
    assert before.end_ms == own.start_ms < own.end_ms <= at
    assert before.name < own.name
    # A calendar window of the same zone is the period that the title names.
    assert Calendar(unit, zone).period(own.end_ms) == (own.start_ms, own.end_ms)
    first = datetime.fromtimestamp(own.start_ms / 1000, ZoneInfo(zone))
    last = datetime.fromtimestamp((own.end_ms - 1) / 1000, ZoneInfo(zone))
    assert (f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}") == (own.first_day, own.last_day)
    if not back:
        assert at < own.end_ms + 93 * 24 * HOUR


def test_a_definitions_own_time_zone_stays() -> None:
    text = "service: a\nslos:\n  - {name: a, objective: 99, window: month, sli: {probe: up}}\n"
    text += "  - {name: b, objective: 99, window: month, time_zone: Asia/Tokyo, sli: {probe: up}}\n  - {name: c, objective: 99, sli: {probe: up}}\n"
    windows = [slo.window for slo in in_zone(load_text(text), "Europe/Berlin").values()]
    assert windows == [Calendar("month", "Europe/Berlin"), Calendar("month", "Asia/Tokyo"), Rolling(30 * DAY)]
