"""The JSON is what its schema says, for every state and kind of SLI."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from slo.budget.events import with_events
from slo.budget.incidents import Downtime
from slo.budget.schema import ReportShape, SloShape, report_schema
from slo.report import to_json
from slo.sli.counts import Part
from slo.spec.events import Event
from tests.report.budgets import END, demo, rare

NOW = datetime(2026, 11, 20, 18, 5, tzinfo=UTC)
AT = round(END.timestamp() * 1000)


def test_reports_keep_to_the_schema() -> None:
    maintenance = Event(AT - 7_200_000, AT - 3_600_000, "racks", "*", "maintenance")
    budgets = with_events([*demo(), *rare()], [maintenance])
    parts = tuple(Part({"instance": str(number)}, float(number), 100.0) for number in range(30))
    down = Downtime(END - timedelta(hours=3), END - timedelta(hours=2))
    budgets[0] = replace(budgets[0], counts=replace(budgets[0].counts, parts=parts), downtimes=(down,))
    text = to_json(budgets, title="Review", generated=NOW)
    shape = ReportShape.model_validate_json(text)
    assert len(shape.slos) == len(budgets)
    assert json.loads(shape.model_dump_json()) == json.loads(text)


def test_a_field_that_is_not_in_it_is_seen() -> None:
    data = demo()[0].to_dict()
    SloShape.model_validate(data)
    with pytest.raises(ValidationError, match="extra_forbidden"):
        SloShape.model_validate({**data, "new": 1})
    with pytest.raises(ValidationError, match="sli"):
        SloShape.model_validate({**data, "sli": "0.99"})


def test_it_says_what_each_figure_is() -> None:
    schema = report_schema()
    slo = schema["$defs"]["SloShape"]
    assert set(slo["required"]) == set(demo()[0].to_dict())
    assert schema["$defs"]["ErrorBudgetShape"]["properties"]["remaining"]["description"].startswith("1 - consumed")
    assert '"additionalProperties": false' not in json.dumps(schema)  # a new field breaks no reader
