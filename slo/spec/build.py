"""From a document of the right shape to what it means; every fault that shape alone does not show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from slo.reading import Fault, Path, Report
from slo.sli.base import Sli
from slo.sli.counts import TARGET_LABELS
from slo.spec.annotations import check_annotations, linked
from slo.spec.build_alerting import Layers, build_alerting, build_plain_alerts, build_policy
from slo.spec.build_sli import build_objective_and_sli, names_another
from slo.spec.document import ServiceModel
from slo.spec.labels import check_labels
from slo.spec.model import WORKBOOK_POLICY, PolicyStep, Service, Slo
from slo.spec.read import read_delay, read_scrape_interval, read_time_zone, read_window
from slo.spec.split import grouped, split
from slo.window import DAY, Calendar, Rolling, Window

_DEFAULT_WINDOW: Window = Rolling(30 * DAY)

_DEFAULT_SCRAPE_INTERVAL_MS = 30_000


def build_service(model: ServiceModel, file: str, lines: Callable[[Path], int], report: Report) -> Service:
    """The service that a document describes. Faulty SLOs are reported and left out."""
    defaults = model.defaults
    window, scrape_ms, delay_ms = _DEFAULT_WINDOW, _DEFAULT_SCRAPE_INTERVAL_MS, 0
    report = _once(report)
    if defaults and defaults.window is not None:
        window = read_window(defaults.window, ("defaults", "window"), report) or window
    zone = None
    if defaults and defaults.time_zone is not None:
        zone = read_time_zone(defaults.time_zone, ("defaults", "time_zone"), report)
    if defaults and defaults.scrape_interval is not None:
        scrape_ms = read_scrape_interval(defaults.scrape_interval, ("defaults", "scrape_interval"), report) or scrape_ms
    if defaults and defaults.delay is not None:
        delay_ms = read_delay(defaults.delay, ("defaults", "delay"), report) or 0
    check_labels(model, report)
    check_annotations(model, report)
    base_labels = dict(model.labels)
    base_annotations: dict[str, str] = {}
    base_policy: tuple[PolicyStep, ...] = WORKBOOK_POLICY
    base_alerting: Layers = ()
    if defaults:
        base_labels |= defaults.labels
        base_annotations = linked(defaults, {}, ("defaults",), report)
        base_alerting = ((("defaults", "alerting"), defaults.alerting),)
        if defaults.policy is not None:
            base_policy = build_policy(defaults.policy, ("defaults", "policy"), report)
    slos: list[Slo] = []
    built: dict[str, Sli | None] = {}
    # An outage is of another SLO, wherever that stands, so outages come last.
    order = sorted(range(len(model.slos)), key=lambda index: names_another(model.slos[index].sli))
    for index in order:
        entry, path = model.slos[index], ("slos", index)
        own_window = window if entry.window is None else read_window(entry.window, (*path, "window"), report)
        own_zone = zone if entry.time_zone is None else read_time_zone(entry.time_zone, (*path, "time_zone"), report)
        if isinstance(own_window, Calendar) and own_zone is not None:
            own_window = replace(own_window, zone=own_zone)
        elif own_window is not None and entry.time_zone is not None and own_zone is not None:
            report((*path, "time_zone"), f"is of calendar windows, and the window is {own_window}", "warning")
        own_scrape, own_delay = scrape_ms, delay_ms
        if entry.scrape_interval is not None:
            own_scrape = read_scrape_interval(entry.scrape_interval, (*path, "scrape_interval"), report) or own_scrape
        if entry.delay is not None:
            own_delay = read_delay(entry.delay, (*path, "delay"), report) or 0
        unusable: list[str] = []
        try:
            objective, sli = build_objective_and_sli(entry, path, _noting(report, unusable), own_scrape, built)
        except Fault:
            built[entry.name] = None
            continue
        built[entry.name] = sli
        if own_window is None:
            continue
        try:
            layers = (*base_alerting, ((*path, "alerting"), entry.alerting))
            alerting = build_alerting(layers, objective, own_window, report)
        except Fault:
            continue
        slo = Slo(
            service=model.service,
            name=entry.name,
            objective=objective,
            window=own_window,
            sli=sli,
            description=entry.description,
            owner=model.owner if entry.owner is None else entry.owner,
            labels=base_labels | entry.labels,
            annotations=linked(entry, base_annotations, path, report),
            alerting=alerting,
            scrape_interval_ms=own_scrape,
            file=file,
            line=lines(path),
            policy=build_policy(entry.policy, (*path, "policy"), report) if entry.policy is not None else base_policy,
            unusable=tuple(unusable),
            target_labels=tuple(entry.target_labels or (defaults and defaults.target_labels) or TARGET_LABELS),
            delay_ms=own_delay,
            labels_on=entry.labels_on or (defaults and defaults.labels_on) or "info",
            recorded_labels=dict(defaults.recorded_labels) if defaults else {},
            info_labels={**(defaults.info_labels if defaults else {}), **entry.info_labels},
        )
        try:
            if isinstance(entry.by, list):
                slos.append(grouped(slo, entry.by, (*path, "by"), report))
            else:
                slos += split(slo, entry.by, (*path, "by"), report) if entry.by else (slo,)
        except Fault:
            continue
    slos.sort(key=lambda slo: slo.line)
    alerts = build_plain_alerts(model, base_labels, base_annotations, lines, report)
    return Service(model.service, model.owner, dict(model.labels), tuple(slos), file, model.description, alerts)


def _once(report: Report) -> Report:
    """Reports what is said of the defaults once, not for each SLO that they are of."""
    said: set[tuple[Path, str]] = set()

    def once(path: Path, message: str, severity: str) -> None:
        if (path, message) not in said:
            said.add((path, message))
            report(path, message, severity)

    return once


def _noting(report: Report, unusable: list[str]) -> Report:
    """Reports, and notes why an SLO's figures are withheld."""

    def noting(path: Path, message: str, severity: str) -> None:
        if severity == "withheld":
            unusable.append(f"{path[-1]}: {message}")
        report(path, message, severity)

    return noting
