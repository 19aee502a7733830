"""The shape of a definition file: pydantic models that mirror the YAML, and their JSON Schema.

Every scalar arrives as the text in the file; what it means is decided in `slo.spec.build`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, create_model

from slo.fields import Duration, Model
from slo.sli.kinds import KINDS
from slo.spec.short import SHORT


def _text(value: object) -> object:
    # `true` is the one scalar that is not text when it arrives here; as a label's value it is what was written.
    return str(value).lower() if isinstance(value, bool) else value


_NAME, _LONGEST_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?", 100
_Name = Annotated[
    str,
    StringConstraints(pattern=rf"^{_NAME}$", max_length=_LONGEST_NAME),
    Field(description="letters, digits, `-`, `_` and `.`"),
]
_Text = Annotated[str, BeforeValidator(_text)]


def is_name(text: str) -> bool:
    """Whether a text may be the name of a service or an SLO."""
    return len(text) <= _LONGEST_NAME and re.fullmatch(_NAME, text) is not None


_LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
# A metric's label may have any name, as of Prometheus 3: `http.route`. What cannot be printed is a slip.
_MetricLabel = Annotated[
    str,
    StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=100),
    Field(description="a label of the metrics", examples=["route", "http.route"]),
]
_Labels = Annotated[dict[_LabelName, _Text], Field(default_factory=dict)]
_Window = Annotated[
    str,
    Field(
        description="a rolling window from 1h to 90d, or a calendar `week`, `month`, `quarter` or `year`",
        examples=["30d", "28d", "7d", "24h", "1h", "month"],
    ),
]


# `off` is text here and in YAML 1.2, and False to editors that read YAML 1.1.
_Off = Annotated[Literal["off", False], Field(json_schema_extra={"enum": ["off", False]})]


# Exactly one kind of SLI.
SliModel: type[Model] = create_model(
    "SliModel",
    __base__=Model,
    __doc__="What is measured: exactly one kind.",
    **{key: (kind.model | None, None) for key, kind in KINDS.items()},  # type: ignore[call-overload]
)
SliModel.model_config["json_schema_extra"] = {"minProperties": 1, "maxProperties": 1}


_AlertName = Annotated[
    str | None,
    Field(description="the alert's name", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100, examples=["ShopBurn"]),
]
_For = Annotated[str | None, Field(alias="for", description="how long it must hold; at once if not given")]
_Keep = Annotated[
    str | None, Field(description="how long it goes on firing once its condition holds no more", examples=["10m"])
]
_Url = Annotated[str | None, Field(examples=["https://runbooks.example.com/shop"])]


class AlertTexts(Model):
    """What any alert can be given: a name, times, and labels and annotations, which are Go templates."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    name: _AlertName = None
    for_: _For = None
    keep_firing_for: _Keep = None
    labels: _Labels
    annotations: _Labels


class AlertModel(AlertTexts):
    """How one severity's alerts fire: after which time, with which labels and annotations."""

    severity: Annotated[_Text | None, Field(description="what its label `severity` reads", examples=["P1"])] = None


class WindowModel(AlertTexts):
    """One pair of windows: it fires when the long one alone would have consumed the given share of the budget."""

    severity: Literal["page", "ticket"]
    long: Duration
    short: Annotated[str | None, Field(description="a twelfth of the long window if not given")] = None
    budget: Annotated[str | None, Field(description="the share of the budget", examples=["2%"])] = None
    factor: Annotated[str | None, Field(description="the burn rate, instead of `budget`", examples=["14.4"])] = None


class AbsentModel(AlertTexts):
    """The alert for an SLO that had data and has none."""

    severity: Literal["page", "ticket"] | None = None


class BudgetAlertsModel(AlertTexts):
    """The alerts for shares of the budget that are consumed."""

    consumed: Annotated[
        list[str] | None, Field(description="the shares of the budget", min_length=1, examples=[["50%", "100%"]])
    ] = None
    severity: Literal["page", "ticket"] | None = None


class AlertingModel(AlertTexts):
    """Alerts on the burn rate, on missing data and on the budget. `off` for none.

    `name`, `for`, `keep_firing_for` here are of the burn-rate alerts, `labels` and `annotations` of all.
    """

    page: AlertModel | _Off | None = None
    ticket: AlertModel | _Off | None = None
    windows: Annotated[
        list[WindowModel] | None, Field(description="instead of the catalogue of the SRE workbook", min_length=1)
    ] = None
    least_errors: Annotated[
        str | None, Field(description="bad events that the long window must hold before an alert fires", examples=["3"])
    ] = None
    absent: Annotated[
        AbsentModel | _Off | None, Field(description="fires when an SLO that had data has none; on by default")
    ] = None
    budget: Annotated[
        BudgetAlertsModel | Annotated[list[str], Field(min_length=1)] | _Off | None,
        Field(
            description="alerts once these shares of the budget are consumed; off by default",
            examples=[["50%", "75%", "100%"]],
        ),
    ] = None

    def parts(self) -> Iterator[tuple[tuple[str | int, ...], AlertTexts]]:
        """Whatever in it has labels and annotations, itself first, and its path."""
        yield (), self
        for key in ("page", "ticket", "absent", "budget"):
            part = getattr(self, key)
            if isinstance(part, AlertTexts):
                yield (key,), part
        for index, pair in enumerate(self.windows or ()):
            yield ("windows", index), pair


class PolicyModel(Model):
    """One step of an error-budget policy."""

    below: Annotated[str, Field(description="the share of the budget that is left; 0% is exhausted", examples=["20%"])]
    follows: Annotated[str, Field(description="what is done then", min_length=1)]


_Policy = Annotated[
    list[PolicyModel] | None,
    Field(description="what follows when the budget runs low; the SRE workbook's if not given"),
]


_TargetLabels = Annotated[
    list[_MetricLabel] | None,
    Field(
        description="the labels that name a scraped target, all but the last its job; job and instance if not given",
        min_length=1,
        examples=[["job", "instance"], ["namespace", "pod"]],
    ),
]


_ScrapeInterval = Annotated[
    str | None, Field(description="how often Prometheus scrapes these metrics; 30s if not given")
]
_Delay = Annotated[
    str | None,
    Field(description="how late samples arrive, `0s` if not given: rules read so much earlier", examples=["2m"]),
]
_TimeZone = Annotated[
    str | None,
    Field(description="whose midnights a calendar window has, UTC if not given", examples=["Europe/Berlin"]),
]
_LabelsOn = Annotated[
    Literal["info", "series"] | None,
    Field(description="where an SLO's labels are recorded: on `slo_info`, or on every series of it too"),
]


_InfoLabels = Annotated[
    dict[_MetricLabel, _Text],
    Field(default_factory=dict, description="labels of the info series alone", examples=[{"cost_centre": "1234"}]),
]


class SloModel(Model):
    """One objective."""

    name: _Name
    objective: Annotated[
        str,
        Field(
            description="a percentage such as 99.9, or for a latency a percentile such as `p95 < 500ms`",
            examples=["99.9", "p95 < 500ms"],
        ),
    ]
    sli: SliModel  # type: ignore[valid-type]
    by: Annotated[
        dict[_MetricLabel, Annotated[list[_Text], Field(min_length=1)]] | list[_MetricLabel],
        Field(
            default_factory=dict,
            description="a budget for each value of these labels: those that are listed, or all that there are",
            examples=[{"route": ["/", "/search"]}, ["route"]],
        ),
    ]
    window: _Window | None = None
    time_zone: _TimeZone = None
    description: _Text = ""
    owner: Annotated[_Text | None, Field(description="who answers for it, where it is not the service's owner")] = None
    labels: _Labels
    annotations: _Labels
    alerting: AlertingModel | _Off | None = None
    policy: _Policy = None
    target_labels: _TargetLabels = None
    scrape_interval: _ScrapeInterval = None
    delay: _Delay = None
    labels_on: _LabelsOn = None
    info_labels: _InfoLabels
    runbook_url: _Url = None
    dashboard_url: _Url = None


class DefaultsModel(Model):
    """What every SLO of the file gets unless it says otherwise."""

    window: _Window | None = None
    time_zone: _TimeZone = None
    labels: _Labels
    annotations: _Labels
    alerting: AlertingModel | _Off | None = None
    policy: _Policy = None
    scrape_interval: _ScrapeInterval = None
    target_labels: _TargetLabels = None
    delay: _Delay = None
    labels_on: _LabelsOn = None
    info_labels: _InfoLabels
    recorded_labels: Annotated[
        dict[_LabelName, _Text],
        Field(
            default_factory=dict,
            description="labels on every recorded series, and on what the rules read of them: one copy of the rules "
            "does not see another's series",
            examples=[{"ruler": "global"}],
        ),
    ]
    runbook_url: _Url = None
    dashboard_url: _Url = None


class PlainAlertModel(Model):
    """An alert alongside the SLOs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100)]
    expr: Annotated[str, Field(description="PromQL that gives something when the alert should fire")]
    for_: Annotated[str | None, Field(alias="for", description="how long it must hold")] = None
    keep_firing_for: Duration | None = None
    severity: _Text | None = None
    description: _Text = ""
    labels: _Labels
    annotations: _Labels


class ServiceModel(Model):
    """One service and its SLOs."""

    service: _Name
    owner: _Text = ""
    description: _Text = ""
    labels: _Labels
    defaults: DefaultsModel | None = None
    slos: Annotated[list[SloModel], Field(min_length=1)]
    alerts: Annotated[list[PlainAlertModel], Field(default_factory=list, description="alerts alongside the SLOs")]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a definition file, for completion and checks in editors."""
    schema = ServiceModel.model_json_schema()
    _allow_plain_scalars(schema)
    _allow_short_forms(schema)
    _allow_presets(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "slo definition",
        "description": "SLOs of one service, for the slo calculator",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


_NUMERIC = (
    "objective", "description", "owner", "severity", "at_least", "at_most", "above", "below", "budget", "factor",
    "least_errors", "down_at", "below",
)  # fmt: skip


def _allow_plain_scalars(schema: Any) -> None:
    # An editor's YAML reader sees the numbers `99.9` and `1` where this package keeps the text.
    if isinstance(schema, dict):
        for name, part in (schema.get("properties") or {}).items():
            if name in _NUMERIC and part.get("type") == "string":
                part["type"] = ["string", "number"]
            elif name in _NUMERIC:
                for branch in part.get("anyOf", ()):
                    if branch.get("type") == "string":
                        branch["type"] = ["string", "number"]
            for branch in (part, *part.get("anyOf", ())) if name in ("budget", "consumed") else ():
                if branch.get("type") == "array" and branch["items"].get("type") == "string":
                    branch["items"]["type"] = ["string", "number"]
            values = part.get("additionalProperties") or (part.get("patternProperties") or {})
            if isinstance(values, dict) and values.get("type") == "string":
                values["type"] = ["string", "number", "boolean"]
            elif isinstance(values, dict):
                for value in values.values():
                    if isinstance(value, dict) and value.get("type") == "string":
                        value["type"] = ["string", "number", "boolean"]
        for part in schema.values():
            _allow_plain_scalars(part)
    elif isinstance(schema, list):
        for part in schema:
            _allow_plain_scalars(part)


def _allow_short_forms(schema: dict[str, Any]) -> None:
    for kind, (example, _) in SHORT.items():
        branches = schema["$defs"]["SliModel"]["properties"][kind]["anyOf"]
        branches.append({"type": "string", "description": "in short", "examples": [example]})


# What an entry may have in the place of an SLI; `slo.spec.presets` puts the entry there that it stands for.
_PRESET_KEYS: dict[str, dict[str, Any]] = {
    "preset": {
        "type": "string",
        "description": "an SLI with parameters, by its name",
        "examples": ["nginx-ingress/availability"],
    },
    "with": {
        "type": "object",
        "description": "the preset's parameters",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
        "examples": [{"ingress": "shop"}],
    },
}


def _allow_presets(schema: dict[str, Any]) -> None:
    entry = schema["$defs"]["SloModel"]
    entry["properties"] |= _PRESET_KEYS
    entry["anyOf"] = [{"required": entry.pop("required")}, {"required": ["preset"]}]


def accepted_keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that a mapping at `path` of a definition may have; empty where any are accepted."""
    model: type[Model] | None = ServiceModel
    for step in path:
        if isinstance(step, int) or model is None:
            continue
        info = model.model_fields.get("for_" if step == "for" else step)
        if info is not None:
            model = _model_in(info.annotation)
    keys = [info.alias or name for name, info in model.model_fields.items()] if model else []
    return [*keys, *_PRESET_KEYS] if model is SloModel else keys


def _model_in(annotation: Any) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        model = _model_in(part)
        if model is not None:
            return model
    return None
