"""Budgets to draw, from events that are chosen here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from slo.budget.evaluate import SHOWN_BURN_WINDOWS_MS, step_of
from slo.budget.evaluate import budget_of as budget_from
from slo.budget.model import Budget
from slo.budget.past import older_grid, with_older
from slo.promql.ast import Matcher, VectorSelector
from slo.sli.base import Measured, Sli
from slo.sli.counts import CountingStats, Counts, Gap, Grid
from slo.sli.latency import Latency
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.spec.model import Objective, Slo
from slo.window import DAY, burn_windows, parse_window

END = datetime(2026, 11, 20, 18, tzinfo=UTC)
TOTAL = VectorSelector("http_requests_total", (Matcher("job", "=", "api"),))
ERRORS = replace(TOTAL, matchers=(*TOTAL.matchers, Matcher("code", "=~", "5..")))
RATIO = Ratio(TOTAL, ERRORS, "errors")
LATENCY = Latency(VectorSelector("http_request_duration_seconds", (Matcher("job", "=", "api"),)), Decimal("0.5"))
PROBE = Probe(VectorSelector("up", (Matcher("job", "=", "api"),)))
BOUNDS = np.array([0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, np.inf])


@dataclass(frozen=True)
class Fault:
    """Errors at `ratio` for `hours`, that begin `ago` hours before the end."""

    ago: float
    hours: float
    ratio: float


@dataclass(frozen=True)
class Case:
    """One SLO and the traffic it saw."""

    name: str
    objective: str = "99.9"
    window: str = "30d"
    sli: Sli = RATIO
    per_minute: float = 900.0
    background: float = 0.0002
    faults: tuple[Fault, ...] = ()
    gap: tuple[float, float] | None = None  # begins so many hours before the end, lasts so many
    age: float | None = None  # the data begins so many hours before the end
    wrong: bool = False  # twice as many errors as events
    has_data: bool = True
    service: str = "shop"
    description: str = ""
    labels: dict[str, str] = field(default_factory=lambda: {"tier": "1"})
    annotations: dict[str, str] = field(default_factory=dict)


def budget(case: Case, seed: int = 1) -> Budget:
    """A case's budget at END."""
    slo = Slo(
        service=case.service,
        name=case.name,
        objective=Objective(Decimal(case.objective)),
        window=parse_window(case.window),
        sli=case.sli,
        description=case.description,
        owner="team-shop",
        labels=case.labels,
        annotations=case.annotations,
    )
    step, end_ms = step_of(slo), round(END.timestamp() * 1000)
    start_ms, window_end_ms = slo.window.period(end_ms)
    windows = burn_windows(slo.window, slo.objective.error_budget, slo.scrape_interval_ms)
    history = max(*SHOWN_BURN_WINDOWS_MS, *(burn.long_ms for burn in windows))
    grid = Grid(end_ms, step, -(-(end_ms - start_ms + history) // step))
    evaluated = budget_from(slo, "recording.parquet", _measured(case, grid, seed), start_ms, window_end_ms, windows)
    older = older_grid(evaluated, 7 * DAY)
    if older is None:
        return with_older(evaluated, None, 7 * DAY)
    before = replace(case, gap=None, faults=tuple(replace(fault, hours=fault.hours * 0.6) for fault in case.faults))
    return with_older(evaluated, _measured(before, older, seed + 100), 7 * DAY)


def _measured(case: Case, grid: Grid, seed: int) -> Measured:
    errors, total, gaps = traffic(case, grid, seed)
    seen = CountingStats(series=3 if case.has_data else 0, gaps=gaps, interval_ms=30_000)
    buckets = _buckets(errors, total) if isinstance(case.sli, Latency) else np.empty((0, 0))
    return Measured(
        Counts(grid, errors, total, seen),
        BOUNDS if isinstance(case.sli, Latency) else np.empty(0),
        buckets,
        has_data=case.has_data,
    )


def budget_of(slo: Slo, *, errors: float, total: float) -> Budget:
    """A budget of an SLO of these events, without incidents."""
    return replace(budget(Case("any")), slo=slo, errors=errors, total=total, incidents=(), burns=())


Floats = NDArray[np.float64]


def traffic(case: Case, grid: Grid, seed: int) -> tuple[Floats, Floats, tuple[Gap, ...]]:
    """Whole bad and all events per step, with days and nights, and the gaps."""
    random = np.random.default_rng(seed)
    hours = (grid.ends - grid.end_ms) / 3_600_000
    day = 1 + 0.6 * np.sin((grid.ends % DAY) / DAY * 2 * np.pi - np.pi / 2)
    total = random.poisson(case.per_minute * grid.step_ms / 60_000 * day).astype(float)
    if not case.has_data:
        total[:] = 0
    ratio = np.full(grid.steps, case.background)
    for fault in case.faults:
        ratio[(hours > -fault.ago) & (hours <= fault.hours - fault.ago)] = fault.ratio
    errors = random.binomial(total.astype(int), ratio).astype(float)
    gaps: tuple[Gap, ...] = ()
    if case.gap is not None:
        ago, length = case.gap
        hidden = np.flatnonzero((hours > -ago) & (hours <= length - ago))
        total[hidden[-1] + 1] += total[hidden].sum()
        errors[hidden[-1] + 1] += errors[hidden].sum()
        total[hidden] = errors[hidden] = 0
        gaps = (Gap(int(grid.ends[hidden[0]] - grid.step_ms), int(grid.ends[hidden[-1]])),)
    if case.age is not None:
        before = hours <= -case.age
        total[before] = errors[before] = 0
        if before.any():
            gaps = (Gap(grid.start_ms, int(grid.ends[before][-1])), *gaps)
    if case.wrong:
        errors = 2 * total
    return errors, total, gaps


def _buckets(errors: Floats, total: Floats) -> Floats:
    """Cumulative buckets, of which what is above 0.5 s are the errors."""
    good = total - errors
    below = np.floor(np.outer(good, [0.02, 0.15, 0.45, 0.78, 0.96, 1.0]))
    above = np.floor(np.outer(errors, [0.6, 0.95, 1.0, 1.0])) + good[:, None]
    return np.hstack([below, above])


CASES: Sequence[Case] = (
    Case("availability", description="Fewer than 0.1 % of requests end in a 5xx.",
         faults=(Fault(400, 1.7, 0.35), Fault(150, 0.6, 0.2), Fault(20, 3, 0.04)),
         annotations={"runbook": "https://runbooks.example.com/shop", "odd": "javascript:alert(1)"}),
    Case("checkout", objective="99.95", background=0.0001, faults=(Fault(1.1, 2, 0.02), Fault(300, 0.4, 0.1)), per_minute=300),
    Case("latency", objective="95", sli=LATENCY, background=0.012, faults=(Fault(500, 3, 0.7), Fault(90, 5, 0.55)), gap=(260, 9)),
    Case("search", objective="99", background=0.007, faults=(Fault(14, 13, 0.05),), service="catalogue"),
    Case("import", objective="99.5", per_minute=2, background=0.001, service="catalogue"),
    Case("uptime", objective="99.5", sli=PROBE, per_minute=8, background=0.0, faults=(Fault(620, 0.9, 1.0),), service="catalogue"),
    Case("billing-month", objective="99.9", window="month", background=0.0004, faults=(Fault(200, 0.5, 0.12),), service="billing"),
    Case("canary", objective="99", window="1h", per_minute=400, background=0.003, service="deploy"),
    Case("archive", has_data=False, service="billing"),
    Case("dormant", per_minute=0, service="billing"),
    Case("invoice-latency", objective="99", sli=LATENCY, background=0.003, per_minute=40, service="billing"),
)  # fmt: skip


RARE: Sequence[Case] = (
    Case("refunds", wrong=True, service="billing"),
    Case("vouchers", objective="95", sli=LATENCY, background=0.02, age=200, faults=(Fault(90, 5, 0.55),), service="catalogue"),
)  # fmt: skip


def rare() -> list[Budget]:
    """An SLO whose figures are invalid, and one whose data begins within its window."""
    return [budget(case, seed) for seed, case in enumerate(RARE)]


def demo() -> list[Budget]:
    """Eleven SLOs, with every state among them that counted figures have."""
    return [budget(case, seed) for seed, case in enumerate(CASES)]
