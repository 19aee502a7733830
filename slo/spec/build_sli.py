"""From the YAML's SLI and objective to what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

from slo.fields import Model
from slo.reading import Fault, Path, Report
from slo.sli.base import Sli, Surroundings
from slo.sli.kinds import KINDS
from slo.spec.document import SloModel
from slo.spec.model import Objective
from slo.spec.read import parse_objective

_PERCENTILE = re.compile(r"p(?P<percent>[0-9]+(?:\.[0-9]+)?)\s*(?:<=?|≤)\s*(?P<threshold>\S+)")


def names_another(model: Model) -> bool:
    """Whether an SLI is made of another SLO's, so that it is read after the others."""
    return any(kind.of_another and getattr(model, key) is not None for key, kind in KINDS.items())


def build_objective_and_sli(
    entry: SloModel, path: Path, report: Report, scrape_ms: int, built: Mapping[str, Sli | None]
) -> tuple[Objective, Sli]:
    """The objective and SLI of one SLO. Raises Fault once all their faults are reported."""
    percentile = _PERCENTILE.fullmatch(entry.objective.strip())
    if percentile and not any(
        kind.takes_percentile and getattr(entry.sli, key) is not None for key, kind in KINDS.items()
    ):
        report(
            (*path, "objective"),
            f"objective {entry.objective!r} is a percentile; only a `latency` SLI has one",
            "error",
        )
        raise Fault
    objective, sli = None, None
    try:
        objective = parse_objective(percentile["percent"] if percentile else entry.objective)
    except ValueError as error:
        report((*path, "objective"), str(error), "error")
    by = tuple(entry.by) if isinstance(entry.by, list) else ()
    around = Surroundings(percentile["threshold"] if percentile else None, (*path, "objective"), scrape_ms, built, by)
    with suppress(Fault):
        sli = _sli(entry.sli, (*path, "sli"), report, around)
    if sli is None or objective is None:
        raise Fault
    return objective, sli


def _sli(model: Model, at: Path, report: Report, around: Surroundings) -> Sli:
    given = [name for name in KINDS if getattr(model, name) is not None]
    if len(given) != 1:
        join = " and ".join(given) if given else "none"
        report(at, f"an SLI is exactly one of {', '.join(KINDS)}; found {join}", "error")
        raise Fault
    return KINDS[given[0]].read(getattr(model, given[0]), (*at, given[0]), report, around)
