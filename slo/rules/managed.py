"""Rules for managed Prometheus: Google's `Rules` of monitoring.googleapis.com/v1, and Azure's prometheusRuleGroups.

Amazon's service takes the rules file itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slo.errors import ConfigError
from slo.promql.ast import squeezed
from slo.rules.format import PAD_OF_RESOURCE, group_text, resource
from slo.rules.groups import AlertRule, Rule, RuleGroup
from slo.window import DAY, HOUR, MINUTE, format_duration

GMP_VERSION, GMP_KIND = "monitoring.googleapis.com/v1", "Rules"
AZURE_VERSION = "2023-03-01"
AZURE_TYPE = "Microsoft.AlertsManagement/prometheusRuleGroups"
AZURE_INTERVALS_MS = (MINUTE, 15 * MINUTE)
AZURE_RESOURCES = 800  # of one template
# What a name of a resource must not have.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")
# Azure's severities are 0 (critical) to 4 (verbose).
_SEVERITIES = {"critical": 0, "p0": 0, "page": 1, "error": 1, "p1": 1, "ticket": 2, "warning": 2, "p2": 2}
_OTHER_SEVERITY = 3


@dataclass(frozen=True, slots=True)
class Lost:
    """What a format has no field for, and how many have it.

    Attributes:
        limits: Groups with a limit of series.
        keep_firing: Alerts that go on firing for a while.
    """

    limits: int
    keep_firing: int

    def __str__(self) -> str:
        parts = [f"`limit` of {self.limits:,} groups"] if self.limits else []
        parts += [f"`keep_firing_for` of {self.keep_firing:,} alerts"] if self.keep_firing else []
        return f"left out, as this format has no field for it: {' and '.join(parts)}" if parts else ""


def lost(groups: Iterable[RuleGroup], keep_firing: bool) -> Lost:
    """What of these groups is left out; `keep_firing` where the format has none of that either."""
    groups = list(groups)
    alerts = [rule for group in groups for rule in group.rules if isinstance(rule, AlertRule)]
    held = sum(rule.keep_firing_ms > 0 for rule in alerts) if keep_firing else 0
    return Lost(sum(group.limit > 0 for group in groups), held)


def gmp_rules(
    groups: Iterable[RuleGroup],
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    inputs: Iterable[str] = (),
    *,
    flat: bool = False,
) -> Iterator[str]:
    """A `Rules` resource of Google's managed Prometheus in pieces. It evaluates over the metrics of its own namespace."""
    texts = ("".join(group_text(_without_what_gmp_lacks(group), PAD_OF_RESOURCE, flat=flat)) for group in groups)
    return resource(GMP_VERSION, GMP_KIND, texts, name, namespace, labels, inputs)


def _without_what_gmp_lacks(group: RuleGroup) -> RuleGroup:
    rules: list[Rule] = [
        replace(rule, keep_firing_ms=0) if isinstance(rule, AlertRule) else rule for rule in group.rules
    ]
    return replace(group, limit=0, rules=tuple(rules))


def azure_template(groups: Sequence[RuleGroup]) -> str:
    """An ARM template with a resource for each group; the workspace, the action groups and the location are its parameters.

    Raises ConfigError where Azure takes no such interval, or no template of so many groups.
    """
    if len(groups) > AZURE_RESOURCES:
        raise ConfigError(
            f"{len(groups)} groups: a template has at most {AZURE_RESOURCES} resources; use --split for a file per service, or "
            "--max-groups"
        )
    names: dict[str, str] = {}
    for group in groups:
        other = names.setdefault(_resource_name(group.name).lower(), group.name)
        if other != group.name:
            raise ConfigError(
                f"the groups {other} and {group.name} are one resource in Azure; rename a service or an SLO"
            )
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "workspace": {
                "type": "string",
                "metadata": {"description": "the resource id of the Azure Monitor workspace"},
            },
            "location": {"type": "string", "defaultValue": "[resourceGroup().location]"},
            "actionGroups": {
                "type": "array",
                "defaultValue": [],
                "metadata": {"description": "objects with actionGroupId: whom alerts notify"},
            },
        },
        "resources": [_azure_group(group) for group in groups],
    }
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def _azure_group(group: RuleGroup) -> dict[str, Any]:
    least, most = AZURE_INTERVALS_MS
    if not least <= group.interval_ms <= most:
        raise ConfigError(
            f"the group {group.name} is evaluated every {format_duration(group.interval_ms)}; Azure takes {format_duration(least)} to "
            f"{format_duration(most)}"
        )
    return {
        "type": AZURE_TYPE,
        "apiVersion": AZURE_VERSION,
        "name": _resource_name(group.name),
        "location": "[parameters('location')]",
        "properties": {
            "description": _literal(" ".join(group.comment) or group.name),
            "enabled": True,
            "interval": iso_duration(group.interval_ms),
            "scopes": ["[parameters('workspace')]"],
            "rules": [_azure_rule(rule) for rule in group.rules],
        },
    }


def _azure_rule(rule: Rule) -> dict[str, Any]:
    labels = {name: _literal(text) for name, text in sorted(rule.labels.items())}
    common = {"enabled": True, "expression": _literal(squeezed(rule.expr)), "labels": labels}
    if not isinstance(rule, AlertRule):
        return {"record": rule.name, **common}
    return {
        "alert": _literal(rule.name),
        **common,
        "for": iso_duration(rule.for_ms),
        "annotations": {name: _literal(text) for name, text in sorted(rule.annotations.items())},
        "severity": _SEVERITIES.get(rule.labels.get("severity", "").lower(), _OTHER_SEVERITY),
        "resolveConfiguration": {"autoResolved": True}
        | ({"timeToResolve": iso_duration(rule.keep_firing_ms)} if rule.keep_firing_ms else {}),
        "actions": "[parameters('actionGroups')]",
    }


def _resource_name(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text).strip("-.")[:260]


def _literal(text: str) -> str:
    """A text that a template takes for what it is: one in brackets would be an expression."""
    return f"[{text}" if text.startswith("[") and text.endswith("]") else text


def iso_duration(length_ms: int) -> str:
    """A duration as ISO 8601 writes it.

    >>> iso_duration(300_000), iso_duration(90_061_000), iso_duration(0)
    ('PT5M', 'P1DT1H1M1S', 'PT0S')
    """
    days, rest = divmod(length_ms, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{rest / 1000:g}" if rest else ""
    time = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    text = (f"{days}D" if days else "") + (f"T{time}" if time else "")
    return f"P{text}" if text else "PT0S"
