"""slo-generator (`sre.google.com/v2`) with its Prometheus backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from slo.convert.common import only_slo, own_labels, percent_of, take_owner
from slo.convert.expression import SliDraft, of_events, of_good, of_ratio, selector_of
from slo.convert.model import (
    ConversionNotes,
    Draft,
    Options,
    Refusal,
    Refused,
    ServiceDraft,
    mapping,
    name_of,
    optional,
    required,
    sequence,
    text_of,
)
from slo.promql.ast import Matcher
from slo.reading import WINDOW_VARIABLE
from slo.spec.yaml import Document, Path

_NAMES = ("service_name", "feature_name", "slo_name")


def read(document: Document, file: str, options: Options) -> Iterator[ServiceDraft | Refusal]:
    """The SLO of a document, or why it was refused."""
    return only_slo(document, file, lambda data, line: _slo(data, line, options))


def _slo(data: Mapping[str, Any], line: int, options: Options) -> tuple[Draft, dict[str, Any]]:
    notes = ConversionNotes()
    metadata, spec = mapping(data, "metadata", ""), mapping(data, "spec", "")
    backend = optional(spec, "backend").partition("/")[0]
    if backend != "prometheus":
        raise Refused(f"its backend is {backend or 'not named'}; only `prometheus` is PromQL")
    labels = dict(mapping(metadata, "labels", "metadata."))
    names = {key: text_of(labels.pop(key)) for key in _NAMES if labels.get(key) is not None}
    name = names.get("slo_name") or required(metadata, "name", "metadata.")
    if feature := names.get("feature_name"):
        name = f"{feature}-{name}"
    service = names.get("service_name") or required(metadata, "name", "metadata.")
    entry: dict[str, Any] = {
        "name": name_of(name, "the SLO", ("name",), notes),
        "objective": percent_of(required(spec, "goal", "spec.")),
    }
    entry["window"] = options.window
    if description := optional(spec, "description"):
        entry["description"] = description
    kept = own_labels(labels, ("labels",), notes)
    owner = take_owner(kept)
    if owner:
        entry["owner"] = owner
    if kept:
        entry["labels"] = kept
    sli, original = _sli(optional(spec, "method"), mapping(spec, "service_level_indicator", "spec."), notes)
    entry["sli"] = sli.data
    if sli.by:
        raise Refused(f"is by ({', '.join(sli.by)}), of which slo-generator reads the first series only")
    notes.same(
        ("window",),
        "the windows stand in slo-generator's own configuration (error_budget_policies); `--window` says another",
    )
    policy = optional(spec, "error_budget_policy")
    if policy and policy != "default":
        notes.changed(
            (),
            f"the error-budget policy `{policy}` with its windows and alerts stands in another file, and was left out",
        )
    return Draft(name, line, entry, notes.entries, original), {
        "service": name_of(service, "the service", ("name",), notes)
    }


def _sli(method: str, given: Mapping[str, Any], notes: ConversionNotes) -> tuple[SliDraft, dict[str, str]]:
    at: Path = ("sli",)
    where = "spec.service_level_indicator."
    if method == "query_sli":
        text = _windowed(required(given, "expression", where))
        return of_ratio(text, at, notes, role="success"), {"success": text}
    if method == "distribution_cut":
        bucket = selector_of(_without_range(required(given, "expression", where)), "expression")
        bound = required(given, "threshold_bucket", where)
        every = replace(bucket, name=(bucket.name or "").removesuffix("_bucket") + "_count")
        fast = replace(bucket, matchers=(*bucket.matchers, Matcher("le", "=", bound)))
        original = {
            "good": f"sum(increase({fast}[{WINDOW_VARIABLE}]))",
            "total": f"sum(increase({every}[{WINDOW_VARIABLE}]))",
        }
        return of_good(original["good"], original["total"], at, notes), original
    if method != "good_bad_ratio":
        raise Refused(
            f"the method {method or 'that is missing'} is not one of query_sli, good_bad_ratio and distribution_cut"
        )
    operators = [text_of(operator) for operator in sequence(given, "operators", where)] or ["increase", "sum"]

    def query(key: str) -> str:
        text = _windowed(required(given, key, where))
        for operator in operators:
            text = f"{operator}({text})"
        return text

    good = query("filter_good")
    if given.get("filter_valid") is not None and given.get("filter_bad") is None:
        total = query("filter_valid")
        return of_good(good, total, at, notes), {"good": good, "total": total}
    bad = query("filter_bad")
    total = f"{good} + {bad}"
    notes.same(at, "all events are the good and the bad ones")
    return of_events(bad, total, at, notes), {"errors": bad, "total": total}


def _windowed(text: str) -> str:
    """A query with `$window` where slo-generator puts the window: in `[window`, or at the end."""
    text = text.strip()
    if "[window" in text:
        return text.replace("[window", f"[{WINDOW_VARIABLE}")
    return f"{text}[{WINDOW_VARIABLE}]"


def _without_range(text: str) -> str:
    return text.strip().removesuffix("[window]").strip()
