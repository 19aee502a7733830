"""The threshold of a latency is a bucket bound on every target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from slo.check.model import Finding, Probed
from slo.promql.ast import Aggregate
from slo.sli.bounds import INFINITY, bound_of

_NAMED = 3


def check_bounds(probed: Probed) -> Iterator[Finding]:
    """Targets whose histogram lacks the threshold's bucket."""
    sli = probed.slo.sli
    bound = getattr(sli, "bound", None)
    if sli.buckets is None or not isinstance(bound, Decimal):
        return
    labels = probed.slo.target_labels
    targets: dict[tuple[str, ...], Counter[Decimal]] = {}
    for labels_found, histograms in probed.ask(Aggregate("count", sli.buckets, grouping=(*labels, "le"))):
        value = bound_of(labels_found.get("le", ""))
        if value is not None:
            target = tuple(labels_found.get(label, "") for label in labels)
            targets.setdefault(target, Counter())[value] += round(histograms)
    without = sorted(target for target, bounds in targets.items() if bound not in bounds)
    mixed = sorted(target for target, bounds in targets.items() if 0 < bounds[bound] < bounds[INFINITY])
    if mixed:
        message = (
            f"on {len(mixed)} of {len(targets)} targets some histograms have no bucket at the threshold {_shown(bound)} and "
            f"others do, and their requests would count as slow: {_named(mixed)}; name the label that tells the histograms "
            "apart in `target_labels`"
        )
        yield probed.finding("bound", "error", message)
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
        message = (
            f"{len(without)} of {len(targets)} targets have no bucket at the threshold {_shown(bound)}, and are not counted: "
            f"{_named(without)}; give them the bucket, their bounds are {bounds}"
        )
        yield probed.finding("bound", "error", message)


def _named(targets: Sequence[tuple[str, ...]]) -> str:
    more = f" and {len(targets) - _NAMED} more" if len(targets) > _NAMED else ""
    return ", ".join("/".join(target) for target in targets[:_NAMED]) + more


def _shown(value: Decimal) -> str:
    return f"{value.normalize():f}"
