"""The engine refuses what would take too much memory, before it takes any, in a server's words."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slo.errors import PromqlError
from slo.promql import Engine, Samples, run_rules

ROOT = Path(__file__).parent.parent.parent
END = 1_790_000_000
TIMES = np.arange((END - 86_400) * 1000, END * 1000 + 1, 30_000)
SAMPLES = Samples.from_series(
    ({"__name__": "up", "i": str(n)}, TIMES, np.arange(len(TIMES), dtype=float)) for n in range(3)
)
REFUSED = "would load too many samples into memory in query execution"


@pytest.mark.parametrize(
    "query",
    [
        "rate(up[1d:1ms])", "vector(1)[100y:1s]", "sum_over_time(vector(1)[1d:1ms])", "up[1d:1ms]", "max_over_time(rate(up[1m])[1d:5ms])",
        "sum_over_time(sum_over_time(up[1h:1ms])[1d:1ms])", "absent_over_time(up[1y:1ms])", "max_over_time(time()[1d:1ms])",
        "1 + avg(quantile_over_time(0.5, up[12h:1ms]))", "rate(up[1d:1ms] @ end())", "rate(up[1d:1ms] offset 100y)",
    ],
)  # fmt: skip
def test_too_many_samples_are_refused_before_memory_is_taken(query: str) -> None:
    if "time()[" in query:
        query = query.replace("time()", "vector(time())")
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(PromqlError, match=REFUSED):
        Engine(SAMPLES).query(query, at=END)
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB


@pytest.mark.parametrize("query", ["up", "rate(up[5m])", "1", "vector(1)", "sum(up)"])
def test_too_many_steps_are_refused(query: str) -> None:
    with pytest.raises(PromqlError, match=REFUSED):
        Engine(SAMPLES).query_range(query, 0, 10**12, "1s")


def test_values_that_are_counted_are_limited_too() -> None:
    engine = Engine(SAMPLES, max_samples=2_000_000)
    with pytest.raises(PromqlError, match=REFUSED):
        engine.query_range('count_values("v", up)', END - 86_400, END, "30s")  # 2,881 values at 2,881 steps
    assert len(engine.query_range('count_values("v", up)', END - 600, END, "30s").series) == 21


@given(st.integers(1, 100), st.integers(1, 3000))
def test_the_limit_is_that_of_series_and_steps_together(most: int, steps: int) -> None:
    engine = Engine(SAMPLES, max_samples=most)
    for query in ("up", "rate(up[5m])", "sum(up)"):
        refused = 3 * steps > most
        try:
            engine.query_range(query, END - steps + 1, END, "1s")
        except PromqlError as error:
            assert refused and REFUSED in str(error)
        else:
            assert not refused


def test_a_long_range_has_the_limits_of_the_pieces_that_a_server_would_have() -> None:
    engine = Engine(SAMPLES, max_samples=3 * 11_000)
    assert len(engine.query_range("up", END - 32_999, END, "1s").series) == 3
    with pytest.raises(PromqlError, match=REFUSED):
        Engine(SAMPLES, max_samples=3 * 10_999).query_range("up", END - 10_999, END, "1s")


def test_a_rule_that_asks_for_too_much_is_named() -> None:
    groups = {
        "groups": [
            {
                "name": "g",
                "rules": [{"record": "a", "expr": "sum(rate(up[1d:1ms]))"}, {"record": "b", "expr": "sum(up)"}],
            }
        ]
    }
    result = run_rules(groups, SAMPLES, END - 600, END)
    assert any(REFUSED in str(problem) for problem in result.problems)
    assert {series.labels["__name__"] for series in result.recorded.series} == {"b"}


ALLOWED = """
import resource, sys
import tests.promql.test_limits as t
from slo.promql import Engine
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Engine(t.Samples(t.SAMPLES.series[:1])).query(sys.argv[1], at=t.END)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif("SLO_SLOW" not in os.environ, reason="slow: gigabytes; make slow runs it")
@pytest.mark.parametrize("function", ["quantile_over_time", "rate", "max_over_time", "deriv", "mad_over_time"])
def test_what_is_allowed_stays_below_two_gigabytes(function: str) -> None:
    first = "0.5, " if function == "quantile_over_time" else ""
    query = f"{function}({first}up[1d:9ms])"  # 9.6 million samples
    done = subprocess.run([sys.executable, "-c", ALLOWED, query], capture_output=True, text=True, cwd=ROOT, check=True)
    assert int(done.stdout) < 2000  # MiB
