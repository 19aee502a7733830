"""What a definition means, once it is known to be valid: frozen values that every other package reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from slo.errors import Problem
from slo.sli.base import Scraping, Sli
from slo.sli.counts import TARGET_LABELS
from slo.window import BurnWindow, Severity, Window


@dataclass(frozen=True, slots=True)
class Objective:
    """A target as people write it, exact.

    Attributes:
        percent: Above 0 and below 100, percent.

    Examples:
        >>> Objective(Decimal("99.9")).error_budget
        Decimal('0.001')
    """

    percent: Decimal

    @property
    def ratio(self) -> Decimal:
        """The target as a ratio in 0..1."""
        return self.percent / 100

    @property
    def error_budget(self) -> Decimal:
        """The share of events that may fail, a ratio in 0..1."""
        return 1 - self.percent / 100

    def __str__(self) -> str:
        return f"{self.percent.normalize():f}%"


@dataclass(frozen=True, slots=True)
class Alert:
    """How an alert fires: once its condition has held for `for_ms`, and for `keep_firing_ms` after it.

    `enabled` is False where a definition says `off`; an empty `name` is the usual one. Labels and annotations are Go
    templates.
    """

    enabled: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    for_ms: int = 0
    keep_firing_ms: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class AbsentAlert:
    """The alert for an SLO that had data and has none. Without `for_ms` it is as fast as the fastest page."""

    alert: Alert = Alert()
    severity: Severity = "ticket"
    for_ms: int | None = None


@dataclass(frozen=True, slots=True)
class BudgetAlerts:
    """Alerts once a share of the budget is consumed: `marks` are ratios, ascending. Without `keep_firing_ms` they go on
    for a thirtieth of the window."""

    marks: tuple[Decimal, ...] = ()
    alert: Alert = Alert()
    severity: Severity = "ticket"
    keep_firing_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Alerting:
    """How an SLO alerts: pages and tickets on its burn rate, on missing data and on its budget.

    `windows` are those that a team set itself; None means the catalogue, fitted. `pairs` has the alerts of windows that
    differ from their severity's. A burn-rate alert stays silent until its long window holds `least_errors` bad events.
    """

    page: Alert = Alert()
    ticket: Alert = Alert()
    windows: tuple[BurnWindow, ...] | None = None
    least_errors: int = 0
    pairs: Mapping[BurnWindow, Alert] = field(default_factory=dict)
    absent: AbsentAlert = AbsentAlert()
    budget: BudgetAlerts = BudgetAlerts()

    def of(self, severity: Severity) -> Alert:
        """The burn-rate alert of a severity."""
        return self.page if severity == "page" else self.ticket

    def of_pair(self, burn: BurnWindow) -> Alert:
        """The burn-rate alert of a pair of windows."""
        return self.pairs.get(burn) or self.of(burn.severity)


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """What `follows` once less than `below` (a ratio) of the error budget remains; below 0 means exhausted."""

    below: Decimal
    follows: str


# The SRE workbook's error-budget policy (appendix B).
WORKBOOK_POLICY = (
    PolicyStep(
        Decimal(0), "Releases stop, but for P0 and security fixes, until the service is within its objective again."
    ),
)


LabelsOn = Literal["info", "series"]


@dataclass(frozen=True, slots=True)
class Slo:
    """One SLO of one service.

    Attributes:
        service: The service.
        name: Its name, unique in the service.
        objective: The objective.
        window: The time that it holds over: rolling or calendar.
        sli: What is counted, and how.
        description: For people.
        owner: The team that owns it.
        labels: Of the SLO, for alerts and filters.
        annotations: Go templates, for its alerts.
        alerting: How it alerts.
        scrape_interval_ms: How often its metrics are scraped, milliseconds.
        file: The file that defines it.
        line: Where in the file, counted from 1.
        by: Each combination of these labels' values in the metrics has a budget of its own.
        policy: What follows when little of the budget remains, least first.
        target_labels: What names a scraped target; all but the last name its job.
        unusable: Why its figures could not be believed, whatever a source answers.
        delay_ms: Samples arrive up to this late, milliseconds.
        labels_on: `series` if the SLO's labels are on each recorded series too, else `info`.
        recorded_labels: On every recorded series, and on what the rules read of them.
        info_labels: On the info series alone.
    """

    service: str
    name: str
    objective: Objective
    window: Window
    sli: Sli
    description: str = ""
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    alerting: Alerting = Alerting()
    scrape_interval_ms: int = 30_000
    file: str = ""
    line: int = 0
    by: tuple[str, ...] = ()
    policy: tuple[PolicyStep, ...] = WORKBOOK_POLICY
    target_labels: tuple[str, ...] = TARGET_LABELS
    unusable: tuple[str, ...] = ()
    delay_ms: int = 0
    labels_on: LabelsOn = "info"
    recorded_labels: Mapping[str, str] = field(default_factory=dict)
    info_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def lag_ms(self) -> int:
        """How late rules read the present, ms: a scrape has arrived within its interval, as its time-out is no longer, and
        `delay` later at most."""
        return self.scrape_interval_ms + self.delay_ms

    @property
    def scraping(self) -> Scraping:
        """How its metrics are scraped."""
        return Scraping(self.scrape_interval_ms, self.target_labels)

    @property
    def id(self) -> str:
        """`service/name`: unique among all definitions that are read together."""
        return f"{self.service}/{self.name}"


@dataclass(frozen=True, slots=True)
class PlainAlert:
    """An alert of a service without an objective: an expression that should not hold for `for_ms`."""

    name: str
    expr: str
    for_ms: int = 0
    keep_firing_ms: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    line: int = 0  # where it is defined


@dataclass(frozen=True, slots=True)
class Service:
    """What one definition file holds.

    Attributes:
        name: The service.
        owner: The team that owns it.
        labels: Of all its SLOs.
        slos: Its SLOs, in the order of the file.
        file: The file.
        description: For people.
        alerts: Plain alerts: expressions that should not hold.
    """

    name: str
    owner: str
    labels: Mapping[str, str]
    slos: tuple[Slo, ...]
    file: str
    description: str = ""
    alerts: tuple[PlainAlert, ...] = ()


class Specs(Mapping[str, Slo]):
    """All SLOs that were read together, by id, in the order of files and lines.

    Attributes:
        services: The services, one per document.
        warnings: What is doubtful in the definitions.

    Examples:
        >>> specs["faciliauto/availability"]  # doctest: +SKIP
    """

    def __init__(self, services: Sequence[Service], warnings: Iterable[Problem] = ()) -> None:
        self.services = tuple(services)
        self.warnings = tuple(warnings)

    @cached_property
    def _by_id(self) -> Mapping[str, Slo]:
        return MappingProxyType({slo.id: slo for service in self.services for slo in service.slos})

    def __getitem__(self, key: str) -> Slo:
        try:
            return self._by_id[key]
        except KeyError:
            from slo.suggest import suggest

            raise KeyError(f"no SLO {key!r}{suggest(key, self._by_id)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __or__(self, other: Mapping[str, Slo]) -> Specs:
        """Both together, as of dicts: where both have an SLO, or a service's plain alert of one name, the right one counts."""
        if not isinstance(other, Specs):
            return NotImplemented
        alerts = {(service.name, alert.name) for service in other.services for alert in service.alerts}
        services = [
            replace(
                service,
                slos=tuple(slo for slo in service.slos if slo.id not in other),
                alerts=tuple(alert for alert in service.alerts if (service.name, alert.name) not in alerts),
            )
            for service in self.services
        ]
        left = [service for service in services if service.slos or service.alerts]
        return Specs((*left, *other.services), dict.fromkeys((*self.warnings, *other.warnings)))

    def __repr__(self) -> str:
        return f"Specs({', '.join(self._by_id)})"
