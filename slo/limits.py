"""How long servers may be asked in one run, and for one SLO of it.

The deadline of a call bounds a call: a server that sends a byte at a time, each within the limits, would hold a run for
as long as that has calls. What is asked for outside of a run, as in a notebook, is bounded for each SLO by itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from slo.errors import named

# What only raw samples have, who had the bad events and percentiles, takes a second and more for an SLO: a server is asked for
# that of all where there are at most so many, and else of the worst.
ASKED_OF_ALL = 50
MOST_ASKED = 10


@dataclass
class _ServerRun:
    """When it began (`time.monotonic`), and the seconds that each SLO, by its id, has been asked for."""

    begun: float
    consumed_s: dict[str, float] = field(default_factory=dict)


_run: ContextVar[_ServerRun | None] = ContextVar("run", default=None)
# When the SLO at hand has begun to be asked for, less what it has had before.
_begun: ContextVar[float | None] = ContextVar("begun", default=None)


@contextmanager
def one_run() -> Iterator[None]:
    """Within it, all that servers are asked is one run."""
    token = _run.set(_ServerRun(time.monotonic()))
    try:
        yield
    finally:
        _run.reset(token)


@contextmanager
def anew() -> Iterator[None]:
    """Within it, each SLO of the run may take its whole time again, as for another report."""
    now = _run.get()
    token = _run.set(None if now is None else _ServerRun(now.begun))
    try:
        yield
    finally:
        _run.reset(token)


@contextmanager
def asked_for(slo: str) -> Iterator[None]:
    """Within it, a source is asked for one SLO: its failures name it, and what it takes is counted. "" stands for one that is
    yet to be, and is not named. Raises SourceError."""
    run = _run.get() or _ServerRun(time.monotonic())
    begun = time.monotonic() - run.consumed_s.get(slo, 0.0)
    token = _begun.set(begun)
    try:
        with named(slo):
            yield
    finally:
        _begun.reset(token)
        run.consumed_s[slo] = time.monotonic() - begun


def deadlines(objective_s: float, run_s: float) -> tuple[float, float]:
    """Until when (`time.monotonic`) the SLO at hand may be asked for, and the run may ask; infinite where there is none."""
    run, begun = _run.get(), _begun.get()
    return math.inf if begun is None else begun + objective_s, math.inf if run is None else run.begun + run_s
