"""What a kind of SLI is to everybody else: the protocol that each file alongside this one fulfils.

Nothing outside `slo.sli` knows one kind from another. A new kind is one file and its line in `slo.sli.kinds`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from slo.fields import Model
from slo.promql.ast import Matcher, MatrixSelector, Node, VectorSelector
from slo.promql.samples import Samples
from slo.reading import Path, Report
from slo.sli.counts import TARGET_LABELS, Counts, Floats, Grid, Ints, Part, PartIs
from slo.sli.tile import Tile, settled, side_by_side


@dataclass(frozen=True, slots=True)
class Note:
    """Something a reader of the figures must know.

    Attributes:
        code: Stable, for programs; `slo explain CODE` says more.
        text: For people.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Measured:
    """Counts per step, the histogram's buckets if there are any, and what must be said alongside them.

    `bounds` are upper bounds in seconds, ascending, `bucket_counts` cumulative counts of shape (steps, bounds).
    `downtimes` are (start_ms, end_ms). Where `invalid` has notes no figure can be believed.
    """

    counts: Counts
    bounds: Floats = field(default_factory=lambda: np.empty(0))
    bucket_counts: Floats = field(default_factory=lambda: np.empty((0, 0)))
    notes: tuple[Note, ...] = ()
    has_data: bool = True
    downtimes: tuple[tuple[int, int], ...] = ()
    invalid: tuple[Note, ...] = ()


class QueryAnswer(Protocol):
    """Values of an expression at `times` (int64 milliseconds): per series labels and float64 values, NaN for none."""

    @property
    def times(self) -> Ints: ...
    @property
    def series(self) -> Sequence[tuple[Mapping[str, str], Floats]]: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


class Reader(Protocol):
    """What a kind asks for samples and answers: a source. Its methods raise SourceError."""

    @property
    def local(self) -> bool: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    def samples(self, selectors: Sequence[VectorSelector], start_ms: int, end_ms: int) -> Samples: ...
    def query_range(self, expr: Node, start_ms: int, end_ms: int, step_ms: int) -> QueryAnswer: ...
    def query(self, expr: Node, at_ms: int) -> QueryAnswer: ...


@dataclass(frozen=True, slots=True)
class Scraping:
    """How an SLO's metrics are scraped: the usual interval, and the labels that name a target."""

    interval_ms: int = 30_000
    target: tuple[str, ...] = TARGET_LABELS


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a kind may need of the definition around it while it is read."""

    percentile_threshold: str | None  # of an objective such as `p95 < 500ms`
    objective_path: Path
    scrape_ms: int
    others: Mapping[str, Sli | None]  # the SLIs of the service's other SLOs by name; None for a faulty one
    by: tuple[str, ...] = ()  # the labels each of whose values has a budget of its own; without those of listed values


# What a simulation makes for it: counters (`total`, `part`), a classic `histogram`, a gauge of 0 and 1 (`metric`), what
# the expressions `errors` and `total` count, a value (`expr`), a timestamp (`metric`), what another SLO has, or nothing.
Simulated = Literal["counters", "histogram", "checks", "expressions", "value", "timestamp", "another's", "not"]


@dataclass(frozen=True, slots=True)
class Held:
    """A value that is held against a bound: good where `value op bound` holds. `unit` is that of both, "" if unknown."""

    value: Node
    op: Literal[">=", "<=", ">", "<"]
    bound: float
    unit: Literal["bytes", "seconds", ""] = ""


Event = Literal["all", "good", "bad"]
# Counters, a gauge of 0 and 1, a gauge that is a moment, a native histogram, or whatever an expression makes of them.
Measuring = Literal["counters", "checks", "timestamp", "native histogram", ""]


@dataclass(frozen=True, slots=True)
class RecordedTiles:
    """What the rules keep per tile: `what` is `events`, with one series for each of `Sli.kept_events`, or `down`."""

    what: str
    expr: Node


@dataclass(frozen=True)
class Sli(ABC):
    """What is counted: good and bad events of a service."""

    key: ClassVar[str] = ""  # under `sli` in a definition; kinds may share one
    model: ClassVar[type[Model]]  # the YAML below it
    has_breakdown: ClassVar[bool] = False  # whether its events are known by series
    by_expression: ClassVar[bool] = False  # whether only an expression over a window can count it
    takes_percentile: ClassVar[bool] = False  # whether its objective may be written as `p95 < 500ms`
    of_another: ClassVar[bool] = False  # whether it is made of another SLO's SLI, and so read after the others
    words: ClassVar[tuple[str, str]] = ("", "")  # its two kept events in the label `event`; without, made of its key
    counts_lean: ClassVar[bool] = False  # whether rules count it from counters, as `slo.sli.lean` does
    measured_by: ClassVar[Measuring] = ""  # what its metrics must be
    simulated: ClassVar[Simulated] = "not"
    not_simulated: ClassVar[str] = "nothing is known of how its series come about"

    @classmethod
    @abstractmethod
    def read(cls, model: Any, at: Path, report: Report, around: Surroundings) -> Sli:
        """From its YAML. Reports all faults, and raises Fault where there were any that leave no SLI."""

    @abstractmethod
    def selectors(self) -> tuple[VectorSelector, ...]:
        """The series whose samples decide this SLI, without offsets, each once; of all events first."""

    @abstractmethod
    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        """The events per step of `grid`; by series those of step `first` and later. Raises SourceError."""

    @abstractmethod
    def errors_tile(self, tile: Tile) -> Node:
        """The number of bad events in a tile as PromQL: 0 where there was only good traffic, absent without data."""

    @abstractmethod
    def total_tile(self, tile: Tile) -> Node:
        """The number of all events in a tile as PromQL; absent without data."""

    def part_tile(self, tile: Tile) -> tuple[PartIs, Node]:
        """The part of a tile's events that is counted, and which it is: all that a reader needs who has the total. It may be
        absent where there are only others."""
        return "errors", self.errors_tile(tile)

    @abstractmethod
    def describe(self) -> str:
        """What an event is, and when it is bad, as half a sentence."""

    @property
    def slice_ms(self) -> int | None:
        """How often it is judged, where it is judged by slices of time."""
        return None

    @property
    def held(self) -> Held | None:
        """The value that it judges and the bound, where it judges one."""
        return None

    @property
    def longest_outage_ms(self) -> int | None:
        """How long an outage may last, where it judges outages."""
        return None

    @property
    def takes_by(self) -> bool:
        """Whether it can have a budget for each value of a label."""
        return False

    @property
    def narrows(self) -> bool:
        """Whether it can be had of listed values of a label, each as an SLI of its own."""
        return self.takes_by

    @property
    def latency_limit_seconds(self) -> float | None:
        """The latency that is still good, where it is about latency and its histogram can be drawn."""
        return None

    @property
    def kind_labels(self) -> frozenset[str]:
        """The labels by which it tells bad events from good ones."""
        return frozenset()

    @property
    def all_events(self) -> tuple[VectorSelector, ...]:
        """The series that count all events: those values of a label that they have are there."""
        return self.selectors()[:1]

    @property
    def always_counted(self) -> tuple[VectorSelector, ...]:
        """The series that give a tile wherever all of them are scraped; none where that is not sure."""
        return ()

    @property
    def fixed_labels(self) -> frozenset[str]:
        """The labels that its selectors fix to one value."""
        return frozenset(m.label for selector in self.selectors() for m in selector.matchers if m.op == "=")

    @property
    def buckets(self) -> VectorSelector | None:
        """The buckets of its classic histogram, if it has one; their unit is `unit_seconds`."""
        return None

    @property
    def parameters(self) -> tuple[VectorSelector, ...]:
        """The selectors by which it differs from others of its form; none where its form is its own."""
        return ()

    def with_parameters(self, parameters: tuple[VectorSelector, ...]) -> Sli:
        """The same form with other selectors."""
        raise NotImplementedError(f"{type(self).__name__} has no parameters")

    @property
    def printed(self) -> tuple[VectorSelector, ...]:
        """The selectors that its rules have; each is made of one of the parameters."""
        return self.parameters

    def breakdown(self, range_ms: int, target: tuple[str, ...]) -> Node | None:
        """The series, or the targets, that have most of the bad events; None where that cannot be asked. For people:
        it counts as `increase` does."""
        return None

    def narrowed(self, matchers: tuple[Matcher, ...]) -> Sli:
        """The same of fewer series."""
        raise NotImplementedError(f"{type(self).__name__} has no budgets by label")

    @property
    def kept_events(self) -> tuple[Event, Event]:
        """Which two of `all`, `good` and `bad` events the rules keep; of all events first, if they do."""
        return "all", "bad"

    @property
    def event_words(self) -> Mapping[str, str]:
        """The values of the label `event`, by kind of event, for `kept_events`.

        No two kinds share a word, so that what one has recorded under the name of an SLO is never added to what another
        records there after an edit.
        """
        kept = self.kept_events
        return dict(
            zip(kept, self.words if any(self.words) else [f"{event}_{self.key}" for event in kept], strict=True)
        )

    def recorded(self, tile: Tile, series: Callable[[str, int], MatrixSelector]) -> tuple[RecordedTiles, ...]:
        """What the rules keep per tile, in order. `series` selects what was kept before: (what, range_ms)."""
        made = settled(self.kept_tile, tile) if self.counts_lean else self.kept_tile(tile)
        return (RecordedTiles("events", made),)

    def kept_tile(self, tile: Tile) -> Node:
        """The events of a tile as PromQL: a series for each of `kept_events`, by the label `event`."""
        return side_by_side(self.event_words, all=self.total_tile(tile), bad=self.errors_tile(tile))

    @property
    def depends_on_tile(self) -> bool:
        """Whether a server counts other events in long tiles than in the short ones that they are made of."""
        return False

    @property
    def another(self) -> tuple[str, Sli] | None:
        """The SLO of its service that it judges, by name, and its SLI; None of most kinds."""
        return None

    def slices_of(self, grid: Grid) -> Grid:
        """The steps in which the other SLI is counted."""
        raise NotImplementedError(f"{type(self).__name__} judges no other SLI")

    def judged(self, measured: Measured, slices: Grid, grid: Grid) -> Measured:
        """What it makes of the other SLI's events in its slices."""
        raise NotImplementedError(f"{type(self).__name__} judges no other SLI")

    def parts(self, reader: Reader, start_ms: int, end_ms: int, scraping: Scraping) -> tuple[Part, ...] | None:
        """The events of (start, end] by series, added up where the samples are; None where that is not known. Raises
        SourceError."""
        return None

    @property
    def gap_words(self) -> tuple[str, str]:
        """(what is missing in a gap, what becomes of its events), as words of a note."""
        return "scrapes", "counters carry their events over to the next scrape"
