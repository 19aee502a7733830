"""Known incidents, deployments and planned maintenance: shown, and never taken out of the figures in silence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slo.budget.events import with_events, without_maintenance
from slo.budget.export import as_data
from slo.display import show_percent
from slo.report import render, to_json, to_markdown
from slo.spec.events import Event, read_events
from tests.report.budgets import END, Case, Fault, budget

GENERATED = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = 3_600_000
NOW = round(END.timestamp() * 1000)
# Ten hours with a fifth of the requests failing, of which a maintenance of ten hours explains all.
CASE = Case("availability", background=0.0, faults=(Fault(100, 10, 0.2),))
MAINTENANCE = Event(NOW - 100 * HOUR, NOW - 90 * HOUR, "new <b>racks</b>", "shop/*", "maintenance")


def test_without_maintenance_the_figures_stand_beside_those_with_it() -> None:
    plain = budget(CASE)
    [found] = with_events([plain], [MAINTENANCE])
    assert (found.errors, found.total, found.remaining) == (plain.errors, plain.total, plain.remaining)
    without = without_maintenance(found)
    assert without is not None
    assert (without.seconds, without.errors, without.sli, without.remaining) == (36_000, 0.0, 1.0, 1.0)
    part = found.counts.total[-100 * 12 : -90 * 12]
    assert without.total == plain.total - part.sum()
    assert without_maintenance(plain) is None
    assert with_events([plain], [Event(0, HOUR), Event(NOW - HOUR, NOW, "x", "other/*")])[0].known == ()


def test_all_of_it_is_told_everywhere_and_escaped() -> None:
    deployment = Event(NOW - 50 * HOUR, NOW - 50 * HOUR, "v2", "*", "deployment")
    known = Event(NOW - 40 * HOUR, NOW - 39 * HOUR, "power cut")
    [found] = with_events([budget(CASE)], [MAINTENANCE, deployment, known])
    page = render([found], title="x", generated=GENERATED)
    assert page.count("new &lt;b&gt;racks&lt;/b&gt;") >= 2 and "<b>racks" not in page
    for text in ("planned maintenance</li>", "deployment</li>", "known incident</li>", "power cut", ">v2<"):
        assert text in page
    assert "All figures count the planned maintenance. Without its 10h the SLI is 100%" in page
    assert f"<dd><b>{show_percent(found.remaining)}</b>" in page
    assert "Without its 10h" in to_markdown([found], title="x", generated=GENERATED)
    data = json.loads(to_json([found], title="x", generated=GENERATED))["slos"][0]
    assert [one["kind"] for one in data["known_events"]] == ["maintenance", "deployment", "incident"]
    assert data["without_maintenance"]["remaining"] == 1.0
    assert data["error_budget"]["remaining"] == found.remaining
    assert found.remaining is not None and found.remaining < 0
    assert as_data(budget(CASE))["without_maintenance"] is None


def test_a_file_of_events_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(
        "events:\n  - {start: 2026-11-02, end: 2026-11-03, kind: maintenance, name: racks}\n"
        "  - {start: 2026-11-01T10:00:00Z, kind: deployment}\n"
    )
    first, second = read_events(tmp_path / "e.yaml")
    assert (first.kind, first.name, first.start_ms, first.end_ms) == ("deployment", "deployment", 1_793_527_200_000, 1_793_527_200_000)  # fmt: skip
    assert (second.kind, second.name, second.slo) == ("maintenance", "racks", "*")


@pytest.mark.parametrize("kind", ["incident", "maintenance"])
def test_only_a_deployment_needs_no_end(tmp_path: Path, kind: str) -> None:
    from slo.errors import DefinitionError

    (tmp_path / "e.csv").write_text(f"start,kind\n2026-11-01,{kind}\n")
    with pytest.raises(DefinitionError, match=r"e\.csv:2:1: error: `end` is missing"):
        read_events(tmp_path / "e.csv")
