"""Many SLOs, one after the other, into files of two hours each; a run that was stopped goes on where it was.

`promtool tsdb create-blocks-from openmetrics` reads a file once for each two hours that it spans: so each has two.
"""

from __future__ import annotations

import json
import os
import shutil
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

BLOCK_MS = 2 * HOUR
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
        job = _Job(place / _UNDONE, run_key(specs, names, source.name, start_ms, end_ms))
        left = [slo for slo in specs.values() if slo.id not in job.written]
        for _ in range(len(specs) - len(left)):
            done()
        processes = 1 if opened is None else number_of(jobs, len(left))
        work = partial(_computed, start_ms, end_ms, names)
        made: Iterable[_Texts]
        if processes > 1 and opened is not None:
            made = in_processes(opened, work, left, processes)
        else:
            made = (work(source, slo) for slo in left)
        for slo, texts in zip(left, made, strict=True):
            job.add(slo.id, texts)
            done()
        return job.finish(place)


@dataclass(frozen=True, slots=True)
class _Texts:
    """What was made of an SLO: numbers of series and of samples, and the lines of each two hours."""

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


class _Job:
    """Files that grow by an SLO at a time, and a journal of how long they were after each."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.journal = folder, folder / "journal"
        self.written: dict[str, tuple[int, int]] = {}  # how many series and samples each SLO has
        self.sizes: dict[str, int] = {}
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
        """Appends the samples of an SLO to the files of their two hours."""
        sizes: dict[str, int] = {}
        for block, text in made.blocks.items():
            name = moment(block).strftime("%Y-%m-%dT%H.om")
            with (self.folder / name).open("ab") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                sizes[name] = file.tell()
        self.sizes |= sizes
        self.written[slo] = made.series, made.samples
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps([slo, *self.written[slo], sizes]) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

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
