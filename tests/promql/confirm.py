"""Test scripts alongside a real Prometheus: what they load is written to a server, and each eval is asked there.

python -m tests.promql.confirm FILE…
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from slo.promql.result import Result, ResultSeries
from slo.promql.samples import Samples
from tests.promql.expectation import problem
from tests.promql.remote import Real, server
from tests.promql.script import Check, run
from tests.promql.scriptfile import Eval
from tests.servers import Prometheus

_PLACE = re.compile(r" \(\d+:\d+\)$")


def result_of(answer: dict[str, Any]) -> Result | str:
    """A server's answer as the engine gives it, or the text of its error."""
    if answer["status"] == "error":
        return str(answer["error"]).removeprefix('invalid parameter "query": ')
    kind, held = answer["data"]["resultType"], answer["data"]["result"]
    warnings, infos = (
        tuple(dict.fromkeys(_PLACE.sub("", text) for text in answer.get(key, ()))) for key in ("warnings", "infos")
    )
    if kind == "string":
        return Result("string", (), warnings, infos, text=held[1])
    if kind == "scalar":
        return Result("scalar", (_series({}, [held]),), warnings, infos)
    rows = tuple(
        _series(series["metric"], series["values"] if "values" in series else [series["value"]]) for series in held
    )
    return Result(kind, rows, warnings, infos)


def _series(labels: dict[str, str], points: list[tuple[float, str]]) -> ResultSeries:
    times = np.array([round(at * 1000) for at, _ in points], dtype=np.int64)
    return ResultSeries(labels, times, np.array([float(value) for _, value in points]))


class Servers:
    """Makes a fresh server for each state of a script's storage; the last one is stopped at the end of the block."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.running: Prometheus | None = None

    def __call__(self, samples: Samples) -> Check:
        self.stop()
        self.running = server(self.tmp).start()
        real = Real(self.running.address)
        rows = [(series.labels, series.times.tolist(), series.values.tolist()) for series in samples.series]
        if rows:
            real.write(rows)
        return lambda case: problem(case, ask(real, case))

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def ask(real: Real, case: Eval) -> Result | str:
    """The server's answer to an eval."""
    if case.end is None:
        return result_of(real.ask("/api/v1/query", query=case.expr, time=f"{case.start:.3f}"))
    return result_of(
        real.ask(
            "/api/v1/query_range",
            query=case.expr,
            start=f"{case.start:.3f}",
            end=f"{case.end:.3f}",
            step=f"{case.step:.3f}",
        )
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Servers(Path(folder)) as servers:
        report = run(sys.argv[1:], servers)
    print("\n".join([*report.skipped, *report.failed]))
    print(f"{report.passed} passed, {len(report.failed)} failed, {len(report.skipped)} skipped")
    sys.exit(1 if report.failed else 0)
