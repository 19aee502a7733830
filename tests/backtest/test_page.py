"""The page, the JSON and the DataFrames hold the same figures, and nothing in a name gets out of its text."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

from slo.backtest import run
from slo.display import show_percent
from slo.report.backtests import render_backtest, score_row
from tests.backtest.history import START, definition, record
from tests.shell import run as slo

GENERATED = datetime(2026, 11, 21, tzinfo=UTC)
OUTAGES = [(30.0, 30.0, 0.15), (60.0, 20.0, 1.0)]


def test_the_same_figures_everywhere(tmp_path: Path) -> None:
    definition(tmp_path)
    history = record(tmp_path, 72, OUTAGES)
    done = slo("backtest", tmp_path / "shop.yaml", "-s", history.name, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data == json.loads((tmp_path / "out" / "backtest.json").read_text())
    page = (tmp_path / "out" / "backtest.html").read_text()
    result = run(definition(tmp_path), history)
    score = data["policies"][0]["score"]
    row = result.summary.reset_index().to_dict("records")[0]
    assert score["caught"] == row["caught"] == 2
    assert score["pages_per_week"] == row["pages_per_week"] == 2 / (3 / 7)
    assert f'<td class="num">{show_percent(score["budget_unalerted"])}</td>' in page
    for cell in score_row("definitions", result.policies[0].score)[1:]:
        assert f'<td class="num">{cell}</td>' in page
    assert list(result.caught["delay_seconds"]) == [
        incident["delay_seconds"] for incident in data["policies"][0]["slos"][0]["incidents"]
    ]
    assert len(result.alerts) == len(data["policies"][0]["slos"][0]["intervals"])
    assert data["verdict"] in page
    table = slo("backtest", tmp_path / "shop.yaml", "-s", history.name).stdout
    assert "2 of 2" in table and data["verdict"] in table


def test_missed_incidents_come_first_and_lead_to_their_slo(tmp_path: Path) -> None:
    """An alert that waits an hour misses both outages."""
    late = {"policy": "late", "alerting": {"page": {"for": "5h"}, "ticket": "off"}}
    result = run(definition(tmp_path), record(tmp_path, 72, OUTAGES), policies=[late])
    page = render_backtest(result, title="x", generated=GENERATED)
    missed = page[page.index('id="missed"') : page.index('id="by-slo"')]
    lost = [detection for played in result.policies for outcome in played.outcomes.values() for detection in outcome.caught if detection.at_ms is None]  # fmt: skip
    assert missed.count('<tr class="missed">') == len(lost) > 0
    assert 'href="#slo-0"' in missed and 'id="slo-0"' in page
    table = page[page.index('id="by-slo"') : page.index('id="slos"')]
    assert table.count("<tr>") == 1 + sum(len(played.outcomes) for played in result.policies)
    calm = render_backtest(run(definition(tmp_path), record(tmp_path, 72, OUTAGES)), title="x", generated=GENERATED)
    assert "None: something fired in every incident." in calm


def test_names_are_escaped_and_nothing_is_fetched(tmp_path: Path) -> None:
    reported = tmp_path / "incidents.yaml"
    reported.write_text(
        f"- {{start: {START / 1000 + 3600}, end: {START / 1000 + 7200}, name: '<script>alert(1)</script>'}}\n"
    )
    page = render_backtest(
        run(definition(tmp_path), record(tmp_path, 10, []), incidents=reported), title="<b>x</b>", generated=GENERATED
    )
    assert "<script" not in page and "<b>x" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)
    assert "default-src 'none'" in page


def test_the_same_history_gives_the_same_page(tmp_path: Path) -> None:
    specs, history = definition(tmp_path), record(tmp_path, 72, OUTAGES)
    pages = {render_backtest(run(specs, history), title="x", generated=GENERATED) for _ in range(2)}
    assert len(pages) == 1
