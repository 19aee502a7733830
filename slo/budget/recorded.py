"""Events from the tiles that rules have recorded on a server, where these are whole; the rest from its raw samples.

A tile is believed where all of it is there and `slo_info` had the fingerprint of the definition's SLI at the moment of each of
its parts. Figures are of the moment at which the last tile ends, so that the steps are tiles, and no event is split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from slo.errors import ConfigError
from slo.limits import asked_for
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    VectorMatching,
    VectorSelector,
)
from slo.promql.samples import Samples
from slo.promql.values import NAME
from slo.rules import names as n
from slo.rules.fingerprint import fingerprint
from slo.rules.names import OWN, SLOTH, Names
from slo.rules.windows import Tiles
from slo.sli.base import Measured, Note
from slo.sli.counts import LOOKBACK_MS, CountingStats, Counts, Floats, Gap, Grid
from slo.sli.slices import stretches
from slo.sli.tile import EVENT_LABEL, Tile
from slo.source.base import Matrix, Source, retention_ms, source_of
from slo.source.counted import CountSource
from slo.spec.model import Slo
from slo.suggest import suggest
from slo.window import DAY, MINUTE, SECOND, Calendar, format_duration, moment, tile_length

From = Literal["raw", "recorded", "auto"]
FROM: tuple[From, ...] = ("auto", "recorded", "raw")
RECORDED, COPIES, CHANGED = "recorded", "copies", "recorded-otherwise"
# How far back the last tiles are looked for: of many SLOs at once, and of one whose last tiles are not there.
_RECENT_MS, _LAST_MS = 15 * MINUTE, DAY
# Matchers of many services are left out: a server takes URLs and forms of some length only.
_MOST_NAMES = 4_000
# A server's clock of a group is exact; a difference of two times in seconds is not.
_SAME_MOMENT = 0.0005
# Stretches without whole tiles that lie so close together are asked for at once; of more than so many all is.
_CLOSE_STEPS, _MOST_HOLES = 12, 40
_EMPTY_ON = VectorMatching("many-to-many", (), on=True)
Flags = NDArray[np.bool_]


def checked_from(text: str) -> From:
    """Where figures shall come from. Raises ConfigError for what is none of the three."""
    for known in FROM:
        if text == known:
            return known
    raise ConfigError(f"{text!r} is not where figures can come from{suggest(text, FROM)}")


def reading(source: Source, how: From) -> Source:
    """The source, as one whose recorded series are read where that is asked for and it can have some."""
    if how == "raw" or (not hasattr(source, "of") and not _may_have_tiles(source)):
        if how == "recorded":
            raise ConfigError(f"{source.name}: has no recorded series; they are read from a server, not from a recording")
        return source
    return Recorded(source, how)


def _may_have_tiles(source: Source) -> bool:
    return not source.local and not isinstance(source, CountSource)


@dataclass(frozen=True, slots=True)
class Track:
    """The tiles of one SLO: which series they are, and at which moments they are recorded.

    Of `length_ms`, made of parts of `part_ms`; `last_ms` is when the last one is recorded, `edge_ms` where it ends in the time
    of its events, `info_ms` how long before a tile the info series of its last part is recorded.
    """

    slo: Slo
    names: Names
    matchers: tuple[Matcher, ...]
    length_ms: int
    part_ms: int
    last_ms: int
    edge_ms: int
    info_ms: int

    def tiles(self, length_ms: int) -> VectorSelector:
        """The tiles of a length: of both kinds of events."""
        selector = Tiles.of(self.names, self.slo, length_ms).series()
        return replace(selector, matchers=(*selector.matchers, *self.matchers))

    def incomplete(self) -> Node:
        """An expression that has a value where a tile is recorded some of whose parts are not there, or count something else."""
        late = 0 if self.length_ms == self.part_ms else self.part_ms
        parts = self.length_ms // self.part_ms
        # A millisecond less than the tile, as in the rule that adds the parts up.
        span = self.length_ms - 1

        def counted(selector: VectorSelector) -> Node:
            return Call("count_over_time", (MatrixSelector(replace(selector, offset_ms=late), span),))

        there = counted(self.tiles(self.part_ms))
        slice_ms = self.slo.sli.slice_ms or 0
        whole = Binary("==", there, Number(float(min(parts, self.length_ms // max(slice_ms, 1)))))
        info = _info(self.slo, self.names)
        named = Binary("==", Aggregate("sum", counted(info)), Number(float(parts)))
        since = Binary(
            "-", Call("time"), Aggregate("max", Call("timestamp", (replace(info, offset_ms=late),)))
        )
        expected = self.info_ms / SECOND
        on_time = Binary("<", Binary(">", since, Number(expected - _SAME_MOMENT)), Number(expected + _SAME_MOMENT))
        meant = Binary("and", named, on_time, matching=_EMPTY_ON)
        good = Binary("and", whole, meant, matching=_EMPTY_ON)
        return Binary("unless", there, good, matching=VectorMatching("many-to-many", (), on=False))


def _info(slo: Slo, names: Names) -> VectorSelector:
    """The info series while the tiles count what the SLO's SLI does."""
    info = names.series(slo, names.info)
    return replace(info, matchers=(*info.matchers, Matcher(n.FINGERPRINT_LABEL, "=", fingerprint(slo))))


@dataclass
class _Recent:
    """What a server has recorded lately, of many SLOs or of one: samples by the name of their series."""

    after_ms: int
    by_name: dict[str, Samples] = field(default_factory=dict)


class Recorded:
    """A server whose recorded series are read; what is asked for beyond them it answers as it does anyway. Not thread-safe."""

    def __init__(self, source: Source, how: From) -> None:
        self.source, self.how = source, how
        self._inner: dict[int, tuple[Source, Source]] = {}
        self._parts: dict[str, tuple[Slo, tuple[Matcher, ...]]] = {}
        self._recent: dict[int, _Recent] = {}
        self._tracks: dict[tuple[str, int, int], Track | Note | None] = {}
        self._known: dict[str, Track] = {}

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def local(self) -> bool:
        return self.source.local

    @property
    def notes(self) -> tuple[str, ...]:
        return self.source.notes

    def latest_ms(self) -> int:
        return self.source.latest_ms()

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        return self.source.samples(selectors, start_ms, end_ms)

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        return self.source.query_range(expr, start_ms, end_ms, step_ms)

    def query(self, expr: Node, at_ms: int) -> Matrix:
        return self.source.query(expr, at_ms)

    def retention_ms(self) -> int | None:
        return retention_ms(self.source)

    def of(self, slo: Slo) -> Source:
        """The source of an SLO: of several the one that has it, with its recorded series where it can have any."""
        inner = source_of(self.source, slo)
        if inner is self.source:
            return self
        if not _may_have_tiles(inner):
            return inner
        if id(inner) not in self._inner:
            self._inner[id(inner)] = inner, Recorded(inner, self.how)
        return self._inner[id(inner)][1]

    def prepare(self, slos: Iterable[Slo], end_ms: int) -> None:
        """Asks for the last tiles of many SLOs at once. Raises SourceError."""
        by_source: dict[int, tuple[Recorded, list[Slo]]] = {}
        for slo in slos:
            own = self.of(slo)
            if isinstance(own, Recorded):
                by_source.setdefault(id(own), (own, []))[1].append(slo)
        for own, asked in by_source.values():
            own._ask(asked, end_ms)

    def _ask(self, slos: Sequence[Slo], end_ms: int) -> None:
        recent = _Recent(end_ms - _RECENT_MS)
        lengths = {tile_length(slo.scrape_interval_ms) for slo in slos} | {5 * MINUTE}
        for names in (OWN, SLOTH):
            services = "|".join(sorted({_literal(slo.service) for slo in slos}))
            which = (Matcher(names.service, "=~", services),) if len(services) <= _MOST_NAMES else ()
            wanted = [n.events_tile_name(length) for length in lengths]
            if names.info != OWN.info:  # tiles have the names that they have in any convention
                wanted = []
            for name in (*wanted, names.info):
                some = which if name == names.info else self._services(slos)
                recent.by_name[name] = self.source.samples([VectorSelector(name, some)], end_ms - _RECENT_MS + 1, end_ms)
        self._recent[end_ms] = recent

    def _services(self, slos: Sequence[Slo]) -> tuple[Matcher, ...]:
        return ()

    def split(self, slo: Slo, parts: Sequence[Slo]) -> None:
        """That an SLO with `by` is evaluated as these, one for each value."""
        for part in parts:
            if part is not slo:
                labels = tuple(Matcher(label, "=", part.labels[label]) for label in slo.by)
                self._parts[part.id] = slo, labels
