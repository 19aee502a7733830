"""Text to tokens of PromQL, each with its place."""

from __future__ import annotations

import math
import re
from collections.abc import Container
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

# Possessive: digits without their unit are not tried again one fewer at a time, which takes minutes for 20,000 of them.
_DURATION = r"(?:\d++y)?(?:\d++w)?(?:\d++d)?(?:\d++h)?(?:\d++m(?!s))?(?:\d++s)?(?:\d++ms)?"
_FULL_DURATION = re.compile(_DURATION + r"\Z", re.ASCII)
_PART = re.compile(r"(\d++)(ms|[ywdhms])", re.ASCII)
_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_WORD = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_NUMERIC = re.compile(
    r"0[xX][0-9a-fA-F_]*[0-9a-zA-Z_]*|(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?[a-zA-Z0-9_]*"
)
_FLOAT = re.compile(r"(?:[0-9][0-9_]*+\.?[0-9_]*+|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9_]++)?\Z")
_UNDERSCORES = re.compile(r"__|_\Z|_[.eE+-]|[.eE+-]_")
_OPERATOR = re.compile(r"==|=~|!=|!~|<=|>=|[-+*/%^<>=(){}\[\],:@]")
_IN_BRACES = re.compile(r"=~|!=|!~|[={},]")
_SIMPLE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}


_KEYWORDS = frozenset({"offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool"})


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is word, number, duration, string, the operator itself, eof, or error, after which none follows.

    `value` is the decoded content, of a number seconds or a plain number; or the message of an error, or of a number
    that is none, which is reported where it is used. `nested` says that braces or brackets were open.
    """

    kind: str
    text: str
    start: int
    end: int
    value: float | str = ""
    nested: bool = False

    def shown(self, aggregations: Container[str] = ()) -> str:
        """As the server names a token that it did not expect."""
        word = self.text.lower()
        match self.kind:
            case "eof":
                return "end of input"
            case "word" if self.nested:
                return f"identifier {quote(self.text)}"
            case "word" if word in PRECEDENCE:
                return f"<op:{self.text}>"
            case "word" if word in _KEYWORDS:
                return f"<{self.text}>"
            case "word" if word in aggregations:
                return f"<aggr:{self.text}>"
            case "word" if word in ("inf", "nan"):
                return f"number {quote(self.text)}"
            case "word" if word in ("start", "end"):
                return quote(self.text)
            case "word":
                return f"{'metric ' if ':' in self.text else ''}identifier {quote(self.text)}"
            case "number" | "duration" | "string":
                shown = quote(self.text) if len(self.text) <= 10 else quote(self.text[:10]) + "..."
                return f"{self.kind} {shown}"
            case "@":
                return '"<Item 57400>" <op:@>'
            case kind if kind in PRECEDENCE or kind in ("=~", "!~"):
                return f"<op:{kind}>"
            case kind:
                return quote(kind)


def quote(text: str) -> str:
    """In double quotes, as Go's %q."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t") + '"'


def fail(text: str, at: int, message: str) -> NoReturn:
    """Raise a parse error that points at the character, in the server's words."""
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    raise PromqlError(f"{line}:{column}: parse error: {message}")


class _LexError(Exception):
    """A character that starts no token."""


def duration_ms(text: str) -> int | None:
    """Milliseconds of a duration such as 1h30m, units in falling order; None where the text is none."""
    if not text or not _FULL_DURATION.match(text):
        return None
    # Python refuses to read numbers of thousands of digits; with twenty it is too long anyway.
    parts = ((LONGEST_MS if len(count.lstrip("0")) > 20 else int(count), unit) for count, unit in _PART.findall(text))
    total = sum(count * UNITS_MS[unit] for count, unit in parts)
    return total if total < LONGEST_MS else None


def _float_of(digits: str, base: int) -> float:
    """The nearest number, infinite beyond all that there are."""
    try:
        return float(int(digits, base))
    except OverflowError:
        return math.inf


def _number(literal: str) -> float | None:
    lowered = literal.lower()
    if lowered.startswith("0x"):
        digits = lowered[2:]
        if not re.fullmatch(r"_?[0-9a-f]+(?:_[0-9a-f]+)*", digits):
            return None
        return _float_of(digits.replace("_", ""), 16)
    if not _FLOAT.match(literal) or _UNDERSCORES.search(literal):
        return None
    digits = literal.replace("_", "")
    if re.fullmatch(r"0[0-7]+", digits):  # an integer with a leading zero is octal
        return _float_of(digits, 8)
    return float(digits)


def tokenize(text: str) -> list[Token]:
    """All tokens; the last one is eof, or an error at the first character that starts none."""
    tokens: list[Token] = []
    at, depth = 0, {"{": 0, "(": 0, "[": 0}
    closers = {"}": "{", ")": "(", "]": "["}
    try:
        while True:
            if space := _SPACE.match(text, at):
                at = space.end()
            if at >= len(text):
                break
            tokens.append(_token(text, at, bool(depth["["]), bool(depth["{"]), tokens))
            symbol = tokens[-1].kind
            if symbol in depth:
                depth[symbol] += 1
            elif symbol in closers:
                if depth[closers[symbol]] == 0:
                    tokens.pop()
                    if symbol == "}":
                        raise _LexError("unexpected character: '}'")
                    name = "parenthesis" if symbol == ")" else "bracket"
                    raise _LexError(f"unexpected right {name} '{symbol}'")
                depth[closers[symbol]] -= 1
            at = tokens[-1].end
        tokens.append(_end(text, depth, tokens))
    except _LexError as error:
        # a stray parenthesis or colon is found behind it
        behind = ("parenthesis" in str(error) and text[at] == ")") or "colon before" in str(error)
        tokens.append(Token("error", "", at + behind, len(text), str(error)))
    return tokens


def _end(text: str, depth: dict[str, int], tokens: list[Token]) -> Token:
    end = len(text)
    if depth["{"]:
        return Token("error", "", end, end, "unexpected end of input inside braces")
    if depth["["]:
        bare = tokens[-1].kind == "["
        message = "unexpected end of input in duration expression" if bare else "unclosed left bracket"
        return Token("error", "", end, end, message)
    if depth["("]:
        return Token("error", "", end, end, "unclosed left parenthesis")
    return Token("eof", "", end, end)


def _token(text: str, at: int, bracket: bool, brace: bool, before: list[Token]) -> Token:
    char = text[at]
    where = " inside braces" if brace else " in duration expression" if bracket else ""
    if char in "\"'`":
        end, value = _string(text, at)
        return Token("string", text[at:end], at, end, value)
    if not brace and char.isascii() and (char.isdigit() or (char == "." and text[at + 1 : at + 2].isdigit())):
        return _numeric(text, at)
    if (word := _WORD.match(text, at)) and not (bracket and char != ":") and not (brace and char == ":"):
        end = word.end()
        # inside brackets and braces a colon is a separator, never part of a name
        if (bracket or brace) and ":" in word[0]:
            end = at + word[0].index(":") if word[0][0] != ":" else at + 1
        if bracket and any(token.kind == ":" for token in before[-2:]):
            raise _LexError("unexpected colon ':'")
        if bracket and before[-1].kind == "[":
            raise _LexError("unexpected colon before duration in duration expression")
        kind = ":" if text[at:end] == ":" and (bracket or brace) else "word"
        return Token(kind, text[at:end], at, end, nested=bracket or brace)
    if brace and char == "{":
        raise _LexError("unexpected left brace '{'")
    if brace and char == ":":
        raise _LexError("unexpected character inside braces: ':'")
    if not brace and text[at : at + 2] in ("=~", "!~"):
        raise _LexError(f"unexpected character after '{char}': '~'")
    if operator := (_IN_BRACES if brace else _OPERATOR).match(text, at):
        return Token(operator[0], operator[0], at, operator.end())
    if char == "!" and at + 1 < len(text):
        raise _LexError(f"unexpected character after '!'{where}: '{text[at + 1]}'")
    shown = {"\\": "\\\\", "'": "\\'"}.get(char, char)
    raise _LexError(f"unexpected character{where}: '{shown}'")


def _numeric(text: str, at: int) -> Token:
    match = _NUMERIC.match(text, at)
    literal = match[0] if match else text[at]
    # in brackets a range may be followed by the colon of a subquery; the pattern never takes one
    end = at + len(literal)
    if text[end : end + 1] == "." or (literal[-1] in "eE" and text[end : end + 1] in ("+", "-")):
        raise _LexError(f"bad number or duration syntax: {quote(literal + text[end])}")
    value = _number(literal)
    if value is not None:
        if math.isinf(value):
            fault = f'error parsing number: strconv.ParseFloat: parsing "{literal}": value out of range'
            return Token("number", literal, at, end, fault)
        return Token("number", literal, at, end, value)
    length = duration_ms(literal)
    if length is not None:
        return Token("duration", literal, at, end, length / 1000)
    if re.fullmatch(r"0[xX]_?", literal):
        fault = f'error parsing number: strconv.ParseFloat: parsing "{literal}": invalid syntax'
        return Token("number", literal, at, end, fault)
    if re.fullmatch(_DURATION, literal, re.ASCII):
        return Token("duration", literal, at, end, "duration out of range")
    if end < len(text) and re.fullmatch(r"[0-9.]++[eE]", literal):
        fault = f'error parsing number: strconv.ParseFloat: parsing "{literal}": invalid syntax'
        return Token("number", literal, at, end, fault)
    if re.fullmatch(r"[0-9]*+\.?[0-9]*+[smhdwy]s?(?:[0-9]++[smhdw]s?)*", literal):
        fault = f"not a valid duration string: {quote(literal)}"
        return Token("duration", literal, at, end, fault)
    raise _LexError(f"bad number or duration syntax: {quote(_taken(literal))}")


def _taken(literal: str) -> str:
    """As much of a malformed number as the server's lexer takes before it gives up."""
    if match := re.match(r"[0-9]*+\.?[0-9]*+[smhdwy]s?(?:[0-9]++[smhdw]s?)*(?:[0-9]+|\w)?", literal, re.ASCII):
        return match[0]
    match = re.match(r"[0-9]*+(?:\.[0-9]++\.|\.\.|[0-9_]*_[_.eE]|\.?[0-9]*+[eE][+-]?[0-9]*[_.eE]?)", literal)
    digits = re.match(r"[0-9_.]+", literal)
    return match[0] if match else digits[0] if digits else literal


def _string(text: str, at: int) -> tuple[int, str]:
    delimiter = text[at]
    if delimiter == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise _LexError("unterminated raw string")
        return end + 1, text[at + 1 : end]
    out = bytearray()
    here = at + 1
    while True:
        char = text[here : here + 1]
        if char in ("", "\n"):
            raise _LexError("unterminated quoted string")
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
    if letter and letter == delimiter:
        out += letter.encode()
        return at + 1
    if not letter:
        raise _LexError("escape sequence not terminated")
    width, base, first = {"x": (2, 16, 1), "u": (4, 16, 1), "U": (8, 16, 1)}.get(letter, (3, 8, 0))
    if not first and letter not in "01234567":
        raise _LexError(f"unknown escape sequence U+{ord(letter):04X} '{letter}'")
    digits = text[at + first : at + first + width]
    allowed = "0123456789abcdefABCDEF" if base == 16 else "01234567"
    for digit in digits:
        if digit not in allowed:
            raise _LexError(f"illegal character U+{ord(digit):04X} '{digit}' in escape sequence")
    if len(digits) < width:
        raise _LexError("escape sequence not terminated")
    code = int(digits, base)
    if (letter in "uU" and (code > 0x10FFFF or 0xD800 <= code <= 0xDFFF)) or (letter not in "uUx" and code > 255):
        raise _LexError("escape sequence is an invalid Unicode code point")
    if letter in "uU":
        out += chr(code).encode("utf-8")
    else:
        out.append(code)
    return at + first + width
