"""The pages for those who come from another tool: their files are imported and their commands run, as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from slo.cli import run
from slo.convert.model import Options
from slo.convert.read import convert

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted((DOCS / "coming-from").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_is_followed_by_its_commands(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in blocks(page, "yaml"):
        (tmp_path / text.partition("\n")[0].removeprefix("# ")).write_text(text)
    monkeypatch.chdir(tmp_path)
    commands = [line for text in blocks(page, "sh") for line in text.splitlines()]
    assert len(commands) >= 2
    for line in commands:
        program, *arguments = shlex.split(line)
        assert (program, run(arguments)) == ("slo", 0), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_of_each_page_is_exact(page: Path) -> None:
    [text] = blocks(page, "yaml")
    [result] = convert({"x.yaml": text}, Options())
    assert (result.grade, len(result.drafts)) == ("exact", 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_the_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_page_is_reached_from_importing() -> None:
    text = (DOCS / "importing.md").read_text(encoding="utf-8")
    assert {f"coming-from/{page.name}" for page in PAGES} <= set(re.findall(r"\]\(([^)]+)\)", text))
