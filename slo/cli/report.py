"""`slo report`."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from slo.cli.inputs import (
    keep_apart,
    load,
    open_sources,
    opener,
    places,
    read_states,
    read_time,
    review,
    selection,
    verdict,
)
from slo.cli.output import progress
from slo.cli.program import (
    Config,
    End,
    From,
    Gate,
    Jobs,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    OnlyState,
    Paths,
    Scheduler,
    Shard,
    Sources,
    command,
)
from slo.errors import ConfigError


@command("slo report definitions/ --source recording.parquet -o reports/out")
def report(
    paths: Paths,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write index.html to.")
    ],
    source: Sources = None,
    end: End = None,
    config: Config = None,
    read: From = "auto",
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="The page's title.")] = "Error budgets",
    form: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="html (index.html), markdown, json, csv (report.*); may be repeated. [default: html]",
        ),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            "--events", metavar="FILE", help="Known incidents, deployments and planned maintenance: a YAML or CSV file."
        ),
    ] = None,
    contributors: Annotated[
        int | None,
        typer.Option(
            "--contributors",
            metavar="N",
            min=0,
            help="Of how many SLOs, the worst first, a server is asked for raw samples: for top contributors and, where figures are of "
            "recorded series, percentiles. With --scheduler of all, or with 0 of none. [default: all up to 50 SLOs, of more the 10 worst]",
        ),
    ] = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
    state: OnlyState = None,
    shard: Shard = None,
    scheduler: Scheduler = None,
    jobs: Jobs = None,
    gate: Gate = False,
) -> int:
    """Write the report: a self-contained HTML file, from 10 SLOs on a folder of them; or the same figures in other formats."""
    from slo.budget.recorded import checked_from
    from slo.report.formats import Head, files, format_of, write_files
    from slo.report.values import values_of

    if not title.strip() or any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in title):
        raise ConfigError(f"--title {title[:100]!r}: a title is one line of text, without control characters")
    only, states = selection(service, slo, owner, label), read_states(state)
    checked_from(read)
    formats = list(dict.fromkeys(form or ["html"]))
    for name in formats:
        format_of(name)  # a wrong one is said before the source is asked
    specs = load(paths, only, shard)
    origin = open_sources(source, config)
    reported = () if events is None else events
    if scheduler is None:
        # Of the past a report shows the figures.
        many = {"jobs": jobs, "opened": opener(source, config), "past_steps": False, "breakdown": contributors}
        budgets = review(specs, origin, end, only, states, events=reported, read=checked_from(read), **many)
    else:
        from slo.cli.spreading import review as spread_review

        at_ms = origin.latest_ms() if end is None else read_time(end, "--end")
        budgets = spread_review(
            specs, source, config, at_ms, only, states, reported, scheduler, checked_from(read), contributors != 0
        )
    with progress("reading values", 0):
        values = values_of(budgets, origin) if "html" in formats else {}
    texts = files(budgets, formats, Head(title, datetime.now(UTC), specs.warnings, values=values))
    keep_apart(
        [output / name for name in texts], specs, [*places(origin), *(item for item in (events, config) if item)]
    )
    with progress("drawing", len(budgets)) as done:
        paths = write_files(output, texts, jobs, done)
    for path in paths:
        print(path)
    return verdict(budgets, gate)
