"""`slo schema`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from slo.cli.output import print_json
from slo.cli.program import FINE, command


class SchemaOf(StrEnum):
    """What has a JSON Schema."""

    DEFINITIONS = "definitions"
    REPORT = "report"


@command("slo schema > slo.schema.json")
def schema(
    of: Annotated[
        SchemaOf, typer.Argument(metavar="[definitions|report]", help="Of definition files, or of the JSON of figures.")
    ] = SchemaOf.DEFINITIONS,
) -> int:
    """Print a JSON Schema: of definitions, for completion in editors, or of `status --json` and report.json."""
    from slo.budget.schema import report_schema
    from slo.spec.document import json_schema

    print_json(json_schema() if of is SchemaOf.DEFINITIONS else report_schema())
    return FINE
