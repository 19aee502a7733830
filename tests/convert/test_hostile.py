"""Whatever stands in a foreign file, it ends as a definition or a reason, never as a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.convert.model import Options
from slo.convert.read import convert
from slo.convert.write import file_text
from slo.spec.load import loads
from tests.convert import pyrra, sloth
from tests.convert.test_expression import ALL, BAD
from tests.convert.test_openslo import POLICY, THRESHOLD, openslo
from tests.convert.test_others import generator
from tests.convert.test_pyrra import RATIO
from tests.convert.test_sloth import RESOURCE

GOOD = [
    RESOURCE, sloth(BAD, ALL), sloth(ratio=f"{BAD} / {ALL}"), pyrra(RATIO), pyrra("bool_gauge: {metric: up}"),
    openslo(more="  alertPolicies: [burns]\n") + "---\n" + POLICY,
    openslo(THRESHOLD, objective="op: lte, value: 100, target: 0.99, timeSliceWindow: 1m, timeSliceTarget: 1", method="Timeslices"),
    generator("filter_good: a_total, filter_valid: b_total"),
]  # fmt: skip
ODD: list[Any] = [
    None, "", 3, True, [], {}, [None], [3], {"a": "b"}, {"a": {"b": [1]}}, "-1", "NaN", "1e999999", "9" * 5000, "{{", "{{.window}}", "[", "sum(",
    "a\x00b", "é", "${x}", "x" * 300, "{{ .Values.x }}", "1m", "0s", "1000y",
]  # fmt: skip


def paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*path, key)
        yield from paths(value, (*path, key))


@settings(max_examples=60)
@given(st.data())
def test_a_value_in_the_wrong_place_is_a_reason(data: st.DataObject) -> None:
    documents = list(yaml.safe_load_all(data.draw(st.sampled_from(GOOD))))
    path = data.draw(st.sampled_from([path for path in paths(documents) if len(path) > 1]))
    holder = documents
    for step in path[:-1]:
        holder = holder[step]
    odd = data.draw(st.sampled_from(["missing", *ODD]))
    if odd == "missing":
        del holder[path[-1]]
    else:
        holder[path[-1]] = odd
    [result] = convert({"x.yaml": yaml.safe_dump_all(documents)}, Options())
    assert result.drafts or result.refusals
    problems: list[Any] = []
    loads(file_text(result), "x.yaml", problems)
    assert not result.services or not [problem for problem in problems if problem.severity == "error"]


@settings(max_examples=40)
@given(
    st.sampled_from(GOOD),
    st.integers(0, 2000),
    st.integers(0, 60),
    st.sampled_from(["", "{", "'", "\t", "\n", ": ", "- ", "{{", "\x01"]),
)
def test_damaged_text_is_a_reason(text: str, start: int, length: int, put: str) -> None:
    at = start % len(text)
    [result] = convert({"x.yaml": text[:at] + put + text[at + length :]}, Options())
    assert result.drafts or result.refusals


@pytest.mark.parametrize(
    "text",
    [
        'resource "grafana_slo" "x" {}\n',
        'resource "grafana_slo" "x" {\n  query = 3\n  objectives = [1]\n}\n',
        "resource = 3\n",
        "x = {\n",
    ],
)
def test_terraform_of_another_shape_is_a_reason(text: str) -> None:
    [result] = convert({"x.tf": text}, Options())
    assert result.refusals


def test_a_long_terraform_file_is_refused_before_it_is_parsed() -> None:
    [result] = convert({"x.tf": "a = 1\n" * 100_000}, Options())
    assert "512 KiB" in result.refusals[0].reason or "not installed" in result.refusals[0].reason


def test_a_reason_is_not_as_long_as_the_file() -> None:
    for file, text in (("x.tf", "a = <<E\n" + "x\n" * 100_000), ("x.yaml", sloth("x" * 100_000 + "(", ALL))):
        [result] = convert({file: text}, Options())
        assert result.refusals and all(len(refusal.reason) <= 1000 for refusal in result.refusals)


@pytest.mark.parametrize(
    "text",
    [
        "<<: {items: [%s]}\nkind: List\n",
        "kind: List\nitems: [%s]\n",
        "<<: [{items: [3]}]\n<<: {items: []}\nkind: List\nitems: [%s]\n",
    ],
)
def test_items_of_a_list_may_have_been_merged(text: str) -> None:
    entry = sloth(BAD, ALL)
    [result] = convert({"x.yaml": text % json.dumps(yaml.safe_load(entry))}, Options())
    assert [draft.name for draft in result.drafts] == ["requests"] and not result.refusals


@pytest.mark.parametrize("number", ["1e999999", "-1e999999", "9" * 5000, "1e-999999", "NaN", "Infinity", "0x1", "1_0"])
def test_a_number_that_nobody_can_mean_is_a_reason(number: str) -> None:
    count, bucket = (
        "sum(rate(d_seconds_count[{{.window}}]))",
        f'sum(rate(d_seconds_bucket{{le="{number}"}}[{{{{.window}}}}]))',
    )
    exhausted = "{id: sloth.dev/contrib/error_budget_exhausted_alert/v1, config: {threshold: '%s'}}"
    for text in (
        openslo(objective=f"target: '{number}'"),
        openslo(
            THRESHOLD, objective=f"op: lte, value: '{number}', target: 0.99, timeSliceWindow: 1m", method="Timeslices"
        ),
        sloth(f"{count} - {bucket}", count),
        sloth(BAD, ALL, objective=f"'{number}'"),
        sloth(BAD, ALL, more=f"    plugins: {{chain: [{exhausted % number}]}}\n    alerting: {{name: A}}\n"),
    ):
        [result] = convert({"x.yaml": text}, Options())
        assert result.drafts or result.refusals
