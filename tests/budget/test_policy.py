"""What follows when a budget runs low: the team's steps, and the SRE workbook's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from slo.budget.incidents import Incident
from slo.report import render, to_markdown
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.report.budgets import budget_of

STEPS = """\
service: shop
defaults:
  policy:
    - {below: 0%, follows: stop}
    - {below: 50%, follows: review}
    - {below: 20%, follows: 'slow <b>down</b>'}
slos:
  - {name: a, objective: 99, sli: {probe: {metric: up}}}
  - {name: b, objective: 99, sli: {probe: {metric: up}}, policy: [{below: 90%, follows: own}]}
"""


def slos(text: str = STEPS) -> Specs:
    problems: list[object] = []
    specs = Specs(loads(text, "x.yaml", problems))  # type: ignore[arg-type]
    assert not problems, problems
    return specs


@pytest.mark.parametrize(
    ("left", "expected"),
    [(0.9, ()), (0.5, ()), (0.49, ("review",)), (0.2, ("review",)), (0.1, ("slow <b>down</b>",)), (0.0, ("stop",)), (-2.0, ("stop",))],
)  # fmt: skip
def test_the_step_with_the_least_budget_that_was_passed_counts(left: float, expected: tuple[str, ...]) -> None:
    spec = slos()["shop/a"]
    budget = budget_of(spec, errors=(1 - left) * 1000.0, total=100_000.0)
    assert budget.policy_actions == expected


def test_an_slos_own_policy_replaces_the_files_and_without_any_it_is_the_workbooks() -> None:
    assert budget_of(slos()["shop/b"], errors=500.0, total=100_000.0).policy_actions == ("own",)
    plain = slos("service: s\nslos: [{name: a, objective: 99, sli: {probe: {metric: up}}}]\n")["s/a"]
    assert budget_of(plain, errors=999.0, total=100_000.0).policy_actions == ()
    [text] = budget_of(plain, errors=1001.0, total=100_000.0).policy_actions
    assert "P0 and security" in text


def test_an_incident_of_over_a_fifth_of_the_budget_needs_a_postmortem() -> None:
    start = datetime(2026, 11, 3, 4, 5, tzinfo=UTC)
    incidents = tuple(Incident(start, start + timedelta(hours=1), 1.0, 2.0, share) for share in (0.2, 0.21))
    budget = replace(budget_of(slos()["shop/a"], errors=1.0, total=100_000.0), incidents=incidents)
    assert budget.policy_actions == (
        "A postmortem of the incident of 3 Nov 2026 04:05: it consumed 21.0% of the budget.",
    )


def test_it_is_stated_everywhere_and_escaped() -> None:
    budget = budget_of(slos()["shop/a"], errors=900.0, total=100_000.0)
    page = render([budget], title="x", generated=datetime(2026, 11, 21, tzinfo=UTC))
    assert "slow &lt;b&gt;down&lt;/b&gt;" in page and "<b>down" not in page
    assert budget.to_dict()["policy"] == ["slow <b>down</b>"]
    assert "Policy actions:" in to_markdown([budget], title="x", generated=datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("[{below: 150%, follows: x}]", "150% is not a share of a budget"),
        ("[{below: some, follows: x}]", "'some' is not a valid quantity"),
        ("[{below: 5%, follows: x}, {below: 5%, follows: y}]", "5% has a step already"),
        ("[{below: 5%}]", "`follows` is missing"),
        ("[{bellow: 5%, follows: x}]", "unknown key `bellow`; did you mean `below`?"),
    ],
)
def test_faults_are_named(policy: str, message: str) -> None:
    problems: list[object] = []
    text = f"service: s\nslos: [{{name: a, objective: 99, sli: {{probe: {{metric: up}}}}, policy: {policy}}}]\n"
    loads(text, "x.yaml", problems)  # type: ignore[arg-type]
    assert message in " ".join(map(str, problems))
