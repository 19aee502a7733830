"""What a definition says of its alerts, of late samples and of recorded labels: what it means, and what is refused."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from slo.errors import Problem
from slo.spec.document import json_schema
from slo.spec.load import loads
from slo.spec.model import Slo


def definition(defaults: str = "", slo: str = "", objective: str = "99.9") -> str:
    """A definition whose defaults are in line 2 and whose SLO's own keys begin in line 7."""
    return (
        f"service: shop\ndefaults: {{{defaults}}}\nslos:\n  - name: a\n    objective: {objective}\n"
        f"    sli: {{probe: {{metric: up}}}}\n" + (f"    {slo}\n" if slo else "")
    )


def read(text: str) -> tuple[Slo, list[str]]:
    problems: list[Problem] = []
    [service] = loads(text, "x.yaml", problems)
    [slo] = service.slos
    return slo, [str(problem) for problem in problems]


def faults(text: str) -> list[str]:
    problems: list[Problem] = []
    loads(text, "x.yaml", problems)
    return [str(problem) for problem in problems]


def sound(defaults: str = "", slo: str = "", objective: str = "99.9") -> Slo:
    text = definition(defaults, slo, objective)
    read_specs, problems = read(text)
    assert problems == []
    jsonschema.validate(yaml.safe_load(text), json_schema())
    return read_specs


def test_nothing_said_is_the_usual() -> None:
    slo = sound()
    assert slo.alerting.page == slo.alerting.ticket
    assert (slo.alerting.page.name, slo.alerting.page.for_ms, slo.alerting.page.keep_firing_ms) == ("", 0, 0)
    assert slo.alerting.absent.alert.enabled
    assert (slo.alerting.absent.severity, slo.alerting.absent.for_ms) == ("ticket", None)
    assert slo.alerting.budget.marks == ()
    assert (slo.delay_ms, slo.scrape_interval_ms, slo.labels_on, slo.recorded_labels) == (0, 30_000, "info", {})


def test_what_is_said_of_all_alerts_gives_way_to_one_severity_and_that_to_a_pair() -> None:
    alerting = sound(
        "alerting: {labels: {team: all, tier: '1'}, for: 1m, page: {labels: {team: pager}}}",
        "alerting: {name: Burns, labels: {tier: '2'}, ticket: {keep_firing_for: 10m, severity: P3}, windows: ["
        "{severity: page, long: 1h, factor: 14, name: Fast, for: 0s, labels: {team: fast}, annotations: {a: b}},"
        "{severity: page, long: 6h, factor: 6}, {severity: ticket, long: 1d, factor: 3}]}",
    ).alerting
    assert alerting.windows is not None
    fast, slow, ticket = (alerting.of_pair(burn) for burn in alerting.windows)
    # Of one severity in the defaults is more specific than of all alerts in the SLO.
    assert (fast.name, fast.for_ms, fast.labels, fast.annotations) == (
        "Fast",
        0,
        {"team": "fast", "tier": "2"},
        {"a": "b"},
    )
    assert (slow.name, slow.for_ms, slow.labels) == ("Burns", 60_000, {"team": "pager", "tier": "2"})
    assert slow == alerting.page
    assert (ticket.keep_firing_ms, ticket.labels) == (600_000, {"team": "all", "tier": "2", "severity": "P3"})


def test_missing_data_has_the_labels_of_its_severity_and_times_of_its_own() -> None:
    alerting = "alerting: {for: 9m, labels: {team: all}, annotations: {a: b}, page: {severity: P1}, "
    absent = sound("", alerting + "ticket: {severity: P3}}").alerting.absent
    assert (absent.alert.labels, absent.alert.annotations) == ({"team": "all", "severity": "P3"}, {"a": "b"})
    assert (absent.for_ms, absent.alert.for_ms) == (None, 0)
    absent = sound("", alerting + "absent: {severity: page, for: 3m, labels: {x: y}, name: Gone}}").alerting.absent
    assert absent.alert.labels == {"team": "all", "severity": "P1", "x": "y"}
    assert (absent.severity, absent.for_ms, absent.alert.name) == ("page", 180_000, "Gone")


def test_missing_data_and_budgets_are_switched_layer_by_layer() -> None:
    assert not sound("", "alerting: off").alerting.absent.alert.enabled
    assert not sound("alerting: {absent: off}").alerting.absent.alert.enabled
    assert sound("alerting: {absent: off}", "alerting: {absent: {for: 5m}}").alerting.absent.alert.enabled
    assert not sound("", "alerting: {absent: off}").alerting.absent.alert.enabled
    marks = (Decimal("0.5"), Decimal(1))
    assert sound("alerting: {budget: [100%, 50%]}").alerting.budget.marks == marks
    assert sound("alerting: {budget: [100%, 0.5]}", "alerting: {budget: off}").alerting.budget.marks == ()
    assert sound("alerting: {budget: [50%]}", "alerting: off").alerting.budget.marks == ()
    own = sound("alerting: {budget: [50%, 100%]}", "alerting: {budget: {severity: page, for: 5m}}").alerting.budget
    assert (own.marks, own.severity, own.alert.for_ms, own.keep_firing_ms) == (marks, "page", 300_000, None)
    assert (
        sound("", "alerting: {budget: {consumed: [101%], keep_firing_for: 1h}}").alerting.budget.keep_firing_ms
        == 3_600_000
    )


def test_late_samples_and_scrapes_are_of_an_slo_or_of_all() -> None:
    slo = sound("delay: 2m, scrape_interval: 15s, labels_on: series, recorded_labels: {ruler: global}")
    assert (slo.delay_ms, slo.scrape_interval_ms, slo.labels_on) == (120_000, 15_000, "series")
    assert slo.recorded_labels == {"ruler": "global"}
    slo = sound("delay: 2m, scrape_interval: 15s, labels_on: series", "delay: 0s")
    assert (slo.delay_ms, slo.scrape_interval_ms) == (0, 15_000)
    assert sound("scrape_interval: 15s", "scrape_interval: 1m").scrape_interval_ms == 60_000
    assert sound("labels_on: series", "labels_on: info").labels_on == "info"


def test_links_are_annotations_the_old_way_and_the_new() -> None:
    runbook, own = "https://runbooks.example.com/a", "https://runbooks.example.com/{{ $labels.instance }}"
    assert sound(f"runbook_url: '{runbook}'").annotations == {"runbook_url": runbook}
    assert sound(f"annotations: {{runbook: '{runbook}', x: y}}").annotations == {
        "runbook": runbook, "runbook_url": runbook, "x": "y",
    }  # fmt: skip
    # An SLO's own link is not alongside the old one of the defaults.
    assert sound(f"annotations: {{dashboard: '{runbook}'}}", f"dashboard_url: '{own}'").annotations == {
        "dashboard": own, "dashboard_url": own,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (definition("delay: 2h"), "x.yaml:2:12: error: defaults.delay: a delay of 2h is out of range; accepted are 0s to 1h"),
        (definition("", "delay: late"), "x.yaml:7:5: error: slos[0].delay: 'late' is not a valid duration; write a number and a unit, such as 500ms, 30s, 5m, 1h30m or 30d"),
        (definition("", "scrape_interval: 10m"), "x.yaml:7:5: error: slos[0].scrape_interval: a scrape interval of 10m is out of range; accepted are 1s to 5m"),
        (definition("", "labels_on: all"), "x.yaml:7:5: error: slos[0].labels_on: found 'all'; accepted is 'info' or 'series'"),
        (definition("recorded_labels: {period: x}"), "x.yaml:2:30: error: defaults.recorded_labels.period: label `period` is set by the rules themselves; choose another name"),
        (definition("recorded_labels: {a: '{{ x }}'}"), "x.yaml:2:30: error: defaults.recorded_labels.a: label `a` is part of selectors, so it cannot be a template; write plain text"),
        (definition("recorded_labels: {a: ''}"), "x.yaml:2:30: error: defaults.recorded_labels.a: label `a` is empty, which selects series without it; give it a value"),
        (definition("recorded_labels: {a: x}", "by: [a]"), "x.yaml:2:30: error: defaults.recorded_labels.a: label `a` is also set by slos[0].by, so that one would overwrite the other; rename one of them"),
        (definition("recorded_labels: {a: x}", "alerting: {absent: {labels: {a: y}}}"), "x.yaml:2:30: error: defaults.recorded_labels.a: label `a` is also set by slos[0].alerting, so that one would overwrite the other; rename one of them"),
        (definition("", "recorded_labels: {a: x}"), "x.yaml:7:5: error: slos[0].recorded_labels: unknown key `recorded_labels`; did you mean `target_labels`?"),
        (definition("", "runbook_url: 'https://ann:hunter2@wiki.example.com/x'"), "x.yaml:7:5: error: slos[0].runbook_url: holds a user or password, which every alert would show; leave it out"),
        (definition("", "runbook_url: on the wiki"), "x.yaml:7:5: error: slos[0].runbook_url: 'on the wiki' is not a URL; write one such as https://runbooks.example.com/shop"),
        (definition("", "dashboard_url: 'https://a.example.com'\n    annotations: {dashboard: b}"), "x.yaml:8:19: error: slos[0].annotations.dashboard: annotation `dashboard` is 'b' here and 'https://a.example.com' as `dashboard_url`; leave one out"),
        (definition("", "runbook_url: 'https://x/{{ $lables.a }}'"), "x.yaml:7:5: error: slos[0].runbook_url: not a valid template, at column 14 of the text: there is no variable `$lables` here; did you mean `$labels`?"),
        (definition("alerting: {budget: [50]}"), "x.yaml:2:32: error: defaults.alerting.budget[0]: 50 is 5000% of the budget; did you mean `50%`?"),
        (definition("alerting: {budget: [0%]}"), "x.yaml:2:32: error: defaults.alerting.budget[0]: 0% is not a share of a budget; write one above 0%, such as 50%"),
        (definition("alerting: {budget: [50%, 0.5]}"), "x.yaml:2:37: error: defaults.alerting.budget[1]: 0.5 is listed twice; leave one out"),
        (definition("alerting: {budget: [250%]}", objective="50"), "x.yaml:2:32: error: defaults.alerting.budget[0]: 250% can never be consumed: if everything fails, 200% of the budget of 50% is; write a smaller share"),
        (definition("alerting: {budget: {severity: page}}"), "x.yaml:2:23: error: defaults.alerting.budget: has no `consumed`; give the shares of the budget, such as [50%, 75%, 100%]"),
        (definition("alerting: {budget: 50%}"), "x.yaml:2:23: error: defaults.alerting.budget: must be a list of shares such as [50%, 100%], or a mapping with name, for, keep_firing_for, labels, annotations, consumed, severity, found '50%'; or write `off`"),
        (definition("alerting: {budget: []}"), "x.yaml:2:23: error: defaults.alerting.budget: must hold at least one entry"),
        (definition("alerting: {absent: on}"), "x.yaml:2:23: error: defaults.alerting.absent: must be a mapping with name, for, keep_firing_for, labels, annotations, severity, found 'on'; or write `off`"),
        (definition("alerting: {absent: {severity: P1}}"), "x.yaml:2:32: error: defaults.alerting.absent.severity: found 'P1'; accepted is 'page' or 'ticket'"),
        (definition("alerting: {absent: {fro: 1m}}"), "x.yaml:2:32: error: defaults.alerting.absent.fro: unknown key `fro`; did you mean `for`?"),
        (definition("alerting: {name: a-b}"), "x.yaml:2:23: error: defaults.alerting.name: 'a-b' is not a valid alert name; letters, digits and `_` are accepted, no digit first"),
        (definition("alerting: {for: soon}"), "x.yaml:2:23: error: defaults.alerting.for: 'soon' is not a valid duration; write a number and a unit, such as 500ms, 30s, 5m, 1h30m or 30d"),
        (definition("alerting: {labels: {severity: x}}"), "x.yaml:2:32: error: defaults.alerting.labels.severity: label `severity` would be the same for pages and tickets, so that neither can be routed; set it under `alerting`, as in `page: {labels: {severity: P1}}`"),
        (definition("alerting: {labels: {consumed: x}}"), "x.yaml:2:32: error: defaults.alerting.labels.consumed: label `consumed` is set by the rules themselves; choose another name"),
        (definition("alerting: {labels: {x: '{{ foo }}'}}"), "x.yaml:2:32: error: defaults.alerting.labels.x: not a valid template, at column 4 of the text: there is no function `foo`"),
        (definition("alerting: {labels: {x: '{{ $value }}'}}"), "x.yaml:2:32: warning: defaults.alerting.labels.x: label `x` changes with `$value`, so that each evaluation makes a new alert; put it into an annotation"),
        (definition("alerting: {page: {severity: P1, labels: {severity: P2}}}"), "x.yaml:2:53: error: defaults.alerting.page.labels.severity: label `severity` is 'P2' here and 'P1' as `severity`; leave one out"),
        (definition("alerting: {page: {severity: '{{'}}"), "x.yaml:2:30: error: defaults.alerting.page.severity: not a valid template, at column 1 of the text: `{{` is not closed; an action ends with `}}`"),
        (definition("alerting: {windows: [{severity: page, long: 1h, factor: 3}, {severity: page, long: 1h, factor: 3}]}"), "x.yaml:2:72: error: defaults.alerting.windows[1]: the page over 1h is listed twice; leave one out"),
        (definition("", "by: [team]\n    alerting: {windows: [{severity: page, long: 1h, factor: 3, labels: {team: x}}]}"), "x.yaml:7:10: error: slos[0].by[0]: label `team` of the metrics would be overwritten by the label of this SLO's alerts with the same name; rename or remove one of them"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_with_its_place_and_a_way_out(text: str, expected: str) -> None:
    assert faults(text) == [expected]


def test_a_fault_of_the_defaults_is_named_once_however_many_slos_there_are() -> None:
    two = definition("alerting: {for: soon}") + "  - {name: b, objective: 99, sli: {probe: {metric: up}}}\n"
    assert len(faults(two)) == 1


@pytest.mark.parametrize("text", ["team-{{ $labels.team }}", '{{ if eq $labels.a "b" }}x{{ end }}', "plain"])
def test_labels_of_alerts_are_templates(text: str) -> None:
    assert sound(f"alerting: {{labels: {{team: '{text}'}}}}").alerting.page.labels == {"team": text}


@pytest.mark.parametrize("page", ["definitions.md", "alerting.md"])
def test_the_examples_of_the_docs_are_sound(page: str) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / page).read_text()
    examples = re.findall(r"^```yaml\n((?:alerting|defaults):\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        own = (
            example
            if example.startswith("defaults:")
            else "defaults:\n" + re.sub("^", "  ", example, flags=re.MULTILINE)
        )
        problems: list[Problem] = []
        loads(
            f"service: shop\n{own}\nslos:\n  - {{name: a, objective: 99.9, sli: {{probe: {{metric: up}}}}}}\n",
            "x.yaml",
            problems,
        )
        assert problems == []
