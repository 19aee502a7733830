"""What an edit of a definition does to a running budget: two sets of rules, one after the other, on one server's series."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from slo.backtest.policy import of_definitions
from slo.errors import PromqlError
from slo.promql.engine import Engine
from slo.promql.rules import run_rules
from slo.promql.samples import STALE, Samples, Series, is_stale
from slo.rules import AlertRule, RuleGroup, compile_specs
from slo.sli.kinds import KINDS
from tests.rules.test_compile import ALL_KINDS, specs

DOCS = Path(__file__).parents[2] / "docs" / "rules.md"
MINUTE, HOUR = 60_000, 3_600_000
START = 1_790_000_000_000 // HOUR * HOUR
EDIT, END = START + 5 * HOUR, START + 5 * HOUR + 10 * MINUTE
BASE = """\
service: shop
slos:
  - name: availability
    objective: 99
    window: 1d
    sli: {ratio: {errors: 'requests_total{code="500"}', total: requests_total}}
"""
SLI = BASE.splitlines()[-1].strip()
# SLIs that keep other events each: one label tells what failed, two do, two tell what did not, and a clock asks.
KEPT = {
    "good, bad": SLI,
    "total, errors": 'sli: {ratio: {errors: \'requests_total{code="500",route!=""}\', total: requests_total}}',
    "events, good_events": 'sli: {ratio: {good: \'requests_total{code="200",route!=""}\', total: requests_total}}',
    "checks, bad_checks": "sli: {probe: {metric: probe_success}}",
    "values, bad_values": "sli: {threshold: {value: probe_success, at_least: 1}}",
}
NATIVE = "service: shop\nslos: [{name: a, objective: 99, sli: {latency: {histogram: h, threshold: 1s, native: true}}}]"
EDITS: Mapping[str, tuple[str, str]] = {
    "`name` of the SLO or of the service": ("name: availability", "name: success"),
    "`objective`": ("objective: 99", "objective: 98"),
    "`window`, rolling": ("window: 1d", "window: 7d"),
    "`window`, from rolling to calendar": ("window: 1d", "window: month"),
    "`labels`, `owner`, `description`": ("window: 1d", "window: 1d\n    labels: {tier: '1'}\n    description: Answers"),
    "`labels` with `labels_on: series`": ("slos:", "labels: {tier: '1'}\ndefaults: {labels_on: series}\nslos:"),
    "`alerting`": ("window: 1d", "window: 1d\n    alerting: {ticket: off}"),
    "`by` added": ("window: 1d", "window: 1d\n    by: [route]"),
    "selectors, of the same kind": ("code=\"500\"", "code=~\"5..\""),
    "another kind of SLI": (SLI, KEPT["total, errors"]),
}  # fmt: skip


def raw() -> Samples:
    """Two routes with 10 requests a second each, and checks that fail in the first hour."""
    times = np.arange(START - HOUR, END + 1, 30_000)
    hour = (times - START) // HOUR
    bad = np.cumsum(np.where(hour == 0, 30.0, np.where(hour > 0, 1.0, 0.0)))
    rows = []
    for route in ("/a", "/b"):
        labels = {"job": "shop", "instance": "1", "route": route}
        every = 300.0 * np.arange(len(times))
        rows.append(({"__name__": "requests_total", **labels, "code": "200"}, times, every - bad))
        rows.append(({"__name__": "requests_total", **labels, "code": "500"}, times, bad))
    good = np.where(hour == 0, 0.0, 1.0)
    rows.append(({"__name__": "probe_success", "job": "shop", "instance": "1"}, times, good))
    return Samples.from_series(rows)


@cache
def groups_of(text: str) -> tuple[RuleGroup, ...]:
    """The rules of a definition, those that are evaluated most often first."""
    return tuple(sorted(compile_specs(specs(text))[0], key=lambda group: group.interval_ms))


Key = tuple[tuple[str, str], ...]


class Server:
    """Series that rules are evaluated on, one evaluation after the other, as Prometheus does it.

    What a rule gives no more gets a marker at the end of its group's evaluation.
    """

    def __init__(self, samples: Samples) -> None:
        self.kept = {tuple(sorted(series.labels.items())): series for series in samples.series}
        self.failed: list[tuple[int, str]] = []
        self.every = {
            rule.name: group.interval_ms
            for group in compile_specs(specs(BASE))[0]
            for rule in group.rules
            if not isinstance(rule, AlertRule)
        }

    def evaluate(self, text: str, at_ms: int) -> set[Key]:
        """The alerts that hold. A rule sees what those before it recorded."""
        holds: set[Key] = set()
        for group in groups_of(text):
            for rule in group.rules if at_ms % group.interval_ms == 0 else ():
                given: dict[Key, float] = {}
                try:
                    answer = Engine(Samples(self.kept.values())).query(rule.expr, at_ms / 1000).series
                except PromqlError:
                    self.failed.append((at_ms, rule.name))
                    continue
                for row in answer:
                    labels = {k: v for k, v in row.labels.items() if k != "__name__"} | dict(rule.labels)
                    given[tuple(sorted(labels.items()))] = float(row.values[0])
                if len(given) < len(answer):  # two series with the same labels
                    self.failed.append((at_ms, rule.name))
                    continue
                for key, value in given.items():
                    if isinstance(rule, AlertRule):
                        holds.add((("alertname", rule.name), *key))
                    else:
                        self.every[rule.name] = group.interval_ms
                        self.write(tuple(sorted([("__name__", rule.name), *key])), at_ms, value)
        for key, series in list(self.kept.items()):
            every = self.every.get(series.labels["__name__"])
            if every and at_ms % every == 0 and series.times[-1] < at_ms and not is_stale(series.values[-1:])[0]:
                self.write(key, at_ms, STALE)
        return holds

    def write(self, key: Key, at_ms: int, value: float) -> None:
        old = self.kept.get(key)
        times = np.empty(0, dtype=np.int64) if old is None else old.times
        values = np.empty(0) if old is None else old.values
        self.kept[key] = Series(dict(key), np.append(times, np.int64(at_ms)), np.append(values, value))

    def value(self, name: str, at_ms: int) -> dict[Key, float]:
        """The series of a name at a moment, by their labels."""
        answer = Engine(Samples(self.kept.values())).query(name, at_ms / 1000).series
        return {
            tuple(sorted((k, v) for k, v in series.labels.items() if k != "__name__")): float(series.values[0])
            for series in answer
        }


LEFT, COVERAGE = "slo:period_error_budget_remaining:ratio", "slo:period_coverage:ratio"
SHOP = (("service", "shop"), ("slo", "availability"))
ROUTES = [(("route", route), *SHOP) for route in ("/a", "/b")]
# Since the edit 1 of 300 requests fails, a third of the budget of 99 %.
ANEW = pytest.approx(1 - (1 / 300) / 0.01)


def until_the_edit(text: str) -> Samples:
    """The raw series, and what the rules of a definition recorded of them before the edit."""
    ran = run_rules(of_definitions(specs(text)).groups, raw(), (START + 2 * MINUTE) / 1000, (EDIT - MINUTE) / 1000)
    assert not ran.problems
    return Samples([*raw().series, *ran.recorded.series])


@pytest.fixture(scope="module")
def before() -> Samples:
    return until_the_edit(BASE)


def after(text: str, before: Samples, silent: tuple[str, ...] = ("page",)) -> Server:
    """The server ten minutes after it has loaded other rules. None of these edits may page."""
    server = Server(before)
    for at in range(EDIT, END + 1, MINUTE):
        alerts = [alert for alert in server.evaluate(text, at) if dict(alert)["severity"] in silent]
        assert not alerts, alerts
    return server


def edited(edit: str) -> str:
    old, new = EDITS[edit]
    assert BASE.count(old) == 1
    return BASE.replace(old, new)


@pytest.fixture(scope="module")
def unedited(before: Samples) -> float:
    """What remains of the budget at the end without an edit: the first hour's errors are still in it."""
    [left] = after(BASE, before).value(LEFT, END).values()
    assert left < -1
    return left


def table() -> dict[str, str]:
    """What the docs say: the budget of each edit."""
    section = DOCS.read_text().split("## What an edit does")[1].split("\n## ")[0]
    return {row[0]: row[1] for row in re.findall(r"^\| (.+?) \| (.+?) \|", section, re.MULTILINE)[1:]}


def test_the_table_has_the_edits_that_are_tried() -> None:
    assert set(table()) - {"---"} == {*EDITS, "`by` removed"}


@pytest.mark.parametrize("edit", [edit for edit, says in table().items() if says == "continues"])
def test_these_edits_continue_the_budget(edit: str, before: Samples, unedited: float) -> None:
    server = after(edited(edit), before)
    [(labels, left)] = server.value(LEFT, END).items()
    budget = 0.02 if edit == "`objective`" else 0.01
    assert left == pytest.approx(1 - (1 - unedited) * 0.01 / budget)
    assert labels == (*SHOP, ("tier", "1")) if "labels_on" in edit else SHOP
    # A rule may fail once where its series get new labels.
    assert {at - EDIT for at, _ in server.failed} <= ({0} if "labels_on" in edit else set())
    if edit == "`labels`, `owner`, `description`":
        assert [dict(labels)["tier"] for labels in server.value("slo_info", END)] == ["1"]


@pytest.mark.parametrize("edit", ["`name` of the SLO or of the service", "`window`, from rolling to calendar"])
def test_these_edits_begin_a_new_budget(edit: str, before: Samples) -> None:
    assert table()[edit] == "begins anew"
    server = after(edited(edit), before)
    [(labels, left)] = server.value(LEFT, END).items()
    assert left == ANEW
    assert ("slo", "success") in labels or "calendar" in edit
    [covered] = server.value(COVERAGE, END).values()
    assert 0 < covered < 0.01


def test_by_added_begins_budgets_alongside_the_old_one(before: Samples, unedited: float) -> None:
    assert table()["`by` added"] == "begins anew"
    server = after(edited("`by` added"), before)
    left = server.value(LEFT, END)
    assert set(left) == {*ROUTES, SHOP}
    assert [left[route] for route in ROUTES] == [ANEW, ANEW]
    assert left[SHOP] < unedited  # of the tiles until the edit, which had more errors
    assert server.value(COVERAGE, END)[SHOP] < after(BASE, before).value(COVERAGE, END)[SHOP]


def test_by_removed_begins_a_budget_alongside_the_old_ones() -> None:
    assert table()["`by` removed"] == "begins anew"
    left = after(BASE, until_the_edit(edited("`by` added"))).value(LEFT, END)
    assert set(left) == {*ROUTES, SHOP}
    assert left[SHOP] == ANEW
    assert all(left[route] < -1 for route in ROUTES)


@pytest.mark.parametrize("labels_on", ["info", "series"])
def test_no_rule_fails_while_there_are_series_of_a_by_that_was_removed(labels_on: str) -> None:
    """The page's did for eight hours, as two series of a window stood on both sides, and paged nobody."""
    text = BASE.replace("slos:", f"labels: {{tier: '1'}}\ndefaults: {{labels_on: {labels_on}}}\nslos:")
    old, new = EDITS["`by` added"]
    assert not after(text, until_the_edit(text.replace(old, new))).failed


@pytest.fixture(scope="module")
def before_of_each() -> Mapping[str, Samples]:
    return {words: until_the_edit(BASE.replace(SLI, sli)) for words, sli in KEPT.items()}


@pytest.mark.parametrize("words", KEPT)
def test_another_kind_begins_a_new_budget(words: str, before_of_each: Mapping[str, Samples]) -> None:
    """Whatever other kinds have recorded under the name, of an hour without a good event in it: neither figures nor
    tickets come from that."""
    assert table()["another kind of SLI"] == "begins anew"
    others = [series for name, samples in before_of_each.items() if name != words for series in samples.series]
    once = {tuple(sorted(series.labels.items())): series for series in others}
    server = after(BASE.replace(SLI, KEPT[words]), Samples(once.values()), silent=("page", "ticket"))
    kept = [dict(key) for key, series in server.kept.items() if series.times[-1] == END]
    assert {series["event"] for series in kept if series["__name__"] == "slo:events:increase1m"} == set(
        words.split(", ")
    )
    [(labels, left)] = server.value(LEFT, END).items()
    assert (labels, left) == (SHOP, 1.0 if words.startswith(("checks", "values")) else ANEW)
    [covered] = server.value(COVERAGE, END).values()
    assert 0 < covered < 0.01
    assert not server.failed


def test_the_docs_have_each_kinds_own_words() -> None:
    rows = re.findall(r"^\| `(\w+)`, `(\w+)` \| (.+) \|", DOCS.read_text(), re.MULTILINE)
    assert {f"{first}, {second}" for first, second, _ in rows} >= set(KEPT)
    words = [word for row in rows for word in row[:2]]
    assert len(set(words)) == len(words)
    # What the page says a kind records is what it records.
    kinds = [*(slo.sli for slo in specs(ALL_KINDS).values()), *(slo.sli for slo in specs(NATIVE).values())]
    recorded = {(kind.key, tuple(kind.event_words.values())) for kind in kinds}
    said = {(kind, row[:2]) for row in rows for kind in re.findall(r"`(\w+)`", row[2]) if kind in KINDS}
    assert recorded <= said
    assert {kind for kind, _ in recorded} == {kind for kind, _ in said} == set(KINDS)


def test_the_docs_join_brings_a_definitions_labels(before: Samples, unedited: float) -> None:
    [join] = re.findall(r"```promql\n(.+ group_left .+)\n```", DOCS.read_text())
    labels = "owner: web\nlabels: {tier: '1'}\nslos:"
    joined = after(BASE.replace("slos:", labels), before).value(join, END)
    assert joined == {(("owner", "web"), *SHOP, ("tier", "1")): pytest.approx(unedited)}
    several = after(edited("`by` added").replace("slos:", labels), before).value(join, END)
    assert set(several) == {
        tuple(sorted((*labels_of_series, ("owner", "web"), ("tier", "1")))) for labels_of_series in (*ROUTES, SHOP)
    }
