"""`slo check`."""

from __future__ import annotations

from slo.cli.inputs import read_specs
from slo.cli.output import count, print_json, say, with_warnings
from slo.cli.program import BAD_INPUT, FINE, AsJson, Paths, command
from slo.errors import DefinitionError


@command("slo check definitions/")
def check(paths: Paths, as_json: AsJson = False) -> int:
    """Validate definitions; shows every fault of every file."""
    try:
        specs = read_specs(paths)
        problems, failed = list(specs.warnings), False
    except DefinitionError as error:
        specs, problems, failed = None, list(error.problems), True
    if specs is not None:
        from slo.rules import compile_specs

        try:
            problems += compile_specs(specs)[1]
        except DefinitionError as error:
            # What withholds an SLO's figures has its place already.
            placed = {problem.message for problem in problems if problem.withheld}
            more = [problem for problem in error.problems if problem.message.partition(": ")[2] not in placed]
            specs, problems, failed = None, [*problems, *more], True
    if as_json:
        fields = ("file", "line", "column", "path", "severity", "message")
        print_json([{field: getattr(problem, field) for field in fields} for problem in problems])
    else:
        for problem in problems:
            say(str(problem))
        if specs is not None:
            files = len({service.file for service in specs.services})
            print(f"{count(len(specs), 'SLO')} in {count(files, 'file')}: fine{with_warnings(problems)}")
    return BAD_INPUT if failed else FINE
