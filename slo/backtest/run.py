"""A backtest from what a person names: paths of policies, rules and incidents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slo.backtest.incidents import planted, read_incidents
from slo.backtest.model import Backtest
from slo.backtest.policy import Policy, of_definitions, of_file, of_mapping, of_rules
from slo.backtest.replay import backtest
from slo.budget.incidents import INCIDENT_BURN
from slo.errors import ConfigError
from slo.jobs import Processes, number_of
from slo.spec.events import Event
from slo.spec.model import Specs
from slo.window import DAY, check_length, moment_ms

if TYPE_CHECKING:
    from slo.source import Source

PathLike = str | os.PathLike[str]
# How far back a server is asked where no start is given.
DEFAULT_DAYS = 30


def run(
    specs: Specs,
    source: Source,
    *,
    policies: Iterable[PathLike | Mapping[str, Any] | Policy] = (),
    rules: Iterable[PathLike] = (),
    start: datetime | int | None = None,
    end: datetime | int | None = None,
    incidents: PathLike | None = None,
    burn_rate: float = INCIDENT_BURN,
    pages: Iterable[tuple[str, str]] = (),
    done: Callable[[], None] = lambda: None,
    jobs: int | None = 1,
    opened: Callable[[], Source] | None = None,
) -> Backtest:
    """What the definitions' alerts, and those of other policies and rules files, would have done on history.

    Args:
        specs: The SLOs.
        source: Where their samples are.
        policies: Other alert configurations: files, or mappings with a file's content.
        rules: Rules files of Prometheus, of anybody's making.
        start: A datetime with a time zone, or milliseconds UTC; without it a recording's start, or 30 days before the end.
        end: In the same way; without it a recording's end, a server's present.
        incidents: A YAML or CSV file, `planted` or `found`; without it those that a simulation planted, or else those found.
        burn_rate: From which burn rate on an incident is found.
        pages: Labels and values (with `*`) of the rules files' alerts that page, besides the usual ones.
        done: Called after each SLO, and each part of a policy's rules.
        jobs: The number of processes for many SLOs, where `opened` is given; None for as many as there are cores.
        opened: What opens the source anew in another process, such as `functools.partial(slo.open, url)`.

    Returns:
        When each alert would have fired, and what it would have been worth.

    Raises:
        DefinitionError: A policy, a rules file or the incidents have faults.
        ConfigError: There is nothing to backtest, or the start is not before the end.
        SourceError: The source failed, or its answer cannot be used.
    """
    end_ms = source.latest_ms() if end is None else moment_ms(end)
    header = getattr(source, "header", None)
    earliest = end_ms - DEFAULT_DAYS * DAY if header is None else int(header.start_ms)
    start_ms = earliest if start is None else moment_ms(start)
    if start_ms >= end_ms:
        raise ConfigError("the backtest's start is not before its end")
    check_length(start_ms, end_ms)
    chosen = [of_definitions(specs)] if len(specs) else []
    for policy in policies:
        match policy:
            case Policy():
                chosen.append(policy)
            case Mapping():
                chosen.append(of_mapping(policy, specs))
            case _:
                chosen.append(of_file(policy, specs))
    pages = tuple(pages)
    chosen += [of_rules(rule, pages) for rule in rules]
    if not chosen:
        raise ConfigError("nothing to backtest: name definitions, or a rules file with --rules")
    reported, is_planted = _incidents(incidents, {} if header is None else header.truth)
    asked = (specs, source, chosen, start_ms, end_ms, reported, is_planted, burn_rate, done)
    processes = 1 if opened is None else number_of(jobs, len(specs))
    if processes == 1 or opened is None:
        return backtest(*asked)
    with Processes(opened, processes) as pool:
        return backtest(*asked, pool)


def _incidents(named: PathLike | None, truth: Mapping[str, Any]) -> tuple[tuple[Event, ...] | None, bool]:
    """(what somebody reported, whether a simulation did)."""
    known = planted(truth)
    match named:
        case None:
            return (known, True) if known else (None, False)
        case "found":
            return None, False
        case "planted":
            if not known:
                raise ConfigError("the source knows of no planted incidents; only a simulated recording does")
            return known, True
    return read_incidents(named), False
