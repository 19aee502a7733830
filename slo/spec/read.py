"""Texts of a definition, read: durations, quantities, selectors, expressions; their faults are reported."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from slo.errors import DurationError, PromqlError
from slo.promql.ast import VectorSelector
from slo.promql.parse import parse_selector
from slo.spec.model import Objective
from slo.spec.selectors import check_matchers
from slo.window import Window, parse_duration, parse_window

Path = tuple[str | int, ...]
Report = Callable[[Path, str, str], None]  # path, message, "error" or "warning"

_UNITS = {
    "": Decimal(1), "%": Decimal("0.01"), "ms": Decimal("0.001"), "s": Decimal(1), "k": Decimal(1000),
    **{f"{prefix}B": Decimal(1000) ** power for power, prefix in enumerate(("", "k", "M", "G", "T"))},
    **{f"{prefix}iB": Decimal(1024) ** power for power, prefix in enumerate(("K", "M", "G", "T"), 1)},
}  # fmt: skip

_QUANTITY = re.compile(r"(?P<number>[+-]?[0-9][0-9_,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?)\s*(?P<unit>[A-Za-z%]*)")


class Fault(Exception):  # noqa: N818 - carried to `report`, never shown by itself
    """A part that cannot be built; its problem has been reported."""


def parse_objective(text: str) -> Objective:
    """A percentage as people write it: `99.9` or `99.9%`. Raises ValueError with the reason."""
    written = text.strip().removesuffix("%").strip()
    try:
        percent = Decimal(written)
    except InvalidOperation:
        raise ValueError(f"objective {text!r} is no percentage; write one such as 99.9") from None
    if not percent.is_finite():
        raise ValueError(f"objective {text} is no percentage; write one such as 99.9")
    if percent > 100:
        raise ValueError(f"objective {text} is above 100; write a percentage such as 99.9")
    if percent == 100:
        raise ValueError(
            "objective 100 leaves no error budget, so nothing can be measured against it; 99.99 leaves 1 of 10,000"
        )
    if percent <= 0:
        raise ValueError(f"objective {text} asks for nothing; write a percentage above 0, such as 99.9")
    if percent < 1:
        raise ValueError(
            f"objective {text} is below 1 %; it is a percentage, so for the ratio {text} write {(percent * 100).normalize():f}"
        )
    if len(percent.as_tuple().digits) > 12:
        raise ValueError(f"objective {text} has more than 12 digits")
    return Objective(percent)


def parse_quantity(text: str) -> Decimal:
    """A number with or without a unit: `100`, `1GiB`, `10GB`, `70%` (0.7), `5ms` (0.005). Raises ValueError."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found["unit"] not in _UNITS:
        raise ValueError(
            f"{text!r} is no quantity; write a number, with a unit such as {', '.join(filter(None, _UNITS))}"
        )
    return Decimal(found["number"].replace("_", "").replace(",", "")) * _UNITS[found["unit"]]


def read_duration(text: str, at: Path, report: Report) -> int:
    """A duration in milliseconds. Raises Fault once reported."""
    try:
        return parse_duration(text)
    except DurationError as error:
        report(at, str(error), "error")
        raise Fault from None


def read_window(text: str, at: Path, report: Report) -> Window | None:
    """A window, or None once its fault is reported."""
    try:
        return parse_window(text)
    except DurationError as error:
        report(at, str(error), "error")
        return None


def read_scrape_interval(text: str, at: Path, report: Report) -> int | None:
    """A scrape interval in milliseconds, or None once its fault is reported."""
    try:
        found = parse_duration(text)
    except DurationError as error:
        report(at, str(error), "error")
        return None
    if not 1000 <= found <= 5 * 60_000:
        report(at, f"a scrape interval of {text} is out of range; accepted are 1s to 5m", "error")
        return None
    return found


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
