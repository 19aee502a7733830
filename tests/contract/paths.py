"""The ways to count a history. Each gives (errors, total) per step and what its notes say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slo.budget.evaluate import why_invalid
from slo.budget.measure import measure
from slo.promql import Engine
from slo.promql.ast import Node, VectorSelector, walk
from slo.promql.samples import Samples
from slo.sli.counts import Grid
from slo.sli.notes import counting_notes
from slo.source import Matrix, MatrixSeries, Source
from slo.spec.load import loads
from slo.spec.model import Slo
from tests.contract.fleet import Floats
from tests.contract.histories import History


class Memory:
    """A source of samples in memory that gives what it is asked for, and no more."""

    name = "memory"
    local = True
    notes: tuple[str, ...] = ()

    def __init__(self, samples: Samples, end_ms: int) -> None:
        self._samples = samples
        self._end_ms = end_ms

    def latest_ms(self) -> int:
        return self._end_ms

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """The series that any selector matches, each once, with start_ms <= time <= end_ms."""
        found = {id(one): one for selector in selectors for one in self._samples.select(selector)}
        rows = []
        for one in found.values():
            low, high = np.searchsorted(one.times, [start_ms, end_ms + 1])
            if high > low:
                rows.append((one.labels, one.times[low:high], one.values[low:high]))
        return Samples.from_series(rows)

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """By the engine, over all samples."""
        selectors = [node for node in walk(expr) if isinstance(node, VectorSelector)]
        wanted = {id(one): one for selector in selectors for one in self._samples.select(selector)}
        engine = Engine(Samples(wanted.values()))
        answer = engine.query_range(expr, start=start_ms / 1000, end=end_ms / 1000, step=step_ms / 1000)
        times = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
        rows = []
        for series in answer.series:
            values = np.full(len(times), np.nan)
            values[(series.times - start_ms) // step_ms] = series.values
            rows.append(MatrixSeries(series.labels, values))
        return Matrix(times, tuple(rows), tuple(str(text) for text in (*answer.warnings, *answer.infos)))

    def query(self, expr: Node, at_ms: int) -> Matrix:
        return self.query_range(expr, at_ms, at_ms, 1000)


class Server(Memory):
    """The same, as a server that is better left to add up by itself: the engine evaluates the kind's PromQL."""

    local = False


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
