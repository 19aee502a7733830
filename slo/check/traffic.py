"""There is traffic enough for the alerts: more than one error is needed to page."""

from __future__ import annotations

from collections.abc import Iterator

from slo.check.model import Finding, Probed
from slo.promql.ast import Aggregate, Call, MatrixSelector, Node, VectorSelector
from slo.rules import alert_windows
from slo.sli.counted import CountedSli
from slo.window import DAY, format_duration

_FEW = 2  # errors that must be needed
_SHORTEST_S = 60  # of data, to judge by


def check_traffic(probed: Probed) -> Iterator[Finding]:
    """Alerts that one or two errors set off, at the traffic of the last day."""
    slo, scrapes = probed.slo, probed.scrapes
    # Slices of time come at the pace of the clock, whatever the traffic.
    if slo.sli.slice_ms or not isinstance(slo.sli, CountedSli) or scrapes is None or scrapes[1] < _SHORTEST_S:
        return
    events = probed.number(_events(slo.sli, probed.total))
    if events is None:
        return
    per_second = events / min(scrapes[1], DAY / 1000)
    windows = [burn for burn in alert_windows(slo) if burn.severity == "page" and slo.alerting.page.enabled]
    for burn in sorted(windows, key=lambda burn: burn.long_ms)[:1]:
        in_window = per_second * burn.long_ms / 1000
        needed = in_window * float(burn.factor) * float(slo.objective.error_budget)
        if needed >= _FEW or slo.alerting.least_errors >= _FEW:
            continue
        over = format_duration(burn.long_ms)
        message = (
            f"{in_window:.3g} events in {over} at the traffic of the last day: more than {needed:.2g} errors page, so "
            f"{'a single error does' if needed < 1 else 'two do'}; set `least_errors: 3` under `alerting`, or a lower objective"
        )
        yield probed.finding("traffic", "warning", message)


def _events(sli: CountedSli, total: VectorSelector) -> Node:
    """All events of the last day, about."""
    counts = "increase" if sli.counters()[0] else "count_over_time"
    return Aggregate("sum", Call(counts, (MatrixSelector(total, DAY),)))
