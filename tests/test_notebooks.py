"""The notebooks run from top to bottom in a kernel of their own, on a recording, and are stored without outputs."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from slo.source.recording import write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.window import DAY

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
END = 1_790_000_000_000 // DAY * DAY


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a notebook finds in the project's folder: two definitions, and nine days of a recording of them."""
    place = tmp_path_factory.mktemp("notebook")
    (place / "definitions").mkdir()
    for name in ("hitl-api.yaml", "prometheus.yaml"):
        (place / "definitions" / name).symlink_to(ROOT / "definitions" / name)
    samples, header = simulate(load(place / "definitions"), days=9, seed=1, end_ms=END)
    write(place / "reports" / "out" / "recording.parquet", samples, header)
    return place


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel finds the package as the tests do.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(workplace)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output for output in outputs if output.output_type in ("error", "stream")] == []  # no walls of text
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("text/html" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
