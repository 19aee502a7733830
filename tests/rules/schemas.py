"""What managed services publish of the rules that they take, as JSON schemas of ours: the fields, their types, and nothing else.

Google: the resource definition `rules.monitoring.googleapis.com`, version v1 (charts/operator/crds in GoogleCloudPlatform/prometheus-engine).
Azure: PrometheusRuleGroups, 2023-03-01 (azure-rest-api-specs, Microsoft.AlertsManagement); the range of intervals and of severities is in
its descriptions, 20 rules a group in the limits of Azure Monitor.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
# As Prometheus reads it, and ISO 8601.
DURATION = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
ISO = {"type": "string", "pattern": r"^P(?=.)([0-9]+D)?(T(?=.)([0-9]+H)?([0-9]+M)?([0-9.]+S)?)?$"}


def exactly(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


GMP_RULE = exactly(["expr"], alert=TEXT, record=TEXT, expr=TEXT, labels=TEXTS, annotations=TEXTS) | {
    "oneOf": [{"required": ["alert"]}, {"required": ["record"]}]
}
GMP_RULE["properties"]["for"] = DURATION
GMP = exactly(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "monitoring.googleapis.com/v1"},
    kind={"const": "Rules"},
    metadata=exactly(["name"], name=TEXT, namespace=TEXT, labels=TEXTS),
    spec=exactly(
        ["groups"],
        groups={"type": "array", "items": exactly(["interval", "name", "rules"], name=TEXT, interval=DURATION, rules={"type": "array", "items": GMP_RULE})},
    ),
)  # fmt: skip

ACTIONS = {"anyOf": [{"const": "[parameters('actionGroups')]"}, {"type": "array"}]}  # an expression of the template
AZURE_RULE = exactly(
    ["expression"],
    record=TEXT, alert=TEXT, enabled={"type": "boolean"}, expression=TEXT, labels=TEXTS, annotations=TEXTS, actions=ACTIONS,
    severity={"type": "integer", "minimum": 0, "maximum": 4},
    resolveConfiguration=exactly([], autoResolved={"type": "boolean"}, timeToResolve=ISO),
) | {"oneOf": [{"required": ["alert"]}, {"required": ["record"]}]}  # fmt: skip
AZURE_RULE["properties"]["for"] = ISO
AZURE = exactly(
    ["$schema", "contentVersion", "parameters", "resources"],
    contentVersion=TEXT,
    parameters={"type": "object"},
    resources={"type": "array", "maxItems": 800, "items": exactly(
        ["type", "apiVersion", "name", "location", "properties"],
        type={"const": "Microsoft.AlertsManagement/prometheusRuleGroups"},
        apiVersion={"const": "2023-03-01"},
        name={"type": "string", "pattern": r"^[^:@/#{}%&+*<>?]{1,260}$"},
        location=TEXT,
        properties=exactly(
            ["scopes", "rules"],
            description=TEXT, enabled={"type": "boolean"}, clusterName=TEXT, scopes={"type": "array", "items": TEXT, "minItems": 1},
            interval={"enum": [f"PT{minutes}M" for minutes in range(1, 16)]},
            rules={"type": "array", "minItems": 1, "maxItems": 20, "items": AZURE_RULE},
        ),
    )},
)  # fmt: skip
AZURE["properties"]["$schema"] = TEXT
