"""Events from the tiles that rules have recorded on a server, where these are whole; the rest from its raw samples.

A tile is believed where all of it is there and `slo_info` had the fingerprint of the definition's SLI at the moment of each of
its parts. Figures are of the moment at which the last tile ends, so that the steps are tiles, and no event is split; where
somebody named another moment, raw samples tell.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from slo.budget.days import Days, can_be_known
from slo.budget.holes import Flags, filled, nothing
from slo.budget.track import RECORDED, Recent, Track, among, copied, errors_and_total, found
from slo.budget.whole import Sums, Whole
from slo.errors import ConfigError
from slo.limits import asked_for
from slo.promql.ast import Matcher, Node, VectorSelector
from slo.promql.samples import Samples, Series
from slo.rules import names as n
from slo.rules.names import OWN, SLOTH, Names
from slo.sli.base import Measured, Note
from slo.sli.counts import LOOKBACK_MS, Grid, Ints
from slo.sli.tile import EVENT_LABEL
from slo.source.base import Matrix, Source, retention_ms, source_of
from slo.source.counted import CountSource
from slo.spans import stretches
from slo.spec.model import Slo
from slo.suggest import suggest
from slo.window import DAY, MINUTE, moment, tile_length

From = Literal["raw", "recorded", "auto"]
FROM: tuple[From, ...] = ("auto", "recorded", "raw")
# How far back the last tiles are looked for: of many SLOs at once, and of one whose last tiles are not there.
_RECENT_MS, _LAST_MS = 15 * MINUTE, DAY
_COARSE_MS = 5 * MINUTE  # of the rules
_FEW_TILES = 100_000  # of two kinds of events, in an answer of some megabytes


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


class Recorded:
    """A server whose recorded series are read; what is asked for beyond them it answers as it does anyway. Not thread-safe."""

    def __init__(self, source: Source, how: From, exact: bool = False) -> None:
        self.source, self.how, self.exact = source, how, exact
        self._inner: dict[int, tuple[Source, Recorded]] = {}
        self._parts: dict[str, tuple[Slo, tuple[Matcher, ...]]] = {}
        # What was recorded lately, of many SLOs: by the moment, the name of the series, and service and name of the SLO.
        self._recent: dict[int, dict[str, dict[tuple[str, str], list[Series]]]] = {}
        self._tracks: dict[str, Track] = {}
        self._days: dict[str, Days] = {}
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
            which = among(names.service, [slo.service for slo in slos]) + among(names.slo, named)

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
        part_ms = tile_length(slo.scrape_interval_ms)
        length_ms = max(part_ms, step_ms) if of is slo else part_ms
        with asked_for(slo.id):
            track = self._track(of, end_ms, length_ms)
            if isinstance(track, Track) and not self._ends_at(track, end_ms) and part_ms < length_ms:
                # Shorter tiles end more often: up to a moment that is named there may be whole ones.
                fine = self._track(of, end_ms, part_ms)
                if isinstance(fine, Track) and self._ends_at(fine, end_ms):
                    track = fine
        if not isinstance(track, Track):
            if track is not None:
                self._why_not[slo.id] = track
            return None
        if not self._ends_at(track, end_ms):
            self._why_not[slo.id] = Note(
                RECORDED,
                f"counted from raw samples, as tiles end at {moment(track.edge_ms):%H:%M:%S} UTC and not at the moment that was asked for",
            )
            return None
        self._tracks[of.id] = track
        if of.id not in self._days or self._days[of.id].tracks[of.id] != track:
            self._days[of.id] = Days(self.source, {of.id: track}, end_ms)
        return end_ms if self._to_the_moment else track.edge_ms, max(step_ms, track.length_ms)

    @property
    def _to_the_moment(self) -> bool:
        """Whether the moment was named, and raw samples can tell what tiles do not."""
        return self.exact and self.how == "auto"

    def _ends_at(self, track: Track, end_ms: int) -> bool:
        """Whether a tile ends at the moment, which is recorded some time after it; or no such one is needed."""
        return not self._to_the_moment or (end_ms - track.edge_ms) % track.length_ms == 0

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

    def together(self, slos: Iterable[Slo], end_ms: int) -> None:
        """Says that these are evaluated one after the other at a moment, so that what can be asked for all at once is; `prepare`
        was called for them. Raises SourceError."""
        groups: dict[tuple[int, str, int, int], tuple[Recorded, dict[str, Track]]] = {}
        for slo in slos:
            own = self.of(slo)
            if not isinstance(own, Recorded) or end_ms not in own._recent:
                continue
            part_ms = tile_length(slo.scrape_interval_ms)
            track = own._found(slo, own._recent[end_ms], end_ms, max(_COARSE_MS, part_ms))
            if isinstance(track, Track) and can_be_known(track):
                group = groups.setdefault((id(own), track.names.info, track.length_ms, part_ms), (own, {}))
                group[1][slo.id] = track
        for own, tracks in groups.values():
            own._days |= dict.fromkeys(tracks, Days(own.source, tracks, end_ms))

    def _tiles(self, selector: VectorSelector, start_ms: int, end_ms: int, tiles: int) -> Samples:
        """So many tiles; a server that would count them first need not where they are few."""
        ask = getattr(self.source, "few_samples", None)
        if ask is None or tiles > _FEW_TILES:
            return self.source.samples([selector], start_ms, end_ms)
        samples: Samples = ask(selector, start_ms, end_ms)
        return samples

    def _in_doubt(self, slo: Slo, whole: Flags, moments: Ints) -> Flags:
        """Which of the tiles that are there are not known to be whole by their days."""
        days = self._days[slo.id]
        if not whole.any() or not can_be_known(days.tracks[slo.id]):
            return whole
        low, high = _within(whole & (moments <= days.end_ms))
        doubted = whole.copy()
        doubted[low:high] &= ~days.whole(slo.id, moments[low:high])
        return doubted

    def _found(self, slo: Slo, recent: Recent, end_ms: int, length_ms: int) -> Track | Note | None:
        return found(slo, *self._parts.get(slo.id, (slo, ())), recent, end_ms, length_ms)

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
            track = self._found(slo, recent, end_ms, length_ms)
            if (
                isinstance(track, Track)
                and can_be_known(track)
                and 0 <= end_ms - track.last_ms < length_ms
                and not (self._to_the_moment and track.edge_ms != end_ms)
            ):
                groups.setdefault((track.names.info, length_ms, part_ms), {})[key] = track
        result: dict[str, tuple[Track, Sums]] = {}
        for tracks in groups.values():
            lengths_of = {key: wanted[key][2] for key in tracks}
            for key, sums in Whole(self.source, tracks, end_ms).by_length(lengths_of).items():
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
            return nothing(grid, why)
        measured = slo.sli.measure(self.source, grid, slo.scraping, first)
        return measured if why is None else replace(measured, notes=(why, *measured.notes))

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
        samples = self._tiles(track.tiles(length), first_ms - length + 1, last_ms, tiles)
        own = {**track.names.identity(track.slo), **{matcher.label: matcher.value for matcher in track.matchers}}
        copies = copied(samples.series, length, (EVENT_LABEL, *own))
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
        low, high = _within(self._in_doubt(slo, whole, first_ms + length * np.arange(tiles)))
        if low < high:
            answer = self.source.query_range(
                track.incomplete(), first_ms + low * length, first_ms + (high - 1) * length, length
            )
            for _, values in answer.series:
                whole[low:high] &= np.isnan(values)
        for low, high in stretches(~whole):
            # After so long a gap samples know more than rules, which look back two hours.
            if (high - low + 2) * length >= LOOKBACK_MS and high < tiles:
                whole[high] = False
        errors, total = errors_and_total(events)
        by_step = (grid.steps, -1)
        step_whole = whole.reshape(by_step).all(axis=1)
        counts = [np.where(step_whole, values.reshape(by_step).sum(axis=1), 0.0) for values in (errors, total)]
        raw = None if self.how == "recorded" else self.source
        return filled(slo, raw, grid, step_whole, counts[0], counts[1], track)


def _within(flags: Flags) -> tuple[int, int]:
    """From the first to behind the last that is set; an empty range without one."""
    places = np.flatnonzero(flags)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
