"""A Go template's text as tokens, as Go's text/template lexer makes them. Places are character offsets in the text.

Where Go's versions differ, or where a spelling is exotic (an identifier of letters younger than Unicode 3.2), the
stricter reading holds: what a server refuses is refused here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

KEYWORDS = frozenset(["block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"])
_SPACES = " \t\r\n"
# What may follow a word, besides a space and `}}`.
_TERMINATORS = ".,|:)("
_TRIMMED_END = re.compile(r"[ \t\r\n]-\}\}")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)


@dataclass(frozen=True, slots=True)
class TemplateToken:
    """`kind` is a keyword, or one of: text, {{, }}, space, |, (, ), :=, =, char, dot, field, variable, identifier, bool,
    number, complex, character, string, raw, eof; or error, after which none follows and `text` is the message."""

    kind: str
    text: str
    start: int


class _LexFault(Exception):  # noqa: N818 - becomes the last token
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


def tokenize(text: str) -> list[TemplateToken]:
    """All tokens; the last is eof, or error."""
    tokens: list[TemplateToken] = []
    try:
        at = 0
        while (opening := text.find("{{", at)) >= 0:
            if text[at:opening].strip(_SPACES) or (at < opening and not _trims_before(text, opening)):
                tokens.append(TemplateToken("text", text[at:opening], at))
            at = _action(text, opening, tokens)
        if at < len(text):
            tokens.append(TemplateToken("text", text[at:], at))
        tokens.append(TemplateToken("eof", "", len(text)))
    except _LexFault as fault:
        tokens.append(TemplateToken("error", str(fault), fault.at))
    return tokens


def _trims_before(text: str, opening: int) -> bool:
    return text[opening + 2 : opening + 3] == "-" and text[opening + 3 : opening + 4] in tuple(_SPACES)


def _action(text: str, opening: int, tokens: list[TemplateToken]) -> int:
    """Adds the tokens of one `{{ … }}`; gives the place behind it."""
    at = opening + 2
    if _trims_before(text, opening):
        at += 2
    if text.startswith("/*", at):
        close = text.find("*/", at + 2)
        if close < 0:
            raise _LexFault(opening, "a comment is not closed; it ends with `*/}}`")
        end = close + 2
        if _TRIMMED_END.match(text, end):
            return _after(text, end + 4, True)
        if text.startswith("}}", end):
            return end + 2
        raise _LexFault(end, "a comment must be followed by `}}` at once")
    tokens.append(TemplateToken("{{", "{{", opening))
    depth = 0
    while True:
        trimmed = _TRIMMED_END.match(text, at) is not None
        if trimmed or text.startswith("}}", at):
            if depth:
                raise _LexFault(at, "a `(` is not closed")
            tokens.append(TemplateToken("}}", "}}", at))
            return _after(text, at + (4 if trimmed else 2), trimmed)
        if at >= len(text):
            raise _LexFault(opening, "`{{` is not closed; an action ends with `}}`")
        token, at = _token(text, at)
        if token.kind == "(":
            depth += 1
        elif token.kind == ")":
            depth -= 1
            if depth < 0:
                raise _LexFault(token.start, "a `)` has no `(`")
        tokens.append(token)


def _after(text: str, at: int, trimmed: bool) -> int:
    while trimmed and at < len(text) and text[at] in _SPACES:
        at += 1
    return at


def _token(text: str, at: int) -> tuple[TemplateToken, int]:
    char = text[at]
    if char in _SPACES:
        end = at
        while end < len(text) and text[end] in _SPACES and not (end > at and _TRIMMED_END.match(text, end)):
            end += 1
        return TemplateToken("space", text[at:end], at), end
    if char in "=|()":
        return TemplateToken(char, char, at), at + 1
    if char == ":":
        if not text.startswith(":=", at):
            raise _LexFault(at, "`:` must be followed by `=`, as in `$name := value`")
        return TemplateToken(":=", ":=", at), at + 2
    if char in "\"'":
        return _quoted(text, at, char)
    if char == "`":
        end = text.find("`", at + 1)
        if end < 0:
            raise _LexFault(at, "a raw string is not closed by a backquote")
        return TemplateToken("raw", text[at : end + 1], at), end + 1
    if char == "$" or (char == "." and not _digit(text[at + 1 : at + 2])):
        return _field_or_variable(text, at)
    if char in "+-." or _digit(char):
        return _number(text, at)
    if _alphanumeric(char):
        end = _word_end(text, at)
        word = text[at:end]
        kind = word if word in KEYWORDS else "bool" if word in ("true", "false") else "identifier"
        return TemplateToken(kind, word, at), end
    if " " <= char <= "~":
        return TemplateToken("char", char, at), at + 1
    raise _LexFault(at, f"the character {char!r} cannot stand in an action")


def _quoted(text: str, at: int, quote: str) -> tuple[TemplateToken, int]:
    end = at + 1
    while True:
        char = text[end : end + 1]
        if char == "\\":
            end += 1
            char = text[end : end + 1]
        elif char == quote:
            kind = "string" if quote == '"' else "character"
            return TemplateToken(kind, text[at : end + 1], at), end + 1
        if char in ("", "\n"):
            what = "string" if quote == '"' else "character constant"
            raise _LexFault(at, f"a {what} is not closed by {quote}")
        end += 1


def _field_or_variable(text: str, at: int) -> tuple[TemplateToken, int]:
    end = _word_end(text, at + 1)
    if text[at] == "$":
        return TemplateToken("variable", text[at:end], at), end
    return TemplateToken("field" if end > at + 1 else "dot", text[at:end], at), end


def _word_end(text: str, at: int) -> int:
    end = at
    while end < len(text) and _alphanumeric(text[end]):
        end += 1
    following = text[end : end + 1]
    if following and following not in _SPACES + _TERMINATORS and not text.startswith("}}", end):
        raise _LexFault(end, f"{following!r} cannot follow `{text[at:end]}` without a space")
    return end


def _number(text: str, at: int) -> tuple[TemplateToken, int]:
    match = _NUMBER.match(text, at)
    end = match.end() if match else at + 1
    kind = "number"
    if text[end : end + 1] in ("+", "-"):
        match, kind = _NUMBER.match(text, end), "complex"
        end = match.end() if match else end + 1
    if end < len(text) and _alphanumeric(text[end]):
        raise _LexFault(at, f"{text[at : end + 1]!r} is not a valid number")
    return TemplateToken(kind, text[at:end], at), end


def _digit(char: str) -> bool:
    return char != "" and char in "0123456789"


def _alphanumeric(char: str) -> bool:
    if char < "\x80":
        return char == "_" or char.isalnum()
    category = unicodedata.ucd_3_2_0.category(char)
    return category[0] == "L" or category == "Nd"
