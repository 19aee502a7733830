"""What a kind, a note's code or a definition means, in words."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from fractions import Fraction

from slo.budget.codes import CODES
from slo.display import show_count, show_duration
from slo.guide.kinds import KIND_GUIDES
from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, VectorSelector
from slo.rules import OWN, alert_windows
from slo.rules.names import BUDGET_REMAINING, error_ratio_name
from slo.sli.kinds import KINDS
from slo.spec.model import Slo
from slo.window import MINUTE, BurnWindow, Calendar, format_duration

_WIDTH = 100


def explain_kind(kind: str) -> str:
    """What a kind of SLI is for, what it counts, its keys, and an example."""
    shape = KINDS[kind]
    lines = []
    guide = KIND_GUIDES.get(kind)
    if guide is None:
        lines += [f"{kind}: {shape.model.__doc__}", ""]
    else:
        lines += [f"{kind}: {guide.title}", "", guide.use, "", f"  an event is  {guide.event}"]
        lines += [f"  it is bad if {guide.bad}", ""]
    lines.append("Keys:")
    for name, field in shape.model.model_fields.items():
        optional = "" if field.is_required() else " (optional)"
        examples = f", such as {field.examples[0]}" if field.examples else ""
        described = f": {field.description}" if field.description else ""
        lines.append(f"  {field.alias or name}{optional}{described}{examples}")
    if guide is not None:
        lines += ["", "Example:", "", guide.example.rstrip()]
    return "\n".join(lines) + "\n"


def explain_code(code: str) -> str:
    """What a note means, and what to do about it."""
    code_guide = CODES[code]
    return f"{code}: {code_guide.meaning}\n\nWhat to do: {code_guide.action}\n"


def explain_slo(slo: Slo) -> str:
    """What an SLO counts, in words and in PromQL, its error budget, and when its alerts fire."""
    return "\n".join(_slo_lines(slo)) + "\n"


def _slo_lines(slo: Slo) -> Iterator[str]:
    place = f"  ({slo.file}:{slo.line})" if slo.file else ""
    yield f"{slo.id}{place}"
    if slo.description:
        yield from _wrapped(slo.description)
    if slo.owner:
        yield f"  Owner: {slo.owner}"
    yield ""
    yield f"  Objective: {slo.objective} of events are good over {_over(slo)}."
    yield f"  What counts ({slo.sli.key}): {slo.sli.describe()}."
    if slo.by:
        yield f"  Each value of {' and '.join(slo.by)} has its own error budget."
    yield ""
    yield "  In PromQL:"
    for name, node in _expressions(slo).items():
        yield f"    {name:<10} {node}"
    rough = _rough_ratio(slo)
    if rough is not None:
        yield f"    error ratio over 5m, roughly: {rough}"
    yield (
        f"    once `slo rules` is loaded:    {OWN.series(slo, error_ratio_name(alert_windows(slo)[0].short_ms))}"
        if (alert_windows(slo))
        else "    (no alert windows fit)"
    )
    yield f"                                   {OWN.series(slo, BUDGET_REMAINING)}"
    yield ""
    yield from _budget_lines(slo)
    yield ""
    yield from _alert_lines(slo)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _over(slo: Slo) -> str:
    return f"the calendar {slo.window}" if isinstance(slo.window, Calendar) else f"the last {slo.window}"


def _expressions(slo: Slo) -> Mapping[str, Node | str]:
    """What an SLI is made of, by the names of its parts."""
    nodes: dict[str, Node | str] = {}
    for field in fields(slo.sli):
        value = getattr(slo.sli, field.name)
        if isinstance(value, Node) or (isinstance(value, str) and field.name in ("expr", "errors", "total")):
            name = getattr(slo.sli, "part_is", field.name) if field.name == "part" else field.name
            nodes[name] = value
    if not nodes:  # an outage is made of another SLO's
        nodes |= {f"series {number}": series for number, series in enumerate(slo.sli.selectors(), 1)}
    return nodes


def _rough_ratio(slo: Slo) -> Node | None:
    """The error ratio as people write it by hand; the rules count better, across restarts and gaps."""
    parts = _expressions(slo)
    total, errors = parts.get("total"), parts.get("errors")
    if not isinstance(total, VectorSelector) or not isinstance(errors, VectorSelector):
        return None

    def summed(selector: VectorSelector) -> Node:
        return Aggregate("sum", Call("rate", (MatrixSelector(selector, 5 * MINUTE),)))

    return Binary("/", summed(errors), summed(total))


def _budget_lines(slo: Slo) -> Iterator[str]:
    budget = slo.objective.error_budget
    minutes = float(budget) * slo.window.nominal_ms / 1000
    per_error = 1 / Fraction(budget)
    unit = "slices" if slo.sli.slice_ms else "events"
    yield f"  Error budget: {_percent(float(budget))} of {unit}: 1 of every {show_count(float(per_error))} may be bad."
    yield f"    In time:   {show_duration(minutes)} of full outage in {slo.window}."
    if slo.sli.slice_ms:
        slices = slo.window.nominal_ms / slo.sli.slice_ms
        yield (
            f"    In slices: {show_count(float(int(slices * float(budget))))} of {show_count(slices)} "
            f"(each {format_duration(slo.sli.slice_ms)}, for each series)."
        )
    else:
        yield f"    In events: of 1,000,000 events in {slo.window}, {show_count(float(Fraction(budget) * 1_000_000))} may be bad."


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.4g}%"


def _alert_lines(slo: Slo) -> Iterator[str]:
    windows = [burn for burn in alert_windows(slo) if slo.alerting.of(burn.severity).enabled]
    if not windows:
        yield "  Alerts: none."
        return
    yield "  Alerts (both windows must be above the burn rate):"
    for burn in windows:
        yield f"    {_alert_line(slo, burn)}"
    if slo.alerting.least_errors:
        yield f"    Silent until the long window holds {slo.alerting.least_errors} bad events."


def _alert_line(slo: Slo, burn: BurnWindow) -> str:
    ratio = float(burn.factor) * float(slo.objective.error_budget)
    outage = ratio * burn.long_ms / 1000
    return (
        f"{burn.severity:<6} over {format_duration(burn.long_ms)} and {format_duration(burn.short_ms)}: burn rate above "
        f"{float(burn.factor):.3g}x, which is {_percent(ratio)} bad; a full outage fires it after {show_duration(outage)}"
    )
