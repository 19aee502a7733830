"""Backtests of services that were run apart, as one."""

from __future__ import annotations

from collections.abc import Sequence

from slo.backtest import scoring
from slo.backtest.model import Backtest, Played


def merged(parts: Sequence[Backtest]) -> Backtest:
    """The backtest of all SLOs, from backtests of some of them each.

    Args:
        parts: one or more backtests of the same policies over the same time, no SLO in two of them.

    Returns:
        One backtest with the SLOs, alerts and notes of all parts.
    """
    first = parts[0]
    span = (first.start_ms, first.end_ms)
    policies = tuple(_played([part.policies[number] for part in parts], span) for number in range(len(first.policies)))
    return Backtest(
        first.start_ms,
        first.end_ms,
        {name: slo for part in parts for name, slo in part.slos.items()},
        {name: counts for part in parts for name, counts in part.timelines.items()},
        {name: incidents for part in parts for name, incidents in part.incidents.items()},
        policies,
        first.source,
        sum(part.samples for part in parts),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _played(parts: Sequence[Played], span: tuple[int, int]) -> Played:
    outcomes = {name: outcome for part in parts for name, outcome in part.outcomes.items()}
    return Played(
        parts[0].name,
        outcomes,
        tuple(interval for part in parts for interval in part.others),
        scoring.total(list(outcomes.values()), span),
        tuple(dict.fromkeys(problem for part in parts for problem in part.problems)),
        sum(part.rules for part in parts),
    )
