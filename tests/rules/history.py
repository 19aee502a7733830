"""A history of requests with planted faults, whose every event is known: the truth that rules are compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCRAPE = 30
HOUR, DAY = 3600, 86400
# Round midnight, UTC: so that nights are nights.
START = 1_700_006_400 // DAY * DAY
OK_CODES, BAD_CODES = ("200", "201", "204", "404"), ("500", "503")
Floats = NDArray[np.float64]


@dataclass
class History:
    """Samples as OpenMetrics text, and when each event was revealed by a scrape."""

    end: int
    times: Floats
    errors: Floats
    total: Floats
    slow: Floats

    def revealed(self, what: Floats, end: float, window: float) -> float:
        """The events that the scrapes of (end − window, end] reveal."""
        inside = (self.times > end - window) & (self.times <= end)
        return float(what[inside].sum())

    def ratio(self, end: float, window: float) -> float:
        return self.revealed(self.errors, end, window) / self.revealed(self.total, end, window)


def write(
    path: Path, days: float = 40, instances: int = 4, seed: int = 1, rate: float = 20.0, histogram: bool = True
) -> History:
    """Six series an instance, a histogram with it. Per instance and second about `rate` requests at noon.

    The faults, near the end: two incidents by night, one with crashes in it; one with a scrape gap of 10 min in it,
    in which a code appears for the first time; an hour without traffic each night; restarts once a week.
    """
    random = np.random.default_rng(seed)
    steps = int(days * DAY / SCRAPE)
    clock = START + SCRAPE * np.arange(steps)
    hour = clock % DAY / HOUR
    load = rate * SCRAPE * (0.55 + 0.45 * np.sin((hour - 6) / 24 * 2 * np.pi))
    load[(hour >= 3) & (hour < 4)] = 0.0
    end = START + steps * SCRAPE
    ratio = np.full(steps, 0.0002)
    night = end - DAY
    incidents = [
        (night + 1 * HOUR, 40 * 60, 0.20),  # by night, with crashes
        (night - DAY + 2 * HOUR, 30 * 60, 0.5),  # by night
        (night + 14 * HOUR, 45 * 60, 0.05),  # by day, with a gap
        (end - 25 * 60, 20 * 60, 0.10),
    ]
    for start, lasts, share in incidents:
        ratio[(clock >= start) & (clock < start + lasts)] = share
    gap = (night + 14 * HOUR + 10 * 60, night + 14 * HOUR + 20 * 60)
    crashes = {0: [night + 1 * HOUR + 600, night + 1 * HOUR + 1230], 1: [night + 1 * HOUR + 900]}
    scraped: list[NDArray[np.floating[Any]]] = []
    arrays: dict[str, list[Floats]] = {"errors": [], "total": [], "slow": []}
    lines: dict[str, list[str]] = {"requests": [], "duration": []}
    for instance in range(instances):
        scrapes = clock + 3.1 + 1.7 * (instance % 12)
        requests = random.poisson(load)
        bad = random.binomial(requests, ratio)
        late = np.where(clock >= gap[0] - 300, random.binomial(bad, 0.4), 0)  # a code that was never seen before
        split = random.multinomial(requests - bad, [0.7, 0.15, 0.1, 0.05]).T
        counts = dict(zip((*OK_CODES, *BAD_CODES), (*split, bad - late, late), strict=True))
        slow = random.binomial(requests, np.minimum(1.0, ratio * 3))
        # The process serves from one scrape to the next; after a crash the new one serves the whole next interval.
        resets = [int((t - START) // SCRAPE) for t in crashes.get(instance, [])]
        resets += [
            s for s in range(7 * DAY // SCRAPE * (instance + 1) % (8 * DAY // SCRAPE), steps, 7 * DAY // SCRAPE) if s
        ]
        seen = ~((scrapes >= gap[0]) & (scrapes < gap[1]))
        labels = f'job="shop",instance="i{instance:03d}"'
        for code, events in counts.items():
            _series(
                lines["requests"],
                f'requests_total{{{labels},code="{code}"}}',
                scrapes,
                events,
                resets,
                seen,
                code in BAD_CODES,
            )
        for name, events in (
            ('bucket{%s,le="0.5"}', requests - slow),
            ('bucket{%s,le="+Inf"}', requests),
            ("count{%s}", requests),
        ):
            if histogram:
                _series(lines["duration"], f"duration_seconds_{name % labels}", scrapes, events, resets, seen)
        scraped.append(scrapes[seen])
        for what, events in (("errors", bad), ("total", requests), ("slow", slow)):
            summed = np.concatenate([[0], np.cumsum(events)[seen]])
            revealed = np.diff(summed).astype(float)
            revealed[0] = 0.0  # the baseline
            arrays[what].append(revealed)
    with path.open("w") as file:
        file.write("# TYPE requests counter\n" + "".join(lines["requests"]))
        if histogram:
            file.write("# TYPE duration_seconds histogram\n" + "".join(lines["duration"]))
        file.write("# EOF\n")
    return History(
        end, np.concatenate(scraped), *(np.concatenate(arrays[what]) for what in ("errors", "total", "slow"))
    )


def _series(
    out: list[str],
    name: str,
    times: NDArray[np.floating[Any]],
    events: NDArray[np.int64],
    resets: list[int],
    seen: NDArray[np.bool_],
    rare: bool = False,
) -> None:
    """A counter: cumulated from one restart to the next. Rare series of a process begin with their first event."""
    starts = sorted({0, *resets})
    for low, high in zip(starts, [*starts[1:], len(events)], strict=True):
        values = np.cumsum(events[low:high])
        shown = seen[low:high] & ((values > 0) if rare else True)
        chosen = np.flatnonzero(shown)
        out.append(
            "".join(
                f"{name} {value} {time:.3f}\n"
                for value, time in zip(values[chosen], times[low:high][chosen], strict=True)
            )
        )
