"""The documentation as a site: the navigation is whole, links lead somewhere, the API pages have every public name. Without mkdocs;
`make site` builds it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import slo
from tests.site import PAGES, ROOT, links, page_of, source_of, with_links

CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
DOCS = sorted(path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md"))
API = [page for page in DOCS if page.startswith("api/")]


def entries(navigation: Any) -> Iterator[str]:
    """The pages of a navigation, in order."""
    if isinstance(navigation, str):
        yield navigation
    for entry in (
        navigation.values() if isinstance(navigation, dict) else navigation if isinstance(navigation, list) else ()
    ):
        yield from entries(entry)


def text_of(page: str) -> str:
    return (ROOT / source_of(page)).read_text(encoding="utf-8")


def test_the_navigation_has_each_page_once() -> None:
    assert sorted(entries(CONFIG["nav"])) == sorted([*DOCS, *PAGES.values()])


@pytest.mark.parametrize("page", [*DOCS, *PAGES.values()])
def test_links_lead_to_files(page: str) -> None:
    for written, file in links(page, text_of(page)):
        assert (ROOT / file).is_file(), f"{source_of(page)}: {written}"


@pytest.mark.parametrize("page", [*DOCS, *PAGES.values()])
def test_a_list_has_a_blank_line_before_it(page: str) -> None:
    """GitHub shows a list without one too; Python-Markdown takes it for the paragraph's text."""
    fenced, item = False, False
    lines = ["", *text_of(page).splitlines()]
    for number, (before, line) in enumerate(itertools.pairwise(lines), 1):
        fenced ^= line.startswith("```")
        is_item = re.match(r"(- |\d+\. )", line) is not None
        if not fenced and is_item and before and not item and not before.startswith(("#", "```")):
            pytest.fail(f"{source_of(page)}:{number}: no blank line before the list")
        item = is_item or (item and line.startswith("  "))


def test_links_are_as_the_site_needs_them() -> None:
    text = "[a](docs/rules.md#what) ![b](docs/report.png) [c](CONTRIBUTING.md) [d](https://example.com/x.md) [e](definitions/x.yaml)"
    assert with_links("index.md", text) == (
        "[a](rules.md#what) ![b](report.png) [c](contributing.md) [d](https://example.com/x.md) [e](repository/definitions/x.yaml)"
    )
    assert with_links("systems/a.md", "[a](../rules.md) [b](../../README.md) [c](../../notebooks/n.ipynb)") == (
        "[a](../rules.md) [b](../index.md) [c](../repository/notebooks/n.ipynb)"
    )
    code = "```md\n[a](docs/rules.md)\n```\n"
    assert with_links("index.md", code) == code
    assert page_of("docs/api/errors.md") == "api/errors.md"


def test_the_api_pages_have_every_public_name_once() -> None:
    shown = re.findall(r"^::: (\S+)(?:\n +options: \{heading: (\S+),)?", "\n".join(map(text_of, API)), re.M)
    names = [heading or name for name, heading in shown]
    assert len(names) == len(set(names))
    assert {f"slo.{name}" for name in slo.__all__} - {"slo.backtest"} == {
        name for name in names if not name.startswith("slo.backtest.")
    }
    for name, _ in shown:
        module, _, attribute = name.rpartition(".")
        assert getattr(import_module(module), attribute).__doc__, name


def test_nothing_is_fetched_from_anywhere() -> None:
    assert CONFIG["theme"]["font"] is False
    assert not {"extra_javascript", "repo_url", "site_url"} & CONFIG.keys()
    assert all(not place.startswith("http") and (ROOT / "docs" / place).is_file() for place in CONFIG["extra_css"])
    assert "analytics" not in CONFIG["extra"]
    assert [place for place in CONFIG["hooks"] if not (ROOT / place).is_file()] == []


def test_what_is_built_is_not_a_part_of_the_repository() -> None:
    folder = Path(CONFIG["site_dir"])
    assert f"{folder.parts[0]}/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
