"""`slo ledger`: what was counted, kept for years."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slo.cli.inputs import load, open_sources, read_start, read_time, selection
from slo.cli.output import count, progress, say, show
from slo.cli.program import (
    BAD_INPUT,
    FINE,
    AsJson,
    Config,
    End,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    Paths,
    Scheduler,
    Shard,
    Sources,
    app,
    command,
)
from slo.errors import ConfigError

if TYPE_CHECKING:
    from slo.cli.spreading import Origin
    from slo.ledger.job import Updated
    from slo.spec.model import Slo

ledger = typer.Typer(
    name="ledger",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What was counted, kept for years as Parquet: write it, report on quarters and years, query and check it.",
    epilog="Example: slo ledger report --ledger ledger/ --quarter 2026Q1",
)
app.add_typer(ledger, name="ledger")

Place = Annotated[
    str,
    typer.Option(
        "--ledger",
        "-l",
        metavar="PLACE",
        help="A folder, or an address such as s3://bucket/ledger.",
        envvar="SLO_LEDGER",
    ),
]


@command("slo ledger update definitions/ -s http://localhost:9090 --ledger ledger/", of=ledger)
def update(
    paths: Paths,
    place: Place,
    source: Sources = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="2026-11-01T00:00:00Z, Unix seconds, or a duration before the end such as 30d. [default: where the ledger ends, else 35d]",
        ),
    ] = None,
    end: End = None,
    config: Config = None,
    shard: Shard = None,
    scheduler: Scheduler = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
) -> int:
    """Add what a source counts now to the ledger; the same again changes nothing."""
    from slo.ledger.job import Updated
    from slo.ledger.store import shown

    specs = load(paths, selection(service, slo, owner, label), shard)
    origin = open_sources(source, config)
    end_ms = origin.latest_ms() if end is None else read_time(end, "--end")
    start_ms = None if start is None else read_start(start, end_ms)
    if start_ms is not None and start_ms >= end_ms:
        raise ConfigError(f"--start {start} is not before the end")
    services: dict[str, list[Slo]] = {}
    for spec in specs.values():
        services.setdefault(spec.service, []).append(spec)
    if scheduler is None:
        from slo.ledger.job import update as run

        with progress("counting", len(specs)) as advance:
            done = run(list(specs.values()), origin, place, start_ms, end_ms, advance)
    else:
        from slo.cli.spreading import Origin, close
        from slo.spread import spread

        there = Origin(tuple(source or ()), config)
        tasks = [LedgerTask(tuple(own), there, place, start_ms, end_ms) for own in services.values()]
        with progress("counting", len(tasks)) as advance:
            parts = spread(updated, tasks, scheduler, advance, close)
        done = Updated(sum(part.slos for part in parts), sum(part.steps for part in parts))
    say(f"{count(done.steps, 'step')} of {count(done.slos, 'SLO')} in {shown(place)}")
    return FINE


@dataclass(frozen=True)
class LedgerTask:
    """An update of one service, as a worker of a cluster gets it."""

    slos: tuple[Slo, ...]
    origin: Origin
    place: str
    start_ms: int | None
    end_ms: int


def updated(task: LedgerTask) -> Updated:
    """Does an update where it runs. Raises SourceError, ConfigError, OSError."""
    from slo.ledger.job import update as run

    return run(task.slos, task.origin.open(), task.place, task.start_ms, task.end_ms)


@command("slo ledger report --ledger ledger/ --quarter 2026Q1", of=ledger)
def report(
    place: Place,
    quarter: Annotated[str | None, typer.Option("--quarter", metavar="QUARTER", help="Such as 2026Q1.")] = None,
    year: Annotated[str | None, typer.Option("--year", metavar="YEAR", help="Such as 2026.")] = None,
    month: Annotated[str | None, typer.Option("--month", metavar="MONTH", help="Such as 2026-03.")] = None,
    zone: Annotated[
        str, typer.Option("--zone", metavar="ZONE", help="Whose midnights: an IANA name such as Europe/Berlin.")
    ] = "UTC",
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A file instead: .md, .csv or .json.")
    ] = None,
) -> int:
    """A quarter, a year or a month from the ledger alone: events, SLI and error budget of every SLO, the worst first."""
    from rich.table import Table

    from slo.files import write_text
    from slo.ledger import periods
    from slo.ledger import report as form
    from slo.ledger.ledger import Ledger
    from slo.ledger.store import shown
    from slo.ledger.sums import sums

    given = [
        (make, text)
        for make, text in ((periods.quarter, quarter), (periods.year, year), (periods.month, month))
        if text is not None
    ]
    if len(given) != 1:
        raise ConfigError("give one of --quarter 2026Q1, --year 2026 and --month 2026-03")
    suffix = "" if output is None else output.suffix.lstrip(".").lower()
    if output is not None and suffix not in form.FORMATS:
        raise ConfigError(f"{output}: a file that ends in .{', .'.join(form.FORMATS)} is expected")
    span = given[0][0](given[0][1], zone)
    rows = sums(Ledger(place).store, span.edges)
    if not rows:
        raise ConfigError(f"{shown(place)}: the ledger has nothing of {span.name}")
    if output is not None:
        write_text(output, form.texts(rows, span, suffix))
        say(f"{count(len(rows), 'SLO')} in {output}")
    elif as_json:
        sys.stdout.write(form.as_json(rows, span))
    else:
        head, *body = form.table(rows, span)
        table = Table(*head, box=None)
        for cells in body:
            table.add_row(*cells)
        show(table)
        say(form.summary(rows))
        for note in form.notes(rows):
            say(note)
    return FINE


@command("slo ledger sql --ledger ledger/ 'SELECT slo, sum(errors) FROM days GROUP BY slo'", of=ledger)
def sql(
    text: Annotated[str, typer.Argument(metavar="SQL", help="A query of the tables steps and days.")],
    place: Place,
) -> int:
    """Ask the ledger in SQL, by DuckDB (extra duckdb); the answer is CSV."""
    import pyarrow as pa
    import pyarrow.csv

    from slo.ledger.query import query

    out = pa.BufferOutputStream()
    pyarrow.csv.write_csv(query(place, text), out)
    sys.stdout.write(out.getvalue().to_pybytes().decode())
    return FINE


@command("slo ledger check --ledger ledger/", of=ledger)
def check(place: Place) -> int:
    """Verify every partition: its checksums, and that days are the sums of their steps."""
    from slo.ledger.ledger import Ledger
    from slo.ledger.store import shown

    wrong = list(Ledger(place).check())
    for problem in wrong:
        say(problem)
    say(
        f"{count(len(wrong), 'partition')} of {shown(place)} {'is' if len(wrong) == 1 else 'are'} wrong"
        if wrong
        else f"{shown(place)}: all partitions are whole"
    )
    return BAD_INPUT if wrong else FINE
