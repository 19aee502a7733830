"""Why a selector matches nothing: which of its labels or values are not there, and which are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slo.promql.ast import Aggregate, Call, MatrixSelector, Number, VectorSelector
from slo.promql.samples import matches
from slo.sli.base import Note, Reader
from slo.sli.counts import Grid
from slo.suggest import suggest
from slo.window import HOUR

_LOOKED_AT = 200
_NAMED = 8


def unmatched(what: str, selector: VectorSelector, reader: Reader, grid: Grid) -> Note:
    """Says that `what` of an SLI matches no series, and what is there instead. Raises SourceError."""
    return Note("unmatched", f"`{what}` matches no series: {_reason(selector, _labels(selector, reader, grid))}")


def _labels(selector: VectorSelector, reader: Reader, grid: Grid) -> list[Mapping[str, str]]:
    """The labels of the series of the selector's metric, of some of them where a server has many."""
    bare = VectorSelector(selector.name)
    if reader.local:
        return [series.labels for series in reader.samples([bare], grid.start_ms, grid.end_ms).series]
    lately = Call("last_over_time", (MatrixSelector(bare, HOUR),))
    some = Aggregate("topk", lately, param=Number(float(_LOOKED_AT)))
    return [labels for labels, _ in reader.query(some, grid.end_ms).series]


def _reason(selector: VectorSelector, there: Sequence[Mapping[str, str]]) -> str:
    if not there:
        return f"there is no metric {selector.name}"
    for matcher in selector.matchers:
        values = {labels.get(matcher.label, "") for labels in there}
        if any(matches(matcher, labels) for labels in there):
            continue
        if values == {""}:
            names = sorted({label for labels in there for label in labels if label != "__name__"})
            return (
                f"{selector.name} has no label {matcher.label}{suggest(matcher.label, names)}{_telling(there, names)}"
            )
        return f"{matcher} is none of the values of {matcher.label}: {_listed(values)}"
    return f"no series of {selector.name} has all of {', '.join(map(str, selector.matchers))}"


def _telling(there: Sequence[Mapping[str, str]], names: Sequence[str]) -> str:
    """The values of the labels by which the series differ: those that a selector could have meant."""
    hints = []
    for name in names:
        values = {labels.get(name, "") for labels in there}
        if 1 < len(values) <= _NAMED:
            hints.append(f"{name} has {_listed(values)}")
    return f"; {'; '.join(hints)}" if hints else ""


def _listed(values: set[str]) -> str:
    shown = sorted(value or '""' for value in values)
    return ", ".join(shown[:_NAMED]) + (f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else "")
