"""Counters counted by a server, in tiles: the contract of `slo.sli.counters` as PromQL.

A tile covers (t − lag − length, t − lag]. Of each series there is L, its last value in the tile; R, its last value in
the few scrapes before it; K, its last value within the look-back before it; and F, the sum of the values from which it
fell within the tile, seen by a subquery of half a scrape interval.
- Without a fall it counts L − R, with falls L − R + F, and where the fall itself was not seen L and what
  the greatest value in the tile, G, exceeds R by. A series without R
  appeared with M, the least of its values in the tile: L − M + F, and
- after a pause M − K, or M where it is below K, or G if it falls in the tile;
- without K it is born. Its target lost what is no longer scraped when the tile ends; where what appeared is at least
  that, it goes on under other labels and counts the difference; else it counts M.
- Births, and values after a fall, count up to a bound: twice what the target had in the 15 minutes before; of a new
  target, what the busiest of its job had. Bad events count up to what was born of all events.
Subtraction comes before sums, as sums of large counters lose events.
"""

from __future__ import annotations

from collections.abc import Sequence

from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Node,
    Number,
    Subquery,
    VectorMatching,
    VectorSelector,
)
from slo.sli import lean
from slo.sli.counts import TRAFFIC_MS
from slo.sli.tile import INFINITE, ZERO, Tile, alive, alongside, believable, labelled, matrix

_BIRTH, _BRIDGE, _OF = "birth", "bridge", "of"


class _CounterTile:
    """The expressions of one counter in a tile. What is born is held against the traffic of the counters `others` too."""

    def __init__(
        self,
        selector: VectorSelector,
        tile: Tile,
        whole: VectorSelector | None = None,
        others: tuple[VectorSelector, ...] = (),
    ) -> None:
        self.selector, self.tile, self.whole, self.others = selector, tile, whole or selector, others
        self.start_ms = tile.lag_ms + tile.length_ms  # how long ago the tile began
        self.on = VectorMatching("many-to-many", tile.targets, on=True)
        self.one = VectorMatching("one-to-one", tile.targets, on=True)
        self.each = VectorMatching("many-to-one", tile.targets, on=True)
        samples = (matrix(selector, tile.length_ms, tile.lag_ms),)
        self.last = _finite(Call("last_over_time", samples))
        self.recent = _finite(Call("last_over_time", (matrix(selector, tile.recent_ms, self.start_ms),)))
        known = Call("last_over_time", (matrix(selector, tile.lookback_ms, self.start_ms),))
        self.known = _finite(known)
        self.least = _finite(Call("min_over_time", samples))
        self.greatest = _finite(Call("max_over_time", samples))
        # What a series that appears in the tile had when it did.
        self.appeared = Binary("unless", self.least, self.recent)
        self.born = Binary("unless", self.least, known)

    def summed(self, node: Node) -> Node:
        """By target."""
        return Aggregate("sum", node, grouping=self.tile.targets)

    @property
    def grown(self) -> Node:
        """What each series gained since the last scrape before the tile, or since it appeared, by series."""
        difference = Binary("-", self.last, self.recent)
        falls = self._falls(self.tile.length_ms + self.tile.recent_ms)
        gained = Binary(">=", Binary("or", Binary("+", difference, falls), difference), ZERO)
        # A fall after the subquery's last step: the old process's greatest value alongside the new one's.
        older = Call("clamp_min", (Binary("-", self.greatest, self.recent), ZERO))
        fell = Binary("+", Binary("<", self.last, self.recent), older)
        return Binary("unless", Binary("or", Binary("or", gained, fell), self.rose), self.unbelievable)

    @property
    def traffic(self) -> Node:
        """All events of the tile and the 15 minutes before it, by series."""
        return self._increase(TRAFFIC_MS + self.tile.length_ms, self.tile.lag_ms)

    def _of_all(self, what: str) -> Node:
        """Of this counter and the others."""
        return alongside([getattr(each, what) for each in (self, *(_CounterTile(c, self.tile) for c in self.others))])

    def _increase(self, range_ms: int, lag_ms: int) -> Node:
        return alongside([Call("increase", (matrix(each, range_ms, lag_ms),)) for each in (self.whole, *self.others)])

    @property
    def rose(self) -> Node:
        """What each series is above its least value in the tile, and fell from; not what one fell from that is new on a target
        whose new series have the counters of a long life."""
        difference = Binary("-", self.last, self.least)
        every = self if self.whole == self.selector else _CounterTile(self.whole, self.tile)
        reached = self.summed(Binary("unless", every.greatest, every.known))
        long = Binary(">", reached, believable(self.summed(self.traffic)), matching=self.one)
        lived = Binary("and", Binary("unless", self.greatest, self.known), long, matching=self.on)
        falls = Binary("unless", self._falls(self.tile.recent_ms), lived)
        return Binary("or", Binary("+", difference, falls), difference)

    def _falls(self, range_ms: int) -> Node:
        """The sum of the values that each series fell from, over gaps of so long; nothing where it did not fall."""
        tile = self.tile
        before = Call("last_over_time", (matrix(self.selector, range_ms, tile.step_ms),))
        after = Call("last_over_time", (matrix(self.selector, tile.step_ms, 0),))
        falls = Binary(">", _finite(before), Binary(">", after, Number(float("-inf"))))
        # Steps whose own step lies within the tile: a fall before it is none of this tile's.
        length = tile.length_ms - tile.step_ms + 1
        return Call("sum_over_time", (Subquery(falls, length, tile.step_ms, tile.lag_ms),))

    @property
    def unbelievable(self) -> Node:
        """Series that fell to more than their target can have had since: no restart, but a sum that lost a part."""
        before = self._increase(TRAFFIC_MS, self.start_ms)
        fell = Binary("<", self.least, self.recent)
        many = Binary(">", fell, believable(self.summed(before)), matching=self.each)
        # In the tile itself, up to where it fell.
        risen = Call("clamp_min", (Binary("-", self.greatest, self.recent), ZERO))
        return Binary(">", many, believable(risen))

    @property
    def bridged(self) -> Node:
        """What each series gained over a pause, by series; nothing where its target goes on under other labels."""
        # Where it did not come back at what it had, it fell in the pause; it may fall in the tile only.
        fell = Binary(">", Call("resets", (matrix(self.selector, self.tile.length_ms, self.tile.lag_ms),)), ZERO)
        reached = Binary("or", Binary("and", self.greatest, fell), self.least)
        gained = Binary("-", self.appeared, Binary("<=", self.known, reached))
        gained = Binary("or", gained, Binary("and", self.appeared, self.known))
        return Binary("unless", gained, self.went_on, matching=self.on)

    @property
    def vanished(self) -> Node:
        """The last values of series that their target no longer has when the tile ends, by series."""
        tile = self.tile
        there = Call("last_over_time", (matrix(self.selector, tile.length_ms + tile.recent_ms, tile.lag_ms),))
        return Binary("unless", Binary("and", _finite(there), self.recent), alive(self.selector, tile))

    @property
    def births(self) -> Node:
        """What series that appeared had, by target: what they exceed those by that they go on for, or all of it."""
        return Binary("or", self.went_on, self.summed(self.born))

    @property
    def went_on(self) -> Node:
        """By how much what appeared exceeds what vanished, by target; nothing where it does not, or nothing vanished."""
        # Of what is back after a pause, at or above what it had, what vanished has had that too: else it is the series' own.
        had = Binary("or", Binary("<=", self.known, self.least), Binary("*", self.least, ZERO))
        had = Binary("and", had, self.appeared)
        vanished = Binary(">=", self.summed(self.vanished), self.summed(had), matching=self.one)
        return Binary(">=", Binary("-", self.summed(self.appeared), vanished), ZERO)

    @property
    def bound(self) -> Node:
        """The most events that births may have, by target; nothing where neither target nor job were seen before."""
        tile = self.tile
        recent, known = self._of_all("recent"), self._of_all("known")
        own = Binary("and", believable(self.summed(self.traffic)), recent, matching=self.on)
        over_pause = Binary(">", Binary("-", Binary("unless", self.last, self.recent), self.known), ZERO)
        most = believable(self.summed(Binary("or", self.traffic, labelled(over_pause, _BRIDGE))))
        of_job = Aggregate("max", Binary("and", most, known, matching=self.on), grouping=tile.jobs)
        new = Binary("*", self.summed(self.last), ZERO)
        cold = Binary("+", new, of_job, matching=VectorMatching("many-to-one", tile.jobs, on=True))
        return Binary("or", own, cold)

    @property
    def believed(self) -> Node:
        """The births that count, by target."""
        return Binary("unless", Binary("<=", self.births, self.bound, matching=self.one), self.seen, matching=self.on)

    @property
    def seen(self) -> Node:
        """What was born on targets that show it already, by another scraper, or again under the old labels when the tile ends:
        it stands between what their other series had before the tile and have at its end."""
        before = Binary(">", self.summed(Binary("and", self.recent, self.last)), ZERO)
        after = self.summed(Binary("and", self.last, self.recent))
        since = Binary(">=", self.summed(self.born), before, matching=self.one)
        return Binary("<=", since, after, matching=self.one)

    def total(self, births: Node, not_bridged: Node | None = None) -> Node:
        """All events in the tile, by target; 0 where it was scraped and nothing happened. The targets of `not_bridged`
        count nothing over pauses."""
        if self.tile.steady:
            return self.summed(self.grown)
        bridged = self.bridged if not_bridged is None else Binary("unless", self.bridged, not_bridged, matching=self.on)
        gained = Binary("or", self.grown, labelled(bridged, _BRIDGE))
        return self.summed(Binary("or", gained, labelled(births, _BIRTH)))


def counted(counter: VectorSelector, tile: Tile, others: tuple[VectorSelector, ...] = ()) -> Node:
    """The events of a counter in a tile, by target: 0 where it was scraped and counted nothing. `others` are counters
    whose traffic births are held against as well."""
    if tile.lean:
        return lean.counted(counter, tile, others=others)
    item = _CounterTile(counter, tile, others=others)
    return item.total(item.believed)


def counted_part(part: VectorSelector, whole: VectorSelector, tile: Tile, together: bool = False) -> Node:
    """The events of a counter that counts a part of what `whole` counts, by target.

    `together` means that while a target lacks the part its total does not count either, so that what is bridged over a
    pause counts only where the total paused too.
    """
    if tile.lean:
        return lean.counted_part(part, whole, tile, together)
    counter = _CounterTile(part, tile, whole)
    if not together:
        return counter.total(_believed_part(counter, whole))
    every = _CounterTile(whole, tile)
    return counter.total(
        _believed_part(counter, whole), Binary("unless", every.recent, every.appeared, matching=every.on)
    )


def _believed_part(item: _CounterTile, whole: VectorSelector) -> Node:
    every = _CounterTile(whole, item.tile)
    # Of one metric or histogram its births are among those of all events.
    bound = every.believed
    if not _same_family(item.selector, whole):
        refused = Binary("unless", every.births, every.believed, matching=every.on)
        bound = Binary("unless", every.total(every.believed), refused, matching=every.on)
    return Binary("<=", item.births, bound, matching=item.one)


def in_doubt(counter: VectorSelector, tile: Tile, whole: VectorSelector | None = None) -> Node:
    """The events of births that were not believed, all together; nothing where there are none."""
    item = _CounterTile(counter, tile, whole)
    if whole is None:
        refused = Binary("unless", item.births, item.believed, matching=item.on)
        # The first targets ever seen are baselines; of a job that was away all along nothing says what is possible.
        job = VectorMatching("many-to-many", tile.jobs, on=True)
        return Aggregate("sum", Binary("and", refused, item.known, matching=job))
    refused = Binary("unless", item.births, _believed_part(item, whole), matching=item.on)
    return Aggregate("sum", Binary("and", refused, _CounterTile(whole, tile).known, matching=item.on))


def refused_falls(counter: VectorSelector, tile: Tile, whole: VectorSelector | None = None) -> Node:
    """What series stood at after falls that were not believed, all together; nothing where there are none."""
    item = _CounterTile(counter, tile, whole)
    return Aggregate("sum", Binary("and", item.least, item.unbelievable))


def continued(counter: VectorSelector, tile: Tile) -> Node:
    """The number of targets whose series went on under other labels; nothing where there are none."""
    return Aggregate("count", _CounterTile(counter, tile).went_on)


def appearing(counter: VectorSelector, tile: Tile) -> Node:
    """The number of series that appear in a tile; nothing where there are none."""
    return Aggregate("count", _CounterTile(counter, tile).appeared)


def born(counter: VectorSelector, tile: Tile) -> Node:
    """The number of targets on which series appeared that count from their first values; nothing where there are none."""
    item = _CounterTile(counter, tile)
    return Aggregate("count", Binary(">", Binary("unless", item.believed, item.went_on, matching=item.on), ZERO))


def by_series(counter: VectorSelector, tile: Tile, whole: VectorSelector | None = None) -> Node:
    """What each series of a counter counted in a tile. What went on under other labels counts from its next scrape on."""
    item = _CounterTile(counter, tile, whole)
    bound = item.bound if whole is None else _CounterTile(whole, tile).bound
    seen = item.seen if whole is None else _CounterTile(whole, tile).seen
    births = Binary("unless", Binary("<=", item.born, bound, matching=item.each), seen, matching=item.on)
    # Alongside what it gained in the tile a series has what it appeared with.
    appeared = Binary("or", item.bridged, births)
    return Binary("or", Binary("+", item.grown, appeared), item.grown)


def either(first: Node, second: Node, labels: Sequence[str]) -> Node:
    """The first where it has a series with these labels, else the second."""
    return Binary("or", first, second, matching=VectorMatching("many-to-many", tuple(labels), on=True))


def with_targets_of(node: Node, other: Node, tile: Tile) -> Node:
    """Of the targets that have something else too."""
    return Binary("and", node, other, matching=VectorMatching("many-to-many", tile.targets, on=True))


def added(node: Node, by: tuple[str, ...]) -> Node:
    """All targets together, one series for each value of `by`."""
    return Aggregate("sum", node, grouping=by)


def present(selector: VectorSelector, tile: Tile) -> Node:
    """1 for each value of `by` that has a sample in the tile."""
    return Aggregate(
        "group", Call("last_over_time", (matrix(selector, tile.length_ms, tile.lag_ms),)), grouping=tile.by
    )


def broken(selectors: Sequence[VectorSelector], tile: Tile) -> Node:
    """The number of series of a tile that have values which are not numbers, at least as many samples; nothing where none
    has: what is NaN or infinite does not differ from itself by 0. VictoriaMetrics leaves out what is NaN."""
    nodes: list[Node] = []
    for selector in selectors:
        samples = (matrix(selector, tile.length_ms, tile.lag_ms),)
        added_up = Call("sum_over_time", samples)
        finite = Binary("==", Binary("-", added_up, added_up), ZERO)
        nodes.append(Aggregate("count", Binary("unless", Call("last_over_time", samples), finite)))
    whole = nodes[0]
    for number, other in enumerate(nodes[1:]):
        whole = Binary("or", whole, labelled(other, _OF, str(number)))
    return whole


def worst_targets(whole: Node, part: Node, target: tuple[str, ...]) -> Node:
    """The five targets with the most events that are not of the part."""
    bad = Binary(
        "-",
        Aggregate("sum", whole, grouping=target),
        Aggregate("sum", part, grouping=target),
        matching=VectorMatching("one-to-one", target, on=True),
    )
    return Aggregate("topk", Binary(">", bad, ZERO), Number(5.0))


def _finite(node: Node) -> Node:
    """Without NaN and infinity: they are not values."""
    return Binary("<", node, INFINITE)


def _same_family(part: VectorSelector, whole: VectorSelector) -> bool:
    """Whether a process has its series of both at once: they are of one metric, or of one histogram."""

    def family(name: str | None) -> str:
        text = name or ""
        for ending in ("_bucket", "_count"):
            text = text.removesuffix(ending)
        return text

    return family(part.name) == family(whole.name)
