"""Grafana's Terraform resource `grafana_slo`, where the extra `terraform` (python-hcl2) is installed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from slo.convert.common import alert_labels, annotations_of, by_of, check_draft, own_labels, percent_of, take_owner
from slo.convert.expression import SliDraft, of_ratio, of_selectors
from slo.convert.model import ConversionNotes, Draft, Refusal, Refused, ServiceDraft, name_of
from slo.reading import WINDOW_VARIABLE
from slo.spec.yaml import Path

_RESOURCE = "grafana_slo"
# Grafana's own variables for a range.
_RANGES = ("$__rate_interval", "${__rate_interval}", "$__interval", "$__range")
_HEREDOC = re.compile(r"<<-?(?P<end>\w+)\n(?P<body>.*\n)?[ \t]*(?P=end)\s*", re.S)
_LARGEST = 512 << 10  # characters; python-hcl2 takes some ten seconds for as many
WITHOUT = (
    "reading Terraform needs python-hcl2, which is not installed: pip install 'slo[terraform]'. Or let Grafana export the SLO and "
    "write its queries into a definition"
)


def read(text: str, file: str) -> Iterator[ServiceDraft | Refusal]:
    """The SLOs of a Terraform file, and what of it was refused."""
    try:
        import hcl2
    except ModuleNotFoundError:
        yield Refusal("the file", 1, WITHOUT)
        return
    if len(text) > _LARGEST:
        yield Refusal(
            "the file",
            1,
            f"is larger than {_LARGEST >> 10} KiB; put the resources {_RESOURCE} into a file of their own",
        )
        return
    try:
        data: dict[str, Any] = hcl2.loads(text if text.endswith("\n") else text + "\n")
    except Exception as error:  # noqa: BLE001 - the library raises its parser's own errors, of many classes
        first = str(error).strip().splitlines()
        yield Refusal(
            "the file", 1, f"is not HCL that python-hcl2 reads: {first[0] if first else type(error).__name__}"
        )
        return
    blocks = data.get("resource")
    for resources in blocks if isinstance(blocks, list) else []:
        for kind, named in resources.items() if isinstance(resources, dict) else ():
            for name, body in named.items() if isinstance(named, dict) else ():
                kind_text, name_text = _plain(kind), _plain(name)
                line = _line(text, kind_text, name_text)
                if kind_text == _RESOURCE:
                    yield _resource(body, name_text, line, file)
                elif "slo" in kind_text or "service_level" in kind_text:
                    yield Refusal(
                        f"{kind_text}.{name_text}", line, f"is a resource {kind_text}, whose queries are not PromQL"
                    )


def _line(text: str, kind: str, name: str) -> int:
    match = re.search(rf'resource\s+"{re.escape(kind)}"\s+"{re.escape(name)}"', text)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _resource(body: Any, name: str, line: int, file: str) -> ServiceDraft | Refusal:
    try:
        if not isinstance(body, dict):
            raise Refused("is not one block")
        draft, head = _slo(body, name, line)
        check_draft(head, draft, file)
    except Refused as error:
        return Refusal(f"{_RESOURCE}.{name}", line, str(error))
    return ServiceDraft(head, [draft])


def _slo(body: Mapping[str, Any], name: str, line: int) -> tuple[Draft, dict[str, Any]]:
    notes = ConversionNotes()
    objectives = _blocks(body, "objectives")
    if len(objectives) != 1:
        raise Refused(f"has {len(objectives)} blocks `objectives`; one is read")
    entry: dict[str, Any] = {
        "name": name_of(name, "the SLO", ("name",), notes),
        "objective": percent_of(_text(objectives[0], "value", "objectives.")),
        "window": _text(objectives[0], "window", "objectives."),
    }
    title, description = _text(body, "name", ""), _optional(body, "description")
    entry["description"] = description or title
    labels = {_text(pair, "key", "label."): _text(pair, "value", "label.") for pair in _blocks(body, "label")}
    kept = own_labels(labels, ("labels",), notes)
    owner = take_owner(kept)
    if owner:
        entry["owner"] = owner
    if kept:
        entry["labels"] = kept
    sli, original = _sli(body, notes)
    entry["sli"] = sli.data
    by = by_of(sli.by, kept, notes)
    if by:
        entry["by"] = by
    entry["alerting"] = _alerting(body, by, notes)
    folder = _optional(body, "folder_uid")
    service = folder or title
    return Draft(name, line, entry, notes.entries, original), {
        "service": name_of(service, "the service", ("name",), notes)
    }


def _sli(body: Mapping[str, Any], notes: ConversionNotes) -> tuple[SliDraft, dict[str, str]]:
    at: Path = ("sli",)
    queries = _blocks(body, "query")
    if len(queries) != 1:
        raise Refused(f"has {len(queries)} blocks `query`; one is read")
    ratio, freeform = _blocks(queries[0], "ratio"), _blocks(queries[0], "freeform")
    if len(ratio) == 1:
        good, total = _text(ratio[0], "success_metric", "query.ratio."), _text(ratio[0], "total_metric", "query.ratio.")
        by = tuple(_value(label, "query.ratio.group_by_labels") for label in ratio[0].get("group_by_labels") or ())
        original = {
            "good": f"sum(increase({good}[{WINDOW_VARIABLE}]))",
            "total": f"sum(increase({total}[{WINDOW_VARIABLE}]))",
        }
        return of_selectors(good, total, "good", by, at, notes), original
    if len(freeform) == 1:
        text = _text(freeform[0], "query", "query.freeform.")
        for variable in _RANGES:
            text = text.replace(variable, WINDOW_VARIABLE)
        return of_ratio(text, at, notes, role="success"), {"success": text}
    kind = _optional(queries[0], "type") or "unknown"
    raise Refused(f"its query is of the type {kind}; ratio and freeform are PromQL")


def _alerting(body: Mapping[str, Any], by: list[str], notes: ConversionNotes) -> Any:
    at: Path = ("alerting",)
    blocks = _blocks(body, "alerting")
    if not blocks:
        notes.same(at, "there are no alerts there; without this line there are burn-rate alerts")
        return False
    alerting: dict[str, Any] = {}
    for key, value in _alert(blocks[0], by, at, notes).items():
        alerting[key] = value
    severity = alerting.get("labels", {}).pop("severity", "")
    for name, block in (("page", "fastburn"), ("ticket", "slowburn")):
        own: dict[str, Any] = {}
        for given in _blocks(blocks[0], block):
            own |= _alert(given, by, (*at, name), notes)
            if _blocks(given, "enrichment"):
                notes.changed((*at, name), f"`enrichment` of `{block}` is Grafana's own, and was dropped")
        level = own.get("labels", {}).pop("severity", severity)
        own = {key: value for key, value in own.items() if value}
        if level:
            own = {"severity": level, **own}
        if own:
            alerting[name] = own
    for options in _blocks(blocks[0], "advanced_options"):
        if least := _optional(options, "min_failures"):
            alerting["least_errors"] = least
    return {key: value for key, value in alerting.items() if value} or None or {}


def _alert(block: Mapping[str, Any], by: list[str], at: Path, notes: ConversionNotes) -> dict[str, Any]:
    labels = {_text(pair, "key", "label."): _text(pair, "value", "label.") for pair in _blocks(block, "label")}
    annotations = {
        _text(pair, "key", "annotation."): _text(pair, "value", "annotation.") for pair in _blocks(block, "annotation")
    }
    alert = {"labels": alert_labels(labels, by, at, notes), "annotations": annotations_of(annotations, at, notes)}
    return {key: value for key, value in alert.items() if value}


def _blocks(body: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    blocks = body.get(key) or []
    return [block for block in (blocks if isinstance(blocks, list) else [blocks]) if isinstance(block, dict)]


def _text(body: Mapping[str, Any], key: str, where: str) -> str:
    if body.get(key) is None:
        raise Refused(f"`{where}{key}` is missing")
    return _value(body[key], f"{where}{key}")


def _optional(body: Mapping[str, Any], key: str) -> str:
    return "" if body.get(key) is None else _value(body[key], key)


def _value(value: Any, where: str) -> str:
    """A literal as text. Raises Refused for what Terraform works out first."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str):
        raise Refused(f"`{where}` is not a text")
    match = _HEREDOC.fullmatch(value)
    if match is not None:
        text = match["body"] or ""
    elif len(value) >= 2 and value[0] == value[-1] == '"':
        text = _plain(value)
    else:
        raise Refused(f"`{where}` is an expression of Terraform ({value[:80]}); write its value")
    if "${" in text.replace("$${", "").replace("${__rate_interval}", ""):
        raise Refused(f"`{where}` holds an expression of Terraform ({text[:80]}); write its value")
    return text.replace("$${", "${")


def _plain(text: str) -> str:
    """A quoted text without its quotes and escapes."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text, strict=False))
        except json.JSONDecodeError:
            return text[1:-1]
    return text
