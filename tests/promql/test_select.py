"""What a selector finds among samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.promql.ast import Matcher, VectorSelector
from slo.promql.samples import Samples, Series, matches

MATCHERS = st.builds(
    Matcher,
    st.sampled_from(["job", "code", "none"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["a", "b", "", "a|b", "200"]),
)


@given(
    st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from(["a", "b", ""]), st.sampled_from(["200", "500"]))),
    st.sampled_from(["x", "y", "z", None]),
    st.lists(MATCHERS, max_size=3),
)
def test_many_series_are_looked_up_by_their_labels(
    rows: list[tuple[str, str, str]], name: str | None, matchers: list[Matcher]
) -> None:
    """The same series in the same order as when all are gone through."""
    none = np.zeros(0)
    every = [
        Series({"__name__": metric, "job": job, "code": code}, none.astype(np.int64), none)
        for metric, job, code in rows
    ]
    expected = [
        series
        for series in every
        if name in (None, series.labels["__name__"]) and all(matches(matcher, series.labels) for matcher in matchers)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slo.promql.samples._INDEXED", 0)
        held, selector = Samples(every), VectorSelector(name, tuple(matchers))
        assert held.select(selector) == held.select(selector) == expected
