"""The metrics of a service, simulated: event counters, histograms, probes, gauges and timestamps."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from slo.promql.ast import Aggregate, VectorSelector
from slo.promql.parse import parse
from slo.source.simulation.counters import Counter, Row, Truth, counter, lose, split
from slo.source.simulation.labels import instances, label_sets, selects
from slo.source.simulation.plan import Clock, Floats, Ints, Span, Stage, added, background, incidents, traffic
from slo.spec.model import Freshness, Latency, Probe, Ratio, Slo, Threshold

MakeClock = Callable[[str, str, int], Clock]


@dataclass
class World:
    """What the flows of one simulation share."""

    stage: Stage
    clock: MakeClock
    truth: dict[str, Truth]
    spans: dict[str, list[Span]] = field(default_factory=dict)

    def planned(self, slo: Slo) -> list[Span]:
        """The incidents of an SLO."""
        return self.spans.setdefault(slo.id, incidents(slo, self.stage))


def job_of(slos: Sequence[Slo]) -> str:
    """The job of series whose selectors name none."""
    return slos[0].service


def count_events(metric: str, slos: Sequence[tuple[Slo, Ratio]], world: World) -> Iterable[Row]:
    """Counters that share the metric `metric` as their total, with the parts that are metrics of their own."""
    job = job_of([slo for slo, _ in slos])
    own = [s for _, sli in slos for s in (sli.total, sli.part) if s.name == metric]
    sets = label_sets(own, job)
    interval = min(slo.scrape_interval_ms for slo, _ in slos)
    for job_name in sorted({labels.get("job", "") for labels in sets}):
        group = [labels for labels in sets if labels.get("job", "") == job_name]
        here = [(slo, sli) for slo, sli in slos if any(selects(sli.total, labels) for labels in group)]
        # One class of bad events per way of telling them apart.
        classes: dict[Ratio, Slo] = {}
        for slo, sli in here:
            classes.setdefault(sli, slo)
        weights = _weights(group, list(classes))
        for instance in instances(own, job_name):
            random = world.stage.random("events", metric, job_name, instance)
            clock = world.clock(job_name, instance, interval)
            left = random.poisson(traffic(clock.times, interval, 6.0)).astype(np.int64)
            lost = lose(random, left, clock)
            bad: list[tuple[Ints, Ints]] = []
            for slo, weight in zip(classes.values(), weights, strict=True):
                chance = weight * added(clock.times, interval, world.planned(slo), background(slo, world.stage))
                events = random.binomial(left - lost, chance).astype(np.int64)
                gone = random.binomial(lost, chance).astype(np.int64)
                bad.append((events + gone, gone))
                left, lost = left - events - gone, lost - gone
            pools = [*bad, (left, lost)]
            counters = list(_dealt(random, metric, group, list(classes), pools, clock, instance))
            foreign = list(_parts(random, metric, list(classes), pools, clock, instance, job_name))
            yield from (one.row for _, one in counters)
            yield from (one.row for _, one in foreign)
            for slo, sli in here:
                whole = _picked(counters, sli.total)
                counted = _picked(counters if sli.part.name == metric else foreign, sli.part)
                world.truth[slo.id].add(
                    clock.times,
                    _bad_and_all(whole[0], counted[0], sli.part_is),
                    _bad_and_all(whole[1], counted[1], sli.part_is),
                )


def _bad_and_all(whole: Ints, part: Ints, part_is: str) -> tuple[Ints, Ints]:
    return (part if part_is == "errors" else whole - part), whole


def _class_of(labels: dict[str, str], classes: Sequence[Ratio]) -> int:
    """Which class's bad events a label set of the total counts; the last one is that of the good."""
    for number, sli in enumerate(classes):
        named = sli.part.name == sli.total.name
        if named and selects(sli.total, labels) and selects(sli.part, labels) == (sli.part_is == "errors"):
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


def _shares(members: Sequence[dict[str, str]]) -> list[float]:
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
    """The total's own series: each pool of events dealt out to the label sets of its class."""
    by_class: dict[int, list[dict[str, str]]] = {}
    for labels in sets:
        by_class.setdefault(_class_of(labels, classes), []).append(labels)
    for kind, (events, lost) in enumerate(pools):
        members = by_class.get(kind, [])
        if not members and kind < len(classes) and classes[kind].part.name != metric:
            members = by_class.get(len(classes), [])[:1]
        if not members:
            continue
        usual = kind == len(classes)
        shares = _shares(members)
        parts = zip(members, split(random, events - lost, shares), split(random, lost, shares), strict=True)
        for position, (labels, kept, gone) in enumerate(parts):
            full = {"__name__": metric, **labels, "instance": instance}
            base = int(random.integers(10_000, 1_000_000)) if usual and position == 0 else 0
            yield full, counter(full, kept + gone, gone, clock, base, lazy=not (usual and position == 0))


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


def time_requests(metric: str, slos: Sequence[tuple[Slo, Latency]], world: World) -> Iterable[Row]:
    """A classic histogram; the thresholds of its SLOs are bounds."""
    job = job_of([slo for slo, _ in slos])
    own = [sli.histogram for _, sli in slos]
    interval = min(slo.scrape_interval_ms for slo, _ in slos)
    thresholds = sorted({sli.bound for _, sli in slos})
    first = {bound: next(slo for slo, sli in slos if sli.bound == bound) for bound in thresholds}
    below = [(thresholds[0] * Decimal(f)).normalize() for f in ("0.1", "0.25", "0.5")]
    above = [(thresholds[-1] * Decimal(f)).normalize() for f in ("2", "5")]
    bounds = sorted({*below, *thresholds, *above})
    for labels in label_sets(own, job):
        for instance in instances(own, labels.get("job", "")):
            random = world.stage.random("latency", metric, *itertools.chain(*sorted(labels.items())), instance)
            clock = world.clock(labels.get("job", ""), instance, interval)
            all_events = random.poisson(traffic(clock.times, interval, 6.0)).astype(np.int64)
            lost = lose(random, all_events, clock)
            chances = [
                added(clock.times, interval, world.planned(first[t]), background(first[t], world.stage))
                for t in thresholds
            ]
            kept_below = _below(random, all_events - lost, bounds, thresholds, chances)
            lost_below = _below(random, lost, bounds, thresholds, chances)
            base = int(random.integers(10_000, 500_000))
            counters: dict[Decimal, Counter] = {}
            named = {"__name__": f"{metric}_bucket", **labels, "instance": instance}
            for position, bound in enumerate(bounds):
                start = round(base * (1 - 0.5 ** (position + 1)))
                events = kept_below[bound] + lost_below[bound]
                counters[bound] = counter(
                    {**named, "le": show_bound(bound)}, events, lost_below[bound], clock, start, False
                )
            whole = counter({**named, "le": "+Inf"}, all_events, lost, clock, base, False)
            yield from (one.row for one in counters.values())
            yield whole.row
            for slo, sli in slos:
                if selects(sli.histogram, labels):
                    good = counters[sli.bound]
                    world.truth[slo.id].add(
                        clock.times,
                        (whole.happened - good.happened, whole.happened),
                        (whole.revealed - good.revealed, whole.revealed),
                    )


def _below(
    random: np.random.Generator,
    events: Ints,
    bounds: Sequence[Decimal],
    thresholds: Sequence[Decimal],
    chances: Sequence[Floats],
) -> dict[Decimal, Ints]:
    """How many events are within each bound: thresholds by their chances, the others by fixed shares between."""
    within: dict[Decimal, Ints] = {}
    over, before = events, np.ones(len(events))
    for threshold, chance in zip(thresholds, chances, strict=True):
        over = random.binomial(over, np.clip(chance / np.maximum(before, 1e-12), 0, 1)).astype(np.int64)
        before = np.minimum(chance, before)
        within[threshold] = events - over
    # From the top down: of what is within one bound, a share is within the next lower one.
    upper: Ints = events
    for bound in reversed(bounds):
        if bound in within:
            upper = within[bound]
        elif bound > thresholds[-1]:
            slow = events - within[thresholds[-1]]
            upper = within[bound] = within[thresholds[-1]] + random.binomial(slow, 0.8 if bound == bounds[-1] else 0.6)
        else:
            upper = within[bound] = random.binomial(upper, 0.7).astype(np.int64)
    # Draws above the last threshold are independent: a higher bound holds no less than a lower one.
    held = np.zeros_like(events)
    for bound in bounds:
        held = within[bound] = np.maximum(held, within[bound])
    return within


def show_bound(bound: Decimal) -> str:
    """A bucket's bound as Prometheus 3 writes it: always a float."""
    return str(float(bound))


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
                world.truth[slo.id].add(clock.times, events, events)


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
            wrong = added(clock.times, 0, _whole(world.planned(slo)), 0.0) > 0
            noise = 1 + 0.05 * np.sin(clock.times / 7e6) + random.normal(0, 0.02, len(clock.times))
            values = (float(sli.bound) / spread * np.where(wrong, beyond, well) * noise).astype(np.float64)
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
        wrong = added(clock.times, 0, _whole(world.planned(slo)), 0.0) > 0
        rate = float(sli.bound) / len(series) * np.where(wrong, beyond, well)
        happened = random.poisson(rate * slo.scrape_interval_ms / 1000).astype(np.int64)
        full = {"__name__": metric, **labels, "instance": instance}
        yield counter(full, happened, lose(random, happened, clock), clock, 1_000_000, lazy=False).row


def _whole(spans: Sequence[Span]) -> list[Span]:
    """The incidents in which everything is wrong: a value keeps to its bound or does not."""
    return [span for span in spans if span.ratio >= 0.9 or span.kind == "burning"]


def _runs(world: World, slo: Slo, max_age_ms: int) -> Iterable[int]:
    """When something succeeded: well within its age, but once in each incident too late by the incident's length."""
    late = [(span.start_ms, span.end_ms - span.start_ms) for span in _whole(world.planned(slo))]
    at = world.stage.start_ms - max_age_ms // 4
    while at <= world.stage.end_ms:
        yield at
        following = at + max_age_ms * 4 // 5
        if late and late[0][0] < following:
            following = at + max_age_ms + late.pop(0)[1]
        at = following


def timestamps(metric: str, slos: Sequence[tuple[Slo, Freshness]], world: World) -> Iterable[Row]:
    """The time of a last success, renewed well within the least age that an SLO allows it, but for its incidents."""
    job = job_of([slo for slo, _ in slos])
    selectors = [sli.metric for _, sli in slos]
    for labels in label_sets(selectors, job):
        slo, sli = min(((s, i) for s, i in slos if selects(i.metric, labels)), key=lambda user: user[1].max_age_ms)
        for instance in instances(selectors, labels.get("job", ""))[:1]:
            clock = world.clock(labels.get("job", ""), instance, slo.scrape_interval_ms)
            kept = np.array(list(_runs(world, slo, sli.max_age_ms)), dtype=np.int64)
            last = kept[np.maximum(np.searchsorted(kept, clock.times, side="right") - 1, 0)] / 1000
            row = {"__name__": metric, **labels, "instance": instance}
            yield row, clock.times[clock.present], last[clock.present].astype(np.float64)
