"""The metrics of a service, simulated: event counters, probes, gauges and timestamps."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from slo.promql.ast import Aggregate, VectorSelector
from slo.promql.parse import parse
from slo.sli.freshness import Freshness
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.threshold import Threshold
from slo.source.simulation.counters import Counter, Row, counter, lose, split
from slo.source.simulation.forms import Apart
from slo.source.simulation.labels import instances, label_sets, selects
from slo.source.simulation.plan import Clock, Floats, Ints, Span, added, background, traffic
from slo.source.simulation.world import World, job_of, spans_of
from slo.spec.model import Slo

_RESTART_EACH = 4  # scrapes


def count_events(metric: str, slos: Sequence[tuple[Slo, Ratio]], world: World) -> Iterable[Row]:
    """Counters that share the metric `metric` as their total, with the parts that are metrics of their own."""
    job = job_of([slo for slo, _ in slos])
    own = [s for _, sli in slos for s in (sli.total, sli.part) if s.name == metric]
    interval = min(slo.scrape_interval_ms for slo, _ in slos)
    timed = world.histograms.get(metric.removesuffix("_count")) if metric.endswith("_count") else None
    if timed is not None:
        own += [replace(selector, name=metric) for selector in timed.selectors]
        interval = min(interval, timed.interval_ms)
    sets = label_sets(own, job)
    for job_name in sorted({labels.get("job", "") for labels in sets}):
        group = [labels for labels in sets if labels.get("job", "") == job_name]
        here = [(slo, sli) for slo, sli in slos if any(selects(sli.total, labels) for labels in group)]
        # One class of bad events per way of telling them apart.
        classes: dict[Ratio, Slo] = {}
        for slo, sli in here:
            classes.setdefault(sli, slo)
        classes_of = {slo.id: sli for sli, slo in classes.items()}
        weights = _weights(group, list(classes))
        for instance in instances(own, job_name):
            random = world.stage.random("events", metric, job_name, instance)
            clock = world.clock(job_name, instance, interval)
            left = random.poisson(
                traffic(clock.times, interval, world.stage) * world.share(metric, clock.times)
            ).astype(np.int64)
            lost = lose(random, left, clock)
            bad: list[tuple[Ints, Ints]] = []
            for slo, weight in zip(classes.values(), weights, strict=True):
                alike = [other for other, sli in here if sli == classes_of[slo.id]]
                chance = weight * added(clock.times, interval, spans_of(alike, world), background(slo, world.stage))
                events = random.binomial(left - lost, chance).astype(np.int64)
                gone = random.binomial(lost, chance).astype(np.int64)
                bad.append((events + gone, gone))
                left, lost = left - events - gone, lost - gone
            pools = [*bad, (left, lost)]
            counters = list(_dealt(random, metric, group, list(classes), pools, clock, instance))
            foreign = list(_parts(random, metric, list(classes), pools, clock, instance, job_name))
            yield from (one.row for _, one in counters)
            yield from (one.row for _, one in foreign)
            if timed is not None:
                world.requests.setdefault(metric, []).extend(one for _, one in counters)
            for slo, sli in here:
                whole = _picked(counters, sli.total)
                counted = _picked(counters if sli.part.name == metric else foreign, sli.part)
                world.truth[slo.id].add(
                    clock.times,
                    interval,
                    _bad_and_all(whole[0], counted[0], sli),
                    _bad_and_all(whole[1], counted[1], sli),
                )


def _bad_and_all(whole: Ints, part: Ints, sli: Ratio) -> tuple[Ints, Ints]:
    if isinstance(sli, Apart):
        return part, whole + part
    return (part if sli.part_is == "errors" else whole - part), whole


def _class_of(labels: dict[str, str], classes: Sequence[Ratio]) -> int:
    """Which class's bad events a label set of the total counts; the last one is that of the good."""
    for number, sli in enumerate(classes):
        if sli.part.name != sli.total.name:
            continue
        within = isinstance(sli, Apart) or selects(sli.total, labels)
        if within and selects(sli.part, labels) == (sli.part_is == "errors"):
            return number
    return len(classes)


def _weights(sets: Sequence[dict[str, str]], classes: Sequence[Ratio]) -> list[float]:
    """The share of all events that each class's total selects: what its error ratio is a ratio of."""
    good = [labels for labels in sets if _class_of(labels, classes) == len(classes)] or list(sets)
    shares = _shares(good)
    whole = sum(shares)
    return [
        sum(share for labels, share in zip(good, shares, strict=True) if selects(sli.total, labels)) / whole
        for sli in classes
    ]


def _shares(members: Sequence[object]) -> list[float]:
    """How events fall to label sets: most to the first."""
    return [0.9] + [0.1 / len(members)] * (len(members) - 1)


def _dealt(
    random: np.random.Generator,
    metric: str,
    sets: Sequence[dict[str, str]],
    classes: Sequence[Ratio],
    pools: Sequence[tuple[Ints, Ints]],
    clock: Clock,
    instance: str,
) -> Iterable[tuple[dict[str, str], Counter]]:
    """The total's own series: each pool of events dealt out to the label sets of its class.

    Bad events that another metric counts are events of the total like all others.
    """
    by_class: dict[int, list[int]] = {}
    for number, labels in enumerate(sets):
        by_class.setdefault(_class_of(labels, classes), []).append(number)
    usual = by_class.get(len(classes), [])
    nothing = np.zeros(len(clock.times), dtype=np.int64)
    dealt = {number: (nothing, nothing) for members in by_class.values() for number in members}
    for kind, (events, lost) in enumerate(pools):
        members = by_class.get(kind, [])
        if kind < len(classes) and classes[kind].part.name != metric and not isinstance(classes[kind], Apart):
            members = [number for number in usual if selects(classes[kind].total, sets[number])]
        if not members:
            continue
        shares = _shares(members)
        parts = zip(members, split(random, events - lost, shares), split(random, lost, shares), strict=True)
        for number, kept, gone in parts:
            before = dealt[number]
            dealt[number] = (before[0] + kept, before[1] + gone)
    # Each total has a series that was there before the first scrape: its target is known from then on.
    old = {next((n for n in usual if selects(sli.total, sets[n])), None) for sli in classes}
    for number, (kept, gone) in dealt.items():
        base = int(random.integers(10_000, 1_000_000)) if number in old else 0
        full = {"__name__": metric, **sets[number], "instance": instance}
        yield full, counter(full, kept + gone, gone, clock, base, lazy=number not in old)


def _parts(
    random: np.random.Generator,
    metric: str,
    classes: Sequence[Ratio],
    pools: Sequence[tuple[Ints, Ints]],
    clock: Clock,
    instance: str,
    job: str,
) -> Iterable[tuple[dict[str, str], Counter]]:
    """Parts that are metrics of their own: bad events, or all but those."""
    for sli, (events, lost) in zip(classes, pools, strict=False):
        part, how = sli.part, sli.part_is
        if part.name == metric:
            continue
        everything = (sum(pool[0] for pool in pools), sum(pool[1] for pool in pools))
        if how == "good":
            events, lost = everything[0] - events, everything[1] - lost
        for labels in [found for found in label_sets([part], job) if found.get("job", "") == job][:1]:
            full = {"__name__": part.name or "", **labels, "instance": instance}
            yield full, counter(full, np.asarray(events), np.asarray(lost), clock, 0, lazy=how == "errors")


def _picked(counters: Sequence[tuple[dict[str, str], Counter]], selector: VectorSelector) -> tuple[Ints, Ints]:
    chosen = [one for labels, one in counters if labels["__name__"] == selector.name and selects(selector, labels)]
    nothing = np.zeros(len(counters[0][1].happened) if counters else 1, dtype=np.int64)
    happened = sum((one.happened for one in chosen), start=nothing)
    revealed = sum((one.revealed for one in chosen), start=nothing)
    return happened, revealed


def probe(metric: str, slos: Sequence[tuple[Slo, Probe]], world: World) -> Iterable[Row]:
    """A gauge of 0 and 1. `up` is 0 where a scrape fails; others come with every scrape of their own target."""
    job = job_of([slo for slo, _ in slos])
    own = [sli.metric for _, sli in slos]
    interval = min(slo.scrape_interval_ms for slo, _ in slos)
    for labels in label_sets(own, job):
        users = [(slo, sli) for slo, sli in slos if selects(sli.metric, labels)]
        # The narrowest selector's SLO plans the incidents: `up` alone has those of every job.
        owner = max(users, key=lambda user: len(user[1].metric.matchers))[0]
        for position, instance in enumerate(instances(own, labels.get("job", ""))):
            random = world.stage.random("probe", metric, labels.get("job", ""), instance)
            clock = world.clock(labels.get("job", ""), instance, interval)
            spans = [
                span
                for index, span in enumerate(world.planned(owner))
                if span.kind != "bad deploy" or index % 4 == position % 4
            ]
            chance = added(clock.times, 0, spans, background(owner, world.stage))
            down = random.random(len(clock.times)) < chance
            seen = clock.present | clock.failed
            if metric == "up":
                down = down | clock.failed
            row = {"__name__": metric, **labels, "instance": instance}
            yield row, clock.times[seen], np.where(down[seen], 0.0, 1.0)
            for slo, _ in users:
                events = ((down & seen).astype(np.int64), seen.astype(np.int64))
                world.truth[slo.id].add(clock.times, 0, events, events)


def gauge(
    metric: str, slos: Sequence[tuple[Slo, Threshold]], selectors: Sequence[VectorSelector], world: World
) -> Iterable[Row]:
    """A gauge well within the first SLO's bound, and beyond it in its incidents."""
    slo, sli = slos[0]
    job = job_of([slo])
    interval = slo.scrape_interval_ms
    well, beyond = (1.4, 0.7) if sli.op in (">=", ">") else (0.7, 1.2)
    root = parse(sli.expr)
    spread = 1
    if isinstance(root, Aggregate) and root.op == "sum":
        spread = sum(len(instances(selectors, labels.get("job", ""))) for labels in label_sets(selectors, job))
    for labels in label_sets(selectors, job):
        for instance in instances(selectors, labels.get("job", "")):
            random = world.stage.random("gauge", metric, *itertools.chain(*sorted(labels.items())), instance)
            clock = world.clock(labels.get("job", ""), instance, interval)
            level = _level(clock.times, world.planned(slo), well, beyond)
            noise = 1 + 0.05 * np.sin(clock.times / 7e6) + random.normal(0, 0.02, len(clock.times))
            values = (float(sli.bound) / spread * level * noise).astype(np.float64)
            values = np.round(values, 0 if sli.bound > 100 else 4)
            row = {"__name__": metric, **labels, "instance": instance}
            yield row, clock.times[clock.present], values[clock.present]


def throughput(metric: str, slo: Slo, sli: Threshold, selector: VectorSelector, world: World) -> Iterable[Row]:
    """A counter whose rate, over all its series, keeps well to the bound, and not in its incidents."""
    well, beyond = (1.4, 0.7) if sli.op in (">=", ">") else (0.7, 1.2)
    sets = label_sets([selector], job_of([slo]))
    series = [(labels, one) for labels in sets for one in instances([selector], labels.get("job", ""))]
    for labels, instance in series:
        random = world.stage.random("throughput", metric, *itertools.chain(*sorted(labels.items())), instance)
        clock = world.clock(labels.get("job", ""), instance, slo.scrape_interval_ms)
        rate = float(sli.bound) / len(series) * _level(clock.times, world.planned(slo), well, beyond)
        happened = random.poisson(rate * slo.scrape_interval_ms / 1000).astype(np.int64)
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


def _runs(world: World, slo: Slo, max_age_ms: int) -> list[int]:
    """When something succeeded: well within its age, but in each incident too late: it is too old from start to end."""
    spans = _whole(world.planned(slo))
    at = world.stage.start_ms - max_age_ms // 4
    found = set(range(at, world.stage.end_ms + 1, max_age_ms * 4 // 5))
    for span in spans:
        found = {run for run in found if not span.start_ms - max_age_ms < run <= span.end_ms}
        found |= {span.start_ms - max_age_ms, span.end_ms}
    return sorted(found)


def restarts(
    metric: str, selectors: Sequence[VectorSelector], spans: Sequence[Span], world: World, job: str
) -> Iterable[Row]:
    """A counter that only a plain alert reads: it stands still, and counts one each two minutes in its incidents."""
    for labels in label_sets(selectors, job):
        for position, instance in enumerate(instances(selectors, labels.get("job", ""))):
            clock = world.clock(labels.get("job", ""), instance, 30_000)
            happened = np.zeros(len(clock.times), dtype=np.int64)
            for span in spans if position == 0 else ():
                inside = np.flatnonzero((clock.times > span.start_ms) & (clock.times <= span.end_ms))
                happened[inside[::_RESTART_EACH]] = 1
            full = {"__name__": metric, **labels, "instance": instance}
            steady = replace(clock, restarts=())  # it is kept outside of what restarts
            yield counter(full, happened, np.zeros_like(happened), steady, 3, lazy=False).row


def timestamps(metric: str, slos: Sequence[tuple[Slo, Freshness]], world: World) -> Iterable[Row]:
    """The time of a last success, renewed well within the least age that an SLO allows it, but for its incidents."""
    job = job_of([slo for slo, _ in slos])
    selectors = [sli.metric for _, sli in slos]
    for labels in label_sets(selectors, job):
        slo, sli = min(((s, i) for s, i in slos if selects(i.metric, labels)), key=lambda user: user[1].max_age_ms)
        for instance in instances(selectors, labels.get("job", ""))[:1]:
            clock = world.clock(labels.get("job", ""), instance, slo.scrape_interval_ms)
            kept = np.array(_runs(world, slo, sli.max_age_ms), dtype=np.int64)
            last = kept[np.maximum(np.searchsorted(kept, clock.times, side="right") - 1, 0)] / 1000
            row = {"__name__": metric, **labels, "instance": instance}
            yield row, clock.times[clock.present], last[clock.present].astype(np.float64)
