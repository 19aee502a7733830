"""Reviews, backtests and ledgers on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from slo.cli.inputs import open_sources
from slo.cli.output import progress
from slo.errors import ConfigError
from slo.window import moment

if TYPE_CHECKING:
    from slo.backtest import Backtest
    from slo.budget.model import Budget, State
    from slo.budget.recorded import From
    from slo.review import Review
    from slo.source import Source
    from slo.spec.events import Event
    from slo.spec.model import Slo, Specs
    from slo.spec.select import Selection


@dataclass(frozen=True)
class Origin:
    """A source as a worker opens it: no credential is sent.

    Attributes:
        sources: What `--source` names.
        config: The file with credentials, which is there too.
        run: Tells the runs of a worker's life from each other: a file may be another one in the next.
    """

    sources: tuple[str, ...]
    config: Path | None
    run: str = field(default_factory=lambda: uuid4().hex)

    def open(self) -> Source:
        """The source, opened once for all that a process does in a run. Raises SourceError, ConfigError."""
        return _opened(self)


@lru_cache(maxsize=1)
def _opened(origin: Origin) -> Source:
    return open_sources(list(origin.sources) or None, origin.config)


def close() -> None:
    """On a worker at the end of a run: it lets go of the source, and of what was read of it."""
    _opened.cache_clear()


@dataclass(frozen=True)
class Task:
    """Some SLOs, as a worker gets them."""

    slos: tuple[Slo, ...]
    origin: Origin
    at_ms: int
    only: Selection
    states: frozenset[State]
    events: tuple[Event, ...]
    read: From = "auto"
    contributors: bool = True


def reviewed(task: Task) -> tuple[tuple[Budget, ...], str]:
    """The budgets of some SLOs, and the name of the source. Raises SourceError, ConfigError."""
    from slo.review import review as review_specs

    part = review_specs(
        task.slos,
        task.origin.open(),
        at=task.at_ms,
        keep=lambda budget: task.only.takes(budget.slo) and budget.state in task.states,
        events=task.events,
        read=task.read,
        breakdown=task.contributors,
        past_steps=False,
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
    contributors: bool = True,
) -> Review:
    """What a review is, a few SLOs at a time evaluated by a worker, all at the same moment; `contributors` are of all or of none.

    Raises SourceError, ConfigError, DefinitionError.
    """
    from slo.review import Review
    from slo.spec.events import read_events
    from slo.spread import parts, spread

    reported = tuple(read_events(events) if isinstance(events, Path) else events)
    origin, chosen = Origin(tuple(sources or ()), config), frozenset(states)
    tasks = [
        Task(some, origin, at_ms, only, chosen, reported, read, contributors) for some in parts(list(specs.values()))
    ]
    with progress("evaluating", len(tasks)) as advance:
        answers = spread(reviewed, tasks, scheduler, advance, close)
    budgets = tuple(budget for part, _ in answers for budget in part)
    return Review(budgets, moment(at_ms), answers[0][1] if answers else "", tuple(specs.warnings))


@dataclass(frozen=True)
class Replay:
    """The backtest of a service, as a worker gets it: files that it names are read there."""

    specs: Specs
    origin: Origin
    asked: Mapping[str, Any]


def replayed(task: Replay) -> Backtest:
    """Runs a backtest where it is. Raises SourceError, ConfigError, DefinitionError."""
    from slo.backtest import run

    return run(task.specs, task.origin.open(), **task.asked)


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
    origin = Origin(tuple(sources or ()), config)
    tasks = [Replay(part, origin, asked) for part in parts]
    with progress("running the rules over history", len(tasks)) as advance:
        return merged(spread(replayed, tasks, scheduler, advance, close))
