"""What a backtest gives: when each alert would have fired, and what it would have been worth. Times are milliseconds UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from slo.promql.alerts import AlertInterval
from slo.sli.counts import Counts
from slo.spec.model import Slo

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Origin = Literal["given", "planted", "found"]
WEEK_MS = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class BacktestIncident:
    """A stretch that an alert should have caught.

    Attributes:
        name: What it is called.
        start_ms: Its start, milliseconds UTC.
        end_ms: Its end, milliseconds UTC.
        origin: `given` by a file, `planted` by a simulation, or `found` in the SLI.
        budget_share: The share (a ratio) of the SLO's whole error budget that it consumed; None where the SLI is not known.
    """

    name: str
    start_ms: int
    end_ms: int
    origin: Origin
    budget_share: float | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of an incident under one policy.

    Attributes:
        incident: The incident.
        at_ms: When the first alert fired for it, milliseconds UTC; None where none did.
        alert: The name of that alert.
        severity: The severity of that alert.
        paged_ms: When the first page fired, milliseconds UTC.
        consumed: The share (a ratio) of the SLO's whole error budget that the incident had consumed when the first alert fired;
            where none did, all that it consumed.
    """

    incident: BacktestIncident
    at_ms: int | None = None
    alert: str = ""
    severity: str = ""
    paged_ms: int | None = None
    consumed: float | None = None

    @property
    def delay_seconds(self) -> float | None:
        """From the incident's start to the first alert; 0 where one was firing already."""
        return None if self.at_ms is None else max(0, self.at_ms - self.incident.start_ms) / 1000


@dataclass(frozen=True, slots=True)
class Firing:
    """Alerts of one severity that fired without a pause: one message to somebody.

    Attributes:
        severity: Of the alerts.
        page: Whether it wakes somebody.
        start_ms: When the first alert fired, milliseconds UTC.
        end_ms: When the last one resolved, milliseconds UTC.
        alerts: The names of the alerts.
        right: Whether an incident was on.
    """

    severity: str
    page: bool
    start_ms: int
    end_ms: int
    alerts: tuple[str, ...]
    right: bool

    @property
    def seconds(self) -> float:
        """How long."""
        return (self.end_ms - self.start_ms) / 1000


@dataclass(frozen=True, slots=True)
class Score:
    """One policy on one SLO, or on all of them. Ratios are 0..1, and None where there was nothing to judge.

    Attributes:
        incidents: The number of incidents.
        caught: The number of incidents that an alert fired for.
        firings: The number of messages.
        right: The number of messages during an incident.
        pages: The number of messages that wake somebody.
        weeks: The length of the history, weeks.
        firing_seconds: How long alerts fired in all, seconds.
        delay_seconds: The median delay of the incidents that were caught, seconds.
        unalerted: The share (a ratio) of the whole error budget that was consumed while no alert fired; over several SLOs a mean.
        consumed: The share (a ratio) of the whole error budget that was consumed in all; over several SLOs a mean.
    """

    incidents: int
    caught: int
    firings: int
    right: int
    pages: int
    weeks: float
    firing_seconds: float
    delay_seconds: float | None = None
    unalerted: float | None = None
    consumed: float | None = None

    @property
    def recall(self) -> float | None:
        """Incidents caught, of all incidents."""
        return self.caught / self.incidents if self.incidents else None

    @property
    def precision(self) -> float | None:
        """Firings during an incident, of all firings."""
        return self.right / self.firings if self.firings else None

    @property
    def pages_per_week(self) -> float:
        """Messages that wake somebody."""
        return self.pages / self.weeks


@dataclass(frozen=True, eq=False)
class Outcome:
    """One policy on one SLO.

    Attributes:
        slo: The SLO's id.
        policy: The policy's name.
        caught: What became of each incident.
        firings: The messages.
        intervals: The alerts' states as Prometheus would have had them.
        score: What it was worth.
    """

    slo: str
    policy: str
    caught: tuple[Detection, ...]
    firings: tuple[Firing, ...]
    intervals: tuple[AlertInterval, ...]
    score: Score


@dataclass(frozen=True, eq=False)
class Played:
    """A policy over the whole history.

    Attributes:
        name: The policy's name.
        outcomes: Its outcome for each SLO, by id.
        others: Alerts that belong to no SLO.
        score: What it was worth over all SLOs.
        problems: What went wrong.
        rules: The number of rules that were evaluated.
    """

    name: str
    outcomes: Mapping[str, Outcome]
    others: tuple[AlertInterval, ...]
    score: Score
    problems: tuple[str, ...] = ()
    rules: int = 0


@dataclass(frozen=True, eq=False)
class Backtest:
    """What alert policies would have done on history.

    Attributes:
        start_ms: The start, milliseconds UTC.
        end_ms: The end, milliseconds UTC.
        slos: The SLOs by id.
        timelines: Bad and all events per step of each SLO, by id.
        incidents: The incidents of each SLO, by id.
        policies: The policies, the definitions' own first.
        source: The name of the source, without credentials.
        samples: The number of samples that were read.
        notes: What must be known about the history.
    """

    start_ms: int
    end_ms: int
    slos: Mapping[str, Slo]
    timelines: Mapping[str, Counts]
    incidents: Mapping[str, tuple[BacktestIncident, ...]]
    policies: tuple[Played, ...]
    source: str = ""
    samples: int = 0
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> Played | None:
        """Of the policies that catch the most incidents the one with the fewest pages, then firings, then the quickest.

        None with only one policy, or where nothing tells them apart.
        """
        if len(self.policies) < 2:
            return None
        ranked = sorted(self.policies, key=lambda policy: _rank(policy.score))
        return ranked[0] if _rank(ranked[0].score) < _rank(ranked[1].score) else None

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row per policy and SLO: incidents, caught, recall, firings, precision, pages_per_week, firing_hours,
        median_delay_seconds, budget_consumed, budget_unalerted (shares of the whole error budget)."""
        import pandas as pd

        rows = [
            {
                "policy": played.name,
                "slo": name,
                "incidents": score.incidents,
                "caught": score.caught,
                "recall": score.recall,
                "firings": score.firings,
                "precision": score.precision,
                "pages_per_week": score.pages_per_week,
                "firing_hours": score.firing_seconds / 3600,
                "median_delay_seconds": score.delay_seconds,
                "budget_consumed": score.consumed,
                "budget_unalerted": score.unalerted,
            }
            for played in self.policies
            for name, score in ((outcome.slo, outcome.score) for outcome in played.outcomes.values())
        ]
        columns = list(rows[0]) if rows else ["policy", "slo"]
        return pd.DataFrame(rows, columns=columns).set_index(["policy", "slo"])

    @cached_property
    def caught(self) -> pd.DataFrame:
        """A row per policy, SLO and incident: its start, end and origin, the alert that caught it, and when."""
        import pandas as pd

        rows = [
            {
                "policy": played.name,
                "slo": outcome.slo,
                "incident": detection.incident.name,
                "start": _moment(detection.incident.start_ms),
                "end": _moment(detection.incident.end_ms),
                "origin": detection.incident.origin,
                "budget_share": detection.incident.budget_share,
                "alert": detection.alert or None,
                "severity": detection.severity or None,
                "fired": _moment(detection.at_ms),
                "delay_seconds": detection.delay_seconds,
                "budget_consumed_by_then": detection.consumed,
            }
            for played in self.policies
            for outcome in played.outcomes.values()
            for detection in outcome.caught
        ]
        return pd.DataFrame(rows, columns=list(rows[0]) if rows else ["policy", "slo", "incident"])

    @cached_property
    def alerts(self) -> pd.DataFrame:
        """A row per alert interval: policy, slo, alert, labels, state, start, end (UTC), open."""
        import pandas as pd

        rows = [
            (played.name, name, interval.name, dict(interval.labels), interval.state, _moment(interval.start_ms), _moment(interval.end_ms), interval.open)
            for played in self.policies
            for name, intervals in (
                *((outcome.slo, outcome.intervals) for outcome in played.outcomes.values()),
                ("", played.others),
            )
            for interval in intervals
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["policy", "slo", "alert", "labels", "state", "start", "end", "open"])


def _rank(score: Score) -> tuple[float, ...]:
    delay = score.delay_seconds
    return (-score.caught, score.pages, score.firings, float("inf") if delay is None else delay)


def _moment(at_ms: int | None) -> pd.Timestamp | None:
    import pandas as pd

    return None if at_ms is None else pd.Timestamp(at_ms, unit="ms", tz="UTC")
