"""From ten SLOs on a report is a folder: an index, and a page for each."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slo.budget.model import Budget
from slo.files import write_pages
from slo.report import render, render_pages
from slo.report.page import FOLDER_FROM
from tests.report.budgets import Case, budget, demo
from tests.report.test_page import Page

NOW = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def many() -> list[Budget]:
    plain = budget(Case("plain"))
    rest = (replace(plain, slo=replace(plain.slo, name=f"n{number}")) for number in range(FOLDER_FROM - 6))
    return [*demo()[:6], *rest]


def pages(budgets: list[Budget]) -> dict[str, str]:
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


def test_twenty_slos_are_below_a_megabyte() -> None:
    """Also where every one is a latency with its heatmap, the largest there are, and all are on one page."""
    latencies = [one for one in demo() if one.bucket_counts.size]
    twenty = [latencies[number % len(latencies)] for number in range(20)]
    named = [replace(one, slo=replace(one.slo, name=f"n{number}")) for number, one in enumerate(twenty)]
    page = render(named, title="x", generated=NOW)
    assert 400_000 < len(page.encode()) < 1_000_000
