"""The ways to count a history. Each gives (errors, total) per step and what its notes say."""

from __future__ import annotations

from dataclasses import dataclass, field

from slo.spec.load import loads
from slo.spec.model import Slo
from tests.contract.fleet import Floats
from tests.contract.histories import History
from tests.memory import Memory


@dataclass(frozen=True, eq=False)
class Counted:
    """What a path says of a history: float64 per step, a state, and the codes and texts of its notes."""

    errors: Floats
    total: Floats
    has_data: bool = True
    notes: tuple[tuple[str, str], ...] = ()
    more: dict[str, object] = field(default_factory=dict)


def slo_of(history: History) -> Slo:
    """The SLO that a history is for."""
    problems: list[object] = []
    services = loads(history.definition, history.name, problems)  # type: ignore[arg-type]
    faults = [problem for problem in problems if getattr(problem, "severity", "error") == "error"]
    assert not faults, faults
    (service,) = services
    return next(slo for slo in service.slos if slo.name == history.slo_name)


def count_by_samples(history: History) -> Counted:
    """Evaluation on samples, as `slo status` does it on a recording."""
    from slo.budget.measure import measure
    from slo.sli.counts import Grid

    grid = Grid(history.grid.end_ms, history.grid.step_ms, history.grid.steps)
    found = measure(slo_of(history), Memory(history.samples, history.grid.end_ms), grid)
    from slo.sli.notes import counting_notes

    notes = tuple((note.code, note.text) for note in (*found.notes, *counting_notes(found.counts.seen)))
    return Counted(found.counts.errors, found.counts.total, found.has_data, notes)
