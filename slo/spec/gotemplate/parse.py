"""Whether a server takes a text as an alert's template: Go's text/template parser, without what it builds.

As a server does when it loads rules, it checks the syntax, and that functions and variables exist; whether a function
gets arguments that it can use shows only when the alert fires.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NoReturn

from slo.spec.gotemplate.lex import TemplateToken, tokenize

# What Prometheus 2.42 and all later ones have. Later additions (toDuration, now, urlQueryEscape) are refused by those before.
FUNCTIONS = frozenset(
    {
        "and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print", "printf",
        "println", "slice", "urlquery",
        "args", "externalURL", "first", "graphLink", "humanize", "humanize1024", "humanizeDuration", "humanizePercentage",
        "humanizeTimestamp", "label", "match", "parseDuration", "pathPrefix", "query", "reReplaceAll", "safeHtml",
        "sortByLabel", "stripDomain", "stripPort", "strvalue", "tableLink", "title", "toLower", "toTime", "toUpper",
        "value",
    }
)  # fmt: skip
# A server puts the definitions of these before every template of an alert.
VARIABLES = ("$labels", "$externalLabels", "$externalURL", "$value")
_DEEPEST = 50

_OPERANDS = frozenset(
    {
        "bool", "character", "complex", "dot", "field", "identifier", "number", "nil", "raw", "string", "variable", "(",
    }
)  # fmt: skip
# A later command of a pipeline is given what the one before it makes; these can take nothing.
_NOT_EXECUTABLE = frozenset({"bool", "dot", "nil", "number", "string"})
_INTEGER = re.compile(r"(?P<sign>[+-]?)(?P<digits>0|[1-9][0-9]*|0[xX][0-9a-fA-F]+)")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(
    r"\\(?:[abfnrtv\\]|(?P<quote>['\"])|(?P<octal>[0-7]{3})|x[0-9a-fA-F]{2}|u(?P<short>[0-9a-fA-F]{4})"
    r"|U(?P<long>[0-9a-fA-F]{8}))"
)


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """What is wrong and where: a character offset in the text."""

    at: int
    message: str


class _RefusedTemplate(Exception):  # noqa: N818 - becomes a TemplateFault
    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


def fault_in(text: str) -> TemplateFault | None:
    """What keeps a server from loading a rule with this template; None where nothing does."""
    if "{{" not in text:
        return None  # nothing but text
    try:
        _TemplateParser(text).document()
    except _RefusedTemplate as refused:
        return TemplateFault(refused.at, str(refused))
    return None


class _TemplateParser:
    """Recursive descent, in the shape of Go's own. `variables` are those known where it stands."""

    def __init__(self, text: str) -> None:
        self.tokens = tokenize(text)
        self.at = 0
        self.variables: list[str] = ["$", *VARIABLES]
        self.ranges = 0
        self.depth = 0
        self.defined: set[str] = set()  # templates with something in them

    # tokens

    def peek(self) -> TemplateToken:
        return self.tokens[min(self.at, len(self.tokens) - 1)]

    def next(self) -> TemplateToken:
        token = self.peek()
        self.at += 1
        return token

    def skip_spaces(self) -> TemplateToken:
        while self.peek().kind == "space":
            self.at += 1
        return self.peek()

    def next_word(self) -> TemplateToken:
        self.skip_spaces()
        return self.next()

    def expect(self, kinds: Iterable[str], where: str) -> TemplateToken:
        token = self.next_word()
        if token.kind not in kinds:
            self.unexpected(token, where)
        return token

    def unexpected(self, token: TemplateToken, where: str) -> NoReturn:
        if token.kind == "error":
            raise _RefusedTemplate(token.start, token.text)
        text = {"eof": "the end of the text", "text": "text", "}}": "`}}`"}.get(token.kind, f"`{token.text}`")
        raise _RefusedTemplate(token.start, f"{text} cannot stand in {where}")

    # the document

    def document(self) -> None:
        while self.peek().kind != "eof":
            if self.peek().kind == "{{":
                opening = self.at
                self.next()
                if self.next_word().kind == "define":
                    self.definition()
                    continue
                self.at = opening
            kind, token = self.text_or_action()
            if kind in ("end", "else"):
                raise _RefusedTemplate(
                    token.start, f"`{{{{{kind}}}}}` without the `if`, `range` or `with` that it belongs to"
                )

    def definition(self) -> None:
        name = self.next_word()
        meaning = self.template_name(name, "a define")
        self.expect(("}}",), "a define")
        self.named_body(name, meaning, "define")

    def named_body(self, name: TemplateToken, meaning: str, what: str) -> None:
        """The text of a define or block, up to its end; it knows no variables of what is around it."""
        outer, ranges = self.variables, self.ranges
        self.variables, self.ranges = ["$"], 0
        empty, closing, token = self.items()
        if closing != "end":
            raise _RefusedTemplate(token.start, f"`{{{{else}}}}` cannot stand in a {what}")
        self.variables, self.ranges = outer, ranges
        if meaning.startswith("__alert_"):
            raise _RefusedTemplate(name.start, f"the name {meaning!r} is the server's own")
        if not empty and meaning in self.defined:
            raise _RefusedTemplate(name.start, f"the template {meaning!r} is defined twice")
        if not empty:
            self.defined.add(meaning)

    def items(self) -> tuple[bool, str, TemplateToken]:
        """Whether nothing but space stood before the `end` or `else` that comes, which of them, and where."""
        empty = True
        while self.skip_spaces().kind != "eof":
            kind, token = self.text_or_action()
            if kind in ("end", "else"):
                return empty, kind, token
            empty = empty and kind == "blank"
        raise _RefusedTemplate(self.peek().start, "`{{end}}` is missing")

    def text_or_action(self) -> tuple[str, TemplateToken]:
        token = self.next_word()
        if token.kind == "text":
            return ("text" if token.text.strip(" \t\r\n") else "blank"), token
        if token.kind != "{{":
            self.unexpected(token, "the text")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _RefusedTemplate(token.start, f"is nested deeper than {_DEEPEST} levels")
        kind = self.action()
        self.depth -= 1
        return kind, token

    # actions

    def action(self) -> str:
        token = self.next_word()
        match token.kind:
            case "block":
                name = self.next_word()
                meaning = self.template_name(name, "a block")
                self.pipeline("a block", "}}")
                self.named_body(name, meaning, "block")
            case "break" | "continue":
                self.expect(("}}",), f"`{{{{{token.kind}}}}}`")
                if not self.ranges:
                    raise _RefusedTemplate(token.start, f"`{{{{{token.kind}}}}}` stands outside a range")
            case "else":
                if self.skip_spaces().kind != "if":
                    if self.peek().kind == "with":
                        raise _RefusedTemplate(
                            self.peek().start, "`else with` is not known to all servers; write `{{else}}{{with …}}`"
                        )
                    self.expect(("}}",), "`{{else}}`")
                return "else"
            case "end":
                self.expect(("}}",), "`{{end}}`")
                return "end"
            case "if" | "range" | "with":
                self.control(token.kind)
            case "template":
                self.template_name(self.next_word(), "a template action")
                if self.skip_spaces().kind == "}}":
                    self.next()
                else:
                    self.pipeline("a template action", "}}")
            case _:
                self.at -= 1
                self.pipeline("an action", "}}")
        return "action"

    def control(self, kind: str) -> None:
        known = len(self.variables)
        self.pipeline(f"`{kind}`", "}}", is_range=kind == "range")
        self.ranges += kind == "range"
        _, closing, _ = self.items()
        self.ranges -= kind == "range"
        if closing == "else":
            if self.skip_spaces().kind == "if":
                if kind != "if":
                    raise _RefusedTemplate(self.peek().start, f"`else if` belongs to an `if`, not to a `{kind}`")
                self.next()
                self.control("if")
            else:
                _, closing, token = self.items()
                if closing != "end":
                    raise _RefusedTemplate(token.start, "a second `{{else}}`; `{{end}}` is missing")
        del self.variables[known:]

    def template_name(self, token: TemplateToken, where: str) -> str:
        if token.kind not in ("string", "raw"):
            self.unexpected(token, where)
        if re.search(r"[\\\r]", token.text):  # it would have to be decoded to be compared with others
            raise _RefusedTemplate(token.start, f"the name {token.text} has a character that no template's name needs")
        return token.text[1:-1]

    # pipelines

    def pipeline(self, where: str, end: str, is_range: bool = False) -> None:
        start = self.skip_spaces()
        self.declarations(where, is_range)
        stages = 0
        while True:
            token = self.next_word()
            if token.kind == end:
                break
            if token.kind not in _OPERANDS:
                self.unexpected(token, where)
            self.at -= 1
            first = self.command()
            stages += 1
            if stages > 1 and first in _NOT_EXECUTABLE:
                raise _RefusedTemplate(
                    token.start, f"`{token.text}` takes no value from the `|` before it; name a function"
                )
        if not stages:
            raise _RefusedTemplate(start.start, f"a value is missing in {where}")

    def declarations(self, where: str, is_range: bool) -> None:
        declared = 0
        while (variable := self.skip_spaces()).kind == "variable":
            back = self.at
            self.next()
            following = self.skip_spaces()
            if following.kind in ("=", ":="):
                self.next()
                self.variables.append(variable.text)
                return
            if following.kind != "char" or following.text != ",":
                self.at = back
                return
            self.next()
            self.variables.append(variable.text)
            declared += 1
            if not is_range or declared > 1:
                raise _RefusedTemplate(following.start, f"too many variables are set in {where}")
            if self.skip_spaces().kind not in ("variable", "}}", ")"):
                raise _RefusedTemplate(self.peek().start, "a range can only set variables")

    def command(self) -> str:
        """One command, its `|` too where one follows. Gives the kind of its first operand."""
        first = ""
        while True:
            self.skip_spaces()
            kind = self.operand()
            first = first or kind
            token = self.next()
            if token.kind == "space":
                continue
            if token.kind in ("}}", ")"):
                self.at -= 1
            elif token.kind != "|":
                self.unexpected(token, "a command")
            break
        if not first:
            raise _RefusedTemplate(token.start, "a command is empty")
        return first

    def operand(self) -> str:
        kind = self.term()
        if kind and self.peek().kind == "field":
            token = self.peek()
            while self.peek().kind == "field":
                self.next()
            if kind in _NOT_EXECUTABLE:
                raise _RefusedTemplate(token.start, f"`{token.text}` cannot follow a value that has no fields")
            if kind not in ("field", "variable"):
                kind = "chain"
        return kind

    def term(self) -> str:
        """The kind of a value; empty where none stands."""
        token = self.next_word()
        match token.kind:
            case "identifier":
                if token.text not in FUNCTIONS:
                    raise _RefusedTemplate(token.start, _no_function(token.text))
            case "variable":
                if token.text not in self.variables:
                    close = get_close_matches(token.text, self.variables, n=1)
                    known = [name for name in self.variables if name != "$"]
                    hint = (
                        f"did you mean `{close[0]}`?" if close else f"accepted are {', '.join(known) or '$ and fields'}"
                    )
                    raise _RefusedTemplate(token.start, f"there is no variable `{token.text}` here; {hint}")
            case "character" | "complex" | "number":
                _check_number(token)
                return "number"
            case "string" | "raw":
                _check_string(token)
                return "string"
            case "(":
                self.depth += 1
                if self.depth > _DEEPEST:
                    raise _RefusedTemplate(token.start, f"is nested deeper than {_DEEPEST} levels")
                self.pipeline("parentheses", ")")
                self.depth -= 1
            case "dot" | "nil" | "field" | "bool":
                pass
            case _:
                self.at -= 1
                return ""
        return token.kind


def _no_function(name: str) -> str:
    if f"${name}" in VARIABLES:
        return f"there is no function `{name}`; did you mean the variable `${name}`?"
    close = get_close_matches(name, FUNCTIONS, n=1)
    return f"there is no function `{name}`" + (f"; did you mean `{close[0]}`?" if close else "")


def _check_number(token: TemplateToken) -> None:
    text = token.text
    if token.kind == "character":
        inner = text[1:-1]
        escape = _ESCAPE.fullmatch(inner)
        if (len(inner) == 1 and inner != "\\") or (escape and escape["quote"] != '"' and _is_character(escape)):
            return
        raise _RefusedTemplate(token.start, f"{text} is not one character")
    if len(text) <= 80 and (match := _INTEGER.fullmatch(text)):
        value = int(match["digits"], 0)
        if value < 2**63 or (value < 2**64 and not match["sign"]):
            return
    elif _FLOAT.fullmatch(text) and abs(float(text)) != float("inf"):
        return
    raise _RefusedTemplate(token.start, f"{text!r} is not a valid number; write one such as 100, 0.5 or 1e6")


def _check_string(token: TemplateToken) -> None:
    inner = token.text[1:-1]
    at = 0
    while token.kind == "string" and (at := inner.find("\\", at)) >= 0:
        escape = _ESCAPE.match(inner, at)
        if escape is None or escape["quote"] == "'" or not _is_character(escape):
            raise _RefusedTemplate(token.start + 1 + at, f"`{inner[at : at + 2]}` is not a valid escape in a string")
        at = escape.end()


def _is_character(escape: re.Match[str]) -> bool:
    if escape["octal"]:
        return int(escape["octal"], 8) < 256
    code = int(escape["short"] or escape["long"] or "0", 16)
    return code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
