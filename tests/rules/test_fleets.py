"""What alerts do on the contract's histories: no page for what only looks like an incident, and one for what hides one.

Most of them fail 2 % of their requests all along, where at 99.6 % a page needs 2.4 % over 6 h, or 5.76 % over one: it is
near, and none may come. Where an incident is planted 0.1 % fail alongside it, and at 99.8 % 2.88 % over an hour page.
"""

from __future__ import annotations

import pytest

from slo.promql.rules import run_rules
from slo.rules import compile_specs, to_yaml
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.contract.histories import NAMED, History
from tests.quick_yaml import read_yaml

QUIET = [
    "two steady targets",
    "a restart in a hole",
    "three restarts in five minutes",
    "two restarts in a minute",
    "all series are relabelled",
    "one target is relabelled",
    "one series is relabelled",
    "a relabelling is undone",
    "a label is removed",
    "a relabelling with stale markers",
    "the errors of two metrics are relabelled",
    "latency: le 0.25 becomes 0.250",
    "latency of large bounds: le 1e+06 becomes 1000000",
    "a version every two hours",
    "a version with each deployment",
    "a pod joins at zero",
    "a target with old counters joins",
    "workers that live for five minutes",
    "two scrapers",
    "a second scraper joins",
    "two clusters behind one address",
    "one of two clusters is relabelled",
    "a scrape gives NaN",
    "time outs with stale markers",
    "one target lacks the bound",
    "a bucket is away for twenty minutes",
    "counters of 1e15",
    "a night without traffic",
    "targets without job and instance",
    "no error series at all",
    "ratio: a hole of 20 m with 0% errors in it",
    "the error series is away for 14 m",
    "the error series is away for 17 m",
    "the error series is away for 60 m",
]
LOUD = [
    "ratio: a hole of 20 m with 10% errors in it",
    "latency: a hole of 20 m with 10% errors in it",
    "ratio good: a hole of 20 m with 10% errors in it",
    "ratio: a hole of 60 m with 10% errors in it",
    "latency: a hole of 60 m with 10% errors in it",
    "ratio: a hole of 119 m with 10% errors in it",
    "a crash loop of ten minutes",
    "a crash loop all along",
]


def pages(history: History, objective: str) -> list[tuple[int, int]]:
    """When a page fires: (first, last) minute of the history's grid, with rules that are loaded an hour before it."""
    text = history.definition.replace("window: 1d", "window: 30d").replace("objective: 99,", f"objective: {objective},")
    assert objective in text
    groups, _ = compile_specs(Specs(loads(text, "x.yaml", [])))
    start = history.grid.start_ms / 1000
    result = run_rules(read_yaml(to_yaml(groups)), history.samples, start - 3600, history.grid.end_ms / 1000)
    assert result.problems == ()
    pages = (alert for alert in result.alerts if alert.state == "firing" and dict(alert.labels)["severity"] == "page")
    start_ms = history.grid.start_ms
    return [((alert.start_ms - start_ms) // 60_000, (alert.end_ms - start_ms) // 60_000) for alert in pages]


@pytest.mark.parametrize("name", QUIET)
def test_nobody_is_paged_for_what_only_looks_like_an_incident(name: str) -> None:
    history = NAMED[name]()
    assert history.errors.sum() <= 0.021 * history.total.sum()
    assert pages(history, "99.6") == []


@pytest.mark.parametrize("name", LOUD)
def test_somebody_is_paged_for_what_a_gap_or_a_crash_hides(name: str) -> None:
    assert pages(NAMED[name](), "99.8") != []
