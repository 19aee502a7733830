"""Series made short for drawing keep what a reader would see."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slo.report.axis import latency_ticks, rate_ticks, ratio_ticks, share_ticks, time_ticks, value_ticks
from slo.report.downsample import column_most, column_steps, column_sums, keep
from slo.report.text import anchor, clean, is_link
from slo.window import DAY, HOUR, MINUTE

values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=400)


@given(values, st.integers(1, 40))
def test_extremes_ends_and_gaps_survive(listed: list[float], columns: int) -> None:
    series = np.array(listed)
    index = keep(series, columns)
    assert (np.diff(index) > 0).all()
    assert index[0] == 0
    assert index[-1] == len(series) - 1
    kept = series[index]
    if not np.isnan(series).all():
        assert np.nanmax(kept) == np.nanmax(series)
        assert np.nanmin(kept) == np.nanmin(series)
    gaps = np.isnan(series)
    assert np.count_nonzero(np.diff(gaps.astype(int))) == np.count_nonzero(np.diff(np.isnan(kept).astype(int)))


def test_a_single_spike_survives() -> None:
    series = np.zeros(50_000)
    series[31_234] = 7.0
    index = keep(series, 100)
    assert 31_234 in index
    assert len(index) <= 400


def test_columns_add_up_to_what_went_in() -> None:
    series = np.arange(10.0)
    assert column_sums(series, 4).tolist() == [6.0, 22.0, 17.0]
    assert column_most(np.array([1.0, np.nan, np.nan, np.nan]), 2).tolist()[0] == 1.0
    assert np.isnan(column_most(np.array([1.0, np.nan, np.nan, np.nan]), 2)[1])


def test_columns_have_usual_lengths() -> None:
    assert column_steps(8640, 5 * MINUTE, 360) * 5 * MINUTE == 2 * HOUR
    assert column_steps(60, MINUTE, 360) == 1


def test_ticks_of_time_are_round() -> None:
    ticks = time_ticks(0, 30 * DAY, 8)
    assert [at % DAY for at, _ in ticks] == [0] * len(ticks)
    assert 4 <= len(ticks) <= 8
    assert [text for _, text in time_ticks(18 * HOUR, 19 * HOUR, 4)] == ["18:15", "18:30", "18:45"]


def test_ticks_of_shares_and_ratios() -> None:
    assert [text for _, text in share_ticks(-0.04, 1.06)] == ["0%", "25%", "50%", "75%", "100%"]
    assert [text for _, text in ratio_ticks(0.001, 0.5)] == ["0%", "0.1%", "1%", "10%"]
    assert [text for _, text in ratio_ticks(0.05, 1.0)] == ["0%", "5%", "100%"]  # 10% would touch 5%
    assert [text for _, text in rate_ticks(120)] == ["0x", "1x", "10x", "100x"]


def test_lengths_of_time_are_said_as_people_say_them() -> None:
    assert [text for _, text in latency_ticks(0.004, 30)] == ["10ms", "100ms", "1s", "10s"]
    assert [text for _, text in latency_ticks(600, 5 * 86400)] == ["10m", "1h", "6h", "1d"]
    assert [text for _, text in value_ticks(0, 2 * 3600, "seconds")] == ["0s", "30m", "1h", "1h 30m", "2h"]
    assert [text for _, text in value_ticks(0, 4.5 * 2**30, "bytes")] == ["0 B", "1 GiB", "2 GiB", "3 GiB", "4 GiB"]
    wanted = ["0 B", "256 MiB", "512 MiB", "768 MiB", "1 GiB"]
    assert [text for _, text in value_ticks(0, 1.05 * 2**30, "bytes")] == wanted


@given(st.integers(1, 400 * 24), st.integers(2, 9))
def test_labels_of_time_stand_apart(hours: int, most: int) -> None:
    """At most so many of them, evenly, whatever the window is: on 90 d they stood upon each other."""
    times = [at for at, _ in time_ticks(0, hours * HOUR, most)]
    assert len(times) <= most + 1
    assert len({b - a for a, b in itertools.pairwise(times)}) <= 1


def test_anchors_are_unique_and_plain() -> None:
    taken: set[str] = set()
    assert [anchor(text, taken) for text in ("a/b", "a b", "Ünïcode", "検索", '"><')] == [
        "slo-a-b", "slo-a-b-2", "slo-unicode", "slo-slo", "slo-slo-2"
    ]  # fmt: skip


def test_only_web_addresses_become_links() -> None:
    assert is_link("https://runbooks.example.com/a?b=c#d")
    assert not any(map(is_link, ("javascript:alert(1)", "data:text/html,x", "//x", "https://a b", 'http://a"b', "")))


def test_a_cut_text_says_so() -> None:
    assert clean("x" * 10_000).endswith("(10,000 characters, cut here)")
    assert clean("a\x00b\u202ec") == "a\ufffdb\ufffdc"
