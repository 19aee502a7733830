"""Every recorded name and every label of the rules, in one place: `level:metric:operations`, as Prometheus advises.

Where a series means what Sloth's documentation says of one, it has that name. `SLOTH` also has its labels, so that its
dashboards and alert routes keep working.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from slo.promql.ast import Matcher, VectorSelector
from slo.spec.model import Slo
from slo.window import DAY, format_duration

OBJECTIVE = "slo:objective:ratio"
ERROR_BUDGET = "slo:error_budget:ratio"
PERIOD_DAYS = "slo:time_period:days"
CURRENT_BURN_RATE = "slo:current_burn_rate:ratio"
PERIOD_ERRORS = "slo:period_errors:sum"
PERIOD_EVENTS = "slo:period_events:sum"
PERIOD_BURN_RATE = "slo:period_burn_rate:ratio"
BUDGET_REMAINING = "slo:period_error_budget_remaining:ratio"
# Which calendar week, month, quarter or year a tile belongs to: one more value a period.
PERIOD_LABEL = "period"


def errors_tile_name(tile_ms: int) -> str:
    """Bad events per tile."""
    return f"slo:errors:increase{format_duration(tile_ms)}"


def events_tile_name(tile_ms: int) -> str:
    """All events per tile."""
    return f"slo:events:increase{format_duration(tile_ms)}"


def period_tile_name(what: str, tile_ms: int) -> str:
    """Events per tile of a calendar period, labelled with the period that the tile lies in."""
    return f"slo:period_{what}:increase{format_duration(tile_ms)}"


def down_name(tile_ms: int) -> str:
    """Whether the service was down in a tile: 1 or 0."""
    return f"slo:down:bool{format_duration(tile_ms)}"


def error_ratio_name(window_ms: int) -> str:
    """The share of bad events over a window."""
    return f"slo:sli_error:ratio_rate{format_duration(window_ms)}"


@dataclass(frozen=True, slots=True)
class Names:
    """Which labels tell SLOs apart, and what else differs between the conventions."""

    info: str
    service: str
    slo: str
    id: str | None = None
    window: str | None = None  # a label of error ratios with their window
    severity: str | None = None  # a second label of alerts with `page` or `ticket`

    def identity(self, slo: Slo) -> dict[str, str]:
        """The labels that every series of an SLO has. No more: a label that changes would break its history."""
        found = {self.service: slo.service, self.slo: slo.name}
        return found if self.id is None else {self.id: f"{slo.service}-{slo.name}", **found}

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the identifying labels."""
        return (self.service, self.slo) if self.id is None else (self.id, self.service, self.slo)

    def series(self, slo: Slo, name: str) -> VectorSelector:
        """A recorded series of an SLO."""
        return VectorSelector(name, self.matchers(slo.service, slo.name))

    @lru_cache(maxsize=64)  # noqa: B019 - there are two conventions, and they live as long as the program
    def matchers(self, service: str, name: str) -> tuple[Matcher, ...]:
        """What selects the series of one SLO; it is the same tuple in all its rules."""
        labels = {self.service: service, self.slo: name}
        if self.id is not None:
            labels = {self.id: f"{service}-{name}", **labels}
        return tuple(Matcher(label, "=", value) for label, value in labels.items())

    def ratio_labels(self, slo: Slo, window_ms: int) -> dict[str, str]:
        """The labels of an error ratio."""
        extra = {} if self.window is None else {self.window: format_duration(window_ms)}
        return self.identity(slo) | extra


OWN = Names(info="slo_info", service="service", slo="slo")
SLOTH = Names(
    info="sloth_slo_info",
    service="sloth_service",
    slo="sloth_slo",
    id="sloth_id",
    window="sloth_window",
    severity="sloth_severity",
)
NAMES = {"slo": OWN, "sloth": SLOTH}


def days(window_ms: int) -> float:
    """A length in days."""
    return window_ms / DAY
