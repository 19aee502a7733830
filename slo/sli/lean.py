"""Counters counted in tiles by rules: the contract of `slo.sli.counters` at a price that a server pays every minute.

All of an expression is evaluated at s, the last multiple of half a scrape interval before t − lag, so that the steps in
which falls are looked for divide tiles without a rest. A tile covers (s − length, s]. Of each series there is L, its
last value in the tile; K, its last value in the look-back before it; R, the same of the last 15 minutes; and F, the sum
of the values from which it fell within the tile.
- A series counts L − K + F, whatever lies between, of its target together at least 0.
- A series without K is born with L. Its target lost V, the last values of what its newest scrape no longer has: where what
  appeared, having no R, is at least V, it goes on under other labels, and counts the difference.
- Births of a target count if all that appeared on it is no more than twice what the busiest target of its job had in the
  15 minutes before; those of a part count where those of all events do.
It differs from `slo.sli.tiles`, which is for servers that are asked now and then, in what is rare: series that go back to
their old labels, renamed targets, which count from their next scrape on, and sums that lose a part.
Subtraction comes before sums, as sums of large counters lose events.
"""

from __future__ import annotations

from slo.promql.ast import Aggregate, Binary, Call, Node, Number, Subquery, VectorMatching, VectorSelector
from slo.sli.counts import FEW_EVENTS, TRAFFIC_FACTOR, TRAFFIC_MS
from slo.sli.tile import INFINITE, ZERO, Tile, labelled, matrix, shifted
from slo.window import SECOND

# Series that were seen within it go on: the fall of one is seen over a pause as long.
RECENT_MS = TRAFFIC_MS
_ALONGSIDE = "alongside"


class _Lean:
    """The expressions of one counter at the end of a tile; each value of a `label` has births and deaths of its own."""

    def __init__(self, selector: VectorSelector, tile: Tile, label: str = "") -> None:
        self.selector, self.tile = selector, tile
        self.groups = (*tile.targets, label) if label and label not in tile.targets else tile.targets
        self.on = VectorMatching("many-to-many", tile.targets, on=True)
        self.last = self._last(tile.length_ms, 0)
        self.recent = self._last(RECENT_MS, tile.length_ms)
        self.known = self._last(tile.lookback_ms, tile.length_ms)

    def _last(self, range_ms: int, ago_ms: int) -> Node:
        return Call("last_over_time", (matrix(self.selector, range_ms, ago_ms + self.tile.lag_ms),))

    def summed(self, node: Node) -> Node:
        """By target, and by the counter's label if there is one."""
        return Aggregate("sum", node, grouping=self.groups)

    @property
    def grown(self) -> Node:
        """What each series gained, and apart from it the values that it fell from."""
        gained = Binary("<", Binary("-", self.last, self.known), INFINITE)
        return Binary("or", gained, labelled(self.falls, _ALONGSIDE))

    @property
    def falls(self) -> Node:
        """The sum of the values that each series fell from; nothing where it did not fall."""
        step = self.tile.step_ms
        before = Binary("<", self._last(self.tile.lookback_ms, step), INFINITE)
        after = Binary(">", self._last(RECENT_MS, 0), Number(float("-inf")))
        # A millisecond less, so that the first step is the tile's own to servers that count a range's start in.
        return Call("sum_over_time", (Subquery(Binary(">", before, after), self.tile.length_ms - 1, step),))

    @property
    def appeared(self) -> Node:
        """What was not seen for a quarter of an hour, by target."""
        return self.summed(Binary("unless", self.last, self.recent))

    @property
    def vanished(self) -> Node:
        """The last values of series that their target no longer has, by target; where less than them appeared, nothing."""
        tile = self.tile
        at = Call("timestamp", (shifted(self.selector, tile.lag_ms),))
        newest = Aggregate("max", at, grouping=tile.targets)
        same_scrape = Binary("-", newest, Number(tile.scrape_ms / 3 / SECOND))
        alive = Binary(">=", at, same_scrape, matching=VectorMatching("many-to-one", tile.targets, on=True))
        return Binary(
            "<=", self.summed(Binary("unless", self._last(RECENT_MS + tile.length_ms, 0), alive)), self.appeared
        )

    @property
    def births(self) -> Node:
        """What series that appeared had, by target: what they exceed those by that they go on for, or all of it."""
        born = Binary("unless", Binary("<", self.last, INFINITE), self.known)
        lost = labelled(Binary("*", Number(-1.0), self.vanished), _ALONGSIDE)
        return Binary(">=", self.summed(Binary("or", born, lost)), ZERO)

    @property
    def bound(self) -> Node:
        """The most events that births may have, by job: twice what its busiest target had; nothing of a job that is new."""
        tile = self.tile
        traffic = Call("increase", (matrix(self.selector, TRAFFIC_MS, tile.length_ms + tile.lag_ms),))
        busiest = Aggregate("max", Aggregate("sum", traffic, grouping=tile.targets), grouping=tile.jobs)
        return Call("clamp_min", (Binary("*", Number(TRAFFIC_FACTOR), busiest), Number(FEW_EVENTS)))

    def within(self, op: str, node: Node) -> Node:
        """What of a node, by target, compares so with the bound of its job."""
        return Binary(op, node, self.bound, matching=VectorMatching("many-to-one", self.tile.jobs, on=True))

    def total(self, births: Node, not_counted: Node | None = None) -> Node:
        """All events in the tile, by target; 0 where it was scraped and nothing happened. The targets of `not_counted`
        count from their next scrape on."""
        gained = self.grown if not_counted is None else Binary("unless", self.grown, not_counted, matching=self.on)
        return self.summed(Binary("or", Call("clamp_min", (self.summed(gained), ZERO)), labelled(births, _ALONGSIDE)))

    @property
    def believed(self) -> Node:
        """The births that count: of targets on which no more appeared than its bound."""
        every = _Lean(self.selector, self.tile)
        return Binary("and", self.births, every.within("<=", every.appeared), matching=self.on)

    def seen_by_target(self) -> Node:
        """The targets that were seen in their last few scrapes before the tile."""
        return Aggregate("group", self._last(self.tile.recent_ms, self.tile.length_ms), grouping=self.tile.targets)


def counted(counter: VectorSelector, tile: Tile, label: str = "") -> Node:
    """The events of a counter in a tile, by target: 0 where it was scraped and counted nothing.

    With `label` by that label too; births of a target count for all its values or none.
    """
    tiles = _Lean(counter, tile, label)
    return tiles.total(tiles.believed)


def counted_part(part: VectorSelector, whole: VectorSelector, tile: Tile, together: bool = False) -> Node:
    """The events of a counter that counts a part of what `whole` counts, by target.

    Births count where those of the whole do. `together` means that while a target lacks the part its total does not count
    either, so that the part counts over a pause only where the total paused too.
    """
    part_tile, every = _Lean(part, tile), _Lean(whole, tile)
    born = Binary(
        "unless", every.within("<=", part_tile.births), every.within(">", every.appeared), matching=part_tile.on
    )
    if not together:
        return part_tile.total(born)
    return part_tile.total(born, Binary("unless", every.seen_by_target(), part_tile.seen_by_target()))
