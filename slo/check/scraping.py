"""Metrics are scraped as often as the definition says."""

from __future__ import annotations

from collections.abc import Iterator

from slo.check.model import Finding, Probed
from slo.window import format_duration

_SLOWER, _FASTER = 1.5, 0.4


def check_interval(probed: Probed) -> Iterator[Finding]:
    """Another scrape interval than the definition's, to which alert windows and tiles are fitted."""
    scrapes = probed.scrapes
    if scrapes is None:
        return
    stated, measured = probed.slo.scrape_interval_ms / 1000, scrapes[0]
    if _FASTER <= measured / stated <= _SLOWER:
        return
    real = format_duration(max(1000, round(measured) * 1000))
    message = (
        f"{probed.total.name} is scraped every {real}, and `scrape_interval` is {format_duration(round(stated * 1000))}; set "
        f"`scrape_interval: {real}` under `defaults`"
    )
    yield probed.finding("scrape-interval", "error" if measured > stated else "warning", message)
