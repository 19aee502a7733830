"""Answers of shapes that no server should give, and some that servers do give: for tests, by hand and drawn."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st

from tests.source.hostile import Request, reply, success

NOW = 1_790_000_000
# Where a number is asked for: what stands in its place.
NUMBERS: list[Any] = [
    "NaN", "+Inf", "-Inf", "1e18", "-1e18", "1e308", "-1", "0", "0.5", "1e-320", "", "x", "²", "1_000", None, True, 5, [], {}, "9" * 5000,
]  # fmt: skip
TIMES: list[Any] = [NOW, NOW + 0.0004, -1, 0, 1e18, 1e300, 2**63, "1", None, [], True, NOW * 1000]
LABELS: list[Any] = [
    {}, [], None, 5, "x", {"a": 1}, {"a": None}, {"a": ["x"]}, {"a": {"b": "c"}}, {"": ""}, {"__name__": "x"}, {"__name__": 5},
    {"le": "x"}, {"le": "²"}, {"le": "9" * 5000}, {"job": "\u0000", "instance": "\u202e<script>"}, {"a" * 5000: "b" * 5000},
]  # fmt: skip
EXTRAS: list[dict[str, Any]] = [
    {"warnings": 5}, {"warnings": "w"}, {"warnings": {"a": 1}}, {"warnings": [None, 5, {}, ["x"]]}, {"infos": True},
    {"warnings": ["w" * 100_000] * 20}, {"infos": [str(n) for n in range(30_000)]}, {"errorType": 5, "error": []},
]  # fmt: skip


def values_of(request: Request, value: Any) -> list[list[Any]]:
    """The value at the times that a range query asks for."""
    params = {**request.params, **request.form}
    start, end, step = (float(params[name]) for name in ("start", "end", "step"))
    count = min(11_000, int((end - start) / step + 1e-6) + 1)
    return [[start + index * step, value] for index in range(count)]


def answered(request: Request, kind: str, entries: list[Any], **extra: Any) -> bytes:
    return success(kind, entries, **extra)


def numbers(value: Any, labels: Any = None, **extra: Any) -> Any:
    """A server that gives one value for everything, with these labels, in the right shape."""

    def script(request: Request, _: int) -> bytes:
        params = {**request.params, **request.form}
        metric = {"job": "j", "instance": "i"} if labels is None else labels
        if params.get("query") == "time()":
            return success("scalar", [NOW, str(NOW)])
        if request.path.endswith("/query_range"):
            return success("matrix", [{"metric": metric, "values": values_of(request, value)}], **extra)
        if request.path.endswith("/query"):
            at = float(params.get("time", NOW))
            unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", params["query"])  # of a matcher's pattern nothing is PromQL
            if "[" in unquoted and "(" not in unquoted:
                pairs = [[at - 30 * n, value] for n in range(20, -1, -1)]
                return success("matrix", [{"metric": metric, "values": pairs}], **extra)
            return success("vector", [{"metric": metric, "value": [at, value]}], **extra)
        return reply(404, "")

    return script


_scalars = st.one_of(st.sampled_from(NUMBERS), st.floats().map(str), st.integers(-(2**63), 2**63 - 1).map(str))
_times = st.one_of(st.sampled_from(TIMES), st.integers(NOW - 10**7, NOW).map(float))
_labels = st.one_of(st.sampled_from(LABELS), st.dictionaries(st.sampled_from(["job", "instance", "le", "code", "__name__"]), st.text(max_size=5), max_size=4))  # fmt: skip
_pairs = st.one_of(
    st.tuples(_times, _scalars).map(list), st.lists(st.one_of(_times, _scalars), max_size=3), st.sampled_from([None, 5])
)
_entries = st.one_of(
    st.fixed_dictionaries(
        {},
        optional={"metric": _labels, "value": _pairs, "values": st.lists(_pairs, max_size=6), "histogram": _pairs, "histograms": st.lists(_pairs, max_size=2)},
    ),
    st.sampled_from([None, 5, "x", []]),
)  # fmt: skip
# Documents near the API's, of which something is wrong at any depth; and JSON of any kind.
documents = st.one_of(
    st.builds(
        lambda status, kind, result, extra: {"status": status, "data": {"resultType": kind, "result": result}, **extra},
        st.sampled_from(["success"] * 8 + ["error", 5, None]),
        st.sampled_from(["matrix", "vector", "matrix", "vector", "scalar", "string", "streams", 5, None]),
        st.one_of(st.lists(_entries, max_size=4), _pairs, st.sampled_from([None, {}, "x", 5])),
        st.one_of(st.just({}), st.sampled_from(EXTRAS)),
    ),
    st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=10),
)  # fmt: skip
# A value of a right answer, its labels, and what stands alongside it.
figures = st.tuples(_scalars, st.one_of(st.none(), _labels), st.one_of(st.just({}), st.sampled_from(EXTRAS)))


def body(document: Any) -> bytes:
    """A document as an answer; what JSON cannot hold is left to its text."""
    return reply(200, json.dumps(document, default=str).encode("utf-8", errors="replace"))
