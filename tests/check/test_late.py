"""Whether `slo check --source` waits for a next sample: for one that is late, not for one that never comes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from slo.check.late import check_late
from slo.promql import Engine
from slo.promql.ast import Node
from slo.promql.samples import STALE, Samples
from slo.source.base import Matrix, MatrixSeries
from slo.spec.load import loads
from slo.spec.model import Specs

BEGIN_MS = 1_789_990_000_000
NOW_MS = BEGIN_MS + 3_600_000


class Scraped:
    """A server on which samples arrive `late_ms` after their time; of each instance up to `end_ms`, with a mark that it has
    ended `mark_ms` later, if any. `sleep` is its clock."""

    name, local, notes = "scraped", False, ()

    def __init__(self, interval_ms: int, instances: Sequence[tuple[int | None, int | None]], late_ms: int = 0) -> None:
        self.now_ms, self.late_ms, self.slept = NOW_MS, late_ms, 0.0
        rows = []
        for number, (end_ms, mark_ms) in enumerate(instances):
            times = np.arange(BEGIN_MS + 137 * number, end_ms or NOW_MS + 3_600_000, interval_ms)
            values = np.arange(len(times), dtype=float)
            if end_ms is not None and mark_ms is not None:
                times, values = np.append(times, times[-1] + mark_ms), np.append(values, STALE)
            rows.append(({"__name__": "x_total", "job": "j", "instance": str(number)}, times, values))
        self._rows = rows

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now_ms += round(seconds * 1000)

    def latest_ms(self) -> int:
        return self.now_ms // 1000 * 1000

    def retention_ms(self) -> int:
        return 15 * 86_400_000

    def query(self, expr: Node, at_ms: int) -> Matrix:
        there = [
            (labels, times[times <= self.now_ms - self.late_ms], values[times <= self.now_ms - self.late_ms])
            for labels, times, values in self._rows
        ]
        answer = Engine(Samples.from_series(there)).query_range(expr, start=at_ms / 1000, end=at_ms / 1000, step=1)
        return Matrix(np.array([at_ms]), tuple(MatrixSeries(series.labels, series.values) for series in answer.series))


def specs(interval: str, delay: str = "0s") -> Specs:
    text = (
        f"service: s\ndefaults: {{scrape_interval: {interval}, delay: {delay}}}\n"
        "slos:\n  - {name: e, objective: 99, sli: {ratio: {errors: 'x_total{code=\"5\"}', total: x_total}}}\n"
    )
    problems: list[Any] = []
    return Specs(loads(text, "d.yaml", problems))


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch) -> Any:
    def checked(source: Scraped, interval: str, delay: str = "0s") -> list[str]:
        monkeypatch.setattr(time, "monotonic", lambda: source.now_ms / 1000)
        monkeypatch.setattr(time, "sleep", source.sleep)
        messages = [finding.message for finding in check_late(specs(interval, delay), source)]  # type: ignore[arg-type]
        monkeypatch.undo()
        return messages

    return checked


@pytest.mark.parametrize("interval_s", [5, 15, 30, 60])
@pytest.mark.parametrize("ago_s", [200, 290, 301, 400, 650, 1801, 3000])
@pytest.mark.parametrize("marks", [1, 2])
def test_a_target_that_has_ended_is_not_waited_for(interval_s: int, ago_s: int, marks: int, findings: Any) -> None:
    """One ended, or all did; the mark of a failed scrape is one interval behind, that of a target taken away two at most."""
    ended = (NOW_MS - ago_s * 1000, marks * interval_s * 1000)
    if ago_s * 1000 < 61_000 + 30_000 + (2 + marks) * interval_s * 1000:
        return  # it is not known yet
    for instances in ([ended], [ended, (None, None)], [ended, (ended[0] - 77_000, ended[1])]):
        source = Scraped(interval_s * 1000, instances)
        assert findings(source, f"{interval_s}s") == []
        assert source.slept == 0


@pytest.mark.parametrize("late_s", [60, 200, 400])
def test_what_is_late_is_waited_for(late_s: int, findings: Any) -> None:
    source = Scraped(30_000, [(None, None), (None, None)], late_s * 1000)
    [message] = findings(source, "30s")
    assert "x_total" in message and "on 2 targets" in message and 0 < source.slept < 60
    source = Scraped(30_000, [(None, None)], late_s * 1000)
    assert findings(source, "30s", f"{late_s + 60}s") == [] and source.slept == 0


def test_among_late_targets_one_that_has_ended_does_not_make_it_longer(findings: Any) -> None:
    source = Scraped(30_000, [(None, None), (NOW_MS - 900_000, 30_000)], 100_000)
    [message] = findings(source, "30s")
    assert "on 1 target" in message and source.slept <= 36


def test_without_a_mark_it_may_be_late_and_is_waited_for(findings: Any) -> None:
    """A server that was killed leaves none."""
    source = Scraped(30_000, [(NOW_MS - 900_000, None)])
    assert findings(source, "30s") == [] and 36 <= source.slept <= 60
