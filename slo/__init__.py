"""SLOs and error budgets: definitions become Prometheus rules, exact figures and reports.

>>> import slo
>>> specs = slo.load("definitions/")  # doctest: +SKIP
>>> budget = slo.evaluate(specs["faciliauto/error-rate"], slo.open("recording.parquet"))  # doctest: +SKIP
>>> budget.remaining, budget.burn_rate("1h"), slo.timeline(budget)  # doctest: +SKIP
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slo import backtest
    from slo.api import breakdown, evaluate, from_events, load, open, record, simulate, what_if
    from slo.budget.incidents import Downtime, Incident
    from slo.budget.model import Budget, Burn, State, Timeline
    from slo.errors import (
        ConfigError,
        DefinitionError,
        DurationError,
        Problem,
        PromqlError,
        RecordingError,
        SloError,
        SourceError,
    )
    from slo.notebook import burn_timeline, incidents, percentiles, plot, summary, timeline, top_contributors
    from slo.report.formats import report
    from slo.review import Review, review
    from slo.rules.write import rules
    from slo.sli.base import Note
    from slo.source.base import Source
    from slo.spec.events import Event
    from slo.spec.model import Objective, Service, Slo, Specs

__version__ = "0.2.0"
__all__ = [
    "Budget",
    "Burn",
    "ConfigError",
    "DefinitionError",
    "Downtime",
    "DurationError",
    "Event",
    "Incident",
    "Note",
    "Objective",
    "Problem",
    "PromqlError",
    "RecordingError",
    "Review",
    "Service",
    "Slo",
    "SloError",
    "Source",
    "SourceError",
    "Specs",
    "State",
    "Timeline",
    "backtest",
    "breakdown",
    "burn_timeline",
    "evaluate",
    "from_events",
    "incidents",
    "load",
    "open",
    "percentiles",
    "plot",
    "record",
    "report",
    "review",
    "rules",
    "simulate",
    "summary",
    "timeline",
    "top_contributors",
    "what_if",
]

# What is named here is imported when it is first used: `import slo` and `slo --help` stay quick. A name that is also a module's
# (`report`, `review`, `rules`) is the module, which can be called.
_HOMES = {
    **dict.fromkeys(
        ("breakdown", "evaluate", "from_events", "load", "open", "record", "simulate", "what_if"), "slo.api"
    ),
    **dict.fromkeys(
        ("burn_timeline", "top_contributors", "incidents", "percentiles", "plot", "summary", "timeline"), "slo.notebook"
    ),
    **dict.fromkeys(("Downtime", "Incident"), "slo.budget.incidents"),
    **dict.fromkeys(("Budget", "Burn", "State", "Timeline"), "slo.budget.model"),
    **dict.fromkeys(
        (
            "ConfigError",
            "DefinitionError",
            "DurationError",
            "Problem",
            "PromqlError",
            "RecordingError",
            "SloError",
            "SourceError",
        ),
        "slo.errors",
    ),
    "Review": "slo.review",
    "Note": "slo.sli.base",
    "Source": "slo.source.base",
    "Event": "slo.spec.events",
    **dict.fromkeys(("Objective", "Service", "Slo", "Specs"), "slo.spec.model"),
}
_MODULES = ("backtest", "report", "review", "rules")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"slo.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'slo' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext slo`: budgets and backtests show themselves as tables."""
    from slo.notebook import register

    register(shell)


# In Jupyter `import slo` does the same; nothing is loaded where there is no shell.
if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()) is not None:
    load_ipython_extension(_shell)
