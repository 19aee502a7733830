"""Rule groups as Prometheus, Mimir, Thanos and vmalert know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slo.promql import groups as engine
from slo.promql.ast import Node
from slo.window import BurnWindow


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """A series that the server computes and keeps."""

    name: str
    expr: Node
    labels: Mapping[str, str]
    not_meant: tuple[str, ...] = ()  # checks of linters, as in `slo.rules.lint`


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert. Labels and annotations are Go templates, as the server reads them.

    `burns` are the pairs of windows that it watches, any of which sets it off: for the tests of the rules and for
    backtests. `key` is what its expression is made of alongside its SLO's; None says nothing.
    """

    name: str
    expr: Node
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    for_ms: int = 0
    keep_firing_ms: int = 0
    burns: tuple[BurnWindow, ...] = ()  # what it watches, for the tests of the rules and for backtests
    not_meant: tuple[str, ...] = ()  # checks of linters, as in `slo.rules.lint`


Rule = RecordingRule | AlertRule


# Lines of a comment that begin so are left out where nobody reads the file.
DETAIL = "  "


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated one after another, every `interval_ms`, at one instant."""

    name: str
    interval_ms: int
    rules: tuple[Rule, ...]
    service: str
    slo: str  # empty for a service's plain alerts
    comment: tuple[str, ...] = field(default=())
    limit: int = 0  # series that a rule may give: a label with more values fails loudly instead of flooding the server


def engine_group(group: RuleGroup) -> engine.Group:
    """The group as the embedded engine runs it; annotations are for people."""
    rules = tuple(
        engine.Rule(
            rule.expr,
            alert=rule.name,
            labels=tuple(rule.labels.items()),
            for_ms=rule.for_ms,
            keep_firing_for_ms=rule.keep_firing_ms,
        )
        if isinstance(rule, AlertRule)
        else engine.Rule(rule.expr, record=rule.name, labels=tuple(rule.labels.items()))
        for rule in group.rules
    )
    return engine.Group(group.name, rules, group.interval_ms)
