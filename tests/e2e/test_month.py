"""Forty days of simulated history: evaluated from the recording, through a real Prometheus, and against the truth.

They take minutes, and are for `make slow`; `make test` has four days and a shorter window the same way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from slo.budget.evaluate import evaluate
from slo.budget.model import Budget
from slo.notebook import top_contributors
from slo.promql.parse import parse
from slo.report.queries import queries
from slo.review import with_breakdown
from slo.sli import stepwise
from slo.source import open as open_source
from slo.source.openmetrics import write_openmetrics
from slo.source.recording import Recording, write
from slo.source.simulation import simulate
from slo.spec.load import load
from slo.spec.model import Specs
from slo.window import DAY, HOUR
from tests.servers import Prometheus, load_openmetrics

DEFINITION = Path(__file__).parent.parent.parent / "definitions" / "hitl-api.yaml"
END = 1_790_000_000_000 // DAY * DAY
DAYS, WINDOW = (40, 30) if "SLO_SLOW" in os.environ else (4, 3)
IDS = ["hitl-api/availability", "hitl-api/latency", "hitl-api/readiness"]
# By raw samples, and added up by the server.
WAYS = (
    dict.fromkeys(IDS, (True, False))
    if "SLO_SLOW" in os.environ
    else dict(zip(IDS, ((True,), (False,), (True,)), strict=True))
)


@dataclass
class Month:
    specs: Specs
    recording: Recording
    server: Prometheus


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    place = tmp_path_factory.mktemp("month")
    (place / "hitl-api.yaml").write_text(DEFINITION.read_text().replace("window: 30d", f"window: {WINDOW}d"))
    specs = load(place / "hitl-api.yaml")
    samples, header = simulate(specs, days=DAYS, seed=7, end_ms=END)
    write(place / "r.parquet", samples, header)
    write_openmetrics(place / "r.txt", samples)
    data = load_openmetrics(place / "r.txt", place / "data")
    with Prometheus(place, data=data) as server:
        yield Month(specs, Recording.open(place / "r.parquet"), server)


def revealed(month: Month, slo: str, days: int) -> tuple[int, int]:
    """(errors, total) that the scrapes of the last days reveal, as the simulation knows them."""
    truth = month.recording.header.truth["slos"][slo]["revealed"]
    hours = (END - truth["hour_start_ms"]) // HOUR
    part = slice(hours - 24 * days, hours)
    return sum(truth["hourly_errors"][part]), sum(truth["hourly_total"][part])


def share_off(budget: Budget, errors: float, total: float) -> float:
    """By how much of the whole error budget two counts differ."""
    allowed = total * budget.error_budget
    return abs(budget.errors / budget.allowed_errors - errors / allowed)


@pytest.mark.parametrize("slo", IDS)
def test_the_recording_tells_the_planted_truth(month: Month, slo: str) -> None:
    budget = evaluate(month.specs[slo], month.recording, END)
    assert (budget.errors, budget.total) == revealed(month, slo, WINDOW)
    happened = month.recording.header.truth["slos"][slo]
    assert happened["errors"] > 0
    assert happened["total"] > 0


@pytest.mark.parametrize("slo", IDS)
def test_the_truth_of_what_happened_is_met_alongside_what_no_scrape_saw(month: Month, slo: str) -> None:
    """What is lost between a last scrape and a restart is the only difference to what really happened."""
    truth = month.recording.header.truth["slos"][slo]
    seen = (sum(truth["revealed"]["hourly_errors"]), sum(truth["revealed"]["hourly_total"]))
    assert truth["errors"] >= seen[0]
    assert truth["total"] >= seen[1] > 0.999 * truth["total"]


@pytest.mark.server
@pytest.mark.parametrize("slo", IDS)
def test_through_the_server_the_figures_are_the_same(month: Month, slo: str) -> None:
    budget = evaluate(month.specs[slo], open_source(month.server.url), END)
    assert share_off(budget, *revealed(month, slo, WINDOW)) < 0.0001
    here = evaluate(month.specs[slo], month.recording, END)
    assert budget.burn_rate("1h") == pytest.approx(here.burn_rate("1h"), rel=1e-9)
    assert len(budget.incidents) == len(here.incidents)


@pytest.mark.server
@pytest.mark.parametrize("slo", IDS)
def test_added_up_by_the_server_they_are_too(month: Month, slo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", 0)
    budget = evaluate(month.specs[slo], open_source(month.server.url), END)
    assert any(note.code == "stepwise" for note in budget.notes)
    assert share_off(budget, *revealed(month, slo, WINDOW)) < 0.001


@pytest.mark.server
@pytest.mark.parametrize(("slo", "raw"), [(slo, raw) for slo in IDS for raw in WAYS[slo]])
def test_the_top_contributors_are_the_same_from_a_recording_and_by_a_server(
    month: Month, slo: str, raw: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the event from raw samples; added up in hours it may lose what a target's two restarts within one hid."""
    here = evaluate(month.specs[slo], month.recording, END)
    assert sum(part.errors for part in here.counts.parts or ()) == here.errors
    if not raw:
        monkeypatch.setattr(stepwise, "MOST_RAW_SAMPLES", 0)
    source = open_source(month.server.url)
    there = with_breakdown(evaluate(month.specs[slo], source, END), source)
    table, other = top_contributors(here, "instance"), top_contributors(there, "instance")
    assert len(table) > 1 and table["errors"].sum() == here.errors
    assert other.loc[table.index, "errors"].to_list() == pytest.approx(
        table["errors"].to_list(), rel=0 if raw else 1e-3
    )
    assert other.loc[table.index, "total"].to_list() == pytest.approx(table["total"].to_list(), rel=0 if raw else 1e-3)


@pytest.mark.server
@pytest.mark.parametrize("slo", IDS)
def test_the_pages_promql_gives_its_figures_on_a_server(month: Month, slo: str) -> None:
    """Those from raw series; what recorded rules give is tested with the rules."""
    budget = evaluate(month.specs[slo], month.recording, END)
    source = open_source(month.server.url)
    found = {query.title: query.text for query in queries(budget)}

    def asked(text: str) -> float:
        [series] = source.query(parse(text), END).series
        return float(series.values[0])

    if "Bad events, from raw series" in found:  # an expression of a latency is too long for a page
        errors = asked(found["Bad events, from raw series"])
        assert share_off(budget, errors, asked(found["All events, from raw series"])) < 0.001
    else:
        assert budget.slo.sli.buckets is not None
    reported = [text for title, text in found.items() if title.startswith("Latency")]
    assert len(reported) == bool(budget.quantiles)
    for text in reported:
        # increase() extrapolates where the report counts.
        values = [asked(line) for line in text.splitlines()]
        assert values == pytest.approx(list(budget.quantiles.values()), rel=0.02)


@pytest.mark.parametrize("slo", IDS)
def test_the_planted_incidents_that_cost_budget_are_found(month: Month, slo: str) -> None:
    budget = evaluate(month.specs[slo], month.recording, END)
    start = round(budget.start.timestamp() * 1000)
    planted = [i for i in month.recording.header.truth["incidents"] if i["slo"] == slo and i["start_ms"] >= start]
    for incident in planted:
        if (
            incident["errors"] < 0.05 * budget.allowed_errors
            or incident["errors"] < 3 * budget.error_budget * incident["total"]
        ):
            continue
        met = sum(
            max(
                0.0,
                min(found.end.timestamp() * 1000, incident["end_ms"])
                - max(found.start.timestamp() * 1000, incident["start_ms"]),
            )
            for found in budget.incidents
        )
        # A slow burn of sparse errors has quiet hours that nothing tells from its end.
        least = 0.7 if incident["kind"] == "slow burn" else 0.9
        assert met >= least * (incident["end_ms"] - incident["start_ms"]), incident


RAW = """\
service: raw
slos:
  - name: availability
    objective: 99.9
    sli:
      raw:
        errors: sum(increase(hitl_http_requests_total{job="hitl-api",status=~"5.."}[$window]))
        total: sum(increase(hitl_http_requests_total{job="hitl-api"}[$window]))
"""


@pytest.mark.server
def test_raw_promql_counts_the_same_on_the_engine_and_on_the_server(month: Month, tmp_path: Path) -> None:
    (tmp_path / "raw.yaml").write_text(RAW.replace("objective: 99.9", f"objective: 99.9\n    window: {WINDOW}d"))
    spec = load(tmp_path)["raw/availability"]
    here = evaluate(spec, month.recording, END)
    there = evaluate(spec, open_source(month.server.url), END)
    assert (here.errors, here.total) == (there.errors, there.total)
    assert share_off(here, *revealed(month, "hitl-api/availability", WINDOW)) < 0.001
