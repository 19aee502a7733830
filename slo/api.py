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
from slo.budget.recorded import From, checked_from, reading
from slo.notebook import tables_by_label
from slo.review import with_percentiles
from slo.source import Source, open_all
from slo.source import open as _open
from slo.source.counted import CountSource
from slo.spec.load import DICT, TEXT, load_text, to_yaml
from slo.spec.load import load as _load
from slo.spec.model import Objective, Slo, Specs
from slo.spec.presets import folders_added
from slo.spec.read import parse_objective
from slo.window import Window, moment_ms, parse_window, start_of

if TYPE_CHECKING:
    import pandas as pd

    from slo.source.recording import Recording

# A moment: a datetime with a time zone, a text such as 2026-11-20T12:00:00Z, or milliseconds UTC.
When = datetime | int | str
PathLike = str | os.PathLike[str]


def load(definitions: PathLike | Iterable[PathLike] | Mapping[str, Any], *, presets: Iterable[PathLike] = ()) -> Specs:
    """The SLOs of definitions, by `service/name`.

    Args:
        definitions: Files and folders, YAML text (a text of several lines), or a dict as YAML would give it.
        presets: Folders of presets of your own.

    Returns:
        The SLOs. What is only doubtful is in `warnings`.

    Raises:
        DefinitionError: All faults of all files, each with its place.

    Examples:
        >>> slo.load("definitions/")  # doctest: +SKIP
        >>> slo.load({"service": "shop", "slos": [{"name": "up", "objective": 99.9, "sli": {"probe": "up"}}]})
        Specs(shop/up)
    """
    with folders_added(presets):
        if isinstance(definitions, Mapping):
            return load_text(to_yaml(definitions), DICT)
        if isinstance(definitions, str) and "\n" in definitions:
            return load_text(definitions, TEXT)
        return _load(definitions)


def open(source: PathLike | Iterable[PathLike] | Mapping[str, PathLike], *, config: PathLike | None = None) -> Source:
    """A source of samples. No server is asked for anything yet.

    Args:
        source: The http(s) URL of anything with the Prometheus API, or the path of a recording, of a CSV or Parquet file of
            events, or of a SQL query. Of several, each SLO is asked of the one that has its series; of a mapping, of the one that
            is named for its service (or `service/name`; `*` for any text).
        config: The configuration file with credentials and time-outs (docs/sources.md); without it they come from the
            environment.

    Returns:
        The source. It answers for as long as it is kept; nothing needs to be closed.

    Raises:
        SourceError: The address or the file cannot be used.
        ConfigError: The configuration or an environment variable cannot be used.

    Examples:
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
    read: From = "auto",
) -> Budget:
    """The error budget of one SLO at a moment; what if, with `objective` or `window`.

    Args:
        slo: The SLO.
        source: Where its samples are.
        at: The end of its window: a datetime with a time zone, a text such as `2026-11-20T12:00:00Z` (without a zone UTC; Unix seconds too), or
            milliseconds UTC. Without it a recording's end, a server's present.
        objective: Another objective, percent (`99.9`).
        window: Another window (`7d`, `month`).
        read: Where a server's figures come from: `recorded` series, `raw` samples, or `auto`: recorded series where they are whole
            and count what the definition does, raw samples for the rest.

    Returns:
        The budget: events and ratios (0..1).

    Raises:
        SourceError: The source failed, or its answer cannot be used.
        ConfigError: `read` is `recorded`, and the source is no server.
        DurationError: `at` or `window` is not valid.
        ValueError: `objective` is not a percentage between 0 and 100.

    Examples:
        >>> slo.evaluate(specs["shop/availability"], source, objective=99.5, window="7d").remaining  # doctest: +SKIP
    """
    end_ms = source.latest_ms() if at is None else moment_ms(at)
    chosen = reading(source, checked_from(read), at is not None)
    return with_percentiles(_evaluate(what_if(slo, objective, window), chosen, end_ms), chosen)


def what_if(
    slo: Slo, objective: str | float | Decimal | Objective | None = None, window: str | Window | None = None
) -> Slo:
    """The SLO with another objective or window.

    Args:
        slo: The SLO, which stays as it is.
        objective: Its objective, percent (`99.9`); without it that of `slo`.
        window: Its window (`7d`, `month`); without it that of `slo`.

    Returns:
        A new SLO.

    Raises:
        DurationError: `window` is not valid.
        ValueError: `objective` is not a percentage between 0 and 100.
    """
    if objective is not None and not isinstance(objective, Objective):
        objective = parse_objective(str(objective))
    if isinstance(window, str):
        window = parse_window(window)
    return replace(slo, objective=objective or slo.objective, window=window or slo.window)


def breakdown(slo: Slo, source: Source, start: When, end: When) -> Mapping[str, pd.DataFrame]:
    """Who had the bad events between two moments.

    Args:
        slo: The SLO.
        source: Where its samples are.
        start: Events after this moment count: a datetime with a time zone, a text such as `2026-11-20T12:00:00Z` (without a zone UTC; Unix seconds too), or
            milliseconds UTC.
        end: Events up to this moment count, as `start`.

    Returns:
        For each label that has several values a table by value, most bad events first. Columns: `errors`, `total` (events),
            `error_ratio`, `errors_share`, `total_share` (ratios, 0..1). Empty where it is not known by series.

    Raises:
        SourceError: The source failed, or its answer cannot be used.
        DurationError: A moment is not valid.
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

    An SLO's own SLI is not asked. Rows of the same time add up.

    Args:
        frame: The numbers of events, a row per step (and SLO).
        time: The column of where steps begin: datetimes (without a zone UTC), text or Unix seconds.
        total: The column of all events, a number of events.
        good: The column of good events; give this one or `errors`.
        errors: The column of bad events.
        slo: The column of ids such as `shop/availability`; without it all rows are of each SLO.
        step: How long rows are: a duration or milliseconds; without it the shortest distance of two.

    Returns:
        The source.

    Raises:
        SourceError: A column is missing, or holds what is not a time or a number of events.

    Examples:
        >>> source = slo.from_events(frame, good="ok", total="all")  # doctest: +SKIP
        >>> slo.evaluate(specs["shop/availability"], source).remaining  # doctest: +SKIP
    """
    return CountSource.of_frame(frame, time=time, total=total, good=good, errors=errors, slo=slo, step=step)


def record(
    specs: Specs | Iterable[Slo], source: Source, path: PathLike, *, start: When, end: When | None = None
) -> Recording:
    """Saves the raw samples that SLOs need, to repeat an analysis without the server, and opens the recording.

    Args:
        specs: The SLOs.
        source: Where their samples are.
        path: The Parquet file to write; it appears whole or not at all.
        start: The first moment: a datetime with a time zone, a text such as `2026-11-20T12:00:00Z` (without a zone UTC; Unix seconds too), or
            milliseconds UTC; or a duration before the end such as `30d`.
        end: The last moment, as `start`; without it a recording's end, a server's present.

    Returns:
        The recording, which is a source.

    Raises:
        SourceError: The source failed, or its answer cannot be used.
        RecordingError: The file cannot be written or read.
        DurationError: A moment or duration is not valid.
    """
    from slo.source.record import record as save
    from slo.source.recording import Recording

    end_ms = source.latest_ms() if end is None else moment_ms(end)
    save(specs.values() if isinstance(specs, Specs) else specs, source, path, start_of(start, end_ms), end_ms)
    return Recording.open(path)


def simulate(specs: Specs, path: PathLike, *, end: When, days: float = 40, seed: int = 1) -> Recording:
    """Writes a recording of plausible traffic for any definition, with incidents in it, and opens it.

    Args:
        specs: The SLOs.
        path: The Parquet file to write.
        end: The last moment: a datetime with a time zone, a text such as `2026-11-20T12:00:00Z` (without a zone UTC; Unix seconds too), or
            milliseconds UTC.
        days: Its length in days.
        seed: The same seed and end give the same samples.

    Returns:
        The recording, which is a source. What was planted is in its `header.truth`.

    Raises:
        SloError: An SLO cannot be simulated.
        DurationError: `end` is not valid.
    """
    from slo.source.recording import Recording, write
    from slo.source.simulation import simulate as make

    samples, header = make(specs, days=days, seed=seed, end_ms=moment_ms(end))
    write(path, samples, header)
    return Recording.open(path)
