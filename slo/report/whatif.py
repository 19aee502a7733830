"""What an SLO would be with another objective: the same events against a larger or a smaller error budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from slo.budget.forecast import forecast
from slo.budget.model import Budget, Burn, State
from slo.display import show_count, show_percent
from slo.report import sentences
from slo.spec.model import Objective
from slo.window import Calendar

# Of the error budget; the objective's own is among them.
SHARES = tuple(map(Decimal, ("10", "5", "3", "2", "1.5", "1", "0.75", "0.5", "0.3", "0.2", "0.1")))


@dataclass(frozen=True, slots=True)
class WhatIf:
    """One objective: `share` is its error budget over the real one; the texts are those that a report of it would show."""

    share: Decimal
    objective: str
    state: State
    state_text: str
    left: str
    allowed: str
    forecast: str


def what_if(budget: Budget) -> tuple[WhatIf, ...]:
    """From the loosest to the strictest objective; none where nothing was counted."""
    if budget.remaining is None or budget.invalid:
        return ()
    real = budget.slo.objective
    what_ifs = []
    for share in SHARES:
        percent = (100 - (100 - real.percent) * share).normalize()
        if not 0 < percent < 100:
            continue
        other = with_objective(budget, Objective(percent))
        what_ifs.append(
            WhatIf(
                share,
                str(other.slo.objective),
                other.state,
                sentences.STATE_WORDS[other.state],
                show_percent(other.remaining),
                show_count(other.allowed_errors),
                sentences.forecast(other),
            )
        )
    return tuple(what_ifs)


def with_objective(budget: Budget, objective: Objective) -> Budget:
    """The same counts against another objective, by the windows and thresholds of the alerts that there are."""
    share = float(objective.error_budget) / budget.error_budget

    def scaled(rate: float | None) -> float | None:
        return None if rate is None else rate / share

    burns = tuple(Burn(burn.window, scaled(burn.long), scaled(burn.short)) for burn in budget.burns)
    other = replace(budget, slo=replace(budget.slo, objective=objective), burns=burns, forecast=None)
    steps = _pace_steps(budget)
    if other.remaining is None or other.remaining <= 0 or not 0 < steps <= budget.counts.grid.steps:
        return other
    step = budget.counts.grid.step_ms
    return replace(
        other,
        forecast=forecast(
            budget.counts.errors[-steps:],
            budget.counts.total[-steps:],
            error_budget=other.error_budget,
            remaining=other.remaining,
            period_ms=budget.slo.window.nominal_ms,
            pace_ms=steps * step,
            end=budget.end,
            until=budget.window_end if isinstance(budget.slo.window, Calendar) else None,
        ),
    )


def _pace_steps(budget: Budget) -> int:
    """How many of the last steps a forecast rests on: those of the real one, which an exhausted budget does not have."""
    from slo.budget.forecast import pace_length

    step = budget.counts.grid.step_ms
    if budget.forecast is not None:
        return round(budget.forecast.pace_ms / step)
    steps = max(1, round(pace_length(budget.slo.window.nominal_ms, step) / step))
    if budget.data_start is not None:
        steps = min(steps, max(1, round((budget.end - budget.data_start).total_seconds() * 1000 / step)))
    return steps
