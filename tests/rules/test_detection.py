"""How long an outage lasts until it pages: within the limits, and as the docs say, by our engine and by promtool."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rules import scenario

DOCS = Path(__file__).parents[2] / "docs" / "alerting.md"
# Seconds: what the rules of the first version took, whose coarse tiles could be lost.
LIMITS = {1.0: (75, 120), 0.2: (285, 330), 0.05: (1065, 1110)}


def test_the_first_page_comes_within_the_limits_and_as_the_docs_say(tmp_path: Path) -> None:
    found = scenario.first_pages_by_engine(tmp_path)
    for (ratio, phase), after in found.items():
        least, most = LIMITS[ratio]
        assert least <= after <= most, (ratio, phase)
        # It cannot come before the errors are that share of the budget.
        assert after >= 3600 * 14.4 * 0.001 / ratio
    assert "\n".join(scenario.first_pages_table(found)) in DOCS.read_text()


@pytest.mark.server
@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_promtool_pages_at_the_same_moments(tmp_path: Path) -> None:
    assert scenario.first_pages(tmp_path) == scenario.first_pages_by_engine(tmp_path)
