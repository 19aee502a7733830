"""Every recorded name and every label of the rules, in one place: `level:metric:operations`, as Prometheus advises.

Where a series means what Sloth's documentation says of one, it has that name. `SLOTH` also has its labels, so that its
dashboards and alert routes keep working.
"""

from __future__ import annotations

from dataclasses import dataclass

from slo.promql.ast import Matcher, VectorSelector
from slo.spec.model import Slo
from slo.window import DAY, WEEK, format_duration

OBJECTIVE = "slo:objective:ratio"
ERROR_BUDGET = "slo:error_budget:ratio"
PERIOD_DAYS = "slo:time_period:days"
CURRENT_BURN_RATE = "slo:current_burn_rate:ratio"
PERIOD_ERROR = "slo:period_error:ratio"
PERIOD_COVERAGE = "slo:period_coverage:ratio"
PERIOD_BURN_RATE = "slo:period_burn_rate:ratio"
BUDGET_REMAINING = "slo:period_error_budget_remaining:ratio"
# Which calendar week, month, quarter or year a tile belongs to: one more value a window.
PERIOD_LABEL = "period"
# Of the info series: what the tiles of the same moment count.
FINGERPRINT_LABEL = "sli_fingerprint"


def events_tile_name(tile_ms: int) -> str:
    """Events per tile: two of all, good and bad ones, by the label `event`."""
    return f"slo:events:increase{format_duration(tile_ms)}"


def period_tile_name(tile_ms: int) -> str:
    """Events per tile of a calendar window, labelled with the window that the tile lies in."""
    return f"slo:period_events:increase{format_duration(tile_ms)}"


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
        """The labels that every series of an SLO has. A tile has no more: a label that changes would break its history."""
        result = {**slo.recorded_labels, self.service: slo.service, self.slo: slo.name}
        return result if self.id is None else {self.id: f"{slo.service}-{slo.name}", **result}

    def shown(self, slo: Slo) -> dict[str, str]:
        """The labels of what dashboards read: the definition's own too, where it says so, and as Sloth has them."""
        own = self.identity(slo)
        if slo.labels_on != "series" and self is not SLOTH:
            return own
        return {**label_texts(slo), **own}

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the identifying labels."""
        return (self.service, self.slo) if self.id is None else (self.id, self.service, self.slo)

    def series(self, slo: Slo, name: str) -> VectorSelector:
        """A recorded series of an SLO."""
        return VectorSelector(name, tuple(Matcher(label, "=", value) for label, value in self.identity(slo).items()))

    def ratio_labels(self, slo: Slo, window_ms: int) -> dict[str, str]:
        """The labels of an error ratio."""
        extra = {} if self.window is None else {self.window: self.duration(window_ms)}
        return self.shown(slo) | extra

    def duration(self, window_ms: int) -> str:
        """A length as it stands in names: Sloth has whole weeks as weeks, as Prometheus writes them."""
        weeks, rest = divmod(window_ms, WEEK)
        return f"{weeks}w" if self is SLOTH and weeks and not rest else format_duration(window_ms)

    def period_ratio_name(self, window_ms: int) -> str:
        """The error ratio of an SLO's whole window: Sloth has it alongside those of the alerts."""
        return f"slo:sli_error:ratio_rate{self.duration(window_ms)}" if self is SLOTH else PERIOD_ERROR


def label_texts(slo: Slo) -> dict[str, str]:
    """The definition's labels and owner. A label is plain text to Prometheus and a template to vmalert; this is neither."""
    texts = {**slo.labels, **({"owner": slo.owner} if slo.owner else {})}
    return {label: value.replace("{{", "{ {") for label, value in texts.items()}


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
