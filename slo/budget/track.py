"""The tiles of an SLO that rules have recorded on a server: which series they are, when, and whether they are to be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

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
from slo.promql.regex import literal
from slo.promql.samples import Series
from slo.promql.values import NAME
from slo.rules import names as n
from slo.rules.fingerprint import fingerprint
from slo.rules.names import OWN, SLOTH, Names
from slo.rules.windows import Tiles
from slo.sli.base import Note
from slo.sli.counts import Floats, Ints
from slo.sli.tile import EVENT_LABEL, Tile
from slo.spec.model import Slo
from slo.window import SECOND, format_duration, tile_length

RECORDED, COPIES, CHANGED = "recorded", "copies", "recorded-otherwise"
# Matchers of many services are left out: a server takes URLs and forms of some length only.
_MOST_NAMES = 4_000
# A server's clock of a group is exact; a difference of two times in seconds is not.
_SAME_MOMENT = 0.0005
_EMPTY_ON = VectorMatching("many-to-many", (), on=True)
_NEVER = np.zeros(0, dtype=np.int64)
# What was recorded lately, by the name of the series, and service and name of the SLO.
Recent = Mapping[str, Mapping[tuple[str, str], Sequence[Series]]]


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
        info = info_of(self.slo, self.names)
        named = Binary("==", Aggregate("sum", counted(info)), Number(float(parts)))
        since = Binary("-", Call("time"), Aggregate("max", Call("timestamp", (replace(info, offset_ms=late),))))
        expected = self.info_ms / SECOND
        on_time = Binary("<", Binary(">", since, Number(expected - _SAME_MOMENT)), Number(expected + _SAME_MOMENT))
        meant = Binary("and", named, on_time, matching=_EMPTY_ON)
        good = Binary("and", whole, meant, matching=_EMPTY_ON)
        return Binary("unless", there, good, matching=VectorMatching("many-to-many", (), on=False))


def info_of(slo: Slo, names: Names) -> VectorSelector:
    """The info series while the tiles count what the SLO's SLI does."""
    info = names.series(slo, names.info)
    return replace(info, matchers=(*info.matchers, Matcher(n.FINGERPRINT_LABEL, "=", fingerprint(slo))))


def found(
    slo: Slo, parent: Slo, by: tuple[Matcher, ...], recent: Recent, end_ms: int, length_ms: int
) -> Track | Note | None:
    """The track by what was recorded lately; a note says why what is there is not read, None that nothing is.

    `recent` is by the name of the series, and service and name of the SLO. One with `by` is evaluated by parts: `parent` is the whole,
    `by` which part of it the SLO is.
    """
    key, part_ms = (parent.service, parent.name), tile_length(slo.scrape_interval_ms)
    names = next((names for names in (OWN, SLOTH) if recent.get(names.info, {}).get(key)), None)
    if names is None:
        return None
    own = {**names.identity(parent), **{matcher.label: matcher.value for matcher in by}}
    infos = [item for item in recent[names.info][key] if names.identity(parent).items() <= item.labels.items()]
    words = parent.sli.event_words
    tiles = [
        item
        for item in recent.get(n.events_tile_name(length_ms), {}).get(key, ())
        if own.items() <= item.labels.items() and item.labels.get(EVENT_LABEL) in words.values()
    ]
    if not infos or not tiles:
        return None
    copies = copied(tiles, length_ms, (EVENT_LABEL, *own))
    if copies is not None:
        return copies
    newest = max(infos, key=lambda item: int(item.times[-1]))
    given = newest.labels.get(n.FINGERPRINT_LABEL)
    if given != fingerprint(parent):
        return Note(CHANGED, _otherwise(given))
    both = _both(tiles, words)
    moments = np.concatenate([item.times for item in infos if item.labels.get(n.FINGERPRINT_LABEL) == given])
    late = 0 if length_ms == part_ms else part_ms
    for last_ms in both[::-1].tolist():
        before = moments[moments <= last_ms - late]
        if len(before) and last_ms - late - int(before.max()) < part_ms:
            break
    else:
        return None
    info_ms = last_ms - int(before.max())
    missing = (end_ms - last_ms) // length_ms
    if missing > 1:  # one may not be there yet
        last_ms += missing * length_ms
    edge_ms = last_ms - info_ms - slo.lag_ms
    edge_ms -= edge_ms % _granularity(parent, part_ms)
    return Track(parent, names, by, length_ms, part_ms, last_ms, edge_ms, info_ms)


def among(label: str, values: Iterable[str]) -> tuple[Matcher, ...]:
    """A matcher for some values; none where it were too long to send."""
    text = "|".join(sorted({literal(value) for value in values}))
    return (Matcher(label, "=~", text),) if len(text) <= _MOST_NAMES else ()


def _granularity(slo: Slo, part_ms: int) -> int:
    """To which multiples the end of a tile is rounded down, in the time of its events."""
    if slo.sli.counts_lean:
        return Tile(part_ms, slo.lag_ms, slo.by, slo.target_labels, slo.scrape_interval_ms).step_ms
    return slo.sli.slice_ms or 1


def errors_and_total(events: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    if "all" not in events:
        return events["bad"], events["good"] + events["bad"]
    if "bad" in events:
        return events["bad"], events["all"]
    # As the rules do: what adding up floats leaves is not a bad event.
    return np.maximum(events["all"] - events["good"], 0.0), events["all"]


def _both(tiles: Sequence[Series], words: Mapping[str, str]) -> Ints:
    """The moments at which there are tiles of both kinds of events, ascending."""
    first, second = (
        np.unique(np.concatenate([_NEVER, *(item.times for item in tiles if item.labels.get(EVENT_LABEL) == word)]))
        for word in words.values()
    )
    both: Ints = np.intersect1d(first, second)
    return both


def copied(tiles: Sequence[Series], length_ms: int, own: Iterable[str]) -> Note | None:
    """That tiles are there more than once: under other labels, or more often than they are made."""
    known = {NAME, *own}
    others = {tuple(sorted((k, v) for k, v in item.labels.items() if k not in known)) for item in tiles}
    if len(others) > 1:
        texts = sorted("{" + ", ".join(f'{k}="{v}"' for k, v in labels) + "}" for labels in others)
        more = f" and {len(texts) - 3} more" if len(texts) > 3 else ""
        return Note(
            COPIES,
            f"its recorded series are there {len(others)} times, as {', '.join(texts[:3])}{more}: added up they could count twice, so they "
            "are not read; load the rules at one level, or give each its `recorded_labels`",
        )
    for item in tiles:
        if np.count_nonzero(np.diff(item.times) < length_ms * 0.9) > 2:
            return Note(
                COPIES,
                f"its recorded series have more than one value per {format_duration(length_ms)}, as if two servers recorded them under the same "
                "labels: they could count twice, so they are not read; give each its `recorded_labels`",
            )
    return None


def _otherwise(given: str | None) -> str:
    if given is None:
        return (
            "its recorded series do not say what they count, as an earlier version made the rules: raw samples are read; make the rules anew "
            "with `slo rules` and load them"
        )
    return (
        "its recorded series count another SLI than this definition does: raw samples are read; load the rules of this definition, made "
        "with `slo rules`"
    )
