"""Texts of a definition, read: durations, quantities, selectors, expressions; their faults are reported."""

from __future__ import annotations

import re
from decimal import Decimal

from slo.errors import DurationError, PromqlError
from slo.promql.ast import VectorSelector
from slo.promql.parse import parse_selector
from slo.reading.faults import Fault, Path, Report
from slo.reading.selectors import check_matchers
from slo.window import MINUTE, parse_duration

_UNITS = {
    "": Decimal(1), "%": Decimal("0.01"), "ms": Decimal("0.001"), "s": Decimal(1), "k": Decimal(1000),
    **{f"{prefix}B": Decimal(1000) ** power for power, prefix in enumerate(("", "k", "M", "G", "T"))},
    **{f"{prefix}iB": Decimal(1024) ** power for power, prefix in enumerate(("K", "M", "G", "T"), 1)},
}  # fmt: skip

_QUANTITY = re.compile(r"(?P<number>[+-]?[0-9][0-9_,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?)\s*(?P<unit>[A-Za-z%]*)")


def parse_quantity(text: str) -> Decimal:
    """A number with or without a unit: `100`, `1GiB`, `10GB`, `70%` (0.7), `5ms` (0.005). Raises ValueError."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match["unit"] not in _UNITS:
        raise ValueError(
            f"{text!r} is not a valid quantity; write a number, with a unit such as {', '.join(filter(None, _UNITS))}"
        )
    return Decimal(match["number"].replace("_", "").replace(",", "")) * _UNITS[match["unit"]]


def read_duration(text: str, at: Path, report: Report) -> int:
    """A duration in milliseconds. Raises Fault once reported."""
    try:
        return parse_duration(text)
    except DurationError as error:
        report(at, str(error), "error")
        raise Fault from None


def read_selector(text: str, at: Path, report: Report) -> VectorSelector:
    """A metric with matchers. Raises Fault once reported."""
    try:
        selector = parse_selector(text)
    except PromqlError as error:
        report(at, refusal(error), "error")
        raise Fault from None
    if selector.offset_ms or selector.at is not None:
        report(at, "leave `offset` and `@` out; a definition holds for every moment", "error")
        raise Fault
    check_matchers(selector, at, report)
    return selector


def refusal(error: PromqlError) -> str:
    """The parser speaks as a server does, which takes it as known that it was given PromQL."""
    return f"not valid PromQL: {error}" if "parse error: " in str(error) else str(error)


def read_slice(text: str | None, default_ms: int, at: Path, report: Report) -> int:
    """How often something is judged, milliseconds. Raises Fault once reported."""
    if text is None:
        return default_ms
    number = read_duration(text, (*at, "slice"), report)
    if not 1000 <= number <= 5 * MINUTE or 5 * MINUTE % number:
        report(
            (*at, "slice"), f"a slice of {text} does not divide 5m; accepted are such as 10s, 30s, 1m and 5m", "error"
        )
        raise Fault
    return number
