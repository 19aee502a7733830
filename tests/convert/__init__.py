"""Definitions of other tools, read and written."""

from __future__ import annotations

from typing import Any

from slo.convert.model import Draft, Imported, Options
from slo.convert.read import convert
from slo.convert.write import file_text
from slo.spec.load import loads
from slo.spec.model import Slo


def imported(text: str, file: str = "foreign.yaml", **options: Any) -> Imported:
    """What one file becomes."""
    [result] = convert({file: text}, Options(**options))
    return result


def draft_of(text: str, **options: Any) -> Draft:
    """The one SLO of a file; nothing of it is refused."""
    result = imported(text, **options)
    assert not result.refusals, result.refusals
    [draft] = result.drafts
    return draft


def slo_of(text: str, **options: Any) -> Slo:
    """The one SLO of a file, as `slo check` reads what is written."""
    problems: list[Any] = []
    result = imported(text, **options)
    assert not result.refusals, result.refusals
    services = loads(file_text(result), "written.yaml", problems)
    assert not [problem for problem in problems if problem.severity == "error"]
    [slo] = [slo for service in services for slo in service.slos]
    return slo


def reasons(text: str, **options: Any) -> str:
    """Why a file, or parts of it, were refused."""
    return "\n".join(refusal.reason for refusal in imported(text, **options).refusals)


def sloth(errors: str = "", total: str = "", ratio: str = "", more: str = "", objective: str = "99.9") -> str:
    """A Sloth file of one SLO with these queries; `more` is added to the SLO."""
    sli = (
        f"raw: {{error_ratio_query: '{ratio}'}}"
        if ratio
        else f"events: {{error_query: '{errors}', total_query: '{total}'}}"
    )
    return (
        "version: prometheus/v1\nservice: shop\nslos:\n"
        f"  - name: requests\n    objective: {objective}\n    sli:\n      {sli}\n{more or ALERT}"
    )


ALERT = "    alerting: {name: ShopBurns}\n"


def pyrra(indicator: str, spec: str = "target: '99'\n  window: 4w", metadata: str = "namespace: shop") -> str:
    """A Pyrra resource with this indicator."""
    return (
        "apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\n"
        f"metadata:\n  name: requests\n  {metadata}\nspec:\n  {spec}\n  indicator:\n    {indicator}\n"
    )
