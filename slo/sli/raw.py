"""Errors and total as PromQL that counts over `$window`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from slo.fields import Model
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    String,
    Subquery,
    Unary,
    VectorMatching,
    VectorSelector,
    children,
    transform,
    walk,
)
from slo.promql.parse import parse
from slo.reading import WINDOW_VARIABLE, Fault, Path, Report, check_one_metric, read_windowed
from slo.sli.base import Measured, Reader, Scraping, Simulated, Sli, Surroundings
from slo.sli.counts import Grid, PartIs
from slo.sli.stepwise import measure_steps
from slo.sli.tile import ZERO, Tile
from slo.sli.tiles import by_series, counted, counted_part
from slo.window import SECOND, format_duration

# Stands for `$window` while an expression is parsed; nobody writes it.
_MARK_MS = 86_399_989
_MARK_TEXT = format_duration(_MARK_MS)
_CALENDAR = {"minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"}


_Counts = Annotated[
    str | None,
    Field(
        description="PromQL over `$window`, one number", examples=['sum(increase(requests_total{job="api"}[$window]))']
    ),
]


class RawModel(Model):
    """Errors and total as PromQL, each giving one number for `$window`; or an error ratio where there are no numbers."""

    errors: _Counts = None
    total: _Counts = None
    ratio: Annotated[
        str | None,
        Field(
            description="instead of both, an error ratio from 0 to 1 over `$window`: not weighted by traffic",
            examples=["1 - avg(avg_over_time(health_ratio[$window]))"],
        ),
    ] = None


@dataclass(frozen=True)
class Raw(Sli):
    """Errors and total as PromQL that counts over `$window`; each must give at most one series, or one for each combination of
    values of the labels `by`.

    Where both are rates they are events per second, and what counts is that times the window's seconds.
    """

    key: ClassVar[str] = "raw"
    words: ClassVar[tuple[str, str]] = ("measured", "bad_measured")
    model: ClassVar[type[Model]] = RawModel
    simulated: ClassVar[Simulated] = "expressions"
    counts_lean: ClassVar[bool] = True
    by_expression: ClassVar[bool] = True

    errors: str
    total: str
    by: tuple[str, ...] = ()

    @classmethod
    def read(cls, model: RawModel, at: Path, report: Report, around: Surroundings) -> Raw:
        if model.ratio is not None and model.errors is None and model.total is None:
            return cls._of_ratio(model.ratio, (*at, "ratio"), report, around.by)
        if model.errors is None or model.total is None or model.ratio is not None:
            given = [key for key in ("errors", "total", "ratio") if getattr(model, key) is not None]
            report(at, f"has {' and '.join(given) or 'nothing'}; give `errors` and `total`, or only a `ratio`", "error")
            raise Fault
        texts = {"errors": model.errors, "total": model.total}
        for key, text in texts.items():
            _check_named(read_windowed(text, (*at, key), report, around.by), around.by, (*at, key), report)
        for key, text in texts.items():
            for counter in counters_in(_parsed(text)):
                check_one_metric(counter, (*at, key), report)
        units = {key: unit_of(_parsed(text)) for key, text in texts.items()}
        if set(units.values()) == {"rate", "count"}:
            rate, count = sorted(units, key=lambda key: units[key] != "rate")
            report(
                at,
                f"`{rate}` is per second (rate) but `{count}` is a number of events; use increase, or rate, in both",
                "error",
            )
            raise Fault
        return cls(**texts, by=around.by)

    @classmethod
    def _of_ratio(cls, text: str, at: Path, report: Report, by: tuple[str, ...]) -> Raw:
        """An error ratio, each tile of which counts as one event, whatever the traffic."""
        _check_named(read_windowed(text, at, report, by), by, at, report)
        if unit_of(_parsed(text)) is not None:
            report(at, "is a number of events, not a share of them; give `errors` and `total`", "error")
            raise Fault
        report(
            at,
            "is not weighted by traffic: a minute at night counts as one at noon; give `errors` and `total` where there are numbers",
            "warning",
        )
        known = f"(({text}) >= -Inf)"  # 0 / 0 is not a value
        return cls(known, f"{known} * 0 + 1", by)

    @property
    def takes_by(self) -> bool:
        return bool(self.by)

    @property
    def all_events(self) -> tuple[VectorSelector, ...]:
        """With `by` all series of the total, as each may have a value of its own."""
        if not self.by:
            return self.selectors()[:1]
        named = (replace(node, offset_ms=0, at=None) for node in self._telling_apart(_parsed(self.total)))
        return tuple(dict.fromkeys(named))

    @property
    def narrows(self) -> bool:
        return True

    def narrowed(self, matchers: tuple[Matcher, ...]) -> Raw:
        def of(text: str) -> str:
            parsed = _parsed(text)
            whose = {id(node) for node in self._telling_apart(parsed)}

            def changed(node: Node) -> Node:
                if isinstance(node, VectorSelector) and id(node) in whose:
                    return replace(node, matchers=(*node.matchers, *matchers))
                return node

            return str(transform(parsed, changed)).replace(_MARK_TEXT, WINDOW_VARIABLE)

        return replace(self, errors=of(self.errors), total=of(self.total))

    def _telling_apart(self, node: Node) -> Iterator[VectorSelector]:
        """The selectors whose series have the labels of `by`: those that are grouped by all of them. Of listed values, all."""
        if isinstance(node, VectorSelector):
            if not self.by:
                yield node
        elif isinstance(node, Aggregate) and self.by and not node.without and set(self.by) <= set(node.grouping):
            yield from (part for part in walk(node) if isinstance(part, VectorSelector))
        else:
            for child in children(node):
                yield from self._telling_apart(child)

    def selectors(self) -> tuple[VectorSelector, ...]:
        return tuple(dict.fromkeys(selectors_in(self.total) + selectors_in(self.errors)))

    def measure(self, reader: Reader, grid: Grid, scraping: Scraping, first: int = 0) -> Measured:
        return measure_steps(self, reader, grid, scraping, counters_in(_parsed(self.total)), self._parts)

    @property
    def _parts(self) -> dict[VectorSelector, VectorSelector]:
        whole = self._whole
        return (
            {}
            if whole is None
            else {counter: whole for counter in counters_in(_parsed(self.errors)) if counter != whole}
        )

    def errors_tile(self, tile: Tile) -> Node:
        nothing = Binary("*", ZERO, self._tile(self.total, tile))
        return Binary("or", self.part_tile(tile)[1], nothing, matching=VectorMatching("many-to-many", tile.by, on=True))

    def part_tile(self, tile: Tile) -> tuple[PartIs, Node]:
        return "errors", self._tile(self.errors, tile, self._whole)

    def total_tile(self, tile: Tile) -> Node:
        return self._tile(self.total, tile)

    def _tile(self, text: str, tile: Tile, whole: VectorSelector | None = None) -> Node:
        """An expression over `$window` for a tile, added up to one series, or one for each value of `by`.

        `increase` and `rate` of a counter over `$window` become the exact count; everything else stays as it is
        written. `whole` counts all events. Raises PromqlError where the text does not parse.
        """
        node = _parsed(text)
        tiled: Node = Aggregate("sum", _Tiling(tile, whole).tiled(node), grouping=tile.by)
        return Binary("*", tiled, Number(tile.length_ms / SECOND)) if unit_of(node) == "rate" else tiled

    @property
    def _whole(self) -> VectorSelector | None:
        """The counter of all events, where the total counts only one."""
        counters = counters_in(_parsed(self.total))
        return counters[0] if len(counters) == 1 else None

    @property
    def depends_on_tile(self) -> bool:
        """Unless all that it has are counters over `$window`, which are counted exactly."""
        texts = (self.total, self.errors)
        return any(set(selectors_in(text)) != set(counters_in(_parsed(text))) for text in texts)

    @property
    def gap_words(self) -> tuple[str, str]:
        return "value", "what was not counted then is unknown"

    def describe(self) -> str:
        return "events, as the definition's expressions count them"


def _check_named(node: Node, by: tuple[str, ...], at: Path, report: Report) -> None:
    """Refuses labels of `by` that the expression makes: its selectors are narrowed to each value. Raises Fault once reported."""
    for part in walk(node):
        if isinstance(part, Call) and part.func in ("label_replace", "label_join"):
            target = part.args[1]
            if isinstance(target, String) and target.value in by:
                report(
                    at,
                    f"`{part.func}` makes the label {target.value}, and `by` is of labels that the metrics have",
                    "error",
                )
                raise Fault


def selectors_in(text: str) -> list[VectorSelector]:
    """The selectors of an expression, without offsets."""
    nodes = walk(parse(text.replace(WINDOW_VARIABLE, "5m")))
    return [replace(node, offset_ms=0, at=None) for node in nodes if isinstance(node, VectorSelector)]


Unit = Literal["rate", "count"] | None


def unit_of(node: Node) -> Unit:
    """Whether an expression is a number of events or events per second; None where it is neither, or cannot be known."""
    match node:
        case Call(func="rate" | "irate"):
            return "rate"
        case Call(func="increase" | "count_over_time" | "sum_over_time"):
            return "count"
        case Call(func="vector" | "scalar" | "time" | "histogram_quantile"):
            return None
        case Call(args=args):
            return next((unit for part in args if (unit := unit_of(part))), None)
        case Aggregate(op="count" | "group"):
            return "count"
        case Aggregate(expr=expr) | Unary(expr=expr):
            return unit_of(expr)
        case Binary(op="/", left=left, right=right):
            return unit_of(left) if unit_of(right) is None else None
        case Binary(op="*", left=left, right=right) if Number(0.0) not in (left, right):
            return unit_of(left) or unit_of(right)
        case Binary(op="+" | "-" | "or", left=left, right=right):
            return unit_of(left) or unit_of(right)
        case Binary(op=op, left=left) if op != "*":
            return unit_of(left)
    return None


def _parsed(text: str) -> Node:
    return parse(text.replace(WINDOW_VARIABLE, f"{_MARK_MS}ms"))


def counters_in(node: Node) -> list[VectorSelector]:
    """The counters whose increase over `$window` an expression has, each once."""
    ranges = [part.args[0] for part in walk(node) if isinstance(part, Call) and part.func in ("increase", "rate")]
    selectors = [call.selector for call in ranges if isinstance(call, MatrixSelector) and call.range_ms == _MARK_MS]
    return list(dict.fromkeys(replace(selector, offset_ms=0) for selector in selectors if selector.at is None))


class _Tiling:
    """A raw expression on its way to a tile."""

    def __init__(self, tile: Tile, whole: VectorSelector | None) -> None:
        self.tile, self.whole = tile, whole
        self._counted: dict[int, tuple[Node, VectorSelector, Tile]] = {}

    def tiled(self, node: Node) -> Node:
        """The expression for the tile."""
        return transform(node, self._node)

    def _node(self, node: Node) -> Node:
        """One node; its children have been through here."""
        tile_ms, lag_ms = self.tile.length_ms, self.tile.lag_ms
        match node:
            case VectorSelector(offset_ms=offset, at=at):
                offset = tile_ms if offset == _MARK_MS else offset
                # A selector fixed by `@` means the same samples whenever it is asked.
                return replace(node, offset_ms=offset if at is not None else offset + lag_ms)
            case MatrixSelector(range_ms=length) if length == _MARK_MS:
                return replace(node, range_ms=tile_ms)
            case Subquery():
                # Its selectors have been moved already; its steps stay where they are.
                return replace(
                    node,
                    range_ms=tile_ms if node.range_ms == _MARK_MS else node.range_ms,
                    offset_ms=tile_ms if node.offset_ms == _MARK_MS else node.offset_ms,
                )
            case Call(func="increase" | "rate", args=(MatrixSelector(selector=selector, range_ms=length),)):
                if length != tile_ms or selector.at is not None:
                    return node
                return self._increase(selector, node.func)
            case Aggregate(op="sum", expr=expr, grouping=by, without=False) if id(expr) in self._counted and set(
                by
            ) <= set(self.tile.by):
                # Added up by target, what went on under other labels counts too.
                _, selector, tile = self._counted[id(expr)]
                whole = self.whole
                counts = counted(selector, tile) if whole in (None, selector) else counted_part(selector, whole, tile)
                summed = Aggregate("sum", counts, grouping=by)
                return self._per_second(summed, isinstance(expr, Binary) and expr.op == "/")
            case Call(func="time") if lag_ms:
                return Binary("-", node, Number(lag_ms / SECOND))
            case Call(func=func, args=()) if lag_ms and func in _CALENDAR:
                return Call(func, (Call("vector", (Binary("-", Call("time"), Number(lag_ms / SECOND)),)),))
        return node

    def _increase(self, selector: VectorSelector, func: str) -> Node:
        counter, tile = replace(selector, offset_ms=0), replace(self.tile, lag_ms=selector.offset_ms)
        node = self._per_second(by_series(counter, tile, self.whole), func == "rate")
        self._counted[id(node)] = node, counter, tile
        return node

    def _per_second(self, node: Node, rate: bool) -> Node:
        return Binary("/", node, Number(self.tile.length_ms / SECOND)) if rate else node
