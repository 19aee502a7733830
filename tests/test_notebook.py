"""Charts of figures: what each shows, and what is said where there is nothing to draw."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slo.backtest import run
from slo.notebook import plot
from tests.backtest.history import HOUR, START, definition, record
from tests.report.budgets import LATENCY, Case, Fault, budget


def axes() -> Axes:
    made: Axes = Figure().subplots()
    return made


def legend(drawn: Axes) -> set[str]:
    shown = drawn.get_legend()
    assert shown is not None
    return {text.get_text() for text in shown.get_texts()}


def test_latency_is_drawn_with_its_limit_on_it() -> None:
    drawn = plot(budget(Case("latency", "99", sli=LATENCY)), "latency", ax=axes())
    assert drawn.get_title(loc="left").startswith("shop/latency: latency per ")
    low, high = drawn.get_ylim()
    assert low < 0.5 < high


def test_incidents_and_what_was_before_the_data_are_shaded() -> None:
    case = Case("errors", window="7d", faults=(Fault(20, 3, 0.2), Fault(60, 2, 0.2)), age=100)
    evaluated = budget(case)
    assert len(evaluated.incidents) == 2
    drawn = plot(evaluated, "burn_rate", ax=axes())
    # However many incidents there are, the legend has the word once.
    assert {"incident", "no data yet"} <= legend(drawn)
    assert len(legend(drawn)) == len(drawn.get_legend_handles_labels()[1])
    assert "no data yet" not in legend(plot(budget(Case("errors", window="7d")), "burn_rate", ax=axes()))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (Case("wrong", wrong=True), "shop/wrong has nothing to draw: its figures are invalid: "),
        (Case("empty", has_data=False), "shop/empty has nothing to draw: no events in the window"),
    ],
)
def test_what_cannot_be_drawn_is_named_with_the_reason(case: Case, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plot(budget(case), ax=axes())


def test_a_backtest_is_drawn_with_a_lane_for_each_policys_pages_and_tickets(tmp_path: Path) -> None:
    """One outage pages: its bar lies within the hour after it began, above the error ratio."""
    (tmp_path / "never.yaml").write_text("policy: never\nalerting: {page: off, ticket: off, absent: off}\n")
    result = run(definition(tmp_path), record(tmp_path, 60, [(30.0, 30.0, 0.15)]), policies=[tmp_path / "never.yaml"])
    pages = [firing for firing in result.policies[0].outcomes["shop/availability"].firings if firing.page]
    assert pages and all(START + 30 * HOUR < firing.start_ms < START + 31 * HOUR for firing in pages)
    drawn = plot(result, ax=axes())
    assert drawn.get_title(loc="left") == "shop/availability: error ratio, incidents, and what fired"
    assert [text.get_text() for text in drawn.texts] == [
        "definitions: pages", "definitions: tickets", "never: pages", "never: tickets",
    ]  # fmt: skip
    fired = sum(len(played.outcomes["shop/availability"].firings) for played in result.policies)
    bars = [bar.get_datalim(drawn.transData) for bar in drawn.collections if bar.get_paths()]
    assert sum(abs(bar.x0 - pages[0].start_ms) < 1 and abs(bar.x1 - pages[0].end_ms) < 1 for bar in bars) >= 1
    assert len(bars) >= fired
