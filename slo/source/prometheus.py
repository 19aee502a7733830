"""Anything with Prometheus's query API as a source: Prometheus, Thanos, Mimir, VictoriaMetrics.

Answers are exact: raw samples come by instant queries of range vectors, cut into spans that meet without a sample lost
or counted twice, whether the server's ranges are closed on the left (before 3.0) or open. Stale markers are not in
the answers of this API; where a series ended, there is only the gap.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from slo.errors import SourceError
from slo.promql.ast import Aggregate, Call, MatrixSelector, Node, VectorSelector
from slo.promql.samples import Samples
from slo.redact import hide_userinfo
from slo.source import retention
from slo.source.answer import Labels, ServerAnswer, ShapeError, series_of
from slo.source.base import Matrix, MatrixSeries
from slo.source.config import SourceConfig, load
from slo.source.failure import TooManySamplesError
from slo.source.http import DEFAULT_RETRIES, Api, RetryPolicy
from slo.window import EARLIEST_MS, LATEST_MS

MOST_STEPS = 11_000  # per range query; a server refuses more
SPAN_SAMPLES = 500_000  # per answer of raw samples: about 15 MB of JSON, 100 MB while it is read
# Of one selector: 16 bytes each, twice while they are put together.
MOST_SAMPLES = 200_000_000
DAY_MS = 86_400_000
AT_ONCE = 4
PAGE_BYTES, PAGE_S = 256 << 20, 60.0  # all rules of a large server

In = TypeVar("In")
Out = TypeVar("Out")
Part = tuple[Labels, NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class SampleSpan:
    """Raw samples of one selector with after_ms < time <= end_ms."""

    selector: VectorSelector
    after_ms: int
    end_ms: int

    def query(self) -> str:
        return str(MatrixSelector(self.selector, self.end_ms - self.after_ms))

    def halves(self) -> tuple[SampleSpan, SampleSpan]:
        middle = (self.after_ms + self.end_ms) // 2
        return replace(self, end_ms=middle), replace(self, after_ms=middle)


class PrometheusSource:
    """A server with Prometheus's query API. Thread-safe. Opening it sends nothing."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._notes: dict[str, None] = {}
        self._retention: tuple[int | None] | None = None
        self._asking = threading.Lock()

    @classmethod
    def open(
        cls,
        url: str,
        *,
        config: str | os.PathLike[str] | SourceConfig | None = None,
        retry_policy: RetryPolicy = DEFAULT_RETRIES,
    ) -> PrometheusSource:
        """The server at a URL, which may hold user and password. Settings come from the environment and, under it, the
        YAML file at `config` (none: that of SLO_CONFIG), or are given. Raises ConfigError."""

        def settings(user: str, password: str) -> SourceConfig:
            if isinstance(config, SourceConfig):
                return replace(config, basic_user=user, basic_password=password) if user else config
            return load(None if config is None else os.fspath(config), user=user, password=password)

        return cls(Api(url, settings, retry_policy))

    @property
    def name(self) -> str:
        """The URL, without user and password."""
        return self._api.name

    @property
    def local(self) -> bool:
        """False: many raw samples are better added up by the server."""
        return False

    def latest_ms(self) -> int:
        """The server's present, by its own clock, in whole seconds. Raises SourceError."""
        values = [values for _, _, values in self._series(self._api.query("time()", None))]
        now_s = float(values[0][0]) if len(values) == 1 and len(values[0]) == 1 else float("nan")
        # Also false for NaN.
        if EARLIEST_MS <= now_s * 1000 <= LATEST_MS:
            return int(now_s) * 1000
        said = f"{now_s:g}" if values else "nothing"
        raise SourceError(
            f"{self.name}: it answers {said} where its present is asked for (time()); give a moment with --end"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """All that the server has said alongside its answers so far, each once; see also `Matrix.notes`."""
        return tuple(self._notes)

    def retention_ms(self) -> int | None:
        """How long the server keeps its samples, milliseconds; None where it does not say, as only a Prometheus does.

        It is asked once. Never raises: a page that is not there is not a failure of the source.
        """
        with self._asking:
            if self._retention is None:
                length_ms = None
                for path, read in ((retention.RUNTIME, retention.of_runtime), (retention.FLAGS, retention.of_flags)):
                    body = self._api.page(path)
                    length_ms = None if body is None else read(body)
                    if body is None or length_ms is not None:  # a server that does not answer is not waited for twice
                        break
                self._retention = (length_ms,)
            return self._retention[0]

    def page(self, path: str) -> bytes | None:
        """A page of the server alongside its queries, such as `/api/v1/rules`; None or empty where there is none. Never raises."""
        return self._api.page(path, most_bytes=PAGE_BYTES, most_s=PAGE_S)

    def close(self) -> None:
        """Closes the connections."""
        self._api.close()

    def __repr__(self) -> str:
        return f"PrometheusSource({self.name!r})"

    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples:
        """The raw samples with start_ms <= time <= end_ms of all series that any of the selectors matches.

        Offsets and @ are ignored. There are no stale markers in it. Raises SourceError.
        """
        _check_period(start_ms, end_ms)
        bare = _widest(dict.fromkeys(replace(selector, offset_ms=0, at=None) for selector in selectors))
        planned = self._each(lambda selector: self._plan(selector, start_ms - 1, end_ms), bare)
        return self._fetched([span for plan in planned for span in plan])

    def few_samples(self, selector: VectorSelector, start_ms: int, end_ms: int) -> Samples:
        """The same of one selector, of which the asker knows that there are not many: they are not counted first. Raises SourceError."""
        _check_period(start_ms, end_ms)
        return self._fetched([SampleSpan(replace(selector, offset_ms=0, at=None), start_ms - 1, end_ms)])

    def _fetched(self, spans: Sequence[SampleSpan]) -> Samples:
        by_labels: dict[Labels, tuple[VectorSelector, list[Part]]] = {}
        for span, parts in zip(spans, self._each(self._fetch, spans), strict=True):
            for part in parts:
                # A series that two selectors match is whole in the answers to either.
                owner, pieces = by_labels.setdefault(part[0], (span.selector, []))
                if owner == span.selector:
                    pieces.append(part)
        return Samples.from_series(
            (dict(labels), np.concatenate([part[1] for part in pieces]), np.concatenate([part[2] for part in pieces]))
            for labels, (_, pieces) in sorted(by_labels.items())
        )

    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> Matrix:
        """The expression at start_ms, start_ms + step_ms, … up to end_ms; NaN where it has no value (and where its
        value is NaN). Raises SourceError."""
        _check_period(start_ms, end_ms)
        if step_ms <= 0:
            raise SourceError(f"a step of {step_ms} ms cannot be asked for; it must be 1 ms or more")
        times = np.arange(start_ms, end_ms + 1, step_ms, dtype=np.int64)
        query = str(expr)
        bounds = np.linspace(0, len(times), -(-len(times) // MOST_STEPS) + 1).astype(int).tolist()
        pieces = [(times[low], times[high - 1]) for low, high in pairwise(bounds)]

        def fetch(piece: tuple[np.int64, np.int64]) -> list[ServerAnswer]:
            return self._range(query, int(piece[0]), int(piece[1]), step_ms)

        answers = [answer for piece in self._each(fetch, pieces) for answer in piece]
        return self._matrix(times, step_ms, answers)

    def query(self, expr: Node, at_ms: int) -> Matrix:
        """The expression at one time. Raises SourceError."""
        answer = self._api.query(str(expr), at_ms)
        if answer.result_type == "matrix":
            raise SourceError(f"{self.name}: {expr} is a range vector, which has no value at one time")
        return self._matrix(np.array([at_ms], dtype=np.int64), 1, [answer])

    def _matrix(self, times: NDArray[np.int64], step_ms: int, answers: Iterable[ServerAnswer]) -> Matrix:
        rows: dict[Labels, NDArray[np.float64]] = {}
        notes: dict[str, None] = {}
        for answer in answers:
            notes |= self._said(answer)
            for labels, stamps, values in self._series(answer):
                steps, rest = np.divmod(stamps - times[0], step_ms)
                if rest.any() or (len(steps) and (steps.min() < 0 or steps.max() >= len(times))):
                    raise SourceError(f"{self.name}: it answered with other times than it was asked for")
                row = rows.get(labels)
                if row is None:
                    row = rows[labels] = np.full(len(times), np.nan)
                row[steps] = values
        self._notes |= notes
        return Matrix(times, tuple(MatrixSeries(dict(labels), rows[labels]) for labels in sorted(rows)), tuple(notes))

    def _range(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> list[ServerAnswer]:
        """One piece of a range query, in smaller ones where the server finds it too large."""
        try:
            return [self._api.query_range(query, start_ms, end_ms, step_ms)]
        except TooManySamplesError:
            steps = (end_ms - start_ms) // step_ms + 1
            if steps == 1:
                raise
            middle = start_ms + (steps // 2) * step_ms
            return self._range(query, start_ms, middle - step_ms, step_ms) + self._range(query, middle, end_ms, step_ms)

    def _plan(self, selector: VectorSelector, after_ms: int, end_ms: int) -> list[SampleSpan]:
        """Spans of at most about SPAN_SAMPLES samples that cover after_ms < time <= end_ms, by a count per day."""
        days = -(-(end_ms - after_ms) // DAY_MS)
        first_ms = end_ms - (days - 1) * DAY_MS
        range_ms = min(DAY_MS, end_ms - after_ms)
        count = Aggregate("sum", Call("count_over_time", (MatrixSelector(selector, range_ms),)))
        try:
            counted = self.query_range(count, first_ms, end_ms, DAY_MS)
        except TooManySamplesError:
            counts = np.full(days, float(SPAN_SAMPLES))
        except SourceError as error:
            # Metrics that differ by name only, which count_over_time drops.
            if "same labelset" not in str(error):
                raise
            counts = np.full(days, float(SPAN_SAMPLES))
        else:
            if len(counted.series) > 1:
                raise SourceError(f"{self.name}: it answers a sum with {len(counted.series)} series")
            counts = np.nan_to_num(counted.series[0].values, posinf=np.inf) if counted.series else np.zeros(days)
            if (counts < 0).any():
                raise SourceError(f"{self.name}: it counts {counts.min():g} samples of {selector} in a day")
            with np.errstate(over="ignore"):
                many = float(counts.sum())
            if many > MOST_SAMPLES:
                raise SourceError(
                    f"{self.name}: {selector} has {many:.3g} samples, more than the {MOST_SAMPLES:,} that are read "
                    "at once; narrow the matchers or the time range"
                )
        return list(_spans(selector, after_ms, first_ms, counts))

    def _fetch(self, span: SampleSpan) -> list[Part]:
        try:
            answer = self._api.query(span.query(), span.end_ms)
        except TooManySamplesError:
            if span.end_ms - span.after_ms == 1:
                raise
            return [part for half in span.halves() for part in self._fetch(half)]
        self._notes |= self._said(answer)
        if answer.result_type != "matrix":
            raise SourceError(f"{self.name}: it answered raw samples with a {answer.result_type}")
        return [part for part in self._cut(span, answer) if len(part[1])]

    def _cut(self, span: SampleSpan, answer: ServerAnswer) -> Iterator[Part]:
        """The series of an answer without what is the span before's: ranges were closed on the left before 3.0."""
        for labels, times, values in self._series(answer):
            if (np.diff(times) <= 0).any():  # replicas that the server has not merged
                times, first = np.unique(times, return_index=True)
                values = values[first]
            low, high = np.searchsorted(times, (span.after_ms, span.end_ms), side="right")
            yield labels, times[low:high], values[low:high]

    def _said(self, answer: ServerAnswer) -> dict[str, None]:
        """What the server says alongside an answer, which may quote what it was sent."""
        return dict.fromkeys(hide_userinfo(self._api.redact(note)) for note in answer.notes)

    def _series(self, answer: ServerAnswer) -> Iterator[Part]:
        try:
            yield from series_of(answer)
        except ShapeError as error:
            raise SourceError(f"{self.name}: {error}") from None

    def _each(self, work: Callable[[In], Out], items: Iterable[In]) -> list[Out]:
        """The work done on each item, a few at once; the first failure ends it."""
        items = list(items)
        if len(items) <= 1:
            return [work(item) for item in items]
        pool = ThreadPoolExecutor(min(AT_ONCE, len(items)), thread_name_prefix="slo-source")
        try:
            # A thread of its own starts without what is known here: for which SLO it asks, and in which run.
            contexts = [copy_context() for _ in items]
            return list(pool.map(lambda context, item: context.run(work, item), contexts, items))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _widest(selectors: Iterable[VectorSelector]) -> list[VectorSelector]:
    """The selectors without those that only narrow another one: all of their series are among that one's."""
    every = list(selectors)
    return [
        narrow
        for narrow in every
        if not any(wide.name == narrow.name and {*wide.matchers} < {*narrow.matchers} for wide in every)
    ]


def _check_period(start_ms: int, end_ms: int) -> None:
    if end_ms < start_ms:
        raise SourceError(f"the time range ends ({end_ms} ms) before it starts ({start_ms} ms)")


def _spans(selector: VectorSelector, after_ms: int, first_ms: int, counts: NDArray[np.float64]) -> Iterator[SampleSpan]:
    """Days with few samples together, days with many in equal parts. `counts[i]` are the samples of the day that ends
    at first_ms + i days; the first day starts after after_ms, or earlier."""
    start_ms, held = after_ms, 0.0
    day_start_ms = after_ms
    for number, count in enumerate(counts.tolist()):
        day_end_ms = first_ms + number * DAY_MS
        if held and held + count > SPAN_SAMPLES:
            yield SampleSpan(selector, start_ms, day_start_ms)
            start_ms, held = day_start_ms, 0.0
        if count > SPAN_SAMPLES:
            parts = -(-int(count) // SPAN_SAMPLES)
            bounds = np.linspace(day_start_ms, day_end_ms, parts + 1).astype(np.int64).tolist()
            yield from (SampleSpan(selector, low, high) for low, high in pairwise(bounds) if low < high)
            start_ms = day_end_ms
        elif not count and not held:
            start_ms = day_end_ms
        held = 0.0 if count > SPAN_SAMPLES else held + count
        day_start_ms = day_end_ms
    if held:
        yield SampleSpan(selector, start_ms, day_start_ms)
