"""A selector that matches nothing is named with what is there instead, on samples and on a server."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import Samples
from slo.sli.counts import Grid
from slo.sli.unmatched import unmatched
from slo.window import MINUTE
from tests.memory import Memory, Server

END = 1_798_761_600_000
GRID = Grid(END, MINUTE, 60)


def said(there: Sequence[dict[str, str]], *matchers: Matcher, server: bool = False, name: str = "c_total") -> str:
    times = END - 30_000 * np.arange(10, -1, -1)
    samples = Samples.from_series([({"__name__": "c_total", **labels}, times, np.arange(11.0)) for labels in there])
    source = (Server if server else Memory)(samples, END)
    return unmatched("errors", VectorSelector(name, matchers), source, GRID).text


def equal(label: str, value: str) -> Matcher:
    return Matcher(label, "=", value)


CODES = [{"job": "j", "code": code} for code in ("200", "404", "500")]


@pytest.mark.parametrize("server", [False, True])
@pytest.mark.parametrize(
    ("matchers", "expected"),
    [
        ((equal("code", "5.."),), 'code="5.." is none of the values of code: 200, 404, 500'),
        ((equal("job", "j"), equal("code", "503")), 'code="503" is none of the values of code: 200, 404, 500'),
        (
            (equal("cod", "500"),),
            "c_total has no label cod; did you mean `code`?; code has 200, 404, 500",
        ),
        ((equal("zone", "b"),), "c_total has no label zone; accepted are code, job; code has 200, 404, 500"),
        ((equal("job", "j"), Matcher("code", "!~", ".*")), 'code!~".*" is none of the values of code: 200, 404, 500'),
    ],
)
def test_the_matcher_that_nothing_has(server: bool, matchers: tuple[Matcher, ...], expected: str) -> None:
    assert said(CODES, *matchers, server=server) == f"`errors` matches no series: {expected}"


def test_a_metric_that_is_not_there() -> None:
    assert said(CODES, name="d_total") == "`errors` matches no series: there is no metric d_total"


def test_matchers_that_only_hold_together_for_nobody() -> None:
    there = [{"job": "a", "code": "200"}, {"job": "b", "code": "500"}]
    expected = 'no series of c_total has all of job="a", code="500"'
    assert said(there, equal("job", "a"), equal("code", "500")).endswith(expected)


@pytest.mark.parametrize(("count", "more"), [(8, ""), (9, " and 1 more"), (12, " and 4 more")])
def test_of_many_values_some_are_listed(count: int, more: str) -> None:
    values = [f"v{number:02}" for number in range(count)]
    text = said([{"path": value} for value in values], equal("path", "x"))
    assert text.endswith(f"values of path: {', '.join(values[:8])}{more}")


def test_an_empty_value_is_shown_and_a_label_with_many_values_tells_nothing() -> None:
    assert said([{"code": "200"}, {}], equal("code", "5")).endswith('values of code: "", 200')
    many = [{"path": f"{number}", "code": "200" if number % 2 else "500"} for number in range(9)]
    assert said(many, equal("zone", "b")).endswith("no label zone; accepted are code, path; code has 200, 500")
    assert said(many[:8], equal("zone", "b")).endswith("; code has 200, 500; path has 0, 1, 2, 3, 4, 5, 6, 7")
