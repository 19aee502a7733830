"""What Pyrra's format cannot hold is said, and what it can is where Pyrra reads it."""

from __future__ import annotations

from typing import Any

import pytest

from slo.convert import to_pyrra
from slo.spec.load import loads

PLAIN = "sli: {ratio: {errors: 'a_total{code=\"500\"}', total: a_total}}"


def exported(more: str, name: str = "a") -> tuple[dict[str, Any], list[str]]:
    """The resource of an SLO with further keys, and the warnings."""
    text = f"service: shop\nslos:\n  - {{name: {name}, objective: 99.9, {PLAIN}{more}}}\n"
    problems: list[Any] = []
    [service] = loads(text, "shop.yaml", problems)
    assert not [problem for problem in problems if problem.severity == "error"], problems
    [entry] = to_pyrra.export(service.slos)
    [document] = entry.documents
    return document, [warned.text for warned in entry.warnings]


def test_a_plain_slo_is_held_whole() -> None:
    document, warnings = exported("")
    assert warnings == []
    assert document["metadata"]["name"] == "a"
    assert document["spec"]["target"] == "99.9" and document["spec"]["window"] == "30d"
    assert "alerting" not in document["spec"]


@pytest.mark.parametrize(
    ("more", "alerting", "said"),
    [
        (", alerting: {name: Burns}", {"name": "Burns"}, None),
        (", alerting: {page: off, ticket: off}", {"burnrates": False}, None),
        (", alerting: {absent: off}", {"absent": False}, None),
        (", alerting: {ticket: off}", None, "Pyrra alerts on all of its pairs of windows or on none"),
        (", alerting: {page: {labels: {a: b}}}", None, "Pyrra does not hold labels and annotations of one severity"),
        (", window: month", None, "Pyrra has no calendar windows; the window is "),
    ],
)
def test_alerts_and_windows_are_held_or_named(more: str, alerting: dict[str, Any] | None, said: str | None) -> None:
    document, warnings = exported(more)
    assert document["spec"].get("alerting") == alerting
    assert [warning.startswith(said) for warning in warnings] == [True] if said else warnings == []


def test_labels_and_annotations_have_pyrras_prefix() -> None:
    metadata = exported(", labels: {tier: '1'}, annotations: {wiki: 'https://wiki.example.com/a'}")[0]["metadata"]
    assert metadata["labels"] == {"pyrra.dev/service": "shop", "pyrra.dev/tier": "1"}
    assert metadata["annotations"] == {"pyrra.dev/wiki": "https://wiki.example.com/a"}


def test_a_name_that_kubernetes_does_not_take_is_written_otherwise() -> None:
    document, warnings = exported("", "Read_Path")
    assert document["metadata"]["name"] != "Read_Path"
    assert warnings == [f"Kubernetes has no object of this name; it is written as {document['metadata']['name']}"]
