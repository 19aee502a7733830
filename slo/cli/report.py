"""`slo report`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from slo.cli.inputs import evaluate, load, open_source, read_states, selection, verdict
from slo.cli.output import progress
from slo.cli.program import (
    Config,
    End,
    Gate,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    OnlyState,
    Paths,
    SourceName,
    command,
)

# A report compares with how things stood a week before.
SINCE_MS = 7 * 86_400_000


class ReportFormat(StrEnum):
    """What a report can be written as; all hold the same figures."""

    HTML = "html"
    MARKDOWN = "markdown"
    JSON = "json"
    CSV = "csv"


@command("slo report definitions/ --source recording.parquet -o reports/out")
def report(
    paths: Paths,
    source: SourceName,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write index.html to.")
    ],
    end: End = None,
    config: Config = None,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="The page's title.")] = "Error budgets",
    form: Annotated[
        list[ReportFormat] | None,
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
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
    state: OnlyState = None,
    gate: Gate = False,
) -> int:
    """Write the report: a self-contained HTML file, from 10 SLOs on a folder of them; or the same figures in other formats."""
    from slo.budget.breakdown import with_breakdown
    from slo.budget.events import with_events
    from slo.budget.past import with_past
    from slo.files import write_pages, write_text
    from slo.report import render_pages, to_csv, to_json, to_markdown
    from slo.report.values import values_of
    from slo.spec.events import read_events

    only, states = selection(service, slo, owner, label), read_states(state)
    specs = load(paths, only)
    known = () if events is None else read_events(events)
    origin = open_source(source, config)
    budgets = with_events(evaluate(specs, origin, end, only, states), known)
    with progress("comparing", 2 * len(budgets)) as advance:
        budgets = with_breakdown(with_past(budgets, origin, SINCE_MS, done=advance), origin, advance)
    head: dict[str, Any] = {"title": title, "generated": datetime.now(UTC), "warnings": specs.warnings}
    texts: dict[Path, str] = {}
    pages: dict[str, str] = {}
    with progress("drawing", 0):
        for one in dict.fromkeys(form or [ReportFormat.HTML]):
            match one:
                case ReportFormat.HTML:
                    pages = render_pages(budgets, values=values_of(budgets, origin), **head)
                case ReportFormat.MARKDOWN:
                    texts[output / "report.md"] = to_markdown(budgets, **head)
                case ReportFormat.JSON:
                    texts[output / "report.json"] = to_json(budgets, **head)
                case ReportFormat.CSV:
                    texts[output / "report.csv"] = to_csv(budgets)
    if pages:
        write_pages(output, pages)
        print(output / "index.html")
    for path, text in texts.items():
        write_text(path, text)
        print(path)
    return verdict(budgets, gate)
