"""What burned a budget, by the values of each label: which instance, which route, which code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slo.budget.measure import parts_between
from slo.budget.model import Budget
from slo.budget.possible import ratio_of
from slo.errors import SourceError
from slo.sli.base import Note
from slo.sli.counts import Part
from slo.spec.model import Slo

if TYPE_CHECKING:
    import pandas as pd

    from slo.source import Source

# A histogram's bounds and the metric's name tell nothing of who was hit.
_SILENT = frozenset({"__name__", "le"})


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

    @property
    def table(self) -> pd.DataFrame:
        """`errors`, `total` (events), `error_ratio`, `errors_share`, `total_share` (0..1), by the label's value."""
        import pandas as pd

        columns = ["errors", "total", "error_ratio", "errors_share", "total_share"]
        rows = [[getattr(share, column) for column in columns] for share in self.shares]
        index = pd.Index([share.value for share in self.shares], name=self.label)
        return pd.DataFrame(rows, index=index, columns=columns).astype(float)


def with_breakdown(budgets: Sequence[Budget], source: Source, done: Callable[[], None] = lambda: None) -> list[Budget]:
    """The budgets, each with its events by series where they were added up by a server, which is asked for them once more.

    Those of raw samples have them already. A server that fails leaves them out, and a note says so.
    """
    found = []
    for budget in budgets:
        if budget.counts.parts is None and budget.remaining is not None:
            start_ms, end_ms = (round(at.timestamp() * 1000) for at in (budget.start, budget.end))
            try:
                parts = parts_between(budget.slo, source, start_ms, end_ms)
                budget = replace(budget, counts=replace(budget.counts, parts=parts))
            except SourceError as error:
                why = str(error).removeprefix(f"{budget.slo.id}: ")  # a note stands beside the name
                note = Note("no-breakdown", f"which series had the bad events could not be asked for: {why}")
                budget = replace(budget, notes=(*budget.notes, note))
        found.append(budget)
        done()
    return found


def of_budget(budget: Budget) -> tuple[Breakdown, ...]:
    """What burned the budget of a period; nothing where it is not known by series."""
    return break_down(budget.counts.parts or (), budget.slo.sli.kind_labels)


def budget_tables(budget: Budget) -> Mapping[str, pd.DataFrame]:
    """The same as a table for each label."""
    return tables(budget.counts.parts or (), budget.slo.sli.kind_labels)


def interval_tables(slo: Slo, source: Source, start_ms: int, end_ms: int) -> Mapping[str, pd.DataFrame]:
    """What burned an SLO's budget in (start, end], as a table for each label. Raises SourceError."""
    return tables(parts_between(slo, source, start_ms, end_ms) or (), slo.sli.kind_labels)


def break_down(parts: Sequence[Part], kinds: frozenset[str] = frozenset()) -> tuple[Breakdown, ...]:
    """By each label that has several values, the most telling first: the bad events lie elsewhere than the traffic.

    The errors of a label's values add up to all bad events. A series without a label counts under its value "".
    """
    found = _divided(parts, kinds)
    first: dict[tuple[int, ...], str] = {}
    for label, (divided, _) in found.items():
        first.setdefault(divided, label)
    merged = [
        replace(one, alike=tuple(other for other in found if other != label and found[other][0] == divided))
        for label, (divided, one) in found.items()
        if first[divided] == label
    ]
    return tuple(sorted(merged, key=lambda one: (one.kinds, -round(one.skew, 9), one.label)))


def tables(parts: Sequence[Part], kinds: frozenset[str] = frozenset()) -> Mapping[str, pd.DataFrame]:
    """The table of every label that has several values."""
    return {label: one.table for label, (_, one) in _divided(parts, kinds).items()}


def _divided(parts: Sequence[Part], kinds: frozenset[str]) -> dict[str, tuple[tuple[int, ...], Breakdown]]:
    """By label, in their order: into which group each part falls, and what the groups had."""
    found = {}
    for label in sorted({label for part in parts for label in part.labels} - _SILENT):
        numbers: dict[str, int] = {}
        divided = tuple(numbers.setdefault(part.labels.get(label, ""), len(numbers)) for part in parts)
        one = _breakdown(label, parts, label in kinds) if len(numbers) > 1 else None
        if one is not None:
            found[label] = (divided, one)
    return found


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
