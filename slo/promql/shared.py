"""Parts of an expression that stand in it more than once: each is evaluated once, and kept until it was used for the last time."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import TypeAlias

from slo.promql.ast import Node, Number, Subquery, children
from slo.promql.values import Floats, Vector

Value: TypeAlias = "Floats | str | Vector"
_KEPT = 512  # expressions whose parts are known; a rule is evaluated stretch by stretch


class Shared:
    """The values of an expression's repeated parts at one set of steps. Parts of a subquery have steps of their own."""

    def __init__(self, root: Node) -> None:
        self._numbers, self._uses = _plan(_Own(root))
        self._held: dict[int, tuple[Value, int]] = {}

    def take(self, node: Node) -> Value | None:
        """The part's value, if it was evaluated already."""
        number = self._numbers.get(id(node))
        if number is None or number not in self._held:
            return None
        value, left = self._held[number]
        if left > 1:
            self._held[number] = value, left - 1
        else:
            del self._held[number]
        return value

    def put(self, node: Node, value: Value) -> None:
        """Keeps the part's value where it is asked for again."""
        number = self._numbers.get(id(node))
        if number is not None and number not in self._held:
            self._held[number] = value, self._uses[number] - 1


class _Own:
    """A node by its identity: an equal one elsewhere has parts of other identities."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Own) and self.node is other.node

    def __hash__(self) -> int:
        return id(self.node)


@lru_cache(maxsize=_KEPT)
def _plan(root: _Own) -> tuple[dict[int, int], dict[int, int]]:
    """Numbers of the parts that are repeated, by identity, and from how many places each is asked for.

    Equal parts have one number. A part below a repeated one is asked for once, by the first of them.
    """
    numbers: dict[int, int] = {}
    known: dict[object, int] = {}
    uses: dict[int, int] = {}
    below: dict[int, list[int]] = {}
    waiting = [(root.node, False)]
    while waiting:  # by hand: an expression may be as deep as it is long
        node, entered = waiting.pop()
        parts = () if isinstance(node, Subquery) else children(node)
        if not entered:
            waiting.append((node, True))
            waiting += [(part, False) for part in parts]
            continue
        own = [numbers[id(part)] for part in parts]
        key: object = (type(node), tuple(own), _rest(node))
        number = known.setdefault(key, len(known))
        numbers[id(node)] = number
        below.setdefault(number, own)
    for own in below.values():
        for number in own:
            uses[number] = uses.get(number, 0) + 1
    repeated = {number: many for number, many in uses.items() if many > 1}
    return {place: number for place, number in numbers.items() if number in repeated}, repeated


def _rest(node: Node) -> object:
    """What a node is apart from the nodes below it, which have been numbered; a subquery as a whole."""
    if isinstance(node, Subquery):
        return node
    if isinstance(node, Number):
        return node.value.hex()  # 0 and -0 are equal, and not the same
    values = (getattr(node, field.name) for field in fields(node))
    return tuple(
        None
        if isinstance(value, Node) or (isinstance(value, tuple) and any(isinstance(part, Node) for part in value))
        else value
        for value in values
    )
