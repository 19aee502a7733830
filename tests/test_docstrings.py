"""Every public name says what it takes and gives: arguments, fields, units, errors. The API pages are made of it."""

from __future__ import annotations

import builtins
import dataclasses
import enum
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import slo
import slo.backtest
import slo.errors
from slo.report.formats import report
from slo.review import review
from slo.rules.write import rules

# What a number is a number of.
UNITS = re.compile(
    r"events|ratio|0\.\.1|share|percent|milliseconds|seconds|days|weeks|number of|burn rate|counted from 1|UTC|shape|same samples"
    r"|same way|moments",
    re.I,
)
# Modules that can be called are the function of the same name.
CALLABLE = {"report": report, "review": review, "rules": rules}
NUMBER = re.compile(r"\b(int|float|Decimal|Fraction|Floats|Ints|NDArray)\b")


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for module, names in ((slo, slo.__all__), (slo.backtest, slo.backtest.__all__)):
        for name in names:
            value = getattr(module, name)
            value = CALLABLE.get(name, value) if inspect.ismodule(value) else value
            if inspect.isfunction(value):
                yield f"{module.__name__}.{name}", value


def classes() -> Iterator[tuple[str, type]]:
    for module, names in ((slo, slo.__all__), (slo.backtest, slo.backtest.__all__)):
        for name in names:
            if inspect.isclass(value := getattr(module, name)):
                yield f"{module.__name__}.{name}", value


FUNCTIONS, CLASSES = dict(functions()), dict(classes())


def sections(docstring: str) -> dict[str, dict[str, str]]:
    """The entries of each section of a docstring, by name; of `Returns` the whole text under ``."""
    names: dict[str, dict[str, str]] = {}
    current: dict[str, str] | None = None
    entry = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if re.fullmatch(r"(Args|Returns|Raises|Attributes|Examples|Yields):", line):
            current, entry = names.setdefault(line[:-1], {}), ""
        elif current is not None and line.strip():
            match = re.match(r"    (\w+): (.*)$", line) if names.get("Returns") is not current else None
            if match:
                entry = match[1]
                current[entry] = match[2]
            else:
                current[entry] = f"{current.get(entry, '')} {line.strip()}".strip()
    return names


def test_all_public_names_are_looked_at() -> None:
    named = {name.rpartition(".")[2] for name in (*FUNCTIONS, *CLASSES)}
    assert {*slo.__all__, *slo.backtest.__all__} - named == {"backtest"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_its_arguments_its_result_and_its_errors(name: str) -> None:
    function = FUNCTIONS[name]
    said = sections(function.__doc__ or "")
    parameters = inspect.signature(function).parameters
    assert list(said.get("Args", {})) == list(parameters)
    assert all(len(text) > 5 for text in said.get("Args", {}).values())
    for parameter in parameters.values():
        kind = str(parameter.annotation)
        if NUMBER.search(kind) and "Slo" not in kind and "Budget" not in kind:
            assert UNITS.search(said["Args"][parameter.name]), f"{parameter.name}: of what unit?"
    assert len(said["Returns"][""]) > 5
    if "DataFrame" in str(inspect.signature(function).return_annotation):
        assert "olumns: `" in said["Returns"][""] or "a column for each" in said["Returns"][""]
    for error in said.get("Raises", {}):
        raised = getattr(slo.errors, error, None) or getattr(builtins, error, None)
        assert isinstance(raised, type) and issubclass(raised, Exception), error


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_says_its_fields_and_each_method_what_it_gives(name: str) -> None:
    kind = CLASSES[name]
    said = sections(kind.__doc__ or "")
    if dataclasses.is_dataclass(kind):
        fields = [field for field in dataclasses.fields(kind) if not field.name.startswith("_")]
        assert list(said.get("Attributes", {})) == [field.name for field in fields]
        for field in fields:
            text = said["Attributes"][field.name]
            assert len(text) > 5 or text.endswith("."), field.name
            if NUMBER.search(str(field.type)):
                assert UNITS.search(text), f"{field.name}: of what unit?"
            if field.name.endswith("_ms"):
                assert "milliseconds" in text, field.name
    else:
        assert len((kind.__doc__ or "").strip()) > 20
    for attribute, value in vars(kind).items():
        if attribute.startswith("_") or issubclass(kind, enum.Enum):
            continue
        function = value.fget if isinstance(value, property) else getattr(value, "func", value)
        if not inspect.isfunction(function):
            continue
        docstring = function.__doc__ or ""
        assert len(docstring) > 8, f"{attribute} has no docstring"
        for parameter in list(inspect.signature(function).parameters)[1:]:
            words = parameter.removesuffix("_ms").replace("_", " ")
            assert parameter in docstring or words in docstring.lower(), f"{attribute}: what is {parameter}?"


@pytest.mark.parametrize("error", [name for name in CLASSES if name.endswith("Error")])
def test_what_is_raised_on_purpose_is_one_tree(error: str) -> None:
    assert issubclass(CLASSES[error], slo.SloError)


def test_sections_are_read() -> None:
    docstring = """One.

    Args:
        a: First,
            and more.
        b: Second.

    Returns:
        A table: of x.

    Raises:
        ValueError: Never.
    """
    assert sections(docstring) == {
        "Args": {"a": "First, and more.", "b": "Second."},
        "Returns": {"": "A table: of x."},
        "Raises": {"ValueError": "Never."},
    }
