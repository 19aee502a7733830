"""One figure, wherever it is read: HTML, Markdown, CSV, JSON, the terminal, a notebook."""

from __future__ import annotations

import csv
import html
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from slo.display import show_count, show_percent, show_rate
from slo.source.recording import write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.window import DAY
from tests.shell import run

ROOT = Path(__file__).parent.parent.parent
END = 1_790_000_000_000 // DAY * DAY
BOOK = (
    "import slo\nfrom IPython.display import display\n"
    'specs = slo.load("definitions")\n'
    'for budget in slo.review(specs, slo.open("r.parquet")):\n'
    "    display(budget)"
)


@dataclass
class Read:
    """What each form says of each SLO: JSON raw, the others as text with single spaces."""

    raw: Mapping[str, Mapping[str, Any]]
    page: Mapping[str, str]
    summary: Mapping[str, str]
    markdown: Mapping[str, str]
    sheet: Mapping[str, Mapping[str, str]]
    terminal: Mapping[str, str]
    notebook: Mapping[str, str]


def plain(text: str) -> str:
    """Without tags, entities and line breaks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    place = tmp_path_factory.mktemp("same")
    (place / "definitions").mkdir()
    for name in ("hitl-api.yaml", "mcp-ultra.yaml", "prometheus.yaml"):
        (place / "definitions" / name).symlink_to(ROOT / "definitions" / name)
    samples, header = simulate(load(place / "definitions"), days=9, seed=4, end_ms=END)
    write(place / "r.parquet", samples, header)

    def slo(*words: str) -> str:
        done = run(*words, cwd=place, env=os.environ | {"COLUMNS": "250"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    formats = [word for name in ("html", "markdown", "json", "csv") for word in ("--format", name)]
    slo("report", "definitions", "--source", "r.parquet", "-o", "out", *formats)
    terminal = slo("status", "definitions", "--source", "r.parquet")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BOOK)])  # type: ignore[no-untyped-call]
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(place)}}).execute()
    finally:
        os.environ.pop("PYTHONPATH")
        if old is not None:
            os.environ["PYTHONPATH"] = old
    raw = {entry["slo"]: entry for entry in json.loads((place / "out" / "report.json").read_text())["slos"]}
    page = (place / "out" / "index.html").read_text()
    slos = "".join(path.read_text() for path in (place / "out" / "slos").glob("*.html"))
    articles = [plain(text) for text in re.findall(r"<article.*?</article>", slos, re.S)]
    rows = [plain(text) for text in re.findall(r'<tr class="[a-z-]+" data-owner=.*?</tr>', page, re.S)]
    tables = [plain(output["data"]["text/html"]) for output in notebook.cells[0].outputs]
    lines = (place / "out" / "report.md").read_text().replace("\\", "").splitlines()
    sheet = csv.DictReader((place / "out" / "report.csv").open())
    return Read(
        raw=raw,
        page={name: _of(articles, name.replace("/", " / "), 60) for name in raw},
        summary={name: _of(rows, name.replace("/", " / "), 80) for name in raw},
        markdown={name: _of([line for line in lines if line.startswith("|")], f"| {name} |", 80) for name in raw},
        sheet={f"{row['service']}/{row['name']}": row for row in sheet},
        terminal={name: " ".join(_of(terminal.splitlines(), f"{name} ", 80).split()) for name in raw},
        notebook={name: _of(tables, f"{name} ", 80) for name in raw},
    )


def _of(texts: list[str], name: str, within: int) -> str:
    [line] = [text for text in texts if name in text[:within]]
    return line


def test_every_objective_is_in_every_form(read: Read) -> None:
    assert len(read.raw) > 15
    for form in (read.page, read.summary, read.markdown, read.sheet, read.terminal, read.notebook):
        assert set(form) == set(read.raw)


def test_the_figures_are_the_same_everywhere(read: Read) -> None:
    for name, raw in read.raw.items():
        left = show_percent(raw["error_budget"]["remaining"])
        burn = [show_rate(raw["burn_rates"][window]) for window in ("1h", "6h", "3d")]
        errors, total = show_count(raw["events"]["errors"]), show_count(raw["events"]["total"])
        texts = (read.page[name], read.summary[name], read.markdown[name], read.terminal[name], read.notebook[name])
        for text in texts:
            assert re.search(rf"(?<![\d.−-]){re.escape(left)}", text), (name, left, text)
            assert raw["state"] in text.lower(), (name, text)
        for text in texts[1:]:
            rates = r"\s*/?\s*".join(map(re.escape, burn))
            assert re.search(rates, text), (name, burn, text)
        for text in (read.page[name], read.notebook[name]):
            assert errors in text and total in text, (name, errors, total)
        sheet = read.sheet[name]
        assert float(sheet["errors"]) == raw["events"]["errors"]
        assert float(sheet["total"]) == raw["events"]["total"]
        assert sheet["remaining"] == str(raw["error_budget"]["remaining"])
        assert sheet["sli"] == str(raw["sli"])
        # The SLI is shown to as many digits as each has room for, and rounded down everywhere.
        for text in texts:
            reported = [float(figure) / 100 for figure in re.findall(r"(?<![\d.−-])(\d+(?:\.\d+)?)%", text)]
            assert any(0 <= raw["sli"] - figure < 1e-4 for figure in reported), (name, raw["sli"], text)


def test_the_bad_events_are_those_of_the_forecast_and_the_breakdown(read: Read) -> None:
    for name, raw in read.raw.items():
        for breakdown in raw["breakdown"]:
            reported = sum(value["errors"] for value in breakdown["values"]) + breakdown["others"]["errors"]
            assert reported == pytest.approx(raw["events"]["errors"]), (name, breakdown["label"])
        if raw["remaining_change"] is not None:
            assert raw["remaining_change"] == raw["error_budget"]["remaining"] - raw["earlier"]["remaining"]
