"""A hook of mkdocs (`make site`): the README is the front page, other pages outside docs/ are pages too, and links to any other file
of the repository lead to a copy of it in the site.

Links in the Markdown files stay as GitHub needs them. Nothing here is needed by the tests of the links themselves.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# Pages of the site whose files are outside docs/, by the file's path in the repository.
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "reports/README.md": "reports.md",
}
SOURCES = {page: file for file, page in PAGES.items()}
# Where copies of files are that are not pages.
FILES = "repository"
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")


def source_of(page: str) -> str:
    """The file of a page, relative to the repository; `page` is relative to the site."""
    return SOURCES.get(page, f"docs/{page}")


def page_of(file: str) -> str:
    """Where a file of the repository is in the site: a page, an image of docs/, or a copy."""
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    return PAGES.get(file, f"{FILES}/{file}")


def links(page: str, text: str) -> Iterator[tuple[str, str]]:
    """The links of a page to files: as written, and the file's path in the repository. Code is left alone."""
    for part in _outside_code(text):
        for match in _LINK.finditer(part):
            if not re.match(r"[a-z]+:", match[1]):
                yield match[1], posixpath.normpath(posixpath.join(posixpath.dirname(source_of(page)), match[1]))


def with_links(page: str, text: str) -> str:
    """The text of a page with its links as the site needs them."""

    def moved(match: re.Match[str]) -> str:
        if re.match(r"[a-z]+:", match[1]):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(page)), match[1]))
        return posixpath.relpath(page_of(file), posixpath.dirname(page) or ".") + (match[2] or "")

    return "".join(_outside_code(text, lambda part: _LINK.sub(moved, part)))


def _outside_code(text: str, change: Callable[[str], str] | None = None) -> Iterator[str]:
    """The parts of a text that are not fenced code; with `change` all parts, these ones changed."""
    for number, part in enumerate(re.split(r"(^```.*?^```$)", text, flags=re.M | re.S)):
        if number % 2 == 0:
            yield part if change is None else change(part)
        elif change is not None:
            yield part


def on_files(files: Any, config: Any) -> Any:
    """mkdocs: adds the pages and copies that are outside docs/."""
    from mkdocs.structure.files import File

    for file, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / file).read_text(encoding="utf-8")))
    copied = {
        file
        for page in files.documentation_pages()
        for _, file in links(page.src_uri, page.content_string)
        if page_of(file).startswith(FILES)
    }
    for file in sorted(copied):
        files.append(File.generated(config, page_of(file), abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """mkdocs: a page's text before it becomes HTML."""
    return with_links(page.file.src_uri, markdown)
