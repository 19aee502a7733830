"""A ledger written from a source: what the weekly job keeps, in parts that share the work, and on a cluster that loses a worker."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.errors import ConfigError
from slo.ledger import Ledger
from slo.ledger.job import update
from slo.ledger.store import Folder
from slo.source import open as open_source
from slo.spec.load import load, loads
from slo.spec.model import Specs
from slo.spec.shard import assigned, read_shard, sharded
from slo.weekly import read_config, run
from slo.window import parse_moment
from tests.extras import needs
from tests.shell import run as slo

ROOT = Path(__file__).parent.parent.parent
END = "2026-03-11T12:00:00Z"
SLO = "  - {{name: {name}, objective: 99, sli: {{ratio: {{errors: '{metric}{{code=~\"5..\"}}', total: {metric}}}}}}}\n"
SIZES = {"shop": 3, "pay": 2, "mail": 1, "docs": 1}


def tree(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.parquet")}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four services, and ten days of a recording: over the edge of a week."""
    place = tmp_path_factory.mktemp("fleet")
    (place / "definitions").mkdir()
    for service, size in SIZES.items():
        slos = "".join(SLO.format(name=f"s{number}", metric=f"{service}_{number}_total") for number in range(size))
        (place / "definitions" / f"{service}.yaml").write_text(f"service: {service}\nslos:\n{slos}")
    done = slo(
        "simulate", place / "definitions", "--days", "10", "--seed", "3", "--end", END, "-o", place / "r.parquet"
    )
    assert done.returncode == 0, done.stderr
    return place


def updated(fleet: Path, to: Path, *more: str) -> str:
    done = slo(
        "ledger", "update", fleet / "definitions", "-s", fleet / "r.parquet", "--start", "9d", "--ledger", to, *more
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def whole(fleet: Path) -> dict[str, bytes]:
    updated(fleet, fleet / "whole")
    return tree(fleet / "whole")


def test_an_update_keeps_what_the_weekly_job_does(fleet: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    """The same week, to the event; and an update again changes nothing."""
    (tmp_path / "weekly.yaml").write_text(
        f"definitions: [{fleet}/definitions]\nsource: {fleet}/r.parquet\nledger: ledger\nformats: [json]\ndeliver: {{folder: out}}\n"
    )
    run(read_config(tmp_path / "weekly.yaml"), parse_moment("2026-03-09T00:00:01Z"), lambda *_: None)
    job, own = Ledger(tmp_path / "ledger"), Ledger(fleet / "whole")
    start, end = parse_moment("2026-03-03T00:00:00Z"), parse_moment("2026-03-09T00:00:00Z")
    for name in load(fleet / "definitions"):
        there, here = job.entry(name, start, end), own.entry(name, start, end)
        assert len(here.ends) > 1700 and here.ends.tolist() == there.ends.tolist()
        assert here.errors.tolist() == there.errors.tolist() and here.total.tolist() == there.total.tolist()
    updated(fleet, fleet / "whole")
    assert tree(fleet / "whole") == whole


def test_without_a_start_it_goes_on_where_the_ledger_ends(fleet: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    specs, source = load(fleet / "definitions"), open_source(str(fleet / "r.parquet"))
    end_ms = parse_moment(END)
    for back in (30, 6, 0):
        begin = end_ms - 9 * 86_400_000 if back == 30 else None
        update(list(specs.values()), source, tmp_path, begin, end_ms - back * 3_600_000)
    assert tree(tmp_path) == whole


def test_a_service_is_written_without_a_look_at_all_others(
    fleet: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing them for each service, the cost of very many grew with their square."""

    def listed(*_: object) -> list[str]:
        raise AssertionError("all files of the ledger are listed")

    monkeypatch.setattr(Folder, "paths", listed)
    slos, source, end_ms = (
        list(load(fleet / "definitions").values()),
        open_source(str(fleet / "r.parquet")),
        parse_moment(END),
    )
    update(slos, source, tmp_path, end_ms - 9 * 86_400_000, end_ms - 3_600_000)
    update(slos, source, tmp_path, None, end_ms)
    assert tree(tmp_path) == whole


@pytest.mark.parametrize("count", [2, 3])
def test_parts_together_are_the_whole(fleet: Path, whole: dict[str, bytes], tmp_path: Path, count: int) -> None:
    """In any order, and one of them twice."""
    for number in [*reversed(range(count)), 0]:
        updated(fleet, tmp_path, "--shard", f"{number}/{count}")
    assert tree(tmp_path) == whole


def services(sizes: dict[str, int]) -> Specs:
    texts = [
        f"service: {name}\nslos:\n" + "".join(SLO.format(name=f"s{number}", metric="x_total") for number in range(size))
        for name, size in sizes.items()
    ]
    return Specs([service for text in texts for service in loads(text, "d.yaml", [])], [])


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5), min_size=1), st.integers(1, 6))
def test_each_service_is_in_one_part_and_parts_are_balanced(sizes: dict[str, int], count: int) -> None:
    specs = services(sizes)
    parts = [sharded(specs, number, count) for number in range(count)]
    assert sorted(name for part in parts for name in part) == sorted(specs)
    loads_of = [len(part) for part in parts]
    assert max(loads_of) - min(loads_of) <= max(sizes.values())
    # The order of files is no matter.
    assert assigned(services(dict(reversed(sizes.items()))), count) == assigned(specs, count)


@pytest.mark.parametrize("text", ["", "1", "2/2", "a/b", "0/0", "-1/2", "0/99999"])
def test_what_is_no_part(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--shard .*(is not K/N|numbered from 0)"):
        read_shard(text)


def started(place: Path, *command: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false"}
    with (place / f"{command[0]}.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", *command], cwd=place, env=environment, stdout=log, stderr=log)


def test_work_that_is_spread_has_the_figures_of_one_process(
    fleet: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ledger, report and backtest, each service by itself, as a worker gets it: what goes there and back is pickled."""
    from slo import spread as module
    from slo.cli.main import run as command

    def spread(work: Any, items: Any, scheduler: str, advance: Any, after: Any) -> list[Any]:
        assert scheduler == "tcp://here:1" and len(items) >= 2
        answers = [pickle.loads(pickle.dumps(work(pickle.loads(pickle.dumps(item))))) for item in items]  # noqa: S301
        pickle.loads(pickle.dumps(after))()  # noqa: S301
        return answers

    monkeypatch.setattr(module, "spread", spread)
    common = [str(fleet / "definitions"), "-s", str(fleet / "r.parquet")]
    few = [*(str(fleet / "definitions" / f"{name}.yaml") for name in ("mail", "docs")), *common[1:]]
    more = ["--scheduler", "tcp://here:1"]
    assert command(["ledger", "update", *common, "--start", "9d", "--ledger", str(tmp_path / "ledger"), *more]) == 0
    assert tree(tmp_path / "ledger") == whole
    for name, flags in (("alone", []), ("spread", more)):
        assert command(["report", *few, "--format", "json", "-o", str(tmp_path / name), *flags]) == 0
    alone, spread_out = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("alone", "spread"))
    assert alone.pop("generated") and spread_out.pop("generated") and alone == spread_out
    texts = []
    for flags in ([], more):
        capsys.readouterr()
        assert command(["backtest", *few, "--start", "6h", "--json", *flags]) == 0
        texts.append(json.loads(capsys.readouterr().out))
    assert texts[0].pop("samples") <= texts[1].pop("samples") and texts[0] == texts[1]


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
@needs("distributed")
def test_on_a_cluster_that_loses_a_worker_nothing_is_lost_and_nothing_twice(
    fleet: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    file = tmp_path / "scheduler.json"
    cluster = [started(tmp_path, "distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file))]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not (file.exists() and file.stat().st_size):
            assert cluster[0].poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        worker = ("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--local-directory", str(tmp_path))  # fmt: skip
        cluster += [started(tmp_path, *worker) for _ in range(2)]
        from distributed import Client

        with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            client.wait_for_workers(2, timeout=60)
            from slo.spread import spread

            # The worker that gets the third of eight kills itself, once, in the middle of its work.
            mark = str(tmp_path / "killed")
            from tests.ledger.work import Item, work

            done: list[int] = []
            answers = spread(
                work,
                [Item(number, mark, str(tmp_path / "log")) for number in range(8)],
                address,
                lambda: done.append(1),
            )
            assert answers == [number * number for number in range(8)] and len(done) == 8
            assert Path(mark).exists() and -signal.SIGKILL in [process.poll() for process in cluster[1:]]
            # The command, on the worker that is left: the same files, byte for byte.
            to = tmp_path / "ledger"
            updated(fleet, to, "--scheduler", address)
            assert tree(to) == whole
    finally:
        for process in cluster:
            process.kill()
            process.wait()


def test_a_scheduler_that_is_not_there_is_said(fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slo import spread as module

    monkeypatch.setattr(module, "CONNECT_S", 0.2)
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers there|needs Dask"):
        module.spread(len, [()], "tcp://127.0.0.1:9")
