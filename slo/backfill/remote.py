"""History sent to a server by Prometheus's remote write, version 1: Prometheus with its receiver, VictoriaMetrics, Mimir.

A request is a stretch of time with all series of an SLO, so that a server has either all of it or nothing. What has been taken is in a
journal: a run that was stopped goes on after it, and the same run again sends nothing.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlunsplit

import numpy as np

from slo.backfill.compute import history_of, run_key
from slo.errors import ConfigError, SourceError, named
from slo.files import alone_in, write_text
from slo.promql.samples import Samples, Series
from slo.rules.compile import checked
from slo.rules.names import OWN, Names
from slo.source import Source
from slo.source.config import SourceConfig, load
from slo.source.failure import LOGIN_FIX, text_of
from slo.source.http import DEFAULT_RETRIES, RetryPolicy, Session, split_url
from slo.spec.model import Specs
from slo.window import HOUR, check_length, format_duration

MOST_SAMPLES = 20_000  # of a request, unless one moment has more
LONGEST_MS = 2 * HOUR  # of a request
JOURNAL = "remote-write.journal"
_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_TOO_OLD = (
    "out of order",
    "out of bounds",
    "too old",
    "err-mimir-sample-timestamp-too-old",
    "err-mimir-sample-out-of-order",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent in this run, and SLOs of which there was nothing to send.

    Attributes:
        series: Series, of all SLOs.
        samples: Samples of these.
        empty: SLOs whose history is there, or of which the source has no samples.
        before: SLOs that an earlier run of the journal has sent.
        damaged: Lines of the journal that cannot be read, from 1: what they say was taken, a request each, may have been sent twice.
    """

    series: int
    samples: int
    empty: tuple[str, ...]
    before: tuple[str, ...]
    damaged: tuple[int, ...] = ()


class Receiver:
    """A server's address for remote writes. Opening it sends nothing. Raises ConfigError where the library is missing."""

    def __init__(self, url: str, config: SourceConfig, retry_policy: RetryPolicy = DEFAULT_RETRIES) -> None:
        try:
            import cramjam
        except ImportError:
            raise ConfigError(
                "--remote-write needs a library; install it with `pip install 'slo[remote-write]'`"
            ) from None
        self._snappy = cramjam.snappy
        address, user, password = split_url(url)
        if user:
            config = replace(config, basic_user=user, basic_password=password)
        self.name = urlunsplit(address)
        self._session = Session(address, self.name, config, retry_policy)

    @classmethod
    def open(cls, url: str, config: str | os.PathLike[str] | None = None) -> Receiver:
        """The receiver at a URL, with the credentials of the environment and of the file at `config`. Raises ConfigError."""
        return cls(url, load(config))

    def send(self, series: Sequence[Series]) -> None:
        """Sends samples, all in one request. Raises SourceError."""
        body = bytes(self._snappy.compress_raw(encoded(series)))
        reply = self._session.exchange("POST", self.name, body, _HEADERS)
        if 200 <= reply.status < 300:
            return
        said = text_of(reply.body, self._session.redact)
        times = np.concatenate([line.times for line in series])
        match reply.status:
            case 401 | 403:
                fix = f"; {LOGIN_FIX}"
            case 404 | 405:
                fix = (
                    "; give the whole address, as http://host:9090/api/v1/write (Mimir: …/api/v1/push), and start a Prometheus with "
                    "--web.enable-remote-write-receiver"
                )
            case _ if any(text in said.lower() for text in _TOO_OLD):
                age = format_duration(int(np.ceil((times.max() - times.min() + 1) / HOUR)) * HOUR)
                fix = (
                    f"; it takes no samples of this age: set storage.tsdb.out_of_order_time_window (Mimir: out_of_order_time_window) to "
                    f"the whole span of the backfill and more, such as 35d, for as long as it runs (the request had {age} of history)"
                )
            case _:
                fix = ""
        raise SourceError(f"{self.name}: it refuses the samples ({reply.status}){said}{fix}")

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


def send(
    specs: Specs,
    source: Source,
    receiver: Receiver,
    folder: str | os.PathLike[str],
    start_ms: int,
    end_ms: int,
    names: Names = OWN,
    done: Callable[[], None] = lambda: None,
) -> Sent:
    """Sends what the rules would have recorded in (start_ms, end_ms] and the source does not hold; the journal is in the folder.

    Each SLO's samples are in memory by themselves. `done` is called after each SLO. Raises SourceError, DefinitionError, ConfigError and
    OSError.
    """
    checked(specs)
    if start_ms >= end_ms:
        raise ConfigError("the start is not before the end")
    check_length(start_ms, end_ms)
    series = samples = 0
    empty: list[str] = []
    before: list[str] = []
    with alone_in(Path(folder)) as alone:
        if not alone:
            raise ConfigError(f"{folder}: another backfill is at work here; name another folder")
        journal = Journal(Path(folder) / JOURNAL, key(specs, source, receiver, names), start_ms, end_ms)
        for slo in specs.values():
            if journal.is_done(slo.id):
                before.append(slo.id)
                done()
                continue
            made = _after(history_of(slo, source, start_ms, end_ms, names), journal.sent_ms(slo.id))
            if not made.series:
                empty.append(slo.id)
            for until_ms, part in slices(made.series):
                with named(slo.id):
                    receiver.send(part)
                journal.add(slo.id, until_ms)
            journal.add(slo.id, None)
            series += len(made.series)
            samples += sum(len(line.times) for line in made.series)
            done()
    return Sent(series, samples, tuple(empty), tuple(before), journal.damaged)


def unfinished(folder: str | os.PathLike[str], about: str) -> tuple[int, int] | None:
    """The start and end of a run that was stopped, or has been, in a folder, where it is about the same; None where there is none."""
    head = _head(Path(folder) / JOURNAL)
    return None if head is None or head[0] != about else (head[1], head[2])


def key(specs: Specs, source: Source, receiver: Receiver, names: Names) -> str:
    """What a run is about: the same rules, source and server."""
    return run_key(specs, names, source.name, receiver.name)


class Journal:
    """Until when the samples of each SLO have been taken: a line for each request, which stands by itself, with its checksum.

    A line that is damaged is left out, and its request sent again. Raises ConfigError where it is not known what the journal is about.
    """

    def __init__(self, place: Path, about: str, start_ms: int, end_ms: int) -> None:
        self._place = place
        self._sent: dict[str, int | None] = {}
        damaged: list[int] = []
        head = _head(place)
        if head == (about, start_ms, end_ms):
            _, *lines, cut = place.read_bytes().split(b"\n")
            for number, line in enumerate(lines, 2):
                try:
                    name, until_ms = _entry(line)
                except ValueError:
                    damaged.append(number)
                    continue
                former = self._sent.get(name, 0)
                self._sent[name] = None if until_ms is None or former is None else max(until_ms, former)
            if cut:  # its run was stopped in the middle of it
                with place.open("ab") as file:
                    file.truncate(file.tell() - len(cut))
        elif head is None and place.exists():
            raise ConfigError(
                f"{place}: its first line is damaged, so that it is not known what has been sent; remove it to send all of it again"
            )
        else:
            write_text(place, json.dumps([about, start_ms, end_ms, _checksum(about, start_ms, end_ms)]) + "\n")
        self.damaged = tuple(damaged)

    def is_done(self, slo: str) -> bool:
        return slo in self._sent and self._sent[slo] is None

    def sent_ms(self, slo: str) -> int:
        """Until when its samples have been taken, milliseconds UTC."""
        return self._sent.get(slo) or 0

    def add(self, slo: str, until_ms: int | None) -> None:
        """Notes what has been taken; None is all of it. Raises OSError."""
        self._sent[slo] = until_ms
        with self._place.open("a", encoding="utf-8") as file:
            file.write(json.dumps([slo, until_ms, _checksum(slo, until_ms)]) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _entry(line: bytes) -> tuple[str, int | None]:
    """The SLO of a journal's line, and until when its samples have been taken. Raises ValueError where it is damaged."""
    entry = json.loads(line)
    match entry:
        case [str(name), int() | None as until_ms, int(check)] if check == _checksum(name, until_ms):
            return name, until_ms
    raise ValueError("damaged")


def _checksum(*about: str | int | None) -> int:
    return zlib.crc32(json.dumps(about).encode())


def _head(place: Path) -> tuple[str, int, int] | None:
    try:
        with place.open("rb") as file:
            line = file.readline(1 << 16)
        if not line.endswith(b"\n"):
            return None
        match json.loads(line):
            case [str(about), int(start_ms), int(end_ms), int(check)] if check == _checksum(about, start_ms, end_ms):
                return about, start_ms, end_ms
    except (OSError, ValueError, RecursionError):
        pass
    return None


def _after(samples: Samples, sent_ms: int) -> Samples:
    kept = [(line, line.times > sent_ms) for line in samples.series]
    return Samples([Series(line.labels, line.times[late], line.values[late]) for line, late in kept if late.any()])


def slices(series: Sequence[Series]) -> Iterator[tuple[int, list[Series]]]:
    """Stretches of time with all series in each: at most LONGEST_MS, and MOST_SAMPLES where several moments have more; the end of
    each, and its samples."""
    if not series:
        return
    moments, counts = np.unique(np.concatenate([line.times for line in series]), return_counts=True)
    low = 0
    while low < len(moments):
        many = np.cumsum(counts[low:])
        high = low + max(1, int(np.searchsorted(many, MOST_SAMPLES, side="right")))
        high = min(high, int(np.searchsorted(moments, moments[low] + LONGEST_MS)))
        first, last = int(moments[low]), int(moments[high - 1])
        part = []
        for line in series:
            begin, end = np.searchsorted(line.times, [first, last + 1])
            if begin < end:
                part.append(Series(line.labels, line.times[begin:end], line.values[begin:end]))
        yield last, part
        low = high


def encoded(series: Sequence[Series]) -> bytes:
    """A `WriteRequest` of prometheus.proto: series with labels sorted by name, and samples in the order of time."""
    return b"".join(_field(1, _series(line)) for line in series)


def _series(line: Series) -> bytes:
    labels = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(line.labels.items())
        if value
    )
    return labels + _samples(line)


def _samples(line: Series) -> bytes:
    """Samples as bytes, all at once: a length, a double (field 1), and the time as a varint (field 2)."""
    times = line.times.astype(np.int64)
    # A time of our days, 1971 to 2109, has six groups of seven bits.
    if len(times) and (times.min() < 1 << 35 or times.max() >= 1 << 42):
        raise ConfigError("samples before 1971 or after 2109 cannot be sent")
    rows = np.empty((len(times), 18), np.uint8)
    rows[:, :3] = (2 << 3 | 2, 16, 1 << 3 | 1)
    rows[:, 3:11] = line.values.astype("<f8").view(np.uint8).reshape(-1, 8)
    rows[:, 11] = 2 << 3
    groups = (times[:, None] >> np.arange(0, 42, 7)) & 0x7F
    groups[:, :5] |= 0x80
    rows[:, 12:] = groups
    return rows.tobytes()


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)
