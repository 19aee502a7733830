"""Reads definition files and folders; shows all faults of all files at once."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from slo.errors import DefinitionError, Problem
from slo.files import read_up_to
from slo.spec import yaml as strict_yaml
from slo.spec.build import build_service
from slo.spec.document import ServiceModel
from slo.spec.foreign import WITH_SLOS, could_be_ours, recognise
from slo.spec.model import Service, Specs
from slo.spec.presets import expanded
from slo.spec.shape import kind_of, validation_messages, yaml_path
from slo.spec.short import expand

PathLike = str | os.PathLike[str]


def load(paths: PathLike | Iterable[PathLike], stdin: Callable[[], bytes] | None = None) -> Specs:
    """The SLOs in the given YAML files, and in the `.yaml` and `.yml` files below the given folders.

    Below folders, files of other tools and what is hidden (`.github`) are passed over. The path `-` is what `stdin` gives.

    Raises DefinitionError with every fault of every file. Warnings are in the result's `warnings`, and so are the
    errors of SLOs that are merely `unusable`: they compile to no rules, and their figures are withheld.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    problems: list[Problem] = []
    services: list[Service] = []
    foreign: list[_Foreign] = []
    for file, folder in _files(list(paths), problems, stdin is not None).items():
        name = STDIN if _is_stdin(file) and stdin is not None else str(file)
        try:
            raw = stdin() if stdin is not None and _is_stdin(file) else read_up_to(file)
            text = raw.decode("utf-8-sig")
            if text[:2].count("\0") == 1:  # what UTF-16 is without a mark of its own
                problems.append(Problem(name, 0, 0, "", f"is not UTF-8: {_AS_UTF_16}"))
                continue
        except UnicodeDecodeError as error:
            fix = f"; {_AS_UTF_16}" if error.object[:2] in _MARKS_OF_UTF_16 else ""
            problems.append(
                Problem(name, 0, 0, "", f"is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}{fix}")
            )
        except OSError as error:
            problems.append(Problem(name, 0, 0, "", f"cannot be read: {error.strerror}"))
        else:
            services += _read(text, name, problems, None if folder is None else foreign)
    for path in paths:
        problems += _only_foreign(FilePath(path), services, foreign)
    problems += _duplicates(services)
    if any(problem.severity == "error" and not problem.withheld for problem in problems):
        raise DefinitionError(_sorted(problems))
    return Specs(services, _sorted(problems))


STDIN = "<standard input>"
_MARKS_OF_UTF_16, _AS_UTF_16 = (b"\xff\xfe", b"\xfe\xff"), "it looks like UTF-16; save it as UTF-8"


TEXT, DICT = "<text>", "<dict>"


def load_text(text: str, name: str = TEXT) -> Specs:
    """The SLOs of a YAML text; `name` stands for the file in messages. Raises DefinitionError."""
    problems: list[Problem] = []
    services = loads(text, name, problems)
    problems += _duplicates(services)
    if name == DICT:  # which has no lines
        problems = [replace(problem, line=0, column=0) for problem in problems]
    if any(problem.severity == "error" and not problem.withheld for problem in problems):
        raise DefinitionError(_sorted(problems))
    return Specs(services, _sorted(problems))


def to_yaml(definition: Mapping[str, Any]) -> str:
    """A definition as Python has it (dicts, lists, texts, numbers), as YAML. Raises DefinitionError for anything else."""
    try:
        return json.dumps(_plain(definition, ()), ensure_ascii=False, indent=1)
    except TypeError as error:
        raise DefinitionError([Problem(DICT, 0, 0, "", str(error))]) from None


def _plain(value: object, path: strict_yaml.Path) -> object:
    match value:
        case Mapping():
            return {str(key): _plain(below, (*path, str(key))) for key, below in value.items()}
        case list() | tuple():
            return [_plain(below, (*path, index)) for index, below in enumerate(value)]
        case str() | bool() | int() | None:
            return value
        case Decimal() | float():
            return str(value)  # 99.99 as it is written, not what binary makes of it
    raise TypeError(f"{strict_yaml.show_path(path)}: {type(value).__name__} is not a text, number, list or mapping")


@dataclass(frozen=True, slots=True)
class _Foreign:
    """A document below a folder that is not a definition."""

    file: str
    what: str


def loads(text: str, file: str, problems: list[Problem]) -> list[Service]:
    """The services that a text holds, one a document; faults are added to `problems`."""
    return _read(text, file, problems, None)


def _read(text: str, file: str, problems: list[Problem], foreign: list[_Foreign] | None) -> list[Service]:
    """The services of a text. With `foreign`, documents that are not definitions are added to it and passed over."""
    parsed = strict_yaml.parse(text, file)
    if foreign is not None and parsed.problems and not _OURS.search(text):
        foreign.append(_Foreign(file, "not plain YAML"))
        return []
    problems += parsed.problems
    if not parsed.documents and not parsed.problems:
        problems.append(Problem(file, 0, 0, "", "is empty; a definition starts with `service:`"))
    services = []
    for document in parsed.documents:
        if foreign is not None and document.data is None and len(parsed.documents) > 1:
            continue  # what a `---` at the end leaves
        if not isinstance(document.data, dict):
            line, column = document.place(())
            kind = "nothing" if document.data is None else kind_of(document.data)
            problems.append(
                Problem(file, line, column, "", f"holds {kind}; a definition is a mapping with `service:` and `slos:`")
            )
            continue
        what = recognise(document.data)
        if what is not None or not could_be_ours(document.data):
            problems += _not_ours(file, document, what, foreign)
            continue
        services += _service(document, file, problems)
    return services


_OURS = re.compile(r"^(?:service|slos)\s*:", re.M)


def _not_ours(
    file: str, document: strict_yaml.Document, what: str | None, foreign: list[_Foreign] | None
) -> list[Problem]:
    """What is to be said of a document that is not a definition, in one line."""
    line, column = document.place(())
    if foreign is None:
        said = f"this is {what}, not a definition of this tool" if what else "has neither `service` nor `slos`"
        way = (
            "`slo import` makes definitions of it"
            if what in WITH_SLOS
            else "`slo init` writes a definition to start from"
        )
        return [Problem(file, line, column, "", f"{said}; {way}")]
    foreign.append(_Foreign(file, what or "not a definition"))
    if what in WITH_SLOS:
        return [Problem(file, line, column, "", f"this is {what}; it was skipped, `slo import` reads it", "warning")]
    if what is None:
        keys = ", ".join(list(document.data)[:3])
        message = f"skipped: not a definition, as it has neither `service` nor `slos` (it has {keys or 'no keys'})"
        return [Problem(file, line, column, "", message, "warning")]
    return []


def _only_foreign(path: FilePath, services: list[Service], foreign: list[_Foreign]) -> list[Problem]:
    """That a folder holds files, and none is a definition."""
    here = [item for item in foreign if path.is_dir() and FilePath(item.file).is_relative_to(path)]
    if not here or any(FilePath(service.file).is_relative_to(path) for service in services):
        return []
    kinds = ", ".join(dict.fromkeys(item.what for item in here))
    return [Problem(str(path), 0, 0, "", f"holds no definition; what it holds: {kinds}")]


def _service(document: strict_yaml.Document, file: str, problems: list[Problem]) -> list[Service]:
    """The service of a document, or nothing; faults are added to `problems`."""

    def report(path: strict_yaml.Path, message: str, severity: str) -> None:
        line, column = document.place(path)
        withheld = severity == "withheld"
        severity = "error" if withheld else severity
        problems.append(Problem(file, line, column, strict_yaml.show_path(path), message, severity, withheld))

    def line_of(path: strict_yaml.Path) -> int:
        return document.place(path)[0]

    entries, faults = expanded(document.data)
    for at, message in faults:
        report(at, message, "error")
    data = expand(entries)
    try:
        model = ServiceModel.model_validate(data)
    except ValidationError as error:
        for path, message in validation_messages(error, data):
            report(path, message, "error")
        # What is of the right shape is looked into all the same, so that all faults show at once.
        if isinstance(data.get("slos"), list):
            rest = _corrected(data, error)
            with suppress(ValidationError):
                build_service(ServiceModel.model_validate(rest), file, line_of, report)
        return []
    service = build_service(model, file, line_of, report)
    return [] if faults else [service]


def _files(paths: list[PathLike], problems: list[Problem], with_stdin: bool) -> dict[FilePath, FilePath | None]:
    """The files to read, each once, with the folder that it was found in; None for one that was named."""
    files: dict[FilePath, FilePath | None] = {}
    for given in paths:
        path = FilePath(given)
        if path.is_dir():
            named = sorted(
                p for p in path.rglob("*") if p.suffix in (".yaml", ".yml") and not _is_hidden(p.relative_to(path))
            )
            ps = [p for p in named if p.is_file()]
            lost = [p for p in named if p.is_symlink() and not _is_there(p)]
            problems += [Problem(str(p), 0, 0, "", _LOST_LINK) for p in lost]
            if not ps and not lost:
                problems.append(
                    Problem(str(path), 0, 0, "", "holds no definition; its files must end in .yaml or .yml")
                )
            files |= {file: files.get(file, path) for file in ps}
        elif path.exists() or (with_stdin and _is_stdin(path)):
            files[path] = None
        else:
            problems.append(Problem(str(path), 0, 0, "", _LOST_LINK if path.is_symlink() else "does not exist"))
    if not paths:
        problems.append(Problem("", 0, 0, "", "no definition file or folder was named"))
    return files


_LOST_LINK = "is a link that leads nowhere"


def _is_there(path: FilePath) -> bool:
    """Whether a path leads anywhere; one that leads in a circle does not."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _is_hidden(path: FilePath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _is_stdin(path: FilePath) -> bool:
    return str(path) == "-"


def _corrected(data: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """A copy without what `error` names: unknown keys gone, placeholders where names and objectives are missing."""
    rest: dict[str, Any] = copy.deepcopy(data)
    lost: set[tuple[str, int]] = set()
    for detail in error.errors(include_url=False):
        path = yaml_path(detail["loc"], data)
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
