"""Figures from recorded series are those from raw samples, step by step, whatever of the recorded series is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from slo.backfill import filled
from slo.budget.days import Days
from slo.budget.evaluate import evaluate, evaluate_all
from slo.budget.model import Budget, State
from slo.budget.recorded import FROM, Recorded, reading
from slo.errors import ConfigError, SourceError
from slo.promql.ast import Binary, Node, VectorSelector
from slo.promql.samples import Samples, Series
from slo.review import review
from slo.rules.fingerprint import fingerprint
from slo.rules.names import FINGERPRINT_LABEL
from slo.sli.counts import Grid
from slo.source.base import Matrix
from slo.spec.load import load_text
from slo.spec.model import Slo, Specs
from slo.window import DAY, HOUR, MINUTE
from tests.memory import Memory, Server

DEFINITION = """\
service: shop
defaults: {window: 2d}
slos:
  - {name: ratio, objective: 99, sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}}
  - {name: two, objective: 99, sli: {ratio: {errors: bad_total, total: all_total}}}
  - {name: good, objective: 99, sli: {ratio: {good: good_total, total: all_total}}}
  - {name: latency, objective: 99, sli: {latency: {histogram: d_seconds, threshold: 500ms}}}
  - {name: raw, objective: 99, sli: {raw: {errors: 'sum(increase(bad_total[$window]))', total: 'sum(increase(all_total[$window]))'}}}
  - {name: probe, objective: 99, sli: {probe: p}}
  - {name: threshold, objective: 99, sli: {threshold: {value: q, at_most: 100}}}
  - {name: slow, objective: 99, sli: {threshold: {value: q, at_most: 100, slice: 5m}}}
  - {name: freshness, objective: 99, sli: {freshness: {metric: b, max_age: 30m, slice: 1m}}}
  - {name: outage, objective: 99, sli: {outage: {of: ratio, longer_than: 10m}}}
  - {name: day, objective: 99, window: 1d, sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}}
  - {name: late, objective: 99, delay: 2m, sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}}
  - {name: each, objective: 99, by: [instance], sli: {ratio: {errors: 'r_total{code="500"}', total: r_total}}}
"""
END = 1_795_219_200_000 + 7 * HOUR + 11 * MINUTE + 17_000
SPECS = load_text(DEFINITION, "shop.yaml")
BEGUN = END - 9 * HOUR  # the rules were loaded
TILES = ("slo:events:increase1m", "slo:events:increase5m")


@cache
def raw() -> Samples:
    """Two targets, scraped every 30 s for a day and a half, with an outage, restarts and a pause of ten minutes."""
    rng, series = np.random.default_rng(3), []
    for instance in ("a", "b"):
        times = np.arange(END - 36 * HOUR + int(rng.integers(0, 30_000)), END + 1, 30_000)
        hour = (times % DAY) / HOUR
        load = rng.poisson(20 * (1 + np.sin(hour / 24 * 6.28)))
        bad = rng.binomial(load, np.where((hour > 5) & (hour < 5.5), 0.6, 0.002))
        slow = rng.binomial(load, 0.01)
        up = (times < END - 4 * HOUR) | (times > END - 4 * HOUR + 10 * MINUTE)
        checks = {
            "p": (rng.random(len(times)) > 0.01).astype(float),
            "q": rng.normal(80, 12, len(times)),
            "b": times // 1000 - (times // 1000) % 2000.0,
        }
        counters = {
            ("r_total", "code", "200"): load - bad,
            ("r_total", "code", "500"): bad,
            ("all_total", "", ""): load,
            ("bad_total", "", ""): bad,
            ("good_total", "", ""): load - bad,
            ("d_seconds_bucket", "le", "0.5"): load - slow,
            ("d_seconds_bucket", "le", "+Inf"): load,
            ("d_seconds_count", "", ""): load,
        }
        restart = len(times) - 700
        target = {"job": "shop", "instance": instance}
        for (name, label, value), amounts in counters.items():
            counted = 1000 + np.cumsum(amounts).astype(float)
            counted[restart:] -= counted[restart - 1]
            labels = {"__name__": name, **target, **({label: value} if label else {})}
            series.append(Series(labels, times[up], counted[up]))
        series += [Series({"__name__": name, **target}, times[up], values[up]) for name, values in checks.items()]
    return Samples(series)


@cache
def recorded(slo: str) -> tuple[Series, ...]:
    """What the rules have recorded of an SLO since they were loaded."""
    return tuple(filled(SPECS[f"shop/{slo}"], Server(raw(), END), BEGUN, END).series)


def named(*names: str) -> tuple[Series, ...]:
    """The tiles, and what says what they count, of some SLOs."""
    wanted = (*TILES, "slo_info")
    return tuple(series for name in names for series in recorded(name) if series.labels["__name__"] in wanted)


class Asked(Server):
    """Remembers which metrics were asked for."""

    def __init__(self, series: Sequence[Series], known: bool = True) -> None:
        super().__init__(Samples((*(raw().series if known else ()), *series)), END)
        self.names: set[str] = set()

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        self.names |= {selector.name or "" for selector in selectors}
        return super().samples(selectors, start_ms, end_ms)


def judged(name: str, series: Sequence[Series], how: str = "auto") -> list[Budget]:
    slo = SPECS[f"shop/{name}"]
    return evaluate_all([slo], reading(Asked(series), how), END)  # type: ignore[arg-type]


def same(budget: Budget, source: Memory | None = None) -> Budget:
    """Holds a budget to that of raw samples at the same moment, every step of it; returns it."""
    expected = evaluate(budget.slo, source or Server(raw(), END), budget.end_ms)
    assert (budget.errors, budget.total) == (expected.errors, expected.total)
    assert budget.total > 0
    np.testing.assert_array_equal(budget.counts.grid.ends, expected.counts.grid.ends)
    np.testing.assert_array_equal(budget.counts.errors, expected.counts.errors)
    np.testing.assert_array_equal(budget.counts.total, expected.counts.total)
    assert budget.state is expected.state
    assert budget.coverage == pytest.approx(expected.coverage, abs=3e-3)
    assert [burn.firing for burn in budget.burns] == [burn.firing for burn in expected.burns]
    return budget


def note(budget: Budget, code: str) -> str:
    [text] = [entry.text for entry in budget.notes if entry.code == code]
    return text


KINDS = [slo.name for slo in SPECS.values()]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_is_counted_as_from_raw_samples(name: str) -> None:
    """With tiles of the last nine hours, and a pause in scraping within them; the rest is of raw samples."""
    other = ("ratio",) if name == "outage" else (name,)
    budgets = judged(name, named(*other))
    assert len(budgets) == (2 if name == "each" else 1)
    for budget in budgets:
        assert END - 14 * MINUTE < same(budget).end_ms <= END
        assert "from recorded series, up to " in note(budget, "recorded")
        assert "from raw samples" in note(budget, "recorded")


def test_whole_tiles_need_no_raw_samples() -> None:
    """The figures of a short window, whose raw samples the server has dropped."""
    slo = load_text(DEFINITION.replace("name: ratio,", "name: ratio, window: 3h, "), "shop.yaml")["shop/ratio"]
    source = Asked(named("ratio"), known=False)
    [budget] = evaluate_all([slo], reading(source, "auto"), END)
    assert budget.total == evaluate(slo, Server(raw(), END), budget.end_ms).total > 0


Change = Callable[[Series], Sequence[Series]]


def without(low: int, high: int, names: Sequence[str] = (*TILES, "slo_info")) -> Change:
    """The series without the samples of (low, high]."""

    def change(series: Series) -> Sequence[Series]:
        if series.labels["__name__"] not in names:
            return [series]
        kept = (series.times <= low) | (series.times > high)
        return [Series(series.labels, series.times[kept], series.values[kept])]

    return change


def relabelled(before: int, labels: Mapping[str, str], factor: float = 1.0) -> Change:
    """The info series with other labels up to a moment, up to which tiles have other values."""

    def change(series: Series) -> Sequence[Series]:
        old = series.times <= before
        if series.labels["__name__"] != "slo_info":
            return [Series(series.labels, series.times, np.where(old, series.values * factor, series.values))]
        rest = {key: value for key, value in series.labels.items() if key not in labels} | {
            k: v for k, v in labels.items() if v
        }
        return [
            Series(rest, series.times[old], series.values[old]),
            Series(series.labels, series.times[~old], series.values[~old]),
        ]

    return change


def shifted(before: int, by: int) -> Change:
    """On another clock up to a moment, with values that say nothing."""

    def change(series: Series) -> Sequence[Series]:
        old = series.times <= before
        times = np.where(old, series.times - by, series.times)
        return [
            Series(series.labels, times, np.where(old & (series.labels["__name__"] != "slo_info"), 7.0, series.values))
        ]

    return change


HOUR_AGO = END - HOUR
CHANGES: Mapping[str, Change] = {
    "the server was down for half an hour": without(HOUR_AGO, HOUR_AGO + 30 * MINUTE),
    "the server was down for three hours": without(END - 4 * HOUR, HOUR_AGO),
    "the server has just gone down": without(END - 40 * MINUTE, END),
    "one fine tile is missing in a coarse one": without(HOUR_AGO, HOUR_AGO + MINUTE, TILES[:1]),
    "one coarse tile is missing": without(HOUR_AGO, HOUR_AGO + 5 * MINUTE, TILES[1:]),
    "the last tile is late": without(END - 5 * MINUTE, END, TILES),
    "what the tiles counted was not recorded for a minute": without(HOUR_AGO, HOUR_AGO + MINUTE, ["slo_info"]),
    "another SLI was counted before": relabelled(HOUR_AGO, {FINGERPRINT_LABEL: "f0123"}, 3.0),
    "it was not said what was counted before": relabelled(HOUR_AGO, {FINGERPRINT_LABEL: ""}, 3.0),
    "the objective was another one": relabelled(HOUR_AGO, {"objective": "98%"}),
    "the group had another clock before": shifted(HOUR_AGO, 17_000),
    "there are holes now and then": lambda series: [
        Series(
            series.labels,
            series.times[series.times // MINUTE % 31 != 3],
            series.values[series.times // MINUTE % 31 != 3],
        )
    ],
}


@pytest.mark.parametrize("name", ["ratio", "day", "threshold", "each"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_whole_comes_from_raw_samples(name: str, change: str) -> None:
    series = [changed for row in named(name) for changed in CHANGES[change](row)]
    for budget in judged(name, series):
        same(budget)
        assert "from recorded series" in note(budget, "recorded")


@pytest.mark.parametrize("change", CHANGES)
def test_an_outage_is_judged_from_the_tiles_of_the_other_slo(change: str) -> None:
    [budget] = judged("outage", [changed for series in named("ratio") for changed in CHANGES[change](series)])
    same(budget)
    assert "from recorded series" in note(budget, "recorded")


def with_labels(series: Series, **labels: str) -> Series:
    return Series({**series.labels, **labels}, series.times, series.values)


COPIES: Mapping[str, tuple[Change, str]] = {
    "two replicas": (lambda line: [with_labels(line, replica="a"), with_labels(line, replica="b")], 'replica="a"'),
    "two levels": (lambda entry: [entry, with_labels(entry, prometheus="eu")], "there 2 times, as {"),
    "several clusters": (lambda one: [with_labels(one, cluster=name) for name in "abcde"], "and 2 more"),
    "one stray tile": (
        lambda series: [
            series,
            Series({**series.labels, "replica": "x"}, series.times[-90:-89], series.values[-90:-89]),
        ],
        'replica="x"',
    ),
    "two servers under the same labels": (
        lambda row: [
            Series(row.labels, np.sort(np.concatenate([row.times, row.times + 17_000])), np.repeat(row.values, 2))
        ],
        "more than one value per",
    ),
}


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("name", ["ratio", "day"])
def test_copies_are_not_added_up_and_none_is_picked_in_silence(name: str, copies: str) -> None:
    change, says = COPIES[copies]
    series = [changed for row in named(name) for changed in change(row)]
    [budget] = judged(name, series)
    assert says in note(budget, "copies")
    expected = evaluate(budget.slo, Server(raw(), END), budget.end_ms)
    assert (budget.errors, budget.total) == (expected.errors, expected.total)
    [budget] = judged(name, series, "recorded")
    assert budget.state is State.INVALID
    assert says in note(budget, "copies")


def test_a_constant_label_of_all_series_is_no_copy() -> None:
    [budget] = judged("ratio", [with_labels(series, cluster="eu") for series in named("ratio")])
    assert "from recorded series" in note(same(budget), "recorded")


@pytest.mark.parametrize(
    ("given", "says"), [("f0123", "count another SLI than this definition"), ("", "do not say what they count")]
)
def test_tiles_of_another_sli_are_not_read(given: str, says: str) -> None:
    series = [changed for row in named("ratio") for changed in relabelled(END, {FINGERPRINT_LABEL: given}, 5.0)(row)]
    [budget] = judged("ratio", series)
    assert says in note(budget, "recorded-otherwise")
    assert budget.total == evaluate(budget.slo, Server(raw(), END), END).total
    [budget] = judged("ratio", series, "recorded")
    assert budget.state is State.NO_DATA


def test_a_server_without_recorded_series_is_read_as_before() -> None:
    [budget] = judged("ratio", ())
    expected = evaluate(budget.slo, Server(raw(), END), END)
    assert (budget.end, budget.total, budget.notes) == (expected.end, expected.total, expected.notes)


def test_only_recorded_series_leave_the_rest_unknown() -> None:
    [budget] = judged("ratio", named("ratio"), "recorded")
    assert "not known, as there are no whole tiles" in note(budget, "recorded")
    expected = evaluate(budget.slo, Server(raw(), END), budget.end_ms)
    known = budget.counts.total > 0
    np.testing.assert_array_equal(budget.counts.total[known], expected.counts.total[known])
    assert 100 < np.count_nonzero(known) < 9 * 12
    assert budget.data_start is not None
    [budget] = judged("ratio", (), "recorded")
    assert budget.state is State.NO_DATA


def test_only_raw_samples_where_that_is_asked_for() -> None:
    source = Asked(named("ratio"))
    [budget] = evaluate_all([SPECS["shop/ratio"]], reading(source, "raw"), END)
    assert "recorded" not in {entry.code for entry in budget.notes}
    assert not any(name.startswith("slo") for name in source.names)


def test_a_recording_has_no_recorded_series_to_ask_for() -> None:
    local = Memory(raw(), END)
    assert reading(local, "auto") is local
    with pytest.raises(ConfigError, match="has no recorded series"):
        reading(local, "recorded")


def month() -> Slo:
    text = DEFINITION.replace("name: ratio,", "name: ratio, window: week, ")
    return load_text(text, "shop.yaml")["shop/ratio"]


def test_a_calendar_window_begins_within_a_tile() -> None:
    """At midnight of a Monday: what was before is not in it, to the event."""
    monday = (END // DAY) * DAY
    slo = month()
    while slo.window.period(monday)[1] != monday:
        monday -= DAY
    move = monday + 5 * HOUR + 2 * MINUTE - END // MINUTE * MINUTE
    everything = [
        Series(series.labels, series.times + move, series.values) for series in (*raw().series, *recorded("ratio"))
    ]
    at = END + move
    source = Server(Samples(everything), at)
    [budget] = evaluate_all([slo], reading(source, "auto"), at)
    assert "from recorded series" in note(budget, "recorded")
    assert budget.start_ms == monday
    assert (budget.end_ms - monday) % (5 * MINUTE)
    only = Server(Samples([series for series in everything if not series.labels["__name__"].startswith("slo")]), at)
    whole = slo.sli.measure(only, Grid(budget.end_ms, budget.end_ms - monday, 1), slo.scraping)
    assert (budget.errors, budget.total) == (whole.counts.errors[0], whole.counts.total[0])


def chosen(*names: str) -> Specs:
    service = SPECS.services[0]
    return Specs([replace(service, slos=tuple(slo for slo in service.slos if slo.name in names))])


@dataclass
class Compared:
    found: Budget
    expected: Budget


def reviews(name: str) -> Compared:
    reviewed = review(chosen(name), Asked(named(name)), since="6h")[0]
    expected = review(chosen(name), Server(raw(), END), at=reviewed.end_ms, since="6h", read="raw")[0]
    return Compared(reviewed, expected)


@pytest.mark.parametrize("name", ["ratio", "latency", "threshold"])
def test_a_review_has_the_same_past_percentiles_and_contributors(name: str) -> None:
    both = reviews(name)
    assert both.found.change == both.expected.change
    for actual, expected in (
        (both.found.earlier, both.expected.earlier),
        (both.found.previous, both.expected.previous),
    ):
        assert actual is not None and expected is not None
        assert (actual.errors, actual.total) == (expected.errors, expected.total)
    assert both.found.quantiles == both.expected.quantiles
    assert both.found.bucket_counts.shape == both.expected.bucket_counts.shape
    tables = [[breakdown.to_dict() for breakdown in budget.breakdowns] for budget in (both.found, both.expected)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("minutes", [0, 1, 3])
@pytest.mark.parametrize("name", ["ratio", "day", "latency", "threshold", "each"])
def test_a_moment_at_which_tiles_end_is_answered_from_tiles(name: str, minutes: int) -> None:
    """From those of 5 m, or of 1 m where these end a minute or three later; what came from where is said, and no step differs.

    The last tile is recorded after its end: a server that has gone on since has it.
    """
    slo, series = SPECS[f"shop/{name}"], named(name)
    [last, *_] = evaluate_all([slo], reading(Asked(series), "auto"), END - HOUR)
    at = last.end_ms + minutes * MINUTE
    found = evaluate_all([slo], reading(Asked(series), "auto", exact=True), at)
    for budget in found:
        assert budget.end_ms == at
        same(budget)
        assert "from recorded series" in note(budget, "recorded")


def test_a_calendar_window_up_to_a_named_moment_is_whole() -> None:
    """Raw samples are counted in steps from its start on, and so up to 5 m less far."""
    slo = month()
    [last] = evaluate_all([slo], reading(Asked(named("ratio")), "auto"), END - HOUR)
    at = last.end_ms + 3 * MINUTE
    [budget] = evaluate_all([slo], reading(Asked(named("ratio")), "auto", exact=True), at)
    assert budget.end_ms == at
    whole = slo.sli.measure(Server(raw(), END), Grid(at, at - budget.start_ms, 1), slo.scraping)
    assert (budget.errors, budget.total) == (whole.counts.errors[0], whole.counts.total[0])


def test_the_tile_that_ends_now_is_not_waited_for() -> None:
    """It is recorded in a minute or two: until then raw samples tell."""
    slo = SPECS["shop/ratio"]
    [last, *_] = evaluate_all([slo], reading(Asked(named("ratio")), "auto"), END)
    at = last.end_ms + 5 * MINUTE
    assert at > END - 5 * MINUTE
    cut = [Series(one.labels, one.times[one.times <= at], one.values[one.times <= at]) for one in named("ratio")]
    [budget] = evaluate_all([slo], reading(Asked(cut), "auto", exact=True), at)
    assert budget.end_ms == at
    same(budget)
    assert "from recorded series" in note(budget, "recorded")


@pytest.mark.parametrize("name", ["ratio", "day", "latency"])
def test_a_moment_that_is_named_is_answered_to_the_event(name: str) -> None:
    """The last tile ends minutes before it; a table of sums is not of another moment either."""
    expected = review(chosen(name), Server(raw(), END), at=END, since=None, read="raw")[0]
    for steps in (True, False):
        reviewed = review(chosen(name), Asked(named(name)), at=END, since=None, steps=steps)[0]
        assert (reviewed.end_ms, reviewed.errors, reviewed.total) == (END, expected.errors, expected.total)
        assert "and not at the moment that was asked for" in note(reviewed, "recorded")
    of_tile = review(chosen(name), Asked(named(name)), at=END, since=None, read="recorded")[0]
    assert of_tile.end_ms < END


def test_many_slos_are_prepared_at_once() -> None:
    source = Asked(named("ratio", "two", "good", "day"))
    asked: list[VectorSelector] = []
    ask = source.samples
    source.samples = lambda selectors, start, end: asked.extend(selectors) or ask(selectors, start, end)  # type: ignore
    assert len(review(chosen("ratio", "two", "good", "day"), source, since=None, breakdown=False)) == 4
    assert sum(series.name == "slo_info" for series in asked) == 1


def test_a_failure_names_the_slo() -> None:
    class Failing(Asked):
        def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
            if selectors[0].name in TILES and end_ms - start_ms > HOUR:
                raise SourceError("no answer")
            return super().samples(selectors, start_ms, end_ms)

    with pytest.raises(SourceError, match=r"shop/ratio: no answer"):
        evaluate_all([SPECS["shop/ratio"]], reading(Failing(named("ratio")), "auto"), END)


def test_all_words_are_known() -> None:
    with pytest.raises(ConfigError, match="'recorder' is not where figures can come from; did you mean `recorded`"):
        review(chosen("ratio"), Server(raw(), END), read="recorder")  # type: ignore[arg-type]
    assert FROM == ("auto", "recorded", "raw")


SUMMED = ("ratio", "two", "good", "latency", "threshold", "day", "late")


@cache
def made(name: str, part_clock: int = 7_250, clock: int = 211_125) -> tuple[Series, ...]:
    """Tiles of four days as a server might have recorded them, each group by its own clock."""
    slo = SPECS[f"shop/{name}"]
    rng = np.random.default_rng(len(name))
    times = np.arange((END - 4 * DAY) // MINUTE * MINUTE + part_clock, END + 1, MINUTE)
    coarse = np.arange((END - 4 * DAY) // (5 * MINUTE) * 5 * MINUTE + clock, END + 1, 5 * MINUTE)
    coarse = coarse[coarse > times[0] + 6 * MINUTE]
    every = rng.poisson(50, len(times)).astype(float)
    some = rng.binomial(every.astype(int), 0.012).astype(float)
    parts = {"all": every, "good": every - some, "bad": some}
    own = {"service": "shop", "slo": name}
    series = [Series({"__name__": "slo_info", **own, FINGERPRINT_LABEL: fingerprint(slo)}, times, np.ones(len(times)))]
    for kind, word in slo.sli.event_words.items():
        series.append(Series({"__name__": TILES[0], **own, "event": word}, times, parts[kind]))
        upto = np.concatenate([[0.0], np.cumsum(parts[kind])])
        low, high = (np.searchsorted(times, coarse - late, side="right") for late in (6 * MINUTE, MINUTE))
        series.append(Series({"__name__": TILES[1], **own, "event": word}, coarse, upto[high] - upto[low]))
    return tuple(series)


def summed(names: Sequence[str], series: Sequence[Series]) -> tuple[list[Budget], list[Budget]]:
    """The budgets of a table, and those with steps."""
    slos = [SPECS[f"shop/{name}"] for name in names]
    return (
        evaluate_all(slos, reading(Asked(series, known=False), "auto"), END, steps=False),
        evaluate_all(slos, reading(Asked(series, known=False), "auto"), END),
    )


def near(actual: float | None, expected: float | None) -> None:
    assert actual == (None if expected is None else pytest.approx(expected, rel=1e-12))


def alike(actual: Budget, expected: Budget) -> None:
    """All that a table shows."""
    assert (actual.slo, actual.start, actual.end) == (expected.slo, expected.start, expected.end)
    assert (actual.errors, actual.total) == (expected.errors, expected.total)
    assert (actual.sli, actual.remaining, actual.coverage) == (expected.sli, expected.remaining, expected.coverage)
    assert actual.state is expected.state
    assert actual.exhaustion == expected.exhaustion
    for window in ("1h", "6h", "3d"):
        near(actual.burn_rate(window), expected.burn_rate(window))
    for burn, other in zip(actual.burns, expected.burns, strict=True):
        near(burn.long, other.long)
        near(burn.short, other.short)
    assert [entry.code for entry in actual.notes] == [entry.code for entry in expected.notes]


def test_a_table_needs_sums_alone() -> None:
    actual, expected = summed(SUMMED, [series for name in SUMMED for series in made(name)])
    for budget, other in zip(actual, expected, strict=True):
        alike(budget, other)
        assert budget.sums is not None, budget.slo.id
        assert other.total > 0


UNSURE: Mapping[str, Change] = {
    **{name: change for name, change in CHANGES.items() if "objective" not in name},
    **{name: change for name, (change, _) in COPIES.items()},
    "more errors than events in one tile": lambda series: [
        Series(series.labels, series.times, np.where((series.labels.get("event") == "errors") & (series.times // (5 * MINUTE) == END // (5 * MINUTE) - 100), 1000.0, series.values))
    ],
}  # fmt: skip


@pytest.mark.parametrize("change", UNSURE)
def test_sums_of_what_is_not_whole_are_not_believed(change: str) -> None:
    # What is wrong with coarse tiles, or with errors, says nothing of an SLO that has none.
    names = ("two",) if "errors than" in change or "coarse tile" in change else ("two", "day")
    both = [series for name in names for row in made(name) for series in UNSURE[change](row)]
    actual, expected = summed((*names, "ratio"), [*both, *made("ratio")])
    for budget, other in zip(actual, expected, strict=True):
        assert (budget.sums is None) is (budget.slo.name != "ratio")
        alike(budget, other)


def test_an_objective_that_was_changed_is_no_reason_to_doubt() -> None:
    series = [changed for row in made("ratio") for changed in CHANGES["the objective was another one"](row)]
    [actual], [expected] = summed(["ratio"], series)
    assert actual.sums is not None
    alike(actual, expected)


class Watched(Asked):
    """Remembers for how many moments each tile was looked at."""

    looked = 0

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        if isinstance(expr, Binary) and expr.op == "unless":
            self.looked += (end_ms - start_ms) // step_ms + 1
        return super().query_range(expr, start_ms, end_ms, step_ms)


def steps(names: Sequence[str], series: Sequence[Series], together: bool) -> tuple[list[Budget], Watched]:
    """The budgets of raw samples where tiles are not whole, which here are none."""
    source = Watched(series, known=False)
    slos, own = [SPECS[f"shop/{name}"] for name in names], reading(source, "auto")
    assert isinstance(own, Recorded)
    if together:
        return evaluate_all(slos, own, END), source
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Days, "whole", lambda self, key, moments: np.zeros(len(moments), dtype=bool))
        return evaluate_all(slos, own, END), source


@pytest.mark.parametrize("ago", [0, 30 * HOUR])
@pytest.mark.parametrize("change", UNSURE)
def test_days_known_to_be_whole_are(change: str, ago: int) -> None:
    """As each tile is looked at by itself, whatever is wrong and wherever; of which the days that are right are not looked at."""

    def long_ago(actual: Series) -> Sequence[Series]:
        moved = UNSURE[change](Series(actual.labels, actual.times + ago, actual.values))
        return [Series(item.labels, item.times - ago, item.values) for item in moved]

    series = [series for row in made("two") for series in long_ago(row)] + [*made("ratio")]
    found, _ = steps(("two", "ratio"), series, together=True)
    expected, _ = steps(("two", "ratio"), series, together=False)
    for budget, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(budget.counts.errors, other.counts.errors)
        np.testing.assert_array_equal(budget.counts.total, other.counts.total)
        assert budget.notes == other.notes
        assert budget.coverage == other.coverage


def test_tiles_of_whole_days_are_not_looked_at_one_by_one() -> None:
    """But for the day on which they begin."""
    names = ("ratio", "two", "good", "latency", "threshold", "late")
    found, source = steps(names, [series for name in names for series in made(name)], together=True)
    assert {budget.total > 0 for budget in found} == {True}
    assert source.looked < len(names) * DAY // (5 * MINUTE)
    _, alone = steps(names, [series for name in names for series in made(name)], together=False)
    assert alone.looked > 3 * source.looked
