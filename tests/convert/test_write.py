"""YAML is written so that it reads back as the same data, comments or not."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from slo.convert.model import ConversionNote, Draft
from slo.convert.write import document_text, scalar
from slo.spec import yaml as strict_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
LABELS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=3)


def read(text: str) -> Any:
    parsed = strict_yaml.parse(text, "x.yaml")
    assert not parsed.problems, (parsed.problems, text)
    [document] = parsed.documents
    return document.data


@example("a\x85b")
@example("\u2028 \u2029")
@example("yes")
@given(TEXT)
def test_a_scalar_reads_back(text: str) -> None:
    assert read(f"a: {scalar(text)}\nb: [{scalar(text)}]\nc: {{d: {scalar(text)}}}\n") == {
        "a": text,
        "b": [text],
        "c": {"d": text},
    }


@given(LABELS, TEXT, st.lists(LABELS.filter(bool), min_size=1, max_size=2), st.text("ab #:\n", max_size=30))
def test_a_document_reads_back_whatever_is_noted(
    labels: dict[str, str], text: str, pairs: list[dict[str, str]], lines: str
) -> None:
    entry = {
        "name": "x",
        "description": lines,
        "labels": labels,
        "alerting": {"windows": pairs, "page": False},
        "by": [text],
    }
    notes = [
        ConversionNote(path, f"note {text}", True) for path in ((), ("name",), ("labels",), ("alerting", "windows"))
    ]
    data = read(
        document_text(
            {"service": "s", "labels": labels}, [Draft("x", 1, entry, notes)], [ConversionNote((), text or "n", False)]
        )
    )
    expected = {**entry, "alerting": {"windows": pairs, "page": "off"}}
    assert data == {"service": "s", "labels": labels, "slos": [expected]}


def test_notes_stand_above_what_they_are_about() -> None:
    entry = {"name": "x", "objective": "99.9", "sli": {"probe": {"metric": "up"}}}
    notes = [ConversionNote((), "of all", True), ConversionNote(("sli",), "of the SLI", False)]
    assert document_text({"service": "s"}, [Draft("x", 1, entry, notes)]) == (
        "service: s\nslos:\n  # changed: of all\n  - name: x\n    objective: 99.9\n    # of the SLI\n    sli:\n      probe:\n        metric: up\n"
    )
