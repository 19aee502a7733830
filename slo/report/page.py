"""The HTML page: view models in, one self-contained file out."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from slo.report.drawings import draw, sparkline
from slo.report.svg import HEIGHT, WIDTH
from slo.report.view import report_view

if TYPE_CHECKING:
    from slo.budget.model import Budget
    from slo.errors import Problem

_TEMPLATES = Path(__file__).parent / "templates"


def render(budgets: Sequence[Budget], *, title: str, generated: datetime, warnings: Sequence[Problem] = ()) -> str:
    """One HTML page on `budgets`, worst first: no network, readable without script, the same bytes for the same input.

    `generated` is when it was made (with a time zone); `warnings` are the definitions'.
    """
    view = report_view(budgets, title=title, generated=generated, warnings=warnings)
    style, script = _asset("style.css"), _asset("script.js")
    page = _environment().get_template("report.html")
    return page.render(
        report=view,
        charts=draw,
        sparkline=sparkline,
        box=f"0 0 {WIDTH} {HEIGHT}",
        style=Markup(style),  # noqa: S704 – the package's own files
        script=Markup(script),  # noqa: S704
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def page_of(template: str, *styles: str, **values: object) -> str:
    """Another page in the same style: a template of this package with the report's style sheet and more beside it."""
    style = "\n".join(_asset(name) for name in ("style.css", *styles))
    return (
        _environment()
        .get_template(template)
        .render(box=f"0 0 {WIDTH} {HEIGHT}", style=Markup(style), style_hash=_hash(style), script_hash="", **values)  # noqa: S704
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
