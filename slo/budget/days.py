"""Which days of tiles are whole, of several SLOs at once: to look at each tile costs a server twenty times as much.

A day is whole where all parts of its tiles are there, each at the moment of an info series that says that it counts what the SLO's
SLI does. That the tiles themselves are there is seen on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slo.budget.track import Track, among
from slo.budget.whole import present
from slo.promql.ast import Call, Matcher, MatrixSelector, Node, VectorSelector
from slo.rules import names as n
from slo.rules.fingerprint import fingerprint
from slo.sli.counts import Floats, Ints
from slo.sli.tile import EVENT_LABEL
from slo.source.base import Matrix, Source
from slo.spans import stretches
from slo.window import DAY, SECOND, tile_length

Flags = NDArray[np.bool_]
_Rows = list[tuple[Mapping[str, str], Floats]]
_ByPlace = dict[tuple[str, str], _Rows]


def can_be_known(track: Track) -> bool:
    """Whether the days of an SLO's tiles are known to be whole or not: not those of those that have fewer parts than times, or by values."""
    slo = track.slo
    part_ms = tile_length(slo.scrape_interval_ms)
    rare = not slo.sli.counts_lean and (slo.sli.slice_ms or 0) > part_ms
    return not (slo.by or track.matchers or slo.sli.another is not None or rare)


@dataclass(slots=True)
class Days:
    """Days before a moment, of SLOs whose tiles are alike in names and lengths: number k ends k days before it."""

    source: Source
    tracks: Mapping[str, Track]
    end_ms: int
    _whole: dict[int, set[str]] = field(default_factory=dict)

    def whole(self, key: str, moments: Ints) -> Flags:
        """Which of the moments, ascending and not after the end, are of tiles on days that are whole. Raises SourceError."""
        if key not in self.tracks or not len(moments):
            return np.zeros(len(moments), dtype=bool)
        numbers = (self.end_ms - moments) // DAY
        wanted = sorted({*numbers.tolist()} - self._whole.keys())
        if wanted:
            missing = np.zeros(wanted[-1] + 1, dtype=bool)
            missing[wanted] = True
            for low, high in stretches(missing):
                self._ask(low, high)
        known = {number for number in set(numbers.tolist()) if key in self._whole[number]}
        return np.isin(numbers, list(known))

    def _ask(self, low: int, high: int) -> None:
        """Asks for the days from `low` up to, not including, `high`, as steps of a range query: the oldest is its first."""
        track = next(iter(self.tracks.values()))
        late, more = (track.part_ms, track.length_ms) if track.part_ms < track.length_ms else (0, 0)
        expected = (DAY + more) // track.part_ms
        slos = [item.slo for item in self.tracks.values()]
        names = track.names
        which = among(names.service, [slo.service for slo in slos]) + among(names.slo, [slo.name for slo in slos])
        words = sorted({word for slo in slos for word in present(slo)})
        some = Matcher(EVENT_LABEL, "=~", "|".join(words))
        parts = VectorSelector(n.events_tile_name(track.part_ms), (*which, some), late)
        info = VectorSelector(names.info, which, late)

        def asked(node: Node, more: int = 0) -> _ByPlace:
            end_ms = self.end_ms - low * DAY
            return self._by_place(self.source.query_range(node, end_ms - (high - low - 1 + more) * DAY, end_ms, DAY))

        def counted(selector: VectorSelector) -> _ByPlace:
            return asked(Call("count_over_time", (MatrixSelector(selector, DAY + more),)))

        counts, infos = counted(parts), counted(info)
        # One day more: a clock that is the same where a day begins and ends was so throughout.
        stamps = asked(Call("timestamp", (info,)), more=1)
        days = high - low
        whole_days = {
            key: _all_there(item, counts, expected, days)
            & _named(item, infos, expected, days)
            & _on_time(item, stamps, days)
            for key, item in self.tracks.items()
        }
        for number in range(low, high):
            self._whole[number] = {key for key, flags in whole_days.items() if flags[high - 1 - number]}

    def _by_place(self, answer: Matrix) -> _ByPlace:
        names = next(iter(self.tracks.values())).names
        by_place: _ByPlace = {}
        for labels, values in answer.series:
            by_place.setdefault((labels.get(names.service, ""), labels.get(names.slo, "")), []).append((labels, values))
        return by_place


def _own(track: Track, answer: _ByPlace) -> _Rows:
    own = track.names.identity(track.slo)
    rows = answer.get((track.slo.service, track.slo.name), ())
    return [(labels, values) for labels, values in rows if own.items() <= labels.items()]


def _all_there(track: Track, answer: _ByPlace, expected: int, days: int) -> Flags:
    """Of each kind of event that is there whenever anything is, one series with as many parts as there must be."""
    rows, words = _own(track, answer), present(track.slo)
    mine = [(labels[EVENT_LABEL], values) for labels, values in rows if labels.get(EVENT_LABEL) in words]
    if sorted(word for word, _ in mine) != sorted(words):
        return np.zeros(days, dtype=bool)
    return np.asarray(np.all([values == expected for _, values in mine], axis=0))


def _named(track: Track, answer: _ByPlace, expected: int, days: int) -> Flags:
    rows = [values for labels, values in _own(track, answer) if _meant(track, labels)]
    named: Floats = np.sum([np.zeros(days), *(np.nan_to_num(values) for values in rows)], axis=0)
    return np.asarray(named == expected)


def _on_time(track: Track, answer: _ByPlace, days: int) -> Flags:
    rows = [values for labels, values in _own(track, answer) if _meant(track, labels)]
    if not rows:
        return np.zeros(days, dtype=bool)
    clock = (track.last_ms - track.info_ms) % track.part_ms
    with np.errstate(invalid="ignore"):
        right = [np.isnan(values) | (np.rint(values * SECOND) % track.part_ms == clock) for values in rows]
    there = np.any([np.isfinite(values) for values in rows], axis=0) & np.all(right, axis=0)
    return np.asarray(there[:-1] & there[1:])


def _meant(track: Track, labels: Mapping[str, str]) -> bool:
    return labels.get(n.FINGERPRINT_LABEL) == fingerprint(track.slo)
