"""Samples arrive before the rules read them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slo.check.model import Finding
from slo.limits import asked_for
from slo.promql.ast import Aggregate, Call, Node, Subquery
from slo.source import retention_ms
from slo.window import HOUR, MINUTE, SECOND, format_duration

if TYPE_CHECKING:
    from slo.source import Source
    from slo.spec.model import Slo, Specs

# Rulers of other servers evaluate late by themselves: Mimir by a minute, vmalert by half of one.
_RULER_MS = MINUTE
# A server's clock is asked for in whole seconds, and a scrape takes a while.
_SLACK_MS = 2 * SECOND
# A server shows no sample of a series for longer than its look-back.
_FAR_BACK_MS = 2 * HOUR
_ROUND_MS = 30 * SECOND
# A series is seen for so long after its newest sample, unless it was marked as ended; with room for rounding.
_LOOK_BACK_MS = 5 * MINUTE - 10 * SECOND
_MOMENTS = 8  # at which it is asked who has ended
Target = tuple[tuple[str, str], ...]


@dataclass
class _Watched:
    """The newest samples of one SLO: by target the time (ms) of the one first seen, and how old, ms, the next one was
    when it came."""

    slo: Slo
    first: Mapping[Target, int]
    age: dict[Target, int] = field(default_factory=dict)

    @property
    def waiting(self) -> bool:
        return self.age.keys() < self.first.keys()


def check_late(specs: Specs, source: Source) -> Iterator[Finding]:
    """Samples that come later than `scrape_interval` and `delay` say. A server does not keep when a sample came: where the
    newest one is older than it should be, the next is waited for, one scrape interval at most. Raises SourceError."""
    if source.local:  # it holds what came, not when
        return
    spare = _SLACK_MS if retention_ms(source) is not None else _RULER_MS
    watched = []
    for slo in specs.values():
        now, newest = _newest(slo, source)
        suspects = {target: at for target, at in newest.items() if now - at > slo.lag_ms + spare}
        if suspects:
            suspects = _going_on(slo, source, suspects, now)
        if suspects:
            watched.append(_Watched(slo, suspects))
    step = _wait(watched, source)
    for item in watched:
        late = [age for age in item.age.values() if age - step > item.slo.lag_ms + spare]
        if late:
            yield _finding(item, max(late), len(late))


def _going_on(slo: Slo, source: Source, newest: Mapping[Target, int], now: int) -> dict[Target, int]:
    """Those of some targets for whose next sample there is something to wait for. One that was taken away, or whose scrape
    failed, was marked as ended: it is gone at once, where one that is late is seen for as long as a server looks back."""
    # The newest sample may be a minute later than it was seen, and is marked as ended two scrapes behind it at most.
    after = MINUTE + 2 * slo.scrape_interval_ms + SECOND
    if after > _LOOK_BACK_MS:
        return dict(newest)
    moments = {target: -(-(at + after) // _ROUND_MS) * _ROUND_MS for target, at in newest.items()}
    moments = {target: at for target, at in moments.items() if at <= min(now, newest[target] + _LOOK_BACK_MS)}
    ended: set[Target] = set()
    for moment in sorted(set(moments.values()), reverse=True)[:_MOMENTS]:
        with asked_for(slo.id):
            rows = source.query(Aggregate("group", slo.sli.selectors()[0], grouping=slo.target_labels), moment).series
        seen = {tuple(sorted(labels.items())) for labels, _ in rows}
        ended |= {target for target, at in moments.items() if at == moment and target not in seen}
    return {target: at for target, at in newest.items() if target not in ended}


def _wait(watched: list[_Watched], source: Source) -> int:
    """Waits for the next sample of each target; how far apart (ms) it looked, by which an age may be too high."""
    if not watched:
        return 0
    intervals = [entry.slo.scrape_interval_ms for entry in watched]
    pause = min(max(min(intervals) // 5, SECOND // 2), 5 * SECOND)
    deadline = time.monotonic() + (1.2 * max(intervals) + 2 * pause) / 1000
    before = time.monotonic()
    longest = pause
    while any(entry.waiting for entry in watched) and time.monotonic() < deadline:
        time.sleep(pause / 1000)
        for item in watched:
            if item.waiting:
                now, newest = _newest(item.slo, source)
                for target, at in item.first.items():
                    if newest.get(target, at) > at:
                        item.age.setdefault(target, now - newest[target])
        longest = max(longest, round((time.monotonic() - before) * 1000))
        before = time.monotonic()
    return longest


def _newest(slo: Slo, source: Source) -> tuple[int, dict[Target, int]]:
    """(the server's present, the time of the newest sample by target), ms. Raises SourceError."""
    with asked_for(slo.id):
        now = source.latest_ms()
        seen: Node = Call("timestamp", (slo.sli.selectors()[0],))
        rows = source.query(Aggregate("max", seen, grouping=slo.target_labels), now).series
        if not rows:
            seen = Call("max_over_time", (Subquery(seen, _FAR_BACK_MS, MINUTE),))
            rows = source.query(Aggregate("max", seen, grouping=slo.target_labels), now).series
    seconds = ((tuple(sorted(labels.items())), float(values[-1])) for labels, values in rows)
    return now, {target: round(at * 1000) for target, at in seconds if math.isfinite(at)}


def _finding(item: _Watched, age: int, targets: int) -> Finding:
    slo = item.slo
    delay = -(-(age - slo.scrape_interval_ms) // _ROUND_MS) * _ROUND_MS
    of = f" on {targets} target{'s' if targets > 1 else ''}"
    message = (
        f"samples of {slo.sli.selectors()[0].name} are up to {format_duration(-(-age // SECOND) * SECOND)} old when they arrive{of}, "
        f"and the rules read {format_duration(item.slo.lag_ms)} late (`scrape_interval` and `delay`), so events are lost; set "
        f"`delay: {format_duration(delay)}` under `defaults` or on this SLO"
    )
    return Finding("late", "error", slo.id, message, slo.file, slo.line)
