"""From definitions to documents of other tools: what all of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from typing import Any

import yaml

from slo.convert.model import Refused
from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, Number, VectorSelector
from slo.reading import WINDOW_VARIABLE
from slo.sli.base import Sli
from slo.sli.freshness import Freshness
from slo.sli.latency import Latency
from slo.sli.ratio import Ratio
from slo.sli.sums import Sums
from slo.sli.threshold import Threshold
from slo.spec.model import WORKBOOK_POLICY, Slo
from slo.window import Calendar, Rolling, format_duration

# Stands for the range while an expression is put together.
_MARK_MS = 86_399_989
PLACEHOLDER = "{{.window}}"


@dataclass(frozen=True, slots=True)
class Warned:
    """What a format cannot hold of an SLO. `left_out`: the whole of it."""

    slo: str
    text: str
    left_out: bool = False


@dataclass(slots=True)
class Exported:
    """The documents for the SLOs of one service, and what they do not hold."""

    service: str
    documents: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)

    @property
    def text(self) -> str:
        """As YAML, a document each."""
        return "---\n".join(dumped(document) for document in self.documents)


class _Dumper(yaml.SafeDumper):
    """Writes decimals digit by digit, never through a float."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
    text = f"{value:f}"
    return dumper.represent_scalar("tag:yaml.org,2002:float" if "." in text else "tag:yaml.org,2002:int", text)


# What ends a line to YAML besides the usual is escaped: written as it is, it would be read as a space.
_BREAKS = ("\x85", "\u2028", "\u2029")


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if any(character in value for character in _BREAKS) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(Decimal, _decimal)
_Dumper.add_representer(str, _text)


def dumped(data: dict[str, Any]) -> str:
    """A document as YAML; texts that look like anything else are quoted."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def by_service(slos: Iterable[Slo]) -> Iterator[tuple[str, list[Slo]]]:
    """SLOs by service, in their order."""
    slos_by_service: dict[str, list[Slo]] = {}
    for slo in slos:
        slos_by_service.setdefault(slo.service, []).append(slo)
    yield from slos_by_service.items()


@dataclass(frozen=True, slots=True)
class Events:
    """Bad (or with `part_is` "good" good) events and all of them, as counters that are added up."""

    parts: tuple[VectorSelector, ...]
    totals: tuple[VectorSelector, ...]
    part_is: str

    def errors(self, each: Callable[[VectorSelector], Node]) -> Node:
        """The bad events as PromQL, of what is made of each counter; of good ones all but them."""
        total, part = (added(list(map(each, counters))) for counters in (self.totals, self.parts))
        if self.part_is == "errors":
            return part
        return Binary("-", total, part)

    @property
    def warnings(self) -> Iterator[str]:
        """What is not the same for a tool that adds up vectors."""
        if len(self.parts) > 1 or len(self.totals) > 1:
            yield "a sum of several counters has no value while one of them has no series; here the others count"


def events_of(sli: Sli) -> Events | None:
    """The counters of an SLI that is a ratio of counters; None for any other."""
    match sli:
        case Ratio(total=total, part=part, part_is=part_is):
            return Events((part,), (total,), part_is)
        case Sums(totals=totals, sums=sums, part_is=part_is):
            return Events(sums, totals, part_is)
        case Latency(histogram=histogram, bound=bound):
            name, own = histogram.name or "", histogram.matchers
            text = f"{bound.normalize():f}"
            # A whole bound is `5` to Prometheus 2 and `5.0` to 3.
            le = Matcher("le", "=", text) if "." in text else Matcher("le", "=~", f"{text}|{text}[.]0")
            return Events(
                (VectorSelector(f"{name}_bucket", (*own, le)),), (VectorSelector(f"{name}_count", own),), "good"
            )
    return None


def added(nodes: Sequence[Node]) -> Node:
    """`a + b + c`."""
    return reduce(lambda left, right: Binary("+", left, right), nodes)


def rated(selector: VectorSelector, by: Sequence[str]) -> Node:
    """`sum by (by) (rate(selector[window]))`."""
    return Aggregate("sum", Call("rate", (MatrixSelector(selector, _MARK_MS),)), grouping=tuple(by))


def sampled(func: str, selector: VectorSelector, by: Sequence[str]) -> Node:
    """`sum by (by) (func(selector[window]))`."""
    return Aggregate("sum", Call(func, (MatrixSelector(selector, _MARK_MS),)), grouping=tuple(by))


def with_placeholder(node: Node | str) -> str:
    """PromQL with `{{.window}}` as the range. Raises Refused where it holds `{{` of its own."""
    text = str(node)
    if "{{" in text:
        raise Refused("a query holds `{{`, which would be read as a template")
    return text.replace(format_duration(_MARK_MS), PLACEHOLDER).replace(WINDOW_VARIABLE, PLACEHOLDER)


def checks_of(sli: Sli) -> tuple[str, str] | None:
    """A check that gives 1 where an SLI is well, as PromQL, and how often it is made; None for what makes none."""
    match sli:
        case Threshold(expr=expr, op=op, bound=bound, every_ms=every):
            return f"({expr}) {op} bool {bound:f}", format_duration(every)
        case Freshness(metric=metric, max_age_ms=age, every_ms=every):
            check = Binary("<=", Binary("-", Call("time"), metric), Number(age / 1000), return_bool=True)
            return str(check), format_duration(every)
    return None


def labels_of(slo: Slo) -> dict[str, str]:
    """An SLO's labels, its owner among them."""
    return {**slo.labels, **({"owner": slo.owner} if slo.owner else {})}


def not_held(slo: Slo, windows: bool = False, absent: bool = False) -> Iterator[str]:
    """What of an SLO's alerting and counting another tool does not know; it may know pairs of `windows`, and an alert on
    missing data (`absent`)."""
    alerting = slo.alerting
    if alerting.windows is not None and not windows:
        yield "its pairs of alert windows"
    if alerting.least_errors:
        yield "`least_errors`"
    if any(alert.for_ms for alert in (alerting.page, alerting.ticket)) and not windows:
        yield "`for` of its alerts"
    if any(alert.keep_firing_ms for alert in (alerting.page, alerting.ticket)):
        yield "`keep_firing_for` of its alerts"
    if alerting.budget.marks:
        yield "alerts on the consumed budget"
    if alerting.absent.alert.enabled and not absent:
        yield "the alert on missing data"
    if slo.delay_ms:
        yield "`delay`"
    if slo.policy != WORKBOOK_POLICY:
        yield "its error-budget policy"


def window_text(slo: Slo) -> str:
    """A rolling window; of a calendar its nominal length."""
    match slo.window:
        case Rolling(length):
            return format_duration(length)
        case Calendar() as calendar:
            return format_duration(calendar.nominal_ms)
