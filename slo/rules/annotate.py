"""What people read: labels and annotations of alerts, and the comment over each SLO's rules.

An alert's labels and annotations are Go templates to the server. Annotations that a definition gives are passed on as
templates, as is the custom; every other text of a definition is plain text, and is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

from slo.promql.ast import Binary, Call, Matcher, Node, Number, VectorMatching, VectorSelector, transform
from slo.rules import names as n
from slo.rules.names import Names
from slo.spec.model import Slo
from slo.window import BurnWindow, Calendar, format_duration


def plain(text: str) -> str:
    """Text that a Go template prints as it is."""
    return text.replace("{{", '{{ "{{" }}')


def alert_labels(slo: Slo, burn: BurnWindow, names: Names) -> dict[str, str]:
    """Severity, the SLO and the window; a team's own labels beside them, `severity` being theirs to set."""
    given = {**slo.labels, **slo.alerting.of(burn.severity).labels}
    own = {**names.identity(slo), "window": format_duration(burn.long_ms)}
    if names.severity is not None:
        own[names.severity] = burn.severity
    labels = {"severity": burn.severity, **given}
    return {label: plain(value) for label, value in labels.items() if label not in own} | own


def alert_annotations(slo: Slo, burn: BurnWindow, names: Names) -> dict[str, str]:
    """What burns, how fast, what is left, until when, and whatever the definition gives: runbook, dashboard."""
    long, short = format_duration(burn.long_ms), format_duration(burn.short_ms)
    remaining = names.series(slo, n.BUDGET_REMAINING)
    which = "".join(f" ({label} {{{{ $labels.{label} }}}})" for label in slo.by)
    own = {
        "summary": f"{slo.service}: {slo.name}{which} burns its error budget {{{{ $value | humanize }}}} times too fast",
        "description": (
            (f"{plain(' '.join(slo.description.split()))} " if slo.description else "")
            + f"Objective {slo.objective} over {_window_text(slo)}; over the last {long} and the last {short} the budget "
            f"burned more than {_factor(burn)} times as fast as it lasts, which spends {_share(burn)} of it in {long}."
        ),
        "burn_rate": "{{ $value | humanize }}",
        "budget_remaining": _remaining(remaining, slo.by),
        "time_to_exhaustion": _asked(_seconds_left(slo, burn, names), "humanizeDuration", slo.by),
    }
    given: Mapping[str, str] = {**slo.annotations, **slo.alerting.of(burn.severity).annotations}
    return {**own, **given}


def comment(slo: Slo, windows: tuple[BurnWindow, ...]) -> tuple[str, ...]:
    """The lines over an SLO's rules: objective, budget in minutes and events, windows and factors."""
    budget = slo.objective.error_budget
    minutes = Decimal(slo.window.nominal_ms) / 60_000 * budget
    lines = [f"{slo.id}: {slo.objective} over {_window_text(slo)}"]
    lines += [" ".join(slo.description.split())] if slo.description else []
    lines.append(
        f"Error budget: {_short(minutes)} min of nothing but errors, or {_short(budget * 1_000_000)} of a million events."
    )
    for burn in windows:
        off = "" if slo.alerting.of(burn.severity).enabled else " (off)"
        lines.append(
            f"{burn.severity}{off}: burn rate over {_factor(burn)} for {format_duration(burn.long_ms)} and "
            f"{format_duration(burn.short_ms)}, {_share(burn)} of the budget: error ratio over {_short(burn.threshold(budget))}"
        )
    return tuple(lines)


def _window_text(slo: Slo) -> str:
    return f"the calendar {slo.window}" if isinstance(slo.window, Calendar) else str(slo.window)


def _seconds_left(slo: Slo, burn: BurnWindow, names: Names) -> Node:
    """Budget left × period × budget ÷ error ratio: how long it lasts if nothing changes."""
    left = Call("clamp_min", (names.series(slo, n.BUDGET_REMAINING), Number(0.0)))
    per_ratio = Number(float(slo.objective.error_budget * slo.window.nominal_ms / 1000))
    ratio = names.series(slo, n.error_ratio_name(burn.long_ms))
    matching = VectorMatching("one-to-one", (*names.labels, *slo.by), on=True)
    return Binary("/", Binary("*", left, per_ratio), ratio, matching=matching)


@lru_cache(maxsize=64)
def _remaining(series: VectorSelector, by: tuple[str, ...]) -> str:
    """The same in all alerts of an SLO."""
    return _asked(series, "humanizePercentage", by)


def _asked(expr: Node, shown: str, by: tuple[str, ...]) -> str:
    # A service's and an SLO's name have no character that a raw string could end at.
    query = f"`{expr}`"
    if by:
        # Of the series that the alert is about; `%q` quotes a label's value as PromQL does.
        own = tuple(Matcher(label, "=", "\0") for label in by)
        text = str(transform(expr, lambda node: _with(node, own))).replace("%", "%%").replace('"\\x00"', "%q")
        values = " ".join(f"$labels.{label}" for label in by)
        count = text.count("%q") // len(by)
        query = f"(printf `{text}` {' '.join([values] * count)})"
    return f"{{{{ with query {query} }}}}{{{{ . | first | value | {shown} }}}}{{{{ else }}}}not known yet{{{{ end }}}}"


def _with(node: Node, matchers: tuple[Matcher, ...]) -> Node:
    if isinstance(node, VectorSelector):
        return replace(node, matchers=(*node.matchers, *matchers))
    return node


def _factor(burn: BurnWindow) -> str:
    return f"{float(burn.factor):.4g}"


def _share(burn: BurnWindow) -> str:
    return f"{float(burn.budget_share) * 100:.4g} %"


def _short(value: Decimal) -> str:
    return f"{value.normalize():f}" if len(value.normalize().as_tuple().digits) <= 6 else f"{float(value):.6g}"
