"""A YAML file with one mapping of a given shape: policies, scenarios; faults as in definitions."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from slo import files
from slo.errors import DefinitionError, Problem
from slo.reading import Report
from slo.spec import yaml as strict_yaml
from slo.spec.shape import validation_messages

Shape = TypeVar("Shape", bound=BaseModel)


def read_text(path: str | os.PathLike[str]) -> str:
    """A file's text. Raises DefinitionError."""
    try:
        return files.read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise DefinitionError([Problem(str(path), 0, 0, "", f"cannot be read: {reason}")]) from None


def parse_single(
    text: str,
    file: str,
    shape: type[Shape],
    what: str,
    accepted: Callable[[strict_yaml.Path], list[str]],
    *,
    secret: bool = False,
) -> tuple[Shape, Report, list[Problem]]:
    """The mapping; a function that reports further faults by their path; and the list that it adds them to.

    `what` says what such a file is; `accepted` names the keys at a path. What stands in it may be `secret`: then only what
    cannot be one is quoted. Raises DefinitionError with every fault of shape.
    """
    parsed = strict_yaml.parse(text, file, secret)
    problems = list(parsed.problems)
    if not problems and (len(parsed.documents) != 1 or not isinstance(parsed.documents[0].data, dict)):
        problems.append(Problem(file, 0, 0, "", what))
    if problems:
        raise DefinitionError(problems)
    document = parsed.documents[0]

    def report(at: strict_yaml.Path, message: str, severity: str) -> None:
        line, column = document.place(at)
        problems.append(Problem(file, line, column, strict_yaml.show_path(at, secret), message, severity))

    try:
        return shape.model_validate(document.data), report, problems
    except ValidationError as error:
        for at, message in validation_messages(error, document.data, accepted, secret):
            report(at, message, "error")
        raise DefinitionError(problems) from None
