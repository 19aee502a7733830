"""`slo check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slo.cli.inputs import has_sources, open_sources, read_specs, selection
from slo.cli.output import count, print_json, progress, say, with_warnings
from slo.cli.program import (
    BAD_INPUT,
    FINE,
    NOT_AS_ASSUMED,
    AsJson,
    Config,
    OnlyLabel,
    OnlyOwner,
    OnlyService,
    OnlySlo,
    Paths,
    command,
)
from slo.errors import DefinitionError

if TYPE_CHECKING:
    from slo.check import Finding
    from slo.errors import Problem
    from slo.spec.model import Specs
    from slo.spec.select import Selection


@command("slo check definitions/; slo check definitions/ --source http://localhost:9090")
def check(
    paths: Paths,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            "-s",
            metavar="[SERVICE=]URL|FILE",
            help="Also ask a server whether its metrics and rules are what the definitions assume; may be repeated, also for one "
            "service each. Without it the `sources` of --config are asked, if it has any.",
        ),
    ] = None,
    config: Config = None,
    service: OnlyService = None,
    slo: OnlySlo = None,
    owner: OnlyOwner = None,
    label: OnlyLabel = None,
    as_json: AsJson = False,
) -> int:
    """Validate definitions, and with --source what they assume of a server; shows all that is wrong, and what to do."""
    specs, problems, failed = _validate(paths)
    findings: list[Finding] = []
    if specs is not None and (source or has_sources(config)):
        findings = _ask(specs, source or [], config, selection(service, slo, owner, label))
    if as_json:
        print_json([*map(_problem_data, problems), *map(_finding_data, findings)])
    else:
        for problem in (*problems, *findings):
            say(str(problem))
        if specs is not None:
            files = len({item.file for item in specs.services})
            fine = "fine" if not findings else count(len(findings), "finding") + " at the source"
            print(f"{count(len(specs), 'SLO')} in {count(files, 'file')}: {fine}{with_warnings(problems)}")
    if failed:
        return BAD_INPUT
    return NOT_AS_ASSUMED if any(finding.severity == "error" for finding in findings) else FINE


def _validate(paths: list[Path]) -> tuple[Specs | None, list[Problem], bool]:
    """The definitions, if they are valid, all problems, and whether one is an error."""
    try:
        specs = read_specs(paths)
    except DefinitionError as error:
        return None, list(error.problems), True
    problems = list(specs.warnings)
    from slo.rules import compile_specs

    try:
        return specs, problems + compile_specs(specs)[1], False
    except DefinitionError as error:
        # What withholds an SLO's figures has its place already.
        placed = {problem.message for problem in problems if problem.withheld}
        more = [problem for problem in error.problems if problem.message.partition(": ")[2] not in placed]
        return None, [*problems, *more], True


def _ask(specs: Specs, sources: list[str], config: Path | None, only: Selection) -> list[Finding]:
    from slo.check import check_source
    from slo.spec.select import select

    chosen = select(specs, only)
    with progress("asking the server", len(chosen)) as advance:
        return list(check_source(chosen, open_sources(sources, config, from_environment=False), advance))


def _problem_data(problem: Problem) -> dict[str, Any]:
    return {field: getattr(problem, field) for field in ("file", "line", "column", "path", "severity", "message")}


def _finding_data(finding: Finding) -> dict[str, Any]:
    return {field: getattr(finding, field) for field in ("file", "line", "severity", "message", "slo", "check")}
