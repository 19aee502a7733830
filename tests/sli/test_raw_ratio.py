"""`raw` with a ratio: an error ratio without numbers of events, each minute of which weighs the same; and `by` with listed values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slo.budget.evaluate import evaluate
from slo.errors import DefinitionError
from slo.promql.engine import Engine
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.rules import compile_specs, to_yaml
from slo.source.recording import Header, Recording, write
from slo.spec.load import load_text
from slo.spec.model import Specs
from slo.window import HOUR
from tests.quick_yaml import read_yaml

END_MS = 1_790_000_000_000 // HOUR * HOUR
TIMES = np.arange(END_MS - 8 * HOUR, END_MS + 1, 30_000)
AGO = (END_MS - TIMES) / HOUR  # hours
TARGET = {"job": "a", "instance": "a"}


def specs(sli: str, more: str = "") -> Specs:
    return load_text(f"service: a\nslos:\n  - {{name: r, objective: 90, window: 6h, {more}sli: {{raw: {sli}}}}}\n")


def samples(*rows: tuple[str, object, dict[str, str]]) -> Samples:
    return Samples.from_series(
        [({"__name__": name, **TARGET, **labels}, TIMES, values) for name, values, labels in rows]
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


def test_values_that_are_not_listed_are_refused() -> None:
    with pytest.raises(DefinitionError, match=r"list the values, such as `route: \[a, b\]`"):
        specs("{errors: 'sum(increase(a_total[$window]))', total: 'sum(increase(b_total[$window]))'}", "by: [route], ")
