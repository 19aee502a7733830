"""The engine beside a real Prometheus 3.5: the same data, random expressions, equal answers or equal refusals.

`SLO_DIFFERENTIAL=20000` runs that many cases; `SLO_SEED` sets the seed, which a failure prints.
"""

from __future__ import annotations

import math
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slo.errors import PromqlError
from slo.promql import Engine, rangefns
from tests.promql.grammar import BASE, LENGTH, Grammar, openmetrics, samples, series
from tests.promql.remote import EXPERIMENTAL, Real
from tests.servers import Prometheus, load_openmetrics

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("promql-differential")]

SEED = int(os.environ.get("SLO_SEED", "1"))
CASES = int(os.environ.get("SLO_DIFFERENTIAL", "2000"))
CAUSES = (
    "labelset", "many-to-many matching not allowed", "multiple matches for labels", "NaN", "overflows", "underflows",
    "ratio", "invalid",
)  # fmt: skip


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("differential")
    text = folder / "data.txt"
    text.write_text(openmetrics(series(SEED)))
    return load_openmetrics(text, folder / "data")


def answer_of(data: dict[str, Any]) -> dict[tuple[tuple[str, str], ...], dict[float, float]]:
    kind, result = data["resultType"], data["result"]
    if kind in ("scalar", "string"):
        return {(): {float(result[0]): float(result[1])}}
    out = {}
    for one in result:
        points = one["values"] if "values" in one else [one["value"]]
        out[tuple(sorted(one["metric"].items()))] = {float(t): float(v) for t, v in points}
    return out


def same(a: float, b: float) -> bool:
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=1e-10, abs_tol=1e-13)


def difference(engine: Engine, real: Real, expr: str, at: float, until: float | None, step: int) -> str | None:
    """What the two disagree on, or None."""
    if until is None:
        theirs = real.ask("/api/v1/query", query=expr, time=f"{at:.3f}")
    else:
        theirs = real.ask("/api/v1/query_range", query=expr, start=f"{at:.3f}", end=f"{until:.3f}", step=step)
    try:
        ours = engine.query(expr, at=at) if until is None else engine.query_range(expr, at, until, step)
    except PromqlError as error:
        if theirs["status"] != "error":
            return f"we refuse ({error}), the server answers {str(theirs['data']['result'])[:300]}"
        if theirs["errorType"] == "execution" and not any(c in str(error) and c in theirs["error"] for c in CAUSES):
            return f"other causes: {error} / {theirs['error']}"
        return None
    if theirs["status"] == "error":
        return f"the server refuses ({theirs['error']}), we answer"
    expected = answer_of(theirs["data"])
    got = {
        tuple(sorted(one.labels.items())): dict(zip((one.times / 1000).tolist(), one.values.tolist(), strict=True))
        for one in ours.series
    }
    if set(got) != set(expected):
        return f"label sets: only ours {list(set(got) - set(expected))[:3]}, only theirs {list(set(expected) - set(got))[:3]}"
    for labels, points in expected.items():
        if set(points) != set(got[labels]):
            return f"{labels}: other steps, {len(got[labels])} for {len(points)}"
        for when, value in points.items():
            if not same(value, got[labels][when]):
                return f"{labels} at {when}: {got[labels][when]!r}, the server {value!r}"
    for kind in ("warnings", "infos"):
        noted = sorted({text.rsplit(" (", 1)[0] for text in theirs.get(kind, ())})
        mine = sorted(getattr(ours, kind))
        if noted != mine and len(noted) < 10 > len(mine):
            return f"{kind}: {mine}, the server {noted}"
    return None


def cases(seed: int, count: int) -> Iterator[tuple[str, float, float | None, int]]:
    rng = random.Random(seed)
    grammar = Grammar(rng)
    for _ in range(count):
        expr = grammar.vector(rng.choice([1, 2, 2, 3])) if rng.random() < 0.9 else grammar.scalar(2)
        at = BASE / 1000 + rng.randrange(-300, LENGTH // 1000 + 600) + rng.choice([0, 0.001, 0.5])
        # equal elements come in no set order in a server's range query, and the last digit of atan or sinh is its own
        chooses = any(word in expr for word in ("topk", "bottomk", "limitk"))
        if any(word in expr for word in ("sinh", "cosh", "exp")) or re.search(
            r"count_values.*(sin|cos|tan|ln|log|deriv|std)", expr
        ):
            continue
        if chooses or rng.random() < 0.5:
            yield expr, at, None, 0
        else:
            yield expr, at, at + rng.randrange(0, 3000), rng.choice([15, 60, 61, 300])


@pytest.mark.parametrize("mode", ["delayed", "plain", "long windows"])
def test_random_expressions_answer_as_the_server_does(
    mode: str, blocks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if mode == "long windows":  # by prefix sums, whatever the length
        monkeypatch.setattr(rangefns, "DIRECT", -1)
    features = EXPERIMENTAL + (",promql-delayed-name-removal" if mode == "delayed" else "")
    engine = Engine(samples(series(SEED)), interval="15s", delayed_name_removal=mode == "delayed")
    found = []
    with Prometheus(tmp_path, data=blocks, flags=[f"--enable-feature={features}"]) as server, np.errstate(all="ignore"):
        real = Real(server.address)
        for expr, at, until, step in cases(SEED * 1000 + ["delayed", "plain", "long windows"].index(mode), CASES // 3):
            try:
                problem = difference(engine, real, expr, at, until, step)
            except Exception as error:  # noqa: BLE001 - a crash is a finding like any other
                problem = f"crash: {type(error).__name__}: {error}"
            if problem:
                found.append(f"{expr}   at {at} {until} {step}\n      {problem}")
    assert not found, f"seed {SEED}, {mode}: {len(found)} disagreements\n" + "\n".join(found[:40])
