"""The same work on many items, on the workers of a Dask cluster (extra `dask`).

A worker that dies loses nothing: what it had not answered is given to another one. What is done twice that way has the result of once, as
work writes whole files by the same names, and each item's answer is taken once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from slo.errors import ConfigError, SourceError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
CONNECT_S = 20


def spread(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    scheduler: str,
    advance: Callable[[], None] = lambda: None,
    after: Callable[[], None] | None = None,
) -> list[Answer]:
    """The answers in the order of the items; in the end each worker calls `after`. Raises what the work raises, ConfigError, and
    SourceError where the cluster is lost."""
    try:
        import distributed
    except ImportError:
        raise ConfigError("--scheduler needs Dask; install it with `pip install 'slo[dask]'`") from None
    try:
        client = distributed.Client(scheduler, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"--scheduler {scheduler}: no Dask scheduler answers there ({type(error).__name__}); write one such as tcp://host:8786"
        ) from None
    with client, client.as_current():
        futures = client.map(work, list(items), pure=False, retries=0)
        places = {future.key: place for place, future in enumerate(futures)}
        answers: dict[int, Answer] = {}
        try:
            for future, answer in distributed.as_completed(futures, with_results=True):  # type: ignore[no-untyped-call]
                answers[places[future.key]] = answer
                future.release()  # a worker keeps what somebody may still ask for
                advance()
        except distributed.KilledWorker as error:
            raise SourceError(f"{scheduler}: a worker dies each time it is given this: {error}") from None
        finally:
            if after is not None:
                with suppress(Exception):  # whatever became of the workers, the answers are there
                    client.run(after, on_error="ignore")
    return [answers[place] for place in range(len(answers))]


def parts(items: Sequence[Item], most: int = 16, least: int = 64) -> list[tuple[Item, ...]]:
    """Items in parts of a few, in their order: at most `most` in each, and `least` parts where there are as many items, so that
    workers end together."""
    size = max(1, min(most, len(items) // least))
    return [tuple(items[low : low + size]) for low in range(0, len(items), size)]
