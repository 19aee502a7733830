"""The notation of series in test scripts: `name{a="b"} 1+2x3 _x2 stale NaN`."""

from __future__ import annotations

import re

from slo.errors import PromqlError
from slo.promql.lex import _number, tokenize
from slo.promql.samples import STALE


class Unsupported:
    """Stands for a native histogram."""

    def __repr__(self) -> str:
        return "a native histogram"


UNSUPPORTED = Unsupported()
Labels = tuple[tuple[str, str], ...]
Value = float | Unsupported | None

_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
# hexadecimal only where it cannot be read as a run: 0x10 is zero, and ten more of it
_NUM = r"(?:0[xX](?![0-9]+(?:\s|\Z))[0-9a-fA-F_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF]|[nN][aA][nN])"
_ITEM = re.compile(rf"([+-]?{_NUM})(?:([+-])({_NUM}))?(?:x([0-9]+))?(?=\s|\Z)")
_BLANK = re.compile(r"_(?:x([0-9]+))?(?=\s|\Z)")
_STALE = re.compile(r"stale(?:x([0-9]+))?(?=\s|\Z)")
_HISTOGRAM = re.compile(r"\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x([0-9]+))?(?=\s|\Z)")


def number(text: str) -> float | None:
    """A float in the notation of scripts, with its sign; None where the text is none."""
    sign = -1.0 if text.startswith("-") else 1.0
    body = text[1:] if text[:1] in "+-" and text else text
    match body.lower():
        case "nan":
            return float("nan")
        case "inf":
            return sign * float("inf")
        case _:
            value = _number(body) if body else None
            return None if value is None else sign * value


def parse_series(line: str) -> tuple[Labels, str]:
    """The labels of a line, and what follows them. Raises PromqlError."""
    at = 0
    labels: dict[str, str] = {}
    if word := _WORD.match(line):
        labels["__name__"] = word[0]
        at = word.end()
    while (
        at < len(line) and line[at].isspace() and line[at:].lstrip().startswith("{") and "{{" not in line[at : at + 3]
    ):
        at += 1
    if at < len(line) and line[at] == "{" and not line.startswith("{{", at):
        end = _closing(line, at)
        tokens = tokenize(line[at:end])
        if tokens[-1].kind == "error":
            raise PromqlError(f"{tokens[-1].value} in {line!r}")
        tokens = tokens[1:-2]
        i = 0
        while i < len(tokens):
            name = str(tokens[i].value) if tokens[i].kind == "string" else tokens[i].text
            if tokens[i].kind == "string" and (i + 1 == len(tokens) or tokens[i + 1].kind == ","):
                labels["__name__"] = name
                i += 1
            elif i + 2 < len(tokens) and tokens[i + 1].kind == "=" and tokens[i + 2].kind == "string":
                labels[name] = str(tokens[i + 2].value)
                i += 3
            else:
                raise PromqlError(f'expected label="value" in {line!r}')
            if i < len(tokens):
                if tokens[i].kind != ",":
                    raise PromqlError(f"expected ',' between labels in {line!r}")
                i += 1
        at = end
    elif not labels:
        raise PromqlError(f'expected a series such as name{{a="b"}} 1 2 3, got {line!r}')
    return tuple(sorted((name, value) for name, value in labels.items() if value)), line[at:].strip()


def _closing(line: str, at: int) -> int:
    quoted = ""
    i = at
    while i < len(line):
        char = line[i]
        if quoted:
            if char == "\\" and quoted != "`":
                i += 1
            elif char == quoted:
                quoted = ""
        elif char in "\"'`":
            quoted = char
        elif char == "}":
            return i + 1
        i += 1
    raise PromqlError(f"labels are not closed in {line!r}")


def values_of(text: str) -> list[Value]:
    """The values in order, None where a sample is left out. Raises PromqlError."""
    values: list[Value] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        if text[at] == "#":
            break
        if match := _BLANK.match(text, at):
            values += [None] * (1 if match[1] is None else int(match[1]))
        elif match := _STALE.match(text, at):
            values += [float(STALE)] * (1 if match[1] is None else int(match[1]) + 1)
        elif match := _HISTOGRAM.match(text, at):
            values += [UNSUPPORTED] * (1 if match[1] is None else int(match[1]) + 1)
        elif match := _ITEM.match(text, at):
            values += _run(match)
        else:
            raise PromqlError(f"not a series value: {text[at:].split()[0]!r}")
        at = match.end()
    return values


def _run(match: re.Match[str]) -> list[Value]:
    first = number(match[1])
    if first is None:
        raise PromqlError(f"not a number: {match[1]!r}")
    if match[3] is None:
        return [first] * (1 if match[4] is None else int(match[4]) + 1)
    step = number(match[3])
    if step is None or match[4] is None:
        raise PromqlError(f"expected a run such as 0+1x5, got {match[0]!r}")
    values: list[Value] = []
    for _ in range(int(match[4]) + 1):
        values.append(first)
        first = first + step if match[2] == "+" else first - step
    return values
