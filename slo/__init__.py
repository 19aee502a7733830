"""SLOs and error budgets: definitions become Prometheus rules, exact figures and reports.

>>> import slo
>>> specs = slo.load("definitions/")  # doctest: +SKIP
>>> budget = slo.evaluate(specs["faciliauto/error-rate"], slo.open("recording.parquet"))  # doctest: +SKIP
>>> budget.remaining, budget.burn_rate("1h"), budget.timeline  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slo import backtest
    from slo.api import breakdown, compare, evaluate, evaluate_all, from_events, load, open, simulate, summary
    from slo.budget.model import Budget, Incident, State
    from slo.errors import DefinitionError, SloError, SourceError
    from slo.sli.base import Note
    from slo.spec.model import Slo, Specs

__version__ = "0.2.0"
__all__ = [
    "Budget",
    "DefinitionError",
    "Incident",
    "Note",
    "Slo",
    "SloError",
    "SourceError",
    "Specs",
    "State",
    "backtest",
    "breakdown",
    "compare",
    "evaluate",
    "evaluate_all",
    "from_events",
    "load",
    "open",
    "simulate",
    "summary",
]

# What is named here is imported when it is first used: `import slo` and `slo --help` stay quick.
_HOMES = {
    **dict.fromkeys(
        ("breakdown", "compare", "evaluate", "evaluate_all", "from_events", "load", "open", "simulate", "summary"),
        "slo.api",
    ),
    **dict.fromkeys(("Budget", "Incident", "State"), "slo.budget.model"),
    "Note": "slo.sli.base",
    **dict.fromkeys(("DefinitionError", "SloError", "SourceError"), "slo.errors"),
    **dict.fromkeys(("Slo", "Specs"), "slo.spec.model"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "backtest":
        return import_module("slo.backtest")
    if name not in _HOMES:
        raise AttributeError(f"module 'slo' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
