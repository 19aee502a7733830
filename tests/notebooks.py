"""`python -m tests.notebooks [FOLDER]` writes docs/notebooks: each notebook as it looks once it has run.

They run on forty simulated days that end on a fixed day; in git a notebook is stored without what it gave.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

from slo.source.recording import write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.window import parse_moment

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RENDERED = ROOT / "docs" / "notebooks"
END = parse_moment("2026-11-21T00:00:00Z")
OPENED = 'slo.open("reports/out/recording.parquet")'


def executed(path: Path, place: Path, source: str = OPENED) -> Any:
    """A notebook, run in a kernel in `place`, with the one line changed that opens its source."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    changed = 0
    for cell in notebook.cells:
        if cell.cell_type == "code" and OPENED in cell.source:
            cell.source = cell.source.replace(OPENED, source)
            changed += 1
    assert changed == 1, f"{path.name} opens its source in {changed} places"
    # The kernel finds the package as whoever runs this does.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(part for part in (str(ROOT), before) if part)
    try:
        NotebookClient(
            notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(place)}}
        ).execute()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return notebook


def markdown(notebook: Any, stem: str) -> tuple[str, dict[str, bytes]]:
    """A notebook that has run as Markdown, and its pictures by their names."""
    exporter: Any = MarkdownExporter()  # type: ignore[no-untyped-call]
    body, resources = exporter.from_notebook_node(
        notebook, resources={"unique_key": stem, "output_files_dir": f"{stem}_files"}
    )
    # What shows Markdown shows a table's style sheet as text.
    body = re.sub(r"<style.*?</style>\n?", "", body, flags=re.S)
    body = re.sub(r"[ \t]+$", "", body, flags=re.M)
    head = f"[The notebook](../../notebooks/{stem}.ipynb), as it looks once it has run on forty simulated days.\n\n"
    return head + re.sub(r"\n{3,}", "\n\n", body).strip() + "\n", resources["outputs"]


def main(folder: Path) -> None:
    """Runs and writes them all."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "definitions").symlink_to(ROOT / "definitions")
        samples, header = simulate(load(place / "definitions"), days=40, seed=1, end_ms=END)
        write(place / "reports" / "out" / "recording.parquet", samples, header)
        shutil.rmtree(folder, ignore_errors=True)
        for path in NOTEBOOKS:
            text, pictures = markdown(executed(path, place), path.stem)
            for file, content in {f"{path.stem}.md": text.encode(), **pictures}.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                (folder / file).write_bytes(content)
            print(folder / f"{path.stem}.md")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RENDERED)
