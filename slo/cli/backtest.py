"""`slo backtest`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slo.cli.inputs import load, open_sources, opener, read_pair, read_start, read_time, selection
from slo.cli.output import print_json, progress, say, show
from slo.cli.program import (
    FINE,
    AsJson,
    Config,
    End,
    Jobs,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    Scheduler,
    Shard,
    Sources,
    command,
)
from slo.errors import ConfigError

if TYPE_CHECKING:
    from slo.backtest import Backtest


@command("slo backtest definitions/ --source recording.parquet --policy policies/calm.yaml -o out")
def backtest(
    source: Sources = None,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Definition files, or folders of them.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="2026-11-01T00:00:00Z, Unix seconds, or a duration before the end such as 30d. "
            "[default: all of a recording, 30d of a server]",
        ),
    ] = None,
    end: End = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option("--policy", metavar="FILE", help="A policy file: changes to the definitions; may be repeated."),
    ] = None,
    rules_file: Annotated[
        list[Path] | None, typer.Option("--rules", metavar="FILE", help="Any Prometheus rules file; may be repeated.")
    ] = None,
    incidents: Annotated[
        str | None,
        typer.Option(
            "--incidents",
            metavar="FILE",
            help="A YAML or CSV file, `planted` (by the simulation) or `found` (in the SLI). "
            "[default: planted where there are some, else found]",
        ),
    ] = None,
    burn_rate: Annotated[
        float,
        typer.Option("--burn-rate", metavar="RATE", help="From which burn rate on an incident is found.", min=1.0),
    ] = 2.0,
    pages: Annotated[
        list[str] | None,
        typer.Option(
            "--pages",
            metavar="NAME=VALUE",
            help="A label of alerts in rules files that wake somebody, such as severity=pageteam; may be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="A folder for backtest.html and backtest.json."),
    ] = None,
    config: Config = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
    shard: Shard = None,
    scheduler: Scheduler = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> int:
    """What alerts would have done on history: incidents caught, how late, pages a week."""
    from slo.backtest import run
    from slo.backtest.export import as_data
    from slo.files import write_text
    from slo.report.backtests import render_backtest
    from slo.spec.model import Specs

    specs = load(paths, selection(service, slo, owner, label), shard) if paths else Specs([])
    origin = open_sources(source, config)
    end_ms = origin.latest_ms() if end is None else read_time(end, "--end")
    asked: dict[str, Any] = {
        "policies": policy or (),
        "rules": rules_file or (),
        "start": None if start is None else read_start(start, end_ms),
        "end": end_ms,
        "incidents": incidents,
        "burn_rate": burn_rate,
        "pages": [read_pair(text, "--pages") for text in pages or ()],
    }
    if scheduler is not None:
        from slo.cli.spreading import backtest as spread_backtest

        if rules_file:
            raise ConfigError(
                "--scheduler gives each service to a worker, and rules files are of all; leave --rules or --scheduler out"
            )
        result = spread_backtest(specs, source, config, asked, scheduler)
    else:
        with progress("running the rules over history", len(specs) * (2 + len(policy or ()))) as done:
            result = run(specs, origin, **asked, done=done, jobs=jobs, opened=opener(source, config))
    if output is not None:
        page = render_backtest(result, title="Backtest of alerts", generated=datetime.now(UTC))
        write_text(output / "backtest.html", page)
        write_text(output / "backtest.json", json.dumps(as_data(result), indent=1, ensure_ascii=False) + "\n")
        say(f"{output / 'backtest.html'}, {output / 'backtest.json'}")
    if as_json:
        print_json(as_data(result))
    else:
        _show(result)
    return FINE


def _show(result: Backtest) -> None:
    from rich.table import Table
    from rich.text import Text

    from slo.backtest.export import verdict
    from slo.report.backtests import SCORE_COLUMNS, missed, score_row

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("SLO", overflow="fold", min_width=20)
    several = len(result.policies) > 1
    for column in SCORE_COLUMNS[0 if several else 1 :]:
        table.add_column(column, justify="left" if column == "policy" else "right", no_wrap=True)
    names = list(result.policies[0].outcomes)
    for number, name in enumerate([*names, None]):
        for played in result.policies:
            score = played.score if name is None else played.outcomes[name].score
            row = score_row(played.name, score)[0 if several else 1 :]
            table.add_row(Text("all" if name is None else name or "alerts"), *map(Text, row))
        if several and number < len(names):
            table.add_section()
    show(table, *(Text(line, style="dim") for line in missed(result)), Text(verdict(result)))
    for played in result.policies:
        for problem in played.problems:
            say(f"{played.name}: {problem}")
