"""What a foreign document becomes: drafts of our own definitions, the notes on them, and what was refused and why."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from slo.spec.presets import load as load_preset
from slo.spec.yaml import Path

Grade = Literal["exact", "changed", "refused"]


class Refused(Exception):  # noqa: N818 - carried to the summary, never shown by itself
    """A foreign SLO that our definitions cannot hold; the text is the reason."""


@dataclass(frozen=True, slots=True)
class ConversionNote:
    """What must be known of a place of a draft. `changed`: what is measured or alerted is not quite the same. `warns`: it is the
    same, but hardly what the file's author meant."""

    path: Path
    text: str
    changed: bool
    warns: bool = False


@dataclass(slots=True)
class ConversionNotes:
    """Collects notes; paths are those in an SLO's entry, or in a service's document."""

    entries: list[ConversionNote] = field(default_factory=list)

    def same(self, path: Path, text: str) -> None:
        """Something looks different, but means the same."""
        self._add(ConversionNote(path, text, False))

    def changed(self, path: Path, text: str) -> None:
        """Something is not quite what it was, or was dropped."""
        self._add(ConversionNote(path, text, True))

    def warn(self, path: Path, text: str) -> None:
        """Something has no effect in the tool, and so has none here; its author may not know."""
        self._add(ConversionNote(path, text, False, True))

    def _add(self, note: ConversionNote) -> None:
        if note not in self.entries:
            self.entries.append(note)


@dataclass(slots=True)
class Draft:
    """One SLO: its entry under `slos`, the notes on it, and where it came from.

    `original` holds the foreign expressions by role (`errors`, `total`, `good`, `ratio`), with `$window` as the range.
    """

    name: str
    line: int
    entry: dict[str, Any]
    notes: list[ConversionNote]
    original: Mapping[str, str] = field(default_factory=dict)

    @property
    def grade(self) -> Grade:
        return "changed" if any(note.changed for note in self.notes) else "exact"

    @property
    def kind(self) -> str:
        """The kind of SLI."""
        if "preset" in self.entry:
            return load_preset(self.entry["preset"]).kind
        return str(next(iter(self.entry["sli"])))


_LONGEST_REASON = 800  # characters


@dataclass(frozen=True, slots=True)
class Refusal:
    """An SLO, or a whole document or file, that was not taken over."""

    name: str
    line: int
    reason: str

    def __post_init__(self) -> None:
        # A parser's own words may quote all that follows.
        if len(self.reason) > _LONGEST_REASON:
            object.__setattr__(self, "reason", f"{self.reason[:_LONGEST_REASON]}…")


@dataclass(slots=True)
class ServiceDraft:
    """One document of ours. `head` is all of it but `slos`."""

    head: dict[str, Any]
    slos: list[Draft]
    notes: list[ConversionNote] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.head["service"])


@dataclass(slots=True)
class Imported:
    """What one file became. `tool` is whose file it is, as in "a Sloth file"."""

    file: str
    tool: str
    services: list[ServiceDraft] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def drafts(self) -> list[Draft]:
        return [draft for service in self.services for draft in service.slos]

    @property
    def grade(self) -> Grade:
        """The worst of what is in it."""
        changed = any(note.changed for service in self.services for note in service.notes)
        if self.refusals or not self.services:
            return "refused"
        return "changed" if changed or any(draft.grade == "changed" for draft in self.drafts) else "exact"


@dataclass(frozen=True, slots=True)
class Options:
    """How a person wants it: the window where a file has none, whether inverted latencies are turned round, and the `values`
    that Helm templates are rendered with."""

    window: str = "30d"
    invert: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def name_of(text: str, what: str, at: Path, notes: ConversionNotes) -> str:
    """A name that definitions accept, with a note where it is another one than there. Raises Refused where nothing is left."""
    name = _NOT_IN_NAMES.sub("-", text).strip("-_.")[:100].rstrip("-_.")
    if not name:
        raise Refused(f"{text!r} cannot be the name of {what}: it has no letter or digit")
    if name != text:
        notes.changed(at, f"{what} is named {text!r} there; names here are letters, digits, `-`, `_` and `.`")
    return name


def alert_name_of(text: str, at: Path, notes: ConversionNotes) -> str:
    """A name that alerts accept here, with a note where it is another one."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:100]
    name = f"_{name}" if name[:1].isdigit() else name
    if name != text:
        notes.changed(at, f"the alert is named {text!r} there; here its name is letters, digits and `_`")
    return name or "ErrorBudgetBurn"


def is_label(name: str) -> bool:
    """Whether Prometheus takes it as a label's name as it stands."""
    return _LABEL.fullmatch(name) is not None


def text_of(value: Any) -> str:
    """A scalar as it was written: only `true` and `false` arrive as anything else than text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_number(text: str) -> bool:
    """Whether a text is a finite number of a size that anybody measures in."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    return number.is_finite() and abs(number.adjusted()) < 30


def mapping(parent: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """The mapping at a key, empty where there is none. Raises Refused where it is something else."""
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(f"`{where}{key}` must be a mapping")
    return value


def sequence(parent: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    """The list at a key, empty where there is none. Raises Refused where it is something else."""
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Refused(f"`{where}{key}` must be a list")
    return value


def required(parent: Mapping[str, Any], key: str, where: str) -> str:
    """The text at a key. Raises Refused where there is none."""
    value = parent.get(key)
    if value is None or isinstance(value, dict | list) or not text_of(value).strip():
        raise Refused(f"`{where}{key}` is missing")
    return text_of(value)


def optional(parent: Mapping[str, Any], key: str) -> str:
    """The text at a key, or nothing."""
    value = parent.get(key)
    return "" if value is None or isinstance(value, dict | list) else text_of(value)
