"""What importers of several formats do alike: labels, owners, annotations, and the check that a draft is a definition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from slo.convert.expression import SliDraft
from slo.convert.model import (
    ConversionNote,
    ConversionNotes,
    Draft,
    Refusal,
    Refused,
    ServiceDraft,
    is_label,
    is_number,
    optional,
    text_of,
)
from slo.convert.write import document_text
from slo.errors import DefinitionError, Problem
from slo.spec.gotemplate import fault_in
from slo.spec.labels import RESERVED
from slo.spec.load import loads
from slo.spec.model import Specs
from slo.spec.yaml import Document, Path


def own_labels(given: Mapping[str, Any], at: Path, notes: ConversionNotes) -> dict[str, str]:
    """Labels that a service or an SLO can have here; others are dropped with a note."""
    texts = {}
    for name, value in given.items():
        if isinstance(value, dict | list):
            notes.changed(at, f"label `{name}` is a list or a mapping there, and was dropped")
        elif not is_label(name) or name in RESERVED or name.startswith("__") or name == "severity":
            why = (
                "alerts set it"
                if name == "severity"
                else "the rules set it"
                if is_label(name)
                else "Prometheus takes no such name"
            )
            notes.changed(at, f"label `{name}: {text_of(value)}` was dropped: {why}")
        elif value is not None:
            texts[name] = text_of(value)
    return texts


def take_owner(labels: dict[str, str]) -> str:
    """The owner that labels name: `owner`, which leaves them, else `team`, which stays."""
    return labels.pop("owner", "") or labels.get("team", "")


def alert_labels(given: Mapping[str, Any], by: Iterable[str], at: Path, notes: ConversionNotes) -> dict[str, str]:
    """Labels of alerts, `severity` among them; those that `by` gives to alerts anyway are left out."""
    texts = {}
    for name, value in given.items():
        text = text_of(value)
        if isinstance(value, dict | list) or value is None:
            notes.changed(at, f"alert label `{name}` has no text there, and was dropped")
        elif name in by and _names_label(text) == name:
            notes.same(at, f"alert label `{name}` is left out: alerts carry it, as it is in `by`")
        elif name in by and "{{" not in text:
            notes.changed(
                at, f"alert label `{name}: {text}` was dropped: alerts carry the metric's own, as it is in `by`"
            )
        elif not is_label(name) or name in RESERVED or name.startswith("__"):
            why = "the rules set it" if is_label(name) else "Prometheus takes no such name"
            notes.changed(at, f"alert label `{name}: {text}` was dropped: {why}")
        elif (fault := fault_in(text)) is not None:
            notes.changed(
                at, f"alert label `{name}: {text}` was dropped, as servers refuse its template: {fault.message}"
            )
        else:
            texts[name] = text
    return texts


def _names_label(template: str) -> str | None:
    """The label that a template is, such as `{{ $labels.cluster }}`."""
    inner = template.strip()
    if not (inner.startswith("{{") and inner.endswith("}}")):
        return None
    inner = inner[2:-2].strip("- ")
    for head in ("$labels.", ".Labels."):
        if inner.startswith(head) and is_label(inner.removeprefix(head)):
            return inner.removeprefix(head)
    return None


def annotations_of(given: Mapping[str, Any], at: Path, notes: ConversionNotes) -> dict[str, str]:
    """Annotations of alerts; those that a server would refuse are dropped with a note."""
    texts = {}
    for name, value in given.items():
        text = text_of(value)
        if isinstance(value, dict | list) or value is None:
            notes.changed(at, f"annotation `{name}` has no text there, and was dropped")
        elif not is_label(name):
            notes.changed(at, f"annotation `{name}` was dropped: Prometheus takes no such name")
        elif (fault := fault_in(text)) is not None:
            notes.changed(at, f"annotation `{name}` was dropped, as servers refuse its template: {fault.message}")
        else:
            texts[name] = text
    return texts


def by_of(by: tuple[str, ...], labels: Mapping[str, str], notes: ConversionNotes) -> list[str]:
    """The labels under `by`: one that the definition sets itself has that value on every series, there and here."""
    for label in by:
        if label in labels:
            notes.same(
                ("by",),
                f"`{label}` is not in `by`: the label of this definition is set on every series, as it was there",
            )
    return [label for label in by if label not in labels]


def regrouped(sli: SliDraft, by: Iterable[str]) -> SliDraft:
    """PromQL as it stands, added up by these of its labels: those that the definition sets have one value each."""
    kept = tuple(by)
    if sli.kind != "raw" or set(kept) == set(sli.by):
        return sli
    around = f"sum by ({', '.join(kept)}) " if kept else "sum"
    texts = {
        key: f"{around}({text})" if key != "ratio" else f"avg{around.removeprefix('sum')}({text})"
        for key, text in sli.body.items()
    }
    return SliDraft("raw", texts, kept)


def unknown_keys(
    given: Mapping[str, Any],
    known: Iterable[str],
    where: str,
    at: Path,
    notes: ConversionNotes,
    misspelt: Mapping[str, str] | None = None,
) -> None:
    """Notes on keys that the tool itself does not know, and so does not heed; `misspelt` has the right ones."""
    for key in sorted(given.keys() - set(known)):
        if right := (misspelt or {}).get(key):
            notes.warn(at, f"`{where}{key}` was left out; the tool reads `{right}` and does not heed this")
        else:
            notes.changed(at, f"`{where}{key}` was left out; the tool does not know it")


def check_draft(head: Mapping[str, Any], draft: Draft, file: str) -> None:
    """That a draft is a valid definition that compiles to rules. Raises Refused with what is wrong with it.

    Pairs of windows that cannot be had here are dropped with a note: the SLO is worth more than they are.
    """
    reasons = _faults(head, draft, file)
    alerting = draft.entry.get("alerting")
    if reasons and isinstance(alerting, dict) and all(reason.startswith("alerting.windows") for reason in reasons):
        draft.entry["alerting"] = {key: value for key, value in alerting.items() if key != "windows"}
        draft.notes = [note for note in draft.notes if note.path[:2] != ("alerting", "windows")]
        draft.notes.append(
            ConversionNote(
                ("alerting",),
                f"its pairs of windows were replaced by those of the SRE workbook: {'; '.join(reasons)}",
                True,
            )
        )
        reasons = _faults(head, draft, file)
    if reasons:
        raise Refused("; ".join(reasons))


def _faults(head: Mapping[str, Any], draft: Draft, file: str) -> list[str]:
    from slo.rules import compile_specs

    problems: list[Problem] = []
    services = loads(document_text(head, [draft]), file, problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors:
        try:
            compile_specs(Specs(services))
        except DefinitionError as error:
            errors = [problem for problem in error.problems if problem.severity == "error"]
    return list(dict.fromkeys(_reason(problem) for problem in errors))


def _reason(problem: Problem) -> str:
    path = problem.path.partition("].")[2] if problem.path.startswith("slos[") else problem.path
    return f"{path}: {problem.message}" if path else problem.message


def percent_of(ratio: str) -> str:
    """A ratio in 0..1 as a percentage, exact to the digit. Raises Refused."""
    if not is_number(ratio):
        raise Refused(f"the goal {ratio!r} is not a valid number")
    return f"{(Decimal(ratio) * 100).normalize():f}"


def own_name(data: Mapping[str, Any]) -> str:
    """The name of a resource, for messages; "" where it has none."""
    metadata: Any = data.get("metadata")
    return optional(metadata, "name") if isinstance(metadata, dict) else ""


def only_slo(
    document: Document, file: str, make: Callable[[Mapping[str, Any], int], tuple[Draft, dict[str, Any]]]
) -> Iterator[ServiceDraft | Refusal]:
    """The SLO of a `ServiceLevelObjective`, or why it was refused; of another document nothing. `make` gives the SLO and the
    head of its service from the document and its line, and raises Refused."""
    data: dict[str, Any] = document.data
    line = document.place(())[0]
    if data.get("kind") != "ServiceLevelObjective":
        return
    name = own_name(data)
    try:
        draft, head = make(data, line)
        check_draft(head, draft, file)
    except Refused as error:
        yield Refusal(name or "the document", line, str(error))
        return
    yield ServiceDraft(head, [draft])
