"""Rule groups as text: written by hand, byte for byte the same each time, as a library takes 40 times as long.

Expressions are broken over lines for people who read them, or `flat`, on one line each: of ten thousand SLOs the breaks
and indents are a sixth of what is written, and nobody reads that many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePath

from slo.promql.ast import pretty, squeezed
from slo.rules.groups import DETAIL, AlertRule, RecordingRule, Rule, RuleGroup
from slo.rules.lint import file_comments
from slo.rules.resource import label_of, namespace_of, object_name
from slo.window import format_duration

# What stands before the groups of a file and of a resource: lists are not indented, as in what `kubectl` prints.
PAD, PAD_OF_RESOURCE = "", "  "
# More SLOs than these nobody reads: their expressions are on one line each unless asked otherwise.
MOST_READ = 1000
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_:]*(?:[/.-][A-Za-z0-9_:]+)*(?<!:)")
_KEYWORDS = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null|nan|inf|infinity")
# What YAML does not let stand in a text, or takes for a line's end; JSON lets some of it stand.
_UNPRINTABLE = re.compile("[^\x0a\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
# Around a scalar that others may share, until its file is written: no text has one.
_SHARED = "\0"
# A text that is shorter is not shared, nor is one that names an SLO's own series.
_SHORT = 80
_OWN = frozenset({"breakdown", "missing", "slo_description"})
_LINE = re.compile("[\r\n\x85\u2028\u2029]+")


def to_yaml(groups: Sequence[RuleGroup], inputs: Iterable[str] = (), *, flat: bool = False) -> str:
    """A Prometheus rules file; Mimir, Thanos and vmalert read the same. `inputs` are named in its head, without folders."""
    return "".join(yaml_file(_groups(groups, PAD, flat), inputs))


def yaml_file(groups: Iterable[str], inputs: Iterable[str] = ()) -> Iterator[str]:
    """A rules file in pieces, of the texts of its groups, which have the padding PAD; they are taken one at a time."""
    yield header(inputs)
    yield from _list_of("groups", groups, "")


def to_prometheus_rule(
    groups: Sequence[RuleGroup],
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    inputs: Iterable[str] = (),
    *,
    flat: bool = False,
) -> str:
    """The same as a PrometheusRule resource of the Prometheus operator, to be applied to a cluster. Raises ConfigError."""
    if namespace is not None:
        namespace_of(namespace, "namespace")
    for label, value in (labels or {}).items():
        label_of(label, value, "label")
    return "".join(
        prometheus_rule(_groups(groups, PAD_OF_RESOURCE, flat), object_name(name), namespace, labels, inputs)
    )


def prometheus_rule(
    groups: Iterable[str],
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    inputs: Iterable[str] = (),
) -> Iterator[str]:
    """A PrometheusRule in pieces, of the texts of its groups, padded by PAD_OF_RESOURCE; they are taken one at a time."""
    return resource("monitoring.coreos.com/v1", "PrometheusRule", groups, name, namespace, labels, inputs)


def resource(
    version: str,
    kind: str,
    groups: Iterable[str],
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    inputs: Iterable[str] = (),
) -> Iterator[str]:
    """A resource of Kubernetes that holds groups of rules, in pieces."""
    lines = [header(inputs), f"apiVersion: {version}\nkind: {kind}\nmetadata:\n"]
    lines.append(f"  name: {scalar(name)}\n")
    if namespace is not None:
        lines.append(f"  namespace: {scalar(namespace)}\n")
    if labels:
        lines.append("  labels:\n" + _mapping(labels, "    "))
    yield "".join([*lines, "spec:\n"])
    yield from _list_of("groups", groups, "  ")


def _list_of(key: str, texts: Iterable[str], pad: str) -> Iterator[str]:
    rest = _shared(texts)
    first = next(rest, None)
    yield f"{pad}{key}: []\n" if first is None else f"{pad}{key}:\n{first}"
    yield from rest


def _shared(texts: Iterable[str]) -> Iterator[str]:
    """The texts of groups with each shared scalar written out once, with an anchor, and named by that further on."""
    anchors: dict[str, str] = {}
    for text in texts:
        parts = text.split(_SHARED)
        for place in range(1, len(parts), 2):
            own = parts[place]
            known = anchors.get(own)
            if known is None:
                known = anchors[own] = f"t{len(anchors) + 1}"
                parts[place] = f"&{known} {own}"
            else:
                parts[place] = f"*{known}"
        yield "".join(parts)


def header(inputs: Iterable[str]) -> str:
    """The lines at the top of a file: what it was made from. No time, no place: the same input gives the same bytes."""
    names = sorted({PurePath(path).name for path in inputs})
    made = "".join(f"#   {_one_line(name)}\n" for name in names)
    linted = "".join(f"# {line}\n" for line in file_comments())
    return f"# SLO rules. Made by `slo rules` from:\n{made}# Change the definitions rather than this file.\n{linted}"


def scalar(text: str) -> str:
    """A text as a YAML scalar on one line."""
    if _PLAIN.fullmatch(text) and not _KEYWORDS.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: _escaped(match[0]), quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    # Half of a pair is not a character: nothing can write it in UTF-8.
    return "\\ufffd" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _groups(groups: Iterable[RuleGroup], pad: str, flat: bool) -> Iterable[str]:
    for group in groups:
        yield from group_text(group, pad, flat=flat)


def group_text(group: RuleGroup, pad: str, *, flat: bool = False) -> Iterable[str]:
    """The text of a group, in pieces."""
    yield "".join(f"{pad}# {_one_line(line)}\n" for line in group.comment if not (flat and line.startswith(DETAIL)))
    yield f"{pad}- name: {scalar(group.name)}\n{pad}  interval: {format_duration(group.interval_ms)}\n"
    yield f"{pad}  limit: {group.limit}\n" if group.limit else ""
    yield f"{pad}  rules:\n"
    for rule in group.rules:
        yield from _rule(rule, pad + "  ", flat)


def is_plain(text: str) -> bool:
    """Whether YAML takes a text for what it is without quotes, by itself and as part of a name."""
    return bool(_PLAIN.fullmatch(text)) and not _KEYWORDS.fullmatch(text)


def _rule(rule: Rule, pad: str, flat: bool) -> tuple[str, ...]:
    """The text of a rule, in pieces."""
    inner = pad + "  "
    linted = "".join(f"{pad}# pint disable {check}\n" for check in rule.not_meant)
    match rule:
        case RecordingRule():
            head = f"{linted}{pad}- record: {_key(rule.name)}\n{inner}expr: "
            return head, _expression(rule, inner, flat), "\n", _flow(tuple(rule.labels.items()), inner)
        case AlertRule():
            head = f"{linted}{pad}- alert: {scalar(rule.name)}\n{inner}expr: "
            wait = f"{inner}for: {format_duration(rule.for_ms)}\n" if rule.for_ms else ""
            wait += f"{inner}keep_firing_for: {format_duration(rule.keep_firing_ms)}\n" if rule.keep_firing_ms else ""
            labels = _flow(tuple(rule.labels.items()), inner)
            annotations = (
                f"{inner}annotations:\n{_annotations(rule.annotations, inner + '  ', flat)}" if rule.annotations else ""
            )
            return head, _expression(rule, inner, flat), "\n", wait + labels + annotations


def _expression(rule: Rule, pad: str, flat: bool) -> str:
    return _scalar_of(squeezed(rule.expr) if flat else pretty(rule.expr), f"{pad}  ")


def _scalar_of(text: str, indent: str) -> str:
    """An expression as a YAML scalar, its further lines with an indent."""
    if _UNPRINTABLE.search(text):
        return scalar(text)
    if "\n" in text:
        return f"|-\n{indent}" + text.replace("\n", f"\n{indent}")
    return scalar(text) if _needs_quotes(text) else text


def _needs_quotes(text: str) -> bool:
    """Whether YAML takes a text of a block for something else: it would a number alone."""
    begins = text[0].isalpha() or text[0] == "(" or (text[0].isdigit() and any(mark in text for mark in " ({"))
    return not begins or ": " in text or " #" in text or text.endswith((":", " ")) or bool(_KEYWORDS.fullmatch(text))


def annotation_text(text: str) -> str:
    """An annotation as a YAML scalar. A query is plain; what begins as a template, or has a colon, is not."""
    if (
        text
        and "\n" not in text
        and not text[0].isdigit()
        and not _UNPRINTABLE.search(text)
        and not _needs_quotes(text)
    ):
        return text
    # Texts have queries in them, and these double quotes.
    return scalar(text) if not text or "'" in text or "\n" in text or _UNPRINTABLE.search(text) else f"'{text}'"


def _annotations(values: Mapping[str, str], pad: str, flat: bool) -> str:
    """Where nobody reads it, texts that are templates and long are marked as shared: others have the same."""
    lines = []
    for key, value in sorted(values.items()):
        text = annotation_text(value)
        if flat and len(text) > _SHORT and key not in _OWN:
            text = f"{_SHARED}{text}{_SHARED}"
        lines.append(f"{pad}{_key(key)}: {text}\n")
    return "".join(lines)


def _mapping(values: Mapping[str, str], pad: str) -> str:
    return "".join(f"{pad}{_key(key)}: {scalar(value)}\n" for key, value in sorted(values.items()))


@lru_cache(maxsize=256)
def _flow(items: tuple[tuple[str, str], ...], pad: str) -> str:
    """Labels on a line: nearly all rules of an SLO have the same."""
    if not items:
        return ""
    return f"{pad}labels: {{{', '.join(f'{_key(key)}: {scalar(value)}' for key, value in sorted(items))}}}\n"


@lru_cache(maxsize=256)
def _key(text: str) -> str:
    return scalar(text)


def _one_line(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", _LINE.sub(" ", text))
