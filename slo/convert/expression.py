"""From foreign PromQL to an SLI of ours: which counters there are behind an error ratio.

Expressions hold `$window` where their tool has a placeholder for the range. They are parsed, never searched as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from slo.convert.model import ConversionNotes, Refused
from slo.errors import PromqlError
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    Subquery,
    Unary,
    VectorSelector,
    children,
    walk,
)
from slo.promql.parse import parse
from slo.reading import WINDOW_VARIABLE
from slo.sli.bounds import bound_in, bound_of, le_matcher
from slo.sli.latency import unit_in_name
from slo.spec.yaml import Path
from slo.window import format_duration

# Stands for the range while an expression is parsed; nobody writes it.
MARK_MS = 86_399_989
_MARK = f"{MARK_MS}ms"
_RATED = ("rate", "increase")
_LAST_TWO = ("irate", "idelta", "delta", "deriv")
Role = Literal["errors", "total", "good", "ratio", "success"]


@dataclass(frozen=True, slots=True)
class Sli:
    """An SLI as it stands in a definition: `{kind: body}`, and the labels under `by`."""

    kind: str
    body: dict[str, Any]
    by: tuple[str, ...] = ()

    @property
    def data(self) -> dict[str, Any]:
        return {self.kind: self.body}


@dataclass(frozen=True, slots=True)
class _Term:
    """`sum by (by) (func(selector[window]))`."""

    selector: VectorSelector
    by: frozenset[str]
    func: str


def read(text: str, role: Role) -> Node:
    """The nodes of an expression, the marker in the place of `$window`. Raises Refused."""
    if WINDOW_VARIABLE not in text:
        raise Refused(f"the query of {role} looks back over no window: {_short(text)}")
    try:
        node = parse(text.replace(WINDOW_VARIABLE, _MARK))
    except PromqlError as error:
        reason = str(error).replace(_MARK, WINDOW_VARIABLE)
        raise Refused(f"the query of {role} is not PromQL as Prometheus reads it ({reason}): {_short(text)}") from None
    _check_ranges(node, text, role)
    return node


def as_window(node: Node) -> str:
    """PromQL with `$window` again."""
    return str(node).replace(format_duration(MARK_MS), WINDOW_VARIABLE)


def of_events(errors: str, total: str, at: Path, notes: ConversionNotes, invert: bool = False) -> Sli:
    """The SLI of two queries over `$window`: bad events, and all of them. Raises Refused."""
    return _events(read(errors, "errors"), read(total, "total"), at, notes, invert)


def of_good(good: str, total: str, at: Path, notes: ConversionNotes) -> Sli:
    """The SLI of two queries over `$window`: good events, and all of them. Raises Refused."""
    return _good(read(good, "good"), read(total, "total"), at, notes)


def of_ratio(
    text: str, at: Path, notes: ConversionNotes, role: Literal["ratio", "success"] = "ratio", invert: bool = False
) -> Sli:
    """The SLI of one query over `$window`: the error ratio, or with "success" the share of good events. Raises Refused."""
    node = read(text, role)
    return _success(node, at, notes) if role == "success" else _ratio(node, at, notes, invert)


def of_selectors(
    part: str, total: str, part_is: Literal["errors", "good"], by: Sequence[str], at: Path, notes: ConversionNotes
) -> Sli:
    """The SLI of two counters given by their selectors. Raises Refused."""
    terms = [
        _Term(selector_of(text, what), frozenset(by), "rate") for text, what in ((part, part_is), (total, "total"))
    ]
    return _of_terms(terms[0], terms[1], part_is, at, notes, tuple(by))


def selector_of(text: str, what: str) -> VectorSelector:
    """A plain selector. Raises Refused."""
    try:
        node = parse(text)
    except PromqlError as error:
        raise Refused(f"{what} is not a metric as Prometheus reads it ({error}): {_short(text)}") from None
    if not isinstance(node, VectorSelector) or node.offset_ms or node.at is not None:
        raise Refused(f"{what} is not a plain metric with matchers: {_short(text)}")
    return node


def probe(selector: VectorSelector, by: Sequence[str], at: Path, notes: ConversionNotes) -> Sli:
    """A gauge of 0 and 1."""
    return Sli("probe", {"metric": str(selector)}, _varying(tuple(by), [selector], at, notes))


# What stands around counters and changes nothing of what is counted.


def _bare(node: Node, role: Role, at: Path, notes: ConversionNotes) -> Node:
    """The expression without what is put around it for moments without traffic or with impossible values."""
    while True:
        match node:
            case Unary("+", expr):
                node = expr
            case Binary("or", left, right) if (value := _constant(right)) is not None and not _groups(node):
                node = left
                _note_default(value, role, at, notes)
            case Binary("or", left, Binary("*", Number(0.0), _) | Binary("*", _, Number(0.0))) if role in (
                "errors",
                "ratio",
            ):
                node = left
                notes.same(at, "left out `or 0 * …`: where nothing counts as an error, 0 is counted here too")
            case Binary(">" | ">=", left, Number(0.0), False):
                node = left
                notes.same(at, "left out `> 0`: without traffic there is no data here too")
            case Call("clamp_min", (inner, Number(0.0))):
                node = inner
                notes.same(at, "left out `clamp_min(…, 0)`: counts below 0 are never published here")
            case Call("clamp_max", (inner, Number(1.0))) if role in ("ratio", "success"):
                node = inner
                notes.same(at, "left out `clamp_max(…, 1)`: ratios above 1 are never published here")
            case Aggregate("sum", Aggregate("sum", inner, None, within, False), None, outer, False) if set(
                outer
            ) <= set(within):
                node = Aggregate("sum", inner, grouping=outer)
                notes.same(at, "left out a `sum` of a `sum`")
            case _:
                return node


def _constant(node: Node) -> float | None:
    match node:
        case Call("vector", (Number(value),)):
            return value
    return None


def _groups(node: Binary) -> bool:
    return node.matching is not None and bool(node.matching.labels)


def _note_default(value: float, role: Role, at: Path, notes: ConversionNotes) -> None:
    if role in ("errors", "good") and value == 0:
        notes.same(at, "left out `or vector(0)`: where nothing is counted, 0 is counted here too")
    elif (role, value) in (("ratio", 0.0), ("success", 1.0)):
        notes.same(
            at, f"left out `or vector({value:.0f})`: without traffic the error ratio is 0 there and unknown here; the budget is the same"
        )  # fmt: skip
    elif role == "total" and value in (0.0, 1.0):
        notes.changed(at, f"left out `or vector({value:.0f})`: no traffic is good there, and no data here")
    else:
        notes.changed(
            at, f"left out `or vector({value:g})`: where there is no data that is made up there, and unknown here"
        )


def _term(node: Node) -> _Term | None:
    match node:
        case Aggregate("sum", Call(func, (MatrixSelector(selector, range_ms),)), None, grouping, False) if (
            func in _RATED and range_ms == MARK_MS and not selector.offset_ms and selector.at is None
        ):
            return _Term(selector, frozenset(grouping), func)
    return None


# The order in which an expression becomes an SLI.


def _events(errors: Node, total: Node, at: Path, notes: ConversionNotes, invert: bool) -> Sli:
    errors, total = _bare(errors, "errors", at, notes), _bare(total, "total", at, notes)
    _refuse_quantiles(errors, total)
    bad, every = _term(errors), _term(total)
    if bad and every:
        if _is_fast(bad.selector, every.selector):
            if not invert:
                raise Refused(
                    f"counts as errors what was fast: {bad.selector} holds the requests within its bound. The SLO is inverted; "
                    "with --invert the slow ones are the errors"
                )
            notes.changed(at, "was inverted: what was fast counted as an error there")
            return _of_terms(bad, every, "good", at, notes, _order(errors))
        return _of_terms(bad, every, "errors", at, notes, _order(errors))
    match errors:
        case Binary("-", left, right):
            whole, good = _term(_bare(left, "total", at, notes)), _term(_bare(right, "good", at, notes))
            if whole and good and every and _same(whole, every):
                sli = _of_terms(good, every, "good", at, notes, _order(total))
                if sli.kind == "ratio" and good.selector.name != every.selector.name:
                    notes.same(at, "errors are what the total counts and the subtracted metric does not")
                return sli
            if gauge := _counted_minus_summed(left, right, total):
                return probe(gauge[0], gauge[1], at, notes)
    if gauge := _samples_of(errors, total):
        return probe(gauge[0], gauge[1], at, notes)
    if level := _summed_over_counted(errors, total):
        return _threshold(level[0], level[1], at, notes)
    return _raw(errors, total, at, notes)


def _good(good: Node, total: Node, at: Path, notes: ConversionNotes) -> Sli:
    good, total = _bare(good, "good", at, notes), _bare(total, "total", at, notes)
    _refuse_quantiles(good, total)
    fine, every = _term(good), _term(total)
    if fine and every:
        return _of_terms(fine, every, "good", at, notes, _order(good))
    if level := _summed_over_counted(good, total):
        return probe(level[0], level[1], at, notes)
    return _raw(Binary("-", total, good), total, at, notes)


def _ratio(node: Node, at: Path, notes: ConversionNotes, invert: bool) -> Sli:
    node = _bare(node, "ratio", at, notes)
    match node:
        case Binary("-", Number(1.0), good):
            return _success(good, at, notes)
        case Binary("/", left, right, matching=matching) if matching is None or not matching.include:
            return _events(left, right, at, notes, invert)
        case Call("avg_over_time", _) | Aggregate("avg", Call("avg_over_time", _)) if _over_time(node, "avg_over_time"):
            selector, by = _averaged(node, at, notes)
            return _threshold(selector, by, at, notes)
    return _unweighted(node, node, at, notes)


def _success(node: Node, at: Path, notes: ConversionNotes) -> Sli:
    node = _bare(node, "success", at, notes)
    match node:
        case Binary("/", left, right, matching=matching) if matching is None or not matching.include:
            return _good(left, right, at, notes)
        case Binary("-", Number(1.0), errors):
            return _ratio(errors, at, notes, False)
        case Call("avg_over_time", (inner,)) | Aggregate("avg", Call("avg_over_time", (inner,)), None, (), False) if (
            sli := _compared(inner)
        ):
            return sli
        case Call("avg_over_time", _) | Aggregate("avg", Call("avg_over_time", _)) if _over_time(node, "avg_over_time"):
            selector, by = _averaged(node, at, notes)
            return probe(selector, by, at, notes)
    return _unweighted(Binary("-", Number(1.0), node), node, at, notes)


def _unweighted(ratio: Node, given: Node, at: Path, notes: ConversionNotes) -> Sli:
    """An error ratio without numbers of events, where one number comes of it. Raises Refused."""
    _refuse_quantiles(given)
    grouping = sorted({label for part in walk(given) if isinstance(part, Aggregate) for label in part.grouping})
    if grouping:
        raise Refused(
            f"gives ratios by ({', '.join(grouping)}) without numbers of events; `raw` holds one: {_short(as_window(given))}"
        )
    notes.changed(
        at,
        "gives a ratio only, without numbers of events: it is the mean of what it gives for each minute, not weighted by traffic",
    )
    return Sli("raw", {"ratio": as_window(ratio)})


def _no_counts(node: Node, what: str) -> str:
    return (
        f"gives an {what} only, without numbers of events, so it cannot be weighted by traffic: {_short(as_window(node))}; "
        "write what counts the events as `raw`"
    )


def _of_terms(
    part: _Term,
    total: _Term,
    part_is: Literal["errors", "good"],
    at: Path,
    notes: ConversionNotes,
    order: tuple[str, ...],
) -> Sli:
    if part.by != total.by:
        raise Refused(
            f"{part_is} are by ({', '.join(sorted(part.by))}) and the total by ({', '.join(sorted(total.by))}), which do not find each other"
        )
    if part.func != total.func:
        notes.changed(
            at, f"`{part.func}` on one side and `{total.func}` on the other is wrong by the window's seconds; here both count events"
        )  # fmt: skip
    for label in sorted(part.by):
        if _fixed(part.selector, label) and not _fixed(total.selector, label):
            raise Refused(f"`by ({label})` splits the total by a label of which {part_is} hold one value only")
    by = _varying(order, [part.selector, total.selector], at, notes)
    if part_is == "good" and (latency := _latency(part.selector, total.selector, at, notes)):
        return Sli("latency", latency, by)
    body = {part_is: str(part.selector), "total": str(total.selector)}
    if part.selector.name == total.selector.name and (missing := _missing(part.selector, total.selector)):
        notes.same(at, f"{part_is} select more widely than the total, which has {missing}: they may count other events")
    return Sli("ratio", body, by)


def _order(node: Node) -> tuple[str, ...]:
    """Labels in the order in which they are written."""
    return node.grouping if isinstance(node, Aggregate) else ()


def _varying(
    by: tuple[str, ...], selectors: Sequence[VectorSelector], at: Path, notes: ConversionNotes
) -> tuple[str, ...]:
    """The labels that can have several values: one that all selectors fix is the same for all."""
    fixed = [label for label in by if all(_fixed(selector, label) for selector in selectors)]
    for label in fixed:
        notes.same(at, f"`{label}` is not in `by`: the selectors fix it to one value")
    return tuple(dict.fromkeys(label for label in by if label not in fixed))


def _fixed(selector: VectorSelector, label: str) -> bool:
    return any(matcher.label == label and matcher.op == "=" for matcher in selector.matchers)


def _same(term: _Term, other: _Term) -> bool:
    return (term.by, term.selector.name) == (other.by, other.selector.name) and _set(term.selector) == _set(
        other.selector
    )


def _set(selector: VectorSelector) -> frozenset[Matcher]:
    return frozenset(selector.matchers)


def _missing(part: VectorSelector, total: VectorSelector) -> str:
    own = {matcher.label for matcher in part.matchers}
    return ", ".join(str(matcher) for matcher in total.matchers if matcher.label not in own)


# Histograms.


def _bound(selector: VectorSelector) -> Decimal | None:
    """The one upper bound that a bucket's selector names, in one spelling or in several."""
    for matcher in selector.matchers:
        if matcher.label == "le" and matcher.op in ("=", "=~"):
            bound = bound_in(matcher)
            if bound is not None and (matcher == le_matcher(bound) or _spellings(matcher) == {bound}):
                return bound
    return None


def _spellings(matcher: Matcher) -> set[Decimal | None]:
    """The numbers that the alternatives of a matcher on `le` are."""
    texts = [matcher.value] if matcher.op == "=" else matcher.value.replace("[.]", ".").replace("\\.", ".").split("|")
    return {bound_of(text) for text in texts}


def _histogram_of(selector: VectorSelector) -> str | None:
    """The histogram of which a selector counts all observations."""
    name = selector.name or ""
    if name.endswith("_count"):
        return name.removesuffix("_count")
    if name.endswith("_bucket") and _bound(selector) == Decimal("Infinity"):
        return name.removesuffix("_bucket")
    return None


def _is_fast(part: VectorSelector, total: VectorSelector) -> bool:
    """Whether a part is a bucket of the histogram whose observations the total counts."""
    bound, histogram = _bound(part), _histogram_of(total)
    return bound is not None and bound.is_finite() and histogram is not None and part.name == f"{histogram}_bucket"


def _latency(good: VectorSelector, total: VectorSelector, at: Path, notes: ConversionNotes) -> dict[str, Any] | None:
    """A latency's keys; None for what is none, or cannot be said as one."""
    if not _is_fast(good, total):
        return None
    bound, histogram = _bound(good), _histogram_of(total)
    assert bound is not None and histogram is not None
    own = frozenset(m for m in good.matchers if m.label != "le")
    others = frozenset(m for m in total.matchers if m.label != "le")
    if own != others:
        differ = ", ".join(sorted(map(str, own ^ others)))
        notes.same(at, f"good events and the total select different things ({differ}), as they did there")
        return None
    seconds = unit_in_name(histogram)
    if seconds is None:
        notes.same(at, f"`{histogram}` does not say its unit, so the bucket is named as it stands")
        return None
    threshold_ms = bound * seconds * 1000
    if threshold_ms <= 0 or threshold_ms != threshold_ms.to_integral_value():
        notes.same(at, f"a bound of {bound} is not a whole number of milliseconds, so the bucket is named as it stands")
        return None
    selector = replace(total, name=histogram, matchers=tuple(m for m in total.matchers if m.label != "le"))
    return {"histogram": str(selector), "threshold": format_duration(int(threshold_ms))}


# Gauges.


def _over_time(node: Node, func: str) -> tuple[VectorSelector, tuple[str, ...], bool] | None:
    """The gauge, the grouping, and whether it is aggregated, of `sum(func(gauge[window]))` and `func(gauge[window])`."""
    by: tuple[str, ...] = ()
    aggregated = False
    if isinstance(node, Aggregate) and node.op in ("sum", "avg") and node.param is None and not node.without:
        by, aggregated = node.grouping, True
        node = node.expr
    match node:
        case Call(name, (MatrixSelector(selector, range_ms),)) if name == func and range_ms == MARK_MS:
            return selector, by, aggregated
        case Call(name, (Subquery(VectorSelector() as selector, range_ms, offset_ms=0),)) if (
            name == func and range_ms == MARK_MS
        ):
            return selector, by, aggregated
    return None


def _averaged(node: Node, at: Path, notes: ConversionNotes) -> tuple[VectorSelector, tuple[str, ...]]:
    time = _over_time(node, "avg_over_time")
    if time is None or time[0].offset_ms or time[0].at is not None:
        raise Refused(_no_counts(node, "average"))
    selector, by, aggregated = time
    if not aggregated:
        notes.changed(
            at, "gives a ratio for each series there; here all series have one budget together, unless `by` is added"
        )
    else:
        notes.changed(
            at,
            "a mean of the series' means there; here each sample counts, which is alike where all series last as long",
        )
    return selector, by


_BOUNDS = {">=": "at_least", "<=": "at_most", ">": "above", "<": "below"}


def _compared(node: Node) -> Sli | None:
    """`(value >= bool bound)[window:slice]`: checks of a value, good where it keeps to its bound."""
    match node:
        case Subquery(Binary(op, value, Number(bound), True), range_ms, step_ms, 0, None) if (
            op in _BOUNDS and range_ms == MARK_MS and step_ms is not None
        ):
            return Sli(
                "threshold", {"value": str(value), _BOUNDS[op]: str(Number(bound)), "slice": format_duration(step_ms)}
            )
    return None


def _counted_minus_summed(left: Node, right: Node, total: Node) -> tuple[VectorSelector, tuple[str, ...]] | None:
    """`count_over_time(g) − sum_over_time(g)` out of `count_over_time(g)`."""
    every, whole, good = (
        _over_time(total, "count_over_time"),
        _over_time(left, "count_over_time"),
        _over_time(right, "sum_over_time"),
    )
    return (every[0], every[1]) if every and every == whole == good else None


def _summed_over_counted(part: Node, total: Node) -> tuple[VectorSelector, tuple[str, ...]] | None:
    """`sum_over_time(g) / count_over_time(g)`."""
    every, summed = _over_time(total, "count_over_time"), _over_time(part, "sum_over_time")
    return (every[0], every[1]) if every and every == summed else None


def _samples_of(errors: Node, total: Node) -> tuple[VectorSelector, tuple[str, ...]] | None:
    """`count_over_time((g == 0)[w:]) / count_over_time(g[w:])`."""
    every = _over_time(total, "count_over_time")
    inner = errors
    by: tuple[str, ...] = ()
    if isinstance(inner, Aggregate) and inner.op == "sum" and inner.param is None and not inner.without:
        by = inner.grouping
        inner = inner.expr
    match inner:
        case Call(
            "count_over_time",
            (Subquery(Binary("==", VectorSelector() as selector, Number(0.0), False), range_ms, offset_ms=0),),
        ):
            if every and range_ms == MARK_MS and (selector, by) == every[:2]:
                return selector, by
    return None


def _threshold(selector: VectorSelector, by: tuple[str, ...], at: Path, notes: ConversionNotes) -> Sli:
    if by:
        raise Refused(f"a `threshold` has no `by`, and this is by ({', '.join(by)})")
    notes.changed(
        at, f"a sample of {selector} that is not 0 is bad as a whole; a value between 0 and 1 counts in part there"
    )
    return Sli("threshold", {"value": str(selector), "at_most": "0"})


# Everything else.


def _raw(errors: Node, total: Node, at: Path, notes: ConversionNotes) -> Sli:
    for node, role in ((errors, "errors"), (total, "total")):
        grouping = sorted({label for part in walk(node) if isinstance(part, Aggregate) for label in part.grouping})
        if grouping:
            raise Refused(
                f"{role} are grouped by ({', '.join(grouping)}) in a form that only `raw` holds, which gives one number: "
                f"{_short(as_window(node))}"
            )
        if func := next((p.func for p in walk(node) if isinstance(p, Call) and p.func in _LAST_TWO), None):
            raise Refused(f"`{func}` counts no events over a window: {_short(as_window(node))}")
    notes.same(at, "kept as PromQL: it is not a plain ratio of counters, and as exact as its expressions are")
    return Sli("raw", {"errors": as_window(errors), "total": as_window(total)})


def _refuse_quantiles(*nodes: Node) -> None:
    for node in nodes:
        if any(isinstance(part, Call) and part.func == "histogram_quantile" for part in walk(node)):
            raise Refused(
                f"a quantile is not a number of events: {_short(as_window(node))}; count the bucket of the threshold instead"
            )


def _check_ranges(node: Node, text: str, role: Role) -> None:
    """Refuses ranges other than the window, but within what is itself looked at over the window."""
    waiting = [node]
    while waiting:
        here = waiting.pop()
        match here:
            case Subquery(range_ms=range_ms) if range_ms == MARK_MS:
                continue
            case MatrixSelector(range_ms=range_ms) | Subquery(range_ms=range_ms) if range_ms != MARK_MS:
                raise Refused(
                    f"the query of {role} looks back a fixed {format_duration(range_ms)} instead of the window: {_short(text)}"
                )
        waiting += children(here)


def _short(text: str, most: int = 160) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"
