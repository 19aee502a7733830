"""The original expression alongside our SLI: where both must agree, and why they differ where they must not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from slo.cli import run
from slo.convert.verify import Comparison, verify
from slo.promql.samples import Samples
from slo.source.recording import Header, Recording, write
from slo.window import DAY, HOUR, MINUTE
from tests.convert import imported, pyrra, sloth
from tests.convert.test_expression import ALL, BAD, COUNT, FAST
from tests.convert.test_openslo import openslo
from tests.convert.test_pyrra import RATIO

END = 1_790_000_000_000 // DAY * DAY
STEP = 30_000
TIMES = np.arange(END - 26 * HOUR, END + 1, STEP)
HOURS = (TIMES - TIMES[0]) / HOUR
TARGET = {"job": "shop", "instance": "a"}


def series(name: str, values: object, times: object = TIMES, **labels: str) -> tuple[dict[str, str], object, object]:
    return {"__name__": name, **TARGET, **labels}, times, values


def recording(folder: Path, *rows: tuple[dict[str, str], object, object]) -> Recording:
    path = folder / "r.parquet"
    write(path, Samples.from_series(rows), Header(int(TIMES[0]), END, "a test"))
    return Recording.open(path)


def compared(text: str, source: Recording, **options: str) -> Comparison:
    [verified] = verify([imported(text, **options)], source)
    return verified


STEADY = [
    series("x_total", HOURS * 99_000, code="200"),
    series("x_total", HOURS * 1_000, code="500"),
    series("d_seconds_count", HOURS * 1_000),
    series("d_seconds_bucket", HOURS * 1_000, le="+Inf"),
    series("d_seconds_bucket", HOURS * 960, le="0.3"),
    series("up", (np.arange(len(TIMES)) % 10 > 0).astype(float)),
]


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """1 % of requests fail, 4 % are slow, a tenth of the scrapes fail."""
    return recording(tmp_path_factory.mktemp("steady"), *STEADY)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        (sloth(BAD, ALL), 0.01),
        (sloth(f"{BAD} or vector(0)", f"{ALL} > 0"), 0.01),
        (sloth(f"clamp_min({COUNT} - {FAST}, 0)", COUNT), 0.04),
        (sloth(ratio=f"1 - (({FAST} / ({COUNT} > 0)) or on() vector(1))"), 0.04),
        (sloth(ratio="1 - sum(sum_over_time(up[{{.window}}])) / sum(count_over_time(up[{{.window}}]))"), 0.1),
        (sloth("sum(count_over_time((up == 0)[{{.window}}:30s]))", "sum(count_over_time(up[{{.window}}:30s]))"), 0.1),
        (sloth(f"{BAD} + sum(rate(y_total[{{{{.window}}}}])) or {BAD}", ALL), 0.01),
        (pyrra(RATIO, "target: '99'\n  window: 1d"), 0.01),
        (pyrra("bool_gauge: {metric: up}", "target: '99'\n  window: 1d"), 0.1),
    ],
)
def test_on_steady_traffic_both_are_the_truth(steady: Recording, text: str, truth: float) -> None:
    comparison = compared(text, steady, window="1d")
    assert comparison.theirs == pytest.approx(truth, rel=0.01)
    assert comparison.ours == pytest.approx(truth, rel=0.01)
    assert comparison.why == ()


def test_an_idle_night_weighs_as_a_busy_day_in_an_average_of_ratios(tmp_path: Path) -> None:
    """A day of 100,000 good requests, and a night of 1,000 that all fail."""
    day = np.clip(HOURS, 0, 14) / 14
    night = np.clip(HOURS - 14, 0, 12) / 12
    source = recording(
        tmp_path, series("x_total", day * 100_000, code="200"), series("x_total", night * 1_000, code="500")
    )
    comparison = compared(sloth(BAD, ALL), source, window="1d")
    assert comparison.averaged == pytest.approx(0.5, abs=0.03)
    assert comparison.ours == pytest.approx(1_000 / (100_000 * 12 / 14 + 1_000), rel=0.02)
    assert any(reason.startswith("average of ratios") for reason in comparison.why)


def test_the_first_errors_are_seen_here_only(tmp_path: Path) -> None:
    """The first 5xx of a process that runs make a new series, whose first value `increase` does not see."""
    late = TIMES[TIMES >= END - 2 * HOUR]
    source = recording(
        tmp_path,
        series("x_total", HOURS * 1_000, code="200"),
        series("x_total", np.full(len(late), 5.0), late, code="500"),
    )
    comparison = compared(sloth(f"{BAD} or vector(0)", ALL), source, window="1d")
    assert comparison.theirs == 0
    assert comparison.ours == pytest.approx(5 / 24_005, rel=0.01)
    assert any(reason.startswith("first errors: 0 errors there, 5 here") for reason in comparison.why)


def test_extrapolation_is_named(tmp_path: Path) -> None:
    """Scrapes that are a minute from the window's edge: `increase` fills up what it did not see."""
    times = np.arange(END - 50 * MINUTE, END - 5 * MINUTE, 5 * MINUTE)
    source = recording(
        tmp_path,
        series("x_total", np.arange(len(times)) * 100.0, times, code="500"),
        series("x_total", np.arange(len(times)) * 100.0, times, code="200"),
    )
    comparison = compared(sloth(BAD, ALL), source, window="1h")
    assert any(reason.startswith("extrapolation") for reason in comparison.why)


def test_a_bound_that_the_server_spells_otherwise_is_named(tmp_path: Path) -> None:
    source = recording(
        tmp_path,
        series("d_seconds_count", HOURS * 100),
        series("d_seconds_bucket", HOURS * 90, le="5.0"),
        series("d_seconds_bucket", HOURS * 100, le="+Inf"),
    )
    comparison = compared(sloth(f"{COUNT} - {FAST.replace('0.3', '5')}", COUNT), source, window="1d")
    assert comparison.theirs is None
    assert comparison.ours == pytest.approx(0.1)
    assert comparison.why == (
        'the original names le="5", which is spelt le="5.0" where Prometheus 3 scrapes; here a bound is a number',
    )


def test_slices_are_not_compared_as_events(tmp_path: Path) -> None:
    """One request in ten fails all the time: no slice keeps to 95 %."""
    source = recording(
        tmp_path, series("x_total", HOURS * 9_000, code="200"), series("x_total", HOURS * 1_000, code="500")
    )
    objective = "target: 0.99, timeSliceTarget: 0.95, timeSliceWindow: 5m"
    comparison = compared(
        openslo(window="{duration: 1d, isRolling: true}", objective=objective, method="Timeslices"), source
    )
    assert comparison.theirs == pytest.approx(0.1, rel=0.01)
    assert comparison.ours == 1
    assert comparison.why == ("slices: here each 5m is good or bad as a whole, and there each event",)


def test_an_original_without_series_is_said(steady: Recording) -> None:
    comparison = compared(
        sloth(BAD.replace("x_total", "nothing"), ALL.replace("x_total", "nothing")), steady, window="1d"
    )
    assert (comparison.theirs, comparison.ours) == (None, None)
    assert comparison.why == ("the original gives no traffic, or no series that the original selects",)


def test_the_command_prints_both_figures(steady: Recording, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sloth.yml").write_text(sloth(BAD, ALL))
    path = tmp_path / "r.parquet"
    recording(tmp_path, *STEADY)
    arguments = ["import", str(tmp_path / "sloth.yml"), "--window", "1d", "--verify", str(path)]
    assert run(arguments) == 0
    out = capsys.readouterr().out
    assert re.search(r"^shop/requests: error ratio 1\.00\d% by the original expression, 1\.00\d% here$", out, re.M)
    assert re.search(r"^  as a mean of ratios over 5m, as Sloth records it: 1\.00\d%$", out, re.M)
    assert run([*arguments, "--json"]) == 0
    [data] = json.loads(capsys.readouterr().out)["verified"]
    assert (data["slo"], data["why"]) == ("shop/requests", [])
