"""Definitions as YAML, with a comment above whatever a note is about."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slo.convert.model import ConversionNote, Draft, Imported, ServiceDraft
from slo.spec.yaml import Path

_WIDTH = 118
# Text that YAML, in every version and reader, takes for the text that it is.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./%-]*(?: [A-Za-z0-9_./%()-]+)*")
_OTHER = re.compile(r"(?i:true|false|null|yes|no|on|off|y|n)")
# Without what ends a line to YAML besides the usual: NEL and the separators of Unicode.
_PRINTABLE = re.compile(r"[\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]*")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def file_text(imported: Imported) -> str:
    """What a file became, as one text; its refusals as comments at the end."""
    head = f"# Imported from {imported.file}, {imported.tool}. Comments that begin with `changed:` are about what is not as it was."
    parts = [_comment(head.removeprefix("# "), 0)]
    for index, service in enumerate(imported.services):
        parts += ["---"] * (index > 0) + [service_text(service).rstrip("\n")]
    for refusal in imported.refusals:
        parts.append(_comment(f"refused: {refusal.name} (line {refusal.line}): {refusal.reason}", 0))
    return "\n".join(parts) + "\n"


def service_text(service: ServiceDraft) -> str:
    """One document."""
    return document_text(service.head, service.slos, service.notes)


def document_text(head: Mapping[str, Any], slos: Sequence[Draft], notes: Sequence[ConversionNote] = ()) -> str:
    """A document of ours: `head`, then the SLOs with their notes."""
    lines = [*_notes_at((), notes, 0), *_mapping(head, (), notes, 0), "slos:"]
    for draft in slos:
        own = list(_notes_at((), draft.notes, 2))
        body = list(_mapping(draft.entry, (), draft.notes, 4))
        first = next(index for index, line in enumerate(body) if not line.lstrip().startswith("#"))
        body[first] = "  - " + body[first][4:]
        above = ["\n".join(row[2:] for row in line.split("\n")) for line in body[:first]]
        lines += own + above + body[first:]
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """A text as a YAML scalar on one line, which reads back as the same text."""
    if _PLAIN.fullmatch(text) and not _OTHER.fullmatch(text):
        return text
    if text and _PRINTABLE.fullmatch(text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if _PRINTABLE.fullmatch(character):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _mapping(data: Mapping[str, Any], path: Path, notes: Sequence[ConversionNote], indent: int) -> Iterator[str]:
    pad = " " * indent
    for key, value in data.items():
        here = (*path, key)
        yield from _notes_at(here, notes, indent)
        name = scalar(key)
        match value:
            case {} | [] if not value:
                yield f"{pad}{name}: {'{}' if isinstance(value, dict) else '[]'}"
            case dict():
                yield f"{pad}{name}:"
                yield from _mapping(value, here, notes, indent + 2)
            case list() if all(isinstance(item, str) for item in value):
                yield f"{pad}{name}: [{', '.join(map(scalar, value))}]"
            case list():
                yield f"{pad}{name}:"
                for index, item in enumerate(value):
                    yield from _notes_at((*here, index), notes, indent + 2)
                    yield f"{pad}  - {{{', '.join(f'{scalar(k)}: {_flow_value(v)}' for k, v in item.items())}}}"
            case False:
                yield f"{pad}{name}: off"
            case True:
                yield f"{pad}{name}: true"
            case _ if "\n" in value and (block := _block(value, indent + 2)) is not None:
                yield f"{pad}{name}: {block}"
            case _:
                yield f"{pad}{name}: {scalar(value)}"


def _block(text: str, indent: int) -> str | None:
    """Several lines as a literal block; None for what one cannot hold as it is."""
    lines = text.rstrip("\n").split("\n")
    trailing = len(text) - len(text.rstrip("\n"))
    if (
        trailing > 1
        or not lines[0]
        or any(line != line.rstrip() or not _PRINTABLE.fullmatch(line) for line in lines)
        or lines[0][0] == " "
    ):
        return None
    pad = " " * indent
    return ("|" if trailing else "|-") + "".join(f"\n{pad}{line}" if line else "\n" for line in lines)


def _flow_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(k)}: {_flow_value(v)}" for k, v in value.items()) + "}"
    return scalar(value)


def _notes_at(path: Path, notes: Sequence[ConversionNote], indent: int) -> Iterator[str]:
    for note in notes:
        if note.path == path:
            yield _comment(("changed: " if note.changed else "warning: " if note.warns else "") + note.text, indent)


def _comment(text: str, indent: int) -> str:
    pad = " " * indent + "# "
    text = "".join(character if _PRINTABLE.fullmatch(character) else "?" for character in " ".join(text.split()))
    lines = textwrap.wrap(text, _WIDTH - len(pad), break_long_words=False, break_on_hyphens=False)
    return "\n".join(pad + line for line in lines)
