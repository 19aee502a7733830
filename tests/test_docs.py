"""The documentation holds: links lead somewhere, examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import slo as package
from slo.budget.model import Budget
from slo.sli.kinds import KINDS
from slo.source.recording import write
from slo.source.simulation import simulate
from slo.spec.load import load, loads
from slo.spec.short import SHORT, expand
from slo.window import DAY
from tests.cli.test_cli import COMMANDS
from tests.shell import run as slo

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, heading = target.partition("#")
        place = (page.parent / path) if path else page
        assert place.exists(), f"{page.name}: {target}"
        if heading:
            slugs = [
                re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-")
                for h in re.findall(r"^#+ (.*)$", place.read_text(), re.M)
            ]
            assert heading in slugs, f"{page.name}: {target}"


def test_every_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert f"docs/{page.name}" in readme, f"the README does not link {page.name}"


def test_definitions_in_the_documentation_are_valid() -> None:
    count = 0
    for page in (ROOT / "README.md", ROOT / "docs" / "definitions.md"):
        for text in blocks(page, "yaml"):
            if text.startswith("service:"):
                problems: list[object] = []
                loads(text, page.name, problems)  # type: ignore[arg-type]
                assert problems == []
                count += 1
    assert count >= 2


def test_the_readme_shows_every_kind_of_sli() -> None:
    [text] = [text for text in blocks(ROOT / "README.md", "yaml") if text.startswith("service:")]
    [service] = loads(text, "README.md", [])
    assert {slo.sli.key for slo in service.slos} == set(KINDS)


def test_every_check_of_a_source_is_documented() -> None:
    """The names that findings have, in the table of docs/commands.md."""
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "slo" / "check").glob("*.py")))
    named = set(re.findall(r'(?:\.finding|Finding)\(\s*"([a-z-]+)"', source))
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    table = page.partition("| check | what must hold |")[2].partition("\n\n")[0]
    assert named == set(re.findall(r"^\| `([a-z-]+)` \|", table, re.M))


def test_short_forms_in_the_docs_are_those_that_there_are() -> None:
    page = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
    table = page.partition("| short | long |")[2].partition("\n\n")[0]
    shown = dict(re.findall(r"^\| `([a-z]+): (.+?)` \|", table, re.M))
    assert set(shown) == set(SHORT)
    for kind, text in shown.items():
        assert expand({"slos": [{"sli": {kind: text}}]})["slos"][0]["sli"][kind] != text


def test_commands_in_the_readme_exist() -> None:
    named = {
        line.split()[1]
        for text in blocks(ROOT / "README.md", "sh")
        for line in text.splitlines()
        if line.startswith("slo ")
    }
    assert named
    assert named <= set(COMMANDS)
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"(?:`|^)make ([a-z]+)", (ROOT / "README.md").read_text(), re.M)
    assert {"report", "test"} <= set(targets)
    for target in targets:
        assert f"\n{target}:" in makefile


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_in_the_docs_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page one after the other, as in a notebook."""
    end = 1_790_000_000_000 // DAY * DAY
    (tmp_path / "definitions").mkdir()
    for name in ("faciliauto.yaml", "hitl-api.yaml"):
        (tmp_path / "definitions" / name).symlink_to(ROOT / "definitions" / name)
    samples, header = simulate(load(tmp_path / "definitions"), days=2, seed=1, end_ms=end)
    write(tmp_path / "reports" / "out" / "recording.parquet", samples, header)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for text in blocks(ROOT / page, "python"):
        exec(compile(text, page, "exec"), names)  # noqa: S102
    assert (tmp_path / "out" / "index.html").exists()


def test_every_public_name_is_on_the_python_page() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert [name for name in package.__all__ if not re.search(rf"\bslo\.{name}\b|`{name}`", page)] == []
    budget = page.partition("A `Budget` is figures only")[2].partition("\n\n")[0]
    for name in re.findall(r"`(\w+)[`(]", budget):
        assert hasattr(Budget, name) or name in Budget.__dataclass_fields__, name


def test_the_readmes_first_commands_run(tmp_path: Path) -> None:
    for command in ("check", "rules"):
        done = slo(
            command, "definitions/", *(["-o", str(tmp_path / "rules.yml")] if command == "rules" else []), cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "rules.yml").stat().st_size > 10_000
