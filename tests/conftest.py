"""Fixtures that every room's tests may use. Servers are shared by a session; a test that changes one starts its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers import Prometheus, VictoriaMetrics

# No test asserts on a clock. In CI the same examples come each time: a change is judged by what it changes; runs at
# people's desks go on finding new ones.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


# Longest first, so that no worker begins one of these when the others have nothing left to do. The first wait for servers,
# those two in `make slow` only.
_FIRST = (
    "systems/test_systems", "rules/test_live_vmalert", "rules/test_live", "e2e/test_live", "check/test_check_source", "contract/test_contract", "cli/test_hostile_server",
    "rules/test_servers", "backfill/test_backfill", "e2e/test_month", "crash/test_kills", "crash/test_disks", "test_notebooks",
    "weekly/test_job", "spec/test_hostile", "rules/test_by", "promql/test_limits", "contract/test_second",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of the modules that take longest before the others; otherwise the order stays."""
    folder = Path(__file__).parent
    ranks = {folder / f"{name}.py": rank for rank, name in enumerate(_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path, len(_FIRST)))


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
