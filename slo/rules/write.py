"""All rules of some definitions as one text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from slo.errors import ConfigError
from slo.rules.format import MOST_READ, PAD, PAD_OF_RESOURCE, prometheus_rule, yaml_file
from slo.rules.names import NAMES
from slo.rules.texts import rule_texts
from slo.spec.model import Specs
from slo.suggest import suggest


def rules(
    specs: Specs,
    *,
    format: Literal["prometheus", "operator"] = "prometheus",
    names: str = "slo",
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    pretty: bool | None = None,
) -> str:
    """The recording and alert rules of all SLOs, as `slo rules` writes them.

    Args:
        specs: The SLOs.
        format: `prometheus` for a rules file, `operator` for a PrometheusRule.
        names: Those of recorded series: `slo`, or `sloth`.
        namespace: The PrometheusRule's namespace.
        labels: The PrometheusRule's labels.
        pretty: Whether expressions are broken over lines; without it they are where there are at most 1,000 SLOs.

    Returns:
        The text of the file, YAML.

    Raises:
        DefinitionError: An alert could never fire, or labels collide.
        ConfigError: `format`, `names`, `namespace` or `labels` is not valid.

    Examples:
        >>> print(slo.rules(slo.load("definitions/")))  # doctest: +SKIP
    """
    if names not in NAMES:
        raise ConfigError(f"{names!r} is not a valid set of names{suggest(names, NAMES)}")
    if format not in ("prometheus", "operator"):
        raise ConfigError(f"{format!r} is not a format of rules{suggest(format, ('prometheus', 'operator'))}")
    operator = format == "operator"
    flat = len(specs) > MOST_READ if pretty is None else not pretty
    pad = PAD_OF_RESOURCE if operator else PAD
    texts = (text.text for text in rule_texts(specs, NAMES[names], pad, flat=flat)[0])
    files = list(dict.fromkeys(service.file for service in specs.services))
    services = list(dict.fromkeys(service.name for service in specs.services))
    name = services[0] if len(services) == 1 else "slo-rules"
    pieces = prometheus_rule(texts, name, namespace, labels, files) if operator else yaml_file(texts, files)
    return "".join(pieces)
