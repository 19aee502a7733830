"""The time of an SLO and of a run for sources that are no servers of ours: SQL, files of events, what installed packages bring.

Nobody can stop such a source from outside: it works in a thread of its own, which is given up when its time is over and ends with
the process at the latest.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from slo.errors import SloError, SourceError
from slo.limits import deadlines
from slo.source import failure
from slo.window import EARLIEST_MS, LATEST_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slo.promql.ast import Node, VectorSelector
    from slo.promql.samples import Samples
    from slo.source.base import Matrix, Source
    from slo.source.config import SourceConfig

Out = TypeVar("Out")
_LOOK_S = 0.5
_SHOWN = 300  # characters of what a package's source fails with


def _nothing() -> None:
    """There is nothing to stop."""


@dataclass(slots=True)
class _LimitedTask:
    """Something to be done, and its outcome: whether it went well, and what it gave or raised."""

    work: Callable[[], Any]
    outcome: queue.SimpleQueue[tuple[bool, Any]] = field(default_factory=queue.SimpleQueue)
    given_up: bool = False


class Worker:
    """One thread that does one thing after the other, each within the time of the SLO at hand and of the run.

    One, since what a package opens there, such as a connection to a database, may be of use in that thread alone.
    """

    def __init__(self, name: str, config: SourceConfig, narrow: str) -> None:
        """`name` is the source's, for messages; `narrow` what can be done to need less time."""
        self.name, self._config, self._narrow = name, config, narrow
        self._tasks: queue.SimpleQueue[_LimitedTask] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def run(self, work: Callable[[], Out], stop: Callable[[], None] = _nothing) -> Out:
        """What `work` gives or raises. Raises OutOfTimeError where that takes too long, what is still being done before
        included; then `stop` is called."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="slo-limited", daemon=True)
                self._thread.start()
        own = time.monotonic() + self._config.objective_s
        until = min(own, *deadlines(self._config.objective_s, self._config.run_s))
        context = copy_context()
        task = _LimitedTask(lambda: context.run(work))
        try:
            self._tasks.put(task)
            good, result = _awaited(task, until)
        except BaseException as error:  # also Ctrl-C, on which a query would go on while the program ends
            task.given_up = True
            with suppress(Exception):
                stop()
            if isinstance(error, queue.Empty):
                raise self._late() from None
            raise
        if good:
            out: Out = result
            return out
        raise result

    def _serve(self) -> None:
        while True:
            task = self._tasks.get()
            if task.given_up:
                continue
            try:
                task.outcome.put((True, task.work()))
            except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is waited for
                task.outcome.put((False, error))

    def _late(self) -> SourceError:
        config = self._config
        objective, run = deadlines(config.objective_s, config.run_s)
        if run <= time.monotonic():
            late = failure.out_of_time(config.run_s, "in this run", "name fewer SLOs", "SLO_TIMEOUT_RUN")
        else:
            what = "at once" if objective == math.inf else "for this SLO"
            late = failure.out_of_time(config.objective_s, what, self._narrow, "SLO_TIMEOUT_OBJECTIVE")
        return late.error(self.name, 1)


def _awaited(task: _LimitedTask, until: float) -> tuple[bool, Any]:
    """The outcome of a task. Raises queue.Empty where it is not there at `until`, of the clock of `time.monotonic`.

    A signal that comes just before a thread waits does not wake it: so Ctrl-C is looked for again and again.
    """
    while (left := until - time.monotonic()) > _LOOK_S:
        with suppress(queue.Empty):
            return task.outcome.get(timeout=_LOOK_S)
    return task.outcome.get(timeout=max(0.0, left))


class LimitedSource:
    """A source of an installed package: its calls have a time, and whatever it fails with is a SourceError."""

    def __init__(self, open_it: Callable[[], Source], name: str, config: SourceConfig) -> None:
        self._worker = Worker(name, config, "ask for a shorter time range")
        self._source = self._asked(open_it)

    @property
    def opened(self) -> Source:
        """The source as its package made it."""
        return self._source

    @property
    def name(self) -> str:
        """As the source calls itself."""
        return str(self._source.name)

    @property
    def local(self) -> bool:
        """As the source says."""
        return bool(self._source.local)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the source has said."""
        return tuple(self._source.notes)

    def latest_ms(self) -> int:
        """The last moment that the source knows of. Raises SourceError."""
        at_ms = self._asked(lambda: self._source.latest_ms())
        if isinstance(at_ms, bool) or not hasattr(at_ms, "__index__") or not EARLIEST_MS <= at_ms <= LATEST_MS:
            raise SourceError(
                f"{self.name}: it answers {at_ms!r:.100} where the last moment that it knows of is asked for"
            )
        return int(at_ms)

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """The source's. Raises SourceError."""
        from slo.promql.samples import Samples

        return self._of_type(Samples, self._asked(lambda: self._source.samples(selectors, start_ms, end_ms)))

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """The source's. Raises SourceError."""
        return self._matrix(self._asked(lambda: self._source.query_range(expr, start_ms, end_ms, step_ms)))

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """The source's. Raises SourceError."""
        return self._matrix(self._asked(lambda: self._source.query(expr, at_ms)))

    def __getattr__(self, key: str) -> Any:
        """What sources may have beyond that, such as `retention_ms`."""
        if "_source" not in self.__dict__:  # a copy that is being made
            raise AttributeError(key)
        value = getattr(self._source, key)
        if not callable(value):
            return value

        @wraps(value)
        def asked(*args: Any, **kwargs: Any) -> Any:
            return self._asked(lambda: value(*args, **kwargs))

        return asked

    def _asked(self, work: Callable[[], Out]) -> Out:
        try:
            return self._worker.run(work)
        except (SloError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            said = " ".join(str(error).split())[:_SHOWN]
            raise SourceError(
                f"{self._worker.name}: the source of an installed package failed: {type(error).__name__}{': ' * bool(said)}{said}"
            ) from error

    def _matrix(self, answer: Any) -> Matrix:
        from slo.source.base import Matrix

        matrix = self._of_type(Matrix, answer)
        for series in matrix.series:
            if len(series.values) != len(matrix.times):
                raise SourceError(f"{self.name}: it answers {len(series.values)} values for {len(matrix.times)} times")
        return matrix

    def _of_type(self, kind: type[Out], answer: Any) -> Out:
        if not isinstance(answer, kind):
            raise SourceError(f"{self.name}: it answers with {type(answer).__name__} where {kind.__name__} is expected")
        return answer
