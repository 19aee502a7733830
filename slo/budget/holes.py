"""What whole tiles do not tell, from raw samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slo.budget.track import COPIES, RECORDED, Track
from slo.sli.base import Measured, Note
from slo.sli.counts import CountingStats, Counts, Floats, Gap, Grid
from slo.source.base import Source
from slo.spans import joined, stretches
from slo.spec.model import Slo
from slo.window import Calendar, format_duration, moment

# Stretches without whole tiles that lie so close together are asked for at once; of more than so many all is.
_CLOSE_STEPS, _MOST_HOLES = 12, 40
Flags = NDArray[np.bool_]


def nothing(grid: Grid, why: Note | None) -> Measured:
    """No data, as nothing may be read from raw samples."""
    zeros = np.zeros(grid.steps)
    seen = CountingStats(gaps=(Gap(grid.start_ms, grid.end_ms),))
    note = why or Note(RECORDED, "no recorded series of it are there; `--from auto` counts raw samples")
    invalid = (note,) if note.code == COPIES else ()
    return Measured(Counts(grid, zeros, zeros, seen), notes=() if invalid else (note,), has_data=False, invalid=invalid)


def filled(
    slo: Slo, source: Source | None, grid: Grid, whole: Flags, errors: Floats, total: Floats, track: Track
) -> Measured:
    """What is counted of whole tiles, with the other steps from raw samples of the source; without one they are not known.

    Raises SourceError.
    """
    step, holes = grid.step_ms, _holes(~whole)
    parts: list[Measured] = []
    lacking: list[Gap] = []
    for low, high in holes:
        begin, end = grid.start_ms + low * step, grid.start_ms + high * step
        if source is None:
            lacking += [
                Gap(grid.start_ms + (low + first) * step, grid.start_ms + (low + last) * step)
                for first, last in stretches(~whole[low:high])
            ]
            continue
        # What is an expression is counted in tiles of the same length, as it may give others in longer ones.
        every = track.part_ms if slo.sli.depends_on_tile else step
        part = slo.sli.measure(source, Grid(end, every, (end - begin) // every), slo.scraping)
        parts.append(part)
        for own, other in ((errors, part.counts.errors), (total, part.counts.total)):
            own[low:high] = np.where(whole[low:high], own[low:high], other.reshape(high - low, -1).sum(axis=1))
    if source is not None:
        _split_at_windows(slo, source, grid, errors, total)
    seen = _seen([part.counts.seen for part in parts], lacking, slo.scrape_interval_ms)
    dropped = {"unmatched"} if whole.any() else set()  # that an errors' selector matches nothing for some minutes
    notes = dict.fromkeys(note for part in parts for note in part.notes if note.code not in dropped)
    return Measured(
        Counts(grid, errors, total, seen),
        notes=(_said(whole, grid, source is not None), *notes),
        has_data=bool(whole.any()) or any(part.has_data for part in parts),
        invalid=tuple(dict.fromkeys(note for part in parts for note in part.invalid)),
    )


def _split_at_windows(slo: Slo, source: Source, grid: Grid, errors: Floats, total: Floats) -> None:
    """Moves what happened before a calendar window began, of the step that it begins in, to the step before."""
    if not isinstance(slo.window, Calendar):
        return
    edge = slo.window.period(grid.end_ms)[0]
    while edge > grid.start_ms + grid.step_ms:
        place = grid.step_of(edge)
        end = grid.start_ms + (place + 1) * grid.step_ms
        if edge < end and place < grid.steps and (end - edge) % (slo.sli.slice_ms or 1) == 0:
            after = slo.sli.measure(source, Grid(end, end - edge, 1), slo.scraping)
            if after.has_data:
                for own, part in ((errors, after.counts.errors), (total, after.counts.total)):
                    own[place - 1] += own[place] - part[0]
                    own[place] = part[0]
        edge = slo.window.period(edge)[0]


def _said(whole: Flags, grid: Grid, filled: bool) -> Note:
    """How much came from where."""
    recorded, other = int(whole.sum()) * grid.step_ms, int((~whole).sum()) * grid.step_ms
    until = f"up to {moment(grid.end_ms):%H:%M:%S} UTC, the end of the last tile"
    if not other:
        return Note(RECORDED, f"counted from recorded series, {until}")
    rest = (
        "from raw samples, as there are no whole tiles of it that count this SLI"
        if filled
        else "not known, as there are no whole tiles of it"
    )
    if not recorded:
        return Note(RECORDED, f"{format_duration(other)} {rest}")
    return Note(RECORDED, f"{format_duration(recorded)} from recorded series, {until}; {format_duration(other)} {rest}")


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
