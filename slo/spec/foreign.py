"""YAML of other tools, recognised by its shape: a folder of definitions often holds some."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

# What defines SLOs for another tool is named to its owner; what does not is passed over.
SLOTH, PYRRA, OPENSLO, SLO_GENERATOR, NOBL9 = (
    "a Sloth file", "a Pyrra file", "an OpenSLO file", "an slo-generator file", "a Nobl9 file",
)  # fmt: skip
WITH_SLOS = frozenset({SLOTH, PYRRA, OPENSLO, SLO_GENERATOR, NOBL9})

_GROUPS = {
    "sloth.slok.dev": SLOTH,
    "pyrra.dev": PYRRA,
    "sre.google.com": SLO_GENERATOR,
    "n9": NOBL9,
    "openslo": OPENSLO,
    "openslo.com": OPENSLO,
}


def recognise(data: Mapping[str, Any]) -> str | None:
    """What a document of another tool is, as in "this is …"; None for what may be one of ours."""
    version, kind = data.get("apiVersion"), data.get("kind")
    if isinstance(version, str) and isinstance(kind, str):
        group = version.partition("/")[0]
        if group in _GROUPS:
            return _GROUPS[group]
        if group == "monitoring.coreos.com":
            return f"a resource of the Prometheus Operator ({kind})"
        return f"a Kubernetes resource ({kind})"
    if data.get("version") == "prometheus/v1":
        return SLOTH
    if isinstance(version, str) and "name" in data:
        return "a Helm chart"
    if _has(data, "groups", list):
        return "a Prometheus rules file"
    if "scrape_configs" in data or "rule_files" in data:
        return "a Prometheus configuration"
    if "route" in data and "receivers" in data:
        return "an Alertmanager configuration"
    if "jobs" in data and ("on" in data or "true" in data):
        return "a GitHub workflow"
    if _has(data, "slo", dict) and "title" in data:
        return "a preset"
    if "slos" not in data:
        if _has(data, "services", dict):
            return "a Docker Compose file"
        if "resources" in data and not data.keys() & {"service"}:
            return "a kustomization"
        if "definitions" in data and data.keys() & {"source", "output", "deliver", "every"}:
            return "a configuration of `slo weekly`"
    return None


def could_be_ours(data: Mapping[str, Any]) -> bool:
    """Whether a document has a key of a definition, or one that was meant to be."""
    return any(get_close_matches(str(key), ("service", "slos"), cutoff=0.75) for key in data if key != "services")


def _has(data: Mapping[str, Any], key: str, kind: type) -> bool:
    return isinstance(data.get(key), kind)
