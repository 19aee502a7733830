"""PromQL as a closed set of nodes. `str(node)` is PromQL that parses back to an equal node."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Literal

from slo.window import format_duration

At = float | Literal["start", "end"] | None
Cardinality = Literal["one-to-one", "many-to-one", "one-to-many", "many-to-many"]

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
SET_OPERATORS = ("and", "or", "unless")
# Loosest first, as in Prometheus's grammar; `^` binds to the right.
_PRECEDENCE = {
    "or": 1, "and": 2, "unless": 2, **dict.fromkeys(COMPARISONS, 3), "+": 4, "-": 4,
    "*": 5, "/": 5, "%": 5, "atan2": 5, "^": 7,
}  # fmt: skip
_UNARY_PRECEDENCE = 6
_ATOM = 9


@lru_cache(maxsize=4096)
def quote(text: str) -> str:
    """A PromQL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    # Bytes that are not UTF-8 are held as halves of surrogate pairs.
    unprintable = r"[\x00-\x09\x0b-\x1f\x7f\udc80-\udcff]"
    return '"' + re.sub(unprintable, lambda m: f"\\x{ord(m[0]) & 0xFF:02x}", escaped) + '"'


@dataclass(frozen=True, slots=True)
class Matcher:
    """`label op value`, where op is `=`, `!=`, `=~` or `!~`."""

    label: str
    op: str
    value: str

    def __str__(self) -> str:
        label = self.label if _LABEL.fullmatch(self.label) else quote(self.label)
        return f"{label}{self.op}{quote(self.value)}"


@dataclass(frozen=True, slots=True)
class VectorSelector:
    """Series by name and matchers; `at` is in seconds since the epoch."""

    name: str | None = None
    matchers: tuple[Matcher, ...] = ()
    offset_ms: int = 0
    at: At = None

    def __str__(self) -> str:
        return _selected(self) + _shifted(self)


@dataclass(frozen=True, slots=True)
class MatrixSelector:
    """The samples of a selector's series over the last `range_ms`."""

    selector: VectorSelector
    range_ms: int

    def __str__(self) -> str:
        return f"{_selected(self.selector)}[{format_duration(self.range_ms)}]{_shifted(self.selector)}"


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated every `step_ms` (None: the server's interval) over the last `range_ms`."""

    expr: Node
    range_ms: int
    step_ms: int | None = None
    offset_ms: int = 0
    at: At = None

    def __str__(self) -> str:
        step = "" if self.step_ms is None else format_duration(self.step_ms)
        return f"{_wrapped(self.expr, _ATOM)}[{format_duration(self.range_ms)}:{step}]{_shifted(self)}"


@dataclass(frozen=True, slots=True)
class Call:
    """A function's call."""

    func: str
    args: tuple[Node, ...] = ()

    def __str__(self) -> str:
        return f"{self.func}({', '.join(map(str, self.args))})"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation over `grouping`, or over all other labels where `without`."""

    op: str
    expr: Node
    param: Node | None = None
    grouping: tuple[str, ...] = ()
    without: bool = False

    def __str__(self) -> str:
        group = ""
        if self.grouping or self.without:
            labels = ", ".join(_label(label) for label in self.grouping)
            group = f" {'without' if self.without else 'by'} ({labels}) "
        param = "" if self.param is None else f"{self.param}, "
        return f"{self.op}{group}({param}{self.expr})"


@dataclass(frozen=True, slots=True)
class VectorMatching:
    """How the series of two sides find each other: `on` or `ignoring` labels, `include` for the group's extras."""

    card: Cardinality = "one-to-one"
    labels: tuple[str, ...] = ()
    on: bool = False
    include: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = ""
        if self.on or self.labels or self.card in ("many-to-one", "one-to-many"):
            text = f" {'on' if self.on else 'ignoring'} ({', '.join(map(_label, self.labels))})"
        if self.card in ("many-to-one", "one-to-many"):
            side = "left" if self.card == "many-to-one" else "right"
            text += f" group_{side} ({', '.join(map(_label, self.include))})"
        return text


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and an operator. `matching` is None where no `on`, `ignoring` or group is written."""

    op: str
    left: Node
    right: Node
    return_bool: bool = False
    matching: VectorMatching | None = None

    def __str__(self) -> str:
        own = _PRECEDENCE[self.op]
        to_right = self.op == "^"
        left = _wrapped(self.left, own + to_right)
        right = _wrapped(self.right, own + (not to_right))
        modifier = (" bool" if self.return_bool else "") + ("" if self.matching is None else str(self.matching))
        return f"{left} {self.op}{modifier} {right}"


@dataclass(frozen=True, slots=True)
class Unary:
    """`-` or `+` before an expression."""

    op: str
    expr: Node

    def __str__(self) -> str:
        return f"{self.op}{_wrapped(self.expr, _UNARY_PRECEDENCE)}"


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A scalar literal. Two NaN are equal here: they are the same text."""

    value: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and repr(float(self.value)) == repr(float(other.value))

    def __hash__(self) -> int:
        return hash(repr(float(self.value)))

    def __str__(self) -> str:
        value = float(self.value)
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "+Inf" if value > 0 else "-Inf"
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True, slots=True)
class String:
    """A string literal."""

    value: str

    def __str__(self) -> str:
        return quote(self.value)


Node = VectorSelector | MatrixSelector | Subquery | Call | Aggregate | Binary | Unary | Number | String


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, parents first, in the order of the text."""
    waiting = [node]
    while waiting:
        here = waiting.pop()
        yield here
        waiting += reversed(children(here))


def depth_of(node: Node) -> int:
    """How many nodes lie one below the other at most; a chain of operators is as deep as it is long."""
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        here, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in children(here)]
    return deepest


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case MatrixSelector(selector=selector):
            return (selector,)
        case Subquery(expr=expr) | Unary(expr=expr):
            return (expr,)
        case Call(args=args):
            return args
        case Aggregate(expr=expr, param=param):
            return (expr,) if param is None else (param, expr)
        case Binary(left=left, right=right):
            return (left, right)
    return ()


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """The tree with every node replaced by what `change` makes of it, children first."""
    changed: dict[str, object] = {}
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, Node):
            changed[item.name] = transform(value, change)
        elif item.name == "args":
            changed[item.name] = tuple(transform(argument, change) for argument in value)
    return change(replace(node, **changed) if changed else node)  # type: ignore[arg-type]


_WIDTH = 120


def pretty(node: Node, indent: int = 0) -> str:
    """PromQL broken over lines where one would be wider than 120 characters, were all selectors of one length.

    So two expressions that differ in their selectors only are broken alike.
    """
    text, pad = str(node), "  " * indent
    if len(pad) + _width(node) <= _WIDTH or not children(node):
        return pad + text
    match node:
        case Binary():
            modifier = (" bool" if node.return_bool else "") + ("" if node.matching is None else str(node.matching))
            own = _PRECEDENCE[node.op]
            to_right = node.op == "^"
            left = _pretty_operand(node.left, own + to_right, indent)
            least = own + (not to_right)
            if isinstance(node.right, Number | String):
                return f"{left} {node.op}{modifier} {_wrapped(node.right, least)}"
            continued = f"{pad}{node.op}{modifier} {_wrapped(node.right, least)}"
            if len(continued) + _width(node.right) - len(str(node.right)) <= _WIDTH:
                return f"{left}\n{continued}"
            right = _pretty_operand(node.right, least, indent)
            return f"{left}\n{pad}{node.op}{modifier}\n{right}"
        case Aggregate():
            head = text[: text.index("(", text.index(")") if node.grouping or node.without else 0) + 1]
            inner = [] if node.param is None else [pretty(node.param, indent + 1)]
            return f"{pad}{head}\n" + ",\n".join([*inner, pretty(node.expr, indent + 1)]) + f"\n{pad})"
        case Call():
            return f"{pad}{node.func}(\n" + ",\n".join(_arguments(node.args, indent + 1)) + f"\n{pad})"
        case Subquery():
            end = text[text.rindex("[") :]
            return f"{pad}(\n{pretty(node.expr, indent + 1)}\n{pad}){end}"
    return pad + text


_STRINGS = re.compile(r'("(?:[^"\\]|\\.)*")')
_SPACES = (
    (re.compile(r" (==|!=|<=|>=|[-+*/%^<>]) "), r"\1"),
    (re.compile(r"\b(on|ignoring|by|without|group_left|group_right) \("), r"\1("),
    (re.compile(r"([)\]]) (?=\S)|(,) "), r"\1\2"),
)


def squeezed(node: Node) -> str:
    """PromQL on one line, without the spaces that only people need."""
    pieces = _STRINGS.split(str(node))
    for number in range(0, len(pieces), 2):
        for spaces, without in _SPACES:
            pieces[number] = spaces.sub(without, pieces[number])
    return "".join(pieces)


# So long a selector is taken to be.
_SELECTOR = 60


def _width(node: Node) -> int:
    """The length of its text with selectors of one length."""
    selectors = [str(part) for part in walk(node) if isinstance(part, VectorSelector)]
    return len(str(node)) + sum(_SELECTOR - len(text) for text in selectors)


def _arguments(args: Sequence[Node], indent: int) -> Iterator[str]:
    """Lines of arguments: texts and numbers that follow one another share one."""
    pad, simple = "  " * indent, list[str]()
    for argument in args:
        if isinstance(argument, Number | String):
            simple.append(str(argument))
            continue
        if simple:
            yield pad + ", ".join(simple)
            simple = []
        yield pretty(argument, indent)
    if simple:
        yield pad + ", ".join(simple)


def _pretty_operand(node: Node, least: int, indent: int) -> str:
    if _precedence(node) >= least:
        return pretty(node, indent)
    pad = "  " * indent
    if len(pad) + _width(node) + 2 <= _WIDTH:
        return f"{pad}({node})"
    return f"{pad}(\n{pretty(node, indent + 1)}\n{pad})"


def _precedence(node: Node) -> int:
    match node:
        case Binary(op=op):
            return _PRECEDENCE[op]
        case Unary():
            return _UNARY_PRECEDENCE
        case Number(value=value) if math.copysign(1.0, value) < 0 or math.isinf(value):
            return _UNARY_PRECEDENCE
    return _ATOM


def _wrapped(node: Node, least: int) -> str:
    return str(node) if _precedence(node) >= least else f"({node})"


def is_plain_label(name: str) -> bool:
    """Whether a label's name stands without quotes."""
    return _LABEL.fullmatch(name) is not None


def _label(name: str) -> str:
    return name if is_plain_label(name) else quote(name)


def _selected(selector: VectorSelector) -> str:
    matchers = [str(matcher) for matcher in selector.matchers]
    if selector.name is None:
        return "{" + ",".join(matchers) + "}"
    if not _METRIC.fullmatch(selector.name):
        return "{" + ",".join([quote(selector.name), *matchers]) + "}"
    return selector.name + ("{" + ",".join(matchers) + "}" if matchers else "")


def _shifted(node: VectorSelector | Subquery) -> str:
    text = ""
    if node.at is not None:
        text += f" @ {node.at}()" if isinstance(node.at, str) else f" @ {node.at:.3f}"
    if node.offset_ms:
        text += f" offset {'-' if node.offset_ms < 0 else ''}{format_duration(abs(node.offset_ms))}"
    return text
