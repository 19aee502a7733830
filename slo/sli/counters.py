"""From samples of counters to events: what the scrapes reveal, and nothing that they don't.

The contract, per target (`job` and `instance`, or the labels that a definition names):
- The increase between two consecutive samples of a series counts at the later one, across gaps of any length.
- A value below the one before restarted at 0 and counts whole.
- A series that appears while another one of its target vanishes goes on under other labels: what counts is by how much
  what appeared exceeds what vanished. Of the two readings of such a change, going on and starting anew, the one with
  fewer events counts.
- Any other new series of a known target, and the series of a new target of a job that is already scraped, start at 0:
  their first values count.
- What starts at 0, after a fall or at a birth, is believed up to twice what the target (a new one: the busiest target
  of its job) counted in the 15 minutes before, in proportion for longer pauses. What is higher is a baseline, and its
  value is in doubt. Bad events of a birth are believed up to what the target counted of all events at that scrape.
- The first targets ever seen are baselines, and so is what another scraper of a known target shows (`slo.sli.scrapers`).
- A new target that stands higher than a process of one scrape can, and at which each series of one of its job that just
  vanished goes on, is that one under another name.
- What a counter shows for up to three scrapes before it goes on from where it was, and values below 0, are not values.
- A fall that leaves more than a process can show that has just begun is not a restart, for none of its target's series: it
  is a baseline (`slo.sli.glitches`).

`slo.sli.tiles` counts in the same way on a server.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from slo.promql.samples import Series
from slo.sli.counts import (
    FEW_EVENTS,
    LOOKBACK_MS,
    TARGET_LABELS,
    TRAFFIC_FACTOR,
    TRAFFIC_MS,
    EdgeCursor,
    Floats,
    Ints,
    Target,
    finite,
    same_times,
    slices_of,
    target_of,
    union,
    usual_interval,
)
from slo.sli.glitches import falls_of, falls_of_sums, without_glitches
from slo.sli.scrapers import Scrapers

# A pause of more than one and a half usual intervals is a pause; a sample within three quarters of one is the same scrape.
_PAUSE = 1.5
_SCRAPE = 0.75
# What vanished was there at most so many usual intervals before its target's last scrape.
_LATE = 1.25
# So much faster than ever before a target may be in the scrape at which it is relabelled.
_FASTER = 3.0
# From so few samples, one of which timed out perhaps, nobody knows how far apart they are.
_FEW = 3
# What is usual nearby is known from so many intervals before and after.
_NEARBY = 9
# From this many falls on, at this share of its samples, a series is looked at for several writers.
_MIN_FALLS = 6
FALLING_SHARE = 0.2
_WRITERS = 4
_LOOKED_AT = 4_000

# What appears on a target goes on under other labels, is seen by another scraper already, or begins, or is back.
Meaning = Literal["went on", "seen", "anew"]


@dataclass(slots=True)
class Tally:
    """Events per step, and what was met while they were counted."""

    sums: Floats
    resets: int = 0
    born: int = 0
    born_events: float = 0.0
    dropped: int = 0
    continued: int = 0
    doubt: float = 0.0
    without_baseline: int = 0
    several_writers: list[str] = field(default_factory=list)
    by_series: list[tuple[Mapping[str, str], float]] = field(default_factory=list)


@dataclass
class _Line:
    """One series: its samples that are numbers; `falls` are the places of samples below the one before."""

    labels: Mapping[str, str]
    times: Ints
    values: Floats
    falls: Ints
    believed: Floats  # of each fall: the value that counts, 0 where it is not believed

    def reached(self, places: Ints) -> Floats:
        """A counter that never falls with the same increases, at some samples (ascending); exact as long as no sum is
        above 2**53."""
        if not len(self.falls):
            return self.values[places]
        # What is lost at the falls is put back from each of them on.
        lost = np.cumsum(self.values[self.falls - 1] - self.values[self.falls] + self.believed)
        edges = np.concatenate([[0], np.searchsorted(places, self.falls), [len(places)]])
        return np.asarray(self.values[places] + np.repeat(np.concatenate([[0.0], lost]), np.diff(edges)))

    @cached_property
    def interval_ms(self) -> float:
        return usual_interval(self.times)


class _Falls:
    """The falls of a target, those of one line after the other; none is believed yet.

    Arrays of one value for each: what was counted anew up to `at_ms`, the last sample before it, and whether it is one of
    those that cannot be a restart.
    """

    def __init__(self, lines: Sequence[_Line], refused: Ints) -> None:
        self.lines = lines
        self.events = np.concatenate([line.values[line.falls] for line in lines])
        self.at_ms = np.concatenate([line.times[line.falls] for line in lines])
        self.since_ms = np.concatenate([line.times[line.falls - 1] for line in lines])
        self.refused = np.isin(self.at_ms, refused) if len(refused) else np.zeros(len(self.events), bool)
        self.believed = np.zeros(len(self.events), bool)
        self.believe(np.empty(0, np.int64))

    def believe(self, places: Ints) -> None:
        """These are restarts, whose values count."""
        self.believed[places] = True
        values = np.where(self.believed, self.events, 0.0)
        at = 0
        for line in self.lines:
            line.believed = values[at : at + len(line.falls)]
            at += len(line.falls)


@dataclass(frozen=True, slots=True)
class _Run:
    """Samples [low, high) of a line without a pause in which its target was scraped."""

    line: int
    low: int
    high: int


class _Scraped:
    """One target: its series, when it was scraped, and what it counted."""

    def __init__(self, lines: list[_Line]) -> None:
        self.lines = lines
        self._added: list[tuple[int, float]] = []  # what births brought, by the place of their scrape

    @cached_property
    def start_ms(self) -> int:
        return min(int(line.times[0]) for line in self.lines)

    @cached_property
    def end_ms(self) -> int:
        return max(int(line.times[-1]) for line in self.lines)

    @cached_property
    def first_sum(self) -> float:
        """What all series of its first scrape stood at."""
        return sum(float(line.values[0]) for line in self.lines if line.times[0] == self.start_ms)

    @cached_property
    def interval_ms(self) -> float:
        return max(line.interval_ms for line in self.lines)

    @cached_property
    def scrapes(self) -> Ints:
        """The times of all scrapes, ascending."""
        return union([line.times for line in self.lines])

    @cached_property
    def shared(self) -> bool:
        """Whether not all of its scrapes are of one process: its longest series lacks some of its time."""
        longest = max(self.lines, key=lambda line: len(line.times))
        low, high = np.searchsorted(self.scrapes, longest.times[[0, -1]])
        return bool(high - low >= len(longest.times))

    @cached_property
    def _pairs(self) -> tuple[Ints, Ints]:
        """Of all samples but the first of each series their times, ascending, and those of the ones before them."""
        # Series of one process mostly share their times.
        times = list({line.times.tobytes(): line.times for line in self.lines}.values())
        at, ago = (np.concatenate([item[part] for item in times]) for part in (slice(1, None), slice(-1)))
        order = np.lexsort((ago, at))
        return at[order], ago[order]

    def scraped_before(self, at_ms: int) -> int | None:
        """When the series that have a sample at a moment had theirs before it: one scrape gives all of a process the same
        time. None where there are none."""
        at, ago = self._pairs
        place = int(np.searchsorted(at, at_ms, side="right")) - 1
        return int(ago[place]) if place >= 0 and at[place] == at_ms else None

    @cached_property
    def _sums(self) -> Floats:
        """What was counted before the first scrape, which is nothing, and up to each."""
        amounts = np.zeros(len(self.scrapes))
        for line in self.lines:
            grown = np.diff(line.values)
            grown[line.falls - 1] = line.believed
            runs = slices_of(line.times[1:], self.scrapes)
            if runs is None:
                amounts[np.searchsorted(self.scrapes, line.times[1:])] += grown
                continue
            at = 0
            for run in runs:
                amounts[run] += grown[at : at + run.stop - run.start]
                at += run.stop - run.start
        for place, amount in self._added:
            amounts[place] += amount
        return np.concatenate([[0.0], np.cumsum(amounts)])

    def believe(self, at_ms: Ints, amounts: Floats) -> None:
        """Falls that turned out to be restarts: their values count too."""
        if "_sums" in self.__dict__:
            more = np.bincount(np.searchsorted(self.scrapes, at_ms), amounts, len(self.scrapes))
            self._sums[1:] += np.cumsum(more)
        self.__dict__.pop("busiest", None)

    def add(self, at_ms: int, amount: float) -> None:
        """Events that a birth brought."""
        place = int(np.searchsorted(self.scrapes, at_ms))
        if "_sums" in self.__dict__:
            self._sums[place + 1 :] += amount
        else:
            self._added.append((place, amount))
        self.__dict__.pop("busiest", None)

    def between(self, after_ms: float, up_to_ms: float) -> float:
        """The events with after_ms < time <= up_to_ms."""
        # Whole milliseconds: for others each search would copy all times.
        low, high = np.searchsorted(self.scrapes, [math.floor(after_ms), math.floor(up_to_ms)], side="right")
        return float(self._sums[high] - self._sums[low])

    def up_to(self, at_ms: Ints) -> Floats:
        """What was counted up to each of many moments."""
        return np.asarray(self._sums[np.searchsorted(self.scrapes, at_ms, side="right")])

    def lately_at(self, up_to_ms: Ints) -> Floats:
        """`lately` at many moments."""
        now, third = self._sums[1:] if up_to_ms is self.scrapes else self.up_to(up_to_ms), TRAFFIC_MS // 3
        return np.maximum(now - self.up_to(up_to_ms - TRAFFIC_MS), 3 * (now - self.up_to(up_to_ms - third)))

    @cached_property
    def busiest(self) -> float:
        """The most that `lately` can be at any moment."""
        return float(self.lately_at(self.scrapes).max())

    @cached_property
    def longest_pause_ms(self) -> int:
        return int(np.diff(self.scrapes, prepend=self.scrapes[:1]).max())

    def lately(self, up_to_ms: float) -> float:
        """The events of the 15 minutes before; three times those of the last five where traffic has just begun."""
        third = TRAFFIC_MS / 3
        return max(self.between(up_to_ms - TRAFFIC_MS, up_to_ms), 3 * self.between(up_to_ms - third, up_to_ms))


def _line(labels: Mapping[str, str], times: Ints, values: Floats) -> _Line:
    falls = falls_of(values)
    return _Line(labels, times, values, falls, values[falls])


class _JobTargets:
    """The targets of one job, in arrays of one value for each; `busiest` is the most that `lately` can be."""

    def __init__(self, names: list[Target], held: list[_Scraped]) -> None:
        self.names, self.held = names, held
        self.place = {name: place for place, name in enumerate(names)}
        self.starts = np.array([item.start_ms for item in held], dtype=np.int64)
        self.ends = np.array([item.end_ms for item in held], dtype=np.int64)
        self.intervals = np.array([item.interval_ms for item in held])

    @cached_property
    def busiest(self) -> Floats:
        return np.array([item.busiest for item in self.held])

    @cached_property
    def pauses(self) -> Floats:
        return np.array([float(item.longest_pause_ms) for item in self.held])

    @cached_property
    def last_sums(self) -> Floats:
        """What all series of each stood at in its last scrape."""
        return np.array(
            [sum(float(line.values[-1]) for line in item.lines if line.times[-1] == item.end_ms) for item in self.held]
        )

    @cached_property
    def per_ms(self) -> Floats:
        """The most that each counted per millisecond, within 15 minutes."""
        lengths = np.clip(self.ends - self.starts, TRAFFIC_MS / 3, TRAFFIC_MS)
        return np.asarray(self.busiest / lengths)

    @cached_property
    def taken(self) -> NDArray[np.bool_]:
        """Which have been found to go on under another name."""
        return np.zeros(len(self.held), bool)

    def there(self, at_ms: int) -> NDArray[np.bool_]:
        """Which began before a moment and did not end longer before it than the look-back."""
        return (self.starts < at_ms) & (self.ends >= at_ms - LOOKBACK_MS)


class Counters:
    """The series of one counter, by target. `by` are the labels that name a target; all but the last name its job.

    `whole` are the counters of all events, already tallied, where these count a part of them.
    """

    def __init__(
        self, series: Sequence[Series], by: Sequence[str] = TARGET_LABELS, whole: Counters | None = None
    ) -> None:
        self._whole = whole
        self.dropped = 0
        self.several_writers: list[str] = []
        # Of each target the times of falls that are restarts, and of falls that cannot be.
        self.restarts: dict[Target, Ints] = {}
        self.refused: dict[Target, Ints] = {}
        # How what a target showed anew at a moment was read, what is back apart from what is new; known once it is tallied.
        self.readings: dict[tuple[Target, int, bool], Meaning] = {}
        lines: dict[Target, list[_Line]] = {}
        for item in series:
            times, values, dropped = finite(item)
            self.dropped += dropped
            if len(times):
                line = self._possible(_line(item.labels, times, values))
                if len(line.times):
                    lines.setdefault(target_of(item.labels, by), []).append(line)
                if _several_writers(line):
                    self.several_writers.append(name_of(item.labels))
        for target, held in lines.items():
            lines[target] = self._without_glitches(target, held)
        self.targets = {target: _Scraped(held) for target, held in lines.items()}
        self._jobs: dict[Target, list[Target]] = {}
        for target in self.targets:
            self._jobs.setdefault(target[:-1], []).append(target)
        self._together: dict[Target, _JobTargets] = {}
        self._by = tuple(by)
        self._doubt = self._check_falls()

    def counted(self, target: Target, after_ms: float, up_to_ms: float) -> float:
        """What a target counted in a stretch of time; of a target that is not among these, what all did."""
        if target in self.targets:
            return self.targets[target].between(after_ms, up_to_ms)
        return sum(item.between(after_ms, up_to_ms) for item in self.targets.values())

    def _possible(self, line: _Line) -> _Line:
        """A line without its values below 0."""
        kept = line.values >= 0
        if kept.all():
            return line
        self.dropped += int(np.count_nonzero(~kept))
        return _line(line.labels, line.times[kept], line.values[kept])

    def _without_glitches(self, target: Target, lines: list[_Line]) -> list[_Line]:
        """The lines of a target without the samples that were never their values."""
        falling = [number for number, line in enumerate(lines) if len(line.falls) and not _several_writers(line)]
        if not falling:
            return lines
        known = self._whole.restarts.get(target) if self._whole is not None else None
        kept, self.restarts[target] = without_glitches(
            [(lines[number].times, lines[number].values, lines[number].falls) for number in falling], known
        )
        for number, keep in zip(falling, kept, strict=True):
            if keep is not None:
                line = lines[number]
                self.dropped += int(np.count_nonzero(~keep))
                lines[number] = _line(line.labels, line.times[keep], line.values[keep])
        return lines

    def _refuse(self, target: Target, lines: Sequence[_Line]) -> Ints:
        """The times of falls of a target that cannot be restarts: those of a sum, in any of its series."""
        values = falls_of_sums([(line.times, line.values, line.falls) for line in lines])
        if self._whole is None or target not in self._whole.refused:
            return values
        # All series of a target restart together, and what counts all events has more of them to judge by.
        refused = self._whole.refused[target]
        restarted = np.setdiff1d(self._whole.restarts.get(target, refused), refused)
        return np.union1d(np.setdiff1d(values, restarted), refused)

    def _check_falls(self) -> float:
        """Takes back the values after falls that are too high to be believed; returns what they amount to."""
        fallen: list[tuple[Target, _Falls]] = []
        for target, item in self.targets.items():
            lines = [line for line in item.lines if len(line.falls)]
            if lines:
                self.refused[target] = self._refuse(target, lines)
                fallen.append((target, _Falls(lines, self.refused[target])))
        # What is believed adds to the traffic that later values are held against, so it takes a few rounds.
        for _ in range(3):
            restarts = [(target, falls, self._restarts(target, falls)) for target, falls in fallen]
            self._together.clear()
            for target, falls, places in restarts:
                if len(places):
                    falls.believe(places)
                    self.targets[target].believe(falls.at_ms[places], falls.events[places])
            if not any(len(places) for _, _, places in restarts):
                break
        for target, falls in fallen:
            # What was not believed of all events is not a restart for a part of them either.
            self.refused[target] = np.union1d(self.refused[target], falls.at_ms[~falls.believed])
        return sum(float(np.sum(falls.events[~falls.believed])) for _, falls in fallen)

    def _restarts(self, target: Target, falls: _Falls) -> Ints:
        """Which falls can be believed that were not so far."""
        places = np.flatnonzero(~falls.believed & ~falls.refused)
        if not len(places):
            return places
        events, at_ms, since_ms = falls.events[places], falls.at_ms[places], falls.since_ms[places]
        believed = self._all_believed(target, events, at_ms, since_ms)
        for place in np.flatnonzero(~believed).tolist():
            believed[place] = self._others_believe(
                float(events[place]), target, int(at_ms[place]), int(since_ms[place])
            )
        # All series of a process restart together: where one cannot have, none has.
        open_ms = np.concatenate([falls.at_ms[falls.refused], at_ms[~believed]])
        return places[believed & ~np.isin(at_ms, open_ms)]

    def _knowing(self, target: Target) -> Counters:
        """The counters that know what a target can have had: those of all events."""
        return self if self._whole is None or target not in self._whole.targets else self._whole

    def _all_believed(self, target: Target, events: Floats, at_ms: Ints, since_ms: Ints) -> NDArray[np.bool_]:
        """`_believes` for many falls."""
        few = np.asarray(events <= FEW_EVENTS)
        if few.all():
            return few
        known = self._knowing(target).targets[target]
        longer = np.maximum(1.0, (at_ms - since_ms) / TRAFFIC_MS)
        bound = TRAFFIC_FACTOR * (known.lately_at(since_ms) * longer + (known.up_to(at_ms) - known.up_to(since_ms)))
        return np.asarray(few | (events <= bound))

    def _believes(self, events: float, target: Target, at_ms: int, since_ms: int) -> bool:
        """Whether a target can have had so many events since its last scrape."""
        known = self._knowing(target).targets[target]
        return events <= FEW_EVENTS or events <= _possible(known, at_ms, since_ms)

    def _others_believe(self, events: float, target: Target, at_ms: int, since_ms: int) -> bool:
        """Whether another target of its job could have had so many events since a moment."""
        # In a pause lie at most so many stretches of 15 minutes, and one that began before it.
        enough = events / TRAFFIC_FACTOR / (3 * _longer(at_ms, since_ms))
        others = self._knowing(target)._others(target, since_ms, busy=enough)
        return any(events <= _possible(other, at_ms, since_ms) for other in others)

    def _job_of(self, target: Target) -> _JobTargets:
        """The targets of a target's job."""
        job = target[:-1]
        if job not in self._together:
            self._together[job] = _JobTargets(self._jobs[job], [self.targets[name] for name in self._jobs[job]])
        return self._together[job]

    def _others(self, target: Target, at_ms: int, busy: float) -> list[_Scraped]:
        """The other targets of a job that were there at a moment, or not longer before than the look-back, and that can
        have had as many events as `busy` in 15 minutes."""
        job = self._job_of(target)
        there = np.flatnonzero(job.there(at_ms) & (job.busiest >= busy)).tolist()
        return [job.held[place] for place in there if job.names[place] != target]

    def _joins(self, target: Target) -> bool:
        """Whether a target begins in a job that has been scraped for a while, within the look-back."""
        job = self._job_of(target)
        own = self.targets[target]
        before = own.start_ms - job.starts > _PAUSE * np.maximum(own.interval_ms, job.intervals)
        return bool((job.there(own.start_ms) & before).any())

    def _known_before(self, target: Target) -> bool:
        """Whether another target of the job was there, and ended longer before than the look-back."""
        job = self._job_of(target)
        return bool((job.ends < self.targets[target].start_ms - LOOKBACK_MS).any())

    @cached_property
    def renamed(self) -> dict[Target, Target]:
        """Targets that go on under another name, each with the one that it was: `instance` was relabelled.

        The old one vanished as the new one appeared; each series goes on at or above its old value, by no more than
        nearby, and stands higher than a process can that began since the last scrape.
        """
        targets: dict[Target, Target] = {}
        lasts: dict[Target, dict[_Key, float]] = {}
        # Of many that are relabelled at once the lowest goes on for the lowest.
        for name in sorted(self.targets, key=lambda name: self.targets[name].first_sum):
            own, job = self.targets[name], self._job_of(name)
            if not self._joins(name):
                continue
            late = own.start_ms - job.ends
            ended = (
                ~job.taken & (job.ends < own.start_ms) & (late <= _PAUSE * np.maximum(own.interval_ms, job.intervals))
            )
            values, whole = _firsts(own, self._by), own.first_sum
            grown = whole - job.last_sums
            possible = _FASTER * np.maximum(job.per_ms, job.per_ms[job.place[name]]) * late + FEW_EVENTS
            likely = np.flatnonzero(ended & (grown >= 0) & (grown <= possible) & (possible < whole))
            for place in likely[np.argsort(grown[likely], kind="stable")].tolist():
                old = job.names[place]
                if old not in lasts:
                    lasts[old] = _lasts(job.held[place], self._by)
                if all(key in values and values[key] >= value for key, value in lasts[old].items()):
                    targets[name] = old
                    job.taken[place] = True
                    break
        return targets

    def _believes_cold(self, events: float, target: Target) -> bool:
        """Whether a new target can have had so many events before its first scrape: as many as the busiest of its job."""
        if events <= FEW_EVENTS:
            return True
        job = self._job_of(target)
        start = self.targets[target].start_ms
        pauses = np.minimum(np.maximum(job.pauses, start - job.ends), LOOKBACK_MS)
        possible = TRAFFIC_FACTOR * job.busiest * np.maximum(1.0, pauses / TRAFFIC_MS)
        for place in np.flatnonzero(job.there(start) & (possible >= events)).tolist():
            other = job.held[place]
            last = int(other.scrapes[int(np.searchsorted(other.scrapes, start)) - 1])
            longer = max(1.0, min(start - last, LOOKBACK_MS) / TRAFFIC_MS)
            if events <= TRAFFIC_FACTOR * other.lately(last) * longer:
                return True
        return False

    def _add(self, target: Target, at_ms: int, amount: float) -> None:
        """Events that a birth brought."""
        self.targets[target].add(at_ms, amount)
        job = self._job_of(target)
        if "busiest" in job.__dict__:
            job.busiest[job.place[target]] += 3 * abs(amount)

    def tally(self, cursor: EdgeCursor) -> Tally:
        """The events per step."""
        grid = cursor.grid
        result = Tally(np.zeros(grid.steps), dropped=self.dropped, doubt=self._doubt)
        result.several_writers = self.several_writers
        for target, item in self.targets.items():
            extra: dict[int, float] = {}
            for at_ms, line, amount in self._births(target, result):
                step = grid.step_of(at_ms)
                if 0 <= step < grid.steps:
                    result.sums[step] += amount
                    if step >= cursor.first:
                        extra[id(line)] = extra.get(id(line), 0.0) + amount
            for line in item.lines:
                result.resets += len(line.falls)
                ends = cursor.counts(line.times)
                at_edges = line.reached(np.maximum(ends, 1) - 1)
                result.sums += np.diff(at_edges)
                amount = float(at_edges[-1] - at_edges[cursor.first]) + extra.get(id(line), 0.0)
                result.by_series.append((line.labels, amount))
        return result

    def _births(self, target: Target, result: Tally) -> list[tuple[int, _Line, float]]:
        """What series that appear add to (or, where they went on under other labels, take from) their own increases:
        (at_ms, series, events)."""
        item, knowing, whole = self.targets[target], self, self._whole
        known = item
        if whole is not None and target in whole.targets:
            # When a target is scraped, and since when, is known from all its events, not from the bad ones alone.
            known, knowing = whole.targets[target], whole
        lines, scrapes, start = item.lines, known.scrapes, min(known.start_ms, item.start_ms)
        joins = knowing._joins(target)
        if not joins and knowing._known_before(target):
            # After so long a pause of its job nothing says how much of the first values is of the time before.
            result.doubt += float(sum(line.values[0] for line in lines if line.times[0] == start))
            result.without_baseline += 1
        if not joins and all(same_times(line.times, scrapes) for line in lines):
            return []
        scrapes = union([scrapes, item.scrapes])
        runs = [run for number, line in enumerate(lines) for run in _runs(number, line, scrapes)]
        starts = np.array([lines[run.line].times[run.low] for run in runs])
        last_seen = np.array([lines[run.line].times[run.high - 1] for run in runs])
        last_value = np.array([lines[run.line].values[run.high - 1] for run in runs])
        of_line = np.array([run.line for run in runs])
        usual = np.array([lines[run.line].interval_ms if len(lines[run.line].times) > 1 else 0.0 for run in runs])
        brief = np.array([len(lines[run.line].times) <= _FEW for run in runs])
        continued = np.zeros(len(runs), dtype=bool)
        by_start, by_end = np.argsort(starts, kind="stable"), np.argsort(last_seen, kind="stable")
        ends, slowest = last_seen[by_end], float(usual.max())
        together, scrapers = _Together(of_line, starts, last_seen), Scrapers(lines, known.lines)
        births: list[tuple[int, _Line, float]] = []
        doubtful_start = False
        returning = np.array([run.low > 0 for run in runs])
        for group in _groups(by_start, starts, returning, split=known.shared):
            (at_ms,) = {*starts[group].tolist()}
            interval = max(lines[number].interval_ms for number in of_line[group].tolist())
            usually = max(interval, known.interval_ms)
            cold = at_ms <= start + _PAUSE * usually
            if cold and not joins:
                # The second scrape shows a few events that are new, or another scraper's series with all their lives.
                few = sum(float(lines[number].values[0]) for number in of_line[group].tolist()) <= FEW_EVENTS
                if at_ms <= start + _SCRAPE * usually or not few:
                    continue
                cold = False
            if cold and target in knowing.renamed and at_ms == start:
                old = self.targets.get(knowing.renamed[target])
                before_it = _lasts(old, self._by) if old is not None else {}
                for number in of_line[group].tolist():
                    value = float(lines[number].values[0])
                    # A series that its old name did not have is a new one.
                    amount = value - min(value, before_it.get(_key(lines[number].labels, self._by), 0.0))
                    births.append((at_ms, lines[number], amount))
                    if whole is None:
                        self._add(target, at_ms, amount)
                result.continued += len(group)
                continue
            place = int(np.searchsorted(scrapes, at_ms - _SCRAPE / 2 * interval))
            before = int(scrapes[place - 1]) if place else at_ms
            vanished = np.empty(0, np.int64)
            if not cold or at_ms > start:
                # Late by its own interval, and there at the target's last scrape or within a scrape of it.
                slow = _LATE * max(slowest, interval)
                # Of several processes behind one address some are scraped while others time out.
                alongside = known.scraped_before(at_ms) if known.shared else None
                low, high = np.searchsorted(ends, [min(before - slow, alongside or before), at_ms])
                near = np.sort(by_end[low:high])
                near = near[~continued[near]]
                own = np.where(usual[near] > 0, usual[near], interval)
                late = last_seen[near] >= before - _LATE * np.maximum(own, interval)
                own = np.where(brief[near], np.minimum(own, interval), own)
                gone = (late | (last_seen[near] == alongside)) & (last_seen[near] <= at_ms - _SCRAPE * own)
                appeared = set(of_line[group].tolist())
                # What was there together with a series that comes back is not a stand-in for it, but another scraper's.
                vanished = np.array(
                    [
                        run
                        for run in near[gone].tolist()
                        if (of := int(of_line[run])) not in appeared
                        and not any(together.since(number, of) < at_ms for number in appeared)
                    ],
                    dtype=np.int64,
                )
            reading = _read(lines, runs, group.tolist(), [])
            # A process restarts with all its series: what all its events say holds for a part of them.
            what = (target, at_ms, bool(returning[group].all()))
            meaning = whole.readings.get(what) if whole is not None else None
            for candidates in (
                ()
                if meaning in ("anew", "seen")
                else (vanished, _alike(lines, runs, group.tolist(), vanished.tolist()))
            ):
                other = _read(lines, runs, group.tolist(), last_value[candidates].tolist())
                if other.events < reading.events:
                    reading, vanished = other, candidates
            if meaning is None and not reading.went_on:
                shown = [lines[runs[number].line] for number in group.tolist() if runs[number].low == 0]
                if shown and scrapers.seen_already(shown, at_ms, at_ms - round(2 * usually)):
                    meaning = "seen"
            self.readings[what] = "went on" if reading.went_on else meaning or "anew"
            if meaning == "seen":
                group = np.array([number for number in group.tolist() if runs[number].low], dtype=np.int64)
                reading = _read(lines, runs, group.tolist(), [])
            if reading.went_on:
                continued[vanished] = True
                result.continued += len(group)
            new = [runs[number].low == 0 for number in group.tolist()]
            if any(new):
                first_values = sum(share for (_, share, _), first in zip(reading.shares, new, strict=True) if first)
                events = reading.events if reading.went_on else first_values
                if whole is not None:
                    until = at_ms + _PAUSE * interval if cold else at_ms
                    believed = events <= whole.counted(target, before - interval, until) * (1 + 1e-9) + 1e-6
                elif cold:
                    believed = self._believes_cold(events, target)
                else:
                    believed = self._believes(events, target, at_ms, before)
                if not believed:
                    result.doubt += events
                    doubtful_start |= cold
                    if reading.went_on:
                        births += [(at_ms, line, -own) for line, _, own in reading.shares if own]
                    continue
                if not reading.went_on:
                    result.born += sum(new)
                    result.born_events += first_values
            added = [(at_ms, line, share - own) for line, share, own in reading.shares if share != own]
            if whole is None:
                self._add(target, at_ms, sum(amount for _, _, amount in added))
            births += added
        result.without_baseline += doubtful_start
        return births


def _longer(at_ms: int, since_ms: int) -> float:
    """How much longer than 15 minutes a pause is; 1 for a shorter one."""
    return max(1.0, (at_ms - since_ms) / TRAFFIC_MS)


def _possible(target: _Scraped, at_ms: int, since_ms: int) -> float:
    """The most events that are believed of a target since a moment."""
    return TRAFFIC_FACTOR * (target.lately(since_ms) * _longer(at_ms, since_ms) + target.between(since_ms, at_ms))


def _groups(by_start: Ints, starts: Ints, returning: NDArray[np.bool_], split: bool) -> list[Ints]:
    """Runs that begin at one moment, in the order of time.

    `split`: those of series that are back apart from those of new ones. Where several processes are behind one address, all
    series of one are back after each of its time-outs, and only what is new may go on for what vanished meanwhile.
    """
    groups = np.split(by_start, np.flatnonzero(np.diff(starts[by_start])) + 1)
    if not split:
        return groups
    halves = [(group[returning[group]], group[~returning[group]]) for group in groups]
    return [half for both in halves for half in both if len(half)]


class _Together:
    """When two lines of a target were first there at the same time: from runs, by line and ascending in each."""

    def __init__(self, of_line: Ints, starts: Ints, last_seen: Ints) -> None:
        self._of_line = of_line
        self._starts, self._last = starts, last_seen
        self._known: dict[tuple[int, int], float] = {}

    def _runs(self, line: int) -> tuple[Ints, Ints]:
        low, high = np.searchsorted(self._of_line, [line, line + 1])
        starts, last = self._starts[low:high], self._last[low:high]
        lasting = last > starts
        return starts[lasting], last[lasting]

    def since(self, number: int, other: int) -> float:
        """The start of the first run of `one` in which `other` was there too; infinite where there is none."""
        if (number, other) not in self._known:
            starts, last = self._runs(number)
            others, others_last = self._runs(other)
            place = np.searchsorted(others_last, starts, side="right")
            there = place < len(others)
            there[there] = others[place[there]] < last[there]
            self._known[number, other] = float(starts[int(np.argmax(there))]) if there.any() else np.inf
        return self._known[number, other]


_Key = frozenset[tuple[str, str]]


def _key(labels: Mapping[str, str], by: Sequence[str]) -> _Key:
    """What names a series within its target."""
    return frozenset((label, value) for label, value in labels.items() if label not in by)


def _firsts(item: _Scraped, by: Sequence[str]) -> dict[_Key, float]:
    """The values at a target's first scrape."""
    return {_key(line.labels, by): float(line.values[0]) for line in item.lines if line.times[0] == item.start_ms}


def _lasts(item: _Scraped, by: Sequence[str]) -> dict[_Key, float]:
    """The values at a target's last scrape."""
    return {_key(line.labels, by): float(line.values[-1]) for line in item.lines if line.times[-1] == item.end_ms}


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the series of a target that appear at one moment mean.

    `shares` are (line, the events that it had, what the difference to its own last value already counts).
    """

    events: float
    went_on: bool
    shares: list[tuple[_Line, float, float]]


def _alike(lines: Sequence[_Line], runs: Sequence[_Run], group: Sequence[int], vanished: Sequence[int]) -> Ints:
    """Of what vanished, the series whose labels are most like those of one that appeared: of two scrapers of a target one
    may have been relabelled before the other."""
    chosen: set[int] = set()
    for place in group:
        new = lines[runs[place].line].labels
        differing = [
            sum(new[label] != value for label, value in lines[runs[other].line].labels.items() if label in new)
            for other in vanished
        ]
        chosen.update(other for other, differ in zip(vanished, differing, strict=True) if differ == min(differing))
    return np.array(sorted(chosen), dtype=np.int64)


def _read(lines: Sequence[_Line], runs: Sequence[_Run], group: Sequence[int], vanished: Sequence[float]) -> _Reading:
    """Of two readings of a change the one with fewer events: all started anew or came back, or they go on for what vanished."""
    shares = []
    values = []
    for place in group:
        line, low = lines[runs[place].line], runs[place].low
        value = float(line.values[low])
        values.append(value)
        if low == 0:
            shares.append((line, value, 0.0))
        else:
            before = float(line.values[low - 1])
            own = value - before
            if own < 0:
                place_of_fall = int(np.searchsorted(line.falls, low))
                own = float(line.believed[place_of_fall])
            shares.append((line, own, own))
    anew = sum(share for _, share, _ in shares)
    on = sum(values) - sum(vanished)
    if len(vanished) and 0 <= on < anew:
        each = _paired(values, vanished, on)
        return _Reading(on, True, [(line, part, own) for (line, _, own), part in zip(shares, each, strict=True)])
    return _Reading(anew, False, shares)


def _paired(values: Sequence[float], vanished: Sequence[float], total: float) -> list[float]:
    """The events of each series that goes on: what it exceeds its likeliest predecessor by, else in proportion."""
    if len(values) == len(vanished):
        order = np.argsort(values, kind="stable")
        grown = np.zeros(len(values))
        grown[order] = np.sort(values) - np.sort(np.array(vanished))
        if (grown >= 0).all():
            return [float(item) for item in grown]
    return [total * value / sum(values) for value in values]


def _runs(number: int, line: _Line, scraped: Ints) -> list[_Run]:
    """A line's samples, cut where it paused while its target was scraped."""
    size = len(line.times)
    if size == len(scraped):
        return [_Run(number, 0, size)]
    interval = line.interval_ms
    between = np.diff(line.times)
    wide = np.flatnonzero(between > _PAUSE * interval)
    if len(wide) > _NEARBY:
        # Where many are, it is scraped more slowly there: a pause is one to what is usual nearby.
        wide = wide[between[wide] > _PAUSE * _usual_nearby(between)[wide]]
    cuts = []
    if len(wide):
        low = np.searchsorted(scraped, line.times[wide] + _SCRAPE * interval, side="right")
        high = np.searchsorted(scraped, line.times[wide + 1] - _SCRAPE * interval)
        cuts = (wide[high > low] + 1).tolist()
    edges = [0, *cuts, size]
    return [_Run(number, low, high) for low, high in itertools.pairwise(edges)]


def several_writers(series: Series) -> bool:
    """Whether more than one process writes a series; see `_several_writers`."""
    times, values, _ = finite(series)
    return _several_writers(_line(series.labels, times, values))


def _usual_nearby(between: Ints) -> Floats:
    """Of each interval the median of those before it or of those after it, whichever is longer."""
    padded = np.concatenate([np.repeat(between[:1], _NEARBY), between, np.repeat(between[-1:], _NEARBY)])
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, _NEARBY), axis=1)
    return np.asarray(np.maximum(medians[: len(between)], medians[_NEARBY + 1 :]))


def _several_writers(line: _Line) -> bool:
    """Whether more than one process writes a series: it falls again and again, and its samples are a few counters that
    take turns. A process that crashes again and again starts from nothing each time, which no few counters explain."""
    values = line.values[:_LOOKED_AT]
    falls = int(np.count_nonzero(line.falls < len(values)))
    if falls < _MIN_FALLS or falls < FALLING_SHARE * len(values):
        return False
    last: list[float] = []
    restarts = 0
    for value in values.tolist():
        below = [place for place, held in enumerate(last) if held <= value]
        if below:
            last[max(below, key=last.__getitem__)] = value
        elif len(last) < _WRITERS:
            last.append(value)
        else:
            restarts += 1
            last[int(np.argmin(last))] = value
    return restarts <= 0.1 * falls


def name_of(labels: Mapping[str, str]) -> str:
    rest = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name != "__name__")
    return f"{labels.get('__name__', '')}{{{rest}}}"
