"""Which of the simulated kinds an SLI is: raw PromQL and ratios of buckets say the same as a ratio, latency or probe."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, Number, Unary, VectorSelector, children
from slo.promql.parse import parse
from slo.reading import WINDOW_VARIABLE
from slo.sli.bounds import bound_in
from slo.sli.latency import Latency
from slo.sli.probe import Probe
from slo.sli.ratio import Ratio
from slo.source.simulation.context import cannot
from slo.spec.model import Slo

# What a function over a range counts: a counter's events, a gauge's samples, or those that are 1.
_MEASURES = {"increase": "events", "rate": "events", "count_over_time": "samples", "sum_over_time": "ones"}
Terms = Counter[tuple[str, VectorSelector]]


@dataclass(frozen=True, slots=True)
class Apart(Ratio):
    """Errors that stand alongside what `total` selects, not within: all events are both, added up."""


def as_simulatable(slo: Slo, sli: Any) -> Ratio | Latency | Probe:
    """The counters, histogram or gauge that an SLI counts. Raises SloError where it is none of those forms."""
    terms: Any = sli
    if sli.simulated == "expressions":
        terms = _from_terms(slo, _terms_of(slo, sli.errors), _terms_of(slo, sli.total))
    if terms.simulated == "counters" and (_is_bucket(terms.part) or _is_bucket(terms.total)):
        terms = _as_latency(slo, terms)
    made: Ratio | Latency | Probe = terms
    return made


def _from_terms(slo: Slo, errors: Terms, total: Terms) -> Ratio | Probe:
    rest = Counter(total)
    rest.subtract(errors)
    rest = Counter({term: weight for term, weight in rest.items() if weight})
    match (list(total), list(errors), list(rest)):
        case [(("samples", whole),), _, (("ones", units),)] if whole == units and _units(total, rest):
            return Probe(whole)
        case [(("events", whole),), (("events", part),), _] if whole != part and _units(total, errors):
            return Ratio(whole, part, "errors")
        case [(("events", whole),), _, (("events", good),)] if _units(total, rest):
            return Ratio(whole, good, "good")
        case [(_, _), (("events", part),), (("events", good),)] if _units(total, errors, rest):
            return Apart(good, part, "errors")
    if slo.sli.key == "ratio":
        raise cannot(
            slo, "it adds up several counters; one of errors and one of good events can be simulated, without a total"
        )
    raise cannot(
        slo,
        "its raw expressions are not errors of one total; "
        "write sum(increase(…[$window])) of one selector on each side, or total minus good",
    )


def _units(*sides: Terms) -> bool:
    return all(weight == 1 for side in sides for weight in side.values())


def _terms_of(slo: Slo, text: str) -> Terms:
    """The sums and differences of an expression, by what is counted."""
    try:
        return Counter(
            {term: weight for term, weight in _terms(parse(text.replace(WINDOW_VARIABLE, "5m"))).items() if weight}
        )
    except _Unknown as error:
        raise cannot(
            slo,
            f"the events of {error.node} cannot be known; "
            "use increase, rate, count_over_time or sum_over_time of selectors, added or subtracted",
        ) from None


class _Unknown(Exception):  # noqa: N818
    def __init__(self, node: Node) -> None:
        self.node = node
        super().__init__(str(node))


def _terms(node: Node) -> Terms:
    match node:
        case Call(func=func, args=(MatrixSelector(selector=selector),)) if func in _MEASURES:
            return Counter({(_MEASURES[func], replace(selector, offset_ms=0, at=None)): 1})
        case Aggregate(op="sum", expr=expr, param=None):
            return _terms(expr)
        case Unary(op=sign, expr=expr):
            return _scaled(_terms(expr), -1 if sign == "-" else 1)
        case Binary(op="+", left=left, right=right):
            return _added(_terms(left), _terms(right), 1)
        case Binary(op="-", left=left, right=right):
            return _added(_terms(left), _terms(right), -1)
        case Binary(op="or", left=left, right=right) if _is_nothing(right):
            return _terms(left)
    raise _Unknown(node)


def _is_nothing(node: Node) -> bool:
    """What stands in where there are no errors yet: `vector(0)`, or a series times 0."""
    match node:
        case Call(func="vector", args=(Number(value=0.0),)):
            return True
        case Binary(op="*", left=left, right=right):
            return Number(0.0) in (left, right) or _is_nothing(left) or _is_nothing(right)
        case Aggregate() | Call():
            return any(_is_nothing(child) for child in children(node))
    return False


def _scaled(terms: Terms, factor: int) -> Terms:
    return Counter({term: factor * weight for term, weight in terms.items()})


def _added(first: Terms, other: Terms, sign: int) -> Terms:
    terms = Counter(first)
    for term, weight in other.items():
        terms[term] += sign * weight
    return terms


def _is_bucket(selector: VectorSelector) -> bool:
    return (selector.name or "").endswith("_bucket") and any(m.label == "le" for m in selector.matchers)


def _as_latency(slo: Slo, sli: Ratio) -> Latency:
    """A bucket out of all of its histogram."""
    total, part = sli.total, sli.part
    base = (part.name or "").removesuffix("_bucket")
    own = tuple(m for m in part.matchers if m.label != "le")
    everything = (f"{base}_count", own), (f"{base}_bucket", own)
    bare = (total.name, tuple(m for m in total.matchers if m.label != "le"))
    bounds = [bound for m in part.matchers if m.label == "le" and (bound := bound_in(m)) is not None]
    if sli.part_is != "good" or bare not in everything or len(bounds) != 1 or not bounds[0].is_finite():
        raise cannot(
            slo,
            f"{part} is not a bucket of what {total} counts; "
            "good events are one bucket of a histogram, all of them its _count with the same matchers",
        )
    return Latency(VectorSelector(base, own), bounds[0])
