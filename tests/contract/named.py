"""Hostile histories with names, each short enough to be checked by hand. Minute 60 is where the grid begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tests.contract.fleet import FOREVER, MINUTE, SECOND, Broken, Key, Rename
from tests.contract.history import (
    IMPOSSIBLE,
    NO_BOUND,
    NOTHING_MATCHED,
    SEVERAL_WRITERS,
    History,
    Setting,
    finish,
    setting,
)
from tests.contract.kinds import KINDS, Kind

NAMED: dict[str, Callable[[], History]] = {}


def named(
    kind: str, hours: float = 2.0, **about: Any
) -> Callable[[Callable[[Setting], None]], Callable[[Setting], None]]:
    """Registers a history by what its function does to an empty fleet; minute 60 is the grid's start."""

    def register(do: Callable[[Setting], None]) -> Callable[[Setting], None]:
        name = str(about.get("name") or do.__name__.replace("_", " "))

        def history() -> History:
            made = setting(kind, hours, seed=1, stale=bool(about.get("stale")))
            if "of" in about:
                made = replace(made, kind=about["of"])
                made.fleet.keys = dict(about["of"].keys)
            do(made)
            return finish(made, name)

        NAMED[name] = history
        return do

    return register


def steady(made: Setting, *names: str, **rest: Any) -> None:
    """Targets with the same 10 events a second, of which one in fifty is bad: 50 and 1 in a tick of 5 s."""
    for name in names or ("a",):
        made.add(name, 10, 0.02, exact=True, **rest)


@named("ratio")
def two_steady_targets(made: Setting) -> None:
    """Per target 10 events a second: 50 in a tick of 5 s, of which one is bad."""
    steady(made, "a", "b")


def _hole(minutes: int, ratio: float, kind: str) -> None:
    @named(kind, 6, name=f"{kind}: a hole of {minutes} m with {ratio:.0%} errors in it")
    def hole(made: Setting) -> None:
        made.add("a", 10, made.incident(0.001, (90, 90 + minutes, ratio)), holes=[(made.at(90), made.at(90 + minutes))])


for _minutes in (1, 2, 5, 6, 14, 15, 20, 60, 119, 180):
    for _kind in ("ratio", "latency"):
        _hole(_minutes, 0.1, _kind)
_hole(20, 0.001, "ratio")
_hole(20, 0.1, "raw")
_hole(20, 0.1, "ratio good")


@named("ratio")
def a_restart_in_a_hole(made: Setting) -> None:
    """The new process is far below the old one: its whole value counts, what the old one had is unknown."""
    steady(made, lives=[(-FOREVER, made.at(95)), (made.at(96), FOREVER)], holes=[(made.at(90), made.at(110))])


@named("ratio")
def three_restarts_in_five_minutes(made: Setting) -> None:
    edges = [made.at(minute) + 12_000 for minute in (91, 92.5, 94)]
    steady(made, lives=list(zip([-FOREVER, *edges], [*edges, FOREVER], strict=True)))


@named("ratio")
def two_restarts_in_a_minute(made: Setting) -> None:
    edges = [made.at(91) + 5_000, made.at(91) + 35_000]
    steady(made, lives=list(zip([-FOREVER, *edges], [*edges, FOREVER], strict=True)), every_ms=15 * SECOND)


def _loop(made: Setting, start: float, end: float) -> list[tuple[int, int]]:
    """Processes that live for 15, 45, 30, 20, 40, 25 s, again and again from one minute to another."""
    edges, lengths = [made.at(start)], (15, 45, 30, 20, 40, 25)
    while edges[-1] < made.at(end):
        edges.append(edges[-1] + lengths[len(edges) % 6] * SECOND + 101)
    return list(zip([-FOREVER, *edges], [*edges, FOREVER], strict=True))


@named("ratio")
def a_crash_loop_of_ten_minutes(made: Setting) -> None:
    bad = made.incident(0.001, (90, 100, 0.3))
    made.add("a", 10, bad, every_ms=15 * SECOND, lives=_loop(made, 90, 100))


@named("ratio")
def a_crash_loop_all_along(made: Setting) -> None:
    """It falls at most scrapes, and is not a case of two writers: it never goes back to where it was."""
    made.add("a", 10, 0.1, every_ms=15 * SECOND, lives=_loop(made, 30, 180))


@named("ratio")
def all_series_are_relabelled(made: Setting) -> None:
    """1 % of the old counters are errors, and nearly nothing fails now."""
    for name in ("a", "b", "c", "d"):
        made.add(name, 100, 0.0001, 5e7)
    made.fleet.renames.append(Rename(made.at(100), {"env": "prod"}))


@named("ratio")
def one_target_is_relabelled(made: Setting) -> None:
    steady(made, "a", "b")
    made.fleet.renames.append(Rename(made.at(100), {"cluster": "c1"}, targets=frozenset({1})))


@named("ratio")
def one_series_is_relabelled(made: Setting) -> None:
    steady(made)
    made.fleet.renames.append(Rename(made.at(100), {"class": "server"}, keys=frozenset({"500"})))


@named("ratio")
def a_relabelling_is_undone(made: Setting) -> None:
    steady(made, "a", "b")
    made.fleet.renames.append(Rename(made.at(100), {"cluster": "c1"}, made.at(112)))


@named("ratio")
def a_label_is_removed(made: Setting) -> None:
    steady(made, labels={"job": "shop", "instance": "a", "pod": "a-0"})
    made.fleet.renames.append(Rename(made.at(100), {"pod": None}))


@named("ratio", stale=True)
def a_relabelling_with_stale_markers(made: Setting) -> None:
    steady(made)
    made.fleet.renames.append(Rename(made.at(100), {"cluster": "c1"}))


@named("raw")
def a_relabelling_of_a_raw_expression(made: Setting) -> None:
    steady(made)
    made.fleet.renames.append(Rename(made.at(100), {"cluster": "c1"}))


@named("ratio of two")
def the_errors_of_two_metrics_are_relabelled(made: Setting) -> None:
    steady(made)
    made.fleet.renames.append(Rename(made.at(100), {"cluster": "c1"}, keys=frozenset({"bad"})))


def _spelt(kind: str, key: str, first: str, then: str) -> None:
    @named(kind, name=f"{kind}: le {first} becomes {then}")
    def spelt(made: Setting) -> None:
        steady(made, "a", "b")
        made.fleet.renames.append(Rename(0, {"le": first}, keys=frozenset({key})))
        made.fleet.renames.append(Rename(made.at(100), {"le": then}, keys=frozenset({key})))


for _first, _then in (("0.25", "0.250"), ("0.25", "2.5e-1"), ("2.5e-01", "0.25")):
    _spelt("latency", "0.25", _first, _then)
for _first, _then in (("1e+06", "1000000"), ("1e+06", "1000000.0"), ("1e6", "1.0E6")):
    _spelt("latency of large bounds", "1e+06", _first, _then)
_spelt("latency", "+Inf", "+Inf", "Inf")


@named("ratio", 10)
def a_version_every_two_hours(made: Setting) -> None:
    """The process goes on under another version's label."""
    steady(made)
    for i in range(5):
        made.fleet.renames.append(Rename(made.at(120 * i), {"version": f"v{i}"}, made.at(120 * (i + 1))))


@named("ratio", 4)
def a_version_with_each_deployment(made: Setting) -> None:
    edges = [made.at(minute) for minute in (100, 160, 220)]
    for name in ("a", "b"):
        steady(made, name, lives=list(zip([-FOREVER, *edges], [*edges, FOREVER], strict=True)))
    made.fleet.renames.append(Rename(0, {"version": "v{process}"}))


def _away(minutes: int) -> None:
    @named("ratio", 5, name=f"the error series is away for {minutes} m")
    def away(made: Setting) -> None:
        made.add("a", 10, made.incident(0.02, (100, 100 + minutes, 0.0)), 1e7)
        made.fleet.renames.append(Rename(made.at(100), {}, made.at(100 + minutes), keys=frozenset({"500"}), drop=True))


for _minutes in (14, 17, 20, 60, 150):
    _away(_minutes)


@named("ratio", 6)
def a_target_that_is_scraped_for_seven_minutes_in_thirty(made: Setting) -> None:
    """It is never there at a full quarter of an hour, where one might look for it."""
    steady(made, "a")
    steady(made, "b", size=1e4, holes=[(made.at(30 * i + 8), made.at(30 * i + 31)) for i in range(-1, 14)])


@named("ratio")
def the_first_errors_of_a_process(made: Setting) -> None:
    """No 5xx series before minute 100; then a fifth of the requests fail."""
    made.add("a", 10, made.incident(0.0, (100, 110, 0.2)), size=1e6, rare=frozenset({"500", "503"}))
    for key in ("500", "503"):
        made.fleet.targets[0].old.pop(key)


@named("ratio of two")
def the_first_error_of_a_quiet_night(made: Setting) -> None:
    """One event in an hour, and it is the first error: within what the target can do only if that event is counted."""
    every, failed = made.fleet.flat(10), made.fleet.flat(0)
    every[made.fleet.during(made.at(80), made.at(140))] = 0
    one = int(np.searchsorted(made.fleet.ticks, made.at(110)))
    every[one] = failed[one] = 1
    made.add("a", counters={"all": every, "bad": failed}, rare=frozenset({"bad"}))
    made.fleet.targets[0].old.pop("bad")


@named("ratio")
def a_pod_joins_at_zero(made: Setting) -> None:
    steady(made, "a")
    steady(made, "b", size=0, lives=[(made.at(100), FOREVER)])


@named("ratio")
def a_target_with_old_counters_joins(made: Setting) -> None:
    steady(made, "a")
    steady(made, "b", size=1e9, present=(made.at(100), FOREVER))


@named("ratio", 6)
def workers_that_live_for_five_minutes(made: Setting) -> None:
    """One after the other, each another instance: what each did before its first scrape counts."""
    for i in range(72):
        start = made.at(5 * i)
        steady(made, f"w{i}", size=0, lives=[(start, start + 5 * MINUTE)])


@named("ratio")
def two_scrapers(made: Setting) -> None:
    """Each has series of its own: all events count twice, and the ratio is the same."""
    steady(made, replicas=(("a", (-FOREVER, FOREVER)), ("b", (-FOREVER, FOREVER))))


@named("ratio")
def a_second_scraper_joins(made: Setting) -> None:
    steady(made, size=5e7, replicas=(("a", (-FOREVER, FOREVER)), ("b", (made.at(100), FOREVER))))


@named("ratio")
def two_clusters_behind_one_address(made: Setting) -> None:
    for cluster, rate in (("east", 10), ("west", 40)):
        made.add("", rate, 0.02, labels={"job": "shop", "instance": "a", "cluster": cluster}, exact=True)
    made.fleet.targets[0].lives = [(-FOREVER, made.at(100)), (made.at(100), FOREVER)]


@named("ratio")
def one_of_two_clusters_is_relabelled(made: Setting) -> None:
    for cluster, rate in (("east", 10), ("west", 40)):
        made.add("", rate, 0.02, labels={"job": "shop", "instance": "a", "cluster": cluster}, exact=True)
    made.fleet.renames.append(Rename(made.at(100), {"env": "prod"}, targets=frozenset({0})))


@named("ratio", 4)
def scrapes_of_15_s_to_5_m(made: Setting) -> None:
    for i, every in enumerate((15, 30, 60, 120, 300)):
        made.add(
            f"i{i}", 10, made.incident(0.001, (120, 150, 0.2)), every_ms=every * SECOND, jitter_ms=900, timeouts=0.1
        )


def _value(name: str, value: float) -> None:
    @named("ratio", name=f"a scrape gives {name}")
    def scrape(made: Setting) -> None:
        steady(made)
        for minute, key in ((90, "200"), (100, "500"), (110, "200"), (110.5, "200")):
            made.fleet.broken.append(Broken(made.at(minute), value, 0, key))


for _name, _number in (("NaN", float("nan")), ("+Inf", float("inf")), ("-Inf", float("-inf"))):
    _value(_name, _number)


@named("ratio", stale=True)
def time_outs_with_stale_markers(made: Setting) -> None:
    made.add("a", 10, 0.02, timeouts=0.3)


@named("latency")
def one_target_lacks_the_bound(made: Setting) -> None:
    steady(made, "a", "b")
    made.fleet.targets[1].counters.pop("0.25")
    made.left_out.add(1)
    made.notes.add(NO_BOUND)


@named("latency")
def one_of_two_histograms_of_a_target_lacks_the_bound(made: Setting) -> None:
    """A server counts by target and gives no figure; samples tell the two apart."""
    for cluster in ("east", "west"):
        made.add("", 10, 0.02, labels={"job": "shop", "instance": "a", "cluster": cluster}, exact=True)
    made.fleet.targets[0].counters.pop("0.25")
    made.left_out.add(0)
    made.notes.add(NO_BOUND)


@named("latency")
def no_target_has_the_bound(made: Setting) -> None:
    steady(made)
    made.fleet.targets[0].counters.pop("0.25")
    made.left_out.add(0)
    made.notes.add(NO_BOUND)
    made.state = "no data"


def _only(name: str, kind: str, *keys: str, add: Mapping[str, Key] | None = None) -> Kind:
    known = KINDS[kind]
    return replace(known, name=name, keys={key: known.keys[key] for key in keys} | dict(add or {}))


_LAST = Key("request_duration_seconds_bucket", {"le": "+Inf"}, 1.0, 1.0)
WITHOUT_INF = _only("latency", "latency", "0.1", "0.25", "1", "count")
WITHOUT_COUNT = _only("latency", "latency", "0.1", "0.25", "1", add={"+Inf": _LAST})


@named("latency", of=WITHOUT_INF)
def a_histogram_without_its_last_bucket(made: Setting) -> None:
    """`_count` says how many there were."""
    steady(made)


@named("latency", of=WITHOUT_COUNT)
def a_histogram_without_its_count(made: Setting) -> None:
    """Its last bucket says how many there were."""
    steady(made)


@named("latency")
def a_bucket_is_away_for_twenty_minutes(made: Setting) -> None:
    """The sums of the grid are right; meanwhile nobody knows how many requests were slow."""
    steady(made)
    made.fleet.renames.append(Rename(made.at(100), {}, made.at(120), keys=frozenset({"0.25"}), drop=True))


@named("ratio of two")
def more_errors_than_events(made: Setting) -> None:
    made.add("a", counters={"bad": made.fleet.flat(2), "all": made.fleet.flat(1)})
    made.state = "invalid"
    made.notes.add(IMPOSSIBLE)


@named("ratio of good")
def more_good_events_than_events(made: Setting) -> None:
    made.add("a", counters={"good": made.fleet.flat(2), "all": made.fleet.flat(1)})
    made.state = "invalid"
    made.notes.add(IMPOSSIBLE)


@named("ratio")
def counters_of_1e15(made: Setting) -> None:
    steady(made, "a", "b", size=1e15)
    made.fleet.renames.append(Rename(made.at(100), {"cluster": "c1"}))


@named("ratio", 5)
def a_night_without_traffic(made: Setting) -> None:
    every = made.fleet.flat(10)
    every[made.fleet.during(made.at(100), made.at(220))] = 0
    made.add("a", counters=made.split(every, np.floor(every * 0.02)))


@named("ratio of two")
def counters_of_eighths(made: Setting) -> None:
    made.add("a", size=0, counters={"bad": made.fleet.flat(0.125), "all": made.fleet.flat(3.625)})


@named("ratio")
def targets_without_job_and_instance(made: Setting) -> None:
    for host in ("h1", "h2"):
        steady(made, labels={"host": host}, lives=[(-FOREVER, made.at(100)), (made.at(101), FOREVER)])


@named("raw", 5)
def one_of_targets_without_job_and_instance_times_out(made: Setting) -> None:
    """Others are scraped more often: those that are not are no series that vanished, and it goes on for itself."""
    made.add("", 10, 0.02, labels={"host": "h1"}, every_ms=30 * SECOND)
    made.add("", 10, 0.02, labels={"host": "h2"}, every_ms=5 * MINUTE, holes=[(made.at(128), made.at(139))])
    made.add("", 10, 0.02, labels={"host": "h3"}, every_ms=2 * MINUTE, size=100)


@named("ratio", 5)
def an_idle_target_crashes_soon_after_it_is_busy(made: Setting) -> None:
    """The quarter of an hour before says nothing of what it can do; what it did since says it."""
    every = made.fleet.flat(10)
    every[made.fleet.during(made.at(60), made.at(121))] = 0
    crash = made.at(123)
    made.add("a", counters=made.split(every, np.floor(every * 0.02)), lives=[(-FOREVER, crash), (crash, FOREVER)])


@named("ratio", 5, name="two processes behind one address, every five minutes")
def _rarely_scraped_writers(made: Setting) -> None:
    steady(made, writers=2, every_ms=5 * MINUTE)
    made.state = "invalid"
    made.notes.add(SEVERAL_WRITERS)


@named("ratio")
def two_processes_behind_one_address(made: Setting) -> None:
    steady(made, writers=2)
    made.state = "invalid"
    made.notes.add(SEVERAL_WRITERS)


@named("ratio", of=_only("ratio", "ratio", "200", "404"))
def no_error_series_at_all(made: Setting) -> None:
    """All is well, or the selector is wrong: nobody knows, and the note says what `code` there is."""
    every = made.fleet.flat(10)
    made.add("a", size=0, counters={"200": every * 0.9, "404": every * 0.1})
    made.notes.add(NOTHING_MATCHED)


@named("ratio")
def data_that_is_ten_minutes_old(made: Setting) -> None:
    """All targets are seen for the first time ten minutes before the end."""
    steady(made, "a", "b", present=(made.at(170), FOREVER))


@named("ratio")
def no_sample_at_all(made: Setting) -> None:
    made.state = "no data"


@named("probe")
def a_probe_that_fails_for_ten_minutes(made: Setting) -> None:
    made.gauge("a", np.where(made.fleet.during(made.at(100), made.at(110)), 0.0, 1.0))


@named("probe")
def a_probe_of_two(made: Setting) -> None:
    made.gauge("a", np.where(made.fleet.during(made.at(100), made.at(110)), 2.0, 1.0))
    made.state = "invalid"
    made.notes.add(IMPOSSIBLE)


@named("probe")
def a_probe_of_minus_one(made: Setting) -> None:
    made.gauge("a", np.where(made.fleet.during(made.at(100), made.at(110)), -1.0, 1.0))
    made.state = "invalid"
    made.notes.add(IMPOSSIBLE)


@named("probe")
def a_probe_is_relabelled_and_gives_nan(made: Setting) -> None:
    made.gauge("a", np.where(made.fleet.during(made.at(100), made.at(110)), 0.0, 1.0))
    made.fleet.renames.append(Rename(made.at(105), {"cluster": "c1"}))
    made.fleet.broken.append(Broken(made.at(120), float("nan"), 0, "gauge"))


@named("threshold", 3)
def a_summary_that_is_nan_when_idle(made: Setting) -> None:
    """150 for ten minutes, NaN for an hour: ten slices are bad, and those of the hour are not judged."""
    values = np.where(made.fleet.during(made.at(80), made.at(90)), 150.0, 80.0)
    values[made.fleet.during(made.at(120), made.at(180))] = np.nan
    made.gauge("a", values)


@named("threshold", 4)
def a_gauge_in_a_hole(made: Setting) -> None:
    values = np.where(made.fleet.during(made.at(100), made.at(160)), 150.0, 80.0)
    made.gauge("a", values, holes=[(made.at(110), made.at(140))])


@named("freshness", 4)
def a_backup_that_does_not_run(made: Setting) -> None:
    """It runs every ten minutes, and not from minute 100 to minute 170: after 30 m it is late."""
    seconds = made.fleet.ticks // (10 * MINUTE) * 600 + 1.25
    late = made.fleet.during(made.at(100), made.at(170))
    seconds[late] = seconds[int(np.argmax(late)) - 1]
    made.gauge("a", seconds.astype(np.float64))


@named("outage", 4)
def an_outage_of_half_an_hour(made: Setting) -> None:
    bad = made.incident(0.01, (100, 130, 0.9), (150, 155, 0.9))
    made.add("a", 50, bad)


@named("outage", 4)
def an_outage_with_a_restart_and_a_relabelling_in_it(made: Setting) -> None:
    bad = made.incident(0.01, (100, 130, 0.9))
    made.add("a", 50, bad, lives=[(-FOREVER, made.at(110)), (made.at(110) + 5_000, FOREVER)])
    made.fleet.renames.append(Rename(made.at(120), {"cluster": "c1"}))
