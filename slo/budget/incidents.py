"""Stretches in which an error budget was spent faster than it lasts, found in the events themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slo.window import MINUTE

Floats = NDArray[np.float64]

# An incident spends at least this share of the period's budget, at no less than this burn rate; pauses shorter than
# the join do not end it.
INCIDENT_SHARE = 0.01
INCIDENT_BURN = 2.0
INCIDENT_JOIN_MS = 30 * MINUTE
INCIDENT_WIDEST_MS = 12 * 60 * MINUTE
_TELLING_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps [low, high) with their events; `share` is the share of the allowed errors that was spent in it."""

    low: int
    high: int
    errors: float
    total: float
    share: float


def find_incidents(
    errors: Floats,
    total: Floats,
    error_budget: float,
    allowed_errors: float,
    step_ms: int,
    burn: float = INCIDENT_BURN,
    share: float = INCIDENT_SHARE,
) -> tuple[Stretch, ...]:
    """Stretches that spent the budget at `burn` times its pace or more, and `share` of `allowed_errors` or more.

    `errors` and `total` are events per step, `error_budget` is a ratio in 0..1. The pace is taken over as many steps
    around each as hold five errors at that pace: one where traffic is dense, hours where it is sparse and a single
    error says little.
    """
    everything = float(total.sum())
    if allowed_errors <= 0 or everything <= 0:
        return ()
    expected = burn * error_budget * everything / len(total)
    width = int(min(max(1, np.ceil(_TELLING_ERRORS / expected)), INCIDENT_WIDEST_MS // step_ms, len(total)))
    around_errors, around_total = _around(errors, width), _around(total, width)
    steps = np.flatnonzero((errors > 0) & (around_errors >= burn * error_budget * around_total))
    if not len(steps):
        return ()
    breaks = np.flatnonzero(np.diff(steps) > max(1, INCIDENT_JOIN_MS // step_ms, width))
    firsts = np.concatenate([[steps[0]], steps[breaks + 1]])
    lasts = np.concatenate([steps[breaks], [steps[-1]]])
    spent = np.concatenate([[0.0], np.cumsum(errors)])
    served = np.concatenate([[0.0], np.cumsum(total)])
    found = []
    for low, high in zip(firsts.tolist(), (lasts + 1).tolist(), strict=True):
        bad = float(spent[high] - spent[low])
        if bad / allowed_errors >= share:
            found.append(Stretch(low, high, bad, float(served[high] - served[low]), bad / allowed_errors))
    return tuple(found)


def _around(amounts: Floats, width: int) -> Floats:
    """The sum over the `width` steps around each step, fewer at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(amounts)])
    index = np.arange(len(amounts))
    low, high = np.maximum(index - width // 2, 0), np.minimum(index + (width + 1) // 2, len(amounts))
    return np.asarray(sums[high] - sums[low])
