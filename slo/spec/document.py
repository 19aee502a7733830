"""The shape of a definition file: pydantic models that mirror the YAML, and their JSON Schema.

Every scalar arrives as the text in the file; what it means is decided in `slo.spec.build`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _text(value: object) -> object:
    # `true` is the one scalar that is not text when it arrives here; as a label's value it is what was written.
    return str(value).lower() if isinstance(value, bool) else value


_Name = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$", max_length=100),
    Field(description="letters, digits, `-`, `_` and `.`"),
]
_Text = Annotated[str, BeforeValidator(_text)]
_LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
_Labels = Annotated[dict[_LabelName, _Text], Field(default_factory=dict)]
_Selector = Annotated[
    str,
    Field(description="a metric with matchers, as in PromQL", examples=['http_requests_total{job="api",code=~"5.."}']),
]
_Expression = Annotated[
    str, Field(description="PromQL over `$window`", examples=['sum(increase(requests_total{job="api"}[$window]))'])
]
_Duration = Annotated[str, Field(description="a Prometheus duration", examples=["500ms", "30s", "5m"])]
_Window = Annotated[
    str,
    Field(
        description="a rolling window from 1h to 90d, or a calendar `week`, `month` or `quarter` (UTC)",
        examples=["30d", "28d", "7d", "24h", "1h", "month"],
    ),
]


class Model(BaseModel):
    """A mapping in the YAML: unknown keys are errors, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RatioModel(Model):
    """Bad or good events out of all, from counters."""

    total: _Selector
    errors: _Selector | None = None
    good: _Selector | None = None

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["errors"]}, {"required": ["good"]}]},
    )


class LatencyModel(Model):
    """Requests within a threshold, from a classic histogram."""

    histogram: Annotated[
        str,
        Field(
            description="the histogram with matchers, without `_bucket`",
            examples=['http_request_duration_seconds{job="api"}'],
        ),
    ]
    threshold: _Duration | None = None
    unit: Annotated[
        Literal["seconds", "milliseconds"] | None,
        Field(description="the histogram's unit; read from its name (`_milliseconds`, `_ms`) if not given"),
    ] = None


class ProbeModel(Model):
    """A gauge that is 1 when all is well and 0 when not, such as `up`."""

    metric: _Selector


class RawModel(Model):
    """Errors and total as PromQL, each giving one number for `$window`."""

    errors: _Expression
    total: _Expression


class SliModel(Model):
    """What is measured: exactly one kind."""

    ratio: RatioModel | None = None
    latency: LatencyModel | None = None
    probe: ProbeModel | None = None
    raw: RawModel | None = None

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})


class AlertModel(Model):
    """Labels and annotations of one severity's alerts."""

    labels: _Labels
    annotations: _Labels


class AlertingModel(Model):
    """Burn-rate alerts: what pages and what opens a ticket. `off` for none."""

    page: AlertModel | Literal["off"] | None = None
    ticket: AlertModel | Literal["off"] | None = None


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
    sli: SliModel
    window: _Window | None = None
    description: _Text = ""
    labels: _Labels
    annotations: _Labels
    alerting: AlertingModel | Literal["off"] | None = None


class DefaultsModel(Model):
    """What every SLO of the file gets unless it says otherwise."""

    window: _Window | None = None
    labels: _Labels
    annotations: _Labels
    alerting: AlertingModel | Literal["off"] | None = None
    scrape_interval: Annotated[
        str | None, Field(description="how often Prometheus scrapes these metrics; 30s if not given")
    ] = None


class ServiceModel(Model):
    """One service and its objectives."""

    service: _Name
    owner: _Text = ""
    description: _Text = ""
    labels: _Labels
    defaults: DefaultsModel | None = None
    slos: Annotated[list[SloModel], Field(min_length=1)]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a definition file, for completion and checks in editors."""
    schema = ServiceModel.model_json_schema()
    _allow_plain_scalars(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "slo definition",
        "description": "SLOs of one service, for the slo calculator",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
    }


def _allow_plain_scalars(schema: Any) -> None:
    # An editor's YAML reader sees the numbers `99.9` and `1` where this package keeps the text.
    if isinstance(schema, dict):
        for name, part in (schema.get("properties") or {}).items():
            if name in ("objective", "description", "owner") and part.get("type") == "string":
                part["type"] = ["string", "number"]
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


def accepted_keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that a mapping at `path` of a definition may have; empty where any are accepted."""
    model: type[Model] | None = ServiceModel
    for step in path:
        if isinstance(step, int) or model is None:
            continue
        info = model.model_fields.get(step)
        if info is not None:
            model = _model_in(info.annotation)
    return list(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
