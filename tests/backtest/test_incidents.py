"""Incident files: both formats say the same, and faults are named with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.backtest import read_incidents
from slo.backtest.model import BacktestIncident
from slo.backtest.scoring import SLACK_MS, Fired, catch, messages
from slo.errors import DefinitionError
from slo.promql.alerts import AlertInterval
from slo.spans import union
from slo.spec.events import Event

MINUTE = 60_000


def test_yaml_and_csv_say_the_same(tmp_path: Path) -> None:
    csv, yaml = tmp_path / "i.csv", tmp_path / "i.yaml"
    csv.write_text(
        'start,end,name,slo\n2026-11-01T10:00:00Z,2026-11-01T10:30:00+00:00,"disk, full",shop/*\n1790000000,1790000060,,\n'
    )
    yaml.write_text(
        "- {start: 2026-11-01T10:00:00Z, end: 2026-11-01T11:30:00+01:00, name: 'disk, full', slo: shop/*}\n"
        "- {start: 1790000000, end: 1790000060}\n"
    )
    expected = (
        Event(1_790_000_000_000, 1_790_000_060_000),
        Event(1_793_527_200_000, 1_793_529_000_000, "disk, full", "shop/*"),
    )
    assert read_incidents(csv) == read_incidents(yaml) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("i.csv", "start,ende\n1,2\n", r"i\.csv:1:1: error: unknown column 'ende'; did you mean `end`\?"),
        ("i.csv", "start,end\n1,2\n5,\n", r"i\.csv:3:1: error: `end` is missing"),
        ("i.csv", "start,end\n5,2\n", "not after its start"),
        ("i.csv", "start,end\nyesterday,2\n", "'yesterday' is not a valid time; write 2026"),
        ("i.csv", "start,end\n", "holds no event"),
        ("i.csv", "start,end,kind\n1,2,incidnt\n", r"unknown kind 'incidnt'; did you mean `incident`\?"),
        ("i.csv", "start,end,kind\n1,2,deployment\n", "holds no incident"),
        ("i.yaml", "- {start: 1, end: 2}\n- {start: 1}\n", r"i\.yaml:2:1: error: `end` is missing"),
        ("i.yaml", "- {start: 1, end: 2, what: x}\n", "unknown key `what`"),
        ("i.yaml", "incidents: 3\n", "must be a list of events"),
        ("i.yaml", "- 3\n", "an event is a mapping"),
        ("i.yaml", "a: b: c\n", "not valid YAML"),
    ],
)
def test_faults_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DefinitionError, match=message):
        read_incidents(tmp_path / name)


def fired(start: int, end: int, page: bool = True, window: str = "1h") -> Fired:
    labels = (("alertname", "A"), ("severity", "page" if page else "ticket"), ("window", window))
    return Fired(AlertInterval("A", labels, "firing", start * MINUTE, end * MINUTE), "page" if page else "ticket", page)


def test_an_alert_tells_of_an_incident_that_it_overlaps_or_follows_at_once() -> None:
    incident = BacktestIncident("outage", 60 * MINUTE, 90 * MINUTE, "given")
    assert catch(incident, [fired(10, 60)], None, None).at_ms is None  # gone before it began
    assert catch(incident, [fired(10, 61)], None, None).delay_seconds == 0
    assert catch(incident, [fired(75, 80), fired(70, 72, page=False)], None, None).delay_seconds == 600
    late = 90 + SLACK_MS // MINUTE
    assert catch(incident, [fired(late, late + 9)], None, None).at_ms == late * MINUTE
    assert catch(incident, [fired(late + 1, late + 9)], None, None).at_ms is None
    both = catch(incident, [fired(70, 80, page=False), fired(75, 80)], None, None)
    assert (both.severity, both.paged_ms) == ("ticket", 75 * MINUTE)


def test_what_fires_together_is_one_message_and_each_severity_its_own() -> None:
    incident = BacktestIncident("outage", 60 * MINUTE, 90 * MINUTE, "given")
    intervals = messages(
        [fired(61, 80), fired(70, 95, window="6h"), fired(99, 102), fired(120, 130), fired(62, 63, page=False)],
        [incident],
    )
    assert [(interval.start_ms // MINUTE, interval.end_ms // MINUTE, interval.page, interval.right) for interval in intervals] == [
        (61, 102, True, True),
        (62, 63, False, True),
        (120, 130, True, False),
    ]  # fmt: skip
    assert intervals[0].alerts == ("A 1h", "A 6h")


def test_spans_are_joined() -> None:
    assert union([(5, 8), (1, 3), (2, 4), (8, 9)]) == [(1, 4), (5, 9)]
