"""An SLO's events in a ledger."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Entry:
    """An SLO's bad and all events per step of 5 minutes.

    Attributes:
        ends: The steps' ends, ascending, milliseconds UTC.
        errors: Bad events.
        total: All events, above 0.
        sli: The fingerprint of the SLI definition that counted them; "" says nothing.
        objective: The objective then, as a ratio; None where it is not known.
    """

    ends: Ints
    errors: Floats
    total: Floats
    sli: str = ""
    objective: Decimal | None = None
