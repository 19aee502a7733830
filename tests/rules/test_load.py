"""Many SLOs live on a server, for as long and as many as the environment says: `make live`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.rules import load

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("SLO_LIVE_SLOS" not in os.environ, reason="takes half an hour and more; make live runs it"),
]

SLOS = int(os.environ.get("SLO_LIVE_SLOS", "200"))
SECONDS = float(os.environ.get("SLO_LIVE_SECONDS", "1800"))


@pytest.mark.parametrize("server", ["vmalert", "prometheus", "prometheus2"])
def test_every_event_is_counted_in_every_slo(tmp_path: Path, server: str) -> None:
    seen = load.run(tmp_path, server, SLOS, SECONDS)
    print(*seen.rows(), sep="\n")
    assert seen.lost() == {"1m": (0, 0), "5m": (0, 0)}, seen.examples()
    assert seen.iterations >= SLOS * (SECONDS // 60 - 1)
    assert (seen.missed, seen.failed) == (0, 0)
