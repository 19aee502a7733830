"""What goes wrong, as a person wrote it down: instead of incidents that are drawn by chance."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from slo.errors import DefinitionError
from slo.fields import Model
from slo.reading import Fault, Report, parse_quantity, read_duration
from slo.source.simulation.fleet import KINDS, FleetEvent
from slo.source.simulation.plan import Span
from slo.spec.model import Specs
from slo.spec.single import parse_single, read_text
from slo.spec.yaml import Path as YamlPath
from slo.spec.yaml import show_path
from slo.suggest import suggest
from slo.window import DAY, MINUTE, moment

_FIXED_LABELS = ("__name__", "job", "instance", "le")


class _IncidentModel(Model):
    """One incident: of an SLO, of a plain alert, or a pause of all scraping."""

    kind: str
    at: Annotated[str, Field(description="since the simulation's start", examples=["3d10h"])]
    lasts: str
    slo: str | None = None
    alert: str | None = None
    error_ratio: Annotated[str | None, Field(description="the share of bad events", examples=["8%"])] = None
    level: Annotated[str | None, Field(description="the value that is reached, in bounds", examples=["1.5"])] = None
    ramp: Annotated[bool, Field(description="the level is reached little by little")] = False
    instance: Annotated[
        str | None,
        Field(description="the only one that has it, of an SLO that counts events", examples=["shop-1:8080"]),
    ] = None
    labels: Annotated[
        dict[str, str] | None,
        Field(description="which events are the bad ones, of a ratio", examples=[{"route": "/export"}]),
    ] = None


class _EventModel(Model):
    """What happens to a fleet; it is not an incident, and no event of an SLI."""

    kind: str
    at: Annotated[str, Field(description="since the simulation's start", examples=["3d10h"])]
    lasts: Annotated[str | None, Field(description="5m if not given; of a relabelling there is no end")] = None
    every: Annotated[
        str | None, Field(description="a deployment or an autoscaling comes again; a crash loop restarts each 1m")
    ] = None
    job: Annotated[str | None, Field(description="all jobs if not given")] = None
    instance: Annotated[str | None, Field(description="which one crashes; the job's first if not given")] = None
    replicas: Annotated[str | None, Field(description="how many instances run; 4 otherwise", examples=["12"])] = None
    labels: Annotated[dict[str, str] | None, Field(description="what is added", examples=[{"cluster": "eu"}])] = None


class _TrafficModel(Model):
    """How many requests there are."""

    per_second: Annotated[str | None, Field(description="of each instance, at most")] = None
    steady: Annotated[bool, Field(description="the same by day and night")] = False


class _ScenarioModel(Model):
    """All that goes wrong in a simulation."""

    description: str = ""
    traffic: _TrafficModel | None = None
    steady_errors: Annotated[
        str | None, Field(description="the share of each budget that steady errors consume; 10% if not given")
    ] = None
    labels: Annotated[
        dict[str, dict[str, list[str]]],
        Field(
            default_factory=dict,
            description="by job: labels of its counters of events that no selector names, and their values",
            examples=[{"shop": {"route": ["/", "/export"]}}],
        ),
    ]
    incidents: Annotated[list[_IncidentModel], Field(default_factory=list)]
    events: Annotated[list[_EventModel], Field(default_factory=list)]


@dataclass(frozen=True)
class Scenario:
    """Incidents by SLO id and by plain alert (`service/alert`), in milliseconds since the start; pauses of scraping."""

    slos: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    alerts: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    gaps: tuple[Span, ...] = ()
    events: tuple[FleetEvent, ...] = ()
    per_second: float = 6.0
    steady: bool = False
    steady_errors: float = 0.1
    labels: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def moved(self, start_ms: int) -> Scenario:
        """The same in milliseconds UTC of a simulation that starts then."""

        def spans(planned: tuple[Span, ...]) -> tuple[Span, ...]:
            return tuple(replace(s, start_ms=start_ms + s.start_ms, end_ms=start_ms + s.end_ms) for s in planned)

        return replace(
            self,
            slos={name: spans(planned) for name, planned in self.slos.items()},
            alerts={name: spans(planned) for name, planned in self.alerts.items()},
            gaps=spans(self.gaps),
            events=tuple(event.moved(start_ms) for event in self.events),
        )


def read_scenario(path: str | os.PathLike[str], specs: Specs) -> Scenario:
    """The scenario of a file, for these definitions. Raises DefinitionError with every fault."""
    model, report, problems = parse_single(
        read_text(path), str(path), _ScenarioModel, "a scenario is one mapping with `incidents:`", _accepted
    )
    slos: dict[str, list[Span]] = {}
    alerts: dict[str, list[Span]] = {}
    gaps: list[Span] = []
    known_alerts = {f"{service.name}/{alert.name}" for service in specs.services for alert in service.alerts}
    for index, incident in enumerate(model.incidents):
        at: YamlPath = ("incidents", index)
        try:
            span = _span(incident, at, report)
            if incident.slo is not None:
                slos.setdefault(_known(incident.slo, set(specs), (*at, "slo"), "SLO", report), []).append(span)
            elif incident.alert is not None:
                alerts.setdefault(_known(incident.alert, known_alerts, (*at, "alert"), "alert", report), []).append(
                    span
                )
            else:
                gaps.append(span)
        except Fault:
            continue
    events: list[FleetEvent] = []
    for index, event in enumerate(model.events):
        with suppress(Fault):
            events += _fleet_events(event, ("events", index), str(path), report)
    traffic = model.traffic or _TrafficModel()
    numbers = {"per_second": 6.0, "steady_errors": 0.1}
    for at, text in ((("traffic", "per_second"), traffic.per_second), (("steady_errors",), model.steady_errors)):
        try:
            numbers[at[-1]] = numbers[at[-1]] if text is None else float(parse_quantity(text))
        except ValueError as error:
            report(at, str(error), "error")
    labels = {job: _label_values(given, ("labels", job), report) for job, given in model.labels.items()}
    if problems:
        raise DefinitionError(problems)
    return Scenario(
        {name: tuple(planned) for name, planned in slos.items()},
        {name: tuple(planned) for name, planned in alerts.items()},
        tuple(gaps),
        tuple(events),
        numbers["per_second"],
        traffic.steady,
        numbers["steady_errors"],
        labels,
    )


def known_events(scenario: Scenario, specs: Specs, start_ms: int, end_ms: int) -> str:
    """What people would know of a simulation that starts at `start_ms`, as `slo report --events` reads it: its deployments, and
    incidents of the kind `maintenance`."""
    moved = scenario.moved(start_ms)
    events: list[tuple[int, str]] = []

    def add(kind: str, start: int, end: int, name: str, slo: str) -> None:
        if start < end_ms:
            at = (f"{moment(ms):%Y-%m-%dT%H:%M:%SZ}" for ms in (start, end))
            row = dict(zip(("kind", "start", "end", "name", "slo"), (kind, *at, name, slo), strict=True))
            events.append((start, f"  - {json.dumps(row)}\n"))

    services = {
        m.value: spec.service
        for spec in specs.values()
        for selector in spec.sli.selectors()
        for m in selector.matchers
        if m.label == "job" and m.op == "="
    }
    for event in moved.events:
        if event.kind == "deployment":
            of = "*" if event.job is None else f"{services.get(event.job, event.job)}/*"
            add("deployment", event.start_ms, event.end_ms, f"{event.job or 'all jobs'} deployed", of)
    for name, spans in moved.slos.items():
        for span in spans:
            if span.kind == "maintenance":
                add("maintenance", span.start_ms, span.end_ms, "planned maintenance", name)
    return "events:\n" + "".join(text for _, text in sorted(events)) if events else "events: []\n"


_MOST_REPLICAS = 200
_MOST_EVENTS = 5000
_MOST_VALUES = 20
# Which keys say more of a kind of event, and which it cannot do without.
_EVENT_KEYS = {
    "deployment": ({"lasts", "every"}, set[str]()),
    "autoscaling": ({"lasts", "every", "replicas"}, {"lasts", "replicas"}),
    "relabelling": ({"labels"}, {"labels"}),
    "crash loop": ({"lasts", "every", "instance"}, {"lasts"}),
}


def _fleet_events(item: _EventModel, at: YamlPath, file: str, report: Report) -> list[FleetEvent]:
    """An event, as often as it comes again in 400 days. Raises Fault once reported."""
    if item.kind not in _EVENT_KEYS:
        report(
            (*at, "kind"),
            f"{item.kind!r} is not a kind of event{suggest(item.kind, list(KINDS))}; use {', '.join(KINDS)}",
            "error",
        )
        raise Fault
    accepted, needed = _EVENT_KEYS[item.kind]
    named = f"{'an' if item.kind[0] == 'a' else 'a'} {item.kind}"
    given = {key for key in ("lasts", "every", "instance", "replicas", "labels") if getattr(item, key)}
    for key in sorted(given - accepted):
        report(
            (*at, key),
            f"`{key}` does not belong to {named}; accepted are at, job, {', '.join(sorted(accepted))}",
            "error",
        )
    for key in sorted(needed - given):
        report(at, f"`{key}` is missing; {named} needs it", "error")
    if given - accepted or needed - given:
        raise Fault
    start = 0 if item.at == "0" else read_duration(item.at, (*at, "at"), report)
    length = read_duration(item.lasts or "5m", (*at, "lasts"), report) if item.kind != "relabelling" else 0
    every = read_duration(item.every, (*at, "every"), report) if item.every else 0
    replicas = _replicas(item.replicas, (*at, "replicas"), report) if item.replicas else 0
    labels = _labels(item.labels or {}, (*at, "labels"), report)
    event = FleetEvent(
        item.kind,
        start,
        start + length,
        item.job,
        item.instance,
        every or MINUTE,
        replicas,
        labels,
        f"{file}: {show_path(at)}",
    )
    if item.kind == "crash loop" or not every:
        return [event]
    if every < length:
        report((*at, "every"), f"every {item.every} is less than it lasts; use {item.lasts or '5m'} or more", "error")
        raise Fault
    times = range(0, min(400 * DAY - start, _MOST_EVENTS * every), every)
    return [event.moved(by) for by in times]


def _replicas(text: str, at: YamlPath, report: Report) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= _MOST_REPLICAS:
        report(at, f"{text!r} is not a number of instances; use 1 to {_MOST_REPLICAS}", "error")
        raise Fault
    return int(text)


def _labels(given: Mapping[str, str], at: YamlPath, report: Report) -> tuple[tuple[str, str], ...]:
    for name in given:
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) or name in _FIXED_LABELS:
            fixed = f" and not one of {', '.join(_FIXED_LABELS)}" if name in _FIXED_LABELS else ""
            report((*at, name), f"{name!r} cannot be added; use a label name such as cluster{fixed}", "error")
            raise Fault
    return tuple(given.items())


def _label_values(given: Mapping[str, Sequence[str]], at: YamlPath, report: Report) -> dict[str, tuple[str, ...]]:
    with suppress(Fault):
        _labels(dict.fromkeys(given, ""), at, report)
    for name, values in given.items():
        if not values or "" in values or len(set(values)) < len(values) or len(values) > _MOST_VALUES:
            report((*at, name), f"a label has 1 to {_MOST_VALUES} values, each another and none empty", "error")
    return {name: tuple(values) for name, values in given.items()}


def _span(incident: _IncidentModel, at: YamlPath, report: Report) -> Span:
    start = 0 if incident.at == "0" else read_duration(incident.at, (*at, "at"), report)
    length = read_duration(incident.lasts, (*at, "lasts"), report)
    values: dict[str, Decimal] = {}
    for key, text in (("error_ratio", incident.error_ratio or "100%"), ("level", incident.level or "0")):
        try:
            values[key] = parse_quantity(text)
        except ValueError as error:
            report((*at, key), str(error), "error")
            raise Fault from None
    if not 0 < values["error_ratio"] <= 1:
        report((*at, "error_ratio"), f"{incident.error_ratio} is not a share of events; write one up to 100%", "error")
        raise Fault
    return Span(
        start,
        start + length,
        incident.kind,
        float(values["error_ratio"]),
        float(values["level"]),
        incident.ramp,
        incident.instance,
        tuple(sorted((incident.labels or {}).items())),
    )


def _known(name: str, names: set[str], at: YamlPath, what: str, report: Report) -> str:
    """`service/name`; the service may be left out where only one has the name."""
    fulls = [full for full in names if name in (full, full.partition("/")[2])]
    if len(fulls) == 1:
        return fulls[0]
    problem = (
        "is in several services; write service/name" if fulls else f"is not an {what}{suggest(name, sorted(names))}"
    )
    report(at, f"{name!r} {problem}", "error")
    raise Fault


def _accepted(path: YamlPath) -> list[str]:
    match path:
        case ():
            return list(_ScenarioModel.model_fields)
        case ("traffic",):
            return list(_TrafficModel.model_fields)
        case ("events", *_):
            return list(_EventModel.model_fields)
        case ("labels", *_):
            return []
    return list(_IncidentModel.model_fields)
