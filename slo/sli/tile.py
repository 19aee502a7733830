"""A tile: the length of time in which a server counts events, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from slo.errors import PromqlError
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    MatrixSelector,
    Node,
    Number,
    String,
    Subquery,
    VectorMatching,
    VectorSelector,
)
from slo.sli.counts import FEW_EVENTS, LOOKBACK_MS, TARGET_LABELS, TRAFFIC_FACTOR
from slo.window import MINUTE, SECOND

ZERO = Number(0.0)
INFINITE = Number(float("inf"))
# Divisors of a minute and of five: a subquery's steps lie at multiples of its step, and so do the edges of tiles.
_STEPS_S = (1, 2, 3, 5, 6, 10, 15, 20, 30, 60, 100, 150)
# So much shorter than need be a step may be: a shorter one costs a server more.
_NEARLY = 0.7


@dataclass(frozen=True, slots=True)
class Tile:
    """How events are counted on a server: in tiles of `length_ms` that end `lag_ms` before the evaluation.

    `by` are labels that each have a budget of their own, `target` those that name a target, all but the last its job.
    Scrapes are `scrape_ms` apart; of some targets they may be up to `slowest_ms`, or down to `fastest_ms`, apart, which
    costs a server more. `steady` says that no series appears in the tile, which costs it less. `lean` is how rules count:
    see `slo.sli.lean`.
    """

    length_ms: int
    lag_ms: int = 0
    by: tuple[str, ...] = ()
    target: tuple[str, ...] = TARGET_LABELS
    scrape_ms: int = 30_000
    lookback_ms: int = LOOKBACK_MS
    slowest_ms: int = 0
    fastest_ms: int = 0
    steady: bool = False
    lean: bool = False

    @property
    def recent_ms(self) -> int:
        """How far back the last few scrapes lie, of the targets that are scraped least often too."""
        return max(5 * self.scrape_ms // 2, self.slowest_ms)

    @property
    def quickest_ms(self) -> int:
        """The interval of the targets that are scraped most often."""
        return min(self.scrape_ms, self.fastest_ms or self.scrape_ms)

    @property
    def step_ms(self) -> int:
        """The step in which falls are looked for: each scrape is seen by itself.

        Rather one that divides the scrape interval: what rules read one interval late would be later still by the rest.
        """
        shortest = min(self.quickest_ms, self.length_ms) / 2
        longest = max(step for step in _STEPS_S if step == 1 or step * SECOND <= shortest)
        even = [
            step for step in _STEPS_S if _NEARLY * longest <= step <= longest and self.scrape_ms % (step * SECOND) == 0
        ]
        return max(even, default=longest) * SECOND

    @property
    def targets(self) -> tuple[str, ...]:
        """The labels that what belongs together has."""
        return tuple(dict.fromkeys((*self.target, *self.by)))

    @property
    def jobs(self) -> tuple[str, ...]:
        """The labels that the targets of a job share."""
        return tuple(dict.fromkeys((*self.target[:-1], *self.by)))


def matrix(selector: VectorSelector, range_ms: int, lag_ms: int) -> MatrixSelector:
    """The samples of (t − lag − range, t − lag]. Raises PromqlError for a selector that `@` fixes."""
    return MatrixSelector(shifted(selector, lag_ms), range_ms)


def shifted(selector: VectorSelector, lag_ms: int) -> VectorSelector:
    """The selector, so much earlier. Raises PromqlError for one that `@` fixes."""
    if selector.at is not None:
        raise PromqlError(f"{selector} is fixed in time by @ and cannot be counted over a moving window")
    return replace(selector, offset_ms=selector.offset_ms + lag_ms)


def alive(selector: VectorSelector, tile: Tile) -> Node:
    """The series that the newest scrape of their target has when the tile ends, with the times (s) of their samples."""
    at = Call("timestamp", (shifted(selector, tile.lag_ms),))
    newest = Aggregate("max", at, grouping=tile.targets)
    same_scrape = Binary("-", newest, Number(tile.scrape_ms / 3 / SECOND))
    return Binary(">=", at, same_scrape, matching=VectorMatching("many-to-one", tile.targets, on=True))


def believable(traffic: Node) -> Node:
    """The most events that are believed of what starts at 0 where there was so much traffic before."""
    return Call("clamp_min", (Binary("*", Number(TRAFFIC_FACTOR), traffic), Number(FEW_EVENTS)))


EVENT_LABEL = "event"


def side_by_side(words: Mapping[str, str], **events: Node) -> Node:
    """Expressions by their kind of event, as one vector: each has its word as the label `event`."""
    marked = [marked_as(words[event], node) for event, node in events.items()]
    binary = marked[0]
    for other in marked[1:]:
        binary = Binary("or", binary, other)
    return binary


def marked_as(word: str, node: Node) -> Node:
    """With the label `event`."""
    return labelled(node, EVENT_LABEL, word)


def labelled(node: Node, label: str, value: str = "1") -> Node:
    """With a label of its own, so that it can stand alongside others of the same labels."""
    return Call("label_replace", (node, String(label), String(value), String(""), String("")))


def alongside(nodes: Sequence[Node]) -> Node:
    """Several vectors as one; a label tells those apart that would have the same labels."""
    if len(nodes) == 1:
        return nodes[0]
    marked = [labelled(node, "summand", str(number)) for number, node in enumerate(nodes, 1)]
    node = marked[0]
    for other in marked[1:]:
        node = Binary("or", node, other)
    return node


def settled(make: Callable[[Tile], Node], tile: Tile) -> Node:
    """What is made of the tile as rules count it, at the last multiple of its step, as late as its lag.

    A millisecond less than the step, as Prometheus 2 counts a range's start in: where data ends, the tile one step earlier
    would be recorded once more.
    """
    node = make(replace(tile, lag_ms=0, lean=True))
    return Call("last_over_time", (Subquery(node, tile.step_ms - 1, tile.step_ms, tile.lag_ms),))


assert all(5 * MINUTE % (step * SECOND) == 0 for step in _STEPS_S)
