"""From foreign PromQL to an SLI of ours: which counters there are behind an error ratio.

Expressions hold `$window` where their tool has a placeholder for the range. They are parsed, never searched as text.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from slo.convert.model import ConversionNotes, Refused
from slo.convert.terms import MARK_MS, PartIs, Sides, Term, bound, histogram_of, is_fast, linear, named, sides
from slo.errors import PromqlError
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    MatrixSelector,
    Node,
    Number,
    String,
    Subquery,
    Unary,
    VectorSelector,
    children,
    walk,
)
from slo.promql.parse import parse
from slo.promql.series import series_labels
from slo.reading import WINDOW_VARIABLE
from slo.sli.latency import threshold_text, unit_in_name
from slo.spec.yaml import Path
from slo.window import format_duration

_MARK = f"{MARK_MS}ms"
_LAST_TWO = ("irate", "idelta", "delta", "deriv")
Role = Literal["errors", "total", "good", "ratio", "success"]


@dataclass(frozen=True, slots=True)
class SliDraft:
    """An SLI as it stands in a definition: `{kind: body}`, and the labels under `by`."""

    kind: str
    body: dict[str, Any]
    by: tuple[str, ...] = ()

    @property
    def data(self) -> dict[str, Any]:
        return {self.kind: self.body}


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


def of_events(errors: str, total: str, at: Path, notes: ConversionNotes, invert: bool = False) -> SliDraft:
    """The SLI of two queries over `$window`: bad events, and all of them. Raises Refused."""
    return _events(read(errors, "errors"), read(total, "total"), at, notes, invert)


def of_good(good: str, total: str, at: Path, notes: ConversionNotes) -> SliDraft:
    """The SLI of two queries over `$window`: good events, and all of them. Raises Refused."""
    return _good(read(good, "good"), read(total, "total"), at, notes)


def of_ratio(
    text: str, at: Path, notes: ConversionNotes, role: Literal["ratio", "success"] = "ratio", invert: bool = False
) -> SliDraft:
    """The SLI of one query over `$window`: the error ratio, or with "success" the share of good events. Raises Refused."""
    node = read(text, role)
    return _success(node, at, notes) if role == "success" else _ratio(node, at, notes, invert)


def of_selectors(
    part: str, total: str, part_is: PartIs, by: Sequence[str], at: Path, notes: ConversionNotes
) -> SliDraft:
    """The SLI of two counters given by their selectors. Raises Refused."""
    some, every = (
        tuple(Term(selector, tuple(by), "rate") for selector in named(selector_of(text, what)))
        for text, what in ((part, part_is), (total, "total"))
    )
    return _of_sides(Sides(some, every, part_is), at, notes)


def selector_of(text: str, what: str) -> VectorSelector:
    """A plain selector. Raises Refused."""
    try:
        node = parse(text)
    except PromqlError as error:
        raise Refused(f"{what} is not a metric as Prometheus reads it ({error}): {_short(text)}") from None
    if not isinstance(node, VectorSelector) or node.offset_ms or node.at is not None:
        raise Refused(f"{what} is not a plain metric with matchers: {_short(text)}")
    return node


def probe(selector: VectorSelector, by: Sequence[str], at: Path, notes: ConversionNotes) -> SliDraft:
    """A gauge of 0 and 1."""
    return SliDraft("probe", {"metric": str(selector)}, _varying(tuple(by), [selector], at, notes))


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
            case Binary(">" | ">=" as op, left, Number(0.0), False):
                node = left
                if op == ">=" or role in ("total", "success", "good"):
                    notes.same(at, f"left out `{op} 0`: without traffic there is no data here too")
                else:
                    notes.changed(
                        at, "left out `> 0`: without errors there is no value there, and there are 0 errors here"
                    )
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
            case Aggregate("sum", Call("clamp_min", (Call() as inner, Number(0.0))), None, grouping, False):
                node = Aggregate("sum", inner, grouping=grouping)
                notes.same(at, "left out `clamp_min(…, 0)`: counts below 0 are never published here")
            case Aggregate(
                "sum", Binary("+" | "-" as op, Call() as left, Call() as right) as joined, None, by, False
            ) if joined.matching is None or not joined.matching.include:
                node = Binary(op, Aggregate("sum", left, grouping=by), Aggregate("sum", right, grouping=by))
                _note_joined(left, right, at, notes)
            case Aggregate("sum", Call("label_replace", (inner, *_)) as call, None, by, False) if (
                regrouped := _regrouped(call, by, at, notes)
            ) is not None:
                node = Aggregate("sum", inner, grouping=regrouped)
            case Call("label_replace", (Aggregate("sum", _, None, by, False) as inner, *_)) if _adds_only(
                node, by, at, notes
            ):
                node = inner
            case _:
                return node


def _note_joined(left: Call, right: Call, at: Path, notes: ConversionNotes) -> None:
    """Series by series, or each for itself: the same where both have the same series."""
    counts = [call.args[0].selector for call in (left, right) if isinstance(call.args[0], MatrixSelector)]
    bases = {(selector.name or "").removesuffix("_count").removesuffix("_bucket") for selector in counts}
    if len(counts) == 2 and len(bases) == 1:
        notes.same(at, "a sum of differences of series is the difference of their sums here")
    else:
        notes.changed(at, "series by series there, so that one that only one metric has is left out; here it counts")


_EVERYTHING = ("(.*)", "(.+)", "^(.*)$", "^(.+)$")
_COPY = ("$1", "${1}")


def _replacement(call: Call) -> tuple[str, str, str, str]:
    """The label that a `label_replace` sets, what to, the label that it looks at, and the pattern; empty where it is no text."""
    texts = [arg.value if isinstance(arg, String) else "" for arg in call.args[1:]]
    target, replacement, source, pattern = (*texts, "", "", "", "")[:4]
    return target, replacement, source, pattern


def _regrouped(call: Call, by: tuple[str, ...], at: Path, notes: ConversionNotes) -> tuple[str, ...] | None:
    """The labels to add up by without a `label_replace` below; None where it makes groups of its own."""
    target, replacement, source, pattern = _replacement(call)
    if target not in by:
        notes.same(at, f"left out a `label_replace` that sets `{target}`: nothing is grouped by it")
        return by
    if replacement in _COPY and pattern in _EVERYTHING and source:
        notes.changed(at, f"the label `{target}` is `{source}` under another name there; here it is `{source}`")
        return tuple(dict.fromkeys(source if label == target else label for label in by))
    return None


def _adds_only(call: Call, by: tuple[str, ...], at: Path, notes: ConversionNotes) -> bool:
    """Whether a `label_replace` only adds a label that says nothing more than the others do."""
    target, replacement, source, pattern = _replacement(call)
    if target in by:
        return False
    if replacement in _COPY and pattern in _EVERYTHING and source in by:
        notes.changed(at, f"series have the label `{source}` under the name `{target}` too there, which is left out")
        return True
    if "$" not in replacement and (pattern in ("", ".*", *_EVERYTHING)):
        notes.changed(
            at, f"series have the label {target}={replacement!r} there, which is left out; add it under `labels`"
        )
        return True
    return False


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


# The order in which an expression becomes an SLI.


def _events(errors: Node, total: Node, at: Path, notes: ConversionNotes, invert: bool) -> SliDraft:
    errors, total = _bare(errors, "errors", at, notes), _bare(total, "total", at, notes)
    _refuse_quantiles(errors, total)
    if (sli := _counters(errors, total, "errors", at, notes, invert)) is not None:
        return sli
    match errors:
        case Binary("-", left, right) if gauge := _counted_minus_summed(left, right, total):
            return _probe(gauge, at, notes)
    if gauge := _samples_of(errors, total):
        return _probe(gauge, at, notes)
    if level := _summed_over_counted(errors, total):
        return _threshold(level[0], level[1], at, notes)
    return _raw(errors, total, at, notes)


def _good(good: Node, total: Node, at: Path, notes: ConversionNotes) -> SliDraft:
    good, total = _bare(good, "good", at, notes), _bare(total, "total", at, notes)
    _refuse_quantiles(good, total)
    if (sli := _counters(good, total, "good", at, notes)) is not None:
        return sli
    if gauge := _summed_over_counted(good, total):
        return _probe(gauge, at, notes)
    return _raw(Binary("-", total, good), total, at, notes)


def _counters(
    part: Node, total: Node, part_is: PartIs, at: Path, notes: ConversionNotes, invert: bool = False
) -> SliDraft | None:
    """The SLI of sums and differences of counters; None where the expressions are more than that."""
    own = ConversionNotes()
    ratio = sides(part, total, part_is, lambda node: _bare(node, "errors", at, own))
    if ratio is None:
        return None
    for note in own.entries:
        (notes.changed if note.changed else notes.same)(note.path, note.text)
    if ratio.part_is == "errors":
        for some, every in itertools.product(ratio.parts, ratio.totals):
            if not is_fast(some.selector, every.selector):
                continue
            if not invert:
                raise Refused(
                    f"counts as errors what was fast: {some.selector} holds the requests within its bound. The SLO is inverted; "
                    "with --invert the slow ones are the errors"
                )
            notes.changed(at, "was inverted: what was fast counted as an error there")
            return _of_sides(replace(ratio, part_is="good"), at, notes)
    sli = _of_sides(ratio, at, notes)
    if ratio.part_is != part_is and sli.kind == "ratio":
        names = [{term.selector.name for term in terms} for terms in (ratio.parts, ratio.totals)]
        if part_is == "errors" and names[0] != names[1]:
            notes.same(at, "errors are what the total counts and the subtracted metric does not")
    return sli


def _ratio(node: Node, at: Path, notes: ConversionNotes, invert: bool) -> SliDraft:
    node = _bare(node, "ratio", at, notes)
    match linear(node):
        case (1, -1, good):
            return _success(good, at, notes)
        case (0, 1, Binary("/", left, right, matching=matching)) if matching is None or not matching.include:
            return _events(left, right, at, notes, invert)
        case (plus, times, Binary("/")) if abs(times) == 100 and plus in (0, 100):
            raise Refused(f"gives a percentage; an error ratio is from 0 to 1: {_short(as_window(node))}")
        case (0, 1, inner) if (checked := _checked(inner, "bad", at, notes)) is not None:
            return checked
        case (0, 1, inner) if _over_time(inner, "avg_over_time"):
            selector, by = _averaged(inner, at, notes)
            return _threshold(selector, by, at, notes)
    return _unweighted(node, node, at, notes)


def _success(node: Node, at: Path, notes: ConversionNotes) -> SliDraft:
    node = _bare(node, "success", at, notes)
    match linear(node):
        case (1, -1, errors):
            return _ratio(errors, at, notes, False)
        case (0, 1, Binary("/", left, right, matching=matching)) if matching is None or not matching.include:
            return _good(left, right, at, notes)
        case (plus, times, Binary("/")) if abs(times) == 100 and plus in (0, 100):
            raise Refused(f"gives a percentage; a share of good events is from 0 to 1: {_short(as_window(node))}")
        case (0, 1, inner) if (checked := _checked(inner, "good", at, notes)) is not None:
            return checked
        case (0, 1, inner) if _over_time(inner, "avg_over_time"):
            selector, by = _averaged(inner, at, notes)
            return probe(selector, by, at, notes)
    return _unweighted(Binary("-", Number(1.0), node), node, at, notes)


def _unweighted(ratio: Node, given: Node, at: Path, notes: ConversionNotes) -> SliDraft:
    """An error ratio without numbers of events. Raises Refused."""
    _refuse_quantiles(given)
    notes.changed(
        at,
        "gives a ratio only, without numbers of events: it is the mean of what it gives for each minute, not weighted by traffic",
    )
    return SliDraft("raw", {"ratio": as_window(ratio)}, _in_order(series_labels(given), given))


def _no_counts(node: Node, what: str) -> str:
    return (
        f"gives an {what} only, without numbers of events, so it cannot be weighted by traffic: {_short(as_window(node))}; "
        "write what counts the events as `raw`"
    )


def _of_sides(ratio: Sides, at: Path, notes: ConversionNotes) -> SliDraft:
    parts, totals = ([term.selector for term in terms] for terms in (ratio.parts, ratio.totals))
    part_is, order = ratio.part_is, ratio.parts[0].by
    for term in ratio.terms:
        if set(term.by) != set(order):
            raise Refused(
                f"{part_is} are by ({', '.join(sorted(order))}) and the total by ({', '.join(sorted(term.by))}), which do not find each other"
            )
    if len({term.func for term in ratio.terms}) > 1:
        notes.changed(
            at, "`rate` on one side and `increase` on the other is wrong by the window's seconds; here both count events"
        )  # fmt: skip
    for label in sorted(order):
        if any(_fixed(part, label) for part in parts) and not all(_fixed(total, label) for total in totals):
            raise Refused(f"`by ({label})` splits the total by a label of which {part_is} hold one value only")
    by = _varying(order, [*parts, *totals], at, notes)
    if len(parts) > 1 or len(totals) > 1:
        return SliDraft("ratio", _sums(parts, totals, part_is, at, notes), by)
    [part], [total] = parts, totals
    if part_is == "good" and (latency := _latency(part, total, at, notes)):
        return SliDraft("latency", latency, by)
    body = {part_is: str(part), "total": str(total)}
    if part.name == total.name and (missing := _missing(part, total)):
        notes.same(at, f"{part_is} select more widely than the total, which has {missing}: they may count other events")
    return SliDraft("ratio", body, by)


def _sums(
    parts: Sequence[VectorSelector],
    totals: Sequence[VectorSelector],
    part_is: PartIs,
    at: Path,
    notes: ConversionNotes,
) -> dict[str, Any]:
    """Several counters added up: bad and good events where these are all of them."""
    notes.same(
        at,
        "a sum of several counters has no value there while one of them has no series; here the others count meanwhile",
    )
    rest = [total for total in totals if total not in parts]
    names = [{selector.name for selector in selectors} for selectors in (parts, rest)]
    if rest and not names[0] & names[1] and len(rest) + len(parts) == len(totals):
        return {part_is: _listed(parts), "good" if part_is == "errors" else "errors": _listed(rest)}
    return {part_is: _listed(parts), "total": _listed(totals)}


def _listed(selectors: Sequence[VectorSelector]) -> str | list[str]:
    texts = [str(selector) for selector in selectors]
    return texts[0] if len(texts) == 1 else texts


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


def _missing(part: VectorSelector, total: VectorSelector) -> str:
    own = {matcher.label for matcher in part.matchers}
    return ", ".join(str(matcher) for matcher in total.matchers if matcher.label not in own)


# Histograms.


def _latency(good: VectorSelector, total: VectorSelector, at: Path, notes: ConversionNotes) -> dict[str, Any] | None:
    """A latency's keys; None for what is none, or cannot be said as one."""
    if not is_fast(good, total):
        return None
    upper, histogram = bound(good), histogram_of(total)
    assert upper is not None and histogram is not None
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
    if upper <= 0 or abs(upper.adjusted()) >= 20:
        notes.same(at, f"requests cannot take {upper} at most, so the bucket is named as it stands")
        return None
    selector = replace(total, name=histogram, matchers=tuple(m for m in total.matchers if m.label != "le"))
    return {"histogram": str(selector), "threshold": threshold_text(upper * seconds)}


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
        _note_each(at, notes)
    else:
        _note_mean(at, notes)
    return selector, by


def _probe(gauge: tuple[VectorSelector, tuple[str, ...], bool], at: Path, notes: ConversionNotes) -> SliDraft:
    selector, by, aggregated = gauge
    if not aggregated:
        _note_each(at, notes)
    return probe(selector, by, at, notes)


def _note_each(at: Path, notes: ConversionNotes) -> None:
    notes.changed(
        at, "gives a ratio for each series there; here all series have one budget together, unless `by` is added"
    )


def _note_mean(at: Path, notes: ConversionNotes) -> None:
    notes.same(
        at, "a mean of the series' means there; here each sample counts, which is alike where all series last as long"
    )


_BOUNDS = {">=": "at_least", "<=": "at_most", ">": "above", "<": "below"}
_OPPOSITE = {">=": "<", "<": ">=", "<=": ">", ">": "<="}
# A gauge of 0 and 1 is good where this holds.
_WELL = {("==", 1.0), ("!=", 0.0), (">", 0.0)}
_BAD = {("==", 0.0), ("!=", 1.0), ("<", 1.0)}


def _checked(node: Node, holds: Literal["good", "bad"], at: Path, notes: ConversionNotes) -> SliDraft | None:
    """`avg_over_time((value >= bool bound)[window:slice])`, also with `avg` around it: checks of a value, each good (or bad) where it
    holds; `1 - up` holds where `up` does not."""
    averaged = isinstance(node, Aggregate)
    by: tuple[str, ...] = ()
    if isinstance(node, Aggregate) and node.op == "avg" and not node.without:
        by = node.grouping
        node = node.expr
    match node:
        case Call("avg_over_time", (Subquery(inner, range_ms, step_ms, 0, None),)) if range_ms == MARK_MS:
            pass
        case _:
            return None
    sli: SliDraft | None = None
    match inner:
        case Binary("-", Number(1.0), VectorSelector() as gauge):
            sli = probe(gauge, by, at, notes) if holds == "bad" else None
        case Binary(op, VectorSelector() as gauge, Number(value), True) if (op, value) in (
            _WELL if holds == "good" else _BAD
        ) and not (op in _BOUNDS and step_ms is not None):
            sli = probe(gauge, by, at, notes)
        case Binary(op, value, Number(limit), True) if op in _BOUNDS and step_ms is not None and not by:
            kept = op if holds == "good" else _OPPOSITE[op]
            body = {"value": str(value), _BOUNDS[kept]: str(Number(limit)), "slice": format_duration(step_ms)}
            sli = SliDraft("threshold", body)
    if sli is not None:
        (_note_mean if averaged else _note_each)(at, notes)
    return sli


def _counted_minus_summed(left: Node, right: Node, total: Node) -> tuple[VectorSelector, tuple[str, ...], bool] | None:
    """`count_over_time(g) − sum_over_time(g)` out of `count_over_time(g)`."""
    every, whole, good = (
        _over_time(total, "count_over_time"),
        _over_time(left, "count_over_time"),
        _over_time(right, "sum_over_time"),
    )
    return every if every and every == whole == good else None


def _summed_over_counted(part: Node, total: Node) -> tuple[VectorSelector, tuple[str, ...], bool] | None:
    """`sum_over_time(g) / count_over_time(g)`."""
    every, summed = _over_time(total, "count_over_time"), _over_time(part, "sum_over_time")
    return every if every and every == summed else None


def _samples_of(errors: Node, total: Node) -> tuple[VectorSelector, tuple[str, ...], bool] | None:
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
            (Subquery(Binary(op, VectorSelector() as selector, Number(value), False), range_ms, offset_ms=0),),
        ):
            if every and range_ms == MARK_MS and (op, value) in _BAD and (selector, by) == every[:2]:
                return every
    return None


def _threshold(selector: VectorSelector, by: tuple[str, ...], at: Path, notes: ConversionNotes) -> SliDraft:
    if by:
        raise Refused(f"a `threshold` has no `by`, and this is by ({', '.join(by)})")
    notes.changed(
        at, f"a sample of {selector} that is not 0 is bad as a whole; a value between 0 and 1 counts in part there"
    )
    return SliDraft("threshold", {"value": str(selector), "at_most": "0"})


# Everything else.


def _raw(errors: Node, total: Node, at: Path, notes: ConversionNotes) -> SliDraft:
    for node in (errors, total):
        if func := next((p.func for p in walk(node) if isinstance(p, Call) and p.func in _LAST_TWO), None):
            raise Refused(f"`{func}` counts no events over a window: {_short(as_window(node))}")
    bad, every = series_labels(errors), series_labels(total)
    if bad is not None and every is not None and bad != every:
        raise Refused(
            f"errors are by ({', '.join(sorted(bad))}) and the total by ({', '.join(sorted(every))}), which do not find each other"
        )
    notes.same(at, "kept as PromQL: it is not a plain ratio of counters, and as exact as its expressions are")
    return SliDraft("raw", {"errors": as_window(errors), "total": as_window(total)}, _in_order(every, total))


def _in_order(labels: frozenset[str] | None, node: Node) -> tuple[str, ...]:
    """Labels in the order in which an expression has them."""
    written = [label for part in walk(node) if isinstance(part, Aggregate) for label in part.grouping]
    return tuple(dict.fromkeys(label for label in written if label in (labels or ())))


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
