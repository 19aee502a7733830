"""`slo explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from slo.cli.inputs import load, selection
from slo.cli.program import FINE, OnlyLabel, OnlyOwner, OnlyService, OnlySlo, command
from slo.errors import ConfigError


@command("slo explain ratio; slo explain definitions/; slo explain nginx-ingress/availability")
def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="KIND|PATH|CODE|PRESET",
            help="A kind of SLI, definition files or a folder of them, the code of a note, or a preset; `list` and `presets` name all.",
            show_default=False,
        ),
    ],
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
) -> int:
    """Explain a kind of SLI, a definition (what it counts, its error budget, its alerts), the code of a note, or a preset."""
    from slo.budget.codes import CODES
    from slo.guide.explain import explain_code, explain_kind, explain_slo
    from slo.guide.kinds import KIND_GUIDES
    from slo.guide.presets import explain_preset, list_of
    from slo.sli.kinds import KINDS
    from slo.spec import presets
    from slo.suggest import suggest

    if what == "list":
        for kind in KINDS:
            print(f"{kind:<18} {KIND_GUIDES[kind].title if kind in KIND_GUIDES else 'a kind of SLI'}")
        for code, known in CODES.items():
            print(f"{code:<18} note: {known.meaning}")
    elif what in KINDS:
        sys.stdout.write(explain_kind(what))
    elif what in CODES:
        sys.stdout.write(explain_code(what))
    elif what == "presets":
        sys.stdout.write(list_of(map(presets.load, presets.names())))
    elif what == "-" or Path(what).exists():
        specs = load([Path(what)], selection(service, slo, owner, label))
        sys.stdout.write("\n".join(explain_slo(each) for each in specs.values()))
    elif (name := what.removeprefix("preset/")) in (names := presets.names()):
        sys.stdout.write(explain_preset(presets.load(name)))
    else:
        raise ConfigError(
            f"{what!r} is not a kind, a file, the code of a note, or a preset{suggest(name, [*KINDS, *CODES, *names])}"
        )
    return FINE
