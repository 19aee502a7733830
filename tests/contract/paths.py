"""The ways to count a history. Each gives (errors, total) per step and what its notes say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slo.budget.evaluate import why_invalid
from slo.budget.measure import measure
from slo.promql.ast import MatrixSelector, VectorSelector
from slo.sli.counts import Grid
from slo.sli.notes import counting_notes
from slo.sli.tile import Tile
from slo.source import Source
from slo.spec.load import loads
from slo.spec.model import Slo
from slo.window import tile_length
from tests.contract.fleet import Floats
from tests.contract.fleet import Grid as FleetGrid
from tests.contract.histories import History
from tests.memory import Memory, Server


@dataclass(frozen=True, eq=False)
class Counted:
    """What a path says of a history: float64 per step, a state, and the codes of its notes."""

    errors: Floats
    total: Floats
    state: str
    codes: frozenset[str]
    notes: tuple[str, ...] = ()


def slo_of(history: History) -> Slo:
    """The SLO that a history is for."""
    problems: list[object] = []
    services = loads(history.definition, history.name, problems)  # type: ignore[arg-type]
    faults = [problem for problem in problems if getattr(problem, "severity", "error") == "error"]
    assert not faults, faults
    (service,) = services
    return next(slo for slo in service.slos if slo.name == history.slo_name)


def count(history: History, source: Source, shift_ms: int = 0) -> Counted:
    """What evaluation makes of a history that a source holds, moved by `shift_ms`."""
    grid = Grid(history.grid.end_ms + shift_ms, history.grid.step_ms, history.grid.steps)
    found = measure(slo_of(history), source, grid)
    invalid = why_invalid(found)
    notes = (*invalid, *found.notes, *counting_notes(found.counts.seen))
    state = "invalid" if invalid else "counted" if found.has_data else "no data"
    codes = frozenset(note.code for note in notes)
    return Counted(found.counts.errors, found.counts.total, state, codes, tuple(note.text for note in notes))


def count_by_samples(history: History) -> Counted:
    """Evaluation on samples, as `slo status` does it on a recording."""
    return count(history, Memory(history.samples, history.grid.end_ms))


def count_by_engine(history: History) -> Counted:
    """Evaluation step by step on the embedded engine, as a server does it where there are many series."""
    return count(history, Server(history.samples, history.grid.end_ms))


def count_by_rules(history: History, source: Source | None = None, shift_ms: int = 0) -> Counted:
    """What the tiles that the rules record add up to, each evaluated as a server does it."""
    slo, grid = slo_of(history), history.grid
    asked = source or Server(history.samples, grid.end_ms)
    tiles = tiles_of(slo, asked, grid.start_ms + shift_ms, grid.end_ms + shift_ms)
    errors, total = events_of(slo, tiles)
    words = slo.sli.event_words
    state = "counted" if {words.get("all"), words.get("bad")} & tiles.keys() else "no data"
    return Counted(_by_step(errors, grid), _by_step(total, grid), state, frozenset())


def tiles_of(slo: Slo, source: Source, start_ms: int, end_ms: int) -> dict[str, Floats]:
    """The tiles that the rules record of (start, end], by the label `event`: float64 of shape (tiles,), NaN where none is."""
    tile = Tile(
        tile_length(slo.scrape_interval_ms),
        slo.scrape_interval_ms,
        target=slo.target_labels,
        scrape_ms=slo.scrape_interval_ms,
    )
    kept, *_ = slo.sli.recorded(tile, lambda what, range_ms: MatrixSelector(VectorSelector(f"no_{what}"), range_ms))
    first = start_ms + tile.length_ms + tile.lag_ms
    answer = source.query_range(kept.expr, first, end_ms + tile.lag_ms, tile.length_ms)
    return {labels.get("event", ""): np.asarray(values) for labels, values in answer.series}


def events_of(slo: Slo, tiles: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """(errors, total) of tiles by event, 0 where there is none."""
    length = max((len(values) for values in tiles.values()), default=0)
    events = {event: np.nan_to_num(tiles.get(word, np.zeros(length))) for event, word in slo.sli.event_words.items()}
    total = events["all"] if "all" in events else events["good"] + events["bad"]
    return events["bad"] if "bad" in events else total - events["good"], total


def _by_step(values: Floats, grid: FleetGrid) -> Floats:
    found: Floats = (values if len(values) else np.zeros(grid.steps)).reshape(grid.steps, -1).sum(axis=1)
    return found
