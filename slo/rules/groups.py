"""Rule groups as Prometheus, Mimir, Thanos and vmalert know them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
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


class Deferred:
    """An expression that is made when it is first asked for: to print a rule whose shape has been printed it never is."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Node]) -> None:
        self._make: Callable[[], Node] | None = make
        self._made: Node | None = None

    @property
    def node(self) -> Node:
        if self._made is None and self._make is not None:
            self._made, self._make = self._make(), None
        assert self._made is not None
        return self._made

    def __eq__(self, other: object) -> bool:
        return self.node == (other.node if isinstance(other, Deferred) else other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that the server computes and keeps."""

    name: str
    made: Node | Deferred
    labels: Mapping[str, str]
    shape: Shape | None = None

    @property
    def expr(self) -> Node:
        """What it is computed by."""
        return self.made.node if isinstance(self.made, Deferred) else self.made


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert. Labels and annotations are Go templates, as the server reads them.

    `burns` are the pairs of windows that it watches, any of which sets it off: for the tests of the rules and for
    backtests. `key` is what its expression is made of beside its SLO's; None says nothing.
    """

    name: str
    made: Node | Deferred
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    for_ms: int = 0
    keep_firing_ms: int = 0
    burns: tuple[BurnWindow, ...] = ()
    shape: Shape | None = None
    key: Hashable = None

    @property
    def expr(self) -> Node:
        """What it fires on."""
        return self.made.node if isinstance(self.made, Deferred) else self.made


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
