"""What people read: labels and annotations of alerts, and the comment over each SLO's rules.

An alert's labels and annotations are Go templates to the server. Annotations and alert labels that a definition gives are
passed on as templates, as is the custom; every other text of a definition is plain text, and is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from math import floor, log10

from slo.promql.ast import Binary, Matcher, Node, Number, VectorMatching, VectorSelector, quote, squeezed
from slo.rules import names as n
from slo.rules.groups import DETAIL
from slo.rules.names import Names
from slo.spec.model import AbsentAlert, Alert, BudgetAlerts, Slo
from slo.spec.split import MOST
from slo.window import BurnWindow, Calendar, Severity, format_duration


def plain(text: str) -> str:
    """Text that a Go template prints as it is."""
    return text.replace("{{", '{{ "{{" }}')


def alert_labels(slo: Slo, alert: Alert, severity: Severity, own: Mapping[str, str], names: Names) -> dict[str, str]:
    """Severity, the SLO and the labels of the alert's `own`; a team's alongside them, `severity` being theirs to set.

    Labels of a definition are plain text, those that it gives to its alerts are templates.
    """
    own = {**slo.recorded_labels, **names.identity(slo), **own}
    if names.severity is not None:
        own[names.severity] = severity
    labels = {"severity": severity, **{label: plain(value) for label, value in slo.labels.items()}, **alert.labels}
    return {label: value for label, value in labels.items() if label not in own} | own


def burn_annotations(slo: Slo, burns: Sequence[BurnWindow], alert: Alert, names: Names) -> dict[str, str]:
    """What is wrong now and how fast it consumes the budget, what remains and for how long, and where to look."""
    noun = plain(slo.sli.describe().split()[0].rstrip(","))
    set_up = _selected(slo, names)
    budget = str(slo.objective.error_budget)
    now = "".join(_burns_now(burn, budget).replace("\0", noun) for burn in burns)
    now = (
        now.removeprefix("{{else}}")
        + "{{else}}burn rate {{$value|printf `%.1f`}}x when the data ended"
        + "{{end}}" * len(burns)
    )
    own = {
        "summary": f"{set_up}{_head(slo, names, alert, burns[0].severity)}: {now}",
        "description": f"{set_up}Error budget: {_budget_text(slo.window.nominal_ms, _window_text(slo))}. {_promise(slo, noun)}",
        **_meaning(slo),
    }
    if names.severity is not None:
        own["title"] = own["summary"]  # as Sloth's alerts have it
    breakdown = _breakdown(slo, burns[0].long_ms)
    if breakdown is not None:
        own["breakdown"] = breakdown
    return {**own, **slo.annotations, **alert.annotations}


def _breakdown(slo: Slo, range_ms: int) -> str | None:
    """The query for what has most of the bad events, of the series that the alert is about."""
    if not slo.by:
        node = slo.sli.breakdown(range_ms, slo.target_labels)
        return None if node is None else plain(str(node))
    stand_ins = {f"stand_in_for_label_{number}": label for number, label in enumerate(slo.by)}
    own = tuple(Matcher(label, "=", stand_in) for stand_in, label in stand_ins.items())
    node = slo.sli.narrowed(own).breakdown(range_ms, slo.target_labels)
    text = "" if node is None else plain(str(node))
    for stand_in, label in stand_ins.items():
        text = text.replace(quote(stand_in), f"{{{{printf `%q` {_label(label)}}}}}")
    return text or None


def absent_annotations(slo: Slo, absent: AbsentAlert) -> dict[str, str]:
    """Which series have no samples, and what is unknown so long."""
    selectors = slo.sli.selectors()
    # What is a part of another one is not missing by itself.
    missing = ", ".join(
        str(selector) for selector in selectors if not any(_within(selector, other) for other in selectors)
    )
    own = {
        # What is missing has no labels to ask for names.
        "summary": f"{_head_by_name(slo, absent.alert, absent.severity)}: no data, so the SLO is not measured",
        "missing": plain(missing),
        "description": (
            "What `missing` names has no recent samples. Whether the service works is unknown, and its burn-rate alerts cannot "
            "fire. Check that the targets run and are scraped, that the metrics still have these names and labels, and that "
            f"samples arrive within {format_duration(slo.lag_ms)} (`delay` makes it longer). "
            f"SLO: {plain(_promise_text(slo))}."
        ),
    }
    return {**own, **slo.annotations, **absent.alert.annotations}


def _within(part: VectorSelector, whole: VectorSelector) -> bool:
    """Whether it has the other's matchers, and more."""
    return part.name == whole.name and set(part.matchers) > set(whole.matchers)


def budget_annotations(slo: Slo, budget: BudgetAlerts, mark: Decimal, names: Names) -> dict[str, str]:
    """How much of the budget is consumed, and at which rate it goes on."""
    noun = plain(slo.sli.describe().split()[0].rstrip(","))
    current = _query(_series(n.CURRENT_BURN_RATE))
    own = {
        "summary": (
            f"{_head(slo, names, budget.alert, budget.severity)}: {{{{$value|printf `%.1f`}}}}% of the error budget of "
            f"{_window_text(slo)} consumed (alert at {show_mark(mark)})"
        ),
        "description": (
            f"{_selected(slo, names)}Burn rate now: {{{{with {current}}}}}{{{{.|first|value|printf `%.2f`}}}}x"
            f"{{{{else}}}}unknown{{{{end}}}} (at 1x the budget lasts for the window). {_promise(slo, noun)}"
        ),
        **_meaning(slo),
    }
    return {**own, **slo.annotations, **budget.alert.annotations}


def values_annotations(slo: Slo, alert: Alert) -> dict[str, str]:
    """How many values `by` has, and that not all of them have an error budget."""
    labels = plain(" and ".join(slo.by))
    own = {
        "summary": f"{_head_by_name(slo, alert, 'ticket')}: {{{{$value}}}} values of {labels}, more than have an error budget each",
        "description": (
            f"{MOST} values of {labels} have an error budget each: those that had one already, then those with the most traffic. "
            "The others are not measured, and nobody is alerted about them. List the values that matter under `by`, or choose a "
            f"label with fewer values. SLO: {plain(_promise_text(slo))}."
        ),
    }
    return {**own, **slo.annotations, **alert.annotations}


def show_mark(mark: Decimal) -> str:
    """A share of a budget as its label: `50%`."""
    return f"{(mark * 100).normalize():f}%"


def _head(slo: Slo, names: Names, alert: Alert, severity: Severity) -> str:
    """`[page] shop/availability (route /search)`, of the labels of the series that the alert is about."""
    which = "".join(f" ({plain(label)} {{{{{_label(label)}}}}})" for label in slo.by)
    return f"{_mark(alert, severity)}{{{{$labels.{names.service}}}}}/{{{{$labels.{names.slo}}}}}{which}"


def _head_by_name(slo: Slo, alert: Alert, severity: Severity) -> str:
    """`[page] shop/availability`, of an alert whose series may have no labels."""
    return f"{_mark(alert, severity)}{slo.id}"


def _mark(alert: Alert, severity: Severity) -> str:
    """`[page] `, by the label `severity` where that says so itself."""
    shown = alert.labels.get("severity", severity)
    return f"[{severity if '{{' in shown else shown}] "


def _promise(slo: Slo, noun: str) -> str:
    """What was promised, as one sentence of a template."""
    return f"SLO: {slo.objective} of {noun} good over {_window_text(slo)}."


def _meaning(slo: Slo) -> dict[str, str]:
    """What the SLO is about: its own words for it, apart from the texts that it shares with other SLOs."""
    meant = plain(" ".join(slo.description.split())) or plain(slo.sli.describe().partition(", ")[2])
    return {"slo_description": meant} if meant else {}


def _promise_text(slo: Slo) -> str:
    noun = slo.sli.describe().split()[0].rstrip(",")
    return f"{slo.objective} of {noun} good over {_window_text(slo)}"


def _selected(slo: Slo, names: Names) -> str:
    """The start of a template that asks for recorded series: `$s` is what selects those that the alert is about.

    By the labels that the alert's series have, so that the text is the same for all SLOs of one form.
    """
    labels = (*names.labels, *slo.by)
    static = [f"{matcher},".replace("%", "%%") for matcher in _others(slo, names)]
    # `%q` quotes a label's value as PromQL does.
    own = ",".join(f"{Matcher(label, '=', '')}".removesuffix('""').replace("%", "%%") + "%q" for label in labels)
    return f"{{{{$s := printf {_literal(''.join(static) + own)} {' '.join(map(_label, labels))}}}}}"


def _others(slo: Slo, names: Names) -> Iterator[Matcher]:
    """What selects an SLO's series alongside its names: `recorded_labels`, which an alert's series may lack."""
    return (matcher for matcher in names.series(slo, "").matchers if matcher.label not in names.labels)


def _literal(text: str) -> str:
    """A text as Go writes it in a template."""
    return quote(text) if "`" in text else f"`{text}`"


def _label(label: str) -> str:
    name = re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", label)
    return f"$labels.{label}" if name else f"(index $labels {quote(label)})"


def _query(node: Node, divided_by: str = "") -> str:
    """A query of a template whose selectors `{x="x"}` are those of `$s`; what it is divided by is a number of the template."""
    own = squeezed(node).replace("%", "%%").replace('{x="x"}', "{%[1]s}")
    return f"query (printf `{own}{'/%[2]v' if divided_by else ''}` $s{divided_by and f' {divided_by}'})"


def _series(name: str) -> VectorSelector:
    return VectorSelector(name, (Matcher("x", "=", "x"),))


@lru_cache(maxsize=1024)
def _burns_now(burn: BurnWindow, budget: str) -> str:
    """`3.3% of … bad over 1h (burn rate 33.3x, threshold 14.4x)` where this pair burns; \0 stands for the noun."""
    threshold = burn.threshold(Decimal(budget))
    percent = Number(float(threshold * 100))
    long = Binary("*", Number(100.0), _series(n.error_ratio_name(burn.long_ms)))
    short = Binary(">", _series(n.error_ratio_name(burn.short_ms)), Number(float(threshold)))
    both = Binary("and", Binary(">", long, percent), short, matching=VectorMatching("many-to-many", (), on=True))
    # Two digits of the threshold, at least: 0.12% where 0.1% is too much.
    digits = max(1, 1 - floor(log10(percent.value)))
    rate = "%.2f" if burn.factor < 1 else "%.1f"
    return (
        f"{{{{else}}}}{{{{with {_query(both)}}}}}{{{{.|first|value|printf `%.{digits}f`}}}}% of \0 bad over "
        f"{format_duration(burn.long_ms)} (burn rate {{{{$value|printf `{rate}`}}}}x, threshold {_factor(burn)}x)"
    )


@lru_cache(maxsize=1024)
def _budget_text(period_ms: int, window: str) -> str:
    """`12.3% remaining of 30d, exhausted in about 9h 12m 0s at this rate`, or that it is exhausted already."""
    remaining = _series(n.BUDGET_REMAINING)
    percent = _query(Binary("*", Number(100.0), remaining))
    # Budget remaining × window ÷ burn rate: how long it lasts if nothing changes.
    lasts = _query(Binary("*", remaining, Number(period_ms / 1000)), "$value")
    return (
        f"{{{{with {percent}}}}}{{{{$left := .|first|value}}}}{{{{if gt $left 0.0}}}}"
        f"{{{{printf `%.1f` $left}}}}% remaining of {window}"
        f"{{{{with {lasts}}}}}, exhausted in about {{{{.|first|value|humanizeDuration}}}} at this rate"
        f"{{{{end}}}}{{{{else}}}}already exhausted ({{{{printf `%.1f` $left}}}}% remaining of {window}){{{{end}}}}"
        "{{else}}unknown{{end}}"
    )


def comment(slo: Slo, windows: tuple[BurnWindow, ...]) -> tuple[str, ...]:
    """The lines over an SLO's rules: objective, budget in minutes and events, and what each severity watches."""
    budget = slo.objective.error_budget
    minutes = Decimal(slo.window.nominal_ms) / 60_000 * budget
    lines = [f"{slo.id}: {slo.objective} over {_window_text(slo)}"]
    lines += [f"{DETAIL}{' '.join(slo.description.split())}"] if slo.description else []
    lines.append(
        f"{DETAIL}Error budget: {_short(minutes)} min of full outage, or {_short(budget * 1_000_000)} of a million events"
    )
    by_severity: dict[Severity, list[str]] = {}
    for burn in windows:
        by_severity.setdefault(burn.severity, []).append(
            f"{_factor(burn)}x over {format_duration(burn.long_ms)} and {format_duration(burn.short_ms)} "
            f"(error ratio {_short(burn.threshold(budget))}, {_share(burn)} of the budget)"
        )
    for severity, pairs in by_severity.items():
        off = "" if slo.alerting.of(severity).enabled else " (off)"
        lines.append(f"{DETAIL}{severity}{off}: burn rate above {', or '.join(pairs)}")
    return tuple(lines)


def _window_text(slo: Slo) -> str:
    return f"the calendar {slo.window}" if isinstance(slo.window, Calendar) else str(slo.window)


def _factor(burn: BurnWindow) -> str:
    return f"{float(burn.factor):.4g}"


def _share(burn: BurnWindow) -> str:
    return f"{float(burn.budget_share) * 100:.4g}%"


def _short(value: Decimal) -> str:
    return f"{value.normalize():f}" if len(value.normalize().as_tuple().digits) <= 6 else f"{float(value):.6g}"
