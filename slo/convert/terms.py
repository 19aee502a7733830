"""What foreign PromQL over a window counts: sums and differences of counters, each with how often it is added."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, Number, Unary, VectorSelector
from slo.sli.bounds import bound_in, bound_of, le_matcher

# Stands for the range while an expression is parsed; nobody writes it.
MARK_MS = 86_399_989
_RATED = ("rate", "increase")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
PartIs = Literal["errors", "good"]


@dataclass(frozen=True, slots=True)
class Term:
    """`sum by (by) (func(selector[window]))`."""

    selector: VectorSelector
    by: tuple[str, ...]
    func: str

    @property
    def key(self) -> object:
        """What it counts: alike for two that count the same, however they are written."""
        histogram = histogram_of(self.selector)
        matchers = frozenset(m for m in self.selector.matchers if histogram is None or m.label != "le")
        return histogram is not None, histogram or self.selector.name, matchers, frozenset(self.by)


@dataclass(frozen=True, slots=True)
class Sides:
    """A ratio of counters: the parts that are bad (or good), and all events; each is the sum of its terms."""

    parts: tuple[Term, ...]
    totals: tuple[Term, ...]
    part_is: PartIs

    @property
    def terms(self) -> tuple[Term, ...]:
        return (*self.parts, *self.totals)


Weights = dict[object, tuple[Fraction, Term]]
Bare = Callable[[Node], Node]


def term_of(node: Node) -> Term | None:
    """One counter, added up; None for what is none."""
    match node:
        case Aggregate("sum", Call(func, (MatrixSelector(selector, range_ms),)), None, grouping, False) if (
            func in _RATED and range_ms == MARK_MS and not selector.offset_ms and selector.at is None
        ):
            return Term(selector, grouping, func)
    return None


def sides(part: Node, total: Node, part_is: PartIs, bare: Bare) -> Sides | None:
    """Two expressions as a ratio of counters, where they are one: errors that are taken from the total leave what is good, and the
    other way round. `bare` takes off what changes nothing of what is counted."""
    some, every = weighted(part, bare), weighted(total, bare)
    if not some or not every:
        return None
    [scale, *others] = {weight for weight, _ in every.values()}
    if others or scale <= 0:
        return None
    some, every = ({key: (weight / scale, term) for key, (weight, term) in side.items()} for side in (some, every))
    totals = tuple(term for _, term in every.values())
    if parts := _once(some):
        return Sides(parts, totals, part_is)
    if parts := _once(_plus(every, some, Fraction(-1))):
        return Sides(parts, totals, "good" if part_is == "errors" else "errors")
    return None


def linear(node: Node) -> tuple[Fraction, Fraction, Node]:
    """(c, f, x) where an expression is `c + f * x`; x has no number in front of it any more."""
    match node:
        case Unary(op, inner):
            sign = Fraction(-1 if op == "-" else 1)
            plus, times, rest = linear(inner)
            return sign * plus, sign * times, rest
        case Binary("+" | "-" as op, Number() as number, inner):
            plus, times, rest = linear(inner)
            sign = Fraction(1 if op == "+" else -1)
            return exact(number) + sign * plus, sign * times, rest
        case Binary("+" | "-" as op, inner, Number() as number):
            plus, times, rest = linear(inner)
            return plus + (exact(number) if op == "+" else -exact(number)), times, rest
        case Binary("*", Number() as factor, inner) | Binary("*", inner, Number() as factor):
            plus, times, rest = linear(inner)
            return exact(factor) * plus, exact(factor) * times, rest
        case Binary("/", inner, Number() as divisor) if divisor.value:
            plus, times, rest = linear(inner)
            return plus / exact(divisor), times / exact(divisor), rest
        case Binary("/", left, right):
            (plus, times, top), (other_plus, other_times, below) = linear(left), linear(right)
            if not plus and not other_plus and other_times:
                return Fraction(0), times / other_times, replace(node, left=top, right=below)
    return Fraction(0), Fraction(1), node


def weighted(node: Node, bare: Bare) -> Weights | None:
    """The counters of an expression by what they count; None where it is more than sums and differences of them."""
    node = bare(node)
    match node:
        case Unary(op, inner):
            return _times(weighted(inner, bare), Fraction(-1 if op == "-" else 1))
        case Binary("+" | "-" as op, left, right, matching=matching) if matching is None or not matching.include:
            first, second = weighted(left, bare), weighted(right, bare)
            return None if first is None or second is None else _plus(first, second, Fraction(1 if op == "+" else -1))
        case Binary("*", Number() as factor, inner) | Binary("*", inner, Number() as factor):
            return _times(weighted(inner, bare), exact(factor))
        case Binary("/", inner, Number() as divisor) if divisor.value:
            return _times(weighted(inner, bare), 1 / exact(divisor))
    if term := term_of(node):
        return {
            each.key: (Fraction(1), each)
            for each in (replace(term, selector=selector) for selector in named(term.selector))
        }
    return None


def exact(number: Number) -> Fraction:
    """A number as it is written."""
    return Fraction(repr(number.value)) if abs(number.value) < float("inf") else Fraction(0)


def named(selector: VectorSelector) -> list[VectorSelector]:
    """A selector for each of the metrics that one names by `__name__`."""
    for matcher in selector.matchers:
        if selector.name is None and matcher.label == "__name__" and matcher.op in ("=", "=~"):
            names = (
                [matcher.value] if matcher.op == "=" else matcher.value.removeprefix("(").removesuffix(")").split("|")
            )
            if all(map(_METRIC.fullmatch, names)):
                rest = tuple(other for other in selector.matchers if other != matcher)
                return [replace(selector, name=name, matchers=rest) for name in dict.fromkeys(names)]
    return [selector]


def _plus(weights: Mapping[object, tuple[Fraction, Term]], other: Weights, factor: Fraction) -> Weights:
    added = dict(weights)
    for key, (weight, term) in other.items():
        known, first = added.get(key, (Fraction(0), term))
        added[key] = known + factor * weight, first
    return {key: (weight, term) for key, (weight, term) in added.items() if weight}


def _times(weights: Weights | None, factor: Fraction) -> Weights | None:
    return None if weights is None else {key: (factor * weight, term) for key, (weight, term) in weights.items()}


def _once(weights: Weights) -> tuple[Term, ...]:
    """The terms, where each is added once; else none."""
    return tuple(term for _, term in weights.values()) if all(w == 1 for w, _ in weights.values()) else ()


# Histograms.


def bound(selector: VectorSelector) -> Decimal | None:
    """The one upper bound that a bucket's selector names, in one spelling or in several."""
    for matcher in selector.matchers:
        if matcher.label == "le" and matcher.op in ("=", "=~"):
            value = bound_in(matcher)
            if value is not None and (matcher == le_matcher(value) or _spellings(matcher) == {value}):
                return value
    return None


def _spellings(matcher: Matcher) -> set[Decimal | None]:
    """The numbers that the alternatives of a matcher on `le` are."""
    texts = [matcher.value] if matcher.op == "=" else matcher.value.replace("[.]", ".").replace("\\.", ".").split("|")
    return {bound_of(text) for text in texts}


def histogram_of(selector: VectorSelector) -> str | None:
    """The histogram of which a selector counts all observations."""
    name = selector.name or ""
    if name.endswith("_count"):
        return name.removesuffix("_count")
    if name.endswith("_bucket") and bound(selector) == Decimal("Infinity"):
        return name.removesuffix("_bucket")
    return None


def is_fast(part: VectorSelector, total: VectorSelector) -> bool:
    """Whether a part is a bucket of the histogram whose observations the total counts."""
    upper, histogram = bound(part), histogram_of(total)
    return upper is not None and upper.is_finite() and histogram is not None and part.name == f"{histogram}_bucket"
