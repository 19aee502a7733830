"""Spans and runs: against a reading step by step."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from slo.spans import edges, joined, stretches, union

FLAGS = st.lists(st.booleans(), max_size=30)
SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 6)).map(lambda span: (span[0], sum(span))), max_size=8)


@given(flags=FLAGS)
def test_runs_of_flags(flags: list[bool]) -> None:
    runs, place = [], 0
    for flag, same in groupby(flags):
        length = len(list(same))
        if flag:
            runs.append((place, place + length))
        place += length
    assert stretches(np.array(flags, dtype=bool)) == runs
    assert edges(np.array(flags, dtype=bool)).shape == (len(runs), 2)


@given(flags=FLAGS, apart=st.integers(0, 5))
def test_joined_runs_have_no_pause_that_is_short_enough(flags: list[bool], apart: int) -> None:
    runs = joined(np.array(flags, dtype=bool), apart)
    inside = [any(low <= place < high for low, high in runs) for place in range(len(flags))]
    filled = list(flags)
    for place, flag in enumerate(flags):
        before = next((n for n in range(1, place + 1) if flags[place - n]), None)
        after = next((n for n in range(1, len(flags) - place) if flags[place + n]), None)
        filled[place] = flag or (before is not None and after is not None and before + after - 1 <= apart)
    assert inside == filled
    assert all(flags[low] and flags[high - 1] for low, high in runs)


@given(spans=SPANS)
def test_a_union_has_the_same_time_once(spans: list[tuple[int, int]]) -> None:
    whole = union(spans)
    moments = [place / 2 for place in range(80)]
    assert [any(low <= at <= high for low, high in whole) for at in moments] == [
        any(low <= at <= high for low, high in spans) for at in moments
    ]
    assert all(high < low for (_, high), (low, _) in pairwise(whole))
