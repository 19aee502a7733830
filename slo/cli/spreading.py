"""Reviews and backtests of services on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slo.cli.inputs import open_sources
from slo.cli.output import progress
from slo.errors import ConfigError
from slo.window import moment

if TYPE_CHECKING:
    from slo.backtest import Backtest
    from slo.budget.model import Budget, State
    from slo.budget.recorded import From
    from slo.review import Review
    from slo.spec.events import Event
    from slo.spec.model import Slo, Specs
    from slo.spec.select import Selection


@dataclass(frozen=True)
class Task:
    """The SLOs of a service, as a worker gets them. It opens the source itself: no credential is sent."""

    slos: tuple[Slo, ...]
    sources: tuple[str, ...]
    config: Path | None
    at_ms: int
    only: Selection
    states: frozenset[State]
    events: tuple[Event, ...]
    read: From = "auto"


def reviewed(task: Task) -> tuple[tuple[Budget, ...], str]:
    """The budgets of a service, and the name of the source. Raises SourceError, ConfigError."""
    from slo.review import review as review_specs

    origin = open_sources(list(task.sources) or None, task.config)
    part = review_specs(
        task.slos,
        origin,
        at=task.at_ms,
        keep=lambda budget: task.only.takes(budget.slo) and budget.state in task.states,
        events=task.events,
        read=task.read,
    )
    return part.budgets, part.source


def review(
    specs: Specs,
    sources: Sequence[str] | None,
    config: Path | None,
    at_ms: int,
    only: Selection,
    states: Collection[State],
    events: Path | Sequence[Event],
    scheduler: str,
    read: From = "auto",
) -> Review:
    """What a review is, each service evaluated by a worker at the same moment. Raises SourceError, ConfigError, DefinitionError."""
    from slo.review import Review
    from slo.spec.events import read_events
    from slo.spread import spread

    reported = tuple(read_events(events) if isinstance(events, Path) else events)
    services: dict[str, list[Slo]] = {}
    for slo in specs.values():
        services.setdefault(slo.service, []).append(slo)
    names = tuple(sources or ())
    tasks = [
        Task(tuple(own), names, config, at_ms, only, frozenset(states), reported, read) for own in services.values()
    ]
    with progress("evaluating", len(tasks)) as advance:
        parts = spread(reviewed, tasks, scheduler, advance)
    budgets = tuple(budget for part, _ in parts for budget in part)
    return Review(budgets, moment(at_ms), parts[0][1] if parts else "", tuple(specs.warnings))


@dataclass(frozen=True)
class Replay:
    """The backtest of a service, as a worker gets it: files that it names are read there."""

    specs: Specs
    sources: tuple[str, ...]
    config: Path | None
    asked: Mapping[str, Any]


def replayed(task: Replay) -> Backtest:
    """Runs a backtest where it is. Raises SourceError, ConfigError, DefinitionError."""
    from slo.backtest import run

    return run(task.specs, open_sources(list(task.sources) or None, task.config), **task.asked)


def backtest(
    specs: Specs, sources: Sequence[str] | None, config: Path | None, asked: Mapping[str, Any], scheduler: str
) -> Backtest:
    """What a backtest is, each service by a worker. Raises SourceError, ConfigError, DefinitionError."""
    from slo.backtest import merged
    from slo.spec.model import Specs
    from slo.spread import spread

    if not specs:
        raise ConfigError("nothing to backtest: name definitions")
    names = list(dict.fromkeys(service.name for service in specs.services if service.slos))
    parts = [Specs([service for service in specs.services if service.name == name]) for name in names]
    tasks = [Replay(part, tuple(sources or ()), config, asked) for part in parts]
    with progress("running the rules over history", len(tasks)) as advance:
        return merged(spread(replayed, tasks, scheduler, advance))
