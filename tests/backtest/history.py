"""A constant flow of requests with outages of chosen error ratios: what every formula is about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slo.promql.samples import Samples
from slo.source.recording import Header, Recording, write
from slo.spec.load import load
from slo.spec.model import Specs

START = 1_790_000_040_000 // 3_600_000 * 3_600_000
SCRAPE_MS = 30_000
PER_SCRAPE = 3000
HOUR = 3_600_000
DEFINITION = """\
service: shop
slos:
  - name: availability
    objective: {objective}
    sli:
      ratio:
        errors: requests_total{{job="shop",code="500"}}
        total: requests_total{{job="shop"}}
"""
Outage = tuple[float, float, float]  # hours from the start, minutes that it lasts, error ratio


def definition(place: Path, objective: str = "99.9") -> Specs:
    file = place / "shop.yaml"
    file.write_text(DEFINITION.format(objective=objective))
    return load(file)


def record(
    place: Path,
    hours: float,
    outages: Sequence[Outage],
    truth: dict[str, object] | None = None,
    hole: tuple[float, float] | None = None,
) -> Recording:
    """3,000 requests each 30 s; in an outage the given share of them fails, and between the hours of a hole nothing is scraped."""
    steps = int(hours * HOUR / SCRAPE_MS)
    times = START + SCRAPE_MS * np.arange(steps + 1)
    ratio = np.zeros(steps)
    for begin, minutes, share in outages:
        low = round(begin * HOUR / SCRAPE_MS)
        ratio[low : low + round(minutes * 60_000 / SCRAPE_MS)] = share
    bad = np.round(PER_SCRAPE * ratio)
    begin, end = (START + hour * HOUR for hour in hole or (hours + 1, hours + 1))
    seen = (times < begin) | (times >= end)
    rows = [
        ({"__name__": "requests_total", "job": "shop", "instance": "a", "code": code}, times[seen],
         np.concatenate([[0.0], np.cumsum(events)])[seen])
        for code, events in (("200", PER_SCRAPE - bad), ("500", bad))
    ]  # fmt: skip
    file = place / "history.parquet"
    write(file, Samples.from_series(rows), Header(START, int(times[-1]), "test", truth or {}))
    return Recording.open(file)
