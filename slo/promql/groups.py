"""Rule groups as Prometheus's rules files hold them, with durations in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slo.errors import PromqlError
from slo.promql.ast import Node
from slo.promql.parse import parse, parse_duration

DEFAULT_INTERVAL_MS = 60_000


@dataclass(frozen=True)
class Rule:
    """A recording rule (`record`) or an alerting rule (`alert`), the other name being empty."""

    expr: Node
    record: str = ""
    alert: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    for_ms: int = 0
    keep_firing_for_ms: int = 0

    @property
    def name(self) -> str:
        return self.record or self.alert


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other each `interval_ms`; `limit` 0 is none."""

    name: str
    rules: tuple[Rule, ...]
    interval_ms: int = DEFAULT_INTERVAL_MS
    query_offset_ms: int = 0
    limit: int = 0


def read_groups(
    groups: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any] | Group],
) -> tuple[Group, ...]:
    """The groups of a rules file, of its parsed content, or of a list of groups. Raises PromqlError."""
    if isinstance(groups, str | Path):
        import yaml

        try:
            content = yaml.load(Path(groups).read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        except (OSError, yaml.YAMLError) as error:
            raise PromqlError(f"{groups}: cannot be read as a rules file: {error}") from None
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            # What PyYAML makes of scalars fails in Python's own ways: numbers of 5,000 digits, the 40th of a month.
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).partition(";")[0]
            raise PromqlError(f"{groups}: cannot be read as a rules file: {reason}") from None
        return read_groups(content or {})
    if isinstance(groups, Mapping):
        groups = groups.get("groups") or ()
    if not isinstance(groups, Sequence) or isinstance(groups, str):
        raise PromqlError(f"`groups` must be a list; found {_shown(groups)}")
    return tuple(group if isinstance(group, Group) else _group(group) for group in groups)


def _group(raw: Any) -> Group:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("rules") or [], list):
        raise PromqlError(f"a group is a mapping with name and a list of rules; found {_shown(raw)}")
    name = str(raw.get("name", ""))
    if not isinstance(raw.get("labels") or {}, Mapping):
        raise PromqlError(f"group {name!r}: its labels are a mapping; found {_shown(raw['labels'])}")
    limit = str(raw.get("limit") or 0)
    if not limit.isascii() or not limit.isdecimal() or len(limit) > 18:
        raise PromqlError(f"group {name!r}: its limit is a number of series; found {_shown(raw['limit'])}")
    return Group(
        name,
        tuple(_rule(rule, name, raw.get("labels") or {}) for rule in raw.get("rules") or ()),
        _duration(raw.get("interval")) or DEFAULT_INTERVAL_MS,
        _duration(raw.get("query_offset")),
        int(limit),
    )


def _rule(raw: Any, group: str, labels: Mapping[str, Any]) -> Rule:
    if not isinstance(raw, Mapping) or not all(
        isinstance(raw.get(key) or {}, Mapping) for key in ("labels", "annotations")
    ):
        raise PromqlError(
            f"group {group!r}: a rule is a mapping, and so are its labels and annotations; found {_shown(raw)}"
        )
    record, alert = str(raw.get("record") or ""), str(raw.get("alert") or "")
    if bool(record) == bool(alert):
        raise PromqlError(f"group {group!r}: a rule needs either record or alert: {dict(raw)}")
    try:
        expr = parse(str(raw.get("expr", "")))
    except PromqlError as error:
        raise PromqlError(f"group {group!r}, rule {record or alert!r}: {error}") from None
    return Rule(
        expr,
        record,
        alert,
        tuple((str(key), str(value)) for key, value in {**labels, **(raw.get("labels") or {})}.items()),
        tuple((str(key), str(value)) for key, value in (raw.get("annotations") or {}).items()),
        _duration(raw.get("for")),
        _duration(raw.get("keep_firing_for")),
    )


def _shown(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _duration(raw: Any) -> int:
    return parse_duration(str(raw)) if raw else 0
