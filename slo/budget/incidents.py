"""Incidents: stretches that used the error budget quickly, found in the events themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slo.budget.possible import ratio_of
from slo.spans import edges
from slo.window import MINUTE, utc_text

Floats = NDArray[np.float64]

# An incident burns at this rate or above, and consumes at least this share of the window's error budget.
INCIDENT_BURN = 2.0
INCIDENT_SHARE = 0.01
# A quiet pause ends an incident where it has as much traffic as this long has on average; nights hardly count.
QUIET_MS = 120 * MINUTE
# Sparse traffic is quiet by chance: a pause is quiet where this many errors fewer came than a pause just not quiet has,
# or this share of the allowed errors where that is less.
_QUIET_ERRORS = 10.0
_QUIET_SHARE = 0.1
# A stretch that chance would bring this often in a window, at a burn rate of 1, is not an incident; one that consumes
# the share below is, however few its errors.
_BY_CHANCE = 0.25
_LARGE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Incident:
    """A stretch that used the error budget quickly, with all events from its start to its end.

    Attributes:
        start: Its first step's start, UTC.
        end: Its last step's end, UTC.
        errors: Bad events.
        total: All events.
        budget_share: The share (a ratio) of the window's whole error budget that it consumed.
    """

    start: datetime
    end: datetime
    errors: float
    total: float
    budget_share: float

    @property
    def error_ratio(self) -> float | None:
        """Bad events out of all, 0..1; None without traffic, or where there are more bad events than events."""
        return ratio_of(self.errors, self.total)

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "start": utc_text(self.start),
            "end": utc_text(self.end),
            "errors": self.errors,
            "total": self.total,
            "error_ratio": self.error_ratio,
            "budget_share": self.budget_share,
        }


@dataclass(frozen=True, slots=True)
class Downtime:
    """One outage of an `outage` SLI, of any length.

    Attributes:
        start: The start of its first slice that was down, UTC.
        end: The end of its last slice that was down, UTC.
    """

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.end - self.start).total_seconds()

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {"start": utc_text(self.start), "end": utc_text(self.end), "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps [low, high) with all their events; `share` is the share of the allowed errors that they consumed, a ratio."""

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
    """Stretches with a burn rate of `burn` or above that consumed `share` of `allowed_errors` or more, in order.

    `errors` and `total` are events per step, shape (steps,), finite; `error_budget` is a ratio in 0..1. A stretch's burn
    rate is at or above `burn` from its start up to every other burning stretch in it, and from each of these to its end,
    pauses included; a quiet pause ends it. It counts every event from its start to its end, begins and ends with an
    error, and no two that are found could be one.
    """
    served = np.concatenate([[0.0], np.cumsum(total)])
    everything = float(served[-1])
    if not (allowed_errors > 0 and everything > 0):
        return ()
    # Nothing burns faster than by failing altogether: where `burn` is out of reach, that is the bound.
    bound = min(1.0, burn * error_budget)
    consumed = np.concatenate([[0.0], np.cumsum(errors)])
    burning = (errors > 0) & (errors >= (1 - 1e-9) * bound * total)
    starts, ends = edges(burning).T
    busy = np.flatnonzero(total)
    quiet = _Quiet(
        bound,
        everything * QUIET_MS / (step_ms * float(busy[-1] - busy[0] + 1)),
        min(_QUIET_ERRORS, _QUIET_SHARE * allowed_errors),
    )
    stretches = []
    for low, high in _whole(starts, ends, consumed, served, quiet):
        bad, events = float(consumed[high] - consumed[low]), float(served[high] - served[low])
        used = bad / allowed_errors
        # A share that is exactly the least is not lost to rounding.
        if used >= share * (1 - 1e-9) and _is_more_than_chance(bad, error_budget * events, allowed_errors):
            stretches.append(Stretch(low, high, bad, events, used))
    return tuple(stretches)


@dataclass(frozen=True, slots=True)
class _Quiet:
    """Which pauses end an incident: longer than `least` in events, and burning at half of the bound or less.

    `bound` is an error ratio; `slack` is a number of errors that chance may hold back.
    """

    bound: float
    least: float
    slack: float

    def ends(self, errors: float, events: float) -> bool:
        return events > self.least and 2 * errors + self.slack < self.bound * events


def _whole(
    starts: NDArray[np.intp], ends: NDArray[np.intp], consumed: Floats, served: Floats, quiet: _Quiet
) -> list[tuple[int, int]]:
    """Runs of burning steps joined into the largest stretches that burn at the bound throughout.

    This is the search for all maximal scoring subsequences of Ruzzo and Tompa, where a step scores its errors above the
    bound. One look at each run: `before` names for each stretch the last one that began lower, so that a search skips
    all between.
    """
    excess = consumed - quiet.bound * served
    rounding = 1e-12 * float(consumed.max() + quiet.bound * served.max())
    begun, reached = excess[starts].tolist(), excess[ends].tolist()
    bad_at_start, bad_at_end = consumed[starts].tolist(), consumed[ends].tolist()
    events_at_start, events_at_end = served[starts].tolist(), served[ends].tolist()
    # Stretches as (first run, last run), and for each the position of `before`.
    firsts: list[int] = []
    lasts: list[int] = []
    before: list[int] = []
    for run in range(len(begun)):
        first, place = run, len(firsts) - 1
        while True:
            while place >= 0 and begun[firsts[place]] > begun[first] + rounding:
                place = before[place]
            if place < 0 or reached[lasts[place]] > reached[run] + rounding:
                break
            last = lasts[place]
            if quiet.ends(bad_at_start[first] - bad_at_end[last], events_at_start[first] - events_at_end[last]):
                break
            first = firsts[place]
            del firsts[place:], lasts[place:]
            place = before[place]
            del before[len(firsts) :]
        firsts.append(first)
        lasts.append(run)
        before.append(place)
    low, high = starts[firsts].tolist(), ends[lasts].tolist()
    return list(zip(low, high, strict=True))


def _is_more_than_chance(errors: float, expected: float, allowed: float) -> bool:
    """Whether errors that come singly, at a burn rate of 1, would hardly ever lie as close as these.

    `expected` is how many such errors this stretch would have, `allowed` the window. By Chernoff's bound on the errors
    that follow a first one.
    """
    if errors >= _LARGE_SHARE * allowed:
        return True
    following = errors - 1
    if following <= expected:
        return False
    return math.log(allowed) + following - expected - following * math.log(following / expected) <= math.log(_BY_CHANCE)
