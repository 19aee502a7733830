"""What is left to a server: when, in which words, and what it is asked. The engine stands in for it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from slo.errors import PromqlError, SourceError, named
from slo.promql.ast import Matcher, MatrixSelector, Node, VectorSelector
from slo.promql.samples import Samples
from slo.sli import stepwise
from slo.sli.base import Measured, Scraping
from slo.sli.counts import Gap, Grid
from slo.sli.latency import Latency
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.stepwise import _summed, added_up, part_tile, too_many
from slo.sli.tile import Tile, matrix
from slo.source import Matrix, MatrixSeries
from slo.window import DAY, HOUR, MINUTE
from tests.memory import Memory, Server

END = 1_798_761_600_000
SCRAPE = 30_000
TOTAL = VectorSelector("t_total")
RATIO = Ratio(TOTAL, VectorSelector("t_total", (Matcher("code", "=", "500"),)), "errors")
Row = tuple[dict[str, str], np.ndarray, np.ndarray]


def counter(each: float, scrapes: int, end_ms: int = END, name: str = "t_total", **labels: str) -> Row:
    """A counter that gains `each` a scrape of 30 s, the last one 5 s before its end."""
    times = end_ms - 5_000 - SCRAPE * np.arange(scrapes - 1, -1, -1, dtype=np.int64)
    row = {"__name__": name, "job": "j", "instance": "a", **labels}
    return row, times, 1000 + each * np.arange(scrapes, dtype=np.float64)


class Boundless(Server):
    """It answers 1e308, whatever it is asked."""

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        times = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
        return Matrix(times, (MatrixSeries({}, np.full(len(times), 1e308)),))


def server(*rows: Row) -> Server:
    return Server(Samples.from_series(rows), END)


@pytest.fixture
def steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever there is is too much to be read."""
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)


def measured(source: Memory, steps: int = 12, sli: Ratio | Latency | Probe = RATIO) -> Measured:
    return sli.measure(source, Grid(END, 5 * MINUTE, steps), Scraping())


def codes(measurement: Measured) -> list[str]:
    return [note.code for note in measurement.notes]


def test_samples_are_read_until_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two series over an hour are 240 samples of 30 s; the errors are one series of these once more."""
    rows = [counter(9, 300, code="200"), counter(1, 300, code="500")]
    grid = Grid(END, MINUTE, 60)
    for most, expected in ((340, True), (380, False)):  # it is an estimate
        monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", most)
        assert too_many(RATIO, server(*rows), grid, Scraping()) is expected
        assert not too_many(RATIO, Memory(Samples.from_series(rows), END), grid, Scraping())
    # Scraped half as often they are half as many.
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", 190)
    assert not too_many(RATIO, server(*rows), grid, Scraping(interval_ms=60_000))


def test_of_a_long_period_a_few_hundred_moments_tell_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A series that was there for the second half of 50 hours: 3,000 samples of 6,000, and as many of the errors."""
    rows = [counter(1, 3000, code="500")]
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", 5_900)
    assert too_many(RATIO, server(*rows), Grid(END, MINUTE, 3000), Scraping())
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", 6_200)
    assert not too_many(RATIO, server(*rows), Grid(END, MINUTE, 3000), Scraping())


@pytest.mark.usefixtures("steps_only")
def test_a_server_counts_what_samples_do() -> None:
    """Ten scrapes a step, 9 good and 1 bad event each."""
    measurement = measured(server(counter(9, 400, code="200"), counter(1, 400, code="500")))
    assert measurement.counts.errors.tolist() == [10.0] * 12
    assert measurement.counts.total.tolist() == [100.0] * 12
    assert measurement.has_data and measurement.counts.parts is None
    assert (
        measurement.counts.seen.gaps,
        measurement.counts.seen.dropped,
        measurement.counts.seen.longest_unseen_ms,
    ) == ((), 0, 0)
    assert codes(measurement) == ["stepwise"]
    assert "in steps of 5m" in measurement.notes[0].text


@pytest.mark.usefixtures("steps_only")
def test_without_an_error_there_are_none_and_without_a_total_nothing() -> None:
    """Data for the last half an hour of the hour."""
    measurement = measured(server(counter(9, 61, code="200")))
    assert measurement.counts.errors.tolist() == [0.0] * 12
    assert measurement.counts.total.tolist()[7:] == [90.0] * 5
    assert measurement.counts.seen.gaps == (Gap(END - HOUR, END - 30 * MINUTE - 5 * MINUTE),)
    assert measurement.counts.seen.longest_unseen_ms == 0  # before the data begins is not a pause
    assert codes(measurement) == ["stepwise", "unmatched"]
    nothing = measured(server())
    assert not nothing.has_data and codes(nothing) == ["stepwise", "unmatched"]
    assert "`total` matches no series: there is no metric t_total" in nothing.notes[1].text


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize(
    ("away", "unseen", "then"),
    [
        (HOUR, 0, 90 + 9 * 120),  # an hour's events count when the counter is back
        (3 * HOUR, 3 * HOUR, 90 - 9),  # of three nothing is known: the first scrape is a baseline
    ],
)
def test_a_pause_beyond_the_look_back_is_named(away: int, unseen: int, then: float) -> None:
    labels, times, values = counter(9, 1000, code="200")
    gone = (times > END - HOUR - away) & (times <= END - HOUR)
    row = (labels, times[~gone], values[~gone])
    measurement = measured(server(row, counter(0, 1000, code="500")), steps=72)
    only = measured(server(row), steps=72)
    assert measurement.counts.seen.longest_unseen_ms == 0  # the other series was scraped throughout
    assert only.counts.seen.longest_unseen_ms == unseen
    assert only.counts.seen.gaps == (Gap(END - HOUR - away, END - HOUR),)
    assert only.counts.total[-12] == then


@pytest.mark.usefixtures("steps_only")
def test_a_pause_that_lasts_has_hidden_nothing_yet() -> None:
    """For three hours nothing has come: what is back then is not known before it is."""
    measurement = measured(server(counter(9, 400, END - 3 * HOUR, code="200")), steps=72)
    assert measurement.counts.seen.gaps == (Gap(END - 3 * HOUR, END),)
    assert measurement.counts.seen.longest_unseen_ms == 0


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize("hours", [(3, 5), (5, 3)])
def test_of_several_pauses_the_longest_is_named(hours: tuple[int, int]) -> None:
    """They end 7 hours and an hour before the end."""
    labels, times, values = counter(9, 2400, code="200")
    gone = np.zeros(len(times), bool)
    for length, ago in zip(hours, (7, 1), strict=True):
        gone |= (times > END - (ago + length) * HOUR) & (times <= END - ago * HOUR)
    measurement = measured(server((labels, times[~gone], values[~gone])), steps=12 * 14)
    assert measurement.counts.seen.longest_unseen_ms == 5 * HOUR


@pytest.mark.usefixtures("steps_only")
def test_what_is_not_a_number_is_counted_and_left_out() -> None:
    labels, times, values = counter(9, 400, code="200")
    values[-13] = np.nan
    measurement = measured(server((labels, times, values)))
    assert measurement.counts.seen.dropped > 0
    assert measurement.counts.total.sum() == 12 * 90


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize(("until", "named"), [(HOUR, 0), (HOUR - 40 * MINUTE, 1)])
def test_writers_are_those_of_the_period(until: int, named: int) -> None:
    """Two processes take turns up to the beginning of the hour that is asked for, or up to 20 minutes before its end."""
    labels, times, values = counter(9, 400, code="200")
    values[(times <= END - until) & (np.arange(400) % 2 == 0)] += 50_000
    values[times > END - until] += 50_000
    measurement = measured(server((labels, times, values)))
    assert len(measurement.counts.seen.several_writers) == named


@pytest.mark.usefixtures("steps_only")
def test_relabelled_and_born_series_are_counted_as_such() -> None:
    """A version changes, and a while later a code is seen for the first time with 5 events."""
    old, new = counter(9, 200, END - 30 * MINUTE, code="200", version="1"), counter(9, 60, code="200", version="2")
    labels, times, values = new
    seen = measured(server(old, (labels, times, values - 1000 + old[2][-1] + 9))).counts
    assert seen.total.sum() == 12 * 90
    assert (seen.seen.continued, seen.seen.born) == (1, 0)
    labels, times, values = counter(1, 30, code="500")
    born = measured(server(counter(9, 400, code="200"), (labels, times, values - 995))).counts
    assert (born.errors.sum(), born.seen.born, born.seen.doubt_errors) == (5 + 29, 1, 0)


@pytest.mark.usefixtures("steps_only")
def test_births_that_are_not_believed_are_in_doubt() -> None:
    """9,000 errors appear on a target with 9 events a scrape."""
    labels, times, values = counter(1, 30, code="500")
    counts = measured(server(counter(9, 400, code="200"), (labels, times, values + 8000))).counts
    assert counts.errors.sum() == 29
    assert (counts.seen.doubt_events, counts.seen.doubt_errors, counts.seen.born) == (9000, 9000, 0)


UP = Probe(VectorSelector("up"))


def gauge(values: list[float]) -> Row:
    times = END - 5_000 - SCRAPE * np.arange(len(values) - 1, -1, -1, dtype=np.int64)
    return {"__name__": "up", "job": "j", "instance": "a"}, times, np.array(values)


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize(
    ("odd", "named"), [([], None), ([2.0], "(2)"), ([-1.0], "(-1)"), ([3.0, -2.0, 2.0], "(-2, 3)"), ([1.0, 0.0, 0.5], None)]
)  # fmt: skip
def test_a_probe_on_a_server_has_values_from_0_to_1(odd: list[float], named: str | None) -> None:
    measurement = UP.measure(server(gauge([1.0] * 40 + odd + [1.0] * 10)), Grid(END, 5 * MINUTE, 3), Scraping())
    assert [note.code for note in measurement.invalid] == (["not-a-probe"] if named else [])
    if named:
        assert named in measurement.invalid[0].text
    on_samples = UP.count(Samples.from_series([gauge([1.0] * 40 + odd + [1.0] * 10)]), Grid(END, HOUR, 1), ("job",))
    assert [note.text for note in on_samples.invalid] == [note.text for note in measurement.invalid]


def test_of_a_probe_what_is_not_a_number_is_not_a_check() -> None:
    counts = UP.count(
        Samples.from_series([gauge([1.0, float("nan"), 0.0, float("inf"), 1.0])]), Grid(END, HOUR, 1), ("job",)
    )
    assert (counts.counts.errors.tolist(), counts.counts.total.tolist()) == ([1], [3])
    assert counts.counts.seen.dropped == 2


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_probe_is_looked_at_in_every_step(step: int) -> None:
    """One value of 2 in the last minute of a step."""
    values = [1.0] * 60
    values[29 + 10 * step + 9] = 2.0
    measurement = UP.measure(server(gauge(values)), Grid(END - 30_000, 5 * MINUTE, 3), Scraping())
    assert [note.code for note in measurement.invalid] == ["not-a-probe"]


def histogram(
    fast: float, every: float, scrapes: int = 400, bounds: tuple[str, str] = ("0.5", "1"), instance: str = "a"
) -> list[Row]:
    """By scrape so many requests below the first bound, and so many below the second one and in all."""
    buckets = ((bounds[0], fast), (bounds[1], every), ("+Inf", every))
    return [
        *(counter(each, scrapes, name="h_bucket", le=le, instance=instance) for le, each in buckets),
        counter(every, scrapes, name="h_count", instance=instance),
    ]


LATENCY = Latency(VectorSelector("h"), Decimal("0.5"))


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize("step_s", [60, 120, 150, 240])
def test_the_buckets_of_steps_that_have_few_scrapes(step_s: int) -> None:
    """Of scrapes 30 s apart; an increase is looked for over five of them at least, and a step has its share of it."""
    grid = Grid(END, step_s * 1000, 3)
    measurement = LATENCY.measure(server(*histogram(8, 10)), grid, Scraping())
    assert measurement.bucket_counts == pytest.approx(np.array([[8.0, 10, 10]] * 3) * step_s / 30, rel=1e-3)


@pytest.mark.usefixtures("steps_only")
def test_the_bounds_of_buckets_that_never_grew_are_known_too() -> None:
    measurement = LATENCY.measure(server(*histogram(0, 0, scrapes=2)), Grid(END, MINUTE, 2), Scraping())
    assert measurement.bounds.tolist() == [0.5, 1.0, np.inf]
    assert measurement.bucket_counts.tolist() == [[0, 0, 0]] * 2


@pytest.mark.usefixtures("steps_only")
def test_the_buckets_of_a_server() -> None:
    """8 of 10 requests a scrape within half a second; by step 80, 100 and 100 below the bounds."""
    measurement = measured(server(*histogram(8, 10)), steps=3, sli=LATENCY)
    assert (measurement.counts.errors.tolist(), measurement.counts.total.tolist()) == ([20.0] * 3, [100.0] * 3)
    assert measurement.bounds.tolist() == [0.5, 1.0, np.inf]
    assert measurement.bucket_counts == pytest.approx(np.array([[80.0, 100, 100]] * 3), rel=1e-3)
    assert codes(measurement) == ["stepwise"]


@pytest.mark.usefixtures("steps_only")
def test_two_spellings_of_a_bound_are_one_bucket() -> None:
    rows = histogram(8, 10) + histogram(4, 5, bounds=("0.50", "1.0"), instance="b")
    measurement = measured(server(*rows), steps=1, sli=LATENCY)
    assert measurement.bounds.tolist() == [0.5, 1.0, np.inf]
    assert measurement.bucket_counts == pytest.approx(np.array([[120.0, 150, 150]]), rel=1e-3)
    assert (measurement.counts.errors.tolist(), measurement.counts.total.tolist()) == ([30.0], [150.0])


@pytest.mark.usefixtures("steps_only")
def test_milliseconds_become_seconds() -> None:
    sli = Latency(VectorSelector("h"), Decimal("0.5"), Decimal("0.001"))
    measurement = measured(server(*histogram(8, 10, bounds=("500", "1000"))), steps=1, sli=sli)
    assert measurement.bounds.tolist() == [0.5, 1.0, np.inf]
    assert measurement.counts.errors.tolist() == [20.0]


@pytest.mark.usefixtures("steps_only")
def test_a_server_without_the_threshold_names_the_targets_and_the_bounds() -> None:
    rows = histogram(8, 10) + histogram(4, 5, bounds=("0.25", "2"), instance="b")
    measurement = measured(server(*rows), steps=2, sli=LATENCY)
    assert measurement.counts.total.tolist() == [100.0] * 2  # of the target that has it
    assert measurement.counts.seen.without_bound == ("job=j, instance=b",)
    [note] = [note for note in measurement.notes if note.code == "bound-missing"]
    assert "job=j, instance=b, whose h has no bucket bound 0.5; its bounds are 0.25, 0.5, 1, 2" in note.text


@pytest.mark.usefixtures("steps_only")
def test_a_histogram_without_its_count_is_counted_by_its_last_bucket() -> None:
    measurement = measured(server(*histogram(8, 10)[:3]), steps=2, sli=LATENCY)
    assert (measurement.counts.errors.tolist(), measurement.counts.total.tolist()) == ([20.0] * 2, [100.0] * 2)
    assert measurement.has_data


def test_all_series_of_an_answer_are_added_up() -> None:
    """Of three steps: both have a value, one has, none has; what is infinite is not a value."""
    times = END - np.array([2, 1, 0]) * MINUTE
    nan, infinite = float("nan"), float("inf")
    answer = Matrix(
        times, (MatrixSeries({"a": "1"}, np.array([1, 2, nan])), MatrixSeries({"a": "2"}, np.array([5, nan, infinite])))
    )
    assert _summed(answer, 3).tolist() == pytest.approx([6, 2, nan], nan_ok=True)
    assert _summed(Matrix(times, ()), 3).tolist() == pytest.approx([nan] * 3, nan_ok=True)


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize("rises", [("200", "201"), ("500", "501")])
def test_a_servers_sums_beyond_measure_are_named(rises: tuple[str, str]) -> None:
    """Two counters gain 1e308 each in one step: what the server makes of them would be a gap, or no errors at all."""
    rows = [counter(1, 400, code=code) for code in ("200", "201", "500", "501")]
    for labels, _, values in rows:
        values[-15:] += 1e308 * (labels["code"] in rises)
    bad = replace(RATIO, part=VectorSelector("t_total", (Matcher("code", "=~", "5.."),)))
    [note] = [note for note in measured(server(*rows), sli=bad).notes if note.code == "not-finite"]
    assert note.text == "in 1 of 12 steps the server's sums are infinite; they were left out"


@pytest.mark.usefixtures("steps_only")
def test_answers_beyond_measure_are_refused_not_left_out() -> None:
    with pytest.raises(SourceError, match=r"^shop/errors: the values of its series are too large to be added up$"), named("shop/errors"):  # fmt: skip
        measured(Boundless(Samples.from_series([]), END))


def test_steps_add_up_to_a_number_or_to_none() -> None:
    assert added_up(np.array([1.0, np.nan, 2.0])) == 3.0
    with pytest.raises(ArithmeticError):
        added_up(np.array([1e308, 1e308]))
    with pytest.raises(ArithmeticError):
        _summed(Matrix(np.array([END]), tuple(MatrixSeries({"a": a}, np.array([1e308])) for a in "12")), 1)


def test_a_number_of_samples_beyond_measure_is_too_many() -> None:
    assert too_many(RATIO, Boundless(Samples.from_series([]), END), Grid(END, MINUTE, 60), Scraping())


def test_a_server_without_any_series_is_asked_in_the_shortest_tiles() -> None:
    assert part_tile(TOTAL, server(), END - DAY, END) == (HOUR, END - DAY + HOUR)


def test_series_are_asked_for_in_the_shortest_tiles_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two series: an hour each of a day are 48 values; 6 h are 8, a day 2."""
    source = server(counter(1, 300, code="200"), counter(1, 300, code="500"))
    for most, tile in ((48, HOUR), (47, 6 * HOUR), (8, 6 * HOUR), (7, DAY), (2, DAY)):
        monkeypatch.setattr(stepwise, "_MOST_PARTS", most)
        first = END - DAY + tile
        assert part_tile(TOTAL, source, END - DAY, END) == (tile, first)
    monkeypatch.setattr(stepwise, "_MOST_PARTS", 1)
    assert part_tile(TOTAL, source, END - DAY, END) is None


def test_of_a_period_that_has_just_begun_the_tile_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    source = server(counter(1, 300, code="200"))
    assert part_tile(TOTAL, source, END - 20 * MINUTE, END) == (20 * MINUTE, END)


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize("part_is", ["errors", "good"])
def test_events_by_series_add_up_on_a_server(part_is: str) -> None:
    rows = [counter(9, 800, code="200"), counter(1, 800, code="500")]
    code = "500" if part_is == "errors" else "200"
    sli = Ratio(TOTAL, VectorSelector("t_total", (Matcher("code", "=", code),)), part_is)  # type: ignore[arg-type]
    parts = sli.parts(server(*rows), END - 2 * HOUR, END, Scraping())
    assert parts is not None
    errors: dict[str, float] = {}
    for part in parts:
        errors[part.labels["code"]] = errors.get(part.labels["code"], 0) + part.errors
    # 240 scrapes, of which one in ten events is bad.
    assert (errors.get("200", 0), errors["500"]) == (0, 240)
    assert sum(part.total for part in parts) == 2400
    local = sli.parts(Memory(Samples.from_series(rows), END), END - 2 * HOUR, END, Scraping())
    assert local is not None and sum(part.errors for part in local) == 240


@pytest.mark.parametrize(
    ("scrape_s", "fastest_s", "length_m", "step_s"),
    [
        (30, 0, 5, 15),
        (60, 0, 5, 30),
        (15, 0, 1, 5),
        (30, 5, 5, 2),
        (300, 0, 5, 150),
        (300, 0, 1, 30),
        (1, 0, 1, 1),
        (8, 0, 1, 3),
        (11, 0, 1, 5),
        (25, 0, 5, 10),
        (45, 0, 5, 15),
        (120, 0, 5, 60),
        (200, 0, 5, 100),
    ],
)
def test_falls_are_looked_for_twice_a_scrape(scrape_s: int, fastest_s: int, length_m: int, step_s: int) -> None:
    """By the largest step up to that at which tiles end too, or by one hardly shorter that divides the interval."""
    tile = Tile(length_m * MINUTE, scrape_ms=scrape_s * 1000, fastest_ms=fastest_s * 1000)
    assert tile.step_ms == step_s * 1000


def test_the_last_few_scrapes_are_those_of_the_slowest_targets_too() -> None:
    assert Tile(MINUTE).recent_ms == 75_000
    assert Tile(MINUTE).step_ms == 15_000
    assert Tile(MINUTE, scrape_ms=60_000).recent_ms == 150_000
    assert Tile(MINUTE, slowest_ms=330_000).recent_ms == 330_000
    assert Tile(MINUTE, slowest_ms=60_000).recent_ms == 75_000
    assert [Tile(MINUTE, fastest_ms=fastest).quickest_ms for fastest in (0, 5_000, 60_000)] == [30_000, 5_000, 30_000]


def test_the_labels_of_targets_and_jobs() -> None:
    tile = Tile(MINUTE, by=("route", "job"), target=("job", "zone", "instance"))
    assert tile.targets == ("job", "zone", "instance", "route")
    assert tile.jobs == ("job", "zone", "route")


def test_a_selector_is_read_earlier_unless_it_is_fixed() -> None:
    assert matrix(VectorSelector("x", offset_ms=1000), MINUTE, 500) == MatrixSelector(VectorSelector("x", offset_ms=1500), MINUTE)  # fmt: skip
    with pytest.raises(PromqlError, match="fixed in time by @"):
        matrix(VectorSelector("x", at=5), MINUTE, 0)


@pytest.mark.usefixtures("steps_only")
def test_targets_of_a_job_are_born_by_what_the_busiest_has() -> None:
    """a has 9 events a scrape, 180 in ten minutes; b begins in the middle with as many as is possible, or more."""
    for first, believed in ((50.0, True), (5000.0, False)):
        labels, times, values = counter(9, 30, code="200", instance="b")
        counts = measured(server(counter(9, 400, code="200"), (labels, times, values - 1000 + first)), steps=12).counts
        assert counts.total.sum() == 12 * 90 + 29 * 9 + (first if believed else 0)
        assert (counts.seen.born, counts.seen.doubt_events) == ((1, 0) if believed else (0, first))


@pytest.mark.usefixtures("steps_only")
def test_a_restart_counts_from_zero() -> None:
    """The new process has had 40 at its first scrape."""
    labels, times, values = counter(9, 400)
    values[-50:] = 40 + 9 * np.arange(50)
    assert measured(server((labels, times, values))).counts.total.sum() == 11 * 90 + 81 + 40


@pytest.mark.usefixtures("steps_only")
def test_a_sum_that_lost_a_part_has_not_restarted() -> None:
    """It still has 4,000: the step in which that is seen has nothing of it, the others what they had."""
    labels, times, values = counter(9, 400)
    values[-50:] = 4000 + 9 * np.arange(50)
    values[:-50] += 4000
    assert measured(server((labels, times, values))).counts.total.sum() == 11 * 90


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize("at", range(-14, -3))
def test_a_restart_at_any_place_of_a_step(at: int) -> None:
    labels, times, values = counter(9, 400)
    values[at:] = 4 + 9 * np.arange(-at)
    counts = measured(server((labels, times, values)), steps=12).counts
    assert counts.total.sum() == 12 * 90 - 9 + 4


def without_bucket(rows: list[Row], since: int, until: int) -> list[Row]:
    """Without the bucket of half a second for some minutes before the end."""
    made = []
    for labels, times, values in rows:
        gone = (times > END - since * MINUTE) & (times <= END - until * MINUTE) & (labels.get("le") == "0.5")
        made.append((labels, times[~gone], values[~gone]))
    return made


@pytest.mark.usefixtures("steps_only")
@pytest.mark.parametrize(("since", "until", "steps"), [(25, 15, 2), (25, 10, 3), (59, 0, 11), (2, 1, 0)])
def test_steps_in_which_a_target_had_no_bucket_are_reported(since: int, until: int, steps: int) -> None:
    """Of an hour; in steps that have one sample of it a target has it."""
    measurement = measured(server(*without_bucket(histogram(8, 10), since, until)), sli=LATENCY)
    texts = [note.text for note in measurement.notes if note.code == "bound-missing"]
    assert texts == (
        [f"in {steps} steps a target had no bucket bound 0.5; it was not counted in them"] if steps else []
    )
    assert measurement.counts.seen.without_bound == ()
    assert np.count_nonzero(measurement.counts.total) == 12 - steps


@pytest.mark.usefixtures("steps_only")
def test_a_target_that_has_no_bucket_for_hours_is_named_at_the_end() -> None:
    """Its other buckets are there; then how many steps it lacked is not said."""
    rows = histogram(8, 10) + without_bucket(histogram(8, 10, instance="b"), 130, 0)
    measurement = measured(server(*rows), sli=LATENCY)
    assert measurement.counts.seen.without_bound == ("job=j, instance=b",)
    [note] = [note for note in measurement.notes if note.code == "bound-missing"]
    assert note.text.startswith("not counted: job=j, instance=b, whose h has no bucket bound 0.5")
    assert measurement.counts.seen.bounds == (Decimal("0.5"), Decimal("1"))


@pytest.mark.usefixtures("steps_only")
def test_a_server_without_any_bucket_has_no_bounds() -> None:
    measurement = measured(server(counter(10, 400, name="h_count")), steps=2, sli=LATENCY)
    assert not measurement.has_data and measurement.bounds.size == 0 and measurement.bucket_counts.size == 0
    assert measurement.counts.seen.bounds == ()
