"""Plausible raw samples for any definition, and the exact truth of what happened in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from slo.promql.ast import VectorSelector, walk
from slo.promql.parse import parse
from slo.promql.samples import Samples
from slo.sli.freshness import Freshness
from slo.sli.latency import Latency
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.sli.threshold import Threshold
from slo.source.recording import Header
from slo.source.simulation import check, generators, histograms
from slo.source.simulation.context import Histogram, SimulationContext, cannot
from slo.source.simulation.counters import Row, Truth
from slo.source.simulation.fleet import Fleet
from slo.source.simulation.plan import Clock, Ints, Simulation, Span, make_clock, set_gaps
from slo.source.simulation.scenario import Scenario
from slo.source.simulation.simulatable import as_simulatable
from slo.spec.model import Slo, Specs
from slo.spec.split import any_value
from slo.window import DAY, HOUR

_SHADOW = " events"
_COUNTER_ENDINGS = ("_total", "_count", "_sum", "_bucket", "_created")


def simulate(
    specs: Specs, *, days: float, seed: int, end_ms: int, incidents: bool = True, scenario: Scenario | None = None
) -> tuple[Samples, Header]:
    """Samples for all series that the definitions need, over (end − days, end], and a header with their truth.

    The same seed gives the same samples. With a `scenario` nothing goes wrong but what it names. Raises SloError where a
    selector cannot be simulated.
    """
    start_ms = end_ms - round(days * DAY)
    simulation = Simulation(seed, start_ms, end_ms, incidents or scenario is not None)
    written = Scenario()
    if scenario is not None:
        written = scenario.moved(start_ms)
        simulation = replace(
            simulation,
            gaps=list(written.gaps),
            written=written.slos,
            per_second=written.per_second,
            steady=written.steady,
            steady_errors=written.steady_errors,
            labels=written.labels,
        )
    # A label that budgets are told apart by has values, though no selector names any.
    slos = sorted((_with_values(slo) for slo in specs.values()), key=lambda slo: slo.id)
    clocks: dict[tuple[str, str, int], Clock] = {}
    hours = -(-simulation.length_ms // HOUR)
    truth = {slo.id: Truth(end_ms - hours * HOUR, hours) for slo in slos}
    context = SimulationContext(
        simulation,
        lambda *key: clocks[key],
        truth,
        fleet=Fleet(tuple(event for event in written.events if event.start_ms < end_ms)),
    )
    asked = [selector for slo in slos for selector in slo.sli.selectors()]
    context.asked = frozenset(selector.name for selector in asked if selector.name is not None)
    for selector in asked:
        own = [matcher for matcher in selector.matchers if matcher.label == "le"]
        context.bounds.setdefault((selector.name or "").removesuffix("_bucket"), []).extend(own)
    planned = [span for slo in slos if slo.sli.simulated != "another's" for span in context.planned(slo)]
    for slo in slos:
        if slo.sli.simulated in ("counters", "histogram", "expressions"):
            context.suffers(slo, context.spans[slo.id])  # those of a value or a check are what its metric is made to do
    set_gaps(simulation, planned)

    def clock(job: str, instance: str, interval_ms: int) -> Clock:
        key = (job, instance, interval_ms)
        if key not in clocks:
            clocks[key] = make_clock(
                simulation, job, instance, interval_ms, planned, context.fleet.changes(job, instance)
            )
        return clocks[key]

    context.clock = clock
    rows: dict[tuple[tuple[str, str], ...], Row] = {}

    def keep(result: Iterable[Row]) -> None:
        for labels, times, values in result:
            named = {name: value for name, value in labels.items() if value}
            key = tuple(sorted(named.items()))
            if key in rows:
                raise check.conflict(named["__name__"], slos)
            rows[key] = (named, *_unique(times, values))

    keep(check.by_name(_rows(slos, context), slos))
    check.instances(written.slos, {instance for _, instance in context.fleet.slots})
    check.labels(written.slos, context.labelled)
    check.given(simulation.labels, context.given, {job for job, _ in context.fleet.slots})
    keep(_alongside(specs, context, {row[0]["__name__"] for row in rows.values()}, written))
    if context.fleet.events:
        context.fleet.check()
        made = context.fleet.seen(rows.values())
        rows.clear()
        keep(made)
    check.every_selector_has_data(slos, rows)
    header = Header(
        simulation.start_ms, end_ms, f"simulation, seed {seed}", _reported(simulation, slos, context, clocks, written)
    )
    return Samples.from_series(rows[key] for key in sorted(rows)), header


def _rows(slos: Sequence[Slo], context: SimulationContext) -> Iterable[Row]:
    ratios: dict[str, list[tuple[Slo, Ratio]]] = {}
    latencies: dict[str, list[tuple[Slo, Latency]]] = {}
    probes: dict[str, list[tuple[Slo, Probe]]] = {}
    gauges: dict[str, list[tuple[Slo, Threshold]]] = {}
    ages: dict[str, list[tuple[Slo, Freshness]]] = {}
    free: dict[str, list[tuple[Slo, Threshold, list[VectorSelector]]]] = {}
    for slo in slos:
        if slo.sli.simulated == "value" and context.simulation.written is not None:
            for metric in _by_metric(slo, cast("Threshold", slo.sli)):
                drops = [span for span in context.planned(slo) if span.level]
                context.drops.setdefault(metric, []).extend(drops)
    for slo in slos:
        sli: Any = slo.sli
        if sli.simulated in ("counters", "expressions"):
            sli = as_simulatable(slo, sli)
        match sli.simulated:
            case "counters":
                ratios.setdefault(_name(sli.total, slo), []).append((slo, sli))
            case "histogram":
                latencies.setdefault(_name(sli.histogram, slo), []).append((slo, sli))
            case "checks":
                probes.setdefault(_name(sli.metric, slo), []).append((slo, sli))
            case "timestamp":
                ages.setdefault(_name(sli.metric, slo), []).append((slo, sli))
            case "value":
                for metric, selectors in _by_metric(slo, sli).items():
                    if metric.endswith("_bucket"):
                        bare = [m for m in selectors[0].matchers if m.label != "le"]
                        histogram = VectorSelector(metric.removesuffix("_bucket"), tuple(bare))
                        shadow = (_shadow(slo, context), Latency(histogram, sli.bound))
                        latencies.setdefault(metric.removesuffix("_bucket"), []).append(shadow)
                    elif metric.endswith(_COUNTER_ENDINGS):
                        free.setdefault(metric, []).append((slo, sli, selectors))
                    else:
                        gauges.setdefault(metric, []).append((slo, sli))
            case "not":
                raise cannot(slo, sli.not_simulated)
    for metric, users in latencies.items():
        interval = min(slo.scrape_interval_ms for slo, _ in users)
        context.histograms[metric] = Histogram(tuple(sli.histogram for _, sli in users), interval)
    for metric, counted in ratios.items():
        yield from generators.count_events(metric, counted, context)
    for metric, users in latencies.items():
        yield from histograms.time_requests(metric, users, context)
    for metric, probed in probes.items():
        yield from generators.probe(metric, probed, context)
    for metric, aged in ages.items():
        yield from generators.timestamps(metric, aged, context)
    known = {
        *ratios,
        *latencies,
        *probes,
        *ages,
        *(f"{metric}_{part}" for metric in latencies for part in ("bucket", "count", "sum")),
    }
    for metric, held in gauges.items():
        if metric not in known:
            selectors = [s for _, sli in held for s in sli.selectors() if s.name == metric]
            yield from generators.gauge(metric, held, selectors, context)
    for metric, judged in free.items():
        if metric in known:
            for slo, _, _ in judged if metric in ratios else ():
                context.suffers(slo, [span for span in context.drops.get(metric, ()) if span in context.planned(slo)])
            continue
        made: list[Mapping[str, str]] = []
        for slo, sli, selectors in judged:
            if all(any(check.accepts(selector, labels) for labels in made) for selector in selectors):
                continue  # it reads what another's counters hold
            if len(selectors) == 1:
                rows = list(generators.throughput(metric, slo, sli, selectors[0], context))
            else:
                ratio = Ratio(selectors[0], selectors[1], "errors")
                rows = list(generators.count_events(metric, [(_shadow(slo, context), ratio)], context))
            made += [row[0] for row in rows]
            yield from rows


def _alongside(specs: Specs, context: SimulationContext, known: set[str], written: Scenario) -> Iterable[Row]:
    """Counters that only plain alerts read."""
    for service in specs.services:
        for alert in service.alerts:
            spans = written.alerts.get(f"{service.name}/{alert.name}", ())
            nodes = [node for node in walk(parse(alert.expr)) if isinstance(node, VectorSelector)]
            for metric in sorted({node.name for node in nodes if node.name and node.name not in known}):
                if metric.endswith("_total"):
                    selectors = [replace(node, offset_ms=0, at=None) for node in nodes if node.name == metric]
                    known.add(metric)
                    yield from generators.restarts(metric, selectors, spans, context, service.name)


def _by_metric(slo: Slo, sli: Threshold) -> dict[str, list[VectorSelector]]:
    """The selectors of each metric in a threshold's expression, the widest first."""
    by_metric: dict[str, list[VectorSelector]] = {}
    for selector in sorted(sli.selectors(), key=lambda selector: len(selector.matchers)):
        by_metric.setdefault(_name(selector, slo), []).append(selector)
    return by_metric


def _with_values(slo: Slo) -> Slo:
    return any_value(slo) if slo.by else slo


def _shadow(slo: Slo, context: SimulationContext) -> Slo:
    """Stands for an SLO that is judged per slice where its events are counted: the same incidents, without a truth."""
    shadow = replace(slo, name=f"{slo.name}{_SHADOW}")
    context.spans[shadow.id] = context.planned(slo)
    context.suffers(slo, context.planned(slo))
    own = context.truth[slo.id]
    context.truth.setdefault(shadow.id, Truth(own.first_hour_ms, own.hours))
    return shadow


def _name(selector: VectorSelector, slo: Slo) -> str:
    if selector.name is None:
        raise cannot(slo, f"{selector} names no metric; name one")
    return selector.name


def _unique(times: Ints, values: Any) -> tuple[Ints, Any]:
    keep = np.concatenate([[True], np.diff(times) > 0]) if len(times) else np.empty(0, dtype=bool)
    return times[keep], values[keep]


def _reported(
    simulation: Simulation,
    slos: Sequence[Slo],
    context: SimulationContext,
    clocks: dict[tuple[str, str, int], Clock],
    written: Scenario,
) -> dict[str, Any]:
    """The truth as plain data."""
    reported: dict[str, Any] = {
        "seed": simulation.seed,
        "incidents": [],
        "gaps": [{"start_ms": gap.start_ms, "end_ms": gap.end_ms, "kind": gap.kind} for gap in simulation.gaps],
        "restarts": [
            {
                "job": job,
                "instance": context.fleet.name_at(job, instance, int(clock.times[index])),
                "at_ms": int(clock.times[index]),
            }
            for (job, instance, _), clock in sorted(clocks.items())
            for index in clock.restarts
        ],
        "dropouts": [
            {"job": job, "instance": context.fleet.name_at(job, instance, low), "start_ms": low, "end_ms": high}
            for (job, instance, _), clock in sorted(clocks.items())
            for low, high in clock.dropouts()
        ],
        "slos": {},
    }
    if written.alerts:
        reported["alerts"] = [
            {"alert": name, "kind": span.kind, "start_ms": span.start_ms, "end_ms": span.end_ms}
            for name, spans in sorted(written.alerts.items())
            for span in spans
        ]
    if context.fleet.events:
        reported["events"] = context.fleet.truth()
    for slo in slos:
        known = context.truth[slo.id]
        reported["incidents"] += [
            {
                "slo": slo.id,
                "kind": span.kind,
                "start_ms": span.start_ms,
                "end_ms": span.end_ms,
                "errors": errors,
                "total": total,
                **_planned_for(slo, span, slos, context),
            }
            for span, (errors, total) in sorted(known.spans.items(), key=lambda item: item[0].start_ms)
        ]
        if known.known:
            reported["slos"][slo.id] = {
                "errors": known.errors,
                "total": known.total,
                "revealed": {
                    "errors": int(known.hourly_errors.sum()),
                    "total": int(known.hourly_total.sum()),
                    "hour_start_ms": known.first_hour_ms,
                    "hourly_errors": known.hourly_errors.tolist(),
                    "hourly_total": known.hourly_total.tolist(),
                },
            }
    return reported


def _planned_for(slo: Slo, span: Span, slos: Sequence[Slo], context: SimulationContext) -> dict[str, str]:
    """The other SLO that an incident was planned for, where this one only counts the same events."""
    if span in context.spans.get(slo.id, ()):
        return {}
    return {"of": next(other.id for other in slos if span in context.spans.get(other.id, ()))}
