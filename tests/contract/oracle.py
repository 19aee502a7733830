"""What the scrapes of a fleet can tell: the oracle.

Nothing here is taken from `slo`: what a reader of the scrapes should count is derived from the processes themselves, by
the words of the contract, so that a fault of the counting code cannot hide in its own test.

The oracle counts an event at the scrape that reveals it:
- between two scrapes of one process its counter's increment, whatever the series is called;
- a process that follows another behind one address: its whole value, if it is below the last value of the old one. At or
  above it nobody can see the restart, so it is the difference (a `Doubt`: the old value may be added);
- a series that was never seen, of a target that was: its whole value. If that is more than the target's traffic of the last
  15 m makes possible, it is a `Doubt`: a reader may take it for a baseline, when it says so;
- a target that was never seen, of a job that was: the same, bound by the job's traffic;
- all else that is new is a baseline: the first targets of a job, counters older than the job's first scrape, series that
  were held back by a relabelling before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slo.promql.samples import Samples
from tests.contract.fleet import (
    FOREVER,
    MINUTE,
    SECOND,
    Bools,
    Bridge,
    Doubt,
    Fleet,
    Floats,
    Grid,
    Ints,
    OfRules,
    Stream,
    Why,
    events_of,
    rows_of,
)

# What "recent traffic" means to the oracle when it asks whether a first value can be true.
RECENT_MS = 15 * MINUTE
# Above so many times the possible traffic an old counter cannot be taken for a new one.
AMPLE = 10.0
# A pause between two values of a series that a look-back may not reach over; shorter ones are reached by all.
BRIDGE_MS = 4 * MINUTE
# How long the tiles are that rules record.
TILE_MS = MINUTE
# How far an instant vector looks back.
LOOKBACK_MS = 5 * MINUTE


@dataclass(eq=False)
class Reading:
    """Samples and the truth about them."""

    samples: Samples
    streams: list[Stream]
    # every event: (time, errors, total), arrays of one length
    happened: tuple[Ints, Floats, Floats]
    # every event at the scrape that reveals it
    revealed: tuple[Ints, Floats, Floats]
    doubts: list[Doubt]
    bridges: list[Bridge]
    # what rules may take otherwise besides
    of_rules: list[Doubt]
    restarts: int = 0
    births: int = 0

    def happened_in(self, grid: Grid) -> tuple[Floats, Floats]:
        times, errors, total = self.happened
        return grid.add(times, errors), grid.add(times, total)

    def revealed_in(self, grid: Grid) -> tuple[Floats, Floats]:
        times, errors, total = self.revealed
        return grid.add(times, errors), grid.add(times, total)


def scrape(fleet: Fleet, known_since: int | None = None) -> Reading:
    """Reads everything, and says what that tells.

    `known_since`: other targets of the same jobs, which are not in this fleet, have been scraped since that time (ms).
    """
    return _Oracle(fleet, fleet.scrapes(), known_since).reading()


def reread(fleet: Fleet, streams: Sequence[Stream]) -> Reading:
    """What some of a fleet's scrapes tell, and what happened on their targets."""
    return _Oracle(fleet, list(streams)).reading()


class _Oracle:
    def __init__(self, fleet: Fleet, streams: list[Stream], known_since: int | None = None) -> None:
        self.fleet, self.streams, self.known_since = fleet, streams, known_since
        self.doubts: list[Doubt] = []
        self.of_rules: list[Doubt] = []
        self.bridges: list[Bridge] = []
        self.restarts = self.births = 0
        self.scrapes_of_job: dict[str, Ints] = {}
        self.scrapes_of_address: dict[tuple[str, str], Ints] = {}
        self._traffic: dict[int, tuple[Ints, Floats]] = {}

    def reading(self) -> Reading:
        counters = [stream for stream in self.streams if stream.target.counters]
        by_job: dict[str, list[Ints]] = {}
        by_address: dict[tuple[str, str], list[Ints]] = {}
        for stream in counters:
            seen = np.zeros(len(stream.times), bool)
            for key in stream.target.counters:
                seen |= stream.visible(key)
            times = stream.times[seen]
            by_job.setdefault(stream.target.job, []).append(times)
            by_address.setdefault(stream.target.address, []).append(times)
            self._traffic[id(stream)] = self._rates(stream)
        for job, parts in by_job.items():
            since = [] if self.known_since is None else [np.array([self.known_since], dtype=np.int64)]
            self.scrapes_of_job[job] = np.unique(np.concatenate([*since, *parts]))
        for address, parts in by_address.items():
            self.scrapes_of_address[address] = np.unique(np.concatenate(parts))
        found = [self._read(stream) for stream in counters]
        empty = np.empty(0, np.int64), np.empty(0), np.empty(0)
        parts3 = [part for parts in found for part in parts] or [empty]
        revealed = tuple(np.concatenate(column) for column in zip(*parts3, strict=True))
        return Reading(
            rows_of(self.fleet, self.streams),
            self.streams,
            self._happened(),
            (revealed[0], revealed[1], revealed[2]),
            _that_say_something(self.doubts),
            self.bridges,
            _that_say_something(self.of_rules),
            self.restarts,
            self.births,
        )

    def _happened(self) -> tuple[Ints, Floats, Floats]:
        ticks = self.fleet.ticks
        errors, total = np.zeros(len(ticks)), np.zeros(len(ticks))
        for target in {id(stream.target): stream.target for stream in self.streams}.values():
            for key, counts in events_of(self.fleet, target).items():
                errors += self.fleet.keys[key].errors * counts
                total += self.fleet.keys[key].total * counts
        return ticks, errors, total

    def _rates(self, stream: Stream) -> tuple[Ints, Floats]:
        """Of each interval between scrapes of one process: its end, and the total's events per ms in it."""
        at = np.flatnonzero(stream.ok)
        grown = np.zeros(max(0, len(at) - 1))
        for key in stream.target.counters:
            weight = self.fleet.keys[key].total
            if weight and len(grown):
                seen = stream.visible(key)[at]
                both = seen[1:] & seen[:-1] & (stream.process[at][1:] == stream.process[at][:-1])
                grown += np.where(both, weight * np.diff(np.where(seen, stream.values[key][at], 0.0)), 0.0)
        times = stream.times[at]
        return times[1:], grown / np.maximum(np.diff(times), 1)

    def _recent(self, streams: Iterable[Stream], at_ms: int, within: int = RECENT_MS) -> float:
        most = 0.0
        for stream in streams:
            times, rates = self._traffic[id(stream)]
            low, high = np.searchsorted(times, [at_ms - within, at_ms], side="right")
            if high > low:
                most = max(most, float(rates[low:high].max()))
        return most

    def _of_job(self, job: str, at_ms: int) -> float:
        """The most events that rules believe of what begins in a job: twice what its busiest address had in 15 minutes."""
        by_address: dict[tuple[str, str], list[Stream]] = {}
        for one in self.streams:
            if one.target.counters and one.target.job == job:
                by_address.setdefault(one.target.address, []).append(one)
        # Of up to five minutes more, as scrapes may be so far apart.
        busiest = max(len(own) * self._recent(own, at_ms, RECENT_MS + 5 * MINUTE) for own in by_address.values())
        return max(10.0, 2 * RECENT_MS * busiest)

    def _sure_of_job(self, job: str, at_ms: int) -> float:
        """What rules surely believe: a little less than twice what a target of the job showed in the 15 minutes before the
        tile; 10 where no two scrapes lie in them, as after a pause."""
        most = 0.0
        for one in self.streams:
            if one.target.counters and one.target.job == job:
                ends, rates = self._traffic[id(one)]
                lengths = np.diff(one.times[one.ok])
                inside = (ends - lengths > at_ms - RECENT_MS) & (ends <= at_ms - TILE_MS - 15 * SECOND)
                most = max(most, float((rates * lengths)[inside].sum()))
        return max(10.0, 0.9 * 2 * most)

    def _shared(self, stream: Stream, at_ms: int) -> bool:
        """Whether other targets are behind a target's address, or another scraper whose scrapes are far from one at a moment."""
        others = [
            one
            for one in self.streams
            if one is not stream and one.target.counters and one.target.address == stream.target.address
        ]
        return any(other.target is not stream.target or _far_from(other, at_ms) for other in others)

    def _read(self, stream: Stream) -> list[tuple[Ints, Floats, Floats]]:
        found = []
        answered = np.cumsum(stream.ok)
        for key in stream.target.counters:
            weights = self.fleet.keys[key]
            at = np.flatnonzero(stream.visible(key))
            if not len(at):
                continue
            times, values = stream.times[at], stream.values[key][at]
            process, names = stream.process[at], stream.names[key][at]
            grown = np.zeros(len(at))
            grown[0] = self._first(stream, key, int(at[0]))
            change = np.diff(values)
            same = process[1:] == process[:-1]
            grown[1:] = np.where(same | (change >= 0), change, values[1:])
            renamed = names[1:] != names[:-1]
            for i in np.flatnonzero(~same | renamed) + 1:
                next_scrape = bool(answered[at[i]] - answered[at[i - 1]] == 1)
                grown[i] = self._changed(stream, key, int(at[i - 1]), int(at[i]), float(grown[i]), next_scrape)
            self.restarts += int(np.count_nonzero(~same))
            found.append((times, weights.errors * grown, weights.total * grown))
            pauses = np.diff(times)
            for i in np.flatnonzero(pauses > BRIDGE_MS) + 1:
                amount = float(grown[i])
                if amount or values[i]:
                    self.bridges.append(
                        Bridge(
                            int(times[i]),
                            int(pauses[i - 1]),
                            weights.errors * amount,
                            weights.total * amount,
                            weights.errors * float(values[i]),
                            weights.total * float(values[i]),
                            bool(renamed[i - 1]),
                        )
                    )
            for i in np.flatnonzero(pauses > RECENT_MS - 5 * MINUTE) + 1:
                self._after_a_pause(stream, key, int(at[i]), float(grown[i]), bool(renamed[i - 1]))
        return found

    def _first(self, stream: Stream, key: str, at: int) -> float:
        """What the first value of a key on this stream counts."""
        target, now = stream.target, int(stream.times[at])
        process, value = int(stream.process[at]), float(stream.values[key][at])
        job_times = self.scrapes_of_job[target.job]
        address_times = self.scrapes_of_address[target.address]
        started = target.lives[process][0]
        earlier = stream.ok[:at] & (stream.process[:at] == process)
        held_back = bool((earlier & stream.exposed[key][:at] & (stream.values[key][:at] > 0)).any())
        old = (
            (process == 0 and target.old.get(key, 0.0) > 0)
            or started < int(job_times[0])
            or held_back
            or target.writers > 1
        )
        copy = not stream.ok[:at].any() and self._copied(stream, process, now)
        own = [one for one in self.streams if one.target.counters and one.target.address == target.address]
        if int(address_times[0]) < now:
            others, before = own, int(address_times[np.searchsorted(address_times, now) - 1])
            own_at = np.flatnonzero(stream.ok[:at])
            if len(own_at):
                before = int(stream.times[own_at[-1]])
            why: Why = "birth"
        elif int(job_times[0]) < now:
            others = [one for one in self.streams if one.target.counters and one.target.job == target.job]
            before = int(job_times[np.searchsorted(job_times, now) - 1])
            why = "new target"
        else:
            return 0.0
        elapsed = now - before if why == "birth" and before in stream.times else max(target.every_ms, now - before)
        if (old and not self._from_zero(stream, key, at, held_back)) or copy:
            ample = AMPLE * self._recent(others, now, FOREVER // 2) * max(elapsed, target.every_ms) * max(1, len(own))
            if value <= ample:
                self._doubt(key, now, "copy" if copy else "old counter", more=value)
            elif value <= self._of_job(target.job, now):
                what: OfRules = "held back" if held_back else "copy" if copy else "old counter"
                self._rules_doubt(key, now, what, more=value)
            # The tile in which it appears is its baseline.
            self._rules_doubt(key, now, "first tile", less=self._in_first_tile(stream, key, at) - value)
            return 0.0
        self.births += 1
        shared = not stream.ok[:at].any() and any(one.target is not target for one in own)
        # One process shows all that it has at once, and is believed or not.
        new = [key for key in target.counters if stream.visible(key)[at] and not stream.visible(key)[:at].any()]
        shown = sum(float(stream.values[other][at]) for other in new)
        if sum(self._in_first_tile(stream, other, at) for other in new) > self._sure_of_job(target.job, now):
            self._rules_doubt(key, now, "above the bound", less=self._in_first_tile(stream, key, at))
        if shared or max(value, shown) > self._recent(others, now) * elapsed:
            # Behind a shared address (or none) a newcomer looks like the new name of one that left.
            self._doubt(key, now, why, less=value)
        return value

    def _in_first_tile(self, stream: Stream, key: str, at: int) -> float:
        """What a series that appears at a scrape can have at the end of the tile that has it."""
        tile = stream.visible(key) & (stream.times <= stream.times[at] + TILE_MS)
        return float(stream.values[key][tile & (stream.process == stream.process[at])][-1])

    def _from_zero(self, stream: Stream, key: str, at: int, held_back: bool) -> bool:
        """A rare series of an old process that has had no event before: it is new all the same."""
        if key not in stream.target.rare or held_back or stream.target.old.get(key, 0.0) > 0:
            return False
        earlier = stream.ok[:at] & (stream.process[:at] == stream.process[at])
        return bool(earlier.any()) and stream.target.writers == 1

    def _copied(self, stream: Stream, process: int, now: int) -> bool:
        """Whether another scraper has shown this process before."""
        for other in self.streams:
            if other is not stream and other.target is stream.target:
                seen = other.ok & (other.process == process) & (other.times < now)
                if seen.any():
                    return True
        return False

    def _changed(self, stream: Stream, key: str, before: int, now: int, grown: float, next_scrape: bool) -> float:
        """What counts where a key's process or name changed between two of its values."""
        old, new = float(stream.values[key][before]), float(stream.values[key][now])
        at_ms = int(stream.times[now])
        same = stream.process[before] == stream.process[now]
        renamed = stream.names[key][before] != stream.names[key][now]
        elapsed = at_ms - int(stream.times[before])
        possible = self._recent([stream], at_ms) * elapsed
        if same and self._shared(stream, at_ms):
            self._renamed_at_a_shared_address(stream, key, now, grown)
        if same:  # renamed alone
            self._doubt(
                key, at_ms, "relabelled", less=grown, more=old if not next_scrape and new <= AMPLE * possible else 0
            )
            return grown
        if renamed:
            # A series that is back at or above what it had goes on, whatever stood in for it meanwhile.
            names = stream.names[key]
            earlier = np.flatnonzero(stream.visible(key)[:now] & (names[:now] == names[now]))
            if len(earlier) and float(stream.values[key][earlier[-1]]) <= new:
                self._doubt(key, at_ms, "relabelled restart", less=float(stream.values[key][earlier[-1]]))
        if not renamed:
            if new >= old:
                self._doubt(key, at_ms, "hidden restart", more=old)
            return grown
        if not next_scrape and new >= old:
            # Its predecessor under another name ended long before: nothing vanished now, so it is a birth.
            self._doubt(key, at_ms, "relabelled restart", less=new if new > possible else old)
            return new
        born, died = self._turnover(stream, now)
        if born < died:
            less = (old if new >= old else 0.0) if next_scrape else (new if new > possible else 0.0)
            self._doubt(key, at_ms, "relabelled restart", less=less)
            return new
        difference = new - old if new >= old else new
        # Who sums the target over all its series sees the difference of the sums.
        self._doubt(key, at_ms, "relabelled restart", less=difference, more=new - difference)
        return difference

    def _renamed_at_a_shared_address(self, stream: Stream, key: str, now: int, grown: float) -> None:
        """Rules see what others behind the address have as gone too, and what is called otherwise as new, or as back."""
        names, value = stream.names[key], float(stream.values[key][now])
        before = np.flatnonzero(stream.visible(key)[:now] & (names[:now] == names[now]))
        if len(before):
            more = value - float(stream.values[key][before[-1]]) - grown
        else:
            more = value - grown if value <= self._of_job(stream.target.job, int(stream.times[now])) else 0.0
        self._rules_doubt(key, int(stream.times[now]), "shared address", less=grown, more=max(0.0, more))

    def _after_a_pause(self, stream: Stream, key: str, now: int, grown: float, renamed: bool) -> None:
        """What rules, which look back for a quarter of an hour to see what goes on, may make of a series that was away for so
        long."""
        at_ms = int(stream.times[now])
        value, job = float(stream.values[key][now]), stream.target.job
        if renamed:
            if value > self._sure_of_job(job, at_ms):
                self._rules_doubt(key, at_ms, "above the bound", less=grown)
            return
        alone = all(one is stream or one.target.address != stream.target.address for one in self.streams)
        if not alone and at_ms - int(stream.times[:now][stream.visible(key)[:now]][-1]) > RECENT_MS:
            # What others behind the address have, or another scraper has, is gone to who looks at one's scrape.
            self._rules_doubt(key, at_ms, "shared address", less=grown, more=min(value, self._of_job(job, at_ms)))

    def _turnover(self, stream: Stream, now: int) -> tuple[float, float]:
        """The values of all series that a target has at a scrape, and of all that it had at the one before."""
        earlier = np.flatnonzero(stream.ok[:now])
        born = died = 0.0
        for key in stream.target.counters:
            seen = stream.visible(key)
            born += float(stream.values[key][now]) if seen[now] else 0.0
            if len(earlier) and seen[earlier[-1]]:
                died += float(stream.values[key][earlier[-1]])
        return born, died

    def _doubt(self, key: str, at_ms: int, why: Why, less: float = 0.0, more: float = 0.0) -> None:
        self.doubts.append(self._weighed(key, at_ms, why, less, more))

    def _rules_doubt(self, key: str, at_ms: int, why: OfRules, less: float = 0.0, more: float = 0.0) -> None:
        self.of_rules.append(self._weighed(key, at_ms, why, less, more))

    def _weighed(self, key: str, at_ms: int, why: Why | OfRules, less: float, more: float) -> Doubt:
        # Where good events are taken from the total, a good event too few is an error too many.
        weights = self.fleet.keys[key]
        low, high = sorted((-less * weights.errors, more * weights.errors))
        return Doubt(at_ms, why, max(0.0, -low), less * weights.total, max(0.0, high), more * weights.total)


def _far_from(stream: Stream, at_ms: int) -> bool:
    """Whether a scraper that is there around a moment has no scrape that rules take for the same, within a third of 30 s."""
    apart = np.abs(stream.times[stream.ok] - at_ms)
    return bool((apart <= RECENT_MS).any()) and not (apart <= 10 * SECOND).any()


def _that_say_something(doubts: Iterable[Doubt]) -> list[Doubt]:
    return [one for one in doubts if any((one.less_errors, one.less_total, one.more_errors, one.more_total))]


def count_checks(reading: Reading, grid: Grid) -> tuple[Floats, Floats]:
    """A probe: each sample is a check, bad when it is not 1. (errors, total) per step."""
    errors, total = np.zeros(grid.steps), np.zeros(grid.steps)
    for stream in reading.streams:
        for key in stream.target.gauges:
            at = stream.visible(key)
            times, values = stream.times[at], stream.values[key][at]
            errors += grid.add(times, (values != 1).astype(np.float64))
            total += grid.add(times, np.ones(len(times)))
    return errors, total


def count_slices(
    reading: Reading, grid: Grid, slice_ms: int, bound: float, *, age: bool = False, stale: bool = False
) -> tuple[Floats, Floats, Floats, Floats]:
    """A gauge judged at the end of each slice: bad above `bound` (`age`: when it is older than `bound` seconds).

    (errors, total, errors that a second name of the same gauge may add, total that it may add), per step. A value stands
    for 5 m, or until a stale marker; NaN is judged by nobody.
    """
    ends = np.arange(grid.start_ms + slice_ms, grid.end_ms + 1, slice_ms, dtype=np.int64)
    found = [np.zeros(grid.steps) for _ in range(4)]

    def judged(times: Ints, values: Floats) -> tuple[Bools, Bools]:
        at = np.searchsorted(times, ends, side="right") - 1
        held = np.where(at >= 0, values[np.maximum(at, 0)], np.nan) if len(times) else np.full(len(ends), np.nan)
        known = (at >= 0) & ~np.isnan(held)
        if len(times):
            known &= ends - times[np.maximum(at, 0)] < LOOKBACK_MS
        with np.errstate(invalid="ignore"):
            bad = (ends / 1000 - held > bound) if age else (held > bound)
        return known, known & bad

    for stream in reading.streams:
        for key in stream.target.gauges:
            names = stream.names[key]
            shown = stream.ok & stream.exposed[key] & (names >= 0)
            ended = (
                np.concatenate([[False], shown[:-1] & ~shown[1:]])
                if stale and len(shown)
                else np.zeros(len(shown), bool)
            )
            use = shown | ended
            values = np.where(shown, stream.values[key], np.nan)
            known, bad = judged(stream.times[use], values[use])
            found[0] += grid.add(ends, bad.astype(np.float64))
            found[1] += grid.add(ends, known.astype(np.float64))
            for number in np.unique(names[shown]):
                where = shown & (names == number)
                after = np.concatenate([[False], where[:-1] & ~where[1:]]) if stale else np.zeros(len(where), bool)
                own_known, own_bad = judged(
                    stream.times[where | after], np.where(where, stream.values[key], np.nan)[where | after]
                )
                found[2] += grid.add(ends, own_bad.astype(np.float64))
                found[3] += grid.add(ends, own_known.astype(np.float64))
    return found[0], found[1], np.maximum(found[2] - found[0], 0), np.maximum(found[3] - found[1], 0)


def count_outage(reading: Reading, grid: Grid, slice_ms: int, longest_ms: int, down_at: float) -> tuple[Floats, Floats]:
    """Slices in which everything has been down for `longest_ms` or more. (errors, total) per step.

    A slice without traffic continues what was before it; before the first traffic nothing is judged, as far back as the whole
    steps that hold the longest outage.
    """
    before = -(-longest_ms // grid.step_ms) * (grid.step_ms // slice_ms)
    fine = Grid(grid.end_ms, slice_ms, (grid.end_ms - grid.start_ms) // slice_ms + before)
    errors, total = reading.revealed_in(fine)
    bad, judged = np.zeros(fine.steps), np.zeros(fine.steps)
    down_for, known = 0, False
    for i in range(fine.steps):
        if total[i] > 0:
            known = True
            down_for = down_for + 1 if errors[i] >= down_at * total[i] else 0
        elif down_for:
            down_for += 1
        judged[i] = known
        bad[i] = down_for * slice_ms >= longest_ms
    ends = fine.start_ms + slice_ms * np.arange(1, fine.steps + 1, dtype=np.int64)
    return grid.add(ends, bad), grid.add(ends, judged)
