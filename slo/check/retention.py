"""The server keeps samples for as long as the window is."""

from __future__ import annotations

from collections.abc import Iterator

from slo.budget.notes import SPARE_DAYS
from slo.check.model import Finding, Probed
from slo.source import retention_ms
from slo.window import DAY, format_duration


def check_retention(probed: Probed) -> Iterator[Finding]:
    """A window that is longer than the server's memory."""
    kept, window = retention_ms(probed.source), probed.slo.window
    if kept is None or kept >= window.nominal_ms:
        return
    days = -(-window.nominal_ms // DAY) + SPARE_DAYS
    message = (
        f"the window is {window} and the server keeps {format_duration(kept)} of samples, so older events are missing; start it "
        f"with --storage.tsdb.retention.time={days}d, or load the rules (`slo rules`) into a store that keeps more"
    )
    yield probed.finding("retention", "warning", message)
