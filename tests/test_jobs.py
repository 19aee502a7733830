"""Work in several processes gives what one gives, in the same order, and ends as one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from slo.backfill import backfill
from slo.backtest import run
from slo.backtest.export import as_data
from slo.errors import ConfigError, SourceError
from slo.jobs import chunks, in_processes, number_of
from slo.review import review
from slo.source import Source
from slo.source import open as open_source
from slo.source.recording import Header, write
from slo.window import DAY, HOUR
from tests.budget.test_recorded import END, SPECS, raw
from tests.work import doubled, made

SLOW = pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")


def test_results_come_in_order_from_other_processes() -> None:
    results = list(in_processes(made, doubled, list(range(6)), 2))
    assert [result for _, result in results] == [0, 2, 4, 6, 8, 10]
    assert f"made in {os.getpid()}" not in {state for state, _ in results}
    assert len({state for state, _ in results}) <= 2


def test_the_first_failure_ends_it() -> None:
    results = []
    with pytest.raises(SourceError, match="seven is not there"):
        for result in in_processes(made, doubled, list(range(5, 1000)), 2):
            results.append(result[1])
    assert results == [10, 12]


@SLOW
def test_ctrl_c_ends_the_processes_too(tmp_path: Path) -> None:
    # What a shell starts in the background ignores the signal, and so would its processes.
    code = (
        "import signal\nfrom tests.work import made, slow\nfrom slo.jobs import in_processes\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('begun', flush=True)\nlist(in_processes(made, slow, [1, 2, 3, 4], 2))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parent.parent
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    # The pipes close when the last process has ended.
    _, said = process.communicate(timeout=30)
    assert said.decode().count("Traceback") == 1
    assert "KeyboardInterrupt" in said.decode()


def test_all_cores_are_used_where_there_is_enough_to_do() -> None:
    cores = len(os.sched_getaffinity(0))
    assert number_of(None, 1000) == cores
    assert (number_of(3, 1000), number_of(3, 49), number_of(None, 0)) == (3, 1, 1)
    with pytest.raises(ConfigError, match="0 jobs cannot do anything"):
        number_of(0, 1000)
    assert [len(part) for part in chunks(range(1000), 2)] == [16] * 62 + [8]
    assert [len(part) for part in chunks(range(10), 4)] == [1] * 10
    assert chunks([], 2) == []


@SLOW
def test_a_review_is_the_same_in_any_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.parquet"
    write(path, raw(), Header(END - DAY, END, "simulated"))
    monkeypatch.setattr("slo.jobs.LEAST", 2)
    opened = partial(open_source, path)
    one = review(SPECS, opened(), since="6h")
    two = review(SPECS, opened(), since="6h", jobs=2, opened=opened)
    assert [budget.slo.id for budget in two] == [budget.slo.id for budget in one]
    assert [budget.to_dict() for budget in two] == [budget.to_dict() for budget in one]


@SLOW
def test_a_failure_in_another_process_is_the_same_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.parquet"
    write(path, raw(), Header(END - DAY, END, "simulated"))
    monkeypatch.setattr("slo.jobs.LEAST", 2)
    source = open_source(path)
    with pytest.raises(SourceError, match="nothing listens there"):
        review(SPECS, source, jobs=2, opened=failing)


@SLOW
def test_a_backtest_is_the_same_in_any_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a second policy, whose rules are partly the first one's, and as much progress."""
    path = tmp_path / "raw.parquet"
    write(path, raw(), Header(END - DAY, END, "simulated"))
    monkeypatch.setattr("slo.jobs.LEAST", 2)
    opened = partial(open_source, path)
    policy = {"policy": "calm", "slos": ["shop/ratio"], "objective": "95%"}
    results, done = [], []
    for jobs in (1, 2):
        steps: list[None] = []
        made = run(
            SPECS, opened(), policies=[policy], start=END - 6 * HOUR, jobs=jobs, opened=opened,
            done=lambda steps=steps: steps.append(None),  # type: ignore[misc]
        )  # fmt: skip
        results.append((as_data(made), made.notes, [played.others for played in made.policies]))
        done.append(len(steps))
    assert results[0] == results[1]
    assert done[0] == done[1] > 2 * len(SPECS)


def failing() -> Source:
    raise SourceError("nothing listens there")


@SLOW
def test_history_is_the_same_in_any_number_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "raw.parquet"
    write(path, raw(), Header(END - DAY, END, "simulated"))
    monkeypatch.setattr("slo.jobs.LEAST", 2)
    opened = partial(open_source, path)
    backfill(SPECS, opened(), tmp_path / "one", END - 3 * HOUR, END)
    backfill(SPECS, opened(), tmp_path / "two", END - 3 * HOUR, END, jobs=2, opened=opened)
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1] != {}
