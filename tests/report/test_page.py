"""The page: its figures are the budget's, it stands alone, and hostile text stays text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser

import pytest

from slo.budget.model import TROUBLE, Budget, State
from slo.errors import Problem
from slo.report import render
from tests.report.budgets import CASES, Case, Fault, budget, demo

NOW = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)
VOID = {"meta", "link", "br", "input", "hr", "img"}


class Page(HTMLParser):
    """The tags, attributes and text of a page; fails on tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self._cell = False
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data
            if "td" in self._open or ("th" in self._open and "thead" not in self._open):
                self.rows[-1][-1] += data

    def values(self, attribute: str) -> list[str]:
        return [attrs[attribute] or "" for _, attrs in self.tags if attribute in attrs]


def rendered(*budgets: Budget, warnings: tuple[Problem, ...] = ()) -> str:
    return render(budgets, title="Weekly review", generated=NOW, warnings=warnings)


@cache
def demo_page() -> tuple[tuple[Budget, ...], str]:
    budgets = tuple(demo())
    return budgets, rendered(*budgets)


def figures(html: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>([^<]+)</dt><dd><b>([^<]*)</b><span>", html))


def test_the_figures_are_the_budgets() -> None:
    # 30 d of 5 m steps with 100 events each; 1 in 1,000 may fail, and 300 do.
    evaluated = budget(Case("exact", per_minute=0))
    errors, total = evaluated.counts.errors.copy(), evaluated.counts.total.copy()
    total[-8640:], errors[-8640:-8630] = 100.0, 30.0
    evaluated = replace(
        evaluated, errors=300.0, total=864_000.0, counts=replace(evaluated.counts, errors=errors, total=total)
    )
    shown = figures(rendered(evaluated))
    assert shown["All events"] == "864,000"
    assert shown["Bad events"] == "300"
    assert shown["Bad events allowed"] == "864"
    assert shown["Budget remaining"].startswith("65.27")  # 1 - 300/864 = 0.65277…
    assert shown["Budget consumed"] == "34.72%"
    assert shown["SLI"].startswith("99.9652")  # 1 - 300/864000 = 0.999652…
    assert shown["Error budget"] == "0.1%"


def test_the_worst_comes_first_in_table_and_page() -> None:
    budgets, html = demo_page()
    page = Page(html)
    order = [re.sub(r"\s", "", row[1]) for row in page.rows if len(row) == 8 and row[0]]
    states = [row[0].strip() for row in page.rows if len(row) == 8 and row[0]]
    ranks = [TROUBLE[State(state.lower())] for state in states]
    assert ranks == sorted(ranks)
    assert len(order) == len(budgets)
    left = {b.slo.name: b.remaining for b in budgets if b.state is State.HEALTHY}
    healthy = re.findall(r'<article id="slo-[^"]*" class="slo healthy"', html)
    assert len(healthy) == len(left)


def test_it_stands_alone() -> None:
    _, html = demo_page()
    page = Page(html)
    for tag, attrs in page.tags:
        assert tag not in {"img", "iframe", "object", "embed", "base", "form", "video", "audio"}
        assert "src" not in attrs
        assert not {name for name in attrs if name.startswith("on") or name in ("style", "srcdoc")}, attrs
        if tag != "a" and "href" in attrs:
            assert (attrs["href"] or "").startswith(("#", "data:,"))
        if tag == "a":
            assert (attrs["href"] or "").startswith(("#", "https://runbooks.example.com/"))
    assert "url(" not in html
    assert "@import" not in html


def test_the_policy_allows_this_style_and_script_and_nothing_else() -> None:
    import base64
    import hashlib

    _, html = demo_page()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    assert "default-src 'none'" in policy[1].replace("&#39;", "'")
    assert "unsafe" not in policy[1]
    for tag in ("style", "script"):
        bodies = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(bodies) == 1
        assert base64.b64encode(hashlib.sha256(bodies[0].encode()).digest()).decode() in policy[1].replace("&#43;", "+")


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    twice = budget(Case("avail ability")), budget(Case("avail-ability")), budget(Case("検索"))
    page = Page(rendered(*twice, *demo()))
    ids = page.values("id")
    assert [name for name, count in Counter(ids).items() if count > 1] == []
    wanted = {value[1:] for value in page.values("href") if value.startswith("#")}
    wanted |= {name for value in page.values("aria-labelledby") for name in value.split()}
    assert wanted <= set(ids)


def test_the_same_input_gives_the_same_bytes() -> None:
    budgets, html = demo_page()
    assert rendered(*budgets) == html


HOSTILE = [
    '"><script>alert(1)</script>',
    "</script><script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    "'; onmouseover='alert(1)",
    "{{ 7*7 }} {% raw %}",
    "line\nbreak\r\n\ttab\x00\x1b[31m",
    "\u202egnp.exe\u2066",
    "&lt;b&gt;&amp;",
    "]]><!-- -->",
    "x" * 10_000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str) -> None:
    hostile = budget(
        Case(
            text,
            service=text,
            description=text,
            labels={text: text},
            annotations={text: text, "u": f"javascript:{text}"},
        )
    )
    hostile = replace(hostile, source=text)
    html = render([hostile], title=text, generated=NOW, warnings=[Problem(text, 1, 1, text, text)])
    page = Page(html)
    assert [tag for tag, _ in page.tags if tag in ("script", "style", "title")].count("script") == 1
    assert not [tag for tag, _ in page.tags if tag in ("img", "b2")]
    for _, attrs in page.tags:
        assert not {name for name in attrs if name.startswith("on")}
    assert not [value for value in page.values("href") if value.lower().startswith("javascript:")]
    assert "\x00" not in html
    assert "\u202e" not in html
    assert "49 " not in page.text.split("Summary")[0]
    assert len(html) < 300_000


@pytest.mark.parametrize(
    ("case", "sentences"),
    [
        (Case("archive", has_data=False), "the source has no series for this SLI"),
        (Case("dormant", per_minute=0), "nothing was counted in the window, so there is no SLI"),
    ],
)
def test_without_data_it_says_so_and_shows_no_figure(case: Case, sentences: str) -> None:
    html = rendered(budget(case))
    page, shown = Page(html), figures(html)
    assert sentences in page.text
    assert "No data" in page.text
    assert {
        shown[name] for name in ("SLI", "Error ratio", "Budget remaining", "Budget consumed", "Bad events allowed")
    } == {"n/a"}
    assert "<figure" not in html


def test_incidents_are_listed_with_what_they_cost() -> None:
    evaluated = budget(Case("broken", background=0.0, faults=(Fault(200, 2, 1.0),)))
    (incident,) = evaluated.incidents
    page = Page(rendered(evaluated))
    (row,) = [row for row in page.rows if row and row[0] == "12 Nov 2026 10:00"]
    assert row[1] == "2h"
    assert row[2] == f"{incident.errors:,.0f}"
    assert row[4] == "100.00%"


def test_an_exhausted_budget_is_named_in_words() -> None:
    evaluated = budget(Case("broken", background=0.003))
    page = Page(rendered(evaluated))
    assert evaluated.state is State.EXHAUSTED
    assert "The SLO has exhausted its error budget." in page.text
    assert "too many" in page.text


def test_an_empty_report_says_that_it_is_empty() -> None:
    assert "There are no SLOs in this report." in Page(rendered()).text


def test_warnings_of_definitions_are_shown() -> None:
    problem = Problem("shop.yaml", 12, 3, "slos[0]", "the <objective> is odd", "warning")
    assert "shop.yaml:12:3: warning: slos[0]: the <objective> is odd" in Page(rendered(warnings=(problem,))).text


def test_a_large_report_stays_small() -> None:
    html = rendered(*demo(), *(budget(replace(case, service="more")) for case in CASES[:9]))
    assert len(html.encode()) < 1_000_000


def test_a_chart_has_words_for_those_who_cannot_see_it() -> None:
    _, html = demo_page()
    pictures = [attrs for tag, attrs in Page(html).tags if tag == "svg"]
    assert all(attrs.get("aria-hidden") == "true" or attrs.get("aria-label") for attrs in pictures)


def test_totals_stand_by_service_team_and_tier_where_they_tell_something() -> None:
    from slo.report.view import report_view

    budgets = demo()
    view = report_view(budgets, title="x", generated=datetime(2026, 11, 20, tzinfo=UTC))
    [(title, rows)] = view.totals  # one team, one tier: nothing to tell
    assert title == "Service"
    assert {row.name for row in rows} == {budget.slo.service for budget in budgets}
    for row in rows:
        own = [slo for slo in view.slos if slo.service == row.name]
        assert (row.worst, row.left, row.state) == (own[0].name, own[0].left, own[0].state)
        assert sum(int(part.split()[0]) for part in row.counts.split(", ")) == len(own)
    tiers = [replace(b, slo=replace(b.slo, labels={"tier": str(i % 2)})) for i, b in enumerate(budgets)]
    assert [title for title, _ in report_view(tiers, title="x", generated=datetime(2026, 11, 20, tzinfo=UTC)).totals] == [
        "Service", "Tier",
    ]  # fmt: skip


def test_firings_stand_where_both_windows_burn_and_over_the_error_ratio() -> None:
    """35 % errors for 1 h 45 min at 99.9 %: the page of 1h fires within 2.5 min and resets with its short window."""
    evaluated = budget(Case("availability", faults=(Fault(400, 1.75, 0.35),), background=0.0))
    pages, tickets = evaluated.firings("page"), evaluated.firings("ticket")
    assert len(pages) == len(tickets) == 1
    begin = evaluated.end.timestamp() - 400 * 3600
    assert 0 <= pages[0][0].timestamp() - begin <= 300
    # Of 6h and 30m: (0.35 - 0.006) ÷ 0.35 of half an hour after the end.
    assert abs(pages[0][1].timestamp() - (begin + 1.75 * 3600 + 1769)) <= 300
    # Of 3d and 6h.
    assert abs(tickets[0][1].timestamp() - (begin + 1.75 * 3600 + 21538)) <= 300
    page = render([evaluated], title="x", generated=datetime(2026, 11, 20, tzinfo=UTC))
    assert page.count('<rect class="fired-page"') == 2  # the bar, and its key
    assert "a page fired, " in page and "ticket fired</li>" in page
    quiet = render([budget(Case("calm", background=0.0))], title="x", generated=datetime(2026, 11, 20, tzinfo=UTC))
    assert "fired-page" not in quiet.split("</style>")[1]


def test_charts_in_notebooks_have_the_pages_colours() -> None:
    from slo import notebook
    from slo.report.charts import LOOKS
    from slo.report.page import _asset

    style = _asset("style.css")
    light = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", style.split("@media")[0]))
    strokes = dict(re.findall(r"^\.([a-z0-9]+) \{ stroke: var\(--([a-z-]+)\)", style.replace("} .", "}\n."), re.M))
    fills = dict(re.findall(r"^\.plot \.([a-z0-9]+), [^{]*\{ fill: var\(--([a-z-]+)\)", style, re.M))
    for name, look in LOOKS.items():
        colour = look["color"] if "color" in look else look["facecolor"]
        assert colour == light[strokes[name] if "color" in look else fills[name]], name
    assert light["band"] == notebook.INCIDENT
