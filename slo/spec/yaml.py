"""YAML without its surprises: every scalar stays the text a person wrote, every node knows its place.

Only `true`, `false`, `null`, `~` and nothing at all are read as other than text, so `no`, `012`, `1:30` and `1.10`
never change. Duplicate keys, tags, and keys that are not text are refused.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from slo.errors import Problem
from slo.redact import HIDDEN, is_word

# An alias may be repeated, but not so often that a small file unfolds into a huge one.
MOST_NODES = 2_000_000
MOST_BYTES = 64 * 1024 * 1024
MOST_DEPTH = 50
_SMALL = 4 * 1024 * 1024  # characters that cannot hold too many values

_SHOWN_STEPS = 16  # of a path in a message

Path = tuple[str | int, ...]
_LITERALS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "seq", "map")
)

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """One YAML document: plain data, and the node it came from, for places."""

    data: Any
    node: yaml.Node

    def place(self, path: Path) -> tuple[int, int]:
        """(line, column) from 1 of the deepest node on `path` that exists; of its key where it is a mapping's."""
        node, mark = self.node, self.node.start_mark
        for step in path:
            if isinstance(node, yaml.MappingNode):
                for key, value in pairs(node):
                    if key.value == str(step):
                        node, mark = value, key.start_mark
                        break
                else:
                    continue  # a step of the validator's own, such as the name of a union's branch
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                mark = node.start_mark
        return mark.line + 1, mark.column + 1


@dataclass(slots=True)
class Parsed:
    """What a file holds: its documents, and the faults that kept others from being read."""

    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def show_path(path: Path, secret: bool = False) -> str:
    """`("slos", 0, "sli")` as `slos[0].sli`; of a file that may hold what is `secret`, without keys that may be it."""
    if secret:
        path = tuple(step if isinstance(step, int) or is_word(step) else HIDDEN for step in path)
    text = ""
    if len(path) > _SHOWN_STEPS:
        path = (*path[: _SHOWN_STEPS // 2], "…", *path[-_SHOWN_STEPS // 2 :])
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def parse(text: str, file: str, secret: bool = False) -> Parsed:
    """Reads all documents of `text`; faults are collected, never raised. Where it may hold what is `secret`, they quote nothing."""
    parsed = Parsed()
    if len(text) > MOST_BYTES:
        parsed.problems.append(Problem(file, 0, 0, "", f"larger than {MOST_BYTES // 2**20} MiB; split it by service"))
        return parsed
    with _collector_paused():
        loader = _Loader(text)
        try:
            if len(text) > _SMALL and _is_too_large(text):
                parsed.problems.append(
                    Problem(file, 0, 0, "", f"holds more than {MOST_NODES} values; split it by service")
                )
                return parsed
            while loader.check_node():
                node = loader.get_node()
                reader = _YamlReader(file, secret)
                data = reader.read(node, (), 0)
                parsed.problems += reader.problems
                if not reader.problems:
                    parsed.documents.append(Document(data, node))
        except yaml.YAMLError as error:
            parsed.problems.append(_syntax_problem(error, file, secret))
        except RecursionError:
            parsed.problems.append(Problem(file, 0, 0, "", f"nested deeper than {MOST_DEPTH} levels"))
        finally:
            loader.dispose()
    return parsed


def _is_too_large(text: str) -> bool:
    """Whether there are too many values in it, which are counted one by one: as nodes they take hundreds of bytes each."""
    values = (yaml.ScalarEvent, yaml.AliasEvent, yaml.CollectionStartEvent)
    count = 0
    for event in yaml.parse(text, Loader=_Loader):
        count += isinstance(event, values)
        if count > MOST_NODES:
            return True
    return False


class _YamlReader:
    def __init__(self, file: str, secret: bool) -> None:
        self.file, self.secret = file, secret
        self.problems: list[Problem] = []
        self.nodes = 0

    def read(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self.nodes += 1
        if self.nodes > MOST_NODES or depth > MOST_DEPTH:
            if not any("unfolds" in problem.message for problem in self.problems):
                self.fault(node, path, f"unfolds to more than {MOST_NODES} values or {MOST_DEPTH} levels")
            return None
        if node.tag not in _TAGS:
            tag = "a tag (`!…`)" if self.secret else f"tag {node.tag}"
            self.fault(node, path, f"{tag} is not accepted; write a plain value{', in quotes' if self.secret else ''}")
            return None
        match node:
            case yaml.ScalarNode():
                if not node.style:
                    if node.value in _LITERALS:
                        return None
                    if node.value in _BOOLEANS:
                        return _BOOLEANS[node.value]
                return node.value
            case yaml.SequenceNode():
                return [self.read(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
            case yaml.MappingNode():
                return self.mapping(node, path, depth)
        raise AssertionError(node)

    def mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        own: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.fault(key, path, "a key must be plain text")
            elif key.value == "<<" and not key.style:
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(merged, yaml.MappingNode):
                        # Nothing where it was refused: a tag, or a mapping that merges itself and so has no end.
                        result = self.read(merged, path, depth + 1)
                        for name, item in result.items() if isinstance(result, dict) else ():
                            data.setdefault(name, item)
                    else:
                        self.fault(merged, path, "`<<` merges mappings only")
            elif key.value in own:
                shown = key.value if not self.secret or is_word(key.value) else HIDDEN
                self.fault(key, (*path, key.value), f"duplicate key `{shown}`, first given in line {own[key.value]}")
            else:
                own[key.value] = key.start_mark.line + 1
                data[key.value] = self.read(value, (*path, key.value), depth + 1)
            if self.nodes > MOST_NODES:
                break
        return data

    def fault(self, node: yaml.Node, path: Path, message: str) -> None:
        mark = node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, show_path(path, self.secret), message))


def pairs(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys and values of a mapping: its own first, then those that `<<` merges."""
    merged: list[yaml.Node] = []
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode):
            if key.value == "<<" and not key.style:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
            else:
                yield key, value
    for other in merged:
        yield from pairs(other)


def _syntax_problem(error: yaml.YAMLError, file: str, secret: bool) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    message = f"not valid YAML: {what}" + (f" ({context})" if context else "")
    if secret:  # what the parser says may name an alias or a character of it
        message = "not valid YAML; put values with special characters in quotes"
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return Problem(file, line, column, "", message)


@contextmanager
def _collector_paused() -> Iterator[None]:
    # Large files make millions of small objects that all live on: collecting in between halves the speed.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
