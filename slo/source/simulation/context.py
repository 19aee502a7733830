"""What the metrics of one simulation share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from slo.errors import SloError
from slo.promql.ast import Matcher, VectorSelector
from slo.source.simulation.counters import Counter, Truth
from slo.source.simulation.fleet import Fleet
from slo.source.simulation.labels import instances
from slo.source.simulation.plan import Clock, Floats, Ints, Simulation, Span, incidents
from slo.spec.model import Slo
from slo.window import DAY

MAX_SAMPLES = 200_000_000  # 3.2 GB of times and values
MakeClock = Callable[[str, str, int], Clock]


@dataclass(frozen=True)
class Histogram:
    """Who reads a classic histogram: its selectors, without `_bucket`, and the least of their scrape intervals."""

    selectors: tuple[VectorSelector, ...]
    interval_ms: int


@dataclass
class SimulationContext:
    """Targets' clocks, incidents and truth by SLO, and what one metric's flow leaves for another's.

    `histograms` are known by their base name before anything flows; `requests` holds the counters of a histogram's
    `_count` where an SLO reads that too, with the job and instance that each belongs to; `asked` names every metric
    that a selector names, `bounds` the matchers on `le` by histogram; `drops` are traffic's own incidents, by metric;
    `labelled` holds the incidents whose labels some series have, `given` the (job, label) that a scenario gave to some.
    """

    simulation: Simulation
    clock: MakeClock
    truth: dict[str, Truth]
    spans: dict[str, list[Span]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    requests: dict[str, list[Counter]] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    bounds: dict[str, list[Matcher]] = field(default_factory=dict)
    drops: dict[str, list[Span]] = field(default_factory=dict)
    samples: int = 0
    fleet: Fleet = field(default_factory=Fleet)
    labelled: set[Span] = field(default_factory=set)
    given: set[tuple[str, str]] = field(default_factory=set)

    def instances(self, selectors: Iterable[VectorSelector], job: str) -> list[str]:
        """The instances of a job, known to the fleet from then on."""
        return self.fleet.register(job, instances(selectors, job, self.fleet.replicas(job)))

    def reserve(self, slos: Sequence[Slo], series: int, interval_ms: int) -> None:
        """Room for series of these SLOs that are scraped once per interval. Raises SloError beyond MAX_SAMPLES."""
        self.samples += series * max(1, self.simulation.length_ms // interval_ms)
        if self.samples > MAX_SAMPLES:
            days = self.simulation.length_ms / DAY * MAX_SAMPLES / self.samples
            fewer = f"{days:.3g} days" if days >= 0.1 else "a fraction of a day"
            raise cannot(
                slos[0],
                f"with it the definitions need over {MAX_SAMPLES / 1e6:,.0f} million samples ({self.samples / 1e6:,.0f} million "
                f"so far), the most that one simulation makes; simulate at most {fewer} (--days), scrape less "
                "often (scrape_interval), or simulate fewer definitions at a time",
            )

    def suffers(self, slo: Slo, spans: Sequence[Span]) -> None:
        """Incidents that an SLO has, its own or those of another that counts the same events."""
        known = self.truth[slo.id].spans
        for span in spans:
            if not any((span.start_ms, span.end_ms, span.kind) == (s.start_ms, s.end_ms, s.kind) for s in known):
                known[span] = [0, 0]

    def share(self, metric: str, times: Ints) -> Floats:
        """The share of the usual traffic that there is: less in an incident of an SLO on the traffic itself."""
        share = np.ones(len(times))
        for span in self.drops.get(metric, ()):
            share[(times > span.start_ms) & (times <= span.end_ms)] = span.level
        return share

    def planned(self, slo: Slo) -> list[Span]:
        """The incidents of an SLO."""
        return self.spans.setdefault(slo.id, incidents(slo, self.simulation))


def cannot(slo: Slo, why: str) -> SloError:
    """The refusal to simulate an SLO, by its name and the place of its definition."""
    place = f" ({slo.file}:{slo.line})" if slo.file else ""
    return SloError(f"cannot simulate {slo.id}{place}: {why}")


def spans_of(slos: Sequence[Slo], context: SimulationContext) -> list[Span]:
    """The incidents of SLOs that count the same events."""
    return [span for slo in slos for span in context.planned(slo)]


def job_of(slos: Sequence[Slo]) -> str:
    """The job of series whose selectors name none."""
    return slos[0].service
