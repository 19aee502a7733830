"""The metrics of a service, simulated: event counters, probes, gauges and timestamps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from slo.promql.ast import VectorSelector
from slo.sli.freshness import Freshness
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.threshold import Threshold
from slo.source.simulation.ages import HELD, LinearValue, aged, driver, made_of, moved_by_time, renewals, summed
from slo.source.simulation.context import SimulationContext, cannot, job_of, spans_of
from slo.source.simulation.counters import Counter, Row, counter, lose, split
from slo.source.simulation.labels import Selected, label_sets, selects, with_labels
from slo.source.simulation.plan import Clock, Floats, Ints, Span, added, background, traffic
from slo.source.simulation.simulatable import Apart
from slo.spec.model import Slo

_RESTART_EACH = 4  # scrapes
_MANY = 50  # label sets
_ALL = 1 - 1e-9  # a weight, but for rounding


def count_events(metric: str, slos: Sequence[tuple[Slo, Ratio]], context: SimulationContext) -> Iterable[Row]:
    """Counters that share the metric `metric` as their total, with the parts that are metrics of their own."""
    job = job_of([slo for slo, _ in slos])
    own = [s for _, sli in slos for s in (sli.total, sli.part) if s.name == metric]
    interval = min(slo.scrape_interval_ms for slo, _ in slos)
    timed = context.histograms.get(metric.removesuffix("_count")) if metric.endswith("_count") else None
    if timed is not None:
        own += [replace(selector, name=metric) for selector in timed.selectors]
        interval = min(interval, timed.interval_ms)
    pairs = [(sli.total, sli.part) for _, sli in slos if sli.part.name == metric and not isinstance(sli, Apart)]
    plain = label_sets(own, job, pairs)
    sets = with_labels(plain, context.simulation.labels)
    context.given |= {
        (labels.get("job", ""), name)
        for labels in plain
        for name in context.simulation.labels.get(labels.get("job", ""), {})
        if name not in labels
    }
    selected = Selected(sets)
    for slo, sli in slos:
        if sli.part.name == metric and not _bad_sets(sli, selected):
            raise cannot(slo, f"no series that {sli.total} selects is a bad event by {sli.part}; correct the selectors")
        beyond = _beyond(sli, selected)
        if beyond is not None:
            join = ", ".join(f"{name}={value!r}" for name, value in sorted(sets[beyond].items()) if name != "job")
            raise cannot(
                slo,
                f"{'good' if sli.part_is == 'good' else 'bad'} events by {sli.part} are also some ({join}) that {sli.total} does not "
                f"select, and would be more than all; give `{sli.part_is}` the matchers of `total`",
            )
    for job_name in sorted({labels.get("job", "") for labels in sets}):
        group = _JobGroup.of([labels for labels in sets if labels.get("job", "") == job_name], slos, context)
        here = group.slos
        waiting = _Waiting(group, metric)
        names = context.instances(own, job_name)
        context.reserve([slo for slo, _ in here or slos], len(group.sets) * len(names), interval)
        for instance in names:
            random = context.simulation.random("events", metric, job_name, instance)
            clock = context.clock(job_name, instance, interval)
            left = random.poisson(
                traffic(clock.times, interval, context.simulation) * context.share(metric, clock.times) * clock.running
            ).astype(np.int64)
            lost = lose(random, left, clock)
            bad: list[tuple[Ints, Ints]] = []
            good: dict[int, Floats] = {}
            for number, (slo, weight) in enumerate(zip(group.planners, group.weights, strict=True)):
                spans = group.spans[number]
                own_spans = [span for span in spans if span.is_at(instance)]
                ratio = added(clock.times, interval, own_spans, background(slo, context.simulation))
                chance = weight * ratio
                if weight < _ALL:
                    good[number] = 1 - ratio
                events = random.binomial(left - lost, chance).astype(np.int64)
                gone = random.binomial(lost, chance).astype(np.int64)
                bad.append((events + gone, gone))
                left, lost = left - events - gone, lost - gone
            pools = [*bad, (left, lost)]
            counters = _dealt(random, metric, group, pools, good, clock, instance)
            foreign = _parts(random, metric, group.classes, pools, clock, instance, job_name)
            made = [*counters.values(), *foreign.values()]
            yield from (item.row for item in made if len(item.row[1]))
            waiting.look(clock, counters, foreign)
            if timed is not None:
                context.requests.setdefault(metric, []).extend(counters.values())
            by_selector: dict[VectorSelector, tuple[Ints, Ints]] = {}
            for slo, sli in here:
                for selector in (sli.total, sli.part):
                    if selector not in by_selector:
                        by_selector[selector] = _picked(group, counters, foreign, selector, metric)
                whole, counted = by_selector[sli.total], by_selector[sli.part]
                context.truth[slo.id].add(
                    clock.times,
                    interval,
                    _bad_and_all(whole[0], counted[0], sli),
                    _bad_and_all(whole[1], counted[1], sli),
                )
        yield from waiting.rows()


@dataclass(frozen=True)
class _JobGroup:
    """One job's label sets of a metric, and how its SLOs' events fall to them.

    `classes` are the ways of telling bad events apart, each with the SLO that plans for it, its incidents, and the share of all
    events that its total selects. `members` are the positions of the sets that hold each class's bad events; the last are those
    of events that are good to all.
    """

    sets: list[dict[str, str]]
    selected: Selected
    slos: list[tuple[Slo, Ratio]]
    classes: list[Ratio]
    planners: list[Slo]
    spans: list[list[Span]]
    weights: list[float]
    members: list[list[int]]

    @staticmethod
    def of(sets: list[dict[str, str]], slos: Sequence[tuple[Slo, Ratio]], context: SimulationContext) -> _JobGroup:
        selected = Selected(sets)
        here = [(slo, sli) for slo, sli in slos if selected.by(sli.total)]
        users: dict[Ratio, list[Slo]] = {}
        for slo, sli in here:
            users.setdefault(sli, []).append(slo)
        classes = list(users)
        spans = [spans_of(alike, context) for alike in users.values()]
        for alike, theirs in zip(users.values(), spans, strict=True):
            for slo in alike:
                context.suffers(slo, theirs)
        members = _members(classes, selected, len(sets))
        for sli, planned, places in zip(classes, spans, members, strict=False):
            if sli.part.name == sli.total.name:
                context.labelled |= {span for span in planned if any(span.is_of(sets[place]) for place in places)}
        weights = _weights(members[-1] or list(range(len(sets))), classes, selected)
        return _JobGroup(sets, selected, here, classes, [alike[0] for alike in users.values()], spans, weights, members)


class _Waiting:
    """Parts all of whose series would come with their first event, while none came: each gets a series that stands at 0."""

    def __init__(self, group: _JobGroup, metric: str) -> None:
        self._places = {
            number: group.selected.by(sli.part) if sli.part.name == metric else [-1 - number]
            for number, sli in enumerate(group.classes)
        }
        self._first: dict[int, tuple[Clock, dict[str, str]]] = {}

    def look(self, clock: Clock, counters: Mapping[int, Counter], foreign: Mapping[int, Counter]) -> None:
        """Takes note of one instance's counters."""
        for number, places in list(self._places.items()):
            chosen_counters = [counters[place] if place >= 0 else foreign.get(number) for place in places]
            made = [item for item in chosen_counters if item is not None]
            if any(item.visible.any() for item in made):
                del self._places[number]
            elif made:
                self._first.setdefault(number, (clock, made[0].row[0]))

    def rows(self) -> Iterable[Row]:
        """The series of those that still wait, each once."""
        for clock, labels in {id(self._first[n][1]): self._first[n] for n in self._places if n in self._first}.values():
            yield labels, clock.times[clock.present], np.zeros(int(clock.present.sum()))


def _bad_and_all(whole: Ints, part: Ints, sli: Ratio) -> tuple[Ints, Ints]:
    if isinstance(sli, Apart):
        return part, whole + part
    return (part if sli.part_is == "errors" else whole - part), whole


def _beyond(sli: Ratio, selected: Selected) -> int | None:
    """The position of a label set whose events are the part's, and not among all."""
    if isinstance(sli, Apart) or sli.part.name != sli.total.name:
        return None
    return next(iter(sorted(set(selected.by(sli.part)) - set(selected.by(sli.total)))), None)


def _bad_sets(sli: Ratio, selected: Selected) -> list[int]:
    """The positions of the total's label sets whose events are bad; none where another metric counts these."""
    if sli.part.name != sli.total.name:
        return []
    part = selected.by(sli.part)
    if isinstance(sli, Apart):
        return part
    within, counted = selected.by(sli.total), set(part)
    return [number for number in within if (number in counted) == (sli.part_is == "errors")]


def _members(classes: Sequence[Ratio], selected: Selected, count: int) -> list[list[int]]:
    """The positions of each class's bad events, by the first class that has them; the last are those of the good.

    A class whose sets are all another's too shares them.
    """
    taken = [len(classes)] * count
    for number, sli in reversed(list(enumerate(classes))):
        for place in _bad_sets(sli, selected):
            taken[place] = number
    members: list[list[int]] = [[] for _ in range(len(classes) + 1)]
    for place, number in enumerate(taken):
        members[number].append(place)
    for number, sli in enumerate(classes):
        if sli.part.name != sli.total.name:
            # Bad events that another metric counts are events of the total like all others.
            everything = selected.by(sli.total)
            members[number] = [place for place in everything if taken[place] == len(classes)] or everything
        elif not members[number]:
            members[number] = _bad_sets(sli, selected)
    return members


def _weights(good: Sequence[int], classes: Sequence[Ratio], selected: Selected) -> list[float]:
    """The share of all events that each class's total selects: what its error ratio is a ratio of."""
    shares = dict(zip(good, _shares(good), strict=True))
    whole = sum(shares.values())
    return [sum(shares.get(place, 0.0) for place in selected.by(sli.total)) / whole for sli in classes]


def _shares(members: Sequence[int]) -> list[float]:
    """How events fall to label sets: most to the first, but to many evenly."""
    if len(members) > _MANY:
        return [1 / len(members)] * len(members)
    return [0.9] + [0.1 / len(members)] * (len(members) - 1)


def _dealt(
    random: np.random.Generator,
    metric: str,
    group: _JobGroup,
    pools: Sequence[tuple[Ints, Ints]],
    good: Mapping[int, Floats],
    clock: Clock,
    instance: str,
) -> dict[int, Counter]:
    """The total's own series, by the positions of their label sets: each pool of events dealt out to those of its class.

    `good` is the share of good events over time of the classes whose total is a part of all events: what is good of all falls to
    each set by how much is good of its own.
    """
    nothing = np.zeros(len(clock.times), dtype=np.int64)
    dealt = dict.fromkeys(_in_order(group), (nothing, nothing))
    for kind, (events, lost) in enumerate(pools):
        members = group.members[kind]
        if not members:
            continue
        usual = _shares(members)
        shares: Sequence[float] | Sequence[Floats] = usual
        if kind == len(group.classes):
            shares = _good_shares(usual, members, group, good) if good else usual
        else:
            shares = _bad_shares(usual, members, group, kind, clock)
        parts = zip(members, split(random, events - lost, shares), split(random, lost, shares), strict=True)
        for number, kept, gone in parts:
            before = dealt[number]
            dealt[number] = (before[0] + kept, before[1] + gone)
    # Each total has a series that was there before the first scrape: its target is known from then on.
    fine = set(group.members[-1])
    old = {next((n for n in group.selected.by(sli.total) if n in fine), None) for sli in group.classes}
    counters = {}
    for number, (kept, gone) in dealt.items():
        base = int(random.integers(10_000, 1_000_000)) if number in old else 0
        full = {"__name__": metric, **group.sets[number], "instance": instance}
        counters[number] = counter(full, kept + gone, gone, clock, base, lazy=number not in old)
    return counters


def _bad_shares(
    shares: Sequence[float], members: Sequence[int], group: _JobGroup, kind: int, clock: Clock
) -> Sequence[float] | Sequence[Floats]:
    """How bad events fall to label sets: in an incident of some labels to those that have them."""
    spans = [span for span in group.spans[kind] if span.labels]
    if not spans:
        return shares
    values = [np.full(len(clock.times), share) for share in shares]
    for span in spans:
        inside = (clock.times > span.start_ms) & (clock.times <= span.end_ms)
        for value, place in zip(values, members, strict=True):
            if not span.is_of(group.sets[place]):
                value[inside] = 0.0
    return values


def _good_shares(
    shares: Sequence[float], members: Sequence[int], group: _JobGroup, good: Mapping[int, Floats]
) -> list[Floats]:
    values = [np.full(len(next(iter(good.values()))), share) for share in shares]
    places = {place: position for position, place in enumerate(members)}
    for number, ratio in good.items():
        for place in group.selected.by(group.classes[number].total):
            if place in places:
                values[places[place]] *= ratio
    return values


def _in_order(group: _JobGroup) -> Iterable[int]:
    """All positions, by the order in which a first look through the sets meets their classes."""
    first: dict[int, list[int]] = {}
    class_of = {}
    for kind in range(len(group.members) - 1, -1, -1):
        foreign = kind < len(group.classes) and group.classes[kind].part.name != group.classes[kind].total.name
        if not foreign:
            class_of.update(dict.fromkeys(group.members[kind], kind))
    for number in range(len(group.sets)):
        first.setdefault(class_of[number], []).append(number)
    return itertools.chain(*first.values())


def _parts(
    random: np.random.Generator,
    metric: str,
    classes: Sequence[Ratio],
    pools: Sequence[tuple[Ints, Ints]],
    clock: Clock,
    instance: str,
    job: str,
) -> dict[int, Counter]:
    """Parts that are metrics of their own, by the number of their class: bad events, or all but those."""
    counters = {}
    for number, (sli, (events, lost)) in enumerate(zip(classes, pools, strict=False)):
        part, how = sli.part, sli.part_is
        if part.name == metric:
            continue
        everything = (sum(pool[0] for pool in pools), sum(pool[1] for pool in pools))
        if how == "good":
            events, lost = everything[0] - events, everything[1] - lost
        for labels in [label_set for label_set in label_sets([part], job) if label_set.get("job", "") == job][:1]:
            full = {"__name__": part.name or "", **labels, "instance": instance}
            counters[number] = counter(full, np.asarray(events), np.asarray(lost), clock, 0, lazy=how == "errors")
    return counters


def _picked(
    group: _JobGroup, counters: dict[int, Counter], foreign: dict[int, Counter], selector: VectorSelector, metric: str
) -> tuple[Ints, Ints]:
    """What happened and what was revealed, in all series that a selector selects."""
    if selector.name == metric:
        chosen = [counters[number] for number in group.selected.by(selector) if number in counters]
    else:
        chosen = [
            item
            for item in foreign.values()
            if item.row[0]["__name__"] == selector.name and selects(selector, item.row[0])
        ]
    nothing = np.zeros_like(next(iter(counters.values())).happened)
    happened = sum((item.happened for item in chosen), start=nothing)
    revealed = sum((item.revealed for item in chosen), start=nothing)
    return happened, revealed


def probe(metric: str, slos: Sequence[tuple[Slo, Probe]], context: SimulationContext) -> Iterable[Row]:
    """A gauge of 0 and 1. `up` is 0 where a scrape fails; others come with every scrape of their own target."""
    job = job_of([slo for slo, _ in slos])
    own = [sli.metric for _, sli in slos]
    interval = min(slo.scrape_interval_ms for slo, _ in slos)
    for labels in label_sets(own, job):
        users = [(slo, sli) for slo, sli in slos if selects(sli.metric, labels)]
        # The narrowest selector's SLO plans the incidents: `up` alone has those of every job.
        owner = max(users, key=lambda user: len(user[1].metric.matchers))[0]
        for slo, _ in users:
            context.suffers(slo, context.planned(owner))
        for position, instance in enumerate(context.instances(own, labels.get("job", ""))):
            context.reserve([owner], 1, interval)
            random = context.simulation.random("probe", metric, labels.get("job", ""), instance)
            clock = context.clock(labels.get("job", ""), instance, interval)
            spans = [
                span
                for index, span in enumerate(context.planned(owner))
                if span.is_at(instance) and (span.kind != "bad deploy" or index % 4 == position % 4)
            ]
            chance = added(clock.times, 0, spans, background(owner, context.simulation))
            down = random.random(len(clock.times)) < chance
            seen = clock.present | clock.failed
            if metric == "up":
                down = down | clock.failed
            row = {"__name__": metric, **labels, "instance": instance}
            yield row, clock.times[seen], np.where(down[seen], 0.0, 1.0)
            for slo, _ in users:
                events = ((down & seen).astype(np.int64), seen.astype(np.int64))
                context.truth[slo.id].add(clock.times, 0, events, events)


def gauge(
    metric: str, slos: Sequence[tuple[Slo, Threshold]], selectors: Sequence[VectorSelector], context: SimulationContext
) -> Iterable[Row]:
    """A gauge well within its SLO's bound, and beyond it in that one's incidents.

    Where several SLOs read a series it is the one with the narrowest selector that plans for it.
    """
    own = {slo.id: [s for s in sli.selectors() if s.name == metric] for slo, sli in slos}
    for labels in label_sets(selectors, job_of([slos[0][0]])):
        users = [user for user in slos if any(selects(s, labels) for s in own[user[0].id])] or slos[:1]
        slo, sli = max(users, key=lambda user: max(len(s.matchers) for s in own[user[0].id]))
        well, beyond = _levels(sli)
        spans = _whole(context.planned(slo))
        line = moved_by_time(slo, sli, metric)
        for other, theirs in users:
            if other is slo:
                context.suffers(slo, spans)
            elif theirs.expr == sli.expr:
                reached = [(span, float(sli.bound) * (span.level or beyond)) for span in spans]
                context.suffers(other, [span for span, value in reached if _is_beyond(value, theirs)])
        moving, sums = driver(sli), summed(sli)
        made = made_of(sli, metric)
        spread = 1
        # A sum over a sum has the same number of series above and below.
        if metric in sums and len(sums) == 1:
            whole = (
                label_sets(own[slo.id], labels.get("job", ""))
                if len(slos) > 1
                else label_sets(selectors, job_of([slo]))
            )
            spread = sum(len(context.instances(selectors, label_set.get("job", ""))) for label_set in whole)
        for instance in context.instances(selectors, labels.get("job", "")):
            context.reserve([slo], 1, slo.scrape_interval_ms)
            random = context.simulation.random("gauge", metric, *itertools.chain(*sorted(labels.items())), instance)
            clock = context.clock(labels.get("job", ""), instance, slo.scrape_interval_ms)
            if line is None and moving not in (None, metric):
                values = np.full(len(clock.times), HELD)
            elif line is None:
                level = _level(clock.times, spans, well, beyond)
                noise = 1 + 0.05 * np.sin(clock.times / 7e6) + random.normal(0, 0.02, len(clock.times))
                if made is None or made == LinearValue(1.0, 0.0, 0.0):
                    values = (float(sli.bound) / spread * level * noise).astype(np.float64)
                    values = np.round(values, 0 if sli.bound > 100 else 4)
                else:
                    values = np.maximum(0.0, (float(sli.bound) * level * noise - made.rest) / made.per_metric / spread)
            else:
                values = aged(
                    slo, sli, line, clock.times, spans, (context.simulation.start_ms, context.simulation.end_ms)
                )
            row = {"__name__": metric, **labels, "instance": instance}
            yield row, clock.times[clock.present], values[clock.present]


def _levels(sli: Threshold) -> tuple[float, float]:
    """A value well within its bound and one beyond it, in bounds."""
    return (1.4, 0.7) if sli.op in (">=", ">") else (0.7, 1.2)


def _is_beyond(value: float, sli: Threshold) -> bool:
    return value < float(sli.bound) if sli.op in (">=", ">") else value > float(sli.bound)


def throughput(
    metric: str, slo: Slo, sli: Threshold, selector: VectorSelector, context: SimulationContext
) -> Iterable[Row]:
    """A counter whose rate, over all its series, keeps well to the bound, and not in its incidents."""
    well, beyond = _levels(sli)
    context.suffers(slo, _whole(context.planned(slo)))
    sets = label_sets([selector], job_of([slo]))
    series = [(labels, item) for labels in sets for item in context.instances([selector], labels.get("job", ""))]
    context.reserve([slo], len(series), slo.scrape_interval_ms)
    for labels, instance in series:
        random = context.simulation.random("throughput", metric, *itertools.chain(*sorted(labels.items())), instance)
        clock = context.clock(labels.get("job", ""), instance, slo.scrape_interval_ms)
        rate = float(sli.bound) / len(series) * _level(clock.times, context.planned(slo), well, beyond)
        happened = random.poisson(rate * slo.scrape_interval_ms / 1000 * clock.running).astype(np.int64)
        full = {"__name__": metric, **labels, "instance": instance}
        yield counter(full, happened, lose(random, happened, clock), clock, 1_000_000, lazy=False).row


def _level(times: Ints, spans: Sequence[Span], well: float, beyond: float) -> Floats:
    """A value over time, in bounds: well within it, and in incidents beyond it."""
    level = np.full(len(times), well)
    for span in _whole(spans):
        inside = (times > span.start_ms) & (times <= span.end_ms)
        reached = span.level or beyond
        way = (times[inside] - span.start_ms) / (span.end_ms - span.start_ms) if span.ramp else 1.0
        level[inside] = well + (reached - well) * way
    return level


def _whole(spans: Sequence[Span]) -> list[Span]:
    """The incidents in which everything is wrong: a value keeps to its bound or does not."""
    return [span for span in spans if span.ratio >= 0.9 or span.level or span.kind == "burning"]


def restarts(
    metric: str, selectors: Sequence[VectorSelector], spans: Sequence[Span], context: SimulationContext, job: str
) -> Iterable[Row]:
    """A counter that only a plain alert reads: it stands still, and counts one each two minutes in its incidents."""
    for labels in label_sets(selectors, job):
        for position, instance in enumerate(context.instances(selectors, labels.get("job", ""))):
            clock = context.clock(labels.get("job", ""), instance, 30_000)
            happened = np.zeros(len(clock.times), dtype=np.int64)
            for span in spans if position == 0 else ():
                inside = np.flatnonzero((clock.times > span.start_ms) & (clock.times <= span.end_ms))
                happened[inside[::_RESTART_EACH]] = 1
            full = {"__name__": metric, **labels, "instance": instance}
            steady = replace(clock, restarts=())  # it is kept outside of what restarts
            yield counter(full, happened, np.zeros_like(happened), steady, 3, lazy=False).row


def timestamps(metric: str, slos: Sequence[tuple[Slo, Freshness]], context: SimulationContext) -> Iterable[Row]:
    """The time of a last success, renewed well within the least age that an SLO allows it, but for its incidents."""
    job = job_of([slo for slo, _ in slos])
    selectors = [sli.metric for _, sli in slos]
    for labels in label_sets(selectors, job):
        slo, sli = min(((s, i) for s, i in slos if selects(i.metric, labels)), key=lambda user: user[1].max_age_ms)
        spans = _whole(context.planned(slo))
        at, until = renewals(sli.max_age_ms, spans, (context.simulation.start_ms, context.simulation.end_ms))
        context.suffers(slo, spans)
        for instance in context.instances(selectors, labels.get("job", ""))[:1]:
            context.reserve([slo], 1, slo.scrape_interval_ms)
            clock = context.clock(labels.get("job", ""), instance, slo.scrape_interval_ms)
            last = (until[np.maximum(np.searchsorted(at, clock.times, side="right") - 1, 0)] - sli.max_age_ms) / 1000
            row = {"__name__": metric, **labels, "instance": instance}
            yield row, clock.times[clock.present], last[clock.present].astype(np.float64)
