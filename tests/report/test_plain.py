"""Markdown, CSV and JSON say what the page says."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from slo.budget.model import Budget
from slo.report import render, to_csv, to_json, to_markdown
from tests.report.budgets import Case, budget, demo

NOW = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def budgets() -> list[Budget]:
    return demo()


def test_all_forms_have_the_same_figures_in_the_same_order(budgets: list[Budget]) -> None:
    html = render(budgets, title="Review", generated=NOW)
    shown = dict(re.findall(r'class="num c-sli"[^>]*><b>([^<]*)</b>()', html))
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in to_markdown(budgets, title="Review", generated=NOW).splitlines()
        if line.startswith("| ") and not line.startswith("| State")
    ]
    rows = list(csv.DictReader(io.StringIO(to_csv(budgets))))
    data = json.loads(to_json(budgets, title="Review", generated=NOW))["slos"]
    by_id = {evaluated.slo.id: evaluated for evaluated in budgets}
    assert (
        [row[1] for row in table]
        == [f"{row['service']}/{row['name']}" for row in rows]
        == [entry["slo"] for entry in data]
    )
    assert {row[2] for row in table} == set(shown)
    for row, series in zip(rows, data, strict=True):
        found = by_id[series["slo"]]
        assert series["events"]["errors"] == found.errors == float(row["errors"])
        assert series["sli"] == found.sli == (float(row["sli"]) if row["sli"] else None)
        assert series["error_budget"]["remaining"] == found.remaining


def test_unknown_figures_are_absent_not_zero() -> None:
    evaluated = budget(Case("archive", has_data=False))
    (row,) = csv.DictReader(io.StringIO(to_csv([evaluated])))
    assert row["sli"] == row["remaining"] == row["minutes_remaining"] == row["burn_rate_1h"] == ""
    assert json.loads(to_json([evaluated], title="", generated=NOW))["slos"][0]["sli"] is None
    assert "| n/a | 99.9% 30d | n/a |" in to_markdown([evaluated], title="Review", generated=NOW)


def test_hostile_names_break_neither_table_nor_sheet() -> None:
    evaluated = budget(Case("a|b\n| c [x](javascript:1) <img> @all", service='=HYPERLINK("x")'))
    evaluated = replace(evaluated, source="`rm`")
    text = to_markdown([evaluated], title="# x", generated=NOW)
    (line,) = [line for line in text.splitlines() if "img" in line and line.startswith("|")]
    assert len(re.findall(r"(?<!\\)\|", line)) == 9
    assert "@all" not in text
    assert not re.search(r"(?<!\\)[<\[]", line)
    (row,) = csv.DictReader(io.StringIO(to_csv([evaluated])))
    assert row["service"] == '\'=HYPERLINK("x")'


def test_a_healthy_report_is_short() -> None:
    text = to_markdown([budget(Case("fine"))], title="Review", generated=NOW)
    assert "**The SLO is met.**" in text
    assert "\n- " not in text
