"""Functions over instant vectors, element by element."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slo.errors import PromqlError
from slo.promql import heap
from slo.promql.regex import compile_re2
from slo.promql.values import NAME, Floats, Labels, Vector, make

_YEAR = "datetime64[Y]"


def _sign(v: Floats) -> Floats:
    return np.where(np.isnan(v), v, np.sign(v))


# a server on amd64 rounds the exponent of two before it looks whether there is such a float
_NO_POWER = 1023.5 * np.log(2)


def _exp(v: Floats) -> Floats:
    return np.where(v >= _NO_POWER, np.inf, np.exp(v))


def _sinh(v: Floats) -> Floats:
    """Half of the exponential from 21 on, as Go has it: it is infinite where the exponential is."""
    return np.where(np.abs(v) > 21, np.sign(v) * _exp(np.abs(v)) * 0.5, np.sinh(v))


def _cosh(v: Floats) -> Floats:
    return np.where(np.abs(v) > 21, _exp(np.abs(v)) * 0.5, np.cosh(v))


MATH: dict[str, Callable[[Floats], Floats]] = {
    "abs": np.abs, "ceil": np.ceil, "exp": _exp, "floor": np.floor, "ln": np.log, "log10": np.log10, "log2": np.log2,
    "sgn": _sign, "sqrt": np.sqrt, "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atanh": np.arctanh, "cos": np.cos, "cosh": _cosh, "sin": np.sin, "sinh": _sinh,
    "tan": np.tan, "tanh": np.tanh, "deg": lambda v: v * 180 / np.pi, "rad": lambda v: v * np.pi / 180,
}  # fmt: skip


# 2**63 seconds after the epoch, to which a server wraps NaN, infinities and whatever else is not an int64
_END_OF_TIME = {
    "minute": 30.0, "hour": 15.0, "day_of_week": 0.0, "day_of_month": 4.0, "day_of_year": 339.0, "days_in_month": 31.0,
    "month": 12.0, "year": 292277026596.0,
}  # fmt: skip


def _in_time(v: Floats) -> Any:
    return np.abs(v) < 9.2e18


def _days(v: Floats) -> Any:
    whole = np.where(_in_time(v), v, 0)
    return np.trunc(whole).astype(np.int64).astype("datetime64[s]")


def _count(moment: Any, unit: str, within: str) -> Floats:
    start = moment.astype(f"datetime64[{within}]").astype(f"datetime64[{unit}]")
    return np.asarray((moment.astype(f"datetime64[{unit}]") - start).astype(np.int64), dtype=np.float64)


def _month_days(moment: Any) -> Floats:
    month = moment.astype("datetime64[M]")
    return np.asarray(((month + 1).astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64), float)


DATES: dict[str, Callable[[Any], Floats]] = {
    "minute": lambda t: _count(t, "m", "h"),
    "hour": lambda t: _count(t, "h", "D"),
    "day_of_week": lambda t: np.asarray((t.astype("datetime64[D]").astype(np.int64) + 4) % 7, dtype=np.float64),
    "day_of_month": lambda t: _count(t, "D", "M") + 1,
    "day_of_year": lambda t: _count(t, "D", "Y") + 1,
    "days_in_month": _month_days,
    "month": lambda t: _count(t, "M", "Y") + 1,
    "year": lambda t: np.asarray(t.astype(_YEAR).astype(np.int64) + 1970, dtype=np.float64),
}


def date(name: str, values: Floats) -> Floats:
    """A part of the UTC date of seconds since the epoch; what is no such number is the end of the server's time."""
    return np.where(_in_time(values), DATES[name](_days(values)), _END_OF_TIME[name])


def larger(a: Floats, b: Floats) -> Floats:
    """The maximum; +Inf beats NaN, NaN all else."""
    return np.where(np.isposinf(a) | np.isposinf(b), np.inf, np.maximum(a, b))


def smaller(a: Floats, b: Floats) -> Floats:
    """The minimum; -Inf beats NaN, NaN all else."""
    return np.where(np.isneginf(a) | np.isneginf(b), -np.inf, np.minimum(a, b))


def round_to(values: Floats, nearest: Floats) -> Floats:
    """Halves are rounded up, as the server does."""
    inverse = 1.0 / nearest
    return np.floor(values * inverse + 0.5) / inverse


def _is_label_name(text: str) -> bool:
    """Any valid UTF-8 is a name; bytes that are none came in as lone surrogates."""
    return bool(text) and not re.search("[\ud800-\udfff]", text)


def label_replace(vector: Vector, target: str, template: str, source: str, pattern: str) -> Vector:
    try:
        compiled = compile_re2(pattern, alone=False)
    except PromqlError:
        raise PromqlError(f"invalid regular expression in label_replace(): {pattern}") from None
    if not _is_label_name(target):
        raise PromqlError(f"invalid destination label name in label_replace(): {target}")
    labels: list[Labels] = []
    drop = list(vector.drop)
    for row, held in enumerate(vector.labels):
        match = compiled.fullmatch(dict(held).get(source, ""))
        if match is None:
            labels.append(held)
            continue
        labels.append(make({**dict(held), target: _expand(template, match)}))
        if target == NAME:
            drop[row] = False
    return Vector(labels, vector.values, vector.present, drop, vector.ordered)


_REFERENCE = re.compile(r"\$(?:(\$)|\{(\w+)\}|(\w+))")  # any other dollar stands for itself


def _expand(template: str, result: Any) -> str:
    def group(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        if name.isascii() and name.isdigit():
            return (result.group(int(name)) or "") if int(name) <= result.re.groups else ""
        return (result.group(name) or "") if name in result.re.groupindex else ""

    return _REFERENCE.sub(group, template)


def label_join(vector: Vector, target: str, separator: str, sources: Sequence[str]) -> Vector:
    for name in sources:
        if not _is_label_name(name):
            raise PromqlError(f"invalid source label name in label_join(): {name}")
    if not _is_label_name(target):
        raise PromqlError(f"invalid destination label name in label_join(): {target}")
    labels, drop = [], list(vector.drop)
    for row, held in enumerate(vector.labels):
        from_held = dict(held)
        labels.append(make({**from_held, target: separator.join(from_held.get(name, "") for name in sources)}))
        if target == NAME:
            drop[row] = False
    return Vector(labels, vector.values, vector.present, drop, vector.ordered)


def by_value(vector: Vector, descending: bool) -> Vector:
    """An instant answer by value, NaN last."""
    values = vector.values[:, 0]
    if len(values) <= heap.SHORT:
        order = heap.by_insertion(values if descending else -values, range(len(values)))
    else:
        order = np.lexsort((-values if descending else values, np.isnan(values))).tolist()
    result = vector.take(order)
    result.ordered = True
    return result


def by_label(vector: Vector, names: Sequence[str], descending: bool) -> Vector:
    """An instant answer by labels in natural order, then by all labels."""

    def before(a: int, b: int) -> bool:
        first, second = dict(vector.labels[a]), dict(vector.labels[b])
        for name in names:
            item, other = first.get(name, ""), second.get(name, "")
            if item != other:
                return _natural_before(item, other) != descending
        return (vector.labels[a] > vector.labels[b]) if descending else (vector.labels[a] < vector.labels[b])

    # a missing label is neither before nor behind another, so that the way of sorting shows: by insertion, as a server
    order: list[int] = []
    for row in range(len(vector.labels)):
        place = len(order)
        while place and before(row, order[place - 1]):
            place -= 1
        order.insert(place, row)
    result = vector.take(order)
    result.ordered = True
    return result


_DIGITS = frozenset("0123456789")


def _natural_before(text: str, other: str) -> bool:
    """Runs of digits compare as numbers, all else as text, run by run."""
    left, right = re.findall(r"[0-9]+|[^0-9]+", text), re.findall(r"[0-9]+|[^0-9]+", other)
    for index, a in enumerate(left):
        if index >= len(right):
            return False
        b = right[index]
        numbers = a[0] in _DIGITS and b[0] in _DIGITS  # `²` is a digit to Python, and no number
        if (int(a) == int(b)) if numbers else (a == b):
            if index == len(left) - 1:
                return True
            if index == len(right) - 1:
                return False
            continue
        return int(a) < int(b) if numbers else a < b
    return False
