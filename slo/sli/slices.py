"""SLIs that are judged per slice of time: which slices are bad, as PromQL and as arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slo.promql.ast import Binary, Call, Node, Number
from slo.promql.parse import parse
from slo.spec.model import Comparison, Freshness, Threshold

_OPPOSITE: dict[Comparison, str] = {">=": "<", "<=": ">", ">": "<=", "<": ">="}


def bad_slice(sli: Threshold | Freshness) -> Node:
    """At each slice's moment 1 for a series that is bad, 0 for one that is good, nothing where there is no value.

    A value that is NaN is judged as bad: it keeps to no bound.
    """
    match sli:
        case Threshold():
            value = parse(sli.expr)
            held = Binary(sli.op, value, Number(float(sli.bound)), return_bool=True)
            return Binary("-", Number(1.0), held)
        case Freshness():
            age = Binary("-", Call("time"), sli.metric)
            return Binary(">", age, Number(sli.max_age_ms / 1000), return_bool=True)


def too_long(down: NDArray[np.bool_], known: NDArray[np.bool_], slices: int) -> NDArray[np.bool_]:
    """Where everything has been down for `slices` slices or more. An unknown slice continues what was before it."""
    state = continued(down, known)
    up = np.flatnonzero(~state)
    index = np.arange(len(state))
    last_up = np.full(len(state), -1)
    if len(up):
        found = np.searchsorted(up, index, side="right") - 1
        last_up = np.where(found >= 0, up[np.maximum(found, 0)], -1)
    result: NDArray[np.bool_] = state & (index - last_up >= slices)
    return result


def continued(down: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`down` with each unknown slice like the last known one before it; up before the first."""
    index = np.where(known, np.arange(len(down)), -1)
    last = np.maximum.accumulate(index) if len(index) else index
    return np.where(last >= 0, down[np.maximum(last, 0)] & known[np.maximum(last, 0)], False)


def stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs of True as (first, one past the last)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(low), int(high)) for low, high in edges.reshape(-1, 2)]
