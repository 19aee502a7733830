"""When an error budget ends at the current pace, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slo.window import DAY, format_duration, utc_text

Floats = NDArray[np.float64]

PARTS = 12
# The share of cases that the range is made to hold, and its quantile of a normal distribution.
CONFIDENCE = 0.8
_Z = 1.2815515655446004
_FARTHEST = 10  # windows ahead; what lies beyond is said to be there


@dataclass(frozen=True, slots=True)
class Forecast:
    """The pace (a burn rate) of the last `pace_ms`, its 80 % interval, and when the budget ends at each of them.

    `at` is the end at `pace`, `earliest` at `high`, `latest` at `low`; None where the budget lasts.
    """

    pace_ms: int
    pace: float
    low: float
    high: float
    at: datetime | None
    earliest: datetime | None
    latest: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "pace_window": format_duration(self.pace_ms),
            "burn_rate": self.pace,
            "confidence": CONFIDENCE,
            "burn_rate_low": self.low,
            "burn_rate_high": self.high,
            "exhaustion_earliest": utc_text(self.earliest),
            "exhaustion_latest": utc_text(self.latest),
        }


def pace_length(period_ms: int, step_ms: int) -> int:
    """Over how long the pace is taken: a tenth of the window, three days at most."""
    return max(step_ms, min(period_ms // 10, 3 * DAY))


def forecast(
    errors: Floats,
    total: Floats,
    *,
    error_budget: float,
    remaining: float,
    period_ms: int,
    pace_ms: int,
    end: datetime,
    until: datetime | None,
) -> Forecast | None:
    """The forecast from the events of the pace's steps; None without traffic in them.

    The end is left × window ÷ burn rate (the SRE workbook's time to exhaustion, chapter 5). The pace is a ratio of sums, so
    its variance is the ratio estimator's (Cochran, Sampling Techniques, 6.4) over twelve equal parts, and never below that
    of a Poisson count of the errors; the quantile is Student's. `until` is a calendar window's end, beyond which its
    budget lasts; None for a rolling one, which lasts at a burn rate up to 1.
    """
    events = float(total.sum())
    if events <= 0:
        return None
    bad = float(errors.sum())
    ratio = bad / events
    parts = min(PARTS, len(errors))
    edges = np.linspace(0, len(errors), parts + 1).astype(int)[:-1]
    rest = np.add.reduceat(errors, edges) - ratio * np.add.reduceat(total, edges)
    spread = parts / (parts - 1) * float((rest**2).sum()) if parts > 1 else 0.0
    half = _student(max(1, parts - 1)) * max(spread, bad, 1.0) ** 0.5 / events
    pace, low, high = ratio / error_budget, max(0.0, ratio - half) / error_budget, (ratio + half) / error_budget

    def ends(rate: float) -> datetime | None:
        if rate <= 0 or (until is None and rate <= 1):
            return None
        at = end + timedelta(milliseconds=min(remaining * period_ms / rate, _FARTHEST * period_ms))
        return None if until is not None and at >= until else at

    return Forecast(pace_ms, pace, low, high, ends(pace), ends(high), ends(low))


def _student(freedom: int) -> float:
    """The quantile of Student's distribution, by its expansion about the normal one (Abramowitz and Stegun, 26.7.5)."""
    z, n = _Z, float(freedom)
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
