"""Does a test fail when a line is wrong? Changes one place of the sources at a time and runs the tests that reach it.

    python -m tests.mutants                         # 200 of all mutants, drawn by seed 0
    python -m tests.mutants --sample 60 --seed 7 8 --jobs 4 'slo/budget/*'

It works in a copy of the tree. First all tests run once, to see which lines each of them reaches. A mutant is then held
against the tests that reach its statement, quick ones first, up to some seconds of them. It dies where
one fails, cannot be collected or takes far too long. What survives is printed with its place; so is the score.

Not changed are: annotations, decorators, docstrings, texts and messages, asserts, what only type checkers read, and the places in
`EQUIVALENT`, which nothing could tell from the original.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import fnmatch
import importlib
import json
import math
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parent.parent
SOURCES = ("slo/sli/*.py", "slo/budget/*.py", "slo/window.py")
# What is to kill them: tests that need no server and take seconds.
TESTS = (
    "tests/test_window.py",
    "tests/sli",
    "tests/budget",
    "tests/contract/test_contract.py",
    "tests/contract/test_gaps.py",
    "tests/spec/test_load.py",
    "tests/spec/test_checks.py",
    "tests/rules/test_counting.py",
    "tests/rules/test_compile.py",
    "tests/rules/test_by.py",
    "tests/report/test_page.py",
    "tests/report/test_schema.py",
    "tests/source/test_retention.py",
    "tests/weekly/test_period.py",
)
SKIPPED = ("-m", "not server", "-k", "not promtool")
SHARE = 0.9  # so many must die
SECONDS = 20.0
TOO_SLOW = "too slow"
QUICK = 0.05  # a test below that is always tried
HISTORIES = "240"  # of the contract test's drawn ones

# Changes that cannot be seen in any result: (file, a part of the line, the change).
EQUIVALENT = {
    # Series of the same times are not compared again, which saves work.
    ("slo/sli/counts.py", "same_times(times, self._last[0])", "0  →  (-1)"),
    # So many are remembered, which saves work.
    (
        "slo/sli/counts.py",
        "if len(self._known) == _MOST_REMEMBERED",
        "len(self._known) == _MOST_REMEMBERED  →  len(self._known) != _MOST_REMEMBERED",
    ),
    ("slo/sli/counts.py", "self._known.clear()", "self._known.clear()  →  pass"),
    ("slo/sli/counts.py", "_MOST_REMEMBERED = 128", "128  →  256"),
    ("slo/sli/counts.py", "_MOST_REMEMBERED = 128", "128  →  64"),
    # One digit more than what binary numbers lose.
    ("slo/budget/breakdown.py", "-round(one.skew, 9)", "9  →  10"),
    ("slo/budget/breakdown.py", "-round(one.skew, 9)", "9  →  8"),
    ("slo/budget/policy.py", "round(remaining, 12)", "12  →  13"),
    ("slo/budget/policy.py", "round(remaining, 12)", "12  →  11"),
    # In parts, which saves memory.
    ("slo/sli/glitches.py", "_AT_ONCE = 10_000", "10_000  →  20000"),
    ("slo/sli/glitches.py", "_AT_ONCE = 10_000", "10_000  →  5000"),
    # Rather too many candidates, which the exact rule behind it looks at.
    ("slo/sli/counters.py", "possible = TRAFFIC_FACTOR * job.busiest", "1.0  →  2.0"),
    ("slo/sli/counters.py", "pauses = np.minimum(np.maximum(job.pauses", "start - job.ends  →  start + job.ends"),
    # Twelve hours and one are whole in tiles of either length.
    ("slo/window.py", "if long >= 12 * HOUR", "long >= 12 * HOUR  →  long > 12 * HOUR"),
    # Each series that goes on does so at or above its old value, and so does their sum.
    ("slo/sli/counters.py", "likely = np.flatnonzero(ended & (grown >= 0)", "0  →  (-1)"),
    # So many moments are looked at.
    ("slo/budget/groups.py", "_LOOKS = 300", "300  →  600"),
    ("slo/budget/groups.py", "_LOOKS = 300", "300  →  150"),
    ("slo/sli/counted.py", "_LOOKS = 300", "300  →  600"),
    ("slo/sli/counted.py", "_LOOKS = 300", "300  →  150"),
    # Sums of many events never differ by a tolerance to the last bit.
    (
        "slo/budget/incidents.py",
        "reached[lasts[place]] > reached[run] + rounding",
        "reached[lasts[place]] > reached[run] + rounding  →  reached[lasts[place]] >= reached[run] + rounding",
    ),
}

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_SWAPPED = {"max": "min", "min": "max", "any": "all", "all": "any", "maximum": "minimum", "minimum": "maximum"}
# They say what a type is or guard against what cannot be; and few values are sorted by insertion, whatever the `kind`.
_SILENT_KEYWORDS = {"strict", "dtype", "kw_only", "kind"}
# What is made here is text for people, or a model's description.
_TEXTS = {"Note", "Field", "ConfigDict", "report", "TypeVar"}

Lines = dict[str, set[int]]  # by file


@dataclass(frozen=True)
class Mutant:
    """A change: bytes [low, high) of a file become `text`.

    `reach` are the lines of what runs with it: of a constant those that name it, of anything else its statement; None where
    nothing but the import of the file does.
    """

    file: str
    line: int
    low: int
    high: int
    text: str
    change: str
    reach: frozenset[int] | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}"

    def apply(self, source: bytes) -> bytes:
        return source[: self.low] + self.text.encode() + source[self.high :]


class _Collector(ast.NodeVisitor):
    """All mutants of a file."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file, self.source = file, source
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.found: list[Mutant] = []
        self.inside = False
        self.reach: frozenset[int] | None = None
        self.named: dict[str, set[int]] = {}  # the lines of functions by what they name
        for function in ast.walk(ast.parse(source)):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                        name = node.id if isinstance(node, ast.Name) else node.attr
                        self.named.setdefault(name, set()).add(node.lineno)

    def visit(self, node: ast.AST) -> None:
        if self.inside and isinstance(node, ast.stmt):
            # Of a statement with a body it is the head that is changed here.
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            self.reach = frozenset(range(node.lineno, max(node.lineno, last) + 1))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = [one.id for one in (getattr(node, "targets", None) or [node.target]) if isinstance(one, ast.Name)]  # type: ignore[union-attr]
            self.reach = frozenset(line for name in names for line in self.named.get(name, ())) or None
        elif isinstance(node, ast.stmt):
            self.reach = None
        super().visit(node)

    def _at(self, line: int, column: int) -> int:
        return self.lines[line - 1] + column

    def _add(self, node: ast.expr | ast.stmt, text: str, change: str = "") -> None:
        assert node.end_lineno is not None and node.end_col_offset is not None
        low, high = self._at(node.lineno, node.col_offset), self._at(node.end_lineno, node.end_col_offset)
        before = " ".join(self.source[low:high].decode().split())
        if not change:
            change = f"{before}  →  {text}"
        self.found.append(Mutant(self.file, node.lineno, low, high, text, change, self.reach))

    def _as(self, node: ast.expr, changed: ast.expr) -> None:
        text = ast.unparse(changed)
        bare = isinstance(node, ast.Constant | ast.Name | ast.Attribute | ast.Call)
        self._add(node, text if bare else f"({text})", f"{ast.unparse(node)}  →  {text}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if any("abstractmethod" in ast.unparse(one) for one in node.decorator_list):
            return
        for default in (*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)):
            self.visit(default)
        outer, self.inside = (self.inside, self.reach), True
        for statement in node.body:
            self.visit(statement)
        self.inside, self.reach = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        # Protocols are for type checkers; a model's fields are descriptions.
        if not any(ast.unparse(base) in ("Protocol", "Model") for base in node.bases):
            for statement in node.body:
                self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self._condition(node.test)
        self.visit(node.test)
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def _condition(self, test: ast.expr) -> None:
        plain = not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp)
        if plain:
            self._add(test, f"(not {ast.unparse(test)})")

    def visit_Assert(self, node: ast.Assert) -> None:
        """They tell type checkers what is known."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Texts; before 3.12 their parts have no place."""

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.targets[0], ast.Subscript | ast.Attribute) and self.inside:
            self._add(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._add(node, "pass")
        swapped = _COMPUTED.get(type(node.op))
        if swapped is not None:
            changed = ast.AugAssign(node.target, swapped(), node.value)
            self._add(node, ast.unparse(changed))
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        if self.inside:
            self._add(node, "pass")
        self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            # False, 0 and None mostly mean the same to who asks.
            if not (isinstance(node.value, ast.Constant) and not node.value.value):
                self._add(node, "return None")
            self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.exc is None or "NotImplementedError" not in ast.unparse(node.exc):
            self._add(node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._add(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._add(node, "pass")

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, op in enumerate(node.ops):
            for other in _COMPARED[type(op)]:
                ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
                self._as(node, ast.Compare(node.left, ops, node.comparators))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._as(node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        is_type = isinstance(node.op, ast.BitOr) and not self.inside
        if type(node.op) in _COMPUTED and not isinstance(node.left, ast.JoinedStr) and not is_type:
            self._as(node, ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if not isinstance(node.op, ast.UAdd):
            self._as(node, node.operand)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._as(node, ast.Constant(not value))
        elif isinstance(value, int | float):
            for other in _others(value):
                self._add(node, f"({other!r})" if other < 0 else repr(other))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not (isinstance(node.value, ast.Name) and node.value.id[:1].isupper()):  # Literal[...]: a type
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in _TEXTS or name in ("cast", "isinstance"):
            return
        if name in _SWAPPED:
            other: ast.expr = (
                ast.Attribute(node.func.value, _SWAPPED[name], ast.Load())
                if isinstance(node.func, ast.Attribute)
                else ast.Name(_SWAPPED[name], ast.Load())
            )
            self._as(node, ast.Call(other, node.args, node.keywords))
        for place, keyword in enumerate(node.keywords):
            if keyword.arg is not None and keyword.arg not in _SILENT_KEYWORDS:
                rest = [*node.keywords[:place], *node.keywords[place + 1 :]]
                without = ast.Call(node.func, node.args, rest)
                self._add(node, ast.unparse(without), f"{ast.unparse(node.func)}(…) without {keyword.arg}=")
        for part in (node.func, *node.args):
            self.visit(part)
        for keyword in node.keywords:
            if keyword.arg not in _SILENT_KEYWORDS:
                self.visit(keyword)


def _others(value: float) -> tuple[float, float]:
    """Two numbers that a number could wrongly be. Of hundreds, such as of a limit on what is read at once, one more or less
    is no fault, and of a large float no other number; half as many is."""
    if value + 1 == value:
        return value / 2, value / 4
    if value < 100:
        return value + 1, value - 1
    return (2 * value, value // 2) if isinstance(value, int) else (2 * value, value / 2)


def collect(root: Path = ROOT, patterns: Sequence[str] = SOURCES) -> list[Mutant]:
    """All mutants of the sources that patterns name, in the order of files and places."""
    files = sorted({path for source in SOURCES for path in root.glob(source)})
    found: list[Mutant] = []
    for path in files:
        file = path.relative_to(root).as_posix()
        if not any(fnmatch.fnmatch(file, pattern) for pattern in patterns):
            continue
        source = path.read_bytes()
        collector = _Collector(file, source)
        collector.visit(ast.parse(source))
        lines = source.decode().splitlines()
        same = {(part, change) for other, part, change in EQUIVALENT if other == file}
        for part, _ in same:
            assert root != ROOT or any(part in line for line in lines), (
                f"{file} no longer has {part!r}: take it out of EQUIVALENT"
            )
        found += [
            one
            for one in collector.found
            if not any(part in lines[one.line - 1] and change == one.change for part, change in same)
        ]
    return found


@dataclass
class Case:
    """A test: how long it took (seconds of the processor's, so that a busy machine chooses the same tests), whether it
    passed, and which lines of the sources it reached."""

    name: str
    seconds: float = 0.0
    passed: bool = False
    reached: Lines = field(default_factory=dict)


class _Watch:
    """A pytest plugin that notes which lines each test reaches."""

    def __init__(self, root: Path) -> None:
        self.files = {str(path): path.relative_to(root).as_posix() for source in SOURCES for path in root.glob(source)}
        self.tests: dict[str, Case] = {}
        self.setups: dict[str, Lines] = {}
        self.lines: Lines = {}
        self.since = 0.0

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        file = self.files.get(frame.f_code.co_filename)
        if file is None:
            return None
        self.lines.setdefault(file, set()).add(frame.f_lineno)
        return self._trace

    def pytest_runtest_setup(self, item: Any) -> None:
        for file in self.files.values():  # what was computed for an earlier test is computed again
            module = sys.modules.get(file.removesuffix(".py").replace("/", "."))
            for value in vars(module).values() if module else ():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
        self.lines = {}
        self.since = time.process_time()
        sys.settrace(self._trace)

    def pytest_runtest_logreport(self, report: Any) -> None:
        test = self.tests.setdefault(report.nodeid, Case(report.nodeid))
        now = time.process_time()
        test.seconds += now - self.since
        self.since = now
        _add(test.reached, self.lines)
        if report.when == "setup":
            # A fixture of a module is set up for its first test, and meant for all.
            _add(self.setups.setdefault(report.nodeid.split("::")[0], {}), self.lines)
        if report.when == "call":
            test.passed = bool(report.passed)

    def pytest_runtest_teardown(self, item: Any) -> None:
        sys.settrace(None)

    def write(self, path: Path) -> None:
        rows = []
        for test in self.tests.values():
            _add(test.reached, self.setups.get(test.name.split("::")[0], {}))
            rows.append({**vars(test), "reached": {file: sorted(lines) for file, lines in test.reached.items()}})
        path.write_text(json.dumps(rows))


def _add(to: Lines, lines: Lines) -> None:
    for file, own in lines.items():
        to.setdefault(file, set()).update(own)


def _preload() -> None:
    """What children share: all but what is tested and the tests."""
    for name in ("numpy", "pandas", "pydantic", "yaml", "matplotlib.figure", "hypothesis.strategies", "jinja2", "pytest",
                 "requests", "re2", "orjson", "_pytest.assertion.rewrite", "pyarrow.parquet"):  # fmt: skip
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _in_child(root: Path, arguments: Sequence[str], output: Path, watched: Path | None = None) -> int:
    """Runs pytest in the copy; never returns to the caller's code."""
    os.setsid()
    os.chdir(root)
    os.environ["MPLBACKEND"] = "agg"
    os.environ.setdefault("SLO_HISTORIES", HISTORIES)
    sys.path[:] = [str(root), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "slo")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        import pytest
        from hypothesis import Phase, settings

        settings.register_profile(
            "mutants", deadline=None, derandomize=True, database=None, max_examples=40,
            phases=[Phase.explicit, Phase.generate],
        )  # fmt: skip
        watch = _Watch(root)
        code = int(
            pytest.main(
                [
                    "-q",
                    "-p",
                    "no:cacheprovider",
                    "-W",
                    "error::RuntimeWarning",
                    "--hypothesis-profile=mutants",
                    *arguments,
                ],
                [watch] if watched else [],
            )
        )
        import slo

        assert str(slo.__file__).startswith(str(root)), slo.__file__
        if watched:
            watch.write(watched)
        sys.stdout.flush()
    return code


def run(root: Path, arguments: Sequence[str], output: Path, seconds: float, watched: Path | None = None) -> int | None:
    """pytest's exit code in the copy; None where it took more than so many seconds of the processor's, or ten times as
    many by the clock: on a busy machine nothing is too slow only because others are at work."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            most = math.ceil(seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))
            code = _in_child(root, arguments, output, watched)
        finally:
            os._exit(code)
    try:
        until = time.monotonic() + 10 * seconds
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                child = 0
                code = os.waitstatus_to_exitcode(status)
                return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code
            time.sleep(0.02)
        return None
    finally:
        if child:  # it takes too long, or this program ends before it does
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError):
                    kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def chosen(mutant: Mutant, tests: Sequence[Case], seconds: float) -> list[Case]:
    """The tests that could kill a mutant, up to so many seconds of them: first those that cost next to nothing, then of
    each test function one for each way that it takes through the file; quick ones first."""

    def reaches(test: Case) -> bool:
        lines = test.reached.get(mutant.file, set())
        return bool(lines if mutant.reach is None else lines & mutant.reach)

    reached = [test for test in tests if test.passed and reaches(test)]
    if mutant.reach is None:
        # What is there as soon as the file is imported may be looked at without a call.
        beside = {test.name.split("::")[0] for test in reached}
        reached = [test for test in tests if test.passed and test.name.split("::")[0] in beside]
    reached.sort(key=lambda test: test.seconds)
    turn: dict[tuple[str, frozenset[int]], int] = {}
    ordered = []
    for test in reached:
        way = test.name.split("[")[0], frozenset(test.reached.get(mutant.file, ()))
        turn[way] = turn.get(way, 0) + (test.seconds > QUICK)
        ordered.append((turn[way], test))
    ordered.sort(key=lambda one: one[0])
    found: list[Case] = []
    spent = 0.0
    for _, test in ordered:
        if spent + test.seconds <= seconds or not found:
            found.append(test)
            spent += test.seconds
    return found


def _copy(to: Path) -> None:
    skipped = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", "out", "*.egg-info")
    shutil.copytree(ROOT, to, ignore=skipped, dirs_exist_ok=True)


def _tests(root: Path, work: Path, names: Sequence[str]) -> list[Case]:
    """All tests, and what they reach."""
    there = [name for name in names if (root / name).exists()]
    run(root, [*there, *SKIPPED], work / "first.txt", 3600, work / "tests.json")
    rows = json.loads((work / "tests.json").read_text())
    tests = [Case(**{**row, "reached": {file: set(lines) for file, lines in row["reached"].items()}}) for row in rows]
    failed = [test.name for test in tests if not test.passed]
    print(f"{len(tests)} tests, {sum(test.seconds for test in tests):.0f} s; not used: {failed or 'none'}", flush=True)
    return tests


class _Worker:
    """A copy of the tree, in which one mutant after the other is held against its tests."""

    def __init__(self, tree: Path, work: Path, tests: Sequence[Case], seconds: float) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="worker-", dir=work))
        self.root = self.work / "tree"
        shutil.copytree(tree, self.root)
        self.tests, self.seconds = tests, seconds
        self.stamp = time.time_ns()

    def dies(self, mutant: Mutant) -> str:
        """How a mutant dies; "" where it survives."""
        path = self.root / mutant.file
        source = path.read_bytes()
        against = chosen(mutant, self.tests, self.seconds)
        self._write(path, mutant.apply(source))
        try:
            limit = 15 + 4 * sum(test.seconds for test in against)
            names = ["-x", *(test.name for test in against)]
            code = run(self.root, names, self.work / "last.txt", limit) if against else 0
        finally:
            self._write(path, source)
        return TOO_SLOW if code is None else "" if code in (0, 5) else f"exit code {code}"

    def _write(self, path: Path, source: bytes) -> None:
        """Compiled files are told apart by time and size."""
        path.write_bytes(source)
        self.stamp += 2_000_000_000
        os.utime(path, ns=(self.stamp, self.stamp))


_worker: _Worker


def _start(*given: Any) -> None:
    global _worker
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    _worker = _Worker(*given)


def _dies(mutant: Mutant) -> str:
    return _worker.dies(mutant)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", default=["*"], help="only sources that match, such as 'slo/budget/*'")
    parser.add_argument("--sample", type=int, default=200, help="how many mutants are drawn")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="which ones; a sample for each seed")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of tests for one mutant")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="files and directories of tests, if not all of them")
    parser.add_argument("--line", type=int, help="only the mutants of one line")
    parser.add_argument("--jobs", type=int, default=1, help="how many mutants are tried at a time")
    given = parser.parse_args()
    every = [one for one in collect(patterns=given.patterns) if given.line in (None, one.line)]
    os.nice(10)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        work = Path(temporary)
        tree = work / "tree"
        _copy(tree)
        _preload()
        tests = _tests(tree, work, given.tests)
        pool = ProcessPoolExecutor(
            given.jobs, multiprocessing.get_context("fork"), _start, (tree, work, tests, given.seconds)
        )
        try:
            scores = [_sample(seed, every, given.sample, pool) for seed in given.seed]
        finally:
            pool.shutdown(cancel_futures=True)
    return 0 if min(scores) >= SHARE else 1


def _sample(seed: int, every: Sequence[Mutant], many: int, pool: ProcessPoolExecutor) -> float:
    """The share of a sample's mutants that die."""
    mutants = random.Random(seed).sample(every, min(many, len(every)))
    print(f"{len(mutants)} of {len(every)} mutants, seed {seed}", flush=True)
    survived: list[Mutant] = []
    slow: list[Mutant] = []
    for number, (mutant, how) in enumerate(zip(mutants, pool.map(_dies, mutants), strict=True), 1):
        if not how:
            survived.append(mutant)
            print(f"{number}/{len(mutants)} survives  {mutant}", flush=True)
        if how == TOO_SLOW:
            slow.append(mutant)
        if number % 20 == 0:
            print(f"{number}/{len(mutants)}: {number - len(survived)} died", flush=True)
    print(f"\n{len(survived)} survive:")
    for mutant in sorted(survived, key=str):
        print(f"  {mutant}")
    print(f"{len(slow)} died as they took far too long:")
    for mutant in sorted(slow, key=str):
        print(f"  {mutant}")
    died = len(mutants) - len(survived)
    score = died / len(mutants) if mutants else 1.0
    print(f"{died} of {len(mutants)} mutants of seed {seed} died: {score:.1%} (at least {SHARE:.0%} must)", flush=True)
    return score


if __name__ == "__main__":
    sys.exit(main())
