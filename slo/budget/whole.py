"""Many SLOs at once whose tiles are all whole: a server says so of all of them in a few queries, and adds their tiles up."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace

import numpy as np

from slo.budget.track import Track, among, errors_and_total
from slo.promql.ast import Binary, Call, Matcher, MatrixSelector, Number, VectorMatching, VectorSelector
from slo.rules import names as n
from slo.rules.fingerprint import fingerprint
from slo.sli.tile import EVENT_LABEL
from slo.source.base import Source
from slo.spec.model import Slo

_AT_ONCE = 4
# Of a length of time in ms: (errors, total) of so long before the end of the last tile.
Sums = dict[int, tuple[float, float]]
_Valued = tuple[Mapping[str, str], float]
_ByPlace = dict[tuple[str, str], list[_Valued]]


@dataclass(frozen=True, slots=True)
class _Ask:
    """A function over a range of the series of a name."""

    func: str
    name: str
    range_ms: int
    late_ms: int = 0
    matchers: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """Many SLOs of one length of tiles, and what a server says of all of them at one moment."""

    source: Source
    tracks: Mapping[str, Track]
    end_ms: int
    answers: dict[_Ask, _ByPlace] = field(default_factory=dict)

    @property
    def any(self) -> Track:
        """One of them: all are alike in what is asked."""
        return next(iter(self.tracks.values()))

    def asked(self, ask: _Ask) -> _ByPlace:
        """A function over a range of all series of a name, by service and SLO; asked once."""
        if ask not in self.answers:
            self.answers[ask] = self._answer(ask)
        return self.answers[ask]

    def together(self, asks: Iterable[_Ask]) -> None:
        """Asks for many at once, as a server works on each of them with one of its cores."""
        left = [ask for ask in dict.fromkeys(asks) if ask not in self.answers]
        contexts = [copy_context() for _ in left]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="slo-recorded") as pool:
            answers = pool.map(lambda context, ask: context.run(self._answer, ask), contexts, left)
            self.answers.update(zip(left, answers, strict=True))

    def _answer(self, ask: _Ask) -> _ByPlace:
        track = self.any
        selector = VectorSelector(ask.name, (*self._which, *ask.matchers), ask.late_ms)
        by_place: _ByPlace = {}
        expr = Call(ask.func, (MatrixSelector(selector, ask.range_ms),))
        for labels, values in self.source.query(expr, self.end_ms).series:
            if not np.isnan(values[0]):
                key = labels.get(track.names.service, ""), labels.get(track.names.slo, "")
                by_place.setdefault(key, []).append((labels, float(values[0])))
        return by_place

    @property
    def _which(self) -> tuple[Matcher, ...]:
        """The services, and of few SLOs their names, where that is short."""
        names, slos = self.any.names, [track.slo for track in self.tracks.values()]
        return among(names.service, [slo.service for slo in slos]) + among(names.slo, [slo.name for slo in slos])

    def _asks(self, tiles: str, need_ms: int) -> tuple[_Ask, _Ask, _Ask]:
        """How often there are tiles, their parts, and what says what these count."""
        track = self.any
        late, more = (track.part_ms, track.length_ms) if track.part_ms < track.length_ms else (0, 0)
        func = "count_over_time"
        # Of the parts one kind of event is there whenever anything is, but of probes, whose bad values leave the other out.
        words = sorted({word for track in self.tracks.values() for word in present(track.slo)})
        some = (Matcher(EVENT_LABEL, "=~", "|".join(words)),)
        # A tile and a part further than need be, as no clock of a group is that of the moment.
        return (
            _Ask(func, tiles, need_ms),
            _Ask(func, n.events_tile_name(track.part_ms), need_ms + more, late, some),
            _Ask(func, track.names.info, need_ms + more, late),
        )

    def moments(self, name: str, end_ms: int, length_ms: int) -> dict[tuple[str, str], set[int]]:
        """The moments at which the series of a name have samples in (end − length, end], by service and SLO."""
        track = self.any
        by_place: dict[tuple[str, str], set[int]] = {}
        for item in self.source.samples([VectorSelector(name, self._which)], end_ms - length_ms + 1, end_ms).series:
            key = item.labels.get(track.names.service, ""), item.labels.get(track.names.slo, "")
            by_place.setdefault(key, set()).update(item.times.tolist())
        return by_place

    def by_length(self, lengths: Mapping[str, Collection[int]]) -> dict[str, Sums]:
        """The sums of the SLOs whose tiles are whole."""
        track = self.any
        tiles, part_ms, length_ms = n.events_tile_name(track.length_ms), track.part_ms, track.length_ms
        whole: set[str] = set()
        needs = {key: max(own) for key, own in lengths.items()}
        sums = {length: _Ask("sum_over_time", tiles, length) for own in lengths.values() for length in own}
        asks = [ask for need in set(needs.values()) for ask in self._asks(tiles, need)]
        self.together([*sorted(asks, key=lambda ask: ask.name), *sums.values()])
        for need in sorted(set(needs.values())):
            of_need = {key: self.tracks[key] for key, own in needs.items() if own == need}
            part = replace(self, tracks=of_need)
            counts = [self.asked(ask) for ask in self._asks(tiles, need)]
            whole |= part._whole(tiles, need, part_ms, length_ms, *counts) - part._impossible(tiles, need, length_ms)
        result: dict[str, Sums] = {key: {} for key in whole}
        for length in sorted({length for key in whole for length in lengths[key]}):
            answer = self.asked(sums[length])
            for key in whole:
                if length in lengths[key]:
                    events = _single(self.tracks[key], answer)
                    assert events is not None  # as there were for the longest
                    arrays = {kind: np.array([value]) for kind, value in events.items()}
                    errors, total = errors_and_total(arrays)
                    result[key][length] = float(errors[0]), float(total[0])
        return result

    def _whole(
        self,
        tiles: str,
        need_ms: int,
        part_ms: int,
        length_ms: int,
        counted: _ByPlace,
        parts: _ByPlace,
        info: _ByPlace,
    ) -> set[str]:
        """The SLOs that have each tile of the last `need_ms` once, with all of its parts, each of which counts what it should."""
        late, more = (part_ms, length_ms) if part_ms < length_ms else (0, 0)
        first_ms = self.end_ms - need_ms
        first = self.moments(tiles, first_ms + length_ms, length_ms)
        first_info = self.moments(self.any.names.info, first_ms - late + part_ms, part_ms)
        whole = set()
        for key, track in self.tracks.items():
            slo = track.slo
            place = (slo.service, slo.name)
            expected, expected_parts = need_ms // length_ms, (need_ms + more) // part_ms
            named = sum(
                value
                for labels, value in info.get(place, ())
                if labels.get(n.FINGERPRINT_LABEL) == fingerprint(slo)
                and track.names.identity(slo).items() <= labels.items()
            )
            at, info_at = first.get(place, set()), first_info.get(place, set())
            if (
                _all_are(_single(track, counted), expected)
                and _all_are(_single(track, parts, present(slo)), expected_parts)
                and named == expected_parts
                and len(at) == len(info_at) == 1
                and (track.last_ms - min(at)) % length_ms == 0
                and (track.last_ms - track.info_ms - min(info_at)) % part_ms == 0
            ):
                whole.add(key)
        return whole

    def _impossible(self, tiles: str, need_ms: int, length_ms: int) -> set[str]:
        """Those that have a tile with more of a part than of all: steps must tell how many, and what that means."""
        pairs = {
            tuple(track.slo.sli.event_words.values())
            for track in self.tracks.values()
            if track.slo.sli.kept_events[0] == "all" and track.slo.sli.slice_ms is None
        }
        odd: set[tuple[str, str]] = set()
        alongside = VectorMatching("one-to-one", (EVENT_LABEL,), on=False)
        for every, part in sorted(pairs):
            whole, some = (VectorSelector(tiles, (Matcher(EVENT_LABEL, "=", word),)) for word in (every, part))
            above = Binary(">", some, Binary("*", whole, Number(1 + 1e-9)), matching=alongside)
            count = need_ms // length_ms
            answer = self.source.query_range(above, self.end_ms - (count - 1) * length_ms, self.end_ms, length_ms)
            names = self.any.names
            odd |= {(labels.get(names.service, ""), labels.get(names.slo, "")) for labels, _ in answer.series}
        return {key for key, track in self.tracks.items() if (track.slo.service, track.slo.name) in odd}


def present(slo: Slo) -> tuple[str, ...]:
    """The words of the events that have a tile whenever there is data."""
    words = slo.sli.event_words
    if slo.sli.measured_by == "checks":
        return tuple(words.values())
    return (words["all" if "all" in words else "bad"],)


def _single(track: Track, answer: _ByPlace, only: Collection[str] = ()) -> dict[str, float] | None:
    """The values of an SLO's two series of tiles, by kind of event, or of those alone that have `only` these words; None where
    one is not there, or there several times."""
    own = track.names.identity(track.slo)
    words = {kind: word for kind, word in track.slo.sli.event_words.items() if not only or word in only}
    mine = [
        (labels, value)
        for labels, value in answer.get((track.slo.service, track.slo.name), ())
        if own.items() <= labels.items() and labels.get(EVENT_LABEL) in words.values()
    ]
    kinds = {word: kind for kind, word in words.items()}
    values = {kinds[labels[EVENT_LABEL]]: value for labels, value in mine}
    others = {tuple(sorted((k, v) for k, v in labels.items() if k != EVENT_LABEL)) for labels, _ in mine}
    return values if len(mine) == len(values) == len(words) and len(others) == 1 else None


def _all_are(values: Mapping[str, float] | None, expected: int) -> bool:
    return values is not None and all(value == expected for value in values.values())
