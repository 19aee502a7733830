"""SQL, files of events and sources of packages: no longer than an SLO or a run may take, no larger than they may be, and no secret said."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slo import limits, plugins
from slo.cli import run
from slo.errors import SourceError
from slo.promql.parse import parse, parse_selector
from slo.promql.samples import Samples
from slo.source import Source
from slo.source import open as open_source
from slo.source.base import Matrix, MatrixSeries
from slo.source.config import SourceConfig
from slo.source.failure import OutOfTimeError
from slo.source.limited import LimitedSource, Worker
from slo.weekly import read_config
from tests.shell import run as slo

NOW_MS = 1_790_000_000_000
FOREVER = "SELECT sum(a.range * b.range) AS total, 1 AS good, now() AS time FROM range(100000000) a, range(100000000) b"
GOOD = """\
service: shop
slos:
  - {name: orders, objective: 99, window: 1d, sli: {ratio: {errors: 'e_total', total: t_total}}}
"""


class Elsewhere:
    """A source of a package that answers `answer`, whatever it is asked."""

    name, local, notes = "elsewhere", False, ()

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def latest_ms(self) -> Any:
        return self.answer()

    def samples(self, *_: Any) -> Any:
        return self.answer()

    def query_range(self, *_: Any) -> Any:
        return self.answer()

    def query(self, *_: Any) -> Any:
        return self.answer()

    def retention_ms(self) -> Any:
        return self.answer()


CALLS: dict[str, Callable[[Source], Any]] = {
    "latest_ms": lambda source: source.latest_ms(),
    "samples": lambda source: source.samples([parse_selector("up")], NOW_MS - 1000, NOW_MS),
    "query_range": lambda source: source.query_range(parse("up"), NOW_MS - 1000, NOW_MS, 1000),
    "query": lambda source: source.query(parse("up"), NOW_MS),
    "retention_ms": lambda source: source.retention_ms(),  # type: ignore[attr-defined]
}


def limited(answer: Callable[[], Any], **times: float) -> LimitedSource:
    made: Any = Elsewhere(answer)
    return LimitedSource(lambda: made, "elsewhere://host", SourceConfig(**times))  # type: ignore[arg-type]


def raising(error: BaseException) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


@pytest.mark.parametrize("call", CALLS)
def test_a_package_that_never_answers_is_given_up(call: str) -> None:
    over = threading.Event()
    source = limited(over.wait, timeout_objective_s=0.3)
    begun = time.monotonic()
    with (
        pytest.raises(OutOfTimeError, match=r"shop/orders: .*raise SLO_TIMEOUT_OBJECTIVE"),
        limits.asked_for("shop/orders"),
    ):
        CALLS[call](source)
    with pytest.raises(OutOfTimeError):  # it is still at work on that
        CALLS[call](source)
    assert time.monotonic() - begun < 10
    over.set()


def test_the_time_of_a_run_holds_for_packages_too() -> None:
    over = threading.Event()
    source = limited(over.wait, timeout_run_s=0.3)
    with limits.one_run(), pytest.raises(OutOfTimeError, match=r"in this run .*raise SLO_TIMEOUT_RUN"):
        source.latest_ms()
    over.set()


def test_a_package_that_hangs_while_it_is_opened_is_given_up() -> None:
    over = threading.Event()
    with pytest.raises(OutOfTimeError):
        LimitedSource(lambda: over.wait() and None, "x://", SourceConfig(timeout_objective_s=0.3))  # type: ignore[arg-type, return-value]
    over.set()


def test_a_package_works_in_one_thread() -> None:
    """As a connection to SQLite must."""
    opened: list[int] = []

    def make() -> Any:
        opened.append(threading.get_ident())
        return Elsewhere(threading.get_ident)

    source = LimitedSource(make, "x://", SourceConfig())
    assert {source.retention_ms() for _ in range(3)} == set(opened)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("a"),
        OSError(5, "gone"),
        RuntimeError(),
        SystemExit(4),
        RecursionError(),
        AssertionError("x" * 5000),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("call", CALLS)
def test_whatever_a_package_fails_with_is_a_failure_of_the_source(call: str, error: BaseException) -> None:
    with pytest.raises(SourceError, match=f"elsewhere://host: .*package failed: {type(error).__name__}") as raised:
        CALLS[call](limited(raising(error)))
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("call", list(CALLS)[:4])
@pytest.mark.parametrize("answer", [None, 5.5, "x", [], {}, True, 10**30], ids=str)
def test_a_package_that_answers_in_another_shape_is_a_failure_of_the_source(call: str, answer: Any) -> None:
    with pytest.raises(SourceError, match="answers"):
        CALLS[call](limited(lambda: answer))


def test_a_matrix_of_another_length_is_a_failure() -> None:
    wrong = Matrix(np.array([NOW_MS]), (MatrixSeries({}, np.zeros(3)),))
    with pytest.raises(SourceError, match="3 values for 1 times"):
        CALLS["query"](limited(lambda: wrong))


def test_what_a_package_answers_well_is_passed_on() -> None:
    right, samples = Matrix(np.array([NOW_MS]), (MatrixSeries({}, np.ones(1)),)), Samples(())
    assert CALLS["query"](limited(lambda: right)) is right
    assert CALLS["samples"](limited(lambda: samples)) is samples
    assert CALLS["latest_ms"](limited(lambda: np.int64(NOW_MS))) == NOW_MS
    assert limited(lambda: None).name == "elsewhere"


def test_weekly_reports_what_a_package_that_hangs_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    class Point:
        dist = None

        def load(self) -> Any:
            return lambda address, config: Elsewhere(over.wait)

    monkeypatch.setattr(plugins, "installed", lambda group: {"elsewhere": Point()} if group == plugins.SOURCES else {})
    monkeypatch.setenv("SLO_TIMEOUT_OBJECTIVE", "100ms")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(GOOD)
    (tmp_path / "weekly.yaml").write_text(
        "definitions: [shop.yaml]\nsource: elsewhere://host\ndeliver: {folder: kept}\n"
    )
    begun = time.monotonic()
    assert run(["weekly", "weekly.yaml", "--now", "2026-09-21T06:00:00Z"]) == 1
    assert time.monotonic() - begun < 20
    [report] = Path("kept").glob("2026*/report.json")
    assert "SLO_TIMEOUT_OBJECTIVE" in json.loads(report.read_text())["missing"]
    over.set()


def test_a_query_that_runs_forever_is_interrupted(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    (tmp_path / "q.sql").write_text(FOREVER)
    (tmp_path / "shop.yaml").write_text(GOOD)
    (tmp_path / "weekly.yaml").write_text("definitions: [shop.yaml]\nsource: q.sql\ndeliver: {folder: kept}\n")
    begun = time.monotonic()
    for arguments, code in (
        (["status", "shop.yaml", "-s", "q.sql"], 2),
        (["weekly", "weekly.yaml", "--now", "2026-09-21T06:00:00Z"], 1),
    ):
        done = slo(*arguments, cwd=tmp_path, env={"SLO_TIMEOUT_OBJECTIVE": "300ms"})
        assert done.returncode == code, done.stderr
        assert (
            "q.sql: what was asked at once took longer than 300ms in all; let the query read less, or raise SLO_TIMEOUT_OBJECTIVE"
            in done.stderr
        )
    assert time.monotonic() - begun < 30
    [report] = tmp_path.glob("kept/2026*/report.json")
    assert "q.sql" in json.loads(report.read_text())["missing"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SELECT range AS time, 1 AS total, 1 AS good FROM range(200000000)", "more than 100,000 rows"),
        (
            "SELECT range AS time, 1 AS total, 1 AS good FROM range(200000000) ORDER BY random()",
            "emory|space|rows|longer",
        ),
        (
            "SELECT repeat('x', 100000000) AS slo, range AS time, 1 AS total, 1 AS good FROM range(100) ORDER BY slo",
            "emory|space|longer|rows",
        ),
    ],
)
def test_a_query_takes_bounded_memory(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("duckdb")
    monkeypatch.setenv("SLO_TIMEOUT_OBJECTIVE", "1s" if "longer" in said else "2m")
    monkeypatch.setattr("slo.source.sql.MOST_ROWS", 100_000)
    monkeypatch.setattr("slo.source.sql.MEMORY", "200MiB")
    monkeypatch.setattr("slo.source.sql.DISK", "100MiB")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.sql").write_text(text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match=said):
        open_source("q.sql")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20
    assert [path.name for path in tmp_path.iterdir()] == ["q.sql"]  # nothing spilled where it runs


SECRETS = {
    "CREATE SECRET (TYPE s3, KEY_ID 'AKIAXYZ', SECRET 'hunter2' nonsense)": ["AKIAXYZ", "hunter2"],
    "SET s3_secret_access_key='hunter2' nonsense": ["hunter2"],
    "ATTACH 'postgres://user:hunter2@127.0.0.1:1/x' AS p (TYPE nonsense)": ["hunter2"],
    "ATTACH 'host=127.0.0.1 user=u password=hunter2' AS p (TYPE nonsense)": ["hunter2"],
    "ATTACH 'mysql:host=h;passwd=hunter2' AS p (TYPE nonsense)": ["hunter2"],
    "SELECT * FROM read_csv('nowhere://user:hunter2@host/x?token=t0ken')": ["hunter2", "t0ken"],
    "SELECT * FROM 'nowhere/x.csv?X-Amz-Signature=hunter2'": ["hunter2"],
    "SELECT nonsense('a'), 'password=hunter2'": ["hunter2"],
}


@pytest.mark.parametrize("text", SECRETS)
def test_a_query_that_fails_shows_no_secret(text: str, tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    (tmp_path / "q.sql").write_text(f"-- a comment\n{text};\n")
    with pytest.raises(SourceError) as raised:
        open_source(tmp_path / "q.sql")
    assert not [secret for secret in SECRETS[text] if secret in str(raised.value)], str(raised.value)
    assert "q.sql" in str(raised.value)


def test_a_pipe_that_nobody_writes_to_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLO_TIMEOUT_OBJECTIVE", "100ms")
    for name in ("p.csv", "p.parquet", "p.sql"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(OutOfTimeError, match=name):
            open_source(tmp_path / name)


def test_a_csv_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="first line has no end"):
        open_source(tmp_path / "zero.csv")
    rows = "time,total,good\n" + "2026-11-01T10:00:00Z,1,1\n" * 60_000
    (tmp_path / "large.csv").write_text(rows)
    monkeypatch.setenv("SLO_MAX_RESPONSE", "1MiB")
    with pytest.raises(SourceError, match="larger than 1 MiB"):
        open_source(tmp_path / "large.csv")
    monkeypatch.delenv("SLO_MAX_RESPONSE")
    monkeypatch.setattr("slo.source.counted.MOST_ROWS", 10_000)
    with pytest.raises(SourceError, match="more than 10,000 rows"):
        open_source(tmp_path / "large.csv")


def test_a_parquet_file_of_a_few_bytes_with_rows_without_end_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from slo.source import parquet

    column = pa.array(np.zeros(1_000_000, np.int64))
    with pq.ParquetWriter(
        tmp_path / "x.parquet", pa.schema([(name, pa.int64()) for name in ("time", "total", "good")])
    ) as writer:
        for _ in range(11):
            writer.write_table(pa.table({"time": column, "total": column, "good": column}))
    parquet.seal(tmp_path / "x.parquet")
    assert (tmp_path / "x.parquet").stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SourceError, match="more than 10,000,000 rows"):
        open_source(tmp_path / "x.parquet")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


def test_a_table_in_pieces_is_the_same_as_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other columns are not read, and a column of times whose pieces look like numbers and like texts is refused."""
    monkeypatch.setattr("slo.source.counted._AT_ONCE", 10)
    times = pd.date_range("2026-11-01", periods=35, freq="5min", tz="UTC")
    frame = pd.DataFrame(
        {"time": times, "total": np.arange(35), "good": np.arange(35), "slo": "shop/orders", "note": "a,b"}
    )
    frame.to_csv(tmp_path / "e.csv", index=False)
    frame.to_parquet(tmp_path / "e.parquet")
    for name in ("e.csv", "e.parquet"):
        rows: Any = open_source(tmp_path / name)
        assert rows._rows["shop/orders"].total.tolist() == list(range(35))
        assert rows._rows["shop/orders"].begins.tolist() == [int(at.timestamp() * 1000) for at in times]
    mixed = "time,total,good\n" + "1793527800,1,1\n" * 15 + "2026-11-01T10:00:00Z,1,1\n" * 15
    (tmp_path / "mixed.csv").write_text(mixed)
    with pytest.raises(SourceError, match="not a time"):
        open_source(tmp_path / "mixed.csv")


def test_ctrl_c_stops_what_is_at_work() -> None:
    worker, at_work, over = Worker("x", SourceConfig(), "less"), threading.Event(), threading.Event()

    def work() -> None:
        at_work.set()
        over.wait()

    def interrupt() -> None:
        at_work.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    # What a shell starts in the background ignores the signal, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            worker.run(work, over.set)
    finally:
        signal.signal(signal.SIGINT, before)
    assert over.is_set()


def test_a_worker_gives_what_it_is_asked_for() -> None:
    worker = Worker("x", SourceConfig(), "less")
    assert [worker.run(lambda n=n: n) for n in range(3)] == [0, 1, 2]  # type: ignore[misc]
    with pytest.raises(KeyError):
        worker.run(raising(KeyError("a")))
    assert worker.run(lambda: 5) == 5


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("http://host", "http://host"),
        ("host:9090", "http://host:9090"),
        ("warehouse://host/table", "warehouse://host/table"),
        ("r.parquet", "FOLDER/r.parquet"),
        ("odd:9090", "FOLDER/odd:9090"),  # a file of this name
    ],
)
def test_the_job_takes_what_commands_take_as_a_source(text: str, source: str, tmp_path: Path) -> None:
    (tmp_path / "odd:9090").touch()
    (tmp_path / "weekly.yaml").write_text(f"definitions: [shop.yaml]\nsource: '{text}'\ndeliver: {{folder: kept}}\n")
    config = read_config(tmp_path / "weekly.yaml")
    assert config.source == source.replace("FOLDER", str(tmp_path))
    assert config.is_server == source.startswith("http")


def test_one_slow_answer_leaves_the_others_theirs() -> None:
    """What was given up is not done later either."""
    done: list[str] = []
    first, source = threading.Event(), limited(lambda: done.append("asked"), timeout_objective_s=0.4)
    worker = source._worker
    with pytest.raises(OutOfTimeError):
        worker.run(first.wait)
    with pytest.raises(OutOfTimeError):
        source.retention_ms()
    first.set()
    assert source.retention_ms() is None
    assert done == ["asked"]
