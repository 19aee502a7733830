"""Samples that come later than rules read them: an alert says so, and `delay` is the fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from slo.promql.samples import Samples
from tests.rules import test_edits
from tests.rules.replay import read_by
from tests.rules.test_edits import BASE, END, MINUTE, SLI, Server, groups_of, raw

START = END - 12 * MINUTE
MISSING, TILES = "SLODataMissing", "slo:events:increase1m"
PROBE = "sli: {probe: {metric: probe_success}}"


class Late(Server):
    """A server that a sample reaches so long after its time."""

    def __init__(self, late_ms: int) -> None:
        super().__init__(Samples([]))
        self.late_ms = late_ms
        self.raw = {tuple(sorted(series.labels.items())): series for series in raw().series}

    def alerts(self, text: str) -> Iterator[set[str]]:
        """The alerts that hold at each of the minutes, by name."""
        for at in range(START, END + 1, MINUTE):
            for key, series in self.raw.items():
                seen = series.times <= at - self.late_ms
                self.kept[key] = type(series)(series.labels, series.times[seen], series.values[seen])
            yield {dict(alert)["alertname"] for alert in self.evaluate(text, at)}


@pytest.mark.parametrize("sli", [SLI, PROBE])
def test_an_slo_whose_samples_all_come_late_has_missing_data_and_with_a_delay_it_has_none(sli: str) -> None:
    text = BASE.replace(SLI, sli)
    server = Late(4 * MINUTE)
    held = list(server.alerts(text))
    assert not any(key for key in server.kept if dict(key)["__name__"] == TILES)
    # The rules have been evaluated for a few minutes by then.
    assert all(MISSING in names for names in held[5:])

    server = Late(4 * MINUTE)
    assert not any(MISSING in names for names in server.alerts(text.replace("window: 1d", "window: 1d\n    delay: 4m")))
    assert any(key for key in server.kept if dict(key)["__name__"] == TILES)


def test_samples_that_come_in_time_are_never_missing() -> None:
    assert not any(MISSING in names for names in Late(0).alerts(BASE))


@pytest.mark.parametrize("keys", ["", "\n    delay: 4m", "\n    scrape_interval: 1m"])
def test_no_data_is_missing_after_a_server_was_down(keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither scraped nor evaluated for so many minutes; after six it still knew of both, and said that data is missing."""
    text = BASE.replace("window: 1d", f"window: 1d{keys}")
    read = read_by(groups_of(text), lambda name: name == MISSING)
    only = [replace(group, rules=tuple(rule for rule in group.rules if rule.name in read)) for group in groups_of(text)]
    monkeypatch.setattr(test_edits, "groups_of", lambda _: only)
    for down in (2, 4, 6, 8, 12):
        server, stop = Server(Samples([])), END - 22 * MINUTE
        begin, start = stop - 8 * MINUTE, stop + down * MINUTE
        scraped = raw().series
        for at in [*range(begin, stop, MINUTE), *range(start, start + 9 * MINUTE, MINUTE)]:
            for series in scraped:
                # The first scrape comes a whole interval after the start.
                seen = (series.times <= at) & ((series.times < stop) | (series.times > start + MINUTE))
                key = tuple(sorted(series.labels.items()))
                server.kept[key] = type(series)(series.labels, series.times[seen], series.values[seen])
            named = {dict(alert)["alertname"] for alert in server.evaluate(text, at)}
            assert MISSING not in named, (down, (at - start) / MINUTE)
