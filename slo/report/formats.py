"""What a report can be written as: one registry, which installed packages add to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from slo import plugins
from slo.budget.model import Budget
from slo.errors import ConfigError, Problem
from slo.files import write_pages, write_text
from slo.jobs import Processes, chunks, number_of
from slo.report.page import OnePage, Pages, render_pages
from slo.report.plain import to_csv, to_json, to_markdown
from slo.report.values import Values
from slo.suggest import suggest


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the figures: `generated` is when it was made (with a time zone), `warnings` are the definitions',
    `missing` says what the source did not answer, `values` are what is held against bounds, by SLO id, for pages."""

    title: str
    generated: datetime
    warnings: Sequence[Problem] = ()
    missing: str = ""
    values: Mapping[str, Values] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Any]:
        """The same by name, but for `values`."""
        return {"title": self.title, "generated": self.generated, "warnings": self.warnings, "missing": self.missing}


# Budgets and head in, files by their names out; the one that a reader opens comes last.
Format = Callable[[Sequence[Budget], Head], Mapping[str, str]]

BUILT_IN: dict[str, Format] = {
    "html": lambda budgets, head: render_pages(budgets, values=head.values, **head.fields),
    "markdown": lambda budgets, head: {"report.md": to_markdown(budgets, **head.fields)},
    "json": lambda budgets, head: {"report.json": to_json(budgets, **head.fields)},
    "csv": lambda budgets, head: {"report.csv": to_csv(budgets)},
}


def format_of(name: str) -> Format:
    """The format of a name. Raises ConfigError with those that there are."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    installed = plugins.installed(plugins.FORMATS)
    if name not in installed:
        raise ConfigError(f"{name!r} is not a format of reports{suggest(name, [*BUILT_IN, *installed])}")
    format: Format = plugins.load(installed[name])
    return format


def files(budgets: Sequence[Budget], formats: Sequence[str], head: Head) -> Mapping[str, str]:
    """The files of a report by their names, relative to its folder, in the order of the formats; pages are made as they are
    taken. Raises ConfigError."""
    made = [format_of(name)(budgets, head) for name in dict.fromkeys(formats)]
    return made[0] if len(made) == 1 else _SeveralFormats(made)


class _SeveralFormats(Mapping[str, str]):
    """The files of several formats."""

    def __init__(self, parts: Sequence[Mapping[str, str]]) -> None:
        self.parts = parts
        self._of = {name: part for part in parts for name in part}

    def __getitem__(self, name: str) -> str:
        return self._of[name][name]

    def __contains__(self, name: object) -> bool:
        return name in self._of

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)


def write_files(
    folder: str | os.PathLike[str],
    texts: Mapping[str, str],
    jobs: int | None = 1,
    done: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Writes a report's files below a folder, in `jobs` processes where they are many; returns those that a reader opens.

    `done` is called after each page of an SLO. Raises OSError.
    """
    place = Path(folder)
    if "index.html" in texts:
        written: set[str] = set()
        for part in texts.parts if isinstance(texts, _SeveralFormats) else (texts,):
            if isinstance(part, Pages):
                written |= _drawn(place, part, number_of(jobs, len(part.of_slos())), done)
        write_pages(place, texts, written)
    else:
        for name, text in texts.items():
            write_text(place / name, text)
    return [place / name for name in texts if "/" not in name]


def _drawn(place: Path, pages: Pages, jobs: int, done: Callable[[], None]) -> set[str]:
    """Writes the pages of SLOs in several processes, which are given one after the other what these show; returns their names."""
    if jobs == 1:
        return set()
    names = pages.of_slos()
    parts = chunks(names, jobs)
    tasks = ([(str(place / name), pages.one(name)) for name in part] for part in parts)
    with Processes(_nothing, jobs) as pool:
        for part, views in zip(parts, pool.each(_written, tasks), strict=True):
            for name, view in zip(part, views, strict=True):
                pages.made_elsewhere(name, view)
                done()
    return set(names)


def _nothing() -> None:
    """Pages are made of what they are given."""


def _written(_: None, tasks: Sequence[tuple[str, OnePage]]) -> list[dict[str, Any]]:
    """In another process: what each page shows, which is written there; without its budget, which needs no way back."""
    views = []
    for path, page in tasks:
        view, text = page.drawn()
        write_text(path, text)
        views.append(view.but_budget())
    return views


def report(
    budgets: Sequence[Budget],
    folder: str | os.PathLike[str],
    formats: Sequence[str] = ("html",),
    *,
    title: str = "Error budgets",
    generated: datetime | None = None,
    warnings: Sequence[Problem] | None = None,
) -> list[Path]:
    """Writes a report on the budgets of a review.

    Args:
        budgets: The budgets, as `slo.review` gives them.
        folder: Where the files go; it is made if it is missing.
        formats: `html`, `markdown`, `json`, `csv`, and those of installed packages.
        title: Its title.
        generated: When it was made, with a time zone; without it the moment that the budgets are about.
        warnings: What is doubtful in the definitions; without it the review's.

    Returns:
        The files that a reader opens.

    Raises:
        ConfigError: A format is not known.
        OSError: A file cannot be written.
        ValueError: There is no budget to take the moment from.

    Examples:
        >>> slo.report(slo.review(specs, source), "reports/out", ["html", "json"])  # doctest: +SKIP
    """
    if generated is None:
        generated = getattr(budgets, "at", None) or max(budget.end for budget in budgets)
    if warnings is None:
        warnings = getattr(budgets, "warnings", ())
    return write_files(folder, files(budgets, formats, Head(title, generated, warnings)))
