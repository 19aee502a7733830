"""What happens to a fleet: deployments that replace instances, autoscaling, crash loops, and labels added to everything.

None of it is an event of an SLI: counters go on elsewhere or begin at 0 again, and whoever counts must not be misled.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from slo.errors import SloError
from slo.promql.samples import STALE, is_stale
from slo.source.simulation.counters import Row
from slo.source.simulation.labels import REPLICAS
from slo.source.simulation.plan import Changes, Flags, Ints
from slo.suggest import suggest

KINDS = ("deployment", "autoscaling", "relabelling", "crash loop")


@dataclass(frozen=True, slots=True)
class FleetEvent:
    """One of the KINDS, from `start_ms` to `end_ms`, of a job, or of all (None). `place` is where it was written.

    A deployment replaces one instance after the other; autoscaling runs `replicas` instances; a crash loop restarts one
    `instance` (None: the job's first) each `every_ms`; a relabelling adds `labels` from its start on.
    """

    kind: str
    start_ms: int
    end_ms: int
    job: str | None = None
    instance: str | None = None
    every_ms: int = 0
    replicas: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    place: str = ""

    def moved(self, by_ms: int) -> FleetEvent:
        """The same, later."""
        return replace(self, start_ms=self.start_ms + by_ms, end_ms=self.end_ms + by_ms)

    def is_of(self, job: str) -> bool:
        """Whether it happens to this job."""
        return self.job in (None, job)


@dataclass
class Fleet:
    """The events of one simulation, and the instances that they happen to: `slots` has each one's place in its job."""

    events: tuple[FleetEvent, ...] = ()
    slots: dict[tuple[str, str], int] = field(default_factory=dict)
    _series: dict[FleetEvent, int] = field(default_factory=dict)
    _starts: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def replicas(self, job: str) -> int:
        """How many instances a job has at most."""
        return max([REPLICAS, *(event.replicas for event in self.events if event.is_of(job))])

    def register(self, job: str, instances: Sequence[str]) -> list[str]:
        """Takes note of a job's instances, in their order."""
        for place, instance in enumerate(instances):
            self.slots.setdefault((job, instance), place)
        return list(instances)

    def running(self, job: str, instance: str, times: Ints) -> Flags:
        """Whether an instance runs at each time."""
        slot = self.slots.get((job, instance), 0)
        scalings = [event for event in self.events if event.kind == "autoscaling" and event.is_of(job)]
        runs = np.full(len(times), slot < REPLICAS)
        for event in scalings:
            runs[(times >= event.start_ms) & (times < event.end_ms)] = slot < event.replicas
        return runs

    def changes(self, job: str, instance: str) -> Changes | None:
        """What happens to an instance's process; None where there are no events."""
        if not self.events:
            return None
        return Changes(partial(self.running, job, instance), self.starts(job, instance), self.crashes(job, instance))

    def starts(self, job: str, instance: str) -> list[int]:
        """When a new process takes the instance's place, under a name of its own, ms ascending."""
        if (job, instance) not in self._starts:
            slot, count = self.slots.get((job, instance), 0), self.replicas(job)
            start_ms = set()
            for event in self.events:
                if not event.is_of(job):
                    continue
                if event.kind == "deployment":
                    start_ms.add(event.start_ms + (event.end_ms - event.start_ms) * slot // count)
                elif event.kind == "autoscaling" and REPLICAS <= slot < event.replicas:
                    start_ms.add(event.start_ms)
                elif event.kind == "autoscaling" and event.replicas <= slot < REPLICAS:
                    start_ms.add(event.end_ms)
            self._starts[job, instance] = sorted(start_ms)
        return self._starts[job, instance]

    def ends(self, job: str, instance: str) -> list[int]:
        """When an instance stops without a successor, ms."""
        slot = self.slots.get((job, instance), 0)
        scalings = [e for e in self.events if e.kind == "autoscaling" and e.is_of(job)]
        return [
            e.end_ms if slot >= REPLICAS else e.start_ms for e in scalings if (slot < REPLICAS) != (slot < e.replicas)
        ]

    def crashes(self, job: str, instance: str) -> list[int]:
        """When an instance's process restarts in a crash loop, ms."""
        numbers: list[int] = []
        for event in self.events:
            if event.kind == "crash loop" and event.is_of(job) and self._is_at(event, job, instance):
                numbers += range(event.start_ms, event.end_ms, event.every_ms)
        return numbers

    def _is_at(self, event: FleetEvent, job: str, instance: str) -> bool:
        return self.slots.get((job, instance), 0) == 0 if event.instance is None else event.instance == instance

    def name_at(self, job: str, instance: str, at_ms: int) -> str:
        """An instance's name at a time: the third process in a place is `shop-0-r3:8080`."""
        always = self.slots.get((job, instance), 0) < REPLICAS
        number = max(1, always + bisect_right(self.starts(job, instance), at_ms))
        host, colon, port = instance.partition(":")
        return instance if number == 1 else f"{host}-r{number}{colon}{port}"

    def seen(self, rows: Iterable[Row]) -> list[Row]:
        """The series as scrapes see them: each process's own, and under new labels from each relabelling on."""
        result: list[Row] = []
        for row in rows:
            job, instance = row[0].get("job", ""), row[0].get("instance", "")
            if not len(row[1]):
                continue  # one that would have come with its first event
            parts = [row]
            stops = self.ends(job, instance)
            for at in self.starts(job, instance):
                named = {"instance": self.name_at(job, instance, at)}
                parts = [*parts[:-1], *_cut(parts[-1], at, named, stops)]
            parts = [_ended(part, stops) for part in parts]
            for event in self.events:
                if event.kind == "relabelling" and event.is_of(job):
                    self._series[event] = self._series.get(event, 0) + sum(
                        part[1][-1] >= event.start_ms for part in parts
                    )
                    parts = [cut for part in parts for cut in _cut(part, event.start_ms, dict(event.labels), ())]
            result += parts
        return result

    def check(self) -> None:
        """Raises SloError where an event names a job or an instance that there is not."""
        jobs = sorted({job for job, _ in self.slots})
        for event in self.events:
            names = sorted(instance for job, instance in self.slots if event.is_of(job))
            for what, name, known in (("job", event.job, jobs), ("instance", event.instance, names)):
                if name is not None and name not in known:
                    raise SloError(
                        f"{event.place}: {what}: no {what} {name!r} is simulated{suggest(name, known)}; "
                        f"there are {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"
                    )

    def truth(self) -> list[dict[str, Any]]:
        """What happened, and what each event did, as plain data."""
        return [
            {
                "kind": event.kind,
                "job": event.job,
                "start_ms": event.start_ms,
                "end_ms": event.end_ms,
                **self._did(event),
            }
            for event in sorted(self.events, key=lambda event: event.start_ms)
        ]

    def _did(self, event: FleetEvent) -> dict[str, Any]:
        here = sorted((job, slot, instance) for (job, instance), slot in self.slots.items() if event.is_of(job))
        match event.kind:
            case "relabelling":
                return {"labels": dict(event.labels), "series": self._series.get(event, 0)}
            case "crash loop":
                reached = [(job, instance) for job, _, instance in here if self._is_at(event, job, instance)]
                names = [{"job": job, "instance": self.name_at(job, slot, event.start_ms)} for job, slot in reached]
                return {"crashed": names, "every_ms": event.every_ms}
            case "autoscaling":
                began = [(job, instance) for job, slot, instance in here if REPLICAS <= slot < event.replicas]
                ended = [(job, instance) for job, slot, instance in here if event.replicas <= slot < REPLICAS]
                return {
                    "replicas": event.replicas,
                    "added": [
                        {"job": job, "instance": self.name_at(job, instance, event.start_ms)} for job, instance in began
                    ],
                    "removed": [
                        {"job": job, "instance": self.name_at(job, instance, event.start_ms)} for job, instance in ended
                    ],
                }
        return {
            "replaced": [
                {
                    "job": job,
                    "at_ms": at,
                    "old": self.name_at(job, instance, at - 1),
                    "new": self.name_at(job, instance, at),
                }
                for job, _, instance in here
                for at in self.starts(job, instance)
                if event.start_ms <= at < max(event.end_ms, event.start_ms + 1)
            ]
        }


def _cut(row: Row, at_ms: int, labels: Mapping[str, str], stops: Sequence[int]) -> list[Row]:
    """A series that has other labels from `at_ms` on: one that ends there, or at a stop before, and one that begins."""
    named, times, values = row
    place = int(np.searchsorted(times, at_ms, side="left"))
    later = place + int(np.argmin(is_stale(values[place:]))) if place < len(times) else place
    parts: list[Row] = []
    if place:
        parts.append(_ended((named, times[:place], values[:place]), (*stops, at_ms)))
    # What ended with the old one is not an end of the new one.
    if place < len(times) and not is_stale(values[later:]).all():
        parts.append(({**named, **labels}, times[later:], values[later:]))
    return parts or [row]


def _ended(row: Row, stops: Sequence[int]) -> Row:
    """With a stale marker at the first stop after its last sample, where the series has not ended before."""
    named, times, values = row
    after = [at for at in stops if at > times[-1]]
    if not after or is_stale(values[-1:])[0]:
        return row
    return named, np.append(times, min(after)), np.append(values, STALE)
