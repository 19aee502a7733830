"""What alerts were worth: which incidents they caught, how late, and how often they fired for nothing."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from slo.backtest.incidents import allowed, budget_share
from slo.backtest.model import WEEK_MS, BacktestIncident, Detection, Firing, Outcome, Score
from slo.promql.alerts import AlertInterval
from slo.sli.counts import Counts
from slo.spans import union
from slo.spec.model import Slo
from slo.window import MINUTE

# An alert that begins this late after an incident still catches it: a scrape, a tile and an evaluation lie between.
SLACK_MS = 5 * MINUTE
# Alerts of one SLO and severity with no longer pause between them are one message: what Alertmanager groups by default.
JOIN_MS = 5 * MINUTE
# Severities that wake somebody, where an alert is not one of our own, which know whether they page.
PAGING = ("page", "critical", "p0", "p1", "sev0", "sev1", "emergency")


@dataclass(frozen=True, slots=True)
class Fired:
    """A firing interval with what is known of its alert."""

    interval: AlertInterval
    severity: str
    page: bool

    @property
    def alert(self) -> str:
        """Its name, and its window where it has one."""
        window = dict(self.interval.labels).get("window") or dict(self.interval.labels).get("sloth_window")
        return f"{self.interval.name} {window}" if window else self.interval.name


def catch(incident: BacktestIncident, fired: Sequence[Fired], slo: Slo | None, counts: Counts | None) -> Detection:
    """The first alert that fired in an incident, or was firing already, and what the incident had consumed by then."""
    telling = [
        alert
        for alert in fired
        if alert.interval.start_ms <= incident.end_ms + SLACK_MS and alert.interval.end_ms > incident.start_ms
    ]
    known = slo is not None and counts is not None
    if not telling:
        return Detection(incident, consumed=incident.budget_share)
    first = min(telling, key=lambda alert: (max(alert.interval.start_ms, incident.start_ms), not alert.page))
    at = max(first.interval.start_ms, incident.start_ms)
    pages = [max(alert.interval.start_ms, incident.start_ms) for alert in telling if alert.page]
    consumed = budget_share(slo, counts, incident.start_ms, min(at, incident.end_ms)) if known else None  # type: ignore[arg-type]
    return Detection(incident, at, first.alert, first.severity, min(pages, default=None), consumed)


def messages(fired: Iterable[Fired], incidents: Sequence[BacktestIncident]) -> tuple[Firing, ...]:
    """Firing intervals as somebody gets them: those of one severity that overlap or nearly touch are one.

    One is right if an incident was on when it began, or ended no longer than the slack before, or began within it.
    """
    by_severity: dict[tuple[str, bool], list[Fired]] = {}
    for alert in fired:
        by_severity.setdefault((alert.severity, alert.page), []).append(alert)
    firings: list[Firing] = []
    for (severity, page), own in by_severity.items():
        together: list[Fired] = []
        end = 0
        for alert in sorted(own, key=lambda item: item.interval.start_ms):
            if together and alert.interval.start_ms > end + JOIN_MS:
                firings.append(_message(severity, page, together, incidents))
                together = []
            end = max(end, alert.interval.end_ms) if together else alert.interval.end_ms
            together.append(alert)
        firings.append(_message(severity, page, together, incidents))
    return tuple(sorted(firings, key=lambda firing: (firing.start_ms, not firing.page)))


def _message(severity: str, page: bool, together: Sequence[Fired], incidents: Sequence[BacktestIncident]) -> Firing:
    start = min(alert.interval.start_ms for alert in together)
    end = max(alert.interval.end_ms for alert in together)
    right = any(start <= incident.end_ms + SLACK_MS and end > incident.start_ms for incident in incidents)
    return Firing(severity, page, start, end, tuple(dict.fromkeys(alert.alert for alert in together)), right)


def score(
    caught: Sequence[Detection],
    firings: Sequence[Firing],
    span: tuple[int, int],
    slo: Slo | None = None,
    counts: Counts | None = None,
) -> Score:
    """The figures of one policy on one SLO."""
    delays = [detection.delay_seconds for detection in caught if detection.delay_seconds is not None]
    on = union([(firing.start_ms, firing.end_ms) for firing in firings])
    unalerted = consumed = None
    if slo is not None and counts is not None and allowed(slo, counts) > 0:
        grid = counts.grid
        middles = grid.ends - grid.step_ms // 2
        quiet = np.ones(grid.steps, dtype=bool)
        for low, high in on:
            quiet &= (middles < low) | (middles >= high)
        consumed = float(counts.errors.sum()) / allowed(slo, counts)
        unalerted = float(counts.errors[quiet].sum()) / allowed(slo, counts)
    return Score(
        incidents=len(caught),
        caught=sum(detection.at_ms is not None for detection in caught),
        firings=len(firings),
        right=sum(firing.right for firing in firings),
        pages=sum(firing.page for firing in firings),
        weeks=(span[1] - span[0]) / WEEK_MS,
        firing_seconds=sum(high - low for low, high in on) / 1000,
        delay_seconds=float(np.median(delays)) if delays else None,
        unalerted=unalerted,
        consumed=consumed,
    )


def total(outcomes: Sequence[Outcome], span: tuple[int, int]) -> Score:
    """One policy over all SLOs. What fired for several SLOs at once is one message, right if it was for one of them."""
    scores = [outcome.score for outcome in outcomes]
    consumed = [item.consumed for item in scores if item.consumed is not None]
    unalerted = [item.unalerted for item in scores if item.unalerted is not None]
    delays = [
        detection.delay_seconds
        for outcome in outcomes
        for detection in outcome.caught
        if detection.delay_seconds is not None
    ]
    messages: dict[Firing, bool] = {}
    for outcome in outcomes:
        for firing in outcome.firings:
            key = replace(firing, right=True)
            messages[key] = messages.get(key, False) or firing.right
    on = union([(message.start_ms, message.end_ms) for message in messages])
    return Score(
        incidents=sum(item.incidents for item in scores),
        caught=sum(item.caught for item in scores),
        firings=len(messages),
        right=sum(messages.values()),
        pages=sum(message.page for message in messages),
        weeks=(span[1] - span[0]) / WEEK_MS,
        firing_seconds=sum(high - low for low, high in on) / 1000,
        delay_seconds=float(np.median(delays)) if delays else None,
        unalerted=float(np.mean(unalerted)) if unalerted else None,
        consumed=float(np.mean(consumed)) if consumed else None,
    )


def severity_of(
    interval: AlertInterval,
    severities: Mapping[tuple[str, frozenset[tuple[str, str]]], str],
    pages: Sequence[tuple[str, str]] = (),
) -> tuple[str, bool]:
    """(the label `severity`, whether it pages). `pages` are a person's (label, value with `*`); they win over what is usual."""
    labels = dict(interval.labels)
    shown = labels.get("severity") or labels.get("sloth_severity") or "none"
    held = frozenset(interval.labels)
    for (name, fixed), own in severities.items():
        if name == interval.name and fixed <= held:
            return shown, own == "page"
    return shown, is_page(labels, pages)


def is_one_of(interval: AlertInterval, alerts: Iterable[tuple[str, frozenset[tuple[str, str]]]]) -> bool:
    """Whether an alert is one of some, by their names and the labels that they have."""
    held = frozenset(interval.labels)
    return any(name == interval.name and fixed <= held for name, fixed in alerts)


def is_page(labels: Mapping[str, str], pages: Sequence[tuple[str, str]] = ()) -> bool:
    """Whether an alert of another tool wakes somebody, by its labels.

    Sloth's rules say it in a label of their own, alongside a `severity` that is whatever routes the alert (`pageteam`).
    """
    if any(fnmatch.fnmatchcase(labels.get(label, ""), value) for label, value in pages):
        return True
    if own := labels.get("sloth_severity"):
        return own.lower() == "page"
    return labels.get("severity", "").lower() in PAGING
