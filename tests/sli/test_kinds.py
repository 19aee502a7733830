"""A kind of SLI is one file: nothing outside `slo/sli` tells kinds apart, and a new one needs nothing else."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import slo
from slo.budget.evaluate import evaluate
from slo.errors import SloError
from slo.fields import Model, Selector
from slo.promql.ast import Binary, Call, MatrixSelector, Node, Number, VectorSelector
from slo.promql.samples import Samples
from slo.reading import Path as YamlPath
from slo.reading import Report, read_selector
from slo.report.page import render
from slo.rules import compile_specs, to_yaml
from slo.sli.base import Measured, Reader, Scraping, Sli, Surroundings
from slo.sli.counts import Grid
from slo.sli.kinds import KINDS
from slo.sli.slices import measure_slices, slices_tile
from slo.sli.tile import Tile
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.spec.model import Objective, Service, Slo, Specs
from slo.window import MINUTE, Rolling, parse_duration
from tests.memory import Memory

ROOT = Path(__file__).parent.parent.parent
NAMES = {kind.__name__ for kind in KINDS.values()} | {"NativeLatency"}


@pytest.mark.parametrize("path", sorted((ROOT / "slo").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_outside_matches_on_kinds(path: Path) -> None:
    if path.parent.name == "sli":
        return
    if path.parent.name == "convert" and (path.stem == "export" or path.stem.startswith("to_")):
        return  # it says which of the kinds another tool has too, and refuses any other by name
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.MatchClass):
            assert ast.unparse(node.cls) not in NAMES, f"{path}:{node.lineno} matches on a kind"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            named = {inner.id for inner in ast.walk(node.args[1]) if isinstance(inner, ast.Name)}
            assert not named & NAMES, f"{path}:{node.lineno} asks for a kind"


class HeartbeatModel(Model):
    """A counter that must move."""

    metric: Selector


@dataclass(frozen=True)
class Heartbeat(Sli):
    """A counter that must move in every minute: a minute without a change is bad."""

    key: ClassVar[str] = "heartbeat"
    model: ClassVar[type[Model]] = HeartbeatModel

    metric: VectorSelector

    @classmethod
    def read(cls, model: Any, at: YamlPath, report: Report, around: Surroundings) -> Heartbeat:
        return cls(read_selector(model.metric, (*at, "metric"), report))

    @property
    def slice_ms(self) -> int:
        return MINUTE

    @property
    def bad(self) -> Node:
        return Binary("==", Call("changes", (MatrixSelector(self.metric, MINUTE),)), Number(0.0), return_bool=True)

    def selectors(self) -> tuple[VectorSelector, ...]:
        return (self.metric,)

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        return measure_slices(self.bad, MINUTE, reader, grid, first)

    def errors_tile(self, tile: Tile) -> Node:
        return slices_tile(self.bad, MINUTE, tile, "errors")

    def total_tile(self, tile: Tile) -> Node:
        return slices_tile(self.bad, MINUTE, tile, "total")

    def describe(self) -> str:
        return "minutes, bad where nothing moved"


def a_slo() -> Slo:
    sli = Heartbeat.read(HeartbeatModel(metric="beats_total"), (), lambda *_: None, Surroundings(None, (), 30_000, {}))
    return Slo("pump", "beats", Objective(Decimal(90)), Rolling(parse_duration("6h")), sli)


def test_a_new_kind_is_evaluated_compiled_and_reported() -> None:
    """Six hours of scrapes each 15 s; the counter stands still for an hour."""
    end = 1_798_761_600_000
    times = np.arange(end - 8 * 60 * MINUTE, end + 1, 15_000)
    still = (times > end - 2 * 60 * MINUTE) & (times <= end - 60 * MINUTE)
    rows = [({"__name__": "beats_total", "job": "pump"}, times, np.cumsum(np.where(still, 0.0, 1.0)))]
    budget = evaluate(a_slo(), Memory(Samples.from_series(rows), end), end)
    assert (budget.errors, budget.total) == (60, 360)
    assert budget.state is slo.State.EXHAUSTED
    groups, problems = compile_specs(Specs([Service("pump", "", {}, (a_slo(),), "")]))
    assert problems == []
    assert "changes(beats_total[1m])" in to_yaml(groups)
    page = render([budget], title="pump", generated=datetime(2027, 1, 1, tzinfo=UTC))
    assert "minutes, bad where nothing moved" in page


def test_a_kind_that_a_simulation_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(SloError, match="pump/beats"):
        simulate(Specs([Service("pump", "", {}, (a_slo(),), "")]), days=1, seed=1, end_ms=1_798_761_600_000)


def test_every_kind_is_in_a_definition() -> None:
    """All kinds of a definition are read by their own files, and their names are the keys of the YAML."""
    found = {type(in_use.sli).key for in_use in load(ROOT / "definitions").values()}
    assert found <= set(KINDS)
    assert {"ratio", "latency", "probe", "threshold", "freshness", "outage"} <= found
