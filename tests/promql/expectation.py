"""Whether an answer, or an error, is the one that a test script expects."""

from __future__ import annotations

import math
import re
import sys

import numpy as np

from slo.promql.notation import Labels
from slo.promql.result import Result
from slo.promql.samples import is_stale
from tests.promql.scriptfile import Eval, Expectation

_EPSILON = 1e-6


def problem(evaluation: Eval, answer: Result | str) -> str:
    """What differs from the expectation, empty where nothing does. `answer` is a result, or the text of an error."""
    expect = evaluation.expect
    if isinstance(answer, str):
        return _error_problem(expect, answer)
    if expect.fail:
        return f"expected an error, got {show(answer)}"
    if reported := _notes_problem(expect, answer):
        return reported
    if expect.text is not None:
        return "" if answer.text == expect.text else f"expected the string {expect.text!r}, got {show(answer)}"
    if expect.scalar is not None and not expect.series:
        if answer.type != "scalar":
            return f"expected the scalar {expect.scalar}, got {show(answer)}"
        good = almost(expect.scalar, float(answer.series[0].values[0]))
        return "" if good else f"expected {expect.scalar}, got {show(answer)}"
    if evaluation.end is not None:
        return _matrix_problem(expect, answer, evaluation.start, evaluation.step)
    if expect.window is not None:
        return _matrix_problem(expect, answer, expect.window[0], expect.window[2])
    return _vector_problem(expect, answer)


def _error_problem(expect: Expectation, error: str) -> str:
    if not expect.fail:
        return f"expected an answer, got the error: {error}"
    for kind, text in expect.fail_texts:
        if not (re.search(text, error) if kind == "regex" else text == error.strip()):
            return f"expected the error {text!r}, got: {error}"
    return ""


def _notes_problem(expect: Expectation, answer: Result) -> str:
    held = {"warn": answer.warnings, "info": answer.infos}
    for kind, notes in held.items():
        if any(reported == f"no_{kind}" for reported, _, _ in expect.notes) and notes:
            return f"expected no {kind}, got {list(notes)}"
        wanted = [(how, text) for reported, how, text in expect.notes if reported == kind]
        for how, text in wanted:
            if not any(_noted(note, how, text) for note in notes):
                return f"expected {kind} {text!r}, got {list(notes)}"
        for note in notes:
            if wanted and not any(_noted(note, how, text) for how, text in wanted):
                return f"did not expect the {kind} {note!r}"
    return ""


def _noted(note: str, how: str, text: str) -> bool:
    return not how or (re.search(text, note) is not None if how == "regex" else note == text)


def _matrix_problem(expect: Expectation, answer: Result, start: float, step: float) -> str:
    wanted: dict[Labels, dict[int, float]] = {}
    for labels, values in expect.series:
        points = {round((start + i * step) * 1000): value for i, value in enumerate(values) if isinstance(value, float)}
        if points:
            wanted[labels] = points
    got = {
        key_of(series.labels): dict(zip(series.times.tolist(), series.values.tolist(), strict=True))
        for series in answer.series
    }
    if set(wanted) != set(got):
        return f"expected the series {sorted(wanted)}, got {show(answer)}"
    for labels, points in wanted.items():
        if set(points) != set(got[labels]) or not all(almost(v, got[labels][t]) for t, v in points.items()):
            return f"{labels}: expected {points}, got {got[labels]}"
    return ""


def _vector_problem(expect: Expectation, answer: Result) -> str:
    if answer.type not in ("vector", "matrix"):
        return f"expected {'a vector' if expect.series else 'no element'}, got {show(answer)}"
    got = [(key_of(series.labels), float(series.values[-1])) for series in answer.series]
    wanted = [(labels, values[0]) for labels, values in expect.series if values and values[0] is not None]
    if len(got) != len(wanted):
        return f"expected {wanted}, got {show(answer)}"
    if not expect.ordered:
        got, wanted = sorted(got, key=lambda row: row[0]), sorted(wanted, key=lambda row: row[0])
    for (labels, value), (other, result) in zip(wanted, got, strict=True):
        if labels != other or not isinstance(value, float) or not almost(value, result):
            return f"expected {labels} {value}, got {other} {result}"
    return ""


def key_of(labels: object) -> Labels:
    """Labels sorted, to be compared."""
    return tuple(sorted(dict(labels).items()))  # type: ignore[call-overload]


def almost(wanted: float, got: float) -> bool:
    """Equal to one in a million; a stale marker only equals a stale marker."""
    stale = is_stale(np.array([wanted, got]))
    if stale.any():
        return bool(stale.all())
    if math.isnan(wanted) or math.isnan(got):
        return math.isnan(wanted) and math.isnan(got)
    if wanted == got:
        return True
    if math.isinf(wanted) or math.isinf(got):
        return False
    size = abs(wanted) + abs(got)
    difference = abs(wanted - got)
    if wanted == 0 or got == 0 or size < sys.float_info.min:
        return difference < _EPSILON * sys.float_info.min
    return difference / min(size, sys.float_info.max) < _EPSILON


def show(answer: Result) -> str:
    """An answer on one line."""
    if answer.text is not None:
        return repr(answer.text)
    rows = [f"{dict(series.labels)} {series.values.tolist()}" for series in answer.series]
    return f"{answer.type} [" + "; ".join(rows) + "]"
