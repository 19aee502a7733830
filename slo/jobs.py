"""Work on many things in several processes: in their order, a few at a time, with the first failure as in one process.

Processes are started anew (`spawn`), so that nothing is shared with this one: what they need is made in each of them, by a function
that can be sent there.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from typing import Any, Generic, Self, TypeVar

from slo.errors import ConfigError, SloError
from slo.limits import one_run

# Fewer than so many are done in this process: to start others takes a second or two.
LEAST = 50
# As many chunks wait for each process as keep it busy.
_WAITING = 2

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")
_state: Any = None


def number_of(jobs: int | None, items: int, least: int | None = None) -> int:
    """How many processes to use: all cores unless said otherwise, one for less than `least` items, `LEAST` if not given. Raises ConfigError."""
    if jobs is not None and jobs < 1:
        raise ConfigError(f"{jobs} jobs cannot do anything; give 1 or more")
    if items < (LEAST if least is None else least):
        return 1
    return min(items, jobs or _cores())


def _cores() -> int:
    """The cores that this process may use, where the system says so; else all."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def chunks(items: Sequence[Item], jobs: int) -> list[Sequence[Item]]:
    """Items in parts of up to 16, several for each process."""
    size = max(1, min(16, len(items) // (4 * jobs)))
    return [items[low : low + size] for low in range(0, len(items), size)]


def in_processes(
    make: Callable[[], State], work: Callable[[State, Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[Result]:
    """What `work` makes of each item, in their order. `make` is called once in each process, for the first argument.

    An SloError of any ends it, that of the first item first. Whatever ends it early ends the processes too.
    """
    with Processes(make, min(jobs, len(items))) as processes:
        yield from processes.each(work, items)


class Processes(Generic[State]):
    """Processes that work on one list of items after another; within `with`, at whose end they end. Started when they are first needed."""

    def __init__(self, make: Callable[[], State], jobs: int) -> None:
        """`make` is called once in each of `jobs` processes, for what their work is given first."""
        self.jobs = jobs
        self._pool = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (make,))

    def each(self, work: Callable[[State, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """What `work` makes of each item, in their order; of the items no more are taken than keep the processes busy."""
        waiting: deque[Future[tuple[Result | None, SloError | None]]] = deque()
        for item in items:
            waiting.append(self._pool.submit(_call, work, item))
            if len(waiting) < _WAITING * self.jobs:
                continue
            yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        whole = kind is None
        if not whole:  # Ctrl-C and failures do not wait for what nobody needs any more
            for process in list((getattr(self._pool, "_processes", None) or {}).values()):
                with suppress(OSError):
                    process.terminate()
        self._pool.shutdown(wait=whole, cancel_futures=True)


def _result(future: Future[tuple[Result | None, SloError | None]]) -> Result:
    result, error = future.result()
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def _begin(make: Callable[[], Any]) -> None:
    """In a new process: Ctrl-C is its parent's, and all that it asks servers is one run."""
    global _state
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import warnings

    warnings.simplefilter("ignore", RuntimeWarning)  # as in the program: notes say it in words
    one_run().__enter__()
    _state = make


def _call(work: Callable[[Any, Any], Any], item: Any) -> tuple[Any, SloError | None]:
    global _state
    try:
        if callable(_state):
            _state = _MadeInProcess(_state())
        return work(_state.value, item), None
    except SloError as error:
        return None, _sendable(error)


class _MadeInProcess:
    """What was made in a process."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _sendable(error: SloError) -> SloError:
    """The error, or one of its nearest kind that can be sent to another process, with the same message."""
    with suppress(Exception):
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
        return error
    from slo.errors import SourceError

    return SourceError(str(error)) if isinstance(error, SourceError) else SloError(str(error))
