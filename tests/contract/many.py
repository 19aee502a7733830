"""The contract of counting on as many drawn histories as there is time for, by every path, on all cores:

    python -m tests.contract.many --histories 100000 --seed 7 --jobs 2
    python -m tests.contract.many --histories 100000 --seed 7 --part 1/4      # of four machines the first
    python -m tests.contract.many --seed 910275 --histories 1                 # one history again
    python -m tests.contract.many --visits                                    # one target of each is scraped now and then

It goes on after a fault and lists all of them at the end, each with the seed that draws its history. What is finished is
kept in build/contract, so a run that was stopped goes on where it was, unless the sources have changed since.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from slo.sli import stepwise
from tests.contract.histories import History, draw
from tests.contract.paths import count_by_engine, count_by_rules, count_by_samples
from tests.contract.verdicts import fault, fault_by_rules, fault_on_a_server, undecided

ROOT = Path(__file__).parent.parent.parent
STATE = ROOT / "build" / "contract"
BLOCK = 250  # histories of one piece of work


class Fault(NamedTuple):
    """What a path said of `draw(seed)` that is wrong."""

    seed: int
    path: str
    history: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.history}: {self.what}"


@contextlib.contextmanager
def steps_only() -> Iterator[None]:
    """Meanwhile a server is never asked for raw samples."""
    before, stepwise.MOST_RAW_SAMPLES = stepwise.MOST_RAW_SAMPLES, -1
    try:
        yield
    finally:
        stepwise.MOST_RAW_SAMPLES = before


def by_samples(history: History) -> str | None:
    """What evaluation on samples gets wrong."""
    came = count_by_samples(history)
    # A raw expression is PromQL wherever it is evaluated.
    found = fault_on_a_server(history, came) if history.kind.startswith("raw") else fault(history, came)
    return None if found is None or undecided(history, came) else found


def by_engine(history: History) -> str | None:
    """What a server that adds up step by step gets wrong."""
    with steps_only():
        return fault_on_a_server(history, count_by_engine(history))


def by_rules(history: History) -> str | None:
    """What the recorded tiles get wrong."""
    return fault_by_rules(history, count_by_rules(history))


PATHS: dict[str, Callable[[History], str | None]] = {"samples": by_samples, "engine": by_engine, "rules": by_rules}


def faults_of(seed: int, paths: Sequence[str] = tuple(PATHS), *, visits: bool = False) -> list[Fault]:
    """All that is wrong with what these paths say of the history that a seed draws; what they raise is a fault too."""
    history = draw(seed, visits=visits)
    found = []
    for path in paths:
        try:
            what = PATHS[path](history)
        except Exception as problem:  # noqa: BLE001 - whatever it is, the other histories are to be tried
            what = f"{type(problem).__name__}: {problem}"
        if what is not None:
            found.append(Fault(seed, path, repr(history), what))
    return found


class Block(NamedTuple):
    """So many histories from a seed on, by some paths."""

    seed: int
    histories: int
    paths: tuple[str, ...]
    visits: bool = False

    def faults(self) -> list[Fault]:
        seeds = range(self.seed, self.seed + self.histories)
        return [one for seed in seeds for one in faults_of(seed, self.paths, visits=self.visits)]


def blocks(
    seed: int, histories: int, paths: Sequence[str], part: tuple[int, int] = (1, 1), *, visits: bool = False
) -> list[Block]:
    """What part k of n has to do; all parts together draw each seed once."""
    first, step = part[0] - 1, part[1]
    starts = range(seed, seed + histories, BLOCK)[first::step]
    return [Block(start, min(BLOCK, seed + histories - start), tuple(paths), visits) for start in starts]


def sources_hash() -> str:
    """Of what decides a verdict: a run that was stopped goes on only where this is the same."""
    found = hashlib.sha256()
    for path in sorted([*(ROOT / "slo").rglob("*.py"), *(ROOT / "tests" / "contract").rglob("*.py")]):
        found.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


class Progress:
    """The finished blocks of a run: a line of JSON each, in a file that the first line says the sources of."""

    def __init__(self, path: Path, sources: str) -> None:
        self.path = path
        self.finished: dict[Block, list[Fault]] = {}
        first = json.dumps({"sources": sources})
        held = path.read_text().splitlines() if path.exists() else []
        if held[:1] != [first]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(first + "\n")
            return
        for line in held[1:]:
            with contextlib.suppress(json.JSONDecodeError):  # a line that was being written when the run was stopped
                one = json.loads(line)
                block = Block(one["seed"], one["histories"], tuple(one["paths"]), one["visits"])
                self.finished[block] = [Fault(*fault) for fault in one["faults"]]

    def add(self, block: Block, faults: list[Fault]) -> None:
        self.finished[block] = faults
        with self.path.open("a") as file:
            # A line of its own even after one that was cut off.
            file.write("\n" + json.dumps({**block._asdict(), "faults": faults}) + "\n")


def _work(block: Block) -> tuple[Block, list[Fault]]:
    return block, block.faults()


def run(wanted: Sequence[Block], progress: Progress, jobs: int, say: Callable[[str], None] = print) -> list[Fault]:
    """All faults of some blocks, those of a run before among them; a line for each fault as it is found."""
    began = time.monotonic()
    known = [block for block in wanted if block in progress.finished]
    if known:
        say(f"{sum(block.histories for block in known):,} histories are finished already ({progress.path})")
    for block in known:
        for one in progress.finished[block]:
            say(str(one))
    left = [block for block in wanted if block not in progress.finished]
    done = 0
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(jobs)) if jobs > 1 and left else None
        came = pool.imap_unordered(_work, left) if pool else map(_work, left)
        for number, (block, faults) in enumerate(came, 1):
            progress.add(block, faults)
            done += block.histories
            for one in faults:
                say(str(one))
            if number % 20 == 0:
                say(f"… {done:,} histories in {time.monotonic() - began:.0f} s")
    return sorted(one for block in wanted for one in progress.finished[block])


def _part(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part such as 1/4")
    return int(number), int(of)


def _paths(text: str) -> tuple[str, ...]:
    found = tuple(text.split(","))
    if not set(found) <= PATHS.keys():
        raise argparse.ArgumentTypeError(f"{text!r} has other paths than {', '.join(PATHS)}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if all is well, 1 if anything is not."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.contract.many", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--histories", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0, help="the first of as many seeds")
    parser.add_argument("--part", type=_part, default=(1, 1), help="K/N: of N parts the K-th")
    parser.add_argument("--paths", type=_paths, default=tuple(PATHS), help=f"some of {','.join(PATHS)}")
    parser.add_argument("--visits", action="store_true", help="with a target that is scraped for minutes now and then")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--state", type=Path, default=STATE, help="the folder for what is finished")
    asked = parser.parse_args(arguments)
    part, of = asked.part
    wanted = blocks(asked.seed, asked.histories, asked.paths, asked.part, visits=asked.visits)
    words = [*asked.paths, *["visits"] * asked.visits]
    name = f"{asked.seed}-{asked.histories}-{'-'.join(words)}-{part}-of-{of}.jsonl"
    found = run(wanted, Progress(asked.state / name, sources_hash()), asked.jobs, lambda line: print(line, flush=True))
    drawn = sum(block.histories for block in wanted)
    print(f"seed {asked.seed}, part {part}/{of}: {drawn:,} histories by {', '.join(asked.paths)}: {len(found)} faults")
    if found:
        print("All of them:", *found, sep="\n")
        print("Seeds:", *sorted({one.seed for one in found}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
