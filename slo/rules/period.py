"""The budget of the whole window, from tiles: errors, events, and what is left."""

from __future__ import annotations

from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, Number, String, VectorMatching
from slo.rules import names as n
from slo.rules.groups import RecordingRule
from slo.rules.names import Names
from slo.rules.windows import Tiles, without_event
from slo.rules.zone import local_time
from slo.sli.base import Event
from slo.spec.model import Slo
from slo.window import DAY, MINUTE, WEEK, Calendar, CalendarUnit

# How often it is looked whether there are tiles: a server sees the last one for as long.
COVERAGE_STEP_MS = 5 * MINUTE
# 1970-01-05 was a Monday.
_FIRST_MONDAY_SECONDS = 4 * DAY // 1000
_LONGEST_MS: dict[CalendarUnit, int] = {"week": WEEK, "month": 31 * DAY, "quarter": 92 * DAY, "year": 366 * DAY}


def period_rules(slo: Slo, names: Names, tile_ms: int) -> list[RecordingRule]:
    """The window's error ratio, its burn rate, the budget that remains, and how much of the window has data."""
    tiles, own = Tiles.of(names, slo, tile_ms), names.identity(slo)
    recordings: list[RecordingRule] = []
    if isinstance(slo.window, Calendar):
        # Each tile is recorded under the window that its middle lies in, so that a sum knows where to begin.
        middle = (tile_ms // 2 + slo.scrape_interval_ms + slo.delay_ms) / 1000
        label = Aggregate("count_values", calendar_id(slo.window, middle), String(n.PERIOD_LABEL))
        matching = VectorMatching("many-to-one", (), on=True, include=(n.PERIOD_LABEL,))
        recordings.append(
            RecordingRule(n.period_tile_name(tile_ms), Binary("*", tiles.series(), label, matching=matching), own)
        )
        ratio = _CalendarTiles(names, slo, tile_ms, n.period_tile_name(tile_ms)).ratio(_LONGEST_MS[slo.window.unit])
    else:
        ratio = tiles.ratio(slo.window.nominal_ms)
    window = slo.window.nominal_ms
    name, shown = names.period_ratio_name(window), names.shown(slo)
    budget = Number(float(slo.objective.error_budget))
    # By the clock, so that it is right however often the tiles are evaluated: promtool does it in its own interval.
    every = min(tile_ms, COVERAGE_STEP_MS)
    seen = Call("count_over_time", (tiles.looked_at(window, every),))
    share = Binary("/", without_event(seen), Number(window / every))
    return [
        *recordings,
        RecordingRule(name, ratio, names.ratio_labels(slo, window)),
        RecordingRule(n.PERIOD_BURN_RATE, Binary("/", names.series(slo, name), budget), shown),
        RecordingRule(n.BUDGET_REMAINING, Binary("-", Number(1.0), names.series(slo, n.PERIOD_BURN_RATE)), shown),
        RecordingRule(n.PERIOD_COVERAGE, Call("clamp_max", (share, Number(1.0))), shown),
    ]


class _CalendarTiles(Tiles):
    """Tiles that know which calendar window they lie in: a sum over them is over the current one."""

    __slots__ = ()

    def summed(self, window_ms: int, event: Event | None = None) -> Node:
        assert isinstance(self.slo.window, Calendar)
        every = Call("sum_over_time", (MatrixSelector(self.series(event), window_ms),))
        now = Aggregate("count_values", calendar_id(self.slo.window, 0), String(n.PERIOD_LABEL))
        current = Binary("and", every, now, matching=VectorMatching("many-to-many", (n.PERIOD_LABEL,), on=True))
        return Aggregate("sum", current, grouping=(n.PERIOD_LABEL,), without=True)


def calendar_id(window: Calendar, seconds_ago: float) -> Node:
    """A number that is the same throughout a calendar window and different in the next: 202611, 2026, or weeks since 1970."""
    unit, moment = window.unit, local_time(window.zone, seconds_ago)
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
