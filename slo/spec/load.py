"""Reads definition files and folders; shows all faults of all files at once."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from slo.errors import DefinitionError, Problem
from slo.spec import yaml as strict_yaml
from slo.spec.build import build_service
from slo.spec.document import ServiceModel, accepted_keys
from slo.spec.model import Service, Specs
from slo.suggest import suggest

PathLike = str | os.PathLike[str]


def load(paths: PathLike | Iterable[PathLike]) -> Specs:
    """The SLOs in the given YAML files, and in the `.yaml` and `.yml` files below the given folders.

    Raises DefinitionError with every fault of every file. Warnings are in the result's `warnings`, and so are the
    errors of SLOs that are merely `unusable`: they compile to no rules, and their figures are withheld.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    problems: list[Problem] = []
    services: list[Service] = []
    for file in _files(list(paths), problems):
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            problems.append(
                Problem(str(file), 0, 0, "", f"is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}")
            )
        except OSError as error:
            problems.append(Problem(str(file), 0, 0, "", f"cannot be read: {error.strerror}"))
        else:
            services += loads(text, str(file), problems)
    problems += _duplicates(services)
    if any(problem.severity == "error" and not problem.withheld for problem in problems):
        raise DefinitionError(_sorted(problems))
    return Specs(services, _sorted(problems))


def loads(text: str, file: str, problems: list[Problem]) -> list[Service]:
    """The services that a text holds, one a document; faults are added to `problems`."""
    parsed = strict_yaml.parse(text, file)
    problems += parsed.problems
    if not parsed.documents and not parsed.problems:
        problems.append(Problem(file, 0, 0, "", "is empty; a definition starts with `service:`"))
    services = []
    for document in parsed.documents:
        if not isinstance(document.data, dict):
            line, column = document.place(())
            found = "nothing" if document.data is None else _kind(document.data)
            problems.append(
                Problem(file, line, column, "", f"holds {found}; a definition is a mapping with `service:` and `slos:`")
            )
            continue

        def report(
            path: strict_yaml.Path, message: str, severity: str, document: strict_yaml.Document = document
        ) -> None:
            line, column = document.place(path)
            withheld = severity == "withheld"
            problems.append(
                Problem(
                    file,
                    line,
                    column,
                    strict_yaml.show_path(path),
                    message,
                    "error" if withheld else severity,
                    withheld,
                )
            )

        def line_of(path: strict_yaml.Path, document: strict_yaml.Document = document) -> int:
            return document.place(path)[0]

        try:
            model = ServiceModel.model_validate(document.data)
        except ValidationError as error:
            for path, message in validation_messages(error, document.data):
                report(path, message, "error")
            # What is of the right shape is looked into all the same, so that all faults show at once.
            if isinstance(document.data.get("slos"), list):
                rest = _mended(document.data, error)
                with suppress(ValidationError):
                    build_service(ServiceModel.model_validate(rest), file, line_of, report)
        else:
            services.append(build_service(model, file, line_of, report))
    return services


def _files(paths: list[PathLike], problems: list[Problem]) -> list[FilePath]:
    files: dict[FilePath, None] = {}
    for given in paths:
        path = FilePath(given)
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix in (".yaml", ".yml") and p.is_file())
            if not found:
                problems.append(
                    Problem(str(path), 0, 0, "", "holds no definition; its files must end in .yaml or .yml")
                )
            files |= dict.fromkeys(found)
        elif path.exists():
            files[path] = None
        else:
            problems.append(Problem(str(path), 0, 0, "", "does not exist"))
    if not paths:
        problems.append(Problem("", 0, 0, "", "no definition file or folder was named"))
    return list(files)


def validation_messages(
    error: ValidationError, data: Any, accepted: Callable[[strict_yaml.Path], list[str]] = accepted_keys
) -> list[tuple[strict_yaml.Path, str]]:
    """What the faults of `data`'s shape are to a person: (path in the YAML, message); `accepted` names the keys at a path."""
    found: dict[tuple[strict_yaml.Path, str], None] = {}
    details = error.errors(include_url=False)
    for detail in details:
        path = _yaml_path(detail["loc"], data)
        kind, value = detail["type"], detail.get("input")
        # A union reports each of its branches: of `off` or a mapping, a mapping's own faults say more.
        if kind == "literal_error" and any(
            _at_or_below(other["loc"], detail["loc"], data) for other in details if other is not detail
        ):
            continue
        if (kind, type(value)) in (("dict_type", list), ("list_type", dict)) and any(
            _at_or_below(other["loc"], detail["loc"], data) for other in details if other is not detail
        ):
            continue
        match kind:
            case "extra_forbidden":
                key = str(path[-1])
                message = f"unknown key `{key}`{suggest(key, accepted(path[:-1]))}"
            case "missing":
                message = f"`{path[-1]}` is missing"
                path = path[:-1]
            case "string_pattern_mismatch":
                message = f"{_show(value)} is no name; letters, digits, `-`, `_` and `.` are accepted"
                if detail["loc"][-1:] == ("[key]",) or path[-2:-1] == ("by",):
                    message = f"{_show(value)} is no label name; letters, digits and `_` are accepted, no digit first"
            case "string_too_long":
                message = f"is longer than {detail['ctx']['max_length']} characters"
            case "string_type":
                message = f"must be text, found {_kind(value)}"
            case "list_type":
                message = f"must be a list, found {_kind(value)}"
            case "too_short":
                message = "must hold at least one entry"
            case "model_type" | "dict_type" | "model_attributes_type":
                keys = accepted(path)
                message = f"must be a mapping{' with ' + ', '.join(keys) if keys else ''}, found {_kind(value)}"
                if path and path[-1] in ("page", "ticket", "alerting"):
                    message += "; or write `off`"
            case "literal_error":
                message = f"found {_show(value)}; accepted is {detail['ctx']['expected']}"
            case _:
                message = detail["msg"]
        found[path, message] = None
    return list(found)


def _yaml_path(loc: tuple[str | int, ...], data: Any) -> strict_yaml.Path:
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
    path, base = _yaml_path(other, data), _yaml_path(loc, data)
    return path[: len(base)] == base


def _mended(data: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """A copy without what `error` names: unknown keys gone, placeholders where names and objectives are missing."""
    rest: dict[str, Any] = copy.deepcopy(data)
    lost: set[tuple[str, int]] = set()
    for detail in error.errors(include_url=False):
        path = _yaml_path(detail["loc"], data)
        *above, last = path
        parent: Any = rest
        for step in above:
            parent = _below(parent, step)
        if isinstance(parent, dict) and detail["type"] == "extra_forbidden":
            parent.pop(last, None)
        elif isinstance(parent, dict) and last in _PLACEHOLDERS and len(path) in (1, 3):
            parent[last] = _PLACEHOLDERS[str(last)]
        elif path[0] in _HARMLESS and len(path) > 1:
            lost.add((str(path[0]), int(path[1])))
        else:
            rest.pop(str(path[0]), None)
    # Places are looked up by position, so what is lost leaves something harmless where it was.
    for key, index in lost:
        rest[key][index] = _HARMLESS[key] | {"name": f"x{index}"}
    return rest


def _below(parent: Any, step: str | int) -> Any:
    try:
        return parent[step]
    except (KeyError, IndexError, TypeError):
        return None


_HARMLESS: dict[str, dict[str, Any]] = {
    "slos": {"objective": "99", "sli": {"probe": {"metric": "up"}}},
    "alerts": {"expr": "up"},
}
_PLACEHOLDERS = {"service": "x", "name": "x", "objective": "99"}


def _duplicates(services: list[Service]) -> list[Problem]:
    first: dict[str, Any] = {}
    alerts: dict[tuple[str, str], tuple[str, int]] = {}
    problems = []
    for service in services:
        # Within one document it has been reported already.
        here = {(service.name, alert.name): (service.file, alert.line) for alert in service.alerts}
        for key in here.keys() & alerts.keys():
            (file, line), (other, before) = here[key], alerts[key]
            message = f"alert {key[1]} of {key[0]} is defined twice, first in {other}:{before}"
            problems.append(Problem(file, line, 1, "", message))
        alerts = here | alerts
        for slo in service.slos:
            known = first.setdefault(slo.id, slo)
            if known is not slo:
                problems.append(
                    Problem(
                        slo.file, slo.line, 1, "", f"SLO {slo.id} is defined twice, first in {known.file}:{known.line}"
                    )
                )
    return problems


def _sorted(problems: list[Problem]) -> list[Problem]:
    files = {file: index for index, file in enumerate(dict.fromkeys(problem.file for problem in problems))}
    return sorted(problems, key=lambda problem: (files[problem.file], problem.line, problem.column))


def _kind(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return f"`{str(value).lower()}`"
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return _show(value)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…" + text[-1]
