"""The alerts of an SLO: on its burn rate, on missing data, on its budget; and plain alerts alongside the SLOs.

A hole in the data is not good news. So a burn-rate alert goes on through one as it was when the hole began, and stops
where the short window is known to burn slowly or to have had no traffic; that data is missing is an alert of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import reduce

from slo.errors import Problem
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    MatrixSelector,
    Node,
    Number,
    VectorMatching,
)
from slo.promql.parse import parse
from slo.rules import names as n
from slo.rules.annotate import (
    absent_annotations,
    alert_labels,
    budget_annotations,
    burn_annotations,
    plain,
    show_mark,
)
from slo.rules.groups import AlertRule, RuleGroup
from slo.rules.names import SLOTH, Names
from slo.rules.windows import Tiles, without_event
from slo.sli.counts import LOOKBACK_MS
from slo.sli.tile import EVENT_LABEL, shifted
from slo.spec.model import Alert, PlainAlert, Slo
from slo.window import (
    CATALOGUE,
    DAY,
    HOUR,
    MINUTE,
    WEEK,
    BurnWindow,
    Calendar,
    Severity,
    burn_threshold,
    burn_windows,
    dead_windows,
    format_duration,
)

COARSE_MS = 5 * MINUTE
BURN_ALERT, ABSENT_ALERT, BUDGET_ALERT = "ErrorBudgetBurn", "SLODataMissing", "BudgetConsumed"
# How long a hole may last until its alert is no longer held; a short window of hours is held for two of them.
_HELD_MS = 2 * HOUR
# So long a server sees a series' last sample.
_SEEN_MS = 5 * MINUTE
# A hole that tiles look back over is not a start of the history.
_HOLE_MS = LOOKBACK_MS
# Data in here, and none now, is missing data. Of the fine tiles: an alert that read a later group's series would make the
# engine go step by step. It is looked for every 5 m, which reads a fifth of them.
_HAD_DATA_MS = DAY
# What was scraped so long before it would be read has a tile, also where tiles are of 5 m; unless it came late.
_CAME_AGO_MS = 10 * MINUTE
# Slower than that missing data is not noticed, whatever the objective.
_SLOWEST_ABSENT_MS = 5 * MINUTE
_SEVERITIES: tuple[Severity, ...] = ("page", "ticket")


def alert_windows(slo: Slo) -> tuple[BurnWindow, ...]:
    """The burn-rate windows of an SLO: its own, or the catalogue fitted to it."""
    if slo.alerting.windows is not None:
        return slo.alerting.windows
    return burn_windows(slo.window, slo.objective.error_budget, slo.scrape_interval_ms)


def fast_and_slow(windows: Sequence[BurnWindow]) -> tuple[tuple[BurnWindow, ...], tuple[BurnWindow, ...]]:
    """The windows that are evaluated with the fine tiles, and those that 5 m more or less do not matter to.

    All of a severity are one or the other, so that they are one alert.
    """
    slow = {
        severity
        for severity in _SEVERITIES
        if all(
            burn.short_ms >= HOUR and burn.short_ms % COARSE_MS == 0 and burn.long_ms % COARSE_MS == 0
            for burn in windows
            if burn.severity == severity
        )
    }
    return (
        tuple(burn for burn in windows if burn.severity not in slow),
        tuple(burn for burn in windows if burn.severity in slow),
    )


def alert_rules(
    slo: Slo, names: Names, fine_tiles: Tiles, coarse_tiles: Tiles
) -> tuple[list[AlertRule], list[AlertRule]]:
    """The alerts of an SLO: those that go with the fine tiles, and those that go with the coarse ones."""
    fast, slow = fast_and_slow(alert_windows(slo))
    fine = _burn_alerts(slo, names, fast, fine_tiles)
    coarse = _burn_alerts(slo, names, slow, coarse_tiles)
    if slo.alerting.absent.alert.enabled:
        fine.append(_absent_alert(slo, names, fine_tiles))
    coarse += _budget_alerts(slo, names)
    return fine, coarse


def _burn_alerts(slo: Slo, names: Names, windows: Sequence[BurnWindow], tiles: Tiles) -> list[AlertRule]:
    """One alert for each severity, and for each pair of windows that is given something of its own."""
    together: dict[Hashable, list[BurnWindow]] = {}
    for burn in windows:
        alert = slo.alerting.of_pair(burn)
        if alert.enabled:
            same = (
                burn.severity, alert.name, alert.for_ms, alert.keep_firing_ms,
                tuple(alert.labels.items()), tuple(alert.annotations.items()),
            )  # fmt: skip
            together.setdefault(same, []).append(burn)
    rules: list[AlertRule] = []
    for burns in together.values():
        alert = slo.alerting.of_pair(burns[0])
        severity = burns[0].severity
        window = ", ".join(dict.fromkeys(format_duration(burn.long_ms) for burn in burns))
        name = alert.name or BURN_ALERT
        labels = _burn_labels(slo, alert, severity, window, names)
        if any((rule.name, rule.labels) == (name, labels) for rule in rules):
            window = ", ".join(f"{format_duration(burn.long_ms)} at {float(burn.factor):.4g}x" for burn in burns)
            labels = _burn_labels(slo, alert, severity, window, names)
        rules.append(
            AlertRule(
                name,
                _burning(slo, names, burns, tiles),
                labels,
                burn_annotations(slo, burns, alert, names),
                alert.for_ms,
                alert.keep_firing_ms,
                tuple(burns),
            )
        )
    return rules


def _burn_labels(slo: Slo, alert: Alert, severity: Severity, window: str, names: Names) -> dict[str, str]:
    # Which of the pairs holds may change while it fires: a label that said so would make it another alert.
    own = {"window": window} if names.window is None else {"window": window, names.window: window}
    return alert_labels(slo, alert, severity, own, names)


def _burning(slo: Slo, names: Names, burns: Sequence[BurnWindow], tiles: Tiles) -> Node:
    """The burn rate over the long window of the first pair that burns."""
    pair = _pair(slo, names, burns[0], tiles)
    for burn in burns[1:]:
        pair = Binary("or", pair, _pair(slo, names, burn, tiles))  # both have the labels of `_same`, and no others
    # Compared as an error ratio, which is exact; the value is a burn rate, which people read.
    return Binary("/", pair, _number(slo.objective.error_budget))


def _pair(slo: Slo, names: Names, burn: BurnWindow, tiles: Tiles) -> Node:
    """The long window burns, and so does the short one by its last ratio; but with data and without a ratio it is idle.

    Of a window that is longer than the history what is unknown is taken for traffic like the rest, without errors: so
    five minutes of history don't pass for three days.
    """
    same, tile_ms = _same(slo), tiles.tile_ms
    threshold = _number(burn.threshold(slo.objective.error_budget))
    ratio: Node = names.series(slo, n.error_ratio_name(burn.long_ms))
    # By the clock, so that it is right however often the rules are evaluated. Holes of two hours are not the start of it.
    step_ms = COARSE_MS if burn.long_ms >= 6 * COARSE_MS and burn.long_ms % COARSE_MS == 0 else tile_ms
    history = Call("count_over_time", (tiles.looked_at(burn.long_ms + _HOLE_MS, step_ms),))
    known: Node = Call("clamp_max", (Binary("/", history, Number(burn.long_ms / step_ms)), Number(1.0)))
    if names is SLOTH or slo.labels_on == "series":
        # Of a `by` that was removed there are several series on both sides.
        ratio, known = (Aggregate("max", node, grouping=(*names.labels, *slo.by)) for node in (ratio, known))
        long = Binary("*", ratio, known)
    else:
        long = Binary("*", ratio, known, matching=VectorMatching("one-to-one", (EVENT_LABEL,), on=False))
    short = names.series(slo, n.error_ratio_name(burn.short_ms))
    # vmalert writes a tile after its group is done: over a range of one tile it would never find one.
    current: Node = tiles.present
    if burn.short_ms > 2 * tile_ms:
        current = Call("last_over_time", (MatrixSelector(tiles.present, 2 * tile_ms),))
    held_ms = min(burn.long_ms, max(_HELD_MS, 2 * burn.short_ms))
    last = Call("last_over_time", (MatrixSelector(short, held_ms),))
    if held_ms >= _SEEN_MS:
        held = Binary("or", short, Binary("unless", last, current, matching=same))
    else:
        # A ratio may be seen for longer than it is held.
        held = Binary("unless", last, Binary("unless", current, short, matching=same), matching=same)
    burns = Binary(">", held, threshold)
    node = Binary("and", Binary(">", long, threshold), burns, matching=same)
    if slo.alerting.least_errors:
        enough = Binary(">=", tiles.errors(burn.long_ms), Number(float(slo.alerting.least_errors)))
        node = Binary("and", node, enough, matching=same)
    return node


def _absent_alert(slo: Slo, names: Names, fine: Tiles) -> AlertRule:
    absent = slo.alerting.absent
    return AlertRule(
        absent.alert.name or ABSENT_ALERT,
        _missing(slo, names, fine),
        alert_labels(slo, absent.alert, absent.severity, {}, names),
        absent_annotations(slo, absent),
        absent_for_ms(slo, fine.tile_ms),
        absent.alert.keep_firing_ms,
    )


def _missing(slo: Slo, names: Names, fine: Tiles) -> Node:
    """Events of the last tile that there was, where there is none now. Without traffic there is a tile, of 0.

    Samples that were there a while ago, as is known now, had no tile either if all of them come later than rules read.
    """
    data: Node = without_event(Call("last_over_time", (fine.looked_at(_HAD_DATA_MS, COARSE_MS),)))
    now = fine.current
    if slo.by:
        # A value of a label that is no longer there is not missing: the SLO has data.
        data = Aggregate("sum", data, grouping=names.labels)
    # All of it is of one SLO.
    on = VectorMatching("many-to-many", (), on=True)
    came: list[Node] = [
        Aggregate("group", shifted(selector, slo.lag_ms + _CAME_AGO_MS)) for selector in slo.sli.always_counted
    ]
    if came:
        data = Binary("or", data, reduce(lambda left, right: Binary("and", left, right), came), matching=on)
    return Binary("and", Binary("unless", data, now, matching=on), _evaluated(slo, names, fine.tile_ms), matching=on)


def _evaluated(slo: Slo, names: Names, tile_ms: int) -> Node:
    """That no evaluation was missed in which a tile without data may be the server's own fault.

    After a restart a scrape has come in its interval, and a tile ends up to half of one before what is read. A millisecond
    less, as Prometheus 2 counts a range's start in.
    """
    needed = max(2, -(-(3 * slo.scrape_interval_ms // 2 + slo.lag_ms) // tile_ms))
    earlier = replace(names.series(slo, n.OBJECTIVE), offset_ms=tile_ms)
    evaluations = Call("count_over_time", (MatrixSelector(earlier, needed * tile_ms - 1),))
    return Binary(">=", evaluations, Number(float(needed)))


def absent_for_ms(slo: Slo, tile_ms: int) -> int:
    """How long data must be missing beyond the first empty tile.

    The fastest page takes as long as a full outage needs to consume its share of the budget; so does this, within 5 m.
    Two scrapes must be missing, as one may be lost.
    """
    if slo.alerting.absent.for_ms is not None:
        return slo.alerting.absent.for_ms
    windows = [burn for burn in alert_windows(slo) if slo.alerting.of_pair(burn).enabled]
    pages = [burn for burn in windows if burn.severity == "page"] or windows
    budget = Fraction(slo.objective.error_budget)
    fastest = min((burn.long_ms * burn.factor * budget for burn in pages), default=Fraction(_SLOWEST_ABSENT_MS))
    whole = int(min(fastest, Fraction(_SLOWEST_ABSENT_MS)) // tile_ms) * tile_ms
    scrapes = -(-2 * slo.scrape_interval_ms // tile_ms) * tile_ms
    return max(whole, scrapes, tile_ms) - tile_ms


def _budget_alerts(slo: Slo, names: Names) -> list[AlertRule]:
    """One for each mark: a higher one that is reached ends no lower one."""
    budget = slo.alerting.budget
    keep_ms = budget.keep_firing_ms
    if keep_ms is None:
        # A share that wavers about its mark is one notification. A calendar window begins anew, and so does the alert.
        keep_ms = slo.window.nominal_ms // 30 // MINUTE * MINUTE
        keep_ms = min(keep_ms, HOUR) if isinstance(slo.window, Calendar) else keep_ms
    return [
        AlertRule(
            budget.alert.name or BUDGET_ALERT,
            _consumed(slo, names, mark),
            alert_labels(slo, budget.alert, budget.severity, {"consumed": show_mark(mark)}, names),
            budget_annotations(slo, budget, mark, names),
            budget.alert.for_ms,
            keep_ms,
        )
        for mark in budget.marks
    ]


def _consumed(slo: Slo, names: Names, mark: Decimal) -> Node:
    """The share of the budget that is consumed, in percent, where it has reached the mark."""
    reached = Binary("<=", names.series(slo, n.BUDGET_REMAINING), _number(1 - mark))
    return Binary("*", Number(100.0), Binary("-", Number(1.0), reached))


def check_alerts(slo: Slo) -> list[Problem]:
    """What leaves an SLO without figures and alerts that can never fire are errors; severities without any are warnings."""
    windows = alert_windows(slo)
    problems = [_problem(slo, text, "error") for text in slo.unusable]
    for burn in dead_windows(windows, slo.objective.error_budget):
        problems.append(
            _problem(
                slo,
                f"the {burn.severity} over {format_duration(burn.long_ms)} can never fire: {float(burn.factor):g} times the "
                f"error budget of {slo.objective.error_budget} is an error ratio of 1 or more; widen the window or lower its threshold",
                "error",
            )
        )
    if slo.alerting.windows is None:
        problems += [_problem(slo, text, "warning") for text in _unreachable(slo)]
    for severity in _SEVERITIES:
        if slo.alerting.of(severity).enabled and not any(burn.severity == severity for burn in windows):
            problems.append(_problem(slo, f"has no {severity} alert: no burn-rate window fits {slo.window}", "warning"))
    return problems


def _unreachable(slo: Slo) -> list[str]:
    """Alerts of the catalogue that no error ratio could set off at this objective, and what they became."""
    period, budget = slo.window.nominal_ms, Fraction(slo.objective.error_budget)
    texts = []
    for severity, catalogue_ms, share in CATALOGUE if period >= WEEK else ():
        factor = burn_threshold(share, period, catalogue_ms)
        if factor * budget < 1 or not slo.alerting.of(severity).enabled:
            continue
        instead = [burn for burn in alert_windows(slo) if burn.budget_share == share and burn.severity == severity]
        became = f"it watches {format_duration(instead[0].long_ms)} instead" if instead else "another one covers it"
        texts.append(
            f"the {severity} over {format_duration(catalogue_ms)} could never fire at {slo.objective}: a burn rate of "
            f"{float(factor):g} is an error ratio of {float(factor * budget):.0%}; {became}"
        )
    return texts


def _problem(slo: Slo, message: str, severity: str) -> Problem:
    return Problem(slo.file, slo.line, 1, f"slos.{slo.name}", message, severity)


def plain_alerts(service: str, alerts: Sequence[PlainAlert]) -> RuleGroup:
    """The alerts of a service alongside its SLOs. Their annotations are templates, as in any rules file."""
    rules = tuple(
        AlertRule(
            alert.name,
            parse(alert.expr),
            {label: plain(value) for label, value in {"service": service, **alert.labels}.items()},
            alert.annotations,
            alert.for_ms,
            alert.keep_firing_ms,
        )
        for alert in sorted(alerts, key=lambda alert: alert.name)
    )
    return RuleGroup(f"slo/{service}/alerts", MINUTE, rules, service, "")


def _same(slo: Slo) -> VectorMatching:
    """How recorded series, each of which is selected as one of the SLO, are of one value of `by`."""
    return VectorMatching("many-to-many", slo.by, on=True)


def _number(value: Decimal) -> Number:
    return Number(float(value))
