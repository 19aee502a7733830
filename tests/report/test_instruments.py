"""What the page's script shows is made here: values at the pointer, and how an SLO stands with another objective."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from slo.display import show_percent, show_rate
from slo.report import render, sentences
from slo.report.drawings import draw
from slo.report.series import StepSeries, joined
from slo.report.whatif import SHARES, what_if
from tests.report.budgets import Case, Fault, budget, demo

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BURNING = Case("now", background=0.0003, faults=(Fault(300, 1, 0.05), Fault(1.2, 1.2, 0.03)))


def decoded(series: StepSeries) -> list[str]:
    texts: list[str] = []
    for value in series.values.split("|"):
        texts.append(value or texts[-1])
    return texts


@pytest.mark.parametrize("share", [Decimal("0.1"), Decimal("0.5"), Decimal(1), Decimal(2), Decimal(5)])
def test_what_if_is_what_an_evaluation_with_that_objective_gives(share: Decimal) -> None:
    """The same traffic, counted anew with the other objective."""
    [found] = [scenario for scenario in what_if(budget(BURNING)) if scenario.share == share]
    other = budget(replace(BURNING, objective=str(100 - Decimal("0.1") * share)))
    assert found.objective == str(other.slo.objective)
    assert (found.state, found.left) == (other.state, show_percent(other.remaining))
    assert found.forecast == sentences.forecast(other)


def test_what_if_knows_several_states_and_its_own_objective_is_the_real_one() -> None:
    evaluated = budget(BURNING)
    outcomes = what_if(evaluated)
    assert len({option.state for option in outcomes}) >= 3
    [real] = [option for option in outcomes if option.share == 1]
    assert (real.state, real.left, real.forecast) == (
        evaluated.state,
        show_percent(evaluated.remaining),
        sentences.forecast(evaluated),
    )
    assert [option.share for option in outcomes] == [share for share in SHARES if 100 - Decimal("0.1") * share > 0]
    assert what_if(budget(Case("none", has_data=False))) == ()


def test_values_at_the_pointer_are_those_of_the_steps() -> None:
    evaluated = budget(BURNING)
    charts = {chart.title: chart for chart in draw(evaluated)}
    left = dict(zip(evaluated.timeline.ends_ms.tolist(), evaluated.timeline.budget_remaining.tolist(), strict=True))
    [series] = charts["Error budget remaining"].series
    values = decoded(series)
    for place in (0, 17, 100, len(values) - 1):
        at = min(series.first_ms + place * series.step_ms, charts["Error budget remaining"].span[2])
        assert values[place] == show_percent(left[at]), place
    assert values[-1] == show_percent(evaluated.remaining)
    [rates] = charts["Burn rate over 1h and 5m"].series
    assert decoded(rates)[-1] == show_rate(evaluated.burn_rate("1h"))
    [ratio] = charts["Error ratio, last 24 h"].series
    step = evaluated.timeline.error_ratio[-1]
    assert float(decoded(ratio)[-1].rstrip("%")) == pytest.approx(step * 100, abs=0.001)


def test_repeated_values_are_written_once() -> None:
    assert joined(["1%", "1%", "2%", "2%", "1%"]) == "1%||2%||1%"


def test_without_script_the_instruments_are_not_there() -> None:
    page = render(demo(), title="x", generated=NOW)
    for tools in re.findall(r'<div class="tools"[^>]*>', page):
        assert " hidden" in tools
    assert all(" hidden" in data for data in re.findall(r"<data[^>]*>", page))


def test_a_thousand_slos_have_an_index_below_a_megabyte() -> None:
    from slo.report.page import _whole
    from slo.report.view import report_view

    some = demo()
    many = [
        replace(some[n % 11], slo=replace(some[n % 11].slo, name=f"{some[n % 11].slo.name}-{n}")) for n in range(300)
    ]
    page = _whole(report_view(many, title="x", generated=NOW), {}, paged=True)
    rest = len(render([], title="x", generated=NOW).encode())
    assert rest + (len(page.encode()) - rest) / 300 * 1000 < 1_000_000
    assert "slos/slo-shop-availability-0.html" in page
