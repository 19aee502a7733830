"""Periods and windows as a server computes them from tiles: calendars, gaps, nights without traffic, outages."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from slo.promql.engine import Engine
from slo.promql.samples import Samples
from slo.rules import compile_specs, to_yaml
from slo.rules.period import calendar_id
from slo.sli.tile import Tile
from slo.spec.model import Specs
from slo.window import Calendar, CalendarUnit, midnight
from tests.counting import total_tile
from tests.rules import history, tables
from tests.rules.history import HOUR
from tests.rules.test_compile import one, specs
from tests.servers import Prometheus, VictoriaMetrics, load_openmetrics, promtool

pytestmark = pytest.mark.server

EVENTS = 'slo:events:increase1m{service="shop",slo="a",event="checks"}'
ERRORS = 'slo:events:increase1m{service="shop",slo="a",event="bad_checks"}'


def check(
    place: Path,
    defined: Specs,
    step: str,
    series: Mapping[str, str],
    asked: Sequence[tuple[str, str, float | None]],
    tool: str = "promtool",
    every: str = "",
) -> None:
    """promtool's own judgement of (expression, moment, value or None for nothing)."""
    groups, _ = compile_specs(defined)
    (place / "rules.yml").write_text(to_yaml(groups))
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": every or step,
        "group_eval_order": [group.name for group in groups],
        "tests": [
            {
                "interval": step,
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [
                    {
                        "expr": expr,
                        "eval_time": at,
                        "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
                    }
                    for expr, at, value in asked
                ],
            }
        ],
    }
    (place / "test.yml").write_text(yaml.safe_dump(test))
    said = promtool("test", "rules", place / "test.yml", name=tool)
    assert said.returncode == 0, said.stdout + said.stderr


def test_a_calendar_week_begins_on_monday(tmp_path: Path) -> None:
    """promtool's time begins on a Thursday, 1970-01-01: that week ends four days later, and with it its counts."""
    check(
        tmp_path,
        one(window="week"),
        "5m",
        # Errors by the week: one in a hundred of the first, one in fifty of the second.
        {EVENTS: "100x1440", ERRORS: "1x1151 2x288"},
        [
            ("round(sum(slo:period_error:ratio), 0.0001)", "95h55m", 0.01),
            ("round(sum(slo:period_error:ratio), 0.0001)", "97h", 0.02),
            ("round(sum(slo:period_burn_rate:ratio), 0.001)", "97h", 20.0),
            ("round(sum(slo:period_error_budget_remaining:ratio), 0.001)", "97h", -19.0),
        ],
    )


@pytest.mark.parametrize("unit", ["week", "month", "quarter", "year"])
def test_calendar_periods_on_a_server_are_ours(prometheus: Prometheus, unit: CalendarUnit) -> None:
    """A moment and the next have the same number exactly when they lie in one window."""
    expr, window = str(calendar_id(Calendar(unit), 0)), Calendar(unit)
    moments = [
        datetime(year, month, day, hour, tzinfo=UTC).timestamp()
        for year in (2024, 2026)
        for month in (1, 2, 3, 4, 9, 10, 12)
        for day in (1, 2, 15, 28)
        for hour in (0, 23)
    ]
    reported = [(tables.value(prometheus, expr, at), window.period(int(at * 1000) + 1)) for at in moments]
    for one_id, one_period in reported:
        for other_id, other_period in reported:
            assert (one_id == other_id) == (one_period == other_period)


ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Sydney", "Europe/Dublin", "Asia/Kolkata", "Pacific/Auckland", "America/Santiago",
    "Asia/Jerusalem", "America/St_Johns",
)  # fmt: skip


def around_midnights(zone: str) -> list[int]:
    """Moments, in seconds UTC, a second before and at the midnights of the zone around which windows and clocks change."""
    days = {
        day + timedelta(days=around)
        for month in (1, 3, 4, 9, 10, 11)
        for day in (date(2027, month, 1), date(2027, month, 28))
        for around in range(-1, 3)
    }
    return [midnight(day, zone) // 1000 + before for day in sorted(days) for before in (-3601, -1, 0, 3599)]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("unit", ["week", "month"])
def test_a_calendar_has_the_midnights_of_its_time_zone(unit: CalendarUnit, zone: str) -> None:
    """From one moment to the next the number changes exactly where the window does, over changes of clocks too."""
    window, engine = Calendar(unit, zone), Engine(Samples.from_series([]))
    node = calendar_id(window, 0)
    numbers = [float(engine.query(node, at).series[0].values[-1]) for at in around_midnights(zone)]
    periods = [window.period(at * 1000 + 1) for at in around_midnights(zone)]
    changes = [(earlier != other) for earlier, other in itertools.pairwise(periods)]
    assert [(earlier != other) for earlier, other in itertools.pairwise(numbers)] == changes
    assert len(set(numbers)) == len(set(periods))


@pytest.mark.parametrize("zone", ZONES[:3])
def test_a_server_has_the_same_number(prometheus: Prometheus, prometheus2: Prometheus, zone: str) -> None:
    node, engine = calendar_id(Calendar("month", zone), 90), Engine(Samples.from_series([]))
    for at in around_midnights(zone)[::7]:
        ours = float(engine.query(node, at).series[0].values[-1])
        assert tables.value(prometheus, str(node), at) == tables.value(prometheus2, str(node), at) == ours


def test_a_gap_in_evaluation_neither_restarts_nor_spoils_anything(tmp_path: Path) -> None:
    check(
        tmp_path,
        one(window="6h"),
        "1m",
        {EVENTS: "100x89 _x30 100x60", ERRORS: "1x89 _x30 1x60"},
        [
            ("round(sum(slo:period_coverage:ratio), 0.001)", "2h30m", round(25 / 72, 3)),
            ("round(sum(slo:period_burn_rate:ratio), 0.001)", "2h30m", 10.0),
            ("round(sum(slo:period_burn_rate:ratio), 0.001)", "1h45m", 10.0),
        ],
    )


@pytest.mark.parametrize("tool", ["promtool", "promtool2"])
def test_what_came_before_the_data_ends_counts_once(tmp_path: Path, tool: str) -> None:
    """Scraped until 20 s after a full minute, so that the last tile is followed by one without samples."""
    check(
        tmp_path,
        one("ratio: {errors: 'r_total{code=\"500\"}', total: r_total}"),
        "20s",
        {'r_total{job="x",instance="y",code="200"}': "0+10x31"},
        # The first tile is the baseline.
        [("sum(sum_over_time(slo:events:increase1m[20m]))", "20m", 300.0)],
        tool,
        "1m",
    )


def test_without_traffic_there_is_not_a_ratio_and_no_nan(tmp_path: Path) -> None:
    check(
        tmp_path,
        one(window="6h"),
        "1m",
        {EVENTS: "100x29 0x120 100x30", ERRORS: "1x29 0x120 1x30"},
        [
            ("slo:sli_error:ratio_rate1m", "1h", None),
            ("slo:current_burn_rate:ratio", "2h", None),
            ("round(sum(slo:period_burn_rate:ratio), 0.001)", "2h", 10.0),
            ("sum(slo:period_coverage:ratio)", "2h59m", 0.5),
        ],
    )


def test_an_outage_counts_once_it_is_too_long(tmp_path: Path) -> None:
    """Down for 20 minutes where 15 are allowed: the slices from the fifteenth minute on are bad."""
    loaded_specs = specs(
        "service: shop\nslos:\n"
        "  - {name: a, objective: 99.9, window: 6h, sli: {outage: {of: up, longer_than: 15m}}}\n"
        "  - {name: up, objective: 99, sli: {probe: {metric: probe_success}}}\n"
    )
    check(
        tmp_path,
        loaded_specs,
        "30s",
        {'probe_success{job="x",instance="y"}': "1x59 0x39 1x100"},
        [
            ('sum(slo:events:increase1m{slo="a",event="bad_slices"})', "44m", 0.0),
            ('sum(slo:events:increase1m{slo="a",event="bad_slices"})', "48m", 1.0),
            ('sum(slo:events:increase1m{slo="a",event="bad_slices"})', "55m", 0.0),
            ('sum(slo:events:increase1m{slo="a",event="slices"})', "55m", 1.0),
        ],
    )


def test_an_outage_of_counters_counts_as_their_own_rules_do(tmp_path: Path) -> None:
    """Half of the requests fail for 20 minutes; a new error code on the way, and counters as they are in a fleet."""
    loaded_specs = specs(
        "service: shop\nslos:\n"
        "  - {name: a, objective: 99.9, window: 6h, sli: {outage: {of: r, longer_than: 15m, down_at: 50%}}}\n"
        "  - {name: r, objective: 99, sli: {ratio: {errors: 'r_total{code=\"500\"}', total: r_total}}}\n"
    )
    check(
        tmp_path,
        loaded_specs,
        "30s",
        {
            'r_total{job="x",instance="y",code="200"}': "1000+100x59 6900x39 7000+100x100",
            'r_total{job="x",instance="y",code="500"}': "_x59 100+100x39 4000x101",
        },
        [
            ('max(slo:down:bool1m{slo="a"})', "29m", 0.0),
            ('max(slo:down:bool1m{slo="a"})', "40m", 1.0),
            ('sum(slo:events:increase1m{slo="a",event="bad_slices"})', "44m", 0.0),
            ('sum(slo:events:increase1m{slo="a",event="bad_slices"})', "48m", 1.0),
            ('sum(slo:events:increase1m{slo="a",event="bad_slices"})', "55m", 0.0),
        ],
    )


def test_victoria_metrics_counts_the_same(tmp_path: Path) -> None:
    reported = history.write(tmp_path / "history.txt", days=1.2, instances=2)
    values: list[float] = []
    with (
        Prometheus(tmp_path, data=load_openmetrics(tmp_path / "history.txt", tmp_path / "data")) as server,
        VictoriaMetrics(tmp_path) as other,
    ):
        other.load(tmp_path / "history.txt")
        for slo in tables.specs(tmp_path).values():
            for at in (reported.end - 10 * HOUR + 22 * 60, reported.end - 23 * HOUR + 900, reported.end - 60):
                # As evaluation asks: all events and a part of them apart, each within the 16 KB that a query may have.
                _, part = slo.sli.part_tile(Tile(60_000, 30_000))
                for tile in (part, total_tile(slo.sli, 300_000, 30_000)):
                    [row] = other.query(str(tile), at)
                    values.append(float(row["value"][1]))
                    assert values[-1] == tables.value(server, str(tile), at)
    assert sum(value > 0 for value in values) > 8
