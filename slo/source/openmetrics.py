"""OpenMetrics text of samples, as `promtool tsdb create-blocks-from openmetrics` reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slo.files import replaced
from slo.promql.samples import Samples, Series, is_stale

if TYPE_CHECKING:
    import pyarrow as pa

# Lines that are made at once: a few hundred bytes each, and the result of a join must stay below 2 GiB.
_BLOCK = 250_000
# Beyond this, whole numbers are written as floats are.
_MOST_WHOLE = 2**53
# NaN and the infinities, as the format spells them.
_ODD = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}
_METRIC_NAME = re.compile("[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
# Milliseconds of 13 digits, 2001 to 2286: the point's place is fixed there.
_LEAST_STAMP, _MOST_STAMP = 10**12, 10**13 - 1


def write_openmetrics(path: str | os.PathLike[str], samples: Samples) -> None:
    """Writes all samples but stale markers, which this format cannot carry. Raises OSError.

    Every family is of type `unknown`, so that names need no suffix of a type. Names of any text are quoted, as
    Prometheus 3 reads them.
    """
    families: dict[str, list[Series]] = {}
    for series in samples.series:
        families.setdefault(series.labels.get("__name__", ""), []).append(series)
    with replaced(path) as temporary, temporary.open("wb") as out:
        for name, members in sorted(families.items()):
            shown = name if _METRIC_NAME.fullmatch(name) else f'"{_escape(name)}"'
            out.write(f"# TYPE {shown} unknown\n".encode())
            for series in members:
                out.writelines(_lines(series))
        out.write(b"# EOF\n")


def lines_by_block(series: Series, block_ms: int) -> Iterator[tuple[int, memoryview]]:
    """The lines of a series by the blocks of time that its samples lie in: (start in ms, text as bytes)."""
    times, values = _without_stale(series)
    blocks = times // block_ms
    edges = np.flatnonzero(np.diff(blocks, prepend=blocks[:1] - 1, append=blocks[-1:] + 1)).tolist()
    for low in range(0, len(edges) - 1, _BLOCK // 1000):
        ends = edges[low : low + _BLOCK // 1000 + 1]
        text, places = _text(series, times[ends[0] : ends[-1]], values[ends[0] : ends[-1]])
        for start, end in pairwise(ends):
            yield int(blocks[start]) * block_ms, text[places[start - ends[0]] : places[end - ends[0]]]


def _lines(series: Series) -> Iterator[memoryview]:
    """The lines of a series in blocks of text, each a buffer of bytes."""
    times, values = _without_stale(series)
    for low in range(0, len(times), _BLOCK):
        yield _text(series, times[low : low + _BLOCK], values[low : low + _BLOCK])[0]


def _without_stale(series: Series) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Times and values without stale markers."""
    held = ~is_stale(series.values)
    return series.times[held], series.values[held]


def _text(
    series: Series, times: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[memoryview, NDArray[np.int32]]:
    """Lines as bytes, and where each begins: one place more than lines."""
    import pyarrow as pa
    import pyarrow.compute as pc

    head, nothing = pa.scalar(_head(series) + " "), pa.scalar("")
    text = pc.binary_join_element_wise(head, _numbers(values), " ", _stamps(times), "\n", nothing)
    # The strings of an array lie end to end in one buffer: that is the text.
    _, offsets, characters = text.buffers()
    places = np.frombuffer(offsets, dtype=np.int32)[: len(text) + 1]
    return memoryview(characters)[: places[-1]], places


def _head(series: Series) -> str:
    """A series' name and labels as a line begins with them."""
    labels = dict(series.labels)
    name = labels.pop("__name__", "")
    plain = bool(_METRIC_NAME.fullmatch(name))
    pairs = [] if plain else [f'"{_escape(name)}"']
    for label, value in sorted(labels.items()):
        shown = label if _LABEL_NAME.fullmatch(label) else f'"{_escape(label)}"'
        pairs.append(f'{shown}="{_escape(value)}"')
    return (name if plain else "") + (f"{{{','.join(pairs)}}}" if pairs else "")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _numbers(values: NDArray[np.float64]) -> pa.Array:
    """Values as the shortest text that reads back as the same float64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if bool((np.abs(values) < _MOST_WHOLE).all() and (values == np.floor(values)).all()):
        return pa.array(values.astype(np.int64)).cast(pa.string())
    text = pa.array(values, from_pandas=False).cast(pa.string())
    odd = ~np.isfinite(values)
    if not odd.any():
        return text
    named = pa.array([_ODD[str(value)] for value in values[odd].tolist()], type=pa.string())
    return pc.replace_with_mask(text, pa.array(odd), named)


def _stamps(times: NDArray[np.int64]) -> pa.Array:
    """Milliseconds as seconds with three decimals."""
    import pyarrow as pa

    if not len(times) or int(times[0]) < _LEAST_STAMP or int(times[-1]) > _MOST_STAMP:
        signs = np.where(times < 0, "-", "").tolist()
        parts = zip(signs, np.abs(times).tolist(), strict=True)
        return pa.array([f"{sign}{at // 1000}.{at % 1000:03d}" for sign, at in parts], type=pa.string())
    digits = np.frombuffer(pa.array(times).cast(pa.string()).buffers()[2], dtype=np.uint8, count=13 * len(times))
    text = np.full((len(times), 14), ord("."), dtype=np.uint8)
    text[:, :10], text[:, 11:] = digits.reshape(-1, 13)[:, :10], digits.reshape(-1, 13)[:, 10:]
    offsets = np.arange(0, 14 * len(times) + 1, 14, dtype=np.int32)
    return pa.StringArray.from_buffers(len(times), pa.py_buffer(offsets), pa.py_buffer(text.ravel()))
