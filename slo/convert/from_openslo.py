"""OpenSLO: v1alpha, v1 and v2alpha, with Prometheus behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slo.convert.common import check_draft, own_labels, own_name, percent_of, take_owner
from slo.convert.expression import SliDraft, of_events, of_good, of_ratio
from slo.convert.model import (
    ConversionNotes,
    Draft,
    Options,
    Refusal,
    Refused,
    ServiceDraft,
    is_number,
    mapping,
    name_of,
    optional,
    required,
    sequence,
    text_of,
)
from slo.convert.template import windowed
from slo.errors import PromqlError
from slo.promql.ast import Aggregate, Binary, Call, MatrixSelector, Node, VectorSelector
from slo.promql.parse import parse
from slo.promql.types import value_type
from slo.reading import WINDOW_VARIABLE
from slo.reading.selectors import is_counter_name
from slo.spec.read import read_time_zone
from slo.spec.yaml import Document, Path
from slo.window import format_duration

Index = Mapping[tuple[str, str], Mapping[str, Any]]
# Kinds that others refer to; by themselves they are not SLOs.
_REFERRED = ("SLI", "AlertPolicy", "AlertCondition", "DataSource", "Service", "AlertNotificationTarget")
_PROMETHEUS = (
    "prometheus",
    "promql",
    "thanos",
    "mimir",
    "cortex",
    "victoriametrics",
    "amazonprometheus",
    "gcp-prometheus",
)
_BOUNDS = {"lt": "below", "lte": "at_most", "gt": "above", "gte": "at_least"}
_CALENDAR = {"d": "", "w": "week", "M": "month", "Q": "quarter", "Y": "year"}
_ROLLING = {"m": "m", "h": "h", "d": "d", "w": "w"}
_UNITS = {"minute": "m", "hour": "h", "day": "d", "week": "w", "month": "M", "quarter": "Q", "year": "Y"}
_MOST_DIGITS = 9  # of a number of days and the like
_PAGES = ("page", "critical", "high", "fatal", "urgent")


def index(documents: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What SLOs can refer to, by kind and name."""
    by_name = {}
    for data in documents:
        metadata = data.get("metadata")
        if data.get("kind") in _REFERRED and isinstance(metadata, dict) and metadata.get("name") is not None:
            by_name[str(data["kind"]), text_of(metadata["name"])] = data
    return by_name


def read(document: Document, file: str, known: Index, options: Options) -> Iterator[ServiceDraft | Refusal]:
    """The SLOs of a document, one for each objective, and what was refused."""
    data: dict[str, Any] = document.data
    line = document.place(())[0]
    if data.get("kind") != "SLO":
        return
    name = own_name(data)
    try:
        spec = mapping(data, "spec", "")
        objectives = sequence(spec, "objectives", "spec.")
        if not objectives:
            raise Refused("`spec.objectives` is missing")
        required(mapping(data, "metadata", ""), "name", "metadata.")
        service = required(spec, "serviceRef" if "serviceRef" in spec else "service", "spec.")
        notes = ConversionNotes()
        head: dict[str, Any] = {"service": name_of(service, "the service", ("service",), notes)}
        if text := optional(mapping(known.get(("Service", service), {}), "spec", ""), "description"):
            head["description"] = text
    except Refused as error:
        yield Refusal(name or "the document", line, str(error))
        return
    drafts: list[Draft] = []
    for place, objective in enumerate(objectives):
        try:
            if not isinstance(objective, dict):
                raise Refused(f"`spec.objectives[{place}]` must be a mapping")
            draft = _slo(data, objective, place, line, known, options)
            if any(other.entry["name"] == draft.entry["name"] for other in drafts):
                draft.entry["name"] += f"-{place + 1}"
            check_draft(head, draft, file)
        except Refused as error:
            yield Refusal(name if len(objectives) == 1 else f"{name}, objective {place + 1}", line, str(error))
        else:
            drafts.append(draft)
    if drafts:
        yield ServiceDraft(head, drafts, notes.entries)


def _slo(
    data: Mapping[str, Any], objective: Mapping[str, Any], place: int, line: int, known: Index, options: Options
) -> Draft:
    notes = ConversionNotes()
    metadata, spec = mapping(data, "metadata", ""), mapping(data, "spec", "")
    name = required(metadata, "name", "metadata.")
    several = len(sequence(spec, "objectives", "spec.")) > 1
    own = name_of(name, "the SLO", ("name",), notes)
    if several:
        title = optional(objective, "displayName")
        suffix = (
            name_of(title, "the objective", ("name",), ConversionNotes()).lower()
            if title.isascii() and title.strip("-_. ")
            else str(place + 1)
        )
        own = f"{own}-{suffix}"
        notes.same(("name",), "each objective is an SLO here")
    entry: dict[str, Any] = {"name": own, "objective": _target(objective), "window": _window(spec, notes)}
    if time_zone := _time_zone(spec, entry["window"], notes):
        entry["time_zone"] = time_zone
    if description := optional(spec, "description"):
        entry["description"] = description
    labels = own_labels(
        {key: _single(value) for key, value in mapping(metadata, "labels", "metadata.").items()}, ("labels",), notes
    )
    if owner := take_owner(labels):
        entry["owner"] = owner
    if labels:
        entry["labels"] = labels
    method = optional(spec, "budgetingMethod")
    sli, original = _sli(_indicator(spec, objective, known), objective, method, known, notes, options.invert)
    entry["sli"] = sli.data
    by = [label for label in sli.by if label not in labels]
    if by:
        entry["by"] = by
    entry["alerting"] = _alerting(sequence(spec, "alertPolicies", "spec."), known, notes)
    return Draft(own, line, entry, notes.entries, original)


def _single(value: Any) -> Any:
    """A label that is a list of one, as the one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _target(objective: Mapping[str, Any]) -> str:
    if objective.get("targetPercent") is not None:
        return text_of(objective["targetPercent"])
    return percent_of(required(objective, "target", "spec.objectives[]."))


# Time windows.


def _window(spec: Mapping[str, Any], notes: ConversionNotes) -> str:
    given = sequence(spec, "timeWindow" if "timeWindow" in spec else "timeWindows", "spec.")
    if len(given) != 1 or not isinstance(given[0], dict):
        raise Refused(f"has {len(given)} time windows; one is read" if given else "`spec.timeWindow` is missing")
    window = given[0]
    count, unit = _length(window)
    calendar = mapping(window, "calendar", "spec.timeWindow[].")
    rolling = text_of(window.get("isRolling", not calendar)).lower() == "true"
    if rolling:
        if unit not in _ROLLING:
            days = {"M": 30, "Q": 90, "Y": 365}[unit] * count
            notes.changed(("window",), f"a rolling window of {count}{unit} has {days}d here, whatever the months are")
            return f"{days}d"
        return f"{count}{unit}"
    if count != 1 or not _CALENDAR.get(unit):
        raise Refused(
            f"a calendar window of {count}{unit} is none of a week (1w), month (1M), quarter (1Q) and year (1Y); 1m is a minute"
        )
    _check_calendar(_CALENDAR[unit], calendar, notes)
    return _CALENDAR[unit]


def _time_zone(spec: Mapping[str, Any], window: str, notes: ConversionNotes) -> str:
    """The time zone of a calendar window; empty for UTC, and for a window that rolls."""
    if window not in _CALENDAR.values():
        return ""
    [given] = sequence(spec, "timeWindow" if "timeWindow" in spec else "timeWindows", "spec.")
    zone = optional(mapping(given, "calendar", "spec.timeWindow[]."), "timeZone") or "UTC"
    faults: list[str] = []
    if zone in ("UTC", "Etc/UTC", "GMT"):
        return ""
    if read_time_zone(zone, ("time_zone",), lambda at, message, severity: faults.append(message)) is None:
        notes.changed(("window",), f"the calendar's time zone is {zone} there, and UTC here: {faults[0]}")
        return ""
    return zone


def _length(window: Mapping[str, Any]) -> tuple[int, str]:
    """How many of which unit. `m` is a minute, `M` a month."""
    if window.get("unit") is not None:
        unit = _UNITS.get(text_of(window["unit"]).lower())
        count = text_of(window.get("count", "1"))
        if unit is None or not count.isdecimal() or len(count) > _MOST_DIGITS:
            raise Refused(f"a time window of {count} {text_of(window['unit'])} is not known")
        return int(count), unit
    text = required(window, "duration", "spec.timeWindow[].")
    if not text[:-1].isdecimal() or len(text) > _MOST_DIGITS or text[-1] not in (*_ROLLING, "M", "Q", "Y"):
        raise Refused(
            f"the duration {text!r} is not known; it is a number and one of m (minutes), h, d, w, M (months), Q, Y"
        )
    return int(text[:-1]), text[-1]


def _check_calendar(unit: str, calendar: Mapping[str, Any], notes: ConversionNotes) -> None:
    start = optional(calendar, "startTime")
    if start and not _begins(unit, start):
        begins = {
            "week": "Mondays",
            "month": "the first of the month",
            "quarter": "the first of the quarter",
            "year": "January 1st",
        }[unit]
        notes.changed(("window",), f"the {unit} begins with {start} there, and at midnight of {begins} here")


def _begins(unit: str, start: str) -> bool:
    """Whether a time such as `2022-01-01 00:00:00` is the beginning of a unit."""
    from datetime import datetime

    try:
        at = datetime.fromisoformat(start)
    except ValueError:
        return False
    if (at.hour, at.minute, at.second) != (0, 0, 0):
        return False
    if unit == "week":
        return at.weekday() == 0
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    return at.day == 1 and (at.month - 1) % months == 0


# Indicators.


@dataclass(frozen=True, slots=True)
class _MetricQuery:
    """A query, and whether its values are counters."""

    text: str
    counter: bool


def _indicator(spec: Mapping[str, Any], objective: Mapping[str, Any], known: Index) -> Mapping[str, Any]:
    """The indicator's own spec, from wherever it stands."""
    for holder in (objective, spec):
        for key in ("indicatorRef", "sliRef"):
            if holder.get(key) is not None:
                name = text_of(holder[key])
                if ("SLI", name) not in known:
                    raise Refused(f"refers to the SLI {name}, which is in none of the files; import it along")
                return mapping(known["SLI", name], "spec", "")
        for key in ("indicator", "sli"):
            if holder.get(key) is not None:
                inner = mapping(holder, key, "spec.")
                return mapping(inner, "spec", f"spec.{key}.") if "spec" in inner else inner
        if holder.get("ratioMetrics") is not None:
            return {"ratioMetric": holder["ratioMetrics"]}
    raise Refused("has no indicator")


def _sli(
    indicator: Mapping[str, Any],
    objective: Mapping[str, Any],
    method: str,
    known: Index,
    notes: ConversionNotes,
    invert: bool,
) -> tuple[SliDraft, dict[str, str]]:
    at: Path = ("sli",)
    slices = method in ("Timeslices", "RatioTimeslices")
    if indicator.get("thresholdMetric") is not None:
        return _threshold(mapping(indicator, "thresholdMetric", ""), objective, slices, known, notes)
    ratio = mapping(indicator, "ratioMetric", "")
    if not ratio:
        raise Refused("its indicator is neither a ratioMetric nor a thresholdMetric")
    counter = any(text_of(ratio.get(key, False)).lower() == "true" for key in ("counter", "incremental"))
    if ratio.get("raw") is not None:
        text = windowed(_query(mapping(ratio, "raw", "ratioMetric."), known))
        role = "success" if optional(ratio, "rawType") == "success" else "ratio"
        return of_ratio(text, at, notes, role=role, invert=invert), {role: text}  # type: ignore[arg-type]
    part = "good" if ratio.get("good") is not None else "bad"
    if part == "good" and ratio.get("total") is None and ratio.get("bad") is not None:
        part = "bad"
        own, fine = (_query(mapping(ratio, key, "ratioMetric."), known) for key in ("bad", "good"))
        total = f"{own} + {fine}"
        notes.same(at, "all events are the good and the bad ones")
    else:
        own, total = (_query(mapping(ratio, key, "ratioMetric."), known) for key in (part, "total"))
    part_is = "good" if part == "good" else "errors"
    if "{{" in own or "{{" in total:
        own, total = windowed(own), windowed(total)
        sli = of_good(own, total, at, notes) if part == "good" else of_events(own, total, at, notes, invert)
        original = {part_is: own, "total": total}
    else:
        own, total = (_increases(text, counter, notes) for text in (own, total))
        sli = of_good(own, total, at, notes) if part == "good" else of_events(own, total, at, notes, invert)
        original = {part_is: own, "total": total}
    return (_sliced(sli, original, part_is, objective, notes) if slices else sli), original


def _query(metric: Mapping[str, Any], known: Index) -> str:
    """The PromQL of a metric. Raises Refused where its source is another one."""
    source = mapping(metric, "metricSource", "") if "metricSource" in metric else metric
    reference = optional(source, "metricSourceRef") or optional(source, "dataSourceRef")
    kind = (
        optional(source, "type")
        or optional(source, "source")
        or optional(mapping(source, "dataSourceSpec", ""), "type")
    )
    if not kind and reference:
        kind = optional(mapping(known.get(("DataSource", reference), {}), "spec", ""), "type")
    if kind and kind.lower() not in _PROMETHEUS:
        raise Refused(f"its metrics come from {kind}; only Prometheus is asked in PromQL")
    inner = mapping(source, "spec", "") if "spec" in source else source
    for key in ("query", "promql", "expression"):
        if text := optional(inner, key):
            return text.strip()
    raise Refused("its metric has no query")


def _increases(text: str, counter: bool, notes: ConversionNotes) -> str:
    """What the counters of a query gain over `$window`, each by itself where it adds up several. Raises Refused."""
    try:
        nodes = _summands(parse(text))
    except PromqlError as error:
        raise Refused(f"its query is not PromQL as Prometheus reads it ({error}): {text}") from None
    texts = []
    for node in nodes:
        selector, by = _counter(node, text, counter, notes)
        grouping = f" by ({', '.join(by)}) " if by else ""
        texts.append(f"sum{grouping}(increase({selector}[{WINDOW_VARIABLE}]))")
    return " + ".join(texts)


def _summands(node: Node) -> list[Node]:
    match node:
        case Binary("+", left, right):
            return [*_summands(left), *_summands(right)]
    return [node]


def _counter(node: Node, text: str, counter: bool, notes: ConversionNotes) -> tuple[VectorSelector, tuple[str, ...]]:
    """The counter behind a query that gives a number at each moment. Raises Refused."""
    by: tuple[str, ...] = ()
    if isinstance(node, Aggregate) and node.op == "sum" and node.param is None and not node.without:
        by = node.grouping
        node = node.expr
    match node:
        case VectorSelector():
            if not counter and not is_counter_name(node.name or ""):
                raise Refused(
                    f"`counter` is not true and {node.name} is not a counter by its name, so its values are not numbers of events: {text}"
                )
            if not counter:
                notes.changed(
                    ("sli",),
                    f"`counter` is not true, but {node.name} is a counter by its name: what it gains is counted",
                )
            return node, by
        case Call("rate" | "increase" as func, (MatrixSelector(selector, range_ms),)):
            notes.changed(
                ("sli",),
                f"`{func}` over {format_duration(range_ms)} at each moment there; here each event is counted once",
            )
            return selector, by
    raise Refused(f"its query is not a counter and no rate of one: {text}")


def _threshold(
    metric: Mapping[str, Any], objective: Mapping[str, Any], slices: bool, known: Index, notes: ConversionNotes
) -> tuple[SliDraft, dict[str, str]]:
    text = _query(metric, known)
    try:
        node = parse(text)
    except PromqlError as error:
        raise Refused(f"its query is not PromQL as Prometheus reads it ({error}): {text}") from None
    if value_type(node) != "vector":
        raise Refused(f"its query gives no values at a moment: {text}")
    op = required(objective, "op", "spec.objectives[].")
    if op not in _BOUNDS:
        raise Refused(f"`op: {op}` is none of {', '.join(_BOUNDS)}")
    value = required(objective, "value", "spec.objectives[].")
    if not is_number(value):
        raise Refused(f"`value: {value}` is not a valid number")
    body = {"value": " ".join(text.split()), _BOUNDS[op]: value}
    if slices:
        body["slice"] = required(objective, "timeSliceWindow", "spec.objectives[].")
        share = optional(objective, "timeSliceTarget")
        if share and share.rstrip("0").rstrip(".") != "1":
            notes.changed(
                ("sli",),
                f"a slice is good there where {share} of its values are; here one value decides for each slice",
            )
    return SliDraft("threshold", body), {"value": body["value"]}


def _sliced(
    sli: SliDraft, original: Mapping[str, str], part_is: str, objective: Mapping[str, Any], notes: ConversionNotes
) -> SliDraft:
    """Time slices of a ratio: a slice is good where its own share of good events is high enough."""
    if sli.by:
        raise Refused(f"time slices by ({', '.join(sli.by)}) are not known here")
    length = required(objective, "timeSliceWindow", "spec.objectives[].")
    share = optional(objective, "timeSliceTarget")
    if not share:
        raise Refused(
            "its method is RatioTimeslices, the mean of the slices' ratios; here a slice is good or bad, or each event counts"
        )
    part, total = (original[key].replace(WINDOW_VARIABLE, length) for key in (part_is, "total"))
    value = f"{part} / {total}" if part_is == "good" else f"1 - {part} / {total}"
    bound = _BOUNDS.get(optional(objective, "op"), "at_least")
    bound = bound if bound in ("above", "at_least") else "at_least"
    notes.changed(
        ("sli",),
        "time slices of a ratio: `increase` counts within a slice, which extrapolates, and a slice without traffic is not judged",
    )
    return SliDraft("threshold", {"value": value, bound: share, "slice": length})


# Alerts.


def _alerting(policies: Sequence[Any], known: Index, notes: ConversionNotes) -> Any:
    at: Path = ("alerting",)
    windows: list[dict[str, Any]] = []
    severities: dict[str, str] = {}
    for policy in policies:
        for condition in _conditions(_resolved(policy, "alertPolicyRef", "AlertPolicy", known, notes), known, notes):
            window = _pair(condition, notes)
            if window is not None and window[0] not in windows:
                windows.append(window[0])
                severities[window[0]["severity"]] = window[1]
    if not windows:
        if not policies:
            notes.same(at, "there are no alert policies there; without this line there are burn-rate alerts")
        return False
    alerting: dict[str, Any] = {}
    for severity in ("page", "ticket"):
        if severity not in severities:
            alerting[severity] = False
        elif severities[severity] != severity:
            alerting[severity] = {"severity": severities[severity]}
    alerting["windows"] = windows
    notes.changed(
        (*at, "windows"), "a condition has one window there; here a short one of a twelfth of it must burn too"
    )
    return alerting


def _resolved(value: Any, key: str, kind: str, known: Index, notes: ConversionNotes) -> Mapping[str, Any]:
    """A policy or condition that is written in place, or referred to; empty where it is not there."""
    if isinstance(value, dict) and value.get(key) is None:
        return value
    name = text_of(value[key]) if isinstance(value, dict) else text_of(value)
    if (kind, name) not in known:
        notes.changed(("alerting",), f"the {kind} {name} is in none of the files, and was dropped")
        return {}
    return known[kind, name]


def _conditions(policy: Mapping[str, Any], known: Index, notes: ConversionNotes) -> Iterator[Mapping[str, Any]]:
    spec = mapping(policy, "spec", "")
    if spec.get("notificationTargets"):
        notes.changed(
            ("alerting",), "where alerts are sent is Alertmanager's configuration; `notificationTargets` were dropped"
        )
    for condition in sequence(spec, "conditions", "spec."):
        yield _resolved(condition, "conditionRef", "AlertCondition", known, notes)


def _pair(condition: Mapping[str, Any], notes: ConversionNotes) -> tuple[dict[str, Any], str] | None:
    spec = mapping(condition, "spec", "")
    if not spec:
        return None
    inner = mapping(spec, "condition", "spec.")
    kind, op = optional(inner, "kind"), optional(inner, "op") or "gt"
    if kind != "burnrate" or op not in ("gt", "gte"):
        notes.changed(
            ("alerting",),
            f"an alert condition `{kind} {op}` is not a valid burn rate above a threshold, and was dropped",
        )
        return None
    level = optional(spec, "severity") or "ticket"
    severity = "page" if level.lower() in _PAGES else "ticket"
    pair = {
        "severity": severity,
        "long": required(inner, "lookbackWindow", "").lstrip("-"),
        "factor": required(inner, "threshold", ""),
    }
    if hold := optional(inner, "alertAfter"):
        pair["for"] = hold
    return pair, level
