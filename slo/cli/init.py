"""`slo init`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from slo.cli.inputs import open_source
from slo.cli.output import say
from slo.cli.program import FINE, Config, command
from slo.errors import ConfigError


@command("slo init nginx-ingress/availability -o definitions/web.yaml; slo init --source http://localhost:9090")
def init(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND|PRESET]",
            help="ratio, latency, probe, raw, threshold, freshness or outage, or a preset (`slo explain presets`). [default: ratio]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The definition to write. [default: standard output]"),
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", metavar="NAME", help="The service's name. [default: my-service]")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            metavar="URL|FILE",
            help="A server or recording: propose SLOs for the metrics that it has.",
        ),
    ] = None,
    config: Config = None,
) -> int:
    """Write a commented definition to start from, or propose SLOs for the metrics of a server."""
    from slo.files import write_text
    from slo.guide.kinds import KIND_GUIDES, definition_of
    from slo.guide.presets import preset_text
    from slo.spec import presets
    from slo.spec.document import is_name
    from slo.suggest import suggest

    preset = None
    if kind is not None and kind not in KIND_GUIDES:
        known, name = presets.names(), kind.removeprefix("preset/")
        if name not in known:
            raise ConfigError(f"{kind!r} is not a kind of SLI, or a preset{suggest(name, [*KIND_GUIDES, *known])}")
        if source:
            raise ConfigError(
                "a preset knows its metrics; leave --source out, and ask the server with `slo check --source`"
            )
        preset = presets.load(name)
    if service is not None and not is_name(service):
        raise ConfigError(
            f"--service {service[:100]!r} is not a valid name: letters, digits, `-`, `_` and `.` are accepted, 100 at most, letters or digits first and last"
        )
    if output is not None and output.is_file():  # a pipe or a device is written to
        raise ConfigError(f"{output} exists already; name another file")
    if preset is not None:
        text = preset_text(preset, service or "my-service")
    elif not source:
        text = definition_of(kind or "ratio", service or "my-service")
    else:
        from slo.guide.propose import propose
        from slo.limits import asked_for

        with asked_for(""):
            text = propose(open_source(source, config, "slo init looks at one source"), kind=kind, service=service)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
        say(f"{output}: next, `slo explain {output}` and `slo check {output} --source URL`")
    return FINE
