"""The ledger: what is written is read, by us and by others, to the event; what is damaged is named and never added up."""

from __future__ import annotations

import hashlib
import json
import random
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slo.errors import ConfigError
from slo.ledger import STEP_MS, DamagedError, Entry, Ledger
from slo.ledger import periods as named
from slo.ledger.store import store
from slo.ledger.sums import sums
from slo.ledger.tables import DAYS, STEPS, Partition, partitions, schema, service_of, week_start
from slo.window import DAY, HOUR, WEEK, parse_moment
from tests.extras import needs
from tests.shell import run as slo

MONDAY = parse_moment("2026-03-02T00:00:00Z")  # of 2026-W10
OBJECTIVE = Decimal("0.999")


def entry(
    start_ms: int, steps: int, errors: float = 1, total: float = 1000, sli: str = "a1", objective: Decimal = OBJECTIVE
) -> Entry:
    """Steps one after the other, the same in each."""
    ends = start_ms + STEP_MS * np.arange(1, steps + 1, dtype=np.int64)
    return Entry(ends, np.full(steps, float(errors)), np.full(steps, float(total)), sli, objective)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Over the edge of a week: a step that ends at Monday's midnight is of the week before."""
    ledger = Ledger(tmp_path)
    ledger.write(
        {"shop/errors": entry(MONDAY - DAY, 2 * 288), "shop/other": entry(MONDAY, 3), "pay/x": entry(MONDAY, 1)}
    )
    again = Ledger(tmp_path)
    assert [(partition.week, partition.service) for partition in partitions(again.store)] == [("2026-W09", "shop"), ("2026-W10", "pay"), ("2026-W10", "shop")]  # fmt: skip
    read = again.entry("shop/errors", MONDAY - HOUR, MONDAY + HOUR)
    assert read.ends.tolist() == (MONDAY - HOUR + STEP_MS * np.arange(1, 25)).tolist()
    assert read.total.sum() == 24_000 and not len(again.entry("shop/none", 0, 2 * MONDAY).ends)
    assert again.counted(MONDAY - STEP_MS, MONDAY) == {"2026-W09": {"shop/errors": "a1"}}
    assert again.last_end("shop") == MONDAY + DAY and again.last_end("none") is None
    assert list(again.check()) == []


def test_a_step_that_is_written_again_is_counted_anew_and_others_stay(tmp_path: Path) -> None:
    """As where a server has lost what is older, and counts the rest better."""
    ledger = Ledger(tmp_path)
    ledger.write({"shop/errors": entry(MONDAY, 10)})
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    ledger.write({"shop/errors": entry(MONDAY, 10)})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")} == files  # the same bytes
    ledger.write({"shop/errors": entry(MONDAY + 5 * STEP_MS, 6, errors=7)})
    read = Ledger(tmp_path).entry("shop/errors", MONDAY, MONDAY + DAY)
    assert read.errors.tolist() == [1] * 5 + [7] * 6 and (np.diff(read.ends) == STEP_MS).all()
    [row] = sums(ledger.store, [MONDAY, MONDAY + DAY])
    assert (row.whole.errors, row.whole.steps) == (47, 11)


def test_another_definition_is_left_out_and_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write({"shop/errors": entry(MONDAY, 288)})
    ledger.write({"shop/errors": entry(MONDAY + DAY, 288, sli="b2", objective=Decimal("0.99"))})
    assert ledger.entry("shop/errors", MONDAY, MONDAY + WEEK, "b2").ends[0] == MONDAY + DAY + STEP_MS
    assert ledger.changed == {"shop/errors": {"2026-W10": None}}
    [row] = sums(ledger.store, [MONDAY, MONDAY + WEEK])
    assert (row.objective, row.whole.total, row.left_out) == (Decimal("0.99"), 288_000, 1)
    assert row.whole.allowed == pytest.approx(2880)


def test_an_objective_that_changed_allows_what_it_did_then(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write({"shop/errors": entry(MONDAY, 288)})
    ledger.write({"shop/errors": entry(MONDAY + DAY, 288, objective=Decimal("0.99"))})
    [row] = sums(ledger.store, [MONDAY, MONDAY + DAY, MONDAY + WEEK])
    assert row.whole.allowed == 288 + 2880 and [part.allowed for part in row.parts] == [288, 2880]
    assert row.whole.remaining == 1 - 576 / 3168


PLACES = st.integers(0, 3 * 2016)


@settings(max_examples=12)
@given(
    writes=st.lists(st.tuples(st.sampled_from(["shop/a", "shop/b.eu", "pay/a"]), PLACES, st.integers(1, 600), st.integers(0, 9)), min_size=1, max_size=6),
    edges=st.lists(PLACES, min_size=2, max_size=4, unique=True),
)  # fmt: skip
def test_sums_are_those_of_the_steps(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, int, int, int]], edges: list[int]
) -> None:
    """Whatever is written over what, and wherever the edges lie within days and weeks: as adding up each step by itself."""
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    right: dict[tuple[str, int], int] = {}
    for name, first, steps, errors in writes:
        ledger.write({name: entry(MONDAY + first * STEP_MS, steps, errors=errors)})
        right |= {(name, first + step): errors for step in range(1, steps + 1)}
    edges.sort()
    rows = {row.slo: row for row in sums(ledger.store, [MONDAY + edge * STEP_MS for edge in edges])}
    for name in {name for name, _ in right}:
        for index, (low, high) in enumerate(pairwise(edges)):
            inside = [errors for (slo, end), errors in right.items() if slo == name and low < end <= high]
            part = rows[name].parts[index] if name in rows else None
            assert (len(inside), sum(inside)) == (0, 0) if part is None else (part.steps, part.errors) == (len(inside), sum(inside))  # fmt: skip
    assert list(ledger.check()) == []


def filled(place: Path | str) -> Ledger:
    ledger = Ledger(place)
    for week in range(2):
        entries = {
            f"{name}/errors": entry(MONDAY + week * WEEK, 2016, errors=2 + len(name)) for name in ("shop", "pay")
        }
        ledger.write(entries)
    return ledger


def test_pandas_reads_it(tmp_path: Path) -> None:
    import pandas as pd

    filled(tmp_path)
    days = pd.read_parquet(tmp_path / "days")
    assert set(days.columns) == {*schema(DAYS).names, "week", "service"}
    by_slo = days.groupby("slo", observed=True)["errors"].sum()
    assert by_slo.to_dict() == {"shop/errors": 2 * 2016 * 6, "pay/errors": 2 * 2016 * 5}
    steps = pd.read_parquet(tmp_path / "steps", filters=[("week", "==", "2026-W11"), ("service", "==", "shop")])
    assert len(steps) == 2016 and str(steps["end"].dt.tz) == "UTC"
    assert steps["end"].max() == pd.Timestamp(MONDAY + 2 * WEEK, unit="ms", tz="UTC")


@needs("duckdb")
def test_duckdb_reads_it(tmp_path: Path) -> None:
    import duckdb

    filled(tmp_path)
    answer = duckdb.sql(
        f"SELECT service, week, sum(errors), sum(total * (1 - objective)) FROM read_parquet('{tmp_path}/days/**/*.parquet', "  # noqa: S608 - a path of ours
        "hive_partitioning = true) GROUP BY ALL ORDER BY ALL"
    )
    assert answer is not None
    rows = answer.fetchall()
    assert [(*row[:3], round(float(row[3]), 6)) for row in rows] == [
        ("pay", "2026-W10", 10080, 2016), ("pay", "2026-W11", 10080, 2016), ("shop", "2026-W10", 12096, 2016), ("shop", "2026-W11", 12096, 2016),
    ]  # fmt: skip
    done = slo(
        "ledger", "sql", "--ledger", tmp_path, "SELECT service, count(*) AS n FROM steps GROUP BY ALL ORDER BY ALL"
    )
    assert done.stdout.splitlines() == ['"service","n"', '"pay",4032', '"shop",4032']
    endless = slo("ledger", "sql", "--ledger", tmp_path, "SELECT * FROM range(1000000000000)")
    assert endless.returncode == 2 and "the answer is larger than 512 MiB" in endless.stderr and not endless.stdout
    secret = slo("ledger", "sql", "--ledger", tmp_path, "CREATE SECRET (TYPE s3, KEY_ID 'AKID', SECRET 'hunter2' x)")
    assert secret.returncode == 2 and "DuckDB cannot run" in secret.stderr and "hunter2" not in secret.stderr
    done = slo("ledger", "sql", "--ledger", tmp_path, "SELECT nothing FROM steps")
    assert done.returncode == 2 and "DuckDB cannot run the query" in done.stderr


def test_a_pyarrow_file_system_holds_it_too(tmp_path: Path) -> None:
    ledger = filled(f"file://{tmp_path}/inside")
    assert partitions(ledger.store) == partitions(store(tmp_path / "inside"))
    assert ledger.entry("shop/errors", 0, 2 * MONDAY).errors.sum() == 24_192
    with pytest.raises(ConfigError, match="a ledger is a folder, or an address of s3, gs"):
        Ledger("http://user:secret@host/x")


@pytest.mark.parametrize("table", [STEPS, DAYS])
def test_a_damaged_partition_is_named(tmp_path: Path, table: str) -> None:
    """A byte anywhere, or an end that is missing: it is refused by name, or is still what was written."""
    ledger = filled(tmp_path)
    [right] = [row.whole for row in sums(ledger.store, [MONDAY, MONDAY + 2 * WEEK]) if row.slo == "shop/errors"]
    path = tmp_path / Partition(MONDAY, "shop").path(table)
    data = path.read_bytes()
    rng, refused = random.Random(7), 0
    for number in range(60):
        bad = bytearray(data)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad if number % 4 else bad[: rng.randrange(len(bad))])
        try:
            if table == STEPS:
                assert Ledger(tmp_path).entry("shop/errors", MONDAY, MONDAY + 2 * WEEK).errors.sum() == right.errors
            else:
                assert right in [row.whole for row in sums(ledger.store, [MONDAY, MONDAY + 2 * WEEK])]
        except DamagedError as error:
            refused += 1
            assert str(path) in str(error) and "move it away" in str(error)
    assert refused >= 55
    assert any(str(path) in problem for problem in Ledger(tmp_path).check())
    path.write_bytes((tmp_path / Partition(MONDAY + WEEK, "shop").path(table)).read_bytes())
    [problem] = Ledger(tmp_path).check()
    assert str(path) in problem and "another partition" in problem


def test_a_place_without_a_ledger_is_not_whole(tmp_path: Path) -> None:
    """A slip in its path would be a ledger that is whole for ever."""
    done = slo("ledger", "check", "--ledger", tmp_path / "legder")
    assert done.returncode == 2 and f"{tmp_path}/legder: there is no ledger here" in done.stderr


def test_what_an_address_says_after_its_path_is_shown_by_no_command(tmp_path: Path) -> None:
    """It is how to reach a store, and may be a key."""
    filled(tmp_path / "ledger")
    for folder in ("ledger", "none"):
        place = f"file://{tmp_path}/{folder}?endpoint_override=hunter2"
        for words in (["check"], ["report", "--year", "2019"], ["sql", "SELECT 1"]):
            done = slo("ledger", *words[:1], "--ledger", place, *words[1:])
            assert "hunter2" not in done.stdout + done.stderr, words


def test_days_that_a_stopped_run_left_behind(tmp_path: Path) -> None:
    """Steps are written first: days that are missing are summed from them, days that are old are found by the check."""
    ledger = filled(tmp_path)
    right = sums(ledger.store, [MONDAY, MONDAY + 2 * WEEK])
    path = tmp_path / Partition(MONDAY, "shop").path(DAYS)
    old = path.read_bytes()
    path.unlink()
    assert sums(ledger.store, [MONDAY, MONDAY + 2 * WEEK]) == right
    assert "is not the sum of its steps" in next(ledger.check())
    ledger.write({"shop/errors": entry(MONDAY, 1, errors=500)})
    path.write_bytes(old)
    assert "is not the sum of its steps" in next(Ledger(tmp_path).check())
    ledger.write({"shop/errors": entry(MONDAY, 1, errors=500)})
    assert list(Ledger(tmp_path).check()) == []


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    from slo.source import parquet

    ledger = filled(tmp_path)
    path = tmp_path / Partition(MONDAY, "shop").path(STEPS)
    rows = pq.read_table(path)
    head = json.loads(rows.schema.metadata[b"slo.ledger"])
    pq.write_table(rows.replace_schema_metadata({b"slo.ledger": json.dumps({**head, "version": 3}).encode()}), path)
    parquet.seal(path)
    with pytest.raises(ConfigError, match="is of ledger version 3, and this package reads 2; update the package"):
        Ledger(tmp_path).entry("shop/errors", 0, 2 * MONDAY)
    del ledger


def test_a_ledger_of_version_1_is_taken_over_once(tmp_path: Path) -> None:
    """A month's file and a week's that hold the same steps: the month's counted, as it was the first by name."""

    def old(name: str, first: int, steps: int, errors: float) -> None:
        ends = MONDAY + STEP_MS * np.arange(first + 1, first + steps + 1, dtype=np.int64)
        table = pa.table(
            {
                "slo": ["shop/errors"] * steps,
                "end_ms": ends,
                "errors": np.full(steps, errors),
                "total": np.full(steps, 50.0),
            }
        )
        digest = hashlib.sha256("\n".join(["shop/errors"] * steps).encode())
        for column in ("end_ms", "errors", "total"):
            digest.update(table.column(column).to_numpy().tobytes())
        head = {"version": 1, "period": name, "sha256": digest.hexdigest(), "slis": {"shop/errors": "a1"}}
        pq.write_table(
            table.replace_schema_metadata({b"slo.ledger": json.dumps(head).encode()}), tmp_path / f"{name}.parquet"
        )

    old("2026-03", 0, 20, 3)
    old("2026-W10", 10, 20, 5)
    ledger = Ledger(tmp_path)
    assert ledger.migrated == ["2026-W10.parquet", "2026-03.parquet"]
    assert ledger.entry("shop/errors", MONDAY, MONDAY + DAY, "a1").errors.tolist() == [3] * 20 + [5] * 10
    assert sorted(path.name for path in (tmp_path / "v1").iterdir()) == ["2026-03.parquet", "2026-W10.parquet"]
    assert Ledger(tmp_path).migrated == []
    # No objective is known: events are, a budget is not.
    [row] = sums(ledger.store, [MONDAY, MONDAY + DAY])
    assert (row.whole.total, row.whole.remaining, row.objective) == (1500, None, None)
    table = pq.read_table(tmp_path / "v1" / "2026-03.parquet")
    pq.write_table(
        table.set_column(2, "errors", [np.zeros(20)]).replace_schema_metadata(table.schema.metadata),
        tmp_path / "2026-04.parquet",
    )
    with pytest.raises(ConfigError, match=r"2026-04\.parquet: its rows are not those that were written; move it away"):
        Ledger(tmp_path)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_a_quarter_is_that_of_its_time_zone(tmp_path: Path, zone: str) -> None:
    """A step on each side of each edge: months begin at the zone's midnights, within days of UTC, and clocks change in March."""
    span = named.quarter("2026-Q1", zone)
    assert span.parts == ("2026-01", "2026-02", "2026-03") and len(span.edges) == 4
    ledger = Ledger(tmp_path)
    for edge in span.edges:
        ledger.write({"shop/errors": entry(edge - STEP_MS, 1, errors=1)})
        ledger.write({"shop/errors": entry(edge, 1, errors=100)})
    [row] = sums(ledger.store, span.edges)
    assert [part.errors for part in row.parts] == [101, 101, 101] and row.whole.errors == 303


def test_the_report_is_from_the_ledger_alone(tmp_path: Path) -> None:
    filled(tmp_path)
    Ledger(tmp_path).write({"shop/fine": entry(MONDAY, 100, errors=0)})
    done = slo("ledger", "report", "--ledger", tmp_path, "--quarter", "2026Q1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "SLO",
        "objective",
        "SLI",
        "bad",
        "events",
        "events",
        "remaining",
        "2026-01",
        "2026-02",
        "2026-03",
    ]
    assert [line.split() for line in lines[1:]] == [
        ["shop/errors", "99.9%", "99.400%", "24,192", "4,032,000", "−500.0%", "n/a", "n/a", "−500.0%"],
        ["pay/errors", "99.9%", "99.500%", "20,160", "4,032,000", "−400.0%", "n/a", "n/a", "−400.0%"],
        ["shop/fine", "99.9%", "100%", "0", "100,000", "100.0%", "n/a", "n/a", "100.0%"],
    ]  # fmt: skip
    assert "2 of 3 SLOs have exhausted their error budget" in done.stderr
    data = json.loads(slo("ledger", "report", "--ledger", tmp_path, "--year", "2026", "--json").stdout)
    assert (data["start"], data["end"]) == ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")
    assert data["slos"][0]["parts"]["2026-03"]["errors"] == 24_192 and data["slos"][0]["objective"] == 0.999
    for name in ("q.md", "q.csv"):
        assert (
            slo("ledger", "report", "--ledger", tmp_path, "--month", "2026-03", "-o", tmp_path / name).returncode == 0
        )
    assert "| shop/errors | 99.9% |" in (tmp_path / "q.md").read_text()
    assert (tmp_path / "q.csv").read_text().splitlines()[1].startswith("shop/errors,2026-03,0.999")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--quarter", "2026Q5"], "is not a quarter; write one such as 2026Q1"), (["--year", "26"], "is not a year"),
        (["--month", "2026-13"], "is not a month"), ([], "give one of --quarter"), (["--year", "2026", "--month", "2026-01"], "give one of"),
        (["--year", "2019"], "the ledger has nothing of 2019"), (["--year", "2026", "--zone", "Berlin"], "is not a valid time zone"),
        (["--year", "2026", "-o", "x.pdf"], "a file that ends in .json, .csv, .md is expected"),
    ],
)  # fmt: skip
def test_faults_are_said(tmp_path: Path, flags: list[str], said: str) -> None:
    filled(tmp_path)
    done = slo("ledger", "report", "--ledger", tmp_path, *flags)
    assert done.returncode == 2 and said in done.stderr


@given(st.integers(-10_000, 10_000))
def test_partitions_know_their_path(weeks: int) -> None:
    partition = Partition(MONDAY + weeks * WEEK, "a.b-C_d")
    assert Partition.of_path(partition.path(STEPS)) == partition
    assert week_start(partition.start_ms + 1) == partition.start_ms == week_start(partition.start_ms + WEEK)
    assert service_of("a.b-C_d/x.y/z") == "a.b-C_d"
