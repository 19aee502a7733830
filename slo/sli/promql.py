"""What an SLI counts, as PromQL: the events in (t − lag − tile, t − lag], as one series without labels.

The rule is that of `slo.sli.counting`, told per series by its samples in the tile (L the last, N the least, M the
greatest of them) and by P, its last value before the tile, however far within 15 m:
- no reset: L − P, also across a gap in scraping;
- a reset: L whole, and what was scraped of the old process within the tile;
- no P, but its target (the same `job` and `instance`) was seen: the series was born, L counts whole;
- a target never seen: its first values are the baseline, so L − N.
`increase()` extrapolates where this counts: it loses rare events, first values, and all that a gap hides.
A filter at the end drops NaN, so that one broken sample cannot spoil a month.
"""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from slo.errors import PromqlError
from slo.promql.ast import (
    Aggregate,
    Binary,
    Call,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    Subquery,
    VectorMatching,
    VectorSelector,
    transform,
)
from slo.promql.parse import parse
from slo.sli.selectors import buckets
from slo.sli.slices import bad_slice
from slo.spec.build_sli import WINDOW_VARIABLE
from slo.spec.model import Freshness, Latency, NativeLatency, Outage, Probe, Ratio, Raw, Sli, Threshold
from slo.window import MINUTE

# How far back a series' last value may lie: longer pauses start from a new baseline.
LOOKBACK_MS = 15 * MINUTE
TARGET = ("job", "instance")

_ON_NOTHING = VectorMatching("many-to-many", (), on=True)
_ON_TARGET = VectorMatching("many-to-many", TARGET, on=True)
_ZERO = Number(0.0)
# Stands for `$window` while an expression is parsed; nobody writes it.
_MARK_MS = 86_399_989


def errors_tile(sli: Sli, tile_ms: int, lag_ms: int = 0, by: tuple[str, ...] = ()) -> Node:
    """The number of bad events in (t − lag − tile, t − lag]: 0 where there was only good traffic, absent without data.

    With `by` it is one series for each value of these labels (ratios, latencies and probes).

    A latency whose threshold is no bucket bound has no such number, ever: absent, not "all bad".
    """
    match sli:
        case Ratio(total=total, part=part, part_is=part_is):
            known = (total,) if part.name == total.name else (total, part)
            part_sum = _or_zero(counted(part, tile_ms, lag_ms, known, by), total, tile_ms, lag_ms, by)
            if part_is == "errors":
                return part_sum
            return Binary("-", total_tile(sli, tile_ms, lag_ms, by), part_sum)
        case Latency():
            every = every_request(sli)
            good = good_requests(sli)
            return Binary("-", counted(every, tile_ms, lag_ms, (), by), counted(good, tile_ms, lag_ms, (every,), by))
        case NativeLatency(histogram=histogram):
            observed = _observed(histogram, tile_ms, lag_ms)
            count = Call("histogram_count", (observed,))
            within = Call("histogram_fraction", (Number(float("-inf")), Number(float(sli.bound)), observed))
            slow = Binary("*", count, Binary("-", Number(1.0), within))
            # Of no requests no share is within: that is NaN, and none of them was slow.
            return Binary("or", Binary(">=", slow, _ZERO), Binary("*", _ZERO, count))
        case Probe(metric=metric):
            window = _matrix(metric, tile_ms, lag_ms)
            failed = Binary("-", Call("count_over_time", (window,)), Call("sum_over_time", (window,)))
            return Aggregate("sum", Binary(">=", failed, _ZERO), grouping=by)
        case Raw(errors=errors, total=total_text):
            nothing = Binary("*", _ZERO, raw_tile(total_text, tile_ms, lag_ms))
            return Binary("or", raw_tile(errors, tile_ms, lag_ms), nothing, matching=_ON_NOTHING)
        case Threshold() | Freshness():
            return Aggregate("sum", Call("sum_over_time", (_slices(sli, tile_ms, lag_ms),)))
        case Outage(of=of, longest_ms=longest, slice_ms=slice_ms):
            down = Subquery(down_slice(of, sli.down_ratio, slice_ms), longest, slice_ms)
            bad = Subquery(long_down(down, slice_ms), tile_ms, slice_ms, lag_ms)
            return Aggregate("sum", Call("sum_over_time", (bad,)))


def total_tile(sli: Sli, tile_ms: int, lag_ms: int = 0, by: tuple[str, ...] = ()) -> Node:
    """The number of all events in (t − lag − tile, t − lag]; absent without data. `by` as in `errors_tile`."""
    match sli:
        case Ratio(total=total):
            return counted(total, tile_ms, lag_ms, (), by)
        case Latency():
            return counted(every_request(sli), tile_ms, lag_ms, (), by)
        case NativeLatency(histogram=histogram):
            return Call("histogram_count", (_observed(histogram, tile_ms, lag_ms),))
        case Probe(metric=metric):
            return Aggregate("sum", Call("count_over_time", (_matrix(metric, tile_ms, lag_ms),)), grouping=by)
        case Raw(total=total_text):
            return raw_tile(total_text, tile_ms, lag_ms)
        case Threshold() | Freshness():
            return Aggregate("sum", Call("count_over_time", (_slices(sli, tile_ms, lag_ms),)))
        case Outage(of=of, slice_ms=slice_ms):
            judged = Subquery(down_slice(of, sli.down_ratio, slice_ms), tile_ms, slice_ms, lag_ms)
            return Aggregate("sum", Call("count_over_time", (judged,)))


def _observed(histogram: VectorSelector, tile_ms: int, lag_ms: int) -> Node:
    return Aggregate("sum", Call("increase", (_matrix(histogram, tile_ms, lag_ms),)))


def down_slice(
    of: Ratio | Latency | NativeLatency | Probe | Raw, down_ratio: Decimal, slice_ms: int, lag_ms: int = 0
) -> Node:
    """1 where the share of bad events in a slice is at least `down_ratio`, 0 where it is less, absent without traffic."""
    traffic = Binary(">", total_tile(of, slice_ms, lag_ms), _ZERO)
    share = Binary("/", errors_tile(of, slice_ms, lag_ms), traffic)
    return Binary(">=", share, Number(float(down_ratio)), return_bool=True)


def long_down(down: MatrixSelector | Subquery, slice_ms: int) -> Node:
    """1 where `down` has been 1 throughout its range, 0 where not, absent where nothing is known.

    A slice without traffic continues what was before it. At the start of a history an outage is as old as the history.
    """
    oldest: Node
    if isinstance(down, Subquery):
        oldest = Call("last_over_time", (replace(down, range_ms=slice_ms, offset_ms=down.range_ms - slice_ms),))
    else:
        selector = replace(down.selector, offset_ms=down.range_ms - slice_ms)
        oldest = Call("last_over_time", (MatrixSelector(selector, LOOKBACK_MS),))
    throughout = Binary("and", Call("min_over_time", (down,)), oldest)
    return Binary("or", throughout, Binary("*", _ZERO, Call("max_over_time", (down,))))


def _slices(sli: Threshold | Freshness, tile_ms: int, lag_ms: int) -> Subquery:
    return Subquery(bad_slice(sli), tile_ms, sli.slice_ms, lag_ms)


def counted(
    counter: VectorSelector,
    tile_ms: int,
    lag_ms: int = 0,
    known: tuple[VectorSelector, ...] = (),
    by: tuple[str, ...] = (),
) -> Node:
    """The events of all series of a counter in the tile, added up (`by` labels); absent where none has a sample in it.

    `known` selects the series that tell which targets were seen before; the counter itself if empty. Sums are taken
    before the difference: it is the same, and a server matches series half as often. A reset or a birth starts from
    nothing, so it has no part in what is subtracted.
    """
    last, least, most, before, seen = _parts(counter, tile_ms, lag_ms, known)
    start = Binary("or", Binary("<=", before, least), Binary("unless", least, seen, matching=_ON_TARGET))
    # Old and new process within one tile: the greatest value is the old one's, and counts beside the new one's. Its
    # last value before the tile is recent then; a plain selector would not find it after a failed scrape.
    recent = Call("last_over_time", (_matrix(counter, 5 * MINUTE, lag_ms + tile_ms),))
    crashed = Binary("-", Binary(">", most, last), recent)
    whole = Aggregate("sum", last, grouping=by)
    # Where there is nothing to add or to take away it is 0: of everything, or of each group.
    nothing: Node = Binary("*", _ZERO, whole) if by else Call("vector", (_ZERO,))
    grown = Binary("-", whole, Binary("or", Aggregate("sum", start, grouping=by), nothing))
    older = Aggregate("sum", Binary(">", crashed, _ZERO), grouping=by)
    return Binary(">=", Binary("+", grown, Binary("or", older, nothing)), _ZERO)


def increments(counter: VectorSelector, tile_ms: int, lag_ms: int = 0, known: tuple[VectorSelector, ...] = ()) -> Node:
    """What `counted` adds up, by series."""
    last, least, most, before, seen = _parts(counter, tile_ms, lag_ms, known)
    recent = Call("last_over_time", (_matrix(counter, 5 * MINUTE, lag_ms + tile_ms),))
    crashed = Binary("-", recent, Binary(">", most, last))
    same = Binary("<=", before, least)
    from_nothing = Binary("*", _ZERO, Binary("and", least, seen, matching=_ON_TARGET))
    start: Node = Binary("or", Binary("or", Binary("or", crashed, same), from_nothing), least)
    return Binary(">=", Binary("-", last, start), _ZERO)


def _parts(counter: VectorSelector, tile_ms: int, lag_ms: int, known: tuple[VectorSelector, ...]) -> list[Node]:
    window = _matrix(counter, tile_ms, lag_ms)
    found: list[Node] = [Call(f"{what}_over_time", (window,)) for what in ("last", "min", "max")]
    before = [_before(one, tile_ms, lag_ms) for one in (known or (counter,))]
    seen = before[0]
    for other in before[1:]:
        seen = Binary("or", seen, other)
    return [*found, _before(counter, tile_ms, lag_ms), seen]


def raw_tile(text: str, tile_ms: int, lag_ms: int = 0) -> Node:
    """An expression over `$window` for a tile that ends `lag_ms` ago, added up to one series.

    `increase` and `rate` of a counter over `$window` become the exact count; everything else stays as it is written.
    Raises PromqlError where the text does not parse.
    """
    node = parse(text.replace(WINDOW_VARIABLE, f"{_MARK_MS}ms"))
    return Aggregate("sum", transform(node, lambda part: _tiled(part, tile_ms, lag_ms)))


def _tiled(node: Node, tile_ms: int, lag_ms: int) -> Node:
    """One node of a raw expression; its children have been through here."""
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
            counted = increments(replace(selector, offset_ms=0), tile_ms, selector.offset_ms)
            return counted if node.func == "increase" else Binary("/", counted, Number(tile_ms / 1000))
        case Call(func="time") if lag_ms:
            return Binary("-", node, Number(lag_ms / 1000))
        case Call(func=func, args=()) if lag_ms and func in _CALENDAR:
            return Call(func, (Call("vector", (Binary("-", Call("time"), Number(lag_ms / 1000)),)),))
    return node


_CALENDAR = {"minute", "hour", "day_of_week", "day_of_month", "day_of_year", "days_in_month", "month", "year"}


def le_matcher(bound: Decimal) -> Matcher:
    """Matches a bucket's bound in every spelling that clients and servers use: `1` and `1.0`, `1e+06` and `1000000`."""
    spellings = _spellings(bound)
    if len(spellings) == 1:
        return Matcher("le", "=", spellings[0])
    return Matcher("le", "=~", "|".join(re.sub(r"[.+]", r"\\\g<0>", text) for text in spellings))


def _spellings(bound: Decimal) -> list[str]:
    plain = f"{bound.normalize():f}"
    found = [plain, plain if "." in plain else f"{plain}.0"]
    digits = bound.normalize().as_tuple().digits
    exponent = bound.adjusted()
    if exponent < -4 or exponent >= 6:
        mantissa = str(digits[0]) + ("." + "".join(map(str, digits[1:])) if len(digits) > 1 else "")
        sign = "-" if exponent < 0 else "+"
        found.append(f"{mantissa}e{sign}{abs(exponent):02d}")
        found.append(f"{mantissa if '.' in mantissa else mantissa + '.0'}E{exponent}")  # Java
    return list(dict.fromkeys(found))


def good_requests(sli: Latency) -> VectorSelector:
    """The bucket that counts what was fast enough, in every spelling of its bound."""
    return replace(buckets(sli), matchers=(*sli.histogram.matchers, le_matcher(sli.bound)))


def every_request(sli: Latency) -> VectorSelector:
    """The bucket that counts all."""
    return replace(buckets(sli), matchers=(*sli.histogram.matchers, Matcher("le", "=", "+Inf")))


def _or_zero(part: Node, total: VectorSelector, tile_ms: int, lag_ms: int, by: tuple[str, ...]) -> Node:
    """0 where the total was scraped and the part has no series."""
    scraped = Aggregate("group", Call("last_over_time", (_matrix(total, tile_ms, lag_ms),)), grouping=by)
    return Binary("or", part, Binary("*", _ZERO, scraped), matching=VectorMatching("many-to-many", by, on=True))


def _before(selector: VectorSelector, tile_ms: int, lag_ms: int) -> Node:
    return Call("last_over_time", (_matrix(selector, LOOKBACK_MS, lag_ms + tile_ms),))


def _matrix(selector: VectorSelector, range_ms: int, lag_ms: int) -> MatrixSelector:
    return MatrixSelector(_shift(selector, lag_ms), range_ms)


def _shift(selector: VectorSelector, lag_ms: int) -> VectorSelector:
    if selector.at is not None:
        raise PromqlError(f"{selector} is fixed in time by @ and cannot be counted over a moving window")
    return replace(selector, offset_ms=selector.offset_ms + lag_ms)
