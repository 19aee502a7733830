"""Helm templates, as far as definitions of SLOs need them: values, named templates, conditions and a few functions.

What is not known here is refused by name; Helm itself renders everything: `helm template CHART | slo import -`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from slo.convert.model import Refused, text_of
from slo.spec.gotemplate.lex import TemplateToken, tokenize

# What only Helm writes: its own objects, includes, and text in back-ticks.
_SIGNS = (".Values.", ".Release.", ".Chart.", "{{ include ", "{{- include ", "{{`", "{{include ")
REASON = "is a Helm template, not a document yet; render it first: helm template CHART | slo import -"
_DEEPEST = 20  # templates that include one another
_DEEPEST_BLOCK = 50  # conditions, and parentheses, in one another
# A chart of a few lines may include, repeat and replace itself into gigabytes.
_LARGEST = 1 << 20  # characters of a file
_MOST_TEMPLATES = 5_000
_MOST_CHARACTERS = 8 << 20


def is_helm(text: str) -> bool:
    """Whether a file is meant for Helm, and becomes a document by it."""
    return any(sign in text for sign in _SIGNS)


def templates_in(text: str) -> dict[str, str]:
    """The named templates that a file such as `_helpers.tpl` defines."""
    texts: dict[str, str] = {}
    tokens = tokenize(text[:_LARGEST])
    name, start, depth = "", 0, 0
    for index, token in enumerate(tokens):
        if token.kind != "{{":
            continue
        inner = [part for part in _inside(tokens, index) if part.kind != "space"]
        kind = inner[0].kind if inner else ""
        if kind == "define" and not depth and len(inner) > 1:
            name, depth = _unquoted(inner[1]), 1
            start = _end_of(tokens, index)
        elif depth and kind in ("if", "range", "with", "block"):
            depth += 1
        elif depth and kind == "end":
            depth -= 1
            if not depth:
                texts[name] = text[start : token.start]
    return texts


def render(
    text: str, values: Mapping[str, Any], templates: Mapping[str, str], others: Mapping[str, Any] | None = None
) -> str:
    """The document that Helm makes of a template with these values. `others` are its further objects, such as `Release`.

    Raises Refused with what it lacks.
    """
    return _Renderer(text, {**(others or {}), "Values": values}, templates).render()


def _inside(tokens: Sequence[TemplateToken], opening: int) -> list[TemplateToken]:
    pieces = []
    for index in range(opening + 1, len(tokens)):
        if tokens[index].kind in ("}}", "eof", "error"):
            break
        pieces.append(tokens[index])
    return pieces


def _end_of(tokens: Sequence[TemplateToken], opening: int) -> int:
    """Where the text behind an action begins, without the line's end that is trimmed."""
    for index in range(opening + 1, len(tokens)):
        if tokens[index].kind == "}}":
            return tokens[index + 1].start if index + 1 < len(tokens) else tokens[index].start + 2
    return tokens[-1].start


def _unquoted(token: TemplateToken) -> str:
    if token.kind == "raw":
        return token.text[1:-1]
    try:
        return str(json.loads(token.text))
    except json.JSONDecodeError:
        return token.text[1:-1]


class _Missing:
    """A value that the chart was not given."""

    def __init__(self, path: str) -> None:
        self.path = path


@dataclass
class _RenderedFile:
    """What one file has become so far, its templates included."""

    templates: int = 0
    characters: int = 0

    def checked(self, text: str, coming: int = 0) -> str:
        """A text that was made, or of which so many characters are to be made. Raises Refused where it is too much in all."""
        self.characters += len(text) + coming
        if self.characters > _MOST_CHARACTERS:
            raise Refused(f"is a Helm template that becomes more than {_MOST_CHARACTERS >> 20} MiB")
        return text


@dataclass
class _Renderer:
    """One template. `tokens` are consumed from `at`."""

    text: str
    root: Mapping[str, Any]
    templates: Mapping[str, str]
    depth: int = 0
    made: _RenderedFile = field(default_factory=_RenderedFile)
    blocks: int = 0  # that are open
    tokens: list[TemplateToken] = field(default_factory=list)
    at: int = 0
    last: list[TemplateToken] = field(default_factory=list)  # of the `else` or `end` that a block ended with

    def render(self) -> str:
        if self.depth > _DEEPEST:
            raise Refused("is a Helm template whose templates include one another without end")
        if len(self.text) > _LARGEST:
            raise Refused(f"is a Helm template larger than {_LARGEST >> 20} MiB, {REASON.partition(', ')[2]}")
        self.made.templates += 1
        if self.made.templates > _MOST_TEMPLATES:
            raise Refused(f"is a Helm template that includes more than {_MOST_TEMPLATES:,} templates")
        self.tokens = tokenize(self.text)
        if self.tokens[-1].kind == "error":
            raise Refused(f"is a Helm template with a fault: {self.tokens[-1].text}")
        result, ended = self.block(True)
        if ended:
            raise Refused(f"is a Helm template with a `{ended}` too many")
        return self.made.checked(result)

    def block(self, active: bool) -> tuple[str, str]:
        """The text up to the `else` or `end` that closes it, or the end of all."""
        parts: list[str] = []
        while True:
            token = self.tokens[self.at]
            if token.kind == "eof":
                return "".join(parts), ""
            if token.kind == "text":
                self.at += 1
                following = self.tokens[self.at]
                trims = following.kind == "{{" and self.text[following.start + 2 : following.start + 3] == "-"
                parts.append(token.text.rstrip(" \t\r\n") if trims else token.text)
                continue
            action = _inside(self.tokens, self.at)
            inner = [part for part in action if part.kind != "char"]
            self.at += len(action) + 2
            words = [part for part in inner if part.kind != "space"]
            kind = words[0].kind if words else ""
            if kind in ("else", "end"):
                self.last = inner
                return "".join(parts), kind
            if kind == "if":
                parts.append(self.condition(inner, active))
            elif kind in ("range", "with", "define", "block", "template", "break", "continue") or any(
                w.kind in (":=", "=") for w in words
            ):
                raise Refused(f"{REASON} (`{self.source(inner)}` is not known here)")
            elif active and words:
                parts.append(self.made.checked(self.shown(self.pipeline(inner))))

    def condition(self, inner: list[TemplateToken], active: bool) -> str:
        """`if`, its `else if` and its `else`, up to their `end`."""
        self.blocks += 1
        if self.blocks > _DEEPEST_BLOCK:
            raise Refused(f"is a Helm template with more than {_DEEPEST_BLOCK} conditions in one another")
        holds = active and self.truth(self.pipeline(self.after(inner, "if")))
        results, ended = self.block(holds)
        result = results if holds else ""
        while ended == "else":
            rest = self.after(self.last, "else")
            more = active and not holds
            if any(token.kind == "if" for token in rest):
                more = more and self.truth(self.pipeline(self.after(rest, "if")))
            results, ended = self.block(more)
            result, holds = (results, True) if more else (result, holds)
        self.blocks -= 1
        return result

    def after(self, inner: list[TemplateToken], word: str) -> list[TemplateToken]:
        index = next(index for index, token in enumerate(inner) if token.kind == word)
        return inner[index + 1 :]

    def source(self, inner: list[TemplateToken]) -> str:
        return "".join(token.text for token in inner).strip()

    def pipeline(self, inner: list[TemplateToken]) -> Any:
        """A value, handed on from one command to the next."""
        commands: list[list[TemplateToken]] = [[]]
        depth = 0
        for token in inner:
            depth += (token.kind == "(") - (token.kind == ")")
            if depth > _DEEPEST_BLOCK:
                raise Refused(f"is a Helm template with more than {_DEEPEST_BLOCK} parentheses in one another")
            if token.kind == "|" and not depth:
                commands.append([])
            else:
                commands[-1].append(token)
        value: list[Any] = []
        for command in commands:
            value = [self.command(command, value)]
        return value[0]

    def command(self, tokens: list[TemplateToken], piped: list[Any]) -> Any:
        operands = self.operands(tokens)
        if not operands:
            raise Refused(f"{REASON} (an empty command)")
        head = operands[0]
        if isinstance(head, TemplateToken):
            return self.call(head.text, [*operands[1:], *piped])
        return head

    def operands(self, tokens: list[TemplateToken]) -> list[Any]:
        unquoteds: list[Any] = []
        index = 0
        while index < len(tokens):
            token = tokens[index]
            index += 1
            match token.kind:
                case "space":
                    continue
                case "string" | "raw":
                    unquoteds.append(_unquoted(token))
                case "number":
                    unquoteds.append(token.text)
                case "bool":
                    unquoteds.append(token.text == "true")
                case "nil":
                    unquoteds.append(None)
                case "identifier":
                    unquoteds.append(token)
                case "dot":
                    unquoteds.append(self.root)
                case "field" | "variable":
                    path = token.text.removeprefix("$")
                    while index < len(tokens) and tokens[index].kind == "field":
                        path += tokens[index].text
                        index += 1
                    unquoteds.append(self.looked_up(path))
                case "(":
                    close = self.closing(tokens, index)
                    unquoteds.append(self.pipeline(tokens[index:close]))
                    index = close + 1
                case _:
                    raise Refused(f"{REASON} (`{token.text}` is not known here)")
        return unquoteds

    def closing(self, tokens: list[TemplateToken], index: int) -> int:
        depth = 1
        while True:
            depth += (tokens[index].kind == "(") - (tokens[index].kind == ")")
            if not depth:
                return index
            index += 1

    def looked_up(self, path: str) -> Any:
        value: Any = self.root
        for name in path.strip(".").split("."):
            if not isinstance(value, Mapping) or name not in value:
                return _Missing(path)
            value = value[name]
        return value

    def call(self, name: str, arguments: list[Any]) -> Any:
        if name == "include":
            template = str(arguments[0]) if arguments else ""
            if template not in self.templates:
                raise Refused(f"{REASON}; or name the file that defines the template {template!r} too (_helpers.tpl)")
            return _Renderer(self.templates[template], self.root, self.templates, self.depth + 1, self.made).render()
        if name in ("default", "and", "or", "not") and not arguments:
            raise Refused(f"is a Helm template with a fault: `{name}` without a value")
        if name == "default":
            return arguments[1] if len(arguments) > 1 and self.truth(arguments[1]) else arguments[0]
        if name in ("and", "or"):
            return next((value for value in arguments if self.truth(value) == (name == "or")), arguments[-1])
        if name == "not":
            return not self.truth(arguments[0])
        if name == "toYaml" and arguments:
            return self.made.checked(_to_yaml(None if isinstance(arguments[0], _Missing) else arguments[0]))
        if name not in _FUNCTIONS:
            raise Refused(f"{REASON} (the function `{name}` is not known here)")
        try:
            texts = [self.shown(argument) for argument in arguments]
            if name == "replace" and len(texts) == 3:
                self.made.checked("", texts[2].count(texts[0]) * len(texts[1]))
            elif name in ("indent", "nindent") and len(texts) == 2:
                self.made.checked("", 100 * texts[1].count("\n"))
            elif name == "printf":
                self.made.checked("", sum(map(len, texts)))
            value = _FUNCTIONS[name](*texts)
        except TypeError:
            raise Refused(f"{REASON} (`{name}` with {len(arguments)} arguments is not known here)") from None
        return self.made.checked(value) if isinstance(value, str) else value

    def truth(self, value: Any) -> bool:
        return not isinstance(value, _Missing) and bool(value)

    def shown(self, value: Any) -> str:
        if isinstance(value, _Missing):
            raise Refused(f"{REASON}; or give its values: --values FILE, with {value.path}")
        if isinstance(value, dict | list):
            raise Refused(f"{REASON} (it prints a whole mapping or list)")
        return "" if value is None else text_of(value)


def _to_yaml(value: Any) -> str:
    return (
        yaml.safe_dump(value, sort_keys=True, allow_unicode=True, width=10_000_000).removesuffix("\n...\n").rstrip("\n")
    )


def _indented(count: str, text: str) -> str:
    if not (count.isascii() and count.isdecimal() and len(count) <= 2):
        raise Refused(f"{REASON} (an indent of {count[:20]} is not known here)")
    return "\n".join(" " * int(count) + line for line in text.split("\n"))


def _printf(form: str, *arguments: str) -> str:
    parts = form.replace("%%", "\0").replace("%v", "%s").replace("%d", "%s").split("%s")
    if len(parts) != len(arguments) + 1 or any("%" in part for part in parts):
        raise Refused(f"{REASON} (`printf {form!r}` is not known here)")
    return "".join(part + argument for part, argument in zip(parts, [*arguments, ""], strict=True)).replace("\0", "%")


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "printf": _printf,
    "quote": lambda text: json.dumps(text, ensure_ascii=False),
    "squote": lambda text: f"'{text}'",
    "replace": lambda old, new, text: text.replace(old, new),
    "lower": str.lower,
    "upper": str.upper,
    "trim": str.strip,
    "indent": _indented,
    "nindent": lambda count, text: "\n" + _indented(count, text),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "trimPrefix": lambda prefix, text: text.removeprefix(prefix),
    "toString": str,
    "required": lambda message, text: text,
    "eq": lambda value, *others: value in others,
    "ne": lambda value, other: value != other,
    "contains": lambda part, text: part in text,
    "hasPrefix": lambda prefix, text: text.startswith(prefix),
    "hasSuffix": lambda suffix, text: text.endswith(suffix),
}
