"""The functions that `import slo` offers: what the command line does, as Python."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from slo.budget.evaluate import evaluate as _evaluate
from slo.budget.measure import parts_between
from slo.budget.model import Budget
from slo.notebook import tables_by_label
from slo.source import Source, open_all
from slo.source import open as _open
from slo.source.counted import CountSource
from slo.spec.load import DICT, TEXT, load_text, to_yaml
from slo.spec.load import load as _load
from slo.spec.model import Objective, Slo, Specs
from slo.spec.read import parse_objective
from slo.window import Window, moment_ms, parse_window, start_of

if TYPE_CHECKING:
    import pandas as pd

    from slo.source.recording import Recording

# A moment: a datetime with a time zone, a text such as 2026-11-20T12:00:00Z, or milliseconds UTC.
When = datetime | int | str
PathLike = str | os.PathLike[str]


def load(definitions: PathLike | Iterable[PathLike] | Mapping[str, Any]) -> Specs:
    """The SLOs of definitions, by `service/name`: of files and folders, of YAML text, or of a dict as YAML would give it.

    A text of several lines is YAML, any other a path. Raises DefinitionError with every fault; what is only doubtful is in the
    result's `warnings`.

    >>> slo.load("definitions/")  # doctest: +SKIP
    >>> slo.load({"service": "shop", "slos": [{"name": "up", "objective": 99.9, "sli": {"probe": "up"}}]})
    Specs(shop/up)
    """
    if isinstance(definitions, Mapping):
        return load_text(to_yaml(definitions), DICT)
    if isinstance(definitions, str) and "\n" in definitions:
        return load_text(definitions, TEXT)
    return _load(definitions)


def open(source: PathLike | Iterable[PathLike] | Mapping[str, PathLike], *, config: PathLike | None = None) -> Source:
    """A source of samples: the http(s) URL of anything with the Prometheus API, or the path of a recording, of a CSV or Parquet file of
    events, or of a SQL query.

    Of several, each SLO is asked of the one that has its series, or of a mapping of the one that is named for its service (or
    `service/name`; `*` for any text). Credentials come from the environment or from `config`, see docs/sources.md. Raises
    SourceError, ConfigError.

    >>> slo.open({"shop": "http://shop:9090", "*": "http://all:9090"})  # doctest: +SKIP
    """
    place = None if config is None else os.fspath(config)
    if isinstance(source, str | os.PathLike):
        return _open(os.fspath(source), config=place)
    if isinstance(source, Mapping):
        texts = [f"{of}={os.fspath(address)}" for of, address in source.items()]
    else:
        texts = [os.fspath(address) for address in source]
    return open_all(texts, config=place)


def evaluate(
    slo: Slo,
    source: Source,
    *,
    at: When | None = None,
    objective: str | float | Decimal | Objective | None = None,
    window: str | Window | None = None,
) -> Budget:
    """The error budget of one SLO at a moment: a datetime with a time zone, a text such as `2026-11-20T12:00:00Z`, or
    milliseconds UTC. Without `at`: a recording's end, a server's present.

    What if: with `objective` (a percentage, `99.9`) or `window` (`7d`, `month`) it is that of the SLO with these instead of its
    own. Raises SourceError, DurationError, and ValueError for an objective that is none.

    >>> slo.evaluate(specs["shop/availability"], source, objective=99.5, window="7d").remaining  # doctest: +SKIP
    """
    return _evaluate(what_if(slo, objective, window), source, source.latest_ms() if at is None else moment_ms(at))


def what_if(
    slo: Slo, objective: str | float | Decimal | Objective | None = None, window: str | Window | None = None
) -> Slo:
    """The SLO with another objective or window. Raises ValueError, DurationError."""
    if objective is not None and not isinstance(objective, Objective):
        objective = parse_objective(str(objective))
    if isinstance(window, str):
        window = parse_window(window)
    return replace(slo, objective=objective or slo.objective, window=window or slo.window)


def breakdown(slo: Slo, source: Source, start: When, end: When) -> Mapping[str, pd.DataFrame]:
    """Who had the bad events between two moments (as in `evaluate`): for each label that divides the series a table by its values.

    Columns: `errors`, `total` (events), `error_ratio`, `errors_share`, `total_share` (0..1), most bad events first. Raises
    SourceError.
    """
    parts = parts_between(slo, source, moment_ms(start), moment_ms(end))
    return tables_by_label(parts or (), slo.sli.kind_labels)


def from_events(
    frame: pd.DataFrame,
    *,
    time: str = "time",
    total: str = "total",
    good: str | None = None,
    errors: str | None = None,
    slo: str | None = None,
    step: str | int | None = None,
) -> CountSource:
    """A source of numbers of events that were counted elsewhere: a row per step, and if there are several SLOs per step and SLO.

    `time`, `total`, `good` or `errors`, and `slo` name columns. Times are where steps begin: datetimes (without a zone UTC), text
    or Unix seconds; `slo` holds ids such as `shop/availability`. Rows are `step` long (a duration or milliseconds), else as long as the
    shortest distance of two; rows of the same time add up. An SLO's own SLI is not asked. Raises SourceError.

    >>> source = slo.from_events(frame, good="ok", total="all")  # doctest: +SKIP
    >>> slo.evaluate(specs["shop/availability"], source).remaining  # doctest: +SKIP
    """
    return CountSource.of_frame(frame, time=time, total=total, good=good, errors=errors, slo=slo, step=step)


def record(
    specs: Specs | Iterable[Slo], source: Source, path: PathLike, *, start: When, end: When | None = None
) -> Recording:
    """Saves the raw samples that SLOs need from `start` (a moment, or a duration before the end such as `30d`) to `end`, to
    repeat an analysis without the server; and opens the recording. Raises SourceError, RecordingError, DurationError."""
    from slo.source.record import record as save
    from slo.source.recording import Recording

    end_ms = source.latest_ms() if end is None else moment_ms(end)
    save(specs.values() if isinstance(specs, Specs) else specs, source, path, start_of(start, end_ms), end_ms)
    return Recording.open(path)


def simulate(specs: Specs, path: PathLike, *, end: When, days: float = 40, seed: int = 1) -> Recording:
    """Writes a recording of plausible traffic for any definition, with incidents in it, and opens it.

    What was planted is in the recording's `header.truth`. Raises SloError.
    """
    from slo.source.recording import Recording, write
    from slo.source.simulation import simulate as make

    samples, header = make(specs, days=days, seed=seed, end_ms=moment_ms(end))
    write(path, samples, header)
    return Recording.open(path)
