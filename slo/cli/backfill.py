"""`slo backfill`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slo.cli.inputs import by_source, keep_apart, load, open_sources, opener, places, read_start, read_time, selection
from slo.cli.output import count, progress, say
from slo.cli.program import (
    FINE,
    Config,
    End,
    Jobs,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    Paths,
    RulesNames,
    Sources,
    command,
)

if TYPE_CHECKING:
    from slo.rules import Names
    from slo.source import Source
    from slo.spec.model import Specs


@command("slo backfill definitions/ -s http://localhost:9090 -o backfill")
def backfill(
    paths: Paths,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="The folder for OpenMetrics files, of a block of 18 hours each; of several sources it has a folder for each.",
        ),
    ],
    source: Sources = None,
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
    jobs: Jobs = None,
    remote_write: Annotated[
        str | None,
        typer.Option(
            "--remote-write",
            metavar="URL",
            help="Send the history to a server instead, such as http://host:9090/api/v1/write; the folder keeps how far it came.",
        ),
    ] = None,
) -> int:
    """History for new rules: what they would have recorded, from the raw samples of a source."""
    from slo.backfill import backfill as run
    from slo.rules import NAMES
    from slo.spec.select import select

    every = load(paths)
    origin = open_sources(source, config)
    keep_apart([output], every, places(origin))
    specs = select(every, selection(service, slo, owner, label))
    end_ms = origin.latest_ms() if end is None else read_time(end, "--end")
    if remote_write is None:
        end_ms = _on_disk(end_ms, datetime.now(UTC))
    longest = max((spec.window.nominal_ms for spec in specs.values()), default=0)
    start_ms = end_ms - longest if start is None else read_start(start, end_ms)
    if remote_write is not None:
        fixed = (None if start is None else start_ms, None if end is None else end_ms)
        return _send(specs, origin, remote_write, config, output, (start_ms, end_ms), fixed, NAMES[names.value])
    asked = by_source(specs, origin)
    # Blocks are for the server that has the raw samples, and that these rules are loaded at.
    folders = [output] if len(asked) == 1 else [output / name for name in _folders([own.name for own, _ in asked])]
    with progress("computing history", len(specs)) as advance:
        outcomes = [
            run(some, own, folder, start_ms, end_ms, NAMES[names.value], advance, jobs, opener(source, config))
            for (own, some), folder in zip(asked, folders, strict=True)
        ]
    for outcome in outcomes:
        for name in outcome.empty:
            say(f"{name}: nothing to fill: its history is there, or the source has no samples of it")
    for (own, _), folder, outcome in zip(asked, folders, outcomes, strict=True):
        if not outcome.files:
            continue
        made = f"{count(outcome.samples, 'sample')} of {count(outcome.series, 'series', 'series')}"
        say(f"{made} in {count(len(outcome.files), 'file')}: {folder}")
        where = "the server" if len(asked) == 1 else own.name
        say(
            f"load them where the data folder of {where} is, which it looks at once a minute:\n"
            f'  for file in {shlex.quote(str(folder))}/*.om; do promtool tsdb create-blocks-from openmetrics --max-block-duration=18h "$file" /var/lib/prometheus; done'
        )
    return FINE


def _on_disk(end_ms: int, now: datetime) -> int:
    """The end, or until when every server has its samples in blocks: what is newer is in memory and in a log, of which a server
    reads at its next start only what lies behind the last of all blocks."""
    from slo.window import HOUR, moment, moment_ms

    until_ms = (moment_ms(now) - 3 * HOUR) // (2 * HOUR) * 2 * HOUR
    if end_ms <= until_ms:
        return end_ms
    say(
        f"history up to {moment(until_ms):%Y-%m-%d %H:%M} UTC: what is newer a server has in memory, and would forget, with the raw samples, at "
        "its next start if a block reached into it; run this again later for the rest, or send it by --remote-write"
    )
    return until_ms


def _send(
    specs: Specs,
    source: Source,
    url: str,
    config: Path | None,
    folder: Path,
    span: tuple[int, int],
    fixed: tuple[int | None, int | None],
    names: Names,
) -> int:
    """Sends history to a server; without a start and an end of its own a run that was stopped goes on with its former ones."""
    from slo.backfill import remote

    receiver = remote.Receiver.open(url, config)
    former = remote.unfinished(folder, remote.key(specs, source, receiver, names))
    if former is not None and all(given in (None, then) for given, then in zip(fixed, former, strict=True)):
        span = former
    with progress("sending history", len(specs)) as advance:
        outcome = remote.send(specs, source, receiver, folder, *span, names, advance)
    for name in outcome.empty:
        say(f"{name}: nothing to fill: its history is there, or the source has no samples of it")
    if outcome.before:
        journal = folder / remote.JOURNAL
        say(
            f"{count(len(outcome.before), 'SLO')} had been sent already, as {journal} has it; remove it to send them again"
        )
    if outcome.damaged:
        lines = ", ".join(map(str, outcome.damaged[:5])) + ("…" if len(outcome.damaged) > 5 else "")
        say(
            f"{folder / remote.JOURNAL}: damaged in line {lines}, and left out: what only that says was sent may have been sent again"
        )
    say(f"{count(outcome.samples, 'sample')} of {count(outcome.series, 'series', 'series')} sent to {receiver.name}")
    receiver.close()
    return FINE


def _folders(names: Sequence[str]) -> list[str]:
    """A folder for each source, of its name without what paths do not have; a number where two would be the same."""
    folders: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9.-]+", "-", name.rpartition("://")[2]).strip("-.") or "source"
        folders.append(plain if plain not in folders else f"{plain}-{len(folders) + 1}")
    return folders
