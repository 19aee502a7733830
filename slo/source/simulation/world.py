"""What the metrics of one simulation share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from slo.promql.ast import Matcher, VectorSelector
from slo.source.simulation.counters import Counter, Truth
from slo.source.simulation.plan import Clock, Floats, Ints, Span, Stage, incidents
from slo.spec.model import Slo

MakeClock = Callable[[str, str, int], Clock]


@dataclass(frozen=True)
class Histogram:
    """Who reads a classic histogram: its selectors, without `_bucket`, and the least of their scrape intervals."""

    selectors: tuple[VectorSelector, ...]
    interval_ms: int


@dataclass
class World:
    """Targets' clocks, incidents and truth by SLO, and what one metric's flow leaves for another's.

    `histograms` are known by their base name before anything flows; `requests` holds the counters of a histogram's
    `_count` where an SLO reads that too, with the job and instance that each belongs to; `asked` names every metric
    that a selector names, `bounds` the matchers on `le` by histogram; `drops` are traffic's own incidents, by metric.
    """

    stage: Stage
    clock: MakeClock
    truth: dict[str, Truth]
    spans: dict[str, list[Span]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    requests: dict[str, list[Counter]] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    bounds: dict[str, list[Matcher]] = field(default_factory=dict)
    drops: dict[str, list[Span]] = field(default_factory=dict)

    def share(self, metric: str, times: Ints) -> Floats:
        """The share of the usual traffic that there is: less in an incident of an SLO on the traffic itself."""
        share = np.ones(len(times))
        for span in self.drops.get(metric, ()):
            share[(times > span.start_ms) & (times <= span.end_ms)] = span.level
        return share

    def planned(self, slo: Slo) -> list[Span]:
        """The incidents of an SLO."""
        return self.spans.setdefault(slo.id, incidents(slo, self.stage))


def spans_of(slos: Sequence[Slo], world: World) -> list[Span]:
    """The incidents of SLOs that count the same events."""
    return [span for slo in slos for span in world.planned(slo)]


def job_of(slos: Sequence[Slo]) -> str:
    """The job of series whose selectors name none."""
    return slos[0].service
