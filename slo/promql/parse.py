"""PromQL text to nodes: a Pratt parser that refuses what Prometheus 3 refuses, in its words and at its places."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from slo.errors import PromqlError
from slo.promql.ast import (
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
    depth_of,
)
from slo.promql.cursor import Cursor
from slo.promql.lex import PRECEDENCE, Token, duration_ms, quote
from slo.promql.regex import compile_anchored, matches_empty
from slo.promql.signatures import AGGREGATIONS, FUNCTIONS
from slo.promql.types import NO_MATCHER, problems

_WORD_OPERATORS = frozenset({"and", "or", "unless", "atan2"})
_NEVER_A_METRIC = frozenset({"bool", "on", "ignoring", "group_left", "group_right", "atan2"})
_NEVER_A_FUNCTION = frozenset({"and", "or", "unless", "offset", "by", "without", "start", "end", *AGGREGATIONS})
_MATCH_OPERATORS = ("=", "!=", "=~", "!~")
_DEEPEST = 400
LONGEST_CHAIN = 1_000  # of operations one in the other, as `a or b or …` has them


@lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The expression of a text. Raises PromqlError with line, column and reason where Prometheus would refuse it."""
    parser = _PromqlParser(text)
    if parser.peek("eof"):
        where = "1:1" if text else "unknown position"
        raise PromqlError(f"{where}: parse error: no expression found in input")
    node = parser.expression()
    if not parser.peek("eof"):
        parser.unexpected()
    if (depth := depth_of(node)) > LONGEST_CHAIN:
        parser.fail(0, f"the expression is {depth} operations deep, more than the {LONGEST_CHAIN} that are read")
    for at, message in problems(node, parser.places):
        parser.fail(at, message)
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


class _PromqlParser(Cursor):
    """Recursive descent, the operators by precedence."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.wrapped = -1  # the token behind a closing parenthesis

    # expressions

    def expression(self, least: int = 1) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail(self.token.start, f"the expression is nested deeper than {_DEEPEST} levels")
        left = self.unary() if self.token.kind in ("+", "-") else self.postfix(self.primary())
        while True:
            word = self.token.kind == "word"
            op = self.keyword() if word else self.token.kind
            precedence = PRECEDENCE.get(op)
            if precedence is None or precedence < least or (word and op not in _WORD_OPERATORS):
                break
            operator = self.take()
            return_bool, matching, fault = self.binary_modifiers(op)
            right = self.expression(precedence if op == "^" else precedence + 1)
            start = self.places.outer[id(left)]
            left = self.places.put(Binary(op, left, right, return_bool, matching), start)
            self.places.operator[id(left)] = operator.start
            if fault:
                self.places.faults[id(left)] = fault
        self.depth -= 1
        return left

    def starts_expression(self) -> bool:
        """Whether the token may begin an operand; what is not a token at all has an error of its own."""
        kind = self.token.kind
        return kind in ("number", "duration", "string", "(", "{", "+", "-", "error") or (
            kind == "word" and self.keyword() not in _NEVER_A_METRIC
        )

    def unary(self) -> Node:
        op = self.take()
        operand = self.expression(PRECEDENCE["*"] + 1)
        if isinstance(operand, Number):
            return self.places.put(Number(-operand.value if op.kind == "-" else operand.value), op.start)
        return self.places.put(Unary(op.kind, operand), op.start)

    def primary(self) -> Node:
        token = self.token
        match token.kind:
            case "number" | "duration":
                self.take()
                return self.places.put(Number(self.number(token)), token.start)
            case "string":
                self.take()
                return self.places.put(String(str(token.value)), token.start)
            case "(":
                self.take()
                inner = self.expression()
                if not self.accept(")"):
                    self.unexpected()
                self.places.outer[id(inner)] = token.start
                self.wrapped = self.at
                return inner
            case "{":
                return self.selector(None, token.start)
            case "word":
                return self.named()
            case _:
                self.unexpected()

    def named(self) -> Node:
        token = self.take()
        word = token.text.lower()
        if word in ("inf", "nan"):
            return self.places.put(Number(math.inf if word == "inf" else math.nan), token.start)
        if word in AGGREGATIONS and (self.peek("(") or self.keyword() in ("by", "without")):
            return self.aggregate(word, token)
        if word in _NEVER_A_METRIC:
            self.unexpected(token=token)
        if self.peek("(") and word not in _NEVER_A_FUNCTION and ":" not in word:
            return self.call(token)
        return self.selector(token.text, token.start)

    # selectors

    def selector(self, name: str | None, start: int) -> Node:
        outside = name
        matchers: list[Matcher] = []
        names: list[Matcher] = []  # written in quotes between the braces
        if self.accept("{"):
            while not self.peek("}"):
                token = self.token
                if token.kind not in ("word", "string"):
                    self.unexpected("label matching", 'identifier or "}"')
                self.take()
                quoted = token.kind == "string"
                label = str(token.value) if quoted else token.text
                if quoted and self.token.kind in (",", "}"):
                    names.append(Matcher("__name__", "=", label))
                else:
                    matchers.append(self.matcher(label, token))
                if not self.peek("}") and not self.accept(","):
                    self.unexpected("label matching", '"," or "}"')
            self.take()
        fault = ""
        given = [*names, *(matcher for matcher in matchers if matcher.label == "__name__")]
        if outside is not None and given:
            fault = f"metric name must not be set twice: {quote(outside)} or {quote(given[0].value)}"
        elif len(given) == 1 and given[0].op == "=" and given[0].value:
            name = given[0].value
            matchers = [matcher for matcher in matchers if matcher is not given[0]]
        else:
            matchers = [*names, *matchers]
        node = self.places.put(VectorSelector(name, tuple(matchers)), start)
        if not fault and name is None and all(matches_empty(matcher) for matcher in matchers):
            fault = NO_MATCHER
        if fault:
            self.places.faults[id(node)] = fault
        if outside is not None:
            self.places.named.add(id(node))
        return node

    def matcher(self, label: str, name: Token) -> Matcher:
        op = self.token
        if op.kind not in _MATCH_OPERATORS:
            quoted = name.kind == "string"
            self.unexpected("label matching", '"," or "}"' if quoted else "label matching operator")
        self.take()
        value = self.token
        if value.kind != "string":
            self.unexpected("label matching", "string")
        self.take()
        if op.kind in ("=~", "!~"):
            try:
                compile_anchored(str(value.value))
            except PromqlError as error:
                self.fail(name.start, str(error))
        return Matcher(label, op.kind, str(value.value))

    # what follows an operand

    def postfix(self, node: Node) -> Node:
        wrapped = self.wrapped == self.at
        while True:
            start = self.places.outer[id(node)]
            if self.token.kind == "[":
                node = self.brackets(node, start, wrapped)
            elif self.token.kind == "@":
                self.take()
                node = self.modify(node, start, wrapped, at=self.timestamp(start))
            elif self.keyword() == "offset":
                self.take()
                node = self.modify(node, start, wrapped, offset=self.offset())
            else:
                return node
            wrapped = False

    def brackets(self, node: Node, start: int, wrapped: bool) -> Node:
        opening = self.take()
        range_ms = self.range_length()
        if self.accept(":"):
            step_ms = None if self.peek("]") else self.range_length()
            if not self.accept("]"):
                self.unexpected("subquery selector", '"]"')
            return self.places.put(Subquery(node, range_ms, step_ms), start)
        if not self.accept("]"):
            self.unexpected("subquery or range", '":" or "]"')
        if not isinstance(node, VectorSelector) or wrapped:
            self.fail(opening.start, "ranges only allowed for vector selectors")
        if node.offset_ms:
            self.fail(opening.start, "no offset modifiers allowed before range")
        if node.at is not None:
            self.fail(opening.start, "no @ modifiers allowed before range")
        return self.places.put(MatrixSelector(node, range_ms), start)

    def modify(self, node: Node, start: int, wrapped: bool, offset: int | None = None, at: At = None) -> Node:
        target = node.selector if isinstance(node, MatrixSelector) else node
        if wrapped or not isinstance(target, VectorSelector | Subquery):
            what = "offset modifier" if at is None else "@ modifier"
            self.fail(
                start, f"{what} must be preceded by an instant vector selector or range vector selector or a subquery"
            )
        changed: VectorSelector | Subquery
        if offset is not None:
            if target.offset_ms:
                self.fail(start, "offset may not be set multiple times")
            changed = replace(target, offset_ms=offset)
        else:
            if target.at is not None:
                self.fail(start, "@ <timestamp> may not be set multiple times")
            changed = replace(target, at=at)
        self.places.put(changed, start)
        if id(target) in self.places.faults:
            self.places.faults[id(changed)] = self.places.faults[id(target)]
        if isinstance(node, MatrixSelector) and isinstance(changed, VectorSelector):
            return self.places.put(MatrixSelector(changed, node.range_ms), start)
        return changed

    # operators, calls and aggregations

    def binary_modifiers(self, op: str) -> tuple[bool, VectorMatching | None, str]:
        """`bool`, the matching, and what is wrong with it."""
        return_bool = self.keyword() == "bool"
        if return_bool:
            self.take()
        word = self.keyword()
        if word not in ("on", "ignoring"):
            return return_bool, None, ""
        self.take()
        labels = self.grouping()
        card: Cardinality = "many-to-many" if op in SET_OPERATORS else "one-to-one"
        include: tuple[str, ...] = ()
        fault = ""
        side = self.keyword()
        if side in ("group_left", "group_right"):
            if op in SET_OPERATORS:
                fault = f"no grouping allowed for {quote(op)} operation"
            card = "many-to-one" if side == "group_left" else "one-to-many"
            self.take()
            include = () if self.starts_expression() and not self.peek("(") else self.grouping()
        elif word == "ignoring" and not labels:
            return return_bool, None, ""
        return return_bool, VectorMatching(card, labels, word == "on", include), fault

    def arguments(self) -> tuple[Node, ...]:
        self.take()
        args: list[Node] = []
        while not self.peek(")"):
            args.append(self.expression())
            comma = self.token
            if self.accept(","):
                if not self.starts_expression():
                    self.fail(comma.start, "trailing commas not allowed in function call args")
            elif not self.peek(")"):
                self.unexpected()
        self.take()
        return tuple(args)

    def call(self, name: Token) -> Node:
        args = self.arguments()
        if name.text not in FUNCTIONS:
            self.fail(name.start, f"unknown function with name {quote(name.text)}")
        return self.places.put(Call(name.text, args), name.start)

    def aggregate(self, op: str, token: Token) -> Node:
        grouping: tuple[str, ...] = ()
        without, modified = False, False
        if self.keyword() in ("by", "without"):
            without, modified = self.take().text.lower() == "without", True
            grouping = self.grouping()
        if not self.peek("("):
            self.unexpected("aggregation")
        self.aggregations += 1
        args = self.arguments()
        self.aggregations -= 1
        if not modified and self.keyword() in ("by", "without"):
            without = self.take().text.lower() == "without"
            grouping = self.grouping()
        if self.peek("error"):
            self.unexpected()
        wanted = 2 if AGGREGATIONS[op] else 1
        if not args:
            self.fail(token.start, "no arguments for aggregate expression provided")
        if len(args) != wanted:
            self.fail(
                token.start,
                f"wrong number of arguments for aggregate expression provided, expected {wanted}, got {len(args)}",
            )
        node = Aggregate(op, args[-1], args[0] if wanted == 2 else None, grouping, without)
        return self.places.put(node, token.start)
