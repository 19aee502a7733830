"""The engine alongside a real Prometheus 3.5: the same data, random expressions, equal answers, notes and refusals.

`SLO_DIFFERENTIAL=20000` runs that many cases; `SLO_SEED` sets the seed of series and expressions, which a failure prints.
"""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from slo.errors import PromqlError
from slo.promql import Engine, rangecalls, windows
from slo.promql.result import Result
from tests.promql import confirm
from tests.promql.grammar import BASE, LENGTH, Grammar, samples, series
from tests.promql.remote import Real, server
from tests.promql.scriptfile import Eval, Expectation

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("promql-differential")]

SEED = int(os.environ.get("SLO_SEED", "1"))
CASES = int(os.environ.get("SLO_DIFFERENTIAL", "700"))
MODES = ("delayed", "plain", "long windows")
# A spread of nearly equal numbers is a small difference of large ones: what is left are the last digits, and those hang
# on the order in which a server met the series.
CANCELS = re.compile(r"(stddev|stdvar)(?!_over)")
# Where the last digit of a function that Go and C compute each in its own way would show: as a label, or as what is left
# of a division.
INEXACT = (
    r"(sin|cos|tan|ln|log|exp|sqrt|std|deriv|predict|avg|sum|\^|deg|rad|rate|increase|delta|smooth|quantile|fraction)"
)
SHOWS_DIGITS = re.compile(rf"count_values.*{INEXACT}|%.*{INEXACT}|{INEXACT}.*%")


def cases(rng: random.Random) -> Eval:
    instant = rng.random() < 0.5
    grammar = Grammar(rng, instant)
    expr = grammar.vector(rng.choice([1, 2, 2, 3])) if rng.random() < 0.9 else grammar.scalar(2)
    at = BASE / 1000 + rng.randrange(-300, LENGTH // 1000 + 600) + rng.choice([0, 0.001, 0.5])
    if instant:
        return Eval(0, expr, at, None, 0, Expectation())
    return Eval(0, expr, at, at + rng.randrange(0, 3000), rng.choice([15, 60, 61, 300]), Expectation())


def difference(engine: Engine, real: Real, case: Eval) -> str | None:
    """What the two disagree on, or None."""
    theirs = confirm.ask(real, case)
    ours: Result | str
    try:
        with np.errstate(all="ignore"):
            ours = (
                engine.query(case.expr, at=case.start)
                if case.end is None
                else engine.query_range(case.expr, case.start, case.end, case.step)
            )
    except PromqlError as error:
        ours = str(error)
    if isinstance(ours, str) or isinstance(theirs, str):
        if isinstance(ours, str) and isinstance(theirs, str) and _cause(ours) == _cause(theirs):
            return None
        return f"ours: {str(ours)[:300]}; the server: {str(theirs)[:300]}"
    close = 1e-6 if CANCELS.search(case.expr) else 1e-12
    mine, wanted = _points(ours), _points(theirs)
    if set(mine) != set(wanted):
        return f"only ours {list(set(mine) - set(wanted))[:3]}, only theirs {list(set(wanted) - set(mine))[:3]}"
    for labels, points in wanted.items():
        if set(points) != set(mine[labels]):
            return f"{labels}: other steps, {len(mine[labels])} for {len(points)}"
        for at, value in points.items():
            if not _same(value, mine[labels][at], close):
                return f"{labels} at {at}: {mine[labels][at]!r}, the server {value!r}"
    if (
        case.end is None
        and re.match(r"(sort|topk|bottomk)", case.expr)
        and len(mine) <= 12
        and list(mine) != list(wanted)
    ):
        return f"the order of {list(mine)}, the server {list(wanted)}"
    for kind, held, reported in (
        ("warnings", ours.warnings, theirs.warnings),
        ("infos", ours.infos, theirs.infos),
    ):
        # a server tells ten of them, and digits of a parameter as it computed them
        if {_blunt(text) for text in held} != {_blunt(text) for text in reported} and len(reported) < 10:
            return f"{kind}: {held}, the server {reported}"
    return None


def _cause(error: str) -> str:
    """An error without the series that it names, which hang on their order."""
    return re.sub(r"for the match group .*on the|\[.*\]", "…", error)


def _blunt(note: str) -> str:
    return re.sub(r"(\d\.\d{6})\d+", r"\1", note)


def _points(result: Result) -> dict[tuple[tuple[str, str], ...], dict[int, float]]:
    return {
        tuple(sorted(row.labels.items())): dict(zip(row.times.tolist(), row.values.tolist(), strict=True))
        for row in result.series
    }


def _same(a: float, b: float, close: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=close, abs_tol=0 if close < 1e-9 else 1e-9)


@pytest.fixture(scope="module", params=MODES)
def engine_and_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Engine, Real]]:
    """The engine and a server that hold the same series, staleness markers among them."""
    mode: str = request.param
    tmp: Path = tmp_path_factory.mktemp("differential")
    rows = sorted(series(SEED * 10 + MODES.index(mode)), key=lambda row: sorted(row[0].items()))
    with server(tmp, delayed=mode != "plain") as running, pytest.MonkeyPatch.context() as patch:
        if mode == "long windows":  # by prefix sums, whatever the length
            patch.setattr(windows, "DIRECT", -1)
            patch.setattr(rangecalls, "PER_BLOCK", 400)  # and a few series at a time
        real = Real(running.address)
        real.write(rows)
        yield Engine(samples(rows), delayed_name_removal=mode != "plain"), real


@seed(SEED)
@settings(
    max_examples=CASES // len(MODES),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
@given(st.one_of(st.integers(0, 2**32).map(random.Random), st.randoms(use_true_random=False)).map(cases))
def test_random_expressions_answer_as_the_server_does(engine_and_server: tuple[Engine, Real], one: Eval) -> None:
    if SHOWS_DIGITS.search(one.expr):
        return
    # a server meets series in another order each time: a last digit may be another then, a true disagreement stays
    for _ in range(4):
        if (problem := difference(*engine_and_server, one)) is None:
            return
    raise AssertionError(f"seed {SEED}: {one.expr}   at {one.start} {one.end} {one.step}\n{problem}")
