"""Known incidents, deployments and planned maintenance: shown, and never taken out of the figures in silence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from slo.budget.evaluate import evaluate
from slo.budget.events import with_events
from slo.display import show_percent
from slo.report import render, to_json, to_markdown
from slo.spec.events import Event, read_events
from tests.budget.test_evaluate import END as END_MS
from tests.budget.test_evaluate import ratio_slo, steps
from tests.report.budgets import END, Case, Fault, budget

GENERATED = datetime(2026, 11, 20, tzinfo=UTC)
HOUR = 3_600_000
NOW = round(END.timestamp() * 1000)
# Ten hours with a fifth of the requests failing, of which a maintenance of ten hours explains all.
CASE = Case("availability", background=0.0, faults=(Fault(100, 10, 0.2),))
MAINTENANCE = Event(NOW - 100 * HOUR, NOW - 90 * HOUR, "new <b>racks</b>", "shop/*", "maintenance")


def test_without_maintenance_the_figures_stand_alongside_those_with_it() -> None:
    plain = budget(CASE)
    [evaluated] = with_events([plain], [MAINTENANCE])
    assert (evaluated.errors, evaluated.total, evaluated.remaining) == (plain.errors, plain.total, plain.remaining)
    without = evaluated.without_maintenance
    assert without is not None
    assert (without.seconds, without.errors, without.sli, without.remaining) == (36_000, 0.0, 1.0, 1.0)
    part = evaluated.counts.total[-100 * 12 : -90 * 12]
    assert without.total == plain.total - part.sum()
    assert plain.without_maintenance is None
    assert with_events([plain], [Event(0, HOUR), Event(NOW - HOUR, NOW, "x", "other/*")])[0].events == ()


STEP = 5 * 60_000


@pytest.mark.parametrize(
    ("maintenance", "minutes", "errors", "total"),
    [
        # 100 events every 5 m; from 10:00 to 11:00 20 of them fail, from 12:00 to 13:00 10. Steps are a minute.
        (((10, 11),), 60, 120, 23 * 1200),  # the first of them is planned, the other one is not
        (((10, 13),), 180, 0, 21 * 1200),
        (((10, 10.5), (10.25, 11)), 60, 120, 23 * 1200),  # what overlaps is left out once
        (((10.9, 12.05),), 69, 360 - 40, 24 * 1200 - 14 * 100),  # 10:54 to 12:03: what came from 10:55 to 12:00
        (((10.9, 10 + 54.5 / 60),), 1, 360 - 20, 24 * 1200 - 100),  # half a minute: the whole of it is left out
        (((3, 4),), 60, 360, 23 * 1200),  # nothing failed in it
    ],
)
def test_what_fails_outside_the_maintenance_stays(
    maintenance: tuple[tuple[float, float], ...], minutes: float, errors: float, total: float
) -> None:
    bad = np.zeros(288)
    bad[120:132], bad[144:156] = 20, 10
    plain = evaluate(ratio_slo("99", "24h"), steps(100 - bad, bad, STEP), END_MS)
    day = END_MS - 24 * HOUR
    events = [
        Event(day + round(low * HOUR), day + round(high * HOUR), "racks", "s/*", "maintenance")
        for low, high in maintenance
    ]
    [evaluated] = with_events([plain], [*events, Event(day, END_MS, "all day", "s/*", "incident")])
    without = evaluated.without_maintenance
    assert without is not None
    assert (without.seconds, without.errors, without.total) == (minutes * 60, errors, total)
    assert without.sli == pytest.approx(1 - errors / total)
    assert without.remaining == pytest.approx(1 - errors / (0.01 * total))
    assert evaluated.errors == 360


def test_without_any_traffic_outside_the_maintenance_nothing_is_known() -> None:
    good = np.zeros(288)
    good[120:132] = 100
    plain = evaluate(ratio_slo("99", "24h"), steps(good, good * 0, STEP), END_MS)
    day = END_MS - 24 * HOUR
    [evaluated] = with_events([plain], [Event(day + 10 * HOUR, day + 11 * HOUR, "racks", "*", "maintenance")])
    without = evaluated.without_maintenance
    assert without is not None
    assert (without.errors, without.total, without.sli, without.remaining) == (0, 0, None, None)


def test_events_of_a_budget_are_those_that_touch_its_period() -> None:
    plain = evaluate(ratio_slo("99", "24h"), steps(np.full(288, 1.0), np.zeros(288), STEP), END_MS)
    day = END_MS - 24 * HOUR
    spans = {"before": (day - HOUR, day - 1), "into": (day - HOUR, day + 1), "out of": (END_MS - 1, END_MS + HOUR),
             "after": (END_MS + 1, END_MS + HOUR)}  # fmt: skip
    [evaluated] = with_events([plain], [Event(low, high, name) for name, (low, high) in spans.items()])
    assert [event.name for event in evaluated.events] == ["into", "out of"]


def test_all_of_it_is_reported_everywhere_and_escaped() -> None:
    deployment = Event(NOW - 50 * HOUR, NOW - 50 * HOUR, "v2", "*", "deployment")
    known = Event(NOW - 40 * HOUR, NOW - 39 * HOUR, "power cut")
    [evaluated] = with_events([budget(CASE)], [MAINTENANCE, deployment, known])
    page = render([evaluated], title="x", generated=GENERATED)
    assert page.count("new &lt;b&gt;racks&lt;/b&gt;") >= 2 and "<b>racks" not in page
    for text in ("planned maintenance</li>", "deployment</li>", "known incident</li>", "power cut", ">v2<"):
        assert text in page
    assert "All figures count the planned maintenance. Without its 10h the SLI is 100%" in page
    assert f"<dd><b>{show_percent(evaluated.remaining)}</b>" in page
    assert "Without its 10h" in to_markdown([evaluated], title="x", generated=GENERATED)
    data = json.loads(to_json([evaluated], title="x", generated=GENERATED))["slos"][0]
    assert [event["kind"] for event in data["known_events"]] == ["maintenance", "deployment", "incident"]
    assert data["without_maintenance"]["remaining"] == 1.0
    assert data["error_budget"]["remaining"] == evaluated.remaining
    assert evaluated.remaining is not None and evaluated.remaining < 0
    assert budget(CASE).to_dict()["without_maintenance"] is None


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
