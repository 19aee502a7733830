"""What real servers make of the rules: exact counts, when alerts fire, the start of a history, the rules' own tests."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from slo.rules import NAMES, compile_specs, rule_tests, to_yaml
from slo.spec.load import load
from tests.rules import history, scenario, tables
from tests.rules.history import HOUR, START, History
from tests.rules.replay import backfill
from tests.rules.test_compile import ALL_KINDS, DEFINITIONS, specs
from tests.servers import Prometheus, binary, load_openmetrics, promtool

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Prometheus, History]]:
    """Two days with incidents by night and in a scrape gap, crashes, and an error code that is late; tiles recorded."""
    place = tmp_path_factory.mktemp("replay")
    reported = history.write(place / "history.txt", days=2, instances=2)
    data = load_openmetrics(place / "history.txt", place / "data")
    groups, _ = compile_specs(tables.specs(place))
    backfill(place, data, groups, START, reported.end, most=2)
    with Prometheus(place, data=data) as server:
        yield server, reported


@pytest.mark.parametrize("slo", ["availability", "latency"])
def test_tiles_count_what_the_scrapes_reveal(replayed: tuple[Prometheus, History], slo: str) -> None:
    server, reported = replayed
    errors, events, off = tables.period_error(server, reported, slo, 1)
    assert errors > 5_000
    assert events > 100 * errors / 20
    assert abs(off) < 0.01
    for ago in (0, 9 * HOUR, 22 * HOUR + 1800):
        assert abs(tables.burn_error(server, reported, slo, 3600, reported.end - ago)) < 0.001


def test_prometheus_2_counts_the_same(replayed: tuple[Prometheus, History], tmp_path: Path) -> None:
    server, reported = replayed
    [slo, _] = tables.specs(tmp_path).values()
    from tests.counting import errors_tile, total_tile

    with Prometheus(tmp_path, data=server.data, binary="prometheus2") as old:
        for at in (
            reported.end - 10 * HOUR + 22 * 60,
            reported.end - 9 * HOUR,
            reported.end - 23 * HOUR + 900,
            reported.end - 60,
        ):
            for tile in (errors_tile(slo.sli, 300_000), total_tile(slo.sli, 300_000, 30_000)):
                assert tables.value(old, str(tile), at) == tables.value(server, str(tile), at)


@pytest.mark.parametrize(("ratio", "lasts"), [(1.0, 1200), (0.1, 3600)])
def test_pages_fire_and_resolve_when_the_workbook_says(tmp_path: Path, ratio: float, lasts: int) -> None:
    """Within one evaluation interval and one tile, of a minute each; windows of hours are a tile later."""
    loaded_specs = scenario.definition(tmp_path)
    fired = scenario.outage(tmp_path, loaded_specs, ratio, 7 * HOUR, lasts, 2400)
    for burn in scenario.windows_of(loaded_specs)[:2]:
        detect, reset = scenario.workbook(burn, 0.001, ratio)
        got = fired[f"{burn.long_ms // 3_600_000}h"]
        assert 0 <= got.after - detect <= (120 if burn.long_ms <= 3_600_000 else 180)
        assert 0 <= got.reset - reset <= 120


def test_a_fresh_rule_set_does_not_page_for_a_blip(tmp_path: Path) -> None:
    """Five minutes of history with 3 % errors: of an hour that is 0.25 %, far from the 1.44 % that pages."""
    loaded_specs = scenario.definition(tmp_path)
    assert scenario.outage(tmp_path, loaded_specs, 0.03, 60, 300, 1800) == {}


slow = pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")


@pytest.mark.parametrize("names", ["slo", pytest.param("sloth", marks=slow)])
def test_rules_pass_the_tests_that_are_made_for_them(tmp_path: Path, names: str) -> None:
    """Of every kind in `make slow`, as promtool takes seconds for each SLO."""
    if "SLO_SLOW" not in os.environ:
        loaded_specs = scenario.definition(tmp_path)
    elif names == "slo":
        loaded_specs = specs(ALL_KINDS.split("  - {name: throughput")[0])
    else:
        loaded_specs = load(DEFINITIONS / "hitl-api.yaml")
    groups, _ = compile_specs(loaded_specs, NAMES[names])
    (tmp_path / "rules.yml").write_text(to_yaml(groups))
    texts = rule_tests(loaded_specs, ["rules.yml"], NAMES[names])
    assert texts
    for interval, text in texts.items():
        (tmp_path / f"test-{interval}.yml").write_text(text)
        said = promtool("test", "rules", tmp_path / f"test-{interval}.yml")
        assert said.returncode == 0, said.stdout + said.stderr


@slow
def test_an_slo_that_has_values_without_series_is_left_out_of_the_tests(tmp_path: Path) -> None:
    """`or vector(0)` gives tiles whatever series there are: those of a test would be others at the same moments."""
    text = (
        "service: shop\nslos:\n"
        "  - name: filled\n    objective: 99\n    sli:\n      raw:\n"
        "        errors: sum(increase(bad_total[$window])) or vector(0)\n"
        "        total: sum(increase(all_total[$window])) or vector(0)\n"
        "  - {name: plain, objective: 99, sli: {probe: {metric: up}}}\n"
    )
    (tmp_path / "rules.yml").write_text(to_yaml(compile_specs(specs(text))[0]))
    for interval, tests in rule_tests(specs(text), ["rules.yml"]).items():
        assert 'slo="plain"' in tests.replace("\\", "") and 'slo="filled"' not in tests.replace("\\", "")
        (tmp_path / f"test-{interval}.yml").write_text(tests)
        said = promtool("test", "rules", tmp_path / f"test-{interval}.yml")
        assert said.returncode == 0, said.stdout + said.stderr


def test_a_rule_set_that_is_wrong_fails_the_tests(tmp_path: Path) -> None:
    loaded_specs = scenario.definition(tmp_path)
    groups, _ = compile_specs(loaded_specs)
    # Either pair of windows alone would fire too.
    (tmp_path / "rules.yml").write_text(re.sub(r"> 0\.(0144|006)\b", "> 0.9", to_yaml(groups)))
    [text] = rule_tests(loaded_specs, ["rules.yml"]).values()
    (tmp_path / "test.yml").write_text(text)
    assert promtool("test", "rules", tmp_path / "test.yml").returncode != 0


def test_cost_at_24_series(tmp_path: Path) -> None:
    """A fortieth of the samples that the classic rules read, both once a minute; the recent ones are in the server's memory."""
    _, _, classic, ours = tables.cost(tmp_path, [24], most=1)
    ratio = float(ours.split("|")[4].strip().removeprefix("1/"))
    assert ratio >= 40, (classic, ours)


def test_vmalert_takes_the_rules(tmp_path: Path) -> None:
    groups, _ = compile_specs(specs(ALL_KINDS))
    (tmp_path / "rules.yml").write_text(to_yaml(groups))
    command = [str(binary("vmalert")), "-dryRun", f"-rule={tmp_path / 'rules.yml'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
