"""kill -9 at random moments, and two runs at once."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slo.weekly.state import JobState
from tests.crash import KILLS, child, command, copied, finished, is_temporary, tree
from tests.weekly.test_job import DEFINITION, MONDAY, WEEK, configure, record

SEED = int(os.environ.get("SLO_SEED", "0"))


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def weekly(place: Path, now_ms: int) -> list[str]:
    return ["weekly", str(place / "job" / "weekly.yaml"), "--now", moment(now_ms)]


def report(place: Path, end_ms: int, to: str) -> list[str]:
    forms = [text for form in ("html", "markdown", "json", "csv") for text in ("--format", form)]
    return [
        "report", str(place / "job" / "shop.yaml"), "-s", str(place / "job" / "r.parquet"), "--end", moment(end_ms), "-o", str(place / to), *forms,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that has made one report, and two reports on other moments."""
    place = tmp_path_factory.mktemp("kills")
    job = place / "job"
    job.mkdir()
    (job / "shop.yaml").write_text(DEFINITION)
    record(job, MONDAY - 2 * WEEK, MONDAY + 2 * WEEK)
    configure(job, ledger="ledger", metrics="slo.prom", formats="[html, markdown, json, csv]")
    assert finished(weekly(place, MONDAY + 1000), place)[0] == 0
    copied(job, place / "before")
    return place


def killed(arguments: list[str], place: Path, after_s: float) -> bool:
    """Begins a command and kills it after some seconds; whether it was at work then."""
    process = child(command, arguments, str(place / "said"))
    process.join(after_s)
    process.kill()
    process.join()
    (place / "said").unlink(missing_ok=True)
    return bool(process.exitcode == -signal.SIGKILL)


def test_weekly_killed_at_random_moments_ends_where_an_undisturbed_run_does(place: Path) -> None:
    """Two weeks are due. What a killed run leaves is old or new, never half; what comes next does the rest."""
    job = place / "job"
    arguments = weekly(place, MONDAY + 2 * WEEK + 1000)
    begun = time.monotonic()
    assert finished(arguments, place)[0] == 0
    took = time.monotonic() - begun
    folders = [job / name for name in ("out", "ledger", "slo.prom")]
    expected = tree(*folders)
    assert {
        "out/2026-W39/index.html",
        "out/2026-W40/slos/slo-shop-errors.html",
        "ledger/days/week=2026-W40/service=shop/events.parquet",
    } <= set(expected)
    copied(place / "before", job)
    before = tree(*folders)
    rng = random.Random(SEED)
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        assert runs < 20 * KILLS, "commands end before they can be killed"
        kills += killed(arguments, place, rng.uniform(0, took))
        now = tree(*folders)
        state = JobState.read(job / "out" / "state.json").periods
        for name, digest in now.items():
            if not is_temporary(name) and name not in ("out/state.json", "out/index.html"):
                assert digest in (before.get(name), expected.get(name)), name
        assert "</html>" in (job / "out" / "index.html").read_text()
        for name, done in state.items():  # what is said to be done is there
            if done.whole:
                assert {n for n in expected if f"/{name}" in n} <= set(now)
        if rng.random() < 0.5:  # the others are killed again in the same folder
            code, said = finished(arguments, place)
            assert code == 0, said
            assert tree(*folders) == expected
            copied(place / "before", job)
    assert finished(arguments, place)[0] == 0
    assert tree(*folders) == expected
    copied(place / "before", job)


def test_report_killed_at_random_moments_leaves_whole_files(place: Path) -> None:
    old, new = report(place, MONDAY, "reports"), report(place, MONDAY + WEEK, "reports")
    folder = place / "reports"
    assert finished(new, place)[0] == 0
    expected = tree(folder)
    begun = time.monotonic()
    assert finished(old, place)[0] == 0
    took = time.monotonic() - begun
    before = tree(folder)
    assert set(expected) == set(before) and not set(expected.values()) & set(before.values())
    rng = random.Random(SEED)
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        assert runs < 20 * KILLS, "commands end before they can be killed"
        kills += killed(new, place, rng.uniform(0, took))
        for name, digest in tree(folder).items():
            assert is_temporary(name) or digest in (before[name], expected[name]), name
        if rng.random() < 0.5:
            assert finished(new, place)[0] == 0
            assert tree(folder) == expected  # no temporary file either
            assert finished(old, place)[0] == 0
    assert finished(new, place)[0] == 0
    assert tree(folder) == expected


def test_two_runs_at_once_end_where_one_does(place: Path) -> None:
    """One of them makes the reports, the other is refused, or finds all done."""
    job = place / "job"
    copied(place / "before", job)
    folders = [job / name for name in ("out", "ledger")]
    arguments = weekly(place, MONDAY + 2 * WEEK + 1000)
    assert finished(arguments, place)[0] == 0
    expected = tree(*folders)
    for _ in range(1 + KILLS // 10):
        copied(place / "before", job)
        both = [child(command, arguments, str(place / f"said{number}")) for number in range(2)]
        for process in both:
            process.join(60)
        said = [(place / f"said{number}").read_text() for number in range(2)]
        assert sorted(process.exitcode for process in both) in ([0, 2], [0, 0]), said
        for process, text in zip(both, said, strict=True):
            if process.exitcode:
                assert "another run is at work" in text and str(job / "out") in text
        assert sum(text.count('"event": "report"') for text in said) == 2
        assert tree(*folders) == expected
    copied(place / "before", job)


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow; make slow runs it")
def test_two_reports_at_once_are_one_report(place: Path) -> None:
    arguments = report(place, MONDAY, "at_once")
    both = [child(command, arguments, str(place / f"said{number}")) for number in range(2)]
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert finished(report(place, MONDAY, "alone"), place)[0] == 0
    alone = {name.partition("/")[2]: digest for name, digest in tree(place / "alone").items()}
    assert {name.partition("/")[2]: digest for name, digest in tree(place / "at_once").items()} == alone
    assert json.loads((place / "at_once" / "report.json").read_text())["slos"]
