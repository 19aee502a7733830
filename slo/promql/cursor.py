"""A parser's place in the tokens, and where in the text each node came from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NoReturn

from slo.promql.ast import At, Node
from slo.promql.lex import LONGEST_MS, Token, fail, tokenize
from slo.promql.signatures import AGGREGATIONS

_ARITHMETIC = ("+", "-", "*", "/", "%", "^", "(")


@dataclass
class Places:
    """By a node's identity: where it begins, where it begins with its parentheses, its operator, a fault of its own."""

    own: dict[int, int] = field(default_factory=dict)
    outer: dict[int, int] = field(default_factory=dict)
    operator: dict[int, int] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    named: set[int] = field(default_factory=set)  # selectors with their name before the braces
    alive: list[Node] = field(default_factory=list)  # an identity is only one's own as long as the node lives

    def put(self, node: Node, start: int) -> Node:
        self.own[id(node)] = self.outer[id(node)] = start
        self.alive.append(node)
        return node


class Cursor:
    """Tokens one after the other, with errors in the server's words. Raises PromqlError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.places = Places()
        self.aggregations = 0  # that are open

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def peek(self, kind: str) -> bool:
        return self.token.kind == kind

    def keyword(self) -> str:
        """The word that stands here in lower case, as keywords are read; empty where none stands."""
        return self.token.text.lower() if self.token.kind == "word" else ""

    def take(self) -> Token:
        token = self.token
        if token.kind == "error":
            self.unexpected()
        self.at += token.kind != "eof"
        return token

    def accept(self, kind: str) -> bool:
        if self.peek(kind):
            self.at += 1
            return True
        return False

    def fail(self, at: int, message: str) -> NoReturn:
        fail(self.text, at, message)

    def unexpected(self, context: str = "", expected: str = "", token: Token | None = None) -> NoReturn:
        token = token or self.token
        if token.kind == "error":
            self.fail(token.start, str(token.value))
        message = f"unexpected {token.shown(AGGREGATIONS)}"
        context = context or ("aggregation" if self.aggregations else "")
        message += f" in {context}" if context else ""
        self.fail(token.start, message + (f", expected {expected}" if expected else ""))

    def grouping(self) -> tuple[str, ...]:
        """The labels between parentheses."""
        if not self.accept("("):
            self.unexpected("grouping opts", '"("')
        labels: list[str] = []
        while not self.peek(")"):
            token = self.token
            if token.kind not in ("word", "string") or token.text.lower() in ("inf", "nan", "without"):
                self.unexpected("grouping opts", "label")
            self.take()
            label = str(token.value) if token.kind == "string" else token.text
            if not label:
                self.fail(token.start, 'invalid label name for grouping: ""')
            labels.append(label)
            if not self.peek(")") and not self.accept(","):
                self.unexpected("grouping opts", '"," or ")"')
        self.take()
        return tuple(labels)

    # durations and timestamps

    def range_length(self) -> int:
        """A range or a step between brackets, in ms."""
        first, sign = self.token, self.signs()
        token = self.token
        if token.kind == "(":
            self.take()
            self.fail(self.token.start, "experimental duration expression is not enabled")
        if token.kind not in ("number", "duration"):
            self.unexpected("subquery selector", "number or duration")
        self.take()
        if self.token.kind in _ARITHMETIC:
            self.fail(token.start, "experimental duration expression is not enabled")
        length = self.milliseconds(token)
        if length * sign <= 0:
            self.fail(first.start, "duration must be greater than 0")
        return length

    def offset(self) -> int:
        sign = self.signs()
        token = self.token
        if token.kind == "(":
            self.take()
            self.fail(self.token.start, "experimental duration expression is not enabled")
        if self.keyword() == "inf":
            self.fail(token.start, "duration out of range")
        if token.kind not in ("number", "duration"):
            self.unexpected("offset", "number or duration")
        self.take()
        return sign * self.milliseconds(token)

    def signs(self) -> int:
        """Any number of signs, to 1 or -1."""
        sign = 1
        while self.token.kind in ("+", "-"):
            sign = -sign if self.take().kind == "-" else sign
        return sign

    def number(self, token: Token) -> float:
        """The value of a number or a duration (in seconds)."""
        if isinstance(token.value, str):
            self.fail(token.start, token.value)
        return token.value

    def milliseconds(self, token: Token) -> int:
        seconds = self.number(token)
        if math.isnan(seconds) or abs(seconds) * 1000 >= LONGEST_MS:
            self.fail(token.start, "duration out of range")
        return round(seconds * 1000) if token.kind == "duration" else int(seconds * 1000 + 1e-6)

    def timestamp(self, start: int) -> At:
        """What follows `@`; `start` is the place of the selector before it."""
        word = self.keyword()
        if word in ("start", "end"):
            self.take()
            for kind in "()":
                if not self.accept(kind):
                    self.unexpected("@", "timestamp")
            return "start" if word == "start" else "end"
        sign = -1.0 if self.token.kind == "-" else 1.0
        if self.token.kind in ("+", "-"):
            self.take()
        word = self.keyword()
        if word in ("inf", "nan"):
            self.take()
            shown = "NaN" if word == "nan" else "+Inf" if sign > 0 else "-Inf"
            self.fail(start, f"timestamp out of bounds for @ modifier: {shown}")
        if self.token.kind not in ("number", "duration"):
            self.unexpected("@", "timestamp")
        seconds = sign * self.number(self.take())
        if not abs(seconds) * 1000 < 2**63:
            self.fail(start, f"timestamp out of bounds for @ modifier: {seconds:f}")
        return sign * math.floor(abs(seconds) * 1000 + 0.5) / 1000
