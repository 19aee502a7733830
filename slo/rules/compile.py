"""SLOs to rule groups.

Every SLO has two groups. The first reads the raw series once per tile, over minutes only, and keeps the windows of
the fast alerts; the second, every 5 m, keeps the slow ones and the period. All windows are sums of tiles over sums of
tiles, so that traffic weighs, and cost does not grow with window times cardinality.
"""

from __future__ import annotations

import gc
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from slo.errors import DefinitionError, Problem
from slo.promql.ast import Binary, Call, MatrixSelector, Node, Number, VectorSelector
from slo.rules import names as n
from slo.rules.alerts import (
    COARSE_MS,
    TileLengths,
    alert_rules,
    alert_windows,
    check_alerts,
    fast_and_slow,
    plain_alerts,
)
from slo.rules.annotate import comment
from slo.rules.groups import AlertRule, Deferred, Recording, Rule, RuleGroup, Shape
from slo.rules.names import OWN, Names
from slo.rules.period import period_rules
from slo.sli.base import Recorded
from slo.sli.tiles import Tile
from slo.spec.model import PlainAlert, Slo, Specs
from slo.spec.split import MOST
from slo.window import (
    HOUR,
    MINUTE,
    BurnWindow,
    Calendar,
    format_duration,
    tile_length,
)

# How far back a tile looks for the last value of a series: longer pauses start from a new baseline.
_LOOKBACK_MS = 15 * MINUTE
# A period up to here is summed over fine tiles, so that it is never 5 m behind.
_FINE_PERIOD_MS = 6 * HOUR


def compile_specs(specs: Specs, names: Names = OWN) -> tuple[tuple[RuleGroup, ...], list[Problem]]:
    """The groups of all SLOs, sorted by service and name, and warnings. Raises DefinitionError for dead alerts."""
    collecting = gc.isenabled()
    gc.disable()  # what is made here lives on: looking through it in between takes a third of the time
    try:
        return _compile_specs(specs, names)
    finally:
        if collecting:
            gc.enable()


def _compile_specs(specs: Specs, names: Names) -> tuple[tuple[RuleGroup, ...], list[Problem]]:
    problems: list[Problem] = []
    groups: list[RuleGroup] = []
    for slo in sorted(specs.values(), key=lambda slo: (slo.service, slo.name)):
        problems += (_problem(slo, text, "error") for text in slo.unusable)
        problems += check_alerts(slo)
        groups += compile_slo(slo, names)
    groups += (plain_alerts(name, alerts) for name, alerts in _alerts_by_service(specs).items())
    groups.sort(key=lambda group: (group.service, group.slo, group.interval_ms))
    if any(problem.severity == "error" for problem in problems):
        raise DefinitionError(problems)
    return tuple(groups), problems


def compile_slo(slo: Slo, names: Names = OWN) -> tuple[RuleGroup, ...]:
    """The rule groups of one SLO."""
    return _Compiler(slo, names).groups()


def _alerts_by_service(specs: Specs) -> dict[str, list[PlainAlert]]:
    """Several documents may be of one service; a file of rules may not name a group twice."""
    found: dict[str, list[PlainAlert]] = {}
    for service in specs.services:
        if service.alerts:
            found.setdefault(service.name, []).extend(service.alerts)
    return found


def lag_of(slo: Slo) -> int:
    """How late the present is read, ms: a scrape has arrived within its interval, as its time-out is no longer, and
    `delay` later at most."""
    return slo.scrape_interval_ms + slo.delay_ms


def _problem(slo: Slo, message: str, severity: str) -> Problem:
    return Problem(slo.file, slo.line, 1, f"slos.{slo.name}", message, severity)


# What the texts of an SLO's rules depend on beside its labels, numbered as it is met.
_ALIKE: dict[Hashable, int] = {}
# What is kept per tile, by the number of a shape.
_KEPT: dict[int, tuple[str, ...]] = {}


def _number_of(same: Hashable) -> int:
    """Stands for something that would be hashed anew for every rule."""
    return _ALIKE.setdefault(same, len(_ALIKE))


class _Compiler:
    """One SLO on its way: what all its rules share."""

    def __init__(self, slo: Slo, names: Names) -> None:
        self.slo, self.names = slo, names
        self.identity: Mapping[str, str] = names.identity(slo)
        self.tile_ms = tile_length(slo.scrape_interval_ms)
        self.windows = alert_windows(slo)
        self.labels = (*names.labels, *slo.by)
        self._tile = Tile(self.tile_ms, lag_of(slo), slo.by, slo.target_labels, slo.scrape_interval_ms, _LOOKBACK_MS)
        shape = slo.sli.shape
        # What the tiles' expressions are made of beside their selectors, and these.
        self._shape = None if shape is None else (_number_of((shape[0], self._tile)), shape[1])

    def groups(self) -> tuple[RuleGroup, ...]:
        """All groups; what reads recorded series only is marked as such, so that it is printed once for all SLOs."""
        raw = {n.events_tile_name(self.tile_ms), n.errors_tile_name(self.tile_ms), n.down_name(self.tile_ms)}
        matchers = self.names.matchers(self.slo.service, self.slo.name)
        budget, least = self.slo.objective.error_budget, self.slo.alerting.least_errors
        same = (self.names, self.tile_ms, self.slo.window, str(budget), self.slo.scrape_interval_ms, least, self.slo.by)
        alike = _number_of(same)

        def marked(rule: Rule, interval_ms: int) -> Rule:
            # Made anew by hand, as `dataclasses.replace` takes longer than all the rest of this.
            match rule:
                case Recording(name, made, labels):
                    if name in raw:
                        return Recording(name, made, labels, self._raw_shape(name))
                    return Recording(name, made, labels, Shape((name, None, interval_ms, alike), matchers=matchers))
                case AlertRule() as alert:
                    shape = Shape((alert.key, interval_ms, alike), matchers=matchers)
                    return AlertRule(
                        alert.name, alert.made, alert.labels, alert.annotations, alert.for_ms, alert.keep_firing_ms,
                        alert.burns, shape,
                    )  # fmt: skip

        return tuple(
            replace(group, rules=tuple(marked(rule, group.interval_ms) for rule in group.rules))
            for group in self._groups()
        )

    def _raw_shape(self, name: str) -> Shape | None:
        """Of the kinds of SLI that most are of."""
        if self._shape is None:
            return None
        key, selectors = self._shape
        return Shape((name, key), selectors)

    def _groups(self) -> tuple[RuleGroup, ...]:
        slo = self.slo
        fast, slow = fast_and_slow(self.windows)
        fast_lengths = _lengths(fast) or _lengths(slow)[:1]
        slow_lengths = [length for length in _lengths(slow) if length not in fast_lengths]
        in_fine = self.tile_ms == COARSE_MS
        fine_period = slo.window.nominal_ms <= _FINE_PERIOD_MS and not isinstance(slo.window, Calendar)
        fine: list[Rule] = [
            *self._tiles(),
            *(self._ratio(length, self.tile_ms) for length in fast_lengths),
            self._current(fast_lengths[0]),
        ]
        coarse: list[Rule] = (
            []
            if in_fine or fine_period
            else [
                self._record(name(COARSE_MS), Call("sum_over_time", (self._matrix(name(self.tile_ms), COARSE_MS),)))
                for name in (n.events_tile_name, n.errors_tile_name)
            ]
        )
        coarse += (self._ratio(length, COARSE_MS) for length in slow_lengths)
        objective, *metadata = self._metadata()
        fine.append(objective)  # the alert on missing data reads it
        coarse += metadata
        # Sloth's names have the period's own ratio, which an alert of a short period may watch already.
        recorded = {rule.name for rule in fine + coarse}
        period = [
            rule
            for rule in period_rules(slo, self.names, self.tile_ms if fine_period else COARSE_MS)
            if rule.name not in recorded
        ]
        (fine if fine_period else coarse).extend(period)
        coarse_ms = self.tile_ms if in_fine or fine_period else COARSE_MS
        fine_alerts, coarse_alerts = alert_rules(slo, self.names, TileLengths(self.tile_ms, coarse_ms))
        fine += fine_alerts
        coarse += coarse_alerts
        if in_fine:
            fine, coarse = fine + coarse, []
        found = [self._group(fine, self.tile_ms, comment(slo, self.windows))]
        if coarse:
            found.append(self._group(coarse, COARSE_MS, ()))
        return tuple(found)

    def _tiles(self) -> list[Rule]:
        names = {"events": n.events_tile_name, "errors": n.errors_tile_name, "down": n.down_name}

        @cache
        def kept() -> tuple[Recorded, ...]:
            return self.slo.sli.recorded(
                self._tile, lambda what, range_ms: self._matrix(names[what](self.tile_ms), range_ms)
            )

        # Of a shape that was met before it is known what is kept, and its text: the expressions can wait.
        shape = self._shape
        known = _KEPT.get(shape[0]) if shape else None
        if shape and known is None:
            known = _KEPT[shape[0]] = tuple(one.what for one in kept())
        if known is None:
            return [self._record(names[one.what](self.tile_ms), one.expr) for one in kept()]
        return [
            Recording(names[what](self.tile_ms), Deferred(lambda place=place: kept()[place].expr), self.identity)  # type: ignore[misc]
            for place, what in enumerate(known)
        ]

    def _group(self, rules: list[Rule], interval_ms: int, lines: tuple[str, ...]) -> RuleGroup:
        name = f"slo/{self.slo.id}/{format_duration(interval_ms)}"
        limit = MOST if self.slo.by else 0
        return RuleGroup(name, interval_ms, tuple(rules), self.slo.service, self.slo.name, lines, limit)

    def _record(self, name: str, expr: Node | Deferred, labels: Mapping[str, str] | None = None) -> Recording:
        return Recording(name, expr, self.identity if labels is None else labels)

    def _series(self, name: str) -> VectorSelector:
        return self.names.series(self.slo, name)

    def _matrix(self, name: str, range_ms: int) -> MatrixSelector:
        return MatrixSelector(self._series(name), range_ms)

    def _ratio(self, window_ms: int, tile_ms: int) -> Recording:
        """Errors over events of a window; absent without traffic.

        While the window's oldest tile is missing, as after the rules are loaded, what is not known is taken for
        traffic like the rest of it and without errors: `tiles × mean` instead of the sum. So five minutes of history
        don't pass for three days, and a real outage fires as soon as its errors would have had to do in full history.
        """
        expr = Deferred(lambda: window_ratio(self.names, self.slo, window_ms, tile_ms))
        return self._record(n.error_ratio_name(window_ms), expr, self.names.ratio_labels(self.slo, window_ms))

    def _current(self, window_ms: int) -> Recording:
        """How fast the budget burns over the shortest window."""
        burn = Binary("/", self._ratio_series(window_ms), _number(self.slo.objective.error_budget))
        return self._record(n.CURRENT_BURN_RATE, burn)

    def _metadata(self) -> list[Rule]:
        slo = self.slo
        info = {
            # A label of a recorded series is plain text to Prometheus and a template to vmalert; this is neither.
            **{label: value.replace("{{", "{ {") for label, value in slo.labels.items() if label not in self.identity},
            **({"owner": slo.owner.replace("{{", "{ {")} if slo.owner else {}),
            **self.identity,
            "objective": str(slo.objective),
            "window": str(slo.window),
        }
        constants: list[tuple[str, float, Mapping[str, str]]] = [
            (n.OBJECTIVE, float(slo.objective.ratio), self.identity),
            (n.ERROR_BUDGET, float(slo.objective.error_budget), self.identity),
            (n.PERIOD_DAYS, n.days(slo.window.nominal_ms), self.identity),
            (self.names.info, 1.0, info),
        ]
        return [self._record(name, Call("vector", (Number(value),)), labels) for name, value, labels in constants]

    def _ratio_series(self, window_ms: int) -> VectorSelector:
        return self._series(n.error_ratio_name(window_ms))


def window_ratio(names: Names, slo: Slo, window_ms: int, tile_ms: int) -> Node:
    """Errors over events of a window, from recorded tiles; see `_Compiler._ratio` for the start of the history."""
    if window_ms == tile_ms:
        # vmalert writes a tile after its group is done: over a range of one tile it would never find one.
        last = names.series(slo, n.events_tile_name(tile_ms))
        return Binary("/", names.series(slo, n.errors_tile_name(tile_ms)), Binary(">", last, Number(0.0)))
    errors = MatrixSelector(names.series(slo, n.errors_tile_name(tile_ms)), window_ms)
    events = MatrixSelector(names.series(slo, n.events_tile_name(tile_ms)), window_ms)
    all_events: Node = Call("sum_over_time", (events,))
    if window_ms > COARSE_MS:
        # Any tile of the first five minutes will do: one that is missing is not the start of the history.
        first_ms = COARSE_MS
        oldest = VectorSelector(events.selector.name, events.selector.matchers, window_ms - first_ms)
        known = Binary("and", all_events, Call("last_over_time", (MatrixSelector(oldest, first_ms),)))
        assumed = Binary("*", Number(window_ms / tile_ms), Call("avg_over_time", (events,)))
        all_events = Binary("or", known, assumed)
    return Binary("/", Call("sum_over_time", (errors,)), Binary(">", all_events, Number(0.0)))


def _lengths(windows: Sequence[BurnWindow]) -> list[int]:
    return sorted({length for burn in windows for length in (burn.long_ms, burn.short_ms)})


def _number(value: object) -> Number:
    return Number(float(str(value)))
