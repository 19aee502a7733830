"""`slo simulate`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from slo.cli.inputs import keep_apart, load, read_time
from slo.cli.output import count, progress
from slo.cli.program import FINE, Output, Paths, command
from slo.files import write_text
from slo.window import DAY, moment_ms


@command("slo simulate definitions/ --days 40 --seed 1 -o recording.parquet")
def simulate(
    paths: Paths,
    output: Output,
    days: Annotated[float, typer.Option("--days", metavar="DAYS", help="How many days.", min=0.05, max=400)] = 40.0,
    seed: Annotated[
        int, typer.Option("--seed", metavar="NUMBER", help="The same seed gives the same samples.", min=0)
    ] = 1,
    end: Annotated[
        str | None,
        typer.Option("--end", metavar="TIME", help="Where the samples end. [default: the last midnight UTC]"),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option("--scenario", metavar="FILE", help="What goes wrong, from a file, instead of by chance."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            "--events",
            metavar="FILE",
            help="Write the scenario's deployments and maintenance, for slo report --events.",
        ),
    ] = None,
    openmetrics: Annotated[
        bool, typer.Option("--openmetrics", help="OpenMetrics text, for promtool tsdb create-blocks-from.")
    ] = False,
) -> int:
    """Make a recording of plausible traffic for any definition, with incidents planted in it."""
    from slo.source.openmetrics import write_openmetrics
    from slo.source.recording import write
    from slo.source.simulation import simulate as make
    from slo.source.simulation.scenario import Scenario, known_events, read_scenario

    specs = load(paths)
    keep_apart([output, *([] if events is None else [events])], specs, [] if scenario is None else [scenario])
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end_ms = moment_ms(midnight) if end is None else read_time(end, "--end")
    with progress("simulating", 0):
        written = None if scenario is None else read_scenario(scenario, specs)
        samples, header = make(specs, days=days, seed=seed, end_ms=end_ms, scenario=written)
        if openmetrics:
            write_openmetrics(output, samples)
        else:
            write(output, samples, header)
    if events is not None:
        write_text(events, known_events(written or Scenario(), specs, end_ms - round(days * DAY), end_ms))
    points = sum(len(series.times) for series in samples.series)
    print(f"{output}: {count(len(samples.series), 'series', 'series')}, {count(points, 'sample')}, seed {seed}")
    return FINE
