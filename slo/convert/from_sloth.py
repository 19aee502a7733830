"""Sloth: files (`version: prometheus/v1`), resources (`PrometheusServiceLevel`) and `AlertWindows`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from slo.convert.common import (
    alert_labels,
    annotations_of,
    by_of,
    check_draft,
    own_labels,
    regrouped,
    take_owner,
    unknown_keys,
)
from slo.convert.expression import SliDraft, of_events, of_ratio
from slo.convert.model import (
    ConversionNotes,
    Draft,
    Options,
    Refusal,
    Refused,
    ServiceDraft,
    alert_name_of,
    is_number,
    mapping,
    name_of,
    optional,
    required,
    sequence,
    text_of,
)
from slo.convert.plugins import is_example, is_known, queries_of
from slo.convert.presets import own_preset, preset_of
from slo.convert.template import windowed
from slo.spec.labels import RESERVED
from slo.spec.yaml import Document, Path


@dataclass(frozen=True, slots=True)
class _Keys:
    """How a file, or a resource, names its keys."""

    errors: str
    total: str
    ratio: str
    page: str
    ticket: str
    plugins: str


_FILE = _Keys("error_query", "total_query", "error_ratio_query", "page_alert", "ticket_alert", "slo_plugins")
_RESOURCE = _Keys("errorQuery", "totalQuery", "errorRatioQuery", "pageAlert", "ticketAlert", "sloPlugins")
_PAIRS = (("page", "quick"), ("page", "slow"), ("ticket", "quick"), ("ticket", "slow"))
# Plugins that change nothing of what is measured.
_INFO, _FOR, _EXHAUSTED = (
    f"sloth.dev/contrib/{name}/v1" for name in ("info_labels", "alert_for", "error_budget_exhausted_alert")
)
_HARMLESS = {
    "sloth.dev/contrib/remove_labels/v1": "the SLO's labels are on its info series and its alerts here anyway",
    "sloth.dev/contrib/rule_intervals/v1": "how often rules are evaluated is `slo rules`'s own",
    "sloth.dev/contrib/denominator_corrected_rules/v1": "events are counted over the whole window here anyway",
    "sloth.dev/contrib/validate_victoria_metrics/v1": "it checks, and changes nothing",
}
_SLIS = "one of `events`, `raw` and `plugin`"


def is_windows(data: Mapping[str, Any]) -> bool:
    """Whether a document sets alert windows and has no SLOs."""
    return data.get("kind") == "AlertWindows"


def read(
    document: Document, file: str, options: Options, windows: Sequence[Mapping[str, Any]]
) -> Iterator[ServiceDraft | Refusal]:
    """The service of a document, and what of it was refused. `windows` are all `AlertWindows` that were given."""
    data: dict[str, Any] = document.data
    resource = "apiVersion" in data
    keys, other, base = (_RESOURCE, _FILE, ("spec",)) if resource else (_FILE, _RESOURCE, ())
    where = "spec." if resource else ""
    line = document.place(())[0]
    notes = ConversionNotes()
    try:
        spec = mapping(data, "spec", "") if resource else data
        head: dict[str, Any] = {
            "service": name_of(required(spec, "service", where), "the service", ("service",), notes)
        }
        labels = own_labels(mapping(spec, "labels", where), ("labels",), notes)
        if owner := take_owner(labels):
            head["owner"] = owner
        if labels:
            head["labels"] = labels
        defaults: dict[str, Any] = {"window": options.window}
        if pairs := _alert_windows(windows, options.window, notes):
            defaults["alerting"] = {"windows": pairs}
        head["defaults"] = defaults
        chain = _chain(spec.get(keys.plugins))
        _plugins(chain, keys.plugins, notes)
        if info := _info_labels(chain, notes):
            defaults["info_labels"] = info
        known = ("service", "labels", "slos", keys.plugins, *(() if resource else ("version",)))
        unknown_keys(spec, known, where, (), notes)
        entries = sequence(spec, "slos", where)
    except Refused as error:
        yield Refusal(optional(data, "service") or "the document", line, str(error))
        return
    if not entries:
        yield Refusal(head["service"], line, "has no SLOs")
    drafts: list[Draft] = []
    for index, entry in enumerate(entries):
        at = document.place((*base, "slos", index))[0]
        name = optional(entry, "name") if isinstance(entry, dict) else ""
        try:
            draft = _slo(entry, at, keys, other, labels, options, chain)
            check_draft(head, draft, file)
        except Refused as error:
            yield Refusal(f"{head['service']}/{name or f'slos[{index}]'}", at, str(error))
        else:
            drafts.append(draft)
    if any(draft.entry.get("alerting") is not False for draft in drafts):
        notes.same(
            (),
            "Alongside Sloth's two alerts an SLO has one for missing data; `absent: off` under `alerting` leaves it out.",
        )
    if drafts:
        yield ServiceDraft(head, drafts, notes.entries)


def _slo(
    entry: Any,
    line: int,
    keys: _Keys,
    other: _Keys,
    labels: Mapping[str, str],
    options: Options,
    chain: Sequence[Mapping[str, Any]],
) -> Draft:
    if not isinstance(entry, dict):
        raise Refused("must be a mapping")
    notes = ConversionNotes()
    name = required(entry, "name", "")
    result: dict[str, Any] = {
        "name": name_of(name, "the SLO", ("name",), notes),
        "objective": required(entry, "objective", ""),
    }
    if description := optional(entry, "description"):
        result["description"] = description
    own = own_labels(mapping(entry, "labels", ""), ("labels",), notes)
    if owner := take_owner(own):
        result["owner"] = owner
    if own:
        result["labels"] = own
    by: list[str] = []
    original: Mapping[str, str] = {}
    if (made := _own_preset(mapping(entry, "sli", ""), notes)) is not None:
        result |= made
    else:
        sli, original = _sli(mapping(entry, "sli", ""), keys, other, notes, options)
        by = by_of(sli.by, {**labels, **own}, notes)
        sli = regrouped(sli, by)
        result |= _preset(entry["sli"], sli) or {"sli": sli.data}
    if by:
        result["by"] = by
    own_chain = _chain(entry.get("plugins"))
    _plugins(own_chain, "plugins", notes)
    if info := _info_labels(own_chain, notes):
        result["info_labels"] = info
    alerting = _alerting(mapping(entry, "alerting", ""), keys, other, by, notes, [*chain, *own_chain])
    if alerting is not None:
        result["alerting"] = alerting
    unknown_keys(entry, ("name", "objective", "description", "labels", "sli", "alerting", "plugins"), "", (), notes)
    return Draft(name, line, result, notes.entries, original)


def _sli(
    sli: Mapping[str, Any], keys: _Keys, other: _Keys, notes: ConversionNotes, options: Options
) -> tuple[SliDraft, dict[str, str]]:
    given = [kind for kind in ("events", "raw", "plugin") if sli.get(kind) is not None]
    if len(given) != 1:
        raise Refused(f"`sli` must have {_SLIS}; it has {' and '.join(given) or 'none'}")
    body = mapping(sli, given[0], "sli.")
    at: Path = ("sli",)
    if given[0] == "plugin":
        plugin = required(body, "id", "sli.plugin.")
        texts = {
            key: text_of(value) for key, value in mapping(body, "options", "sli.plugin.").items() if value is not None
        }
        made = queries_of(plugin, texts)
        notes.same(
            (), f"what the plugin {plugin} counts" + (", as Sloth's documentation has it" if is_example(plugin) else "")
        )
        return of_events(made.errors, made.total, at, notes), {"errors": made.errors, "total": made.total}
    wanted = (keys.errors, keys.total) if given[0] == "events" else (keys.ratio,)
    wrong = (other.errors, other.total) if given[0] == "events" else (other.ratio,)
    for right, name in zip(wanted, wrong, strict=True):
        if name in body and right not in body:
            raise Refused(f"`sli.{given[0]}.{name}` is not read by Sloth here; it is `{right}`")
    queries = [windowed(required(body, key, f"sli.{given[0]}.")) for key in wanted]
    if given[0] == "events":
        errors, total = queries
        return of_events(errors, total, at, notes, options.invert), {"errors": errors, "total": total}
    return of_ratio(queries[0], at, notes, invert=options.invert), {"ratio": queries[0]}


def _own_preset(sli: Mapping[str, Any], notes: ConversionNotes) -> dict[str, Any] | None:
    """The preset of a team's own that a plugin is, where nothing else is known of the plugin."""
    plugin = sli.get("plugin")
    if (
        not isinstance(plugin, dict)
        or set(sli) != {"plugin"}
        or not isinstance(plugin.get("id"), str)
        or is_known(plugin["id"])
    ):
        return None
    options = mapping(plugin, "options", "sli.plugin.")
    made = own_preset(plugin["id"], {key: text_of(value) for key, value in options.items() if value is not None})
    if made is not None:
        notes.same((), f"what the plugin {plugin['id']} counts, as the preset says")
        del made["sli"]
    return made


def _preset(sli: Mapping[str, Any], made: SliDraft) -> dict[str, Any] | None:
    """The preset that a plugin's SLI is, if there is one of the same meaning."""
    plugin = sli.get("plugin")
    if not isinstance(plugin, dict):
        return None
    options = mapping(plugin, "options", "sli.plugin.")
    return preset_of(
        str(plugin["id"]), {key: text_of(value) for key, value in options.items() if value is not None}, made
    )


def _alerting(
    alerting: Mapping[str, Any],
    keys: _Keys,
    other: _Keys,
    by: Sequence[str],
    notes: ConversionNotes,
    chain: Sequence[Mapping[str, Any]],
) -> Any:
    at: Path = ("alerting",)
    waits = any(optional(plugin, "id") == _FOR for plugin in chain)
    exhausted = _exhausted(chain, by, notes)
    misspelt = {other.page: keys.page, other.ticket: keys.ticket}
    unknown_keys(alerting, ("name", "labels", "annotations", keys.page, keys.ticket), "alerting.", at, notes, misspelt)
    page, ticket = mapping(alerting, keys.page, "alerting."), mapping(alerting, keys.ticket, "alerting.")
    if all(_disabled(alert) for alert in (page, ticket)):
        return {"page": False, "ticket": False, "absent": False, "budget": exhausted} if exhausted else False
    result: dict[str, Any] = {"budget": exhausted} if exhausted else {}
    if name := optional(alerting, "name"):
        result["name"] = alert_name_of(name, (*at, "name"), notes)
    common = alert_labels(mapping(alerting, "labels", "alerting."), by, (*at, "labels"), notes)
    severity = common.pop("severity", "")
    if common:
        result["labels"] = common
    if texts := annotations_of(mapping(alerting, "annotations", "alerting."), (*at, "annotations"), notes):
        result["annotations"] = texts
    for key, alert, word in (("page", page, keys.page), ("ticket", ticket, keys.ticket)):
        if _disabled(alert):
            result[key] = False
            continue
        own: dict[str, Any] = {}
        labels = alert_labels(mapping(alert, "labels", f"alerting.{word}."), by, (*at, key), notes)
        if level := labels.pop("severity", severity):
            own["severity"] = level
        if labels:
            own["labels"] = labels
        if texts := annotations_of(mapping(alert, "annotations", f"alerting.{word}."), (*at, key), notes):
            own["annotations"] = texts
        if waits and (hold := optional(alert, "for")):
            own["for"] = hold
        known = ("disable", "labels", "annotations", *(["for"] if waits else []))
        unknown_keys(alert, known, f"alerting.{word}.", (*at, key), notes)
        if own:
            result[key] = own
    return result or None


def _chain(given: Any) -> list[Mapping[str, Any]]:
    """The plugins that change Sloth's rules, in their order; what is none of them is one without an id."""
    chain = given.get("chain") if isinstance(given, dict) else None
    plugins = chain if isinstance(chain, list) else [given] if given else []
    return [plugin if isinstance(plugin, dict) else {} for plugin in plugins]


def _plugins(chain: Sequence[Mapping[str, Any]], key: str, notes: ConversionNotes) -> None:
    """Notes on code that changes Sloth's rules."""
    for plugin in chain:
        name = optional(plugin, "id")
        if name in (_INFO, _FOR, _EXHAUSTED):
            continue
        if name in _HARMLESS:
            notes.same((), f"the plugin {name} is left out: {_HARMLESS[name]}")
        else:
            notes.changed((), f"`{key}` changes Sloth's rules by code ({name or 'no id'}), and was left out")


def _info_labels(chain: Sequence[Mapping[str, Any]], notes: ConversionNotes) -> dict[str, str]:
    """The labels that a plugin adds to the info series."""
    labels: dict[str, str] = {}
    for plugin in chain:
        if optional(plugin, "id") != _INFO:
            continue
        config = mapping(plugin, "config", "plugins.chain[].")
        if (metric := optional(config, "metricName")) not in ("", "sloth_slo_info"):
            notes.changed(("info_labels",), f"the labels are on a series {metric} there, and on the info series here")
        for name, value in mapping(config, "labels", "plugins.chain[].config.").items():
            if isinstance(value, dict | list) or name in RESERVED:
                notes.changed(
                    ("info_labels",),
                    f"the label `{name}` of the info series was dropped: the rules set it, or it is no text",
                )
            elif value is not None:
                labels[name] = text_of(value)
    return labels


def _exhausted(chain: Sequence[Mapping[str, Any]], by: Sequence[str], notes: ConversionNotes) -> dict[str, Any] | None:
    """The alert on the consumed budget that a plugin adds. Raises Refused where its threshold is not a number."""
    given = [plugin for plugin in chain if optional(plugin, "id") == _EXHAUSTED]
    if not given:
        return None
    at: Path = ("alerting", "budget")
    config = mapping(given[-1], "config", "plugins.chain[].")
    if len(given) > 1:
        notes.changed(at, "there are several alerts on the consumed budget there; here is the last of them")
    if config.get("selector_labels"):
        notes.changed(at, "`selector_labels` was left out: the alert is of this SLO's own series here")
    text = optional(config, "threshold") or "0"
    if not is_number(text):
        raise Refused(f"the threshold {text!r} of {_EXHAUSTED} is not a valid number")
    consumed = 100 - 100 * Decimal(text)
    alert: dict[str, Any] = {
        "consumed": [f"{consumed.normalize():f}%"],
        "name": alert_name_of(optional(config, "alert_name") or "ErrorBudgetExhausted", at, notes),
        "for": optional(config, "for") or "5m",
        "labels": alert_labels(mapping(config, "alert_labels", "plugins.chain[].config."), by, at, notes),
        "annotations": annotations_of(mapping(config, "annotations", "plugins.chain[].config."), at, notes),
    }
    return {key: value for key, value in alert.items() if value}


def _disabled(alert: Mapping[str, Any]) -> bool:
    return text_of(alert.get("disable", False)).lower() == "true"


def _alert_windows(given: Sequence[Mapping[str, Any]], window: str, notes: ConversionNotes) -> list[dict[str, str]]:
    """Sloth's own pairs of windows for a period. Raises Refused where they are incomplete."""
    for data in given:
        spec = mapping(data, "spec", "")
        if required(spec, "sloPeriod", "spec.") != window:
            continue
        notes.same(("defaults", "alerting"), "the pairs of windows of the file `AlertWindows`")
        pairs = []
        for severity, speed in _PAIRS:
            where = f"spec.{severity}.{speed}."
            pair = mapping(mapping(spec, severity, "spec."), speed, f"spec.{severity}.")
            share = required(pair, "errorBudgetPercent", where)
            if not is_number(share):
                raise Refused(f"`{where}errorBudgetPercent` is {share!r}, which is not a valid number")
            long, short = required(pair, "longWindow", where), required(pair, "shortWindow", where)
            pairs.append({"severity": severity, "long": long, "short": short, "budget": f"{share}%"})
        return pairs
    return []
