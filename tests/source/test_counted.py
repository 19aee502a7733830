"""Events that were counted elsewhere: a DataFrame, a CSV or a Parquet file, and sources of other packages."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slo
from slo.errors import ConfigError, SourceError
from slo.source import open as open_source
from slo.source.counted import CountSource
from slo.spec.load import loads
from slo.spec.model import Specs
from tests.shell import run

END = pd.Timestamp("2026-11-20T00:00:00Z")
TEXT = """\
service: shop
slos:
  - {name: orders, objective: 99, window: 1d, sli: {ratio: {errors: e_total, total: t_total}}}
  - {name: mails, objective: 99, window: 1d, sli: {probe: up}}
"""
SPECS = Specs(loads(TEXT, "shop.yaml", []))
ORDERS = SPECS["shop/orders"]


def day(step: str = "5min", total: float = 100, bad: float = 0) -> pd.DataFrame:
    """Rows of the day before END and of the four days before that."""
    times = pd.date_range(END - pd.Timedelta("5D"), END, freq=step, inclusive="left")
    return pd.DataFrame({"time": times, "total": total, "good": total - bad})


def test_good_and_total_are_a_budget() -> None:
    """288 steps of 100 events are 28,800, of which 288 may fail; the last 12 steps have 6 bad events each: 72, a quarter."""
    frame = day()
    frame.loc[frame.index[-12:], "good"] = 94
    source = slo.from_events(frame, good="good")
    budget = slo.evaluate(ORDERS, source)
    assert (budget.end, budget.total, budget.errors) == (END, 28_800, 72)
    assert budget.remaining == pytest.approx(0.75)
    assert budget.burn_rate("1h") == pytest.approx(6.0)  # 6 % of errors against a budget of 1 %
    assert budget.burn_rate("6h") == pytest.approx(1.0)
    assert budget.coverage == 1.0
    assert budget.incidents[0].errors == 72


def test_bad_events_names_of_columns_and_unix_seconds() -> None:
    frame = day(bad=1)
    renamed = pd.DataFrame({
        "at": frame["time"].map(lambda at: at.timestamp()), "all": frame["total"], "failed": frame["total"] - frame["good"]
    })  # fmt: skip
    budget = slo.evaluate(ORDERS, slo.from_events(renamed, time="at", total="all", errors="failed"))
    assert (budget.total, budget.errors) == (28_800, 288)
    assert budget.remaining == pytest.approx(0.0)


def test_rows_of_the_same_time_add_up() -> None:
    frame = pd.concat([day(bad=1), day(total=50, bad=2)]).sample(frac=1, random_state=1)
    budget = slo.evaluate(ORDERS, slo.from_events(frame, good="good"))
    assert (budget.total, budget.errors) == (288 * 150, 288 * 3)


def test_hours_are_spread_and_said() -> None:
    budget = slo.evaluate(ORDERS, slo.from_events(day("1h", 1200, 6), good="good"))
    assert (budget.total, budget.errors) == pytest.approx((28_800, 144))
    assert budget.burn_rate("5m") == pytest.approx(0.5)
    assert "coarse" in [note.code for note in budget.notes]
    fine = slo.evaluate(ORDERS, slo.from_events(day(), good="good"))
    assert "coarse" not in [note.code for note in fine.notes]


def test_missing_rows_are_a_gap_not_events() -> None:
    """Six of the day's 24 hours have no rows: 75 % are covered, and nothing is made up."""
    frame = day()
    missing = (frame["time"] >= END - pd.Timedelta("12h")) & (frame["time"] < END - pd.Timedelta("6h"))
    budget = slo.evaluate(ORDERS, slo.from_events(frame[~missing], good="good"))
    assert budget.coverage == pytest.approx(0.75)
    assert budget.total == 18 * 12 * 100
    assert "gaps" in [note.code for note in budget.notes]


def test_data_that_begins_within_the_window_is_said() -> None:
    frame = day()
    budget = slo.evaluate(ORDERS, slo.from_events(frame[frame["time"] >= END - pd.Timedelta("6h")], good="good"))
    assert budget.data_start == (END - pd.Timedelta("6h")).to_pydatetime()
    assert "fresh" in [note.code for note in budget.notes]


def test_more_good_than_all_is_invalid() -> None:
    budget = slo.evaluate(ORDERS, slo.from_events(day(bad=-5), good="good"))
    assert budget.state is slo.State.INVALID


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=2, max_size=288), st.integers(0, 10**9)
)
def test_no_event_is_lost_or_made(rows: list[tuple[int, int]], seed: int) -> None:
    """Whatever rows of 5 m there are, in whatever order and with pauses: the sums are exact."""
    random = np.random.default_rng(seed)
    places = np.sort(random.choice(288, size=len(rows), replace=False))
    places[:2] = [0, 1]
    places = np.unique(places)
    kept = rows[: len(places)]
    frame = pd.DataFrame({
        "time": [END - pd.Timedelta("1D") + pd.Timedelta(minutes=5 * int(place)) for place in places],
        "errors": [min(pair) for pair in kept], "total": [max(pair) for pair in kept],
    })  # fmt: skip
    source = slo.from_events(frame.sample(frac=1, random_state=seed % 1000), errors="errors", step="5m")
    budget = slo.evaluate(ORDERS, source, at=END.to_pydatetime())
    assert (budget.errors, budget.total) == pytest.approx((sum(map(min, kept)), sum(map(max, kept))))


def two() -> pd.DataFrame:
    return pd.concat([day(bad=1).assign(slo="shop/orders"), day(bad=0).assign(slo="shop/mails")])


def test_a_column_of_slos_gives_each_its_own() -> None:
    budgets = slo.review(SPECS, slo.from_events(two(), good="good", slo="slo"))
    assert [(budget.slo.id, budget.errors) for budget in budgets] == [("shop/orders", 288), ("shop/mails", 0)]
    frame = two().query("slo == 'shop/orders'")
    budgets = slo.review(SPECS, slo.from_events(frame, good="good", slo="slo"))
    assert budgets[1].state is slo.State.NO_DATA


def test_a_table_without_names_is_of_one_slo() -> None:
    with pytest.raises(SourceError, match="no column of SLOs"):
        slo.review(SPECS, slo.from_events(day(), good="good"))


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda f: f, {"good": "goood"}, "no column 'goood'; did you mean `good`?"),
        (lambda f: f, {}, "exactly one of `good` and `errors`"),
        (lambda f: f[:0], {"good": "good"}, "has no rows"),
        (lambda f: f.assign(total="many"), {"good": "good"}, "'total' in row 0 is 'many'; numbers of events"),
        (lambda f: f.assign(total=-1), {"good": "good"}, "'total' in row 0 is -1"),
        (lambda f: f.assign(time="soon"), {"good": "good"}, "'time' has something that is not a time"),
        # Neither the second of January nor the first of February, and no time of day without a day.
        (lambda f: f.assign(time="01/02/2026"), {"good": "good"}, "'time' has something that is not a time"),
        (lambda f: f.assign(time="10:00"), {"good": "good"}, "'time' has something that is not a time"),
        (
            lambda f: f.assign(time=f["time"].map(lambda at: round(at.timestamp() * 1000))),
            {"good": "good"},
            "it looks like milliseconds; write 17",
        ),
        (lambda f: f.assign(time="0001-01-01"), {"good": "good"}, "accepted are times from 1900 to 2199"),
        (lambda f: f[:1], {"good": "good"}, "give `step`"),
        (lambda f: f, {"good": "good", "step": "1h"}, "rows are closer than the step of 1h"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(change: object, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError) as raised:
        slo.from_events(change(day()), **arguments)  # type: ignore[operator]
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["events.csv", "events.parquet"])
def test_files_are_sources_of_every_command(tmp_path: Path, name: str) -> None:
    frame = two()
    frame.to_csv(tmp_path / name, index=False) if name.endswith("csv") else frame.to_parquet(tmp_path / name)
    (tmp_path / "shop.yaml").write_text(TEXT)
    assert isinstance(open_source(tmp_path / name), CountSource)
    reported = run("status", "shop.yaml", "-s", name, "--json", cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
    assert [entry["events"]["errors"] for entry in json.loads(reported.stdout)["slos"]] == [288, 0]
    report = run("report", "shop.yaml", "-s", name, "-o", "out", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    for command in (["record", "--start", "1h", "-o", "r.parquet"], ["backtest"]):
        refused = run(command[0], "shop.yaml", "-s", name, *command[1:], cwd=tmp_path)
        assert refused.returncode == 2
        assert "holds numbers of events, no series" in refused.stderr


def test_a_package_adds_a_source_by_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of the group `slo.sources`, as an installed package has it."""
    (tmp_path / "warehouse.py").write_text(
        "import pandas as pd\nfrom slo.source.counted import CountSource\n"
        "def open_warehouse(url, config):\n"
        "    times = pd.date_range('2026-11-01', periods=3, freq='5min')\n"
        "    frame = pd.DataFrame({'time': times, 'total': 1, 'good': 1})\n"
        "    return CountSource.of_frame(frame, good='good', name=f'{url} {config}')\n"
    )
    info = tmp_path / "warehouse-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: warehouse\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[slo.sources]\nwarehouse = warehouse:open_warehouse\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert open_source("warehouse://host/table", config="c.yaml").name == "warehouse://host/table c.yaml"
    with pytest.raises(ConfigError, match="no source for warehous://…; did you mean `warehouse`"):
        open_source("warehous://host/table")


def test_a_summary_is_a_table_and_a_budget_a_dict() -> None:
    budgets = slo.review(SPECS, slo.from_events(two(), good="good", slo="slo"))
    table = slo.summary(budgets)
    assert list(table.index) == ["shop/orders", "shop/mails"]
    assert table.loc["shop/orders", "errors"] == 288
    assert table.loc["shop/orders", "remaining"] == pytest.approx(0.0)
    assert table.loc["shop/mails", "sli"] == 1.0
    assert str(table["exhaustion"].dtype).endswith("UTC]")
    assert (table.dtypes[["sli", "remaining", "burn_1h", "coverage"]] == "float64").all()
    assert budgets[0].to_dict()["events"] == {"total": 28_800, "good": 28_512, "errors": 288, "allowed_errors": 288}
    json.dumps(budgets[0].to_dict(), allow_nan=False)
    nothing = slo.summary(
        slo.review(SPECS, slo.from_events(two(), good="good", slo="slo"), at=datetime(2020, 1, 1, tzinfo=UTC))
    )
    assert nothing["sli"].isna().all()
    assert len(slo.summary([])) == 0


@pytest.mark.parametrize("place", [0.0, 0.5, 0.9, 0.97, 0.99, 1.0] if "SLO_SLOW" in os.environ else [0.0, 0.9, 0.99])
def test_a_damaged_table_is_a_message(tmp_path: Path, place: float) -> None:
    """A flipped byte in a footer ends the process in pyarrow; it is tried by another one."""
    file = tmp_path / "events.parquet"
    two().to_parquet(file)
    whole = file.read_bytes()
    assert isinstance(open_source(file), CountSource)
    at = round((len(whole) - 1) * place)
    file.write_bytes(whole[:at])
    with pytest.raises(SourceError, match=re.escape(str(file))):
        open_source(file)
    # Its pages have no checksums: what pyarrow does not notice is read.
    file.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    with suppress(SourceError):
        assert isinstance(open_source(file), CountSource)


@pytest.mark.parametrize("scheme", ["warehouse", "htps"])
def test_a_scheme_that_no_package_has_shows_neither_password_nor_token(scheme: str) -> None:
    with pytest.raises(ConfigError, match=f"host.*no source for {scheme}://…") as raised:
        open_source(f"{scheme}://user:hunter2@host/table?token=hunter2")
    assert "hunter2" not in str(raised.value)
