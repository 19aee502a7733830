"""Runs test scripts in the grammar of Prometheus's promqltest: `python -m slo.promql.script FILE…`.

Each `eval` is checked against its expectations, instant ones also as range queries; a failure is printed with its
file and line. The exit code is 0 when all held, else 1. Native histograms are not supported: an evaluation that
expects one, or that reads a series which has one, is told as skipped.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slo.errors import PromqlError
from slo.promql.ast import Binary, Call, Node, VectorSelector, walk
from slo.promql.engine import Engine
from slo.promql.notation import UNSUPPORTED, Unsupported, Value, number, parse_series, values_of
from slo.promql.parse import parse, parse_duration
from slo.promql.result import Result
from slo.promql.samples import Samples, is_stale

_LOAD = re.compile(r"load(_with_nhcb)?\s+(\S+)$")
_INSTANT = re.compile(r"eval(?:_(fail|warn|info|ordered))?\s+instant\s+(?:at\s+(\S+)\s+)?(.+)$", re.DOTALL)
_RANGE = re.compile(r"eval(?:_(fail|warn|info))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)$", re.DOTALL)
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):\s*(.*))?$")
_EXPECT_RANGE = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)$")
_EPSILON = 1e-6

Labels = tuple[tuple[str, str], ...]


@dataclass
class Expectation:
    """What an eval shall give."""

    fail: bool = False
    fail_message: list[tuple[str, str]] = field(default_factory=list)  # (msg or regex, text)
    notes: list[tuple[str, str, str]] = field(default_factory=list)  # (warn|info|no_warn|no_info, kind, text)
    ordered: bool = False
    text: str | None = None
    scalar: float | None = None
    window: tuple[float, float, float] | None = None
    series: list[tuple[Labels, list[Value]]] = field(default_factory=list)


@dataclass(frozen=True)
class Eval:
    file: str
    line: int
    expr: str
    start: float
    end: float | None
    step: float
    expect: Expectation


@dataclass
class Report:
    passed: int = 0
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class ScriptError(PromqlError):
    """A script that is not of the grammar."""


def seconds(text: str) -> float:
    """A duration or a number of seconds."""
    negative = text.startswith("-")
    return (-1 if negative else 1) * parse_duration(text.lstrip("+-")) / 1000


class Script:
    """One script: its storage as it is loaded, and the evals as they come."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.split("\n")
        self.loaded: dict[Labels, dict[int, float]] = {}
        self.histograms: set[Labels] = set()
        self.engine: Engine | None = None

    def run(self, report: Report) -> None:
        for evaluation in self.evals():
            self.check(evaluation, report)

    def evals(self) -> Iterator[Eval]:
        at = 0
        while at < len(self.lines):
            line = _clean(self.lines[at])
            number_ = at + 1
            at += 1
            if not line:
                continue
            if line == "clear":
                self.loaded, self.histograms, self.engine = {}, set(), None
            elif found := _LOAD.match(line):
                step_ms = parse_duration(found[2])
                while at < len(self.lines) and _clean(self.lines[at]):
                    self.load(_clean(self.lines[at]), step_ms, at + 1)
                    at += 1
                self.engine = None
            elif line.startswith("eval"):
                block = []
                while at < len(self.lines) and _clean(self.lines[at]):
                    block.append((at + 1, _clean(self.lines[at])))
                    at += 1
                yield self.eval(line, number_, block)
            else:
                raise ScriptError(f"{self.file}:{number_}: expected clear, load or eval, got {line!r}")

    def load(self, line: str, step_ms: int, at: int) -> None:
        try:
            labels, rest = parse_series(line)
            values = values_of(rest)
        except PromqlError as error:
            raise ScriptError(f"{self.file}:{at}: {error}") from None
        samples = self.loaded.setdefault(labels, {})
        for index, value in enumerate(values):
            if isinstance(value, Unsupported):
                self.histograms.add(labels)
            elif value is not None:
                samples[index * step_ms] = value

    def eval(self, line: str, at: int, block: Sequence[tuple[int, str]]) -> Eval:
        expect = Expectation()
        if found := _INSTANT.match(line):
            kind, start, expr = found[1], seconds(found[2] or "0"), found[3]
            end, step = None, 0.0
        elif found := _RANGE.match(line):
            kind, start, end, step, expr = found[1], seconds(found[2]), seconds(found[3]), seconds(found[4]), found[5]
        else:
            raise ScriptError(
                f"{self.file}:{at}: expected eval instant at T EXPR or eval range from A to B step S EXPR"
            )
        expect.fail = kind == "fail"
        expect.ordered = kind == "ordered"
        if kind in ("warn", "info"):
            expect.notes.append((kind, "", ""))
        for number_, text in block:
            try:
                self.expect(text, expect)
            except PromqlError as error:
                raise ScriptError(f"{self.file}:{number_}: {error}") from None
        return Eval(self.file, at, expr, start, end, step, expect)

    def expect(self, text: str, expect: Expectation) -> None:
        if text.startswith("expected_fail_message"):
            expect.fail_message.append(("msg", text.removeprefix("expected_fail_message").strip()))
        elif text.startswith("expected_fail_regexp"):
            expect.fail_message.append(("regex", text.removeprefix("expected_fail_regexp").strip()))
        elif found := _EXPECT_RANGE.match(text):
            expect.window = (seconds(found[1]), seconds(found[2]), seconds(found[3]))
        elif text.startswith("expect string "):
            node = parse(text.removeprefix("expect string ").strip())
            expect.text = getattr(node, "value", None)
        elif found := _EXPECT.match(text):
            match found[1]:
                case "ordered":
                    expect.ordered = True
                case "fail":
                    expect.fail = True
                    if found[2]:
                        expect.fail_message.append((found[2], found[3].strip()))
                case note:
                    expect.notes.append((note, found[2] or "", (found[3] or "").strip()))
        elif (value := number(text)) is not None:
            expect.scalar = value
        elif text.startswith(("{{", "expect ")):
            if not text.startswith("{{"):
                raise ScriptError(f"unknown expectation: {text!r}")
            expect.series.append(((), [UNSUPPORTED]))
        else:
            labels, rest = parse_series(text)
            expect.series.append((labels, values_of(rest)))

    # checking

    def samples(self) -> Samples:
        rows = []
        for labels, held in self.loaded.items():
            times = sorted(held)
            rows.append((dict(labels), np.array(times, dtype=np.int64), np.array([held[t] for t in times])))
        return Samples.from_series(rows)

    def check(self, one: Eval, report: Report) -> None:
        place = f"{one.file}:{one.line}"
        if reason := self.unsupported(one):
            report.skipped.append(f"{place}: skipped, native histograms are not supported: {one.expr} ({reason})")
            return
        if self.engine is None:
            self.engine = Engine(self.samples())
        problems = [problem] if (problem := self.compare(one)) else []
        if one.end is None and not problems and not one.expect.fail and one.expect.window is None:
            problems += [f"as a range query: {problem}"] if (problem := self.compare_as_range(one)) else []
        if problems:
            report.failed.append(f"{place}: {one.expr}\n    " + "\n    ".join(problems))
        else:
            report.passed += 1

    def unsupported(self, one: Eval) -> str:
        if any(isinstance(value, Unsupported) for _, values in one.expect.series for value in values):
            return "a histogram is expected"
        if not self.histograms:
            return ""
        try:
            node = parse(one.expr)
        except PromqlError:
            return ""
        held = Samples.from_series((dict(labels), [], []) for labels in self.histograms)
        for selector in walk(node):
            if isinstance(selector, VectorSelector) and held.select(selector):
                return f"{selector} holds histograms"
        return ""

    def compare(self, one: Eval) -> str:
        assert self.engine is not None
        expect = one.expect
        try:
            if one.end is None:
                result = self.engine.query(one.expr, at=one.start)
            else:
                result = self.engine.query_range(one.expr, one.start, one.end, one.step)
        except PromqlError as error:
            if not expect.fail:
                return f"expected an answer, got the error: {error}"
            for kind, text in expect.fail_message:
                held = re.search(text, str(error)) if kind == "regex" else text == str(error) or text in str(error)
                if not held:
                    return f"expected the error {text!r}, got: {error}"
            return ""
        if expect.fail:
            return f"expected an error, got {show(result)}"
        if problem := check_notes(expect, result):
            return problem
        if expect.text is not None:
            return "" if result.text == expect.text else f"expected the string {expect.text!r}, got {result.text!r}"
        if expect.scalar is not None and not expect.series:
            if result.type != "scalar" and not (one.end is not None and len(result.series) == 1):
                return f"expected the scalar {expect.scalar}, got {show(result)}"
            good = all(almost(expect.scalar, float(value)) for value in result.series[0].values)
            return "" if good else f"expected {expect.scalar}, got {show(result)}"
        if one.end is not None:
            return self.compare_matrix(expect, result, one.start, one.step)
        if expect.window is not None:
            return self.compare_matrix(expect, result, expect.window[0], expect.window[2])
        return compare_vector(expect, result)

    def compare_matrix(self, expect: Expectation, result: Result, start: float, step: float) -> str:
        wanted = {}
        for labels, values in expect.series:
            points = {
                round((start + i * step) * 1000): value for i, value in enumerate(values) if isinstance(value, float)
            }
            wanted[labels] = points
        got = {
            key_of(series.labels): dict(zip(series.times.tolist(), series.values.tolist(), strict=True))
            for series in result.series
        }
        wanted = {labels: points for labels, points in wanted.items() if points}
        if set(wanted) != set(got):
            return f"expected the series {sorted(wanted)}, got {show(result)}"
        for labels, points in wanted.items():
            if set(points) != set(got[labels]) or not all(almost(v, got[labels][t]) for t, v in points.items()):
                return f"{labels}: expected {points}, got {got[labels]}"
        return ""

    def compare_as_range(self, one: Eval) -> str:
        """The same answer at the middle of a range of three steps; where the answer hangs on the range itself, none."""
        assert self.engine is not None
        node = parse(one.expr)
        if one.expect.ordered or one.expect.text is not None or _needs_instant(node):
            return ""
        instant = self.engine.query(node, at=one.start)
        if instant.type in ("matrix", "string"):
            return ""
        result = self.engine.query_range(node, one.start - 60, one.start + 60, 60)
        moment = round(one.start * 1000)
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
        if isinstance(inner, VectorSelector) and isinstance(inner.at, str):
            return True
        if isinstance(inner, Call) and inner.func.startswith("sort"):
            return True
        if isinstance(inner, Binary) and inner.op == "or":
            return True
        if getattr(inner, "at", None) is not None:
            return True
    return False


def _clean(line: str) -> str:
    line = line.strip()
    return "" if line.startswith("#") else line


def key_of(labels: object) -> Labels:
    return tuple(sorted(dict(labels).items()))  # type: ignore[call-overload]


def almost(wanted: float, got: float) -> bool:
    """Equal to one in a million; a stale marker only equals a stale marker."""
    stale = is_stale(np.array([wanted, got]))
    if stale.any():
        return bool(stale.all())
    if math.isnan(wanted) or math.isnan(got):
        return math.isnan(wanted) and math.isnan(got)
    if wanted == got:
        return True
    if math.isinf(wanted) or math.isinf(got):
        return False
    size = abs(wanted) + abs(got)
    difference = abs(wanted - got)
    if wanted == 0 or got == 0 or size < sys.float_info.min:
        return difference < _EPSILON * sys.float_info.min
    return difference / min(size, sys.float_info.max) < _EPSILON


def check_notes(expect: Expectation, result: Result) -> str:
    held = {"warn": result.warnings, "info": result.infos}
    for kind, how, text in expect.notes:
        notes = held[kind.removeprefix("no_")]
        if kind.startswith("no_"):
            if notes:
                return f"expected no {kind.removeprefix('no_')}, got {list(notes)}"
            continue
        matching = [
            note
            for note in notes
            if not how or (re.search(text, note) if how == "regex" else note == text or note.startswith(f"{text} ("))
        ]
        if not matching:
            return f"expected {kind} {text!r}, got {list(notes)}"
    return ""


def compare_vector(expect: Expectation, result: Result) -> str:
    if result.type == "scalar" and not expect.series:
        return f"expected no element, got {show(result)}"
    if result.type not in ("vector", "matrix"):
        return f"expected a vector, got {show(result)}"
    got = [(key_of(series.labels), float(series.values[-1])) for series in result.series]
    wanted = [(labels, values[0]) for labels, values in expect.series if values and values[0] is not None]
    if len(got) != len(wanted):
        return f"expected {wanted}, got {show(result)}"
    if not expect.ordered:
        got, wanted = sorted(got, key=lambda row: row[0]), sorted(wanted, key=lambda row: row[0])
    for (labels, value), (other, found) in zip(wanted, got, strict=True):
        if labels != other or not isinstance(value, float) or not almost(value, found):
            return f"expected {labels} {value}, got {other} {found}"
    return ""


def show(result: Result) -> str:
    if result.text is not None:
        return repr(result.text)
    rows = [f"{dict(series.labels)} {series.values.tolist()}" for series in result.series]
    return f"{result.type} [" + "; ".join(rows) + "]"


def run(files: Sequence[str]) -> Report:
    """Runs the scripts. Raises ScriptError where a file is not of the grammar, OSError where it cannot be read."""
    report = Report()
    for file in files:
        Script(file, Path(file).read_text(encoding="utf-8")).run(report)
    return report


def main(files: Sequence[str]) -> int:
    if not files:
        print("usage: python -m slo.promql.script FILE…", file=sys.stderr)
        return 2
    total = Report()
    for file in files:
        try:
            script = Script(file, Path(file).read_text(encoding="utf-8"))
            script.run(total)
        except (ScriptError, OSError) as error:
            total.failed.append(str(error))
    for line in (*total.skipped, *total.failed):
        print(line)
    print(f"{total.passed} passed, {len(total.failed)} failed, {len(total.skipped)} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
