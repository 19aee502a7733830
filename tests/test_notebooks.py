"""The notebooks run from top to bottom, on a recording."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot

from slo.source.recording import write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.window import DAY

ROOT = Path(__file__).parent.parent
END = 1_790_000_000_000 // DAY * DAY


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a notebook finds in the project's folder: two definitions, and three days of a recording of them."""
    place = tmp_path_factory.mktemp("notebook")
    (place / "definitions").mkdir()
    for name in ("hitl-api.yaml", "prometheus.yaml"):
        (place / "definitions" / name).symlink_to(ROOT / "definitions" / name)
    samples, header = simulate(load(place / "definitions"), days=3, seed=1, end_ms=END)
    write(place / "reports" / "out" / "recording.parquet", samples, header)
    return place


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_and_is_stored_without_outputs(
    path: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mpl.use("svg")
    monkeypatch.chdir(workplace)
    names: dict[str, object] = {}
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert cells
    for cell in cells:
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
        exec(compile("".join(cell["source"]), path.name, "exec"), names)  # noqa: S102
    pyplot.close("all")
