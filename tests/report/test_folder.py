"""From ten SLOs on a report is a folder: an index, and a page for each."""

from __future__ import annotations

import json
import os
import pickle
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from slo.budget.model import Budget
from slo.files import write_pages
from slo.report import render, render_pages
from slo.report.formats import Head, files, write_files
from slo.report.page import FOLDER_FROM, Pages, _whole
from slo.report.view import ReportView, by_service, report_view
from tests.report.budgets import Case, budget, demo
from tests.report.test_page import Page

NOW = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def many() -> list[Budget]:
    plain = budget(Case("plain"))
    rest = (replace(plain, slo=replace(plain.slo, name=f"n{number}")) for number in range(FOLDER_FROM - 6))
    return [*demo()[:6], *rest]


def pages(budgets: list[Budget]) -> Pages:
    return render_pages(budgets, title="Review <1>", generated=NOW)


def test_below_ten_it_is_one_page(many: list[Budget]) -> None:
    assert list(pages(many[:-1])) == ["index.html"]


def test_the_index_leads_to_a_page_of_each_and_back(many: list[Budget]) -> None:
    found = pages(many)
    assert list(found)[-1] == "index.html" and len(found) == len(many) + 1
    index = Page(found["index.html"])
    links = [link for link in index.values("href") if link.startswith("slos/")]
    assert set(links) == set(found) - {"index.html"}
    order = list(dict.fromkeys(links))
    assert "<article" not in found["index.html"]
    for name, html in found.items():
        if name == "index.html":
            continue
        page = Page(html)
        assert len(html) < 110_000
        near = [link for link in page.values("href") if link.endswith(".html")]
        assert set(near) - {"../index.html"} <= {Path(other).name for other in found}
        assert "../index.html" in near
        assert [tag for tag, _ in page.tags].count("h1") == 1
        assert "Review &lt;1&gt;" in html
        [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
        assert "default-src 'none'" in policy and "unsafe" not in policy
    first = next(html for name, html in found.items() if name != "index.html")
    assert 'rel="prev"' not in first and 'rel="next"' in first
    assert len(order) == len(many)


def test_each_page_says_what_the_one_file_says(many: list[Budget]) -> None:
    whole = render(many, title="Review <1>", generated=NOW)
    for name, html in pages(many).items():
        if name != "index.html":
            article = re.search(r"<article.*</article>", html, re.S)
            assert article is not None
            one = re.sub(
                r'href="(slo-[^"]*)\.html"', r'href="#\1"', article.group().replace("../index.html", "#summary")
            )
            assert one in whole


def test_pages_of_slos_that_are_gone_go_too(many: list[Budget], tmp_path: Path) -> None:
    write_pages(tmp_path, pages(many))
    (tmp_path / "slos" / "mine.txt").write_text("kept")
    write_pages(tmp_path, pages([*many[1:], replace(many[0], slo=replace(many[0].slo, name="renamed"))]))
    names = {path.name for path in (tmp_path / "slos").glob("*.html")}
    assert "slo-shop-renamed.html" in names and "slo-shop-availability.html" not in names
    assert len(names) == FOLDER_FROM
    write_pages(tmp_path, pages(many[:3]))
    assert [path.name for path in (tmp_path / "slos").iterdir()] == ["mine.txt"]


def sent(thing: Any) -> Any:
    """As another process gets it."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - its own


def test_pages_that_are_made_elsewhere_are_the_same(many: list[Budget]) -> None:
    """Each by what can be sent to another process; what it shows comes back without the budget."""
    here, elsewhere = pages(many), pages(many)
    for name in elsewhere.of_slos():
        view, text = sent(elsewhere.one(name)).drawn()
        elsewhere.made_elsewhere(name, sent(view.but_budget()))
        assert text == here[name]
    assert elsewhere["index.html"] == here["index.html"]


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_a_report_is_the_same_of_any_number_of_jobs(
    many: list[Budget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slo.jobs.LEAST", 2)
    texts = [files(many, ["json", "html"], Head("Review", NOW)) for _ in range(2)]
    done: list[None] = []
    first = write_files(tmp_path / "one", texts[0])
    second = write_files(tmp_path / "two", texts[1], 2, lambda: done.append(None))
    assert [path.name for path in first] == [path.name for path in second] == ["report.json", "index.html"]
    found = [
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    ]
    assert found[0] == found[1]
    assert len(found[0]) == len(many) + 2
    assert len(done) == len(many)


def test_a_page_is_made_when_it_is_taken(many: list[Budget], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that no more than one of ten thousand is in memory."""
    drawn: list[str] = []

    def draw(budget: Budget, values: object) -> list[object]:
        drawn.append(budget.slo.name)
        return []

    monkeypatch.setattr("slo.report.page.draw", draw)
    found = pages(many)
    assert len(found) == len([*found]) == len(many) + 1
    assert "index.html" in found and found.of_slos()[0] in found and "slos/slo-other.html" not in found
    assert drawn == []
    assert found[found.of_slos()[3]]
    assert drawn == [found.budgets[3].slo.name]
    write_files(tmp_path, files(many, ["json", "html"], Head("Review", NOW)))
    assert len(drawn) == 1 + len(many)


def views(slos: int, services: int) -> tuple[ReportView, tuple[ReportView, ...]]:
    """The index of so many SLOs, and the pages of their services, of one SLO under many names."""
    whole = report_view([budget(Case("plain"))], title="Review", generated=NOW)
    [one] = whole.slos
    named = tuple(
        replace(
            one,
            service=f"service-{number % services:05d}",
            name=f"availability-{number:05d}",
            anchor=f"slo-service-{number % services:05d}-availability-{number:05d}",
        )
        for number in range(slos)
    )
    return by_service(replace(whole, slos=named, count=slos, services=services), "slos")


@pytest.mark.parametrize(("slos", "services"), [(1_000, 1), (10_000, 1_000), (10_000, 10_000)])
def test_the_index_of_very_many_slos_stays_below_a_megabyte(slos: int, services: int) -> None:
    index, _ = views(slos, services)
    html = _whole(index, {}, paged=True)
    assert len(html.encode()) < 1_000_000
    page = Page(html)
    assert f"The 200 worst of {slos:,} SLOs" in html
    assert len({link for link in page.values("href") if link.startswith("slos/slo-")}) == 200
    of_services = [link for link in page.values("href") if link.startswith("slos/service-")]
    assert len(of_services) == min(services, 1000)
    [names] = re.findall(r'<script type="application/json" id="names">(.*?)</script>', html)
    found = json.loads(names)
    assert sum(len(own) - 1 for own in found.values()) == slos
    assert all(not file for file, *_ in found.values())
    assert ('href="slos/services.html"' in html) is (services > 1000)


def test_what_is_not_on_the_index_is_on_the_page_of_its_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slo.report.page.MOST_ROWS", 10)
    monkeypatch.setattr("slo.report.view.MOST_ROWS", 10)
    plain = budget(Case("plain"))
    named = [
        replace(plain, slo=replace(plain.slo, service=f"Shop <{number % 3}>", name=f"n{number}"))
        for number in range(12)
    ]
    found = pages(named)
    index = Page(found["index.html"])
    services = [link for link in index.values("href") if link.startswith("slos/service-")]
    assert len(services) == 3
    of_pages = {link for name in services for link in Page(found[name]).values("href") if link.startswith("slo-")}
    assert {f"slos/{link}" for link in of_pages} == {name for name in found if name.startswith("slos/slo-")}
    assert len(of_pages) == 12
    for name in services:
        assert "../index.html" in Page(found[name]).values("href")
        assert "<1>" not in found[name]
    assert "<1>" not in found["index.html"]
    # The page that the script makes of a service's name is there, or named.
    [names] = re.findall(r'id="names">(.*?)</script>', found["index.html"])
    for service, (file, *own) in json.loads(names).items():
        made = f"slos/service-{re.sub(r'[^a-z0-9]+', '-', service.lower())}.html"
        assert (file or made) in found
        assert len(own) == 4


def test_twenty_slos_are_below_a_megabyte() -> None:
    """Also where every one is a latency with its heatmap, the largest there are, and all are on one page."""
    latencies = [one for one in demo() if one.bucket_counts.size]
    twenty = [latencies[number % len(latencies)] for number in range(20)]
    named = [replace(one, slo=replace(one.slo, name=f"n{number}")) for number, one in enumerate(twenty)]
    page = render(named, title="x", generated=NOW)
    assert 400_000 < len(page.encode()) < 1_000_000
