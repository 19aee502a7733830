"""Events from the tiles that rules have recorded on a server, where these are whole; the rest from its raw samples.

A tile is believed where all of it is there and `slo_info` had the fingerprint of the definition's SLI at the moment of each of
its parts. Figures are of the moment at which the last tile ends, so that the steps are tiles, and no event is split; where
somebody named another moment, raw samples tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Literal

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
from slo.promql.regex import literal
from slo.promql.samples import Samples, Series
from slo.promql.values import NAME
from slo.rules import names as n
from slo.rules.fingerprint import fingerprint
from slo.rules.names import OWN, SLOTH, Names
from slo.rules.windows import Tiles
from slo.sli.base import Measured, Note
from slo.sli.counts import LOOKBACK_MS, CountingStats, Counts, Floats, Gap, Grid, Ints
from slo.sli.slices import joined, stretches
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
_AT_ONCE = 4
# A server's clock of a group is exact; a difference of two times in seconds is not.
_SAME_MOMENT = 0.0005
# Stretches without whole tiles that lie so close together are asked for at once; of more than so many all is.
_CLOSE_STEPS, _MOST_HOLES = 12, 40
_EMPTY_ON = VectorMatching("many-to-many", (), on=True)
_COARSE_MS = 5 * MINUTE  # of the rules
_NEVER = np.zeros(0, dtype=np.int64)
Flags = NDArray[np.bool_]


def checked_from(text: str) -> From:
    """Where figures shall come from. Raises ConfigError for what is none of the three."""
    for known in FROM:
        if text == known:
            return known
    raise ConfigError(f"{text!r} is not where figures can come from{suggest(text, FROM)}")


def reading(source: Source, how: From, exact: bool = False) -> Source:
    """The source, as one whose recorded series are read where that is asked for and it can have some.

    `exact` figures are of the moment of evaluation, as somebody named it; else of the end of the last tile before it.
    """
    if how == "raw" or (not hasattr(source, "of") and not _may_have_tiles(source)):
        if how == "recorded":
            raise ConfigError(
                f"{source.name}: has no recorded series; they are read from a server, not from a recording"
            )
        return source
    return Recorded(source, how, exact)


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
        since = Binary("-", Call("time"), Aggregate("max", Call("timestamp", (replace(info, offset_ms=late),))))
        expected = self.info_ms / SECOND
        on_time = Binary("<", Binary(">", since, Number(expected - _SAME_MOMENT)), Number(expected + _SAME_MOMENT))
        meant = Binary("and", named, on_time, matching=_EMPTY_ON)
        good = Binary("and", whole, meant, matching=_EMPTY_ON)
        return Binary("unless", there, good, matching=VectorMatching("many-to-many", (), on=False))


def _info(slo: Slo, names: Names) -> VectorSelector:
    """The info series while the tiles count what the SLO's SLI does."""
    info = names.series(slo, names.info)
    return replace(info, matchers=(*info.matchers, Matcher(n.FINGERPRINT_LABEL, "=", fingerprint(slo))))


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


class Recorded:
    """A server whose recorded series are read; what is asked for beyond them it answers as it does anyway. Not thread-safe."""

    def __init__(self, source: Source, how: From, exact: bool = False) -> None:
        self.source, self.how, self.exact = source, how, exact
        self._inner: dict[int, tuple[Source, Recorded]] = {}
        self._parts: dict[str, tuple[Slo, tuple[Matcher, ...]]] = {}
        # What was recorded lately, of many SLOs: by the moment, the name of the series, and service and name of the SLO.
        self._recent: dict[int, dict[str, dict[tuple[str, str], list[Series]]]] = {}
        self._tracks: dict[str, Track] = {}
        self._why_not: dict[str, Note] = {}

    @property
    def name(self) -> str:
        """That of the server."""
        return self.source.name

    @property
    def local(self) -> bool:
        """Whether raw samples cost nothing."""
        return self.source.local

    @property
    def notes(self) -> tuple[str, ...]:
        """What the server has said."""
        return self.source.notes

    def latest_ms(self) -> int:
        """The server's present."""
        return self.source.latest_ms()

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """Raw samples, of the server."""
        return self.source.samples(selectors, start_ms, end_ms)

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """An expression, by the server."""
        return self.source.query_range(expr, start_ms, end_ms, step_ms)

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """An expression, by the server."""
        return self.source.query(expr, at_ms)

    def retention_ms(self) -> int | None:
        """How long the server keeps its samples."""
        return retention_ms(self.source)

    def of(self, slo: Slo) -> Source:
        """The source of an SLO: of several the one that has it, with its recorded series where it can have any."""
        inner = source_of(self.source, slo)
        if inner is self.source:
            return self
        if not _may_have_tiles(inner):
            return inner
        return self._inner.setdefault(id(inner), (inner, Recorded(inner, self.how, self.exact)))[1]

    def split(self, slo: Slo, parts: Sequence[Slo]) -> None:
        """Says that an SLO with `by` is evaluated as these, one for each value."""
        for part in parts:
            if part is not slo:
                labels = tuple(Matcher(label, "=", part.labels[label]) for label in slo.by)
                self._parts[part.id] = slo, labels

    def prepare(self, slos: Iterable[Slo], end_ms: int) -> None:
        """Asks for the last tiles of many SLOs at once, of a moment once. Raises SourceError."""
        by_source: dict[int, tuple[Recorded, list[Slo]]] = {}
        for slo in slos:
            own = self.of(slo)
            if isinstance(own, Recorded):
                by_source.setdefault(id(own), (own, []))[1].append(slo)
        for own, asked in by_source.values():
            if end_ms in own._recent:
                continue
            with asked_for(asked[0].id):  # whom a failure names
                recent = own._lately(asked, end_ms, _RECENT_MS)
                if not any(recent[names.info] for names in (OWN, SLOTH)):
                    recent = own._lately(asked, end_ms, _LAST_MS)
                own._recent[end_ms] = recent

    def _lately(
        self, slos: Sequence[Slo], end_ms: int, length_ms: int
    ) -> dict[str, dict[tuple[str, str], list[Series]]]:
        """The info series and tiles of some SLOs that were recorded up to a moment, by name and by SLO."""
        lengths = {tile_length(slo.scrape_interval_ms) for slo in slos} | {_COARSE_MS}
        by_name: dict[str, dict[tuple[str, str], list[Series]]] = {}
        others = [made for slo in slos if (made := self._made_of(slo)) is not None]
        named = [
            slo.name for slo in (*slos, *others, *(self._parts[slo.id][0] for slo in slos if slo.id in self._parts))
        ]
        for names in (OWN, SLOTH):
            which = _among(names.service, [slo.service for slo in slos]) + _among(names.slo, named)

            def ask(name: str, names: Names = names, which: tuple[Matcher, ...] = which) -> bool:
                samples = self.source.samples([VectorSelector(name, which)], end_ms - length_ms + 1, end_ms)
                by_slo = by_name.setdefault(name, {})
                for series in samples.series:
                    key = series.labels.get(names.service, ""), series.labels.get(names.slo, "")
                    by_slo.setdefault(key, []).append(series)
                return bool(samples.series)

            if ask(names.info):
                for length in lengths:
                    ask(n.events_tile_name(length))
        return by_name

    def aligned(self, slo: Slo, end_ms: int, step_ms: int) -> tuple[int, int] | None:
        """(end, step) of an evaluation that is made of tiles: the end is that of the last one. None where there are none that
        count what the SLO's SLI does. Raises SourceError."""
        of = self._made_of(slo)
        if of is None:
            return None
        length_ms = tile_length(slo.scrape_interval_ms) if of is not slo else step_ms
        with asked_for(slo.id):
            track = self._track(of, end_ms, max(length_ms, tile_length(slo.scrape_interval_ms)))
        if not isinstance(track, Track):
            if track is not None:
                self._why_not[slo.id] = track
            return None
        if self._another_moment(track, end_ms):
            self._why_not[slo.id] = Note(
                RECORDED,
                f"counted from raw samples, as the last tile ends at {moment(track.edge_ms):%H:%M:%S} UTC and not at the moment that "
                "was asked for",
            )
            return None
        self._tracks[of.id] = track
        return track.edge_ms, max(step_ms, track.length_ms)

    def _another_moment(self, track: Track, end_ms: int) -> bool:
        """Whether the tiles do not tell what was up to the moment, and raw samples can."""
        return self.exact and self.how == "auto" and track.edge_ms != end_ms

    def _made_of(self, slo: Slo) -> Slo | None:
        """The SLO whose tiles tell its events: itself, or the one that it is made of. None where these are too long."""
        other = slo.sli.another
        if other is None:
            return slo
        name, sli = other
        part_ms = tile_length(slo.scrape_interval_ms)
        if not slo.sli.slice_ms or slo.sli.slice_ms % part_ms:
            return None
        return replace(slo, name=name, sli=sli, by=(), labels={})

    def _track(self, slo: Slo, end_ms: int, length_ms: int) -> Track | Note | None:
        recent = self._recent.get(end_ms)
        if recent is None:
            self.prepare([slo], end_ms)
            recent = self._recent[end_ms]
        track = self._found(slo, recent, end_ms, length_ms)
        if track is None and any(recent[names.info] for names in (OWN, SLOTH)):
            # Others have been recorded lately: alone, a server is asked for longer.
            track = self._found(slo, self._lately([slo], end_ms, _LAST_MS), end_ms, length_ms)
        return track

    def _found(
        self, slo: Slo, recent: Mapping[str, Mapping[tuple[str, str], Sequence[Series]]], end_ms: int, length_ms: int
    ) -> Track | Note | None:
        """The track by what was recorded lately; a note says why what is there is not read, None that nothing is."""
        parent, by = self._parts.get(slo.id, (slo, ()))
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
        copies = _copies(tiles, length_ms, (EVENT_LABEL, *own))
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

    def sums(
        self, wanted: Mapping[str, tuple[Slo, int, Collection[int]]], end_ms: int
    ) -> dict[str, tuple[Track, Sums]]:
        """(errors, total) of the last so many milliseconds up to the end of the last tile, by SLO id and length.

        Of those SLOs alone whose tiles are all whole and there once: the server adds them up, many SLOs in a query.
        `wanted` are SLOs of this source, the length of their tiles, and the lengths to add up over, multiples of it.
        `prepare` was called for them. Raises SourceError.
        """
        groups: dict[tuple[str, int, int], dict[str, Track]] = {}
        recent = self._recent.get(end_ms, {})
        for key, (slo, length_ms, _) in wanted.items():
            part_ms = tile_length(slo.scrape_interval_ms)
            rare = not slo.sli.counts_lean and (slo.sli.slice_ms or 0) > part_ms
            if slo.by or slo.id in self._parts or slo.sli.another is not None or rare:
                continue
            track = self._found(slo, recent, end_ms, length_ms)
            if (
                isinstance(track, Track)
                and 0 <= end_ms - track.last_ms < length_ms
                and not self._another_moment(track, end_ms)
            ):
                groups.setdefault((track.names.info, length_ms, part_ms), {})[key] = track
        result: dict[str, tuple[Track, Sums]] = {}
        for tracks in groups.values():
            lengths_of = {key: wanted[key][2] for key in tracks}
            for key, sums in _Whole(self.source, tracks, end_ms).by_length(lengths_of).items():
                result[key] = tracks[key], sums
        return result

    def measured(self, slo: Slo, grid: Grid, first: int = 0) -> Measured:
        """The events per step: of whole tiles where these are the steps, else from raw samples. Raises SourceError."""
        other = slo.sli.another
        if other is None:
            result = self._counted(slo, grid)
        else:
            fine, of = slo.sli.slices_of(grid), self._made_of(slo)
            result = None if of is None else self._counted(of, fine, slo.id)
            result = None if result is None else slo.sli.judged(result, fine, grid)
        if result is not None:
            return result
        why = self._why_not.get(slo.id)
        if self.how == "recorded":
            return self._nothing(grid, why)
        measured = slo.sli.measure(self.source, grid, slo.scraping, first)
        return measured if why is None else replace(measured, notes=(why, *measured.notes))

    def _nothing(self, grid: Grid, why: Note | None) -> Measured:
        """No data, as nothing may be read from raw samples."""
        nothing = np.zeros(grid.steps)
        seen = CountingStats(gaps=(Gap(grid.start_ms, grid.end_ms),))
        note = why or Note(RECORDED, "no recorded series of it are there; `--from auto` counts raw samples")
        invalid = (note,) if note.code == COPIES else ()
        return Measured(
            Counts(grid, nothing, nothing, seen), notes=() if invalid else (note,), has_data=False, invalid=invalid
        )

    def _counted(self, slo: Slo, grid: Grid, of: str = "") -> Measured | None:
        """The events of tiles and, where these are not whole, of raw samples; None where the steps are no tiles of it, or
        there are copies, which is then noted for the SLO `of`."""
        track = self._tracks.get(slo.id)
        if track is None or grid.step_ms % track.length_ms or (track.edge_ms - grid.end_ms) % track.length_ms:
            return None
        length = track.length_ms
        tiles = grid.steps * (grid.step_ms // length)
        last_ms = track.last_ms - (track.edge_ms - grid.end_ms)
        first_ms = last_ms - (tiles - 1) * length
        samples = self.source.samples([track.tiles(length)], first_ms - length + 1, last_ms)
        own = {**track.names.identity(track.slo), **{matcher.label: matcher.value for matcher in track.matchers}}
        copies = _copies(samples.series, length, (EVENT_LABEL, *own))
        if copies is not None:
            self._why_not[of or slo.id] = copies
            return None
        words = track.slo.sli.event_words
        events = {kind: np.full(tiles, np.nan) for kind in words}
        kinds = {word: kind for kind, word in words.items()}
        for series in samples.series:
            places, rest = np.divmod(series.times - first_ms, length)
            fits = (rest == 0) & (places >= 0) & np.isfinite(series.values)
            events[kinds[series.labels[EVENT_LABEL]]][places[fits]] = series.values[fits]
        whole = np.all([np.isfinite(values) for values in events.values()], axis=0)
        if whole.any():
            answer = self.source.query_range(track.incomplete(), first_ms, last_ms, length)
            for _, values in answer.series:
                whole &= np.isnan(values)
        for low, high in stretches(~whole):
            # After so long a gap samples know more than rules, which look back two hours.
            if (high - low + 2) * length >= LOOKBACK_MS and high < tiles:
                whole[high] = False
        errors, total = _errors_and_total(events)
        by_step = (grid.steps, -1)
        step_whole = whole.reshape(by_step).all(axis=1)
        counts = [np.where(step_whole, values.reshape(by_step).sum(axis=1), 0.0) for values in (errors, total)]
        return self._filled(slo, grid, step_whole, counts[0], counts[1], track)

    def _filled(self, slo: Slo, grid: Grid, whole: Flags, errors: Floats, total: Floats, track: Track) -> Measured:
        """What is counted of tiles, with the other steps from raw samples where these may be asked for."""
        step, holes = grid.step_ms, _holes(~whole)
        filled: list[Measured] = []
        lacking: list[Gap] = []
        for low, high in holes:
            begin, end = grid.start_ms + low * step, grid.start_ms + high * step
            if self.how == "recorded":
                lacking += [
                    Gap(grid.start_ms + (low + first) * step, grid.start_ms + (low + last) * step)
                    for first, last in stretches(~whole[low:high])
                ]
                continue
            # What is an expression is counted in tiles of the same length, as it may give others in longer ones.
            every = track.part_ms if slo.sli.depends_on_tile else step
            part = slo.sli.measure(self.source, Grid(end, every, (end - begin) // every), slo.scraping)
            filled.append(part)
            for own, other in ((errors, part.counts.errors), (total, part.counts.total)):
                own[low:high] = np.where(whole[low:high], own[low:high], other.reshape(high - low, -1).sum(axis=1))
        if self.how != "recorded":
            self._split_at_windows(slo, grid, errors, total)
        seen = _seen([part.counts.seen for part in filled], lacking, slo.scrape_interval_ms)
        dropped = {"unmatched"} if whole.any() else set()  # that an errors' selector matches nothing for some minutes
        notes = dict.fromkeys(note for part in filled for note in part.notes if note.code not in dropped)
        return Measured(
            Counts(grid, errors, total, seen),
            notes=(self._said(whole, grid), *notes),
            has_data=bool(whole.any()) or any(part.has_data for part in filled),
            invalid=tuple(dict.fromkeys(note for part in filled for note in part.invalid)),
        )

    def _split_at_windows(self, slo: Slo, grid: Grid, errors: Floats, total: Floats) -> None:
        """Moves what happened before a calendar window began, of the step that it begins in, to the step before."""
        if not isinstance(slo.window, Calendar):
            return
        edge = slo.window.period(grid.end_ms)[0]
        while edge > grid.start_ms + grid.step_ms:
            place = grid.step_of(edge)
            end = grid.start_ms + (place + 1) * grid.step_ms
            if edge < end and place < grid.steps and (end - edge) % (slo.sli.slice_ms or 1) == 0:
                after = slo.sli.measure(self.source, Grid(end, end - edge, 1), slo.scraping)
                if after.has_data:
                    for own, part in ((errors, after.counts.errors), (total, after.counts.total)):
                        own[place - 1] += own[place] - part[0]
                        own[place] = part[0]
            edge = slo.window.period(edge)[0]

    def _said(self, whole: Flags, grid: Grid) -> Note:
        """How much came from where."""
        recorded, other = int(whole.sum()) * grid.step_ms, int((~whole).sum()) * grid.step_ms
        until = f"up to {moment(grid.end_ms):%H:%M:%S} UTC, the end of the last tile"
        if not other:
            return Note(RECORDED, f"counted from recorded series, {until}")
        rest = (
            "not known, as there are no whole tiles of it"
            if self.how == "recorded"
            else ("from raw samples, as there are no whole tiles of it that count this SLI")
        )
        if not recorded:
            return Note(RECORDED, f"{format_duration(other)} {rest}")
        return Note(
            RECORDED, f"{format_duration(recorded)} from recorded series, {until}; {format_duration(other)} {rest}"
        )


@dataclass(frozen=True, slots=True)
class _Whole:
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
        return _among(names.service, [slo.service for slo in slos]) + _among(names.slo, [slo.name for slo in slos])

    def _asks(self, tiles: str, need_ms: int) -> tuple[_Ask, _Ask, _Ask]:
        """How often there are tiles, their parts, and what says what these count."""
        track = self.any
        late, more = (track.part_ms, track.length_ms) if track.part_ms < track.length_ms else (0, 0)
        func = "count_over_time"
        # Of the parts one kind of event is there whenever anything is, but of probes, whose bad values leave the other out.
        words = sorted({word for track in self.tracks.values() for word in _present(track.slo)})
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
                    errors, total = _errors_and_total(arrays)
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
                and _all_are(_single(track, parts, _present(slo)), expected_parts)
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


def _present(slo: Slo) -> tuple[str, ...]:
    """The words of the events that have a tile whenever there is data."""
    words = slo.sli.event_words
    if slo.sli.measured_by == "checks":
        return tuple(words.values())
    return (words["all" if "all" in words else "bad"],)


def _among(label: str, values: Iterable[str]) -> tuple[Matcher, ...]:
    """A matcher for some values; none where it were too long to send."""
    text = "|".join(sorted({literal(value) for value in values}))
    return (Matcher(label, "=~", text),) if len(text) <= _MOST_NAMES else ()


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


def _granularity(slo: Slo, part_ms: int) -> int:
    """To which multiples the end of a tile is rounded down, in the time of its events."""
    if slo.sli.counts_lean:
        return Tile(part_ms, slo.lag_ms, slo.by, slo.target_labels, slo.scrape_interval_ms).step_ms
    return slo.sli.slice_ms or 1


def _errors_and_total(events: Mapping[str, Floats]) -> tuple[Floats, Floats]:
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


def _copies(tiles: Sequence[Series], length_ms: int, own: Iterable[str]) -> Note | None:
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


def _holes(lacking: Flags) -> list[tuple[int, int]]:
    """The runs of steps to ask for: those that lie close together are one, and of very many all are."""
    runs = joined(lacking, _CLOSE_STEPS)
    return runs if len(runs) <= _MOST_HOLES else [(runs[0][0], runs[-1][1])]


def _seen(parts: Sequence[CountingStats], lacking: Sequence[Gap], interval_ms: int) -> CountingStats:
    """What was met in all the parts."""
    gaps: list[Gap] = []
    for gap in sorted((*lacking, *(gap for part in parts for gap in part.gaps)), key=lambda gap: gap.start_ms):
        if gaps and gap.start_ms <= gaps[-1].end_ms:
            gaps[-1] = Gap(gaps[-1].start_ms, max(gap.end_ms, gaps[-1].end_ms))
        else:
            gaps.append(gap)
    return CountingStats(
        series=max((part.series for part in parts), default=1),
        resets=sum(part.resets for part in parts),
        born=sum(part.born for part in parts),
        born_events=sum(part.born_events for part in parts),
        dropped=sum(part.dropped for part in parts),
        gaps=tuple(gaps),
        interval_ms=max((part.interval_ms for part in parts), default=0.0) or float(interval_ms),
        continued=sum(part.continued for part in parts),
        doubt_events=sum(part.doubt_events for part in parts),
        doubt_errors=sum(part.doubt_errors for part in parts),
        without_baseline=sum(part.without_baseline for part in parts),
        several_writers=tuple(dict.fromkeys(name for part in parts for name in part.several_writers)),
        without_bound=tuple(dict.fromkeys(name for part in parts for name in part.without_bound)),
        longest_unseen_ms=max((part.longest_unseen_ms for part in parts), default=0),
    )
