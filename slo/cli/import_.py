"""`slo import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slo.cli.inputs import open_source
from slo.cli.output import print_json, say
from slo.cli.program import FINE, NOT_AS_ASSUMED, AsJson, Config, command
from slo.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slo.convert.model import Imported
    from slo.convert.verify import Comparison

_SUFFIXES = (".yaml", ".yml", ".tf", ".tpl")


@command("slo import sloth/ -o definitions/; slo import pyrra.yaml --verify localhost:9090", name="import")
def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Files of Sloth, Pyrra, OpenSLO, slo-generator or Terraform (grafana_slo), or folders of them; - is standard input.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder for definitions, a file each. [default: standard output]"
        ),
    ] = None,
    window: Annotated[
        str, typer.Option("--window", metavar="WINDOW", help="The window where a file has none (Sloth, slo-generator).")
    ] = "30d",
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 also if anything changed with a note.")] = False,
    invert: Annotated[
        bool,
        typer.Option(
            "--invert", help="Turn round latencies whose error query selects the fast bucket, instead of refusing them."
        ),
    ] = False,
    values: Annotated[
        list[Path] | None,
        typer.Option(
            "--values",
            metavar="FILE",
            help="The values of a Helm chart, for files that are its templates; may be repeated.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--verify",
            metavar="URL|FILE",
            help="A server or recording: print both error ratios of each SLO, the original expression's and ours, and why they differ.",
        ),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Make definitions of other tools' SLOs; says what is exact, what changed, and what was refused and why."""
    from slo.convert.model import Options
    from slo.convert.read import convert
    from slo.convert.summary import data, is_changed, lines, sentence, tally
    from slo.convert.write import file_text
    from slo.errors import DurationError
    from slo.window import parse_window

    try:
        parse_window(window)
    except DurationError as error:
        raise ConfigError(f"--window: {error}") from None
    results = convert(_texts(paths), Options(window, invert, _values(values or [])))
    compared = _compared(results, source, config)
    written = _names(results, output) if output is not None else {}
    if output is not None:
        _write(written, results)
    elif not as_json and source is None:
        sys.stdout.write("---\n".join(file_text(result) for result in results if result.services))
    if as_json:
        print_json({"slos": data(results), "verified": [item.data() for item in compared]} if source else data(results))
    else:
        for comparison in compared:
            print("\n".join(comparison.lines()))
        for line in lines(results):
            say(line)
        say(sentence(results) + (f"; written to {output}" if written else ""))
    if tally(results)["refused"] or (strict and is_changed(results)):
        return NOT_AS_ASSUMED
    return FINE


def _compared(results: Sequence[Imported], source: str | None, config: Path | None) -> list[Comparison]:
    if source is None:
        return []
    from slo.convert.verify import verify

    return list(verify(results, open_source([source], config, "figures are compared on one source", "--verify")))


def _values(paths: Sequence[Path]) -> dict[str, Any]:
    """A chart's values; what a later file says holds over an earlier one. Raises DefinitionError."""
    from slo.errors import DefinitionError
    from slo.spec.single import read_text
    from slo.spec.yaml import parse

    merged: dict[str, Any] = {}
    for path in paths:
        parsed = parse(read_text(path), str(path))
        if parsed.problems:
            raise DefinitionError(parsed.problems)
        for document in parsed.documents:
            if not isinstance(document.data, dict):
                raise ConfigError(f"{path}: the values of a chart are a mapping")
            merged = _merged(merged, document.data)
    return merged


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _texts(paths: Sequence[Path]) -> dict[str, str]:
    """The files' texts by name; folders stand for the files below them. Raises ConfigError."""
    from slo.files import MOST_BYTES, read_up_to

    texts: dict[str, str] = {}
    for path in paths:
        if str(path) == "-":
            texts["<standard input>"] = _decoded(sys.stdin.buffer.read(MOST_BYTES), "standard input")
        elif path.is_dir():
            below = sorted(
                file
                for file in path.rglob("*")
                if file.suffix in _SUFFIXES and file.is_file() and not _is_hidden(file, path)
            )
            if not below:
                raise ConfigError(f"{path} holds no file that ends in {', '.join(_SUFFIXES)}")
            texts |= {str(file): _decoded(read_up_to(file), str(file)) for file in below}
        elif path.exists():
            texts[str(path)] = _decoded(read_up_to(path), str(path))
        else:
            raise ConfigError(f"{path} does not exist")
    return texts


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}") from None


def _names(results: Sequence[Imported], folder: Path) -> dict[Path, int]:
    """Where each result with definitions goes; what exists is kept. Raises ConfigError."""
    numbers: dict[Path, int] = {}
    for index, result in enumerate(results):
        if not result.services:
            continue
        stem = "imported" if result.file.startswith("<") else Path(result.file).stem
        path, number = folder / f"{stem}.yaml", 1
        while path in numbers:
            number += 1
            path = folder / f"{stem}-{number}.yaml"
        numbers[path] = index
    taken = [str(path) for path in numbers if path.exists()]
    if taken:
        raise ConfigError(f"{', '.join(taken)} exists already; name another folder")
    return numbers


def _write(places: dict[Path, int], results: Sequence[Imported]) -> None:
    from slo.convert.write import file_text
    from slo.files import write_text

    for path, index in places.items():
        write_text(path, file_text(results[index]))
