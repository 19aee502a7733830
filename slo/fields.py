"""The pieces that the models of our YAML files are made of: every scalar arrives as the text in the file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A mapping in the YAML: unknown keys are errors, nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Selector = Annotated[
    str,
    Field(description="a metric with matchers, as in PromQL", examples=['http_requests_total{job="api",code=~"5.."}']),
]
Quantity = Annotated[
    str, Field(description="a number, with a unit if need be", examples=["100", "1GiB", "10GB", "70%", "5ms"])
]
Duration = Annotated[str, Field(description="a Prometheus duration", examples=["500ms", "30s", "5m"])]
Slice = Annotated[str | None, Field(description="how often it is judged; the scrape interval if not given")]
