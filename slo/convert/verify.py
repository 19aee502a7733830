"""The foreign expression alongside our SLI on the same source: both error ratios, and why they differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slo.budget.evaluate import evaluate
from slo.convert.model import Draft, Imported
from slo.convert.write import document_text
from slo.display import show_count, show_ratio_up
from slo.errors import PromqlError
from slo.limits import asked_for
from slo.promql.ast import Aggregate, Binary, Call, Node, Number, Subquery, VectorSelector, walk
from slo.promql.parse import parse
from slo.reading import WINDOW_VARIABLE
from slo.sli.raw import unit_of
from slo.spec.foreign import SLOTH
from slo.spec.load import loads
from slo.spec.model import Slo
from slo.window import MINUTE, SECOND, format_duration

if TYPE_CHECKING:
    from slo.source import Source

# Sloth records the ratio of so long, and averages it over the window.
_AVERAGED_MS = 5 * MINUTE
# Figures that are closer than this share of each other are the same to a reader.
_ALIKE = 0.002


@dataclass(frozen=True, slots=True)
class Comparison:
    """Error ratios (0..1, None where there is none) of one SLO over its window: what the foreign expression gives over all of
    it, what that is as a mean of 5 m, as Sloth records it, and ours. `why` says what makes them differ."""

    slo: str
    theirs: float | None
    averaged: float | None
    ours: float | None
    why: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """For a terminal."""
        yield f"{self.slo}: error ratio {_shown(self.theirs)} by the original expression, {_shown(self.ours)} here"
        if self.averaged is not None:
            yield f"  as a mean of ratios over 5m, as Sloth records it: {_shown(self.averaged)}"
        for reason in self.why:
            yield f"  {reason}"

    def data(self) -> dict[str, object]:
        """For scripts."""
        return {
            "slo": self.slo,
            "original": self.theirs,
            "averaged": self.averaged,
            "here": self.ours,
            "why": list(self.why),
        }


def verify(results: Iterable[Imported], source: Source) -> Iterator[Comparison]:
    """Compares each SLO that was taken over, at the source's last moment. Raises SourceError."""
    end_ms = source.latest_ms()
    for result in results:
        for service in result.services:
            for draft in service.slos:
                [loaded] = loads(document_text(service.head, [draft]), result.file, [])
                for slo in loaded.slos[:1]:
                    with asked_for(slo.id):
                        comparison = _compare(slo, draft, source, end_ms, result.tool == SLOTH)
                    yield comparison


def _compare(slo: Slo, draft: Draft, source: Source, end_ms: int, averages: bool) -> Comparison:
    """One SLO, all values of `by` together."""
    start_ms = slo.window.period(end_ms)[0]
    length_ms = max(MINUTE, (end_ms - start_ms) // MINUTE * MINUTE)
    budget = evaluate(replace(slo, by=()), source, end_ms)
    ours = None if budget.error_ratio is None else float(budget.error_ratio)
    original = draft.original
    if not original or "value" in original:
        return Comparison(
            slo.id, None, None, ours, ("the original is not an error ratio in PromQL, so only ours is shown",)
        )
    try:
        theirs = _number(source, _ratio(original, length_ms), end_ms)
        averaged = None
        if averages:
            steps = Subquery(_ratio(original, _AVERAGED_MS), length_ms, _AVERAGED_MS)
            averaged = _number(source, Call("avg_over_time", (steps,)), end_ms)
        errors, total = (_events(source, original, role, length_ms, end_ms) for role in ("errors", "total"))
    except PromqlError as error:
        return Comparison(slo.id, None, None, ours, (f"the original expression cannot be evaluated: {error}",))
    if slo.sli.slice_ms is not None and theirs is not None and ours is not None and _differ(theirs, ours):
        sliced = (
            f"slices: here each {format_duration(slo.sli.slice_ms)} is good or bad as a whole, and there each event",
        )
        return Comparison(slo.id, theirs, averaged, ours, sliced)
    counted = (
        None if budget.errors is None else float(budget.errors),
        None if budget.total is None else float(budget.total),
    )
    why = tuple(_why(theirs, averaged, ours, (errors, total), counted))
    if theirs is None and ours is not None and (bounds := _whole_bounds(original)):
        named = ", ".join(bounds)
        why = (
            f'the original names {named}, which is spelt {bounds[0][:-1]}.0" where Prometheus 3 scrapes; here a bound is a number',
        )
    if not why and theirs is not None and ours is not None and _differ(theirs, ours):
        why = (
            "edges: `rate` and `increase` extend what they saw, and do not see a new series' first value nor what a gap hid",
        )
    return Comparison(slo.id, theirs, averaged, ours, why)


def _whole_bounds(original: Mapping[str, str]) -> list[str]:
    """Matchers that name a bucket by a whole number in one spelling: another server spells it otherwise."""
    texts: dict[str, None] = {}
    for text in original.values():
        for part in walk(_over(text, MINUTE)):
            for matcher in part.matchers if isinstance(part, VectorSelector) else ():
                if matcher.label == "le" and matcher.op == "=" and matcher.value.isdecimal():
                    texts[str(matcher)] = None
    return list(texts)


def _ratio(original: Mapping[str, str], length_ms: int) -> Node:
    """The foreign error ratio over a window, of all groups together."""
    if "ratio" in original:
        return _over(original["ratio"], length_ms)
    if "success" in original:
        return Binary("-", Number(1.0), _over(original["success"], length_ms))
    total = Aggregate("sum", _over(original["total"], length_ms))
    if "errors" in original:
        return Binary("/", Aggregate("sum", _over(original["errors"], length_ms)), total)
    return Binary("-", Number(1.0), Binary("/", Aggregate("sum", _over(original["good"], length_ms)), total))


def _over(text: str, length_ms: int) -> Node:
    return parse(text.replace(WINDOW_VARIABLE, format_duration(length_ms)))


def _number(source: Source, node: Node, at_ms: int) -> float | None:
    """The one value of an expression; None where there is none, or several."""
    values = [float(series.values[-1]) for series in source.query(node, at_ms).series]
    return values[0] if len(values) == 1 and math.isfinite(values[0]) else None


def _events(source: Source, original: Mapping[str, str], role: str, length_ms: int, at_ms: int) -> float | None:
    """Numbers of events, where the original has them as queries of their own."""
    if role == "errors" and "good" in original:
        total, good = (_events(source, {key: original[key]}, key, length_ms, at_ms) for key in ("total", "good"))
        return None if total is None or good is None else total - good
    if role not in original:
        return None
    node = _over(original[role], length_ms)
    number = _number(source, Aggregate("sum", node), at_ms)
    return None if number is None else number * (length_ms / SECOND if unit_of(node) == "rate" else 1)


def _why(
    theirs: float | None,
    averaged: float | None,
    ours: float | None,
    there: tuple[float | None, float | None],
    here: tuple[float | None, float | None],
) -> Iterator[str]:
    if theirs is None:
        nothing = "no traffic, or no series that the original selects" if not ours else "nothing, or several values"
        yield f"the original gives {nothing}"
    if averaged is not None and theirs is not None and _differ(averaged, theirs):
        yield "average of ratios: each 5m weighs the same there, whatever its traffic; here each event does"
    for name, other, own in zip(("errors", "events"), there, here, strict=True):
        if other is None or own is None or not _differ(other, own):
            continue
        counts = f"{show_count(other)} {name} there, {show_count(own)} here"
        if own > other:
            yield f"first {name}: {counts}: `increase` does not see a new series' first value, nor what a gap hid"
        else:
            yield f"extrapolation: {counts}: `increase` extends what it saw to the edges of the window"


def _differ(value: float, other: float) -> bool:
    return abs(value - other) > _ALIKE * max(abs(value), abs(other))


def _shown(ratio: float | None) -> str:
    return "unknown" if ratio is None else show_ratio_up(ratio)
