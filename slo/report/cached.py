"""What several drawings of one budget need, computed once: a budget is drawn in one go, and then the next."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from slo.budget.model import Budget, Timeline


@lru_cache(maxsize=2)
def timeline(budget: Budget) -> Timeline:
    """`budget.timeline`; not to be changed."""
    return budget.timeline


@lru_cache(maxsize=10)
def burn_rates(budget: Budget, window_ms: int) -> NDArray[np.float64]:
    """`budget.burn_rates` of the whole grid; not to be changed."""
    return budget.burn_rates(window_ms)
