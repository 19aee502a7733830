"""The second history: 31 days of a nasty fleet, with its truth and what the scrapes reveal.

Deployments every 5 h replace all pods one after the other, pods come and go with the load, scrapes are 15 to 300 s apart,
some fail; nights are at zero, new pods fail more often for half a minute, some crash in loops, and in one incident of 20 % all scraping stops for 20 min.
Each pod is a target of its own that starts at zero and is read alone, so that the whole needs little memory.

    second = make(seed=2)
    second.samples, second.revealed_errors, second.revealed_total, second.happened_errors, second.happened_total
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slo.promql.samples import Samples
from tests.contract.fleet import DAY, END, FOREVER, HOUR, MINUTE, SECOND, Fleet, Floats, Grid, Key, Target
from tests.contract.oracle import scrape

KEYS = {
    "200": Key("http_requests_total", {"code": "200"}, 0, 1),
    "500": Key("http_requests_total", {"code": "500"}, 1, 1),
    "503": Key("http_requests_total", {"code": "503"}, 1, 1),
}
DEFINITION = """\
service: second
defaults: {window: 30d, scrape_interval: 30s}
slos:
  - name: availability
    objective: 99.9
    sli: {ratio: {errors: 'http_requests_total{job="shop",code=~"5.."}', total: 'http_requests_total{job="shop"}'}}
"""
OBJECTIVE_ERRORS = 0.001
# (hours before the end, minutes, share of bad requests)
INCIDENTS = ((29.2 * 24, 12, 0.08), (21.45 * 24, 45, 0.03), (11.5 * 24, 60, 0.2), (4.4 * 24, 240, 0.004))
# Twenty minutes without scrapes, ten minutes into the third of them.
HOLE = (END - round((11.5 * 24 - 1 / 6) * HOUR), END - round((11.5 * 24 - 1 / 2) * HOUR))
# What new processes fail of, and for how long: most of it is in their first values.
COLD, COLD_MS = 0.008, 30 * SECOND
SCRAPES = (15, 30, 30, 60, 120, 300)


@dataclass(frozen=True, eq=False)
class Second:
    """The samples, and events over the last 30 days: per hour, float64 of shape (720,).

    `first_errors` and `first_total` are those of the revealed ones that are first values of new pods.
    """

    seed: int
    samples: Samples
    grid: Grid
    revealed_errors: Floats
    revealed_total: Floats
    happened_errors: Floats
    happened_total: Floats
    first_errors: float
    first_total: float

    definition = DEFINITION

    def consumed(self, errors: float, total: float) -> float:
        """The share of the error budget in percent that some counts say is consumed."""
        return 100 * errors / (OBJECTIVE_ERRORS * total)

    @property
    def revealed(self) -> float:
        return self.consumed(float(self.revealed_errors.sum()), float(self.revealed_total.sum()))

    @property
    def happened(self) -> float:
        return self.consumed(float(self.happened_errors.sum()), float(self.happened_total.sum()))


def load(at_ms: Floats) -> Floats:
    """Requests a second of the whole service: none from 2 to 4 at night, most in the afternoon."""
    hour = at_ms % DAY / HOUR
    day = 55 + 45 * np.sin((hour - 9) / 24 * 2 * np.pi)
    return np.where((hour >= 2) & (hour < 4), 0.0, day)


def pods(random: np.random.Generator, start_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
    """(start, end, deployment) of each pod: a deployment every 5 h replaces them over 3 min, one for 10 requests a second."""
    lives = []
    for number, begins in enumerate(range(start_ms - 5 * HOUR, end_ms, 5 * HOUR)):
        need = np.ceil(load(np.arange(begins, begins + 5 * HOUR, 10 * MINUTE, dtype=np.float64)) / 10).astype(int) + 3
        for slot in range(int(need.max())):
            wanted = np.flatnonzero(need > slot)
            first, last = int(wanted[0]), int(wanted[-1])
            start = begins + first * 10 * MINUTE + int(random.integers(0, 180)) * SECOND + 77
            end = begins + (last + 1) * 10 * MINUTE + int(random.integers(0, 180)) * SECOND + 77
            lives.append((start, end, number))
    return lives


def make(seed: int = 2, days: int = 31, step_ms: int = HOUR) -> Second:
    """The history of a seed. Some seconds."""
    random = np.random.default_rng(seed)
    start_ms = END - days * DAY
    planned = pods(random, start_ms, END)
    # How many pods share the load at each quarter of a minute.
    clock = np.arange(start_ms, END, 15 * SECOND)
    starts, ends = np.sort([life[0] for life in planned]), np.sort([life[1] for life in planned])
    serving = np.searchsorted(starts, clock, side="right") - np.searchsorted(ends, clock, side="right")
    share = np.full(len(clock), 0.00025)
    for before, lasts, ratio in INCIDENTS:
        begins = END - round(before * HOUR)
        share[(clock >= begins) & (clock < begins + lasts * MINUTE)] = ratio
    mean = load(clock.astype(np.float64)) / np.maximum(serving, 1)
    grid = Grid(END, step_ms, 30 * DAY // step_ms)
    sums = np.zeros((4, grid.steps))
    rows, first = [], np.zeros(2)
    for number, (begin, end, deployment) in enumerate(planned):
        # The first pods are older than the history; all others start at zero.
        low, high = max(begin, start_ms), min(end, END)
        if high - low < MINUTE:
            continue
        alone = Fleet(KEYS, 1, seed=seed * 100_003 + number, end_ms=high, tick_ms=3 * SECOND)
        alone.start_ms = low - low % DAY if low > start_ms else start_ms
        alone.ticks = np.arange(low + 1_502, high, 3 * SECOND, dtype=np.int64)
        at = np.searchsorted(clock, alone.ticks, side="right") - 1
        every = random.poisson(mean[at] * 3)
        cold = (alone.ticks < begin + COLD_MS) & (begin >= start_ms)
        bad = random.binomial(every, np.where(cold, np.maximum(COLD, share[at]), share[at]))
        late = random.binomial(bad, 0.3)
        every_ms = SCRAPES[deployment % len(SCRAPES)] * SECOND
        lives = [(begin, FOREVER)]
        if random.random() < 0.02:  # it crashes again and again for a while
            edge = int(random.integers(low, max(low + 1, high - 20 * MINUTE)))
            until, edges = edge + int(random.integers(3, 15)) * MINUTE, [begin]
            while edge < until:
                edges.append(edge)
                edge += int(random.integers(15, 46)) * SECOND
            lives = list(zip(edges, [*edges[1:], FOREVER], strict=True))
            crashing = (alone.ticks >= edges[1]) & (alone.ticks < until) if len(edges) > 1 else np.zeros(len(at), bool)
            bad = np.where(crashing, random.binomial(every, 0.05), bad)
            late = np.minimum(late, bad)
        alone.add(
            Target(
                {"job": "shop", "instance": f"shop-{deployment}-{number}", "version": f"v{deployment}"},
                {"200": (every - bad).astype(float), "500": (bad - late).astype(float), "503": late.astype(float)},
                every_ms=every_ms,
                phase_ms=int(random.integers(0, every_ms // 2)) * 2 + 1,
                jitter_ms=200,
                timeouts=0.01,
                old={"200": 5e5, "500": 100.0, "503": 40.0} if begin < start_ms else {},
                lives=lives,
                present=(low, high),
                holes=[HOLE],
                rare=frozenset({"500", "503"}),
            )
        )
        reading = scrape(alone, known_since=start_ms)
        rows += [(one.labels, one.times, one.values) for one in reading.samples.series]
        sums[:2] += reading.revealed_in(grid)
        sums[2:] += reading.happened_in(grid)
        # Alone in its fleet a new target has no traffic to be bound by, so all its first values are in doubt.
        for doubt in reading.doubts:
            if doubt.why == "new target" and grid.holds(doubt.at_ms):
                first += (doubt.less_errors, doubt.less_total)
    return Second(
        seed, Samples.from_series(rows), grid, sums[0], sums[1], sums[2], sums[3], float(first[0]), float(first[1])
    )
