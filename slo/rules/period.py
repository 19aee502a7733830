"""The budget of the whole period, from tiles: errors, events, and what is left."""

from __future__ import annotations

from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, Number, String, VectorMatching
from slo.rules import names as n
from slo.rules.groups import Recording, Rule
from slo.rules.names import SLOTH, Names
from slo.spec.model import Slo
from slo.window import DAY, WEEK, Calendar, CalendarUnit

# 1970-01-05 was a Monday.
_FIRST_MONDAY_SECONDS = 4 * DAY // 1000
_LONGEST_MS: dict[CalendarUnit, int] = {"week": WEEK, "month": 31 * DAY, "quarter": 92 * DAY, "year": 366 * DAY}


def period_rules(slo: Slo, names: Names, tile_ms: int) -> list[Rule]:
    """Errors and events of the period so far, its burn rate and the budget that remains; absent without traffic."""
    found: list[Rule] = []
    sums: dict[str, Node] = {}
    for what, tile_name in (("events", n.events_tile_name(tile_ms)), ("errors", n.errors_tile_name(tile_ms))):
        tile = names.series(slo, tile_name)
        if isinstance(slo.window, Calendar):
            # Each tile is recorded under the period that its middle lies in, so that a sum knows where to begin.
            middle = (tile_ms // 2 + slo.scrape_interval_ms) / 1000
            label = Aggregate("count_values", calendar_id(slo.window.unit, middle), String(n.PERIOD_LABEL))
            marked = Binary(
                "*", tile, label, matching=VectorMatching("many-to-one", (), on=True, include=(n.PERIOD_LABEL,))
            )
            own_name = n.period_tile_name(what, tile_ms)
            found.append(Recording(own_name, marked, names.identity(slo)))
            every = Call("sum_over_time", (MatrixSelector(names.series(slo, own_name), _LONGEST_MS[slo.window.unit]),))
            now = Aggregate("count_values", calendar_id(slo.window.unit, 0), String(n.PERIOD_LABEL))
            current = Binary("and", every, now, matching=VectorMatching("many-to-many", (n.PERIOD_LABEL,), on=True))
            sums[what] = Aggregate("sum", current, grouping=(n.PERIOD_LABEL,), without=True)
        else:
            sums[what] = Call("sum_over_time", (MatrixSelector(tile, slo.window.nominal_ms),))
    errors, events = names.series(slo, n.PERIOD_ERRORS), names.series(slo, n.PERIOD_EVENTS)
    budget = Number(float(slo.objective.error_budget))
    ratio = Binary("/", errors, Binary(">", events, Number(0.0)))
    found += [
        Recording(n.PERIOD_EVENTS, sums["events"], names.identity(slo)),
        Recording(n.PERIOD_ERRORS, sums["errors"], names.identity(slo)),
        Recording(n.PERIOD_BURN_RATE, Binary("/", ratio, budget), names.identity(slo)),
        Recording(
            n.BUDGET_REMAINING,
            Binary("-", Number(1.0), names.series(slo, n.PERIOD_BURN_RATE)),
            names.identity(slo),
        ),
    ]
    if names is SLOTH:
        window = slo.window.nominal_ms
        found.append(Recording(n.error_ratio_name(window), ratio, names.ratio_labels(slo, window)))
    return found


def calendar_id(unit: CalendarUnit, seconds_ago: float) -> Node:
    """A number that is the same throughout a calendar period (UTC) and different in the next: 202611, 2026, or weeks since 1970."""
    time: Node = Call("time")
    if seconds_ago:
        time = Binary("-", time, Number(seconds_ago))
    moment = Call("vector", (time,))
    if unit == "week":
        since = Binary("-", moment, Number(float(_FIRST_MONDAY_SECONDS)))
        return Call("floor", (Binary("/", since, Number(WEEK / 1000)),))
    if unit == "year":
        return Call("year", (moment,))
    year = Binary("*", Call("year", (moment,)), Number(100.0))
    month: Node = Call("month", (moment,))
    if unit == "quarter":
        month = Call("ceil", (Binary("/", month, Number(3.0)),))
    return Binary("+", year, month)
