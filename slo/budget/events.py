"""What people know of a budget's window alongside its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from slo.budget.model import Budget
from slo.spec.events import Event, of_slo


def with_events(budgets: Sequence[Budget], events: Sequence[Event]) -> list[Budget]:
    """The budgets, each with the events that are about it and touch its window. No figure changes."""
    return [replace(budget, events=of_slo(events, budget.slo.id, budget.start_ms, budget.end_ms)) for budget in budgets]
