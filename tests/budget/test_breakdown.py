"""The top contributors to a budget's consumption: planted culprits are found, and nothing is lost on the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import slo
from slo.budget.breakdown import break_down
from slo.budget.evaluate import evaluate
from slo.notebook import top_contributors
from slo.promql.samples import Samples
from slo.report import render, to_json, to_markdown
from slo.sli.counts import Grid, Part
from slo.sli.latency import Latency
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.source.recording import Header, Recording, write
from slo.spec.load import load
from slo.spec.model import Slo
from slo.window import DAY, HOUR, MINUTE
from tests.budget.test_evaluate import END
from tests.counting import count

GENERATED = datetime(2026, 11, 20, tzinfo=UTC)
TIMES = END - 5 * MINUTE * np.arange(34 * 288, -1, -1)
DEFINITION = """
service: shop
slos:
  - name: errors
    objective: 99
    sli: {ratio: {errors: 'req{code=~"5.."}', total: 'req'}}
  - name: good
    objective: 99
    sli: {ratio: {good: 'req{code="200"}', total: 'req'}}
  - name: apart
    objective: 99
    sli: {ratio: {errors: 'failures', total: 'req'}}
  - name: latency
    objective: p99 < 500ms
    sli: {latency: {histogram: 'dur_seconds'}}
  - name: up
    objective: 99
    sli: {probe: {metric: 'up'}}
  - name: load
    objective: 99
    sli: {threshold: {value: 'load', below: 5, slice: 5m}}
"""
# Failed requests a step: the second instance alone fails, in the last hundred hours, and mostly on one route.
BAD = {("a", "/"): 0.0, ("a", "/pay"): 0.0, ("b", "/"): 1.0, ("b", "/pay"): 9.0}
STEPS = 100 * 12


def rising(each: np.ndarray) -> np.ndarray:
    return 5.0 + np.concatenate([[0.0], np.cumsum(each)])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Slo], Recording]:
    place = tmp_path_factory.mktemp("shop")
    (place / "shop.yaml").write_text(DEFINITION)
    late = np.arange(len(TIMES) - 1) >= len(TIMES) - 1 - STEPS
    rows: list[Any] = []
    for (instance, route), each in BAD.items():
        bad = np.where(late, each, 0.0)
        labels = {"job": "j", "instance": instance, "pod": f"pod-{instance}", "route": route, "region": "eu"}
        rows += [
            ({"__name__": "req", **labels, "code": "200"}, TIMES, rising(100 - bad)),
            ({"__name__": "req", **labels, "code": "503"}, TIMES, rising(bad)),
            ({"__name__": "failures", **labels, "reason": "timeout"}, TIMES, rising(0.75 * bad)),
            ({"__name__": "failures", **labels, "reason": "refused"}, TIMES, rising(0.25 * bad)),
        ]
        for le, part in (("0.1", 50.0), ("0.5", 100 - bad), ("+Inf", 100.0)):
            rows.append(({"__name__": "dur_seconds_bucket", **labels, "le": le}, TIMES, rising(part + 0 * bad)))
    for instance in "ab":
        down = (instance == "b") & (np.arange(len(TIMES)) >= len(TIMES) - 36)
        rows.append(({"__name__": "up", "job": "j", "instance": instance}, TIMES, np.where(down, 0.0, 1.0)))
        rows.append(({"__name__": "load", "job": "j", "instance": instance}, TIMES, np.where(down, 9.0, 1.0)))
    write(place / "r.parquet", Samples.from_series(rows), Header(int(TIMES[0]), END, "a test"))
    return {spec.name: spec for spec in load(place / "shop.yaml").values()}, Recording.open(place / "r.parquet")


@pytest.mark.parametrize("name", ["errors", "good", "apart", "latency"])
def test_the_culprit_is_found_to_the_event(shop: tuple[dict[str, Slo], Recording], name: str) -> None:
    specs, source = shop
    budget = evaluate(specs[name], source, END)
    table = top_contributors(budget, "instance")
    assert table.index.to_list() == ["b", "a"]
    assert table["errors"].to_list() == [10.0 * STEPS, 0.0]
    assert table["total"].to_list() == [200.0 * 8640, 200.0 * 8640]
    assert table.loc["b", "errors_share"] == 1.0 and table.loc["b", "total_share"] == 0.5
    assert top_contributors(budget, "route")["errors"].to_dict() == {"/pay": 9.0 * STEPS, "/": 1.0 * STEPS}
    assert top_contributors(budget, "pod").index.to_list() == ["pod-b", "pod-a"]  # divides as the instance does
    with pytest.raises(KeyError, match="region"):
        top_contributors(budget, "region")


@pytest.mark.parametrize("name", ["up", "load"])
def test_of_checks_too(shop: tuple[dict[str, Slo], Recording], name: str) -> None:
    specs, source = shop
    table = top_contributors(evaluate(specs[name], source, END), "instance")
    assert table["errors"].to_dict() == {"b": 36.0, "a": 0.0}
    assert table["error_ratio"].to_dict() == {"b": 36 / 8640, "a": 0.0}


def test_what_tells_bad_from_good_is_a_kind_of_error(shop: tuple[dict[str, Slo], Recording]) -> None:
    specs, source = shop
    for name, label, shares in (
        ("errors", "code", {"503": 1.0, "200": 0.0}),
        ("apart", "reason", {"timeout": 0.75, "refused": 0.25, "": 0.0}),
    ):
        budget = evaluate(specs[name], source, END)
        found = {
            splits_by_label.label: splits_by_label
            for splits_by_label in break_down(budget.counts.parts or (), frozenset({"code"}))
        }
        assert found[label].kinds and not found["instance"].kinds
        assert {share.value: share.errors_share for share in found[label].shares} == shares
        assert found["instance"].alike == ("pod",)


def test_of_an_incident_alone(shop: tuple[dict[str, Slo], Recording]) -> None:
    specs, source = shop
    end = datetime.fromtimestamp((END - 50 * HOUR) / 1000, UTC)
    start = datetime.fromtimestamp((END - 110 * HOUR) / 1000, UTC)
    tables = slo.breakdown(specs["errors"], source, start, end)
    assert tables["instance"]["errors"].to_dict() == {"b": 10.0 * 50 * 12, "a": 0.0}
    assert tables["instance"]["total"].to_list() == [200.0 * 60 * 12] * 2
    before = datetime.fromtimestamp((END - 10 * DAY) / 1000, UTC)
    assert slo.breakdown(specs["errors"], source, before, start) == {}  # not one bad event


def test_it_is_reported_everywhere(shop: tuple[dict[str, Slo], Recording]) -> None:
    specs, source = shop
    budget = evaluate(specs["errors"], source, END)
    page = render([budget], title="x", generated=GENERATED)
    assert "instance b had 100.0% of the bad events and 50.0% of all." in page
    assert ">instance, pod<" in page and ">/pay<" in page
    assert "instance b had 100.0%" in to_markdown([budget], title="x", generated=GENERATED).replace("\\", "")
    data = json.loads(to_json([budget], title="x", generated=GENERATED))["slos"][0]["breakdown"]
    assert [split["label"] for split in data] == ["instance", "route", "code"]
    assert data[0]["values"][0] == {"value": "b", "errors": 10.0 * STEPS, "total": 200.0 * 8640}


def test_what_stands_out_is_named_whatever_its_label(shop: tuple[dict[str, Slo], Recording]) -> None:
    """Four of eight instances have all bad events, a quarter each; one of two routes has two fifths, of a tenth of all."""
    from dataclasses import replace

    specs, source = shop
    budget = evaluate(specs["errors"], source, END)
    parts = tuple(
        Part({"instance": f"i{number}", "route": route}, errors * (25 if number < 4 else 0), total * 125)
        for number in range(8)
        for route, errors, total in (("/pay", 0.4, 0.1), ("/", 0.6, 0.9))
    )
    budget = replace(budget, counts=replace(budget.counts, parts=parts), errors=100.0, total=1000.0)
    assert break_down(parts)[0].label == "instance"
    page = render([budget], title="x", generated=GENERATED)
    assert "route /pay had 40.0% of the bad events and 10.0% of all." in page


def test_hostile_and_countless_values_stay_small(shop: tuple[dict[str, Slo], Recording], tmp_path: Path) -> None:
    from dataclasses import replace

    specs, source = shop
    budget = evaluate(specs["errors"], source, END)
    parts = tuple(Part({"user": f"<b>{number}</b>"}, 1.0, 2.0) for number in range(5000))
    budget = replace(budget, counts=replace(budget.counts, parts=parts), errors=5000.0, total=10_000.0)
    page = render([budget], title="x", generated=GENERATED)
    assert "<b>17</b>" not in page and "4,996 others" in page
    assert len(page) < 120_000
    [data] = json.loads(to_json([budget], title="x", generated=GENERATED))["slos"][0]["breakdown"]
    assert (len(data["values"]), data["others"]) == (20, {"values": 4980, "errors": 4980.0, "total": 9960.0})


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 50), st.integers(0, 50)),
        min_size=1,
        max_size=12,
    )
)
def test_the_values_of_every_label_add_up_to_all(rows: list[tuple[str, str, int, int]]) -> None:
    parts = [Part({"one": series, "two": two}, float(bad), float(bad + good)) for series, two, bad, good in rows]
    bad = sum(part.errors for part in parts)
    for breakdown in break_down(parts):
        assert sum(share.errors for share in breakdown.shares) == bad
        assert sum(share.total for share in breakdown.shares) == sum(part.total for part in parts)
        assert sum(share.errors_share for share in breakdown.shares) == pytest.approx(1.0)
        assert 0 <= breakdown.skew <= 1
        assert [share.errors for share in breakdown.shares] == sorted(
            (s.errors for s in breakdown.shares), reverse=True
        )


@pytest.mark.parametrize("name", ["errors", "good", "latency", "up"])
def test_its_parts_are_those_of_the_steps_that_were_asked_for(
    shop: tuple[dict[str, Slo], Recording], name: str
) -> None:
    specs, source = shop
    sli = specs[name].sli
    assert isinstance(sli, Ratio | Latency | Probe)

    samples = source.samples(sli.selectors(), END - 6 * DAY, END)
    for first in (0, 1, 700, 1439):
        counts = count(sli, samples, Grid(END, 5 * MINUTE, 1440), first)
        assert counts.parts is not None
        assert sum(part.errors for part in counts.parts) == counts.errors[first:].sum()
        assert sum(part.total for part in counts.parts) == counts.total[first:].sum()
