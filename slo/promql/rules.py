"""Rule groups over history: what recording rules would have recorded, and when alerts would have been pending and firing.

A rule that only reads the metrics and earlier rules is evaluated over all steps at once; one that reads itself or a
later rule sees what was recorded before its step, and is evaluated step by step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slo.errors import PromqlError
from slo.promql import alerts
from slo.promql.alerts import AlertInterval
from slo.promql.ast import VectorSelector, walk
from slo.promql.dependencies import components, links
from slo.promql.engine import Engine
from slo.promql.groups import Group, Rule, read_groups
from slo.promql.samples import STALE, Samples, Series
from slo.promql.values import NAME, SAME_LABELSET, Bools, Floats, Ints, Labels, Vector, make, merge_same, nameless

if TYPE_CHECKING:
    import pandas as pd

_TEMPLATE = re.compile(r"\{\{\s*\$labels\.([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}")


@dataclass(frozen=True)
class RulesResult:
    """`recorded` holds all that the rules wrote (ALERTS and ALERTS_FOR_STATE too, with staleness markers).

    `alerts` are in the order of rules, labels and time; `problems` say which rule failed, and at how many evaluations.
    """

    recorded: Samples
    alerts: tuple[AlertInterval, ...]
    problems: tuple[str, ...] = ()

    def to_frame(self) -> pd.DataFrame:
        """One row per alert interval: alert, labels, state, start and end (UTC), open."""
        import pandas as pd

        rows = [
            (alert.name, dict(alert.labels), alert.state, pd.Timestamp(alert.start_ms, unit="ms", tz="UTC"),
             pd.Timestamp(alert.end_ms, unit="ms", tz="UTC"), alert.open)
            for alert in self.alerts
        ]  # fmt: skip
        return pd.DataFrame(rows, columns=["alert", "labels", "state", "start", "end", "open"])


@dataclass
class _Placed:
    """A rule with its place, its evaluations, and the rules that it reads."""

    index: int
    rule: Rule
    group: Group
    times: Ints  # the moments at which its expression is evaluated: those of the group, less the query offset
    reads: frozenset[int] = frozenset()


def run_rules(
    groups: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any] | Group],
    samples: Samples,
    start: float,
    end: float,
    *,
    offset: float = 0.0,
    lookback: str | float = "5m",
) -> RulesResult:
    """Evaluates rule groups at the multiples of their intervals (plus `offset` seconds) in [start, end] (seconds).

    At one moment groups are evaluated in their order. Raises PromqlError for groups or expressions that do not parse; a
    rule that fails at an evaluation records nothing there, and is reported in `problems`.
    """
    parts: list[_RuleRun] = []
    read = read_groups(groups)
    for part in components(read):
        asked = dict.fromkeys(
            node
            for group in part
            for rule in group.rules
            for node in walk(rule.expr)
            if isinstance(node, VectorSelector)
        )
        by_id = {id(series): series for selector in asked for series in samples.select(selector)}
        run = _RuleRun(Samples(by_id.values()), lookback)
        run.all(_placed(part, start, end, offset))
        parts.append(run)
    order: dict[str, int] = {}
    for group in read:
        for rule in group.rules:
            order.setdefault(rule.alert, len(order))
    intervals = (interval for run in parts for interval in run.intervals)
    return RulesResult(
        Samples(series for run in parts for series in run.written),
        tuple(sorted(intervals, key=lambda i: (order[i.name], i.labels, i.start_ms))),
        tuple(problem for run in parts for problem in run.problems),
    )


def _placed(groups: Sequence[Group], start: float, end: float, offset: float) -> list[_Placed]:
    placed: list[_Placed] = []
    for group in groups:
        shift = round(offset * 1000)
        first = -(-(round(start * 1000) - shift) // group.interval_ms) * group.interval_ms + shift
        times = np.arange(first, round(end * 1000) + 1, group.interval_ms, dtype=np.int64) - group.query_offset_ms
        placed += [_Placed(len(placed) + i, rule, group, times) for i, rule in enumerate(group.rules)]
    for item, read in zip(placed, links([rule.rule for rule in placed]), strict=True):
        item.reads = read
    return placed


def _stepwise(placed: list[_Placed]) -> list[set[int]]:
    """The sets of rules that must go step by step together: those that read themselves or a later rule."""
    reach: list[set[int]] = []
    for rule in placed:
        seen: set[int] = set()
        todo = list(rule.reads)
        while todo:
            index = todo.pop()
            if index not in seen:
                seen.add(index)
                todo.extend(placed[index].reads)
        reach.append(seen)
    clusters: list[set[int]] = []
    for rule in placed:
        if not any(read >= rule.index for read in rule.reads):
            continue
        cluster = {rule.index} | {index for index in reach[rule.index] if rule.index in reach[index]}
        cluster |= {read for read in rule.reads if read >= rule.index}  # seen only up to the step before
        touching = [other for other in clusters if other & cluster]
        clusters = [other for other in clusters if not other & cluster] + [cluster.union(*touching)]
    return clusters


class _RuleRun:
    """What has been recorded so far."""

    def __init__(self, samples: Samples, lookback: str | float) -> None:
        self.lookback = lookback
        self.raw = samples
        self.written: list[Series] = []
        self.writers: list[int] = []
        self.intervals: list[AlertInterval] = []
        self.problems: list[str] = []
        self._engine: Engine | None = None

    def all(self, placed: list[_Placed]) -> None:
        """Rules in an order in which each finds what it reads."""
        done: set[int] = set()
        stepwise = _stepwise(placed)
        waiting = list(placed)
        while waiting:
            for rule in waiting:
                cluster = next((group for group in stepwise if rule.index in group), None)
                members = cluster or {rule.index}
                needed = {read for index in members for read in placed[index].reads} - members
                if needed <= done:
                    break
            else:
                raise PromqlError("the rules read each other in a way that has no order")
            if cluster:
                self.together([placed[index] for index in sorted(members)])
            else:
                self.alone(rule)
            done |= members
            waiting = [left for left in waiting if left.index not in done]

    def engine(self) -> Engine:
        if self._engine is None:
            everything = Samples((*self.raw.series, *self.written))
            self._engine = Engine(everything, self.lookback, delayed_name_removal=False)
        return self._engine

    def alone(self, placed: _Placed) -> None:
        """All steps at once; step by step where a step fails, or `@ start()` makes each its own query."""
        if not len(placed.times):
            return
        moving = any(isinstance(getattr(node, "at", None), str) for node in walk(placed.rule.expr))
        ok = np.ones(len(placed.times), dtype=bool)
        vector: Vector | None = None
        if not moving:
            try:
                vector = self.named(placed, self.engine().vector_at(placed.rule.expr, placed.times))
            except PromqlError:
                vector = None
        if vector is None:
            parts, ok = [], np.ones(len(placed.times), dtype=bool)
            for step in range(len(placed.times)):
                try:
                    parts.append(
                        self.named(placed, self.engine().vector_at(placed.rule.expr, placed.times[step : step + 1]))
                    )
                except PromqlError as error:
                    parts.append(Vector.empty(1))
                    if ok.all():
                        self.problems.append(f"{placed.group.name}: {placed.rule.name}: {error}")
                    ok[step] = False
            vector = _joined(parts)
        self.write(placed, vector, ok)

    def named(self, placed: _Placed, vector: Vector) -> Vector:
        """The result's labels as the rule writes them. Raises PromqlError where two become one, or above the limit."""
        labels: list[Labels] = []
        for held in vector.labels:
            own = dict(nameless(held))
            filled = {
                key: _TEMPLATE.sub(lambda m, own=own: own.get(m[1], ""), text)  # type: ignore[misc]
                for key, text in placed.rule.labels
            }
            if placed.rule.record:
                labels.append(make({**own, **filled, NAME: placed.rule.record}))
            else:
                labels.append(make({**own, **filled, "alertname": placed.rule.alert}))
        rows: dict[Labels, int] = {}
        for row, held in enumerate(labels):
            first = rows.setdefault(held, row)
            if first != row and bool((vector.present[first] & vector.present[row]).any()):
                raise PromqlError(f"{SAME_LABELSET} after applying rule labels")
        limit = placed.group.limit
        if limit and len(labels) and int(vector.present.sum(axis=0).max()) > limit:
            raise PromqlError(f"exceeded limit of {limit}")
        return merge_same(Vector(labels, vector.values, vector.present, vector.drop))

    def together(self, members: list[_Placed]) -> None:
        """Rules that read each other, step by step in their order."""
        before = Samples((*self.raw.series, *self.written))
        history: dict[Labels, tuple[list[int], list[float]]] = {}
        parts: dict[int, list[Vector]] = {item.index: [] for item in members}
        last: dict[int, set[Labels]] = {item.index: set() for item in members}
        marks: dict[int, Bools] = {item.index: np.ones(len(item.times), dtype=bool) for item in members}
        steps = sorted(
            (int(at) + item.group.query_offset_ms, item.index, step)
            for item in members
            for step, at in enumerate(item.times)
        )
        by_index = {item.index: item for item in members}
        for _, index, step in steps:
            member = by_index[index]
            at = int(member.times[step])
            earlier = Samples.from_series((dict(k), t, v) for k, (t, v) in history.items())
            engine = Engine(Samples((*before.series, *earlier.series)), self.lookback, delayed_name_removal=False)
            try:
                vector = self.named(member, engine.vector_at(member.rule.expr, member.times[step : step + 1]))
            except PromqlError as error:
                if marks[index].all():
                    self.problems.append(f"{member.group.name}: {member.rule.name}: {error}")
                marks[index][step] = False
                parts[index].append(Vector.empty(1))
                continue
            parts[index].append(vector)
            rows = self.rows(member, _joined(parts[index]), marks[index][: step + 1]) if member.rule.alert else None
            now = (
                {labels: float(values[0]) for labels, values in zip(vector.labels, vector.values, strict=True)}
                if rows is None
                else {labels: float(values[-1]) for labels, values, present in rows if present[-1]}
            )
            for labels in last[index] - set(now):
                _append(history, labels, at, float(STALE))
            for labels, value in now.items():
                _append(history, labels, at, value)
            last[index] = set(now)
        for member in members:
            if len(member.times):
                self.write(member, _joined(parts[member.index]), marks[member.index])

    def rows(self, placed: _Placed, vector: Vector, ok: Bools) -> list[tuple[Labels, Floats, Bools]]:
        """The series that the rule writes: its own, or ALERTS and ALERTS_FOR_STATE."""
        if placed.rule.record:
            return list(zip(vector.labels, vector.values, vector.present, strict=True))
        times = (placed.times + placed.group.query_offset_ms)[: vector.values.shape[1]]
        out: list[tuple[Labels, Floats, Bools]] = []
        for labels, present in zip(vector.labels, vector.present, strict=True):
            held = self.lives(placed, present, ok)
            pending, firing, since = alerts.states(held, times)
            items = np.ones(len(times))
            for state, mask in (("pending", pending), ("firing", firing)):
                if mask.any():
                    out.append((make({**dict(labels), NAME: "ALERTS", "alertstate": state}), items, mask & ok))
            out.append((make({**dict(labels), NAME: "ALERTS_FOR_STATE"}), since, (pending | firing) & ok))
        return out

    def lives(self, placed: _Placed, present: Bools, ok: Bools) -> list[alerts.Life]:
        times = (placed.times + placed.group.query_offset_ms)[: len(present)]
        if ok.all():
            return alerts.lives(present, times, placed.rule.for_ms, placed.rule.keep_firing_for_ms)
        good = np.flatnonzero(ok)  # a failed evaluation changes no state
        result = alerts.lives(present[good], times[good], placed.rule.for_ms, placed.rule.keep_firing_for_ms)
        places = np.append(good, len(present))
        return [alerts.Life(*(int(places[step]) for step in (life.start, life.fired, life.end))) for life in result]

    def write(self, placed: _Placed, vector: Vector, ok: Bools) -> None:
        for labels, values, present in self.rows(placed, vector, ok):
            times, mask, held = placed.times, present, values
            if not ok.all():
                times, mask, held = times[ok], present[ok], values[ok]
            ended = np.zeros(len(mask), dtype=bool)
            ended[1:] = mask[:-1] & ~mask[1:]
            keep = mask | ended
            if keep.any():
                written = np.where(ended, STALE, held)[keep]
                self.written.append(Series(dict(labels), times[keep], written))
        if placed.rule.alert:
            moments = placed.times + placed.group.query_offset_ms
            for labels, present in zip(vector.labels, vector.present, strict=True):
                self.intervals += alerts.intervals(placed.rule.alert, labels, self.lives(placed, present, ok), moments)
        self._engine = None


def _append(history: dict[Labels, tuple[list[int], list[float]]], labels: Labels, at: int, value: float) -> None:
    times, values = history.setdefault(labels, ([], []))
    times.append(at)
    values.append(value)


def _joined(parts: list[Vector]) -> Vector:
    """Vectors of one step each as one over all steps."""
    rows: dict[Labels, int] = {}
    for part in parts:
        for labels in part.labels:
            rows.setdefault(labels, len(rows))
    values = np.zeros((len(rows), len(parts)))
    present = np.zeros((len(rows), len(parts)), dtype=bool)
    for step, part in enumerate(parts):
        for labels, value, there in zip(part.labels, part.values, part.present, strict=True):
            values[rows[labels], step] = value[0]
            present[rows[labels], step] = there[0]
    return Vector(list(rows), values, present, [False] * len(rows))
