"""The HTML page: view models in, one self-contained file out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from slo.budget.model import Budget, worst_first
from slo.report.drawings import draw, sparkline
from slo.report.sentences import MISSING
from slo.report.svg import HEIGHT, WIDTH
from slo.report.text import anchor, clean
from slo.report.values import NO_VALUES, Values
from slo.report.view import (
    MOST_ROWS,
    MOST_SERVICES,
    ReportView,
    SloView,
    by_service,
    generated_text,
    report_view,
    service_files,
    slo_view,
)

if TYPE_CHECKING:
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
) -> Pages:
    """The report's files by their names: `index.html`, and from 10 SLOs on a page for each in `slos/` before it. Of more than 200
    SLOs the index has the worst, and leads to a page of each service in `slos/` too.

    Each page stands alone as `render`'s does, but for the links between them. It is made when it is taken.
    """
    return Pages(budgets, Top(clean(title), generated, clean(missing, 2000)), tuple(warnings), values)


@dataclass(frozen=True, slots=True)
class Top:
    """What stands above and below every page: cleaned texts, and when it was made."""

    title: str
    made: datetime
    missing: str

    @property
    def generated(self) -> str:
        """When it was made, as text."""
        return generated_text(self.made)


@dataclass(frozen=True, slots=True)
class Place:
    """Which SLO a page is of, for the links to it."""

    service: str
    name: str
    anchor: str


@dataclass(frozen=True, slots=True)
class OnePage:
    """All that the page of an SLO is made of."""

    top: Top
    budget: Budget
    place: Place
    before: Place | None
    after: Place | None
    values: Values | None

    def drawn(self) -> tuple[SloView, str]:
        """What it shows, and the page."""
        view, script = slo_view(self.budget, self.place.anchor), _asset("charts.js")
        values = {} if self.values is None else {self.budget.slo.id: self.values}
        text = (
            _environment()
            .get_template("one.html")
            .render(
                report=self.top,
                slo=view,
                source=clean(self.budget.source),
                before=self.before,
                after=self.after,
                up="../index.html",
                place=lambda name: f"{name}.html",
                script=Markup(script),  # noqa: S704 – the package's own file
                **_page_assets(script, values),
            )
        )
        return view, _dense(text)


class Pages(Mapping[str, str]):
    """A report's files by their names, in the order in which they are written. Each is made when it is taken, and not kept."""

    def __init__(
        self, budgets: Sequence[Budget], top: Top, warnings: Sequence[Problem], values: Mapping[str, Values]
    ) -> None:
        self.budgets, self.top, self._warnings, self._values = worst_first(budgets), top, warnings, values
        taken: set[str] = set()
        self.places = [
            Place(clean(budget.slo.service), clean(budget.slo.name), anchor(budget.slo.id, taken))
            for budget in self.budgets
        ]
        self._views: dict[int, SloView] = {}
        self._whole: tuple[ReportView, Mapping[str, ReportView]] | None = None
        paged = len(self.budgets) >= FOLDER_FROM
        self._numbers = (
            {f"{FOLDER}/{place.anchor}.html": number for number, place in enumerate(self.places)} if paged else {}
        )
        services = service_files([place.service for place in self.places], FOLDER) if self._by_service else {}
        more = [f"{FOLDER}/services.html"] if len(services) > MOST_SERVICES else []
        self._others = dict.fromkeys((*services.values(), *more, "index.html"))

    @property
    def _by_service(self) -> bool:
        return len(self.budgets) > MOST_ROWS

    def of_slos(self) -> list[str]:
        """The names of the pages of single SLOs, which can be made elsewhere: see `one` and `made_elsewhere`."""
        return list(self._numbers)

    def one(self, name: str) -> OnePage:
        """What the page of an SLO is made of."""
        number, places = self._numbers[name], self.places
        budget = self.budgets[number]
        return OnePage(
            self.top,
            budget,
            places[number],
            places[number - 1] if number else None,
            places[number + 1] if number + 1 < len(places) else None,
            self._values.get(budget.slo.id),
        )

    def made_elsewhere(self, name: str, shown: Mapping[str, Any]) -> None:
        """Takes what the page of an SLO shows, which the index needs: the fields of its view but for the budget."""
        number = self._numbers[name]
        self._views[number] = SloView(budget=self.budgets[number], **shown)

    def __getitem__(self, name: str) -> str:
        if name in self._numbers:
            self._views[self._numbers[name]], text = self.one(name).drawn()
            return text
        if name not in self._others:
            raise KeyError(name)
        view, services = self._views_of_many()
        if name == f"{FOLDER}/services.html":
            return page_of("services.html", title=view.title, services=view.pages)
        if name == "index.html":
            return _whole(view, self._values, paged=bool(self._numbers))
        return _whole(services[name], self._values, paged=True, inside=True)

    def __contains__(self, name: object) -> bool:
        return name in self._numbers or name in self._others

    def __iter__(self) -> Iterator[str]:
        return iter((*self._numbers, *self._others))

    def __len__(self) -> int:
        return len(self._numbers) + len(self._others)

    def _views_of_many(self) -> tuple[ReportView, Mapping[str, ReportView]]:
        """The view of the index, and those of the services by the names of their pages."""
        if self._whole is None:
            slos = tuple(
                self._views.get(number) or slo_view(budget, place.anchor)
                for number, (budget, place) in enumerate(zip(self.budgets, self.places, strict=True))
            )
            view = report_view(
                self.budgets,
                title=self.top.title,
                generated=self.top.made,
                warnings=self._warnings,
                missing=self.top.missing,
                slos=slos,
            )
            if not self._by_service:
                self._whole = view, {}
            else:
                index, services = by_service(view, FOLDER)
                self._whole = index, {page.file: own for page, own in zip(index.pages, services, strict=True)}
        return self._whole


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
