"""`slo backfill`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from slo.cli.inputs import keep_apart, load, open_source, read_start, read_time, selection
from slo.cli.output import count, progress, say
from slo.cli.program import (
    FINE,
    Config,
    End,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    Paths,
    RulesNames,
    SourceName,
    command,
)


@command("slo backfill definitions/ -s http://localhost:9090 -o backfill")
def backfill(
    paths: Paths,
    source: SourceName,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The folder for OpenMetrics files of two hours each."),
    ],
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="2026-11-01T00:00:00Z, Unix seconds, or a duration before the end such as 30d. "
            "[default: the longest window of the SLOs before the end]",
        ),
    ] = None,
    end: End = None,
    names: Annotated[
        RulesNames, typer.Option("--names", help="The names of recorded series and labels: our own or Sloth's.")
    ] = RulesNames.OWN,
    config: Config = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
) -> int:
    """History for new rules: what they would have recorded, from the raw samples of a source."""
    from slo.backfill import backfill as run
    from slo.rules import NAMES
    from slo.spec.select import select

    every = load(paths)
    keep_apart([output], every, [Path(source)])
    specs = select(every, selection(service, slo, owner, label))
    origin = open_source(source, config)
    end_ms = origin.latest_ms() if end is None else read_time(end, "--end")
    longest = max((spec.window.nominal_ms for spec in specs.values()), default=0)
    start_ms = end_ms - longest if start is None else read_start(start, end_ms)
    with progress("computing history", len(specs)) as advance:
        outcome = run(specs, origin, output, start_ms, end_ms, NAMES[names.value], advance)
    for name in outcome.empty:
        say(f"{name}: nothing to fill: its history is there, or the source has no samples of it")
    if not outcome.files:
        return FINE
    made = f"{count(outcome.samples, 'sample')} of {count(outcome.series, 'series', 'series')}"
    say(f"{made} in {count(len(outcome.files), 'file')}: {output}")
    folder = shlex.quote(str(output))
    say(
        "load them where the server's data folder is, which it looks at once a minute:\n"
        f'  for file in {folder}/*.om; do promtool tsdb create-blocks-from openmetrics "$file" /var/lib/prometheus; done'
    )
    return FINE
