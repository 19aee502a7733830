"""Counters counted in tiles by rules: the contract of `slo.sli.counters` at a price that a server pays every minute.

All of an expression is evaluated at s, the last multiple of half a scrape interval before t − lag, so that the steps in
which falls are looked for divide tiles without a rest. A tile covers (s − length, s]. Of each series there is L, its
last value in the tile; K, its last value in the look-back before it; R, the same of the last 15 minutes; and F, the sum
of the values from which it fell within the tile.
- A series counts L − K + F, whatever lies between, of its target together at least 0.
- A series without K is born with L, which counts if all that appeared on its target, having no R, is no more than twice
  what the busiest target of its job had in the 15 minutes before; that of a part where that of all events does, up to
  what its target had of all events in the tile.
- Where series appeared on a target, all that its newest scrape shows less all R is what it counts instead, if that is at
  least 0, less than what appeared, and within that bound: more vanished than was gained, and goes on under other labels.
It differs from `slo.sli.tiles`, which is for servers that are asked now and then, in what is rare: series that go back to
their old labels within 15 minutes, renamed targets, which count from their next scrape on, and sums that lose a part.
Subtraction comes before sums, as sums of large counters lose events: but where series appear, by no more than a sum rounds.
"""

from __future__ import annotations

from slo.promql.ast import Aggregate, Binary, Call, Node, Number, Subquery, VectorMatching, VectorSelector
from slo.sli.counts import TRAFFIC_MS
from slo.sli.tile import INFINITE, ZERO, Tile, alive, alongside, believable, labelled, matrix, shifted

# Series that were seen within it go on.
RECENT_MS = TRAFFIC_MS
_FELL = "fell"


class _Lean:
    """The expressions of one counter at the end of a tile; each value of a `label` has births and deaths of its own.

    What is born is held against the traffic of the counters `others` too.
    """

    def __init__(
        self, selector: VectorSelector, tile: Tile, label: str = "", others: tuple[VectorSelector, ...] = ()
    ) -> None:
        self.selector, self.tile, self.others = selector, tile, others
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
        return Binary("or", gained, labelled(self.falls, _FELL))

    @property
    def falls(self) -> Node:
        """The sum of the values that each series fell from; nothing where it did not fall."""
        step = self.tile.step_ms
        before = Binary("<", self._last(self.tile.lookback_ms, step), INFINITE)
        after = Binary(">", self._last(step, 0), Number(float("-inf")))
        # A millisecond less, so that the first step is the tile's own to servers that count a range's start in.
        return Call("sum_over_time", (Subquery(Binary(">", before, after), self.tile.length_ms - 1, step),))

    @property
    def new(self) -> Node:
        """The last values of series that were not seen for a quarter of an hour."""
        return Binary("unless", Binary("<", self.last, INFINITE), self.recent)

    @property
    def appeared(self) -> Node:
        """The same, by target."""
        return self.summed(self.new)

    @property
    def reached(self) -> Node:
        """All events that a target can have had in the tile: what its series gained, or stand at where they began or fell."""
        gained = Binary(">=", Binary("-", self.last, self.recent), ZERO)
        return self.summed(Binary("or", gained, self.last))

    @property
    def went_on(self) -> Node:
        """All events of targets whose series go on under other labels: by what all of them show now, and in the last 15 minutes
        before the tile. That is less than what appeared alone where more vanished than was gained: else, and where it is
        below 0, what appeared there began anew, or is back."""
        tile = self.tile
        now = self.summed(Binary("and", shifted(self.selector, tile.lag_ms), alive(self.selector, tile)))
        one_to_one = VectorMatching("one-to-one", self.groups, on=True)
        more = Binary(">=", Binary("-", now, self.summed(self.recent), matching=one_to_one), ZERO)
        return Binary("<", more, self.appeared, matching=one_to_one)

    @property
    def bound(self) -> Node:
        """The most events that births may have, by job: twice what its busiest target had; nothing of a job that is new."""
        tile = self.tile
        ago_ms = tile.length_ms + tile.lag_ms
        traffic = alongside(
            [Call("increase", (matrix(each, TRAFFIC_MS, ago_ms),)) for each in (self.selector, *self.others)]
        )
        busiest = Aggregate("max", Aggregate("sum", traffic, grouping=tile.targets), grouping=tile.jobs)
        return believable(busiest)

    def within(self, op: str, node: Node) -> Node:
        """What of a node, by target, compares so with the bound of its job."""
        return Binary(op, node, self.bound, matching=VectorMatching("many-to-one", self.tile.jobs, on=True))

    def total(self, believed: Node, bounded: Node, not_counted: Node | None = None) -> Node:
        """All events in the tile, by target; 0 where it was scraped and nothing happened. What is born counts on the targets
        of `believed`, and `bounded` are the events of those that go on; those of `not_counted` count from their next scrape
        on."""
        gained = self.grown if not_counted is None else Binary("unless", self.grown, not_counted, matching=self.on)
        # A series that is known has what it gained, and nothing alongside it.
        counts = Binary("or", gained, Binary("and", self.new, believed, matching=self.on))
        return Binary("or", bounded, Call("clamp_min", (self.summed(counts), ZERO)))

    @property
    def believed(self) -> Node:
        """The targets on which no more appeared than the bound of their job."""
        every = _Lean(self.selector, self.tile, others=self.others)
        return every.within("<=", every.appeared)

    def seen_by_target(self) -> Node:
        """The targets that were seen in their last few scrapes before the tile."""
        return Aggregate("group", self._last(self.tile.recent_ms, self.tile.length_ms), grouping=self.tile.targets)


def counted(
    counter: VectorSelector,
    tile: Tile,
    label: str = "",
    grouping: tuple[str, ...] | None = None,
    others: tuple[VectorSelector, ...] = (),
) -> Node:
    """The events of a counter in a tile, by target: 0 where it was scraped and counted nothing.

    With `label` by that label too; births of a target count for all its values or none. `grouping` are other labels to add
    up by, `others` counters whose traffic births are held against as well.
    """
    tiles = _Lean(counter, tile, label, others)
    total = tiles.total(tiles.believed, tiles.within("<=", tiles.went_on))
    return total if grouping is None else Aggregate("sum", total, grouping=grouping)


def counted_part(part: VectorSelector, whole: VectorSelector, tile: Tile, together: bool = False) -> Node:
    """The events of a counter that counts a part of what `whole` counts, by target.

    Births count where those of the whole do, up to what their target had of all events. `together` means that while a target lacks the part its total does not count
    either, so that the part counts over a pause only where the total paused too.
    """
    item, every = _Lean(part, tile), _Lean(whole, tile)
    more_than_all = Binary(
        ">", item.appeared, every.reached, matching=VectorMatching("one-to-one", tile.targets, on=True)
    )
    # What of all events appeared is at least that, where any did.
    appeared = Binary("or", every.appeared, item.appeared)
    believed = Binary("unless", every.within("<=", appeared), more_than_all, matching=item.on)
    bounded = every.within("<=", item.went_on)
    if not together:
        return item.total(believed, bounded)
    return item.total(believed, bounded, Binary("unless", every.seen_by_target(), item.seen_by_target()))
