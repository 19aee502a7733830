"""Bad (or good) events out of all, both counters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from slo.fields import Model, Selector
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    String,
    VectorMatching,
    VectorSelector,
    quote,
)
from slo.promql.regex import literal
from slo.promql.samples import Samples
from slo.reading import Fault, Path, Report, bucket_holds, check_counter, check_one_metric, read_selector
from slo.reading.inside import outside
from slo.sli import lean
from slo.sli.base import Event, Measured, Simulated, Sli, Surroundings
from slo.sli.bounds import any_spelling
from slo.sli.counted import CountedSli, Labelled, count_part
from slo.sli.counts import Grid, PartIs
from slo.sli.sums import Sums, check_apart
from slo.sli.tile import EVENT_LABEL, ZERO, Tile, marked_as, matrix, side_by_side
from slo.sli.tiles import added, by_series, counted, counted_part, either, present, worst_targets

_PAIRS = (("total", "errors"), ("total", "good"), ("errors", "good"))


_Counters = (
    Selector | Annotated[list[Selector], Field(description="several of them, whose events are added up", min_length=1)]
)


class RatioModel(Model):
    """Bad or good events out of all, from counters; a list of counters is their sum."""

    total: Annotated[
        _Counters | None,
        Field(
            description="a metric with matchers, as in PromQL; without it all events are the `errors` and the `good` ones",
            examples=['http_requests_total{job="api"}'],
        ),
    ] = None
    errors: _Counters | None = None
    good: _Counters | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [*two], "minProperties": 2, "maxProperties": 2} for two in _PAIRS],
        },
    )


def _of_both(errors: VectorSelector, good: VectorSelector, at: Path, report: Report) -> VectorSelector:
    """What selects both, where one label of one metric tells them apart. Raises Fault once reported."""
    common = set(errors.matchers) & set(good.matchers)
    own = [[matcher for matcher in selector.matchers if matcher not in common] for selector in (errors, good)]
    if errors.name == good.name and all(len(rest) == 1 and rest[0].op in ("=", "=~") for rest in own):
        (bad,), (fine,) = own
        if bad.label == fine.label:
            values = "|".join(m.value if m.op == "=~" else re.escape(m.value) for m in (bad, fine))
            kept = tuple(matcher for matcher in errors.matchers if matcher in common)
            return replace(errors, matchers=(*kept, Matcher(bad.label, "=~", values)))
    report(
        at,
        "`errors` and `good` of one metric must differ in one label with = or =~; give `total` too, and leave one of them out",
        "error",
    )
    raise Fault


def _read_counters(given: str | list[str], at: Path, report: Report) -> tuple[VectorSelector, ...]:
    """The counters of a key, one or several. Raises Fault once reported."""
    texts = [given] if isinstance(given, str) else given
    places: list[Path] = [at] if isinstance(given, str) else [(*at, index) for index in range(len(texts))]
    selectors = tuple(read_selector(text, place, report) for text, place in zip(texts, places, strict=True))
    for selector, place in zip(selectors, places, strict=True):
        check_one_metric(selector, place, report)
        check_counter(selector, place, report)
    check_apart(selectors, at, report)
    return selectors


@dataclass(frozen=True)
class Ratio(CountedSli):
    """Bad (or good) events out of all, both counters."""

    key: ClassVar[str] = "ratio"
    model: ClassVar[type[Model]] = RatioModel
    simulated: ClassVar[Simulated] = "counters"
    counts_lean: ClassVar[bool] = True

    total: VectorSelector
    part: VectorSelector
    part_is: PartIs

    @classmethod
    def read(cls, model: RatioModel, at: Path, report: Report, around: Surroundings) -> Sli:
        """Checks that the part lies within the total."""
        if model.total is None and (model.errors is None or model.good is None):
            report(at, "`total` is missing", "error")
            raise Fault
        if model.total is not None and (model.errors is None) == (model.good is None):
            report(
                at,
                "a ratio has `total` and exactly one of `errors` and `good`, or both of these and no `total`",
                "error",
            )
            raise Fault
        part_is: PartIs = "errors" if model.errors is not None else "good"
        parts = _read_counters(model.errors or model.good or "", (*at, part_is), report)
        if model.total is not None:
            totals = _read_counters(model.total, (*at, "total"), report)
        else:
            fine = _read_counters(model.good or "", (*at, "good"), report)
            if len(parts) == len(fine) == 1 and parts[0].name == fine[0].name:
                totals = (_of_both(parts[0], fine[0], at, report),)
            else:
                totals = (*fine, *parts)
                check_apart(totals, at, report)
        if len(parts) > 1 or len(totals) > 1:
            return _sums(totals, parts, part_is, (*at, part_is), report)
        [total], [part] = totals, parts
        if part.name == total.name and part_is == "errors" and set(part.matchers) == set(total.matchers):
            report((*at, part_is), "errors and total select the same series, so everything counts as an error", "error")
            raise Fault
        _check_inside(part, total, (*at, part_is), part_is, report)
        return cls(any_spelling(total), any_spelling(part), part_is)

    def selectors(self) -> tuple[VectorSelector, ...]:
        return tuple(dict.fromkeys((self.total, self.part)))

    @property
    def always_counted(self) -> tuple[VectorSelector, ...]:
        return (self.total,)

    @property
    def kind_labels(self) -> frozenset[str]:
        of_part, of_total = ({matcher.label for matcher in selector.matchers} for selector in (self.part, self.total))
        return frozenset(of_part - of_total)

    @property
    def parameters(self) -> tuple[VectorSelector, ...]:
        # What separates a part from the rest belongs to the form; of two metrics of one family nothing may be left out.
        return (self.total,) if self._separator else ()

    def with_parameters(self, parameters: tuple[VectorSelector, ...]) -> Ratio:
        (total,) = parameters
        apart = () if self._separator is None else (self._separator,)
        return replace(self, total=total, part=replace(total, matchers=(*total.matchers, *apart)))

    @property
    def printed(self) -> tuple[VectorSelector, ...]:
        return self.total, self.part

    def narrowed(self, matchers: tuple[Matcher, ...]) -> Ratio:
        total, part = (
            replace(selector, matchers=(*selector.matchers, *matchers)) for selector in (self.total, self.part)
        )
        return replace(self, total=total, part=part)

    def count(self, samples: Samples, grid: Grid, target: tuple[str, ...], first: int = 0) -> Measured:
        return count_part(samples.select(self.total), samples.select(self.part), self.part_is, grid, target, first)

    def total_tile(self, tile: Tile) -> Node:
        return added(counted(self.total, tile), tile.by)

    def errors_tile(self, tile: Tile) -> Node:
        part_is, part = self.part_tile(tile)
        return part if part_is == "errors" else Binary("-", self.total_tile(tile), part)

    def part_tile(self, tile: Tile) -> tuple[PartIs, Node]:
        return self.part_is, self._part_tile(tile)

    def _part_tile(self, tile: Tile) -> Node:
        return either(added(counted_part(self.part, self.total, tile), tile.by), self._none(tile), tile.by)

    def _none(self, tile: Tile) -> Node:
        """0 where there are events."""
        return Binary("*", ZERO, present(self.total, tile))

    @property
    def kept_events(self) -> tuple[Event, Event]:
        if self._separator is not None:
            return "good", "bad"
        return "all", self._part_event

    @property
    def event_words(self) -> Mapping[str, str]:
        return dict(zip(self.kept_events, _WORDS[self.kept_events], strict=True))

    @property
    def _part_event(self) -> Event:
        return "bad" if self.part_is == "errors" else "good"

    @property
    def _separator(self) -> Matcher | None:
        """The one matcher that separates the part from the rest of the same metric, if it is one."""
        further = [matcher for matcher in self.part.matchers if matcher not in self.total.matchers]
        alike = self.part.name == self.total.name and len(self.part.matchers) == len(self.total.matchers) + 1
        # A bucket counts what smaller ones count too.
        return further[0] if alike and len(further) == 1 and further[0].label != "le" else None

    def kept_tile(self, tile: Tile) -> Node:
        matcher = self._separator
        if matcher is None:
            return side_by_side(
                self.event_words, **{"all": self.total_tile(tile), self._part_event: self._part_tile(tile)}
            )
        matches = self._part_event if matcher.op in ("=", "=~") else _OTHER[self._part_event]
        pattern = matcher.value if matcher.op in ("=~", "!~") else literal(matcher.value)
        by_value = lean.counted(self.total, tile, matcher.label, (*tile.by, matcher.label))
        events = Call(
            "label_replace",
            (
                marked_as(_OTHER[matches], by_value),
                *map(String, (EVENT_LABEL, matches, matcher.label, pattern)),
            ),
        )
        summed = Aggregate("sum", events, grouping=(*tile.by, EVENT_LABEL))
        # Both are there, as the ratio divides by one and multiplies by the other.
        if tile.by:
            none = self._none(tile)
            return Binary("or", Binary("or", summed, marked_as("bad", none)), marked_as("good", none))
        both = side_by_side({"bad": "bad", "good": "good"}, bad=_NOTHING, good=_NOTHING)
        scraped = Call("last_over_time", (matrix(self.total, tile.length_ms, tile.lag_ms),))
        return Binary("or", summed, Binary("and", both, scraped, matching=VectorMatching("many-to-many", (), on=True)))

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
        # Where nothing is good all is bad.
        return worst_targets(whole, Binary("or", part, Binary("*", ZERO, whole)), target)

    def describe(self) -> str:
        if self.part_is == "errors":
            return "requests, bad where they fail"
        return "events, bad where they are not counted as good"


def _sums(
    totals: tuple[VectorSelector, ...], parts: tuple[VectorSelector, ...], part_is: PartIs, at: Path, report: Report
) -> Sums:
    """Several counters, of which each part lies within the total of its name."""
    if part_is == "errors" and set(parts) == set(totals):
        report(at, "errors and total select the same series, so everything counts as an error", "error")
        raise Fault
    sums = Sums(tuple(map(any_spelling, totals)), tuple(map(any_spelling, parts)), part_is)
    for part in parts:
        same = [total for total in totals if total.name == part.name]
        if len(same) == 1 and same != [part]:
            _check_inside(part, same[0], at, part_is, report)
    return sums


_NOTHING = Call("vector", (ZERO,))
# In the label `event`, as in `Sli.event_words`.
_WORDS: Mapping[tuple[Event, Event], tuple[str, str]] = {
    ("good", "bad"): ("good", "bad"),
    ("all", "bad"): ("total", "errors"),
    ("all", "good"): ("events", "good_events"),
}
_OTHER: Mapping[Event, Event] = {"good": "bad", "bad": "good"}


def _check_inside(part: VectorSelector, total: VectorSelector, at: Path, part_is: str, report: Report) -> None:
    """Says what the matchers prove of a part that does not lie within its total; of what nothing is proved nothing is said."""
    if part.name != total.name:
        return  # two metrics: nothing is known of how their series relate
    own = {(m.label, m.op): m.value for m in part.matchers}
    for matcher in total.matchers:
        equal = own.get((matcher.label, "="))
        if matcher.op == "=" and equal is not None and equal != matcher.value:
            if matcher.label == "le" and bucket_holds(matcher.value, equal):
                continue  # a bucket counts what all smaller ones do
            report(
                at,
                f"`{part_is}` has {matcher.label}={equal!r} but `total` {matcher.label}={matcher.value!r}: nothing of it is in the total",
                "error",
            )
            raise Fault
        if not any(m.label == matcher.label for m in part.matchers):
            report(at, f"`{part_is}` may count events outside `total`: it lacks the matcher {matcher}", "warning")
    for result in outside(*([m for m in item.matchers if m.label not in ("le", "__name__")] for item in (part, total))):
        wanted = " and ".join(map(str, result.total))
        if result.apart:
            mine = ", ".join(str(m) for m in part.matchers if m.label == result.label)
            report(at, f"`{part_is}` has {mine} but `total` {wanted}: nothing of it is in the total", "error")
            raise Fault
        some = "some of it" if result.value is None else f"{result.label}={quote(result.value)}"
        report(
            at,
            f"`{part_is}` may count events outside `total`: {some} is not among {wanted}; repeat that in `{part_is}`, or take it from `total`",
            "warning",
        )
