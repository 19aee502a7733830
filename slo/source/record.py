"""Saves what definitions need of a source as a recording."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

from slo.errors import SourceError
from slo.limits import asked_for
from slo.promql.ast import VectorSelector
from slo.promql.samples import Samples, Series
from slo.source.base import Source, source_of
from slo.source.recording import Header, write
from slo.spec.model import Slo
from slo.window import moment


def record(
    slos: Iterable[Slo],
    source: Source,
    path: str | os.PathLike[str],
    start_ms: int,
    end_ms: int,
    progress: Callable[[str, int], AbstractContextManager[Callable[[], None]]] = lambda what, steps: nullcontext(
        lambda: None
    ),
) -> Samples:
    """Writes the raw samples of all metrics that SLOs read, start_ms <= time <= end_ms, and returns them.

    Raises SourceError, which names the SLO, and RecordingError.
    """
    if start_ms >= end_ms:
        raise SourceError(f"{path}: the start, {moment(start_ms):%Y-%m-%d %H:%M}, is not before the end")
    # Of each selector the first SLO that asks for it, to be named where that fails.
    selectors: dict[tuple[VectorSelector, str], tuple[str, Source]] = {}
    for slo in slos:
        origin = source_of(source, slo)
        for selector in slo.sli.selectors():
            selectors.setdefault((selector, origin.name), (slo.id, origin))
    series: dict[tuple[tuple[str, str], ...], tuple[str, Series]] = {}
    with progress("recording", len(selectors)) as done:
        for (selector, _), (asking, origin) in selectors.items():
            with asked_for(asking):
                answer = origin.samples([selector], start_ms, end_ms).series
            for line in answer:
                key = tuple(sorted(line.labels.items()))
                other, _ = series.setdefault(key, (origin.name, line))
                if other != origin.name:
                    raise SourceError(
                        f"{other} and {origin.name} both have {dict(key)}, which one recording cannot tell apart"
                    )
            done()
    samples = Samples.from_series((item.labels, item.times, item.values) for _, item in series.values())
    write(path, samples, Header(start_ms, end_ms, source.name))
    return samples
