"""Requests within a threshold, from a classic histogram."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from slo.display import show_latency
from slo.fields import Model
from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, VectorMatching, VectorSelector
from slo.promql.samples import Samples, Series
from slo.reading import Fault, Path, Report, read_duration, read_selector
from slo.sli.base import Event, Measured, Note, Reader, Scraping, Simulated, Sli, Surroundings
from slo.sli.bounds import INFINITY, bound_of, le_matcher
from slo.sli.counted import CountedSli, Labelled, seen_of
from slo.sli.counters import Counters
from slo.sli.counts import (
    Counts,
    EdgeCursor,
    Floats,
    Grid,
    PartIs,
    Target,
    finite,
    parts_of,
    same_times,
    target_of,
    union,
    usual_interval,
)
from slo.sli.native_latency import NativeLatency
from slo.sli.stepwise import tile_of
from slo.sli.tile import ZERO, Tile, matrix, side_by_side
from slo.sli.tiles import added, by_series, counted, counted_part, with_targets_of, worst_targets
from slo.spans import stretches
from slo.window import INSTANT_MS, format_duration

_ENDINGS = ("_bucket", "_count", "_sum")
# An increase is asked for over so many scrape intervals at least.
_SCRAPES = 5


# Seconds in each unit, and how names of histograms end in it.
_UNITS: Mapping[str, tuple[Decimal, tuple[str, ...]]] = {
    "nanoseconds": (Decimal("1e-9"), ("_nanoseconds", "_ns")),
    "microseconds": (Decimal("1e-6"), ("_microseconds", "_us")),
    "milliseconds": (Decimal("0.001"), ("_milliseconds", "_ms")),
    "seconds": (Decimal(1), ("_seconds",)),
    "minutes": (Decimal(60), ("_minutes",)),
    "hours": (Decimal(3600), ("_hours",)),
}


def unit_in_name(histogram: str) -> Decimal | None:
    """Seconds in the unit that a histogram's name ends in; None where it says none."""
    return next((seconds for seconds, endings in _UNITS.values() if histogram.endswith(endings)), None)


_FINE = re.compile(r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,12})?)(?P<unit>ns|us|µs|ms|s)")
_FINE_UNITS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
}


def _read_threshold(text: str, at: Path, report: Report) -> Decimal:
    """A latency in seconds: a duration, or a decimal number of one unit, such as 12.8ms or 500us. Raises Fault once reported."""
    fine = _FINE.fullmatch(text)
    seconds = Decimal(fine["number"]) * _FINE_UNITS[fine["unit"]] if fine else Decimal(0)
    return seconds or Decimal(read_duration(text, at, report)) / 1000


def threshold_text(seconds: Decimal) -> str:
    """A latency as a definition has it, exact to the digit."""
    milliseconds = seconds * 1000
    if milliseconds == milliseconds.to_integral_value():
        return format_duration(int(milliseconds))
    unit, size = next(
        ((unit, size) for unit, size in (("ms", 0), ("us", 3)) if milliseconds.scaleb(size) >= 1), ("ns", 6)
    )
    return f"{milliseconds.scaleb(size).normalize():f}{unit}"


class LatencyModel(Model):
    """Requests within a threshold, from a histogram."""

    histogram: Annotated[
        str,
        Field(
            description="the histogram with matchers, without `_bucket`",
            examples=['http_request_duration_seconds{job="api"}'],
        ),
    ]
    threshold: Annotated[
        str | None,
        Field(description="a duration, below a millisecond too", examples=["500ms", "2s", "12.8ms", "500us"]),
    ] = None
    native: Annotated[bool, Field(description="a native histogram, which has no buckets of its own")] = False
    unit: Annotated[
        Literal["nanoseconds", "microseconds", "milliseconds", "seconds", "minutes", "hours"] | None,
        Field(description="the histogram's unit; read from its name (`_milliseconds`, `_ms`, `_us`, …) if not given"),
    ] = None


@dataclass(frozen=True)
class Latency(CountedSli):
    """Requests of a classic histogram that took longer than `threshold_seconds` are bad.

    `histogram` selects the metric by its base name, without `_bucket`; `unit_seconds` is the histogram's unit. A target
    that lacks the threshold's bucket is counted neither as good nor as bad. All requests are those of the histogram's
    `_count`, or `by_last_bucket`.
    """

    key: ClassVar[str] = "latency"
    words: ClassVar[tuple[str, str]] = ("all", "passed")
    model: ClassVar[type[Model]] = LatencyModel
    simulated: ClassVar[Simulated] = "histogram"
    counts_lean: ClassVar[bool] = True
    takes_percentile: ClassVar[bool] = True

    histogram: VectorSelector
    threshold_seconds: Decimal
    unit_seconds: Decimal = Decimal(1)
    by_last_bucket: bool = False

    @classmethod
    def read(cls, model: LatencyModel, at: Path, report: Report, around: Surroundings) -> Sli:
        """A native histogram makes a NativeLatency."""
        histogram = read_selector(model.histogram, (*at, "histogram"), report)
        name = histogram.name or ""
        for suffix in _ENDINGS:
            if name.endswith(suffix):
                report(
                    (*at, "histogram"),
                    f"write the histogram's own name, without {suffix}: {name.removesuffix(suffix)}",
                    "error",
                )
                raise Fault
        if not name:
            report((*at, "histogram"), "a histogram needs its metric's name", "error")
            raise Fault
        if any(matcher.label == "le" for matcher in histogram.matchers):
            report((*at, "histogram"), "leave `le` out; the threshold decides on the bucket", "error")
            raise Fault
        percentile = around.percentile_threshold
        if (model.threshold is None) == (percentile is None):
            many = "both an objective such as `p95 < 500ms` and a `threshold`" if model.threshold else "no threshold"
            report(at, f"{many}; give one of the two: `threshold: 500ms`, or the objective as `p95 < 500ms`", "error")
            raise Fault
        where, text = ((*at, "threshold"), model.threshold) if model.threshold else (around.objective_path, percentile)
        threshold = _read_threshold(text or "", where, report)
        unit = (_UNITS[model.unit][0] if model.unit else unit_in_name(name)) or Decimal(1)
        kind: type[Latency] | type[NativeLatency] = NativeLatency if model.native else cls
        return kind(histogram, threshold, unit)

    @property
    def bound(self) -> Decimal:
        """The threshold in the histogram's own unit: the `le` that must be one of its bucket bounds."""
        return self.threshold_seconds / self.unit_seconds

    @property
    def buckets(self) -> VectorSelector:
        return replace(self.histogram, name=f"{self.histogram.name}_bucket")

    @property
    def latency_limit_seconds(self) -> float:
        return float(self.threshold_seconds)

    @property
    def every(self) -> VectorSelector:
        """The histogram's own count of all requests, or its bucket without a bound."""
        if self.by_last_bucket:
            return replace(self.buckets, matchers=(*self.histogram.matchers, le_matcher(INFINITY)))
        return replace(self.histogram, name=f"{self.histogram.name}_count")

    @property
    def good(self) -> VectorSelector:
        """The bucket that counts what was fast enough, in every spelling of its bound."""
        return replace(self.buckets, matchers=(*self.histogram.matchers, le_matcher(self.bound)))

    def selectors(self) -> tuple[VectorSelector, ...]:
        return self.every, self.buckets

    @property
    def always_counted(self) -> tuple[VectorSelector, ...]:
        return self.every, self.good

    @property
    def parameters(self) -> tuple[VectorSelector, ...]:
        return (self.histogram,)

    def with_parameters(self, parameters: tuple[VectorSelector, ...]) -> Latency:
        return replace(self, histogram=parameters[0])

    @property
    def printed(self) -> tuple[VectorSelector, ...]:
        return self.every, self.good, self.buckets

    def narrowed(self, matchers: tuple[Matcher, ...]) -> Latency:
        return replace(self, histogram=replace(self.histogram, matchers=(*self.histogram.matchers, *matchers)))

    def count(self, samples: Samples, grid: Grid, target: tuple[str, ...], first: int = 0) -> Measured:
        layout = _Layout(samples.select(self.buckets), samples.select(self.every), target)
        every, good, without, partly = layout.split(self.bound)
        cursor = EdgeCursor(grid, first)
        counters = Counters(every, target)
        whole = counters.tally(cursor)
        seen = replace(
            seen_of(layout.every, grid, target, whole),
            bounds=layout.bounds,
            without_bound=(*_names(without, target), *partly),
        )
        if not layout.every:
            return Measured(Counts(grid, np.zeros(grid.steps), whole.sums, seen, ()), has_data=False)
        notes = (_without_bound(self, layout, without, target),) if without else ()
        if partly:
            notes = (*notes, _partly_note(self, partly))
        if not good:
            return Measured(Counts(grid, np.zeros(grid.steps), whole.sums, seen, ()), notes=notes, has_data=False)
        fast = Counters(good, target, counters).tally(cursor)
        parts = parts_of(whole.by_series, fast.by_series, "good")
        bounds, bucket_counts = layout.bucket_counts(cursor, counters)
        seen = replace(seen, doubt_errors=fast.doubt)
        return Measured(
            Counts(grid, whole.sums - fast.sums, whole.sums, seen, parts),
            bounds * float(self.unit_seconds),
            bucket_counts,
            notes,
        )

    def total_tile(self, tile: Tile) -> Node:
        """All requests of the targets that have the threshold's bucket."""
        has_bound = Call("last_over_time", (matrix(self.good, tile.length_ms, tile.lag_ms),))
        return added(with_targets_of(counted(self.every, tile), has_bound, tile), tile.by)

    def errors_tile(self, tile: Tile) -> Node:
        return Binary("-", self.total_tile(tile), self._good_tile(tile))

    def part_tile(self, tile: Tile) -> tuple[PartIs, Node]:
        return "good", self._good_tile(tile)

    def _good_tile(self, tile: Tile) -> Node:
        return added(counted_part(self.good, self.every, tile, together=True), tile.by)

    @property
    def kept_events(self) -> tuple[Event, Event]:
        return "all", "good"

    def kept_tile(self, tile: Tile) -> Node:
        return side_by_side(self.event_words, all=self.total_tile(tile), good=self._good_tile(tile))

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        """A server whose histogram has no `_count` is asked by its last bucket."""
        measured = super().measure(reader, grid, scraping, first)
        if measured.has_data or self.by_last_bucket or not measured.bounds.size:
            return measured
        return replace(self, by_last_bucket=True).measure(reader, grid, scraping, first)

    def counters(self) -> tuple[tuple[VectorSelector, ...], Mapping[VectorSelector, VectorSelector]]:
        return (self.every,), {self.good: self.every}

    def named(self) -> Mapping[str, VectorSelector]:
        return {"histogram": self.buckets}

    def labelled(self, tile: Tile) -> Labelled:
        return Labelled(self.every, by_series(self.every, tile), by_series(self.good, tile, self.every), "good")

    def finish_steps(self, measured: Measured, reader: Reader, grid: Grid, scraping: Scraping) -> Measured:
        """The buckets, and the bounds that there are where the threshold is none."""
        # An increase needs two scrapes; a step may have one, or none.
        length = max(grid.step_ms, _SCRAPES * scraping.interval_ms)
        grown = Call("increase", (MatrixSelector(self.buckets, length),))
        seen_at_all = Binary("*", ZERO, Call("last_over_time", (MatrixSelector(self.buckets, length),)))
        by_bound = Aggregate("sum", Binary("or", grown, seen_at_all), grouping=("le",))
        answer = reader.query_range(by_bound, int(grid.ends[0]), grid.end_ms, grid.step_ms)
        rows: dict[Decimal, Floats] = {}
        for labels, values in answer.series:
            bound = bound_of(labels.get("le", ""))
            if bound is not None:
                share = np.nan_to_num(values) * (grid.step_ms / length)
                rows[bound] = rows.get(bound, np.zeros(grid.steps)) + share
        if not rows:
            return measured
        ordered = sorted(rows)
        finite_bounds = tuple(bound for bound in ordered if bound.is_finite())
        seen = replace(measured.counts.seen, bounds=finite_bounds)
        without = self._without_bound_on(reader, grid, scraping)
        notes = measured.notes
        steps = self._steps_without_bound(reader, grid, scraping)
        if steps and not without:
            text = (
                f"in {steps} steps a target had no bucket bound {self.bound.normalize():f}; it was not counted in them"
            )
            notes = (*notes, Note("bound-missing", text))
        if without:
            seen = replace(seen, without_bound=_names(without, scraping.target))
            notes = (*notes, _bound_note(self, finite_bounds, without, scraping.target))
        mixed = self._with_bound_in_part(reader, grid, scraping)
        return replace(
            measured,
            invalid=(*measured.invalid, *((_mixed_note(self, mixed, scraping.target),) if mixed else ())),
            counts=replace(measured.counts, seen=seen),
            bounds=np.array([float(bound * self.unit_seconds) for bound in ordered]),
            bucket_counts=np.column_stack([rows[bound] for bound in ordered]),
            notes=notes,
        )

    def _steps_without_bound(self, reader: Reader, grid: Grid, scraping: Scraping) -> int:
        """In how many steps a target was counted by nothing, as it had requests and no bucket of the threshold."""
        tile = tile_of(grid, scraping)

        def present(selector: VectorSelector) -> Node:
            return Aggregate(
                "group", Call("last_over_time", (MatrixSelector(selector, grid.step_ms),)), grouping=tile.targets
            )

        missing = Aggregate("count", Binary("unless", present(self.every), present(self.good)))
        answer = reader.query_range(missing, int(grid.ends[0]), grid.end_ms, grid.step_ms)
        return sum(int(np.count_nonzero(np.nan_to_num(values))) for _, values in answer.series)

    def _with_bound_in_part(self, reader: Reader, grid: Grid, scraping: Scraping) -> list[Target]:
        """The targets of which some histograms have the threshold's bucket and others do not: a server counts by target.

        For longer than an instant vector shows both a relabelled series and what it goes on as.
        """
        targets = tile_of(grid, scraping).targets
        histograms = Aggregate("count", replace(self, by_last_bucket=True).every, grouping=targets)
        with_bound = Aggregate("count", self.good, grouping=targets)
        more = Binary(">", histograms, with_bound, matching=VectorMatching("one-to-one", targets, on=True))
        answer = reader.query_range(more, int(grid.ends[0]), grid.end_ms, grid.step_ms)
        steps = max(2, 2 * INSTANT_MS // grid.step_ms + 1)
        return [
            target_of(labels, scraping.target)
            for labels, values in answer.series
            if any(high - low >= steps for low, high in stretches(np.isfinite(values)))
        ]

    def _without_bound_on(self, reader: Reader, grid: Grid, scraping: Scraping) -> list[Target]:
        """The targets that have a histogram without the threshold's bucket at the end of the window."""
        tile = tile_of(grid, scraping)

        def present(selector: VectorSelector) -> Node:
            return Aggregate(
                "group", Call("last_over_time", (MatrixSelector(selector, tile.lookback_ms),)), grouping=tile.targets
            )

        missing = Binary("unless", present(self.buckets), present(self.good))
        return [target_of(labels, scraping.target) for labels, _ in reader.query(missing, grid.end_ms).series]

    def breakdown(self, range_ms: int, target: tuple[str, ...]) -> Node:
        whole, part = (Call("increase", (MatrixSelector(item, range_ms),)) for item in (self.every, self.good))
        return worst_targets(whole, part, target)

    def describe(self) -> str:
        return f"requests, bad where they took longer than {show_latency(float(self.threshold_seconds))}"


class _Layout:
    """Which bounds the histograms of the targets have."""

    def __init__(self, buckets: Sequence[Series], counts: Sequence[Series], target: tuple[str, ...]) -> None:
        self.target = target
        self.by_bound: dict[Target, dict[Decimal, list[Series]]] = {}
        for bucket in buckets:
            bound = bound_of(bucket.labels.get("le", ""))
            if bound is not None and len(bucket.times):
                self.by_bound.setdefault(target_of(bucket.labels, target), {}).setdefault(bound, []).append(bucket)
        spare: dict[Target, list[Series]] = {}
        for bucket in counts:
            spare.setdefault(target_of(bucket.labels, target), []).append(bucket)
        # The bucket without a bound counts all too, where the histogram's own count was dropped.
        self.all_of = {name: spare.get(name) or own.get(INFINITY, []) for name, own in self.by_bound.items()}

    @property
    def every(self) -> list[Series]:
        """The series that count all requests."""
        return [item for series in self.all_of.values() for item in series]

    @property
    def bounds(self) -> tuple[Decimal, ...]:
        """All finite bounds of any target."""
        return tuple(sorted({bound for own in self.by_bound.values() for bound in own if bound.is_finite()}))

    def split(self, bound: Decimal) -> tuple[list[Series], list[Series], list[Target], list[str]]:
        """(all requests, those within the bound, the targets without it, the label sets and stretches without it of other
        targets); what has no bound is in neither of the first two."""
        every, good, without, partly = [], [], [], []
        for name, own in self.by_bound.items():
            if bound not in own:
                without.append(name)
                continue
            good += own[bound]
            sets = _by_set(own[bound], self.all_of[name])
            for item in self.all_of[name]:
                buckets = own[bound] if sets is None else sets.get(_set_of(item), [])
                there = _while_there(item, buckets) if buckets else None
                if there is None or len(there.times) < len(item.times) - _FEW_SCRAPES:
                    partly.append(_named(item.labels))
                if there is not None:
                    every.append(there)
        return every, good, without, partly

    def bucket_counts(self, cursor: EdgeCursor, counters: Counters) -> tuple[Floats, Floats]:
        """(bounds in the histogram's unit, ascending; cumulative counts of shape (steps, bounds)): those of all targets."""
        there = [set(own) for own in self.by_bound.values()]
        common = sorted(set.intersection(*there)) if there else []
        counts = np.zeros((cursor.grid.steps, len(common)))
        for column, bound in enumerate(common):
            series = [item for own in self.by_bound.values() for item in own[bound]]
            counts[:, column] = Counters(series, self.target, counters).tally(cursor).sums
        return np.array([float(bound) for bound in common]), counts


_Set = frozenset[tuple[str, str]]
# A bucket that is missing for so few scrapes needs no note.
_FEW_SCRAPES = 3


def _set_of(series: Series) -> _Set:
    """The labels that a count and its buckets have in common."""
    return frozenset((label, value) for label, value in series.labels.items() if label not in ("le", "__name__"))


def _by_set(bound: Sequence[Series], every: Sequence[Series]) -> dict[_Set, list[Series]] | None:
    """A target's buckets of one bound by label set; None where they have other labels than their counts.

    One target may have several histograms of a name, with a layout each: by path, say.
    """
    spans: dict[_Set, tuple[int, int]] = {}
    for item in every:
        if len(item.times):
            low, high = int(item.times[0]), int(item.times[-1])
            first, last = spans.get(_set_of(item), (low, high))
            spans[_set_of(item)] = min(first, low), max(last, high)
    result: dict[_Set, list[Series]] = {}
    for item in bound:
        span = spans.get(_set_of(item))
        if span is None or item.times[0] < span[0] or item.times[-1] > span[1]:
            return None
        result.setdefault(_set_of(item), []).append(item)
    return result


def _named(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{label}={value}" for label, value in sorted(labels.items()) if label not in ("le", "__name__"))


def _while_there(series: Series, bucket: Sequence[Series]) -> Series:
    """The samples of a count from moments at which its target had a bucket too."""
    if any(same_times(series.times, other.times) for other in bucket):
        return series
    present = union([finite(other)[0] for other in bucket])
    if not len(present):
        return replace(series, times=series.times[:0], values=series.values[:0])
    place = np.searchsorted(present, series.times)
    nearest = np.minimum(
        np.abs(present[np.minimum(place, len(present) - 1)] - series.times),
        np.abs(present[np.maximum(place - 1, 0)] - series.times),
    )
    # Both come in one scrape: what the count gained before its bucket came is not a slow request.
    kept = nearest <= 0.5 * usual_interval(series.times)
    return replace(series, times=series.times[kept], values=series.values[kept])


def _names(targets: Sequence[Target], labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(
        ", ".join(f"{label}={value}" for label, value in zip(labels, target, strict=True) if value)
        or "(no target labels)"
        for target in sorted(targets)
    )


def _partly_note(sli: Latency, partly: Sequence[str]) -> Note:
    more = f" and {len(partly) - 3} more" if len(partly) > 3 else ""
    return Note(
        "bound-missing",
        f"not counted while {sli.histogram.name} had no bucket bound {sli.bound.normalize():f}: "
        f"{'; '.join(partly[:3])}{more}",
    )


def _mixed_note(sli: Latency, mixed: Sequence[Target], labels: tuple[str, ...]) -> Note:
    named = _names(mixed, labels)
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return Note(
        "bound-missing",
        f"of {'; '.join(named[:3])}{more} some histograms {sli.histogram.name} have no bucket bound {sli.bound.normalize():f} and "
        "others do: a server that adds up cannot tell them apart; name the label that does in target_labels",
    )


def _without_bound(sli: Latency, layout: _Layout, without: Sequence[Target], target: tuple[str, ...]) -> Note:
    bounds = {bound for name in without for bound in layout.by_bound[name] if bound.is_finite()}
    return _bound_note(sli, sorted(bounds), without, target, all_of_them=len(without) == len(layout.by_bound))


def _bound_note(
    sli: Latency,
    values: Sequence[Decimal],
    without: Sequence[Target],
    target: tuple[str, ...],
    all_of_them: bool = False,
) -> Note:
    named = _names(without, target)
    bounds = ", ".join(f"{bound.normalize():f}" for bound in values) or "none"
    bound, name = f"{sli.bound.normalize():f}", sli.histogram.name
    if all_of_them:
        return Note(
            "no-such-bound",
            f"threshold {bound} is not a bucket bound of {name}, so nothing can be counted; its bounds are {bounds}",
        )
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return Note(
        "bound-missing",
        f"not counted: {'; '.join(named[:3])}{more}, whose {name} has no bucket bound {bound}; its bounds are {bounds}",
    )
