"""Public files of other tools: what became of each, by its hash. The files are not part of this project."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from slo.cli import run
from slo.convert.model import Imported, Options
from slo.convert.read import convert
from slo.convert.verify import verify
from slo.convert.write import file_text
from slo.errors import SloError
from slo.source.recording import Recording, write
from slo.source.simulation import simulate
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.servers import promtool

CORPUS = os.environ.get("SLO_CORPUS", "")
PINNED: dict[str, list[str]] = json.loads((Path(__file__).parent / "outcomes.json").read_text(encoding="utf-8"))
# The one chart among them, with values and helpers made up: its own are not in the folder.
CHART = Options(
    values={
        "managementCluster": {"customer": "c", "name": "n", "pipeline": "p", "region": "r", "provider": {"kind": "k"}}
    }
)
HELPERS = """{{ define "workingHoursOnly" }}"true"{{ end }}{{ define "providerTeam" }}'web'{{ end }}
{{ define "cloud.providers" }}"aws|azure"{{ end }}"""
pytestmark = pytest.mark.skipif(not CORPUS, reason="SLO_CORPUS names no folder of public definitions")


def files() -> dict[str, str]:
    """Their texts by hash, in the order of their paths."""
    paths = sorted(path for path in Path(CORPUS).rglob("*") if path.is_file() and path.name != "MANIFEST.md")
    return {
        hashlib.sha256(path.read_bytes()).hexdigest()[:16] + path.suffix: path.read_text(encoding="utf-8")
        for path in paths
    }


def outcome(result: Imported) -> list[str]:
    """A line for each SLO: its grade, kind and name; or that it was refused, and the beginning of why."""
    drafts = [f"{draft.grade} {draft.kind} {draft.entry['name']}" for draft in result.drafts]
    return drafts + [f"refused {refusal.reason[:60]}" for refusal in result.refusals]


@pytest.fixture(scope="module")
def results() -> dict[str, Imported]:
    pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    return {file: convert({file: text}, Options())[0] for file, text in files().items()}


def test_each_file_becomes_what_it_became(results: dict[str, Imported]) -> None:
    outcomes = {file: outcome(result) for file, result in results.items() if file in PINNED}
    assert outcomes == {file: lines for file, lines in PINNED.items() if file in outcomes}
    assert len(outcomes) >= 60


def test_every_file_has_an_outcome(results: dict[str, Imported]) -> None:
    assert all(outcome(result) for result in results.values())


def test_what_is_written_passes_slo_check_and_promtool(results: dict[str, Imported], tmp_path: Path) -> None:
    for number, result in enumerate(results.values()):
        if result.services:
            (tmp_path / f"{number}").mkdir()
            (tmp_path / f"{number}" / "d.yaml").write_text(file_text(result), encoding="utf-8")
            assert run(["rules", str(tmp_path / f"{number}"), "-o", str(tmp_path / f"{number}.rules")]) == 0
    done = promtool("check", "rules", *map(str, sorted(tmp_path.glob("*.rules"))))
    assert done.returncode == 0, done.stdout + done.stderr


def share(results: dict[str, Imported], tool: str) -> tuple[int, int]:
    """How many SLOs of a tool are exact without `raw`, of how many."""
    own = [result for result in results.values() if result.tool == tool]
    exact = sum(draft.grade == "exact" and draft.kind != "raw" for result in own for draft in result.drafts)
    return exact, sum(len(result.drafts) + len(result.refusals) for result in own)


def test_nearly_all_slos_of_pyrra_are_exact_without_raw(results: dict[str, Imported]) -> None:
    exact, of = share(results, "a Pyrra file")
    assert exact >= 0.95 * of


def test_most_slos_of_sloth_are_exact_without_raw(results: dict[str, Imported]) -> None:
    """With the chart rendered, and with all that no tool could take over: made-up error ratios (the plugin `fake`), quantiles as
    numbers of events, an objective of 101."""
    rendered = {
        file: convert({file: text, "_helpers.tpl": HELPERS}, CHART)[0]
        for file, text in files().items()
        if results[file].tool == "a Sloth file"
    }
    assert not [reason for result in rendered.values() for reason in outcome(result) if "Helm" in reason]
    exact, of = share(rendered, "a Sloth file")
    assert (exact, of) == (24, 33)
    assert exact >= 0.7 * of


def test_on_simulated_traffic_both_figures_are_alike_or_it_is_said_why(
    results: dict[str, Imported], tmp_path: Path
) -> None:
    """For all SLOs whose original is PromQL: the error ratio of its expression, and ours, over a day with incidents and restarts."""
    alike = 0
    for file, result in results.items():
        if not result.services:
            continue
        try:
            samples, header = simulate(
                Specs(loads(file_text(result), file, [])), days=1, seed=1, end_ms=1_790_000_000_000
            )
        except SloError as error:
            assert "cannot simulate" in str(error)
            continue
        write(tmp_path / "r.parquet", samples, header)
        for comparison in verify([result], Recording.open(tmp_path / "r.parquet")):
            if comparison.theirs is None or comparison.ours is None:
                assert comparison.why or comparison.theirs == comparison.ours, comparison
            elif abs(comparison.theirs - comparison.ours) <= 0.002 * comparison.ours:
                alike += 1
            else:
                assert comparison.why, comparison
    assert alike >= 15
