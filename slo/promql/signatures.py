"""The functions and aggregations of PromQL, with the types that they take: what the parser checks against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ValueType: TypeAlias = Literal["scalar", "string", "vector", "matrix"]
SHOWN: dict[ValueType, str] = {
    "scalar": "scalar", "string": "string", "vector": "instant vector", "matrix": "range vector",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signature:
    """`optional` arguments may be left out; `repeat` lets the last one come any number of times."""

    name: str
    args: tuple[ValueType, ...]
    returns: ValueType = "vector"
    optional: int = 0
    repeat: bool = False
    experimental: bool = False


_LETTERS: dict[str, ValueType] = {"s": "scalar", "t": "string", "v": "vector", "m": "matrix"}


def _table(text: str) -> dict[str, Signature]:
    """Lines of `name args [-> returns] [!]`; letters s, t, v, m; `?` after an optional one, `*` after a repeated one."""
    table = {}
    for line in text.split("\n"):
        words = line.split()
        if not words:
            continue
        name, letters = words[0], words[1] if len(words) > 1 and words[1] not in ("->", "!") else ""
        table[name] = Signature(
            name,
            tuple(_LETTERS[letter] for letter in letters if letter in _LETTERS),
            "scalar" if "->" in words else "vector",
            letters.count("?"),
            "*" in letters,
            "!" in words,
        )
    return table


_SIMPLE = [
    "abs",
    "ceil",
    "exp",
    "floor",
    "ln",
    "log10",
    "log2",
    "sgn",
    "sqrt",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cos",
    "cosh",
    "deg",
    "rad",
    "sin",
    "sinh",
    "tan",
    "tanh",
    "absent",
    "histogram_avg",
    "histogram_count",
    "histogram_sum",
    "histogram_stddev",
    "histogram_stdvar",
    "sort",
    "sort_desc",
    "timestamp",
]
_OVER_TIME = [
    "absent_over_time",
    "avg_over_time",
    "changes",
    "count_over_time",
    "delta",
    "deriv",
    "idelta",
    "increase",
    "irate",
    "last_over_time",
    "max_over_time",
    "min_over_time",
    "present_over_time",
    "rate",
    "resets",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
]
_DATES = ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"]
_EXPERIMENTAL_RANGE = [
    "mad_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
]

FUNCTIONS: dict[str, Signature] = _table(
    "\n".join(
        [f"{name} v" for name in _SIMPLE]
        + [f"{name} m" for name in _OVER_TIME]
        + [f"{name} v?" for name in _DATES]
        + [f"{name} m !" for name in _EXPERIMENTAL_RANGE]
    )
    + """
clamp vss
clamp_max vs
clamp_min vs
round vs?
histogram_fraction ssv
histogram_quantile sv
label_join vttt*
label_replace vtttt
predict_linear ms
quantile_over_time sm
double_exponential_smoothing mss !
sort_by_label vt* !
sort_by_label_desc vt* !
info vv? !
pi -> scalar
time -> scalar
scalar v -> scalar
vector s
"""
)

# aggregations: the type of the parameter that stands first, or None
AGGREGATIONS: dict[str, ValueType | None] = {
    "sum": None, "avg": None, "count": None, "min": None, "max": None, "group": None, "stddev": None, "stdvar": None,
    "topk": "scalar", "bottomk": "scalar", "quantile": "scalar", "count_values": "string",
    "limitk": "scalar", "limit_ratio": "scalar",
}  # fmt: skip
