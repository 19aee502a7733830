"""An invalid, a fresh, a healthy and an absent SLO, read in every form: the same state, the same figures or none."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.notebook import to_html
from slo.promql.samples import Samples
from slo.review import review
from slo.source import open as open_source
from slo.source.recording import Header, write
from slo.spec.load import load
from slo.window import DAY, HOUR, MINUTE
from tests.e2e.test_same_figures import _of, plain
from tests.shell import run

ROOT = Path(__file__).parent.parent.parent
END = round(datetime(2026, 11, 26, 23, 30, tzinfo=UTC).timestamp()) * 1000
DEFINITION = """\
service: shop
defaults: {objective: 99, window: 7d, scrape_interval: 1m}
slos:
  - {name: healthy, objective: 99, sli: {ratio: {errors: 'old_total{code="500"}', total: old_total}}}
  - {name: fresh, objective: 99, sli: {ratio: {errors: 'new_total{code="500"}', total: new_total}}}
  - {name: fresh-too, objective: 99, window: 30d, sli: {ratio: {errors: 'new_total{code="500"}', total: new_total}}}
  - {name: invalid, objective: 99, sli: {ratio: {errors: old_total, total: 'old_total{code="200"}'}}}
  - {name: absent, objective: 99, sli: {ratio: {errors: 'no_total{code="500"}', total: no_total}}}
""".replace("defaults: {objective: 99, window", "defaults: {window")
NAMES = ("healthy", "fresh", "fresh-too", "invalid", "absent")


@dataclass
class Forms:
    """What each form says of each SLO."""

    status: dict[str, dict[str, Any]]
    json: dict[str, dict[str, Any]]
    sheet: dict[str, dict[str, str]]
    table: dict[str, str]
    reported: list[str]
    markdown: str
    rows: dict[str, str]
    page: dict[str, str]
    whole: str
    notebook: dict[str, str]
    gate: int
    gated: str


def counter(name: str, age_ms: int, bad: int) -> list[tuple[dict[str, str], Any, Any]]:
    """Ten requests a minute, `bad` of each hundred of them failing, for so long."""
    times = np.arange(END - age_ms, END + 1, MINUTE)
    errors = bad * (np.arange(len(times)) // 10).astype(float)
    labels = {"__name__": name, "job": "shop", "instance": "a"}
    return [
        ({**labels, "code": "200"}, times, 10.0 * np.arange(len(times)) - errors),
        ({**labels, "code": "500"}, times, errors),
    ]


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Forms:
    place = tmp_path_factory.mktemp("states")
    (place / "shop.yaml").write_text(DEFINITION)
    rows = counter("old_total", 41 * DAY, 0) + counter("new_total", HOUR, 0)
    # Every hundredth request of the week fails: the last hour of it is quiet.
    errors = np.where(rows[1][1] <= END - 2 * HOUR, rows[1][1] // (1000 * MINUTE), (END - 2 * HOUR) // (1000 * MINUTE))
    rows[1] = (rows[1][0], rows[1][1], (errors - errors[0]).astype(float))
    rows[0] = (rows[0][0], rows[0][1], 10.0 * np.arange(len(errors)) - rows[1][2])
    write(place / "r.parquet", Samples.from_series(rows), Header(END - 41 * DAY, END, "a test"))

    def slo(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = run(*words, cwd=place, env=os.environ | {"COLUMNS": "250"})
        assert done.returncode == code, done.stderr
        return done

    formats = [word for name in ("html", "markdown", "json", "csv") for word in ("--format", name)]
    slo("report", "shop.yaml", "-s", "r.parquet", "-o", "out", *formats)
    status = json.loads(slo("status", "shop.yaml", "-s", "r.parquet", "--json").stdout)["slos"]
    shown = slo("status", "shop.yaml", "-s", "r.parquet")
    lines = shown.stdout.splitlines()
    budgets = review(load(place / "shop.yaml"), open_source(place / "r.parquet"))
    notebook = {budget.slo.name: to_html(budget) for budget in budgets}
    gated = slo("status", "shop.yaml", "-s", "r.parquet", "--fail-on-exhausted", code=1)
    page = (place / "out" / "index.html").read_text()
    articles = [plain(text) for text in re.findall(r"<article.*?</article>", page, re.S)]
    summary = [plain(text) for text in re.findall(r'<tr class="[a-z-]+" data-owner=.*?</tr>', page, re.S)]
    return Forms(
        status={row["name"]: row for row in status},
        json={entry["name"]: entry for entry in json.loads((place / "out" / "report.json").read_text())["slos"]},
        sheet={row["name"]: row for row in csv.DictReader((place / "out" / "report.csv").open())},
        table={name: " ".join(_of(lines[: len(NAMES) + 1], f"shop/{name} ", 80).split()) for name in NAMES},
        reported=shown.stderr.splitlines(),
        markdown=(place / "out" / "report.md").read_text().replace("\\", ""),
        rows={name: _of(summary, f"shop / {name} ", 80) for name in NAMES},
        page={name: _of(articles, f"shop / {name} ", 60) for name in NAMES},
        whole=page,
        notebook={name: plain(text) for name, text in notebook.items()},
        gate=gated.returncode,
        gated=gated.stderr,
    )


def texts(forms: Forms, name: str) -> list[str]:
    """What people read of one SLO: the terminal, the page, its summary, Markdown, a notebook."""
    [line] = [line for line in forms.markdown.splitlines() if f"| shop/{name} |" in line]
    return [forms.table[name], forms.page[name], forms.rows[name], line, forms.notebook[name]]


@pytest.mark.parametrize(
    ("name", "state"),
    [("healthy", "healthy"), ("fresh", "healthy"), ("fresh-too", "healthy"), ("invalid", "invalid"), ("absent", "no data")],
)  # fmt: skip
def test_the_state_is_the_same_everywhere(forms: Forms, name: str, state: str) -> None:
    assert forms.status[name]["state"] == forms.json[name]["state"] == forms.sheet[name]["state"] == state
    for text in texts(forms, name):
        assert state in text.lower(), text
        assert name in ("healthy", "fresh", "fresh-too") or "healthy" not in text.lower()


def test_the_healthy_one_has_its_figures_everywhere(forms: Forms) -> None:
    """One of ten thousand failed: by hand 10,080 minutes of ten requests, ten errors in them."""
    raw = forms.json["healthy"]
    assert raw["events"]["total"] == 100_800 and raw["events"]["errors"] == 10
    assert raw["error_budget"]["remaining"] == pytest.approx(1 - 10 / 1008)
    assert raw["data_start"] is None and raw["coverage"] == 1 and raw["notes"] == []
    assert (forms.sheet["healthy"]["total"], forms.sheet["healthy"]["errors"]) == ("100800.0", "10.0")
    for text in texts(forms, "healthy"):
        assert "99.0%" in text and "n/a" not in text.replace("n/a since", "").replace("n/a from", ""), text
    assert "100%" in forms.table["healthy"]  # its coverage


def test_the_invalid_one_has_no_figure_anywhere(forms: Forms) -> None:
    cause = "100,800 errors of 100,790 events in the window: errors cannot exceed the total"
    for raw in (forms.status["invalid"], forms.json["invalid"]):
        assert raw["notes"][0]["code"] == "impossible" and raw["notes"][0]["text"].startswith(cause)
        assert set(raw["events"].values()) == {None} == set(raw["burn_rates"].values())
        for field in ("sli", "error_ratio", "incidents", "breakdown", "outages", "remaining_change", "earlier", "previous",
                      "mttr_seconds", "mtbf_seconds", "without_maintenance"):  # fmt: skip
            assert raw[field] is None, field
        for field in ("consumed", "remaining", "exhaustion", "forecast"):
            assert raw["error_budget"][field] is None, field
        assert raw["policy"] == [] and not any(alert["firing"] for alert in raw["alerts"])
    row = forms.sheet["invalid"]
    known = {"service", "name", "state", "objective_percent", "window", "start", "end", "coverage"}
    assert {column for column, value in row.items() if value} == known
    for text in texts(forms, "invalid"):
        assert "n/a" in text or "withheld" in text
        # The objective and the coverage are not measured events; no other percentage is there.
        left = re.sub(r"objective 99%|of 99%|99% 7d|99% over|100% covered|Data coverage 100%|Error budget 1%", "", text)
        left = re.sub(r"shop/invalid 99%|n/a 100% invalid", "", left)
        assert not re.findall(r"\d%", left), left
    assert any(line.startswith(f"shop/invalid: {cause}") for line in forms.reported)
    for text in (forms.page["invalid"], forms.rows["invalid"], forms.notebook["invalid"], forms.markdown):
        assert cause in text
    assert "<b>1</b> invalid" in forms.whole and "1 invalid" in forms.markdown
    for text in (forms.whole, forms.markdown, *forms.notebook.values(), *forms.table.values()):
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_the_fresh_ones_are_reported_once(forms: Forms) -> None:
    """An hour of a week is 0.59 %, of 30 d 0.13 %."""
    for name, share, coverage in (("fresh", "0.59%", 1 / 168), ("fresh-too", "0.13%", 1 / 720)):
        raw = forms.json[name]
        assert [note["code"] for note in raw["notes"]] == ["fresh"]
        assert raw["notes"][0]["text"] == f"data begins 26 Nov 22:30 UTC ({share} of the window)"
        assert raw["data_start"] == "2026-11-26T22:30:00Z" == forms.sheet[name]["data_start"]
        assert raw["coverage"] == pytest.approx(coverage) == float(forms.sheet[name]["coverage"])
        assert (raw["events"]["total"], raw["events"]["errors"]) == (600, 0)
        assert f"ata begins 26 Nov 22:30 UTC ({share} of the window)" in forms.page[name]
        assert f"data begins 26 Nov 22:30 UTC ({share} of the window)" in forms.notebook[name]
        assert forms.table[name].endswith(f"0.0x {share} healthy")  # the coverage
    once = "shop/fresh, shop/fresh-too: data begins 26 Nov 22:30 UTC (0.59% of 7d, 0.13% of 30d)"
    assert forms.reported.count(once) == 1 and sum("data begins" in line for line in forms.reported) == 1
    assert forms.markdown.count(once) == 1 and plain(forms.whole).count(once) == 1
    everything = "\n".join([*forms.reported, forms.markdown, plain(forms.whole), *forms.notebook.values()])
    assert "no scrapes for" not in everything and "low traffic" not in everything
    # Days without data are not days without errors.
    assert (
        forms.page["fresh"].count("n/a") > 6
        and "26 Nov 0" in forms.page["fresh"]
        and "25 Nov n/a" in forms.page["fresh"]
    )


def test_the_worst_come_first_and_a_gate_stays_shut(forms: Forms) -> None:
    order = ["invalid", "absent", "fresh", "fresh-too", "healthy"]
    places: list[Callable[[str], int]] = [
        lambda name: list(forms.json).index(name),
        lambda name: list(forms.sheet).index(name),
        lambda name: forms.markdown.index(f"| shop/{name} |"),
    ]
    for place in places:
        assert sorted(NAMES, key=place)[:2] == order[:2]
    assert forms.gate == 1 and "\ninvalid: shop/invalid\n" in forms.gated and "\nno data: " not in forms.gated
