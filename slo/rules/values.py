"""`by` bounded: which values of its labels have an error budget, and the alert for those that have none.

The first MOST values stay. A value that the SLO's window has tiles of keeps its place, even while nothing of it is scraped;
places that are free go to the values with the most traffic so far. So a value neither comes and goes as traffic wavers, nor do
many short-lived ones flood a server.
"""

from __future__ import annotations

from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, Number, VectorMatching
from slo.rules import names as n
from slo.rules.annotate import alert_labels, values_annotations
from slo.rules.groups import AlertRule
from slo.rules.names import Names
from slo.rules.windows import Tiles
from slo.sli.counts import LOOKBACK_MS
from slo.sli.tile import alongside, shifted
from slo.spec.model import Slo
from slo.spec.split import MOST
from slo.window import MINUTE

VALUES_ALERT = "SLOTooManyValues"
# A series that any rule may give: should more values than have a place be remembered, after hours without evaluations, a
# rule must not fail for it.
RULE_LIMIT = 10 * MOST
# Until the coverage of a new value is recorded, its tiles remember it.
_NEW_MS = 10 * MINUTE
# A new value has a tile by then.
_FOR_MS = 10 * MINUTE


def kept_values(slo: Slo, names: Names, tiles: Tiles, lag_ms: int, at_once: bool) -> Node:
    """A series for each value of `by` that has a place. `at_once` says that nothing recorded is known: traffic decides."""
    by = VectorMatching("many-to-many", slo.by, on=True)
    traffic = _scraped(slo, lag_ms, "sum" if slo.sli.counts_lean else "count")
    # A share below 1: whatever is remembered comes before it, the longest first.
    score: Node = Binary("/", traffic, Binary("+", traffic, Number(1.0)))
    if not at_once:
        coverage = Call("last_over_time", (MatrixSelector(names.series(slo, n.PERIOD_COVERAGE), LOOKBACK_MS),))
        new = Call("present_over_time", (MatrixSelector(tiles.present, _NEW_MS),))
        remembered = Binary("or", Binary("+", coverage, Number(1.0)), new, matching=by)
        score = Binary("or", remembered, score, matching=by)
    return Aggregate("topk", score, Number(float(MOST)))


def values_alert(slo: Slo, names: Names, tiles: Tiles, lag_ms: int) -> AlertRule:
    """Fires while values of `by` are scraped that have no place; its value is how many values are scraped."""
    alert = slo.alerting.of("ticket")
    every = _scraped(slo, lag_ms, "group")
    recorded = Call("last_over_time", (MatrixSelector(tiles.present, _NEW_MS),))
    without = Binary("unless", every, recorded, matching=VectorMatching("many-to-many", slo.by, on=True))
    some = VectorMatching("many-to-many", (), on=True)
    return AlertRule(
        VALUES_ALERT,
        Binary("and", Aggregate("count", every), Aggregate("count", without), matching=some),
        alert_labels(slo, alert, "ticket", {}, names),
        values_annotations(slo, alert),
        _FOR_MS,
    )


def _scraped(slo: Slo, lag_ms: int, op: str) -> Node:
    series = alongside([shifted(selector, lag_ms) for selector in slo.sli.all_events])
    return Aggregate(op, series, grouping=slo.by)
