"""How a server is asked, and how little: at which moments, in which form, for how many values. The engine stands in for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from slo.promql.ast import Matcher, Node, VectorSelector
from slo.promql.samples import Samples
from slo.sli import stepwise
from slo.sli.base import Measured, Scraping
from slo.sli.counts import LOOKBACK_MS, Gap, Grid
from slo.sli.ratio import Ratio
from slo.sli.raw import Raw
from slo.sli.stepwise import _paced, _spans, _writers, measure_steps, part_tile, tile_of, too_many
from slo.sli.tile import Tile
from slo.source import Matrix, MatrixSeries
from slo.window import DAY, HOUR, MINUTE
from tests.memory import Server

END = 1_798_761_600_000
TOTAL = VectorSelector("t_total")
RATIO = Ratio(TOTAL, VectorSelector("t_total", (Matcher("code", "=", "500"),)), "errors")
TWO = Ratio(TOTAL, VectorSelector("e_total"), "errors")
Row = tuple[dict[str, str], np.ndarray, np.ndarray]


def row(since: int, until: int = 0, each: float = 1, scrape_s: float = 30, name: str = "t_total", **labels: str) -> Row:
    """A counter of (end − since, end − until], minutes, that gains `each` at a scrape."""
    step = round(scrape_s * 1000)
    times = np.arange(END - 5_000 - until * MINUTE, END - 5_000 - since * MINUTE, -step, dtype=np.int64)[::-1]
    return (
        {"__name__": name, "job": "j", "instance": "a", **labels},
        times,
        1000 + each * np.arange(len(times), dtype=float),
    )


class Asked(Server):
    """A server that remembers what it was asked: (expression, start_ms, end_ms, number of moments)."""

    def __init__(self, *rows: Row, said: str = "") -> None:
        super().__init__(Samples.from_series(rows), END)
        self.questions: list[tuple[str, int, int, int]] = []
        self.read: list[tuple[int, int]] = []  # of raw samples: (start_ms, end_ms)
        self._said = said

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        self.read.append((start_ms, end_ms))
        return super().samples(selectors, start_ms, end_ms)

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        self.questions.append((str(expr), start_ms, end_ms, len(range(start_ms, end_ms + 1, step_ms))))
        answer = super().query_range(expr, start_ms, end_ms, step_ms)
        return Matrix(answer.times, answer.series, (*answer.notes, *([self._said] if self._said else ())))


class Many(Server):
    """A server that answers one number, whatever it is asked."""

    def __init__(self, number: float) -> None:
        super().__init__(Samples.from_series([]), END)
        self.number = number
        self.moments = 0

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        times = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
        self.moments = len(times)
        return Matrix(times, (MatrixSeries({}, np.full(len(times), self.number)),))


def month(minutes: int = 5) -> Grid:
    return Grid(END, minutes * MINUTE, 30 * DAY // (minutes * MINUTE))


def test_a_month_of_34_series_at_30_s_is_read_and_one_of_35_is_not() -> None:
    """Each once for all events and once for the bad ones: 5.9 and 6.05 million samples."""
    for series, left in ((34, False), (35, True)):
        assert too_many(RATIO, Many(series), month(), Scraping()) is left
        assert too_many(RATIO, Many(series), month(1), Scraping()) is left
        assert not too_many(RATIO, Many(series / 2), month(), Scraping())
        assert too_many(RATIO, Many(2 * series), month(), Scraping(interval_ms=60_000)) is left


def test_how_many_there_are_is_asked_at_each_step_or_at_a_few_hundred_moments() -> None:
    for steps, moments in ((60, 61), (300, 301), (60 * 24 * 30, 301)):
        server = Many(1)
        too_many(RATIO, server, Grid(END, MINUTE, steps), Scraping())
        assert server.moments == moments


def test_as_many_as_may_be_read_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an hour: 61 moments with one series for each of two selectors, two scrapes to a step."""
    for most, left in ((244, False), (243, True)):
        monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", most)
        assert too_many(RATIO, Many(1), Grid(END, MINUTE, 60), Scraping()) is left


@pytest.mark.parametrize(
    ("scrape_s", "slowest_s", "fastest_s"),
    [(30, 0, 30), (15, 0, 15), (40, 0, 30), (60, 150, 30), (120, 300, 30), (300, 330, 30)],
)
def test_the_pace_is_that_of_the_series(scrape_s: int, slowest_s: int, fastest_s: int) -> None:
    """A definition says 30 s. Two and a half of the longest intervals are looked back, up to 5 m and a half."""
    given = tile_of(Grid(END, 5 * MINUTE, 24), Scraping())
    for rows in ([row(180, scrape_s=scrape_s)], [row(180, code="1"), row(180, scrape_s=scrape_s, code="2")]):
        tile = _paced(given, (TOTAL,), Asked(*rows), Grid(END, 5 * MINUTE, 24))
        assert (tile.slowest_ms, tile.fastest_ms) == (slowest_s * 1000, fastest_s * 1000)
        assert (tile.length_ms, tile.scrape_ms) == (5 * MINUTE, 30_000)


def test_the_pace_is_that_of_all_counters() -> None:
    """The one comes every 20 s, the other every minute."""
    server = Asked(row(180, scrape_s=20), row(180, scrape_s=60, name="e_total"))
    for counters in ((TOTAL, TWO.part), (TWO.part, TOTAL)):
        tile = _paced(Tile(5 * MINUTE), counters, server, Grid(END, 5 * MINUTE, 24))
        assert (tile.slowest_ms, tile.fastest_ms) == (150_000, 20_000)


@pytest.mark.parametrize("rows", [[row(4, code="2")], [row(200, 6, code="2")], [row(200, 7, code="2")]])
def test_a_series_that_has_just_begun_or_ended_is_not_a_slow_one(rows: list[Row]) -> None:
    tile = _paced(Tile(5 * MINUTE), (TOTAL,), Asked(row(180, code="1"), *rows), Grid(END, 5 * MINUTE, 24))
    assert (tile.slowest_ms, tile.fastest_ms) == (0, 30_000)


@pytest.mark.parametrize("hour", [0, 11, 22])
def test_the_pace_of_each_hour_of_a_day_counts(hour: int) -> None:
    """A series that comes every minute for half an hour around the end of one of the hours."""
    slow = row(60 * hour + 15, max(0, 60 * hour - 15), scrape_s=60)
    server = Asked(slow)
    tile = _paced(Tile(5 * MINUTE), (TOTAL,), server, Grid(END, 5 * MINUTE, 24 * 12))
    assert tile.slowest_ms == 150_000
    assert {moments for _, _, _, moments in server.questions} == {24}


def test_of_a_long_period_two_dozen_moments_tell_the_pace_and_the_writers() -> None:
    server = Asked(row(60))
    grid = month()
    _paced(Tile(5 * MINUTE), (TOTAL,), server, grid)
    _writers((TOTAL,), server, grid)
    for _, start_ms, end_ms, moments in server.questions:
        assert (moments, end_ms) == (24, END)
        assert grid.start_ms < start_ms <= grid.start_ms + 30 * HOUR


def taking_turns(since: int, until: int, name: str = "t_total", **labels: str) -> Row:
    """A counter that two processes write by turns for some minutes."""
    given, times, values = row(24 * 60, name=name, **labels)  # type: ignore[arg-type]
    during = (times > END - since * MINUTE) & (times <= END - until * MINUTE)
    return given, times, values + 50_000 * (during & (np.arange(len(times)) % 2 == 0))


@pytest.mark.parametrize("hour", [1, 5, 24])
def test_writers_of_each_hour_of_a_day_are_found(hour: int) -> None:
    """Two processes that write by turns for hours around one of them; what falls for less may be a crash loop."""
    server = Asked(taking_turns(60 * hour + 120, max(0, 60 * hour - 180)))
    assert _writers((TOTAL, TOTAL), server, Grid(END, 5 * MINUTE, 288)) == ('t_total{instance="a", job="j"}',)


def test_a_few_writers_are_read_each_once_and_no_others() -> None:
    """Seven series that fall often; the others do not."""
    rows = [taking_turns(120, 0, code=str(code)) for code in range(7)]
    server = Asked(*rows, row(600, code="200"))
    writers = _writers((TOTAL, TOTAL), server, Grid(END, 5 * MINUTE, 24))
    assert len(writers) == len(set(writers)) == 5
    assert all("200" not in name for name in writers)
    assert server.read == [(END - LOOKBACK_MS, END)] * 5


def test_a_crash_loop_is_not_a_second_writer() -> None:
    """Each process lives for four scrapes and has had whatever it had."""
    labels, times, values = row(24 * 60)
    lives = np.cumsum(np.random.default_rng(5).integers(1, 1000, (len(values) // 4, 4)), axis=1)
    assert _writers((TOTAL,), Asked((labels, times, lives.ravel().astype(float))), Grid(END, 5 * MINUTE, 24)) == ()


@pytest.mark.parametrize(
    ("steps", "on", "spans"),
    [
        (100, [], []),
        (100, [0], [(0, 1)]),
        (100, [99], [(99, 100)]),
        (100, [3, 4, 5], [(3, 6)]),
        (100, [3, 7], [(3, 8)]),  # three apart
        (100, [3, 8], [(3, 4), (8, 9)]),
        (400, [3, 14], [(3, 15)]),  # of four hundred ten
        (400, [3, 15], [(3, 4), (15, 16)]),
        (100, [3, 6, 9, 30], [(3, 10), (30, 31)]),
    ],
)
def test_steps_that_lie_close_together_are_asked_for_at_once(
    steps: int, on: list[int], spans: list[tuple[int, int]]
) -> None:
    where = np.zeros(steps, dtype=bool)
    where[on] = True
    assert _spans(where) == spans


def test_of_spans_far_apart_the_last_is_made_longer() -> None:
    where = np.zeros(200, dtype=bool)
    where[[10, 50, 120, 122]] = True
    assert _spans(where) == [(10, 11), (50, 51), (120, 123)]


def test_a_step_is_a_tile_with_the_scrapes_of_its_definition() -> None:
    tile = tile_of(Grid(END, 5 * MINUTE, 3), Scraping(15_000, ("job",)))
    assert (tile.length_ms, tile.target, tile.scrape_ms) == (5 * MINUTE, ("job",), 15_000)


def test_no_more_than_forty_spans_are_asked_for() -> None:
    where = np.arange(10_000) % 7 == 0
    assert len(_spans(where)) == 1
    assert 30 <= len(_spans(np.arange(10_000) % 252 == 0)) <= 41


@pytest.mark.parametrize(("series", "tile"), [(2777, HOUR), (2778, 6 * HOUR), (16_666, 6 * HOUR), (66_666, DAY), (66_667, None)])  # fmt: skip
def test_up_to_two_million_values_tell_the_events_of_each_series(series: int, tile: int | None) -> None:
    """Of 30 days: 720 hours, 120 quarters of a day, 30 days."""
    asked = part_tile(TOTAL, Many(series), END - 30 * DAY, END)
    assert asked == (None if tile is None else (tile, END - 30 * DAY + tile))


def test_the_series_of_the_last_hour_are_counted() -> None:
    server = Asked(row(600, 50), row(600, code="1"), row(600, 70, code="2"))
    assert part_tile(TOTAL, server, END - DAY, END) == (HOUR, END - 23 * HOUR)
    [(text, _, at_ms, _)] = server.questions
    assert (text, at_ms) == ("count(last_over_time(t_total[1h]))", END)


def test_of_a_period_that_is_not_a_number_of_tiles_the_rest_at_its_start_is_left_out() -> None:
    assert part_tile(TOTAL, Many(1), END - DAY - 20 * MINUTE, END) == (HOUR, END - 23 * HOUR)


def measured_of(server: Server, sli: Ratio = RATIO, steps: int = 24) -> Measured:
    grid = Grid(END, 5 * MINUTE, steps)
    return measure_steps(sli, server, grid, Scraping(), *sli.counters(), steady=True)


def test_where_no_series_appears_the_cheap_form_is_asked_for_and_the_dear_one_nowhere() -> None:
    server = Asked(row(300, each=9, code="200"), row(300, code="500"))
    measurement = measured_of(server)
    assert measurement.counts.total.tolist() == [100.0] * 24 and measurement.counts.errors.tolist() == [10.0] * 24
    assert not any("birth" in text for text, *_ in server.questions)


def test_where_a_series_appears_the_dear_form_is_asked_for_there_alone() -> None:
    """Errors are there for an hour: of two metrics only these appear."""
    for sli, new in ((RATIO, {"code": "500"}), (TWO, {"name": "e_total"})):
        server = Asked(row(300, each=9, code="200"), row(32, each=0, **new))  # type: ignore[arg-type]
        measurement = measured_of(server, sli)
        dear = [(start, end) for text, start, end, _ in server.questions if "birth" in text]
        assert dear and set(dear) == {(END - 30 * MINUTE, END - 30 * MINUTE)}
        # 1,000 are more than the target had.
        assert measurement.counts.errors.sum() == 0 and measurement.counts.seen.doubt_errors == 1000


def test_what_a_server_says_alongside_its_answers_is_said_once() -> None:
    measurement = measured_of(Asked(row(300), said="a store is down"))
    assert [note.text for note in measurement.notes] == ["a store is down"]
    assert [note.code for note in measurement.notes] == ["source"]


@pytest.mark.parametrize(("since", "until"), [(60, 0), (600, 190)])
def test_before_the_data_begins_and_after_it_ends_nothing_is_unseen(since: int, until: int) -> None:
    """Six hours are asked for; more than two of them are without data."""
    measurement = measured_of(Server(Samples.from_series([row(since, until)]), END), steps=72)
    [only] = measurement.counts.seen.gaps
    assert only.end_ms - only.start_ms > 2 * HOUR
    assert (only.start_ms == END - 6 * HOUR) or (only.end_ms == END)
    assert measurement.counts.seen.longest_unseen_ms == 0


@pytest.mark.parametrize(("away", "unseen"), [(120, 0), (125, 125)])
def test_a_pause_of_more_than_two_hours_is_unseen(away: int, unseen: int) -> None:
    rows = [row(600, 60 + away), row(60)]
    joined = (
        rows[0][0],
        np.concatenate([series[1] for series in rows]),
        np.concatenate([rows[0][2], 5000 + rows[1][2]]),
    )
    measurement = measured_of(Server(Samples.from_series([joined]), END), steps=72)
    assert measurement.counts.seen.gaps == (Gap(END - (60 + away) * MINUTE, END - 60 * MINUTE),)
    assert measurement.counts.seen.longest_unseen_ms == unseen * MINUTE


def test_series_are_there_where_one_step_has_some() -> None:
    seen = measured_of(Server(Samples.from_series([row(60)]), END)).counts.seen
    assert seen.series == 1
    assert measured_of(Server(Samples.from_series([]), END)).counts.seen.series == 0


@pytest.mark.parametrize(
    ("since", "until", "named"),
    [(130, 110, []), (180, 121, ["unmatched"]), (20, 0, []), (61, 59, [])],
)
def test_what_is_there_at_any_time_of_the_period_is_matched(
    since: int, until: int, named: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors that were there for some minutes; two hours are asked for."""
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)
    server = Asked(row(400, each=9, code="200"), row(since, until, code="500"))
    measurement = RATIO.measure(server, Grid(END, MINUTE, 120), Scraping())
    assert [note.code for note in measurement.notes if note.code == "unmatched"] == named


def test_whether_anything_is_there_is_asked_at_a_few_hundred_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", -1)
    server = Asked(row(60, each=9, code="200"))
    RATIO.measure(server, Grid(END, MINUTE, 1200), Scraping())
    [(start_ms, end_ms, moments)] = [
        (start, end, many)
        for text, start, end, many in server.questions
        if text.startswith('count(last_over_time(t_total{code="500"}[4m]')
    ]
    assert (start_ms, end_ms, moments) == (END - 1196 * MINUTE, END, 300)


def test_what_an_expression_counts_is_asked_for_with_all_births() -> None:
    """An expression may count more than its counters: 1,000 errors appear where 18,000 events are usual."""
    raw = Raw("sum(increase(t_total{code='500'}[$window]))", "sum(increase(t_total[$window]))")
    server = Asked(row(300, each=600, code="200"), row(32, each=0, code="500"))
    measurement = raw.measure(server, Grid(END, 5 * MINUTE, 24), Scraping())
    assert measurement.counts.errors.sum() == 1000
