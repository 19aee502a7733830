"""What became of the SLOs of some files, in numbers and in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from slo.convert.model import Grade, Imported

GRADES: tuple[Grade, ...] = ("exact", "changed", "refused")
_SAID = {"exact": "exact", "changed": "changed with a note", "refused": "refused with a reason"}


def tally(results: Sequence[Imported]) -> Counter[Grade]:
    """How many SLOs of each grade; a document or file that was refused counts as one."""
    counts: Counter[Grade] = Counter()
    for result in results:
        counts.update(draft.grade for draft in result.drafts)
        counts["refused"] += len(result.refusals)
    return counts


def is_changed(results: Sequence[Imported]) -> bool:
    """Whether anything is not quite what it was, or not what the file's author meant."""
    return any(note.changed or note.warns for result in results for _, _, notes in _noted(result) for note in notes)


def sentence(results: Sequence[Imported]) -> str:
    """`12 SLOs: 10 exact, 1 changed with a note, 1 refused with a reason`."""
    counts = tally(results)
    number = sum(counts.values())
    parts = [f"{counts[grade]} {_SAID[grade]}" for grade in GRADES if counts[grade]]
    return f"{number} {'SLO' if number == 1 else 'SLOs'}: {', '.join(parts) or 'none'}"


def lines(results: Sequence[Imported]) -> Iterator[str]:
    """A line for each thing that changed or has no effect, and each SLO that was refused, with its place in the foreign file."""
    for result in results:
        for name, line, notes in _noted(result):
            for note in notes:
                if note.changed or note.warns:
                    yield f"{result.file}:{line}: {'changed' if note.changed else 'warning'}: {name}: {note.text}"
        for refusal in result.refusals:
            yield f"{result.file}:{refusal.line}: refused: {refusal.name}: {refusal.reason}"


def data(results: Sequence[Imported]) -> list[dict[str, Any]]:
    """The same for scripts: an object for each SLO."""
    entries: list[dict[str, Any]] = []
    for result in results:
        for service in result.services:
            for draft in service.slos:
                notes = [{"text": note.text, "changed": note.changed} for note in (*service.notes, *draft.notes)]
                slo = f"{service.name}/{draft.entry['name']}"
                entries.append(
                    {"file": result.file, "line": draft.line, "name": draft.name, "grade": draft.grade, "slo": slo, "kind": draft.kind, "notes": notes}
                )  # fmt: skip
        for refusal in result.refusals:
            entries.append(
                {"file": result.file, "line": refusal.line, "name": refusal.name, "grade": "refused", "slo": None, "kind": None,
                 "notes": [{"text": refusal.reason, "changed": True}]}
            )  # fmt: skip
    return entries


def _noted(result: Imported) -> Iterator[tuple[str, int, Sequence[Any]]]:
    for service in result.services:
        yield service.name, service.slos[0].line, service.notes
        for draft in service.slos:
            yield f"{service.name}/{draft.entry['name']}", draft.line, draft.notes
