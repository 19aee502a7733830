"""What definitions assume of a server, asked of that server: one file per group of checks.

A check is a generator of `Finding`; `CHECKS` and `TOGETHER` list them. A new one is one function in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from slo.check.bounds import check_bounds
from slo.check.groups import check_groups
from slo.check.late import check_late
from slo.check.model import Finding, Probed
from slo.check.retention import check_retention
from slo.check.rules import check_rules
from slo.check.scraping import check_interval
from slo.check.series import check_series
from slo.check.traffic import check_traffic
from slo.check.types import check_types
from slo.limits import asked_for

if TYPE_CHECKING:
    from slo.source import Source
    from slo.spec.model import Specs

__all__ = ["CHECKS", "TOGETHER", "Finding", "check_source"]

# Of one SLO, in this order.
CHECKS = (check_types, check_bounds, check_interval, check_retention, check_groups, check_traffic)
# Of all SLOs at once.
TOGETHER = (check_rules, check_late)


def check_source(specs: Specs, source: Source, done: Callable[[], None] = lambda: None) -> Iterator[Finding]:
    """What does not hold of the SLOs at a source, worst first for each SLO; `done` is called after each.

    Raises SourceError where the source cannot be asked at all.
    """
    at_ms = source.latest_ms()
    for slo in specs.values():
        probed = Probed(slo, source, at_ms)
        with asked_for(slo.id):
            found = list(check_series(probed))
            # Of an SLI without series nothing else is known.
            if not any(finding.severity == "error" for finding in found):
                found += [finding for check in CHECKS for finding in check(probed)]
        yield from found
        done()
    for together in TOGETHER:
        yield from together(specs, source)
