"""What happens to fleets, and histories drawn out of it: `draw(seed)`, or `drawn()` for hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from hypothesis import strategies as st

from tests.contract.fleet import FOREVER, MINUTE, SECOND, Broken, Floats, Rename, Target
from tests.contract.history import IMPOSSIBLE, LEAD, NO_BOUND, SEVERAL_WRITERS, History, Setting, finish, setting
from tests.contract.kinds import COUNTED, COUNTERS, KINDS, SPELLINGS, Kind

T = TypeVar("T")


class Chooser(Protocol):
    """Where choices come from: numpy or hypothesis."""

    def integer(self, low: int, high: int) -> int: ...
    def one(self, of: Sequence[T]) -> T: ...
    def chance(self, percent: int) -> bool: ...


class Numpy:
    """Choices of a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        return int(self._random.integers(low, high + 1))

    def one(self, of: Sequence[T]) -> T:
        return of[self.integer(0, len(of) - 1)]

    def chance(self, percent: int) -> bool:
        return self.integer(0, 99) >= 100 - percent


class Hypothesis:
    """Choices that shrink: to the smallest number, the first of a list, no."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def one(self, of: Sequence[T]) -> T:
        return self._draw(st.sampled_from(of))

    def chance(self, percent: int) -> bool:
        return self.integer(0, 99) >= 100 - percent


Hazard = Callable[[Setting, Chooser], None]
HAZARDS: dict[str, tuple[Hazard, tuple[str, ...]]] = {}


def hazard(*kinds: str) -> Callable[[Hazard], Hazard]:
    """Registers what can be done to a fleet of these kinds."""

    def register(do: Hazard) -> Hazard:
        HAZARDS[do.__name__.replace("_", " ")] = (do, kinds)
        return do

    return register


def _length(made: Setting) -> int:
    return (made.fleet.end_ms - made.fleet.start_ms) // MINUTE


def _moment(made: Setting, choose: Chooser, room: int = 0) -> int:
    """A moment (ms) in the grid, with `room` minutes left after it if there are."""
    last = max(LEAD + 6, _length(made) - 5 - room)
    return made.at(choose.integer(LEAD + 5, last)) + choose.integer(0, 59) * SECOND + 333


def _some(made: Setting, choose: Chooser) -> list[Target]:
    """All targets, or one."""
    if choose.chance(50):
        return list(made.fleet.targets)
    return [choose.one(made.fleet.targets)]


def _worse(target: Target, kind: Kind, where: Any, share: float, random: np.random.Generator) -> None:
    """Turns a share of the good events at some ticks into bad ones."""
    counters = target.counters
    match kind.form:
        case "codes":
            bad = random.binomial(counters["200"][where].astype(np.int64), share)
            counters["200"][where] -= bad
            counters["500"][where] += bad
        case "two" if kind.part == "bad":
            left = np.maximum(0, counters["all"][where] - counters["bad"][where]).astype(np.int64)
            counters["bad"][where] += random.binomial(left, share)
        case "two":
            counters["good"][where] -= random.binomial(counters["good"][where].astype(np.int64), share)
        case "buckets":
            slow = random.binomial(counters[kind.part][where].astype(np.int64), share)
            bounds = list(counters)
            for bound in bounds[: bounds.index(kind.part) + 1]:
                counters[bound][where] = np.maximum(0, counters[bound][where] - slow)


@hazard(*COUNTERS)
def incident(made: Setting, choose: Chooser) -> None:
    """A stretch of errors, on all or on one."""
    lasts, share = choose.integer(2, 90), choose.one((0.1, 0.2, 0.6, 1.0))
    start = _moment(made, choose, lasts)
    for target in _some(made, choose):
        where = made.fleet.during(start, start + lasts * MINUTE)
        _worse(target, made.kind, where, share, made.fleet.random)


GAPS = (1, 2, 4, 5, 6, 14, 17, 20, 60, 119, 150, 180)


@hazard(*KINDS)
def scrape_hole(made: Setting, choose: Chooser) -> None:
    """Nothing is scraped for 1 m to 3 h; half the time something fails meanwhile."""
    lasts = choose.one(GAPS)
    start = _moment(made, choose, lasts)
    failing = made.kind.form != "gauge" and choose.chance(50)
    for target in _some(made, choose):
        target.holes.append((start, start + lasts * MINUTE))
        if failing:
            where = made.fleet.during(start + 20 * SECOND, start + lasts * MINUTE - 20 * SECOND)
            _worse(target, made.kind, where, 0.2, made.fleet.random)


def short_visits(made: Setting, choose: Chooser) -> None:
    """A target is scraped for some minutes now and then; its process goes on meanwhile, or ends with each.

    It is drawn on top of the others, and only where asked for: most of such a target's life is seen by nobody.
    """
    every = choose.integer(18, 40)
    stays, first = choose.integer(2, every - 16), choose.integer(0, every)
    target = choose.one(made.fleet.targets)
    ends = choose.chance(50)
    for minute in range(first, _length(made) + 1, every):
        left, back = made.at(minute + stays), made.at(minute + every)
        target.holes.append((left, back))
        if ends:
            _restart(target, left + 7 * SECOND)


@hazard(*COUNTED)
def series_away(made: Setting, choose: Chooser) -> None:
    """One or two series of a target are away for a while and come back: dropped and kept, or not exposed."""
    lasts = choose.one((14, 17, 20, 60, 150))
    start = _moment(made, choose, lasts)
    keys = choose.one(sorted(made.kind.keys))
    # Without its total or its good events a target cannot be judged; what a reader may say then is another matter.
    if made.kind.form == "two" and keys != "bad":
        keys = "bad" if "bad" in made.kind.keys else "good"
    if made.kind.form == "buckets" or keys == "good":
        return
    target = choose.integer(0, len(made.fleet.targets) - 1)
    made.fleet.renames.append(
        Rename(start, end_ms=start + lasts * MINUTE, targets=frozenset({target}), keys=frozenset({keys}), drop=True)
    )


def _restart(target: Target, at_ms: int, away_ms: int = 0) -> None:
    """The process that lives at a moment ends; another begins `away_ms` later."""
    for i, (start, end) in enumerate(target.lives):
        if start < at_ms < end and at_ms + away_ms < end:
            target.lives[i : i + 1] = [(start, at_ms), (at_ms + away_ms, end)]
            return


@hazard(*COUNTERS)
def restarts(made: Setting, choose: Chooser) -> None:
    """One to four restarts, up to three within one minute or within five."""
    for target in _some(made, choose):
        start = _moment(made, choose, 6)
        for _ in range(choose.integer(1, 4)):
            _restart(target, start, choose.one((0, 5, 20, 45)) * SECOND)
            start += choose.one((17, 41, 67, 130, 3600)) * SECOND


@hazard(*COUNTED)
def crash_loop(made: Setting, choose: Chooser) -> None:
    """A process lives for 15 to 45 s, again and again for some minutes; some of its requests fail."""
    target = choose.one(made.fleet.targets)
    lasts = choose.integer(3, 15)
    start = _moment(made, choose, lasts)
    at = start
    while at < start + lasts * MINUTE:
        _restart(target, at)
        at += choose.integer(15, 45) * SECOND + 111
    where = made.fleet.during(start, at)
    _worse(target, made.kind, where, 0.3, made.fleet.random)


CHANGES: tuple[dict[str, str | None], ...] = (
    {"cluster": "c1"},
    {"env": "prod", "cluster": "c1"},
    {"pod": None},
    {"node": "n2"},
)


@hazard(*KINDS)
def relabelling(made: Setting, choose: Chooser) -> None:
    """From some moment on series of all targets, of one, or one series are called otherwise; half the time it is undone."""
    start = _moment(made, choose)
    # What tells two targets apart is not overwritten: that would make one series of two.
    taken = {label for target in made.fleet.targets for label in target.labels}
    change = dict(choose.one([change for change in CHANGES if not taken & {k for k, v in change.items() if v}]))
    targets = None if choose.chance(60) else frozenset({choose.integer(0, len(made.fleet.targets) - 1)})
    keys = None if choose.chance(70) else frozenset({choose.one(sorted(made.kind.keys))})
    if None in change.values():
        for target in made.fleet.targets:
            target.labels = {**target.labels, "pod": "p"}
    end = start + choose.one((3, 12, 40)) * MINUTE if choose.chance(50) else FOREVER
    made.fleet.renames.append(Rename(start, change, end, targets, keys))


@hazard("latency", "latency of large bounds")
def respelling(made: Setting, choose: Chooser) -> None:
    """From some moment on bounds are spelt otherwise, as after an upgrade of server or client."""
    start = _moment(made, choose)
    targets = None if choose.chance(60) else frozenset({choose.integer(0, len(made.fleet.targets) - 1)})
    for key in made.kind.keys:
        if key in SPELLINGS:
            spelling = choose.one(SPELLINGS[key])
            made.fleet.renames.append(Rename(start, {"le": spelling}, targets=targets, keys=frozenset({key})))


@hazard(*COUNTED)
def version_label(made: Setting, choose: Chooser) -> None:
    """Deployments restart the process, which carries the number of its version."""
    made.fleet.renames.append(Rename(0, {"version": "v{process}"}))
    for target in _some(made, choose):
        for _ in range(choose.integer(1, 3)):
            _restart(target, _moment(made, choose), choose.one((0, 8, 40)) * SECOND)


@hazard(*COUNTED)
def rare_series(made: Setting, choose: Chooser) -> None:
    """Bad series are not there before the first bad event of a process."""
    keys = made.bad_keys
    if not keys:
        return
    quiet = choose.integer(0, _length(made) - 10)
    for target in _some(made, choose):
        target.rare = keys
        for key in keys:
            target.old.pop(key, None)
            moved = target.counters[key][made.fleet.ticks < made.at(quiet)].copy()
            target.counters[key][made.fleet.ticks < made.at(quiet)] = 0
            if made.kind.form == "codes":
                target.counters["200"][made.fleet.ticks < made.at(quiet)] += moved


@hazard(*COUNTED)
def new_targets(made: Setting, choose: Chooser) -> None:
    """Pods come, one or some every few minutes, live for a while and go; they start at zero."""
    start = _moment(made, choose, 20)
    for i in range(choose.integer(1, 6)):
        lives = choose.one((4, 11, 300))
        made.add(
            f"new-{i}",
            choose.one((1.0, 10.0)),
            choose.one((0.0, 0.05)),
            0,
            lives=[(start, start + lives * MINUTE)],
            present=(start, start + lives * MINUTE),
            phase_ms=choose.integer(0, 29) * SECOND + 571,
            every_ms=choose.one((15, 30, 60)) * SECOND,
        )
        start += choose.integer(30, 600) * SECOND


@hazard(*COUNTED)
def old_target_joins(made: Setting, choose: Chooser) -> None:
    """A target that has served for long elsewhere is scraped from some moment on."""
    made.add("joined", 10.0, 0.01, choose.one((1e7, 1e9)), present=(_moment(made, choose), FOREVER))


@hazard(*COUNTED)
def replicas(made: Setting, choose: Chooser) -> None:
    """Two scrapers, each with its own series; the second may come later or be away for a while."""
    away = (_moment(made, choose), FOREVER) if choose.chance(40) else (-FOREVER, FOREVER)
    for target in made.fleet.targets:
        target.replicas = (("a", (-FOREVER, FOREVER)), ("b", away))


@hazard(*COUNTED)
def two_clusters(made: Setting, choose: Chooser) -> None:
    """The same job and instance in two clusters."""
    first = made.fleet.targets[0]
    made.add("", choose.one((1.0, 30.0)), choose.one((0.0, 0.02)), 3e6, labels={**first.labels, "cluster": "west"})
    first.labels = {**first.labels, "cluster": "east"}
    # a relabelling that overwrote `cluster` would make one series of two
    made.fleet.renames[:] = [rename for rename in made.fleet.renames if "cluster" not in rename.labels]


@hazard(*KINDS)
def broken_values(made: Setting, choose: Chooser) -> None:
    """Single scrapes give NaN or an infinity."""
    for _ in range(choose.integer(1, 4)):
        index = choose.integer(0, len(made.fleet.targets) - 1)
        value = choose.one((float("nan"), float("inf"), float("-inf")))
        if made.kind.name in ("probe", "threshold", "freshness"):
            value = float("nan")
        made.fleet.broken.append(Broken(_moment(made, choose), value, index, choose.one(sorted(made.kind.keys))))


@hazard(*KINDS)
def time_outs(made: Setting, choose: Chooser) -> None:
    """One scrape in ten to one in three fails; the others come with jitter."""
    for target in _some(made, choose):
        target.timeouts = choose.one((0.05, 0.1, 0.3))
        target.jitter_ms = choose.one((0, 300, 2500))


@hazard(*COUNTED)
def idle(made: Setting, choose: Chooser) -> None:
    """No traffic for a while, as at night."""
    start, lasts = _moment(made, choose, 30), choose.one((10, 40, 120))
    for target in _some(made, choose):
        for counts in target.counters.values():
            counts[made.fleet.during(start, start + lasts * MINUTE)] = 0


@hazard(*COUNTED)
def large_counters(made: Setting, choose: Chooser) -> None:
    """Counters of 1e15."""
    for target in _some(made, choose):
        if target.old:
            target.old = made.old(1e15)


@hazard("ratio of two", "ratio of good", "raw", "raw rate")
def float_counters(made: Setting, choose: Chooser) -> None:
    """Counters of seconds or joules: eighths, which float64 adds exactly."""
    for target in made.fleet.targets:
        for key in target.counters:
            target.counters[key] = target.counters[key] * 0.125


@hazard(*COUNTED)
def no_job_and_instance(made: Setting, choose: Chooser) -> None:
    """Targets are told apart by a label of their own, as where a gateway or an agent pushes."""
    for i, target in enumerate(made.fleet.targets):
        target.labels = {"host": f"h{i}"}


@hazard("latency")
def mixed_bounds(made: Setting, choose: Chooser) -> None:
    """One target has other buckets, without the threshold's; or none has it."""
    everybody = choose.chance(25)
    chosen = range(len(made.fleet.targets)) if everybody else [choose.integer(0, len(made.fleet.targets) - 1)]
    for i in chosen:
        target = made.fleet.targets[i]
        target.counters.pop(made.kind.part, None)
        target.old.pop(made.kind.part, None)
        made.left_out.add(i)
    made.notes.add(NO_BOUND)
    if len(made.left_out) == len(made.fleet.targets):
        made.state = "no data"


@hazard("ratio of two", "ratio of good", "raw", "raw rate")
def more_than_all(made: Setting, choose: Chooser) -> None:
    """More errors than events, or more good ones."""
    for target in made.fleet.targets:
        target.counters[made.kind.part] = target.counters["all"] * 2 + 1
    made.state = "invalid"
    made.notes.add(IMPOSSIBLE)


@hazard("probe")
def probe_outside(made: Setting, choose: Chooser) -> None:
    """A probe that gives 2 or −1 for a while: no probe at all."""
    start = _moment(made, choose, 10)
    for target in _some(made, choose):
        target.gauges["gauge"][made.fleet.during(start, start + 10 * MINUTE)] = choose.one((2.0, -1.0))
    made.state = "invalid"
    made.notes.add(IMPOSSIBLE)


@hazard("ratio", "ratio of two", "latency")
def two_writers(made: Setting, choose: Chooser) -> None:
    """Two processes behind one address: a counter that falls at every other scrape."""
    for target in made.fleet.targets:
        target.writers = 2
    made.state = "invalid"
    made.notes.add(SEVERAL_WRITERS)


# Of these only one makes sense in a history, and after all others.
_LAST = ("no job and instance", "mixed bounds", "more than all", "probe outside", "two writers")
# Who is told apart by job and instance cannot be told apart without them.
_NOT_TOGETHER = (
    {"no job and instance", "two clusters"},
    {"no job and instance", "new targets"},
    {"no job and instance", "version label"},
    {"no job and instance", "replicas"},
    {"two writers", "crash loop"},
    {"two writers", "scrape hole"},
    {"more than all", "scrape hole"},
    {"more than all", "series away"},
    {"probe outside", "scrape hole"},
    {"float counters", "large counters"},
    {"float counters", "incident"},
    {"float counters", "crash loop"},
    {"float counters", "scrape hole"},
    {"respelling", "relabelling"},
)


def _drawn(choose: Chooser, name: str, kinds: Sequence[str], most: int, visits: bool = False) -> History:
    kind = choose.one(tuple(kinds))
    hours = choose.one((2, 3, 5, 8))
    made = setting(kind, hours, seed=choose.integer(0, 2**31), stale=choose.chance(30))
    for i in range(choose.integer(1, 4)):
        rest: dict[str, Any] = {
            "every_ms": choose.one((30, 15, 60, 120, 300)) * SECOND,
            "phase_ms": choose.integer(0, 29) * SECOND + choose.integer(1, 499) * 2 + 1,
            "jitter_ms": choose.one((0, 0, 200)),
        }
        if made.kind.form == "gauge":
            made.gauge(f"i{i}", _gauge(made, choose), **rest)
        else:
            rate, bad = choose.one((10.0, 0.5, 200.0)), choose.one((0.01, 0.0, 0.001, 0.1))
            made.add(f"i{i}", rate, bad, choose.one((1e6, 1e4, 5e7)), **rest)
    able = [word for word, (_, of) in HAZARDS.items() if kind in of]
    count = choose.integer(0, min(most, len(able)))
    chosen: list[str] = []
    for _ in range(count):
        word = choose.one(able)
        clash = any(word in pair and pair & set(chosen) - {word} for pair in _NOT_TOGETHER)
        if word not in chosen and not clash and not (word in _LAST and any(other in _LAST for other in chosen)):
            chosen.append(word)
    chosen.sort(key=lambda word: word in _LAST)
    for word in chosen:
        HAZARDS[word][0](made, choose)
    # Where what a target shows must be impossible, its few scrapes may not show it.
    if visits and made.state == "counted":
        short_visits(made, choose)
        chosen.append("short visits")
    return finish(made, name, chosen, choose.one((5, 1, 15)) * MINUTE)


def _gauge(made: Setting, choose: Chooser) -> Floats:
    """A probe that fails now and then, a queue that grows, a job that runs every ten minutes and sometimes does not."""
    ticks, random = len(made.fleet.ticks), made.fleet.random
    bad = np.zeros(ticks, bool)
    for _ in range(choose.integer(0, 3)):
        start = _moment(made, choose)
        bad |= made.fleet.during(start, start + choose.one((1, 10, 60)) * MINUTE)
    if made.kind.name == "probe":
        return np.where(bad, 0.0, 1.0)
    if made.kind.name == "threshold":
        return np.where(bad, 150.0, np.floor(100 * random.random(ticks)))
    # The last success, in seconds with milliseconds that no slice's end minus 30 m equals.
    every = 10 * MINUTE
    runs = made.fleet.ticks // every
    last = np.maximum.accumulate(np.where(bad, 0, runs))
    return (last * every / SECOND + 1.25).astype(np.float64)


def draw(seed: int, kinds: Sequence[str] = tuple(KINDS), most: int = 3, visits: bool = False) -> History:
    """The history of a seed: a fleet of one to four targets over 2 to 8 hours, with up to `most` hazards; `visits`: one
    target is scraped for some minutes now and then besides."""
    return _drawn(Numpy(seed), f"draw({seed}{', visits=True' if visits else ''})", kinds, most, visits)


def drawn(kinds: Sequence[str] = tuple(KINDS), most: int = 3) -> st.SearchStrategy[History]:
    """The same space, for hypothesis."""

    @st.composite
    def histories(draw: st.DrawFn) -> History:
        return _drawn(Hypothesis(draw), "drawn", kinds, most)

    return histories()
