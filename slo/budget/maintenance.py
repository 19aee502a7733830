"""The figures without planned maintenance, alongside those that count it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slo.budget.possible import possible
from slo.sli.counts import Floats, Ints
from slo.spec.events import Event


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


def without_maintenance(
    events: Sequence[Event], ends: Ints, step_ms: int, errors: Floats, total: Floats, error_budget: float
) -> Without | None:
    """The figures without the steps that touch planned maintenance; None where none is planned.

    `ends` are the ends of the steps (ms UTC), `errors` and `total` their events, shape (steps,); `error_budget` is a ratio.
    """
    planned = [event for event in events if event.kind == "maintenance"]
    if not planned:
        return None
    kept = np.ones(len(ends), dtype=bool)
    for event in planned:
        kept &= (ends <= event.start_ms) | (ends - step_ms >= event.end_ms)
    bad, whole = float(errors[kept].sum()), float(total[kept].sum())
    allowed = error_budget * whole
    seconds = float((~kept).sum()) * step_ms / 1000
    if not possible(bad, whole):
        return Without(seconds, None, None, None, None)
    return Without(
        seconds=seconds,
        errors=bad,
        total=whole,
        sli=1 - bad / whole if whole > 0 else None,
        remaining=1 - bad / allowed if allowed > 0 else None,
    )
