"""Disks that are full, folders that are not for us, clocks that jump: a message in words, the right exit code, and all is well after."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slo.errors import ConfigError
from slo.weekly import read_config, run
from tests.crash import copied, finished, is_temporary, tree
from tests.crash.test_kills import moment, report, weekly
from tests.source.hostile import Hostile, Request, reply, success
from tests.source.shapes import numbers
from tests.weekly.test_job import DAY, DEFINITION, MONDAY, WEEK, Reported, configure, go, record

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that has made one report."""
    job = tmp_path_factory.mktemp("disks") / "job"
    job.mkdir()
    (job / "shop.yaml").write_text(DEFINITION)
    record(job, MONDAY - WEEK, MONDAY + WEEK)
    configure(job, ledger="ledger", metrics="slo.prom", formats="[html, markdown, json, csv]")
    assert finished(weekly(job.parent, MONDAY + 1000), job.parent)[0] == 0
    return job


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    copied(made, tmp_path / "job")
    copied(made, tmp_path / "before")
    return tmp_path


def kept(job: Path) -> dict[str, str]:
    return tree(*(job / name for name in ("out", "ledger", "slo.prom")))


# Which file is the first that is too long: none can be written, the ledger, a page of an SLO.
LIMITS = {0: "ledger/steps/week=2026-W39/", 4_000: "ledger/steps/week=2026-W39/", 20_000: "2026-W39/"}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_file_that_cannot_be_written_whole_is_not_there(place: Path, limit: int) -> None:
    job = place / "job"
    before = kept(job)
    assert finished(weekly(place, MONDAY + WEEK + 1000), place)[0] == 0
    undisturbed = kept(job)
    shutil.rmtree(job)
    shutil.copytree(place / "before", job)
    code, said = finished(weekly(place, MONDAY + WEEK + 1000), place, file_bytes=limit)
    assert code == 2
    assert said.splitlines()[-1].endswith(": File too large") and LIMITS[limit] in said, said
    after = kept(job)
    assert not any(map(is_temporary, after))
    assert {name: after[name] for name in before} == before
    assert {name: digest for name, digest in after.items() if name not in before}.items() <= undisturbed.items()
    assert "2026-W39" not in (job / "out" / "state.json").read_text()
    # What had been written already is what an undisturbed run writes; the next run does the rest.
    assert finished(weekly(place, MONDAY + WEEK + 1000), place)[0] == 0
    assert kept(job) == undisturbed


def test_a_report_that_finds_no_room_says_which_file(place: Path) -> None:
    code, said = finished(report(place, MONDAY, "reports"), place, file_bytes=0)
    assert code == 2 and said.startswith(f"error: {place / 'reports'}/") and said.endswith(": File too large\n")
    assert tree(place / "reports") == {}


FULL = """\
set -e
mount -t tmpfs -o size={size}k tmpfs {disk}
cd {disk}
set +e
run() {{ {python} -m slo weekly {config} --now {now}; code=$?; }}
run; echo "$code full"
find . -type f -not -name .lock | sort
mount -o remount,size=16m {disk}
run; echo "$code again"
cp -a {disk}/. {copy}/
mount -o remount,ro {disk}
rm {disk}/nothing 2> /dev/null
{python} -m slo report {definition} -s {recording} --end {now} -o {disk}/out; echo "$? read-only"
"""


def test_a_full_disk(place: Path) -> None:
    """A file system of a few pages, which is enlarged, and then read-only."""
    job, disk, copy = place / "job", place / "disk", place / "copy"
    disk.mkdir()
    copy.mkdir()
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("nothing can be mounted here")
    config = configure(
        job, ledger=str(disk / "ledger"), deliver=f"{{folder: {disk}/out}}", formats="[html, markdown, json, csv]"
    )
    script = FULL.format(
        size=40, disk=disk, copy=copy, python=sys.executable, config=config, now=moment(MONDAY + 1000),
        definition=job / "shop.yaml", recording=job / "r.parquet",
    )  # fmt: skip
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith("./")] == ["2 full", "0 again", "2 read-only"], done
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said == [
        f"error: {disk}/out/2026-W38/index.html: No space left on device",
        f"error: {disk}/out/index.html: Read-only file system",
    ]
    # What was there on the full disk is whole: as it is on the large one.
    assert "./out/2026-W38/report.json" in lines and "./out/state.json" not in lines
    assert not any(map(is_temporary, lines))
    alone = configure(job, ledger="l/ledger", deliver="{folder: l/out}", formats="[html, markdown, json, csv]")
    assert finished(["weekly", str(alone), "--now", moment(MONDAY + 1000)], place)[0] == 0
    assert tree(copy / "ledger") == tree(job / "l" / "ledger")
    assert json.loads((copy / "out" / "2026-W38" / "report.json").read_text()) == json.loads(
        (job / "l" / "out" / "2026-W38" / "report.json").read_text()
    )


@pytest.mark.parametrize("folder", ["out", "out/2026-W39", "ledger/steps", "."])
def test_a_folder_that_is_not_for_us(place: Path, folder: str) -> None:
    """As for the user that a job runs as: root's rights are dropped."""
    job = place / "job"
    (job / "out" / "2026-W39").mkdir()
    (job / "slo.prom").unlink()
    before = kept(job)
    (job / folder).chmod(0o555)
    try:
        code, said = finished(weekly(place, MONDAY + WEEK + 1000), place, helpless=True)
    finally:
        (job / folder).chmod(0o755)
    assert code == 2
    last = said.splitlines()[-1]
    assert last.startswith(f"error: {job}/{'' if folder == '.' else folder + '/'}") and last.endswith(
        ": Permission denied"
    )
    assert ".slo-new" not in said
    after = kept(job)
    assert {
        name: after[name] for name in before if name not in ("out/state.json", "out/index.html")
    }.items() <= after.items()
    assert not any(map(is_temporary, after))
    assert finished(weekly(place, MONDAY + WEEK + 1000), place)[0] == 0


def test_a_report_into_a_folder_that_is_not_for_us(place: Path) -> None:
    (place / "closed").mkdir(mode=0o555)
    for to in ("closed", "closed/inside"):
        code, said = finished(report(place, MONDAY, to), place, helpless=True)
        assert code == 2 and said.startswith(f"error: {place}/closed/") and said.endswith(": Permission denied\n"), said


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_files_that_cannot_be_read_are_named(place: Path) -> None:
    for name in (
        "weekly.yaml",
        "shop.yaml",
        "out/state.json",
        "ledger/steps/week=2026-W38/service=shop/events.parquet",
        "r.parquet",
    ):
        (place / "job" / name).chmod(0)
        code, said = finished(weekly(place, MONDAY + WEEK + 1000), place, helpless=True)
        (place / "job" / name).chmod(0o644)
        assert name in said and code == (1 if name == "r.parquet" else 2), said  # a source that fails is missing data


def at_present(present_ms: int) -> Hostile:
    """A server that has a value for everything, and whose clock says a moment."""
    right = numbers("1")

    def script(request: Request, number: int) -> bytes:
        if {**request.params, **request.form}.get("query") == "time()":
            return success("scalar", [present_ms / 1000, str(present_ms // 1000)])
        answer: bytes = right(request, number)
        return answer

    return Hostile(script)


@pytest.mark.parametrize(
    ("clock_ms", "good"),
    [(MONDAY + 1000, True), (MONDAY - 30 * 365 * DAY, False), (MONDAY + 52 * WEEK, False), (MONDAY + DAY, False), (MONDAY + 1_800_000, True)],
    ids=["right", "1996", "next year", "tomorrow", "half an hour ahead"],
)  # fmt: skip
def test_a_clock_that_cannot_be_right_makes_no_report(tmp_path: Path, clock_ms: int, good: bool) -> None:
    """It would be one without data, of a time to come or long ago; and be kept as done."""
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    with at_present(MONDAY + 2000) as server:
        file = configure(tmp_path, source=server.url, retries="0")
        reported = Reported()
        if good:
            assert run(read_config(file), clock_ms, reported, {}, by_clock=True) == 0
            return
        with pytest.raises(ConfigError, match=r"this machine's clock says .*Z, that of .* 2026-09-21T00:00:02Z"):
            run(read_config(file), clock_ms, reported, {}, by_clock=True)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
        # A moment that somebody chose is one.
        assert run(read_config(file), clock_ms, reported, {}) in (0, 1)


def test_a_period_that_is_not_over_for_the_server_is_not_reported_on(tmp_path: Path) -> None:
    """A clock that is ahead by five minutes at midnight."""
    (tmp_path / "shop.yaml").write_text(DEFINITION)
    with at_present(MONDAY - 290_000) as server, pytest.raises(ConfigError, match="one of them is wrong"):
        run(read_config(configure(tmp_path, source=server.url)), MONDAY + 10_000, Reported(), {}, by_clock=True)


def test_a_clock_that_goes_back_and_on_ends_where_it_would_have(place: Path) -> None:
    """With a recording, whose own end says nothing about today."""
    file = place / "job" / "weekly.yaml"
    assert go(file, MONDAY - 3 * DAY)[0] == 0  # it goes back into a week that nobody has reported on
    assert go(file, MONDAY + DAY)[1].events() == ["finished"]
    code, reported = go(file, MONDAY + WEEK + 1000)
    assert (code, reported.events()) == (0, ["report", "finished"])
    done = kept(place / "job")
    copied(place / "before", place / "job")
    assert go(file, MONDAY + WEEK + 1000)[0] == 0
    for name, digest in kept(place / "job").items():
        assert done[name] == digest or name in ("out/index.html", "out/state.json", "slo.prom")  # which name the third


def test_the_present_is_asked_of_a_server_by_the_shell(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "shop.yaml").write_text(DEFINITION)
    with at_present(MONDAY) as server:  # long ago
        file = configure(tmp_path / "job", source=server.url)
        code, said = finished(["weekly", str(file)], tmp_path)
        assert code == 2 and "clock says" in said and "--now" in said
    with Hostile([reply(503, "")]) as server:  # a server that is down is missing data, as ever
        file = configure(tmp_path / "job", source=server.url, retries="0")
        os.environ["SLO_TIMEOUT"] = "1s"
        try:
            assert run(read_config(file), MONDAY, Reported(), {}, by_clock=True) == 1
        finally:
            del os.environ["SLO_TIMEOUT"]
