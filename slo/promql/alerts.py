"""The life of alerts over evaluations: pending, firing, kept firing, gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from slo.promql.values import Bools, Floats, Ints
from slo.spans import stretches


@dataclass(frozen=True, slots=True)
class Life:
    """One stretch of one alert: steps [start, fired) pending and [fired, end) firing; `fired` may be `end`."""

    start: int
    fired: int
    end: int


@dataclass(frozen=True, slots=True)
class AlertInterval:
    """An alert in one state from its first evaluation there (ms UTC) to the first one where it was no longer in it.

    `open` says that it still was at the last evaluation; `end_ms` is then that evaluation's time.
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    state: Literal["pending", "firing"]
    start_ms: int
    end_ms: int
    open: bool = False


def lives(active: Bools, times: Ints, for_ms: int, keep_ms: int) -> list[Life]:
    """The stretches of one alert whose expression holds at the steps `active`, as Prometheus moves its states."""
    runs = stretches(active)
    result: list[Life] = []
    index = 0
    while index < len(runs):
        start, end = runs[index]
        fired = max(start, int(np.searchsorted(times, times[start] + for_ms)))
        while fired < end and keep_ms and end < len(times):
            # firing, and the expression no longer holds: kept until keep_ms have passed since
            kept = int(np.searchsorted(times, times[end] + keep_ms))
            if index + 1 < len(runs) and runs[index + 1][0] <= kept:
                index += 1
                end = runs[index][1]
                continue
            end = kept
            break
        result.append(Life(start, min(fired, end), end))
        index += 1
    return result


def states(result: list[Life], times: Ints) -> tuple[Bools, Bools, Floats]:
    """Where the alert is pending, where it fires, and since when it is active (seconds) at each step."""
    pending, firing = np.zeros(len(times), dtype=bool), np.zeros(len(times), dtype=bool)
    since = np.zeros(len(times))
    for life in result:
        pending[life.start : life.fired] = True
        firing[life.fired : life.end] = True
        since[life.start : life.end] = times[life.start] // 1000
    return pending, firing, since


def intervals(name: str, labels: tuple[tuple[str, str], ...], result: list[Life], times: Ints) -> list[AlertInterval]:
    out = []
    last = len(times)

    def moment(step: int) -> int:
        return int(times[min(step, last - 1)])

    for life in result:
        if life.fired > life.start:
            still = life.fired >= last
            out.append(AlertInterval(name, labels, "pending", moment(life.start), moment(life.fired), still))
        if life.end > life.fired:
            out.append(AlertInterval(name, labels, "firing", moment(life.fired), moment(life.end), life.end >= last))
    return out
