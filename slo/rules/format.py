"""Rule groups as text: written by hand, byte for byte the same each time, as a library takes 40 times as long."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePath

from slo.promql.ast import Matcher, Node, VectorSelector, pretty, transform
from slo.rules.groups import AlertRule, Recording, Rule, RuleGroup, Shape
from slo.window import format_duration

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_:]*(?:[/.-][A-Za-z0-9_:]+)*(?<!:)")
_KEYWORDS = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null|nan|inf|infinity")
# What YAML does not let stand in a text, or takes for a line's end; JSON lets some of it stand.
_UNPRINTABLE = re.compile("[^\x0a\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE = re.compile("[\r\n\x85\u2028\u2029]+")


def to_yaml(groups: Sequence[RuleGroup], inputs: Iterable[str] = ()) -> str:
    """A Prometheus rules file; Mimir, Thanos and vmalert read the same. `inputs` are named in its head, without folders."""
    return "".join([header(inputs), "groups:\n" if groups else "groups: []\n", *_groups(groups, "  ")])


def to_prometheus_rule(
    groups: Sequence[RuleGroup],
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    inputs: Iterable[str] = (),
) -> str:
    """The same as a PrometheusRule resource of the Prometheus operator, to be applied to a cluster."""
    lines = [header(inputs), "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n"]
    lines.append(f"  name: {scalar(name)}\n")
    if namespace is not None:
        lines.append(f"  namespace: {scalar(namespace)}\n")
    if labels:
        lines.append("  labels:\n" + _mapping(labels, "    "))
    lines += ["spec:\n", "  groups:\n" if groups else "  groups: []\n", *_groups(groups, "    ")]
    return "".join(lines)


def header(inputs: Iterable[str]) -> str:
    """The lines at the top of a file: what it was made from. No time, no place: the same input gives the same bytes."""
    names = sorted({PurePath(path).name for path in inputs})
    made = "".join(f"#   {_one_line(name)}\n" for name in names)
    return f"# SLO rules. Made by `slo rules` from:\n{made}# Change the definitions rather than this file.\n"


def scalar(text: str) -> str:
    """A text as a YAML scalar on one line."""
    if _PLAIN.fullmatch(text) and not _KEYWORDS.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: _escaped(found[0]), quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    # Half of a pair is no character: nothing can write it in UTF-8.
    return "\\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _groups(groups: Iterable[RuleGroup], pad: str) -> Iterable[str]:
    for group in groups:
        yield "".join(f"{pad}# {_one_line(line)}\n" for line in group.comment)
        yield f"{pad}- name: {scalar(group.name)}\n{pad}  interval: {format_duration(group.interval_ms)}\n"
        yield f"{pad}  limit: {group.limit}\n" if group.limit else ""
        yield f"{pad}  rules:\n"
        for rule in group.rules:
            # In pieces: texts of tiles are long, and putting them together more than once takes a while.
            yield from _rule(rule, pad + "    ")


def _rule(rule: Rule, pad: str) -> tuple[str, ...]:
    """The text of a rule, in pieces."""
    inner = pad + "  "
    match rule:
        case Recording():
            head = f"{pad}- record: {_key(rule.name)}\n{inner}expr: "
            return (
                head,
                _expression(rule, inner),
                f"\n{inner}labels:\n",
                _labels(tuple(rule.labels.items()), inner + "  "),
            )
        case AlertRule():
            head = f"{pad}- alert: {scalar(rule.name)}\n{inner}expr: "
            wait = f"{inner}for: {format_duration(rule.for_ms)}\n" if rule.for_ms else ""
            wait += f"{inner}keep_firing_for: {format_duration(rule.keep_firing_ms)}\n" if rule.keep_firing_ms else ""
            labels = f"{inner}labels:\n{_labels(tuple(rule.labels.items()), inner + '  ')}"
            labels = labels if rule.labels else ""
            annotations = f"{inner}annotations:\n{_mapping(rule.annotations, inner + '  ')}" if rule.annotations else ""
            return head, _expression(rule, inner), "\n", wait + labels + annotations


@dataclass(frozen=True, slots=True)
class _Model:
    """The text of all expressions of a shape: `pieces`, of which every other one is put in by its number.

    `indent` is what further lines begin with; it is in the pieces. `safe` texts need no quotes, whatever plain text is
    put in.
    """

    pieces: tuple[str, ...]
    numbers: tuple[int, ...]
    indent: str
    safe: bool

    def text(self, texts: Sequence[str]) -> str:
        """With these texts put in."""
        pieces = list(self.pieces)
        pieces[1::2] = [texts[number] for number in self.numbers]
        return "".join(pieces)


def _model(rule: Rule, shape: Shape, indent: str) -> _Model:
    model = _MODELS.get((shape.key, indent))
    if model is None:
        if len(_MODELS) >= 4096:
            _MODELS.clear()
        text = pretty(transform(rule.expr, lambda node: _stand_in(node, shape)))
        parts = _STAND_IN.split(text.replace("\n", f"\n{indent}"))
        numbers = tuple(int(number) for number in parts[1::2])
        safe = "\n" in text and not _UNPRINTABLE.search(text)
        model = _MODELS[shape.key, indent] = _Model(tuple(parts), numbers, indent, safe)
    return model


# Texts by shape, with stand-ins for what differs: printing nodes is most of the work for 10,000 SLOs. Lines break where
# the stand-ins' lengths make them, so a text does not depend on what was printed before.
_MODELS: dict[tuple[Hashable, str], _Model] = {}
_STAND_IN = re.compile('stand_in_for_the_labels_or_the_selector_([0-9])(?:="")?')


def _stand_in(node: Node, shape: Shape) -> Node:
    if not isinstance(node, VectorSelector):
        return node
    if shape.matchers and node.matchers == shape.matchers:
        return replace(node, matchers=(Matcher("stand_in_for_the_labels_or_the_selector_0", "=", ""),))
    for number, selector in enumerate(shape.selectors, 1):
        if (node.name, node.matchers) == (selector.name, selector.matchers):
            return replace(node, name=f"stand_in_for_the_labels_or_the_selector_{number}", matchers=())
    return node


@lru_cache(maxsize=64)
def _joined(matchers: tuple[Matcher, ...]) -> str:
    return ",".join(map(str, matchers))


@lru_cache(maxsize=64)
def _printed(selectors: tuple[VectorSelector, ...]) -> tuple[tuple[str, ...], bool]:
    """Selectors as text, and whether YAML lets all of it stand; the tiles of an SLO have the same."""
    texts = tuple(map(str, selectors))
    return texts, not any(_UNPRINTABLE.search(text) or "\n" in text for text in texts)


def _expression(rule: Rule, pad: str) -> str:
    shape, indent = rule.shape, f"{pad}  "
    if shape is None:
        return _scalar_of(pretty(rule.expr), indent)
    model = _model(rule, shape, indent)
    matchers = _joined(shape.matchers)
    selectors, plain = _printed(shape.selectors)
    text = model.text((matchers, *selectors))
    if model.safe and plain and not _UNPRINTABLE.search(matchers):
        return f"|-\n{indent}{text}"
    return _scalar_of(text.replace(f"\n{indent}", "\n"), indent)


def _scalar_of(text: str, indent: str) -> str:
    """An expression as a YAML scalar, its further lines with an indent."""
    if _UNPRINTABLE.search(text):
        return scalar(text)
    if "\n" in text:
        return f"|-\n{indent}" + text.replace("\n", f"\n{indent}")
    return scalar(text) if _needs_quotes(text) else text


def _needs_quotes(text: str) -> bool:
    return (
        not text[0].isalpha()
        or ": " in text
        or " #" in text
        or text.endswith((":", " "))
        or bool(_KEYWORDS.fullmatch(text))
    )


def _mapping(values: Mapping[str, str], pad: str) -> str:
    return "".join(f"{pad}{_key(key)}: {scalar(value)}\n" for key, value in sorted(values.items()))


@lru_cache(maxsize=256)
def _labels(items: tuple[tuple[str, str], ...], pad: str) -> str:
    """Labels as lines: nearly all rules of an SLO have the same."""
    return _mapping(dict(items), pad)


@lru_cache(maxsize=256)
def _key(text: str) -> str:
    return scalar(text)


def _one_line(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", _LINE.sub(" ", text))
