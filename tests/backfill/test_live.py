"""History that is filled on a real Prometheus, alongside what promtool makes of the same rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slo.cli.main import run as slo
from slo.rules import compile_specs
from tests.rules import history, tables
from tests.rules.history import START
from tests.rules.replay import backfill as by_promtool
from tests.rules.replay import recordings
from tests.servers import Prometheus, load_openmetrics, promtool

pytestmark = pytest.mark.server


def series(server: Prometheus, start: float, end: float) -> dict[str, dict[int, float]]:
    """The samples of the tiles, which promtool's first two passes make."""
    tiles: dict[str, dict[int, float]] = {}
    for name in ("slo:events:increase1m", "slo:events:increase5m"):
        for row in server.query(f"{name}[{int(end - start)}s]", end):
            key = str(sorted(row["metric"].items()))
            tiles[key] = {round(at * 1000): float(value) for at, value in row["values"]}
    return tiles


def test_a_server_is_filled_on_its_clock_with_what_promtool_makes_of_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It records from noon on; the morning is filled."""
    reported = history.write(tmp_path / "history.txt", days=1, instances=2)
    # What a pass makes has moments of its own, and so other ones than the rest of its group, which no server does.
    groups = recordings(compile_specs(tables.specs(tmp_path))[0], lambda rule: ":increase" in rule.name)
    noon = START + 12 * 3600
    data, whole = (load_openmetrics(tmp_path / "history.txt", tmp_path / name) for name in ("data", "whole"))
    # In one folder, as the moments of a group are drawn by the path of its file.
    by_promtool(tmp_path, data, groups, noon, reported.end, most=2)
    by_promtool(tmp_path, whole, groups, START, reported.end, most=2)
    arguments = ["backfill", str(tmp_path / "shop.yaml"), "--start", str(START), "--end", str(reported.end)]
    with Prometheus(tmp_path, data=data) as server:
        assert slo([*arguments, "-s", server.url, "-o", str(tmp_path / "out")]) == 0
    for file in (tmp_path / "out").glob("*.om"):
        done = promtool("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=18h", file, data)
        assert done.returncode == 0, done.stdout + done.stderr
    with Prometheus(tmp_path, data=data) as server:
        rows = series(server, START, reported.end)
        capsys.readouterr()
        assert slo([*arguments, "-s", server.url, "-o", str(tmp_path / "again")]) == 0
        assert "shop/latency: nothing to fill: its history is there" in capsys.readouterr().err
        assert not list((tmp_path / "again").glob("*.om"))
    with Prometheus(tmp_path, data=whole) as server:
        expected = series(server, START, reported.end)
    assert rows.keys() == expected.keys()
    assert len(rows) == 8
    for key, values in expected.items():
        # A coarse tile adds up the fine ones of 5 m, a minute late; the first of them that was recorded at noon comes up to
        # a minute later. Where a clock puts two coarse tiles before all that is there, both lack what was before noon.
        sure = {at: value for at, value in values.items() if not noon <= at / 1000 < noon + 7 * 60}
        assert len(sure) > 250, key
        assert rows[key].keys() >= values.keys(), key
        # promtool leaves out some moments where one of its blocks ends.
        assert len(rows[key]) <= 1.1 * len(values), key
        np.testing.assert_allclose([rows[key][at] for at in sure], list(sure.values()), rtol=1e-12, err_msg=key)
