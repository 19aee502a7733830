"""The top contributors to a budget's consumption, by the values of each label: which instance, which route, which code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slo.budget.possible import ratio_of
from slo.sli.counts import Part

# A histogram's bounds and the metric's name do not say who had the bad events.
_SILENT = frozenset({"__name__", "le"})
# So many values of a label are listed one by one in JSON.
VALUES = 20


@dataclass(frozen=True, slots=True)
class Share:
    """What one value of a label had of the bad and of all events. Shares are 0..1; of nothing they are 0."""

    value: str
    errors: float
    total: float
    errors_share: float
    total_share: float

    @property
    def error_ratio(self) -> float | None:
        """Bad events out of all of this value; None without traffic of its own, or with fewer events than bad ones."""
        return ratio_of(self.errors, self.total)


@dataclass(frozen=True, slots=True)
class Breakdown:
    """All values of a label, most bad events first. `alike` are other labels that divide the series in the same way.

    `skew` is the share of the bad events that lie elsewhere than the traffic does (half the sum of differences, 0..1). A label
    that tells the bad from the good, such as a status code, has `kinds`: its shares of the traffic say nothing.
    """

    label: str
    alike: tuple[str, ...]
    shares: tuple[Share, ...]
    skew: float
    kinds: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for JSON: the values with most bad events, and in `others` all that follow, together."""
        shown, rest = self.shares[:VALUES], self.shares[VALUES:]
        return {
            "label": self.label,
            "alike": list(self.alike),
            "kinds": self.kinds,
            "skew": self.skew,
            "values": [{"value": share.value, "errors": share.errors, "total": share.total} for share in shown],
            "others": {
                "values": len(rest),
                "errors": sum(share.errors for share in rest),
                "total": sum(share.total for share in rest),
            },
        }


def break_down(parts: Sequence[Part], kinds: frozenset[str] = frozenset()) -> tuple[Breakdown, ...]:
    """By each label that has several values, the most telling first: the bad events lie elsewhere than the traffic.

    The errors of a label's values add up to all bad events. A series without a label counts under its value "".
    """
    by_name = _divided(parts, kinds)
    first: dict[tuple[int, ...], str] = {}
    for label, (divided, _) in by_name.items():
        first.setdefault(divided, label)
    merged = [
        replace(breakdown, alike=tuple(other for other in by_name if other != label and by_name[other][0] == divided))
        for label, (divided, breakdown) in by_name.items()
        if first[divided] == label
    ]
    return tuple(sorted(merged, key=lambda breakdown: (breakdown.kinds, -round(breakdown.skew, 9), breakdown.label)))


def by_label(parts: Sequence[Part], kinds: frozenset[str] = frozenset()) -> Mapping[str, Breakdown]:
    """By every label that has several values, also those that divide the series alike."""
    return {label: breakdown for label, (_, breakdown) in _divided(parts, kinds).items()}


def _divided(parts: Sequence[Part], kinds: frozenset[str]) -> dict[str, tuple[tuple[int, ...], Breakdown]]:
    """By label, in their order: into which group each part falls, and what the groups had."""
    by_name = {}
    for label in sorted({label for part in parts for label in part.labels} - _SILENT):
        numbers: dict[str, int] = {}
        divided = tuple(numbers.setdefault(part.labels.get(label, ""), len(numbers)) for part in parts)
        breakdown = _breakdown(label, parts, label in kinds) if len(numbers) > 1 else None
        if breakdown is not None:
            by_name[label] = (divided, breakdown)
    return by_name


def _breakdown(label: str, parts: Sequence[Part], kinds: bool) -> Breakdown | None:
    errors: dict[str, float] = {}
    total: dict[str, float] = {}
    for part in parts:
        value = part.labels.get(label, "")
        errors[value] = errors.get(value, 0.0) + part.errors
        total[value] = total.get(value, 0.0) + part.total
    bad, whole = sum(errors.values()), sum(total.values())
    if bad <= 0:
        return None
    shares = [
        Share(value, errors[value], total[value], errors[value] / bad, total[value] / whole if whole else 0.0)
        for value in errors
    ]
    shares.sort(key=lambda share: (-share.errors, -share.total, share.value))
    # A label that only the series of bad events have tells their kinds too.
    kinds = kinds or not any(share.total for share in shares if share.errors > 0)
    skew = sum(abs(share.errors_share - share.total_share) for share in shares) / 2
    return Breakdown(label, (), tuple(shares), skew, kinds)
