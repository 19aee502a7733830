"""`slo weekly`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from slo.cli.inputs import read_time
from slo.cli.output import say
from slo.cli.program import command
from slo.window import moment_ms


@command("slo weekly reports/weekly.yaml")
def weekly(
    path: Annotated[Path, typer.Argument(metavar="CONFIG", help="The job's configuration.")],
    now: Annotated[
        str | None,
        typer.Option("--now", metavar="TIME", help="The moment of the run: 2026-11-20T12:00:00Z. [default: now]"),
    ] = None,
) -> int:
    """Report on the last whole week, month or quarter, once; make up for missed ones; deliver."""
    from slo.weekly import read_config, run

    def log(event: str, fields: Mapping[str, Any]) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        say(json.dumps({"time": at, "event": event, **fields}, ensure_ascii=False))

    now_ms = moment_ms(datetime.now(UTC)) if now is None else read_time(now, "--now")
    return run(read_config(path), now_ms, log, by_clock=now is None)
