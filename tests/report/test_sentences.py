"""What is said of a budget agrees with itself, wherever it is said."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from slo.budget.model import Budget, State
from slo.report import render, sentences, to_markdown
from slo.report.heatmap import cells
from slo.window import DAY
from tests.report.budgets import Case, Fault, budget, demo

NOW = datetime(2026, 11, 21, tzinfo=UTC)
# 3% errors at 99.9% for 1.2 h: a burn rate of 30 over 1h; 30 d at 30 are 24 h, of which 95% or so are left.
BURNING = Case("now", background=0.0, faults=(Fault(1.2, 1.2, 0.03),))


@pytest.mark.parametrize("one", demo(), ids=lambda entry: entry.slo.name)
def test_what_burns_is_never_only_not_at_risk(one: Budget) -> None:
    said = sentences.forecast(one)
    if one.state is State.BURNING:
        assert re.match(r"exhausted in \S+( \S+)? at the current \w+ rate; ", said)
    if one.state is State.HEALTHY:
        assert said.startswith("not at risk at the ")
    if one.state is State.AT_RISK:
        assert said.startswith("exhausted in " if one.exhaustion is not None else "little left, lasts at the ")


def test_a_burning_budget_says_both_rates_and_says_it_everywhere_alike() -> None:
    evaluated = budget(BURNING)
    said = sentences.forecast(evaluated)
    match = re.fullmatch(r"exhausted in (\d+)h( \d+m)? at the current 1h rate; not at risk at the 3d rate", said)
    assert match is not None and 20 <= int(match[1]) <= 25
    page = html.unescape(render([evaluated], title="x", generated=NOW))
    # Summary, headline, key figures, exact figures, and what if the objective were what it is.
    assert page.count(said) == 5
    assert said in to_markdown([evaluated], title="x", generated=NOW)
    assert "lasts at" not in page and "current pace it ends" not in page


def test_a_days_cell_without_events_is_hatched_and_not_0() -> None:
    """Two whole days without a request, and one with requests and no error."""
    evaluated = budget(Case("quiet", background=0.0))
    errors, total = evaluated.counts.errors.copy(), evaluated.counts.total.copy()
    day = (evaluated.counts.grid.ends - 1) // DAY
    last = int(day[-1])
    total[(day == last - 3) | (day == last - 4)] = 0
    _, days = cells(
        replace(evaluated, counts=replace(evaluated.counts, errors=errors, total=total), total=float(np.sum(total)))
    )
    assert [(entry.consumed, entry.level) for entry in days[-5:-1]] == [
        ("n/a", None),
        ("n/a", None),
        ("0%", 0),
        ("0%", 0),
    ]
    assert days[-5].title.endswith("no events")


def test_one_kind_of_minus_and_no_space_before_a_percent_sign() -> None:
    page = render([*demo(), budget(Case("over", background=0.003))], title="x", generated=NOW)
    text = html.unescape(re.sub(r"<(style|script)>.*?</\1>|<[^>]*>", " ", page, flags=re.S))
    assert re.findall(r"(?<![\w-])-\d[\d.,]*%", text) == []
    assert "−" in text
    text = text.replace("Fewer than 0.1 % of requests", "")  # a description's own
    assert re.findall(r"\d %", text) == []
