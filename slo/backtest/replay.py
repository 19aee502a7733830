"""Policies over a source's history: the rules run on the embedded engine, and what they did is judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from slo.backtest import scoring
from slo.backtest.incidents import found_in, of_slo
from slo.backtest.model import Backtest, BacktestIncident, Outcome, Played
from slo.backtest.policy import Policy, distinct
from slo.backtest.scoring import Fired
from slo.budget.evaluate import why_invalid
from slo.budget.incidents import INCIDENT_BURN
from slo.budget.measure import measure
from slo.jobs import Processes
from slo.limits import asked_for
from slo.promql.alerts import AlertInterval
from slo.promql.ast import VectorSelector
from slo.promql.dependencies import components, links, needed_by_alerts, raw_selectors, reach_ms
from slo.promql.groups import Group, Rule
from slo.promql.rules import run_rules
from slo.promql.samples import Samples
from slo.sli.counts import Counts, Grid
from slo.spec.events import Event
from slo.spec.model import Slo, Specs
from slo.window import INSTANT_MS, MINUTE

if TYPE_CHECKING:
    from slo.sli.base import Note
    from slo.source import Source

Item = TypeVar("Item")
Out = TypeVar("Out")
_THREADS = 2
_SERVICE_LABELS = ("service", "sloth_service")
_SLO_LABELS = ("slo", "sloth_slo")


def backtest(
    specs: Specs,
    source: Source,
    policies: Sequence[Policy],
    start_ms: int,
    end_ms: int,
    reported: Sequence[Event] | None = None,
    planted: bool = False,
    burn: float = INCIDENT_BURN,
    done: Callable[[], None] = lambda: None,
    pool: Processes[Source] | None = None,
) -> Backtest:
    """What `policies` would have done from `start_ms` to `end_ms` (milliseconds UTC).

    `reported` are the incidents, `planted` says that a simulation reported them; without any (None) they are found in each
    SLI, where the budget was consumed `burn` times too fast. `done` is called after each SLO and each part of a policy's
    rules. Alerts see the history before `start_ms` as far as it is there. In `pool`, processes with the source, SLOs are counted
    and rules are run; each has the samples of one of them at a time. Raises SourceError.
    """
    span = (start_ms, end_ms)
    timelines: dict[str, Counts] = {}
    notes: list[str] = []
    incidents: dict[str, tuple[BacktestIncident, ...]] = {}
    said: dict[str, None] = {}
    counting = partial(_timeline, span)
    counted = (
        ((counting(source, slo), ()) for slo in specs.values())
        if pool is None
        else pool.each(partial(_saying, counting), specs.values())
    )
    for slo, ((counts, doubt), more) in zip(specs.values(), counted, strict=True):
        said |= dict.fromkeys(more)
        timelines[slo.id] = counts
        notes += [f"{slo.id}: nothing is known of its incidents: {note.text}" for note in doubt]
        incidents[slo.id] = (
            found_in(slo, counts, burn)
            if reported is None
            else of_slo(reported, slo, counts, span, "planted" if planted else "given")
        )
        done()
    if not specs and reported is not None:
        incidents[""] = tuple(BacktestIncident(event.name, event.start_ms, event.end_ms, "given") for event in reported)
    played, samples = [], 0
    known: dict[tuple[Group, ...], _ReplayPart] = {}  # policies often share most of their rules
    for policy in distinct(policies):
        parts = components(needed_by_alerts(policy.groups))
        if pool is None:
            _run(policy, parts, source, span, known, done)
        else:
            said |= _run_elsewhere(policy, parts, pool, span, known, done)
        ran = [known[part] for part in parts]
        intervals = [interval for part in ran for interval in part.intervals]
        problems = [*policy.warnings, *(problem for part in ran for problem in part.problems)]
        read = sum(part.samples for part in ran)
        samples = max(samples, read)
        played.append(_played(policy, intervals, problems, specs, timelines, incidents, span))
    return Backtest(
        start_ms,
        end_ms,
        dict(specs),
        timelines,
        incidents,
        tuple(played),
        source.name,
        samples,
        (*dict.fromkeys((*source.notes, *said)), *notes),
    )


def step_of(slo: Slo) -> int:
    """The steps of a timeline, milliseconds: 1 m, or 5 m where events are counted by an expression or in longer slices."""
    if slo.sli.by_expression:
        return 5 * MINUTE
    return 5 * MINUTE if slo.sli.slice_ms and MINUTE % slo.sli.slice_ms else MINUTE


def _saying(work: Callable[[Source, Item], Out], source: Source, item: Item) -> tuple[Out, tuple[str, ...]]:
    """In another process: what work makes of an item, and what its source has said."""
    return work(source, item), tuple(source.notes)


def _timeline(span: tuple[int, int], source: Source, slo: Slo) -> tuple[Counts, tuple[Note, ...]]:
    """The events per step, and why they cannot be believed; then there are none."""
    step, (start_ms, end_ms) = step_of(slo), span
    measured = measure(slo, source, Grid(end_ms, step, -(-(end_ms - start_ms) // step)))
    counts, doubt = measured.counts, why_invalid(measured)
    # A latency whose threshold is not a bucket's bound has nothing to count either.
    if not doubt and counts.errors.sum() >= 0:
        return counts, ()
    nothing = np.zeros(counts.grid.steps)
    return replace(counts, errors=nothing, total=nothing, parts=None), doubt


@dataclass(frozen=True, slots=True)
class _ReplayPart:
    """What rules that belong together did."""

    intervals: tuple[AlertInterval, ...]
    problems: tuple[str, ...]
    samples: int


def _run(
    policy: Policy,
    parts: Sequence[tuple[Group, ...]],
    source: Source,
    span: tuple[int, int],
    known: dict[tuple[Group, ...], _ReplayPart],
    done: Callable[[], None],
) -> None:
    """Adds to what is known what each part of a policy's rules does in the span."""
    # Samples are read here, one part after the other; what runs alongside each other is arithmetic on them.
    with ThreadPoolExecutor(_THREADS) as pool:
        waiting: deque[tuple[tuple[Group, ...], Future[_ReplayPart]]] = deque()
        for part in parts:
            if part not in known:
                if len(waiting) >= _THREADS:  # no more samples in memory than are at work
                    first, future = waiting.popleft()
                    known[first] = future.result()
                waiting.append((part, pool.submit(_run_part, part, _samples_of(part, policy.name, source, span), span)))
            done()
        for part, future in waiting:
            known[part] = future.result()


def _run_elsewhere(
    policy: Policy,
    parts: Sequence[tuple[Group, ...]],
    pool: Processes[Source],
    span: tuple[int, int],
    known: dict[tuple[Group, ...], _ReplayPart],
    done: Callable[[], None],
) -> dict[str, None]:
    """The same in other processes, each of which reads what it needs; returns what their sources have said."""
    said: dict[str, None] = {}
    new = [part for part in dict.fromkeys(parts) if part not in known]
    for _ in range(len(parts) - len(new)):
        done()
    for part, (ran, more) in zip(
        new, pool.each(partial(_saying, partial(_read_and_run, policy.name, span)), new), strict=True
    ):
        known[part] = ran
        said |= dict.fromkeys(more)
        done()
    return said


def _read_and_run(policy: str, span: tuple[int, int], source: Source, part: tuple[Group, ...]) -> _ReplayPart:
    return _run_part(part, _samples_of(part, policy, source, span), span)


def _samples_of(part: tuple[Group, ...], policy: str, source: Source, span: tuple[int, int]) -> Samples:
    """All that a part's rules read, of the span and of what they look back before it."""
    with asked_for(f"{policy}: {part[0].name}"):
        return source.samples(raw_selectors(part), span[0] - 2 * reach_ms(part, INSTANT_MS), span[1])


def _run_part(part: tuple[Group, ...], samples: Samples, span: tuple[int, int]) -> _ReplayPart:
    start_ms, end_ms = span
    # Where recorded series begin, rules see as little as a server that has just loaded them.
    result = run_rules(part, samples, (start_ms - reach_ms(part, INSTANT_MS)) / 1000, end_ms / 1000)
    cut = (replace(alert, start_ms=max(alert.start_ms, start_ms)) for alert in result.alerts if alert.end_ms > start_ms)
    return _ReplayPart(tuple(cut), result.problems, sum(len(series.times) for series in samples.series))


def _played(
    policy: Policy,
    intervals: Sequence[AlertInterval],
    problems: Sequence[str],
    specs: Specs,
    timelines: Mapping[str, Counts],
    incidents: Mapping[str, tuple[BacktestIncident, ...]],
    span: tuple[int, int],
) -> Played:
    about = _About(policy, specs)
    own: dict[str, list[AlertInterval]] = {name: [] for name in specs}
    others: list[AlertInterval] = []
    for interval in intervals:
        # An alert that answers no incident is neither right nor wrong, and stands alongside.
        names = () if scoring.is_one_of(interval, policy.other_alerts) else about.slos(interval)
        for name in names:
            own[name].append(interval)
        if not names:
            others.append(interval)
    metrics = {name: _metrics(slo) for name, slo in specs.items()}
    outcomes: dict[str, Outcome] = {}
    cases: list[tuple[str, Slo | None, Sequence[AlertInterval]]] = [(n, slo, own[n]) for n, slo in specs.items()]
    if not specs:
        cases, others = [("", None, others)], []
    for name, slo, mine in cases:
        counts = timelines.get(name)
        fired = [
            Fired(item, *scoring.severity_of(item, policy.severities, policy.pages)) for item in mine if item.state == "firing"
        ]  # fmt: skip
        caught = tuple(scoring.catch(incident, fired, slo, counts) for incident in incidents.get(name, ()))
        # What another SLO suffers on the same metrics is not a false alarm here, though nobody has to catch it twice.
        near = [incident for other in specs if slo and metrics[other] & metrics[name] for incident in incidents[other]]
        firings = scoring.messages(fired, near if slo else list(incidents.get(name, ())))
        outcomes[name] = Outcome(
            name, policy.name, caught, firings, tuple(mine), scoring.score(caught, firings, span, slo, counts)
        )
    overall = scoring.total(list(outcomes.values()), span)
    rules = sum(len(group.rules) for group in policy.groups)
    return Played(policy.name, outcomes, tuple(others), overall, tuple(problems), rules)


class _About:
    """Which SLOs an alert is about: those that its labels name, or those whose metrics it reads."""

    def __init__(self, policy: Policy, specs: Specs) -> None:
        self.specs = specs
        self.rules = [rule for group in policy.groups for rule in group.rules]
        self.reads = links(self.rules)
        self.by_name: dict[str, list[int]] = {}
        for place, rule in enumerate(self.rules):
            if rule.alert:
                self.by_name.setdefault(rule.alert, []).append(place)
        self.metrics = {name: _metrics(slo) for name, slo in specs.items()}
        self.known: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, ...]] = {}

    def slos(self, interval: AlertInterval) -> tuple[str, ...]:
        key = (interval.name, interval.labels)
        if key not in self.known:
            self.known[key] = self._slos(interval)
        return self.known[key]

    def _slos(self, interval: AlertInterval) -> tuple[str, ...]:
        labels = dict(interval.labels)
        service = next((labels[label] for label in _SERVICE_LABELS if label in labels), None)
        name = next((labels[label] for label in _SLO_LABELS if label in labels), None)
        if name is not None:
            exact = f"{service}/{name}" if service is not None else name
            if exact in self.specs:
                return (exact,)
            if service is None:
                alike = tuple(slo.id for slo in self.specs.values() if slo.name == name)
                if alike:
                    return alike
        held = frozenset(interval.labels)
        read: set[str] = set()
        for place in self.by_name.get(interval.name, ()):
            if {(k, v) for k, v in self.rules[place].labels if "{{" not in v} <= held:
                read |= self._reads(place)
        return tuple(
            slo.id
            for slo in self.specs.values()
            if self.metrics[slo.id] & read
            and (service is None or service == slo.service or service not in self._services)
        )

    @property
    def _services(self) -> set[str]:
        return {slo.service for slo in self.specs.values()}

    def _reads(self, place: int) -> set[str]:
        """The names of the raw metrics that a rule reads, through recordings too."""
        seen: set[int] = set()
        todo = [place]
        while todo:
            item = todo.pop()
            if item not in seen:
                seen.add(item)
                todo.extend(self.reads[item])
        rules: list[Rule] = [self.rules[entry] for entry in sorted(seen)]
        selectors: tuple[VectorSelector, ...] = raw_selectors([Group("", tuple(rules))])
        return {selector.name for selector in selectors if selector.name is not None}


def _metrics(slo: Slo) -> set[str]:
    return {selector.name for selector in slo.sli.selectors() if selector.name is not None}
