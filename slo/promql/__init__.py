"""PromQL: expressions as nodes, and an engine over samples in memory.

    from slo.promql import Engine, Samples

Names are imported when they are first asked for: `import slo.promql` itself loads nothing heavy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slo.promql.alerts import AlertInterval
    from slo.promql.engine import Engine
    from slo.promql.result import Result, ResultSeries
    from slo.promql.rules import RulesResult, run_rules
    from slo.promql.samples import STALE, Samples, Series, is_stale

# `a or b or c or …` of five hundred terms is a tree of that depth, and whatever walks it calls itself a few times at each.
# Python's own limit of 1,000 calls keeps C's stack, which pure Python no longer takes; the parser bounds the depth.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))

_HOMES = {
    "Engine": "engine",
    "AlertInterval": "alerts",
    "RulesResult": "rules",
    "run_rules": "rules",
    "Result": "result",
    "ResultSeries": "result",
    "STALE": "samples",
    "Samples": "samples",
    "Series": "samples",
    "is_stale": "samples",
}

__all__ = [
    "STALE", "AlertInterval", "Engine", "Result", "ResultSeries", "RulesResult", "Samples", "Series", "is_stale",
    "run_rules",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
