"""What recorded tiles add up to over a window: events, bad events, and their ratio."""

from __future__ import annotations

from dataclasses import dataclass, replace

from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    Subquery,
    VectorMatching,
    VectorSelector,
)
from slo.rules import names as n
from slo.rules.names import Names
from slo.sli.base import Event
from slo.sli.tile import EVENT_LABEL, ZERO
from slo.spec.model import Slo

_ONE = Number(1.0)
_ALONGSIDE = VectorMatching("one-to-one", (EVENT_LABEL,), on=False)


@dataclass(frozen=True, slots=True)
class Tiles:
    """The recorded tiles of an SLO, of one length; `name` is that of their series."""

    names: Names
    slo: Slo
    tile_ms: int
    name: str

    @classmethod
    def of(cls, names: Names, slo: Slo, tile_ms: int) -> Tiles:
        """Those that count from raw series, or are sums of these."""
        return cls(names, slo, tile_ms, n.events_tile_name(tile_ms))

    def series(self, event: Event | None = None) -> VectorSelector:
        """The tiles of one kind of event, or of the two that are kept: not those of another kind of SLI that had this name."""
        result = self.names.series(self.slo, self.name)
        words = self.slo.sli.event_words
        own = (
            Matcher(EVENT_LABEL, "=~", "|".join(words.values()))
            if event is None
            else Matcher(EVENT_LABEL, "=", words[event])
        )
        return replace(result, matchers=(*result.matchers, own))

    @property
    def present(self) -> VectorSelector:
        """One series, that has a value for each tile with data."""
        return self.series("all" if "all" in self.slo.sli.kept_events else "bad")

    @property
    def _rare_ms(self) -> int:
        """How often there is a tile of an SLI that is judged less often than they are recorded; 0 for others."""
        slice_ms = self.slo.sli.slice_ms or 0
        return slice_ms if slice_ms > self.tile_ms else 0

    @property
    def current(self) -> Node:
        """The last tile, where it is the newest that there can be."""
        if not self._rare_ms:
            return self.present
        # Between two of them a server marks the series as gone.
        return Call("last_over_time", (MatrixSelector(self.present, self._rare_ms + self.tile_ms),))

    def looked_at(self, window_ms: int, step_ms: int) -> Subquery:
        """Whether there were tiles, at every step of a window."""
        seen: Node = self.present
        if self._rare_ms:
            seen = Call("last_over_time", (MatrixSelector(self.present, max(step_ms, self._rare_ms)),))
        return Subquery(seen, window_ms, step_ms)

    def summed(self, window_ms: int, event: Event | None = None) -> Node:
        """Added up over a window: one series for each kind of event."""
        if window_ms == self.tile_ms:
            # vmalert writes a tile after its group is done: over a range of one tile it would never find one.
            return self.series(event)
        return Call("sum_over_time", (MatrixSelector(self.series(event), window_ms),))

    def errors(self, window_ms: int) -> Node:
        """The bad events of a window."""
        if "bad" in self.slo.sli.kept_events:
            return without_event(self.summed(window_ms, "bad"))
        all_events, good = self.summed(window_ms, "all"), self.summed(window_ms, "good")
        return Call("clamp_min", (Binary("-", all_events, good, matching=_ALONGSIDE), ZERO))

    def events(self, window_ms: int) -> Node:
        """All events of a window."""
        if "all" in self.slo.sli.kept_events:
            return without_event(self.summed(window_ms, "all"))
        return without_event(self.summed(window_ms))

    def ratio(self, window_ms: int) -> Node:
        """Bad events over all of a window, of the tiles that there are; absent without traffic."""
        match self.slo.sli.kept_events:
            case "all", "bad":
                bad, whole = self.summed(window_ms, "bad"), self.summed(window_ms, "all")
                return Binary("/", bad, Binary(">", whole, ZERO), matching=_ALONGSIDE)
            case "all", "good":
                good, whole = self.summed(window_ms, "good"), self.summed(window_ms, "all")
                share = Binary("/", good, Binary(">", whole, ZERO), matching=_ALONGSIDE)
                return Call("clamp_min", (Binary("-", Number(1.0), share), ZERO))
        # Each is read once; nothing over nothing is NaN, which is not at least 0.
        times = Binary("/", self.summed(window_ms, "good"), self.summed(window_ms, "bad"), matching=_ALONGSIDE)
        return Binary(">=", Binary("/", _ONE, Binary("+", _ONE, times)), ZERO)


def without_event(node: Node) -> Node:
    """Added up over the kinds of event there are."""
    return Aggregate("sum", node, grouping=(EVENT_LABEL,), without=True)
