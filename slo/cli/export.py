"""`slo export`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from slo.cli.inputs import keep_apart, load, selection
from slo.cli.output import count, say
from slo.cli.program import FINE, NOT_AS_ASSUMED, OnlyLabel, OnlyOwner, OnlyService, OnlySlo, Paths, command


class Format(StrEnum):
    """Whose documents are written."""

    openslo = "openslo"
    sloth = "sloth"
    pyrra = "pyrra"


@command("slo export openslo definitions/ -o openslo/")
def export(
    format: Annotated[Format, typer.Argument(metavar="FORMAT", help="openslo, sloth or pyrra.", show_default=False)],
    paths: Paths,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="The folder to write to, a file for each service. [default: standard output]",
        ),
    ] = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
) -> int:
    """Write definitions as OpenSLO, Sloth or Pyrra do; warns of what the format cannot hold."""
    from slo.convert import to_openslo, to_pyrra, to_sloth
    from slo.files import write_text

    specs = load(paths, selection(service, slo, owner, label))
    writer = {Format.openslo: to_openslo, Format.sloth: to_sloth, Format.pyrra: to_pyrra}[format]
    results = list(writer.export(specs.values()))
    written = [result for result in results if result.documents]
    if output is None:
        sys.stdout.write("---\n".join(result.text for result in written))
    else:
        keep_apart([output / f"{result.service}.yaml" for result in written], specs)
        for result in written:
            write_text(output / f"{result.service}.yaml", result.text)
    warnings = [warned for result in results for warned in result.warnings]
    left_out = sum(warned.left_out for warned in warnings)
    by_text: dict[tuple[bool, str], list[str]] = {}
    for warned in warnings:
        by_text.setdefault((warned.left_out, warned.text), []).append(warned.slo)
    for (out, text), ids in by_text.items():
        # What holds for many is said once.
        say(f"{'left out' if out else 'warning'}: {ids[0] if len(ids) == 1 else count(len(ids), 'SLO')}: {text}")
    say(f"{count(len(specs) - left_out, 'SLO')} written" + (f", {left_out} left out" if left_out else ""))
    return NOT_AS_ASSUMED if left_out else FINE
