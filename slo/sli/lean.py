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

# Series that were seen within it go on.
RECENT_MS = TRAFFIC_MS
# What stands beside what a series gained and is added to it, and what is added up apart from it.
_BESIDE, _BORN = "beside", "born"


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

    def gained(self, births: Node) -> Node:
        """What each series gained, and those of `births` without K all that they have; and apart from it the values that it
        fell from.

        One look at K decides both: a look-back of two hours is what costs a server most.
        """
        apart = VectorMatching("many-to-many", (_BORN,), on=False)
        every = Binary("or", Binary("-", self.last, self.known), labelled(births, _BORN), matching=apart)
        return Binary("or", Binary("<", every, INFINITE), labelled(self.falls, _BESIDE))

    @property
    def falls(self) -> Node:
        """The sum of the values that each series fell from; nothing where it did not fall."""
        step = self.tile.step_ms
        before = Binary("<", self._last(self.tile.lookback_ms, step), INFINITE)
        after = Binary(">", self._last(step, 0), Number(float("-inf")))
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
    def bound(self) -> Node:
        """The most events that births may have, by job: twice what its busiest target had; nothing of a job that is new."""
        tile = self.tile
        traffic = Call("increase", (matrix(self.selector, TRAFFIC_MS, tile.length_ms + tile.lag_ms),))
        busiest = Aggregate("max", Aggregate("sum", traffic, grouping=tile.targets), grouping=tile.jobs)
        return Call("clamp_min", (Binary("*", Number(TRAFFIC_FACTOR), busiest), Number(FEW_EVENTS)))

    def within(self, op: str, node: Node) -> Node:
        """What of a node, by target, compares so with the bound of its job."""
        return Binary(op, node, self.bound, matching=VectorMatching("many-to-one", self.tile.jobs, on=True))

    def added_up(self, births: Node) -> Node:
        """What was gained, by target, and with the label `born` what was born: what it exceeds those by that it goes on
        for, or all of it. Only the series of `births` are born."""
        lost = labelled(labelled(Binary("*", Number(-1.0), self.vanished), _BORN), _BESIDE)
        summed = Aggregate("sum", Binary("or", self.gained(births), lost), grouping=(*self.groups, _BORN))
        return Call("clamp_min", (summed, ZERO))

    def seen_by_target(self) -> Node:
        """The targets that were seen in their last few scrapes before the tile."""
        return Aggregate("group", self._last(self.tile.recent_ms, self.tile.length_ms), grouping=self.tile.targets)


def counted(counter: VectorSelector, tile: Tile, label: str = "", grouping: tuple[str, ...] | None = None) -> Node:
    """The events of a counter in a tile, by target: 0 where it was scraped and counted nothing.

    With `label` by that label too; births of a target count for all its values or none. `grouping` are other labels to add
    up by.
    """
    one, every = _Lean(counter, tile, label), _Lean(counter, tile)
    # Births count of targets on which no more appeared than the bound.
    births = Binary("and", one.last, every.within("<=", every.appeared), matching=one.on)
    return Aggregate("sum", one.added_up(births), grouping=one.groups if grouping is None else grouping)


def counted_part(part: VectorSelector, whole: VectorSelector, tile: Tile, together: bool = False) -> Node:
    """The events of a counter that counts a part of what `whole` counts, by target.

    Births count where those of the whole do, up to its bound. `together` means that while a target lacks the part its total
    does not count either, so that the part counts over a pause only where the total paused too.
    """
    one, every = _Lean(part, tile), _Lean(whole, tile)
    found = one.added_up(Binary("unless", one.last, every.within(">", every.appeared), matching=one.on))
    if together:
        # Without the label `born`: such a target counts from its next scrape on.
        paused = Binary("unless", every.seen_by_target(), one.seen_by_target())
        apart = VectorMatching("many-to-many", (*tile.targets, _BORN), on=True)
        found = Binary("unless", found, paused, matching=apart)
    # What is not born has no bound.
    without = Binary("*", INFINITE, Aggregate("group", one.last, grouping=tile.jobs))
    bounds = Binary("or", labelled(every.bound, _BORN), without)
    within = Binary("<=", found, bounds, matching=VectorMatching("many-to-one", (*tile.jobs, _BORN), on=True))
    return Aggregate("sum", within, grouping=tile.targets)
