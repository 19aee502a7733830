"""What definitions assume of a server, asked of that server: one file per group of checks.

A check is a generator of `Finding`; `CHECKS` and `TOGETHER` list them. A new one is one function in them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
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
from slo.source.base import source_of
from slo.spec.model import Specs

if TYPE_CHECKING:
    from slo.source import Source

__all__ = ["CHECKS", "TOGETHER", "Finding", "check_source"]

# Of one SLO, in this order.
CHECKS = (check_types, check_bounds, check_interval, check_retention, check_groups, check_traffic)
# Of all SLOs at once.
TOGETHER = (check_rules, check_late)


def check_source(specs: Specs, source: Source, done: Callable[[], None] = lambda: None) -> Iterator[Finding]:
    """What does not hold of the SLOs at a source, worst first for each SLO; `done` is called after each.

    Of several sources each SLO is asked of its own, and the rules of each source are compared with those of its SLOs.
    Raises SourceError where the source cannot be asked at all.
    """
    at_ms = source.latest_ms()
    # Plain alerts without any SLO are asked of the source itself.
    by_source: dict[int, tuple[Source, list[str]]] = {} if specs else {id(source): (source, [])}
    for slo in specs.values():
        with asked_for(slo.id):
            own = source_of(source, slo)
            probed = Probed(slo, own, at_ms)
            findings = list(check_series(probed))
            # Of an SLI without series nothing else is known.
            if not any(finding.severity == "error" for finding in findings):
                findings += [finding for check in CHECKS for finding in check(probed)]
        by_source.setdefault(id(own), (own, []))[1].append(slo.id)
        yield from findings
        done()
    for together in TOGETHER:
        for own, ids in by_source.values():
            yield from together(specs if len(by_source) == 1 else _of(specs, ids), own)


def _of(specs: Specs, ids: Collection[str]) -> Specs:
    """Some SLOs. The plain alerts of a service go with its first SLO: their rules are loaded once."""
    services = []
    for service in specs.services:
        slos = tuple(slo for slo in service.slos if slo.id in ids)
        if slos:
            alerts = service.alerts if slos[0] is service.slos[0] else ()
            services.append(replace(service, slos=slos, alerts=alerts))
    return Specs(services)
