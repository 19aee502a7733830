"""The HTML page: view models in, one self-contained file out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from slo.report.drawings import draw, sparkline
from slo.report.sentences import MISSING
from slo.report.svg import HEIGHT, WIDTH
from slo.report.text import clean
from slo.report.values import NO_VALUES, Values
from slo.report.view import MOST_ROWS, MOST_SERVICES, ReportView, by_service, report_view

if TYPE_CHECKING:
    from slo.budget.model import Budget
    from slo.errors import Problem

_TEMPLATES = Path(__file__).parent / "templates"


# From so many SLOs on a report is a folder: one page of them is too long to scroll, and mails badly.
FOLDER_FROM = 10
FOLDER = "slos"


def render(
    budgets: Sequence[Budget],
    *,
    title: str,
    generated: datetime,
    warnings: Sequence[Problem] = (),
    missing: str = "",
    values: Mapping[str, Values] = NO_VALUES,
) -> str:
    """One HTML page on `budgets`, worst first: no network, readable without script, the same bytes for the same input.

    `generated` is when it was made (with a time zone); `warnings` are the definitions', `missing` says what the source did not
    answer. `values` are what `slo.report.values` has found that SLOs hold against a bound.
    """
    return _whole(
        report_view(budgets, title=title, generated=generated, warnings=warnings, missing=missing), values, paged=False
    )


def render_pages(
    budgets: Sequence[Budget],
    *,
    title: str,
    generated: datetime,
    warnings: Sequence[Problem] = (),
    missing: str = "",
    values: Mapping[str, Values] = NO_VALUES,
) -> dict[str, str]:
    """The report's files by their names: `index.html`, and from 10 SLOs on a page for each in `slos/` before it. Of more than 200
    SLOs the index has the worst, and leads to a page of each service in `slos/` too.

    Each page stands alone as `render`'s does, but for the links between them.
    """
    view = report_view(budgets, title=title, generated=generated, warnings=warnings, missing=missing)
    if len(view.slos) < FOLDER_FROM:
        return {"index.html": _whole(view, values, paged=False)}
    template, script = _environment().get_template("one.html"), _asset("charts.js")
    pages = {}
    for number, slo in enumerate(view.slos):
        pages[f"{FOLDER}/{slo.anchor}.html"] = _dense(
            template.render(
                report=view,
                slo=slo,
                source=clean(slo.budget.source),
                before=view.slos[number - 1] if number else None,
                after=view.slos[number + 1] if number + 1 < len(view.slos) else None,
                up="../index.html",
                place=lambda name: f"{name}.html",
                script=Markup(script),  # noqa: S704 – the package's own file
                **_page_assets(script, values),
            )
        )
    if len(view.slos) <= MOST_ROWS:
        return {**pages, "index.html": _whole(view, values, paged=True)}
    index, services = by_service(view, FOLDER)
    for page, own in zip(index.pages, services, strict=True):
        pages[page.file] = _whole(own, values, paged=True, inside=True)
    if len(index.pages) > MOST_SERVICES:
        pages[f"{FOLDER}/services.html"] = page_of("services.html", title=view.title, services=index.pages)
    return {**pages, "index.html": _whole(index, values, paged=True)}


def _names(view: ReportView) -> str:
    """All SLOs as JSON, for the search: by service the names of its SLOs, before them the page where it is not named alike."""
    names = {
        page.name: [
            "" if page.file == f"{FOLDER}/service-{_plain(page.name)}.html" else page.file,
            *(slo.name for slo in page.slos),
        ]
        for page in view.pages
    }
    return json.dumps(names, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _plain(name: str) -> str:
    """As the script makes it of a service's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def _whole(view: ReportView, values: Mapping[str, Values], *, paged: bool, inside: bool = False) -> str:
    """A page with the table of its SLOs; `inside` is one in the folder of pages."""
    script = _asset("script.js") if paged else f"{_asset('script.js')}\n{_asset('charts.js')}"
    return _dense(
        _environment()
        .get_template("report.html")
        .render(
            report=view,
            sparkline=sparkline,
            paged=paged,
            place=(lambda name: f"{name}.html" if inside else f"{FOLDER}/{name}.html")
            if paged
            else (lambda name: f"#{name}"),
            up="#summary",
            back="../index.html" if inside else "",
            services=view.pages[:MOST_SERVICES],
            names=Markup(_names(view)) if view.pages else "",  # noqa: S704 – JSON without tags
            near=list(zip((None, *view.slos[:-1]), (*view.slos[1:], None), strict=True)) if view.slos else [],
            script=Markup(script),  # noqa: S704 – the package's own file
            **_page_assets(script, values),
        )
    )


def _page_assets(script: str, values: Mapping[str, Values]) -> dict[str, object]:
    """What every page has: its style, and the hashes by which its policy names style and script."""
    style = _asset("style.css")
    return {
        "charts": lambda budget: draw(budget, values.get(budget.slo.id)),
        "missing": MISSING,
        "box": f"0 0 {WIDTH} {HEIGHT}",
        "style": Markup(style),  # noqa: S704 – the package's own file
        "style_hash": _hash(style),
        "script_hash": _hash(script) if script else "",
    }


def page_of(template: str, *styles: str, **values: object) -> str:
    """Another page in the same style: a template of this package with the report's style sheet and more alongside it."""
    style = "\n".join(_asset(name) for name in ("style.css", *styles))
    return (
        _environment()
        .get_template(template)
        .render(box=f"0 0 {WIDTH} {HEIGHT}", style=Markup(style), style_hash=_hash(style), script_hash="", **values)  # noqa: S704
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["quoted"] = _quoted
    return environment


def _quoted(text: str) -> Markup:
    """Text between tags: its quotes need no escaping there, and expressions have many."""
    return Markup(escape(text).replace("&#34;", '"').replace("&#39;", "'"))  # noqa: S704 – escaped


def _dense(html: str) -> str:
    """Without the templates' indents, which are a tenth of a page."""
    return re.sub(r"\n[ \n]+", "\n", html)


@cache
def _asset(name: str) -> str:
    return _dense((_TEMPLATES / name).read_text(encoding="utf-8").strip())


def _hash(text: str) -> str:
    """As a Content-Security-Policy names an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
