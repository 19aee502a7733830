"""Classic histograms, simulated: buckets of whole requests, and the counters alongside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np

from slo.promql.samples import is_stale, matches
from slo.sli.bounds import bound_in
from slo.sli.latency import Latency
from slo.source.simulation.context import SimulationContext, job_of, spans_of
from slo.source.simulation.counters import Counter, Row, counter, lose
from slo.source.simulation.labels import label_sets, selects
from slo.source.simulation.plan import Clock, Floats, Ints, added, background, traffic
from slo.spec.model import Slo


def time_requests(metric: str, slos: Sequence[tuple[Slo, Latency]], context: SimulationContext) -> Iterable[Row]:
    """A classic histogram; the thresholds of its SLOs are bounds. Its `_count` and `_sum` come where they are asked for.

    Where an SLO counts the `_count` too, these are the same requests.
    """
    interval = context.histograms[metric].interval_ms
    thresholds = sorted({sli.bound for _, sli in slos})
    below = [(thresholds[0] * Decimal(f)).normalize() for f in ("0.1", "0.25", "0.5")]
    above = [(thresholds[-1] * Decimal(f)).normalize() for f in ("2", "5")]
    bounds = sorted({*below, *thresholds, *above})
    shown = {bound: _shown(metric, bound, context) for bound in bounds}
    for labels, whole, clock, random in _all_requests(metric, slos, context, interval):
        users = [(slo, sli) for slo, sli in slos if selects(sli.histogram, labels)]
        own = sorted({sli.bound for _, sli in users})
        chances = _chances(users, own, clock, interval, context, labels["instance"])
        kept = _below(random, whole.happened - whole.lost, bounds, own, chances)
        lost = _below(random, whole.lost, bounds, own, chances)
        counters: dict[Decimal, Counter] = {}
        named = {"__name__": f"{metric}_bucket", **labels}
        context.reserve(
            [slo for slo, sli in slos if selects(sli.histogram, labels)] or [slos[0][0]], len(bounds), interval
        )
        for position, bound in enumerate(bounds):
            start = round(whole.base * (1 - 0.5 ** (position + 1)))
            events = kept[bound] + lost[bound]
            counters[bound] = counter({**named, "le": shown[bound]}, events, lost[bound], clock, start, False, whole)
        yield from (item.row for item in counters.values())
        yield {**named, "le": "+Inf"}, *whole.row[1:]
        if f"{metric}_count" in context.asked and f"{metric}_count" not in context.requests:
            yield {**named, "__name__": f"{metric}_count"}, *whole.row[1:]
        if f"{metric}_sum" in context.asked:
            yield _summed({**named, "__name__": f"{metric}_sum"}, bounds, kept, whole, clock)
        for slo, sli in users:
            good = counters[sli.bound]
            context.truth[slo.id].add(
                clock.times,
                interval,
                (whole.happened - good.happened, whole.happened),
                (whole.revealed - good.revealed, whole.revealed),
            )


def _chances(
    users: Sequence[tuple[Slo, Latency]],
    thresholds: Sequence[Decimal],
    clock: Clock,
    interval: int,
    context: SimulationContext,
    instance: str,
) -> list[Floats]:
    """The share of requests above each threshold: what is above one is above each lower one too, and its incidents theirs."""
    values: list[Floats] = []
    above: list[Slo] = []
    for threshold in reversed(thresholds):
        alike = [slo for slo, sli in users if sli.bound == threshold]
        above += alike
        for slo in alike:
            context.suffers(slo, spans_of(above, context))
        spans = [span for span in spans_of(alike, context) if span.is_at(instance)]
        chance = added(clock.times, interval, spans, background(alike[0], context.simulation))
        values.append(np.maximum(chance, values[-1]) if values else chance)
    return values[::-1]


def _all_requests(
    metric: str, slos: Sequence[tuple[Slo, Latency]], context: SimulationContext, interval: int
) -> Iterable[tuple[dict[str, str], Counter, Clock, np.random.Generator]]:
    """Every series of the histogram, by its labels with `instance`, as the counter of all its requests."""
    own = [sli.histogram for _, sli in slos]

    def random(labels: dict[str, str], instance: str) -> np.random.Generator:
        return context.simulation.random("latency", metric, *itertools.chain(*sorted(labels.items())), instance)

    if f"{metric}_count" in context.requests:
        for whole in context.requests[f"{metric}_count"]:
            labels = {name: value for name, value in whole.row[0].items() if name not in ("__name__", "instance")}
            instance = whole.row[0]["instance"]
            if any(selects(selector, labels) for selector in own):
                clock = context.clock(labels.get("job", ""), instance, interval)
                yield {**labels, "instance": instance}, whole, clock, random(labels, instance)
        return
    for labels in label_sets(own, job_of([slo for slo, _ in slos])):
        for instance in context.instances(own, labels.get("job", "")):
            drawn = random(labels, instance)
            clock = context.clock(labels.get("job", ""), instance, interval)
            happened = drawn.poisson(traffic(clock.times, interval, context.simulation) * clock.running).astype(
                np.int64
            )
            lost = lose(drawn, happened, clock)
            base = int(
                context.simulation.random("base", metric, *map(str, sorted(labels.items())), instance).integers(
                    10_000, 500_000
                )
            )
            whole = counter({}, happened, lost, clock, base, False)
            yield {**labels, "instance": instance}, whole, clock, drawn


def _summed(
    labels: dict[str, str], bounds: Sequence[Decimal], kept: dict[Decimal, Ints], whole: Counter, clock: Clock
) -> Row:
    """The seconds that requests took: those of a bucket its middle, those above all bounds the greatest bound."""
    seconds = np.zeros(len(clock.times))
    within, edge = np.zeros_like(whole.happened), 0.0
    for bound in bounds:
        seconds += (edge + float(bound)) / 2 * (kept[bound] - within)
        within, edge = kept[bound], float(bound)
    seconds += edge * (whole.happened - whole.lost - within)
    value = np.round(np.cumsum(seconds), 6)
    for index in clock.restarts:
        value[index:] -= value[index - 1]
    held, times, values = whole.visible, *whole.row[1:]
    shown = values.copy()
    shown[~is_stale(values)] = value[held]
    return labels, times, shown


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
    """A bucket's bound as Prometheus 3 writes it: always a float, with an exponent below 0.0001 and from 1e+06 on."""
    mantissa, _, exponent = f"{bound.normalize():e}".partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        plain = f"{bound.normalize():f}"
        return plain if "." in plain else f"{plain}.0"
    return f"{mantissa}e{power:+03d}"


def _shown(metric: str, bound: Decimal, context: SimulationContext) -> str:
    """A bound as an SLO's selector spells it, where none of Prometheus's own spelling would be selected."""
    usual = show_bound(bound)
    own = [m for m in context.bounds.get(metric, ()) if bound_in(m) == bound]
    if not own or any(matches(m, {"le": usual}) for m in own):
        return usual
    return own[0].value.split("|")[0].replace("\\", "")
