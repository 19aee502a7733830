"""Figures are rounded once, where they are shown, and never to a better one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.display import show_count, show_duration, show_latency, show_percent, show_rate, show_ratio_up


@pytest.mark.parametrize(
    ("ratio", "digits", "shown"),
    [
        (0.99996, 2, "99.99%"),
        (1.0, 2, "100%"),
        (1.0, 1, "100.0%"),
        (0.9999999, 1, "99.9%"),
        (1 - 0.0004, 2, "99.96%"),
        (0.0, 2, "0%"),
        (-15.576, 1, "−1,557.6%"),
        (-0.055, 1, "−5.5%"),
        (-0.0001, 1, "−0.1%"),
        (0.00001, 1, "0.0%"),
        (None, 1, "n/a"),
    ],
)
def test_a_percentage_is_rounded_down(ratio: float | None, digits: int, shown: str) -> None:
    assert show_percent(ratio, digits) == shown


@given(st.floats(0, 1, exclude_max=True))
def test_only_all_is_shown_as_all(ratio: float) -> None:
    if ratio < 1 - 1e-13:
        assert not show_percent(ratio, 3).startswith("100")


@given(st.floats(1e-12, 1))
def test_only_nothing_is_shown_as_no_errors(ratio: float) -> None:
    assert show_ratio_up(ratio) not in ("0%", "0.000%")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.5, "0.5s"), (43.2, "43.2s"), (60, "1m"), (2592, "43m 12s"), (7980, "2h 13m"), (86_400, "1d"), (90_000, "1d 1h"), (None, "n/a")],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    assert show_duration(seconds) == shown


def test_others() -> None:
    assert [show_rate(r) for r in (None, 0.0, 0.004, 0.5, 1, 14.4, 99.97, 1000)] == [
        "n/a", "0.0x", "<0.01x", "0.50x", "1.0x", "14.4x", "100x", "1,000x",
    ]  # fmt: skip
    assert [show_count(c) for c in (None, 0.0, 2.5, 1234567.0)] == ["n/a", "0", "2.5", "1,234,567"]
    assert [show_latency(s) for s in (None, 0.0421, 1.5)] == ["n/a", "42.1ms", "1.5s"]
