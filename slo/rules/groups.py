"""Rule groups as Prometheus, Mimir, Thanos and vmalert know them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from slo.promql.ast import Matcher, Node, VectorSelector
from slo.window import BurnWindow


@dataclass(frozen=True, slots=True)
class Shape:
    """Says how an expression is made: of the same pieces as all others of the same `key`, and of these selectors.

    So the text of one rule gives the text of the other. Selectors are without offset; a recorded series is given with
    its own name.
    """

    key: Hashable
    selectors: tuple[VectorSelector, ...] = ()
    matchers: tuple[Matcher, ...] = ()  # of all recorded series that it reads


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that the server computes and keeps."""

    name: str
    expr: Node
    labels: Mapping[str, str]
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert. Labels and annotations are Go templates, as the server reads them."""

    name: str
    expr: Node
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    for_ms: int = 0
    keep_firing_ms: int = 0
    burn: BurnWindow | None = None  # what it watches, for the tests of the rules and for backtests
    shape: Shape | None = None


Rule = Recording | AlertRule


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
