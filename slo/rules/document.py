"""Rule groups as data: what the APIs of rulers and of managed services take, and what two groups are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slo.errors import DurationError, PromqlError
from slo.promql.ast import squeezed
from slo.promql.parse import parse
from slo.rules.groups import AlertRule, Rule, RuleGroup
from slo.window import format_duration, parse_duration

Document = dict[str, Any]
_DURATIONS = ("for", "keep_firing_for")


def group_document(group: RuleGroup) -> Document:
    """A group as YAML or JSON has it in a rules file; expressions on one line."""
    document: Document = {"name": group.name, "interval": format_duration(group.interval_ms)}
    if group.limit:
        document["limit"] = group.limit
    return document | {"rules": [rule_document(rule) for rule in group.rules]}


def rule_document(rule: Rule) -> Document:
    """A rule as a rules file has it."""
    labels = dict(sorted(rule.labels.items()))
    if not isinstance(rule, AlertRule):
        return {"record": rule.name, "expr": squeezed(rule.expr)} | ({"labels": labels} if labels else {})
    document: Document = {"alert": rule.name, "expr": squeezed(rule.expr)}
    for key, length_ms in (("for", rule.for_ms), ("keep_firing_for", rule.keep_firing_ms)):
        if length_ms:
            document[key] = format_duration(length_ms)
    for key, texts in (("labels", labels), ("annotations", dict(sorted(rule.annotations.items())))):
        if texts:
            document[key] = texts
    return document


def same_group(group: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two groups do the same, however a server writes durations, expressions and what is empty."""
    return group == other or _plain_group(group) == _plain_group(other)


def _plain_group(group: Mapping[str, Any]) -> Document:
    rules = group.get("rules")
    plain = {key: value for key, value in group.items() if value not in (None, 0, "", [], {}) and key != "rules"}
    plain["interval"] = _duration(group.get("interval"))
    return plain | {"rules": [_plain_rule(rule) for rule in rules] if isinstance(rules, list) else rules}


def _plain_rule(rule: Any) -> Any:
    if not isinstance(rule, dict):
        return rule
    plain = {key: value for key, value in rule.items() if value not in (None, 0, "", [], {})}
    for key in _DURATIONS:
        if _duration(plain.get(key)) in (None, 0):
            plain.pop(key, None)
        else:
            plain[key] = _duration(plain[key])
    return plain | {"expr": _expression(plain.get("expr"))}


def _duration(value: Any) -> Any:
    """Milliseconds where it is a duration, of `5m`, `300s` or `5m0s`; else what it is."""
    try:
        return 0 if value in ("0s", "0") else parse_duration(value) if isinstance(value, str) else value
    except DurationError:
        return value


def _expression(text: Any) -> Any:
    try:
        return str(parse(text)) if isinstance(text, str) else text
    except PromqlError:
        return text
