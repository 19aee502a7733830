"""Which values have a budget each, where there are more than may have one: here the first alone stays."""

from __future__ import annotations

import numpy as np
import pytest

from slo.budget.groups import expand
from slo.promql.samples import Samples
from slo.window import HOUR, MINUTE
from tests.budget.test_evaluate import END
from tests.budget.test_figures import by_route
from tests.memory import Memory, Server

DAY_AGO = END - 24 * HOUR
Row = tuple[dict[str, str], np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slo.budget.groups.MOST", 1)


def row(route: str, since_ms: int, *values: float, code: str = "200") -> Row:
    """From a moment on, a value for each equal part of the time up to the end."""
    times = np.arange(since_ms + MINUTE, END + 1, MINUTE)
    held = np.array(values)[np.arange(len(times)) * len(values) // len(times)]
    return {"__name__": "t_total", "job": "j", "route": route, "code": code}, times, held


def stays(kind: type[Memory], *rows: Row) -> str:
    [slos], many = expand(by_route(), kind(Samples.from_series(rows), END), END)
    assert many == 2
    return slos.labels["route"]


@pytest.mark.parametrize("kind", [Memory, Server])
def test_the_one_that_was_there_first_stays(kind: type[Memory]) -> None:
    """By steps of two hours; in the same one it is the one with more traffic, and then the first by name."""
    assert stays(kind, row("/a", DAY_AGO, 1.0), row("/b", DAY_AGO + 130 * MINUTE, 1e6)) == "/a"
    assert stays(kind, row("/a", DAY_AGO + 130 * MINUTE, 1e6), row("/b", DAY_AGO, 1.0)) == "/b"
    assert stays(kind, row("/a", DAY_AGO, 1.0), row("/b", DAY_AGO + 100 * MINUTE, 2.0)) == "/b"
    assert stays(kind, row("/b", DAY_AGO, 7.0), row("/a", DAY_AGO + 100 * MINUTE, 7.0)) == "/a"


@pytest.mark.parametrize("kind", [Memory, Server])
def test_its_traffic_is_what_it_stands_at_last(kind: type[Memory]) -> None:
    assert stays(kind, row("/a", DAY_AGO, 0, 5, 100), row("/b", DAY_AGO, 40, 50, 60)) == "/a"
    labels, times, values = row("/b", DAY_AGO, 40, 50, 60)
    values[-1] = 101  # in its last scrape
    assert stays(kind, row("/a", DAY_AGO, 0, 5, 100), (labels, times, values)) == "/b"


@pytest.mark.parametrize("kind", [Memory, Server])
def test_a_value_of_several_series_has_the_traffic_of_all_and_the_first_of_their_moments(kind: type[Memory]) -> None:
    late = row("/a", DAY_AGO + 5 * HOUR, 1.0, code="500")
    assert stays(kind, late, row("/a", DAY_AGO, 1.0), row("/b", DAY_AGO + 3 * HOUR, 1e6)) == "/a"
    assert stays(kind, row("/a", DAY_AGO, 6.0), row("/a", DAY_AGO, 5.0, code="500"), row("/b", DAY_AGO, 10.0)) == "/a"
