"""Delays and resets as the SRE workbook (chapter 5) computes them, for outages of known error ratios."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.backtest import run
from tests.backtest.history import HOUR, START, definition, record
from tests.rules.scenario import apart

# 99.9 % over 30 d, constant traffic: seconds until the page fires and until it resets, from a simulation by the second.
# A page is of 1h and 5m (14.4) or of 6h and 30m (6).
PAGES = {
    ("1h", 1.0): (51.8, 295.7),
    ("1h", 0.15): (345.6, 271.2),
    ("1h", 0.02): (2592, 84),
    ("6h", 1.0): (129.6, 1789),
    ("6h", 0.15): (864, 1728),
    ("6h", 0.02): (6480, 1260),
}
TICKETS = {("1d", 0.15): (1728, 7056), ("3d", 0.15): (1728, 21456)}
# A scrape, a lag of a scrape, a tile and an evaluation of a minute lie between an event and its alert.
LATEST = 60 + 60 + 30 + 30


@pytest.mark.parametrize(("window", "ratio"), PAGES)
def test_pages_fire_and_reset_when_the_workbook_says(tmp_path: Path, window: str, ratio: float) -> None:
    minutes = 120.0 if ratio < 0.1 else 40.0
    result = run(apart(definition(tmp_path)), record(tmp_path, 24, [(10, minutes, ratio)]), start=START + 8 * HOUR)
    detect, reset = PAGES[window, ratio]
    [fired] = [
        interval
        for interval in result.policies[0].outcomes["shop/availability"].intervals
        if interval.state == "firing" and dict(interval.labels)["window"] == window
    ]
    begin = START + 10 * HOUR
    assert detect <= (fired.start_ms - begin) / 1000 <= detect + LATEST
    assert reset - 60 <= (fired.end_ms - begin) / 1000 - minutes * 60 <= reset + LATEST


def test_tickets_too_from_five_minutes_tiles(tmp_path: Path) -> None:
    result = run(apart(definition(tmp_path)), record(tmp_path, 24 * 5, [(80, 40, 0.15)]))
    firing = {
        dict(interval.labels)["window"]: interval
        for interval in result.policies[0].outcomes["shop/availability"].intervals
        if interval.state == "firing"
    }
    for (window, _), (detect, reset) in TICKETS.items():
        begin = START + 80 * HOUR
        assert detect <= (firing[window].start_ms - begin) / 1000 <= detect + 600 + LATEST
        assert reset - 300 <= (firing[window].end_ms - begin) / 1000 - 40 * 60 <= reset + 600 + LATEST


def test_the_share_consumed_at_detection_is_what_the_window_stands_for(tmp_path: Path) -> None:
    """The first page of 1h consumes 14.4 × 0.001 ÷ 720 h, 2 % of the budget of 30 d, within its hour."""
    result = run(definition(tmp_path), record(tmp_path, 72, [(60, 50, 0.02)]))
    [detection] = result.policies[0].outcomes["shop/availability"].caught
    assert detection.incident.origin == "found"
    assert detection.alert == "ErrorBudgetBurn 1h, 6h" and detection.severity == "page"
    assert detection.consumed == pytest.approx(0.02, rel=0.08)
    # 50 minutes of 2 % errors are 1,000 minutes of a budget of 0.1 %, of 43,200 minutes.
    assert detection.incident.budget_share == pytest.approx(1000 / 43_200, rel=1e-9)
    score = result.policies[0].score
    assert (score.incidents, score.caught, score.pages, score.right, score.firings) == (1, 1, 1, 1, 1)
    assert score.pages_per_week == pytest.approx(7 / 3)
    assert score.consumed == pytest.approx(1000 / 43_200, rel=1e-9)
    unalerted = 43.2 / 50 * 1000 / 43_200
    assert score.unalerted == pytest.approx(unalerted, rel=0.08)


def test_what_burns_below_every_threshold_is_missed(tmp_path: Path) -> None:
    """At a third of the pace at which the budget lasts nothing fires, and nothing is found."""
    quiet = run(definition(tmp_path), record(tmp_path, 48, [(24, 600, 1 / 3000)]))
    assert quiet.policies[0].score.incidents == 0
    assert not quiet.policies[0].outcomes["shop/availability"].intervals
    # Reported by a person, it is an incident that nothing caught, and the SLI says what it consumed.
    reported = tmp_path / "incidents.csv"
    reported.write_text(f"start,end,name\n{START / 1000 + 24 * 3600},{START / 1000 + 34 * 3600},slow disks\n")
    [detection] = (
        run(definition(tmp_path), record(tmp_path, 48, [(24, 600, 1 / 3000)]), incidents=reported)
        .policies[0]
        .outcomes["shop/availability"]
        .caught
    )
    assert detection.at_ms is None and detection.incident.name == "slow disks"
    assert detection.consumed == pytest.approx(200 / 43_200, rel=1e-9)
