"""Fixtures that every room's tests may use. Servers are shared by a session; a test that changes one starts its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.servers import Prometheus, VictoriaMetrics

# No test asserts on a clock. In CI the same examples come each time: a change is judged by what it changes; runs at
# people's desks go on finding new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus 3.5 that holds nothing and scrapes nothing: for what a server says about an expression."""
    with Prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture(scope="session")
def prometheus2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The same as `prometheus`, of release 2.42."""
    with Prometheus(tmp_path_factory.mktemp("prometheus2"), binary="prometheus2") as server:
        yield server


@pytest.fixture(scope="session")
def victoria_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    """A VictoriaMetrics that holds nothing."""
    with VictoriaMetrics(tmp_path_factory.mktemp("victoria-metrics")) as server:
        yield server
