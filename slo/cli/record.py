"""`slo record`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from slo.cli.inputs import keep_apart, load, open_source, read_start, read_time, selection
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
    SourceName,
    command,
)
from slo.errors import ConfigError, named


@command("slo record definitions/ -s http://localhost:9090 --start 2026-11-01T00:00:00Z -o november.parquet")
def record(
    paths: Paths,
    source: SourceName,
    start: Annotated[
        str,
        typer.Option(
            "--start",
            metavar="TIME",
            help="2026-11-01T00:00:00Z, Unix seconds, or a duration before the end such as 30d.",
        ),
    ],
    output: Output,
    end: End = None,
    config: Config = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
) -> int:
    """Save the raw samples that the definitions need, to repeat and share an analysis without the server."""
    from slo.promql.samples import Samples
    from slo.source.recording import Header, write
    from slo.spec.select import select

    every = load(paths)
    keep_apart([output], every, [Path(source)])
    specs = select(every, selection(service, slo, owner, label))
    origin = open_source(source, config)
    end_ms = origin.latest_ms() if end is None else read_time(end, "--end")
    start_ms = read_start(start, end_ms)
    if start_ms >= end_ms:
        raise ConfigError(f"--start {start} is not before the end")
    # Of each selector the first SLO that asks for it, to be named where that fails.
    selectors: dict[Any, str] = {}
    for each in specs.values():
        for selector in each.sli.selectors():
            selectors.setdefault(selector, each.id)
    series: dict[tuple[tuple[str, str], ...], Any] = {}
    with progress("recording", len(selectors)) as advance:
        for selector, asking in selectors.items():
            with named(asking):
                found = origin.samples([selector], start_ms, end_ms).series
            for one in found:
                series[tuple(sorted(one.labels.items()))] = (one.labels, one.times, one.values)
            advance()
    samples = Samples.from_series(series.values())
    write(output, samples, Header(start_ms, end_ms, origin.name))
    print(
        f"{output}: {count(len(samples.series), 'series', 'series')}, {count(sum(len(s.times) for s in samples.series), 'sample')}"
    )
    return FINE
