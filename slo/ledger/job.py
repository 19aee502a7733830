"""Writing a ledger from a source: service by service and week by week, so that memory is bounded by the largest service's week."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slo.ledger.ledger import Ledger
from slo.ledger.tables import STEP_MS, week_start
from slo.ledger.update import entries_of
from slo.spec.model import Slo
from slo.window import DAY, HOUR, WEEK

if TYPE_CHECKING:
    from slo.source import Source

FIRST_MS = 35 * DAY  # how far back a service's first update reaches
AGAIN_MS = HOUR  # late samples: so much is counted anew before where the ledger ends


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update has done.

    Attributes:
        slos: SLOs of which there are steps.
        steps: Steps of 5 minutes with events.
    """

    slos: int
    steps: int


def update(
    slos: Sequence[Slo],
    source: Source,
    place: str | os.PathLike[str],
    start_ms: int | None,
    end_ms: int,
    advance: Callable[[], None] = lambda: None,
) -> Updated:
    """Adds what a source counts in (start_ms, end_ms] to a ledger; the same again changes nothing.

    Without a start each service goes on where the ledger has it end, an hour before; one that is not there yet begins 35 d back.
    Raises SourceError, ConfigError, OSError.
    """
    ledger = Ledger(place)
    services: dict[str, list[Slo]] = {}
    for slo in slos:
        services.setdefault(slo.service, []).append(slo)
    end_ms = end_ms // STEP_MS * STEP_MS
    counted, steps = set(), 0
    for service, own in services.items():
        last_ms = ledger.last_end(service) if start_ms is None else None
        begin_ms = start_ms if start_ms is not None else end_ms - FIRST_MS if last_ms is None else last_ms - AGAIN_MS
        begin_ms = begin_ms // STEP_MS * STEP_MS
        while begin_ms < end_ms:
            until_ms = min(end_ms, week_start(begin_ms + 1) + WEEK)
            entries = entries_of(own, source, begin_ms, until_ms)
            ledger.write(entries)
            counted |= {name for name, entry in entries.items() if len(entry.ends)}
            steps += sum(len(entry.ends) for entry in entries.values())
            begin_ms = until_ms
        for _ in own:
            advance()
    return Updated(len(counted), steps)
