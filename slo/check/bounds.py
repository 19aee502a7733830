"""The threshold of a latency is a bucket bound on every target."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from slo.check.model import Finding, Probed
from slo.promql.ast import Aggregate
from slo.sli.bounds import bound_of

_NAMED = 3


def check_bounds(probed: Probed) -> Iterator[Finding]:
    """Targets whose histogram lacks the threshold's bucket."""
    sli = probed.slo.sli
    bound = getattr(sli, "bound", None)
    if sli.buckets is None or not isinstance(bound, Decimal):
        return
    labels = probed.slo.target_labels
    targets: dict[tuple[str, ...], set[Decimal]] = {}
    for labels_found, _ in probed.ask(Aggregate("group", sli.buckets, grouping=(*labels, "le"))):
        value = bound_of(labels_found.get("le", ""))
        if value is not None:
            targets.setdefault(tuple(labels_found.get(label, "") for label in labels), set()).add(value)
    without = sorted(target for target, bounds in targets.items() if bound not in bounds)
    if not without:
        return
    there = sorted(
        value for value in set[Decimal]().union(*(targets[target] for target in without)) if value.is_finite()
    )
    near = sorted(there, key=lambda value: abs(value - bound))[:2]
    meant = " or ".join(f"{_shown(value)}" for value in sorted(near)) or "a bucket bound"
    bounds = ", ".join(map(_shown, there))
    if len(without) == len(targets):
        message = f"the threshold {_shown(bound)} is not a bucket bound (le) of {sli.buckets.name}; use {meant}; its bounds are {bounds}"
        yield probed.finding("bound", "error", message)
    else:
        named = ", ".join("/".join(target) for target in without[:_NAMED])
        more = f" and {len(without) - _NAMED} more" if len(without) > _NAMED else ""
        message = (
            f"{len(without)} of {len(targets)} targets have no bucket at the threshold {_shown(bound)}, and are not counted: {named}{more}; "
            f"give them the bucket, their bounds are {bounds}"
        )
        yield probed.finding("bound", "error", message)


def _shown(value: Decimal) -> str:
    return f"{value.normalize():f}"
