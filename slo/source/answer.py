"""Answers of Prometheus's query API: bytes in, arrays out. Pure."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

Labels = tuple[tuple[str, str], ...]  # sorted by name: the identity of a series

# A server that warns of every series says it in as many words; each note is read by somebody.
MOST_NOTES, MOST_NOTE, MOST_SAID = 20, 500, 10_000
# Seconds; beyond, a time is none that a server can have (and milliseconds would not fit into 64 bits).
MOST_TIME_S = 1e12

RESULT_TYPES = frozenset({"matrix", "vector", "scalar", "string"})
_time, _value = itemgetter(0), itemgetter(1)


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """A successful answer, its shape checked as far as `data`."""

    document: dict[str, Any]

    @property
    def result_type(self) -> str:
        kind: str = self.document["data"]["resultType"]
        return kind

    @property
    def result(self) -> list[Any]:
        result: list[Any] = self.document["data"]["result"]
        return result

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings (such as a partial answer of Thanos) and infos, as the server words them."""
        said: list[str] = []
        for key in ("warnings", "infos"):
            texts = self.document.get(key)
            said += [text for text in (texts if isinstance(texts, list) else [texts]) if isinstance(text, str) and text]
        texts = list(dict.fromkeys(" ".join(text[:MOST_NOTE].split()) for text in said[:MOST_SAID]))
        return tuple(texts[:MOST_NOTES])


class ShapeError(ValueError):
    """An answer that has another shape than the API's."""


def parse(body: bytes | bytearray) -> ServerAnswer | None:
    """The answer in a body, or None if that is not a successful answer of a query."""
    with _gc_paused():  # a million small lists hold no cycles; walking them takes longer than parsing
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
    match document:
        case {"status": "success", "data": {"resultType": str(kind), "result": list()}} if kind in RESULT_TYPES:
            return ServerAnswer(document)
    return None


def series_of(answer: ServerAnswer) -> Iterator[tuple[Labels, NDArray[np.int64], NDArray[np.float64]]]:
    """Labels, times (ms UTC) and values of each series of a matrix, a vector or a scalar; one series, one array.

    Raises ShapeError for other shapes, for two series with the same labels, and for native histograms, which have no single
    values.
    """
    seen: set[Labels] = set()
    for labels, times, values in _each(answer):
        if labels in seen:
            raise ShapeError(f"two series in its answer have the same labels, {_quoted(labels)}")
        seen.add(labels)
        yield labels, times, values


def _each(answer: ServerAnswer) -> Iterator[tuple[Labels, NDArray[np.int64], NDArray[np.float64]]]:
    try:
        match answer.result_type:
            case "matrix":
                for entry in answer.result:
                    if entry.get("histograms"):
                        raise ShapeError(_native(entry["metric"]))
                    yield labels_of(entry["metric"]), *arrays(entry.get("values") or ())
            case "vector":
                for entry in answer.result:
                    if "value" not in entry:
                        raise ShapeError(_native(entry["metric"]))
                    yield labels_of(entry["metric"]), *arrays([entry["value"]])
            case "scalar":
                yield (), *arrays([answer.result])
            case kind:
                raise ShapeError(f"the expression gives a {kind}; numbers are needed")
    except (AttributeError, KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
        if isinstance(error, ShapeError):
            raise
        raise ShapeError("a series in its answer is not of the shape of Prometheus's API") from None


def labels_of(metric: Mapping[str, str]) -> Labels:
    """Sorted; raises TypeError where a name or a value is not text."""
    if not all(type(name) is str and type(value) is str for name, value in metric.items()):
        raise TypeError
    return tuple(sorted(metric.items()))


def arrays(pairs: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times in ms and values of `[[seconds, "value"], …]`; "NaN", "+Inf" and "-Inf" are numbers too. Raises ValueError, TypeError."""
    count = len(pairs)
    seconds = np.fromiter(map(_time, pairs), np.float64, count)
    values = np.fromiter(map(float, map(_value, pairs)), np.float64, count)
    if not (np.abs(seconds) < MOST_TIME_S).all():  # NaN is not either
        raise ValueError
    return np.rint(seconds * 1000.0).astype(np.int64), values


def _quoted(labels: Labels) -> str:
    text = "{" + ", ".join(f'{name}="{value}"' for name, value in labels) + "}"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _native(metric: Mapping[str, str]) -> str:
    name = str(metric.get("__name__", "a series"))[:200]
    return f"{name} is a native histogram, which has no single values; apply histogram_count() or the like"


_pauses = threading.Lock()
_paused = 0
_was_enabled = False


@contextmanager
def _gc_paused() -> Iterator[None]:
    """Stops cyclic garbage collection while any thread is inside."""
    global _paused, _was_enabled
    with _pauses:
        if _paused == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _paused += 1
    try:
        yield
    finally:
        with _pauses:
            _paused -= 1
            if _paused == 0 and _was_enabled:
                gc.enable()
