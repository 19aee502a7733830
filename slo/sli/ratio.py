"""Bad (or good) events out of all, both counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from pydantic import ConfigDict

from slo.fields import Model, Selector
from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, Number, VectorSelector
from slo.promql.samples import Samples
from slo.reading import Fault, Path, Report, bucket_holds, check_counter, read_selector
from slo.sli.base import Measured, Simulated, Surroundings
from slo.sli.bounds import any_spelling
from slo.sli.counted import CountedSli, Labelled, seen_of
from slo.sli.counters import Counters
from slo.sli.counts import Counts, Cursor, Grid, parts_of
from slo.sli.tiles import (
    ZERO,
    Tile,
    added,
    by_series,
    counted,
    counted_part,
    either,
    present,
    same_family,
    worst_targets,
)


class RatioModel(Model):
    """Bad or good events out of all, from counters."""

    total: Selector
    errors: Selector | None = None
    good: Selector | None = None

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["errors"]}, {"required": ["good"]}]},
    )


@dataclass(frozen=True)
class Ratio(CountedSli):
    """Bad (or good) events out of all, both counters."""

    key: ClassVar[str] = "ratio"
    model: ClassVar[type[Model]] = RatioModel
    simulated: ClassVar[Simulated] = "counters"

    total: VectorSelector
    part: VectorSelector
    part_is: Literal["errors", "good"]

    @classmethod
    def read(cls, model: RatioModel, at: Path, report: Report, around: Surroundings) -> Ratio:
        """Checks that the part lies within the total."""
        if (model.errors is None) == (model.good is None):
            report(at, "a ratio has `total` and exactly one of `errors` and `good`", "error")
            raise Fault
        part_is: Literal["errors", "good"] = "errors" if model.errors is not None else "good"
        total = read_selector(model.total, (*at, "total"), report)
        part = read_selector(model.errors or model.good or "", (*at, part_is), report)
        check_counter(total, (*at, "total"), report)
        check_counter(part, (*at, part_is), report)
        if part.name == total.name and part_is == "errors" and set(part.matchers) == set(total.matchers):
            report((*at, part_is), "errors and total select the same series, so everything counts as an error", "error")
            raise Fault
        _check_inside(part, total, (*at, part_is), part_is, report)
        return cls(any_spelling(total), any_spelling(part), part_is)

    def selectors(self) -> tuple[VectorSelector, ...]:
        return tuple(dict.fromkeys((self.total, self.part)))

    @property
    def kind_labels(self) -> frozenset[str]:
        of_part, of_total = ({matcher.label for matcher in one.matchers} for one in (self.part, self.total))
        return frozenset(of_part - of_total)

    @property
    def shape(self) -> tuple[tuple[object, ...], tuple[VectorSelector, ...]] | None:
        if self.part == self.total:
            return None
        return ("ratio", self.part_is, same_family(self.part, self.total)), (self.total, self.part)

    def narrowed(self, matchers: tuple[Matcher, ...]) -> Ratio:
        total, part = (replace(one, matchers=(*one.matchers, *matchers)) for one in (self.total, self.part))
        return replace(self, total=total, part=part)

    def count(self, samples: Samples, grid: Grid, target: tuple[str, ...], first: int = 0) -> Measured:
        total_series, part_series = samples.select(self.total), samples.select(self.part)
        every = Counters(total_series, target)
        cursor = Cursor(grid, first)
        whole = every.tally(cursor)
        part = Counters(part_series, target, every).tally(cursor)
        errors = part.sums if self.part_is == "errors" else whole.sums - part.sums
        parts = parts_of(whole.by_series, part.by_series, self.part_is)
        seen = seen_of(total_series, grid, target, whole, part)
        return Measured(Counts(grid, errors, whole.sums, seen, parts), has_data=bool(total_series))

    def total_tile(self, tile: Tile) -> Node:
        return added(counted(self.total, tile), tile.by)

    def errors_tile(self, tile: Tile) -> Node:
        part = added(counted_part(self.part, self.total, tile), tile.by)
        part = either(part, Binary("*", ZERO, present(self.total, tile)), tile.by)
        return part if self.part_is == "errors" else Binary("-", self.total_tile(tile), part)

    def counters(self) -> tuple[tuple[VectorSelector, ...], Mapping[VectorSelector, VectorSelector]]:
        return (self.total,), {self.part: self.total}

    def named(self) -> Mapping[str, VectorSelector]:
        return {"total": self.total, self.part_is: self.part}

    def labelled(self, tile: Tile) -> Labelled:
        return Labelled(self.total, by_series(self.total, tile), by_series(self.part, tile, self.total), self.part_is)

    def breakdown(self, range_ms: int, target: tuple[str, ...]) -> Node:
        part = Call("increase", (MatrixSelector(self.part, range_ms),))
        if self.part_is == "errors":
            return Aggregate("topk", Binary(">", part, ZERO), Number(5.0))
        whole = Call("increase", (MatrixSelector(self.total, range_ms),))
        return worst_targets(whole, part, target)

    def describe(self) -> str:
        if self.part_is == "errors":
            return "requests, bad where they fail"
        return "events, bad where they are not counted as good"


def _check_inside(part: VectorSelector, total: VectorSelector, at: Path, part_is: str, report: Report) -> None:
    if part.name != total.name:
        return  # two metrics: nothing is known of how their series relate
    own = {(m.label, m.op): m.value for m in part.matchers}
    for matcher in total.matchers:
        found = own.get((matcher.label, matcher.op))
        if found == matcher.value:
            continue
        equal = own.get((matcher.label, "="))
        if matcher.op == "=" and equal is not None and matcher.label == "le" and bucket_holds(matcher.value, equal):
            continue  # a bucket counts what all smaller ones do
        if matcher.op == "=" and equal is not None:
            report(
                at,
                f"`{part_is}` has {matcher.label}={equal!r} but `total` {matcher.label}={matcher.value!r}: nothing of it is in the total",
                "error",
            )
            raise Fault
        if not any(m.label == matcher.label for m in part.matchers):
            report(at, f"`{part_is}` may count events outside `total`: it lacks the matcher {matcher}", "warning")
