"""The notebooks run from top to bottom in a kernel of their own, on a recording and on a server; they are stored without
outputs, and shown with them in the docs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from slo.source.openmetrics import write_openmetrics
from slo.source.recording import write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.window import DAY
from tests.notebooks import NOTEBOOKS, RENDERED, ROOT, executed, markdown
from tests.servers import Prometheus, load_openmetrics

END = 1_790_000_000_000 // DAY * DAY
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def workplace(place: Path, *definitions: str) -> Path:
    """What a notebook finds in the project's folder: definitions."""
    (place / "definitions").mkdir()
    for name in definitions:
        (place / "definitions" / name).symlink_to(ROOT / "definitions" / name)
    return place


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine days of a recording of two definitions."""
    place = workplace(tmp_path_factory.mktemp("notebook"), "hitl-api.yaml", "prometheus.yaml")
    samples, header = simulate(load(place / "definitions"), days=9, seed=1, end_ms=END)
    write(place / "reports" / "out" / "recording.parquet", samples, header)
    return place


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A server whose last nine days are simulated."""
    place = workplace(tmp_path_factory.mktemp("live"), "hitl-api.yaml")
    now = int(time.time()) * 1000
    samples, _ = simulate(load(place / "definitions"), days=9, seed=1, end_ms=now - now % 300_000)
    write_openmetrics(place / "r.txt", samples)
    data = load_openmetrics(place / "r.txt", place / "data")
    with Prometheus(place, data=data) as server:
        yield place, server.url


def check(notebook: Any) -> None:
    """It has figures and charts, and nothing failed or was printed."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.output_type in ("error", "stream")] == []  # no walls of text
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("text/html" in output.get("data", {}) for output in outputs)


# `make slow` runs all.
@pytest.mark.parametrize("path", NOTEBOOKS if "SLO_SLOW" in os.environ else NOTEBOOKS[::2], ids=lambda path: path.stem)
def test_a_notebook_runs_and_reads_well_as_markdown(path: Path, recorded: Path) -> None:
    notebook = executed(path, recorded)
    check(notebook)
    text, pictures = markdown(notebook, path.stem)
    assert pictures and all(f"]({name})" in text for name in pictures)
    assert "<style" not in text and "<table" in text


@pytest.mark.server
@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
@each
def test_with_one_line_changed_it_runs_on_a_server(path: Path, live: tuple[Path, str]) -> None:
    place, url = live
    check(executed(path, place, f'slo.open("{url}")'))


@each
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@each
def test_the_docs_show_it_as_it_is_now(path: Path) -> None:
    """`make docs` writes them anew."""
    shown = (RENDERED / f"{path.stem}.md").read_text(encoding="utf-8")
    at = 0
    for cell in nbformat.read(path, as_version=4).cells:  # type: ignore[no-untyped-call]
        match = shown.find(cell.source.strip(), at)
        assert match >= 0, cell.source
        at = match
    for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", shown):
        assert (RENDERED / link).stat().st_size > 5_000
    assert {path.stem for path in RENDERED.glob("*.md")} == {path.stem for path in NOTEBOOKS}
