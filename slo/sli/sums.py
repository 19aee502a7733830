"""Bad or good events out of all, where either is several counters added up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, ClassVar

from slo.promql.ast import Aggregate, Binary, Call, Matcher, MatrixSelector, Node, Number, VectorSelector
from slo.promql.samples import Samples
from slo.reading import WINDOW_VARIABLE, Path, Report
from slo.reading.inside import outside
from slo.sli.base import Event, Measured, Simulated, Sli, Surroundings
from slo.sli.counted import CountedSli, Labelled, count_part
from slo.sli.counts import Grid, PartIs
from slo.sli.tile import ZERO, Tile, alongside, side_by_side
from slo.sli.tiles import added, by_series, counted, counted_part, either, present


@dataclass(frozen=True)
class Sums(CountedSli):
    """Events that several counters count, each by itself: `totals` all of them, `parts` the bad (or good) ones.

    A counter that has no series yet counts nothing. A part is one of the total of its name, or of the only total; a part
    that is neither counts by itself, as a total does.
    """

    key: ClassVar[str] = "ratio"  # with lists of counters
    simulated: ClassVar[Simulated] = "expressions"
    counts_lean: ClassVar[bool] = True

    totals: tuple[VectorSelector, ...]
    sums: tuple[VectorSelector, ...]
    part_is: PartIs

    @classmethod
    def read(cls, model: Any, at: Path, report: Report, around: Surroundings) -> Sli:
        """A definition writes it as a `ratio`, which reads it."""
        raise NotImplementedError("sums of counters are read by Ratio")

    def selectors(self) -> tuple[VectorSelector, ...]:
        return tuple(dict.fromkeys((*self.totals, *self.sums)))

    @property
    def all_events(self) -> tuple[VectorSelector, ...]:
        return self.totals

    @property
    def kind_labels(self) -> frozenset[str]:
        of_parts, of_totals = (
            {matcher.label for selector in selectors for matcher in selector.matchers}
            for selectors in (self.sums, self.totals)
        )
        return frozenset(of_parts - of_totals)

    def narrowed(self, matchers: tuple[Matcher, ...]) -> Sums:
        totals, sums = (
            tuple(replace(selector, matchers=(*selector.matchers, *matchers)) for selector in selectors)
            for selectors in (self.totals, self.sums)
        )
        return replace(self, totals=totals, sums=sums)

    def whole_of(self, part: VectorSelector) -> VectorSelector | None:
        """The total whose events a part is some of; None where it counts by itself."""
        if len(self.totals) == 1:
            return self.totals[0]
        same = [total for total in self.totals if total.name == part.name]
        return same[0] if len(same) == 1 else None

    def count(self, samples: Samples, grid: Grid, target: tuple[str, ...], first: int = 0) -> Measured:
        # What appears on a target is held against all that it counts: the first errors against what went well before.
        series, part_series = ([line for s in of for line in samples.select(s)] for of in (self.totals, self.sums))
        return count_part(series, part_series, self.part_is, grid, target, first)

    def total_tile(self, tile: Tile) -> Node:
        return _added([self._counted(total, tile) for total in self.totals], tile.by)

    def _counted(self, counter: VectorSelector, tile: Tile) -> Node:
        """A counter that is no part of another; what appears is held against all that its target counts."""
        return counted(counter, tile, tuple(total for total in self.totals if total != counter))

    def errors_tile(self, tile: Tile) -> Node:
        part_is, part = self.part_tile(tile)
        return part if part_is == "errors" else Binary("-", self.total_tile(tile), part)

    def part_tile(self, tile: Tile) -> tuple[PartIs, Node]:
        return self.part_is, self._part_tile(tile)

    def _part_tile(self, tile: Tile) -> Node:
        counts = [
            self._counted(part, tile) if whole in (None, part) else counted_part(part, whole, tile)
            for part in self.sums
            for whole in (self.whole_of(part),)
        ]
        there = present(self.totals[0], tile)
        for total in self.totals[1:]:
            there = either(there, present(total, tile), tile.by)
        return either(_added(counts, tile.by), Binary("*", ZERO, there), tile.by)

    @property
    def kept_events(self) -> tuple[Event, Event]:
        return "all", "bad" if self.part_is == "errors" else "good"

    @property
    def event_words(self) -> Mapping[str, str]:
        # As a ratio of two metrics: to a definition they are one kind.
        words = ("total", "errors") if self.part_is == "errors" else ("events", "good_events")
        return dict(zip(self.kept_events, words, strict=True))

    def kept_tile(self, tile: Tile) -> Node:
        total, part = self.kept_events
        return side_by_side(self.event_words, **{total: self.total_tile(tile), part: self._part_tile(tile)})

    def counters(self) -> tuple[tuple[VectorSelector, ...], Mapping[VectorSelector, VectorSelector]]:
        parts = {part: self.whole_of(part) or part for part in self.sums if part not in self.totals}
        return self.totals, parts

    def named(self) -> Mapping[str, VectorSelector]:
        return {**_keys("total", self.totals), **_keys(self.part_is, self.sums)}

    def labelled(self, tile: Tile) -> Labelled:
        def of(selectors: Sequence[VectorSelector], each: Callable[[VectorSelector], Node]) -> Node:
            return alongside([each(selector) for selector in selectors])

        whole = of(self.totals, lambda total: by_series(total, tile))
        part = of(self.sums, lambda part: by_series(part, tile, self.whole_of(part)))
        return Labelled(self.totals[0], whole, part, self.part_is)

    def breakdown(self, range_ms: int, target: tuple[str, ...]) -> Node | None:
        if self.part_is == "good":
            return None
        increases: list[Node] = [Call("increase", (MatrixSelector(part, range_ms),)) for part in self.sums]
        return Aggregate("topk", Binary(">", alongside(increases), ZERO), Number(5.0))

    @property
    def errors(self) -> str:
        """The bad events over `$window` as PromQL, for what reads expressions."""
        parts = _increases(self.sums)
        return parts if self.part_is == "errors" else f"{self.total} - ({parts})"

    @property
    def total(self) -> str:
        """All events, likewise."""
        return _increases(self.totals)

    def describe(self) -> str:
        if self.part_is == "errors":
            return "requests, bad where they fail"
        return "events, bad where they are not counted as good"


def check_apart(selectors: Sequence[VectorSelector], at: Path, report: Report) -> None:
    """Warns of counters of a sum that may count the same events."""
    for first, second in combinations(selectors, 2):
        if first.name != second.name or first.name is None:
            continue
        if set(first.matchers) == set(second.matchers):
            report(at, f"{first} is there twice, so its events would count twice; leave one out", "error")
        elif not _is_apart(first, second):
            report(at, f"{first} and {second} may select the same series, whose events would count twice", "warning")


def _is_apart(first: VectorSelector, second: VectorSelector) -> bool:
    fixed = {matcher.label: matcher.value for matcher in first.matchers if matcher.op == "="}
    if any(m.op == "=" and fixed.get(m.label, m.value) != m.value for m in second.matchers):
        return True
    return any(result.apart for result in outside([*first.matchers], [*second.matchers]))


def _keys(key: str, selectors: Sequence[VectorSelector]) -> dict[str, VectorSelector]:
    if len(selectors) == 1:
        return {key: selectors[0]}
    return {f"{key}[{index}]": selector for index, selector in enumerate(selectors)}


def _added(nodes: Sequence[Node], by: tuple[str, ...]) -> Node:
    """All of them together: one that has no series adds nothing."""
    return added(alongside(nodes), by)


def _increases(selectors: Sequence[VectorSelector]) -> str:
    return " + ".join(f"sum(increase({selector}[{WINDOW_VARIABLE}]))" for selector in selectors)
