"""What goes wrong, as a person wrote it down: instead of incidents that are drawn by chance."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from slo.errors import DefinitionError
from slo.fields import Model
from slo.reading import Fault, Report, parse_quantity, read_duration
from slo.source.simulation.plan import Span
from slo.spec.model import Specs
from slo.spec.single import parse_single, read_text
from slo.spec.yaml import Path as YamlPath
from slo.suggest import suggest


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


class _TrafficModel(Model):
    """How many requests there are."""

    per_second: Annotated[str | None, Field(description="of each instance, at most")] = None
    steady: Annotated[bool, Field(description="the same by day and night")] = False


class _ScenarioModel(Model):
    """All that goes wrong in a simulation."""

    description: str = ""
    traffic: _TrafficModel | None = None
    steady_errors: Annotated[
        str | None, Field(description="the share of each budget that steady errors spend; 10% if not given")
    ] = None
    incidents: Annotated[list[_IncidentModel], Field(default_factory=list)]


@dataclass(frozen=True)
class Scenario:
    """Incidents by SLO id and by plain alert (`service/alert`), in milliseconds since the start; pauses of scraping."""

    slos: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    alerts: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    gaps: tuple[Span, ...] = ()
    per_second: float = 6.0
    steady: bool = False
    steady_errors: float = 0.1

    def moved(self, start_ms: int) -> Scenario:
        """The same in milliseconds UTC of a simulation that starts then."""

        def spans(found: tuple[Span, ...]) -> tuple[Span, ...]:
            return tuple(
                Span(start_ms + s.start_ms, start_ms + s.end_ms, s.kind, s.ratio, s.level, s.ramp) for s in found
            )

        return replace(
            self,
            slos={name: spans(found) for name, found in self.slos.items()},
            alerts={name: spans(found) for name, found in self.alerts.items()},
            gaps=spans(self.gaps),
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
    for index, one in enumerate(model.incidents):
        at: YamlPath = ("incidents", index)
        try:
            span = _span(one, at, report)
            if one.slo is not None:
                slos.setdefault(_known(one.slo, set(specs), (*at, "slo"), "SLO", report), []).append(span)
            elif one.alert is not None:
                alerts.setdefault(_known(one.alert, known_alerts, (*at, "alert"), "alert", report), []).append(span)
            else:
                gaps.append(span)
        except Fault:
            continue
    traffic = model.traffic or _TrafficModel()
    numbers = {"per_second": 6.0, "steady_errors": 0.1}
    for at, text in ((("traffic", "per_second"), traffic.per_second), (("steady_errors",), model.steady_errors)):
        try:
            numbers[at[-1]] = numbers[at[-1]] if text is None else float(parse_quantity(text))
        except ValueError as error:
            report(at, str(error), "error")
    if problems:
        raise DefinitionError(problems)
    return Scenario(
        {name: tuple(found) for name, found in slos.items()},
        {name: tuple(found) for name, found in alerts.items()},
        tuple(gaps),
        numbers["per_second"],
        traffic.steady,
        numbers["steady_errors"],
    )


def _span(one: _IncidentModel, at: YamlPath, report: Report) -> Span:
    start = 0 if one.at == "0" else read_duration(one.at, (*at, "at"), report)
    length = read_duration(one.lasts, (*at, "lasts"), report)
    found: dict[str, Decimal] = {}
    for key, text in (("error_ratio", one.error_ratio or "100%"), ("level", one.level or "0")):
        try:
            found[key] = parse_quantity(text)
        except ValueError as error:
            report((*at, key), str(error), "error")
            raise Fault from None
    if not 0 < found["error_ratio"] <= 1:
        report((*at, "error_ratio"), f"{one.error_ratio} is no share of events; write one up to 100%", "error")
        raise Fault
    return Span(start, start + length, one.kind, float(found["error_ratio"]), float(found["level"]), one.ramp)


def _known(name: str, names: set[str], at: YamlPath, what: str, report: Report) -> str:
    """`service/name`; the service may be left out where only one has the name."""
    found = [full for full in names if name in (full, full.partition("/")[2])]
    if len(found) == 1:
        return found[0]
    problem = "is in several services; write service/name" if found else f"is no {what}{suggest(name, sorted(names))}"
    report(at, f"{name!r} {problem}", "error")
    raise Fault


def _accepted(path: YamlPath) -> list[str]:
    match path:
        case ():
            return list(_ScenarioModel.model_fields)
        case ("traffic",):
            return list(_TrafficModel.model_fields)
    return list(_IncidentModel.model_fields)
