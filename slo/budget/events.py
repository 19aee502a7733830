"""What people know of a budget's period beside its figures; and the figures without planned maintenance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from slo.budget.model import Budget
from slo.budget.possible import possible
from slo.spec.events import Event, of_slo


@dataclass(frozen=True, slots=True)
class Without:
    """A budget without the steps of planned maintenance; ratios are 0..1, None without traffic.

    All but `seconds` are None where what remains cannot be true.
    """

    seconds: float
    errors: float | None
    total: float | None
    sli: float | None
    remaining: float | None


def with_events(budgets: Sequence[Budget], events: Sequence[Event]) -> list[Budget]:
    """The budgets, each with the events that are about it and touch its period."""
    return [
        replace(
            budget,
            known=of_slo(
                events, budget.slo.id, round(budget.start.timestamp() * 1000), round(budget.end.timestamp() * 1000)
            ),
        )
        for budget in budgets
    ]


def without_maintenance(budget: Budget) -> Without | None:
    """The figures without the steps that touch planned maintenance; None where there is none, or no figure at all.

    Nothing is removed from the budget itself: this stands beside it.
    """
    planned = [one for one in budget.known if one.kind == "maintenance"]
    if not planned or budget.invalid:
        return None
    grid, part = budget.counts.grid, budget._period
    ends = grid.ends[part]
    kept = np.ones(len(ends), dtype=bool)
    for one in planned:
        kept &= (ends <= one.start_ms) | (ends - grid.step_ms >= one.end_ms)
    errors, total = float(budget.counts.errors[part][kept].sum()), float(budget.counts.total[part][kept].sum())
    allowed = budget.error_budget * total
    seconds = float((~kept).sum()) * grid.step_ms / 1000
    if not possible(errors, total):
        return Without(seconds, None, None, None, None)
    return Without(
        seconds=seconds,
        errors=errors,
        total=total,
        sli=1 - errors / total if total > 0 else None,
        remaining=1 - errors / allowed if allowed > 0 else None,
    )
