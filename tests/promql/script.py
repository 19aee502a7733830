"""Runs test scripts in the grammar of Prometheus's promqltest: `python -m tests.promql.script FILE…`.

Each `eval` is checked against its expectations, instant ones also as range queries; a failure is printed with its
file and line. The exit code is 0 when all held, else 1. Native histograms are not supported: an evaluation that
expects one, or that reads a series which has one, is reported as skipped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slo.errors import PromqlError
from slo.promql.ast import Binary, Call, Node, VectorSelector, walk
from slo.promql.engine import Engine
from slo.promql.notation import Labels, Unsupported
from slo.promql.parse import parse
from slo.promql.result import Result
from slo.promql.samples import Samples
from tests.promql import scriptfile
from tests.promql.expectation import almost, key_of, problem
from tests.promql.scriptfile import Clear, Eval, Fault, Load


@dataclass
class Report:
    """How many evals held; the others by file and line."""

    passed: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


@dataclass
class Storage:
    """What a script has loaded since its last `clear`."""

    floats: dict[Labels, dict[int, float]] = field(default_factory=dict)
    histograms: set[Labels] = field(default_factory=set)

    def load(self, command: Load) -> None:
        for labels, values in command.series:
            held = self.floats.setdefault(labels, {})
            for index, value in enumerate(values):
                if isinstance(value, Unsupported):
                    self.histograms.add(labels)
                elif value is not None:
                    held[index * command.step_ms] = value
            if command.as_histograms and (converted := _converted(labels)):
                self.histograms.add(converted)

    def samples(self) -> Samples:
        rows = []
        for labels, held in self.floats.items():
            times = sorted(held)
            rows.append((dict(labels), np.array(times, dtype=np.int64), np.array([held[t] for t in times])))
        return Samples.from_series(rows)

    def unsupported(self, evaluation: Eval) -> str:
        """Why an eval needs native histograms; empty where it does not."""
        if any(isinstance(value, Unsupported) for _, values in evaluation.expect.series for value in values):
            return "a histogram is expected"
        if not self.histograms:
            return ""
        try:
            node = parse(evaluation.expr)
        except PromqlError:
            return ""
        held = Samples.from_series((dict(labels), [], []) for labels in self.histograms)
        for selector in walk(node):
            if isinstance(selector, VectorSelector) and held.select(selector):
                return f"{selector} holds histograms"
        return ""


def _converted(labels: Labels) -> Labels | None:
    """The native histogram to which load_with_nhcb adds a bucket."""
    held = dict(labels)
    name = held.get("__name__", "")
    if not name.endswith("_bucket") or "le" not in held:
        return None
    held["__name__"] = name.removesuffix("_bucket")
    del held["le"]
    return tuple(sorted(held.items()))


Check = Callable[[Eval], str]  # what is wrong, empty where nothing is


def run_script(file: str, text: str, report: Report, checker: Callable[[Samples], Check]) -> None:
    """Runs the commands of a script; `checker` makes of the loaded samples what asks for an eval's answer."""
    storage = Storage()
    check: Check | None = None
    for command in scriptfile.commands(text):
        place = f"{file}:{command.line}"
        match command:
            case Fault(message=message):
                report.failed.append(f"{place}: {message}")
            case Clear():
                storage, check = Storage(), None
            case Load():
                storage.load(command)
                check = None
            case Eval():
                if reason := storage.unsupported(command):
                    report.skipped.append(
                        f"{place}: skipped, native histograms are not supported: {command.expr} ({reason})"
                    )
                    continue
                check = check or checker(storage.samples())
                if wrong := check(command):
                    report.failed.append(f"{place}: {command.expr}\n    {wrong}")
                else:
                    report.passed += 1


def on_engine(samples: Samples) -> Check:
    """Checks evals on the engine, instant ones also as range queries."""
    engine = Engine(samples)

    def check(evaluation: Eval) -> str:
        answer: Result | str
        try:
            if evaluation.end is None:
                answer = engine.query(evaluation.expr, at=evaluation.start)
            else:
                answer = engine.query_range(evaluation.expr, evaluation.start, evaluation.end, evaluation.step)
        except PromqlError as error:
            answer = str(error)
        if wrong := problem(evaluation, answer):
            return wrong
        if evaluation.end is None and isinstance(answer, Result) and (wrong := _as_range(engine, evaluation, answer)):
            return f"as a range query: {wrong}"
        return ""

    return check


def _as_range(engine: Engine, evaluation: Eval, instant: Result) -> str:
    """The same answer at the middle of a range of three steps; where the answer hangs on the range itself, none."""
    node = parse(evaluation.expr)
    if instant.type in ("matrix", "string") or evaluation.expect.ordered or _needs_instant(node):
        return ""
    try:
        result = engine.query_range(node, evaluation.start - 60, evaluation.start + 60, 60)
    except PromqlError as error:
        return str(error)
    moment = round(evaluation.start * 1000)
    middle = {
        key_of(series.labels): float(series.values[series.times == moment][0])
        for series in result.series
        if (series.times == moment).any()
    }
    direct = {key_of(series.labels): float(series.values[0]) for series in instant.series}
    if set(middle) != set(direct) or not all(almost(value, middle[labels]) for labels, value in direct.items()):
        return f"expected {direct}, got {middle}"
    return ""


def _needs_instant(node: Node) -> bool:
    for inner in walk(node):
        if isinstance(inner, Call) and inner.func.startswith("sort"):
            return True
        if isinstance(inner, Binary) and inner.op == "or":
            return True
        if getattr(inner, "at", None) is not None:
            return True
    return False


def run(files: Sequence[str], checker: Callable[[Samples], Check] = on_engine) -> Report:
    """Runs the scripts; what cannot be read is among what failed."""
    report = Report()
    for file in files:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            report.failed.append(f"{file}: {error}")
            continue
        run_script(file, text, report, checker)
    return report


def main(files: Sequence[str]) -> int:
    if not files:
        print("usage: python -m tests.promql.script FILE…", file=sys.stderr)
        return 2
    total = run(files)
    for line in (*total.skipped, *total.failed):
        print(line)
    print(f"{total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
