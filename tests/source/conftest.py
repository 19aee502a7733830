"""What the tests of sources share."""

from __future__ import annotations

import os

import pytest

from slo.source.config import SourceConfig
from slo.source.http import RetryPolicy
from slo.source.prometheus import PrometheusSource

QUICK = RetryPolicy(connect_s=2.0, backoff_s=0.001)


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("SLO_") and name != "SLO_SERVERS":
            monkeypatch.delenv(name)
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def quick(url: str, **settings: object) -> PrometheusSource:
    """A source that waits for little, and whose settings are only those given."""
    return PrometheusSource.open(url, config=SourceConfig(**{"timeout_s": 5.0, **settings}), retry_policy=QUICK)  # type: ignore[arg-type]
