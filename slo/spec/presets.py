"""Presets: SLIs of common exporters that are filled in with a few parameters. Each is a YAML file, here or in a team's own folder.

An entry under `slos` names one, `preset: nginx-ingress/availability`, and gives parameters under `with`; it becomes the
entry that it stands for before anything else is read. Expressions are filled in as nodes, never as text.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from slo.errors import DefinitionError, Problem, PromqlError
from slo.fields import Model
from slo.promql.ast import Matcher, Node, VectorSelector, transform
from slo.promql.parse import parse
from slo.spec import yaml as strict_yaml
from slo.spec.single import parse_single, read_text
from slo.suggest import suggest

FILTER = "filter"
ENVIRONMENT = "SLO_PRESETS"
_OWN = Path(__file__).parent.parent / "presets"
_NAME = re.compile(r"[a-z0-9]+(?:[-.][a-z0-9]+)*(?:/[a-z0-9]+(?:[-.][a-z0-9]+)*)+")
_PARAMETER = re.compile(r"\$([a-z][a-z0-9_]*)")
# Which keys of an SLI hold PromQL; in all others a text is a parameter as a whole, or stays as it is.
_EXPRESSIONS = frozenset({"errors", "total", "good", "histogram", "metric", "value"})
# What stands for `$window` while an expression is taken apart; as a server writes it back.
_WINDOW, _MARK, _MARK_PRINTED = "$window", "86399989ms", "23h59m59s989ms"

_folders: ContextVar[tuple[Path, ...]] = ContextVar("folders", default=())


class ParameterModel(Model):
    """What may be given under `with`."""

    description: str
    default: str | None = None
    required: bool = False
    example: str | None = None


class PresetModel(Model):
    """A file of a preset."""

    title: Annotated[str, Field(description="what it measures, in one line")]
    exporter: Annotated[str, Field(description="what exposes the metrics")]
    source: Annotated[str, Field(description="where their names are documented")]
    notes: str = ""
    sloth: Annotated[str | None, Field(description="Sloth's plugin of the same meaning")] = None
    sloth_options: Annotated[
        dict[str, str],
        Field(default_factory=dict, description="the plugin's options, and the parameters that they are"),
    ]
    parameters: Annotated[
        dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], ParameterModel],
        Field(default_factory=dict),
    ]
    slo: Annotated[dict[str, Any], Field(description="the entry under `slos`, with `$parameter` in its expressions")]


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset: its name, `group/name`, and the file that it is in."""

    name: str
    file: Path
    model: PresetModel

    @property
    def parameters(self) -> dict[str, ParameterModel]:
        """Those of the file, and `filter`, which every preset has."""
        return {**self.model.parameters, FILTER: _FILTER}

    @property
    def kind(self) -> str:
        """The kind of SLI."""
        return str(next(iter(self.model.slo["sli"])))

    def entry(self, given: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
        """The entry under `slos` with these parameters, and what is wrong with them."""
        faults = [
            f"{self.name} has no parameter `{key}`{suggest(key, self.parameters)}"
            for key in given
            if key not in self.parameters
        ]
        faults += [
            f"{self.name} needs the parameter `{key}`: {parameter.description}{_such_as(parameter)}"
            for key, parameter in self.parameters.items()
            if parameter.required and not given.get(key)
        ]
        if faults:
            return {}, faults
        values = {key: given.get(key) or parameter.default for key, parameter in self.parameters.items()}
        try:
            extra = _matchers(values[FILTER] or "")
        except PromqlError:
            return {}, [f"`{FILTER}` {values[FILTER]!r} is not a list of matchers; write such as {_FILTER.example}"]
        sli = {key: _filled(value, key, values, extra) for key, value in self.model.slo["sli"].items()}
        return {**self.model.slo, "sli": sli}, []


_FILTER = ParameterModel(description="further matchers, added to every selector", example='cluster=~"eu-.*"')


@contextmanager
def folders_added(paths: Iterable[str | os.PathLike[str]]) -> Iterator[None]:
    """Within it, presets are looked for in these folders too."""
    token = _folders.set((*_folders.get(), *map(Path, paths)))
    try:
        yield
    finally:
        _folders.reset(token)


def folders() -> tuple[Path, ...]:
    """Where presets are looked for: our own, those of `folders_added`, and those that SLO_PRESETS names, apart by `:`."""
    named = [Path(text) for text in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if text]
    return tuple(dict.fromkeys((_OWN, *_folders.get(), *named)))


def names() -> list[str]:
    """The names of all presets, in order."""
    return sorted({name for folder in folders() for name in _named_in(folder)})


def _named_in(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.yaml") if folder.is_dir() else ():
        name = path.relative_to(folder).with_suffix("").as_posix()
        if _NAME.fullmatch(name):
            yield name


def load(name: str) -> Preset:
    """A preset by its name. Raises DefinitionError for one that is not there, is there twice, or has a faulty file."""
    for folder in folders():
        if not folder.is_dir():
            raise DefinitionError(
                [Problem(str(folder), 0, 0, "", "is not a folder of presets; see --presets and SLO_PRESETS")]
            )
    files = [path for folder in folders() if _NAME.fullmatch(name) and (path := folder / f"{name}.yaml").is_file()]
    if not files:
        raise DefinitionError(
            [
                Problem(
                    "",
                    0,
                    0,
                    "",
                    f"no preset {name[:80]!r}{suggest(name, names()) or '; `slo explain presets` lists them'}",
                )
            ]
        )
    if len(files) > 1:
        raise DefinitionError(
            [Problem(str(files[1]), 0, 0, "", f"the preset {name} is in {files[0]} too; rename one of them")]
        )
    return _read(name, files[0], files[0].stat().st_mtime_ns)


@lru_cache(maxsize=1000)
def _read(name: str, file: Path, changed: int) -> Preset:
    model, report, problems = parse_single(
        read_text(file), str(file), PresetModel, "a preset is one mapping with `title:` and `slo:`", _accepted
    )
    for key in ("name", "objective", "description", "sli"):
        if key not in model.slo:
            report(("slo",), f"`{key}` is missing", "error")
    sli = model.slo.get("sli")
    if not isinstance(sli, dict) or len(sli) != 1 or not isinstance(next(iter(sli.values())), dict):
        report(
            ("slo", "sli"), "must be one kind of SLI in its long form, such as `ratio: {errors: …, total: …}`", "error"
        )
    else:
        for at, text in _texts(sli, ("slo", "sli")):
            for used in _PARAMETER.findall(text.replace(_WINDOW, "")):
                if used not in model.parameters:
                    report(
                        at, f"the parameter ${used} is not under `parameters`{suggest(used, model.parameters)}", "error"
                    )
            if text == _WINDOW:
                report(
                    at, f"`{_WINDOW}` is no parameter; it stands in an expression, as a range: `[{_WINDOW}]`", "error"
                )
            if at[-1] in _EXPRESSIONS:
                try:
                    parse(text.replace(_WINDOW, _MARK))
                except PromqlError as error:
                    report(at, str(error), "error")
    if FILTER in model.parameters:
        report(("parameters", FILTER), f"every preset has `{FILTER}`; leave it out", "error")
    if problems:
        raise DefinitionError(problems)
    return Preset(name, file, model)


def _accepted(path: strict_yaml.Path) -> list[str]:
    return list((ParameterModel if path[:1] == ("parameters",) else PresetModel).model_fields)


def _texts(value: Any, at: strict_yaml.Path) -> Iterator[tuple[strict_yaml.Path, str]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield from _texts(below, (*at, key))
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below, at)
    elif isinstance(value, str):
        yield at, value


def _such_as(parameter: ParameterModel) -> str:
    return f", such as {parameter.example}" if parameter.example else ""


def _matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of `a="b",c=~"d"`, in braces or not. Raises PromqlError."""
    inside = text.strip().removeprefix("{").removesuffix("}").strip()
    node = parse(f"x{{{inside}}}")
    return node.matchers if isinstance(node, VectorSelector) else ()


def _filled(value: Any, key: str, values: Mapping[str, str | None], extra: Sequence[Matcher]) -> Any:
    """A part of an SLI with the parameters in it; what needs one that was not given is left out."""
    if isinstance(value, dict):
        parts = {name: _filled(below, name, values, extra) for name, below in value.items()}
        return {name: part for name, part in parts.items() if part is not None}
    if isinstance(value, list):
        return [_filled(below, key, values, extra) for below in value]
    if not isinstance(value, str):
        return value
    if whole := _PARAMETER.fullmatch(value):
        return values[whole[1]]
    if key not in _EXPRESSIONS:
        return value
    node = transform(parse(value.replace(_WINDOW, _MARK)), lambda part: _selected(part, values, extra))
    return str(node).replace(_MARK_PRINTED, _WINDOW)


def _selected(node: Node, values: Mapping[str, str | None], extra: Sequence[Matcher]) -> Node:
    """A selector with the parameters in its name and matchers; a matcher whose parameter was not given goes."""
    if not isinstance(node, VectorSelector):
        return node
    matchers = []
    for matcher in node.matchers:
        used = _PARAMETER.findall(matcher.value)
        if all(values[name] for name in used):
            matchers.append(replace(matcher, value=_text(matcher.value, values)))
    name = None if node.name is None else _text(node.name, values)
    return replace(node, name=name, matchers=(*extra, *matchers))


def _text(text: str, values: Mapping[str, str | None]) -> str:
    return _PARAMETER.sub(lambda match: values[match[1]] or "", text)


def expanded(data: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[strict_yaml.Path, str]]]:
    """A document with the entries that its presets stand for, and what is wrong with them by its path.

    An entry with a fault becomes one that has none, so that the rest can be looked into.
    """
    slos = data.get("slos")
    if not isinstance(slos, list) or not any(
        isinstance(entry, dict) and ("preset" in entry or "with" in entry) for entry in slos
    ):
        return data, []
    entries, faults = [], []
    for index, entry in enumerate(slos):
        if isinstance(entry, dict) and ("preset" in entry or "with" in entry):
            entry, wrong = _entry(entry)
            faults += [(("slos", index, *at), message) for at, message in wrong]
        entries.append(entry)
    return {**data, "slos": entries}, faults


def _entry(entry: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[strict_yaml.Path, str]]]:
    own = {key: value for key, value in entry.items() if key not in ("preset", "with")}
    rest = {"name": "preset", "objective": "99", "sli": {"probe": {"metric": "up"}}, **own}
    name, given = entry.get("preset"), entry.get("with", {})
    if name is None:
        return rest, [
            (
                ("with",),
                "these are parameters of a preset, and there is none; add `preset: …`, such as nginx-ingress/availability",
            )
        ]
    if not isinstance(name, str):
        return rest, [
            (
                ("preset",),
                "must be the name of a preset, such as nginx-ingress/availability; parameters stand under `with`",
            )
        ]
    if "sli" in own:
        return rest, [(("sli",), f"the preset {name} has the SLI; leave one of the two out")]
    if not isinstance(given, dict) or not all(isinstance(value, str | bool) for value in given.values()):
        return rest, [(("with",), "must be a mapping of parameters, each with one value")]
    texts = {key: value if isinstance(value, str) else str(value).lower() for key, value in given.items()}
    try:
        preset = load(name)
    except DefinitionError as error:
        return rest, [(("preset",), str(problem) if problem.file else problem.message) for problem in error.problems]
    made, wrong = preset.entry(texts)
    at = ("with",) if "with" in entry else ("preset",)
    return ({**made, **own}, []) if not wrong else (rest, [(at, message) for message in wrong])
