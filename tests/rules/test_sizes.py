"""docs/scale.md's sizes of rules are what the script counts."""

from __future__ import annotations

import re
from pathlib import Path

from tests.rules.sizes import row, size

ROOT = Path(__file__).parents[2]


def cells(line: str) -> list[float]:
    """The numbers of a row: SLOs, rules, MB, groups, fewest groups, samples a second."""
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*", line.replace(", or", " or"))]


def test_the_table_of_sizes_is_the_scripts() -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    table = text.partition("`python -m tests.rules.sizes`")[2].partition("\n\nOne Prometheus")[0]
    first, *others = [line for line in table.splitlines() if line.startswith("| ") and line[2].isdigit()]
    counted = size(35)
    assert first == row(counted)
    assert counted.rules == 35 * 19 and counted.groups == 2 * 35
    for line in others:  # what many SLOs take is theirs
        slos, rules, megabytes, groups, fewest, samples = cells(line)
        share = slos / counted.slos
        assert (rules, groups, fewest) == (counted.rules * share, counted.groups * share, counted.fewest * share)
        assert abs(samples / (counted.samples * share) - 1) < 0.01
        assert abs(megabytes * 1e6 / (counted.bytes * share) - 1) < 0.1
