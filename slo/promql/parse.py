"""PromQL text to nodes: a Pratt parser with the types checked, refusing what Prometheus refuses.

Written by hand because errors shall point at the character, nodes shall know their place, and the language is
taken as Prometheus 3 takes it (quoted names, durations as numbers, `@ start()`, underscores in numbers).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NoReturn

from slo.errors import PromqlError
from slo.promql.ast import (
    COMPARISONS,
    SET_OPERATORS,
    Aggregate,
    At,
    Binary,
    Call,
    Cardinality,
    Matcher,
    MatrixSelector,
    Node,
    Number,
    String,
    Subquery,
    Unary,
    VectorMatching,
    VectorSelector,
)
from slo.promql.lex import LONGEST_MS, PRECEDENCE, Token, duration_ms, fail, tokenize
from slo.promql.regex import compile_anchored
from slo.promql.signatures import AGGREGATIONS, FUNCTIONS
from slo.promql.types import check, value_type

_WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_NEVER_A_METRIC = frozenset({"bool", "on", "ignoring", "group_left", "group_right", "atan2"})
_MATCH_OPERATORS = ("=", "!=", "=~", "!~")
_POSTFIX = ("[", "@")
_DEEPEST = 400


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The expression of a text. Raises PromqlError with line, column and reason where Prometheus would refuse it."""
    parser = _Parser(text)
    node = parser.expression()
    parser.expect("eof", "after the expression")
    return node


def parse_selector(text: str) -> VectorSelector:
    """The instant vector selector of a text such as `up{job="a"}`. Raises PromqlError for anything else."""
    node = parse(text)
    if not isinstance(node, VectorSelector):
        raise PromqlError(f'must be a metric with matchers such as requests_total{{job="api"}}: {node}')
    return node


def parse_duration(text: str) -> int:
    """Milliseconds of a PromQL duration such as 1h30m or 1500ms, or of a number of seconds. Raises PromqlError."""
    length = duration_ms(text.strip())
    if length is None:
        try:
            length = round(float(text) * 1000)
        except (ValueError, OverflowError):
            raise PromqlError(f"not a valid duration: {text!r}; write one such as 30s, 5m or 1h30m") from None
    return length


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.at = 0
        self.depth = 0

    # tokens

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
        self.at += 1
        return token

    def accept(self, kind: str) -> bool:
        if self.peek(kind):
            self.at += 1
            return True
        return False

    def expect(self, kind: str, context: str) -> Token:
        if not self.peek(kind):
            wanted = "end of input" if kind == "eof" else repr(kind)
            self.fail(self.token, f"unexpected {self.token.shown()} {context}, expected {wanted}")
        return self.take()

    def fail(self, token: Token, message: str) -> NoReturn:
        fail(self.text, token.start, message)

    def done(self, node: Node, start: int) -> Node:
        """The node with its place, after its types were checked."""
        node = replace(node)
        problem = check(node)
        if problem is not None:
            fail(self.text, start, problem.message)
        return node

    # expressions

    def expression(self, least: int = 1) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(self.token, f"the expression is nested deeper than {_DEEPEST} levels")
        start = self.token.start
        left = self.unary() if self.token.kind in ("+", "-") else self.postfix(self.primary(), start)
        while True:
            op = self.keyword() if self.token.kind == "word" else self.token.kind
            precedence = PRECEDENCE.get(op)
            if precedence is None or precedence < least or (self.token.kind == "word" and op not in _WORD_OPERATORS):
                break
            self.take()
            return_bool, matching = self.binary_modifiers(op)
            right = self.expression(precedence if op == "^" else precedence + 1)
            left = self.done(Binary(op, left, right, return_bool, matching), start)
        self.depth -= 1
        return left

    def unary(self) -> Node:
        op = self.take()
        operand = self.expression(PRECEDENCE["*"] + 1)
        if isinstance(operand, Number):
            value = -operand.value if op.kind == "-" else operand.value
            return Number(value)
        return self.done(Unary(op.kind, operand), op.start)

    def primary(self) -> Node:
        token = self.token
        match token.kind:
            case "number" | "duration":
                self.take()
                return Number(float(token.value))
            case "string":
                self.take()
                return String(str(token.value))
            case "(":
                self.take()
                inner = self.expression()
                self.expect(")", "in a parenthesised expression")
                self.parenthesised = self.at
                return inner
            case "{":
                return self.selector(None, token.start)
            case "word":
                return self.named()
            case _:
                self.fail(token, f"unexpected {token.shown()}, expected an expression")

    def named(self) -> Node:
        token = self.take()
        word = token.text.lower()
        if word in ("inf", "nan"):
            return Number(math.inf if word == "inf" else math.nan)
        if word in AGGREGATIONS and (self.peek("(") or self.keyword() in ("by", "without")):
            return self.aggregate(word, token)
        if word in _NEVER_A_METRIC:
            self.fail(token, f"unexpected {token.shown()}, expected an expression")
        if self.peek("("):
            return self.call(token)
        return self.selector(token.text, token.start)

    # selectors

    def selector(self, name: str | None, start: int) -> Node:
        matchers: list[Matcher] = []
        names: list[Matcher] = []  # written in quotes between the braces
        if self.accept("{"):
            while not self.peek("}"):
                token = self.take()
                if token.kind not in ("word", "string"):
                    self.fail(token, f"unexpected {token.shown()} in label matching, expected a label name or '}}'")
                quoted = token.kind == "string"
                label = str(token.value) if quoted else token.text
                if quoted and self.token.kind in (",", "}"):
                    if name is not None and not names:
                        self.fail(token, f"metric name must not be set twice: {name!r} or {label!r}")
                    if not label:
                        self.fail(token, "the metric name must not be empty")
                    name = label
                    names.append(Matcher("__name__", "=", label))
                else:
                    matchers.append(self.matcher(label))
                if not self.peek("}") and not self.accept(","):
                    self.fail(self.token, f"unexpected {self.token.shown()} in label matching, expected ',' or '}}'")
            self.take()
        if names and (len(names) > 1 or any(matcher.label == "__name__" for matcher in matchers)):
            name, matchers = None, [*names, *matchers]
        elif name is not None and any(matcher.label == "__name__" for matcher in matchers):
            self.fail(
                self.tokens[self.at - 1], f"metric name must not be set twice: {name!r} and a matcher on __name__"
            )
        if name is None:
            named = [matcher for matcher in matchers if matcher.label == "__name__" and matcher.op == "="]
            if len(named) == 1 and named[0].value:
                name = named[0].value
                matchers = [matcher for matcher in matchers if matcher is not named[0]]
        if name is None and all(matches_empty(matcher) for matcher in matchers):
            fail(self.text, start, "vector selector must contain at least one non-empty matcher")
        return VectorSelector(name, tuple(matchers))

    def matcher(self, label: str) -> Matcher:
        op = self.take()
        if op.kind not in _MATCH_OPERATORS:
            self.fail(op, f"unexpected {op.shown()} in label matching, expected one of = != =~ !~")
        value = self.take()
        if value.kind != "string":
            self.fail(value, f"unexpected {value.shown()} in label matching, expected a string")
        if not label:
            self.fail(op, "a label name must not be empty")
        if op.kind in ("=~", "!~"):
            try:
                compile_anchored(str(value.value))
            except PromqlError as error:
                self.fail(value, str(error))
        return Matcher(label, op.kind, str(value.value))

    # what follows an operand

    def postfix(self, node: Node, start: int) -> Node:
        wrapped = getattr(self, "parenthesised", -1) == self.at
        while True:
            token = self.token
            if token.kind == "[":
                node = self.brackets(node, start, wrapped)
            elif token.kind == "@":
                self.take()
                node = self.modify(node, token, wrapped, at=self.timestamp())
            elif self.keyword() == "offset":
                self.take()
                node = self.modify(node, token, wrapped, offset=self.signed_duration())
            else:
                return node
            wrapped = False

    def brackets(self, node: Node, start: int, wrapped: bool) -> Node:
        opening = self.take()
        range_ms = self.positive_duration()
        if self.accept(":"):
            step_ms = None if self.peek("]") else self.positive_duration()
            self.expect("]", "in a subquery")
            if value_type(node) != "vector":
                self.fail(opening, f"subquery is only allowed on instant vector, got {value_type(node)}: {node}")
            return Subquery(node, range_ms, step_ms)
        self.expect("]", "in a range")
        if not isinstance(node, VectorSelector) or wrapped:
            self.fail(opening, "ranges only allowed for vector selectors")
        if node.offset_ms:
            self.fail(opening, "no offset modifiers allowed before range")
        if node.at is not None:
            self.fail(opening, "no @ modifiers allowed before range")
        return MatrixSelector(node, range_ms)

    def modify(self, node: Node, token: Token, wrapped: bool, offset: int | None = None, at: At = None) -> Node:
        target = node.selector if isinstance(node, MatrixSelector) else node
        if wrapped or not isinstance(target, VectorSelector | Subquery):
            what = "offset modifier" if at is None else "@ modifier"
            self.fail(
                token, f"{what} must be preceded by an instant vector selector or range vector selector or a subquery"
            )
        if offset is not None:
            if target.offset_ms:
                self.fail(token, "offset may not be set multiple times")
            target = replace(target, offset_ms=offset)
        else:
            if target.at is not None:
                self.fail(token, "@ <timestamp> may not be set multiple times")
            target = replace(target, at=at)
        if isinstance(node, MatrixSelector) and isinstance(target, VectorSelector):
            return MatrixSelector(target, node.range_ms)
        return target

    def positive_duration(self) -> int:
        token = self.take()
        if token.kind not in ("number", "duration"):
            self.fail(token, f"unexpected {token.shown()}, expected a duration such as 5m")
        return self.milliseconds(token, positive=True)

    def signed_duration(self) -> int:
        sign = self.take().kind if self.token.kind in ("+", "-") else "+"
        token = self.take()
        if token.kind not in ("number", "duration"):
            self.fail(token, f"unexpected {token.shown()} in offset, expected a duration such as 5m")
        length = self.milliseconds(token, positive=False)
        return -length if sign == "-" else length

    def milliseconds(self, token: Token, positive: bool) -> int:
        seconds = float(token.value)
        if math.isnan(seconds) or abs(seconds) * 1000 >= LONGEST_MS:
            self.fail(token, "duration out of range")
        if positive and seconds <= 0:
            self.fail(token, "duration must be greater than 0")
        return round(seconds * 1000) if token.kind == "duration" else int(seconds * 1000 + 1e-6)

    def timestamp(self) -> At:
        word = self.keyword()
        if word in ("start", "end"):
            self.take()
            self.expect("(", "in an @ modifier")
            self.expect(")", "in an @ modifier")
            return "start" if word == "start" else "end"
        sign = -1.0 if self.token.kind == "-" else 1.0
        if self.token.kind in ("+", "-"):
            self.take()
        token = self.take()
        if token.kind == "word" and token.text.lower() in ("inf", "nan"):
            self.fail(token, f"timestamp out of bounds for @ modifier: {token.text}")
        if token.kind not in ("number", "duration"):
            self.fail(token, f"unexpected {token.shown()} in @ modifier, expected a timestamp, start() or end()")
        milliseconds = float(token.value) * 1000
        if not milliseconds < 2**63:
            self.fail(token, f"timestamp out of bounds for @ modifier: {token.text}")
        return sign * math.floor(milliseconds + 0.5) / 1000

    # operators, calls and aggregations

    def binary_modifiers(self, op: str) -> tuple[bool, VectorMatching | None]:
        return_bool = self.keyword() == "bool"
        if return_bool:
            if op not in COMPARISONS:
                self.fail(self.token, "bool modifier can only be used on comparison operators")
            self.take()
        word = self.keyword()
        if word not in ("on", "ignoring"):
            return return_bool, None
        self.take()
        labels = self.grouping()
        card: Cardinality = "many-to-many" if op in SET_OPERATORS else "one-to-one"
        include: tuple[str, ...] = ()
        side = self.keyword()
        if side in ("group_left", "group_right"):
            if op in SET_OPERATORS:
                self.fail(self.token, f"no grouping allowed for {op!r} operation")
            card = "many-to-one" if side == "group_left" else "one-to-many"
            token = self.take()
            include = self.grouping() if self.peek("(") else ()
            both = [label for label in include if label in labels] if word == "on" else []
            if both:
                self.fail(token, f"label {both[0]!r} must not occur in ON and GROUP clause at once")
        elif word == "ignoring" and not labels:
            return return_bool, None
        return return_bool, VectorMatching(card, labels, word == "on", include)

    def grouping(self) -> tuple[str, ...]:
        self.expect("(", "in grouping")
        labels: list[str] = []
        while not self.peek(")"):
            token = self.take()
            if token.kind not in ("word", "string") or token.text.lower() in ("inf", "nan"):
                self.fail(token, f"unexpected {token.shown()} in grouping opts, expected a label name")
            label = str(token.value) if token.kind == "string" else token.text
            if not label:
                self.fail(token, "invalid label name for grouping: it is empty")
            labels.append(label)
            if not self.peek(")") and not self.accept(","):
                self.fail(self.token, f"unexpected {self.token.shown()} in grouping opts, expected ',' or ')'")
        self.take()
        return tuple(labels)

    def arguments(self) -> tuple[Node, ...]:
        self.expect("(", "in a call")
        args: list[Node] = []
        while not self.peek(")"):
            args.append(self.expression())
            if self.accept(","):
                if self.peek(")"):
                    self.fail(self.token, "trailing commas not allowed in function call args")
            elif not self.peek(")"):
                self.fail(self.token, f"unexpected {self.token.shown()} in call, expected ',' or ')'")
        self.take()
        return tuple(args)

    def call(self, name: Token) -> Node:
        if name.text not in FUNCTIONS:
            self.fail(name, f"unknown function with name {name.text!r}")
        return self.done(Call(name.text, self.arguments()), name.start)

    def aggregate(self, op: str, token: Token) -> Node:
        grouping: tuple[str, ...] = ()
        without, modified = False, False
        if self.keyword() in ("by", "without"):
            without, modified = self.take().text.lower() == "without", True
            grouping = self.grouping()
        args = self.arguments()
        if not modified and self.keyword() in ("by", "without"):
            without = self.take().text.lower() == "without"
            grouping = self.grouping()
        wanted = 2 if AGGREGATIONS[op] else 1
        if not args:
            self.fail(token, f"no arguments for aggregate expression provided in {op!r}")
        if len(args) != wanted:
            self.fail(
                token,
                "wrong number of arguments for aggregate expression provided, "
                f"expected {wanted}, got {len(args)} in {op!r}",
            )
        return self.done(Aggregate(op, args[-1], args[0] if wanted == 2 else None, grouping, without), token.start)


def matches_empty(matcher: Matcher) -> bool:
    """Whether the matcher holds for a label that is not there."""
    match matcher.op:
        case "=":
            return matcher.value == ""
        case "!=":
            return matcher.value != ""
        case op:
            found = compile_anchored(matcher.value)("")
            return found if op == "=~" else not found
