"""Definitions, sources and moments, from what a command was given."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slo.cli.output import progress, say
from slo.cli.program import FINE, OUT_OF_BUDGET
from slo.errors import ConfigError

if TYPE_CHECKING:
    from slo.budget.model import Budget, State
    from slo.review import Review
    from slo.source import Source
    from slo.spec.model import Specs
    from slo.spec.select import Selection


def load(paths: Sequence[Path], only: Selection | None = None, shard: str | None = None) -> Specs:
    """The definitions, and of these the chosen ones, of the part `k/n` where one is named; warnings go to standard error."""
    from slo.spec.select import select
    from slo.spec.shard import read_shard, sharded

    part = None if shard is None else read_shard(shard)
    specs = read_specs(paths)
    for warning in specs.warnings:
        say(str(warning))
    if part is not None:
        specs = sharded(specs, *part)
    return specs if only is None else select(specs, only)


def read_specs(paths: Sequence[Path]) -> Specs:
    """The definitions at the paths; `-` is standard input."""
    from slo.files import MOST_BYTES
    from slo.spec.load import load as load_paths

    return load_paths(paths, stdin=(lambda: sys.stdin.buffer.read(MOST_BYTES)) if Path("-") in paths else None)


def selection(
    services: Sequence[str] | None,
    slos: Sequence[str] | None,
    owners: Sequence[str] | None,
    labels: Sequence[str] | None,
) -> Selection:
    """Which SLOs the flags choose."""
    from slo.spec.select import Selection

    return Selection(services or (), slos or (), owners or (), dict(read_pair(text) for text in labels or ()))


def read_states(texts: Sequence[str] | None) -> frozenset[State]:
    """The states that `--state` chooses; all if it was not given."""
    from slo.budget.model import State
    from slo.suggest import suggest

    known = {state.value.replace(" ", "-"): state for state in State}
    chosen = [text.strip().lower().replace(" ", "-") for text in texts or ()]
    for text in chosen:
        if text not in known:
            raise ConfigError(f"--state {text!r} is not a state{suggest(text, known)}")
    return frozenset(known[text] for text in chosen) or frozenset(State)


def open_source(sources: Sequence[str], config: Path | None, why: str, flag: str = "--source") -> Source:
    """The one source of a command that takes no more, for a reason that its message says. Raises ConfigError."""
    from slo.source import open_all
    from slo.source.several import Several

    source = open_all(sources, config=None if config is None else str(config)) if len(sources) == 1 else None
    if source is None or isinstance(source, Several):
        raise ConfigError(f"{flag} {' '.join(sources)}: {why}; give one address, without SERVICE=")
    return source


def open_sources(sources: Sequence[str] | None, config: Path | None, from_environment: bool = True) -> Source:
    """The source of all names that were given, else of SLO_SOURCE (`from_environment`), else of the configuration file."""
    return opener(sources, config, from_environment)()


def opener(sources: Sequence[str] | None, config: Path | None, from_environment: bool = True) -> Callable[[], Source]:
    """What opens the same, in another process too."""
    from slo.source import open_all

    given = list(sources or ())
    if not given and from_environment:
        given = [text for text in (os.environ.get("SLO_SOURCE"),) if text]
    return partial(open_all, given, config=None if config is None else str(config))


def has_sources(config: Path | None) -> bool:
    """Whether a configuration file that was given names sources. Raises ConfigError."""
    if config is None:
        return False
    from slo.source.config import sources

    return bool(sources(str(config)))


def by_source(specs: Specs, source: Source) -> list[tuple[Source, Specs]]:
    """Each source that SLOs are asked of, with these SLOs. Raises SourceError where two sources have those of one."""
    from slo.source.base import source_of
    from slo.spec.select import Selection, select

    chosen: dict[int, tuple[Source, list[str]]] = {}
    for slo in specs.values():
        own = source_of(source, slo)
        chosen.setdefault(id(own), (own, []))[1].append(slo.id)
    if len(chosen) < 2:
        return [(own, specs) for own, _ in chosen.values()] or [(source, specs)]
    return [(own, select(specs, Selection(slos=ids))) for own, ids in chosen.values()]


def places(source: Source) -> list[Path]:
    """What a source may be on disk: its own names, or those of several."""
    from slo.source.several import Several

    names = [part.source.name for part in source.parts] if isinstance(source, Several) else [source.name]
    return [Path(name) for name in names]


def review(
    specs: Specs,
    source: Source,
    end: str | None,
    only: Selection,
    states: Collection[State],
    **asked: Any,
) -> Review:
    """What is asked for of all SLOs that are in one of the states, of those with `by` the chosen values'."""
    from slo.review import review as review_specs

    return review_specs(
        specs,
        source,
        at=None if end is None else read_time(end, "--end"),
        keep=lambda budget: only.takes(budget.slo) and budget.state in states,
        progress=progress,
        **asked,
    )


def verdict(budgets: Sequence[Budget], gate: bool) -> int:
    """The exit code of what was evaluated."""
    from slo.budget.model import State

    # A gate that figures nobody can believe would open is not a gate.
    failed = {
        state: [budget.slo.id for budget in budgets if budget.state is state]
        for state in (State.EXHAUSTED, State.INVALID)
    }
    if not gate or not any(failed.values()):
        return FINE
    for state, names in failed.items():
        if names:
            say(f"{state.value}: {', '.join(names)}")
    return OUT_OF_BUDGET


def read_time(text: str, flag: str) -> int:
    """A moment in milliseconds; text without a time zone is UTC."""
    from slo.errors import DurationError
    from slo.window import parse_moment

    try:
        return parse_moment(text)
    except DurationError as error:
        raise ConfigError(f"{flag} {error}") from None


def read_start(text: str, end_ms: int) -> int:
    """A moment in milliseconds, or a duration before the end."""
    from slo.errors import DurationError
    from slo.window import start_of

    try:
        return start_of(text, end_ms)
    except DurationError as error:
        raise ConfigError(f"--start {error}") from None


def read_interval(text: str, flag: str) -> int:
    """How often something is done, milliseconds: a second or more."""
    from slo.errors import DurationError
    from slo.window import parse_duration

    try:
        interval_ms = parse_duration(text)
    except DurationError as error:
        raise ConfigError(f"{flag} {error}") from None
    if interval_ms < 1000:
        raise ConfigError(f"{flag} {text} is too often for a server; the least is 1s")
    return interval_ms


def keep_apart(outputs: Sequence[Path], specs: Specs, others: Sequence[Path] = ()) -> None:
    """Refuses to write one file over another, over definitions, and over what else is read. Raises ConfigError."""
    read = {os.path.realpath(file) for file in [service.file for service in specs.services] + list(map(str, others))}
    written: set[str] = set()
    for output in outputs:
        real = os.path.realpath(output)
        if real in read | written and not real.startswith("/dev/"):
            why = "would be written twice" if real in written else "is read by this command, and would be lost"
            raise ConfigError(f"{output} {why}; name another file")
        written.add(real)


def read_pair(text: str, flag: str = "--label") -> tuple[str, str]:
    """A label and its value, of `name=value`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"{flag} {text!r} is not name=value")
    return name, value
