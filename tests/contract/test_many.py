"""The run over many drawn histories finds each fault, goes on after it, splits and resumes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract import many
from tests.contract.histories import History
from tests.contract.many import PATHS, Block, Fault, Progress, blocks, faults_of, main, run


def _seed(history: History) -> int:
    return int(history.name.removeprefix("draw(").removesuffix(")"))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Paths that are wrong on odd seeds, and fail on 4; the seeds that they were asked about."""
    asked: list[int] = []

    def wrong(history: History) -> str | None:
        asked.append(_seed(history))
        if _seed(history) == 4:
            raise ValueError("no such thing")
        return "off by one" if _seed(history) % 2 else None

    for path in PATHS:
        monkeypatch.setitem(PATHS, path, wrong)
    monkeypatch.setattr(many, "BLOCK", 2)
    return asked


def test_parts_draw_each_seed_once() -> None:
    whole = blocks(7, 1_801, ["samples"])
    parts = [blocks(7, 1_801, ["samples"], (number, 3)) for number in (1, 2, 3)]
    assert sorted(block for part in parts for block in part) == whole
    seeds = [seed for block in whole for seed in range(block.seed, block.seed + block.histories)]
    assert seeds == list(range(7, 7 + 1_801))


@pytest.mark.usefixtures("broken")
def test_a_run_goes_on_after_a_fault_and_lists_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "1", "--histories", "5", "--paths", "rules", "--jobs", "1", "--state", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "seed 1, part 1/1: 5 histories by rules: 4 faults" in said
    assert said.splitlines()[-1] == "Seeds: 1 3 4 5"
    assert "ValueError: no such thing" in said


def test_a_run_without_faults_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--histories", "2", "--seed", "3", "--jobs", "1", "--state", str(tmp_path)]) == 0
    assert "seed 3, part 1/1: 2 histories by samples, engine, rules: 0 faults" in capsys.readouterr().out


def test_what_was_finished_is_not_done_again(tmp_path: Path, broken: list[int]) -> None:
    wanted, path = blocks(1, 4, ["samples"]), tmp_path / "state.jsonl"
    first = run(wanted[:1], Progress(path, "a"), 1, lambda line: None)
    assert [one.seed for one in first] == [1]
    path.write_text(path.read_text() + '{"seed": 3, "histo')  # stopped while it wrote
    broken.clear()
    assert [one.seed for one in run(wanted, Progress(path, "a"), 1, lambda line: None)] == [1, 3, 4]
    assert broken == [3, 4]
    assert Progress(path, "a").finished.keys() == set(wanted)


def test_other_sources_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"
    Progress(path, "a").add(Block(0, 2, ("rules",)), [Fault(1, "rules", "<a history>", "off by one")])
    assert Progress(path, "a").finished == {Block(0, 2, ("rules",)): [Fault(1, "rules", "<a history>", "off by one")]}
    assert Progress(path, "b").finished == {}


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b"])
def test_a_part_that_is_none_is_refused(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--part", part])
    assert f"'{part}' is not a part such as 1/4" in capsys.readouterr().err


def test_a_known_history_is_right_by_each_path() -> None:
    assert faults_of(0) == []
