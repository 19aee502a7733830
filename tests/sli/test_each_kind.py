"""Each kind of SLI: what it counts on samples, its tiles as PromQL do too; and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import pytest

from slo.promql.ast import Matcher, MatrixSelector, Node, Subquery, VectorSelector, walk
from slo.promql.parse import parse
from slo.promql.samples import Samples
from slo.sli.base import Scraping, Sli
from slo.sli.counted import CountedSli
from slo.sli.counts import TARGET_LABELS, Grid
from slo.sli.freshness import Freshness
from slo.sli.latency import Latency, _while_there
from slo.sli.native_latency import NativeLatency
from slo.sli.outage import Outage
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.raw import Raw, counters_in, selectors_in, unit_of
from slo.sli.sums import Sums
from slo.sli.threshold import Threshold
from slo.sli.tile import Tile
from slo.window import MINUTE
from tests.memory import Memory

END = 1_798_761_600_000
SCRAPE = 30_000
STEP = 5 * MINUTE
STEPS = 8
TOTAL = VectorSelector("t_total", (Matcher("job", "=", "j"),))
ERRORS = VectorSelector("t_total", (Matcher("job", "=", "j"), Matcher("code", "=", "500")))
GOOD = VectorSelector("t_total", (Matcher("job", "=", "j"), Matcher("code", "=", "200")))
UP, AGE = VectorSelector("up"), VectorSelector("done_seconds")
RATIO = Ratio(TOTAL, ERRORS, "errors")
DOWN = Outage(Probe(UP), "up", 3 * MINUTE, Decimal("0.5"), MINUTE)

# What each counts of `history`, by step of 5 m: (errors, total).
EXPECTED: dict[str, tuple[Sli, list[float], list[float]]] = {
    # 9 good events a scrape and 1 bad one; of the second target 4 and 1.
    "ratio": (RATIO, [20] * 8, [150] * 8),
    "ratio of good": (Ratio(TOTAL, GOOD, "good"), [20] * 8, [150] * 8),
    # What counts the good events and the bad ones apart, so that all events are both; the third counter has no series.
    "sums": (Sums((GOOD, ERRORS, VectorSelector("never_total")), (ERRORS,), "errors"), [20] * 8, [150] * 8),
    "sums of good": (Sums((GOOD, ERRORS), (GOOD,), "good"), [20] * 8, [150] * 8),
    # Of two totals, the errors of one; the other errors have no series.
    "sums of errors": (
        Sums((VectorSelector("h_count"), TOTAL), (ERRORS, VectorSelector("never_total")), "errors"),
        [20] * 8,
        [250] * 8,
    ),
    # 8 of 10 requests of a scrape within half a second.
    "latency": (Latency(VectorSelector("h"), Decimal("0.5")), [20] * 8, [100] * 8),
    # Instance a is down for minutes 10 to 18 (of 40), b never: of 20 checks a step half are a's.
    "probe": (Probe(UP), [0, 0, 10, 6, 0, 0, 0, 0], [20] * 8),
    # Each minute of each of two series: the value of a is 9 in minutes 10 to 18, else 1.
    "threshold": (Threshold("10 * (1 - up)", "<=", Decimal(5), MINUTE), [0, 0, 5, 3, 0, 0, 0, 0], [10] * 8),
    # It was done at minute 12 last, and may be 15 minutes old.
    "freshness": (Freshness(AGE, 15 * MINUTE, MINUTE), [0, 0, 0, 0, 0, 3, 5, 5], [5] * 8),
    # Half of the instances are down for 8 minutes; from the third one on that is too long.
    "outage": (DOWN, [0, 0, 3, 3, 0, 0, 0, 0], [5] * 8),
    "raw": (
        Raw('sum(increase(t_total{job="j",code="500"}[$window]))', 'sum(increase(t_total{job="j"}[$window]))'),
        [20] * 8,
        [150] * 8,
    ),
    "raw rate": (
        Raw('sum(rate(t_total{job="j",code="500"}[$window]))', 'sum(rate(t_total{job="j"}[$window]))'),
        [20] * 8,
        [150] * 8,
    ),
}


@pytest.fixture(scope="module")
def source() -> Memory:
    """Forty minutes and some before them, scraped 5 s before every half minute."""
    before = 30
    times = END - 40 * MINUTE - 5_000 + SCRAPE * np.arange(-before, 81, dtype=np.int64)
    ticks = np.arange(len(times), dtype=np.float64)
    minute = (times - (END - 40 * MINUTE)) / MINUTE
    rows = []
    for instance, code, each in (("a", "200", 9), ("a", "500", 1), ("b", "200", 4), ("b", "500", 1)):
        labels = {"__name__": "t_total", "job": "j", "instance": instance, "code": code}
        rows.append((labels, times, 1000 + each * ticks))
    for le, each in (("0.5", 8), ("1", 9), ("+Inf", 10)):
        rows.append(({"__name__": "h_bucket", "job": "j", "instance": "a", "le": le}, times, 1000 + each * ticks))
    rows.append(({"__name__": "h_count", "job": "j", "instance": "a"}, times, 1000 + 10 * ticks))
    for instance in "ab":
        up = np.where((minute > 10) & (minute < 18) & (instance == "a"), 0.0, 1.0)
        rows.append(({"__name__": "up", "job": "j", "instance": instance}, times, up))
    done = np.where(minute > 12, (END - 28 * MINUTE) / 1000, times / 1000)
    rows.append(({"__name__": "done_seconds", "job": "j", "instance": "a"}, times, done))
    return Memory(Samples.from_series(rows), END)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_it_counts(source: Memory, name: str) -> None:
    sli, errors, total = EXPECTED[name]
    measurement = sli.measure(source, Grid(END, STEP, STEPS), Scraping())
    assert measurement.has_data and not measurement.invalid
    assert measurement.counts.errors.tolist() == pytest.approx(errors)
    assert measurement.counts.total.tolist() == pytest.approx(total)
    parts = measurement.counts.parts
    assert (parts is not None) is sli.has_breakdown
    if parts is not None:
        assert sum(part.errors for part in parts) == sum(errors)
        assert sum(part.total for part in parts) == sum(total)


@pytest.mark.parametrize("lag", [0, MINUTE])
@pytest.mark.parametrize("name", EXPECTED)
def test_its_tiles_count_the_same(source: Memory, name: str, lag: int) -> None:
    sli, errors, total = EXPECTED[name]
    tile = Tile(STEP, lag)
    for node, expected in ((sli.errors_tile(tile), errors), (sli.total_tile(tile), total)):
        [(_, values)] = source.query_range(node, END - (STEPS - 1) * STEP + lag, END + lag, STEP).series
        assert values.tolist() == pytest.approx(expected), node


@pytest.mark.parametrize("name", ["ratio", "ratio of good", "sums", "sums of good", "latency", "probe"])
def test_narrowed_to_one_target(source: Memory, name: str) -> None:
    sli, _, total = EXPECTED[name]
    whole = 0.0
    for instance in "ab":
        narrowed = sli.narrowed((Matcher("instance", "=", instance),))
        assert type(narrowed) is type(sli)
        whole += float(narrowed.measure(source, Grid(END, STEP, STEPS), Scraping()).counts.total.sum())
    assert whole == sum(total)


def test_an_outage_of_a_latency_has_no_latency_of_its_own(source: Memory) -> None:
    latency = EXPECTED["latency"][0]
    assert latency.measure(source, Grid(END, STEP, STEPS), Scraping()).bucket_counts.size
    slow = Outage(latency, "latency", 3 * MINUTE, Decimal("0.2"), MINUTE)
    measurement = slow.measure(source, Grid(END, STEP, STEPS), Scraping())
    assert (measurement.bounds.size, measurement.bucket_counts.size) == (0, 0)
    # A fifth of the requests is slow all the while.
    assert measurement.counts.errors.tolist() == [5.0] * 8
    assert slow.gap_words == latency.gap_words and slow.selectors() == latency.selectors()


def test_milliseconds_become_seconds_on_samples_too(source: Memory) -> None:
    rows = []
    for series in source.samples([VectorSelector("h_bucket"), VectorSelector("h_count")], 0, END).series:
        spelled = {"0.5": "500", "1": "1000", "+Inf": "+Inf"}.get(series.labels.get("le", ""))
        rows.append(({**series.labels, **({"le": spelled} if spelled else {})}, series.times, series.values))
    sli = Latency(VectorSelector("h"), Decimal("0.5"), Decimal("0.001"))
    measurement = sli.measure(Memory(Samples.from_series(rows), END), Grid(END, STEP, 2), Scraping())
    assert measurement.bounds.tolist() == [0.5, 1.0, np.inf]
    assert measurement.bucket_counts.tolist() == [[80.0, 90.0, 100.0]] * 2
    assert measurement.counts.errors.tolist() == [20.0, 20.0]


def test_a_histogram_without_any_count_of_all_has_no_data(source: Memory) -> None:
    rows = [
        (series.labels, series.times, series.values)
        for series in source.samples([VectorSelector("h_bucket", (Matcher("le", "!=", "+Inf"),))], 0, END).series
    ]
    measurement = EXPECTED["latency"][0].measure(Memory(Samples.from_series(rows), END), Grid(END, STEP, 2), Scraping())
    assert not measurement.has_data and measurement.counts.total.tolist() == [0, 0]


def test_what_cannot_be_narrowed_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Outage has no budgets by label"):
        DOWN.narrowed(())


@pytest.mark.parametrize("name", ["ratio", "ratio of good", "latency", "probe", "threshold", "freshness"])
def test_its_parts_add_up(source: Memory, name: str) -> None:
    """Of the last half hour."""
    sli, errors, total = EXPECTED[name]
    parts = sli.parts(source, END - 6 * STEP, END, Scraping())
    assert parts is not None
    assert sum(part.errors for part in parts) == sum(errors[2:])
    assert sum(part.total for part in parts) == sum(total[2:])
    assert sli.has_breakdown and not sli.by_expression


@pytest.mark.parametrize("name", ["ratio", "ratio of good", "sums", "sums of good", "latency", "probe"])
def test_by_series_all_steps_count_unless_some_are_asked_for(source: Memory, name: str) -> None:
    sli, errors, _ = EXPECTED[name]
    assert isinstance(sli, CountedSli)
    samples = source.samples(sli.selectors(), 0, END)
    for first, more in ((0, {}), (3, {"first": 3})):
        parts = sli.count(samples, Grid(END, STEP, STEPS), TARGET_LABELS, **more).counts.parts
        assert parts is not None and sum(part.errors for part in parts) == sum(errors[first:])


@pytest.mark.parametrize(
    ("name", "takes_by", "slice_ms", "labels"),
    [
        ("ratio", True, None, {"code"}),
        ("latency", True, None, set()),
        ("probe", True, None, set()),
        ("threshold", False, MINUTE, set()),
        ("freshness", False, MINUTE, set()),
        ("outage", False, MINUTE, set()),
        ("raw", False, None, set()),
    ],
)
def test_what_it_can(name: str, takes_by: bool, slice_ms: int | None, labels: set[str]) -> None:
    sli = EXPECTED[name][0]
    assert (sli.takes_by, sli.slice_ms, set(sli.kind_labels)) == (takes_by, slice_ms, labels)


def test_what_sets_a_kind_apart() -> None:
    kinds = {name: sli for name, (sli, *_) in EXPECTED.items()}

    def those(attribute: str) -> set[str]:
        return {name for name, sli in kinds.items() if getattr(sli, attribute)}

    sums = {"sums", "sums of good", "sums of errors"}
    assert those("has_breakdown") == {"ratio", "ratio of good", *sums, "latency", "probe", "threshold", "freshness"}
    assert those("by_expression") == {"raw", "raw rate"}
    assert those("takes_percentile") == {"latency"}
    assert those("of_another") == {"outage"}
    native = NativeLatency(VectorSelector("h"), Decimal("0.5"))
    assert native.by_expression and not native.has_breakdown and native.simulated == "not"


@pytest.mark.parametrize(
    ("sli", "words"),
    [
        (RATIO, "requests, bad where they fail"),
        (Ratio(TOTAL, GOOD, "good"), "events, bad where they are not counted as good"),
        (EXPECTED["latency"][0], "requests, bad where they took longer than 500ms"),
        (Probe(UP), "checks, bad where the answer is not 1"),
        (EXPECTED["threshold"][0], "checks each 1m, good where the value is <= 5"),
        (EXPECTED["freshness"][0], "checks each 1m, bad where it is older than 15m"),
        (DOWN, "slices of 1m, bad once an outage lasts 3m"),
        (EXPECTED["raw"][0], "events, as the definition's expressions count them"),
        (NativeLatency(VectorSelector("h"), Decimal("0.5")), "requests, bad where they took longer than 500ms"),
    ],
)
def test_its_words(sli: Sli, words: str) -> None:
    assert sli.describe() == words


def test_the_labels_that_it_fixes_and_what_two_of_a_kind_share() -> None:
    assert RATIO.fixed_labels == {"job", "code"}
    # One of another total is told apart in the same way; two metrics are a form of their own.
    assert RATIO.parameters == (TOTAL,)
    assert RATIO.with_parameters((TOTAL,)) == RATIO
    assert str(RATIO.with_parameters((UP,)).part).startswith("up{")
    assert Ratio(TOTAL, UP, "good").parameters == ()
    with pytest.raises(NotImplementedError):
        Ratio(TOTAL, UP, "good").narrowed(()) and DOWN.with_parameters(())
    assert RATIO.selectors() == (TOTAL, ERRORS)
    assert Ratio(TOTAL, TOTAL, "good").selectors() == (TOTAL,)
    latency = Latency(VectorSelector("h"), Decimal("0.5"), Decimal("0.001"))
    assert latency.latency_limit_seconds == 0.5 and latency.bound == 500
    assert latency.buckets.name == "h_bucket" and latency.every.name == "h_count"
    assert RATIO.latency_limit_seconds is None and RATIO.buckets is None


def test_what_the_rules_keep(source: Memory) -> None:
    """Whether it was down is kept, and from that follows what was bad: of each minute whether it was too late."""
    kept = DOWN.recorded(Tile(MINUTE), lambda what, range_ms: MatrixSelector(VectorSelector(f"kept_{what}"), range_ms))
    assert [series.what for series in kept] == ["down", "events"]
    [(_, down)] = source.query_range(kept[0].expr, END - 39 * MINUTE, END, MINUTE).series
    assert np.flatnonzero(down).tolist() == list(range(10, 18))  # the minutes that end with 11 to 18
    times = END - MINUTE * np.arange(39, -1, -1)
    # As rules write it: what was down without a break, at the moment of its tile.
    recorded = Memory(Samples.from_series([({"__name__": "kept_down"}, times, down)]), END)
    rows = recorded.query_range(kept[1].expr, END - 35 * MINUTE, END, MINUTE).series
    events, errors = (
        next(row for labels, row in rows if labels["event"] == event) for event in ("slices", "bad_slices")
    )
    assert set(events.tolist()) == {1.0}
    assert (np.flatnonzero(errors) + 4).tolist() == list(range(12, 18))
    assert [series.what for series in RATIO.recorded(Tile(MINUTE), lambda *_: MatrixSelector(UP, 1))] == ["events"]


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("sum(rate(x[5m]))", "rate"),
        ("irate(x[5m])", "rate"),
        ("sum(increase(x[5m]))", "count"),
        ("count_over_time(x[5m])", "count"),
        ("count(x)", "count"),
        ("x", None),
        ("vector(1)", None),
        ("-rate(x[5m])", "rate"),
        ("rate(x[5m]) * 300", "rate"),
        ("300 * rate(x[5m])", "rate"),
        ("rate(x[5m]) + rate(y[5m])", "rate"),
        ("x or increase(y[5m])", "count"),
        ("rate(x[5m]) / rate(y[5m])", None),
        ("rate(x[5m]) / 2", "rate"),
        ("0 * rate(x[5m])", None),
        ("rate(x[5m]) > 5", "rate"),
        ("clamp_min(rate(x[5m]), 0)", "rate"),
        ("scalar(rate(x[5m]))", None),
        ("histogram_quantile(0.9, rate(b[5m]))", None),
    ],
)
def test_events_or_events_a_second(text: str, unit: str | None) -> None:
    assert unit_of(parse(text)) == unit


def test_the_selectors_of_an_expression_are_bare() -> None:
    selectors = selectors_in("increase(x{a='1'}[$window] offset 5m) + y @ 100 + x{a='1'}")
    assert list(dict.fromkeys(selectors)) == [VectorSelector("x", (Matcher("a", "=", "1"),)), VectorSelector("y")]
    sli = Raw("increase(e[$window])", "increase(t[$window])")
    assert sli.selectors() == (VectorSelector("t"), VectorSelector("e"))


@pytest.mark.parametrize(
    ("text", "counters"),
    [
        ("sum(increase(x[86399989ms] offset 5m))", ["x"]),
        ("rate(x[86399989ms]) + increase(x[86399989ms]) + increase(y[86399989ms])", ["x", "y"]),
        ("increase(x[5m])", []),
        ("count_over_time(x[86399989ms])", []),
        ("increase(x[86399989ms] @ 5)", []),
    ],
)
def test_the_counters_of_an_expression_are_those_over_its_window(text: str, counters: list[str]) -> None:
    assert [counter.name for counter in counters_in(parse(text))] == counters
    assert all(counter.offset_ms == 0 for counter in counters_in(parse(text)))


@pytest.mark.parametrize(
    ("bucket_minutes", "kept"),
    [
        ([*range(20)], [*range(20)]),
        ([*range(5, 20)], [*range(5, 20)]),  # what the count gained before its bucket came is not a slow request
        ([*range(15)], [*range(15)]),
        ([10], [10]),
        ([0, 1, 2, 9, 10], [0, 1, 2, 9, 10]),
        ([5.4, 6.4, 11.6], [5, 6, 12]),  # within half a scrape it is the same scrape
        ([5.5, 9.51], [5, 6, 10]),
        ([-5, 25], []),
    ],
)
def test_requests_count_while_their_target_has_the_bucket(bucket_minutes: list[float], kept: list[int]) -> None:
    """A count scraped every minute for 20 minutes."""

    def made(minutes: Sequence[float]) -> Samples:
        times = END + (MINUTE * np.array(minutes)).astype(np.int64)
        return Samples.from_series([({"__name__": "x"}, times, np.arange(float(len(times))))])

    [series] = made([*range(20)]).series
    left = _while_there(series, made(bucket_minutes).series)
    assert ((left.times - END) // MINUTE).tolist() == kept
    assert left.values.tolist() == kept


def test_a_bucket_without_a_number_is_none() -> None:
    times = END + MINUTE * np.arange(3)
    [series] = Samples.from_series([({"__name__": "x"}, times, np.arange(3.0))]).series
    [nothing] = Samples.from_series([({"__name__": "b"}, times[:2], np.full(2, np.nan))]).series
    left = _while_there(series, [nothing])
    assert (left.times.tolist(), left.values.tolist()) == ([], [])


def test_a_native_histogram_as_promql() -> None:
    """The engine has none: what a server is asked. Those within the threshold are not errors; of no requests none are."""
    sli = NativeLatency(VectorSelector("h"), Decimal("0.5"), Decimal("0.001"))
    observed = "sum(increase(h[5m] offset 1m))"
    count, within = f"histogram_count({observed})", f"histogram_fraction(-Inf, 500, {observed})"
    assert sli.total_tile(Tile(STEP, MINUTE)) == parse(count)
    assert sli.errors_tile(Tile(STEP, MINUTE)) == parse(f"{count} * (1 - {within}) >= 0 or 0 * {count}")
    assert sli.by_expression and sli.selectors() == (VectorSelector("h"),)
    assert sli.gap_words == ("value", "what was not counted then is unknown")


Made = Callable[[Tile], Node]


@pytest.mark.parametrize("make", [RATIO.total_tile, RATIO.errors_tile, Probe(UP).total_tile, Probe(UP).errors_tile])
def test_by_gives_a_count_for_each_value(source: Memory, make: Made) -> None:
    rows = source.query_range(make(Tile(STEP, by=("instance",))), END, END, STEP).series
    whole = source.query_range(make(Tile(STEP)), END, END, STEP).series
    assert sorted(dict(labels)["instance"] for labels, _ in rows) == ["a", "b"]
    assert sum(float(values[0]) for _, values in rows) == float(whole[0][1][0])


WORST = [
    ("ratio", {"a500": 80, "b500": 80}),
    ("ratio of good", {"a": 80, "b": 80}),
    ("latency", {"a": 160}),
    ("probe", {"a": 0.2}),
]


@pytest.mark.parametrize(("name", "worst"), WORST)
def test_who_had_most_of_the_bad_events(source: Memory, name: str, worst: dict[str, float]) -> None:
    """Of 40 minutes, as `increase` counts; who had none is left out."""
    node = EXPECTED[name][0].breakdown(40 * MINUTE, TARGET_LABELS)
    assert node is not None
    counts = {
        labels["instance"] + labels.get("code", ""): float(values[0])
        for labels, values in source.query(node, END).series
    }
    assert counts == pytest.approx(worst, rel=0.03)


@pytest.mark.parametrize("name", [name for name, _ in WORST])
def test_of_many_with_bad_events_five_are_named(source: Memory, name: str) -> None:
    """Seven targets that all have some."""
    sli = EXPECTED[name][0]
    rows = [
        ({**selector.labels, "instance": str(number)}, selector.times, selector.values)
        for selector in source.samples(sli.selectors(), 0, END).series
        if selector.labels["instance"] == "a"
        for number in range(7)
    ]
    node = sli.breakdown(40 * MINUTE, TARGET_LABELS)
    assert node is not None
    assert len(Memory(Samples.from_series(rows), END).query(node, END).series) == 5


@pytest.mark.parametrize("name", ["threshold", "freshness", "outage", "raw"])
def test_who_had_most_is_not_known_of_what_is_judged_as_a_whole(name: str) -> None:
    assert EXPECTED[name][0].breakdown(40 * MINUTE, TARGET_LABELS) is None


def test_a_target_without_any_good_event_is_among_the_worst(source: Memory) -> None:
    """Of two targets one has bad events alone, 80 of them, as many as the other one has alongside its good ones."""
    rows = [
        (series.labels, series.times, series.values)
        for series in source.samples([TOTAL], 0, END).series
        if (series.labels["instance"], series.labels["code"]) != ("b", "200")
    ]
    node = EXPECTED["ratio of good"][0].breakdown(40 * MINUTE, TARGET_LABELS)
    assert node is not None
    lines = Memory(Samples.from_series(rows), END).query(node, END).series
    assert {labels["instance"]: float(values[0]) for labels, values in lines} == pytest.approx(
        {"a": 80, "b": 80}, rel=0.03
    )


@pytest.mark.parametrize("name", ["ratio", "latency", "probe"])
def test_a_gap_in_scraping_is_seen(source: Memory, name: str) -> None:
    """Nothing came for ten minutes; scrapes are half a minute apart."""
    sli = EXPECTED[name][0]
    rows = []
    for selector in source.samples(sli.selectors(), 0, END).series:
        there = (selector.times <= END - 20 * MINUTE) | (selector.times > END - 10 * MINUTE)
        rows.append((selector.labels, selector.times[there], selector.values[there]))
    seen = sli.measure(Memory(Samples.from_series(rows), END), Grid(END, STEP, STEPS), Scraping()).counts.seen
    [gap] = seen.gaps
    assert (gap.start_ms, gap.end_ms) == (END - 20 * MINUTE - 5_000, END - 10 * MINUTE + 25_000)
    assert seen.interval_ms == SCRAPE


@pytest.mark.parametrize(("first", "doubt"), [(30.0, 0.0), (5000.0, 5000.0)])
def test_errors_that_appear_in_numbers_that_cannot_be_are_in_doubt(source: Memory, first: float, doubt: float) -> None:
    """A target without an error has one more series ten minutes before the end; it had 150 events a step."""
    rows = [(series.labels, series.times, series.values) for series in source.samples([GOOD], 0, END).series]
    labels, times, _ = rows[0]
    rows.append(({**labels, "code": "500"}, times[-20:], first + np.zeros(20)))
    for sli in (RATIO, Ratio(TOTAL, GOOD, "good")):
        counts = sli.measure(Memory(Samples.from_series(rows), END), Grid(END, STEP, STEPS), Scraping()).counts
        assert counts.errors.sum() == pytest.approx(0 if doubt else first)
        assert (counts.seen.doubt_events, counts.seen.doubt_errors) == (doubt, doubt if sli is RATIO else 0)


@pytest.mark.parametrize(("away", "bad"), [(14.5, 1.0), (15, 0.0)])
def test_an_outage_is_as_old_as_a_quarter_of_an_hour_without_traffic_allows(away: float, bad: float) -> None:
    """Its rules kept that it was down for the last two minutes, and once before a pause; three minutes are too long."""
    kept = DOWN.recorded(Tile(MINUTE), lambda what, range_ms: MatrixSelector(VectorSelector(f"kept_{what}"), range_ms))
    times = END - np.array([2 * MINUTE + round(away * MINUTE), MINUTE, 0])
    recorded = Memory(Samples.from_series([({"__name__": "kept_down"}, times, np.ones(3))]), END)
    values_by_event = {labels["event"]: float(values[0]) for labels, values in recorded.query(kept[1].expr, END).series}
    assert values_by_event == {"slices": 1.0, "bad_slices": bad}


@pytest.mark.parametrize("name", EXPECTED)
def test_two_of_a_form_differ_by_their_parameters_alone(name: str) -> None:
    """Those of the other one make the other one of it."""
    sli = EXPECTED[name][0]
    if not sli.parameters:
        with pytest.raises(NotImplementedError):
            sli.with_parameters(())
        return
    assert sli.with_parameters(sli.parameters) == sli
    other = sli.with_parameters((VectorSelector("other"),))
    assert type(other) is type(sli) and other.parameters == (VectorSelector("other"),)
    assert all((selector.name or "").startswith("other") for selector in (*other.selectors(), *other.printed))
    assert other.with_parameters(sli.parameters) == sli


@pytest.mark.parametrize(("late_s", "kept"), [(0, 1), (30, 1), (31, 0), (-30, 1), (-31, 0)])
def test_a_count_seen_once_is_taken_to_come_every_minute(late_s: int, kept: int) -> None:
    """A bucket within half of that is of the same scrape."""
    [series] = Samples.from_series([({"__name__": "x"}, np.array([END]), np.array([5.0]))]).series
    bucket = Samples.from_series([({"__name__": "b"}, np.array([END + late_s * 1000]), np.array([1.0]))]).series
    assert len(_while_there(series, bucket).times) == kept


@pytest.mark.parametrize("lag_ms", [0, MINUTE])
def test_the_slices_of_an_outage_are_read_as_of_their_end(lag_ms: int) -> None:
    """What is moved is the tile, by its lag."""
    for node in (DOWN.errors_tile(Tile(STEP, lag_ms)), DOWN.total_tile(Tile(STEP, lag_ms))):
        assert {inner.offset_ms for inner in walk(node) if isinstance(inner, VectorSelector)} == {0}
        moved = {inner.offset_ms for inner in walk(node) if isinstance(inner, Subquery)}
        assert moved <= {0, lag_ms, 2 * MINUTE} and lag_ms in moved


@pytest.mark.parametrize(
    ("names", "what", "then"),
    [
        (("ratio", "ratio of good", "latency"), "scrapes", "counters carry their events over to the next scrape"),
        (("threshold", "freshness"), "value", "what has no value is not judged"),
        (("raw", "raw rate"), "value", "what was not counted then is unknown"),
        (("probe", "outage"), "scrapes", "a gauge carries nothing over: what it was then is unknown and counts as"),
    ],
)
def test_what_a_gap_means(names: tuple[str, ...], what: str, then: str) -> None:
    """An outage's is that of what it is made of."""
    for name in names:
        said = EXPECTED[name][0].gap_words
        assert said[0] == what and said[1].startswith(then)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("process_resident_memory_bytes", "bytes"),
        ("max(a_bytes) - b_bytes", "bytes"),
        ("last_run_seconds", "seconds"),
        ("histogram_quantile(0.9, rate(d_seconds_bucket[5m]))", "seconds"),
        ("a_bytes - b_seconds", ""),
        ("rate(a_bytes[5m])", ""),
        ("a_bytes / 2", ""),
        ("queue_length", ""),
        ("vector(1)", ""),
    ],
)
def test_the_unit_of_what_is_held_against_a_bound(text: str, unit: str) -> None:
    held = Threshold(text, "<", Decimal(1), MINUTE).held
    assert held is not None
    assert (held.unit, held.op, held.bound) == (unit, "<", 1.0)
