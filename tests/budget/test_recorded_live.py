"""A real Prometheus whose recorded series were made by `slo backfill`: every kind gives the figures of raw samples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from slo.backfill import backfill
from slo.budget.evaluate import evaluate, evaluate_all
from slo.budget.model import Budget
from slo.budget.recorded import reading
from slo.cli.main import run as slo
from slo.promql.samples import Series
from slo.source import open as open_source
from slo.source.openmetrics import lines_by_block
from slo.spec.load import load_text
from slo.window import DAY, HOUR
from tests.budget.test_recorded import DEFINITION, END, SUMMED, alike, made, raw
from tests.servers import Prometheus, load_openmetrics

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it"),
]
SPECS = load_text(DEFINITION, "shop.yaml")


def written(path: Path, series: Sequence[Series]) -> Path:
    """As OpenMetrics text."""
    with path.open("wb") as file:
        for row in series:
            file.writelines(lines for _, lines in lines_by_block(row, 1000 * DAY))
        file.write(b"# EOF\n")
    return path


@pytest.fixture(scope="module", params=["prometheus", "prometheus2"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    place = tmp_path_factory.mktemp(request.param)
    data = load_openmetrics(written(place / "raw.om", raw().series), place / "data")
    with Prometheus(place, data=data, binary=request.param) as running:
        backfill(SPECS, open_source(running.url), place / "om", END - 20 * HOUR, END)
    text = place / "recorded.om"
    lines = [
        line for file in sorted((place / "om").glob("*.om")) for line in file.read_bytes().splitlines(keepends=True)
    ]
    text.write_bytes(b"".join(line for line in lines if not line.startswith(b"#")) + b"# EOF\n")
    load_openmetrics(text, data)
    with Prometheus(place, data=data, binary=request.param) as running:
        yield running


def figures(budget: Budget) -> tuple[object, ...]:
    return budget.slo.id, budget.end, budget.errors, budget.total, budget.state, budget.burn_rate("1h")


@pytest.mark.parametrize("name", [spec.name for spec in SPECS.values()])
def test_figures_are_those_of_raw_samples(server: Prometheus, name: str) -> None:
    """Sixteen hours of recorded series, the day before from raw samples, every step of both."""
    source = open_source(server.url)
    for budget in evaluate_all([SPECS[f"shop/{name}"]], reading(source, "auto"), END):
        expected = evaluate(budget.slo, source, budget.end_ms)
        assert figures(budget) == figures(expected)
        np.testing.assert_array_equal(budget.counts.errors, expected.counts.errors)
        np.testing.assert_array_equal(budget.counts.total, expected.counts.total)
        [note] = [entry.text for entry in budget.notes if entry.code == "recorded"]
        assert "from recorded series" in note
        assert "from raw samples" in note


def test_sums_are_those_of_steps(server: Prometheus, tmp_path: Path) -> None:
    """Windows that lie within what is recorded, of three days too: of which a server here has twenty hours, all with traffic."""
    source = open_source(server.url)
    slos = [SPECS[f"shop/{name}"] for name in ("ratio", "day", "latency")]
    for actual, expected in zip(
        evaluate_all(slos, reading(source, "auto"), END, steps=False),
        evaluate_all(slos, reading(source, "auto"), END),
        strict=True,
    ):
        assert actual.sums is None, "three days are not recorded"
        assert figures(actual) == figures(expected)


def test_the_command(server: Prometheus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(DEFINITION)
    asked = ["status", str(file), "-s", server.url, "--end", str(END / 1000)]
    tables = []
    for how in ("auto", "raw"):
        assert slo([*asked, "--from", how]) == 0
        tables.append(capsys.readouterr().out.splitlines())
    assert len(tables[0]) == len(tables[1]) == 15
    assert sorted(line.split()[0] for line in tables[0]) == sorted(line.split()[0] for line in tables[1])
    assert slo([*asked, "--from", "live"]) == 2
    assert "'live' is not where figures can come from" in capsys.readouterr().err


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Five days of made tiles alone, of some kinds."""
    place = tmp_path_factory.mktemp("month")
    series = [row for name in SUMMED for row in made(name)]
    data = load_openmetrics(written(place / "made.om", series), place / "data")
    with Prometheus(place, data=data) as running:
        yield running


def test_a_server_adds_up_what_steps_do(month: Prometheus) -> None:
    source = open_source(month.url)
    slos = [SPECS[f"shop/{name}"] for name in SUMMED]
    for actual, expected in zip(
        evaluate_all(slos, reading(source, "auto"), END, steps=False),
        evaluate_all(slos, reading(source, "recorded"), END),
        strict=True,
    ):
        assert actual.sums is not None, actual.slo.id
        assert actual.total > 0
        alike(actual, expected)
