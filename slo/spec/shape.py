"""What the faults of a mapping's shape are to a person: pydantic's, by their path in the YAML."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from slo.spec import yaml as strict_yaml
from slo.spec.document import accepted_keys
from slo.spec.short import SHORT
from slo.suggest import unknown_key


def validation_messages(
    error: ValidationError,
    data: Any,
    accepted: Callable[[strict_yaml.Path], list[str]] = accepted_keys,
    secret: bool = False,
) -> list[tuple[strict_yaml.Path, str]]:
    """What the faults of `data`'s shape are to a person: (path in the YAML, message); `accepted` names the keys at a path.

    Where values may be `secret`, as in what a job is configured by, only those are quoted that cannot be one.
    """
    show = _unquoted if secret else _quoted
    result: dict[tuple[strict_yaml.Path, str], None] = {}
    details = error.errors(include_url=False)
    for detail in details:
        path = yaml_path(detail["loc"], data)
        kind, value = detail["type"], detail.get("input")
        # A union reports each of its branches: of `off` or a mapping, a mapping's own faults say more.
        if kind == "literal_error" and any(
            _at_or_below(other["loc"], detail["loc"], data) for other in details if other is not detail
        ):
            continue
        # A budget's alerts are a list or a mapping; a text is neither.
        if path[-2:] == ("alerting", "budget") and (kind, type(value)) in (("list_type", str), ("model_type", list)):
            continue
        if (kind, type(value)) in (("dict_type", list), ("list_type", dict)) and any(
            _at_or_below(other["loc"], detail["loc"], data) for other in details if other is not detail
        ):
            continue
        match kind:
            case "extra_forbidden":
                message = unknown_key(str(path[-1]), accepted(path[:-1]), secret)
            case "missing":
                message = f"`{path[-1]}` is missing"
                path = path[:-1]
            case "string_pattern_mismatch":
                message = f"{show(value)} is not a valid name; letters, digits, `-`, `_` and `.` are accepted"
                if {"by", "target_labels"} & set(path[-2:]):
                    message = (
                        f"{show(value)} is not a valid label name; any text without control characters is accepted"
                    )
                elif str(path[-1:][0] if path else "").endswith("_env"):
                    # What stands here in the place of a name is the secret itself, more often than not.
                    message = "is not the name of an environment variable; write its name, and give the value to the job's environment"
                elif detail["loc"][-1:] == ("[key]",):
                    message = (
                        f"{show(value)} is not a valid label name; letters, digits and `_` are accepted, no digit first"
                    )
                elif "-" not in detail["ctx"]["pattern"].replace("a-z", "").replace("A-Z", "").replace("0-9", ""):
                    message = (
                        f"{show(value)} is not a valid alert name; letters, digits and `_` are accepted, no digit first"
                    )
            case "string_too_long":
                message = f"is longer than {detail['ctx']['max_length']} characters"
            case "string_type":
                message = f"must be text, found {kind_of(value, show)}"
            case "list_type":
                message = f"must be a list, found {kind_of(value, show)}"
            case "too_short":
                message = "must hold at least one entry"
            case "model_type" | "dict_type" | "model_attributes_type":
                keys = accepted(path)
                message = f"must be a mapping{' with ' + ', '.join(keys) if keys else ''}, found {kind_of(value, show)}"
                if path[-2:] == ("alerting", "budget"):
                    message = f"must be a list of shares such as [50%, 100%], or {message.removeprefix('must be ')}"
                if path and path[-1] in ("page", "ticket", "absent", "budget", "alerting"):
                    message += "; or write `off`"
                if path[-2:-1] == ("sli",) and path[-1] in SHORT:
                    message += f"; or in short, such as `{path[-1]}: {SHORT[str(path[-1])][0]}`"
            case "literal_error":
                expected = detail["ctx"]["expected"]
                # A slip of an accepted word is no secret.
                slip = bool(get_close_matches(str(value), re.findall(r"'([^']*)'", expected), n=1, cutoff=0.6))
                message = f"found {_quoted(value) if slip else show(value)}; accepted is {expected}"
            case _:
                message = detail["msg"]
        result[path, message] = None
    return list(result)


def yaml_path(loc: tuple[str | int, ...], data: Any) -> strict_yaml.Path:
    """The path in `data` of a place that pydantic names: it adds a union's branch (a model's name, `literal[...]`) and `[key]`.

    What is a key or an index there is part of the path whatever it is called; of the rest, what looks like such an addition is not.
    """
    path: list[str | int] = []
    here: Any = data
    for step in loc:
        is_index = isinstance(here, list) and isinstance(step, int) and step < len(here)
        if is_index or (isinstance(here, dict) and step in here):
            here = here[step]
        elif isinstance(step, str) and step.endswith(("Model", "]")) and (step[:1].isupper() or "[" in step):
            continue
        else:
            here = None  # a key that is missing
        path.append(step)
    return tuple(path)


def _at_or_below(other: tuple[str | int, ...], loc: tuple[str | int, ...], data: Any) -> bool:
    path, base = yaml_path(other, data), yaml_path(loc, data)
    return path[: len(base)] == base


def kind_of(value: object, show: Callable[[object], str] | None = None) -> str:
    """What a value of YAML is to a person: nothing, a mapping, a list, or the text itself."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"`{str(value).lower()}`"
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return (show or _quoted)(value)


def _unquoted(value: object) -> str:
    return "a text"


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[-1]
