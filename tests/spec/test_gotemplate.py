"""Templates of alerts: what a server refuses when it loads them is refused, at its place; what it takes is taken."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest

from slo.spec.gotemplate import fault_in
from tests.servers import promtool

TAKEN = [
    "no template at all } }} { %",
    "{{ $value | humanize }} of {{ $labels.instance }}",
    "{{ .Value }}{{ .Labels.job }}{{ $externalLabels.cluster }}{{ $externalURL }}{{ . }}{{ $ }}",
    '{{ with query "up{job=\\"a\\"}" }}{{ . | first | value | humanizePercentage }}{{ else }}unknown{{ end }}',
    "{{ with query `sum(up)` }}{{ range . }}{{ .Labels.job }} {{ end }}{{ end }}",
    '{{ range $i, $e := query "up" }}{{ if gt $i 3 }}{{ break }}{{ else if eq $i 1 }}{{ continue }}{{ end }}{{ $e }}{{ end }}',
    '{{ if and (gt $value 0.5) (eq $labels.job "a") }}bad{{ else if lt $value -1e3 }}worse{{ else }}good{{ end }}',
    '{{ printf "%.1f%%" (humanizePercentage $value) }}',
    "{{- /* a comment */ -}} text {{- $value -}} text {{/* another */}}",
    '{{ define "x" }}a{{ end }}{{ template "x" . }}{{ template "x" }}{{ block "y" . }}b{{ end }}',
    "{{ $x := 1 }}{{ $x = 0x1F }}{{ $x }}{{ 'a' }}{{ '\\n' }}{{ \"\\u00e9\" }}{{ true }}{{ print nil }}",
    '{{ index $labels "a-b" }}{{ ($value | humanize).X }}{{ (index . "a").b.c }}{{ .größe }}',
    "{{ $value\n| humanize }}",
    "{{ reReplaceAll `a(.*)` \"$1\" $labels.x | title | toUpper }}",
    "{{define `x`}}{{end}}{{define `x`}} \n {{end}}{{define `x`}}a{{end}}",
]  # fmt: skip
REFUSED = {
    "{{ $value": "0: `{{` is not closed; an action ends with `}}`",
    "a {{ foo }}": "5: there is no function `foo`",
    "{{ $lables.job }}": "3: there is no variable `$lables` here; did you mean `$labels`?",
    "{{ labels.job }}": "3: there is no function `labels`; did you mean the variable `$labels`?",
    "{{ $value | humanise }}": "12: there is no function `humanise`; did you mean `humanize`?",
    "{{ $foo }}": "3: there is no variable `$foo` here; accepted are $labels, $externalLabels, $externalURL, $value",
    "{{ if $value }}x": "16: `{{end}}` is missing",
    "x {{ end }}": "2: `{{end}}` without the `if`, `range` or `with` that it belongs to",
    "{{ }}": "3: a value is missing in an action",
    '{{ "a }}': '3: a string is not closed by "',
    "{{ ( $value }}": "12: a `(` is not closed",
    "{{ $value ) }}": "10: a `)` has no `(`",
    "{{ $value | 3 }}": "12: `3` takes no value from the `|` before it; name a function",
    "{{ break }}": "3: `{{break}}` stands outside a range",
    "{{ $labels.kube-pod }}": "15: '-' cannot follow `kube` without a space",
    "{{/* a comment }}": "0: a comment is not closed; it ends with `*/}}`",
    '{{ template x . }}': "12: `x` cannot stand in a template action",
    '{{ define "x" }}{{ $labels }}{{ end }}': "19: there is no variable `$labels` here; accepted are $ and fields",
    "{{ toDuration 1 }}": "3: there is no function `toDuration`; did you mean `parseDuration`?",
    "{{ 1__0 }}": "3: '1__0' is not a valid number; write one such as 100, 0.5 or 1e6",
    "{{ with 1 }}{{ else with 2 }}{{ end }}": "20: `else with` is not known to all servers; write `{{else}}{{with …}}`",
}  # fmt: skip

TOOLS = ["promtool", "promtool2"]


@pytest.mark.parametrize("text", TAKEN)
def test_a_template_is_taken(text: str) -> None:
    assert fault_in(text) is None


@pytest.mark.parametrize(("text", "what"), REFUSED.items(), ids=list(REFUSED))
def test_a_fault_says_where_and_what(text: str, what: str) -> None:
    fault = fault_in(text)
    assert fault is not None
    assert f"{fault.at}: {fault.message}" == what


def refused_by(tool: str, texts: list[str], folder: Path) -> set[int]:
    rules = [{"alert": f"A{n}", "expr": "up", "annotations": {"a": text}} for n, text in enumerate(texts)]
    file = folder / f"{tool}.yml"
    file.write_text(json.dumps({"groups": [{"name": "g", "rules": rules}]}, ensure_ascii=False), encoding="utf-8")
    said = promtool("check", "rules", "--lint=none", file, name=tool)
    numbers = {int(number) for number in re.findall(r'rule \d+, "A(\d+)": annotation', said.stdout + said.stderr)}
    assert (said.returncode == 0) == (not numbers), said.stdout + said.stderr
    return numbers


@pytest.mark.server
@pytest.mark.parametrize("tool", TOOLS)
def test_promtool_says_the_same_of_the_examples(tmp_path: Path, tool: str) -> None:
    assert refused_by(tool, TAKEN, tmp_path) == set()
    stricter = {"{{ with 1 }}{{ else with 2 }}{{ end }}"} if tool == "promtool" else set()
    refused = [text for text in REFUSED if text not in stricter]
    assert refused_by(tool, refused, tmp_path) == set(range(len(refused)))


VALUES = [
    "$value", "$labels", "$labels.job", ".", ".Labels", ".Labels.job", "$", "$externalURL", "3", "-2.5", "1e3", '"a"',
    '"a\\"b"', "`raw`", "true", "nil", "'c'", "'\\x41'", "($value | humanize)", "(index $labels `a`).b", "0x1f", "len",
]  # fmt: skip
CALLS = ["humanize", "printf `%v`", "title", "first", "value", "query `up`", "and 1", "not", "eq 1", "toUpper", "print"]


def template(draw: random.Random, depth: int = 0) -> str:
    """A template that a server takes."""

    def pipeline() -> str:
        first = draw.choice([*VALUES, *CALLS])
        more = draw.sample(VALUES, draw.randint(0, 2)) if first in CALLS else []
        return " ".join([first, *more]) + "".join(f" | {draw.choice(CALLS)}" for _ in range(draw.randint(0, 2)))

    def action(text: str) -> str:
        return draw.choice(["{{", "{{ ", "{{- "]) + text + draw.choice(["}}", " }}", " -}}"])

    parts = []
    for _ in range(draw.randint(1, 3)):
        inner = template(draw, depth + 1) if depth < 2 else "x"
        other = template(draw, depth + 1) if depth < 2 else "y"
        match draw.randint(0, 11):
            case 0:
                part = draw.choice(["text", " \n ", "}} %", "{ { ", "é日", "a.b|c"])
            case 1 | 2:
                part = action(pipeline())
            case 3:
                part = action(f"$x{depth} := {pipeline()}") + action(f"$x{depth}")
            case 4:
                part = action(f"if {pipeline()}") + inner + action("end")
            case 5:
                part = action(f"if {pipeline()}") + inner + action("else") + other + action("end")
            case 6:
                part = action(f"if {pipeline()}") + inner + action(f"else if {pipeline()}") + other + action("end")
            case 7:
                part = action(f"range $i, $e := {pipeline()}") + inner + action("$e.x $i") + action("end")
            case 8:
                part = action(f"range {pipeline()}") + inner + action("break") + action("end")
            case 9:
                part = action(f"with {pipeline()}") + inner + action("else") + other + action("end")
            case 10:
                part = draw.choice(["{{/* a }} comment */}}", "{{- /* trimmed */ -}}", '{{ template "t" . }}'])
            case _:
                part = action(f"block `b{draw.random()}` .") + "in it" + action("end")
        parts.append(part)
    return "".join(parts)


PIECES = [
    "{{", "}}", "{{-", "-}}", " ", "\n", "$", ".", "|", "(", ")", ":=", "=", ",", '"', "`", "'", "\\", "end", "else", "if ",
    "range ", "with ", "define `d`", "block `c` .", "template", "break", "continue", "nil", "$x", "$value", "foo", "/*",
    "*/", "0x", "1_0", "089", "1i", "1+2i", "99999999999999999999", "-", "+", "é", "²", "\x01", "%", "!", "$i, $e", "{{end}}",
    "\\x4", "'ab'", "1e999", ".5", "5.", "0b1", "{{else}}", "😀", "{{ else if 1 }}", "\t", "\r",
]  # fmt: skip


def mutated(draw: random.Random, text: str) -> str:
    """The same with one to three accidents."""
    for _ in range(draw.randint(1, 3)):
        at, to = sorted(draw.randint(0, len(text)) for _ in range(2))
        match draw.randint(0, 3):
            case 0:
                text = text[:at] + text[at + 1 :]
            case 1:
                text = text[:at] + draw.choice(PIECES) + text[at:]
            case 2:
                text = text[:at] + draw.choice(PIECES) + text[at + 2 :]
            case _:
                text = text[:at] + text[to:] if to - at < 12 else text[:at] + text[at : at + 5] + text[at:]
    return text


SOUND = 2_000 if "SLO_SLOW" in os.environ else 500


@pytest.mark.server
@pytest.mark.parametrize("tool", TOOLS)
def test_what_promtool_refuses_is_refused(tmp_path: Path, tool: str) -> None:
    """Of 1,500 templates, and 6,000 in `make slow`, a third of them sound; little that it takes is refused."""
    draw = random.Random(20260727)
    sound = [template(draw) for _ in range(SOUND)]
    texts = sound + [mutated(draw, template(draw, 1)) for _ in range(2 * SOUND)]
    theirs = refused_by(tool, texts, tmp_path)
    ours = {number for number, text in enumerate(texts) if fault_in(text) is not None}
    assert [texts[number] for number in sorted(theirs - ours)] == []
    assert [texts[number] for number in sorted(theirs | ours) if number < len(sound)] == []
    assert len(theirs) > SOUND / 2
    assert len(ours - theirs) < 0.02 * len(texts)
