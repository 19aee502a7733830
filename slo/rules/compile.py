"""SLOs to rule groups.

Every SLO has two groups. The first reads the raw series once per tile, over minutes only, and keeps the windows of
the fast alerts; the second, every 5 m, keeps the slow ones and the window. All windows are sums of tiles over sums of
tiles, so that traffic weighs, and cost does not grow with window times cardinality.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from slo.errors import DefinitionError, Problem
from slo.promql.ast import Binary, Call, MatrixSelector, Node, Number, VectorMatching, is_plain_label
from slo.rules import names as n
from slo.rules.alerts import COARSE_MS, alert_rules, alert_windows, check_alerts, fast_and_slow, plain_alerts
from slo.rules.annotate import comment
from slo.rules.fingerprint import fingerprint
from slo.rules.groups import RecordingRule, Rule, RuleGroup
from slo.rules.lint import counters, not_meant
from slo.rules.names import OWN, SLOTH, Names
from slo.rules.pack import within_limit
from slo.rules.period import period_rules
from slo.rules.quoted import without_quotes
from slo.rules.values import RULE_LIMIT, kept_values, values_alert
from slo.rules.windows import Tiles
from slo.sli.tile import Tile
from slo.spec.model import PlainAlert, Slo, Specs
from slo.window import (
    DAY,
    HOUR,
    MINUTE,
    BurnWindow,
    Calendar,
    format_duration,
    tile_length,
)

# Error ratios that are recorded whatever the alerts use: what dashboards show.
_SHOWN_FAST_MS = (5 * MINUTE, 30 * MINUTE, HOUR)
_SHOWN_SLOW_MS = (2 * HOUR, 6 * HOUR, DAY, 3 * DAY)
# Windows up to here are sums of fine tiles: they must not be late.
_LONGEST_OF_FINE_MS = 6 * HOUR
# A window up to here is summed over fine tiles, so that it is never 5 m behind.
_FINE_PERIOD_MS = 6 * HOUR


def compile_specs(
    specs: Specs, names: Names = OWN, *, at_once: bool = False
) -> tuple[tuple[RuleGroup, ...], list[Problem]]:
    """The groups of all SLOs, sorted by service and name, and warnings. Raises DefinitionError for dead alerts.

    With `at_once` no rule reads what a later one records, for whoever evaluates one rule over a history after the other:
    which values of `by` have a budget is then decided by traffic alone.
    """
    problems = checked(specs)
    groups = [group for slo in specs.values() for group in compile_slo(slo, names, at_once=at_once)]
    groups += within_limit(plain_alerts(name, alerts) for name, alerts in alerts_by_service(specs).items())
    groups.sort(
        key=lambda group: (group.service, group.slo, group.interval_ms)
    )  # stable: what was split stays in order
    return tuple(groups), problems


def checked(specs: Specs) -> list[Problem]:
    """The warnings about all SLOs, sorted by service and name. Raises DefinitionError where rules could not do their work."""
    ordered = sorted(specs.values(), key=lambda slo: (slo.service, slo.name))
    problems = [problem for slo in ordered for problem in check_alerts(slo)]
    if any(problem.severity == "error" for problem in problems):
        raise DefinitionError(problems)
    return problems


def compile_slo(slo: Slo, names: Names = OWN, *, at_once: bool = False) -> tuple[RuleGroup, ...]:
    """The rule groups of one SLO; `at_once` as for `compile_specs`."""
    return tuple(within_limit(_Compiler(slo, names, at_once).groups()))


def alerts_by_service(specs: Specs) -> dict[str, list[PlainAlert]]:
    """Several documents may be of one service; a file of rules may not name a group twice."""
    alerts: dict[str, list[PlainAlert]] = {}
    for service in specs.services:
        if service.alerts:
            alerts.setdefault(service.name, []).extend(service.alerts)
    return alerts


class _Compiler:
    """One SLO on its way: what all its rules share."""

    def __init__(self, slo: Slo, names: Names, at_once: bool) -> None:
        self.slo, self.names, self.at_once = slo, names, at_once
        self.identity: Mapping[str, str] = names.identity(slo)
        self.shown: Mapping[str, str] = names.shown(slo)
        self.tile_ms = tile_length(slo.scrape_interval_ms)
        self.windows = alert_windows(slo)
        self.fine, self.coarse = (Tiles.of(names, slo, tile_ms) for tile_ms in (self.tile_ms, COARSE_MS))

    def groups(self) -> tuple[RuleGroup, ...]:
        """What is evaluated once per tile, and what every 5 m; all in one where that is the same."""
        slo = self.slo
        in_fine = self.tile_ms == COARSE_MS
        fine_period = slo.window.nominal_ms <= _FINE_PERIOD_MS and not isinstance(slo.window, Calendar)
        fast, slow = fast_and_slow(self.windows)
        fast_lengths = {length for length in _SHOWN_FAST_MS if length >= self.tile_ms} | set(_lengths(fast))
        slow_lengths = ({*_SHOWN_SLOW_MS, *_lengths(slow)}) - fast_lengths
        shortest = min(_lengths(fast) or _lengths(slow) or fast_lengths)
        period = period_rules(slo, self.names, self.tile_ms if fine_period else COARSE_MS)
        # Sloth's names have the ratio of the whole window, which may be one of these.
        of_period = {rule.name for rule in period}
        objective, info, *metadata = self._metadata()
        fine: list[Rule] = [
            *self._tiles(),
            *self._ratios(fast_lengths, of_period),
            self._current(shortest),
            objective,  # the alert on missing data reads it
            info,  # at the moment of each tile, as it says what the tile counts
        ]
        coarse: list[Rule] = [] if in_fine or fine_period else [self._coarse_tile()]
        coarse += self._ratios(slow_lengths, of_period)
        (fine if fine_period else coarse).extend(period)
        coarse += metadata
        fine_alerts, coarse_alerts = alert_rules(
            slo, self.names, self.fine, self.fine if in_fine or fine_period else self.coarse
        )
        fine += fine_alerts
        coarse += coarse_alerts
        if slo.by and slo.alerting.of("ticket").enabled:
            coarse.append(values_alert(slo, self.names, self.fine, slo.lag_ms))
        if in_fine:
            fine, coarse = fine + coarse, []
        rule_groups = [self._group(fine, self.tile_ms, comment(slo, self.windows))]
        if coarse:
            rule_groups.append(self._group(coarse, COARSE_MS, ()))
        return tuple(rule_groups)

    def _tiles(self) -> list[RecordingRule]:
        slo, names = self.slo, {"events": n.events_tile_name, "down": n.down_name}
        tile = Tile(self.tile_ms, slo.lag_ms, slo.by, slo.target_labels, slo.scrape_interval_ms)
        kept = slo.sli.recorded(
            tile, lambda what, range_ms: MatrixSelector(self.names.series(slo, names[what](self.tile_ms)), range_ms)
        )
        if not slo.by:
            return [self._record(names[item.what](self.tile_ms), item.expr) for item in kept]
        values = kept_values(slo, self.names, self.fine, slo.lag_ms, self.at_once)
        on = VectorMatching("many-to-many", slo.by, on=True)
        return [
            self._record(names[item.what](self.tile_ms), Binary("and", item.expr, values, matching=on)) for item in kept
        ]

    def _coarse_tile(self) -> RecordingRule:
        """The sum of the fine tiles of 5 m, a tile late: whatever the order of groups, the last of them is there.

        A millisecond less than 5 m, as Prometheus 2 counts a range's start in.
        """
        late = replace(self.fine.series(), offset_ms=self.tile_ms)
        return self._record(self.coarse.name, Call("sum_over_time", (MatrixSelector(late, COARSE_MS - 1),)))

    def _ratios(self, lengths: Iterable[int], but: Collection[str]) -> Iterator[RecordingRule]:
        """The error ratios of windows, from the longest tiles that they hold many of."""
        in_coarse = self.tile_ms != COARSE_MS and self.slo.window.nominal_ms > _FINE_PERIOD_MS
        for length in sorted(lengths):
            tiles = self.coarse if in_coarse and length > _LONGEST_OF_FINE_MS and length % COARSE_MS == 0 else self.fine
            name = n.error_ratio_name(length)
            if name not in but:
                yield self._record(name, tiles.ratio(length), self.names.ratio_labels(self.slo, length))

    def _group(self, rules: list[Rule], interval_ms: int, lines: tuple[str, ...]) -> RuleGroup:
        name = f"slo/{self.slo.id}/{format_duration(interval_ms)}"
        limit = RULE_LIMIT if self.slo.by else 0
        if not all(map(is_plain_label, (*self.slo.by, *self.slo.target_labels))):
            rules = [replace(rule, expr=without_quotes(rule.expr)) for rule in rules]
        counted = counters(self.slo.sli.selectors(), every=self.slo.sli.counts_lean)
        rules = [replace(rule, not_meant=not_meant(rule, counted)) for rule in rules]
        return RuleGroup(name, interval_ms, tuple(rules), self.slo.service, self.slo.name, lines, limit)

    def _record(self, name: str, expr: Node, labels: Mapping[str, str] | None = None) -> RecordingRule:
        return RecordingRule(name, expr, self.identity if labels is None else labels)

    def _current(self, window_ms: int) -> RecordingRule:
        """How fast the budget burns over the shortest window."""
        ratio = self.names.series(self.slo, n.error_ratio_name(window_ms))
        burn = Binary("/", ratio, Number(float(self.slo.objective.error_budget)))
        return self._record(n.CURRENT_BURN_RATE, burn, self.shown)

    def _metadata(self) -> list[Rule]:
        slo = self.slo
        alone = {label: value.replace("{{", "{ {") for label, value in slo.info_labels.items()}
        info = {
            **alone,
            **n.label_texts(slo),
            **self.identity,
            "objective": str(slo.objective),
            "window": str(slo.window),
        }
        info[n.FINGERPRINT_LABEL] = fingerprint(slo)
        if self.names is SLOTH:
            # Sloth's own page reads these, and the objective as a number.
            number = f"{(slo.objective.ratio * 100).normalize():f}"
            info |= {
                "sloth_objective": number,
                "sloth_version": "slo",
                "sloth_mode": "cli-gen-prom",
                "sloth_spec": "slo",
            }
        constants: list[tuple[str, float, Mapping[str, str]]] = [
            (n.OBJECTIVE, float(slo.objective.ratio), self.shown),
            (self.names.info, 1.0, info),
        ]
        if self.names is SLOTH:
            constants += [
                (n.ERROR_BUDGET, float(slo.objective.error_budget), self.shown),
                (n.PERIOD_DAYS, n.days(slo.window.nominal_ms), self.shown),
            ]
        return [self._record(name, Call("vector", (Number(value),)), labels) for name, value, labels in constants]


def _lengths(windows: Iterable[BurnWindow]) -> list[int]:
    return sorted({length for burn in windows for length in (burn.long_ms, burn.short_ms)})
