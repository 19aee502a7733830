"""What no counting can give: errors below 0 or above the total. Such figures are withheld, and the cause is named."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slo.display import show_count

Floats = NDArray[np.float64]

# Sums of a month of floats are off by about 1e-13 of the total; one event of a hundred million is not rounding.
_ROUNDING = 1e-9
_BELOW = (
    "usually the good events match series that the total does not have, a series or its `le` was spelled anew, or a gauge "
    "is used as a counter"
)
_ABOVE = (
    "usually the errors match series that the total does not have, are counted in another unit or place than the total, or "
    "one of the two metrics was renamed"
)

CAUSES = (
    "usually errors and total are counted in different places, or match different series, or one of them is a gauge"
)


def possible(errors: Any, total: Any) -> Any:
    """Whether 0 <= errors <= total holds, beyond rounding, for numbers of events (floats, or arrays of them)."""
    slack = _ROUNDING * np.maximum(1.0, np.abs(total))
    return (errors >= -slack) & (errors <= total + slack) & np.isfinite(total)


def ratio_of(errors: float, total: float) -> float | None:
    """Bad events out of all, 0..1; None without traffic, and where the two cannot both be true."""
    return min(1.0, max(0.0, errors / total)) if total > 0 and possible(errors, total) else None


def impossible(errors: float, total: float, where: str) -> str | None:
    """Why events counted `where` (`in the window`) cannot be believed, with their usual causes; None where they can."""
    if bool(possible(errors, total)):
        return None
    if not (np.isfinite(errors) and np.isfinite(total)):
        return (
            f"{show_number(errors)} errors of {show_number(total)} events {where}: these are not numbers of events; usually an "
            "expression divides by zero or multiplies what has no bound"
        )
    counted = f"{show_count(errors)} errors of {show_count(total)} events {where}"
    if total < 0:
        return f"{counted}: there cannot be fewer events than none; usually a gauge or a sum is used as a counter"
    if errors < 0:
        return f"{counted}: errors cannot be below 0; {_BELOW}"
    return f"{counted}: errors cannot exceed the total; {_ABOVE}"


def show_number(value: float) -> str:
    """A number that may be infinite or none."""
    return show_count(value) if np.isfinite(value) else f"{value:g}"


def impossible_steps(errors: Floats, total: Floats) -> NDArray[np.int64]:
    """The indexes of the steps whose errors are below 0 or above their total; steps of which nothing is known have none."""
    known = ~(np.isnan(errors) | np.isnan(total))
    return np.flatnonzero(known & ~possible(errors, total))
