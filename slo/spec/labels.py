"""Labels that meet: a definition's own, those that the rules and alerts set, those that `by` takes from the metrics.

Where two of them have one name, a server lets the rule's win without a word: series of several values of `by` become one
alert, which fails ("same labelset after applying alert labels"), or a team's label never arrives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from slo.promql.ast import Matcher, Node, VectorSelector, walk
from slo.promql.series import series_labels
from slo.reading import Path, Report
from slo.spec.document import AlertingModel, AlertModel, DefaultsModel, PlainAlertModel, ServiceModel, SloModel
from slo.spec.yaml import show_path

# What the rules set on recorded series or alerts, by either convention of names; `le` is a bucket's bound.
RESERVED = frozenset(
    {
        "service", "slo", "objective", "window", "alertname", "alertstate", "le",
        "consumed", "sloth_id", "sloth_service", "sloth_slo", "sloth_window", "sloth_severity",
        "sli_fingerprint", "sloth_objective", "sloth_version", "sloth_mode", "sloth_spec",
    }
)  # fmt: skip
# Of `by` also: every alert has a severity, and tiles of calendar windows carry the period that they lie in.
_RESERVED_BY = RESERVED | {"severity", "period"}

_SEVERITY = (
    "label `severity` would be the same for pages and tickets, so that neither can be routed; set it under "
    "`alerting`, as in `page: {labels: {severity: P1}}`"
)
Labels = Mapping[str, str]
_NO_DEFAULTS = DefaultsModel(labels={}, annotations={}, recorded_labels={}, info_labels={})


def check_labels(model: ServiceModel, report: Report) -> None:
    """Reports every label of a definition that another one would overwrite, and templates where labels are plain text."""
    defaults = model.defaults or _NO_DEFAULTS
    _check_recorded(defaults.recorded_labels, model, report)
    _check_own(model.labels, ("labels",), report, model.owner)
    _check_own(defaults.labels, ("defaults", "labels"), report, model.owner)
    _check_alerting(defaults.alerting, ("defaults", "alerting"), report)
    _check_info(defaults.info_labels, ("defaults", "info_labels"), (model.labels, defaults.labels), report, model.owner)
    for index, entry in enumerate(model.slos):
        path: Path = ("slos", index)
        _check_own(entry.labels, (*path, "labels"), report, model.owner)
        on_it = (model.labels, defaults.labels, entry.labels)
        _check_info(entry.info_labels, (*path, "info_labels"), on_it, report, entry.owner or model.owner)
        _check_alerting(entry.alerting, (*path, "alerting"), report)
        _check_by(entry, path, model, report)
    for index, alert in enumerate(model.alerts):
        at: Path = ("alerts", index)
        _check_set(alert.labels, (*at, "labels"), report)
        if alert.severity is not None:
            _check_text("severity", alert.severity, (*at, "severity"), report)
            given = alert.labels.get("severity", alert.severity)
            if given != alert.severity:
                report(
                    (*at, "labels", "severity"),
                    f"label `severity` is {given!r} here and {alert.severity!r} as the alert's `severity`; leave one out",
                    "error",
                )


def check_alert_series(node: Node, labels: Labels, model: PlainAlertModel, at: Path, report: Report) -> None:
    """Reports labels that tell the series of a plain alert apart and that the alert sets itself. `labels` are all it sets."""
    series_of = series_labels(node) or frozenset()
    for label in sorted(series_of & labels.keys()):
        if not all(_fixes(part, label) for part in walk(node) if isinstance(part, VectorSelector)):
            own = label in model.labels or (label == "severity" and model.severity is not None)
            where = "here" if own else "by the rules" if label == "service" else "for the whole service"
            report(
                (*at, "expr"),
                f"its series differ by `{label}`, which is set {where} to {labels[label]!r}, so several would become one "
                f"alert and fail; aggregate `{label}` away, or select one: {Matcher(label, '=', labels[label])}",
                "error",
            )


def _fixes(selector: VectorSelector, label: str) -> bool:
    return any(matcher.label == label and matcher.op == "=" for matcher in selector.matchers)


def _check_own(labels: Labels, at: Path, report: Report, owner: str) -> None:
    """Labels of a service or an SLO: they are on every alert of it, and on its info series."""
    _check_set(labels, at, report)
    if "severity" in labels:
        report((*at, "severity"), _SEVERITY, "error")
    if owner and labels.get("owner", owner) != owner:
        report(
            (*at, "owner"), f"label `owner` is {labels['owner']!r} here and {owner!r} as the service's `owner`; leave one out",
            "error",
        )  # fmt: skip


def _check_info(labels: Labels, at: Path, given: Sequence[Labels], report: Report, owner: str) -> None:
    """Labels of the info series alone: what stands on it anyway cannot be one."""
    _check_set(labels, at, report)
    for name in labels:
        if any(name in others for others in given) or (name == "owner" and owner):
            report(
                (*at, name),
                f"label `{name}` is a label of the definition too, which stands on it; leave one out",
                "error",
            )


def _check_alerting(alerting: AlertingModel | object, at: Path, report: Report) -> None:
    if not isinstance(alerting, AlertingModel):
        return
    for place, part in alerting.parts():
        _check_names(part.labels, (*at, *place, "labels"), report)
        severity = part.severity if isinstance(part, AlertModel) else None
        if severity is not None and part.labels.get("severity", severity) != severity:
            report(
                (*at, *place, "labels", "severity"),
                f"label `severity` is {part.labels['severity']!r} here and {severity!r} as `severity`; leave one out",
                "error",
            )
    if "severity" in alerting.labels:
        report((*at, "labels", "severity"), _SEVERITY, "error")


def _alert_labels(alerting: AlertingModel | object) -> Iterator[Labels]:
    if isinstance(alerting, AlertingModel):
        for _, part in alerting.parts():
            yield part.labels


def _check_recorded(labels: Labels, model: ServiceModel, report: Report) -> None:
    """Labels that tell one copy of the rules from another: on all series that are recorded, and in all selectors of them."""
    defaults = model.defaults or _NO_DEFAULTS
    for name, value in labels.items():
        at: Path = ("defaults", "recorded_labels", name)
        if name in _RESERVED_BY or name.startswith("__"):
            report(at, f"label `{name}` is set by the rules themselves; choose another name", "error")
        elif "{{" in value:
            report(at, f"label `{name}` is part of selectors, so it cannot be a template; write plain text", "error")
        elif not value:
            report(at, f"label `{name}` is empty, which selects series without it; give it a value", "error")
        given = [
            (("labels",), model.labels),
            (("defaults", "labels"), defaults.labels),
            (("defaults", "alerting"), _all_of(defaults.alerting)),
            *((("slos", index, "labels"), entry.labels) for index, entry in enumerate(model.slos)),
            *((("slos", index, "by"), entry.by) for index, entry in enumerate(model.slos)),
            *((("slos", index, "alerting"), _all_of(entry.alerting)) for index, entry in enumerate(model.slos)),
        ]
        if name == "owner" and model.owner:
            given.append((("owner",), {"owner": model.owner}))
        for path, taken in given:
            if name in taken:
                report(
                    at, f"label `{name}` is also set by {show_path(path)}, so that one would overwrite the other; rename one of them",
                    "error",
                )  # fmt: skip


def _all_of(alerting: AlertingModel | object) -> set[str]:
    return {label for labels in _alert_labels(alerting) for label in labels}


def _check_set(labels: Labels, at: Path, report: Report) -> None:
    _check_names(labels, at, report)
    for name, value in labels.items():
        _check_text(name, value, (*at, name), report)


def _check_names(labels: Labels, at: Path, report: Report) -> None:
    for name in labels:
        if name in RESERVED or name.startswith("__"):
            report((*at, name), f"label `{name}` is set by the rules themselves; choose another name", "error")


def _check_text(name: str, value: str, at: Path, report: Report) -> None:
    if "{{" in value:
        report(
            at,
            f"label `{name}` is plain text and will read {value!r}; annotations and the labels under `alerting` are templates",
            "warning",
        )


def _is_template(labels: Labels, whose: str, label: str) -> bool:
    """Whether it is a label of alerts that a server works out for each of them, and so can tell them apart still."""
    return "alerts" in whose and "{{" in labels[label]


def _check_by(entry: SloModel, path: Path, model: ServiceModel, report: Report) -> None:
    """`by` against what the rules set, and against the labels of the definition, wherever they are given."""
    defaults = model.defaults or _NO_DEFAULTS
    given: list[tuple[Labels, str]] = [
        (entry.labels, "of this SLO"),
        (defaults.labels, "under `defaults`"),
        (model.labels, "of the service"),
    ]
    for alerting, where in ((entry.alerting, "of this SLO's alerts"), (defaults.alerting, "of the alerts by default")):
        given += ((labels, where) for labels in _alert_labels(alerting))
    for index, label in enumerate(entry.by):
        at: Path = (*path, "by", index if isinstance(entry.by, list) else label)
        if label in _RESERVED_BY or label.startswith("__"):
            report(
                at, f"label `{label}` is set by the rules themselves, so `by` cannot tell its values apart; rename it with "
                "`metric_relabel_configs`", "error",
            )  # fmt: skip
            continue
        owners = [whose for labels, whose in given if label in labels and not _is_template(labels, whose, label)]
        if not owners and any(label in labels for labels, _ in given):
            report(
                at, f"label `{label}` of the metrics is overwritten on alerts by a template of the same name; where two series differ "
                f"by `{label}` only, their alerts become one and fail", "warning",
            )  # fmt: skip
        if owners:
            report(
                at, f"label `{label}` of the metrics would be overwritten by the label {owners[0]} with the same name; "
                "rename or remove one of them", "error",
            )  # fmt: skip
        elif label == "owner" and model.owner:
            report(at, "label `owner` is the service's `owner`; leave that out, or rename the metrics' label", "error")
