"""`slo record`."""

from __future__ import annotations

from typing import Annotated

import typer

from slo.cli.inputs import keep_apart, load, open_sources, places, read_start, read_time, selection
from slo.cli.output import count, progress
from slo.cli.program import (
    FINE,
    Config,
    End,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    Output,
    Paths,
    Sources,
    command,
)
from slo.errors import ConfigError


@command("slo record definitions/ -s http://localhost:9090 --start 2026-11-01T00:00:00Z -o november.parquet")
def record(
    paths: Paths,
    start: Annotated[
        str,
        typer.Option(
            "--start",
            metavar="TIME",
            help="2026-11-01T00:00:00Z, Unix seconds, or a duration before the end such as 30d.",
        ),
    ],
    output: Output,
    source: Sources = None,
    end: End = None,
    config: Config = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
) -> int:
    """Save the raw samples that the definitions need, to repeat and share an analysis without the server."""
    from slo.source.record import record as save
    from slo.spec.select import select

    every = load(paths)
    origin = open_sources(source, config)
    keep_apart([output], every, places(origin))
    specs = select(every, selection(service, slo, owner, label))
    end_ms = origin.latest_ms() if end is None else read_time(end, "--end")
    start_ms = read_start(start, end_ms)
    if start_ms >= end_ms:
        raise ConfigError(f"--start {start} is not before the end")
    samples = save(specs.values(), origin, output, start_ms, end_ms, progress)
    size = count(sum(len(series.times) for series in samples.series), "sample")
    print(f"{output}: {count(len(samples.series), 'series', 'series')}, {size}")
    return FINE
