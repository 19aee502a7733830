"""Which alerts of other tools page: by Sloth's own label, by usual names, by what a person says; never silently none."""

from __future__ import annotations

from pathlib import Path

import pytest

from slo.backtest import run
from slo.backtest.scoring import PAGING, is_page
from tests.backtest.history import definition, record

OUTAGES = [(30.0, 30.0, 0.5)]
EXPR = 'sum(rate(requests_total{code="500"}[5m])) / sum(rate(requests_total[5m])) > 0.1'


def rules(*labels: str) -> str:
    rows = "".join(f"      - {{alert: A{n}, expr: '{EXPR}', labels: {{{text}}}}}\n" for n, text in enumerate(labels))
    return f"groups:\n  - name: other\n    rules:\n{rows}"


@pytest.mark.parametrize(
    ("labels", "pages", "expected"),
    [
        # As Sloth's own example has them: `severity` is where an alert is sent to.
        ({"severity": "pageteam", "sloth_severity": "page"}, (), True),
        ({"severity": "slack", "sloth_severity": "ticket"}, (), False),
        ({"severity": "critical", "sloth_severity": "ticket"}, (), False),
        ({"severity": "pageteam"}, (), False),
        ({"severity": "pageteam"}, [("severity", "pageteam")], True),
        ({"severity": "pageteam"}, [("severity", "page*")], True),
        ({"severity": "x", "team": "ops"}, [("team", "ops")], True),
        ({"severity": "x"}, [("team", "*")], True),
        ({"severity": "ticket", "sloth_severity": "ticket"}, [("severity", "ticket")], True),
        ({}, (), False),
        *(({"severity": name.upper()}, (), True) for name in PAGING),
        ({"severity": "warning"}, (), False),
    ],
)  # fmt: skip
def test_which_alerts_page(labels: dict[str, str], pages: list[tuple[str, str]], expected: bool) -> None:
    assert is_page(labels, pages) == expected


def test_sloths_pages_are_counted_and_a_file_without_pages_is_named(tmp_path: Path) -> None:
    specs, source = definition(tmp_path), record(tmp_path, 60, OUTAGES)
    sloth = tmp_path / "sloth.yml"
    sloth.write_text(rules("severity: pageteam, sloth_severity: page", "severity: slack, sloth_severity: ticket"))
    plain = tmp_path / "plain.yml"
    plain.write_text(rules("severity: pageteam", "severity: slack"))
    result = run(specs, source, rules=[sloth, plain], incidents="found")
    played = {policy.name: policy for policy in result.policies}
    assert played["sloth"].score.pages == 1 and not played["sloth"].problems
    assert played["plain"].score.pages == 0
    [problem] = played["plain"].problems
    assert "none of its alerts is known to page" in problem and "--pages severity=pageteam" in problem
    reported = run(specs, source, rules=[plain], incidents="found", pages=[("severity", "pageteam")])
    assert {policy.name: policy.score.pages for policy in reported.policies}["plain"] == 1
