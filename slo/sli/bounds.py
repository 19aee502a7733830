"""Bucket bounds: numbers that clients and servers spell in many ways."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from slo.promql.ast import Matcher, VectorSelector

INFINITY = Decimal("Infinity")


def bound_of(text: str) -> Decimal | None:
    """The bound that a value of `le` spells: `1`, `1.0`, `2.5e-1`, `+Inf`; None where it spells none."""
    try:
        bound = Decimal(text)
    except InvalidOperation:
        return None
    return None if bound.is_nan() else bound


def le_matcher(bound: Decimal) -> Matcher:
    """Matches a bound in every spelling: `0.25`, `0.250`, `2.5e-1`, `2.5E-01`; `1`, `1.0`, `1e+00`; `+Inf`, `Inf`."""
    if bound.is_infinite():
        return Matcher("le", "=~", "[+]?Inf")
    text = f"{bound.normalize():f}"
    whole, _, fraction = text.partition(".")
    plain = f"{'0?' if whole == '0' else whole}{f'[.]{fraction}0*' if fraction else '([.]0*)?'}"
    digits = "".join(map(str, bound.normalize().as_tuple().digits))
    exponent = bound.adjusted()
    sign = "-" if exponent < 0 else "[+]?"
    mantissa = f"{digits[0]}[.]{digits[1:]}0*" if len(digits) > 1 else f"{digits[0]}([.]0*)?"
    return Matcher("le", "=~", f"{plain}|{mantissa}[eE]{sign}0*{abs(exponent) or ''}")


_SPELLINGS = re.compile(
    r".*\|(?P<first>[0-9])(?:\[\.\](?P<rest>[0-9]+)0\*|\(\[\.\]0\*\)\?)\[eE\](?P<sign>-|\[\+\]\?)0\*(?P<exponent>[0-9]*)"
)


def bound_in(matcher: Matcher) -> Decimal | None:
    """The bound that a matcher on `le` means, whether it names one spelling or is of `le_matcher`; None for any other."""
    if matcher.op == "=":
        return bound_of(matcher.value)
    if matcher == le_matcher(INFINITY):
        return INFINITY
    match = _SPELLINGS.fullmatch(matcher.value) if matcher.op == "=~" else None
    if match is None:
        return bound_of(matcher.value.split("|")[0].replace("\\", "")) if matcher.op == "=~" else None
    sign = "-" if match["sign"] == "-" else ""
    return Decimal(f"{match['first']}.{match['rest'] or '0'}e{sign}{match['exponent'] or '0'}")


def any_spelling(selector: VectorSelector) -> VectorSelector:
    """A selector whose `le` means a number, whatever its spelling: `le="1"` finds a server's `1.0` too."""
    matchers = []
    for matcher in selector.matchers:
        bound = bound_of(matcher.value) if matcher.label == "le" and matcher.op == "=" else None
        matchers.append(matcher if bound is None else le_matcher(bound))
    return VectorSelector(selector.name, tuple(matchers), selector.offset_ms, selector.at)
