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
) -> Backtest:
    """What the definitions' alerts, and those of other policies and rules files, would have done from `start` to `end`.

    `policies` are files, or mappings with a file's content. `start` and `end` are datetimes with a time zone or milliseconds UTC: without them all of a recording, or the last
    30 d of a server. `incidents` is a YAML or CSV file, or "planted" or "found"; without it they are those that a
    simulation planted, or else found where the budget was spent `burn_rate` times too fast. `pages` are labels and values
    (with `*`) of the rules files' alerts that wake somebody, beside the usual ones. Raises DefinitionError, ConfigError,
    SourceError.
    """
    end_ms = source.latest_ms() if end is None else moment_ms(end)
    header = getattr(source, "header", None)
    earliest = end_ms - DEFAULT_DAYS * DAY if header is None else int(header.start_ms)
    start_ms = earliest if start is None else moment_ms(start)
    if start_ms >= end_ms:
        raise ConfigError("the backtest's start is not before its end")
    check_length(start_ms, end_ms)
    chosen = [of_definitions(specs)] if len(specs) else []
    for one in policies:
        match one:
            case Policy():
                chosen.append(one)
            case Mapping():
                chosen.append(of_mapping(one, specs))
            case _:
                chosen.append(of_file(one, specs))
    pages = tuple(pages)
    chosen += [of_rules(one, pages) for one in rules]
    if not chosen:
        raise ConfigError("nothing to backtest: name definitions, or a rules file with --rules")
    told, is_planted = _incidents(incidents, {} if header is None else header.truth)
    return backtest(specs, source, chosen, start_ms, end_ms, told, is_planted, burn_rate, done)


def _incidents(named: PathLike | None, truth: Mapping[str, Any]) -> tuple[tuple[Event, ...] | None, bool]:
    """(what somebody told of, whether a simulation did)."""
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
