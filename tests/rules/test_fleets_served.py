"""The pages of test_fleets on real servers: none for what only looks like an incident, one for what hides one.

vmalert replays the rules of all histories on Prometheus 3.5, on 2.42 and on VictoriaMetrics.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from slo.promql.samples import Samples, Series
from slo.rules import AlertRule, RuleGroup, compile_specs, to_yaml
from slo.source.openmetrics import write_openmetrics
from slo.spec.load import loads
from slo.spec.model import Specs
from slo.window import DAY, HOUR
from tests.contract.histories import NAMED, History
from tests.quick_yaml import read_yaml
from tests.rules.replay import passes, read_by
from tests.rules.test_fleets import LOUD, QUIET
from tests.servers import Prometheus, VictoriaMetrics, load_openmetrics
from tests.servers.replay import CONFIG, FLAGS, alerts, replay

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("SLO_LONG" not in os.environ, reason="takes minutes; make long runs it"),
]

DOCS = Path(__file__).parents[2] / "docs" / "alerting.md"
SHIFT = -100 * DAY  # VictoriaMetrics takes no samples of the future
SERVERS = ["prometheus", "prometheus2", "victoria-metrics"]


def histories() -> dict[str, History]:
    """By service; text carries no stale markers."""
    made = {f"h{number}": NAMED[name]() for number, name in enumerate((*QUIET, *LOUD))}
    return {service: history for service, history in made.items() if not history.stale}


def own_names(service: str, history: History) -> tuple[str, list[Series]]:
    """The definition and the samples of a history, with metrics that no other one has."""
    bases = {re.sub("_(bucket|count|sum)$", "", series.labels["__name__"]) for series in history.samples.series}
    text = history.definition.replace("window: 1d", "window: 30d").replace("service: contract", f"service: {service}")
    text = text.replace("objective: 99,", f"objective: {99.6 if history.name in QUIET else 99.8},")
    for base in bases:
        text = re.sub(rf"\b{base}\b", f"{service}_{base}", text)
    rows = [
        Series(
            {**series.labels, "__name__": f"{service}_{series.labels['__name__']}"}, series.times + SHIFT, series.values
        )
        for series in history.samples.series
    ]
    return text, rows


def page_rules(text: str) -> tuple[RuleGroup, ...]:
    """The page, and the rules that it reads."""
    groups = compile_specs(Specs(loads(text, "x.yaml", [])))[0]
    kept = [
        replace(
            group,
            rules=tuple(
                rule for rule in group.rules if not isinstance(rule, AlertRule) or rule.labels["severity"] == "page"
            ),
        )
        for group in groups
    ]
    read = read_by(kept, lambda name: name == "ErrorBudgetBurn")
    kept = [replace(group, rules=tuple(rule for rule in group.rules if rule.name in read)) for group in kept]
    return tuple(group for group in kept if group.rules)


def test_the_docs_say_how_many_there_are() -> None:
    made = [history.name for history in histories().values()]
    quiet, loud = len(set(made) & set(QUIET)), len(set(made) & set(LOUD))
    text = DOCS.read_text()
    assert f"{quiet} histories in which" in text
    assert f"and {loud} that hide" in text


@contextmanager
def store(kind: str, place: Path, samples: Samples) -> Iterator[Prometheus | VictoriaMetrics]:
    write_openmetrics(place / "histories.txt", samples)
    if kind == "victoria-metrics":
        with VictoriaMetrics(place) as metrics:
            metrics.load(place / "histories.txt")
            yield metrics
        return
    data = load_openmetrics(place / "histories.txt", place / "data")
    with Prometheus(place, data=data, config=CONFIG, binary=kind, flags=FLAGS) as server:
        yield server


@pytest.mark.parametrize("kind", SERVERS)
def test_pages_on_a_server_are_those_that_should_be(tmp_path: Path, kind: str) -> None:
    made = histories()
    end = {history.grid.end_ms for history in made.values()}.pop() + SHIFT
    start = min(history.grid.start_ms for history in made.values()) + SHIFT - HOUR
    texts = {service: own_names(service, history) for service, history in made.items()}
    groups = [group for text, _ in texts.values() for group in page_rules(text)]
    paging = tuple(
        replace(group, rules=tuple(rule for rule in group.rules if isinstance(rule, AlertRule))) for group in groups
    )
    with store(kind, tmp_path, Samples([series for _, rows in texts.values() for series in rows])) as server:
        # What reads raw series first, then what reads that: so no rule waits for another one's results.
        for level in (*passes(groups), tuple(group for group in paging if group.rules)):
            replay(tmp_path, read_yaml(to_yaml(level)), server, start, end, delay="0s", timeout=1200)
            if isinstance(server, VictoriaMetrics):
                server.get("/internal/force_flush")
        fired = alerts(server, start, end)
    paged = {dict(labels)["service"] for labels in fired if dict(labels)["alertstate"] == "firing"}
    assert {made[service].name for service in paged} == {history.name for history in made.values()} & set(LOUD)
