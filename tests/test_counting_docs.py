"""docs/counting.md holds: its examples are counted here, its limits are shown, and each of its sentences names what holds it."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from slo.api import evaluate
from slo.budget.model import Budget
from slo.promql.notation import parse_series, values_of
from slo.promql.samples import Samples
from slo.spec.load import loads
from slo.window import DAY, MINUTE, SECOND
from tests.contract.fleet import FOREVER, Rename
from tests.contract.history import finish, setting
from tests.contract.named import NAMED as HISTORIES
from tests.contract.paths import count_by_engine, count_by_rules, count_by_samples
from tests.memory import Memory
from tests.shell import run as slo

PAGE = Path(__file__).parent.parent / "docs" / "counting.md"
TEXT = PAGE.read_text(encoding="utf-8")
END = 1_790_000_000_000 // DAY * DAY
SLIS = {
    "ratio": "{ratio: {errors: 'requests_total{code=\"500\"}', total: requests_total}}",
    "latency": "{latency: {histogram: latency_seconds, threshold: 1s}}",
    "probe": "{probe: {metric: up}}",
    "threshold": "{threshold: {value: queue, at_most: 100}}",
    "two": "{ratio: {errors: bad_total, total: requests_total}}",
    "raw sum": "{raw: {errors: 'sum(increase(bad_total[$window]))', total: 'sum(increase(requests_total[$window]))'}}",
    "raw other": "{raw: {errors: 'sum(increase(bad_total[$window]))', total: 'sum(1 * increase(requests_total[$window]))'}}",
    "raw": "{raw: {errors: 'sum(rate(bad_total[$window]))', total: 'sum(rate(requests_total[$window]))'}}",
}
# The notes on counting, of which an example names all that it has; of others, such as that data has just begun, it says nothing.
ON_COUNTING = {
    "resets", "relabelled", "born", "in-doubt", "not-finite", "several-writers", "bound-missing", "no-such-bound", "not-a-probe",
    "unmatched", "impossible", "judged-twice",
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """Series in promtool's notation, scraped every 30 s by the job `shop` of the instance `a` unless their labels say
    otherwise, and what is said to be counted."""

    kind: str
    more: str
    series: tuple[str, ...]
    events: float | None
    errors: float | None
    notes: frozenset[str]
    state: str | None

    def __str__(self) -> str:
        return f"{self.kind}: {'; '.join(self.series)}"


def examples() -> Iterator[Example]:
    for text in re.findall(r"^```text\n# (.*?)^```", TEXT, re.M | re.S):
        head, *lines = text.strip().splitlines()
        kind, _, more = head.partition(", ")
        said = {
            key: value
            for line in lines
            if line.startswith("→")
            for key, value in [re.split(r"\s+", line[2:], maxsplit=1)]
        }
        figures = re.fullmatch(r"([\d,.]+) events, ([\d,.]+) errors", said.get("counts", ""))
        events, errors = (float(text.replace(",", "")) for text in figures.groups()) if figures else (None, None)
        notes = frozenset(said.get("notes", "").replace(" ", "").split(",")) - {""}
        series = tuple(line for line in lines if not line.startswith("→"))
        yield Example(kind, more, series, events, errors, notes, said.get("state"))


def samples_of(lines: Sequence[str], before: int = 60) -> Samples:
    """The first scrape is some minutes before the end."""
    rows = []
    for line in lines:
        labels, rest = parse_series(line)
        values = [value if isinstance(value, float) else np.nan for value in values_of(rest)]
        kept = [place for place, value in enumerate(values_of(rest)) if value is not None]
        times = END - before * MINUTE + 30 * SECOND * np.array(kept, dtype=np.int64) + 7_001
        rows.append(
            ({"job": "shop", "instance": "a", **dict(labels)}, times, np.array([values[place] for place in kept]))
        )
    return Samples.from_series(rows)


def budget_of(kind: str, lines: Sequence[str], more: str = "", local: bool = True, before: int = 60) -> Budget:
    text = f"service: shop\nslos:\n  - {{name: it, objective: 99, window: 1d, sli: {SLIS[kind]}{', ' if more else ''}{more}}}\n"
    problems: list[object] = []
    (service,) = loads(text, "counting.md", problems)  # type: ignore[arg-type]
    assert not [problem for problem in problems if getattr(problem, "severity", "") == "error"], problems
    source = Memory(samples_of(lines, before), END)
    source.local = local
    return evaluate(service.slos[0], source, at=END)


def counted(lines: Sequence[str], kind: str = "ratio", more: str = "", local: bool = True) -> tuple[float, float]:
    budget = budget_of(kind, lines, more, local)
    return round(budget.total, 6), round(budget.errors, 6)


def codes(budget: Budget) -> set[str]:
    return {note.code for note in budget.notes}


@pytest.mark.parametrize("example", list(examples()), ids=str)
def test_the_pages_examples_are_counted_as_it_says(example: Example) -> None:
    budget = budget_of(example.kind, example.series, example.more)
    if example.events is not None:
        assert (round(budget.total, 6), round(budget.errors, 6)) == (example.events, example.errors)
    assert codes(budget) & ON_COUNTING == example.notes, [str(note) for note in budget.notes]
    if example.state is not None:
        assert budget.state.value == example.state


def test_every_example_is_found() -> None:
    assert len(list(examples())) == TEXT.count("```text") >= 20


def test_every_note_has_its_row_and_every_row_is_a_note() -> None:
    """By the code: whatever makes a note gives it a code that the page explains."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (PAGE.parent.parent / "slo").rglob("*.py"))
    made = set(re.findall(r'\bNote\(\s*"([a-z-]+)"', source))
    named = {
        "FRESH": "fresh",
        "RETENTION": "retention",
        "RECORDED": "recorded",
        "COPIES": "copies",
        "CHANGED": "recorded-otherwise",
        "NOT_ASKED": "not-asked",
    }
    made |= {value for name, value in named.items() if re.search(rf"Note\(\s*{name}\b", source)}
    table = TEXT.split("## Notes")[1].split("## Limits")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)} == made


# Limits, shown.
OK, ENV, BAD = 'requests_total{code="200"}', 'requests_total{code="200",env="prod"}', 'requests_total{code="500"}'


@pytest.fixture
def stepwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is never asked for raw samples."""
    monkeypatch.setattr("slo.sli.stepwise.MOST_RAW_SAMPLES", 0)


@pytest.mark.usefixtures("stepwise")
def test_a_server_counts_stepwise_as_samples_do() -> None:
    lines = [f"{OK} 1000+10x40 _x20 1610+10x40", f"{BAD} _x10 3+1x91"]
    assert counted(lines, local=False) == counted(lines) == (1010 + 94, 94)
    assert "stepwise" in codes(budget_of("ratio", lines, local=False))


@pytest.mark.usefixtures("stepwise")
def test_a_server_does_not_look_back_further_than_two_hours() -> None:
    """Ten scrapes, a pause, ten scrapes: a pause of 110 minutes is bridged, one of 150 from samples only."""
    for minutes, local, bridged in ((110, False, True), (110, True, True), (150, True, True), (150, False, False)):
        away = 2 * minutes
        lines = [f"{OK} 1000+10x9 _x{away} {1090 + 10 * (away + 1)}+10x9", f"{BAD} 0x9 _x{away} 0x9"]
        budget = budget_of("ratio", lines, local=local, before=minutes + 30)
        assert round(budget.total) == 180 + (10 * (away + 1) if bridged else 0)
        assert ("gap-unknown" in codes(budget)) == (not bridged)


@pytest.mark.usefixtures("stepwise")
def test_a_relabelling_that_is_taken_back_within_a_step_counts_twice_on_a_server() -> None:
    lines = [f"{OK} 1000+10x40 _x2 1430+10x40", f"{ENV} _x41 1410 1420", f"{BAD} 0x83"]
    assert counted(lines) == (830, 0)
    assert counted(lines, local=False) == (850, 0)


@pytest.mark.usefixtures("stepwise")
def test_nan_at_the_end_of_a_step_loses_its_events_on_a_server() -> None:
    lines = [f"{OK} 1000+10x40 NaN 1420+10x40", f"{BAD} 0x81"]
    assert counted(lines) == (820, 0)
    budget = budget_of("ratio", lines, local=False)
    assert budget.total < 820
    assert "not-finite" in codes(budget)


@pytest.mark.usefixtures("stepwise")
def test_the_first_errors_ever_of_two_metrics_are_a_baseline() -> None:
    lines = ["bad_total 5+1x50", "requests_total 1000+10x50"]
    assert counted(lines, "two") == counted(lines, "two", local=False) == (500, 50)


@pytest.mark.usefixtures("stepwise")
def test_a_code_that_comes_and_goes_within_a_step_loses_what_it_fell_from_on_a_server() -> None:
    """In one step of a quarter of an hour nine errors, a restart, and four minutes later two more."""
    made = setting("ratio of two", 2)
    every, bad = made.fleet.flat(50.0), made.fleet.flat(0.0)
    bad[made.fleet.during(made.at(121), made.at(122))] = 0.75
    bad[made.fleet.during(made.at(127), made.at(128))] = 2 / 12
    restart = made.at(123)
    made.add("a", counters={"bad": bad, "all": every}, size=0, lives=[(-FOREVER, restart), (restart, FOREVER)])
    made.fleet.targets[0].rare = frozenset({"bad"})
    history = finish(made, "comes and goes", step_ms=15 * MINUTE)
    assert count_by_samples(history).errors.sum() == pytest.approx(history.errors.sum()) == pytest.approx(9 + 2)
    assert 1 < count_by_engine(history).errors.sum() < 9


@pytest.mark.usefixtures("stepwise")
def test_two_layouts_of_one_target_are_slow_in_the_rules_and_invalid_on_a_server() -> None:
    history = HISTORIES["one of two histograms of a target lacks the bound"]()
    assert count_by_rules(history).errors.sum() > 0.4 * 2 * history.total.sum()
    came = count_by_engine(history)
    assert (came.state, "bound-missing" in came.codes) == ("invalid", True)
    assert count_by_samples(history).errors.sum() == history.errors.sum()


def test_what_had_begun_unseen_between_short_visits_is_in_doubt() -> None:
    """Two minutes in 24, and another process each time; one of 24 minutes had more than twice what two minutes allow for."""
    made = setting("ratio", 3)
    target = made.add("a", 1.0, 0.01, 1e6)
    ends = [made.at(minute) for minute in range(10, 180, 24)]
    target.holes += [(end, end + 22 * 60_000) for end in ends]
    target.lives = list(
        zip([-FOREVER, *(end + 7_000 for end in ends)], [*(end + 7_000 for end in ends), FOREVER], strict=True)
    )
    history = finish(made, "two minutes in 24")
    came = count_by_samples(history)
    assert "in-doubt" in came.codes
    assert 0 < came.total.sum() < history.total.sum()


def test_a_raw_expression_without_a_sum_counts_a_relabelled_series_from_its_next_scrape_on() -> None:
    lines = ["bad_total 0x60", "requests_total 1000+10x30 _x30", 'requests_total{env="prod"} _x31 1310+10x29']
    assert counted(lines, "raw sum") == (600, 0)
    assert counted(lines, "raw other") == (590, 0)


def test_a_relabelled_gauge_is_judged_twice_for_five_minutes() -> None:
    """Twenty scrapes are twenty slices; ten of them are judged under the old name too, one of which is the last it had."""
    lines = ['queue{pod="a"} 80x9 _x10', 'queue{pod="b"} _x10 80x9']
    budget = budget_of("threshold", lines)
    assert 20 < budget.total <= 40
    assert "judged-twice" in codes(budget)


def test_a_series_of_which_nothing_was_read_before_is_a_baseline() -> None:
    assert counted([f"{OK} 1000+10x10", f"{BAD} 700+1x10"]) == (110, 10)


def test_impossible_figures_are_withheld() -> None:
    budget = budget_of("two", ["bad_total 0+20x9", "requests_total 0+10x9"])
    assert budget.state.value == "invalid"
    assert np.isnan(budget.errors)
    assert budget.sli is None
    assert "impossible" in codes(budget)


def test_stale_markers_are_not_samples() -> None:
    budget = budget_of("ratio", [f"{OK} 1000 1010 stale 1030 1040", f"{BAD} 0x4"])
    assert (budget.total, budget.errors) == (40, 0)
    assert "not-finite" not in codes(budget)


def test_target_labels_are_read_by_slo_and_by_file() -> None:
    [text] = re.findall(r"^```yaml\n(service:.*?)^```", TEXT, re.M | re.S)
    (service,) = loads(text, "counting.md", [])
    assert service.slos[0].target_labels == ("job", "instance", "replica")
    (service,) = loads(text.replace("    target_labels: [job, instance, replica]", "    labels: {}"), "counting.md", [])
    assert service.slos[0].target_labels == ("namespace", "pod")
    (service,) = loads("service: s\nslos:\n  - {name: a, objective: 99, sli: {probe: {metric: up}}}\n", "x.yaml", [])
    assert service.slos[0].target_labels == ("job", "instance")


def test_the_schema_has_target_labels_of_slos_and_defaults() -> None:
    schema = json.loads(slo("schema").stdout)
    having = [
        name for name, definition in schema["$defs"].items() if "target_labels" in definition.get("properties", {})
    ]
    assert sorted(having) == ["DefaultsModel", "SloModel"]
    described = schema["$defs"]["SloModel"]["properties"]["target_labels"]
    assert ["namespace", "pod"] in described["examples"]


# What a sentence of the page says, by words in it, and the tests that hold it; examples follow their sentence and hold it.
HERE, NAMED = "tests.test_counting_docs", "tests.contract.test_contract:test_samples_of_named_histories"
HELD_BY = {
    "A slice of a `threshold` or a `freshness`": NAMED,
    "`no data`:": "tests.test_counting_docs:test_the_pages_examples_are_counted_as_it_says",
    "`invalid`:": f"{HERE}:test_impossible_figures_are_withheld",
    "NaN and ±Inf": f"{HERE}:test_stale_markers_are_not_samples",
    "Samples are counted without a bound": f"{HERE}:test_a_series_of_which_nothing_was_read_before_is_a_baseline",
    "A server that counts stepwise": f"{HERE}:test_a_server_does_not_look_back_further_than_two_hours",
    "The generated [rules]": f"{HERE}:test_rules_count_a_target_with_old_counters_from_its_next_scrape_on",
    "two targets that share an address, and two scrapers": f"{HERE}:test_rules_count_what_is_relabelled_at_a_shared_address_from_its_first_values",
    "a relabelling that is taken back within 15 minutes": f"{HERE}:test_rules_count_twice_what_was_between_a_relabelling_and_its_end",
    "code that nobody had seen before": f"{HERE}:test_rules_count_a_code_that_first_came_in_a_long_pause_from_its_next_scrape_on",
    "begins under new labels during a pause of all scrapes": f"{HERE}:test_rules_count_what_began_in_a_long_pause_from_its_next_scrape_on",
    "a scraper that joins a pair counts again": f"{HERE}:test_a_scraper_that_joins_counts_young_processes_again_in_the_rules",
    "vanish as others begin": "tests.sli.test_lean:test_what_vanished_at_less_than_its_target_gains_is_not_what_goes_on",
    "a histogram's bucket that is away": f"{HERE}:test_rules_leave_a_target_out_while_its_bucket_is_away",
    "The rules need the histogram's `_count`": f"{HERE}:test_rules_record_nothing_without_a_count",
    "taken back within a step": f"{HERE}:test_a_relabelling_that_is_taken_back_within_a_step_counts_twice_on_a_server",
    "Where some of one target's histograms": f"{HERE}:test_two_layouts_of_one_target_are_slow_in_the_rules_and_invalid_on_a_server",
    "scraped for minutes now and then": f"{HERE}:test_what_had_begun_unseen_between_short_visits_is_in_doubt",
    "a series that appears in a step": f"{HERE}:test_a_code_that_comes_and_goes_within_a_step_loses_what_it_fell_from_on_a_server",
    "a NaN that is the last sample": f"{HERE}:test_nan_at_the_end_of_a_step_loses_its_events_on_a_server",
    "A `raw` expression": f"{HERE}:test_a_raw_expression_without_a_sum_counts_a_relabelled_series_from_its_next_scrape_on",
    "A relabelled gauge": f"{HERE}:test_a_relabelled_gauge_is_judged_twice_for_five_minutes",
    "Two changes of one target": f"{HERE}:test_the_pages_examples_are_counted_as_it_says",
}


def test_rules_count_a_target_with_old_counters_from_its_next_scrape_on() -> None:
    history = HISTORIES["a target with old counters joins"]()
    came = count_by_rules(history)
    minute = float(history.total.max()) * 60_000 / history.grid.step_ms
    assert 0 < float(history.total.sum() - came.total.sum()) <= minute
    assert 0 < float(history.errors.sum() - came.errors.sum()) <= minute


def test_rules_count_a_relabelled_target_on() -> None:
    history = HISTORIES["one target is relabelled"]()
    came = count_by_rules(history)
    assert came.total.sum() == history.total.sum()
    assert came.errors.sum() == history.errors.sum()


def test_rules_count_what_began_in_a_long_pause_from_its_next_scrape_on() -> None:
    """A pod is replaced while nothing is scraped for 20 minutes; ten events a second."""
    made = setting("ratio", 2)
    made.fleet.renames.append(Rename(0, {"version": "v{process}"}))
    hole = made.at(120), made.at(140)
    made.add("a", 10.0, 0.01, lives=[(-FOREVER, made.at(121)), (made.at(121), FOREVER)], holes=[hole])
    history = finish(made, "replaced in a pause")
    came = count_by_rules(history)
    assert 19 * 600 < float(history.total.sum() - came.total.sum()) < 21 * 600


def test_rules_count_a_code_that_first_came_in_a_long_pause_from_its_next_scrape_on() -> None:
    """A pod with ten events a second, whose first errors ever come while nothing is scraped for 20 minutes, and go on."""
    made = setting("ratio", 2)
    pod = made.add("a", 10.0, 0.01, 1e6, holes=[(made.at(60), made.at(80))])
    pod.rare = made.bad_keys
    for key in made.bad_keys:
        pod.old.pop(key, None)
        pod.counters[key] = np.where(made.fleet.ticks < made.at(60), 0, pod.counters[key])
    history = finish(made, "errors first in a pause")
    lost = float(history.errors.sum() - count_by_rules(history).errors.sum())
    # One in a hundred of 12,000, and of the scrapes at its ends.
    assert 90 < lost < 150 < float(history.errors.sum()) / 2


def test_a_scraper_that_joins_counts_young_processes_again_in_the_rules() -> None:
    """Pods of ten events a second; b is 20 minutes old when the second scraper joins, or 50, which is beyond the bound."""

    def joined(young_m: int) -> tuple[float, float]:
        made = setting("ratio", 2)
        made.add("a", 10.0, 0.01, 1e6)
        began = made.at(120 - young_m)
        young = made.add("b", 10.0, 0.01, 0, lives=[(began, FOREVER)], present=(began, FOREVER))
        young.replicas = (("1", (-FOREVER, FOREVER)), ("2", (made.at(120), FOREVER)))
        history = finish(made, "a scraper joins")
        return float(history.total.sum()), float(count_by_rules(history).total.sum())

    right, counted_again = joined(20)
    assert 0 < counted_again - right <= 21 * 600
    right, counted_again = joined(50)
    assert counted_again == pytest.approx(right, abs=700)


def test_rules_count_twice_what_was_between_a_relabelling_and_its_end() -> None:
    history = HISTORIES["a relabelling is undone"]()
    came = count_by_rules(history)
    assert came.total.sum() > 1.05 * history.total.sum()
    assert came.errors.sum() / came.total.sum() == pytest.approx(history.errors.sum() / history.total.sum(), rel=0.01)


def test_rules_count_what_is_relabelled_at_a_shared_address_from_its_first_values() -> None:
    """Two clusters, of ten events a second each; west began half an hour before, and is scraped 20 s after east."""
    made = setting("ratio of two", 2)
    of_both = {"job": "shop", "instance": "a"}
    made.add("", 10.0, 0.01, 1e6, labels={**of_both, "cluster": "east"}, phase_ms=7_137, every_ms=MINUTE)
    west = [(-FOREVER, made.at(100)), (made.at(100), FOREVER)]
    made.add("", 10.0, 0.01, 1e6, labels={**of_both, "cluster": "west"}, phase_ms=27_137, every_ms=MINUTE, lives=west)
    made.fleet.renames.append(Rename(made.at(130) + 15 * SECOND, {"node": "n2"}, keys=frozenset({"all"})))
    history = finish(made, "two clusters")
    came = count_by_rules(history)
    right = float(history.total.sum())
    assert right + 15_000 < came.total.sum() < right + 20_000
    assert came.errors.sum() == history.errors.sum()
    apart = history.definition.replace("defaults: {", "defaults: {target_labels: [cluster, job, instance], ")
    came = count_by_rules(dataclasses.replace(history, definition=apart))
    assert (came.total.sum(), came.errors.sum()) == (right, history.errors.sum())


def test_rules_leave_a_target_out_while_its_bucket_is_away() -> None:
    history = HISTORIES["a bucket is away for twenty minutes"]()
    came = count_by_rules(history)
    assert history.total.sum() * 0.8 < came.total.sum() < history.total.sum()
    # No good events without the bad ones alongside them, nor the other way round.
    assert 0.01 < came.errors.sum() / came.total.sum() < 0.04


def test_rules_record_nothing_without_a_count() -> None:
    came = count_by_rules(HISTORIES["a histogram without its count"]())
    assert came.total.sum() == 0
    assert came.state == "no data"


def test_every_sentence_is_held_by_an_example_or_a_test() -> None:
    parts = re.split(r"\n(?=- |#)", TEXT)
    bullets = [part for part in parts if part.startswith("- ")]
    assert len(bullets) > 25
    used = set()
    for bullet in bullets:
        held = [words for words in HELD_BY if words in " ".join(bullet.split())]
        used.update(held)
        assert held or "```text" in bullet, bullet
    assert used == set(HELD_BY)
    for name in HELD_BY.values():
        module, _, test = name.partition(":")
        assert callable(getattr(importlib.import_module(module), test))
