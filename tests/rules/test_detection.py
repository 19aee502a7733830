"""How long an outage lasts until it pages: within the limits, and as the docs say, by our engine, promtool and a server."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.rules import scenario, tables

DOCS = Path(__file__).parents[2] / "docs" / "alerting.md"
# Seconds: what the rules of the first version took, whose coarse tiles could be lost.
LIMITS = {1.0: (75, 120), 0.2: (285, 330), 0.05: (1065, 1110)}


def test_the_first_page_comes_within_the_limits_and_as_the_docs_say(tmp_path: Path) -> None:
    pages_by_case = scenario.first_pages_by_engine(tmp_path)
    for (ratio, phase), after in pages_by_case.items():
        least, most = LIMITS[ratio]
        assert least <= after <= most, (ratio, phase)
        # It cannot come before the errors are that share of the budget.
        assert after >= 3600 * 14.4 * 0.001 / ratio
    assert "\n".join(scenario.first_pages_table(pages_by_case)) in DOCS.read_text()


@pytest.mark.server
@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_promtool_pages_at_the_same_moments(tmp_path: Path) -> None:
    assert scenario.first_pages(tmp_path) == scenario.first_pages_by_engine(tmp_path)


def test_the_docs_table_of_detection_is_as_late_as_scrapes_tiles_and_evaluations_are() -> None:
    """Never before the errors are that share of the budget. After it come a scrape, the lag, a tile and an evaluation: of
    a minute each for pages of 1h, and of 5 m each, and a minute more, for tickets."""
    span = r"([\d,]+)(?: to ([\d,]+))? s"
    row = rf"^\| [\d.]+ % \| (page|ticket) \w+ and \w+ \| {span} \| {span} \| {span} \| {span} \|$"
    rows = re.findall(row, DOCS.read_text(), re.MULTILINE)
    assert len(rows) == 12
    for severity, *cells in rows:
        after, _, first, latest, over, _, reset, last = (
            float(cell.replace(",", "")) if cell else 0.0 for cell in cells
        )
        late = 30 + 30 + (60 + 60 + 60 if severity == "page" else 300 + 60 + 300)
        assert after <= first <= (latest or first) <= after + late
        assert over <= reset <= (last or reset) <= over + late


@pytest.mark.server
@pytest.mark.skipif("SLO_LONG" not in os.environ, reason="takes minutes; make long runs it")
def test_alerts_fire_and_resolve_on_a_server_as_the_docs_say(tmp_path: Path) -> None:
    """The rows of a full outage: the others take half an hour."""
    for row in list(tables.detection(tmp_path, [1.0]))[2:]:
        assert f"{row}\n" in DOCS.read_text()
