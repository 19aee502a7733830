"""Many SLOs, one after the other, into files of a block each; a run that was stopped goes on where it was.

`promtool tsdb create-blocks-from openmetrics` reads a file once for each block that it spans: so each has one. A start of
promtool and a block cost as much as tens of thousands of samples: so blocks are of 18 h, the longest that a Prometheus
with its default retention makes itself.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from slo.backfill.compute import history_of, run_key
from slo.errors import ConfigError
from slo.files import alone_in, write_text
from slo.jobs import in_processes, number_of
from slo.rules.compile import checked
from slo.rules.names import OWN, Names
from slo.source import Source
from slo.source.openmetrics import lines_by_block
from slo.spec.model import Slo, Specs
from slo.window import HOUR, check_length, moment

BLOCK_MS = 18 * HOUR  # two hours times a power of three, from the epoch on, as a server's own
_LEAST = 4  # SLOs for which processes are started: an SLO's history takes as long as to start one
_NOTED_S = 2.0  # so often what is written is made to last, and noted as done
_UNDONE = ".unfinished"


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What was written: files in the order of time, how many series and samples, and SLOs of which there was nothing."""

    files: tuple[Path, ...]
    series: int
    samples: int
    empty: tuple[str, ...]


def backfill(
    specs: Specs,
    source: Source,
    folder: str | os.PathLike[str],
    start_ms: int,
    end_ms: int,
    names: Names = OWN,
    done: Callable[[], None] = lambda: None,
    jobs: int | None = 1,
    opened: Callable[[], Source] | None = None,
) -> Backfilled:
    """Writes what the rules would have recorded in (start_ms, end_ms] and the source does not hold, as OpenMetrics files.

    Each SLO's samples are in memory by themselves. Until all are written the files lie in a folder of their own, from
    where the same call goes on after a stop. `done` is called after each SLO. Where `opened` opens the source anew, many
    SLOs are computed in `jobs` processes (None: as many as there are cores). Raises SourceError, DefinitionError, ConfigError and OSError.
    """
    checked(specs)
    place = Path(folder)
    if start_ms >= end_ms:
        raise ConfigError("the start is not before the end")
    check_length(start_ms, end_ms)
    with alone_in(place) as alone:
        if not alone:
            raise ConfigError(f"{place}: another backfill is at work here; name another folder")
        if any(place.glob("*.om")):
            raise ConfigError(
                f"{place}: holds .om files of an earlier backfill; load and remove them, or name another folder"
            )
        job = _BackfillJob(place / _UNDONE, run_key(specs, names, source.name, start_ms, end_ms))
        left = [slo for slo in specs.values() if slo.id not in job.written]
        for _ in range(len(specs) - len(left)):
            done()
        processes = 1 if opened is None else number_of(jobs, len(left), _LEAST)
        work = partial(_computed, start_ms, end_ms, names)
        made: Iterable[_Texts]
        if processes > 1 and opened is not None:
            made = in_processes(opened, work, left, processes)
        else:
            made = (work(source, slo) for slo in left)
        try:
            for slo, texts in zip(left, made, strict=True):
                job.add(slo.id, texts)
                done()
        finally:
            job.note()
        return job.finish(place)


@dataclass(frozen=True, slots=True)
class _Texts:
    """What was made of an SLO: numbers of series and of samples, and the lines of each block."""

    series: int
    samples: int
    blocks: Mapping[int, bytes]


def _computed(start_ms: int, end_ms: int, names: Names, source: Source, slo: Slo) -> _Texts:
    """The text of one SLO's history, maybe in another process. Raises SourceError."""
    made = history_of(slo, source, start_ms, end_ms, names)
    pieces: dict[int, list[memoryview]] = {}
    for series in made.series:
        for block, lines in lines_by_block(series, BLOCK_MS):
            pieces.setdefault(block, []).append(lines)
    blocks = {block: b"".join(lines) for block, lines in sorted(pieces.items())}
    return _Texts(len(made.series), sum(len(item.times) for item in made.series), blocks)


class _BackfillJob:
    """Files that grow by an SLO at a time, and a journal of how long they were after each."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.journal = folder, folder / "journal"
        self.written: dict[str, tuple[int, int]] = {}  # how many series and samples each SLO has
        self.sizes: dict[str, int] = {}
        self._lines: list[str] = []  # of the journal, which are not there yet
        self._grown: set[str] = set()  # files that the disk need not hold yet
        self._next = 0.0  # when to note again, seconds
        self._go_on(key)
        if not self.written:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_text(self.journal, json.dumps(key) + "\n")
        for file in folder.glob("*.om"):
            # What came after the journal's last line is of an SLO that was not finished.
            os.truncate(file, self.sizes.get(file.name, 0))

    def _go_on(self, key: str) -> None:
        """Reads the journal of the same run; a line that was cut off ends it."""
        try:
            first, *lines = self.journal.read_text(encoding="utf-8").split("\n")
            if json.loads(first) != key:
                return
            for line in lines[:-1]:
                slo, series, samples, sizes = json.loads(line)
                held = {str(name): int(size) for name, size in sizes.items()}
                self.written[str(slo)] = (int(series), int(samples))
                self.sizes |= held
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return

    def add(self, slo: str, made: _Texts) -> None:
        """Appends the samples of an SLO to the files of their blocks."""
        sizes: dict[str, int] = {}
        for block, text in made.blocks.items():
            name = moment(block).strftime("%Y-%m-%dT%H.om")
            with (self.folder / name).open("ab") as file:
                file.write(text)
                sizes[name] = file.tell()
        self.sizes |= sizes
        self.written[slo] = made.series, made.samples
        self._lines.append(json.dumps([slo, *self.written[slo], sizes]) + "\n")
        self._grown |= sizes.keys()
        if time.monotonic() >= self._next:
            self.note()

    def note(self) -> None:
        """Has the disk hold what is written, and then the journal say so: the disk is waited for once for several SLOs."""
        for name in sorted(self._grown):
            with (self.folder / name).open("rb+") as file:
                os.fsync(file.fileno())
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.writelines(self._lines)
            journal.flush()
            os.fsync(journal.fileno())
        self._lines, self._grown, self._next = [], set(), time.monotonic() + _NOTED_S

    def finish(self, place: Path) -> Backfilled:
        """Ends the files, and moves them to where they were asked for."""
        files = []
        for file in sorted(self.folder.glob("*.om")):
            with file.open("ab") as out:
                out.write(b"# EOF\n")
            files.append(place / file.name)
        for file in files:
            (self.folder / file.name).replace(file)
        shutil.rmtree(self.folder)
        counts = self.written.values()
        return Backfilled(
            tuple(files),
            sum(series for series, _ in counts),
            sum(samples for _, samples in counts),
            tuple(slo for slo, (_, samples) in self.written.items() if not samples),
        )
