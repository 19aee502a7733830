"""All rules of some definitions as one text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from slo.errors import ConfigError
from slo.rules.compile import compile_specs
from slo.rules.format import MOST_READ, PAD, PAD_OF_RESOURCE, prometheus_rule, yaml_file
from slo.rules.groups import RuleGroup
from slo.rules.managed import azure_template, gmp_rules
from slo.rules.names import NAMES
from slo.rules.resource import label_of, namespace_of, object_name
from slo.rules.texts import rule_texts
from slo.spec.model import Specs
from slo.suggest import suggest

Format = Literal["prometheus", "operator", "gmp", "azure"]


def rules(
    specs: Specs,
    *,
    format: Format = "prometheus",
    names: str = "slo",
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    pretty: bool | None = None,
) -> str:
    """The recording and alert rules of all SLOs, as `slo rules` writes them.

    Args:
        specs: The SLOs.
        format: `prometheus` for a rules file, `operator` for a PrometheusRule, `gmp` for Google's Rules, `azure` for an ARM template of
            prometheusRuleGroups.
        names: Those of recorded series: `slo`, or `sloth`.
        namespace: The PrometheusRule's or the Rules' namespace.
        labels: The PrometheusRule's or the Rules' labels.
        pretty: Whether expressions are broken over lines; without it they are where there are at most 1,000 SLOs.

    Returns:
        The text of the file, YAML; of `azure` JSON.

    Raises:
        DefinitionError: An alert could never fire, or labels collide.
        ConfigError: `format`, `names`, `namespace` or `labels` is not valid.

    Examples:
        >>> print(slo.rules(slo.load("definitions/")))  # doctest: +SKIP
    """
    if names not in NAMES:
        raise ConfigError(f"{names!r} is not a valid set of names{suggest(names, NAMES)}")
    if format not in get_args(Format):
        raise ConfigError(f"{format!r} is not a format of rules{suggest(format, get_args(Format))}")
    operator = format == "operator"
    flat = len(specs) > MOST_READ if pretty is None else not pretty
    pad = PAD_OF_RESOURCE if operator else PAD
    if format in ("gmp", "azure"):
        return managed(format, compile_specs(specs, NAMES[names])[0], specs, namespace, labels, flat)
    texts = (text.text for text in rule_texts(specs, NAMES[names], pad, flat=flat)[0])
    files = list(dict.fromkeys(service.file for service in specs.services))
    services = list(dict.fromkeys(service.name for service in specs.services))
    name = services[0] if len(services) == 1 else "slo-rules"
    pieces = prometheus_rule(texts, name, namespace, labels, files) if operator else yaml_file(texts, files)
    return "".join(pieces)


def managed(
    format: str,
    groups: Sequence[RuleGroup],
    specs: Specs,
    namespace: str | None,
    labels: Mapping[str, str] | None,
    flat: bool,
    services: Sequence[str] | None = None,
) -> str:
    """The rules of some groups as `gmp` or `azure`. Raises ConfigError.

    `services` are those that the groups are of; all where it is left out.
    """
    if format == "azure":
        if namespace is not None or labels:
            raise ConfigError("a namespace and labels are of a resource of Kubernetes; leave them out")
        return azure_template(groups)
    if namespace is not None:
        namespace_of(namespace, "namespace")
    for label, value in (labels or {}).items():
        label_of(label, value, "label")
    chosen = [service for service in specs.services if services is None or service.name in services]
    files = list(dict.fromkeys(service.file for service in chosen))
    names = list(dict.fromkeys(service.name for service in chosen))
    name = object_name(names[0] if len(names) == 1 else "slo-rules")
    return "".join(gmp_rules(groups, name, namespace, labels, files, flat=flat))
