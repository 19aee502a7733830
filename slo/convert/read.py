"""From files of other tools to drafts: each document goes to its format's reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slo.convert import from_openslo, from_pyrra, from_slo_generator, from_sloth, from_terraform
from slo.convert.helm import REASON, is_helm, render, templates_in
from slo.convert.model import Draft, Imported, Options, Refusal, Refused, ServiceDraft
from slo.errors import Problem
from slo.spec import yaml as strict_yaml
from slo.spec.foreign import NOBL9, OPENSLO, PYRRA, SLO_GENERATOR, SLOTH, WITH_SLOS, recognise
from slo.spec.yaml import Document

_TERRAFORM = "a Terraform file"
_UNKNOWN = "a file of no tool that is known"


@dataclass(frozen=True, slots=True)
class _ParsedFile:
    """A file as far as it could be read."""

    file: str
    documents: list[Document]
    problems: list[Problem]
    text: str
    refused: str = ""  # why it is not a document yet


def convert(files: Mapping[str, str], options: Options) -> list[Imported]:
    """What each file becomes, by name and text; what one file refers to may stand in another.

    Files that end in .tpl hold named templates for the others.
    """
    templates = {
        name: body for file, text in files.items() if file.endswith(".tpl") for name, body in templates_in(text).items()
    }
    parsed = [_parse(file, text, options, templates) for file, text in files.items() if not file.endswith(".tpl")]
    everything = [document.data for parsed_file in parsed for document in parsed_file.documents]
    windows = [data for data in everything if recognise(data) == SLOTH and from_sloth.is_windows(data)]
    known = from_openslo.index(data for data in everything if recognise(data) == OPENSLO)
    results = [_convert(parsed_file, options, windows, known) for parsed_file in parsed]
    taken: dict[tuple[str, str], str] = {}
    for result in results:
        _keep_first(result, taken)
    return results


def _parse(file: str, text: str, options: Options, templates: Mapping[str, str]) -> _ParsedFile:
    refused = ""
    if is_helm(text) and not file.endswith(".tf"):
        try:
            text = render(text, options.values, templates)
        except Refused as error:
            refused = str(error)
    if refused or file.endswith(".tf"):
        return _ParsedFile(file, [], [], text, refused)
    parsed = strict_yaml.parse(text, file)
    refused = REASON if parsed.problems and "{{" in text else ""
    return _ParsedFile(file, list(_flattened(parsed.documents)), parsed.problems, text, refused)


def _flattened(documents: Sequence[Document]) -> Iterator[Document]:
    """Each mapping of its own: those in lists, and those in a Kubernetes `List`, too."""
    for document in documents:
        data, node = document.data, document.node
        if isinstance(data, dict) and data.get("kind") == "List" and isinstance(data.get("items"), list):
            items = next(value for key, value in strict_yaml.pairs(node) if key.value == "items")
            yield from _flattened([Document(data["items"], items)])
        elif isinstance(data, list):
            yield from _flattened([Document(item, own) for item, own in zip(data, node.value, strict=True)])
        elif isinstance(data, dict):
            yield document


def _convert(
    file: _ParsedFile, options: Options, windows: Sequence[Mapping[str, Any]], known: from_openslo.Index
) -> Imported:
    if file.file.endswith(".tf"):
        read = list(from_terraform.read(file.text, file.file))
        return _collected(file.file, _TERRAFORM, read or [Refusal("the file", 1, f"holds {_TERRAFORM} without SLOs")])
    if file.refused:
        tools = [
            tool
            for sign, tool in (("sloth.slok.dev", SLOTH), ("pyrra.dev", PYRRA), ("openslo", OPENSLO))
            if sign in file.text
        ]
        return Imported(file.file, tools[0] if tools else _UNKNOWN, refusals=[Refusal("the file", 1, file.refused)])
    service_drafts: list[ServiceDraft | Refusal] = [
        Refusal("the file", problem.line, problem.message) for problem in file.problems
    ]
    tools = []
    for document in file.documents:
        tool = recognise(document.data)
        tools += [tool] if tool in WITH_SLOS else []
        service_drafts += _document(document, tool, file.file, options, windows, known)
    if not service_drafts:
        what = f"{tools[0]} without SLOs" if tools else "no SLO definition of a tool that is known"
        service_drafts.append(Refusal("the file", 1, f"holds {what}"))
    return _collected(file.file, str(tools[0]) if tools else _UNKNOWN, service_drafts)


def _document(
    document: Document,
    tool: str | None,
    file: str,
    options: Options,
    windows: Sequence[Mapping[str, Any]],
    known: from_openslo.Index,
) -> Iterator[ServiceDraft | Refusal]:
    if tool == SLOTH:
        if not from_sloth.is_windows(document.data):
            yield from from_sloth.read(document, file, options, windows)
    elif tool == PYRRA:
        yield from from_pyrra.read(document, file)
    elif tool == OPENSLO:
        yield from from_openslo.read(document, file, known, options)
    elif tool == SLO_GENERATOR:
        yield from from_slo_generator.read(document, file, options)
    elif tool == NOBL9 and document.data.get("kind") == "SLO":
        yield Refusal(
            "the document", document.place(())[0], "is a Nobl9 file; export its SLOs as OpenSLO and import that"
        )


def _collected(
    file: str, tool: str, service_drafts: Sequence[ServiceDraft | Refusal] | Iterator[ServiceDraft | Refusal]
) -> Imported:
    """The drafts of a file, one document for each service, and what was refused."""
    imported = Imported(file, tool)
    for item in service_drafts:
        if isinstance(item, Refusal):
            imported.refusals.append(item)
            continue
        same = next((service for service in imported.services if service.head == item.head), None)
        if same is not None:
            same.slos += item.slos
            same.notes += [note for note in item.notes if note not in same.notes]
        else:
            imported.services.append(item)
    return imported


def _keep_first(result: Imported, taken: dict[tuple[str, str], str]) -> None:
    """Refuses SLOs of a service and name that there is already; `taken` names the file of each."""
    for service in result.services:
        for draft in list(service.slos):
            other = taken.setdefault((service.name, draft.entry["name"]), result.file)
            if draft is not _first(result, service.name, draft.entry["name"]) or other != result.file:
                service.slos.remove(draft)
                where = "" if other == result.file else f", in {other}"
                result.refusals.append(
                    Refusal(
                        f"{service.name}/{draft.name}", draft.line, f"another SLO of the service has this name{where}"
                    )
                )
    result.services = [service for service in result.services if service.slos]


def _first(result: Imported, service: str, name: str) -> Draft:
    return next(
        draft for item in result.services if item.name == service for draft in item.slos if draft.entry["name"] == name
    )
