"""The grammar of Prometheus's promqltest scripts: a text becomes `clear`, `load` and `eval` commands.

A blank line or the next command ends a block; a comment in it is passed over. A command that is not of the grammar
becomes a `Fault` and the rest of the file is read all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from slo.errors import PromqlError
from slo.promql.notation import Labels, Value, number, parse_series, values_of
from slo.promql.parse import parse, parse_duration

_LOAD = re.compile(r"load(_with_nhcb)?\s+(\S+)(?:\s*#.*)?$")
_INSTANT = re.compile(r"eval(?:_(fail|warn|info|ordered))?\s+instant\s+(?:at\s+(\S+)\s+)?(.+)$", re.DOTALL)
_RANGE = re.compile(
    r"eval(?:_(fail|warn|info|ordered))?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)$", re.DOTALL
)
_COMMAND = re.compile(r"clear\s*(?:#.*)?$|load(?:_with_nhcb)?\s+\S+\s*$|eval(?:_\w+)?\s+(?:instant|range)\s")
_EXPECT = re.compile(r"expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):\s*(.*))?$")
_EXPECT_RANGE = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)$")
_EXPECT_STRING = re.compile(r"expect\s+string\s+(.+)$", re.DOTALL)
_OLD_FAIL = re.compile(r"expected_fail_(message|regexp)\s+(.*)$")


@dataclass
class Expectation:
    """What an eval shall give. Texts come as (msg or regex, text), with an empty kind where any text will do."""

    fail: bool = False
    fail_texts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str, str]] = field(default_factory=list)  # (warn|info|no_warn|no_info, kind, text)
    ordered: bool = False
    text: str | None = None
    scalar: float | None = None
    window: tuple[float, float, float] | None = None
    series: list[tuple[Labels, list[Value]]] = field(default_factory=list)


@dataclass(frozen=True)
class Clear:
    """Forget all that was loaded."""

    line: int


@dataclass(frozen=True)
class Load:
    """Series with a value every `step_ms` from the epoch on; `as_histograms` where classic buckets become native too."""

    line: int
    step_ms: int
    series: tuple[tuple[Labels, tuple[Value, ...]], ...]
    as_histograms: bool


@dataclass(frozen=True)
class Eval:
    """A query at `start`, or from `start` to `end` (seconds since the epoch) where `end` is not None."""

    line: int
    expr: str
    start: float
    end: float | None
    step: float
    expect: Expectation


@dataclass(frozen=True)
class Fault:
    """A command that could not be read, and why."""

    line: int
    message: str


Command = Clear | Load | Eval | Fault


def seconds(text: str) -> float:
    """A duration such as 1m30s, or a number of seconds, with its sign. Raises PromqlError."""
    negative = text.startswith("-")
    return (-1 if negative else 1) * parse_duration(text[1:] if text[:1] in "+-" and text else text) / 1000


def commands(text: str) -> Iterator[Command]:
    """The commands of a script in order."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        line = _clean(lines[at])
        begin = at + 1
        at += 1
        if not line:
            continue
        block = []
        if not line.startswith("clear"):
            while at < len(lines) and lines[at].strip() and not _COMMAND.match(lines[at]):
                if _clean(lines[at]):
                    block.append((at + 1, _clean(lines[at])))
                at += 1
        yield _command(line, begin, block)


def _command(line: str, begin: int, block: list[tuple[int, str]]) -> Command:
    here = begin
    try:
        if re.match(r"clear\s*(?:#.*)?$", line):
            return Clear(begin)
        if match := _LOAD.match(line):
            step_ms = parse_duration(match[2])
            series = []
            for place, text in block:
                here = place
                labels, rest = parse_series(text)
                series.append((labels, tuple(values_of(rest))))
            return Load(begin, step_ms, tuple(series), match[1] is not None)
        if not line.startswith("eval"):
            raise PromqlError(f"expected clear, load or eval, got {line!r}")
        expect = Expectation()
        if match := _INSTANT.match(line):
            kind, start, end, step, expr = match[1], seconds(match[2] or "0"), None, 0.0, match[3]
        elif match := _RANGE.match(line):
            kind, start, end, step, expr = match[1], seconds(match[2]), seconds(match[3]), seconds(match[4]), match[5]
        else:
            raise PromqlError("expected eval instant at T EXPR or eval range from A to B step S EXPR")
        expect.fail, expect.ordered = kind == "fail", kind == "ordered"
        if kind in ("warn", "info"):
            expect.notes.append((kind, "", ""))
        for place, text in block:
            here = place
            _expect(text, expect)
        return Eval(begin, expr, start, end, step, expect)
    except PromqlError as error:
        return Fault(here, str(error))


def _expect(text: str, expect: Expectation) -> None:
    if match := _OLD_FAIL.match(text):
        expect.fail_texts.append(("msg" if match[1] == "message" else "regex", match[2].strip()))
    elif match := _EXPECT_RANGE.match(text):
        expect.window = (seconds(match[1]), seconds(match[2]), seconds(match[3]))
    elif match := _EXPECT_STRING.match(text):
        expect.text = getattr(parse(match[1].strip()), "value", None)
        if not isinstance(expect.text, str):
            raise PromqlError(f"expected a string literal, got {match[1]!r}")
    elif match := _EXPECT.match(text):
        match match[1]:
            case "ordered":
                expect.ordered = True
            case "fail":
                expect.fail = True
                if match[2]:
                    expect.fail_texts.append((match[2], match[3].strip()))
            case note:
                expect.notes.append((note, match[2] or "", (match[3] or "").strip()))
    elif text.startswith("expect "):
        raise PromqlError(f"unknown expectation: {text!r}")
    elif (value := number(text)) is not None:
        expect.scalar = value
    elif text.startswith("{{"):
        expect.series.append(((), values_of(text)))
    else:
        labels, rest = parse_series(text)
        expect.series.append((labels, values_of(rest)))


def _clean(line: str) -> str:
    line = line.strip()
    return "" if line.startswith("#") else line
