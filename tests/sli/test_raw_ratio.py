"""`raw` with a ratio: an error ratio without numbers of events, each minute of which weighs the same; and `by`, with values that are
listed, and with all that there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slo.budget.evaluate import evaluate
from slo.budget.groups import expand
from slo.errors import DefinitionError
from slo.promql.ast import Node
from slo.promql.engine import Engine
from slo.promql.parse import parse_selector
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.rules import compile_specs, to_yaml
from slo.sli.ratio import Ratio
from slo.sli.raw import Raw
from slo.sli.tile import Tile
from slo.source.recording import Header, Recording, write
from slo.spec.load import load_text
from slo.spec.model import Specs
from slo.spec.split import narrowed
from slo.window import HOUR
from tests.quick_yaml import read_yaml

END_MS = 1_790_000_000_000 // HOUR * HOUR
TIMES = np.arange(END_MS - 8 * HOUR, END_MS + 1, 30_000)
AGO = (END_MS - TIMES) / HOUR  # hours
TARGET = {"job": "a", "instance": "a"}


def specs(sli: str, more: str = "") -> Specs:
    return load_text(f"service: a\nslos:\n  - {{name: r, objective: 90, window: 6h, {more}sli: {{raw: {sli}}}}}\n")


def samples(*rows: tuple[str, np.ndarray, dict[str, str]]) -> Samples:
    """Series of these values; where one is NaN there is no sample."""
    return Samples.from_series(
        [
            ({"__name__": name, **TARGET, **labels}, TIMES[~np.isnan(values)], values[~np.isnan(values)])
            for name, values, labels in rows
        ]
    )


HEALTH = samples(("health_ratio", np.where(AGO <= 3, 0.5, 1.0), {}))
# No traffic for three hours, then one in ten fails: 0 / 0 is not a value, and takes no part.
SILENT = samples(
    ("x_total", np.maximum(3 - AGO, 0) * 9000, {"code": "200"}),
    ("x_total", np.maximum(3 - AGO, 0) * 1000, {"code": "500"}),
)
CASES = [
    pytest.param(HEALTH, "{ratio: '1 - avg(avg_over_time(health_ratio[$window]))'}", 0.25, id="a gauge"),
    pytest.param(SILENT, "{ratio: 'sum(rate(x_total{code=\"500\"}[$window])) / sum(rate(x_total[$window]))'}", 0.1, id="no traffic"),
]  # fmt: skip


@pytest.mark.parametrize(("held", "sli", "ratio"), CASES)
def test_figures_are_the_mean_of_the_minutes_that_have_one(
    held: Samples, sli: str, ratio: float, tmp_path: Path
) -> None:
    write(tmp_path / "r.parquet", held, Header(END_MS - 8 * HOUR, END_MS, "a test"))
    [slo] = specs(sli).values()
    budget = evaluate(slo, Recording.open(tmp_path / "r.parquet"), END_MS)
    assert budget.error_ratio == pytest.approx(ratio, abs=0.003)


@pytest.mark.parametrize(("held", "sli", "ratio"), CASES)
def test_rules_record_the_same(held: Samples, sli: str, ratio: float) -> None:
    groups = read_yaml(to_yaml(compile_specs(specs(sli))[0]))["groups"]
    result = run_rules(groups, held, END_MS // 1000 - 7 * 3600, END_MS // 1000)
    assert not result.problems
    [series] = Engine(result.recorded).query("slo:period_error:ratio", END_MS / 1000).series
    assert float(series.values[-1]) == pytest.approx(ratio, abs=0.005)


def test_it_is_flagged_as_not_weighted_by_traffic() -> None:
    [warning] = specs("{ratio: 'avg(avg_over_time(bad[$window]))'}").warnings
    assert "not weighted by traffic" in str(warning)


@pytest.mark.parametrize(
    ("sli", "message"),
    [
        ("{ratio: 'sum(increase(a_total[$window]))'}", "is a number of events, not a share of them"),
        ("{ratio: 'avg_over_time(bad[$window])'}", "can give several series"),
        ("{errors: 'sum(increase(a_total[$window]))'}", "has errors; give `errors` and `total`, or only a `ratio`"),
        ("{}", "has nothing; give"),
    ],
)
def test_what_is_no_ratio_is_said(sli: str, message: str) -> None:
    try:
        text = " ".join(map(str, specs(sli).warnings))
    except DefinitionError as error:
        text = str(error)
    assert message in text


def test_listed_values_each_have_a_budget(tmp_path: Path) -> None:
    """Of route x one in ten fails, of y all: the selectors are narrowed, whatever the expression is."""
    rows = [
        ("x_total", (8 - AGO) * bad * 1000, {"code": "500", "route": route}) for route, bad in (("x", 1.0), ("y", 10.0))
    ] + [("x_total", (8 - AGO) * 9000, {"code": "200", "route": "x"})]
    write(tmp_path / "r.parquet", samples(*rows), Header(END_MS - 8 * HOUR, END_MS, "a test"))
    sli = "{errors: 'sum(increase(x_total{code=\"500\"}[$window])) * 1', total: 'sum(increase(x_total[$window])) * 1'}"
    found = specs(sli, "by: {route: [x, y]}, ")
    ratios = {
        slo.id: evaluate(slo, Recording.open(tmp_path / "r.parquet"), END_MS).error_ratio for slo in found.values()
    }
    assert ratios == {"a/r.x": pytest.approx(0.1, rel=0.01), "a/r.y": pytest.approx(1.0)}


def test_each_value_that_there_is_has_a_budget(tmp_path: Path) -> None:
    """Gauges are added up by their samples: of deployment x one in ten replicas is missing, of y one in four, and z has only just come."""
    rows = [
        row
        for name, replicas, missing, hours in (("x", 10.0, 1.0, 8), ("y", 4.0, 1.0, 8), ("z", 2.0, 0.0, 1))
        for row in (
            ("replicas", np.where(hours >= AGO, replicas, np.nan), {"deployment": name}),
            ("missing", np.where(hours >= AGO, missing, np.nan), {"deployment": name}),
        )
    ]
    held = samples(*rows)
    write(tmp_path / "r.parquet", held, Header(END_MS - 8 * HOUR, END_MS, "a test"))
    sli = (
        "{errors: 'sum by (deployment) (sum_over_time(missing[$window]))', "
        "total: 'sum by (deployment) (sum_over_time(replicas[$window]))'}"
    )
    found = specs(sli, "by: [deployment], ")
    [slo] = found.values()
    expected = {"a/r.x": 0.1, "a/r.y": 0.25, "a/r.z": 0.0}
    source = Recording.open(tmp_path / "r.parquet")
    ratios = {one.id: evaluate(one, source, END_MS).error_ratio for one in expand(slo, source, END_MS)[0]}
    assert ratios == pytest.approx(expected)
    groups = read_yaml(to_yaml(compile_specs(found)[0]))["groups"]
    result = run_rules(groups, held, END_MS // 1000 - 7 * 3600, END_MS // 1000)
    assert not result.problems
    recorded = Engine(result.recorded).query("slo:period_error:ratio", END_MS / 1000).series
    assert {f"a/r.{s.labels['deployment']}": float(s.values[-1]) for s in recorded} == pytest.approx(
        expected, abs=0.005
    )


def test_counters_by_value_are_counted_exactly() -> None:
    """As where they are a ratio: `increase` over the window would extrapolate, and not see the first value of z."""
    rows = [
        (name, (8 - AGO) * each, {"route": route})
        for route, each in (("x", 600.0), ("y", 60.0))
        for name, each in (("bad_total", each / 10), ("all_total", each))
    ]
    raw = specs(
        "{errors: 'sum by (route) (increase(bad_total[$window])) * 1', total: 'sum by (route) (increase(all_total[$window]))'}",
        "by: [route], ",
    )
    [slo] = raw.values()
    held = samples(*rows)
    for one in narrowed(slo, [("x",), ("y",)]):
        [events] = counters_of(one.sli.total_tile(Tile(HOUR)), held)
        total, bad = (parse_selector(f'{name}{{route="{one.labels["route"]}"}}') for name in ("all_total", "bad_total"))
        plain = Ratio(total, bad, "errors")
        assert [events] == counters_of(plain.total_tile(Tile(HOUR)), held)
    by_value = Engine(held).query(slo.sli.total_tile(Tile(HOUR, by=("route",))), END_MS / 1000).series
    assert {s.labels["route"]: round(float(s.values[-1])) for s in by_value} == {"x": 600, "y": 60}


def test_only_what_is_grouped_by_the_labels_is_narrowed() -> None:
    """What stands for the whole, such as a switch, has no such label."""
    side = "sum by (route) (increase({}[$window])) and on () max(switch) == 1"
    [slo] = specs(
        f"{{errors: '{side.format('a_total')}', total: '{side.format('b_total')}'}}", "by: [route], "
    ).values()
    [one] = narrowed(slo, [("x",)])
    assert (
        isinstance(one.sli, Raw)
        and one.sli.total == 'sum by (route) (increase(b_total{route="x"}[$window])) and on () max(switch) == 1'
    )
    assert [str(selector) for selector in slo.sli.all_events] == ["b_total"]


def counters_of(node: Node, held: Samples) -> list[float]:
    return [float(series.values[-1]) for series in Engine(held).query(node, END_MS / 1000).series]


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ("sum(increase(a_total[$window]))", r"did you mean `sum by \(route\) \(increase\(a_total\[\$window\]\)\)`"),
        ("sum by (zone) (increase(a_total[$window]))", "must be grouped by exactly route"),
        (
            'sum by (route) (label_replace(increase(a_total[$window]), "route", "$1", "path", "(.*)"))',
            "makes the label route",
        ),
    ],
)
def test_what_is_not_grouped_as_by_is_refused(errors: str, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        specs(f"{{errors: '{errors}', total: 'sum by (route) (increase(b_total[$window]))'}}", "by: [route], ")
