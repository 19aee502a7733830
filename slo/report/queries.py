"""PromQL that gives a report's figures on a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slo.budget.quantile import PERCENTILES
from slo.errors import PromqlError
from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, Number, Subquery
from slo.report.text import clean
from slo.sli.tile import Tile
from slo.window import Calendar, format_duration

if TYPE_CHECKING:
    from slo.budget.model import Budget

LONGEST = 5000


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """An expression, and what it gives when a server evaluates it at the report's end."""

    title: str
    text: str


def queries(budget: Budget) -> tuple[ReportQuery, ...]:
    """From raw series, counted per step as the rules count them, and from the recorded rules. Empty where neither can be
    written."""
    from slo.rules import names
    from slo.rules.names import OWN

    slo, step = budget.slo, budget.counts.grid.step_ms
    length = round((budget.end - budget.start).total_seconds() * 1000)
    result: list[ReportQuery] = []
    try:
        # As the rules count, which takes half as many words.
        tile = Tile(step, target=slo.target_labels, scrape_ms=slo.scrape_interval_ms, lean=slo.sli.counts_lean)
        tiles = slo.sli.errors_tile(tile), slo.sli.total_tile(tile)
    except PromqlError:
        return ()
    errors, total = (_over(tile, length, step) for tile in tiles)
    allowed = Number(float(slo.objective.error_budget))
    raw = [
        ReportQuery("Bad events, from raw series", str(errors)),
        ReportQuery("All events, from raw series", str(total)),
    ]
    if all(len(query.text) <= LONGEST for query in raw):  # half an expression is none, and one of two says little
        result += raw
    # The weekly job has calendar windows of its own time zone where a definition names none: rules are of another stretch.
    if not isinstance(slo.window, Calendar) or slo.window.zone == "UTC":
        ratio = OWN.series(slo, names.PERIOD_ERROR)
        result += [
            ReportQuery("SLI, from the recorded rules", str(Binary("-", Number(1.0), ratio))),
            ReportQuery(
                "Budget remaining, from the recorded rules", str(Binary("-", Number(1.0), Binary("/", ratio, allowed)))
            ),
        ]
    buckets = slo.sli.buckets
    if buckets is not None:
        summed = Aggregate("sum", Call("increase", (MatrixSelector(buckets, length),)), grouping=("le",))
        quantiles = "\n".join(
            str(Call("histogram_quantile", (Number(quantile), summed))) for quantile in PERCENTILES.values()
        )
        names_of = ", ".join(PERCENTILES)
        result.append(
            ReportQuery(
                f"Latency {names_of}, from raw series in the histogram's unit, one expression a line", quantiles
            )
        )
    if budget.burns:
        rates = "\n".join(str(_recorded_burn(budget, window)) for window in _recorded(budget))
        result.append(ReportQuery("Burn rates, from the recorded rules, one expression a line", rates))
    return tuple(ReportQuery(query.title, clean(query.text, LONGEST)) for query in result)


def _over(tile: Node, length_ms: int, step_ms: int) -> Node:
    # A subquery's range is open on the left, and its steps are aligned to the epoch, as the report's are to its end.
    return Call("sum_over_time", (Subquery(tile, length_ms, step_ms),))


def _recorded(budget: Budget) -> list[str]:
    lengths = {length for burn in budget.burns for length in (burn.window.long_ms, burn.window.short_ms)}
    return [format_duration(length) for length in sorted(lengths)]


def _recorded_burn(budget: Budget, window: str) -> Node:
    from slo.rules.names import OWN, error_ratio_name
    from slo.window import parse_duration

    ratio = OWN.series(budget.slo, error_ratio_name(parse_duration(window)))
    return Binary("/", ratio, Number(float(budget.slo.objective.error_budget)))
