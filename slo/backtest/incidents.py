"""Which incidents there were: from a YAML or CSV file, as planted by a simulation, or found in the SLI itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from slo.backtest.model import BacktestIncident, Origin
from slo.budget.incidents import INCIDENT_BURN, find_incidents
from slo.errors import DefinitionError, Problem
from slo.sli.counts import Counts
from slo.spec.events import Event, read_events
from slo.spec.model import Slo


def read_incidents(path: str | os.PathLike[str]) -> tuple[Event, ...]:
    """The incidents of an events file (see `slo.spec.events`).

    Args:
        path: A YAML or CSV file.

    Returns:
        The incidents, ascending by start.

    Raises:
        DefinitionError: All faults of the file, or that it holds no incident.
    """
    events = tuple(event for event in read_events(path) if event.kind == "incident")
    if not events:
        raise DefinitionError([Problem(str(path), 0, 0, "", "holds no incident; each needs start and end")])
    return events


def planted(truth: Mapping[str, Any]) -> tuple[Event, ...]:
    """The incidents that a simulation planted, each for the SLO that it was planned for.

    Args:
        truth: Of a recording's header.

    Returns:
        The incidents, milliseconds UTC.
    """
    return tuple(
        Event(int(planned["start_ms"]), int(planned["end_ms"]), str(planned["kind"]), str(planned["slo"]))
        for planned in truth.get("incidents", ())
        if "of" not in planned
    )


def of_slo(
    reported: Sequence[Event], slo: Slo, counts: Counts, span: tuple[int, int], origin: Origin
) -> tuple[BacktestIncident, ...]:
    """Those that are this SLO's and touch the span, with what they consumed.

    A planted one that consumed nothing is left out: what a simulation did to a value that keeps to its bound is not
    an incident. One that a person reported stays: that the SLI did not see it is worth knowing.
    """
    incidents = (
        BacktestIncident(
            event.name, event.start_ms, event.end_ms, origin, budget_share(slo, counts, event.start_ms, event.end_ms)
        )
        for event in sorted(reported, key=lambda event: event.start_ms)
        if event.is_of(slo.id) and event.start_ms < span[1] and event.end_ms > span[0]
    )
    return tuple(incident for incident in incidents if origin != "planted" or incident.budget_share)


def found_in(slo: Slo, counts: Counts, burn: float = INCIDENT_BURN) -> tuple[BacktestIncident, ...]:
    """The incidents in the SLI itself: a burn rate of `burn` or above that consumed 1 % of the budget or more."""
    grid = counts.grid
    stretches = find_incidents(
        counts.errors, counts.total, float(slo.objective.error_budget), allowed(slo, counts), grid.step_ms, burn
    )
    return tuple(
        BacktestIncident("incident", grid.start_ms + stretch.low * grid.step_ms, grid.start_ms + stretch.high * grid.step_ms, "found", stretch.share)
        for stretch in stretches
    )  # fmt: skip


def allowed(slo: Slo, counts: Counts) -> float:
    """The whole error budget in events: of the traffic that this history has in one window of the SLO, on average."""
    length = counts.grid.steps * counts.grid.step_ms
    return float(slo.objective.error_budget) * float(counts.total.sum()) * slo.window.nominal_ms / length


def budget_share(slo: Slo, counts: Counts, start_ms: int, end_ms: int) -> float | None:
    """The share of the whole error budget that was consumed from `start_ms` to `end_ms`, to the step."""
    whole = allowed(slo, counts)
    if whole <= 0:
        return None
    grid = counts.grid
    low = max(0, (start_ms - grid.start_ms) // grid.step_ms)
    high = max(low, -(-(end_ms - grid.start_ms) // grid.step_ms))
    return float(counts.errors[low:high].sum()) / whole
