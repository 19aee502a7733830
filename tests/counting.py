"""Short forms for tests: an SLI counted on samples, and its tiles as PromQL."""

from __future__ import annotations

from slo.promql.ast import Node
from slo.promql.samples import Samples
from slo.sli.base import Sli
from slo.sli.counted import CountedSli
from slo.sli.counts import TARGET_LABELS, Counts, Grid
from slo.sli.raw import Raw
from slo.sli.tile import Tile


def count(sli: CountedSli, samples: Samples, grid: Grid, first: int = 0) -> Counts:
    """The events per step."""
    return sli.count(samples, grid, TARGET_LABELS, first).counts


def errors_tile(sli: Sli, tile_ms: int, lag_ms: int = 0, by: tuple[str, ...] = (), scrape_ms: int = 30_000) -> Node:
    """The bad events of a tile."""
    return sli.errors_tile(Tile(tile_ms, lag_ms, by, scrape_ms=scrape_ms))


def total_tile(sli: Sli, tile_ms: int, lag_ms: int = 0, by: tuple[str, ...] = (), scrape_ms: int = 30_000) -> Node:
    """All events of a tile."""
    return sli.total_tile(Tile(tile_ms, lag_ms, by, scrape_ms=scrape_ms))


def raw_tile(text: str, tile_ms: int, lag_ms: int = 0) -> Node:
    """An expression over `$window` for a tile."""
    return Raw(text, text).total_tile(Tile(tile_ms, lag_ms))
