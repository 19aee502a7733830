"""Pyrra: `ServiceLevelObjective` resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from slo.convert.common import annotations_of, by_of, only_slo, own_labels, take_owner, unknown_keys
from slo.convert.expression import SliDraft, of_selectors, probe, selector_of
from slo.convert.model import (
    ConversionNotes,
    Draft,
    Refusal,
    Refused,
    ServiceDraft,
    alert_name_of,
    mapping,
    name_of,
    optional,
    required,
    sequence,
    text_of,
)
from slo.errors import DurationError
from slo.spec.read import parse_objective
from slo.spec.yaml import Document, Path
from slo.window import DAY, MINUTE, format_duration, parse_duration

PREFIX = "pyrra.dev/"
# For an SLO over 28 d: how long it must hold, the long and the short window, in minutes, and the burn rate.
PAIRS = (
    ("fastBurn", "critical", 2, 60, 5, 14),
    ("mediumBurn", "critical", 15, 360, 30, 7),
    ("slowBurn", "warning", 60, 1440, 120, 2),
    ("longTermBurn", "warning", 180, 5760, 360, 1),
)
_PAGE = {"critical": "page", "warning": "ticket"}
_INDICATORS = ("ratio", "latency", "latencyNative", "bool_gauge")


def read(document: Document, file: str) -> Iterator[ServiceDraft | Refusal]:
    """The SLO of a document, or why it was refused."""
    return only_slo(document, file, _slo)


def _slo(data: Mapping[str, Any], line: int) -> tuple[Draft, dict[str, Any]]:
    notes = ConversionNotes()
    metadata, spec = mapping(data, "metadata", ""), mapping(data, "spec", "")
    name = required(metadata, "name", "metadata.")
    labels = mapping(metadata, "labels", "metadata.")
    own = {key.removeprefix(PREFIX): value for key, value in labels.items() if key.startswith(PREFIX)}
    service = text_of(own.pop("service", "") or optional(metadata, "namespace") or "default")
    if others := [key for key in labels if not key.startswith(PREFIX)]:
        notes.same(
            (),
            f"labels of the resource itself are left out ({', '.join(others)}): `slo rules --format operator --label` sets them",
        )
    entry: dict[str, Any] = {
        "name": name_of(name, "the SLO", ("name",), notes),
        "objective": required(spec, "target", "spec."),
    }
    window_ms = _window(required(spec, "window", "spec."))
    entry["window"] = format_duration(window_ms)
    if description := optional(spec, "description"):
        entry["description"] = description
    kept = own_labels(own, ("labels",), notes)
    owner = take_owner(kept)
    if kept:
        entry["labels"] = kept
    annotations = {
        key.removeprefix(PREFIX): value
        for key, value in mapping(metadata, "annotations", "metadata.").items()
        if key.startswith(PREFIX)
    }
    if texts := annotations_of(annotations, ("annotations",), notes):
        entry["annotations"] = texts
    sli, original = _sli(mapping(spec, "indicator", "spec."), notes)
    entry["sli"] = sli.data
    if by := by_of(sli.by, kept, notes):
        entry["by"] = by
    entry["alerting"] = _alerting(mapping(spec, "alerting", "spec."), window_ms, entry["objective"], notes)
    unknown_keys(
        spec, ("target", "window", "description", "indicator", "alerting", "performanceOverAccuracy"), "spec.", (), notes
    )  # fmt: skip
    head = {"service": name_of(service, "the service", ("name",), notes)} | ({"owner": owner} if owner else {})
    return Draft(name, line, entry, notes.entries, original), head


def _window(text: str) -> int:
    try:
        return parse_duration(text)
    except DurationError as error:
        raise Refused(f"window: {error}") from None


def _sli(indicator: Mapping[str, Any], notes: ConversionNotes) -> tuple[SliDraft, dict[str, str]]:
    given = [kind for kind in _INDICATORS if indicator.get(kind) is not None]
    if len(given) != 1:
        raise Refused(
            f"`spec.indicator` must be one of {', '.join(_INDICATORS)}; it is {' and '.join(given) or 'none'}"
        )
    where, at = f"spec.indicator.{given[0]}.", ("sli",)
    body = mapping(indicator, given[0], "spec.indicator.")
    by = tuple(text_of(label) for label in sequence(body, "grouping", where))
    if given[0] == "bool_gauge":
        metric = required(body, "metric", where)
        gauge = selector_of(metric, "the gauge")
        return probe(gauge, by, at, notes), {
            "errors": f"sum(count_over_time({metric}[$window])) - sum(sum_over_time({metric}[$window]))",
            "total": f"sum(count_over_time({metric}[$window]))",
        }
    total = required(mapping(body, "total", where), "metric", f"{where}total.")
    if given[0] == "latencyNative":
        histogram = selector_of(total, "total")
        unit = {"histogram": str(histogram), "threshold": required(body, "latency", where), "native": True}
        return SliDraft("latency", unit, by), {}
    part, part_is = ("errors", "errors") if given[0] == "ratio" else ("success", "good")
    metric = required(mapping(body, part, where), "metric", f"{where}{part}.")
    original = {part_is: f"sum(increase({metric}[$window]))", "total": f"sum(increase({total}[$window]))"}
    if part_is == "errors":
        return of_selectors(metric, total, "errors", by, at, notes), original
    return of_selectors(metric, total, "good", by, at, notes), original


def _alerting(alerting: Mapping[str, Any], window_ms: int, target: str, notes: ConversionNotes) -> Any:
    at: Path = ("alerting",)
    unknown_keys(
        alerting, ("disabled", "name", "burnrates", "absent", "severities", "absentName"), "spec.alerting.", at, notes
    )
    if _is(alerting, "disabled", False):
        return False
    given = {
        key.lower(): text_of(value)
        for key, value in mapping(alerting, "severities", "spec.alerting.").items()
        if value is not None
    }
    result: dict[str, Any] = {}
    if name := optional(alerting, "name"):
        result["name"] = alert_name_of(name, (*at, "name"), notes)
    if _is(alerting, "burnrates", True):
        result["page"], result["ticket"] = {"severity": "critical"}, {"severity": "warning"}
        if windows := _windows(window_ms, target, given, notes):
            result["windows"] = windows
    else:
        result["page"] = result["ticket"] = False
    if not _is(alerting, "absent", True):
        result["absent"] = False
    else:
        absent: dict[str, Any] = {"severity": "page", "labels": {"severity": given.get("absent", "critical")}}
        if text := optional(alerting, "absentName"):
            absent["name"] = alert_name_of(text, (*at, "absent"), notes)
        result["absent"] = absent
    return result


def _is(data: Mapping[str, Any], key: str, default: bool) -> bool:
    return text_of(data.get(key, default)).lower() == "true"


def _windows(
    window_ms: int, target: str, severities: Mapping[str, str], notes: ConversionNotes
) -> list[dict[str, Any]]:
    """Pyrra's four pairs for an SLO's window, rounded to minutes as it does."""
    try:
        budget = 1 - parse_objective(target).ratio
    except ValueError:
        return []  # the objective's own fault is reported
    pairs: list[dict[str, Any]] = []
    for key, level, hold, long, short, factor in PAIRS:
        severity = severities.get(key.lower(), level)
        minutes = [_scaled(part, window_ms) for part in (hold, long, short)]
        if not minutes[2] or minutes[2] >= minutes[1]:
            notes.same(
                ("alerting",), f"Pyrra's pair with a burn rate of {factor} is left out: over {format_duration(window_ms)} its short window rounds to "
                f"{minutes[2]}m, alongside {minutes[1]}m",
            )  # fmt: skip
        elif factor * budget >= 1:
            notes.same(
                ("alerting",),
                f"Pyrra's pair with a burn rate of {factor} is left out: with {target}% it could never fire",
            )
        else:
            pair: dict[str, Any] = {
                "severity": _PAGE[level], "long": _text(minutes[1]), "short": _text(minutes[2]), "factor": str(factor), "for": _text(minutes[0])
            }  # fmt: skip
            if not minutes[0]:
                del pair["for"]
            if severity != level:
                pair["labels"] = {"severity": severity}
            pairs.append(pair)
    return pairs


def _scaled(minutes: int, window_ms: int) -> int:
    """Minutes of an SLO over 28 d for another window, halves rounded up."""
    exact = Fraction(minutes * window_ms, 28 * DAY)
    return int(exact + Fraction(1, 2))


def _text(minutes: int) -> str:
    return format_duration(minutes * MINUTE) if minutes else "0m"
