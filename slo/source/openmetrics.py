"""OpenMetrics text of samples, as `promtool tsdb create-blocks-from openmetrics` reads it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from slo.files import replaced
from slo.promql.samples import Samples, Series, is_stale

_BLOCK = 200_000


def write_openmetrics(path: str | os.PathLike[str], samples: Samples) -> None:
    """Writes all samples but stale markers, which this format cannot carry. Raises OSError.

    Every family is of type `unknown`, so that names need no suffix of a type.
    """
    families: dict[str, list[Series]] = {}
    for series in samples.series:
        families.setdefault(series.labels.get("__name__", ""), []).append(series)
    with replaced(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        for name, members in sorted(families.items()):
            out.write(f"# TYPE {name} unknown\n")
            for series in members:
                out.writelines(_lines(name, series))
        out.write("# EOF\n")


def _lines(name: str, series: Series) -> Iterator[str]:
    labels = ",".join(
        f'{label}="{_escape(value)}"' for label, value in sorted(series.labels.items()) if label != "__name__"
    )
    head = f"{name}{{{labels}}} " if labels else f"{name} "
    held = ~is_stale(series.values)
    times, values = series.times[held], series.values[held]
    whole = bool(np.isfinite(values).all() and (np.abs(values) < 2**53).all() and (values == np.floor(values)).all())
    for low in range(0, len(times), _BLOCK):
        stamps = times[low : low + _BLOCK].tolist()
        part = values[low : low + _BLOCK]
        texts = map(str, part.astype(np.int64).tolist()) if whole else map(_number, part.tolist())
        yield "".join([f"{head}{text} {at // 1000}.{at % 1000:03d}\n" for text, at in zip(texts, stamps, strict=True)])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
