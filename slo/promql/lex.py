"""Text to tokens of PromQL, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from slo.errors import PromqlError

UNITS_MS = {
    "y": 365 * 86_400_000, "w": 7 * 86_400_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1,
}  # fmt: skip
LONGEST_MS = 2**63 // 1_000_000  # durations are held as 64-bit nanoseconds

PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 6,
}  # fmt: skip

_DURATION = r"(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?"
_FULL_DURATION = re.compile(_DURATION + r"\Z", re.ASCII)
_PART = re.compile(r"(\d+)(ms|[ywdhms])", re.ASCII)
_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NUMERIC = re.compile(
    r"0[xX][0-9a-fA-F_]*[0-9a-zA-Z_]*|(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?[a-zA-Z0-9_]*"
)
_FLOAT = re.compile(r"(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?\Z")
_UNDERSCORES = re.compile(r"__|_\Z|_[.eE+-]|[.eE+-]_")
_OPERATOR = re.compile(r"==|=~|!=|!~|<=|>=|[-+*/%^<>=(){}\[\],:@]")
_SIMPLE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is word, number, duration, string, the operator itself, or eof; `value` is the decoded content."""

    kind: str
    text: str
    start: int
    end: int
    value: float | str = ""

    def shown(self) -> str:
        return "end of input" if self.kind == "eof" else repr(self.text)


def fail(text: str, at: int, message: str) -> NoReturn:
    """Raise a parse error that points at the character."""
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    raise PromqlError(f"not valid PromQL: {line}:{column}: parse error: {message}")


def duration_ms(text: str) -> int | None:
    """Milliseconds of a duration such as 1h30m, units in falling order; None where the text is none."""
    if not text or not _FULL_DURATION.match(text):
        return None
    total = sum(int(count) * UNITS_MS[unit] for count, unit in _PART.findall(text))
    return total if total < LONGEST_MS else None


def _number(literal: str) -> float | None:
    lowered = literal.lower()
    if lowered.startswith("0x"):
        digits = lowered[2:]
        if not re.fullmatch(r"_?[0-9a-f]+(?:_[0-9a-f]+)*", digits):
            return None
        return float(int(digits.replace("_", ""), 16))
    if not _FLOAT.match(literal) or _UNDERSCORES.search(literal):
        return None
    digits = literal.replace("_", "")
    if re.fullmatch(r"0[0-7]+", digits):  # an integer with a leading zero is octal
        return float(int(digits, 8))
    return float(digits)


def tokenize(text: str) -> list[Token]:
    """All tokens, the last one eof. Raises PromqlError at the first character that starts none."""
    tokens: list[Token] = []
    at, depth = 0, {"{": 0, "(": 0, "[": 0}
    closers = {"}": "{", ")": "(", "]": "["}
    while True:
        space = _SPACE.match(text, at)
        if space:
            at = space.end()
        if at >= len(text):
            break
        char = text[at]
        if char in "\"'`":
            end, value = _string(text, at)
            tokens.append(Token("string", text[at:end], at, end, value))
        elif char.isascii() and (char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit())):
            tokens.append(_numeric(text, at))
        elif word := _WORD.match(text, at):
            end = word.end()
            # inside brackets and braces a colon is a separator, never part of a name
            if (depth["["] or depth["{"]) and ":" in word[0]:
                end = at + word[0].index(":") if word[0][0] != ":" else at + 1
            kind = ":" if text[at:end] == ":" and (depth["["] or depth["{"]) else "word"
            tokens.append(Token(kind, text[at:end], at, end))
        elif operator := _OPERATOR.match(text, at):
            symbol = operator[0]
            if symbol in depth:
                depth[symbol] += 1
            elif symbol in closers:
                if depth[closers[symbol]] == 0:
                    fail(text, at, f"unexpected {symbol!r}: nothing was opened")
                depth[closers[symbol]] -= 1
            tokens.append(Token(symbol, symbol, at, operator.end()))
        else:
            fail(text, at, f"unexpected character: {char!r}")
        at = tokens[-1].end
    tokens.append(Token("eof", "", len(text), len(text)))
    return tokens


def _numeric(text: str, at: int) -> Token:
    found = _NUMERIC.match(text, at)
    literal = found[0] if found else text[at]
    # in brackets a range may be followed by the colon of a subquery; the pattern never takes one
    end = at + len(literal)
    value = _number(literal)
    if value is not None:
        return Token("number", literal, at, end, value)
    length = duration_ms(literal)
    if length is None:
        fail(text, at, f"bad number or duration syntax: {literal!r}")
    return Token("duration", literal, at, end, length / 1000)


def _string(text: str, at: int) -> tuple[int, str]:
    delimiter = text[at]
    if delimiter == "`":
        end = text.find("`", at + 1)
        if end < 0:
            fail(text, at, "unterminated raw string")
        return end + 1, text[at + 1 : end]
    out = bytearray()
    here = at + 1
    while True:
        char = text[here : here + 1]
        if char in ("", "\n"):
            fail(text, at, "unterminated quoted string")
        if char == delimiter:
            return here + 1, out.decode("utf-8", "surrogateescape")
        if char == "\\":
            here = _escape(text, here + 1, delimiter, out)
        else:
            out += char.encode("utf-8", "surrogateescape")
            here += 1


def _escape(text: str, at: int, delimiter: str, out: bytearray) -> int:
    """Decode the escape whose letter stands at `at` into `out`; gives the place after it."""
    letter = text[at : at + 1]
    if letter in _SIMPLE_ESCAPES:
        out.append(_SIMPLE_ESCAPES[letter])
        return at + 1
    if letter and letter in "'\"":
        if letter != delimiter:
            fail(text, at, f"unknown escape sequence: \\{letter} in a string quoted by {delimiter}")
        out += letter.encode()
        return at + 1
    width, base, first = {"x": (2, 16, 1), "u": (4, 16, 1), "U": (8, 16, 1)}.get(letter, (3, 8, 0))
    digits = text[at + first : at + first + width]
    allowed = "0123456789abcdefABCDEF" if base == 16 else "01234567"
    if not letter or len(digits) < width or any(digit not in allowed for digit in digits):
        fail(text, at, f"unknown escape sequence: \\{letter}")
    code = int(digits, base)
    if letter in "uU":
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            fail(text, at, f"escape sequence is an invalid Unicode code point: \\{letter}{digits}")
        out += chr(code).encode("utf-8")
    elif code > 255:
        fail(text, at, f"octal escape value {digits} is above 255")
    else:
        out.append(code)
    return at + first + width
