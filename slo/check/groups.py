"""`by` stays under the number of error budgets that it may have."""

from __future__ import annotations

from collections.abc import Iterator

from slo.check.model import LOOKS_BACK_MS, Finding, Probed
from slo.promql.ast import Aggregate, Call, MatrixSelector
from slo.sli.tile import alongside
from slo.spec.split import MOST

_NEAR = 0.8


def check_groups(probed: Probed) -> Iterator[Finding]:
    """Labels with too many values, or with nearly as many; labels that are not there."""
    by = probed.slo.by
    if not by:
        return
    every = probed.slo.sli.all_events
    seen = alongside([Call("present_over_time", (MatrixSelector(counter, LOOKS_BACK_MS),)) for counter in every])
    number = probed.number(Aggregate("count", Aggregate("group", seen, grouping=by)))
    names = " and ".join(by)
    for label in by:
        values = [labels.get(label, "") for labels, _ in probed.ask(Aggregate("group", seen, grouping=(label,)))]
        if not any(values):
            yield probed.finding("by", "error", f"{probed.total.name} has no label {label}; correct `by`")
            return
    if number and number > MOST:
        message = (
            f"{names} has {number:.0f} values, and {MOST} have an error budget each; list those that matter under `by`"
        )
        yield probed.finding("by", "error", message)
    elif number and number >= _NEAR * MOST:
        message = f"{names} has {number:.0f} values, near the limit of {MOST}; list those that need an error budget of their own"
        yield probed.finding("by", "warning", message)
