"""Hostile histories: named ones that can be checked by hand, and drawn ones.

`NAMED` holds functions that make a `History` each. `draw(seed)` draws one out of the same space; `drawn()` is the same for
hypothesis, which shrinks the choices. A history carries its definition, its samples and what must come:

    history = draw(4711)
    counts = count(history.definition, history.samples, history.grid)     # whichever path
    problem = history.problem(counts.errors, counts.total)                # None, or what is wrong in words
"""

from __future__ import annotations

from tests.contract.hazards import HAZARDS, draw, drawn
from tests.contract.history import (
    IMPOSSIBLE,
    IN_DOUBT,
    NO_BOUND,
    NOTHING_MATCHED,
    SEVERAL_WRITERS,
    History,
    Setting,
    State,
    finish,
    setting,
)
from tests.contract.kinds import COUNTED, COUNTERS, KINDS, Kind
from tests.contract.named import NAMED

__all__ = [
    "COUNTED",
    "COUNTERS",
    "HAZARDS",
    "IMPOSSIBLE",
    "IN_DOUBT",
    "KINDS",
    "NAMED",
    "NOTHING_MATCHED",
    "NO_BOUND",
    "SEVERAL_WRITERS",
    "History",
    "Kind",
    "Setting",
    "State",
    "draw",
    "drawn",
    "finish",
    "setting",
]
