"""What a report can be written as: one registry, which installed packages add to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from slo import plugins
from slo.budget.model import Budget
from slo.errors import ConfigError, Problem
from slo.files import write_pages, write_text
from slo.report.page import render_pages
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


def files(budgets: Sequence[Budget], formats: Sequence[str], head: Head) -> dict[str, str]:
    """The files of a report by their names, relative to its folder, in the order of the formats. Raises ConfigError."""
    makers = [format_of(name) for name in dict.fromkeys(formats)]
    return {name: text for make in makers for name, text in make(budgets, head).items()}


def write_files(folder: str | os.PathLike[str], texts: Mapping[str, str]) -> list[Path]:
    """Writes a report's files below a folder; returns those that a reader opens. Raises OSError."""
    place = Path(folder)
    if "index.html" in texts:
        write_pages(place, texts)
    else:
        for name, text in texts.items():
            write_text(place / name, text)
    return [place / name for name in texts if "/" not in name]


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
